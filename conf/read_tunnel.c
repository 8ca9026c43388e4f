/* SPDX-License-Identifier: MIT
 * Directives about the inner side: the device, its addresses and the kernel's routes into it. */
#include "conf/conf.h"

#include <limits.h>
#include <net/if.h>

void read_dev(struct parse *p, const struct line *line)
{
	const char *name = line->words[1];
	if (!*name || strlen(name) >= IFNAMSIZ || strpbrk(name, "/ \t%") || strcmp(name, ".") == 0 ||
		strcmp(name, "..") == 0) {
		line_error(p, line, "tun, tun0, or a name of at most 15 characters",
			"'%.60s' is not a device name", name);
		return;
	}
	if (strncmp(name, "tap", 3) == 0) {
		line_not_yet(p, line, "dev tap");
		return;
	}
	if (strcmp(name, "null") == 0) {
		line_not_yet(p, line, "dev null");
		return;
	}
	p->config->dev = name;
}

void read_dev_type(struct parse *p, const struct line *line)
{
	static const char *const words[] = { "tun", "tap", NULL };
	int choice = value_choice(p, line, 1, words);
	if (choice == 1)
		line_not_yet(p, line, "dev-type tap");
	else if (choice == 0)
		p->draft.dev_type = words[0];
}

void read_topology(struct parse *p, const struct line *line)
{
	static const char *const words[] = { "subnet", "net30", "p2p", NULL };
	int choice = value_choice(p, line, 1, words);
	if (choice > 0)
		line_not_yet(p, line, choice == 1 ? "topology net30" : "topology p2p");
	else if (choice == 0)
		p->config->topology = TOPOLOGY_SUBNET;
}

void read_txqueuelen(struct parse *p, const struct line *line)
{
	unsigned n;
	if (value_unsigned(p, line, 1, 0, INT_MAX, &n))
		p->config->txqueuelen = (int)n;
}

void read_tun_mtu(struct parse *p, const struct line *line)
{
	struct config *c = p->config;
	unsigned announced = 0;
	if (line->count > 2 && !value_unsigned(p, line, 2, 100, 65536, &announced))
		return;
	if (value_unsigned(p, line, 1, 100, 65536, &c->tun_mtu))
		c->occ_mtu = announced;
}

void read_tun_mtu_max(struct parse *p, const struct line *line)
{
	if (value_unsigned(p, line, 1, 1600, 65536, &p->config->tun_mtu_max))
		p->draft.tun_mtu_max = true;
}

void read_mssfix(struct parse *p, const struct line *line)
{
	static const char *const words[] = { "mtu", "fixed", NULL };
	struct config *c = p->config;
	int kind = -1;
	unsigned size;

	if (line->count == 1) {
		p->draft.mssfix = false; /* back to the default */
		return;
	}
	if (!value_unsigned(p, line, 1, 0, 65535, &size))
		return;
	if (size && size < 154) {
		line_error(p, line, "0 switches it off", "%u is not between 154 and 65535", size);
		return;
	}
	if (line->count > 2 && (kind = value_choice(p, line, 2, words)) < 0)
		return;
	c->mssfix = !size ? MSSFIX_OFF : kind == 0 ? MSSFIX_MTU : kind == 1 ? MSSFIX_FIXED : MSSFIX_PLAIN;
	c->mssfix_size = size;
	p->draft.mssfix = true;
}

void read_ifconfig(struct parse *p, const struct line *line)
{
	uint32_t local, mask;
	if (!value_ipv4_host(p, line, 1, &local) || !value_netmask(p, line, 2, &mask))
		return;
	p->config->local4 = local;
	p->config->netmask4 = mask;
	p->config->ifconfig_on = p->draft.ifconfig = true;
}

void read_ifconfig_ipv6(struct parse *p, const struct line *line)
{
	struct config *c = p->config;
	struct in6_addr local, remote;
	uint8_t bits;
	if (!value_prefix6(p, line, 1, 64, 124, false, &local, &bits) || !value_ipv6(p, line, 2, &remote))
		return;
	c->local6 = local;
	c->remote6 = remote;
	c->bits6 = bits;
	c->ifconfig6_on = p->draft.ifconfig6 = true;
}

