/* SPDX-License-Identifier: MIT
 * Inner prefix to session: host routes of each client and the subnets behind it. The question of every
 * packet, both ways: where does it go, and may its sender speak for its source. The rules of the table are in
 * shm/cells.h: any worker writes, nobody waits, a prefix belongs to one live session at most, and an entry
 * dies with its session. Lookups try only the prefix lengths that were ever used, longest first; a length is
 * noted before its first entry is put and never taken back, since a note too many only costs time. */
#ifndef SHM_ROUTES_H
#define SHM_ROUTES_H

#include "shm/segment.h"

#include <stdbool.h>
#include <stdint.h>

enum route_answer {
	ROUTE_PUT = 0,
	ROUTE_SAME = 1,
	ROUTE_TAKEN = -1, /* another live session has this very prefix */
	ROUTE_FULL = -2,
	ROUTE_BAD = -3, /* family not 4 or 6, or bits out of range */
};

/* `family` 4 or 6; `prefix` 4 or 16 bytes in network order, bits behind the length are ignored; `bits` 0 to
 * 32 or 128. */
enum route_answer routes_put(struct shm *shm, unsigned family, const uint8_t *prefix, unsigned bits,
	uint32_t slot, uint32_t generation, uint32_t *has_slot, uint32_t *has_generation);
/* The prefix goes from one session to another in one step (a client that came back). */
enum route_answer routes_replace(struct shm *shm, unsigned family, const uint8_t *prefix, unsigned bits,
	uint32_t old_slot, uint32_t old_generation, uint32_t slot, uint32_t generation);
bool routes_remove(struct shm *shm, unsigned family, const uint8_t *prefix, unsigned bits, uint32_t slot,
	uint32_t generation);
/* The live session with the longest prefix that covers `address` (4 or 16 bytes, network order). False: none.
 * With a source address it answers who may send from it. */
bool routes_find(
	const struct shm *shm, unsigned family, const uint8_t *address, uint32_t *slot, uint32_t *generation);

#endif
