/* SPDX-License-Identifier: MIT
 * Topology subnet: every client has one address in the server's network and the network's netmask, as on an
 * Ethernet. Places of the pool are addresses, one after the other. */
#include "common/topology/list.h"

#include <stdio.h>

static uint32_t subnet_pool_size(const struct tunnel4 *tunnel)
{
	if (!tunnel->netmask || tunnel->first > tunnel->last)
		return 0;
	uint32_t more = tunnel->last - tunnel->first;
	return more < POOL_MAX ? more + 1 : POOL_MAX;
}

static bool subnet_assignable(const struct tunnel4 *tunnel, uint32_t address)
{
	return tunnel4_contains(tunnel, address) && address != tunnel->own &&
	       address != (tunnel->network & tunnel->netmask) && address != tunnel4_broadcast(tunnel);
}

static bool subnet_pool_address(const struct tunnel4 *tunnel, uint32_t index, uint32_t *address)
{
	if (index >= subnet_pool_size(tunnel) || !subnet_assignable(tunnel, tunnel->first + index))
		return false;
	*address = tunnel->first + index;
	return true;
}

static bool subnet_pool_index(const struct tunnel4 *tunnel, uint32_t address, uint32_t *index)
{
	if (address < tunnel->first || address - tunnel->first >= subnet_pool_size(tunnel) ||
		!subnet_assignable(tunnel, address))
		return false;
	*index = address - tunnel->first;
	return true;
}

static size_t subnet_ifconfig(const struct tunnel4 *tunnel, uint32_t address, char *out, size_t room)
{
	uint32_t mask = tunnel->netmask;
	int len = snprintf(out, room, "ifconfig %u.%u.%u.%u %u.%u.%u.%u", address >> 24, address >> 16 & 255,
		address >> 8 & 255, address & 255, mask >> 24, mask >> 16 & 255, mask >> 8 & 255, mask & 255);
	return len > 0 && (size_t)len < room ? (size_t)len : 0;
}

const struct topology topology_subnet = {
	.name = "subnet",
	.pool_size = subnet_pool_size,
	.pool_address = subnet_pool_address,
	.pool_index = subnet_pool_index,
	.assignable = subnet_assignable,
	.ifconfig = subnet_ifconfig,
};
