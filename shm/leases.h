/* SPDX-License-Identifier: MIT
 * The pools of tunnel addresses, as indices: one index serves both families. There are min(pool4, pool6)
 * when both are configured, else as many as the one has.
 *
 * - Writes: any worker: take and release are one compare-and-swap on a word that names the session.
 * - Reads: anyone, any time.
 * - Dies: a lease counts only while its session lives; of a session that ended it is free, released or not.
 *   Name and tick are hints that a death may leave one step behind; a name counts only if its hash is the
 *   one noted. */
#ifndef SHM_LEASES_H
#define SHM_LEASES_H

#include "shm/peers.h"
#include "shm/segment.h"

#include <stdbool.h>
#include <stdint.h>

struct lease_text {
	_Atomic uint64_t words[PEER_NAME_ROOM / 8];
};

struct lease_row {
	bool taken;		   /* by a session that lives */
	uint32_t slot, generation; /* of that session */
	char name[PEER_NAME_ROOM]; /* who has it or had it last; "" nobody, or not known */
};

/* How many indices there are. */
uint32_t lease_count(const struct shm *shm);

/* Takes an index for a session. With a name: the free one that this name had last, if any. Else one that was
 * never used (lowest first), else the one released longest ago. LEASE_NONE: all are taken. `name` NULL or "":
 * nothing is remembered (duplicate-cn). */
uint32_t lease_take(struct shm *shm, const char *name, uint32_t slot, uint32_t generation);
/* Takes this very index. False: out of range, or another live session has it. True also if the session has it
 * already. */
bool lease_take_exact(struct shm *shm, uint32_t index, const char *name, uint32_t slot, uint32_t generation);
/* Gives it back; what the name was stays noted. False: it was not this session's. */
bool lease_release(struct shm *shm, uint32_t index, uint32_t slot, uint32_t generation);

/* For the pool file, master alone: notes before the first client comes that `name` had `index` last. */
bool lease_remember(struct shm *shm, uint32_t index, const char *name);
/* False: out of range. */
bool lease_read(const struct shm *shm, uint32_t index, struct lease_row *out);

#endif
