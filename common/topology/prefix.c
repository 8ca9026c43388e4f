/* SPDX-License-Identifier: MIT
 * IPv6 prefixes and the pool inside one. Addresses are numbers of 16 bytes; sums carry as far as they have
 * to. */
#include "common/topology/topology.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

enum { ADDRESS_BITS = 128 };

bool tunnel6_contains(const struct tunnel6 *tunnel, const struct in6_addr *address)
{
	if (!tunnel->bits || tunnel->bits > ADDRESS_BITS)
		return false;
	for (unsigned bit = 0; bit < tunnel->bits; bit += 8) {
		unsigned left = tunnel->bits - bit;
		uint8_t mask = left >= 8 ? 0xff : (uint8_t)(0xff00 >> left);
		if ((tunnel->base.s6_addr[bit / 8] ^ address->s6_addr[bit / 8]) & mask)
			return false;
	}
	return true;
}

/* base + index; false when it runs over the end of all addresses. */
static bool plus(const struct in6_addr *base, uint32_t index, struct in6_addr *sum)
{
	uint64_t carry = index;
	for (int i = 15; i >= 0; i--) {
		carry += base->s6_addr[i];
		sum->s6_addr[i] = (uint8_t)carry;
		carry >>= 8;
	}
	return !carry;
}

uint32_t tunnel6_pool_size(const struct tunnel6 *tunnel)
{
	if (!tunnel->bits || tunnel->bits > ADDRESS_BITS)
		return 0;
	/* How far the base is from the network's last address, as far as that matters. */
	uint64_t more = 0;
	for (unsigned bit = tunnel->bits; bit < ADDRESS_BITS && more < POOL_MAX; bit++)
		more = more << 1 | !(tunnel->base.s6_addr[bit / 8] & 0x80 >> bit % 8);
	/* Stopped early, what is missing to the right can only make it larger. */
	return more < POOL_MAX ? (uint32_t)more + 1 : POOL_MAX;
}

/* The server's own address and the network's first one (RFC 4291's router anycast) are nobody else's. */
static bool reserved(const struct tunnel6 *tunnel, const struct in6_addr *address)
{
	if (!memcmp(address, &tunnel->own, sizeof(*address)))
		return true;
	for (unsigned bit = tunnel->bits; bit < ADDRESS_BITS; bit++)
		if (address->s6_addr[bit / 8] & 0x80 >> bit % 8)
			return false;
	return tunnel->bits < ADDRESS_BITS - 1;
}

bool tunnel6_pool_address(const struct tunnel6 *tunnel, uint32_t index, struct in6_addr *address)
{
	struct in6_addr sum;
	if (index >= tunnel6_pool_size(tunnel) || !plus(&tunnel->base, index, &sum) || reserved(tunnel, &sum))
		return false;
	*address = sum;
	return true;
}

bool tunnel6_pool_index(const struct tunnel6 *tunnel, const struct in6_addr *address, uint32_t *index)
{
	if (!tunnel6_contains(tunnel, address) || reserved(tunnel, address))
		return false;
	/* address - base, from the right; what borrows at the left end was below the base. */
	uint8_t difference[16];
	int borrow = 0;
	for (int i = 15; i >= 0; i--) {
		int byte = address->s6_addr[i] - tunnel->base.s6_addr[i] - borrow;
		borrow = byte < 0;
		difference[i] = (uint8_t)byte;
	}
	for (int i = 0; i < 12; i++)
		if (difference[i])
			return false;
	uint32_t found = (uint32_t)difference[12] << 24 | (uint32_t)difference[13] << 16 |
			 (uint32_t)difference[14] << 8 | difference[15];
	if (borrow || found >= tunnel6_pool_size(tunnel))
		return false;
	*index = found;
	return true;
}

size_t tunnel6_ifconfig(const struct tunnel6 *tunnel, const struct in6_addr *address, char *out, size_t room)
{
	char client[INET6_ADDRSTRLEN], server[INET6_ADDRSTRLEN];
	inet_ntop(AF_INET6, address, client, sizeof(client));
	inet_ntop(AF_INET6, &tunnel->own, server, sizeof(server));
	int len = snprintf(out, room, "ifconfig-ipv6 %s/%u %s", client, (unsigned)tunnel->bits, server);
	return len > 0 && (size_t)len < room ? (size_t)len : 0;
}
