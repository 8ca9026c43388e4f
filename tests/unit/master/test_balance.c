/* SPDX-License-Identifier: MIT
 * Whole days of workers and sessions with made-up costs: what moves, and above all what does not. */
#include "master/balance.h"
#include "tests/lib/suite.h"

#include <string.h>

enum { WORKERS = 4, SESSIONS = 64, STAYS = 60 };

struct client {
	unsigned worker, cost; /* permille of a CPU */
	int stays_until, moves;
};

static struct balance balance;
static struct balance_worker workers[WORKERS];
static struct client clients[SESSIONS];
static unsigned worker_count, client_count, all_moves, base_load;
static uint64_t seed;
static int now;

static void set_up(void)
{
	memset(&balance, 0, sizeof(balance));
	balance.hot_from = 600;
	memset(clients, 0, sizeof(clients));
	worker_count = 2;
	client_count = all_moves = base_load = 0;
	seed = 7;
	now = 0;
	for (unsigned w = 0; w < WORKERS; w++)
		workers[w] = (struct balance_worker){ .able = true };
}

static void add(unsigned worker, unsigned cost, unsigned count)
{
	while (count--)
		clients[client_count++] = (struct client){ .worker = worker, .cost = cost };
}

static unsigned load_of(unsigned worker)
{
	unsigned sum = base_load;
	for (unsigned i = 0; i < client_count; i++)
		sum += clients[i].worker == worker ? clients[i].cost : 0;
	return sum < 1000 ? sum : 1000;
}

static unsigned chance(unsigned below)
{
	seed = seed * 6364136223846793005u + 1442695040888963407u;
	return (unsigned)(seed >> 33) % below;
}

/* One second; gives how many moved. `noise`: loads are off by up to so much. */
static unsigned second(unsigned noise)
{
	struct balance_session list[SESSIONS];
	unsigned of[SESSIONS], chosen[BALANCE_MOVES_MAX], count = 0, moves;

	now++;
	for (unsigned w = 0; w < worker_count; w++) {
		int load = (int)load_of(w) + (noise ? (int)chance(2 * noise) - (int)noise : 0);
		workers[w].load = load < 0 ? 0 : (unsigned)load;
	}
	if (balance_look(&balance, workers, worker_count) != BALANCE_CHOOSE)
		return 0;
	for (unsigned i = 0; i < client_count; i++) {
		if (clients[i].worker != balance.hot)
			continue;
		of[count] = i;
		list[count++] = (struct balance_session){ .slot = i,
			.cost = clients[i].cost * 1000000ull,
			.stays = clients[i].stays_until > now };
	}
	moves = balance_choose(&balance, list, count, chosen);
	ck_assert_uint_le(moves, BALANCE_MOVES_MAX);
	for (unsigned k = 0; k < moves; k++) {
		struct client *c = &clients[of[chosen[k]]];
		ck_assert(c->stays_until <= now);
		ck_assert(workers[balance.cool].able);
		c->worker = balance.cool;
		c->stays_until = now + STAYS;
		c->moves++;
		all_moves++;
	}
	return moves;
}

static void seconds(int count, unsigned noise)
{
	while (count--)
		second(noise);
}

static unsigned difference(void)
{
	unsigned most = 0, least = 1000;
	for (unsigned w = 0; w < worker_count; w++) {
		unsigned load = load_of(w);
		most = load > most ? load : most;
		least = load < least ? load : least;
	}
	return most - least;
}

START_TEST(hot_is_what_the_limit_says)
{
	for (unsigned limit = 300; limit <= 1000; limit += 100) {
		set_up();
		add(0, limit / 20, 20);
		balance.hot_from = limit + 1;
		seconds(60, 0);
		ck_assert_uint_eq(all_moves, 0);
		balance.hot_from = limit;
		seconds(60, 0);
		ck_assert_uint_gt(all_moves, 0);
	}
}
END_TEST

START_TEST(a_hot_worker_gives_until_it_is_even_and_then_nothing_moves)
{
	add(0, 50, 18);
	seconds(BALANCE_PATIENCE, 0);
	ck_assert_uint_eq(all_moves, 0); /* a moment is no reason */
	seconds(60, 0);
	ck_assert_uint_lt(difference(), BALANCE_END + 50);
	unsigned moves = all_moves;
	ck_assert_uint_le(moves, 9);
	seconds(600, 0);
	ck_assert_uint_eq(all_moves, moves);
}
END_TEST

START_TEST(a_few_a_second_at_most)
{
	add(0, 16, 60);
	for (int i = 0; i < 60; i++) {
		unsigned moves = second(0) + second(0) + second(0);
		ck_assert_uint_le(moves, BALANCE_MOVES_MAX);
	}
	ck_assert_uint_lt(difference(), BALANCE_BEGIN);
}
END_TEST

START_TEST(an_elephant_stays_and_the_others_leave_it_alone)
{
	add(0, 700, 1);
	add(0, 25, 8);
	add(1, 25, 2);
	seconds(300, 0);
	ck_assert_int_eq(clients[0].moves, 0);
	ck_assert_uint_eq(clients[0].worker, 0);
	for (unsigned i = 1; i < 9; i++)
		ck_assert_int_le(clients[i].moves, 1);
	ck_assert_uint_le(load_of(0), 800);
	/* Alone with an idle neighbour it could go to and fro for ever. */
	set_up();
	add(0, 950, 1);
	seconds(1000, 0);
	ck_assert_uint_eq(all_moves, 0);
}
END_TEST

