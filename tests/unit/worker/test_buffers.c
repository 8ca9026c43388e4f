/* SPDX-License-Identifier: MIT
 * Receive buffers: taken, shared, given back. */
#include "worker/buffers.h"

#include "tests/unit/worker/sockets.h"

static struct buffers b;

START_TEST(slots_are_as_large_as_asked_with_room_on_both_ends)
{
	ck_assert_int_eq(buffers_init(&b, 5, 100, 1500), 0);
	ck_assert_uint_eq(b.count, 8);
	ck_assert_uint_ge(b.slot_len, 100 + 1500 + BUFFERS_TAILROOM);
	for (uint16_t i = 0; i < b.count; i++) {
		memset(buffers_slot(&b, i), i, b.slot_len);
		ck_assert_uint_eq((uintptr_t)buffers_slot(&b, i) % 64, 0);
	}
	for (uint16_t i = 0; i < b.count; i++)
		ck_assert_uint_eq(buffers_slot(&b, i)[b.slot_len - 1], i);
	buffers_clear(&b);
	buffers_clear(&b);
}
END_TEST

START_TEST(no_buffers_or_too_many_are_refused)
{
	ck_assert_int_eq(buffers_init(&b, 0, 0, 100), -EINVAL);
	ck_assert_int_eq(buffers_init(&b, BUFFERS_COUNT_MAX + 1, 0, 100), -EINVAL);
	buffers_clear(&b);
}
END_TEST

START_TEST(each_slot_is_taken_once_and_comes_back_with_its_last_packet)
{
	bool taken[4] = { false };
	uint16_t id;

	ck_assert_int_eq(buffers_init(&b, 4, 0, 100), 0);
	for (unsigned i = 0; i < 4; i++) {
		ck_assert(buffers_take(&b, &id));
		ck_assert(!taken[id]);
		taken[id] = true;
		buffers_share(&b, id, 3);
	}
	ck_assert(!buffers_take(&b, &id));
	buffers_give_back(&b, 2);
	buffers_give_back(&b, 2);
	ck_assert_uint_eq(b.free, 0);
	buffers_give_back(&b, 2);
	ck_assert_uint_eq(b.free, 1);
	ck_assert(buffers_take(&b, &id));
	ck_assert_uint_eq(id, 2);
	buffers_clear(&b);
}
END_TEST

START_TEST(a_slot_given_back_twice_is_our_own_mistake)
{
	uint16_t id;

	ck_assert_int_eq(buffers_init(&b, 4, 0, 100), 0);
	ck_assert(buffers_take(&b, &id));
	buffers_share(&b, id, 1);
	buffers_give_back(&b, id);
	buffers_give_back(&b, id);
}
END_TEST

START_TEST(the_ring_shows_the_lent_part_of_each_slot_and_what_came_back)
{
	ck_assert_int_eq(buffers_init(&b, 4, 20, 100), 0);
	ck_assert_int_eq(buffers_make_ring(&b), 0);
	ck_assert_uint_eq(b.ring->tail, 4);
	for (uint16_t i = 0; i < 4; i++) {
		ck_assert_uint_eq(b.ring->bufs[i].addr, (uintptr_t)buffers_slot(&b, i) + 20);
		ck_assert_uint_eq(b.ring->bufs[i].len, 100);
		ck_assert_uint_eq(b.ring->bufs[i].bid, i);
	}
	buffers_note_filled(&b, 3);
	buffers_share(&b, 3, 1);
	ck_assert_uint_eq(b.free, 3);
	buffers_give_back(&b, 3);
	ck_assert_uint_eq(b.free, 4);
	/* Not shown before it is said so. */
	ck_assert_uint_eq(b.ring->tail, 4);
	buffers_publish(&b);
	ck_assert_uint_eq(b.ring->tail, 5);
	ck_assert_uint_eq(b.ring->bufs[0].bid, 3);
	buffers_publish(&b);
	ck_assert_uint_eq(b.ring->tail, 5);
	buffers_clear(&b);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("worker/buffers");
	TCase *tcase = tcase_create("buffers");

	tcase_add_test(tcase, slots_are_as_large_as_asked_with_room_on_both_ends);
	tcase_add_test(tcase, no_buffers_or_too_many_are_refused);
	tcase_add_test(tcase, each_slot_is_taken_once_and_comes_back_with_its_last_packet);
	tcase_add_test_raise_signal(tcase, a_slot_given_back_twice_is_our_own_mistake, SIGABRT);
	tcase_add_test(tcase, the_ring_shows_the_lent_part_of_each_slot_and_what_came_back);
	suite_add_tcase(suite, tcase);
	return run_suite(suite);
}
