/* SPDX-License-Identifier: MIT
 * Environments of scripts. */
#include "master/environment.h"

#include <arpa/inet.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* -- a list of entries -- */

static bool name_letter(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

static char *entry_of(const char *name, const char *value)
{
	size_t name_len = strlen(name), value_len = strlen(value);
	char *entry = malloc(name_len + value_len + 2);

	if (!entry)
		return NULL;
	for (size_t i = 0; i < name_len; i++)
		entry[i] = name_letter(name[i]) ? name[i] : '_';
	entry[name_len] = '=';
	for (size_t i = 0; i < value_len; i++)
		entry[name_len + 1 + i] = value[i] >= ' ' && value[i] <= '~' ? value[i] : '_';
	entry[name_len + 1 + value_len] = '\0';
	return entry;
}

/* The place of the entry that has the name of `entry`; count: there is none. */
static unsigned place_of(const struct environment *e, const char *entry)
{
	size_t len = strcspn(entry, "=");
	unsigned i = 0;
	while (i < e->count && (strncmp(e->entries[i], entry, len) != 0 || e->entries[i][len] != '='))
		i++;
	return i;
}

void environment_set(struct environment *e, const char *name, const char *value)
{
	char *entry = entry_of(name, value);

	if (!entry || !*name) {
		e->failed |= !entry;
		free(entry);
		return;
	}
	unsigned i = place_of(e, entry);
	if (i < e->count) {
		free(e->entries[i]);
		e->entries[i] = entry;
		return;
	}
	char **grown = realloc(e->entries, (e->count + 2) * sizeof(*grown));
	if (!grown) {
		e->failed = true;
		free(entry);
		return;
	}
	e->entries = grown;
	grown[e->count++] = entry;
	grown[e->count] = NULL;
}

void environment_format(struct environment *e, const char *name, const char *format, ...)
{
	char value[1024];
	va_list args;

	va_start(args, format);
	vsnprintf(value, sizeof(value), format, args);
	va_end(args);
	environment_set(e, name, value);
}

void environment_unset(struct environment *e, const char *name)
{
	unsigned i = place_of(e, name);
	if (i == e->count)
		return;
	free(e->entries[i]);
	for (; i < e->count; i++)
		e->entries[i] = e->entries[i + 1];
	e->count--;
}

const char *environment_get(const struct environment *e, const char *name)
{
	unsigned i = place_of(e, name);
	return i < e->count ? e->entries[i] + strlen(name) + 1 : NULL;
}

void environment_add(struct environment *e, const struct environment *from)
{
	for (unsigned i = 0; i < from->count; i++) {
		char name[256];
		size_t len = strcspn(from->entries[i], "=");
		if (len >= sizeof(name))
			continue;
		memcpy(name, from->entries[i], len);
		name[len] = '\0';
		environment_set(e, name, from->entries[i] + len + 1);
	}
	e->failed |= from->failed;
}

const char *const *environment_vector(const struct environment *e)
{
	static const char *const none[] = { NULL };
	return e->entries ? (const char *const *)(uintptr_t)e->entries : none;
}

void environment_clear(struct environment *e)
{
	for (unsigned i = 0; i < e->count; i++)
		free(e->entries[i]);
	free(e->entries);
	*e = (struct environment){ 0 };
}

/* -- the hub's own -- */

__attribute__((format(printf, 4, 5))) static void set_n(
	struct environment *e, const char *name, unsigned n, const char *format, ...)
{
	char numbered[64], value[256];
	va_list args;

	snprintf(numbered, sizeof(numbered), "%s_%u", name, n);
	va_start(args, format);
	vsnprintf(value, sizeof(value), format, args);
	va_end(args);
	environment_set(e, numbered, value);
}

struct text4 {
	char text[INET6_ADDRSTRLEN];
};

static struct text4 text4(uint32_t address)
{
	struct text4 out;
	inet_ntop(AF_INET, &(struct in_addr){ htonl(address) }, out.text, sizeof(out.text));
	return out;
}

static struct text4 text6(const struct in6_addr *address)
{
	struct text4 out;
	inet_ntop(AF_INET6, address, out.text, sizeof(out.text));
	return out;
}

static void add_listeners(struct environment *e, const struct config *c)
{
	for (unsigned i = 0; i < c->listener_count; i++) {
		const struct listener *l = &c->listeners[i];
		const struct sockaddr_in *in = (const struct sockaddr_in *)&l->address;
		const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)&l->address;
		bool six = in->sin_family == AF_INET6;
		unsigned port = ntohs(six ? in6->sin6_port : in->sin_port);

		set_n(e, "proto", i + 1, "%s%s%s", l->proto == PROTO_UDP ? "udp" : "tcp", six ? "6" : "",
			l->proto == PROTO_UDP ? "" : "-server");
		if (six ? !IN6_IS_ADDR_UNSPECIFIED(&in6->sin6_addr) : in->sin_addr.s_addr != INADDR_ANY)
			set_n(e, "local", i + 1, "%s",
				six ? text6(&in6->sin6_addr).text : text4(ntohl(in->sin_addr.s_addr)).text);
		set_n(e, "local_port", i + 1, "%u", port);
		set_n(e, "remote_port", i + 1, "%u", port);
	}
}

