/* SPDX-License-Identifier: MIT
 * Budgets per stretch of time, and buckets per source. */
#include "shm/limits.h"
#include "tests/unit/shm/fixture.h"

START_TEST(a_budget_is_used_up_and_comes_back_with_the_next_period)
{
	struct shm *shm = small_segment();
	struct limit *l = shm_limit(shm, LIMIT_OPENERS);
	for (int i = 0; i < 3; i++)
		ck_assert(limit_take(l, 3, 10000, 50000));
	ck_assert(!limit_take(l, 3, 10000, 50000));
	ck_assert(!limit_take(l, 3, 10000, 59999));
	ck_assert(limit_take(l, 3, 10000, 60000));
	ck_assert(limit_take(shm_limit(shm, LIMIT_CONNECTS), 3, 10000, 50000));
	shm_detach(&shm);
}
END_TEST

START_TEST(what_is_given_back_can_be_taken_again_in_the_same_period_only)
{
	struct shm *shm = small_segment();
	struct limit *l = shm_limit(shm, LIMIT_OPENERS);
	limit_give_back(l, 10000, 50000); /* nothing was taken */
	ck_assert(limit_take(l, 1, 10000, 50000));
	ck_assert(!limit_take(l, 1, 10000, 50001));
	limit_give_back(l, 10000, 50002);
	ck_assert(limit_take(l, 1, 10000, 50003));
	limit_give_back(l, 10000, 60000); /* another period: does nothing */
	ck_assert(!limit_take(l, 1, 10000, 50004));
	shm_detach(&shm);
}
END_TEST

START_TEST(no_rate_is_no_limit_and_no_period_is_no_crash)
{
	struct shm *shm = small_segment();
	struct limit *l = shm_limit(shm, LIMIT_OPENERS);
	for (int i = 0; i < 1000; i++)
		ck_assert(limit_take(l, 0, 10000, 50000));
	ck_assert(limit_take(l, 1, 0, 50000));
	ck_assert(!limit_take(l, 1, 0, 50000));
	ck_assert(limit_take(l, 1, 0, 50001));
	ck_assert_ptr_nonnull(shm_limit(shm, (enum shm_limit)99));
	shm_detach(&shm);
}
END_TEST

START_TEST(any_value_in_the_word_only_lets_more_or_fewer_through)
{
	struct shm *shm = small_segment();
	struct limit *l = shm_limit(shm, LIMIT_OPENERS);
	atomic_store(&l->word, UINT64_MAX);
	ck_assert(limit_take(l, 1, 1000, 5000));
	atomic_store(&l->word, 5ull << 24 | 0xffffff);
	ck_assert(!limit_take(l, UINT32_MAX, 1000, 5000));
	ck_assert(limit_take(l, UINT32_MAX, 1000, 6000));
	shm_detach(&shm);
}
END_TEST

static const struct source_rates rates = {
	.host_per_s = 2, .host_burst = 3, .network_per_s = 5, .network_burst = 6
};

START_TEST(a_source_has_its_burst_and_then_its_rate)
{
	struct shm *shm = small_segment();
	struct link_address a = address4(0xc0000201, 1000);
	for (int i = 0; i < 3; i++) {
		a.port++; /* other ports are the same source */
		ck_assert(source_take(shm, &rates, &a, 1000000));
	}
	ck_assert(!source_take(shm, &rates, &a, 1000000));
	ck_assert(!source_take(shm, &rates, &a, 1000499));
	ck_assert(source_take(shm, &rates, &a, 1000500));
	ck_assert(!source_take(shm, &rates, &a, 1000501));
	ck_assert(source_take(shm, &rates, &a, 1010000));
	shm_detach(&shm);
}
END_TEST

START_TEST(asking_often_does_not_lose_what_is_earned)
{
	struct shm *shm = small_segment();
	struct link_address a = address4(0xc0000201, 1000);
	int passed = 0;
	for (int ms = 0; ms < 10000; ms++)
		passed += source_take(shm, &rates, &a, 1000000 + ms);
	ck_assert_int_ge(passed, 3 + 19);
	ck_assert_int_le(passed, 3 + 20);
	shm_detach(&shm);
}
END_TEST

START_TEST(neighbours_share_the_rate_of_their_network)
{
	struct shm *shm = small_segment();
	int passed = 0;
	for (uint32_t i = 0; i < 20; i++) {
		struct link_address a = address4(0xc0000200 + i, 1000);
		passed += source_take(shm, &rates, &a, 1000000);
	}
	ck_assert_int_eq(passed, 6);
	struct link_address far = address4(0xc0000301, 1000);
	ck_assert(source_take(shm, &rates, &far, 1000000));
	shm_detach(&shm);
}
END_TEST

START_TEST(buckets_of_another_kind_are_others)
{
	struct shm *shm = small_segment();
	struct link_address a = address4(0xc0000201, 1000);
	struct source_rates others = rates;
	others.kind = 1;
	for (int i = 0; i < 3; i++)
		ck_assert(source_take(shm, &rates, &a, 1000000));
	ck_assert(!source_take(shm, &rates, &a, 1000000));
	ck_assert(source_take(shm, &others, &a, 1000000));
	shm_detach(&shm);
}
END_TEST

