/* SPDX-License-Identifier: MIT
 * Random content in the state segment never crashes who reads or changes it: every index from it is checked.
 */
#include "shm/cells.h"
#include "shm/handover_ring.h"
#include "shm/last_words.h"
#include "shm/leases.h"
#include "shm/limits.h"
#include "shm/links.h"
#include "shm/routes.h"
#include "tests/unit/shm/fixture.h"

static void fill(void *at, size_t len, uint64_t *seed)
{
	uint8_t *bytes = at;
	for (size_t i = 0; i + 8 <= len; i += 8) {
		uint64_t word = chance(seed);
		switch (chance(seed) % 4) { /* small numbers meet more checks than large ones */
		case 0:
			word &= 0x0000007f000000ff;
			break;
		case 1:
			word = (word & ~0xfffffull) | chance(seed) % 128;
			break;
		case 2:
			word &= 0xe00000ff0000000f;
			break;
		}
		memcpy(bytes + i, &word, 8);
	}
}

/* Every call there is, with arguments of all kinds. What they answer is not the question. */
static void use_everything(struct shm *shm, uint64_t *seed)
{
	struct peer_row row;
	struct peer_word word;
	struct peer_identity id = { 0 };
	struct lease_row lease;
	struct last_words_copy words;
	struct ring_item item;
	struct link_address a = address4((uint32_t)chance(seed) % 100, 1);
	uint8_t ip[16] = { 10, 8, 0, (uint8_t)chance(seed) };
	uint8_t secrets[2][SHM_SECRET_LEN];
	uint32_t slot = (uint32_t)chance(seed) % 110, generation = (uint32_t)chance(seed) % 16, s, g;
	unsigned worker = (unsigned)(chance(seed) % 4);
	const struct source_rates rates = { 1, 2, 3, 4, 0 };

	snprintf(id.common_name, sizeof(id.common_name), "client %u", slot);
	peers_word(shm, slot, &word);
	if (peers_owner(shm, slot, &g) != WORKER_NONE) {
		ck_assert_uint_lt(peers_owner(shm, slot, &g), 3);
		generation = g;
	}
	if (peers_read(shm, slot, &row)) {
		ck_assert_uint_lt(strlen(row.identity.common_name), PEER_NAME_ROOM);
		ck_assert_uint_lt(row.owner, 3);
	}
	peers_count(shm);
	peers_find_name(shm, id.common_name, slot, 0);
	peers_next(shm, slot);
	peers_next_owned(shm, worker, slot);
	peers_write(shm, slot, generation, &id);
	peers_set_state(shm, slot, generation, (enum peer_state)(chance(seed) % 5));
	peers_move_owner(shm, slot, generation, worker, worker + 1);
	peers_adopt(shm, slot, worker, chance(seed) % 2, &g);
	peers_forgive(shm, slot, generation);
	if (links_find(shm, &a, &s, &g))
		ck_assert(peers_slot(shm, s) != NULL);
	links_put(shm, &a, slot, generation, &s, &g);
	links_replace(shm, &a, slot, generation, slot + 1, generation);
	links_remove(shm, &a, slot, generation);
	for (unsigned family = 3; family < 8; family++) {
		unsigned bits = (unsigned)chance(seed) % 140;
		if (routes_find(shm, family, ip, &s, &g))
			ck_assert(peers_slot(shm, s) != NULL);
		routes_put(shm, family, ip, bits, slot, generation, NULL, NULL);
		routes_replace(shm, family, ip, bits, slot, generation, slot + 1, generation);
		routes_remove(shm, family, ip, bits, slot, generation);
	}
	s = lease_take(shm, id.common_name, slot, generation);
	ck_assert(s == LEASE_NONE || s < lease_count(shm));
	lease_take_exact(shm, slot, id.common_name, slot, generation);
	lease_release(shm, slot, slot, generation);
	lease_remember(shm, slot, "name");
	if (lease_read(shm, slot, &lease))
		ck_assert_uint_lt(strlen(lease.name), PEER_NAME_ROOM);
	source_take(shm, &rates, &a, (mono_ms)chance(seed));
	limit_take(shm_limit(shm, LIMIT_OPENERS), 10, 10, (mono_ms)chance(seed));
	limit_give_back(shm_limit(shm, LIMIT_OPENERS), 10, (mono_ms)chance(seed));
	last_words_take(shm, worker, &words);
	struct ring ring = ring_between(shm, worker, slot % 4);
	if (ring_reserve(ring, (uint32_t)chance(seed) % 2000, &item)) {
		memset(item.payload, 1, item.len);
		item.kind = HANDOVER_PACKET;
		ring_commit(ring, &item);
	}
	uint64_t at = ring_start(ring);
	for (int i = 0; i < 200 && ring_next(ring, &at, &item) == RING_ITEM; i++)
		memset(item.payload - item.headroom, 2, (size_t)item.headroom + item.len + item.tailroom);
	ring_release(ring, at);
	shm_secrets(shm, secrets[0], secrets[1]);
	shm_rotate_secrets(shm);
	shm_next_epoch(shm);
	if (chance(seed) % 8 == 0)
		peers_take(shm, worker, &g);
	if (chance(seed) % 8 == 0)
		peers_release(shm, slot, generation);
}

START_TEST(random_content_never_crashes_anybody)
{
	struct shm *shm = small_segment();
	uint64_t seed = 0x9e3779b97f4a7c15u + (uint64_t)_i;
	for (int i = 0; i < 40; i++) {
		/* Everything, the header too: a handle believes nothing of it any more. */
		fill(shm->base, shm->size, &seed);
		for (int k = 0; k < 300; k++)
			use_everything(shm, &seed);
	}
	shm_detach(&shm);
}
END_TEST

START_TEST(single_words_gone_wrong_never_crash_anybody)
{
	struct shm *shm = small_segment();
	uint64_t seed = 77 + (uint64_t)_i;
	for (int i = 0; i < 20000; i++) {
		size_t at = chance(&seed) % (shm->size / 8) * 8;
		uint64_t word = chance(&seed);
		memcpy(shm->base + at, &word, 8);
		use_everything(shm, &seed);
	}
	shm_detach(&shm);
}
END_TEST

int main(void)
{
	TCase *t = tcase_create("nonsense");
	tcase_set_timeout(t, 60);
	tcase_add_loop_test(t, random_content_never_crashes_anybody, 0, 3);
	tcase_add_loop_test(t, single_words_gone_wrong_never_crash_anybody, 0, 2);
	return run_suite(t, "shm nonsense");
}
