/* SPDX-License-Identifier: MIT
 * Which workers take new sessions. The others are drained, are to end, or die too often: they only hand over what still
 * comes to them.
 *
 * - Writes: the master alone, one bit at a time.
 * - Reads: any worker, any time. An answer that is a moment old costs a handover.
 * - Dies: there is nothing half-way; a successor of the master finds the bits as they were. */
#ifndef SHM_CREW_H
#define SHM_CREW_H

#include "shm/segment.h"

#include <stdbool.h>
#include <stddef.h>

/* An index out of range is ignored. */
void crew_set(struct shm *shm, unsigned worker, bool active);
bool crew_is_active(const struct shm *shm, unsigned worker);
/* One of the active ones; for equal keys the same one, as long as they are the same. WORKER_NONE: there is none. */
unsigned crew_pick(const struct shm *shm, const void *key, size_t len);

#endif
