/* SPDX-License-Identifier: MIT
 * Budgets and buckets, each one atomic word. */
#include "shm/limits.h"
#include "common/base/siphash.h"

#include <string.h>

enum { TRIES = 16, COUNT_BITS = 24, COUNT_MAX = (1 << COUNT_BITS) - 1, TOKEN = 16, BURST_MAX = 4095, BEHIND_MAX_MS = 60000 };

struct limit *shm_limit(struct shm *shm, enum shm_limit which)
{
	return &shm->header->limits[(unsigned)which < SHM_LIMITS ? which : 0];
}

/* -- budgets: | number of the period 40 | takes in it 24 | -- */

static uint64_t period_of(uint32_t period_ms, mono_ms now)
{
	return ((uint64_t)now / (period_ms ? period_ms : 1)) << COUNT_BITS;
}

/* The period that counts: that of the word, where a worker whose batch began later is in the next one already. */
static uint64_t period_in(uint64_t word, uint64_t period)
{
	const uint64_t next = period + COUNT_MAX + 1;
	return (word & ~(uint64_t)COUNT_MAX) == next ? next : period;
}

bool limit_take(struct limit *limit, uint32_t per_period, uint32_t period_ms, mono_ms now)
{
	const uint64_t mine = period_of(period_ms, now);
	const uint64_t most = per_period < COUNT_MAX ? per_period : COUNT_MAX;

	if (!per_period)
		return true;
	uint64_t was = atomic_load_explicit(&limit->word, memory_order_relaxed);
	for (int i = 0; i < TRIES; i++) {
		uint64_t period = period_in(was, mine);
		uint64_t count = (was & ~(uint64_t)COUNT_MAX) == period ? was & COUNT_MAX : 0;
		if (count >= most)
			return false;
		if (atomic_compare_exchange_strong_explicit(&limit->word, &was, period | (count + 1),
			    memory_order_relaxed, memory_order_relaxed))
			return true;
	}
	return false;
}

void limit_give_back(struct limit *limit, uint32_t period_ms, mono_ms now)
{
	const uint64_t period = period_of(period_ms, now);
	uint64_t was = atomic_load_explicit(&limit->word, memory_order_relaxed);

	for (int i = 0; i < TRIES; i++) {
		if ((was & ~(uint64_t)COUNT_MAX) != period || !(was & COUNT_MAX))
			return;
		if (atomic_compare_exchange_strong_explicit(
			    &limit->word, &was, was - 1, memory_order_relaxed, memory_order_relaxed))
			return;
	}
}

/* -- buckets: | whose 16 | ms of the clock, low 32 | tokens 16, in sixteenths | -- */

static uint64_t bucket_of(uint64_t tag, uint32_t at_ms, uint32_t tokens)
{
	return tag << 48 | (uint64_t)at_ms << 16 | tokens;
}

/* Since `at_ms`. Every worker takes the time when its batch begins, so one may be a little behind what another wrote:
 * then nothing has passed, not 2^32 ms. */
static uint32_t passed(uint32_t at_ms, uint32_t now_ms)
{
	uint32_t ms = now_ms - at_ms;
	return ms > UINT32_MAX - BEHIND_MAX_MS ? 0 : ms;
}

/* What a bucket holds now; *at_ms moves on only by the time that was paid out in tokens. */
static uint32_t refilled(uint64_t word, uint32_t per_s, uint32_t burst, uint32_t now_ms, uint32_t *at_ms)
{
	const uint64_t most = (uint64_t)burst * TOKEN, rate = (uint64_t)per_s * TOKEN;
	uint64_t tokens = word & 0xffff;

	*at_ms = (uint32_t)(word >> 16);
	uint64_t earned = passed(*at_ms, now_ms) * rate / 1000;
	if (tokens + earned >= most) {
		*at_ms = now_ms;
		return (uint32_t)most;
	}
	*at_ms += (uint32_t)(earned * 1000 / rate);
	return (uint32_t)(tokens + earned);
}

/* The way of this tag, else an unused one, else the one that waited longest. */
static _Atomic uint64_t *way_of(_Atomic uint64_t *ways, uint64_t tag, uint32_t now_ms)
{
	_Atomic uint64_t *best = ways;
	uint64_t best_age = 0;

	for (int i = 0; i < SOURCE_WAYS; i++) {
		uint64_t word = atomic_load_explicit(&ways[i], memory_order_relaxed);
		if (word >> 48 == tag)
			return &ways[i];
		uint64_t age = word ? passed((uint32_t)(word >> 16), now_ms) : UINT64_MAX;
		if (age >= best_age) {
			best_age = age;
			best = &ways[i];
		}
	}
	return best;
}

static bool bucket_take(
	struct shm *shm, const void *key, size_t key_len, uint32_t per_s, uint32_t burst, mono_ms now)
{
	const uint64_t hash = siphash13(shm->hash_key, key, key_len);
	const uint64_t tag = hash >> 48 ? hash >> 48 : 1;
	const uint32_t now_ms = (uint32_t)now;
	_Atomic uint64_t *ways = &shm->sources.at[(hash & (SOURCE_BUCKETS / SOURCE_WAYS - 1)) * SOURCE_WAYS];

	if (!per_s)
		return true;
	per_s = per_s < 65536 ? per_s : 65535;
	burst = burst < 1 ? 1 : burst < BURST_MAX ? burst : BURST_MAX;
	for (int i = 0; i < TRIES; i++) {
		_Atomic uint64_t *way = way_of(ways, tag, now_ms);
		uint64_t was = atomic_load_explicit(way, memory_order_relaxed);
		uint32_t at_ms = now_ms, tokens = burst * TOKEN;
		if (was >> 48 == tag)
			tokens = refilled(was, per_s, burst, now_ms, &at_ms);
		if (tokens < TOKEN)
			return false;
		if (atomic_compare_exchange_strong_explicit(way, &was, bucket_of(tag, at_ms, tokens - TOKEN),
			    memory_order_relaxed, memory_order_relaxed))
			return true;
	}
	return false;
}

bool source_take(
	struct shm *shm, const struct source_rates *rates, const struct link_address *address, mono_ms now)
{
	/* | 'h' or 'n', for host or network | family | kind | the first bytes of the address | */
	uint8_t key[19] = { 'h', address->family, rates->kind };
	const size_t host = address->family == 4 ? 4 : 8, network = address->family == 4 ? 3 : 6;

	/* The host first: one that is over its own rate must not eat up its neighbours'. */
	memcpy(key + 3, address->ip, host);
	if (!bucket_take(shm, key, 3 + host, rates->host_per_s, rates->host_burst, now))
		return false;
	key[0] = 'n';
	return bucket_take(shm, key, 3 + network, rates->network_per_s, rates->network_burst, now);
}
