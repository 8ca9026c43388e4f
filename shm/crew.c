/* SPDX-License-Identifier: MIT
 * Which workers take new sessions: a bit each in the header of the state segment. */
#include "shm/crew.h"
#include "common/base/siphash.h"

enum { WORDS = SHM_MAX_WORKERS / 64 };

void crew_set(struct shm *shm, unsigned worker, bool active)
{
	if (worker >= shm->sizes.workers)
		return;
	_Atomic uint64_t *word = &shm->header->crew[worker / 64];
	uint64_t bit = 1ull << worker % 64;
	if (active)
		atomic_fetch_or(word, bit);
	else
		atomic_fetch_and(word, ~bit);
}

/* Bits behind the last worker count for nothing, whoever set them. */
static uint64_t word_of(const struct shm *shm, unsigned index)
{
	uint64_t word = atomic_load_explicit(&shm->header->crew[index], memory_order_relaxed);
	unsigned first = index * 64, count = shm->sizes.workers;

	if (count <= first)
		return 0;
	return count - first >= 64 ? word : word & ((1ull << (count - first)) - 1);
}

bool crew_is_active(const struct shm *shm, unsigned worker)
{
	return worker < shm->sizes.workers && (word_of(shm, worker / 64) >> worker % 64 & 1);
}

unsigned crew_pick(const struct shm *shm, const void *key, size_t len)
{
	uint64_t words[WORDS];
	unsigned count = 0;

	for (unsigned i = 0; i < WORDS; i++) {
		words[i] = word_of(shm, i);
		count += (unsigned)__builtin_popcountll(words[i]);
	}
	if (!count)
		return WORKER_NONE;
	unsigned left = (unsigned)(siphash13(shm->hash_key, key, len) % count);
	for (unsigned i = 0; i < WORDS; i++)
		for (uint64_t word = words[i]; word; word &= word - 1)
			if (left-- == 0)
				return i * 64 + (unsigned)__builtin_ctzll(word);
	return WORKER_NONE;
}
