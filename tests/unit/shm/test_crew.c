/* SPDX-License-Identifier: MIT
 * Which workers take new sessions. */
#include "shm/crew.h"
#include "tests/unit/shm/fixture.h"

enum { CREW = 70 };

static struct shm *shm;

static void set_up(void)
{
	shm = segment_of((struct shm_sizes){
		.workers = CREW, .max_clients = 64, .max_routes = 16, .pool4_count = 16, .ring_bytes = 4096 });
}

static void tear_down(void)
{
	shm_detach(&shm);
}

START_TEST(nobody_is_active_before_the_master_says_so)
{
	for (unsigned w = 0; w < CREW; w++)
		ck_assert(!crew_is_active(shm, w));
	ck_assert_uint_eq(crew_pick(shm, "x", 1), WORKER_NONE);
}
END_TEST

START_TEST(only_the_active_are_picked_and_each_of_them_is)
{
	unsigned seen[CREW] = { 0 };

	crew_set(shm, 3, true);
	crew_set(shm, 64, true);
	crew_set(shm, CREW - 1, true);
	crew_set(shm, 5, true);
	crew_set(shm, 5, false);
	ck_assert(crew_is_active(shm, 64) && !crew_is_active(shm, 5));
	for (unsigned key = 0; key < 300; key++) {
		unsigned who = crew_pick(shm, &key, sizeof(key));
		ck_assert_uint_lt(who, CREW);
		ck_assert_uint_eq(crew_pick(shm, &key, sizeof(key)), who);
		seen[who]++;
	}
	ck_assert_uint_eq(seen[3] + seen[64] + seen[CREW - 1], 300);
	ck_assert_uint_gt(seen[3], 50);
	ck_assert_uint_gt(seen[64], 50);
	ck_assert_uint_gt(seen[CREW - 1], 50);
}
END_TEST

START_TEST(bits_of_workers_that_do_not_exist_count_for_nothing)
{
	crew_set(shm, CREW, true);
	crew_set(shm, SHM_MAX_WORKERS + 1, true);
	ck_assert_uint_eq(crew_pick(shm, "x", 1), WORKER_NONE);
	for (unsigned i = 0; i < SHM_MAX_WORKERS / 64; i++)
		atomic_store(&shm->header->crew[i], UINT64_MAX);
	for (unsigned key = 0; key < 300; key++)
		ck_assert_uint_lt(crew_pick(shm, &key, sizeof(key)), CREW);
	ck_assert(!crew_is_active(shm, CREW));
}
END_TEST

int main(void)
{
	TCase *t = tcase_create("crew");
	tcase_add_checked_fixture(t, set_up, tear_down);
	tcase_add_test(t, nobody_is_active_before_the_master_says_so);
	tcase_add_test(t, only_the_active_are_picked_and_each_of_them_is);
	tcase_add_test(t, bits_of_workers_that_do_not_exist_count_for_nothing);
	return run_suite(t, "shm crew");
}
