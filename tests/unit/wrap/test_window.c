/* SPDX-License-Identifier: MIT
 * The receiver's window over packet id and time, also against a plain model that remembers everything. */
#include "common/wrap/wrap.h"
#include "tests/lib/suite.h"

/* Accepts and notes. */
static bool take(struct wrap_window *window, uint32_t id, uint32_t time)
{
	struct wrap_window before = *window;
	bool accepted = wrap_window_accepts(window, id, time);

	ck_assert_mem_eq(&before, window, sizeof(before));
	wrap_window_note(window, id, time);
	return accepted;
}

START_TEST(id_0_is_never_valid)
{
	struct wrap_window window = { .width = 64 };

	ck_assert(!take(&window, 0, 0));
	ck_assert(!take(&window, 0, 100));
	ck_assert(take(&window, 1, 100));
	ck_assert(!take(&window, 0, 100));
	ck_assert(!take(&window, 0, 200));
	ck_assert_uint_eq(window.time, 100);
}
END_TEST

START_TEST(a_seen_id_is_a_replay)
{
	struct wrap_window window = { .width = 64 };

	for (uint32_t id = 1; id < 200; id++) {
		ck_assert(take(&window, id, 100));
		ck_assert(!take(&window, id, 100));
	}
	for (uint32_t id = 1; id < 200; id++)
		ck_assert(!take(&window, id, 100));
}
END_TEST

START_TEST(the_first_id_may_be_any_and_lower_ones_may_follow)
{
	struct wrap_window window = { .width = 64 };

	ck_assert(take(&window, 0x0f000040, 100));
	ck_assert(!take(&window, 0x0f000000, 100)); /* 64 back */
	ck_assert(take(&window, 0x0f000001, 100));
	ck_assert(!take(&window, 0x0f000001, 100));
	ck_assert(take(&window, 0x0f000041, 100));
	ck_assert(!take(&window, 0x0f000001, 100));
}
END_TEST

START_TEST(a_larger_time_moves_the_window_and_a_smaller_is_dropped)
{
	struct wrap_window window = { .width = 64 };

	ck_assert(take(&window, 500, 100));
	ck_assert(!take(&window, 501, 99));
	ck_assert(take(&window, 3, 101));
	ck_assert(!take(&window, 3, 101));
	ck_assert(!take(&window, 501, 100));
	ck_assert(take(&window, 2, 101)); /* of the new time nothing else was seen */
	ck_assert(take(&window, 1, UINT32_MAX));
	ck_assert(!take(&window, 2, 0));
}
END_TEST

START_TEST(a_jump_forgets_what_fell_out)
{
	struct wrap_window window = { .width = 64 };

	ck_assert(take(&window, 10, 100));
	ck_assert(take(&window, 73, 100)); /* 63 on: 10 is the last one inside */
	ck_assert(!take(&window, 10, 100));
	ck_assert(take(&window, 11, 100));
	ck_assert(take(&window, 137, 100)); /* 64 on */
	ck_assert(!take(&window, 73, 100));
	ck_assert(take(&window, 74, 100));
	ck_assert(take(&window, UINT32_MAX, 100));
	ck_assert(!take(&window, UINT32_MAX, 100));
	ck_assert(take(&window, UINT32_MAX - 63, 100));
	ck_assert(!take(&window, UINT32_MAX - 64, 100));
	ck_assert(!take(&window, 1, 100));
}
END_TEST

START_TEST(a_narrow_window_refuses_earlier)
{
	struct wrap_window window = { .width = 8 };

	ck_assert(take(&window, 100, 1));
	ck_assert(!take(&window, 92, 1));
	ck_assert(take(&window, 93, 1));
}
END_TEST

START_TEST(without_width_ids_come_strictly_in_order)
{
	struct wrap_window window = { .width = 0 };

	ck_assert(take(&window, 7, 100));
	ck_assert(!take(&window, 7, 100));
	ck_assert(!take(&window, 6, 100));
	ck_assert(!take(&window, 9, 100));
	ck_assert(take(&window, 8, 100));
	ck_assert(!take(&window, 9, 99));
	ck_assert(!take(&window, 9, 101));
	ck_assert(take(&window, 1, 101));
	ck_assert(take(&window, 2, 101));
	window.highest = UINT32_MAX;
	for (uint32_t id = 0; id < 3; id++)
		ck_assert(!take(&window, id, 101));
}
END_TEST

START_TEST(noting_what_was_not_accepted_changes_nothing)
{
	struct wrap_window window = { .width = 64 };
	struct wrap_window before;

	wrap_window_note(&window, 1000, 100);
	before = window;
	wrap_window_note(&window, 1, 100);
	wrap_window_note(&window, 1000, 100);
	wrap_window_note(&window, 2000, 99);
	wrap_window_note(&window, 0, 200);
	ck_assert_mem_eq(&before, &window, sizeof(window));
}
END_TEST

START_TEST(a_model_that_remembers_everything_agrees)
{
	enum { IDS = 2000, TIMES = 4, ROUNDS = 40000 };
	static bool seen[TIMES][IDS];
	static const uint8_t widths[] = { 1, 2, 8, 63, 64 };

	srand(7);
	for (size_t w = 0; w < sizeof(widths); w++) {
		struct wrap_window window = { .width = widths[w] };
		uint32_t highest = 0, time = 0, base = 1;
		memset(seen, 0, sizeof(seen));
		for (int i = 0; i < ROUNDS; i++) {
			uint32_t id = base + (uint32_t)(rand() % 150);
			uint32_t at = rand() % 5000 ? time : (uint32_t)(rand() % TIMES);
			if (rand() % 30 == 0 && base < IDS - 200)
				base++;
			bool fresh = at == time && id + widths[w] > highest && !seen[at][id];
			bool expected = !highest || at > time || fresh;
			ck_assert(take(&window, id, at) == expected);
			if (!expected)
				continue;
			if (!highest || at > time) {
				highest = 0;
				time = at;
				base = 1;
			}
			seen[at][id] = true;
			highest = id > highest ? id : highest;
		}
		ck_assert_uint_gt(highest, 0);
	}
}
END_TEST

static void add(TCase *tcase)
{
	tcase_add_test(tcase, id_0_is_never_valid);
	tcase_add_test(tcase, a_seen_id_is_a_replay);
	tcase_add_test(tcase, the_first_id_may_be_any_and_lower_ones_may_follow);
	tcase_add_test(tcase, a_larger_time_moves_the_window_and_a_smaller_is_dropped);
	tcase_add_test(tcase, a_jump_forgets_what_fell_out);
	tcase_add_test(tcase, a_narrow_window_refuses_earlier);
	tcase_add_test(tcase, without_width_ids_come_strictly_in_order);
	tcase_add_test(tcase, noting_what_was_not_accepted_changes_nothing);
	tcase_add_test(tcase, a_model_that_remembers_everything_agrees);
}

int main(void)
{
	return suite_run("wrap/window", add);
}
