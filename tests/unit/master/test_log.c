/* SPDX-License-Identifier: MIT
 * Log lines: their forms, where they go, what they never contain. */
#include "master/log.h"

#include <check.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
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

/* Standard output becomes `fd`; where it led before. */
static int redirect_output(int fd)
{
	fflush(stdout);
	int before = dup(STDOUT_FILENO);
	ck_assert_int_ge(dup2(fd, STDOUT_FILENO), 0);
	return before;
}

static size_t read_all(int fd, char *out, size_t room)
{
	size_t have = 0;
	ssize_t n;
	fcntl(fd, F_SETFL, O_NONBLOCK);
	while (have < room - 1 && (n = read(fd, out + have, room - 1 - have)) > 0)
		have += (size_t)n;
	out[have] = '\0';
	return have;
}

/* Writes ten thousand lines into what nobody reads, reads, writes one more. The child's alarm ends it if it
 * waits. */
static void nobody_reads(int writing, int reading)
{
	static char text[1 << 20];
	struct log_settings s = { .verb = 3, .suppress_timestamps = true };
	int before = redirect_output(writing);
	alarm(5);
	log_open(&s);
	for (int i = 0; i < 10000; i++)
		log_line(1, "a line of a usual length, number %d, that nobody reads", i);
	read_all(reading, text, sizeof(text));
	log_line(1, "the last one");
	size_t len = read_all(reading, text, sizeof(text));
	ck_assert_int_ge(dup2(before, STDOUT_FILENO), 0);
	ck_assert_ptr_nonnull(strstr(text, "lines of the log were lost"));
	ck_assert_uint_ge(len, 13);
	ck_assert_str_eq(text + len - 13, "the last one\n");
	alarm(0);
}

START_TEST(a_full_pipe_holds_nobody_up_and_the_lost_lines_are_counted)
{
	int ends[2];
	ck_assert_int_eq(pipe(ends), 0);
	nobody_reads(ends[1], ends[0]);
	ck_assert_int_eq(fcntl(ends[1], F_GETFL) & O_NONBLOCK, 0); /* its flags are others' too */
}
END_TEST

START_TEST(a_full_socket_holds_nobody_up)
{
	int ends[2];
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
	nobody_reads(ends[1], ends[0]);
}
END_TEST

START_TEST(a_fifo_without_a_reader_is_an_error)
{
	char name[64];
	snprintf(name, sizeof(name), "/tmp/vpnserverd-fifo-%ld", (long)getpid());
	ck_assert_int_eq(mkfifo(name, 0600), 0);
	struct log_settings s = { .file = name, .append = true, .verb = 3 };
	alarm(5);
	ck_assert_int_lt(log_open(&s), 0);
	alarm(0);
	unlink(name);
}
END_TEST

static int syslog_daemon(const char *name)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_DGRAM, 0);
	snprintf(at.sun_path, sizeof(at.sun_path), "%s", name);
	unlink(name);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	return fd;
}

START_TEST(syslog_gets_priority_name_and_text_and_is_never_waited_for)
{
	char name[64], got[2048], expected[96];
	snprintf(name, sizeof(name), "/tmp/vpnserverd-syslog-%ld", (long)getpid());
	struct log_settings s = {
		.verb = 3, .use_syslog = true, .syslog_name = "hub", .syslog_socket = name
	};
	alarm(5);
	log_open(&s);
	log_line(1, "before the daemon is there"); /* lost */
	int daemon_fd = syslog_daemon(name);
	log_line(0, "broken");
	ssize_t n = recv(daemon_fd, got, sizeof(got) - 1, 0);
	ck_assert_int_gt(n, 0);
	got[n] = '\0';
	snprintf(expected, sizeof(expected), " hub[%ld]: broken", (long)getpid());
	ck_assert_msg(strncmp(got, "<27>", 4) == 0 && strstr(got, expected), "%s", got);
	for (int i = 0; i < 2000; i++)
		log_line(1, "nobody reads this, number %d", i);
	close(daemon_fd);
	daemon_fd = syslog_daemon(name); /* it was started anew */
	log_line(1, "after");
	n = recv(daemon_fd, got, sizeof(got) - 1, 0);
	ck_assert_int_gt(n, 0);
	got[n] = '\0';
	ck_assert_ptr_nonnull(strstr(got, ": after"));
	alarm(0);
	unlink(name);
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
	tcase_add_test(t, a_full_pipe_holds_nobody_up_and_the_lost_lines_are_counted);
	tcase_add_test(t, a_full_socket_holds_nobody_up);
	tcase_add_test(t, a_fifo_without_a_reader_is_an_error);
	tcase_add_test(t, syslog_gets_priority_name_and_text_and_is_never_waited_for);
	suite_add_tcase(suite, t);
	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
