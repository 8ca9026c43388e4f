/* SPDX-License-Identifier: MIT
 * The timer wheel, by stories and against a plain list that looks at every timer. The contract: never early;
 * once a slot after it is due (and was set), a timer has been given out; and no wake-up that finds nothing
 * forever. */
#include "common/base/timer_wheel.h"
#include "tests/lib/suite.h"

#include <string.h>

enum { SLOT = 16, TURN = 4096 * SLOT };

START_TEST(an_empty_wheel_never_wakes)
{
	struct timer_wheel *wheel = timer_wheel_new(1000);
	struct timer timer = { 0 };

	ck_assert_ptr_nonnull(wheel);
	ck_assert_int_eq(timer_wheel_wake_at(wheel), MONO_NEVER);
	ck_assert_ptr_null(timer_wheel_due(wheel, 1000));
	ck_assert_ptr_null(timer_wheel_due(wheel, 1000 + 24ll * 3600 * 1000));
	timer_cancel(wheel, &timer); /* not set: nothing happens */
	timer_set(wheel, &timer, MONO_NEVER);
	ck_assert_int_eq(timer_wheel_wake_at(wheel), MONO_NEVER);
	timer_wheel_free(&wheel);
	ck_assert_ptr_null(wheel);
	timer_wheel_free(&wheel);
}
END_TEST

START_TEST(a_timer_fires_once_not_early_and_a_slot_late_at_most)
{
	for (mono_ms at = 1000; at < 1000 + 3 * SLOT; at++) {
		struct timer_wheel *wheel = timer_wheel_new(1000);
		struct timer timer = { 0 };
		mono_ms fired = 0;
		timer_set(wheel, &timer, at);
		for (mono_ms now = 1000; now < 1200; now++) {
			struct timer *due = timer_wheel_due(wheel, now);
			if (!due)
				continue;
			ck_assert_ptr_eq(due, &timer);
			ck_assert_int_eq(fired, 0);
			fired = now;
		}
		ck_assert_int_ge(fired, at);
		ck_assert_int_lt(fired, at + SLOT);
		ck_assert_int_eq(timer_wheel_wake_at(wheel), MONO_NEVER);
		timer_wheel_free(&wheel);
	}
}
END_TEST

START_TEST(a_moved_timer_fires_at_its_new_moment_only)
{
	struct timer_wheel *wheel = timer_wheel_new(0);
	struct timer timer = { 0 };

	timer_set(wheel, &timer, 100);
	timer_set(wheel, &timer, 500);
	ck_assert_ptr_null(timer_wheel_due(wheel, 400));
	ck_assert_ptr_eq(timer_wheel_due(wheel, 520), &timer);
	timer_set(wheel, &timer, 5000);
	timer_set(wheel, &timer, 600);
	ck_assert_ptr_eq(timer_wheel_due(wheel, 620), &timer);
	ck_assert_ptr_null(timer_wheel_due(wheel, 6000));
	timer_set(wheel, &timer, 7000);
	timer_cancel(wheel, &timer);
	timer_cancel(wheel, &timer);
	ck_assert_ptr_null(timer_wheel_due(wheel, 8000));
	timer_wheel_free(&wheel);
}
END_TEST

START_TEST(a_timer_set_into_the_past_fires_next)
{
	struct timer_wheel *wheel = timer_wheel_new(10000);
	struct timer timers[3] = { 0 };

	timer_set(wheel, &timers[0], 10000);
	timer_set(wheel, &timers[1], 5);
	timer_set(wheel, &timers[2], -5);
	ck_assert_int_le(timer_wheel_wake_at(wheel), 10000);
	for (int i = 0; i < 3; i++)
		ck_assert_ptr_nonnull(timer_wheel_due(wheel, 10000));
	ck_assert_ptr_null(timer_wheel_due(wheel, 10000));
	timer_wheel_free(&wheel);
}
END_TEST

START_TEST(a_timer_several_turns_away_is_passed_over)
{
	struct timer_wheel *wheel = timer_wheel_new(0);
	struct timer far = { 0 }, near = { 0 };

	/* All in one slot. */
	timer_set(wheel, &far, 3 * TURN + 320);
	timer_set(wheel, &near, 320);
	ck_assert_ptr_eq(timer_wheel_due(wheel, 320), &near);
	ck_assert_ptr_null(timer_wheel_due(wheel, 320));
	ck_assert_int_gt(timer_wheel_wake_at(wheel), 320);
	ck_assert_ptr_null(timer_wheel_due(wheel, TURN + 320));
	ck_assert_ptr_null(timer_wheel_due(wheel, 3 * TURN + 319));
	ck_assert_ptr_eq(timer_wheel_due(wheel, 3 * TURN + 320), &far);
	timer_wheel_free(&wheel);
}
END_TEST

