/* SPDX-License-Identifier: MIT
 * Directives about the outer side: where we listen, and the properties of those sockets. */
#include "conf/conf.h"

#include <limits.h>

void read_local(struct parse *p, const struct line *line)
{
	struct draft *d = &p->draft;
	struct local_wish *grown = arena_grow(p->arena, d->locals, d->local_count, sizeof(*grown));
	if (!grown)
		return;
	d->locals = grown;
	grown[d->local_count++] = (struct local_wish){
		.place = line->place,
		.host = line->words[1],
		.port = line->count > 2 ? line->words[2] : NULL,
		.proto = line->count > 3 ? line->words[3] : NULL,
	};
}

void read_port(struct parse *p, const struct line *line)
{
	p->draft.port = line->words[1];
}

void read_lport(struct parse *p, const struct line *line)
{
	p->draft.port = line->words[1];
}

void read_proto(struct parse *p, const struct line *line)
{
	int family;
	if (value_proto(p, &line->place, line->words[0], line->words[1], &family))
		p->draft.proto = line->words[1];
}

void read_bind(struct parse *p, const struct line *line)
{
	static const char *const words[] = { "ipv6only", NULL };
	if (line->count == 1 || value_choice(p, line, 1, words) == 0)
		p->draft.v6only = line->count > 1;
}

void read_multihome(struct parse *p, const struct line *line)
{
	static const char *const words[] = { "same-interface", NULL };
	if (line->count == 1 || value_choice(p, line, 1, words) == 0)
		p->config->multihome_same_interface = line->count > 1;
}

void read_sndbuf(struct parse *p, const struct line *line)
{
	unsigned bytes;
	if (value_unsigned(p, line, 1, 0, INT_MAX / 2, &bytes))
		p->config->sndbuf = (int)bytes;
}

void read_rcvbuf(struct parse *p, const struct line *line)
{
	unsigned bytes;
	if (value_unsigned(p, line, 1, 0, INT_MAX / 2, &bytes))
		p->config->rcvbuf = (int)bytes;
}

void read_socket_flags(struct parse *p, const struct line *line)
{
	for (unsigned i = 1; i < line->count; i++)
		if (strcmp(line->words[i], "TCP_NODELAY") != 0)
			line_error(
				p, line, "TCP_NODELAY", "'%.60s' is no flag that can be set", line->words[i]);
}

void read_tcp_nodelay(struct parse *p, const struct line *line)
{
	(void)line;
	p->draft.tcp_nodelay = true;
}

void read_max_packet_size(struct parse *p, const struct line *line)
{
	struct config *c = p->config;
	if (!value_unsigned(p, line, 1, 154, 2048, &c->max_packet_size))
		return;
	/* As in OpenVPN: an `mssfix` behind this line overrides. */
	c->mssfix = MSSFIX_MTU;
	c->mssfix_size = c->max_packet_size;
	p->draft.mssfix = true;
}

void read_mtu_disc(struct parse *p, const struct line *line)
{
	static const char *const words[] = { "no", "maybe", "yes", NULL };
	static const int modes[] = { IP_PMTUDISC_DONT, IP_PMTUDISC_WANT, IP_PMTUDISC_DO };
	int choice = value_choice(p, line, 1, words);
	if (choice >= 0)
		p->config->mtu_discover = modes[choice];
}

void read_explicit_exit_notify(struct parse *p, const struct line *line)
{
	unsigned n = 1;
	if (line->count > 1 && !value_unsigned(p, line, 1, 0, INT_MAX, &n))
		return;
	/* More than 2 is how often a client repeats its notice; for a server it means what 1 means. */
	p->config->explicit_exit_notify = n > 2 ? 1 : n;
}
