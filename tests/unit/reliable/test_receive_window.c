/* SPDX-License-Identifier: MIT
 * Receiving: order, duplicates, acks. */
#include "common/reliable/reliable.h"

#include <check.h>
#include <stdlib.h>

static struct receive_window window;

static void setup(void)
{
	ck_assert(receive_window_init(&window, 0));
}

static void teardown(void)
{
	receive_window_clear(&window);
}

static enum received put(uint32_t id)
{
	uint8_t text = (uint8_t)('a' + id % 26);
	return receive_window_put(&window, OP_CONTROL_V1, id, bytes_of(&text, 1));
}

static void expect_next(uint32_t id)
{
	const struct message *m = receive_window_next(&window);
	ck_assert_ptr_nonnull(m);
	ck_assert_uint_eq(m->id, id);
	ck_assert_uint_eq(m->len, 1);
	ck_assert_uint_eq(m->payload[0], 'a' + id % 26);
	receive_window_drop(&window);
}

START_TEST(order_is_restored)
{
	ck_assert_int_eq(put(2), RECEIVED_NEW);
	ck_assert_int_eq(put(1), RECEIVED_NEW);
	ck_assert_ptr_null(receive_window_next(&window));
	ck_assert_int_eq(put(0), RECEIVED_NEW);
	expect_next(0);
	expect_next(1);
	expect_next(2);
	ck_assert_ptr_null(receive_window_next(&window));
}
END_TEST

START_TEST(a_duplicate_is_acknowledged_again_and_changes_nothing)
{
	uint32_t acks[8];
	put(0);
	ck_assert_uint_eq(receive_window_take_acks(&window, acks, 8), 1);
	ck_assert(!receive_window_owes(&window));
	ck_assert_int_eq(receive_window_put(&window, OP_CONTROL_V1, 0, bytes_of("other", 5)), RECEIVED_AGAIN);
	ck_assert(receive_window_owes(&window));
	expect_next(0);
	receive_window_take_acks(&window, acks, 8);
	ck_assert_int_eq(put(0), RECEIVED_AGAIN); /* given out already */
	ck_assert(receive_window_owes(&window));
	ck_assert_ptr_null(receive_window_next(&window));
}
END_TEST

START_TEST(the_window_is_eight_wide)
{
	ck_assert_int_eq(put(8), RECEIVED_OUTSIDE);
	ck_assert_int_eq(put(0xfffffffe), RECEIVED_OUTSIDE);
	ck_assert_int_eq(put(UINT32_MAX), RECEIVED_OUTSIDE);
	ck_assert(!receive_window_owes(&window));
	ck_assert_int_eq(put(7), RECEIVED_NEW);
	put(0);
	receive_window_drop(&window);
	ck_assert_int_eq(put(8), RECEIVED_NEW);
	ck_assert_int_eq(put(9), RECEIVED_OUTSIDE);
}
END_TEST

START_TEST(dropping_nothing_moves_nothing)
{
	receive_window_drop(&window);
	ck_assert_uint_eq(window.next_id, 0);
}
END_TEST

START_TEST(an_over_long_message_is_refused_and_not_acknowledged)
{
	static uint8_t payload[WIRE_CONTROL_MAX + 1];
	ck_assert_int_eq(
		receive_window_put(&window, OP_CONTROL_V1, 0, bytes_of(payload, WIRE_CONTROL_MAX + 1)),
		RECEIVED_OUTSIDE);
	ck_assert(!receive_window_owes(&window));
	ck_assert_int_eq(receive_window_put(&window, OP_CONTROL_V1, 0, bytes_of(payload, WIRE_CONTROL_MAX)),
		RECEIVED_NEW);
	ck_assert_uint_eq(receive_window_next(&window)->len, WIRE_CONTROL_MAX);
}
END_TEST

START_TEST(nothing_is_taken_that_cannot_be_acknowledged)
{
	for (uint32_t id = 0; id < 8; id++) {
		put(id);
		receive_window_drop(&window);
	}
	ck_assert_int_eq(put(8), RECEIVED_OUTSIDE);
	ck_assert_int_eq(put(7), RECEIVED_AGAIN); /* on the list already */
	uint32_t acks[1];
	ck_assert_uint_eq(receive_window_take_acks(&window, acks, 1), 1);
	ck_assert_uint_eq(acks[0], 0);
	ck_assert_int_eq(put(8), RECEIVED_NEW);
	ck_assert_int_eq(put(0), RECEIVED_OUTSIDE); /* full again: waits for the next duplicate */
}
END_TEST

