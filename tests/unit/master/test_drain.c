/* SPDX-License-Identifier: MIT
 * What a drained worker is ordered, by a master that is made by hand: real tables, real channels, nobody behind them. */
#include "made_by_hand.h"

#include "shm/crew.h"
#include "shm/last_words.h"
#include "worker/orders.h"

#include <errno.h>

static void set_up(void)
{
	hand_made(NULL);
}

static void sessions(unsigned worker, unsigned count)
{
	while (count--)
		session_of(worker);
}

/* Does what the worker was ordered: how many sessions went where. */
static unsigned obey(unsigned worker, unsigned moved[WORKERS])
{
	struct order order;
	unsigned orders = 0;
	int fd;

	memset(moved, 0, WORKERS * sizeof(moved[0]));
	while (order_receive(ends[worker], &order, &fd) > 0) {
		struct order_session list[ORDER_SESSIONS_MAX];
		ck_assert_int_eq(order.kind, ORDER_MOVE);
		ck_assert_uint_eq(order.len % sizeof(list[0]), 0);
		memcpy(list, order.text, order.len);
		for (unsigned i = 0; i < order.len / sizeof(list[0]); i++) {
			ck_assert(peers_move_owner(m.shm, list[i].slot, list[i].generation, worker,
				(unsigned)order.value));
			moved[order.value]++;
		}
		orders++;
	}
	return orders;
}

static int drain(unsigned worker, bool on)
{
	char error[128] = "";
	int result = drain_worker(&m, worker, on, error, sizeof(error));
	ck_assert_int_eq(result != 0, error[0] != 0);
	return result;
}

START_TEST(the_sessions_of_a_drained_worker_are_spread_evenly)
{
	unsigned moved[WORKERS];

	sessions(0, 30);
	sessions(1, 10);
	sessions(3, 20);
	ck_assert_int_eq(drain(0, true), 0);
	obey(0, moved);
	ck_assert_uint_eq(moved[0], 0);
	/* 60 for three */
	ck_assert_int_le(abs((int)moved[1] - 10), 3);
	ck_assert_int_le(abs((int)moved[2] - 20), 3);
	ck_assert_int_le(abs((int)moved[3] - 0), 3);
	ck_assert_uint_eq(moved[1] + moved[2] + moved[3], 30);
	ck_assert(!seats[0].idle);
	drain_go_on(&m);
	ck_assert(seats[0].idle);
	ck_assert_uint_eq(obey(0, moved), 0);
}
END_TEST

START_TEST(strangers_go_elsewhere_until_it_takes_sessions_again)
{
	ck_assert_int_eq(drain(2, true), 0);
	ck_assert(!crew_is_active(m.shm, 2));
	for (unsigned key = 0; key < 100; key++)
		ck_assert_uint_ne(crew_pick(m.shm, &key, sizeof(key)), 2);
	ck_assert_int_eq(drain(2, true), 0); /* twice is no harm */
	ck_assert_int_eq(drain(2, false), 0);
	ck_assert(crew_is_active(m.shm, 2));
	bool seen = false;
	for (unsigned key = 0; key < 100; key++)
		seen |= crew_pick(m.shm, &key, sizeof(key)) == 2;
	ck_assert(seen);
}
END_TEST

START_TEST(the_last_one_is_not_drained_and_unknown_ones_neither)
{
	ck_assert_int_eq(drain(WORKERS, true), -ENOENT);
	ck_assert_int_eq(drain(0, true), 0);
	ck_assert_int_eq(drain(1, true), 0);
	ck_assert_int_eq(drain(3, true), 0);
	ck_assert_int_eq(drain(2, true), -EBUSY);
	ck_assert(crew_is_active(m.shm, 2));
	ck_assert_int_eq(drain(3, false), 0);
	ck_assert_int_eq(drain(2, true), 0);
	ck_assert(!crew_is_active(m.shm, 2));
	m.phase = PHASE_STOPPING;
	ck_assert_int_eq(drain(3, false), -ENOENT);
}
END_TEST

