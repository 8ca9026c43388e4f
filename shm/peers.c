/* SPDX-License-Identifier: MIT
 * The session table. */
#include "shm/peers.h"
#include "common/base/secret.h"
#include "shm/words.h"

#include <string.h>

enum { WORD_TRIES = 16 };

static uint64_t word_pack(struct peer_word w)
{
	return (uint64_t)w.generation << 32 | (uint64_t)(w.owner & 0xffff) << 8 |
	       (uint64_t)(w.deaths & 15) << 4 | (uint64_t)w.state;
}

static struct peer_word word_unpack(uint64_t word)
{
	return (struct peer_word){
		.generation = (uint32_t)(word >> 32),
		.owner = word >> 8 & 0xffff,
		.deaths = word >> 4 & 15,
		.state = (enum peer_state)(word & 15),
	};
}

/* What a word says if it makes sense in this segment and the slot is in use. */
static bool word_in_use(const struct shm *shm, uint64_t word, struct peer_word *out)
{
	*out = word_unpack(word);
	return out->state != PEER_FREE && out->state <= PEER_CLOSING && out->owner < shm->sizes.workers &&
	       out->generation != 0;
}

static bool word_free(uint64_t word)
{
	return (word & 15) == PEER_FREE;
}

static bool swap(const struct shm *shm, uint32_t slot, uint64_t *was, struct peer_word now)
{
	return atomic_compare_exchange_strong_explicit(
		&shm->peer_words.at[slot], was, word_pack(now), memory_order_acq_rel, memory_order_acquire);
}

struct peer_slot *peers_slot(const struct shm *shm, uint32_t slot)
{
	return slot < shm->sizes.max_clients ? &shm->peer_slots.at[slot] : NULL;
}

bool peers_word(const struct shm *shm, uint32_t slot, struct peer_word *out)
{
	if (slot >= shm->sizes.max_clients)
		return false;
	return word_in_use(shm, atomic_load_explicit(&shm->peer_words.at[slot], memory_order_acquire), out);
}

unsigned peers_owner(const struct shm *shm, uint32_t slot, uint32_t *generation)
{
	struct peer_word w;
	if (!peers_word(shm, slot, &w))
		return WORKER_NONE;
	*generation = w.generation;
	return w.owner;
}

bool peers_live(const struct shm *shm, uint32_t slot, uint32_t generation)
{
	struct peer_word w;
	return peers_word(shm, slot, &w) && w.generation == generation;
}

/* -- taking and releasing -- */

static bool take_slot(struct shm *shm, uint32_t slot, unsigned worker, uint32_t *generation)
{
	uint64_t was = atomic_load_explicit(&shm->peer_words.at[slot], memory_order_acquire);
	if (!word_free(was))
		return false;
	struct peer_word w = word_unpack(was);
	w.generation = w.generation ? w.generation : 1; /* a slot that was never used */
	w.state = PEER_HANDSHAKE;
	w.owner = worker;
	w.deaths = 0;
	if (!swap(shm, slot, &was, w))
		return false;
	atomic_fetch_or_explicit(&shm->peer_hints.at[slot / 64], 1ull << slot % 64, memory_order_relaxed);
	*generation = w.generation;
	return true;
}

uint32_t peers_take(struct shm *shm, unsigned worker, uint32_t *generation)
{
	const uint64_t slots = shm->sizes.max_clients, workers = shm->sizes.workers;

	if (worker >= workers)
		return PEER_NONE;
	for (uint64_t i = 0; i < workers; i++) {
		uint64_t part = (worker + i) % workers;
		uint64_t at = part * slots / workers, end = (part + 1) * slots / workers;
		while (at < end) {
			uint64_t hints =
				atomic_load_explicit(&shm->peer_hints.at[at / 64], memory_order_relaxed);
			uint64_t open = ~hints >> at % 64;
			if (!open) {
				at = (at / 64 + 1) * 64;
				continue;
			}
			at += (unsigned)__builtin_ctzll(open);
			if (at < end && take_slot(shm, (uint32_t)at, worker, generation))
				return (uint32_t)at;
			at++;
		}
	}
	/* A releaser that died before its last line left a free slot without a hint. */
	for (uint32_t slot = 0; slot < slots; slot++)
		if (take_slot(shm, slot, worker, generation))
			return slot;
	return PEER_NONE;
}

