/* SPDX-License-Identifier: MIT
 * Where a dying worker says what killed it.
 *
 * - Writes: the worker, from its signal handler: async-signal-safe, once; the master clears it after reading.
 * - Reads: the master, after it reaped the worker.
 * - Dies: of a second signal half-way: `said` was not set yet, so nothing was said. */
#ifndef SHM_LAST_WORDS_H
#define SHM_LAST_WORDS_H

#include "shm/segment.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum { LAST_WORDS_TEXT = 416 };

struct last_words {
	_Alignas(64) _Atomic uint32_t at_work; /* the session it is working on, + 1; 0 none */
	_Alignas(64) _Atomic uint32_t said;
	int32_t signal;
	uint32_t slot;
	uint32_t len;
	uint64_t address;
	char text[LAST_WORDS_TEXT];
	uint64_t spare;
};
_Static_assert(sizeof(struct last_words) == 512, "one place a worker");

/* What was said, checked: printable ASCII, terminated. */
struct last_words_copy {
	int signal;
	uint32_t slot;	  /* the session it named, or PEER_NONE */
	uint64_t address; /* what the signal was about (si_addr), 0 none */
	char text[LAST_WORDS_TEXT + 1];
};

/* The place of a worker, to be looked up before it is needed; NULL for an unknown index. */
struct last_words *last_words_of(const struct shm *shm, unsigned worker);
/* Async-signal-safe. `text` may be NULL. The first call counts. */
void last_words_say(struct last_words *place, int signal, uint32_t slot, uint64_t address, const char *text);
/* True: there was something; it is cleared for the successor. */
bool last_words_take(struct shm *shm, unsigned worker, struct last_words_copy *out);

/* Which session the worker works on from now on, PEER_NONE for none: one store on its own line. What is noted
 * when it dies decides who is blamed (peers_adopt), also after a signal that no handler sees. */
static inline void last_words_note_work(struct last_words *place, uint32_t slot)
{
	atomic_store_explicit(&place->at_work, slot + 1, memory_order_relaxed);
}

/* What was noted last: the successor asks before it notes anything itself. PEER_NONE: nothing. */
static inline uint32_t last_words_at_work(const struct last_words *place)
{
	return atomic_load_explicit(&place->at_work, memory_order_relaxed) - 1;
}

#endif
