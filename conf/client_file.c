/* SPDX-License-Identifier: MIT
 * Lines of one client. The rows of options.def and the readers are those of the configuration; they meet a
 * parse with `client` set, whose configuration is scratch. */
#include "conf/client_file.h"
#include "conf/conf.h"

#include <arpa/inet.h>
#include <limits.h>
#include <stdlib.h>

struct client_settings *client_settings_new(const char *const *push, unsigned push_count)
{
	struct arena *arena = arena_new();
	struct client_settings *s = arena ? arena_take(arena, sizeof(*s)) : NULL;
	if (s) {
		s->arena = arena;
		s->push = arena_take(arena, (push_count + 1) * sizeof(*s->push));
	}
	if (!s || !s->push) {
		if (arena)
			arena_free(&arena);
		return NULL;
	}
	if (push_count)
		memcpy(s->push, push, push_count * sizeof(*push));
	s->push_count = push_count;
	return s;
}

void client_settings_free(struct client_settings **settings)
{
	if (!*settings)
		return;
	struct arena *arena = (*settings)->arena;
	*settings = NULL;
	arena_free(&arena);
}

/* -- readers -- */

/* A list that came from outside grows in its own memory. */
void client_push_add(struct parse *p, const char *option)
{
	struct client_settings *s = p->client;
	char *copy = arena_copy(p->arena, option);
	const char **grown = arena_take(p->arena, (s->push_count + 1) * sizeof(*grown));
	if (!grown || !copy)
		return;
	memcpy(grown, s->push, s->push_count * sizeof(*grown));
	grown[s->push_count++] = copy;
	s->push = grown;
}

void read_push_reset(struct parse *p, const struct line *line)
{
	(void)line;
	p->client->push_count = 0;
}

void read_push_remove(struct parse *p, const struct line *line)
{
	struct client_settings *s = p->client;
	const char *prefix = line->words[1];
	size_t len = strlen(prefix);
	unsigned kept = 0;

	if (!len) {
		line_error(p, line, "push-reset", "the word is empty");
		return;
	}
	if (strcmp(prefix, "ifconfig") == 0)
		s->block4 = true;
	else if (strcmp(prefix, "ifconfig-ipv6") == 0)
		s->block6 = true;
	for (unsigned i = 0; i < s->push_count; i++)
		if (strncmp(s->push[i], prefix, len) != 0)
			s->push[kept++] = s->push[i];
	s->push_count = kept;
}

void read_disable(struct parse *p, const struct line *line)
{
	(void)line;
	p->client->disable = true;
}

void read_ifconfig_push(struct parse *p, const struct line *line)
{
	struct client_settings *s = p->client;
	uint32_t address, second, told = 0;

	if (!value_ipv4(p, line, 1, &address) || !value_ipv4(p, line, 2, &second))
		return;
	if (line->count > 3 && !value_ipv4(p, line, 3, &told))
		return;
	if (address == 0 || address >= 0xe0000000u || address >> 24 == 127) {
		line_error(p, line, NULL, "'%.60s' cannot be a client's address", line->words[1]);
		return;
	}
	s->has4 = true;
	s->address4 = address;
	s->second4 = second;
	s->told4 = told;
}

void read_ifconfig_ipv6_push(struct parse *p, const struct line *line)
{
	struct client_settings *s = p->client;
	struct in6_addr address, remote = { 0 };
	uint8_t bits;

	if (!value_prefix6(p, line, 1, 0, 128, false, &address, &bits))
		return;
	if (line->count > 2 && !value_ipv6(p, line, 2, &remote))
		return;
	if (IN6_IS_ADDR_UNSPECIFIED(&address) || IN6_IS_ADDR_MULTICAST(&address) ||
		IN6_IS_ADDR_LOOPBACK(&address)) {
		line_error(p, line, NULL, "'%.60s' cannot be a client's address", line->words[1]);
		return;
	}
	s->has6 = true;
	s->address6 = address;
	s->bits6 = bits;
	s->has_remote6 = line->count > 2;
	s->remote6 = remote;
}

