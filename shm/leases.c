/* SPDX-License-Identifier: MIT
 * The address pool. A lease word is 0 (free) or names its session: bit 63, slot << 32, generation. */
#include "shm/leases.h"
#include "shm/words.h"

#include <string.h>

enum { TAKE_TRIES = 16 };

static uint64_t word_of(uint32_t slot, uint32_t generation)
{
	return 1ull << 63 | (uint64_t)slot << 32 | generation;
}

static uint32_t slot_of(uint64_t word)
{
	return word >> 32 & 0x7fffffff;
}

/* Free, or of a session that ended without giving it back. */
static bool is_free(const struct shm *shm, uint64_t word)
{
	return !word || !peers_live(shm, slot_of(word), (uint32_t)word);
}

static uint64_t look(const struct shm *shm, uint32_t index)
{
	return atomic_load_explicit(&shm->lease_words.at[index], memory_order_acquire);
}

uint32_t lease_count(const struct shm *shm)
{
	return (uint32_t)shm->lease_words.entries;
}

/* The hash goes last: a text counts only if it has the hash that is noted. */
static void note_name(struct shm *shm, uint32_t index, const char *name, uint64_t hash)
{
	char text[PEER_NAME_ROOM] = { 0 };

	if (atomic_load_explicit(&shm->lease_names.at[index], memory_order_relaxed) == hash)
		return;
	if (name)
		strncpy(text, name, sizeof(text) - 1);
	atomic_store_explicit(&shm->lease_names.at[index], 0, memory_order_release);
	words_store(shm->lease_texts.at[index].words, text, PEER_NAME_ROOM / 8);
	atomic_store_explicit(&shm->lease_names.at[index], hash, memory_order_release);
}

static void note_tick(struct shm *shm, uint32_t index)
{
	uint64_t tick = atomic_fetch_add_explicit(&shm->header->lease_tick, 1, memory_order_relaxed) + 1;
	atomic_store_explicit(&shm->lease_ticks.at[index], tick, memory_order_relaxed);
}

/* The free index that this name had last, else the one longest unused. Gives its word for the swap. */
static uint32_t best_free(const struct shm *shm, uint64_t hash, uint64_t *word)
{
	const uint32_t count = lease_count(shm);
	uint32_t best = LEASE_NONE;
	uint64_t best_tick = UINT64_MAX;

	for (uint32_t i = 0; hash && i < count; i++) {
		if (atomic_load_explicit(&shm->lease_names.at[i], memory_order_acquire) != hash)
			continue;
		*word = look(shm, i);
		if (is_free(shm, *word))
			return i;
	}
	for (uint32_t i = 0; i < count; i++) {
		uint64_t tick = atomic_load_explicit(&shm->lease_ticks.at[i], memory_order_relaxed);
		if (tick >= best_tick)
			continue;
		uint64_t w = look(shm, i);
		if (!is_free(shm, w))
			continue;
		best = i;
		best_tick = tick;
		*word = w;
		if (!tick)
			break;
	}
	return best;
}

uint32_t lease_take(struct shm *shm, const char *name, uint32_t slot, uint32_t generation)
{
	const uint64_t hash = shm_name_hash(shm, name);

	if (!peers_live(shm, slot, generation))
		return LEASE_NONE;
	for (int i = 0; i < TAKE_TRIES; i++) {
		uint64_t word = 0;
		uint32_t index = best_free(shm, hash, &word);
		if (index == LEASE_NONE)
			return LEASE_NONE;
		if (!atomic_compare_exchange_strong(
			    &shm->lease_words.at[index], &word, word_of(slot, generation)))
			continue; /* another worker was quicker: look again */
		note_tick(shm, index);
		note_name(shm, index, name, hash);
		return index;
	}
	return LEASE_NONE;
}

bool lease_take_exact(struct shm *shm, uint32_t index, const char *name, uint32_t slot, uint32_t generation)
{
	const uint64_t mine = word_of(slot, generation);

	if (index >= lease_count(shm) || !peers_live(shm, slot, generation))
		return false;
	uint64_t word = look(shm, index);
	if (word != mine) {
		if (!is_free(shm, word) ||
			!atomic_compare_exchange_strong(&shm->lease_words.at[index], &word, mine))
			return false;
		note_tick(shm, index);
	}
	note_name(shm, index, name, shm_name_hash(shm, name));
	return true;
}

bool lease_release(struct shm *shm, uint32_t index, uint32_t slot, uint32_t generation)
{
	uint64_t word = word_of(slot, generation);

	if (index >= lease_count(shm) || look(shm, index) != word)
		return false;
	note_tick(shm, index);
	return atomic_compare_exchange_strong(&shm->lease_words.at[index], &word, 0);
}

bool lease_remember(struct shm *shm, uint32_t index, const char *name)
{
	if (index >= lease_count(shm) || !is_free(shm, look(shm, index)))
		return false;
	note_tick(shm, index);
	note_name(shm, index, name, shm_name_hash(shm, name));
	return true;
}

bool lease_read(const struct shm *shm, uint32_t index, struct lease_row *out)
{
	if (index >= lease_count(shm))
		return false;
	uint64_t word = look(shm, index);
	uint64_t hash = atomic_load_explicit(&shm->lease_names.at[index], memory_order_acquire);

	memset(out, 0, sizeof(*out));
	out->taken = !is_free(shm, word);
	if (out->taken) {
		out->slot = slot_of(word);
		out->generation = (uint32_t)word;
	}
	words_load(out->name, shm->lease_texts.at[index].words, PEER_NAME_ROOM / 8);
	out->name[PEER_NAME_ROOM - 1] = 0;
	if (shm_name_hash(shm, out->name) != hash)
		memset(out->name, 0, sizeof(out->name));
	return true;
}
