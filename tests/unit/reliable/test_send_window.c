/* SPDX-License-Identifier: MIT
 * Sending: room, time-outs, fast retransmit. */
#include "common/reliable/reliable.h"

#include <check.h>
#include <stdlib.h>

static struct send_window window;

static void setup(void)
{
	ck_assert(send_window_init(&window, 0, 2000));
}

static void teardown(void)
{
	send_window_clear(&window);
}

static void push(unsigned n, mono_ms now)
{
	while (n--)
		ck_assert(send_window_push(&window, OP_CONTROL_V1, "x", 1, now));
}

static void ack(uint32_t id, mono_ms now)
{
	send_window_acked(&window, &id, 1, now);
}

START_TEST(messages_leave_lowest_id_first_and_then_wait)
{
	push(3, 100);
	ck_assert_int_eq(send_window_wake_at(&window), 100);
	for (uint32_t id = 0; id < 3; id++) {
		const struct message *m = send_window_due(&window, 100);
		ck_assert_ptr_nonnull(m);
		ck_assert_uint_eq(m->id, id);
		ck_assert_uint_eq(m->opcode, OP_CONTROL_V1);
		ck_assert_uint_eq(m->len, 1);
		ck_assert_mem_eq(m->payload, "x", 1);
	}
	ck_assert_ptr_null(send_window_due(&window, 100));
	ck_assert_int_eq(send_window_wake_at(&window), 2100);
}
END_TEST

START_TEST(the_time_out_doubles_at_each_resend)
{
	push(1, 0);
	mono_ms expected = 0;
	for (span_ms span = 2000; span <= 64000; span *= 2) {
		ck_assert_ptr_null(send_window_due(&window, expected - 1));
		ck_assert_ptr_nonnull(send_window_due(&window, expected));
		expected += span;
		ck_assert_int_eq(send_window_wake_at(&window), expected);
	}
}
END_TEST

START_TEST(an_ack_of_a_message_sent_once_shows_the_round_trip)
{
	push(3, 100);
	for (mono_ms now = 100; now < 103; now++)
		ck_assert_ptr_nonnull(send_window_due(&window, now));
	ack(0, 140);
	ck_assert_int_eq(window.round_trip, 40);
	ack(0, 150); /* again: it is not there any more */
	ck_assert_int_eq(window.round_trip, -1);
	send_window_acked(&window, (const uint32_t[]){ 1, 2 }, 2, 150);
	ck_assert_int_eq(window.round_trip, 48); /* of several the shortest */
	push(1, 200);
	ck_assert_ptr_nonnull(send_window_due(&window, 200));
	ck_assert_ptr_nonnull(send_window_due(&window, 2200));
	ack(3, 2210); /* of which sending? */
	ck_assert_int_eq(window.round_trip, -1);
	push(1, 3000);
	ck_assert_ptr_nonnull(send_window_due(&window, 3000));
	ack(4, 2990); /* a clock that went back */
	ck_assert_int_eq(window.round_trip, -1);
}
END_TEST

START_TEST(resending_for_years_overflows_nothing)
{
	push(1, 0);
	for (int i = 0; i < 200; i++) {
		mono_ms at = send_window_wake_at(&window);
		ck_assert_ptr_nonnull(send_window_due(&window, at));
		ck_assert_int_gt(send_window_wake_at(&window), at);
	}
}
END_TEST

START_TEST(acks_empty_the_window)
{
	push(2, 0);
	ck_assert(!send_window_idle(&window));
	send_window_due(&window, 0);
	send_window_due(&window, 0);
	send_window_acked(&window, (uint32_t[]){ 1, 0 }, 2, 10);
	ck_assert(send_window_idle(&window));
	ck_assert_int_eq(send_window_wake_at(&window), MONO_NEVER);
	ck_assert_uint_eq(send_window_room(&window), SEND_SLOTS);
}
END_TEST

START_TEST(acks_of_strange_unsent_and_repeated_ids_are_ignored)
{
	push(2, 0);
	ck_assert_uint_eq(send_window_due(&window, 0)->id, 0);
	ack(1, 0); /* queued, not sent */
	ack(6, 0); /* same slot as 0 */
	ack(77, 0);
	ack(UINT32_MAX, 0);
	ck_assert_uint_eq(send_window_room(&window), SEND_SLOTS - 2);
	ack(0, 0);
	ack(0, 0);
	ck_assert_uint_eq(send_window_room(&window), SEND_SLOTS - 1);
}
END_TEST

START_TEST(three_later_acks_make_a_message_due_at_once)
{
	push(5, 0);
	for (int i = 0; i < 5; i++)
		send_window_due(&window, 0);
	ack(1, 10);
	ack(2, 20);
	ck_assert_ptr_null(send_window_due(&window, 20));
	ack(3, 30);
	const struct message *m = send_window_due(&window, 30);
	ck_assert_ptr_nonnull(m);
	ck_assert_uint_eq(m->id, 0);
	ck_assert_ptr_null(send_window_due(&window, 30));
	/* its time-out doubled as for any resend */
	ack(4, 40);
	ck_assert_int_eq(send_window_wake_at(&window), 30 + 4000);
}
END_TEST

