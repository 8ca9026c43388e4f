/* SPDX-License-Identifier: MIT
 * Speaks rtnetlink by libmnl: one request, one acknowledgement, one socket for each round of calls. */
#include "master/netlink.h"

#include "master/log.h"

#include <arpa/inet.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>

struct request {
	char buffer[1024]; /* far above the largest request here */
	struct nlmsghdr *head;
};

static void *begin(struct request *r, uint16_t type, uint16_t flags, size_t extra)
{
	memset(r->buffer, 0, sizeof(r->buffer));
	r->head = mnl_nlmsg_put_header(r->buffer);
	r->head->nlmsg_type = type;
	r->head->nlmsg_flags = (uint16_t)(NLM_F_REQUEST | NLM_F_ACK | flags);
	r->head->nlmsg_seq = 1;
	return mnl_nlmsg_put_extra_header(r->head, extra);
}

/* Sends and waits for the kernel's word. 0 or a negative errno. */
static int ask(struct mnl_socket *kernel, struct request *r)
{
	char answer[4096];
	if (mnl_socket_sendto(kernel, r->head, r->head->nlmsg_len) < 0)
		return -errno;
	ssize_t n = mnl_socket_recvfrom(kernel, answer, sizeof(answer));
	if (n < 0)
		return -errno;
	return mnl_cb_run(answer, (size_t)n, 1, mnl_socket_get_portid(kernel), NULL, NULL) < 0 ? -errno : 0;
}

static struct mnl_socket *kernel_open(void)
{
	struct mnl_socket *kernel = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);
	if (kernel && mnl_socket_bind(kernel, 0, MNL_SOCKET_AUTOPID) < 0) {
		mnl_socket_close(kernel);
		return NULL;
	}
	return kernel;
}

static int set_link(struct mnl_socket *kernel, const struct config *config, unsigned index)
{
	struct request r;
	struct ifinfomsg *link = begin(&r, RTM_NEWLINK, 0, sizeof(*link));
	link->ifi_family = AF_UNSPEC;
	link->ifi_index = (int)index;
	link->ifi_change = link->ifi_flags = IFF_UP;
	mnl_attr_put_u32(r.head, IFLA_MTU, config->tun_mtu);
	if (config->txqueuelen)
		mnl_attr_put_u32(r.head, IFLA_TXQLEN, (uint32_t)config->txqueuelen);
	return ask(kernel, &r);
}

static uint8_t bits_of(uint32_t netmask)
{
	return (uint8_t)__builtin_popcount(netmask);
}

/* With a mask: that network; with a peer (net30, p2p): a line to one other address. */
static int change_address4(struct mnl_socket *kernel, const struct config *config, unsigned index, bool add)
{
	bool to_peer = config->remote4 != 0;
	struct request r;
	struct ifaddrmsg *a = begin(
		&r, add ? RTM_NEWADDR : RTM_DELADDR, add ? NLM_F_CREATE | NLM_F_REPLACE : 0, sizeof(*a));
	a->ifa_family = AF_INET;
	a->ifa_prefixlen = to_peer ? 32 : bits_of(config->netmask4);
	a->ifa_index = index;
	mnl_attr_put_u32(r.head, IFA_LOCAL, htonl(config->local4));
	mnl_attr_put_u32(r.head, IFA_ADDRESS, htonl(to_peer ? config->remote4 : config->local4));
	if (!to_peer && a->ifa_prefixlen < 31)
		mnl_attr_put_u32(r.head, IFA_BROADCAST, htonl(config->local4 | ~config->netmask4));
	return ask(kernel, &r);
}

static int change_address6(struct mnl_socket *kernel, const struct config *config, unsigned index, bool add)
{
	struct request r;
	struct ifaddrmsg *a = begin(
		&r, add ? RTM_NEWADDR : RTM_DELADDR, add ? NLM_F_CREATE | NLM_F_REPLACE : 0, sizeof(*a));
	a->ifa_family = AF_INET6;
	a->ifa_prefixlen = config->bits6;
	a->ifa_flags = IFA_F_NODAD; /* nobody else can have it, and it must work at once */
	a->ifa_index = index;
	mnl_attr_put(r.head, IFA_LOCAL, sizeof(config->local6), &config->local6);
	mnl_attr_put(r.head, IFA_ADDRESS, sizeof(config->local6), &config->local6);
	return ask(kernel, &r);
}

/* The head that all routes share; `through_tunnel`: no gateway is named. */
static void begin_route(struct request *r, bool add, int family, uint8_t bits, bool through_tunnel)
{
	struct rtmsg *route = begin(
		r, add ? RTM_NEWROUTE : RTM_DELROUTE, add ? NLM_F_CREATE | NLM_F_EXCL : 0, sizeof(*route));
	route->rtm_family = (unsigned char)family;
	route->rtm_dst_len = bits;
	route->rtm_table = RT_TABLE_MAIN;
	route->rtm_type = RTN_UNICAST;
	route->rtm_protocol = RTPROT_BOOT;
	route->rtm_scope = through_tunnel && family == AF_INET && add ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE;
	if (!add)
		route->rtm_scope = RT_SCOPE_NOWHERE; /* whichever it has */
}