START_TEST(owed_acks_go_first_and_free_places_repeat_newest_first)
{
	uint32_t acks[8];
	put(0);
	put(1);
	ck_assert_uint_eq(receive_window_take_acks(&window, acks, 4), 2);
	ck_assert_uint_eq(acks[0], 0);
	ck_assert_uint_eq(acks[1], 1);
	put(2);
	ck_assert_uint_eq(receive_window_take_acks(&window, acks, 4), 3);
	ck_assert_uint_eq(acks[0], 2);
	ck_assert_uint_eq(acks[1], 1);
	ck_assert_uint_eq(acks[2], 0);
	put(1); /* a duplicate: owed, and no second time among the repeats */
	ck_assert_uint_eq(receive_window_take_acks(&window, acks, 8), 3);
	ck_assert_uint_eq(acks[0], 1);
	ck_assert_uint_eq(acks[1], 2);
	ck_assert_uint_eq(acks[2], 0);
	ck_assert(!receive_window_owes(&window));
}
END_TEST

START_TEST(what_does_not_fit_stays_owed)
{
	uint32_t acks[8];
	for (uint32_t id = 0; id < 6; id++)
		put(id);
	ck_assert_uint_eq(receive_window_take_acks(&window, acks, 0), 0);
	ck_assert_uint_eq(receive_window_take_acks(&window, acks, 4), 4);
	ck_assert_uint_eq(acks[3], 3);
	ck_assert(receive_window_owes(&window));
	ck_assert_uint_eq(receive_window_take_acks(&window, acks, 4), 4);
	ck_assert_uint_eq(acks[0], 4);
	ck_assert_uint_eq(acks[1], 5);
	ck_assert_uint_eq(acks[2], 3);
	ck_assert_uint_eq(acks[3], 2);
}
END_TEST

START_TEST(the_memory_of_sent_acks_is_bounded)
{
	uint32_t acks[8];
	for (uint32_t id = 0; id < 20; id++) {
		ck_assert_int_eq(put(id), RECEIVED_NEW);
		receive_window_drop(&window);
		uint8_t count = receive_window_take_acks(&window, acks, 8);
		ck_assert_uint_eq(count, id < 7 ? id + 1 : 8);
		for (uint8_t i = 0; i < count; i++)
			ck_assert_uint_eq(acks[i], id - i);
	}
}
END_TEST

START_TEST(the_first_id_may_be_1_and_no_other)
{
	struct receive_window w;
	ck_assert(receive_window_init(&w, 1));
	ck_assert_int_eq(receive_window_put(&w, OP_CONTROL_V1, 0, bytes_of("", 0)), RECEIVED_AGAIN);
	ck_assert_int_eq(receive_window_put(&w, OP_CONTROL_V1, 1, bytes_of("", 0)), RECEIVED_NEW);
	receive_window_clear(&w);
	ck_assert(!receive_window_init(&w, 2));
}
END_TEST

START_TEST(a_cleared_window_takes_nothing)
{
	put(0);
	receive_window_clear(&window);
	ck_assert_int_eq(put(0), RECEIVED_OUTSIDE);
	ck_assert_ptr_null(receive_window_next(&window));
	ck_assert(!receive_window_owes(&window));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("reliable/receive_window");
	TCase *tcase = tcase_create("receive_window");
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, order_is_restored);
	tcase_add_test(tcase, a_duplicate_is_acknowledged_again_and_changes_nothing);
	tcase_add_test(tcase, the_window_is_eight_wide);
	tcase_add_test(tcase, dropping_nothing_moves_nothing);
	tcase_add_test(tcase, an_over_long_message_is_refused_and_not_acknowledged);
	tcase_add_test(tcase, nothing_is_taken_that_cannot_be_acknowledged);
	tcase_add_test(tcase, owed_acks_go_first_and_free_places_repeat_newest_first);
	tcase_add_test(tcase, what_does_not_fit_stays_owed);
	tcase_add_test(tcase, the_memory_of_sent_acks_is_bounded);
	tcase_add_test(tcase, the_first_id_may_be_1_and_no_other);
	tcase_add_test(tcase, a_cleared_window_takes_nothing);
	suite_add_tcase(suite, tcase);
	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
