/* SPDX-License-Identifier: MIT
 * Inside shm/ only: the one hash table behind links.h and routes.h. A 24-byte key to a session (slot,
 * generation); open addressing, keyed hash, at most CELL_WINDOW probes.
 *
 *   word  | kind 3 | hash 9 | slot 20 | generation 32 |     key  24 bytes, beside; written while CLAIMED
 *   EMPTY ──> CLAIMED ──key written──> PENDING ──nobody else has the key──> LIVE ──> GONE ──> CLAIMED
 *
 * - Writes: any worker, each step one compare-and-swap. Of two that put the same key at the same time at
 *   least one sees the other's cell: a PENDING one is thrown out, a LIVE one wins. No key is LIVE twice.
 *   A cell that was ever used never becomes EMPTY again, so a search may stop at the first EMPTY one.
 * - Reads: anyone, any time, no waiting: word, key, word again.
 * - Dies: a cell counts only while LIVE and while its session has that generation; a cell left CLAIMED or
 *   PENDING is passed over, and used again once its session has ended. Cells of ended sessions need no
 *   clearing. */
#ifndef SHM_CELLS_H
#define SHM_CELLS_H

#include "shm/segment.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum { CELL_WINDOW = 64 };

struct cell_key {
	_Atomic uint64_t words[3];
};

struct cells {
	_Atomic uint64_t *words;
	struct cell_key *keys;
	uint32_t count; /* a power of two */
};

/* Answers of cells_put(): 0 or more is success. */
enum cell_answer {
	CELL_PUT = 0,	 /* it is there now, and was not */
	CELL_SAME = 1,	 /* it was there for this very session */
	CELL_TAKEN = -1, /* another live session has the key */
	CELL_FULL = -2,	 /* no cell in the window, or too many at once: nothing changed */
};

/* `has_slot`, `has_generation`: who has the key when CELL_TAKEN; may be NULL. */
int cells_put(const struct shm *shm, struct cells table, const uint64_t key[3], uint32_t slot,
	uint32_t generation, uint32_t *has_slot, uint32_t *has_generation);
/* The key goes from one live session to another, in one step. CELL_PUT, CELL_TAKEN (not the old one's),
 * CELL_FULL. */
int cells_replace(const struct shm *shm, struct cells table, const uint64_t key[3], uint32_t old_slot,
	uint32_t old_generation, uint32_t slot, uint32_t generation);
bool cells_remove(
	const struct shm *shm, struct cells table, const uint64_t key[3], uint32_t slot, uint32_t generation);
bool cells_find(const struct shm *shm, struct cells table, const uint64_t key[3], uint32_t *slot,
	uint32_t *generation);

#endif