START_TEST(what_does_not_fit_or_is_not_ready_comes_with_a_later_tick)
{
	unsigned moved[WORKERS], half;
	uint32_t generation, early = peers_take(m.shm, 0, &generation); /* a handshake */

	sessions(0, 100);
	for (unsigned w = 1; w < WORKERS; w++)
		seats[w].ready = w == 2;
	int small = 4096;
	ck_assert_int_eq(setsockopt(seats[0].orders_fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small)), 0);
	ck_assert_int_eq(drain(0, true), 0);
	half = obey(0, moved);
	ck_assert_uint_gt(half, 0);
	ck_assert_uint_lt(moved[2], 100);
	ck_assert_uint_eq(moved[1] + moved[3], 0);
	for (int tick = 0; tick < 100 && moved[2]; tick++) {
		drain_go_on(&m);
		obey(0, moved);
	}
	ck_assert(!seats[0].idle);
	ck_assert_uint_eq(peers_next_owned(m.shm, 0, 0), early);
	ck_assert_uint_eq(peers_next_owned(m.shm, 0, early + 1), PEER_NONE);
	ck_assert(peers_set_state(m.shm, early, generation, PEER_ACTIVE));
	drain_go_on(&m);
	obey(0, moved);
	ck_assert_uint_eq(moved[2], 1);
	/* Nobody is ready: nothing is ordered. */
	sessions(0, 1);
	seats[2].ready = false;
	drain_go_on(&m);
	ck_assert_uint_eq(obey(0, moved), 0);
}
END_TEST

/* What a worker was told it has now. */
static unsigned told(unsigned worker)
{
	struct order order;
	unsigned count = 0;
	int fd;

	while (order_receive(ends[worker], &order, &fd) > 0) {
		struct order_session list[ORDER_SESSIONS_MAX];
		uint32_t generation;
		ck_assert_int_eq(order.kind, ORDER_ADOPT);
		memcpy(list, order.text, order.len);
		for (unsigned i = 0; i < order.len / sizeof(list[0]); i++, count++) {
			ck_assert_uint_eq(peers_owner(m.shm, list[i].slot, &generation), worker);
			ck_assert_uint_eq(generation, list[i].generation);
		}
	}
	return count;
}

START_TEST(the_sessions_of_a_dead_worker_are_given_to_the_others)
{
	uint32_t generation, early = peers_take(m.shm, 0, &generation), at_work;
	struct peer_row row;

	sessions(0, 40);
	sessions(1, 5);
	at_work = peers_next_owned(m.shm, 0, early + 1);
	last_words_note_work(last_words_of(m.shm, 0), at_work);
	seats[0].pid = -1;
	seats[3].ready = false;
	drain_dead(&m, 0);
	ck_assert_uint_eq(peers_next_owned(m.shm, 0, 0), PEER_NONE);
	unsigned one = told(1), two = told(2);
	ck_assert_uint_eq(one + two, 41); /* a handshake too: somebody must end it */
	ck_assert_int_le(abs((int)one + 5 - (int)two), 4);
	ck_assert_uint_eq(told(3), 0);
	/* The one that it died of has one death on its account, the others none. */
	for (uint32_t slot = peers_next(m.shm, 0); slot != PEER_NONE; slot = peers_next(m.shm, slot + 1)) {
		ck_assert(peers_read(m.shm, slot, &row));
		ck_assert_uint_eq(row.deaths, slot == at_work);
	}
}
END_TEST

START_TEST(without_anybody_to_take_them_they_stay_where_they_are)
{
	sessions(0, 10);
	seats[0].pid = -1;
	for (unsigned w = 1; w < WORKERS; w++)
		seats[w].ready = false;
	drain_dead(&m, 0);
	ck_assert_uint_ne(peers_next_owned(m.shm, 0, 0), PEER_NONE);
	seats[0].quick_deaths = QUICK_DEATHS_MAX;
	roster_died(&m, 0);
	ck_assert(!seats[0].shunned);
	ck_assert(crew_is_active(m.shm, 0));
	seats[2].ready = true;
	roster_died(&m, 0);
	ck_assert(seats[0].shunned);
	ck_assert(!crew_is_active(m.shm, 0));
	ck_assert_uint_eq(told(2), 10);
}
END_TEST

START_TEST(who_dies_seldom_keeps_its_sessions)
{
	sessions(0, 10);
	seats[0].pid = -1;
	seats[0].quick_deaths = QUICK_DEATHS_MAX - 1;
	roster_died(&m, 0);
	ck_assert(!seats[0].shunned);
	ck_assert_uint_eq(told(1) + told(2) + told(3), 0);
}
END_TEST

static void add_tests(TCase *t)
{
	tcase_add_checked_fixture(t, set_up, hand_unmade);
	tcase_add_test(t, the_sessions_of_a_drained_worker_are_spread_evenly);
	tcase_add_test(t, strangers_go_elsewhere_until_it_takes_sessions_again);
	tcase_add_test(t, the_last_one_is_not_drained_and_unknown_ones_neither);
	tcase_add_test(t, the_sessions_of_a_dead_worker_are_given_to_the_others);
	tcase_add_test(t, without_anybody_to_take_them_they_stay_where_they_are);
	tcase_add_test(t, who_dies_seldom_keeps_its_sessions);
	tcase_add_test(t, what_does_not_fit_or_is_not_ready_comes_with_a_later_tick);
}

int main(void)
{
	return suite_run("drain", add_tests);
}
