/* SPDX-License-Identifier: MIT
 * The control socket from vpnadm's side, against hubs that are not there, say nothing sensible, too much, or half of
 * it. */
#include "shm/vpnadm/control.h"

#include <check.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static char dir[64], path[100], error[256], answer[CONTROL_LINE_MAX];
static pid_t hub = -1;

static const char GREETING[] = ">INFO:OpenVPN Management Interface Version 5 -- type 'help' for more info\r\n";

static int listens(void)
{
	struct sockaddr_un name = { .sun_family = AF_UNIX };
	strcpy(dir, "/tmp/vpnserverd-control-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/hub.control", dir);
	strcpy(name.sun_path, path);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&name, sizeof(name)), 0);
	ck_assert_int_eq(listen(fd, 4), 0);
	return fd;
}

static void say(int fd, const char *text)
{
	for (size_t left = strlen(text); left;) {
		ssize_t gone = send(fd, text, left, MSG_NOSIGNAL);
		if (gone <= 0)
			_exit(0);
		text += gone;
		left -= (size_t)gone;
	}
}

/* A hub that says `greeting`; to each line that it hears: the line itself, its quotation marks made ', as one of an
 * answer, then `reply`. */
static void a_hub(const char *greeting, const char *reply)
{
	int fd = listens();
	hub = fork();
	if (hub) {
		close(fd);
		return;
	}
	alarm(20);
	int c = accept(fd, NULL, NULL);
	char line[2000];
	say(c, greeting);
	for (ssize_t got; reply && (got = recv(c, line, sizeof(line) - 1, 0)) > 0;) {
		line[got] = '\0';
		for (char *at = line; *at; at++)
			*at = *at == '"' ? '\'' : *at;
		say(c, line);
		say(c, reply);
	}
	_exit(0);
}

static void clean(void)
{
	if (hub > 0) {
		kill(hub, SIGKILL);
		waitpid(hub, NULL, 0);
	}
	hub = -1;
	unlink(path);
	rmdir(dir);
}

static char told[8 << 10];

static void hear(void *context, const char *line)
{
	(void)context;
	size_t len = strlen(told);
	snprintf(told + len, sizeof(told) - len, "%s|", line);
}

static enum control_answer ask(struct control *control, const char *const *words)
{
	told[0] = '\0';
	return control_command(control, words, hear, NULL, answer, sizeof(answer));
}

#define WORDS(...) ((const char *const[]){ __VA_ARGS__, NULL })

START_TEST(no_hub_and_a_dead_one_are_not_running)
{
	close(listens()); /* what a dead one left */
	ck_assert_ptr_null(control_open(path, error, sizeof(error)));
	ck_assert_ptr_nonnull(strstr(error, "is not running"));
	unlink(path);
	ck_assert_ptr_null(control_open(path, error, sizeof(error)));
	ck_assert_ptr_nonnull(strstr(error, "is not running"));
	char longest[200];
	memset(longest, 'a', sizeof(longest));
	longest[sizeof(longest) - 1] = '\0';
	ck_assert_ptr_null(control_open(longest, error, sizeof(error)));
	ck_assert_ptr_nonnull(strstr(error, "too long"));
	clean();
}
END_TEST

START_TEST(who_may_not_is_told_who_may)
{
	if (geteuid() != 0)
		return; /* it takes root to become another */
	close(listens());
	chmod(dir, 0755);
	chmod(path, 0600);
	pid_t pid = fork();
	if (pid == 0) {
		if (setgid(65534) < 0 || setuid(65534) < 0)
			_exit(2);
		_exit(control_open(path, error, sizeof(error)) || !strstr(error, "no permission") ||
			!strstr(error, "root alone"));
	}
	int status;
	waitpid(pid, &status, 0);
	ck_assert_int_eq(status, 0);
	clean();
}
END_TEST

START_TEST(a_hub_that_turns_us_away_or_is_none)
{
	a_hub("", NULL);
	ck_assert_ptr_null(control_open(path, error, sizeof(error)));
	ck_assert_ptr_nonnull(strstr(error, "wants nothing to do with us"));
	clean();
	a_hub("SSH-2.0-OpenSSH\r\n", "");
	ck_assert_ptr_null(control_open(path, error, sizeof(error)));
	ck_assert_ptr_nonnull(strstr(error, "does not speak like a hub"));
	clean();
}
END_TEST

