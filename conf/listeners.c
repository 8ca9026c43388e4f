/* SPDX-License-Identifier: MIT
 * After the last line: every `local` (or none), with the common port and transport, becomes an address to
 * listen on. */
#include "conf/conf.h"

#include <arpa/inet.h>
#include <stdlib.h>

/* 1..65535 or a service; 0 is for the kernel to choose. */
static bool parse_port(
	struct parse *p, const struct place *place, const char *directive, const char *word, unsigned *out)
{
	size_t digits = strspn(word, "0123456789");
	if (digits && !word[digits]) {
		unsigned long port = digits <= 5 ? strtoul(word, NULL, 10) : 65536;
		if (port <= 65535) {
			*out = (unsigned)port;
			return true;
		}
	} else if (*word && (*out = p->outside->service(p->outside, word)) != 0) {
		return true;
	}
	conf_error(p, place, directive, "1 to 65535, or a name from services", "'%.60s' is not a port", word);
	return false;
}

static unsigned port_of(const struct sockaddr_storage *address)
{
	return ntohs(address->ss_family == AF_INET ? ((const struct sockaddr_in *)address)->sin_port
						   : ((const struct sockaddr_in6 *)address)->sin6_port);
}

static bool is_any6(const struct listener *l)
{
	return l->address.ss_family == AF_INET6 &&
	       IN6_IS_ADDR_UNSPECIFIED(&((const struct sockaddr_in6 *)&l->address)->sin6_addr);
}

static bool same_address(const struct listener *a, const struct listener *b)
{
	return a->address_len == b->address_len && memcmp(&a->address, &b->address, a->address_len) == 0;
}

static void set_any(struct sockaddr_storage *out, int family)
{
	*out = (struct sockaddr_storage){ .ss_family = (sa_family_t)family };
}

static void listener_add(struct parse *p, const struct place *place, const char *directive,
	const struct sockaddr_storage *address, unsigned port)
{
	struct config *c = p->config;
	struct listener l = { .proto = PROTO_UDP, .address = *address };
	char text[INET6_ADDRSTRLEN];

	if (address->ss_family == AF_INET) {
		struct sockaddr_in *in = (struct sockaddr_in *)&l.address;
		in->sin_port = htons((uint16_t)port);
		l.address_len = sizeof(*in);
		inet_ntop(AF_INET, &in->sin_addr, text, sizeof(text));
		l.spelled = arena_format(p->arena, "udp4 %s:%u", text, port);
	} else {
		struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&l.address;
		in6->sin6_port = htons((uint16_t)port);
		l.address_len = sizeof(*in6);
		l.v6only = p->draft.v6only;
		inet_ntop(AF_INET6, &in6->sin6_addr, text, sizeof(text));
		l.spelled = arena_format(p->arena, "udp6 [%s]:%u", text, port);
	}
	for (unsigned i = 0; i < c->listener_count; i++)
		if (port && same_address(&c->listeners[i], &l)) {
			conf_error(p, place, directive, "delete one of them", "%s is listened on twice",
				l.spelled);
			return;
		}
	struct listener *grown = arena_grow(p->arena, c->listeners, c->listener_count, sizeof(*grown));
	if (!grown)
		return;
	c->listeners = grown;
	grown[c->listener_count++] = l;
}

static void make_one(struct parse *p, const struct local_wish *wish)
{
	const struct place *place = &wish->place;
	struct sockaddr_storage address = { .ss_family = AF_UNSPEC };
	unsigned port;
	int version = 0;

	if (!value_proto(p, place, "local",
		    wish->proto	     ? wish->proto
		    : p->draft.proto ? p->draft.proto
				     : "udp",
		    &version))
		return;
	if (!parse_port(p, place, "local",
		    wish->port	    ? wish->port
		    : p->draft.port ? p->draft.port
				    : "1194",
		    &port))
		return;
	int family = version == 4 ? AF_INET : version == 6 ? AF_INET6 : AF_UNSPEC;
	if (strcmp(wish->host, "*") == 0) {
		set_any(&address, family == AF_INET6 ? AF_INET6 : AF_INET);
	} else if (!*wish->host || !p->outside->resolve(p->outside, wish->host, family, &address) ||
		   (address.ss_family != AF_INET && address.ss_family != AF_INET6)) {
		conf_error(p, place, "local", NULL, "'%.100s' has no address%s", wish->host,
			version == 4   ? " in IPv4"
			: version == 6 ? " in IPv6"
				       : "");
		return;
	}
	listener_add(p, place, "local", &address, port);
}

/* An IPv6 listener on every address would take the IPv4 datagrams of another listener on the same port. */
static void keep_families_apart(struct config *c)
{
	for (unsigned i = 0; i < c->listener_count; i++)
		for (unsigned n = 0; n < c->listener_count && is_any6(&c->listeners[i]); n++)
			if (c->listeners[n].address.ss_family == AF_INET &&
				port_of(&c->listeners[n].address) == port_of(&c->listeners[i].address))
				c->listeners[i].v6only = true;
}

void conf_make_listeners(struct parse *p)
{
	struct draft *d = &p->draft;

	if (!d->local_count) {
		const struct place *place = option_place(p, "lport");
		const char *directive = place ? "lport" : "port";
		struct sockaddr_storage any;
		unsigned port = 1194;
		if (!place)
			place = option_place(p, "port");
		if (d->port && !parse_port(p, place, directive, d->port, &port))
			return;
		/* Plain `udp` is IPv4: another family that nobody asked for would widen exposure. */
		set_any(&any, d->proto && strcmp(d->proto, "udp6") == 0 ? AF_INET6 : AF_INET);
		listener_add(p, place, directive, &any, port);
	}
	for (unsigned i = 0; i < d->local_count; i++)
		make_one(p, &d->locals[i]);
	keep_families_apart(p->config);
}