static void wipe_slot(struct shm *shm, uint32_t slot)
{
	struct peer_slot *s = &shm->peer_slots.at[slot];
	struct peer_counters *c = &s->counters;

	atomic_store(&shm->peer_names.at[slot], 0);
	secret_wipe(s->kept, sizeof(s->kept));
	sequence_write(&s->version, s->identity, NULL, sizeof(struct peer_identity) / 8);
	atomic_store_explicit(&c->bytes_in, 0, memory_order_relaxed);
	atomic_store_explicit(&c->bytes_out, 0, memory_order_relaxed);
	atomic_store_explicit(&c->packets_in, 0, memory_order_relaxed);
	atomic_store_explicit(&c->packets_out, 0, memory_order_relaxed);
	atomic_store_explicit(&c->last_in_ms, 0, memory_order_relaxed);
	atomic_store_explicit(&c->last_out_ms, 0, memory_order_relaxed);
}

bool peers_release(struct shm *shm, uint32_t slot, uint32_t generation)
{
	/* CLOSING first: whoever died in the middle of wiping left a slot that says so. */
	if (!peers_set_state(shm, slot, generation, PEER_CLOSING))
		return false;
	wipe_slot(shm, slot);

	uint64_t was = atomic_load_explicit(&shm->peer_words.at[slot], memory_order_acquire);
	struct peer_word w = word_unpack(was);
	if (w.generation != generation || w.state != PEER_CLOSING)
		return false;
	w.state = PEER_FREE;
	w.owner = WORKER_NONE;
	w.deaths = 0;
	w.generation = generation + 1 ? generation + 1 : 1;
	if (!swap(shm, slot, &was, w))
		return false;
	atomic_fetch_and_explicit(&shm->peer_hints.at[slot / 64], ~(1ull << slot % 64), memory_order_relaxed);
	return true;
}

bool peers_set_state(struct shm *shm, uint32_t slot, uint32_t generation, enum peer_state state)
{
	if (slot >= shm->sizes.max_clients || state == PEER_FREE || state > PEER_CLOSING)
		return false;
	uint64_t was = atomic_load_explicit(&shm->peer_words.at[slot], memory_order_acquire);
	for (int i = 0; i < WORD_TRIES; i++) {
		struct peer_word w;
		if (!word_in_use(shm, was, &w) || w.generation != generation || w.state > state)
			return false;
		w.state = state;
		if (swap(shm, slot, &was, w))
			return true;
	}
	return false;
}

bool peers_move_owner(struct shm *shm, uint32_t slot, uint32_t generation, unsigned from, unsigned to)
{
	if (slot >= shm->sizes.max_clients || to >= shm->sizes.workers)
		return false;
	uint64_t was = atomic_load_explicit(&shm->peer_words.at[slot], memory_order_acquire);
	for (int i = 0; i < WORD_TRIES; i++) {
		struct peer_word w;
		if (!word_in_use(shm, was, &w) || w.generation != generation || w.owner != from)
			return false;
		w.owner = to;
		if (swap(shm, slot, &was, w))
			return true;
	}
	return false;
}

/* -- what others may know -- */

bool peers_write(struct shm *shm, uint32_t slot, uint32_t generation, const struct peer_identity *identity)
{
	if (!peers_live(shm, slot, generation))
		return false;
	struct peer_slot *s = &shm->peer_slots.at[slot];
	struct peer_identity terminated = *identity;

	terminated.common_name[PEER_NAME_ROOM - 1] = 0;
	terminated.cipher[sizeof(terminated.cipher) - 1] = 0;
	sequence_write(&s->version, s->identity, &terminated, sizeof(terminated) / 8);
	/* In one total order with the loads of peers_find_name(): of two that publish and then ask, one sees.
	 */
	atomic_store(&shm->peer_names.at[slot], shm_name_hash(shm, terminated.common_name));
	return true;
}

