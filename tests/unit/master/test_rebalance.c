/* SPDX-License-Identifier: MIT
 * What a busy worker is ordered, by a master that is made by hand: real tables and statistics, real channels. What is
 * decided from which numbers is test_balance.c's. */
#include "made_by_hand.h"

#include "master/balance.h"
#include "worker/orders.h"

static struct config config;
static uint32_t slots[8];

static void set_up(void)
{
	config = (struct config){ .rebalance = CONFIG_REBALANCE };
	hand_made(&config);
}

static struct stats_rates load_of(unsigned permille)
{
	return (struct stats_rates){ .cpu_permille = permille };
}

/* A second in which worker 0 had `permille` of its CPU, and its sessions these packets. */
static void second(unsigned permille, const unsigned packets[4])
{
	struct stats_rates busy = load_of(permille), idle = load_of(20);
	stats_rates(stats_worker(m.stats, 0), &busy);
	for (unsigned w = 1; w < WORKERS; w++)
		stats_rates(stats_worker(m.stats, w), &idle);
	for (unsigned i = 0; i < 4; i++)
		peers_count_in(peers_slot(m.shm, slots[i]), packets[i], packets[i] * 1000, 1);
	rebalance_go_on(&m);
}

/* The sessions that worker 0 was told to give away; moves them. */
static unsigned given(uint32_t out[8])
{
	struct order order;
	unsigned count = 0;
	int fd;
	while (order_receive(ends[0], &order, &fd) > 0) {
		struct order_session list[ORDER_SESSIONS_MAX];
		ck_assert_int_eq(order.kind, ORDER_MOVE);
		ck_assert_int_gt(order.value, 0);
		ck_assert_int_lt(order.value, WORKERS);
		memcpy(list, order.text, order.len);
		for (unsigned i = 0; i < order.len / sizeof(list[0]); i++) {
			ck_assert(peers_move_owner(m.shm, list[i].slot, list[i].generation, 0, (unsigned)order.value));
			out[count++] = list[i].slot;
		}
	}
	return count;
}

static void four_sessions(void)
{
	for (unsigned i = 0; i < 4; i++)
		slots[i] = session_of(0);
}

START_TEST(a_busy_worker_gives_what_makes_it_even)
{
	static const unsigned packets[4] = { 60000, 20000, 10000, 0 };
	uint32_t moved[8];
	unsigned all = 0;

	four_sessions();
	for (unsigned i = 0; i < BALANCE_PATIENCE + 1 && !all; i++) {
		ck_assert_uint_eq(given(moved), 0); /* not at once */
		second(900, packets);
	}
	for (unsigned i = 0; i < 3 && !all; i++) {
		second(900, packets);
		all = given(moved);
	}
	ck_assert_uint_gt(all, 0);
	for (unsigned i = 0; i < all; i++) {
		ck_assert_uint_ne(moved[i], slots[0]); /* two thirds of all: an elephant */
		ck_assert_uint_ne(moved[i], slots[3]); /* costs nothing */
	}
	ck_assert_uint_eq(moved[0], slots[1]);
	ck_assert_uint_eq(atomic_load(&m.stats->header->rebalanced), all);
}
END_TEST

START_TEST(switched_off_or_below_the_limit_nothing_moves)
{
	static const unsigned packets[4] = { 30000, 30000, 30000, 30000 };
	uint32_t moved[8];

	four_sessions();
	config.rebalance = 0;
	for (unsigned i = 0; i < 30; i++)
		second(950, packets);
	ck_assert_uint_eq(given(moved), 0);
	config.rebalance = 91;
	for (unsigned i = 0; i < 30; i++)
		second(900, packets);
	ck_assert_uint_eq(given(moved), 0); /* not busy enough */
	config.rebalance = 90;
	for (unsigned i = 0; i < 30; i++)
		second(900, packets);
	ck_assert_uint_gt(given(moved), 0);
}
END_TEST

START_TEST(drained_workers_and_those_that_are_away_get_nothing)
{
	static const unsigned packets[4] = { 30000, 30000, 30000, 30000 };
	uint32_t moved[8], generation;

	four_sessions();
	seats[1].drained = true;
	seats[2].ready = false;
	roster_apply(&m);
	for (unsigned i = 0; i < 30; i++)
		second(950, packets);
	unsigned count = given(moved);
	ck_assert_uint_gt(count, 0);
	while (count--)
		ck_assert_uint_eq(peers_owner(m.shm, moved[count], &generation), 3);
	/* With nobody else there is nobody to give to. */
	seats[3].ready = false;
	for (unsigned i = 0; i < 30; i++)
		second(950, packets);
	ck_assert_uint_eq(given(moved), 0);
}
END_TEST

START_TEST(who_moved_stays_for_a_while)
{
	static const unsigned packets[4] = { 30000, 30000, 30000, 30000 };
	uint32_t moved[8], generation;

	four_sessions();
	for (unsigned i = 0; i < 20; i++)
		second(950, packets);
	unsigned count = given(moved);
	ck_assert_uint_gt(count, 0);
	/* They come back by hand, and are as busy there as before. */
	for (unsigned i = 0; i < count; i++) {
		unsigned owner = peers_owner(m.shm, moved[i], &generation);
		ck_assert(peers_move_owner(m.shm, moved[i], generation, owner, 0));
	}
	uint32_t again[8];
	for (unsigned k = 0; k < 30; k++)
		second(950, packets);
	unsigned others = given(again);
	for (unsigned i = 0; i < others; i++)
		for (unsigned k = 0; k < count; k++)
			ck_assert_uint_ne(again[i], moved[k]);
}
END_TEST

static void add_tests(TCase *t)
{
	tcase_add_checked_fixture(t, set_up, hand_unmade);
	tcase_add_test(t, a_busy_worker_gives_what_makes_it_even);
	tcase_add_test(t, switched_off_or_below_the_limit_nothing_moves);
	tcase_add_test(t, drained_workers_and_those_that_are_away_get_nothing);
	tcase_add_test(t, who_moved_stays_for_a_while);
}

int main(void)
{
	return suite_run("rebalance", add_tests);
}