void read_ifconfig_noexec(struct parse *p, const struct line *line)
{
	(void)line;
	p->config->ifconfig_noexec = true;
}

void read_route_noexec(struct parse *p, const struct line *line)
{
	(void)line;
	p->config->route_noexec = true;
}

/* An argument that is there and does not ask for its default. */
static bool given(const struct line *line, unsigned i)
{
	return line->count > i && *line->words[i] && strcmp(line->words[i], "default") != 0;
}

/* The keywords that may stand for a gateway. True when `word` was one and is dealt with. */
static bool gateway_word(struct parse *p, const struct line *line, const char *word, bool *ok)
{
	*ok = strcmp(word, "vpn_gateway") == 0;
	if (*ok)
		return true;
	if (strcmp(word, "net_gateway") == 0 || strcmp(word, "net_gateway_ipv6") == 0) {
		line_not_yet(p, line,
			strcmp(line->words[0], "route") == 0 ? "route net_gateway"
							     : "route-ipv6 net_gateway");
		return true;
	}
	if (strcmp(word, "remote_host") == 0) {
		line_error(p, line, "name the address", "remote_host has no meaning on a server");
		return true;
	}
	return false;
}

void read_route(struct parse *p, const struct line *line)
{
	struct config *c = p->config;
	struct route4 route = { .netmask = UINT32_MAX, .metric = -1 };
	unsigned metric;
	bool ok;

	if (!value_ipv4_host(p, line, 1, &route.network))
		return;
	if (given(line, 2) && !value_netmask(p, line, 2, &route.netmask))
		return;
	if (route.network & ~route.netmask) {
		route.network &= route.netmask;
		line_warning(p, line, NULL, "the network has bits behind its netmask; %s is meant",
			print4(p, route.network));
	}
	/* 0, the tunnel itself, is completed from route-gateway at the end. */
	if (given(line, 3) && !gateway_word(p, line, line->words[3], &ok)) {
		if (!value_ipv4_host(p, line, 3, &route.gateway))
			return;
	} else if (given(line, 3) && !ok) {
		return;
	}
	if (given(line, 4)) {
		if (!value_unsigned(p, line, 4, 0, INT_MAX, &metric))
			return;
		route.metric = (int)metric;
	}
	struct route4 *grown = arena_grow(p->arena, c->routes4, c->route4_count, sizeof(*grown));
	if (!grown)
		return;
	c->routes4 = grown;
	grown[c->route4_count++] = route;
}

void read_route_ipv6(struct parse *p, const struct line *line)
{
	struct config *c = p->config;
	struct route6 route = { .metric = -1 };
	unsigned metric;
	bool ok;

	if (!value_prefix6(p, line, 1, 0, 128, true, &route.network, &route.bits))
		return;
	route.network = prefix6_of(route.network, route.bits);
	if (given(line, 2) && !gateway_word(p, line, line->words[2], &ok)) {
		if (!value_ipv6(p, line, 2, &route.gateway))
			return;
		route.has_gateway = true;
	} else if (given(line, 2) && !ok) {
		return;
	}
	if (given(line, 3)) {
		if (!value_unsigned(p, line, 3, 0, INT_MAX, &metric))
			return;
		route.metric = (int)metric;
	}
	struct route6 *grown = arena_grow(p->arena, c->routes6, c->route6_count, sizeof(*grown));
	if (!grown)
		return;
	c->routes6 = grown;
	grown[c->route6_count++] = route;
}

void read_route_gateway(struct parse *p, const struct line *line)
{
	if (strcmp(line->words[1], "dhcp") == 0)
		line_not_yet(p, line, "route-gateway dhcp");
	else
		value_ipv4_host(p, line, 1, &p->draft.route_gateway);
}

void read_route_ipv6_gateway(struct parse *p, const struct line *line)
{
	if (value_ipv6(p, line, 1, &p->draft.route_gateway6))
		p->draft.route_gateway6_on = true;
}

void read_route_metric(struct parse *p, const struct line *line)
{
	unsigned metric;
	if (value_unsigned(p, line, 1, 0, INT_MAX, &metric))
		p->draft.route_metric = (int)metric;
}