bool peers_read(const struct shm *shm, uint32_t slot, struct peer_row *copy)
{
	struct peer_word before, after;

	if (!peers_word(shm, slot, &before))
		return false;
	const struct peer_slot *s = &shm->peer_slots.at[slot];
	if (!sequence_read(&s->version, s->identity, &copy->identity, sizeof(copy->identity) / 8))
		return false;
	const struct peer_counters *c = &s->counters;
	copy->bytes_in = atomic_load_explicit(&c->bytes_in, memory_order_relaxed);
	copy->bytes_out = atomic_load_explicit(&c->bytes_out, memory_order_relaxed);
	copy->packets_in = atomic_load_explicit(&c->packets_in, memory_order_relaxed);
	copy->packets_out = atomic_load_explicit(&c->packets_out, memory_order_relaxed);
	copy->last_in_ms = atomic_load_explicit(&c->last_in_ms, memory_order_relaxed);
	copy->last_out_ms = atomic_load_explicit(&c->last_out_ms, memory_order_relaxed);
	/* The same tenant before and after. */
	if (!peers_word(shm, slot, &after) || after.generation != before.generation)
		return false;
	copy->slot = slot;
	copy->generation = after.generation;
	copy->state = after.state;
	copy->owner = after.owner;
	copy->deaths = after.deaths;
	/* A worker gone mad may have written these: texts end, whatever it wrote. */
	copy->identity.common_name[PEER_NAME_ROOM - 1] = 0;
	copy->identity.cipher[sizeof(copy->identity.cipher) - 1] = 0;
	return true;
}

uint32_t peers_find_name(const struct shm *shm, const char *name, uint32_t except, uint32_t from)
{
	const uint64_t hash = shm_name_hash(shm, name);

	if (!hash)
		return PEER_NONE;
	for (uint32_t slot = from; slot < shm->sizes.max_clients; slot++) {
		struct peer_word w;
		if (slot == except || atomic_load(&shm->peer_names.at[slot]) != hash)
			continue;
		/* A keyed 64-bit hash that is equal is the name itself, also while the row is being written.
		 */
		if (peers_word(shm, slot, &w) && w.state != PEER_CLOSING)
			return slot;
	}
	return PEER_NONE;
}

uint32_t peers_next(const struct shm *shm, uint32_t from)
{
	struct peer_word w;
	for (uint32_t slot = from; slot < shm->sizes.max_clients; slot++)
		if (peers_word(shm, slot, &w))
			return slot;
	return PEER_NONE;
}

uint32_t peers_next_owned(const struct shm *shm, unsigned owner, uint32_t from)
{
	struct peer_word w;
	for (uint32_t slot = from; slot < shm->sizes.max_clients; slot++)
		if (peers_word(shm, slot, &w) && w.owner == owner)
			return slot;
	return PEER_NONE;
}

uint32_t peers_count(const struct shm *shm)
{
	struct peer_word w;
	uint32_t count = 0;
	for (uint32_t slot = 0; slot < shm->sizes.max_clients; slot++)
		count += peers_word(shm, slot, &w);
	return count;
}

/* -- after a death -- */

enum peer_adoption peers_adopt(
	struct shm *shm, uint32_t slot, unsigned owner, bool at_fault, uint32_t *generation)
{
	struct peer_word w;
	uint64_t was;

	if (slot >= shm->sizes.max_clients)
		return PEER_NOT_OURS;
	was = atomic_load_explicit(&shm->peer_words.at[slot], memory_order_acquire);
	if (!word_in_use(shm, was, &w) || w.owner != owner)
		return PEER_NOT_OURS;
	*generation = w.generation;
	if (at_fault && w.deaths < 15) {
		w.deaths++;
		if (!swap(shm, slot, &was, w))
			return PEER_NOT_OURS; /* somebody else changes a slot that is ours: not ours then */
	}
	/* The dead one may have got as far as the slot, but not to its hint. */
	atomic_fetch_or_explicit(&shm->peer_hints.at[slot / 64], 1ull << slot % 64, memory_order_relaxed);

	struct peer_slot *s = &shm->peer_slots.at[slot];
	bool torn = atomic_load_explicit(&s->version, memory_order_acquire) & 1;
	if (torn) {
		sequence_write(&s->version, s->identity, NULL, sizeof(struct peer_identity) / 8);
		atomic_store(&shm->peer_names.at[slot], 0);
	}
	if (w.deaths >= PEER_MAX_DEATHS || w.state == PEER_CLOSING)
		return PEER_GIVE_UP;
	return torn ? PEER_TORN : PEER_ADOPTED;
}

void peers_forgive(struct shm *shm, uint32_t slot, uint32_t generation)
{
	if (slot >= shm->sizes.max_clients)
		return;
	uint64_t was = atomic_load_explicit(&shm->peer_words.at[slot], memory_order_acquire);
	for (int i = 0; i < WORD_TRIES; i++) {
		struct peer_word w;
		if (!word_in_use(shm, was, &w) || w.generation != generation || !w.deaths)
			return;
		w.deaths = 0;
		if (swap(shm, slot, &was, w))
			return;
	}
}
