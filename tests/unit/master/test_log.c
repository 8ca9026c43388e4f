/* SPDX-License-Identifier: MIT
 * Log lines: their forms, where they go, what they never contain. */
#include "master/log.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const struct timespec moment = { .tv_sec = 1795362472, .tv_nsec = 123456789 };

START_TEST(a_line_begins_with_local_time_as_stock_writes_it)
{
	char line[200];
	setenv("TZ", "UTC", 1);
	struct log_settings s = { .verb = 1 };
	size_t len = log_format(line, sizeof(line), &s, moment, LOG_LEVEL_NOTICE, "hello");
	ck_assert_str_eq(line, "2026-11-22 15:47:52 hello\n");
	ck_assert_uint_eq(len, strlen(line));
}
END_TEST

START_TEST(timestamps_can_be_left_out)
{
	char line[200];
	struct log_settings s = { .suppress_timestamps = true };
	log_format(line, sizeof(line), &s, moment, LOG_LEVEL_NOTICE, "hello");
	ck_assert_str_eq(line, "hello\n");
}
END_TEST

START_TEST(machine_readable_lines_have_seconds_micros_and_flags)
{
	char line[200];
	struct log_settings s = { .machine_readable = true };
	log_format(line, sizeof(line), &s, moment, LOG_LEVEL_NOTICE, "hello");
	ck_assert_str_eq(line, "1795362472.123456 1 hello\n");
	log_format(line, sizeof(line), &s, moment, LOG_LEVEL_ERROR, "hello");
	ck_assert_str_eq(line, "1795362472.123456 20 hello\n");
	log_format(line, sizeof(line), &s, moment, LOG_LEVEL_NOTICE, "WARNING: hello");
	ck_assert_str_eq(line, "1795362472.123456 40 WARNING: hello\n");
}
END_TEST

START_TEST(a_line_too_long_is_cut_and_still_ends)
{
	char line[16];
	struct log_settings s = { .suppress_timestamps = true };
	size_t len = log_format(
		line, sizeof(line), &s, moment, LOG_LEVEL_NOTICE, "0123456789012345678901234567890");
	ck_assert_uint_eq(len, 15);
	ck_assert_int_eq(line[14], '\n');
}
END_TEST

static char path[] = "/tmp/vpnserverd-log-XXXXXX";

static char *contents(void)
{
	static char text[8192];
	FILE *in = fopen(path, "r");
	size_t n = in ? fread(text, 1, sizeof(text) - 1, in) : 0;
	text[n] = '\0';
	if (in)
		fclose(in);
	return text;
}

static struct log_settings to_file(void)
{
	close(mkstemp(path));
	return (struct log_settings){ .file = path, .suppress_timestamps = true, .verb = 3 };
}

START_TEST(lines_above_the_level_are_left_out)
{
	struct log_settings s = to_file();
	log_open(&s);
	log_line(LOG_LEVEL_INFO, "seen %d", 1);
	log_line(LOG_LEVEL_DETAIL, "not seen");
	ck_assert_str_eq(contents(), "seen 1\n");
	unlink(path);
}
END_TEST

START_TEST(what_another_process_says_cannot_break_a_line)
{
	struct log_settings s = to_file();
	log_open(&s);
	log_foreign(1, "evil\n2026-01-01 00:00:00 forged \x1b[31m", 38);
	log_line(1, "own %s", "line\r\nbreak");
	char *text = contents();
	ck_assert_ptr_nonnull(strstr(text, "evil\\x0a2026"));
	ck_assert_ptr_null(strchr(text, '\x1b'));
	ck_assert_ptr_nonnull(strstr(text, "own line  break\n"));
	unlink(path);
}
END_TEST

START_TEST(opening_again_never_truncates_a_second_time)
{
	struct log_settings s = to_file();
	FILE *old = fopen(path, "w");
	fputs("from before\n", old);
	fclose(old);
	log_open(&s);
	log_line(1, "first");
	log_open(&s);
	log_line(1, "second");
	ck_assert_str_eq(contents(), "first\nsecond\n");
	unlink(path);
}
END_TEST

START_TEST(appending_keeps_what_is_there)
{
	struct log_settings s = to_file();
	s.append = true;
	FILE *old = fopen(path, "w");
	fputs("from before\n", old);
	fclose(old);
	log_open(&s);
	log_line(1, "first");
	ck_assert_str_eq(contents(), "from before\nfirst\n");
	unlink(path);
}
END_TEST

START_TEST(a_file_that_cannot_be_opened_is_an_error_and_changes_nothing)
{
	struct log_settings s = to_file();
	log_open(&s);
	struct log_settings bad = { .file = "/nonexistent/dir/log", .verb = 3 };
	ck_assert_int_lt(log_open(&bad), 0);
	log_line(1, "still here");
	ck_assert_str_eq(contents(), "still here\n");
	unlink(path);
}
END_TEST

START_TEST(mute_lets_so_many_of_a_kind_pass_and_counts_the_rest)
{
	struct log_settings s = to_file();
	s.mute = 2;
	log_open(&s);
	for (int i = 0; i < 5; i++)
		log_line(1, "client %d came", i);
	log_line(1, "something else");
	ck_assert_str_eq(contents(),
		"client 0 came\nclient 1 came\n"
		"3 variation(s) on previous 2 message(s) suppressed by --mute\nsomething else\n");
	unlink(path);
}
END_TEST

START_TEST(errors_are_never_muted)
{
	struct log_settings s = to_file();
	s.mute = 1;
	log_open(&s);
	for (int i = 0; i < 3; i++)
		log_line(0, "broken %d", i);
	ck_assert_str_eq(contents(), "broken 0\nbroken 1\nbroken 2\n");
	unlink(path);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("log");
	TCase *t = tcase_create("log");
	tcase_add_test(t, a_line_begins_with_local_time_as_stock_writes_it);
	tcase_add_test(t, timestamps_can_be_left_out);
	tcase_add_test(t, machine_readable_lines_have_seconds_micros_and_flags);
	tcase_add_test(t, a_line_too_long_is_cut_and_still_ends);
	tcase_add_test(t, lines_above_the_level_are_left_out);
	tcase_add_test(t, what_another_process_says_cannot_break_a_line);
	tcase_add_test(t, opening_again_never_truncates_a_second_time);
	tcase_add_test(t, appending_keeps_what_is_there);
	tcase_add_test(t, a_file_that_cannot_be_opened_is_an_error_and_changes_nothing);
	tcase_add_test(t, mute_lets_so_many_of_a_kind_pass_and_counts_the_rest);
	tcase_add_test(t, errors_are_never_muted);
	suite_add_tcase(suite, t);
	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
