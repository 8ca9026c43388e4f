/* SPDX-License-Identifier: MIT
 * Words to numbers, addresses and file names, with a clear sentence when they are none. */
#include "conf/conf.h"

#include <arpa/inet.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>

bool value_number(
	struct parse *p, const struct line *line, unsigned i, uint64_t min, uint64_t max, uint64_t *out)
{
	const char *word = line->words[i];
	uint64_t number = 0;
	bool fits = true;

	for (const char *c = word; *c; c++) {
		if (*c < '0' || *c > '9' || c - word > 40) {
			line_error(p, line, NULL, "'%.60s' is not a number", word);
			return false;
		}
		if (__builtin_mul_overflow(number, 10, &number) ||
			__builtin_add_overflow(number, (uint64_t)(*c - '0'), &number))
			fits = false;
	}
	if (!*word) {
		line_error(p, line, NULL, "a number is missing");
		return false;
	}
	if (!fits || number < min || number > max) {
		if (max == UINT64_MAX || max == INT_MAX)
			line_error(p, line, NULL, "%s is not possible, the least is %llu", word,
				(unsigned long long)min);
		else
			line_error(p, line, NULL, "%s is not between %llu and %llu", word,
				(unsigned long long)min, (unsigned long long)max);
		return false;
	}
	*out = number;
	return true;
}

bool value_unsigned(
	struct parse *p, const struct line *line, unsigned i, unsigned min, unsigned max, unsigned *out)
{
	uint64_t number;
	if (!value_number(p, line, i, min, max, &number))
		return false;
	*out = (unsigned)number;
	return true;
}

static bool parse4(const char *word, uint32_t *out)
{
	struct in_addr address;
	if (inet_pton(AF_INET, word, &address) != 1)
		return false;
	*out = ntohl(address.s_addr);
	return true;
}

bool value_ipv4(struct parse *p, const struct line *line, unsigned i, uint32_t *out)
{
	if (parse4(line->words[i], out))
		return true;
	line_error(p, line, NULL, "'%.60s' is not an IPv4 address", line->words[i]);
	return false;
}

bool value_ipv4_host(struct parse *p, const struct line *line, unsigned i, uint32_t *out)
{
	struct sockaddr_storage found;
	if (parse4(line->words[i], out))
		return true;
	if (!*line->words[i] || !p->outside->resolve(p->outside, line->words[i], AF_INET, &found)) {
		line_error(p, line, NULL, "'%.60s' is not an IPv4 address and cannot be resolved",
			line->words[i]);
		return false;
	}
	*out = ntohl(((struct sockaddr_in *)&found)->sin_addr.s_addr);
	return true;
}

bool value_netmask(struct parse *p, const struct line *line, unsigned i, uint32_t *out)
{
	uint32_t mask;
	if (!parse4(line->words[i], &mask) || (~mask & (~mask + 1)) != 0) {
		line_error(p, line, "like 255.255.255.0", "'%.60s' is not a netmask", line->words[i]);
		return false;
	}
	*out = mask;
	return true;
}

bool value_ipv6(struct parse *p, const struct line *line, unsigned i, struct in6_addr *out)
{
	if (inet_pton(AF_INET6, line->words[i], out) == 1)
		return true;
	line_error(p, line, NULL, "'%.60s' is not an IPv6 address", line->words[i]);
	return false;
}

