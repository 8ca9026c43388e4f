/* SPDX-License-Identifier: MIT
 * Where a dying worker says what killed it.
 *
 * - Writes: the worker, from its signal handler: async-signal-safe, once; the master clears it after reading.
 * - Reads: the master, after it reaped the worker.
 * - Dies: of a second signal half-way: `said` was not set yet, so nothing was said. */
#ifndef SHM_LAST_WORDS_H
#define SHM_LAST_WORDS_H

#include "shm/segment.h"

#include <stdbool.h>
#include <stdint.h>

enum { LAST_WORDS_TEXT = 480 };

struct last_words {
	_Alignas(64) _Atomic uint32_t said;
	int32_t signal;
	uint32_t slot; /* the session it was working on, or PEER_NONE */
	uint32_t len;
	uint64_t address; /* what the signal was about (si_addr), 0 none */
	char text[LAST_WORDS_TEXT];
	uint64_t spare;
};
_Static_assert(sizeof(struct last_words) == 512, "one place a worker");

/* What was said, checked: printable ASCII, terminated. */
struct last_words_copy {
	int signal;
	uint32_t slot;
	uint64_t address;
	char text[LAST_WORDS_TEXT + 1];
};

/* The place of a worker, to be looked up before it is needed; NULL for an unknown index. */
struct last_words *last_words_of(const struct shm *shm, unsigned worker);
/* Async-signal-safe. `text` may be NULL. The first call counts. */
void last_words_say(struct last_words *place, int signal, uint32_t slot, uint64_t address, const char *text);
/* True: there was something; it is cleared for the successor. */
bool last_words_take(struct shm *shm, unsigned worker, struct last_words_copy *out);

#endif
