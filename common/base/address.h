/* SPDX-License-Identifier: MIT
 * An outer address as plain bytes: fit for shared memory, hashing and comparing with memcmp. */
#ifndef COMMON_BASE_ADDRESS_H
#define COMMON_BASE_ADDRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* All bytes count and unused ones are zero, so that equal addresses are equal bytes. v4-mapped IPv6 addresses are kept
 * as IPv4 where a listener is dual-stack; `mapped` remembers how to spell them to the kernel. */
struct link_address {
	uint8_t family; /* 4, 6, or 0: none */
	uint8_t mapped : 1;   /* the socket is IPv6 and the peer IPv4 */
	uint8_t listener : 7; /* at which of ours: clients behind one NAT may have all else in common (modulo 128) */
	uint16_t port;  /* host order */
	uint32_t scope; /* IPv6 scope id */
	uint8_t ip[16]; /* network order; IPv4 in the first four */
};
_Static_assert(sizeof(struct link_address) == 24, "no padding");

static inline bool link_address_equal(const struct link_address *a, const struct link_address *b)
{
	return memcmp(a, b, sizeof(*a)) == 0;
}

/* "192.0.2.1:1194" or "[2001:db8::1]:1194"; "none". Returns `out` (64 bytes are enough). */
char *link_address_text(const struct link_address *address, char *out, size_t room);

#endif
