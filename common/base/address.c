/* SPDX-License-Identifier: MIT
 * Text of outer addresses. */
#include "common/base/address.h"

#include <arpa/inet.h>
#include <stdio.h>

char *link_address_text(const struct link_address *address, char *out, size_t room)
{
	char ip[INET6_ADDRSTRLEN];

	if (address->family == 4 && inet_ntop(AF_INET, address->ip, ip, sizeof(ip)))
		snprintf(out, room, "%s:%u", ip, address->port);
	else if (address->family == 6 && inet_ntop(AF_INET6, address->ip, ip, sizeof(ip)))
		snprintf(out, room, "[%s]:%u", ip, address->port);
	else
		snprintf(out, room, "none");
	return out;
}
