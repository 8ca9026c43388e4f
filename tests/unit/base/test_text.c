/* SPDX-License-Identifier: MIT
 * Escapes: what comes from outside must not act on a log, a terminal or a status file. */
#include "common/base/text.h"
#include "tests/lib/suite.h"

#include <string.h>

START_TEST(harmless_text_stays_as_it_is)
{
	char out[64];

	ck_assert_str_eq(
		text_escape(out, sizeof(out), "CN=Anna Muster, O=a/b", 21, NULL), "CN=Anna Muster, O=a/b");
	ck_assert_str_eq(text_escape(out, sizeof(out), "", 0, NULL), "");
	ck_assert_str_eq(text_escape(out, sizeof(out), "ab", 1, NULL), "a");
}
END_TEST

START_TEST(what_could_act_is_escaped)
{
	char out[64];

	ck_assert_str_eq(text_escape(out, sizeof(out), "a\nb\r\t", 5, NULL), "a\\x0ab\\x0d\\x09");
	ck_assert_str_eq(text_escape(out, sizeof(out), "\x1b[31m", 5, NULL), "\\x1b[31m");
	ck_assert_str_eq(text_escape(out, sizeof(out), "a\0b", 3, NULL), "a\\x00b");
	ck_assert_str_eq(text_escape(out, sizeof(out), "\xff\x80\x7f", 3, NULL), "\\xff\\x80\\x7f");
	/* The escape itself, so that nobody can feign one. */
	ck_assert_str_eq(text_escape(out, sizeof(out), "\\x0a", 4, NULL), "\\x5cx0a");
}
END_TEST

START_TEST(a_caller_names_further_characters)
{
	char out[64];

	ck_assert_str_eq(text_escape(out, sizeof(out), "a,b\"c", 5, ",\""), "a\\x2cb\\x22c");
	ck_assert_str_eq(text_escape(out, sizeof(out), "a\0b", 3, ","), "a\\x00b");
	ck_assert_str_eq(text_escape(out, sizeof(out), "a,b", 3, ""), "a,b");
}
END_TEST

START_TEST(every_byte_is_printable_or_escaped_and_no_two_look_alike)
{
	char seen[256][8];

	for (int c = 0; c < 256; c++) {
		char from = (char)c;
		text_escape(seen[c], sizeof(seen[c]), &from, 1, NULL);
		for (const char *at = seen[c]; *at; at++)
			ck_assert(*at >= 0x20 && *at < 0x7f);
		for (int other = 0; other < c; other++)
			ck_assert_str_ne(seen[c], seen[other]);
	}
}
END_TEST

START_TEST(too_long_a_text_is_cut_between_characters_and_terminated)
{
	static const char from[] = "ab\x01"
				   "cd\x02";
	/* By room: the escapes come whole or not at all. */
	static const char *const cut[] = { NULL, "", "a", "ab", "ab", "ab", "ab", "ab\\x01",
		"ab\\x01"
		"c",
		"ab\\x01"
		"cd",
		"ab\\x01"
		"cd",
		"ab\\x01"
		"cd",
		"ab\\x01"
		"cd",
		"ab\\x01"
		"cd\\x02" };

	for (size_t room = 0; room < sizeof(cut) / sizeof(cut[0]); room++) {
		char out[32];
		memset(out, '#', sizeof(out));
		ck_assert_ptr_eq(text_escape(out, room, from, 6, NULL), out);
		if (room)
			ck_assert_str_eq(out, cut[room]);
		for (size_t i = room; i < sizeof(out); i++)
			ck_assert_int_eq(out[i], '#');
	}
}
END_TEST

START_TEST(hex_is_lower_case_and_cut_between_bytes)
{
	static const char *const cut[] = { NULL, "", "", "00", "00", "009f", "009f", "009fff", "009fff" };

	for (size_t room = 0; room < sizeof(cut) / sizeof(cut[0]); room++) {
		char out[16];
		memset(out, '#', sizeof(out));
		ck_assert_ptr_eq(text_hex(out, room, "\x00\x9f\xff", 3), out);
		if (room)
			ck_assert_str_eq(out, cut[room]);
		for (size_t i = room; i < sizeof(out); i++)
			ck_assert_int_eq(out[i], '#');
	}
}
END_TEST

static void add(TCase *tcase)
{
	tcase_add_test(tcase, harmless_text_stays_as_it_is);
	tcase_add_test(tcase, what_could_act_is_escaped);
	tcase_add_test(tcase, a_caller_names_further_characters);
	tcase_add_test(tcase, every_byte_is_printable_or_escaped_and_no_two_look_alike);
	tcase_add_test(tcase, too_long_a_text_is_cut_between_characters_and_terminated);
	tcase_add_test(tcase, hex_is_lower_case_and_cut_between_bytes);
}

int main(void)
{
	return suite_run("base/text", add);
}