bool value_prefix6(struct parse *p, const struct line *line, unsigned i, unsigned min_bits, unsigned max_bits,
	bool bare, struct in6_addr *out, uint8_t *bits)
{
	const char *word = line->words[i], *slash = strchr(word, '/');
	char address[INET6_ADDRSTRLEN + 1];
	size_t len = slash ? (size_t)(slash - word) : strlen(word);
	unsigned number = max_bits;
	bool ok = len < sizeof(address) && (slash || bare);

	if (slash) {
		size_t digits = strspn(slash + 1, "0123456789");
		ok = ok && digits >= 1 && digits <= 3 && !slash[1 + digits];
		number = ok ? (unsigned)strtoul(slash + 1, NULL, 10) : 0;
	}
	if (ok) {
		memcpy(address, word, len);
		address[len] = '\0';
		ok = inet_pton(AF_INET6, address, out) == 1;
	}
	if (!ok) {
		line_error(p, line, NULL, "'%.60s' is not ADDRESS/BITS in IPv6", word);
		return false;
	}
	if (number < min_bits || number > max_bits) {
		line_error(p, line, NULL, "/%u is not between /%u and /%u", number, min_bits, max_bits);
		return false;
	}
	*bits = (uint8_t)number;
	return true;
}

int value_choice(struct parse *p, const struct line *line, unsigned i, const char *const *choices)
{
	char list[256] = "";
	for (int n = 0; choices[n]; n++) {
		if (strcmp(line->words[i], choices[n]) == 0)
			return n;
		size_t used = strlen(list);
		snprintf(list + used, sizeof(list) - used, "%s%s", n ? ", " : "", choices[n]);
	}
	line_error(p, line, list, "'%.60s' is none of the words it takes", line->words[i]);
	return -1;
}

unsigned mask_bits(uint32_t netmask)
{
	return (unsigned)__builtin_popcount(netmask);
}

struct in6_addr prefix6_of(struct in6_addr address, unsigned bits)
{
	for (unsigned i = 0; i < 16; i++) {
		if (bits >= 8 * (i + 1))
			continue;
		unsigned kept = bits > 8 * i ? bits - 8 * i : 0;
		address.s6_addr[i] &= (uint8_t)(0xff00 >> kept);
	}
	return address;
}

struct in6_addr add6(struct in6_addr address, uint32_t number)
{
	uint64_t carry = number;
	for (int i = 15; i >= 0 && carry; i--) {
		carry += address.s6_addr[i];
		address.s6_addr[i] = (uint8_t)carry;
		carry >>= 8;
	}
	return address;
}

const char *print4(struct parse *p, uint32_t address)
{
	return arena_format(p->arena, "%u.%u.%u.%u", address >> 24, address >> 16 & 255, address >> 8 & 255,
		address & 255);
}

const char *print6(struct parse *p, const struct in6_addr *address)
{
	char text[INET6_ADDRSTRLEN];
	inet_ntop(AF_INET6, address, text, sizeof(text));
	return arena_copy(p->arena, text);
}

const char *value_path(struct parse *p, const char *path)
{
	if (!path || path[0] == '/' || !p->config->cd)
		return path;
	return arena_format(p->arena, "%s/%s", p->config->cd, path);
}

bool value_proto(
	struct parse *p, const struct place *place, const char *directive, const char *proto, int *family)
{
	static const char *const later[] = { "tcp", "tcp4", "tcp6", "tcp-server", "tcp4-server",
		"tcp6-server" };
	static const char *const clients[] = { "tcp-client", "tcp4-client", "tcp6-client" };

	if (strcmp(proto, "udp") == 0 || strcmp(proto, "udp4") == 0 || strcmp(proto, "udp6") == 0) {
		*family = proto[3] ? proto[3] - '0' : 0;
		return true;
	}
	for (unsigned i = 0; i < sizeof(later) / sizeof(later[0]); i++)
		if (strcmp(proto, later[i]) == 0) {
			conf_error(
				p, place, directive, NULL, "'%s %s' is not supported yet", directive, proto);
			return false;
		}
	for (unsigned i = 0; i < sizeof(clients) / sizeof(clients[0]); i++)
		if (strcmp(proto, clients[i]) == 0) {
			conf_error(p, place, directive, "this is a client config; vpnserverd only serves",
				"'%s' is a client's transport", proto);
			return false;
		}
	conf_error(p, place, directive, "udp, udp4, udp6", "'%.60s' is not a transport", proto);
	return false;
}
