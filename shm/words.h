/* SPDX-License-Identifier: MIT
 * Inside shm/ only: whole structs in shared memory as 64-bit atomic words, the sequence lock over them, and
 * the number that stands for a layout. Data words are stored with release and loaded with acquire order:
 * whoever saw a new word also sees that the version was odd before it, so no fence is needed and
 * ThreadSanitizer understands it. */
#ifndef SHM_WORDS_H
#define SHM_WORDS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum { SEQUENCE_TRIES = 64 };

/* The layout numbers of both segments (FNV-1a): start with this, add every name and size. */
#define LAYOUT_START 0xcbf29ce484222325u

static inline uint64_t layout_add(uint64_t hash, const char *name, size_t size)
{
	for (; *name; name++)
		hash = (hash ^ (uint8_t)*name) * 0x100000001b3u;
	return (hash ^ size) * 0x100000001b3u;
}

static inline void words_store(_Atomic uint64_t *to, const void *from, size_t count)
{
	const uint8_t *at = from;
	for (size_t i = 0; i < count; i++, at += 8) {
		uint64_t word;
		memcpy(&word, at, 8);
		atomic_store_explicit(&to[i], word, memory_order_release);
	}
}

static inline void words_load(void *to, const _Atomic uint64_t *from, size_t count)
{
	uint8_t *at = to;
	for (size_t i = 0; i < count; i++, at += 8) {
		uint64_t word = atomic_load_explicit(&from[i], memory_order_acquire);
		memcpy(at, &word, 8);
	}
}

/* The one writer. A version that a dead writer left odd is even afterwards. `from` NULL: zeros. */
static inline void sequence_write(
	_Atomic uint32_t *version, _Atomic uint64_t *to, const void *from, size_t count)
{
	uint32_t odd = atomic_load_explicit(version, memory_order_relaxed) | 1;

	atomic_store_explicit(version, odd, memory_order_relaxed);
	if (from)
		words_store(to, from, count);
	else
		for (size_t i = 0; i < count; i++)
			atomic_store_explicit(&to[i], 0, memory_order_release);
	atomic_store_explicit(version, odd + 1, memory_order_release);
}

/* Any reader. False: it was being written each time we looked, or its writer died half-way. */
static inline bool sequence_read(
	const _Atomic uint32_t *version, const _Atomic uint64_t *from, void *to, size_t count)
{
	for (int i = 0; i < SEQUENCE_TRIES; i++) {
		uint32_t before = atomic_load_explicit(version, memory_order_acquire);
		if (before & 1)
			continue;
		words_load(to, from, count);
		if (atomic_load_explicit(version, memory_order_relaxed) == before)
			return true;
	}
	return false;
}

#endif
