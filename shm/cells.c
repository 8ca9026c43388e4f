/* SPDX-License-Identifier: MIT
 * The hash table of links and routes. See the states in cells.h. */
#include "shm/cells.h"
#include "common/base/siphash.h"
#include "shm/peers.h"

enum cell_kind { CELL_EMPTY, CELL_CLAIMED, CELL_PENDING, CELL_LIVE, CELL_GONE };
enum { PUT_TRIES = 8 };

static const uint64_t gone = (uint64_t)CELL_GONE << 61;

static uint64_t word_of(enum cell_kind kind, uint64_t hash, uint32_t slot, uint32_t generation)
{
	return (uint64_t)kind << 61 | (hash >> 55) << 52 | (uint64_t)(slot & 0xfffff) << 32 | generation;
}

static enum cell_kind kind_of(uint64_t word)
{
	return (enum cell_kind)(word >> 61);
}

static uint32_t slot_of(uint64_t word)
{
	return word >> 32 & 0xfffff;
}

static uint32_t generation_of(uint64_t word)
{
	return (uint32_t)word;
}

static bool same_fingerprint(uint64_t word, uint64_t hash)
{
	return (word >> 52 & 0x1ff) == hash >> 55;
}

/* The session that the word names has ended (or never was). */
static bool stale(const struct shm *shm, uint64_t word)
{
	return !peers_live(shm, slot_of(word), generation_of(word));
}

static bool same_key(const struct cells *table, uint32_t at, const uint64_t key[3])
{
	const struct cell_key *k = &table->keys[at];
	return atomic_load_explicit(&k->words[0], memory_order_acquire) == key[0] &&
	       atomic_load_explicit(&k->words[1], memory_order_acquire) == key[1] &&
	       atomic_load_explicit(&k->words[2], memory_order_acquire) == key[2];
}

static bool swap(const struct cells *table, uint32_t at, uint64_t *was, uint64_t now)
{
	return atomic_compare_exchange_strong(&table->words[at], was, now);
}

static uint64_t look(const struct cells *table, uint32_t at)
{
	return atomic_load(&table->words[at]);
}

/* -- reading -- */

bool cells_find(const struct shm *shm, struct cells table, const uint64_t key[3], uint32_t *slot,
	uint32_t *generation)
{
	const uint64_t hash = siphash13(shm->hash_key, key, 24);

	for (uint32_t i = 0; i < CELL_WINDOW; i++) {
		uint32_t at = (uint32_t)(hash + i) & (table.count - 1);
		uint64_t word = atomic_load_explicit(&table.words[at], memory_order_acquire);
		if (kind_of(word) == CELL_EMPTY)
			return false;
		if (kind_of(word) != CELL_LIVE || !same_fingerprint(word, hash) || !same_key(&table, at, key))
			continue;
		/* The key loads were acquiring: had the cell been used again in between, this load would show
		 * it. */
		if (atomic_load_explicit(&table.words[at], memory_order_acquire) != word || stale(shm, word))
			continue;
		*slot = slot_of(word);
		*generation = generation_of(word);
		return true;
	}
	return false;
}

/* -- writing -- */

/* The LIVE cell of this key, whosever it is, in `*at` with its word and *found true; or the first cell that
 * can be used, with *found false; or false: neither. */
static bool survey(const struct shm *shm, const struct cells *table, const uint64_t key[3], uint64_t hash,
	uint64_t mine, uint32_t *at, uint64_t *word, bool *found)
{
	bool usable = false;

	*found = false;
	for (uint32_t i = 0; i < CELL_WINDOW; i++) {
		uint32_t here = (uint32_t)(hash + i) & (table->count - 1);
		uint64_t w = look(table, here);
		enum cell_kind kind = kind_of(w);
		if (kind == CELL_LIVE && same_fingerprint(w, hash) && same_key(table, here, key) &&
			look(table, here) == w) {
			*at = here;
			*word = w;
			*found = true;
			return true;
		}
		/* What this session left half-done itself, before its owner died, is free for it again. */
		bool own_rest = (kind == CELL_CLAIMED || kind == CELL_PENDING) &&
				(w & 0xfffffffffffff) == (mine & 0xfffffffffffff);
		if (!usable && (kind == CELL_EMPTY || kind >= CELL_GONE || own_rest || stale(shm, w))) {
			*at = here;
			*word = w;
			usable = true;
		}
		if (kind == CELL_EMPTY)
			break;
	}
	return usable;
}