START_TEST(one_host_over_its_rate_leaves_its_neighbours_theirs)
{
	struct shm *shm = small_segment();
	struct link_address loud = address4(0xc0000201, 1000), calm = address4(0xc0000202, 1000);
	for (int i = 0; i < 1000; i++)
		source_take(shm, &rates, &loud, 1000000);
	ck_assert(source_take(shm, &rates, &calm, 1000000));
	shm_detach(&shm);
}
END_TEST

START_TEST(an_ipv6_source_is_its_64_and_its_48)
{
	struct shm *shm = small_segment();
	int passed = 0;
	struct link_address a = { .family = 6, .port = 1, .ip = { 0x20, 1, 0xd, 0xb8 } };
	for (uint8_t i = 0; i < 20; i++) {
		a.ip[15] = i;
		passed += source_take(shm, &rates, &a, 1000000);
	}
	ck_assert_int_eq(passed, 3);
	for (uint8_t i = 1; i < 20; i++) {
		a.ip[7] = i;
		passed += source_take(shm, &rates, &a, 1000000);
	}
	ck_assert_int_eq(passed, 6);
	shm_detach(&shm);
}
END_TEST

/* Each worker takes the time when its batch begins: one may be a little behind another. */
START_TEST(a_worker_whose_clock_is_behind_anothers_earns_the_source_nothing)
{
	struct shm *shm = small_segment();
	struct link_address a = address4(0xc0000201, 1000);
	for (int i = 0; i < 3; i++)
		ck_assert(source_take(shm, &rates, &a, 1000000));
	for (int i = 0; i < 100; i++)
		ck_assert(!source_take(shm, &rates, &a, 1000000 - i % 20));
	ck_assert(source_take(shm, &rates, &a, 1000500));
	/* Away for so long that the bucket's 32 bits have gone half round: its tokens are back all the same. */
	ck_assert(source_take(shm, &rates, &a, 1000500 + (1ll << 31) + 5));
	shm_detach(&shm);
}
END_TEST

START_TEST(a_budget_is_not_given_out_again_by_a_worker_that_is_still_in_the_period_before)
{
	struct shm *shm = small_segment();
	struct limit *l = shm_limit(shm, LIMIT_OPENERS);
	int taken = 0;
	for (int i = 0; i < 100; i++)
		taken += limit_take(l, 3, 10000, i % 2 ? 59999 : 60000);
	ck_assert_int_eq(taken, 3);
	/* A longer period after a reload has smaller numbers: the old word is not the next one of those. */
	ck_assert(limit_take(l, 3, 1000000, 60001));
	shm_detach(&shm);
}
END_TEST

START_TEST(a_table_full_of_nonsense_and_a_flood_of_sources_end_well)
{
	struct shm *shm = small_segment();
	const struct source_rates wild = { UINT32_MAX, UINT32_MAX, UINT32_MAX, 0, 0 };
	uint64_t seed = 7;
	for (size_t i = 0; i < shm->sources.entries; i++)
		atomic_store(&shm->sources.at[i], chance(&seed));
	for (int i = 0; i < 200000; i++) {
		struct link_address a = address4((uint32_t)chance(&seed), 1);
		source_take(shm, i % 2 ? &rates : &wild, &a, 1000000 + i);
	}
	struct link_address a = address4(1, 1);
	const struct source_rates none = { 0 };
	for (int i = 0; i < 100; i++)
		ck_assert(source_take(shm, &none, &a, 1));
	shm_detach(&shm);
}
END_TEST

int main(void)
{
	TCase *t = tcase_create("limits");
	tcase_add_test(t, a_budget_is_used_up_and_comes_back_with_the_next_period);
	tcase_add_test(t, what_is_given_back_can_be_taken_again_in_the_same_period_only);
	tcase_add_test(t, no_rate_is_no_limit_and_no_period_is_no_crash);
	tcase_add_test(t, any_value_in_the_word_only_lets_more_or_fewer_through);
	tcase_add_test(t, a_source_has_its_burst_and_then_its_rate);
	tcase_add_test(t, asking_often_does_not_lose_what_is_earned);
	tcase_add_test(t, neighbours_share_the_rate_of_their_network);
	tcase_add_test(t, buckets_of_another_kind_are_others);
	tcase_add_test(t, one_host_over_its_rate_leaves_its_neighbours_theirs);
	tcase_add_test(t, an_ipv6_source_is_its_64_and_its_48);
	tcase_add_test(t, a_worker_whose_clock_is_behind_anothers_earns_the_source_nothing);
	tcase_add_test(t, a_budget_is_not_given_out_again_by_a_worker_that_is_still_in_the_period_before);
	tcase_add_test(t, a_table_full_of_nonsense_and_a_flood_of_sources_end_well);
	return run_suite(t, "shm limits");
}