START_TEST(one_later_ack_told_three_times_is_no_sign_of_loss)
{
	push(2, 0);
	send_window_due(&window, 0);
	send_window_due(&window, 0);
	send_window_acked(&window, (uint32_t[]){ 1, 1, 1, 1 }, 4, 10);
	ck_assert_ptr_null(send_window_due(&window, 10));
}
END_TEST

START_TEST(a_full_window_takes_no_more)
{
	push(SEND_SLOTS, 0);
	ck_assert_uint_eq(send_window_room(&window), 0);
	ck_assert(!send_window_push(&window, OP_CONTROL_V1, "x", 1, 0));
}
END_TEST

START_TEST(ids_never_run_ahead_of_the_lowest_unacknowledged_one)
{
	push(SEND_SLOTS, 0);
	for (int i = 0; i < SEND_SLOTS; i++)
		send_window_due(&window, 0);
	for (uint32_t id = 1; id < SEND_SLOTS; id++)
		ack(id, 0);
	ck_assert_uint_eq(send_window_room(&window), 0);
	ack(0, 0);
	ck_assert_uint_eq(send_window_room(&window), SEND_SLOTS);
}
END_TEST

START_TEST(a_message_may_be_empty_but_not_over_long)
{
	static uint8_t payload[WIRE_CONTROL_MAX + 1];
	ck_assert(send_window_push(&window, OP_HARD_RESET_SERVER_V2, NULL, 0, 0));
	ck_assert(send_window_push(&window, OP_CONTROL_V1, payload, WIRE_CONTROL_MAX, 0));
	ck_assert(!send_window_push(&window, OP_CONTROL_V1, payload, WIRE_CONTROL_MAX + 1, 0));
	ck_assert_uint_eq(send_window_room(&window), SEND_SLOTS - 2);
}
END_TEST

START_TEST(the_peers_reset_makes_all_due_with_the_first_time_out)
{
	push(2, 0);
	for (mono_ms at = 0; at < 10000; at++)
		send_window_due(&window, at);
	send_window_resend_all(&window, 10000);
	ck_assert_uint_eq(send_window_due(&window, 10000)->id, 0);
	ck_assert_uint_eq(send_window_due(&window, 10000)->id, 1);
	ck_assert_int_eq(send_window_wake_at(&window), 12000);
}
END_TEST

START_TEST(the_first_id_may_be_1)
{
	struct send_window w;
	ck_assert(send_window_init(&w, 1, 2000));
	ck_assert(send_window_push(&w, OP_CONTROL_V1, "x", 1, 0));
	ck_assert_uint_eq(send_window_due(&w, 0)->id, 1);
	send_window_clear(&w);
}
END_TEST

START_TEST(a_wrong_first_id_or_time_out_is_refused)
{
	struct send_window w;
	ck_assert(!send_window_init(&w, 2, 2000));
	ck_assert(!send_window_init(&w, 0, 0));
	ck_assert(!send_window_init(&w, 0, -1));
	ck_assert_uint_eq(send_window_room(&w), 0);
}
END_TEST

START_TEST(ids_do_not_wrap)
{
	window.next_id = UINT32_MAX - SEND_SLOTS;
	ck_assert_uint_eq(send_window_room(&window), 0);
	ck_assert(!send_window_push(&window, OP_CONTROL_V1, "x", 1, 0));
}
END_TEST

START_TEST(a_cleared_window_is_idle_and_full)
{
	push(3, 0);
	send_window_clear(&window);
	ck_assert(send_window_idle(&window));
	ck_assert_uint_eq(send_window_room(&window), 0);
	ck_assert(!send_window_push(&window, OP_CONTROL_V1, "x", 1, 0));
	ck_assert_ptr_null(send_window_due(&window, 0));
	ck_assert_int_eq(send_window_wake_at(&window), MONO_NEVER);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("reliable/send_window");
	TCase *tcase = tcase_create("send_window");
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, messages_leave_lowest_id_first_and_then_wait);
	tcase_add_test(tcase, the_time_out_doubles_at_each_resend);
	tcase_add_test(tcase, an_ack_of_a_message_sent_once_shows_the_round_trip);
	tcase_add_test(tcase, resending_for_years_overflows_nothing);
	tcase_add_test(tcase, acks_empty_the_window);
	tcase_add_test(tcase, acks_of_strange_unsent_and_repeated_ids_are_ignored);
	tcase_add_test(tcase, three_later_acks_make_a_message_due_at_once);
	tcase_add_test(tcase, one_later_ack_told_three_times_is_no_sign_of_loss);
	tcase_add_test(tcase, a_full_window_takes_no_more);
	tcase_add_test(tcase, ids_never_run_ahead_of_the_lowest_unacknowledged_one);
	tcase_add_test(tcase, a_message_may_be_empty_but_not_over_long);
	tcase_add_test(tcase, the_peers_reset_makes_all_due_with_the_first_time_out);
	tcase_add_test(tcase, the_first_id_may_be_1);
	tcase_add_test(tcase, a_wrong_first_id_or_time_out_is_refused);
	tcase_add_test(tcase, ids_do_not_wrap);
	tcase_add_test(tcase, a_cleared_window_is_idle_and_full);
	suite_add_tcase(suite, tcase);
	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