static void add_route(struct parse *p, const struct client_route *route)
{
	struct client_settings *s = p->client;
	struct client_route *grown = arena_grow(p->arena, s->routes, s->route_count, sizeof(*grown));
	if (!grown)
		return;
	s->routes = grown;
	grown[s->route_count++] = *route;
}

void read_iroute(struct parse *p, const struct line *line)
{
	struct client_route route = { .family = 4 };
	uint32_t network, netmask = UINT32_MAX;

	if (!value_ipv4(p, line, 1, &network) || (line->count > 2 && !value_netmask(p, line, 2, &netmask)))
		return;
	if (network & ~netmask) {
		line_error(p, line,
			arena_format(p->arena, "iroute %s %s", print4(p, network & netmask), line->words[2]),
			"the network has bits behind its netmask");
		return;
	}
	route.bits = mask_bits(netmask);
	network = htonl(network);
	memcpy(route.prefix, &network, sizeof(network));
	add_route(p, &route);
}

void read_iroute_ipv6(struct parse *p, const struct line *line)
{
	struct client_route route = { .family = 6 };
	struct in6_addr network;
	uint8_t bits;

	if (!value_prefix6(p, line, 1, 0, 128, false, &network, &bits))
		return;
	struct in6_addr clean = prefix6_of(network, bits);
	route.bits = bits;
	memcpy(route.prefix, &clean, sizeof(route.prefix));
	add_route(p, &route);
}

/* -- lines -- */

/* Those of the configuration that we also do for one client; the others would be silently without effect. */
static bool is_done_for_one(const struct option_row *row)
{
	static const char *const names[] = { "push", "push-reset", "push-remove", "disable", "ifconfig-push",
		"ifconfig-ipv6-push", "iroute", "iroute-ipv6", "echo", "parameter" };
	for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strcmp(names[i], row->name) == 0)
			return true;
	return row->read == accepted;
}

void client_line(struct parse *p, const struct line *line, const struct option_row *row)
{
	if (strcmp(row->name, "max-routes-per-client") == 0)
		value_unsigned(p, line, 1, 1, INT_MAX, &p->client->max_routes);
	else if (is_done_for_one(row))
		row->read(p, line);
	else
		line_error(p, line, NULL, "'%s' for a single client is not supported yet", row->name);
}

/* A word in double quotes, whatever it holds. */
static size_t quote(char *out, size_t room, const char *word)
{
	size_t len = 0;
	for (const char *c = word; len + 4 < room; c++) {
		if (c == word)
			out[len++] = '"';
		if (!*c)
			break;
		if (*c == '"' || *c == '\\')
			out[len++] = '\\';
		out[len++] = *c;
	}
	out[len++] = '"';
	return len;
}

static void tell_kept(const struct client_reading *reading, const struct line *line)
{
	char text[2 * MAX_LINE + 3 * MAX_WORDS + 8];
	size_t len = 0;

	if (!reading->kept)
		return;
	for (unsigned i = 0; i < line->count; i++) {
		if (i)
			text[len++] = ' ';
		len += quote(text + len, sizeof(text) - len - 2, line->words[i]);
	}
	reading->kept(reading->context, text, len);
}

static void tell_problems(struct parse *p, const struct client_reading *reading)
{
	for (unsigned i = 0; i < p->problem_count && reading->problem; i++)
		reading->problem(reading->context, p->problems[i].place.file, p->problems[i].place.line,
			p->problems[i].directive, p->problems[i].what ? p->problems[i].what : "out of memory",
			p->problems[i].hint);
	p->problem_count = 0;
}

static bool is_plain(const struct line *line)
{
	for (unsigned i = 0; i < line->count; i++)
		for (const char *c = line->words[i]; *c; c++)
			if (((unsigned char)*c < 0x20 && *c != '\t') || *c == 0x7f)
				return false;
	return true;
}

static void include(struct parse *p, const struct line *line, const struct client_reading *reading)
{
	struct client_settings *s = p->client;

	if (line->count != 2)
		line_error(p, line, "config FILE", "takes the name of a file");
	else if (!reading->include || s->level >= CLIENT_INCLUDES_MAX)
		line_error(p, line, NULL, reading->include ? "files nest too deep" : "is not possible here");
	else {
		s->level++;
		if (!reading->include(reading->context, s, line->words[1]))
			line_error(p, line, NULL, "%.200s is not read", line->words[1]);
		s->level--;
	}
}

