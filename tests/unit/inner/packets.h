/* SPDX-License-Identifier: MIT
 * Packets for the tests of this room, made by hand; their checksums are written by the room itself. */
#ifndef TESTS_UNIT_INNER_PACKETS_H
#define TESTS_UNIT_INNER_PACKETS_H

#include "common/base/bytes.h"

/* An IPv4 head of 20 bytes, 10.8.0.2 to 192.0.2.1, and `len` bytes behind it. Returns the length of the
 * packet. */
static inline size_t packet4(uint8_t *out, uint8_t protocol, const void *upper, size_t len)
{
	struct bytes_out to = bytes_into(out, 2048);
	write_u16(&to, 0x4500);
	write_u16(&to, (uint16_t)(20 + len));
	write_u32(&to, 0x12344000); /* id, don't fragment */
	write_u8(&to, 64);
	write_u8(&to, protocol);
	write_u16(&to, 0);
	write_u32(&to, 0x0a080002);
	write_u32(&to, 0xc0000201);
	write_data(&to, upper, len);
	return to.len;
}

/* An IPv6 head, fd00::2 to 2001:db8::1, and `len` bytes behind it. */
static inline size_t packet6(uint8_t *out, uint8_t next, const void *upper, size_t len)
{
	struct bytes_out to = bytes_into(out, 2048);
	write_u32(&to, 0x60000000);
	write_u16(&to, (uint16_t)len);
	write_u8(&to, next);
	write_u8(&to, 64);
	write_u64(&to, 0xfd00000000000000);
	write_u64(&to, 2);
	write_u64(&to, 0x20010db800000000);
	write_u64(&to, 1);
	write_data(&to, upper, len);
	return to.len;
}

/* SplitMix64 (Steele, Lea, Flood 2014). */
static inline uint64_t random_next(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15;
	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
	z = (z ^ z >> 27) * 0x94d049bb133111eb;
	return z ^ z >> 31;
}

static inline void random_fill(uint64_t *state, uint8_t *out, size_t len)
{
	for (size_t i = 0; i < len; i++)
		out[i] = (uint8_t)random_next(state);
}

#endif
