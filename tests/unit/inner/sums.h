/* SPDX-License-Identifier: MIT
 * Are a packet's checksums right? By the letter of RFC 791, 793, 768, 1071 and 8200, byte by byte, and by
 * nothing of the room that is tested. */
#ifndef TESTS_UNIT_INNER_SUMS_H
#define TESTS_UNIT_INNER_SUMS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

static inline uint32_t sums_of(const uint8_t *at, size_t len)
{
	uint32_t sum = 0;

	for (size_t i = 0; i < len; i++)
		sum += i % 2 ? at[i] : (uint32_t)at[i] << 8;
	return sum;
}

static inline bool sums_to_zero(uint32_t sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return sum == 0xffff;
}

/* Of a whole, well-formed packet. Fragments and what carries no checksum known here: its IPv4 head alone. */
static inline bool sums_right(const uint8_t *p, size_t len)
{
	bool four = p[0] >> 4 == 4;
	size_t at = four ? (p[0] & 15) * 4u : 40;
	uint8_t protocol = four ? p[9] : p[6];
	uint32_t pseudo = four ? sums_of(p + 12, 8) : sums_of(p + 8, 32);

	if (four && !sums_to_zero(sums_of(p, at)))
		return false;
	if (four && ((p[6] & 0x3f) || p[7]))
		return true;
	while (!four && (protocol == 0 || protocol == 60) && at + 8 <= len) {
		protocol = p[at];
		at += p[at + 1] * 8u + 8;
	}
	if (protocol == 1 && four)
		pseudo = 0;
	else if (protocol == 6 || protocol == 17 || (protocol == 58 && !four))
		pseudo += protocol + (uint32_t)(len - at);
	else
		return true;
	if (protocol == 17 && four && p[at + 6] == 0 && p[at + 7] == 0)
		return true; /* its sender made none */
	return sums_to_zero(pseudo + sums_of(p + at, len - at));
}

#endif
