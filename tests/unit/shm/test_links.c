/* SPDX-License-Identifier: MIT
 * Outer addresses: one session each, gone with the session; and the states of the cells behind links and
 * routes. */
#include "shm/links.h"
#include "shm/cells.h"
#include "tests/unit/shm/fixture.h"

static bool finds(struct shm *shm, struct link_address a, struct session s)
{
	uint32_t slot = PEER_NONE, generation = 0;
	return links_find(shm, &a, &slot, &generation) && slot == s.slot && generation == s.generation;
}

static bool finds_none(struct shm *shm, struct link_address a)
{
	uint32_t slot, generation;
	return !links_find(shm, &a, &slot, &generation);
}

START_TEST(an_address_is_found_after_it_was_put_and_not_after_it_was_removed)
{
	struct shm *shm = small_segment();
	struct session s = new_session(shm, 0);
	struct link_address a = address4(0xc0000201, 1194), b = address4(0xc0000201, 1195);
	ck_assert(finds_none(shm, a));
	ck_assert_int_eq(links_put(shm, &a, s.slot, s.generation, NULL, NULL), LINK_PUT);
	ck_assert_int_eq(links_put(shm, &a, s.slot, s.generation, NULL, NULL), LINK_SAME);
	ck_assert(finds(shm, a, s));
	ck_assert(finds_none(shm, b));
	ck_assert(!links_remove(shm, &b, s.slot, s.generation));
	ck_assert(!links_remove(shm, &a, s.slot, s.generation + 1));
	ck_assert(links_remove(shm, &a, s.slot, s.generation));
	ck_assert(!links_remove(shm, &a, s.slot, s.generation));
	ck_assert(finds_none(shm, a));
	shm_detach(&shm);
}
END_TEST

START_TEST(an_address_of_a_live_session_is_refused_to_others)
{
	struct shm *shm = small_segment();
	struct session s = new_session(shm, 0), t = new_session(shm, 1);
	struct link_address a = address4(0xc0000201, 1194);
	uint32_t slot = 0, generation = 0;
	links_put(shm, &a, s.slot, s.generation, NULL, NULL);
	ck_assert_int_eq(links_put(shm, &a, t.slot, t.generation, &slot, &generation), LINK_TAKEN);
	ck_assert_uint_eq(slot, s.slot);
	ck_assert_uint_eq(generation, s.generation);
	ck_assert(finds(shm, a, s));
	shm_detach(&shm);
}
END_TEST

START_TEST(an_address_is_replaced_only_from_the_session_that_has_it)
{
	struct shm *shm = small_segment();
	struct session s = new_session(shm, 0), t = new_session(shm, 1), u = new_session(shm, 1);
	struct link_address a = address4(0xc0000201, 1194);
	links_put(shm, &a, s.slot, s.generation, NULL, NULL);
	ck_assert_int_eq(links_replace(shm, &a, u.slot, u.generation, t.slot, t.generation), LINK_TAKEN);
	ck_assert(finds(shm, a, s));
	ck_assert_int_eq(links_replace(shm, &a, s.slot, s.generation, t.slot, t.generation), LINK_PUT);
	ck_assert(finds(shm, a, t));
	links_remove(shm, &a, t.slot, t.generation);
	ck_assert_int_eq(links_replace(shm, &a, t.slot, t.generation, u.slot, u.generation), LINK_PUT);
	ck_assert(finds(shm, a, u));
	shm_detach(&shm);
}
END_TEST

START_TEST(an_address_ends_with_its_session_though_nobody_removed_it)
{
	struct shm *shm = small_segment();
	struct session s = new_session(shm, 0);
	struct link_address a = address4(0xc0000201, 1194);
	links_put(shm, &a, s.slot, s.generation, NULL, NULL);
	peers_release(shm, s.slot, s.generation);
	ck_assert(finds_none(shm, a));
	struct session t = new_session(shm, 0); /* the same slot */
	ck_assert(finds_none(shm, a));
	ck_assert_int_eq(links_put(shm, &a, t.slot, t.generation, NULL, NULL), LINK_PUT);
	ck_assert(finds(shm, a, t));
	shm_detach(&shm);
}
END_TEST

START_TEST(a_session_that_has_ended_gets_no_address)
{
	struct shm *shm = small_segment();
	struct session s = new_session(shm, 0);
	struct link_address a = address4(0xc0000201, 1194);
	peers_release(shm, s.slot, s.generation);
	ck_assert_int_eq(links_put(shm, &a, s.slot, s.generation, NULL, NULL), LINK_FULL);
	ck_assert_int_eq(links_put(shm, &a, 4711, 1, NULL, NULL), LINK_FULL);
	ck_assert_int_eq(links_replace(shm, &a, 1, 1, s.slot, s.generation), LINK_FULL);
	shm_detach(&shm);
}
END_TEST

