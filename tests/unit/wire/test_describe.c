/* SPDX-License-Identifier: MIT
 * Datagrams as text. */
#include "common/wire/wire.h"

#include <check.h>
#include <stdlib.h>

START_TEST(each_kind_of_datagram_has_its_line)
{
	char line[64];
	uint8_t control[114] = { OP_CONTROL_V1 << 3 };
	ck_assert_str_eq(
		wire_describe(control, sizeof(control), line, sizeof(line)), "CONTROL_V1 kid=0 len=114");
	ck_assert_str_eq(
		wire_describe("\x4a\x00\x01\x00", 4, line, sizeof(line)), "DATA_V2 kid=2 peer=256 len=4");
	ck_assert_str_eq(wire_describe("\x31", 1, line, sizeof(line)), "DATA_V1 kid=1 len=1");
}
END_TEST

START_TEST(what_is_not_a_datagram_is_called_so)
{
	char line[64];
	ck_assert_str_eq(wire_describe("", 0, line, sizeof(line)), "empty");
	ck_assert_str_eq(wire_describe("\x08\x00", 2, line, sizeof(line)), "malformed op=1 len=2");
	ck_assert_str_eq(wire_describe("\x48\x00", 2, line, sizeof(line)), "malformed op=9 len=2");
}
END_TEST

START_TEST(a_short_buffer_is_filled_and_terminated)
{
	char line[8];
	ck_assert_str_eq(wire_describe("\x31", 1, line, sizeof(line)), "DATA_V1");
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("wire/describe");
	TCase *tcase = tcase_create("describe");
	tcase_add_test(tcase, each_kind_of_datagram_has_its_line);
	tcase_add_test(tcase, what_is_not_a_datagram_is_called_so);
	tcase_add_test(tcase, a_short_buffer_is_filled_and_terminated);
	suite_add_tcase(suite, tcase);
	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