/* Nobody else has the key in this cell, or any more. False: a live session has, `*other` says which. */
static bool clear_of(const struct shm *shm, const struct cells *table, const uint64_t key[3], uint64_t hash,
	uint32_t at, uint64_t *other)
{
	uint64_t w = look(table, at);

	for (int i = 0; i < PUT_TRIES; i++) {
		bool has_key = (kind_of(w) == CELL_PENDING || kind_of(w) == CELL_LIVE) &&
			       same_fingerprint(w, hash) && same_key(table, at, key);
		uint64_t again = look(table, at);
		if (again != w) {
			w = again;
			continue;
		}
		if (!has_key)
			return true;
		if (kind_of(w) == CELL_LIVE && !stale(shm, w))
			break;
		if (swap(table, at, &w, gone))
			return true;
	}
	*other = w;
	return false;
}

/* Looks at every other cell of the window for the same key; throws out those that do not count, or not yet.
 */
static bool alone(const struct shm *shm, const struct cells *table, const uint64_t key[3], uint64_t hash,
	uint32_t own, uint64_t *other)
{
	for (uint32_t i = 0; i < CELL_WINDOW; i++) {
		uint32_t here = (uint32_t)(hash + i) & (table->count - 1);
		if (kind_of(look(table, here)) == CELL_EMPTY)
			break;
		if (here != own && !clear_of(shm, table, key, hash, here, other))
			return false;
	}
	return true;
}

int cells_put(const struct shm *shm, struct cells table, const uint64_t key[3], uint32_t slot,
	uint32_t generation, uint32_t *has_slot, uint32_t *has_generation)
{
	const uint64_t hash = siphash13(shm->hash_key, key, 24);
	const uint64_t claimed = word_of(CELL_CLAIMED, hash, slot, generation);
	const uint64_t pending = word_of(CELL_PENDING, hash, slot, generation);
	const uint64_t live = word_of(CELL_LIVE, hash, slot, generation);
	uint64_t word, other = 0;
	uint32_t at;
	bool found;

	if (!peers_live(shm, slot, generation))
		return CELL_FULL;
	for (int i = 0; i < PUT_TRIES; i++) {
		if (!survey(shm, &table, key, hash, claimed, &at, &word, &found))
			return CELL_FULL;
		if (found && word == live)
			return CELL_SAME;
		if (found && !stale(shm, word)) {
			other = word;
			goto taken;
		}
		if (found) { /* of a session that ended: the key stays, the session changes */
			if (swap(&table, at, &word, live))
				return CELL_PUT;
			continue;
		}
		if (!swap(&table, at, &word, claimed))
			continue;
		for (int k = 0; k < 3; k++)
			atomic_store_explicit(&table.keys[at].words[k], key[k], memory_order_release);
		word = claimed;
		if (!swap(&table, at, &word, pending))
			continue;
		bool only = alone(shm, &table, key, hash, at, &other);
		word = pending;
		if (!only) {
			swap(&table, at, &word, gone);
			if (other == live)
				return CELL_SAME;
			goto taken;
		}
		if (swap(&table, at, &word, live))
			return CELL_PUT;
	}
	return CELL_FULL;

taken:
	if (has_slot)
		*has_slot = slot_of(other);
	if (has_generation)
		*has_generation = generation_of(other);
	return CELL_TAKEN;
}

/* The cell that is LIVE with this key for this session; false: none. */
static bool find_own(
	const struct cells *table, const uint64_t key[3], uint64_t hash, uint64_t live, uint32_t *at)
{
	for (uint32_t i = 0; i < CELL_WINDOW; i++) {
		uint32_t here = (uint32_t)(hash + i) & (table->count - 1);
		uint64_t w = look(table, here);
		if (kind_of(w) == CELL_EMPTY)
			return false;
		if (w == live && same_key(table, here, key)) {
			*at = here;
			return true;
		}
	}
	return false;
}

int cells_replace(const struct shm *shm, struct cells table, const uint64_t key[3], uint32_t old_slot,
	uint32_t old_generation, uint32_t slot, uint32_t generation)
{
	const uint64_t hash = siphash13(shm->hash_key, key, 24);
	uint64_t word = word_of(CELL_LIVE, hash, old_slot, old_generation);
	uint32_t at;

	if (!peers_live(shm, slot, generation))
		return CELL_FULL;
	if (find_own(&table, key, hash, word, &at) &&
		swap(&table, at, &word, word_of(CELL_LIVE, hash, slot, generation)))
		return CELL_PUT;
	/* The old one let go of it meanwhile: then it is free for all, us included. */
	return cells_put(shm, table, key, slot, generation, NULL, NULL);
}

bool cells_remove(
	const struct shm *shm, struct cells table, const uint64_t key[3], uint32_t slot, uint32_t generation)
{
	const uint64_t hash = siphash13(shm->hash_key, key, 24);
	uint64_t word = word_of(CELL_LIVE, hash, slot, generation);
	uint32_t at;

	return find_own(&table, key, hash, word, &at) && swap(&table, at, &word, gone);
}