START_TEST(the_last_moments_before_never_are_moments)
{
	struct timer_wheel *wheel = timer_wheel_new(0);
	struct timer timer = { 0 };

	for (mono_ms at = MONO_NEVER - 1; at > MONO_NEVER - 40; at--) {
		timer_set(wheel, &timer, at);
		ck_assert_int_le(timer_wheel_wake_at(wheel), TURN + SLOT);
		ck_assert_ptr_null(timer_wheel_due(wheel, 0));
	}
	timer_wheel_free(&wheel);
}
END_TEST

START_TEST(after_a_long_sleep_all_that_is_due_comes)
{
	struct timer_wheel *wheel = timer_wheel_new(0);
	struct timer timers[100];

	memset(timers, 0, sizeof(timers));
	for (int i = 0; i < 100; i++)
		timer_set(wheel, &timers[i], i * 3001);
	for (int i = 0; i < 100; i++)
		ck_assert_ptr_nonnull(timer_wheel_due(wheel, 10 * TURN));
	ck_assert_ptr_null(timer_wheel_due(wheel, 10 * TURN));
	timer_wheel_free(&wheel);
}
END_TEST

START_TEST(a_timer_set_into_the_past_while_catching_up_is_not_lost)
{
	struct timer_wheel *wheel = timer_wheel_new(0);
	struct timer first = { 0 }, again = { 0 }, last = { 0 };

	timer_set(wheel, &first, 160);
	timer_set(wheel, &last, 1600);
	ck_assert_ptr_eq(timer_wheel_due(wheel, 2000), &first);
	timer_set(wheel, &again, 100); /* the slot of `first` is just being walked through */
	for (int i = 0; i < 2; i++)
		ck_assert_ptr_nonnull(timer_wheel_due(wheel, 2000));
	ck_assert_ptr_null(timer_wheel_due(wheel, 2000));
	ck_assert_int_eq(timer_wheel_wake_at(wheel), MONO_NEVER);
	timer_wheel_free(&wheel);
}
END_TEST

START_TEST(a_timer_cancelled_while_its_slot_is_walked_does_not_fire)
{
	struct timer_wheel *wheel = timer_wheel_new(0);
	struct timer timers[4];

	memset(timers, 0, sizeof(timers));
	for (int i = 0; i < 4; i++)
		timer_set(wheel, &timers[i], 160);
	struct timer *given = timer_wheel_due(wheel, 160);
	for (int i = 0; i < 4; i++)
		if (&timers[i] != given)
			timer_cancel(wheel, &timers[i]);
	ck_assert_ptr_null(timer_wheel_due(wheel, 160));
	timer_wheel_free(&wheel);
}
END_TEST

/* -- against a plain list -- */

enum { TIMERS = 150 };

struct model {
	struct timer_wheel *wheel;
	struct timer timers[TIMERS];
	mono_ms at[TIMERS];	  /* MONO_NEVER: not set */
	mono_ms promised[TIMERS]; /* must have fired by a drain at this time */
	mono_ms now;
};

static mono_ms some_moment(mono_ms now)
{
	switch (rand() % 6) {
	case 0:
		return now - rand() % 100000; /* past */
	case 1:
		return now + rand() % 64; /* next slots */
	case 2:
		return now + rand() % 3000;
	case 3:
		return now + rand() % (3 * TURN); /* beyond a turn */
	case 4:
		return now + (mono_ms)TURN * (rand() % 3) + rand() % 40; /* into the slots around now */
	default:
		return now + 86400000ll * (rand() % 400);
	}
}

static void model_set(struct model *m, int i, mono_ms at)
{
	timer_set(m->wheel, &m->timers[i], at);
	m->at[i] = at;
	if (at == MONO_NEVER)
		m->promised[i] = MONO_NEVER;
	else
		m->promised[i] = (at > m->now ? at : m->now) + SLOT;
}

/* Takes what is due at m->now; now and then sets timers in between, as a host does. */
static void model_drain(struct model *m, bool busy)
{
	struct timer *due;
	int sets = 0;

	while ((due = timer_wheel_due(m->wheel, m->now))) {
		int i = (int)(due - m->timers);
		ck_assert_int_ne(m->at[i], MONO_NEVER);
		ck_assert_int_le(m->at[i], m->now);
		m->at[i] = m->promised[i] = MONO_NEVER;
		if (busy && rand() % 3 == 0 && sets++ < 20)
			model_set(m, rand() % TIMERS, rand() % 4 ? some_moment(m->now) : MONO_NEVER);
	}
	mono_ms promised = MONO_NEVER;
	for (int i = 0; i < TIMERS; i++)
		promised = mono_earlier(promised, m->promised[i]);
	ck_assert_int_gt(promised, m->now);
}

