/* SPDX-License-Identifier: MIT
 * Counters of one worker: one per fate and one per row of counters.def. They live in the stats segment, on
 * lines that no other process writes.
 *
 * - Writes: the worker alone, hence a plain add without a locked instruction.
 * - Reads: anyone; each word is whole, two words may be of slightly different moments.
 * - Dies: nothing to repair: the successor counts on. */
#ifndef SHM_COUNTERS_H
#define SHM_COUNTERS_H

#include "common/base/fate.h"

#include <stdatomic.h>
#include <stdint.h>

enum counter {
#define COUNTER(name, text) COUNTER_##name,
#include "shm/counters.def"
#undef COUNTER
	COUNTER_COUNT
};

struct counters {
	_Alignas(128) _Atomic uint64_t fates[FATE_COUNT];
	_Atomic uint64_t named[COUNTER_COUNT];
};

/* A copy, or a sum. */
struct counter_values {
	uint64_t fates[FATE_COUNT];
	uint64_t named[COUNTER_COUNT];
};

static inline void counter_word_add(_Atomic uint64_t *word, uint64_t n)
{
	atomic_store_explicit(
		word, atomic_load_explicit(word, memory_order_relaxed) + n, memory_order_relaxed);
}

static inline void counter_add(struct counters *c, enum counter which, uint64_t n)
{
	counter_word_add(&c->named[which], n);
}

/* For SESSIONS, the one that goes down again. */
static inline void counter_set(struct counters *c, enum counter which, uint64_t value)
{
	atomic_store_explicit(&c->named[which], value, memory_order_relaxed);
}

static inline void counter_fate(struct counters *c, enum fate fate, uint64_t n)
{
	if ((unsigned)fate < FATE_COUNT)
		counter_word_add(&c->fates[fate], n);
}

/* Adds what `c` says now to `sum`. */
void counters_sum(const struct counters *c, struct counter_values *sum);

/* "DATAGRAMS_IN" and its text; "?" for a number outside the list. */
const char *counter_name(enum counter which);
const char *counter_text(enum counter which);

#endif
