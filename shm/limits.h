/* SPDX-License-Identifier: MIT
 * What strangers may cost us: budgets shared by all workers, and token buckets per source of first packets.
 *
 * - Writes: any worker, each time one compare-and-swap on one word, tried a few times; then the answer is
 *   "over the limit".
 * - Reads: nobody else.
 * - Dies: nothing to repair: every word is valid on its own, any value in it only lets more or fewer through.
 */
#ifndef SHM_LIMITS_H
#define SHM_LIMITS_H

#include "common/base/address.h"
#include "common/base/time.h"
#include "shm/segment.h"

#include <stdbool.h>
#include <stdint.h>

/* Up to `per_period` takes in each stretch of `period_ms`, stretches counted from the clock's zero. True:
 * within it. `per_period` 0: no limit. More than 2^24 - 1 counts as that. */
bool limit_take(struct limit *limit, uint32_t per_period, uint32_t period_ms, mono_ms now);
/* Undoes one take of the same period: a first packet that turned out to be a good one does not count. */
void limit_give_back(struct limit *limit, uint32_t period_ms, mono_ms now);
/* The budgets in the segment's header. */
struct limit *shm_limit(struct shm *shm, enum shm_limit which);

enum { SOURCE_BUCKETS = 1 << 15, SOURCE_WAYS = 4 };

/* What one host and the network around it may send: first packets a second, and at once. 0 per second: no
 * limit. */
struct source_rates {
	uint32_t host_per_s, host_burst;       /* IPv4 /32, IPv6 /64 */
	uint32_t network_per_s, network_burst; /* IPv4 /24, IPv6 /48 */
	uint8_t kind;                          /* buckets of another kind are others */
};

/* One first packet from `address`. True: within both rates. Bursts above 4,095 count as that. */
bool source_take(
	struct shm *shm, const struct source_rates *rates, const struct link_address *address, mono_ms now);

#endif
