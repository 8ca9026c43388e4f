/* SPDX-License-Identifier: MIT
 * After everything: rules between options, one small function each. conf_check() is their list. A directive
 * that was given but is wrong in itself has been reported; rules about missing ones do not speak of it again.
 */
#include "conf/conf.h"

#include <arpa/inet.h>
#include <strings.h>

/* At a directive where it stands, else behind everything. */
static struct place at(const struct parse *p, const char *directive)
{
	const struct place *place = option_place(p, directive);
	return place ? *place : place_at_end(p);
}

static bool given(const struct parse *p, const char *directive)
{
	return option_place(p, directive) != NULL;
}

static void role_is_server(struct parse *p)
{
	struct place place = at(p, "mode");
	bool helper = given(p, "server") || given(p, "server-ipv6") || given(p, "server-bridge");

	if (helper)
		return;
	if (!given(p, "mode"))
		conf_error(p, &place, NULL, "add `server NETWORK NETMASK`, or `mode server` and `tls-server`",
			"the configuration is not one of a server");
	else if (p->draft.mode_server && !p->draft.tls_server)
		conf_error(p, &place, "mode", "add `tls-server`", "`mode server` requires `tls-server`");
}

static void needs_file(struct parse *p, const char *directive, const char *what)
{
	struct place place = place_at_end(p);
	if (!given(p, directive) && !given(p, "pkcs12"))
		conf_error(p, &place, NULL, arena_format(p->arena, "%s FILE", directive),
			"no %s is given: `%s` is missing", what, directive);
}

static void identity_is_complete(struct parse *p)
{
	needs_file(p, "cert", "certificate");
	needs_file(p, "key", "private key");
	if (!given(p, "peer-fingerprint") && !given(p, "capath"))
		needs_file(p, "ca", "certificate authority");
}

static void one_wrapping(struct parse *p)
{
	struct place place = at(p, "tls-auth");
	if (p->draft.tls_auth.path && p->draft.tls_crypt.path)
		conf_error(
			p, &place, "tls-auth", "delete one of them", "does not go together with tls-crypt");
	if (p->draft.tls_auth.path && strcmp(p->config->auth, "[null-digest]") == 0)
		conf_error(p, &place, "tls-auth", "auth SHA256", "needs a digest, but `auth none` is given");
	place = at(p, "key-direction");
	if (given(p, "key-direction") && p->draft.key_direction >= 0 && !given(p, "tls-auth"))
		conf_warning(p, &place, "key-direction", NULL, "only means something with tls-auth");
}

static void tls_versions_meet(struct parse *p)
{
	struct place place = at(p, "tls-version-max");
	if (p->config->tls_max && p->config->tls_max < p->config->tls_min)
		conf_error(p, &place, "tls-version-max", NULL, "is less than tls-version-min");
}

static void cipher_is_negotiable(struct parse *p)
{
	struct place place = at(p, "cipher");
	const char *wanted = p->draft.cipher;
	size_t len = wanted ? strlen(wanted) : 0;

	if (!wanted)
		return;
	for (const char *c = p->config->data_ciphers; *c;) {
		size_t n = strcspn(c, ":");
		if (n == len && strncasecmp(c, wanted, n) == 0)
			return;
		c += n;
		c += *c == ':';
	}
	conf_warning(p, &place, "cipher", "data-ciphers decides which ciphers clients may use",
		"'%.60s' is not in data-ciphers and has no effect", wanted);
}

static void pool_fits(struct parse *p)
{
	const struct config *c = p->config;
	const struct pool4 *pool = &c->pool4;
	const char *directive = given(p, "server") ? "server" : "ifconfig-pool";
	struct place place = at(p, directive);

	if (!pool->on)
		return;
	if (pool->last - pool->first + 1 < c->max_clients && p->draft.max_clients)
		conf_warning(p, &place, directive, "a larger network, or a smaller max-clients",
			"the pool has %u addresses for %u clients", pool->last - pool->first + 1,
			c->max_clients);
	if (!c->ifconfig_on) {
		conf_warning(
			p, &place, directive, "ifconfig ADDRESS NETMASK", "the server itself has no address");
		return;
	}
	if (c->local4 >= pool->first && c->local4 <= pool->last)
		conf_error(p, &place, directive, NULL, "the pool holds the server's own address");
	if ((pool->first & c->netmask4) != (c->local4 & c->netmask4) ||
		(pool->last & c->netmask4) != (c->local4 & c->netmask4))
		conf_warning(p, &place, directive, NULL, "the pool lies outside of the server's own network");
}

