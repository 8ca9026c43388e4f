/* SPDX-License-Identifier: MIT
 * Text messages cut out of records and told apart. */
#include "common/negotiate/negotiate.h"

#include <check.h>
#include <stdlib.h>

static char out[CONTROL_TEXT_MAX];
static bool bad;

static void expect(struct bytes *record, const char *text, bool is_bad)
{
	ck_assert(control_text_next(record, out, &bad));
	ck_assert_str_eq(out, text);
	ck_assert(bad == is_bad);
}

START_TEST(several_messages_in_one_record_come_one_by_one)
{
	struct bytes record = bytes_of("PUSH_REQUEST\0EXIT\r\n\0", 20);
	expect(&record, "PUSH_REQUEST", false);
	expect(&record, "EXIT", false);
	ck_assert(!control_text_next(&record, out, &bad));
	ck_assert(!bad);
}
END_TEST

START_TEST(an_unterminated_message_is_bad)
{
	struct bytes record = bytes_of("EXIT\0EXIT", 9);
	expect(&record, "EXIT", false);
	expect(&record, "", true);
	ck_assert(!control_text_next(&record, out, &bad));
}
END_TEST

START_TEST(bytes_outside_printable_ascii_are_bad_and_the_next_message_is_read)
{
	static const char *const texts[] = { "EX\tIT", "\x1b[31mEXIT", "EXIT\x7f", "EX\xc3\xa4IT", "\r\nEXIT",
		"EX\nIT" };
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		char both[64];
		size_t len = strlen(texts[i]) + 1;
		memcpy(both, texts[i], len);
		memcpy(both + len, "EXIT", 5);
		struct bytes record = bytes_of(both, len + 5);
		expect(&record, "", true);
		expect(&record, "EXIT", false);
	}
}
END_TEST

START_TEST(an_over_long_message_is_bad)
{
	static char text[CONTROL_TEXT_MAX + 8];
	for (size_t len = CONTROL_TEXT_MAX - 1; len <= CONTROL_TEXT_MAX; len++) {
		memset(text, 'x', len);
		strcpy(text + len, "");
		struct bytes record = bytes_of(text, len + 1);
		ck_assert(control_text_next(&record, out, &bad));
		ck_assert(bad == (len == CONTROL_TEXT_MAX));
		ck_assert_uint_eq(strlen(out), bad ? 0 : len);
	}
}
END_TEST

START_TEST(an_empty_message_is_one_too)
{
	struct bytes record = bytes_of("\0\r\n\0", 4);
	expect(&record, "", false);
	expect(&record, "", false);
	ck_assert(!control_text_next(&record, out, &bad));
	record = bytes_of("", 0);
	ck_assert(!control_text_next(&record, out, &bad));
}
END_TEST

START_TEST(words_tell_the_kind)
{
	const struct {
		const char *text;
		enum control_kind kind;
		const char *rest;
	} known[] = {
		{ "PUSH_REQUEST", TEXT_PUSH_REQUEST, "" },
		{ "PUSH_REPLY,ping 10,topology subnet", TEXT_PUSH_REPLY, "ping 10,topology subnet" },
		{ "PUSH_UPDATE,-route", TEXT_PUSH_OTHER, "-route" },
		{ "AUTH_FAILED", TEXT_AUTH_FAILED, "" },
		{ "AUTH_FAILED,SESSION: token expired", TEXT_AUTH_FAILED, "SESSION: token expired" },
		{ "RESTART,[N]", TEXT_RESTART, "[N]" },
		{ "HALT", TEXT_HALT, "" },
		{ "INFO,hello", TEXT_INFO, "hello" },
		{ "INFO_PRE,OPEN_URL:x", TEXT_INFO_PRE, "OPEN_URL:x" },
		{ "CR_RESPONSE,YQ==", TEXT_CR_RESPONSE, "YQ==" },
		{ "AUTH_PENDING,timeout 30", TEXT_AUTH_PENDING, "timeout 30" },
		{ "EXIT", TEXT_EXIT, "" },
		{ "", TEXT_UNKNOWN, "" },
		{ "exit", TEXT_UNKNOWN, "" },
		{ "EXITS", TEXT_UNKNOWN, "" },
		{ "EXI", TEXT_UNKNOWN, "" },
		{ "AUTH_FAILEDx,y", TEXT_UNKNOWN, "y" },
		{ "PUSH", TEXT_UNKNOWN, "" },
		{ ",EXIT", TEXT_UNKNOWN, "EXIT" },
	};
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		const char *rest;
		ck_assert_msg(control_text_kind(known[i].text, &rest) == known[i].kind, "%s", known[i].text);
		ck_assert_str_eq(rest, known[i].rest);
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("negotiate/control_text");
	TCase *tcase = tcase_create("control_text");
	tcase_add_test(tcase, several_messages_in_one_record_come_one_by_one);
	tcase_add_test(tcase, an_unterminated_message_is_bad);
	tcase_add_test(tcase, bytes_outside_printable_ascii_are_bad_and_the_next_message_is_read);
	tcase_add_test(tcase, an_over_long_message_is_bad);
	tcase_add_test(tcase, an_empty_message_is_one_too);
	tcase_add_test(tcase, words_tell_the_kind);
	suite_add_tcase(suite, tcase);
	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