static void add_addresses(struct environment *e, const struct config *c)
{
	if (c->ifconfig_on) {
		environment_set(e, "ifconfig_local", text4(c->local4).text);
		if (c->topology == TOPOLOGY_SUBNET || c->tap)
			environment_set(e, "ifconfig_netmask", text4(c->netmask4).text);
		else
			environment_set(e, "ifconfig_remote", text4(c->remote4).text);
	}
	if (c->ifconfig6_on) {
		environment_set(e, "ifconfig_ipv6_local", text6(&c->local6).text);
		environment_format(e, "ifconfig_ipv6_netbits", "%u", c->bits6);
		environment_set(e, "ifconfig_ipv6_remote", text6(&c->remote6).text);
	}
}

static void add_routes(struct environment *e, const struct config *c)
{
	for (unsigned i = 0; i < c->route4_count; i++) {
		const struct route4 *r = &c->routes4[i];
		set_n(e, "route_network", i + 1, "%s", text4(r->network).text);
		set_n(e, "route_netmask", i + 1, "%s", text4(r->netmask).text);
		if (r->gateway)
			set_n(e, "route_gateway", i + 1, "%s", text4(r->gateway).text);
		if (r->metric >= 0)
			set_n(e, "route_metric", i + 1, "%d", r->metric);
	}
	for (unsigned i = 0; i < c->route6_count; i++) {
		const struct route6 *r = &c->routes6[i];
		set_n(e, "route_ipv6_network", i + 1, "%s/%u", text6(&r->network).text, r->bits);
		if (r->has_gateway)
			set_n(e, "route_ipv6_gateway", i + 1, "%s", text6(&r->gateway).text);
		if (r->metric >= 0)
			set_n(e, "route_ipv6_metric", i + 1, "%d", r->metric);
	}
}

void environment_of_hub(
	struct environment *e, const struct config *c, const char *device, pid_t pid, long long started_unix)
{
	if (c->file)
		environment_set(e, "config", c->file);
	environment_format(e, "verb", "%d", c->verb);
	environment_set(e, "daemon", c->daemonize ? "1" : "0");
	environment_set(e, "daemon_log_redirect", c->log ? "1" : "0");
	environment_format(e, "daemon_pid", "%ld", (long)pid);
	environment_format(e, "daemon_start_time", "%lld", started_unix);
	add_listeners(e, c);
	if (device && *device) {
		environment_set(e, "dev", device);
		environment_set(e, "dev_type", c->tap ? "tap" : "tun");
		environment_format(e, "tun_mtu", "%u", c->tun_mtu);
		environment_set(e, "script_context", "init");
	}
	add_addresses(e, c);
	add_routes(e, c);
	environment_set(e, "redirect_gateway", "0");
	for (unsigned i = 0; i < c->scripts.environment_count; i++) {
		char name[256];
		const char *entry = c->scripts.environment[i];
		size_t len = strcspn(entry, "=");
		if (len >= sizeof(name))
			continue;
		memcpy(name, entry, len);
		name[len] = '\0';
		environment_set(e, name, entry + len + 1);
	}
}
