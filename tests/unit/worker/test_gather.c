/* SPDX-License-Identifier: MIT
 * When a turn waits for company, on a clock of the test's own. */
#include "worker/gather.h"

#include "tests/lib/suite.h"

static struct gather g;
static uint64_t now_us;

/* Traffic of `per_s` packets of this `load`, one each so many microseconds, through turns that take no time, for `ms`. */
static void flow(unsigned per_s, unsigned load, unsigned ms)
{
	uint64_t each = 1000000 / per_s, end = now_us + ms * 1000, next = now_us + each;

	while (now_us < end) {
		unsigned arrived = 0;

		now_us += gather_wait_us(&g, now_us);
		if (now_us < next)
			now_us = next; /* nothing there yet: the turn goes on until there is */
		for (; next <= now_us; next += each)
			arrived++;
		gather_note(&g, arrived * load, false);
	}
}

/* Question and answer: nothing comes until what came before was dealt with, and then after `pause_us`. */
static uint64_t questions(unsigned count, unsigned pause_us)
{
	uint64_t began = now_us;

	for (unsigned i = 0; i < count; i++) {
		uint64_t ready = now_us + pause_us;

		now_us += gather_wait_us(&g, now_us);
		if (now_us < ready)
			now_us = ready;
		gather_note(&g, 1, false);
	}
	return now_us - began;
}

static void setup(void)
{
	g = (struct gather){ 0 };
	now_us = 1000000;
}

START_TEST(packets_one_by_one_are_waited_for)
{
	flow(20000, 1, 20);
	ck_assert_uint_eq(g.wait_us, GATHER_MAX_US);
	uint64_t waits = g.waits;
	flow(20000, 1, 100);
	/* 100 ms of waits, one after the other, instead of 2,000 turns */
	ck_assert_uint_ge(g.waits - waits, 90000 / GATHER_MAX_US);
	ck_assert_uint_le(g.waits - waits, 110000 / GATHER_MAX_US);
}
END_TEST

START_TEST(the_more_comes_the_shorter_the_wait)
{
	flow(200000, 1, 40);
	ck_assert_uint_ge(g.wait_us, 200);
	ck_assert_uint_le(g.wait_us, 280);
	flow(500000, 1, 40);
	ck_assert_uint_ge(g.wait_us, 80);
	ck_assert_uint_le(g.wait_us, 112);
}
END_TEST

START_TEST(behind_a_turn_that_left_something_there_is_no_wait)
{
	flow(20000, 1, 40);
	ck_assert_uint_gt(gather_wait_us(&g, now_us), 0);
	gather_note(&g, 32, true);
	ck_assert_uint_eq(gather_wait_us(&g, now_us), 0);
	gather_note(&g, 5, false);
	ck_assert_uint_gt(gather_wait_us(&g, now_us), 0);
}
END_TEST

/* Turns that bring 32 at most, whatever is there, and take a microsecond for each: all the same nothing piles up. */
START_TEST(a_flood_through_short_turns_is_kept_up_with)
{
	uint64_t arrived = 0, taken = 0, began = now_us, most = 0;

	while (now_us < began + 1000000) {
		unsigned got;

		now_us += gather_wait_us(&g, now_us);
		arrived = (now_us - began) * 27 / 100;
		if (arrived - taken > most)
			most = arrived - taken;
		got = arrived - taken < 32 ? (unsigned)(arrived - taken) : 32;
		taken += got;
		now_us += 2 + got;
		gather_note(&g, got, got == 32);
	}
	ck_assert_uint_gt(g.waits, 1000);
	ck_assert_uint_lt(g.waits, 8000);
	ck_assert_uint_lt(most, GATHER_MAX_US * 27 / 100 + 64);
}
END_TEST

START_TEST(who_pings_is_not_kept_waiting)
{
	flow(1000, 1, 200);
	flow(4000, 1, 200);
	ck_assert_uint_eq(g.waits, 0);
}
END_TEST

START_TEST(large_super_packets_are_not_waited_for)
{
	flow(13000, 9, 200);
	ck_assert_uint_eq(g.waits, 0);
}
END_TEST

START_TEST(turns_that_bring_many_do_not_wait)
{
	for (unsigned i = 0; i < 10000; i++) {
		ck_assert_uint_eq(gather_wait_us(&g, now_us), 0);
		now_us += 20;
		gather_note(&g, 30, false);
	}
}
END_TEST

/* A wait that brings nobody makes a conversation slower: it is given up within a window, and tried seldom. */
START_TEST(question_and_answer_are_hardly_slower)
{
	uint64_t took = questions(100000, 30);
	ck_assert_uint_gt(g.waits, 0);
	ck_assert_uint_lt(took, 30 * 100000 * 105 / 100);
}
END_TEST

START_TEST(when_less_comes_the_wait_ends_and_may_begin_anew)
{
	flow(20000, 1, 40);
	ck_assert_uint_gt(g.wait_us, 0);
	flow(3000, 1, 20);
	ck_assert_uint_eq(g.wait_us, 0);
	flow(20000, 1, 20 + (GATHER_REST + 1) * GATHER_WINDOW_US / 1000);
	ck_assert_uint_gt(g.wait_us, 0);
}
END_TEST

START_TEST(a_flood_behind_a_conversation_does_not_rest_with_it)
{
	questions(200, 100);
	ck_assert_uint_gt(g.rest, 0);
	flow(80000, 1, 3 * GATHER_WINDOW_US / 1000);
	ck_assert_uint_gt(g.wait_us, 0);
	ck_assert_uint_eq(g.rest, 0);
}
END_TEST

START_TEST(after_a_silence_the_first_packet_does_not_wait)
{
	flow(20000, 1, 40);
	now_us += 500000;
	ck_assert_uint_eq(gather_wait_us(&g, now_us), 0);
}
END_TEST

START_TEST(more_than_fits_ends_the_wait)
{
	flow(20000, 1, 40);
	for (unsigned i = 0; i < 1000; i++) {
		now_us += gather_wait_us(&g, now_us) + 50;
		gather_note(&g, 300, false);
	}
	ck_assert_uint_eq(g.wait_us, 0);
}
END_TEST

static void add(TCase *tcase)
{
	tcase_add_checked_fixture(tcase, setup, NULL);
	tcase_add_test(tcase, packets_one_by_one_are_waited_for);
	tcase_add_test(tcase, the_more_comes_the_shorter_the_wait);
	tcase_add_test(tcase, behind_a_turn_that_left_something_there_is_no_wait);
	tcase_add_test(tcase, a_flood_through_short_turns_is_kept_up_with);
	tcase_add_test(tcase, who_pings_is_not_kept_waiting);
	tcase_add_test(tcase, large_super_packets_are_not_waited_for);
	tcase_add_test(tcase, turns_that_bring_many_do_not_wait);
	tcase_add_test(tcase, question_and_answer_are_hardly_slower);
	tcase_add_test(tcase, when_less_comes_the_wait_ends_and_may_begin_anew);
	tcase_add_test(tcase, a_flood_behind_a_conversation_does_not_rest_with_it);
	tcase_add_test(tcase, after_a_silence_the_first_packet_does_not_wait);
	tcase_add_test(tcase, more_than_fits_ends_the_wait);
}

int main(void)
{
	return suite_run("worker/gather", add);
}