unsigned client_settings_read(struct client_settings *s, const char *file, const char *text, size_t len,
	const struct client_reading *reading)
{
	struct config scratch = { .arena = s->arena, .file = file };
	struct parse p = { .config = &scratch, .arena = s->arena, .client = s };
	char *copy = arena_take(s->arena, len + 1);
	const char *why, *hint;
	struct line line;
	unsigned bad = 0;

	if (!copy)
		return 1;
	memcpy(copy, text, len);
	if (memchr(copy, '\0', len))
		len = strlen(copy);
	struct grammar grammar = grammar_of(copy, len);
	for (enum grammar_result result;
		(result = grammar_next(&grammar, &line, &why, &hint)) != GRAMMAR_END;) {
		if (result == GRAMMAR_EMPTY)
			continue;
		line.place.file = file;
		line.place.order = ++p.order;
		p.errors = 0;
		if (++s->lines > CLIENT_LINES_MAX) {
			line_error(&p, &line, NULL, "more than %d lines for one client", CLIENT_LINES_MAX);
			tell_problems(&p, reading);
			return bad + 1;
		}
		if (result == GRAMMAR_BAD)
			conf_error(&p, &line.place, NULL, hint, "%s", why);
		else if (!is_plain(&line))
			conf_error(&p, &line.place, NULL, NULL, "the line holds control characters");
		else if (strcmp(line.words[0], "config") == 0 && !line.has_block)
			include(&p, &line, reading);
		else
			option_apply(&p, &line);
		bad += p.errors > 0 || arena_failed(s->arena);
		if (!p.errors && result == GRAMMAR_LINE && strcmp(line.words[0], "config") != 0)
			tell_kept(reading, &line);
		tell_problems(&p, reading);
	}
	return bad;
}

/* -- after the last line -- */

/* `route NETWORK [NETMASK] ...` or `route-ipv6 NETWORK/BITS ...` as it is pushed. */
static bool pushed_route(const char *option, struct client_route *out)
{
	char text[MAX_PUSHED + 1];
	char *words[3] = { 0 }, *save = NULL;
	unsigned count = 0;

	if (strlen(option) >= sizeof(text))
		return false;
	strcpy(text, option);
	for (char *word = strtok_r(text, " \t", &save); word && count < 3;
		word = strtok_r(NULL, " \t", &save))
		words[count++] = word;
	*out = (struct client_route){ 0 };
	if (count >= 2 && strcmp(words[0], "route") == 0) {
		struct in_addr network, netmask = { UINT32_MAX };
		if (inet_pton(AF_INET, words[1], &network) != 1 ||
			(count > 2 && inet_pton(AF_INET, words[2], &netmask) != 1))
			return false;
		out->family = 4;
		out->bits = mask_bits(ntohl(netmask.s_addr));
		memcpy(out->prefix, &network, sizeof(network));
		return true;
	}
	char *slash = count >= 2 && strcmp(words[0], "route-ipv6") == 0 ? strchr(words[1], '/') : NULL;
	if (!slash)
		return false;
	*slash = '\0';
	out->family = 6;
	out->bits = (unsigned)strtoul(slash + 1, NULL, 10);
	return inet_pton(AF_INET6, words[1], out->prefix) == 1;
}

static bool is_own(const struct client_settings *s, const char *option)
{
	struct client_route route;
	if (!pushed_route(option, &route))
		return false;
	for (unsigned i = 0; i < s->route_count; i++)
		if (s->routes[i].family == route.family && s->routes[i].bits == route.bits &&
			memcmp(s->routes[i].prefix, route.prefix, sizeof(route.prefix)) == 0)
			return true;
	return false;
}

void client_settings_finish(struct client_settings *s)
{
	unsigned kept = 0;
	for (unsigned i = 0; i < s->push_count; i++)
		if (!is_own(s, s->push[i]))
			s->push[kept++] = s->push[i];
	s->push_count = kept;
}
