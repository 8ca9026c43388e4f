/* SPDX-License-Identifier: MIT
 * The list of topologies, and what all of them agree on about an IPv4 network. */
#include "common/topology/list.h"

#include <string.h>

static const struct topology *const topologies[] = { &topology_subnet };

const struct topology *topology_by_name(const char *name)
{
	for (size_t i = 0; i < sizeof(topologies) / sizeof(topologies[0]); i++)
		if (!strcmp(topologies[i]->name, name))
			return topologies[i];
	return NULL;
}

bool tunnel4_contains(const struct tunnel4 *tunnel, uint32_t address)
{
	return tunnel->netmask && (address & tunnel->netmask) == (tunnel->network & tunnel->netmask);
}

uint32_t tunnel4_broadcast(const struct tunnel4 *tunnel)
{
	return tunnel->network | ~tunnel->netmask;
}
