/* SPDX-License-Identifier: MIT
 * Directives about clients: the helpers, the address pool, what is pushed, time-outs and limits. */
#include "conf/conf.h"

#include <limits.h>

void read_mode(struct parse *p, const struct line *line)
{
	if (strcmp(line->words[1], "server") == 0)
		p->draft.mode_server = true;
	else
		line_error(p, line, "add `server NETWORK NETMASK`, or `mode server` and `tls-server`",
			"'%.60s' is not a role of this server", line->words[1]);
}

void read_tls_server(struct parse *p, const struct line *line)
{
	(void)line;
	p->draft.tls_server = true;
}

void read_server(struct parse *p, const struct line *line)
{
	struct draft *d = &p->draft;
	uint32_t network, mask;
	static const char *const words[] = { "nopool", NULL };

	if (!value_ipv4(p, line, 1, &network) || !value_netmask(p, line, 2, &mask))
		return;
	if (line->count > 3 && value_choice(p, line, 3, words) < 0)
		return;
	if (network & ~mask) {
		line_error(p, line,
			arena_format(p->arena, "server %s %s", print4(p, network & mask), line->words[2]),
			"the network has bits behind its netmask");
		return;
	}
	if (mask_bits(mask) < 8 || mask_bits(mask) > 29) {
		line_error(p, line, NULL, "the netmask is not between 255.0.0.0 and 255.255.255.248");
		return;
	}
	d->server = true;
	d->server_nopool = line->count > 3;
	d->server_network = network;
	d->server_netmask = mask;
}

void read_server_ipv6(struct parse *p, const struct line *line)
{
	struct draft *d = &p->draft;
	struct in6_addr network;
	uint8_t bits;
	if (!value_prefix6(p, line, 1, 64, 124, false, &network, &bits))
		return;
	d->server6_network = network;
	d->server6_bits = bits;
	d->server6 = true;
}

void read_ifconfig_pool(struct parse *p, const struct line *line)
{
	struct pool4 pool = { .on = true };
	if (!value_ipv4(p, line, 1, &pool.first) || !value_ipv4(p, line, 2, &pool.last))
		return;
	if (line->count > 3 && !value_netmask(p, line, 3, &pool.netmask))
		return;
	if (pool.first > pool.last) {
		line_error(p, line, NULL, "the first address is greater than the last");
		return;
	}
	if (pool.last - pool.first >= 1u << 24) {
		line_error(p, line, NULL, "more than 16777216 addresses");
		return;
	}
	p->config->pool4 = pool;
	p->draft.pool4 = true;
}

void read_ifconfig_ipv6_pool(struct parse *p, const struct line *line)
{
	struct pool6 pool = { .on = true };
	if (!value_prefix6(p, line, 1, 64, 124, false, &pool.base, &pool.bits))
		return;
	struct in6_addr network = prefix6_of(pool.base, pool.bits);
	if (memcmp(&network, &pool.base, sizeof(network)) == 0)
		pool.base = add6(pool.base, 1);
	p->config->pool6 = pool;
	p->draft.pool6 = true;
}

void push_add(struct parse *p, const char *option)
{
	struct config *c = p->config;
	if (p->client) {
		client_push_add(p, option);
		return;
	}
	const char **grown = arena_grow(p->arena, c->push, c->push_count, sizeof(*grown));
	if (!grown || !option)
		return;
	c->push = grown;
	grown[c->push_count++] = option;
}

/* Clients skip options that they do not obey: the line would be without effect, which nobody would notice. */
static void check_pushed_name(struct parse *p, const struct line *line, const char *option)
{
	char name[64];
	size_t len = strcspn(option, " \t");
	if (len >= sizeof(name))
		len = sizeof(name) - 1;
	memcpy(name, option, len);
	name[len] = '\0';
	const struct option_row *row = option_find(name);
	if (row && (row->places & PUSH))
		return;
	const char *nearest = row ? NULL : option_nearest(name);
	line_warning(p, line, nearest ? arena_format(p->arena, "did you mean '%s'?", nearest) : NULL,
		"'%s' is not an option that clients accept when it is pushed", name);
}

void read_push(struct parse *p, const struct line *line)
{
	const char *option = line->words[1];
	if (!*option) {
		line_error(p, line, "push \"route 192.0.2.0 255.255.255.0\"", "nothing to push");
		return;
	}
	if (strchr(option, ',')) {
		line_error(p, line, "one `push` for each option", "a pushed option cannot hold a comma");
		return;
	}
	if (strlen(option) > MAX_PUSHED) {
		line_error(p, line, NULL, "clients take at most %d bytes in one option", MAX_PUSHED);
		return;
	}
	for (const char *c = option; *c; c++)
		if (*c < ' ' || *c > '~') {
			line_error(p, line, NULL,
				"clients drop a whole reply that holds a byte outside printable ASCII");
			return;
		}
	check_pushed_name(p, line, option);
	push_add(p, option);
}

void read_client_to_client(struct parse *p, const struct line *line)
{
	(void)line;
	p->config->client_to_client = true;
}

void read_duplicate_cn(struct parse *p, const struct line *line)
{
	(void)line;
	p->config->duplicate_cn = true;
}

void read_max_clients(struct parse *p, const struct line *line)
{
	if (value_unsigned(p, line, 1, 1, CONFIG_CLIENTS_MAX, &p->config->max_clients))
		p->draft.max_clients = true;
}

void read_max_routes_per_client(struct parse *p, const struct line *line)
{
	value_unsigned(p, line, 1, 1, INT_MAX, &p->config->max_routes_per_client);
}

static void read_frequency(struct parse *p, const struct line *line, unsigned *n, unsigned *seconds)
{
	unsigned number, span;
	if (value_unsigned(p, line, 1, 1, INT_MAX, &number) &&
		value_unsigned(p, line, 2, 1, INT_MAX, &span)) {
		*n = number;
		*seconds = span;
	}
}

void read_connect_freq(struct parse *p, const struct line *line)
{
	read_frequency(p, line, &p->config->connect_freq, &p->config->connect_freq_s);
}

void read_connect_freq_initial(struct parse *p, const struct line *line)
{
	read_frequency(p, line, &p->config->connect_freq_initial, &p->config->connect_freq_initial_s);
}

void read_inactive(struct parse *p, const struct line *line)
{
	uint64_t bytes = 0;
	if (line->count > 2 && !value_number(p, line, 2, 0, INT64_MAX, &bytes))
		return;
	if (value_unsigned(p, line, 1, 0, INT_MAX, &p->config->inactive_s))
		p->config->inactive_bytes = bytes;
}

void read_session_timeout(struct parse *p, const struct line *line)
{
	value_unsigned(p, line, 1, 0, INT_MAX, &p->config->session_timeout_s);
}

void read_keepalive(struct parse *p, const struct line *line)
{
	struct draft *d = &p->draft;
	unsigned interval, timeout;
	if (!value_unsigned(p, line, 1, 1, 86400, &interval) ||
		!value_unsigned(p, line, 2, 1, 43200, &timeout))
		return;
	if (timeout < 2 * interval) {
		line_error(p, line, "keepalive 10 60", "the time-out must be at least twice the interval");
		return;
	}
	d->keepalive = true;
	d->keepalive_interval = interval;
	d->keepalive_timeout = timeout;
}

void read_ping(struct parse *p, const struct line *line)
{
	value_unsigned(p, line, 1, 0, 86400, &p->config->ping_s);
}

void read_ping_restart(struct parse *p, const struct line *line)
{
	value_unsigned(p, line, 1, 0, 86400, &p->config->ping_restart_s);
}
