/* SPDX-License-Identifier: MIT
 * What a failed CHECK leaves behind. */
#include "common/base/check.h"
#include "tests/lib/suite.h"

#include <string.h>
#include <unistd.h>

/* Exit status 0 only when the text says what failed and where. */
static void look_at_text(int signal)
{
	(void)signal;
	_exit(strstr(check_failed_text, "1 + 1 == 3") && strstr(check_failed_text, "test_check.c") ? 0 : 1);
}

START_TEST(a_condition_that_holds_is_silent)
{
	CHECK(1 + 1 == 2);
	ck_assert_str_eq(check_failed_text, "");
}
END_TEST

/* aborts */
START_TEST(a_condition_that_does_not_hold_aborts)
{
	CHECK(1 + 1 == 3);
}
END_TEST

/* exits */
START_TEST(the_handler_of_the_abort_finds_what_failed)
{
	signal(SIGABRT, look_at_text);
	CHECK(1 + 1 == 3);
}
END_TEST

/* exits */
START_TEST(a_long_condition_is_cut_to_the_room_there_is)
{
	/* The text of this one is longer than check_failed_text. */
	signal(SIGABRT, look_at_text);
	CHECK(1 + 1 == 3 && "a text so long that it does not fit, a text so long that it does not fit, a "
			    "text so long that it "
			    "does not fit, a text so long that it does not fit");
}
END_TEST

static void add(TCase *tcase)
{
	tcase_add_test(tcase, a_condition_that_holds_is_silent);
	tcase_add_test_raise_signal(tcase, a_condition_that_does_not_hold_aborts, SIGABRT);
	tcase_add_exit_test(tcase, the_handler_of_the_abort_finds_what_failed, 0);
	tcase_add_exit_test(tcase, a_long_condition_is_cut_to_the_room_there_is, 0);
}

int main(void)
{
	return suite_run("base/check", add);
}
