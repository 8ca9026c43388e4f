/* SPDX-License-Identifier: MIT
 * Names and sentences of the fates. */
#include "common/base/fate.h"
#include "tests/lib/suite.h"

#include <ctype.h>
#include <string.h>

START_TEST(undecided_is_zero_so_that_a_zeroed_packet_has_no_fate)
{
	ck_assert_int_eq(FATE_NONE, 0);
	ck_assert_str_eq(fate_name(FATE_NONE), "NONE");
}
END_TEST

START_TEST(a_name_is_the_name_of_the_enum)
{
	ck_assert_str_eq(fate_name(FATE_REPLAYED), "REPLAYED");
	ck_assert_str_eq(fate_name(FATE_WRAP_FORGED), "WRAP_FORGED");
	ck_assert_str_eq(fate_sentence(FATE_REPLAYED), "this packet id was seen before, or is too old");
}
END_TEST

START_TEST(every_fate_has_a_name_and_a_sentence_of_its_own)
{
	for (int i = 0; i < FATE_COUNT; i++) {
		const char *name = fate_name((enum fate)i), *sentence = fate_sentence((enum fate)i);
		ck_assert_uint_gt(strlen(name), 0);
		ck_assert_uint_gt(strlen(sentence), 5);
		for (const char *c = name; *c; c++)
			ck_assert(isupper((unsigned char)*c) || *c == '_');
		/* Sentences stand in logs and tables. */
		for (const char *c = sentence; *c; c++)
			ck_assert(isprint((unsigned char)*c));
		for (int j = 0; j < i; j++) {
			ck_assert_str_ne(name, fate_name((enum fate)j));
			ck_assert_str_ne(sentence, fate_sentence((enum fate)j));
		}
	}
}
END_TEST

START_TEST(a_number_outside_the_list_has_no_name)
{
	static const int outside[] = { FATE_COUNT, FATE_COUNT + 1, 255, 1 << 20, -1 };

	for (int i = 0; i < 5; i++) {
		ck_assert_str_eq(fate_name((enum fate)outside[i]), "?");
		ck_assert_str_eq(fate_sentence((enum fate)outside[i]), "?");
	}
}
END_TEST

static void add(TCase *tcase)
{
	tcase_add_test(tcase, undecided_is_zero_so_that_a_zeroed_packet_has_no_fate);
	tcase_add_test(tcase, a_name_is_the_name_of_the_enum);
	tcase_add_test(tcase, every_fate_has_a_name_and_a_sentence_of_its_own);
	tcase_add_test(tcase, a_number_outside_the_list_has_no_name);
}

int main(void)
{
	return suite_run("base/fate", add);
}