static void pool6_fits(struct parse *p)
{
	const struct config *c = p->config;
	struct place place = at(p, "ifconfig-ipv6-pool");

	if (!c->pool6.on)
		return;
	if (!c->ifconfig6_on)
		conf_error(p, &place, "ifconfig-ipv6-pool", "ifconfig-ipv6 ADDRESS/BITS REMOTE",
			"needs ifconfig-ipv6");
	if (c->pool6.bits > 100 && p->draft.max_clients) {
		struct in6_addr network = prefix6_of(c->pool6.base, c->pool6.bits);
		uint32_t base, start;
		memcpy(&base, &c->pool6.base.s6_addr[12], 4);
		memcpy(&start, &network.s6_addr[12], 4);
		uint32_t room = (1u << (128 - c->pool6.bits)) - (ntohl(base) - ntohl(start));
		place = at(p, given(p, "server-ipv6") ? "server-ipv6" : "ifconfig-ipv6-pool");
		if (room < c->max_clients)
			conf_warning(p, &place,
				given(p, "server-ipv6") ? "server-ipv6" : "ifconfig-ipv6-pool", NULL,
				"the pool has %u addresses for %u clients", room, c->max_clients);
	}
}

static void some_addresses(struct parse *p)
{
	struct place place = at(p, "mode");
	if (given(p, "mode") && !p->config->ifconfig_on && !p->config->ifconfig6_on && !p->errors)
		conf_warning(p, &place, "mode", "server NETWORK NETMASK",
			"the server has no address in the tunnel");
}

/* Without `server` nobody pushes the topology, and clients assume another. */
static void topology_is_told(struct parse *p)
{
	const struct config *c = p->config;
	struct place place = at(p, "ifconfig-pool");

	if (!c->pool4.on)
		return;
	if (!given(p, "topology")) {
		struct place end = at(p, given(p, "server") ? "server" : "ifconfig-pool");
		conf_warning(p, &end, "topology", "add `topology subnet`",
			"is not given: subnet is used, which is the default since OpenVPN 2.7");
	}
	for (unsigned i = 0; i < c->push_count; i++)
		if (strncmp(c->push[i], "topology ", 9) == 0)
			return;
	conf_warning(
		p, &place, "ifconfig-pool", "push \"topology subnet\"", "clients are not told the topology");
}

static void silence_is_noticed(struct parse *p)
{
	struct place place = place_at_end(p);
	if (!p->config->ping_restart_s && !given(p, "keepalive"))
		conf_warning(p, &place, NULL, "keepalive 10 60",
			"a client that vanishes stays: there is no keepalive");
}

static void purpose_is_checked(struct parse *p)
{
	const struct config *c = p->config;
	struct place place = place_at_end(p);
	if (given(p, "remote-cert-tls") || c->remote_eku || c->remote_ku_any || c->fingerprint_count ||
		!given(p, "ca"))
		return;
	conf_warning(p, &place, NULL, "remote-cert-tls client",
		"any certificate of the authority is accepted from clients, a server's too");
}

static void replay_suits_udp(struct parse *p)
{
	struct place place = at(p, "replay-window");
	if (given(p, "replay-window") && !p->config->replay_window)
		conf_warning(p, &place, "replay-window", "at least 64",
			"0 drops every packet that UDP puts out of order");
}

/* Listening inside the tunnel's own network would be a loop. */
static void networks_are_apart(struct parse *p)
{
	const struct config *c = p->config;
	struct place place = at(p, "local");

	for (unsigned i = 0; i < c->listener_count && c->ifconfig_on; i++) {
		const struct sockaddr_in *in = (const struct sockaddr_in *)&c->listeners[i].address;
		if (in->sin_family != AF_INET || in->sin_addr.s_addr == INADDR_ANY)
			continue;
		uint32_t address = ntohl(in->sin_addr.s_addr);
		if (address == c->local4)
			conf_error(p, &place, "local", NULL, "%s is the server's address inside the tunnel",
				print4(p, address));
		else if ((address & c->netmask4) == (c->local4 & c->netmask4))
			conf_warning(p, &place, "local", NULL, "%s lies inside the tunnel's own network",
				print4(p, address));
	}
}

