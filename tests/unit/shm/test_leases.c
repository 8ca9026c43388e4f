/* SPDX-License-Identifier: MIT
 * The address pool: who gets which index, and who gets it back. */
#include "shm/leases.h"
#include "tests/unit/shm/fixture.h"

static uint32_t take(struct shm *shm, const char *name, struct session s)
{
	return lease_take(shm, name, s.slot, s.generation);
}

START_TEST(a_pool_is_as_large_as_the_smaller_family_that_is_configured)
{
	const uint32_t cases[][3] = { { 40, 60, 40 }, { 60, 40, 40 }, { 40, 0, 40 }, { 0, 60, 60 },
		{ 0, 0, 0 } };
	for (int i = 0; i < 5; i++) {
		struct shm *shm = segment_of((struct shm_sizes){ 1, 10, 0, cases[i][0], cases[i][1], 4096 });
		ck_assert_uint_eq(lease_count(shm), cases[i][2]);
		if (!cases[i][2])
			ck_assert_uint_eq(take(shm, "alice", new_session(shm, 0)), LEASE_NONE);
		shm_detach(&shm);
	}
}
END_TEST

START_TEST(unused_indices_come_first_and_in_order)
{
	struct shm *shm = small_segment();
	struct session s = new_session(shm, 0);
	ck_assert_uint_eq(take(shm, "a", s), 0);
	ck_assert_uint_eq(take(shm, "b", s), 1);
	ck_assert(lease_release(shm, 0, s.slot, s.generation));
	ck_assert_uint_eq(take(shm, "c", s), 2);
	shm_detach(&shm);
}
END_TEST

START_TEST(a_name_gets_back_what_it_had)
{
	struct shm *shm = small_segment();
	struct session s = new_session(shm, 0), t = new_session(shm, 1);
	take(shm, "alice", s);
	ck_assert_uint_eq(take(shm, "bob", s), 1);
	lease_release(shm, 1, s.slot, s.generation);
	ck_assert_uint_eq(take(shm, "carol", t), 2);
	ck_assert_uint_eq(take(shm, "bob", t), 1);
	/* Alice's is taken, so a second alice gets another. */
	ck_assert_uint_eq(take(shm, "alice", t), 3);
	shm_detach(&shm);
}
END_TEST

START_TEST(when_all_were_used_the_one_longest_unused_goes)
{
	struct shm *shm = small_segment();
	struct session s = new_session(shm, 0);
	for (uint32_t i = 0; i < 40; i++)
		ck_assert_uint_eq(take(shm, NULL, s), i);
	ck_assert_uint_eq(take(shm, NULL, s), LEASE_NONE);
	lease_release(shm, 7, s.slot, s.generation);
	lease_release(shm, 3, s.slot, s.generation);
	lease_release(shm, 9, s.slot, s.generation);
	ck_assert_uint_eq(take(shm, "x", s), 7);
	ck_assert_uint_eq(take(shm, "y", s), 3);
	ck_assert_uint_eq(take(shm, "z", s), 9);
	ck_assert_uint_eq(take(shm, "z", s), LEASE_NONE);
	shm_detach(&shm);
}
END_TEST

START_TEST(an_exact_index_is_given_unless_it_is_taken)
{
	struct shm *shm = small_segment();
	struct session s = new_session(shm, 0), t = new_session(shm, 1);
	ck_assert(lease_take_exact(shm, 5, "alice", s.slot, s.generation));
	ck_assert(lease_take_exact(shm, 5, "alice", s.slot, s.generation));
	ck_assert(!lease_take_exact(shm, 5, "bob", t.slot, t.generation));
	ck_assert(!lease_take_exact(shm, 40, "bob", t.slot, t.generation));
	ck_assert(!lease_take_exact(shm, LEASE_NONE, "bob", t.slot, t.generation));
	ck_assert(!lease_release(shm, 5, t.slot, t.generation));
	ck_assert(!lease_release(shm, 40, t.slot, t.generation));
	ck_assert(lease_release(shm, 5, s.slot, s.generation));
	ck_assert(!lease_release(shm, 5, s.slot, s.generation));
	ck_assert(lease_take_exact(shm, 5, "bob", t.slot, t.generation));
	shm_detach(&shm);
}
END_TEST

START_TEST(a_lease_of_a_session_that_ended_is_free)
{
	struct shm *shm = small_segment();
	struct session s = new_session(shm, 0);
	struct lease_row row;
	ck_assert_uint_eq(take(shm, "alice", s), 0);
	ck_assert(lease_read(shm, 0, &row) && row.taken && row.slot == s.slot);
	peers_release(shm, s.slot, s.generation);
	ck_assert(lease_read(shm, 0, &row) && !row.taken);
	ck_assert_str_eq(row.name, "alice");
	struct session t = new_session(shm, 0);
	ck_assert_uint_eq(take(shm, "alice", t), 0);
	ck_assert(!lease_release(shm, 0, s.slot, s.generation));
	ck_assert_uint_eq(lease_take(shm, "x", s.slot, s.generation), LEASE_NONE);
	ck_assert(!lease_take_exact(shm, 9, "x", s.slot, s.generation));
	shm_detach(&shm);
}
END_TEST

START_TEST(what_the_pool_file_says_is_remembered)
{
	struct shm *shm = small_segment();
	struct session s = new_session(shm, 0);
	struct lease_row row;
	ck_assert(lease_remember(shm, 11, "alice"));
	ck_assert(!lease_remember(shm, 40, "alice"));
	ck_assert(lease_read(shm, 11, &row) && !row.taken);
	ck_assert_str_eq(row.name, "alice");
	ck_assert_uint_eq(take(shm, "bob", s), 0);
	ck_assert_uint_eq(take(shm, "alice", s), 11);
	ck_assert(!lease_remember(shm, 11, "carol"));
	ck_assert(!lease_read(shm, 40, &row));
	shm_detach(&shm);
}
END_TEST

START_TEST(a_name_that_is_not_the_one_noted_is_not_shown)
{
	struct shm *shm = small_segment();
	struct session s = new_session(shm, 0);
	struct lease_row row;
	take(shm, "alice", s);
	atomic_fetch_xor(&shm->lease_texts.at[0].words[0], 1); /* half-written */
	ck_assert(lease_read(shm, 0, &row) && row.taken);
	ck_assert_str_eq(row.name, "");
	shm_detach(&shm);
}
END_TEST

int main(void)
{
	TCase *t = tcase_create("leases");
	tcase_add_test(t, a_pool_is_as_large_as_the_smaller_family_that_is_configured);
	tcase_add_test(t, unused_indices_come_first_and_in_order);
	tcase_add_test(t, a_name_gets_back_what_it_had);
	tcase_add_test(t, when_all_were_used_the_one_longest_unused_goes);
	tcase_add_test(t, an_exact_index_is_given_unless_it_is_taken);
	tcase_add_test(t, a_lease_of_a_session_that_ended_is_free);
	tcase_add_test(t, what_the_pool_file_says_is_remembered);
	tcase_add_test(t, a_name_that_is_not_the_one_noted_is_not_shown);
	return run_suite(t, "shm leases");
}