static int change_route4(struct mnl_socket *kernel, const struct route4 *r4, unsigned index, bool add)
{
	struct request r;
	begin_route(&r, add, AF_INET, bits_of(r4->netmask), !r4->gateway);
	mnl_attr_put_u32(r.head, RTA_DST, htonl(r4->network));
	if (r4->gateway)
		mnl_attr_put_u32(r.head, RTA_GATEWAY, htonl(r4->gateway));
	else
		mnl_attr_put_u32(r.head, RTA_OIF, index);
	if (r4->metric > 0)
		mnl_attr_put_u32(r.head, RTA_PRIORITY, (uint32_t)r4->metric);
	return ask(kernel, &r);
}

static int change_route6(struct mnl_socket *kernel, const struct route6 *r6, unsigned index, bool add)
{
	struct request r;
	begin_route(&r, add, AF_INET6, r6->bits, !r6->has_gateway);
	mnl_attr_put(r.head, RTA_DST, sizeof(r6->network), &r6->network);
	if (r6->has_gateway)
		mnl_attr_put(r.head, RTA_GATEWAY, sizeof(r6->gateway), &r6->gateway);
	/* a link-local gateway says nothing without its interface, and others are behind the tunnel unless
	 * told apart */
	if (!r6->has_gateway || IN6_IS_ADDR_LINKLOCAL(&r6->gateway))
		mnl_attr_put_u32(r.head, RTA_OIF, index);
	if (r6->metric > 0)
		mnl_attr_put_u32(r.head, RTA_PRIORITY, (uint32_t)r6->metric);
	return ask(kernel, &r);
}

static void complain_route(int family, const void *network, unsigned bits, int error)
{
	char text[INET6_ADDRSTRLEN];
	log_line(LOG_LEVEL_NOTICE, "WARNING: route %s/%u was not added: %s",
		inet_ntop(family, network, text, sizeof(text)), bits, strerror(-error));
}

static void add_routes(struct mnl_socket *kernel, const struct config *config, unsigned index, bool *added)
{
	bool *added6 = added ? added + config->route4_count : NULL; /* no routes: no array */
	for (unsigned i = 0; i < config->route4_count; i++) {
		const struct route4 *r4 = &config->routes4[i];
		uint32_t network = htonl(r4->network);
		int error = change_route4(kernel, r4, index, true);
		added[i] = !error;
		if (error)
			complain_route(AF_INET, &network, bits_of(r4->netmask), error);
	}
	for (unsigned i = 0; i < config->route6_count; i++) {
		const struct route6 *r6 = &config->routes6[i];
		int error = change_route6(kernel, r6, index, true);
		added6[i] = !error;
		if (error)
			complain_route(AF_INET6, &r6->network, r6->bits, error);
	}
}

int netlink_set_up(const struct config *config, unsigned index, bool *added)
{
	if (!index)
		return 0;
	const char *what = "a netlink socket";
	struct mnl_socket *kernel = kernel_open();
	int error = kernel ? 0 : -errno;
	if (!error) {
		what = "MTU and state";
		error = set_link(kernel, config, index);
	}
	if (!error && config->ifconfig_on && !config->ifconfig_noexec) {
		what = "the IPv4 address";
		error = change_address4(kernel, config, index, true);
	}
	if (!error && config->ifconfig6_on && !config->ifconfig_noexec) {
		what = "the IPv6 address";
		error = change_address6(kernel, config, index, true);
	}
	if (!error && !config->route_noexec)
		add_routes(kernel, config, index, added);
	if (error)
		log_line(LOG_LEVEL_ERROR, "Cannot set %s of the tunnel device: %s", what, strerror(-error));
	if (kernel)
		mnl_socket_close(kernel);
	return error;
}

void netlink_undo(const struct config *config, unsigned index, bool persistent, const bool *added)
{
	struct mnl_socket *kernel = index ? kernel_open() : NULL;
	if (!kernel)
		return;
	if (added) {
		for (unsigned i = config->route6_count; i-- > 0;)
			if (added[config->route4_count + i])
				change_route6(kernel, &config->routes6[i], index, false);
		for (unsigned i = config->route4_count; i-- > 0;)
			if (added[i])
				change_route4(kernel, &config->routes4[i], index, false);
	}
	if (persistent && !config->ifconfig_noexec) {
		if (config->ifconfig6_on)
			change_address6(kernel, config, index, false);
		if (config->ifconfig_on)
			change_address4(kernel, config, index, false);
	}
	mnl_socket_close(kernel);
}