static void model_check_wake(const struct model *m)
{
	mono_ms earliest = MONO_NEVER, wake = timer_wheel_wake_at(m->wheel);

	for (int i = 0; i < TIMERS; i++)
		earliest = mono_earlier(earliest, m->at[i]);
	if (earliest == MONO_NEVER) {
		ck_assert_int_eq(wake, MONO_NEVER);
	} else {
		/* A wake-up may be as late as the timer itself may be. */
		ck_assert_int_lt(wake, (earliest > m->now ? earliest : m->now) + SLOT);
		ck_assert_int_le(wake, m->now + TURN + SLOT);
	}
}

START_TEST(a_plain_list_agrees_over_random_operations)
{
	static struct model m;

	for (unsigned seed = 1; seed <= 8; seed++) {
		srand(seed);
		memset(&m, 0, sizeof(m));
		m.now = rand() % 100000;
		m.wheel = timer_wheel_new(m.now);
		for (int i = 0; i < TIMERS; i++)
			m.at[i] = m.promised[i] = MONO_NEVER;
		for (int step = 0; step < 4000; step++) {
			int i = rand() % TIMERS;
			switch (rand() % 8) {
			case 0:
				timer_cancel(m.wheel, &m.timers[i]);
				m.at[i] = m.promised[i] = MONO_NEVER;
				break;
			case 1:
				m.now += rand() % 40;
				model_drain(&m, true);
				break;
			case 2:
				m.now += rand() % 20 ? rand() % 3000 : rand() % (2 * TURN);
				model_drain(&m, step % 2);
				break;
			case 3:
				m.now += rand() % 200; /* time passes before somebody looks */
				break;
			default:
				model_set(&m, i, some_moment(m.now));
			}
			model_check_wake(&m);
		}
		for (int i = 0; i < TIMERS; i++) {
			timer_cancel(m.wheel, &m.timers[i]);
			m.at[i] = MONO_NEVER;
		}
		model_check_wake(&m);
		timer_wheel_free(&m.wheel);
	}
}
END_TEST

START_TEST(a_host_that_sleeps_until_told_sees_every_timer_in_time)
{
	static struct model m;
	int wakes = 0, left = TIMERS;

	srand(99);
	memset(&m, 0, sizeof(m));
	m.wheel = timer_wheel_new(0);
	for (int i = 0; i < TIMERS; i++)
		model_set(&m, i, rand() % (20 * TURN));
	while (left) {
		mono_ms wake = timer_wheel_wake_at(m.wheel);
		ck_assert_int_ne(wake, MONO_NEVER);
		ck_assert_int_ge(wake, m.now);
		m.now = wake;
		model_drain(&m, false);
		/* What was drained must let us sleep. */
		ck_assert_int_gt(timer_wheel_wake_at(m.wheel), m.now);
		left = 0;
		for (int i = 0; i < TIMERS; i++)
			left += m.at[i] != MONO_NEVER;
		/* One wake-up a timer and turn at most. */
		ck_assert_int_lt(++wakes, TIMERS * 21);
	}
	timer_wheel_free(&m.wheel);
}
END_TEST

static void add(TCase *tcase)
{
	tcase_add_test(tcase, an_empty_wheel_never_wakes);
	tcase_add_test(tcase, a_timer_fires_once_not_early_and_a_slot_late_at_most);
	tcase_add_test(tcase, a_moved_timer_fires_at_its_new_moment_only);
	tcase_add_test(tcase, a_timer_set_into_the_past_fires_next);
	tcase_add_test(tcase, a_timer_several_turns_away_is_passed_over);
	tcase_add_test(tcase, the_last_moments_before_never_are_moments);
	tcase_add_test(tcase, after_a_long_sleep_all_that_is_due_comes);
	tcase_add_test(tcase, a_timer_set_into_the_past_while_catching_up_is_not_lost);
	tcase_add_test(tcase, a_timer_cancelled_while_its_slot_is_walked_does_not_fire);
	tcase_add_test(tcase, a_plain_list_agrees_over_random_operations);
	tcase_add_test(tcase, a_host_that_sleeps_until_told_sees_every_timer_in_time);
}

int main(void)
{
	return suite_run("base/timer_wheel", add);
}
