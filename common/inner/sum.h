/* SPDX-License-Identifier: MIT
 * Internet checksums (RFC 1071) the fast way, for split.c and join.c: sums of 16-bit words as they lie in
 * memory, whatever the machine's byte order, which the final 16 bits do not depend on. */
#ifndef COMMON_INNER_SUM_H
#define COMMON_INNER_SUM_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Adds with the carry going round. */
static inline uint64_t sum_add(uint64_t sum, uint64_t value)
{
	sum += value;
	return sum + (sum < value);
}

/* To less than 2^33, so that a few of them may be added without a thought of carries. */
static inline uint64_t sum_halve(uint64_t sum)
{
	return (sum & 0xffffffff) + (sum >> 32);
}

static inline uint64_t sum_load(const uint8_t *at)
{
	uint64_t word;
	memcpy(&word, at, sizeof(word));
	return word;
}

/* Up to 7 bytes, as if zeros followed. */
static inline uint64_t sum_tail(const uint8_t *at, size_t len)
{
	uint64_t word = 0;
	memcpy(&word, at, len);
	return word;
}

/* Of any number of bytes, less than 2^33. Four sums side by side: one alone would wait for its carries. */
static inline uint64_t sum_bytes(const uint8_t *at, size_t len)
{
	uint64_t a = 0, b = 0, c = 0, d = 0;
	for (; len >= 32; at += 32, len -= 32) {
		a = sum_add(a, sum_load(at));
		b = sum_add(b, sum_load(at + 8));
		c = sum_add(c, sum_load(at + 16));
		d = sum_add(d, sum_load(at + 24));
	}
	for (; len >= 8; at += 8, len -= 8)
		a = sum_add(a, sum_load(at));
	if (len)
		b = sum_add(b, sum_tail(at, len));
	return sum_halve(sum_add(sum_add(a, b), sum_add(c, d)));
}

/* A 16-bit field of the packet, as it would lie in memory. */
static inline uint64_t sum_u16(uint16_t value)
{
	const uint8_t bytes[2] = { (uint8_t)(value >> 8), (uint8_t)value };
	uint16_t word;
	memcpy(&word, bytes, sizeof(word));
	return word;
}

static inline uint64_t sum_u32(uint32_t value)
{
	return sum_u16((uint16_t)(value >> 16)) + sum_u16((uint16_t)value);
}

static inline uint16_t sum_fold(uint64_t sum)
{
	sum = sum_halve(sum_halve(sum));
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)sum;
}

/* Writes a folded sum's complement (or, for the device to go on with, the sum itself) to its place. */
static inline void sum_write(uint8_t *to, uint16_t value)
{
	memcpy(to, &value, sizeof(value));
}

/* Addresses of an IP head of version 4 or 6. */
static inline uint64_t sum_addresses(const uint8_t *ip)
{
	return ip[0] >> 4 == 4 ? sum_bytes(ip + 12, 8) : sum_bytes(ip + 8, 32);
}

#endif
