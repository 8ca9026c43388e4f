/* SPDX-License-Identifier: MIT
 * After the last line: helper directives become what they stand for, and what was left open gets its value.
 * The order of the pushed list is part of the contract with clients and monitors: configured lines in file
 * order, then `server-ipv6`, `server`, `keepalive`, `tcp-nodelay`. */
#include "conf/conf.h"

static void expand_server_ipv6(struct parse *p)
{
	struct draft *d = &p->draft;
	struct config *c = p->config;
	const struct place *place = option_place(p, "server-ipv6");

	if (!d->server6)
		return;
	d->mode_server = d->tls_server = true;
	if (d->server_nopool)
		conf_error(p, place, "server-ipv6", "without `nopool`, or with `ifconfig-ipv6` in its place",
			"always has a pool, `server ... nopool` forbids it");
	if (d->pool6)
		conf_error(p, option_place(p, "ifconfig-ipv6-pool"), "ifconfig-ipv6-pool",
			"delete one of them", "`server-ipv6` already gives a pool");
	if (d->ifconfig6)
		conf_warning(p, option_place(p, "ifconfig-ipv6"), "ifconfig-ipv6", "delete the line",
			"`server-ipv6` sets the address");

	struct in6_addr network = prefix6_of(d->server6_network, d->server6_bits);
	if (memcmp(&network, &d->server6_network, sizeof(network)) != 0)
		conf_warning(p, place, "server-ipv6", NULL, "the network has bits behind its prefix");
	/* OpenVPN counts from the address as it stands. */
	c->ifconfig6_on = true;
	c->local6 = add6(d->server6_network, 1);
	c->remote6 = add6(d->server6_network, 2);
	c->bits6 = d->server6_bits;
	c->pool6 = (struct pool6){
		.on = true,
		.base = add6(d->server6_network, d->server6_bits < 112 ? 0x1000 : 2),
		.bits = d->server6_bits,
	};
	push_add(p, "tun-ipv6");
}

static void expand_server(struct parse *p)
{
	struct draft *d = &p->draft;
	struct config *c = p->config;

	if (!d->server)
		return;
	d->mode_server = d->tls_server = true;
	if (d->pool4 && !d->server_nopool)
		conf_error(p, option_place(p, "ifconfig-pool"), "ifconfig-pool",
			"delete it, or write `server NETWORK NETMASK nopool`",
			"`server` already gives a pool");
	if (d->ifconfig)
		conf_warning(p, option_place(p, "ifconfig"), "ifconfig", "delete the line",
			"`server` sets the address");

	uint32_t broadcast = d->server_network | ~d->server_netmask;
	c->server_network4 = d->server_network;
	c->server_netmask4 = d->server_netmask;
	c->ifconfig_on = true;
	c->local4 = d->server_network + 1;
	c->netmask4 = d->server_netmask;
	if (!d->server_nopool)
		c->pool4 =
			(struct pool4){ .on = true, .first = d->server_network + 2, .last = broadcast - 1 };
	c->pool4.netmask = d->server_netmask;
	push_add(p, arena_format(p->arena, "route-gateway %s", print4(p, c->local4)));
	push_add(p, "topology subnet");
}

static void expand_keepalive(struct parse *p)
{
	struct draft *d = &p->draft;
	struct config *c = p->config;

	if (!d->keepalive)
		return;
	if (c->ping_s || c->ping_restart_s)
		conf_error(p, option_place(p, "keepalive"), "keepalive", "delete those lines",
			"does not go together with ping, ping-restart and ping-exit");
	c->ping_s = d->keepalive_interval;
	c->ping_restart_s = 2 * d->keepalive_timeout;
	push_add(p, arena_format(p->arena, "ping %u", d->keepalive_interval));
	push_add(p, arena_format(p->arena, "ping-restart %u", d->keepalive_timeout));
}

static void complete_routes(struct parse *p)
{
	struct draft *d = &p->draft;
	struct config *c = p->config;

	for (unsigned i = 0; i < c->route4_count; i++) {
		if (!c->routes4[i].gateway)
			c->routes4[i].gateway = d->route_gateway;
		if (c->routes4[i].metric < 0)
			c->routes4[i].metric = d->route_metric;
	}
	for (unsigned i = 0; i < c->route6_count; i++) {
		if (!c->routes6[i].has_gateway && d->route_gateway6_on) {
			c->routes6[i].gateway = d->route_gateway6;
			c->routes6[i].has_gateway = true;
		}
		if (c->routes6[i].metric < 0)
			c->routes6[i].metric = d->route_metric;
	}
}

static void complete_sizes(struct parse *p)
{
	struct config *c = p->config;

	if (c->tun_mtu_max < c->tun_mtu) {
		if (p->draft.tun_mtu_max)
			conf_error(p, option_place(p, "tun-mtu-max"), "tun-mtu-max", NULL,
				"is less than tun-mtu");
		c->tun_mtu_max = c->tun_mtu;
	}
	if (p->draft.mssfix)
		return;
	bool usual = c->tun_mtu == 1500;
	c->mssfix = usual ? MSSFIX_MTU : MSSFIX_FIXED;
	c->mssfix_size = usual ? 1492 : c->tun_mtu;
}

void conf_expand(struct parse *p)
{
	struct config *c = p->config;

	expand_server_ipv6(p);
	expand_server(p);
	expand_keepalive(p);
	if (p->draft.tcp_nodelay)
		push_add(p, "socket-flags TCP_NODELAY");
	if (c->pool4.on && !c->pool4.netmask)
		c->pool4.netmask = c->netmask4;
	complete_routes(p);
	complete_sizes(p);
	if (!c->data_ciphers)
		c->data_ciphers = "AES-256-GCM:AES-128-GCM:CHACHA20-POLY1305";
}