static void routes_are_needed(struct parse *p)
{
	const struct config *c = p->config;
	struct place place = at(p, "route");

	for (unsigned i = 0; i < c->route4_count; i++) {
		const struct route4 *r = &c->routes4[i];
		if (c->ifconfig_on && r->network == (c->local4 & c->netmask4) && r->netmask == c->netmask4)
			conf_warning(p, &place, "route", "delete the line",
				"%s/%u is the device's own network", print4(p, r->network),
				mask_bits(r->netmask));
		for (unsigned n = 0; n < i; n++)
			if (c->routes4[n].network == r->network && c->routes4[n].netmask == r->netmask)
				conf_warning(p, &place, "route", "delete one of them",
					"%s/%u is routed twice", print4(p, r->network),
					mask_bits(r->netmask));
	}
}

static void exclusive_needs_files(struct parse *p)
{
	struct place place = at(p, "ccd-exclusive");
	if (p->config->ccd_exclusive && !p->config->client_config_dir)
		conf_error(p, &place, "ccd-exclusive", "client-config-dir DIR", "needs client-config-dir");
}

static void scripts_belong_together(struct parse *p)
{
	struct place place = at(p, "down-pre");
	if (p->config->scripts.down_pre && !given(p, "down"))
		conf_warning(p, &place, "down-pre", NULL, "only means something with down");
	place = at(p, "up-restart");
	if (p->config->scripts.up_restart && !given(p, "up") && !given(p, "down"))
		conf_warning(p, &place, "up-restart", NULL, "only means something with up or down");
}

static bool loopback(const struct sockaddr_storage *address)
{
	const struct sockaddr_in *in = (const struct sockaddr_in *)address;
	const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)address;
	return address->ss_family == AF_INET ? ntohl(in->sin_addr.s_addr) >> 24 == 127
					     : IN6_IS_ADDR_LOOPBACK(&in6->sin6_addr);
}

/* Whoever gets through may end sessions and the hub. */
static void management_is_guarded(struct parse *p)
{
	const struct management *m = &p->config->management;
	struct place place = at(p, "management");
	static const char hint[] = "management PATH unix";

	if (m->host && !loopback(&m->address) && !m->password.path)
		conf_error(p, &place, "management", hint, "whoever reaches %.100s could end this hub: give a password file",
			m->host);
	else if (m->host && !m->password.path)
		conf_warning(p, &place, "management", hint,
			"without a password file every user of this machine may end sessions and this hub");
	else if (m->host && !loopback(&m->address))
		conf_warning(p, &place, "management", hint, "the password crosses the network in the clear");
}

static void management_accounts_need_a_socket(struct parse *p)
{
	static const char *const names[] = { "management-client-user", "management-client-group" };
	for (int i = 0; i < 2; i++) {
		struct place place = at(p, names[i]);
		if (given(p, names[i]) && !p->config->management.path)
			conf_error(p, &place, names[i], "management PATH unix",
				"only a UNIX socket tells who is calling");
	}
}

static void hold_can_be_released(struct parse *p)
{
	struct place place = at(p, "management-hold");
	if (p->config->management.hold && !given(p, "management"))
		conf_error(p, &place, "management-hold", "management PATH unix", "needs management");
}

void conf_check(struct parse *p)
{
	role_is_server(p);
	identity_is_complete(p);
	one_wrapping(p);
	tls_versions_meet(p);
	cipher_is_negotiable(p);
	pool_fits(p);
	pool6_fits(p);
	some_addresses(p);
	topology_is_told(p);
	silence_is_noticed(p);
	purpose_is_checked(p);
	replay_suits_udp(p);
	networks_are_apart(p);
	routes_are_needed(p);
	exclusive_needs_files(p);
	scripts_belong_together(p);
	management_is_guarded(p);
	management_accounts_need_a_socket(p);
	hold_can_be_released(p);
}
