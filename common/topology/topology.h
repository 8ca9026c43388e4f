/* SPDX-License-Identifier: MIT
 * The door to topologies: which tunnel addresses clients get, what they are told about them, and which
 * addresses are theirs to have. Pure functions over small structs: who has which place of the pool is the
 * caller's affair. IPv4 addresses are integers in host order. Rules: OpenVPN's src/openvpn/helper.c, pool.c
 * and multi.c. */
#ifndef COMMON_TOPOLOGY_TOPOLOGY_H
#define COMMON_TOPOLOGY_TOPOLOGY_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Same bound as the places that both families share: an index serves IPv4 and IPv6. */
enum { POOL_MAX = 1 << 24 };

/* The tunnel's IPv4 side as the server sees it. */
struct tunnel4 {
	uint32_t network, netmask; /* the network that clients live in; netmask 0: no IPv4 */
	uint32_t own;		   /* the server's own address */
	uint32_t first, last;	   /* the pool, both ends included; first above last: no pool */
};

/* The tunnel's IPv6 side. Only the first `bits` of the addresses name the network. */
struct tunnel6 {
	struct in6_addr own, base; /* base: the pool's address of index 0 */
	uint8_t bits;		   /* 0: no IPv6 */
};

/* One topology. The table's functions are about IPv4; IPv6 is the same in all of them. */
struct topology {
	const char *name; /* as the configuration spells it, and as it is pushed: "topology subnet" */

	/* Places of the pool, addresses that nobody may have included; at most POOL_MAX. */
	uint32_t (*pool_size)(const struct tunnel4 *tunnel);
	/* The address of a place. False: no such place, or nobody may have its address (the server's own, the
	 * network's first and last). */
	bool (*pool_address)(const struct tunnel4 *tunnel, uint32_t index, uint32_t *address);
	/* The place of an address, the other way round; false when pool_address() gives it for no place. */
	bool (*pool_index)(const struct tunnel4 *tunnel, uint32_t address, uint32_t *index);
	/* True for an address that a client may have by configuration (ifconfig-push), in the pool or not. */
	bool (*assignable)(const struct tunnel4 *tunnel, uint32_t address);
	/* Writes the option that tells a client its address ("ifconfig 10.8.0.2 255.255.255.0"); its length,
	 * or 0 when there is no room. */
	size_t (*ifconfig)(const struct tunnel4 *tunnel, uint32_t address, char *out, size_t room);
};

/* By name, exactly; NULL if there is none. */
const struct topology *topology_by_name(const char *name);

/* True when an address lies in the tunnel's network (always false without IPv4). */
bool tunnel4_contains(const struct tunnel4 *tunnel, uint32_t address);
/* The network's last address, where all hosts listen. */
uint32_t tunnel4_broadcast(const struct tunnel4 *tunnel);

/* -- prefix.c: IPv6 -- */

bool tunnel6_contains(const struct tunnel6 *tunnel, const struct in6_addr *address);
/* As pool_size(), pool_address() and pool_index() above: base + index, as far as the network reaches. */
uint32_t tunnel6_pool_size(const struct tunnel6 *tunnel);
bool tunnel6_pool_address(const struct tunnel6 *tunnel, uint32_t index, struct in6_addr *address);
bool tunnel6_pool_index(const struct tunnel6 *tunnel, const struct in6_addr *address, uint32_t *index);
/* "ifconfig-ipv6 fd00::1000/64 fd00::1": client, bits, server. Its length, or 0 when there is no room. */
size_t tunnel6_ifconfig(const struct tunnel6 *tunnel, const struct in6_addr *address, char *out, size_t room);

#endif