START_TEST(roaming_for_ever_fills_nothing_up)
{
	struct shm *shm = small_segment();
	struct session all[100];
	struct link_address at[100];
	uint64_t seed = 42;
	for (int i = 0; i < 100; i++) {
		all[i] = new_session(shm, 0);
		at[i] = address4((uint32_t)i, 1);
		ck_assert_int_eq(
			links_put(shm, &at[i], all[i].slot, all[i].generation, NULL, NULL), LINK_PUT);
	}
	for (int i = 0; i < 100000; i++) {
		unsigned k = (unsigned)(chance(&seed) % 100);
		struct link_address to = address4((uint32_t)chance(&seed), (uint16_t)(100 + k));
		ck_assert_int_eq(links_put(shm, &to, all[k].slot, all[k].generation, NULL, NULL), LINK_PUT);
		if (chance(&seed) % 2)
			ck_assert(links_remove(shm, &at[k], all[k].slot, all[k].generation));
		else { /* left behind: the session starts anew */
			peers_release(shm, all[k].slot, all[k].generation);
			all[k] = new_session(shm, 0);
			links_put(shm, &to, all[k].slot, all[k].generation, NULL, NULL);
		}
		at[k] = to;
	}
	for (int i = 0; i < 100; i++)
		ck_assert(finds(shm, at[i], all[i]));
	shm_detach(&shm);
}
END_TEST

/* -- deaths in the middle: the cells as a dead worker leaves them -- */

static uint32_t cell_with(struct shm *shm, unsigned kind)
{
	for (uint32_t i = 0; i < shm->link_words.entries; i++)
		if (atomic_load(&shm->link_words.at[i]) >> 61 == kind)
			return i;
	return PEER_NONE;
}

static void set_kind(struct shm *shm, uint32_t cell, uint64_t kind)
{
	uint64_t word = atomic_load(&shm->link_words.at[cell]);
	atomic_store(&shm->link_words.at[cell], (word & ~(7ull << 61)) | kind << 61);
}

enum { CLAIMED = 1, PENDING = 2, LIVE = 3 };

START_TEST(what_a_dead_worker_left_half_put_is_not_found_and_not_in_the_way)
{
	for (uint64_t kind = CLAIMED; kind <= PENDING; kind++) {
		struct shm *shm = small_segment();
		struct session s = new_session(shm, 0), t = new_session(shm, 1);
		struct link_address a = address4(0xc0000201, 1194);
		links_put(shm, &a, s.slot, s.generation, NULL, NULL);
		set_kind(shm, cell_with(shm, LIVE), kind);
		ck_assert(finds_none(shm, a));
		ck_assert_int_eq(links_put(shm, &a, t.slot, t.generation, NULL, NULL), LINK_PUT);
		ck_assert(finds(shm, a, t));
		ck_assert_int_eq(links_put(shm, &a, s.slot, s.generation, NULL, NULL), LINK_TAKEN);
		shm_detach(&shm);
	}
}
END_TEST

START_TEST(a_successor_puts_again_what_its_predecessor_left_half_put)
{
	for (uint64_t kind = CLAIMED; kind <= PENDING; kind++) {
		struct shm *shm = small_segment();
		struct session s = new_session(shm, 0);
		struct link_address a = address4(0xc0000201, 1194);
		links_put(shm, &a, s.slot, s.generation, NULL, NULL);
		uint32_t cell = cell_with(shm, LIVE);
		set_kind(shm, cell, kind);
		ck_assert_int_eq(links_put(shm, &a, s.slot, s.generation, NULL, NULL), LINK_PUT);
		ck_assert_uint_eq(cell_with(shm, LIVE), cell);
		shm_detach(&shm);
	}
}
END_TEST

START_TEST(a_window_without_room_is_full_and_changes_nothing)
{
	struct shm *shm = small_segment();
	struct session s = new_session(shm, 0), t = new_session(shm, 0);
	struct link_address a = address4(0xc0000201, 1194);
	for (uint32_t i = 0; i < shm->link_words.entries; i++)
		atomic_store(
			&shm->link_words.at[i], (uint64_t)LIVE << 61 | (uint64_t)t.slot << 32 | t.generation);
	ck_assert_int_eq(links_put(shm, &a, s.slot, s.generation, NULL, NULL), LINK_FULL);
	ck_assert(finds_none(shm, a));
	peers_release(shm, t.slot, t.generation);
	ck_assert_int_eq(links_put(shm, &a, s.slot, s.generation, NULL, NULL), LINK_PUT);
	ck_assert(finds(shm, a, s));
	shm_detach(&shm);
}
END_TEST

int main(void)
{
	TCase *t = tcase_create("links");
	tcase_add_test(t, an_address_is_found_after_it_was_put_and_not_after_it_was_removed);
	tcase_add_test(t, an_address_of_a_live_session_is_refused_to_others);
	tcase_add_test(t, an_address_is_replaced_only_from_the_session_that_has_it);
	tcase_add_test(t, an_address_ends_with_its_session_though_nobody_removed_it);
	tcase_add_test(t, a_session_that_has_ended_gets_no_address);
	tcase_add_test(t, roaming_for_ever_fills_nothing_up);
	tcase_add_test(t, what_a_dead_worker_left_half_put_is_not_found_and_not_in_the_way);
	tcase_add_test(t, a_successor_puts_again_what_its_predecessor_left_half_put);
	tcase_add_test(t, a_window_without_room_is_full_and_changes_nothing);
	return run_suite(t, "shm links");
}
