/* SPDX-License-Identifier: MIT
 * A cursor over outside bytes, for reading or for writing. It remembers its first error: past the end every
 * read gives zero and every write does nothing, so a parser looks like the format and asks once, at the end.
 * All multi-byte integers are big endian. Calls nobody. */
#ifndef COMMON_BASE_BYTES_H
#define COMMON_BASE_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Reading: borrows the memory for as long as the cursor lives. */
struct bytes {
	const uint8_t *at;
	size_t left;
	bool failed;
};

static inline struct bytes bytes_of(const void *data, size_t len)
{
	return (struct bytes){ .at = data, .left = len };
}

/* True while no read went past the end. */
static inline bool bytes_ok(const struct bytes *b)
{
	return !b->failed;
}

/* The next `n` bytes, borrowed, or NULL (and the cursor failed) if there are fewer. */
static inline const uint8_t *read_view(struct bytes *b, size_t n)
{
	if (b->failed || b->left < n) {
		b->failed = true;
		b->left = 0;
		return NULL;
	}
	const uint8_t *at = b->at;
	b->at += n;
	b->left -= n;
	return at;
}

static inline uint8_t read_u8(struct bytes *b)
{
	const uint8_t *p = read_view(b, 1);
	return p ? p[0] : 0;
}

static inline uint16_t read_u16(struct bytes *b)
{
	const uint8_t *p = read_view(b, 2);
	return p ? (uint16_t)(p[0] << 8 | p[1]) : 0;
}

static inline uint32_t read_u32(struct bytes *b)
{
	const uint8_t *p = read_view(b, 4);
	return p ? (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3] : 0;
}

static inline uint64_t read_u64(struct bytes *b)
{
	bool whole = b->left >= 8;
	uint64_t high = read_u32(b), low = read_u32(b);
	return whole ? high << 32 | low : 0;
}

/* Copies `n` bytes out; zeros when they are not there. */
static inline void read_data(struct bytes *b, void *out, size_t n)
{
	const uint8_t *p = read_view(b, n);
	if (p)
		memcpy(out, p, n);
	else
		memset(out, 0, n);
}

/* A cursor over the next `n` bytes; failed if they are not there. */
static inline struct bytes read_part(struct bytes *b, size_t n)
{
	const uint8_t *p = read_view(b, n);
	return (struct bytes){ .at = p, .left = p ? n : 0, .failed = !p };
}

/* All that is left; the cursor is at its end afterwards. */
static inline struct bytes read_rest(struct bytes *b)
{
	return read_part(b, b->left);
}

/* Writing: into memory that the caller holds. */
struct bytes_out {
	uint8_t *start;
	size_t len;
	size_t room;
	bool failed;
};

static inline struct bytes_out bytes_into(void *data, size_t room)
{
	return (struct bytes_out){ .start = data, .room = room };
}

/* Room for `n` more bytes, counted as written, or NULL (and the cursor failed). */
static inline uint8_t *write_space(struct bytes_out *b, size_t n)
{
	if (b->failed || b->room - b->len < n) {
		b->failed = true;
		return NULL;
	}
	uint8_t *at = b->start + b->len;
	b->len += n;
	return at;
}

static inline void write_data(struct bytes_out *b, const void *data, size_t n)
{
	uint8_t *p = write_space(b, n);
	if (p && n)
		memcpy(p, data, n);
}

static inline void write_u8(struct bytes_out *b, uint8_t v)
{
	write_data(b, &v, 1);
}

static inline void write_u16(struct bytes_out *b, uint16_t v)
{
	write_data(b, (uint8_t[]){ (uint8_t)(v >> 8), (uint8_t)v }, 2);
}

static inline void write_u32(struct bytes_out *b, uint32_t v)
{
	write_data(b, (uint8_t[]){ (uint8_t)(v >> 24), (uint8_t)(v >> 16), (uint8_t)(v >> 8), (uint8_t)v }, 4);
}

static inline void write_u64(struct bytes_out *b, uint64_t v)
{
	write_u32(b, (uint32_t)(v >> 32));
	write_u32(b, (uint32_t)v);
}

#endif