START_TEST(two_elephants_part)
{
	add(0, 450, 2);
	seconds(60, 0);
	ck_assert_uint_eq(load_of(0), 450);
	ck_assert_uint_eq(load_of(1), 450);
	seconds(1000, 0);
	ck_assert_uint_eq(all_moves, 1);
}
END_TEST

START_TEST(noise_moves_nobody_to_and_fro)
{
	add(0, 40, 12);
	add(1, 40, 10);
	base_load = 250;
	seconds(2000, 150);
	ck_assert_uint_le(all_moves, 4);
	set_up();
	add(0, 30, 30);
	seconds(2000, 150);
	for (unsigned i = 0; i < client_count; i++)
		ck_assert_int_le(clients[i].moves, 2);
	ck_assert_uint_le(all_moves, 20);
	ck_assert_uint_lt(difference(), BALANCE_BEGIN);
}
END_TEST

START_TEST(who_is_not_hot_keeps_what_it_has)
{
	add(0, 50, 11); /* 550 and nothing: uneven, but nobody suffers */
	seconds(600, 0);
	ck_assert_uint_eq(all_moves, 0);
	/* All are hot: nobody to give to. */
	set_up();
	add(0, 50, 19);
	add(1, 50, 18);
	seconds(600, 0);
	ck_assert_uint_eq(all_moves, 0);
}
END_TEST

START_TEST(a_burst_that_goes_by_is_no_reason)
{
	add(0, 40, 5);
	for (int burst = 0; burst < 30; burst++) {
		base_load = 0;
		seconds(15, 0);
		clients[0].cost = 700;
		seconds(2, 0);
		clients[0].cost = 40;
	}
	ck_assert_uint_eq(all_moves, 0);
}
END_TEST

/* Whoever is busy changes every few minutes: each change costs some moves, no more. */
START_TEST(a_load_that_wanders_is_followed_slowly)
{
	worker_count = 3;
	for (unsigned i = 0; i < 45; i++)
		add(i % 3, 15, 1);
	for (int turn = 0; turn < 20; turn++) {
		for (unsigned i = 0; i < client_count; i++)
			clients[i].cost = clients[i].worker == (unsigned)turn % 3 ? 60 : 5;
		unsigned before = all_moves;
		seconds(180, 30);
		ck_assert_uint_le(all_moves - before, 30);
		ck_assert_uint_lt(difference(), 2 * BALANCE_BEGIN);
	}
}
END_TEST

START_TEST(who_is_drained_or_away_neither_gives_nor_gets)
{
	worker_count = 3;
	add(0, 50, 18);
	workers[1].able = false;
	seconds(200, 0);
	ck_assert_uint_eq(load_of(1), 0);
	ck_assert_uint_gt(load_of(2), 300);
	set_up();
	add(0, 50, 18);
	workers[1].able = false; /* only one is left */
	seconds(200, 0);
	ck_assert_uint_eq(all_moves, 0);
	workers[1].able = true; /* it lives again and gets its share */
	seconds(200, 0);
	ck_assert_uint_lt(difference(), BALANCE_BEGIN);
}
END_TEST

START_TEST(sessions_that_cost_nothing_are_not_worth_a_move)
{
	add(0, 0, 40);
	base_load = 0;
	workers[0].load = 900;
	for (int i = 0; i < 300; i++) {
		unsigned chosen[BALANCE_MOVES_MAX];
		struct balance_session idle[3] = { { .cost = 0 }, { .cost = 0 }, { .cost = 0 } };
		workers[0].load = 900;
		workers[1].load = 0;
		if (balance_look(&balance, workers, 2) == BALANCE_CHOOSE)
			ck_assert_uint_eq(balance_choose(&balance, idle, 3, chosen), 0);
	}
	/* None at all. */
	unsigned chosen[BALANCE_MOVES_MAX];
	ck_assert_uint_eq(balance_choose(&balance, NULL, 0, chosen), 0);
}
END_TEST

START_TEST(nonsense_from_a_worker_counts_as_full)
{
	add(1, 30, 1);
	for (int i = 0; i < 20; i++) {
		workers[0].load = UINT32_MAX;
		workers[1].load = 100;
		balance_look(&balance, workers, 2);
	}
	ck_assert_uint_eq(balance.hot, 0);
	ck_assert_uint_le(balance.load[0] / 16, 1000);
}
END_TEST

static void add_tests(TCase *t)
{
	tcase_add_checked_fixture(t, set_up, NULL);
	tcase_add_test(t, hot_is_what_the_limit_says);
	tcase_add_test(t, a_hot_worker_gives_until_it_is_even_and_then_nothing_moves);
	tcase_add_test(t, a_few_a_second_at_most);
	tcase_add_test(t, an_elephant_stays_and_the_others_leave_it_alone);
	tcase_add_test(t, two_elephants_part);
	tcase_add_test(t, noise_moves_nobody_to_and_fro);
	tcase_add_test(t, who_is_not_hot_keeps_what_it_has);
	tcase_add_test(t, a_burst_that_goes_by_is_no_reason);
	tcase_add_test(t, a_load_that_wanders_is_followed_slowly);
	tcase_add_test(t, who_is_drained_or_away_neither_gives_nor_gets);
	tcase_add_test(t, sessions_that_cost_nothing_are_not_worth_a_move);
	tcase_add_test(t, nonsense_from_a_worker_counts_as_full);
}

int main(void)
{
	return suite_run("balance", add_tests);
}
