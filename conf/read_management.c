/* SPDX-License-Identifier: MIT
 * Directives about the management interface. What stands in the password's file is read by load.c. */
#include "conf/conf.h"

#include <arpa/inet.h>

void read_management(struct parse *p, const struct line *line)
{
	struct management *m = &p->config->management;
	const char *where = line->words[1], *port = line->words[2];
	struct sockaddr_storage address;
	unsigned number;

	*m = (struct management){ .log_cache = m->log_cache,
		.hold = m->hold,
		.client_user = m->client_user,
		.client_group = m->client_group,
		.echoes = m->echoes,
		.echo_count = m->echo_count };
	if (line->count > 3 && !*line->words[3])
		line_error(p, line, NULL, "the word is empty");
	if (line->count > 3)
		m->password.path = line->words[3];
	if (strcmp(port, "unix") == 0) {
		m->path = where; /* load.c looks at it: `cd` may stand behind this line */
		if (!*where)
			line_error(p, line, NULL, "the word is empty");
		return;
	}
	if (strcmp(where, "tunnel") == 0) {
		line_error(p, line, "management 127.0.0.1 PORT PWFILE", "a listener inside the tunnel would "
			"give every client the power over this hub");
		return;
	}
	if (!value_unsigned(p, line, 2, 1, 65535, &number))
		return;
	if (!p->outside->resolve(p->outside, where, AF_UNSPEC, &address)) {
		line_error(p, line, NULL, "'%.100s' has no address", where);
		return;
	}
	m->address = address;
	if (address.ss_family == AF_INET) {
		((struct sockaddr_in *)&m->address)->sin_port = htons((uint16_t)number);
		m->address_len = sizeof(struct sockaddr_in);
	} else {
		((struct sockaddr_in6 *)&m->address)->sin6_port = htons((uint16_t)number);
		m->address_len = sizeof(struct sockaddr_in6);
	}
	m->host = where;
	m->port = number;
}

static void read_account(struct parse *p, const struct line *line, const char **out)
{
	if (*line->words[1])
		*out = line->words[1];
	else
		line_error(p, line, NULL, "the word is empty");
}

void read_management_client_user(struct parse *p, const struct line *line)
{
	read_account(p, line, &p->config->management.client_user);
}

void read_management_client_group(struct parse *p, const struct line *line)
{
	read_account(p, line, &p->config->management.client_group);
}

void read_management_hold(struct parse *p, const struct line *line)
{
	(void)line;
	p->config->management.hold = true;
}

void read_management_log_cache(struct parse *p, const struct line *line)
{
	value_unsigned(p, line, 1, 1, 10000, &p->config->management.log_cache);
}

/* One client's own means nothing to anybody. */
void read_echo(struct parse *p, const struct line *line)
{
	struct management *m = &p->config->management;
	const char *text = line->count > 1 ? line->words[1] : "";

	if (p->client)
		return;
	for (unsigned i = 2; text && i < line->count; i++)
		text = arena_format(p->arena, "%s %s", text, line->words[i]);
	const char **grown = arena_grow(p->arena, m->echoes, m->echo_count, sizeof(*grown));
	if (!grown || !text)
		return;
	m->echoes = grown;
	grown[m->echo_count++] = text;
}