START_TEST(answers_end_with_success_error_or_end)
{
	static const struct {
		const char *reply, *text;
		enum control_answer is;
	} known[] = { { "SUCCESS: done\r\n", "done", CONTROL_DONE }, { "ERROR: no\n", "no", CONTROL_REFUSED },
		{ ">LOG:0,I,SUCCESS: liar\r\none\r\n>STATE:1\r\nEND\r\n", "", CONTROL_DONE } };

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		a_hub(GREETING, known[i].reply);
		struct control *control = control_open(path, error, sizeof(error));
		ck_assert_msg(control != NULL, "%s", error);
		for (int again = 0; again < 3; again++) {
			ck_assert_int_eq(ask(control, WORDS("kill", "a \\\"b")), known[i].is);
			ck_assert_str_eq(answer, known[i].text);
			ck_assert_str_eq(told, i == 2 ? "'kill' 'a \\\\\\'b'|one|" : "'kill' 'a \\\\\\'b'|");
		}
		control_close(&control);
		ck_assert_ptr_null(control);
		clean();
	}
}
END_TEST

START_TEST(what_cannot_be_said_is_not_sent)
{
	char longest[2000];
	memset(longest, 'a', sizeof(longest));
	longest[sizeof(longest) - 1] = '\0';
	a_hub(GREETING, "SUCCESS: done\r\n");
	struct control *control = control_open(path, error, sizeof(error));
	ck_assert_int_eq(ask(control, WORDS("kill", "a\nkill b")), CONTROL_REFUSED);
	ck_assert_int_eq(ask(control, WORDS("kill", "\x1b[2J")), CONTROL_REFUSED);
	ck_assert_int_eq(ask(control, WORDS("kill", longest)), CONTROL_REFUSED);
	ck_assert_int_eq(ask(control, WORDS("kill", "b")), CONTROL_DONE);
	ck_assert_str_eq(told, "'kill' 'b'|"); /* the first that it heard */
	control_close(&control);
	clean();
}
END_TEST

START_TEST(a_hub_that_dies_in_the_middle_is_lost)
{
	a_hub(GREETING, NULL);
	struct control *control = control_open(path, error, sizeof(error));
	ck_assert_msg(control != NULL, "%s", error);
	ck_assert_int_eq(ask(control, WORDS("kill", "b")), CONTROL_LOST);
	char line[CONTROL_LINE_MAX];
	ck_assert_int_eq(control_notice(control, line, 1000), -1);
	control_close(&control);
	clean();
}
END_TEST

START_TEST(a_line_without_end_is_cut_and_bytes_are_only_bytes)
{
	static char reply[40000];
	memset(reply, 'x', sizeof(reply) - 20);
	strcpy(reply + sizeof(reply) - 20, "\n\x01\xff\nSUCCESS: ok\n");
	a_hub(GREETING, reply);
	struct control *control = control_open(path, error, sizeof(error));
	ck_assert_int_eq(ask(control, WORDS("help")), CONTROL_DONE);
	ck_assert_str_eq(answer, "ok");
	control_close(&control);
	clean();
}
END_TEST

START_TEST(notices_are_waited_for_no_longer_than_asked)
{
	char line[CONTROL_LINE_MAX];
	a_hub(GREETING, "SUCCESS: 1 session(s)\r\n>TRACE:1,2,in\r\n");
	struct control *control = control_open(path, error, sizeof(error));
	ck_assert_int_eq(ask(control, WORDS("trace", "a")), CONTROL_DONE);
	ck_assert_int_eq(control_notice(control, line, 2000), 1);
	ck_assert_str_eq(line, ">TRACE:1,2,in");
	ck_assert_int_eq(control_notice(control, line, 50), 0);
	control_close(&control);
	clean();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("control");
	TCase *tcase = tcase_create("all");
	tcase_set_timeout(tcase, 30);
	suite_add_tcase(suite, tcase);
	tcase_add_test(tcase, no_hub_and_a_dead_one_are_not_running);
	tcase_add_test(tcase, who_may_not_is_told_who_may);
	tcase_add_test(tcase, a_hub_that_turns_us_away_or_is_none);
	tcase_add_test(tcase, answers_end_with_success_error_or_end);
	tcase_add_test(tcase, what_cannot_be_said_is_not_sent);
	tcase_add_test(tcase, a_hub_that_dies_in_the_middle_is_lost);
	tcase_add_test(tcase, a_line_without_end_is_cut_and_bytes_are_only_bytes);
	tcase_add_test(tcase, notices_are_waited_for_no_longer_than_asked);
	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
