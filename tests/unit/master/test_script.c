/* SPDX-License-Identifier: MIT
 * Scripts: what they get, what is heard of them, and that all of them end. */
#include "master/script.h"

#include "master/client_files.h"
#include "master/environment.h"
#include "tests/lib/suite.h"

#include <check.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static char heard[65536];
static unsigned lines;

static void hear(void *context, const char *line, size_t len)
{
	size_t at = strlen(heard);
	ck_assert_ptr_eq(context, heard);
	snprintf(heard + at, sizeof(heard) - at, "%.*s\n", (int)len, line);
	lines++;
}

static int shell(const char *text, const char *const *environment, span_ms limit)
{
	const char *words[] = { "/bin/sh", "-c", text, NULL };
	heard[0] = '\0';
	lines = 0;
	return script_run(words, environment, limit, hear, heard);
}

static const char *const nothing[] = { NULL };

START_TEST(the_environment_is_what_was_listed_and_nothing_else)
{
	const char *const words[] = { "/usr/bin/env", NULL }, *const environment[] = { "A=1", "B=two words",
		NULL };
	setenv("FROM_OUTSIDE", "x", 1);
	ck_assert_int_eq(script_run(words, environment, 5000, hear, heard), 0);
	ck_assert_str_eq(heard, "A=1\nB=two words\n");
}
END_TEST

START_TEST(words_arrive_as_they_are_without_a_shell)
{
	const char *const words[] = { "/bin/echo", "a b", "$HOME", "`id`; true", NULL };
	ck_assert_int_eq(script_run(words, nothing, 5000, hear, heard), 0);
	ck_assert_str_eq(heard, "a b $HOME `id`; true\n");
}
END_TEST

START_TEST(the_exit_status_is_told)
{
	ck_assert_int_eq(shell("exit 0", nothing, 5000), 0);
	ck_assert_int_eq(shell("exit 7", nothing, 5000), 7);
	ck_assert_int_eq(shell("kill -9 $$", nothing, 5000), 128 + SIGKILL);
	const char *const none[] = { "/nowhere/at/all", NULL };
	heard[0] = '\0';
	ck_assert_int_eq(script_run(none, nothing, 5000, hear, heard), 127);
	ck_assert_str_eq(heard, "cannot execute /nowhere/at/all: No such file or directory\n");
}
END_TEST

START_TEST(no_descriptor_no_input_no_signal_mask_is_inherited)
{
	int stray = dup(1); /* without CLOEXEC */
	sigset_t all;
	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, NULL);
	signal(SIGPIPE, SIG_IGN);
	ck_assert_int_ge(stray, 3);
	ck_assert_int_eq(shell("cat; ls /proc/$$/fd | tr '\\n' ' '; grep -E 'Sig(Blk|Ign)' /proc/$$/status | "
			       "tr -d '\\n\\t '",
				 nothing, 5000),
		0);
	/* dash opens none of its own for -c */
	ck_assert_msg(strncmp(heard, "0 1 2 ", 6) == 0 &&
			      strstr(heard, "SigBlk:0000000000000000SigIgn:0000000000000000"),
		"%s", heard);
}
END_TEST

static mono_ms now_ms(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (mono_ms)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

START_TEST(one_that_hangs_is_killed_with_its_whole_group)
{
	mono_ms began = now_ms();
	ck_assert_int_eq(shell("trap '' TERM; sleep 300 & echo $!; sleep 300", nothing, 300), -ETIMEDOUT);
	ck_assert_int_lt(now_ms() - began, 3000);
	pid_t child = (pid_t)atoi(heard);
	ck_assert_int_gt(child, 1);
	for (int i = 0; i < 200 && kill(child, 0) == 0; i++) {
		char path[64], state[256] = "";
		snprintf(path, sizeof(path), "/proc/%d/stat", child);
		FILE *f = fopen(path, "r");
		if (f && fgets(state, sizeof(state), f) && strstr(state, ") Z ")) {
			fclose(f);
			return; /* dead; whoever adopts orphans here does not reap them */
		}
		if (f)
			fclose(f);
		usleep(10000);
	}
	ck_assert_int_ne(kill(child, 0), 0);
}
END_TEST

START_TEST(what_it_left_in_the_background_goes_on)
{
	char path[] = "/tmp/test_script_XXXXXX";
	ck_assert_int_ge(mkstemp(path), 0);
	char text[200];
	snprintf(text, sizeof(text), "(exec >/dev/null 2>&1; sleep 0.3; echo done > %s) & exit 0", path);
	ck_assert_int_eq(shell(text, nothing, 5000), 0);
	char *content = NULL;
	size_t len = 0;
	for (int i = 0; i < 200 && !len; i++) {
		usleep(10000);
		free(content);
		ck_assert_int_eq(answer_file_read(path, 100, &content, &len), 0);
	}
	ck_assert_str_eq(content, "done\n");
	free(content);
	unlink(path);
}
END_TEST

START_TEST(one_that_talks_without_end_is_cut_short)
{
	ck_assert_int_eq(
		shell("i=0; while [ $i -lt 5000 ]; do echo line; i=$((i+1)); done; exit 3", nothing, 20000),
		3);
	ck_assert_uint_eq(lines, SCRIPT_OUTPUT_LINES + 1);
	ck_assert_ptr_nonnull(strstr(heard, "line\n(more output is not shown)\n"));
	ck_assert_int_eq(shell("printf '%2000s' x; printf tail", nothing, 5000), 0);
	ck_assert_uint_eq(lines, 3);
	ck_assert_str_eq(strstr(heard, "x"), "xtail\n");
}
END_TEST

START_TEST(limits_are_set_for_those_that_clients_set_off)
{
	const char *const words[] = { "/bin/sh", "-c", "ulimit -v; ulimit -f; ulimit -c", NULL };
	struct script s;
	int status = -1;
	heard[0] = '\0';
	ck_assert_int_eq(script_start(words, nothing, true, now_ms() + 5000, &s), 0);
	ck_assert_int_gt(s.pid, 1);
	while (!script_ended(&s, &status))
		script_listen(&s, hear, heard);
	while (script_listen(&s, hear, heard))
		;
	ck_assert_int_eq(status, 0);
	ck_assert_str_eq(heard, "2097152\n524288\n0\n");
	script_clear(&s);
	ck_assert_int_eq(s.pid, -1);
	script_kill(&s); /* nobody: not everybody */
}
END_TEST

/* -- environments -- */

START_TEST(names_and_values_are_made_harmless)
{
	struct environment e = { 0 };
	environment_set(&e, "IV_VER", "2.6\x1b[31m\n");
	environment_set(&e, "a b$(x)", "\xff");
	environment_set(&e, "IV_VER", "3");
	environment_set(&e, "", "nothing");
	environment_format(&e, "n", "%d", 5);
	const char *const *v = environment_vector(&e);
	ck_assert_str_eq(v[0], "IV_VER=3");
	ck_assert_str_eq(v[1], "a_b__x_=_");
	ck_assert_str_eq(v[2], "n=5");
	ck_assert_ptr_null(v[3]);
	ck_assert_str_eq(environment_get(&e, "n"), "5");
	environment_unset(&e, "a_b__x_");
	ck_assert_ptr_null(environment_get(&e, "a_b__x_"));
	ck_assert_uint_eq(e.count, 2);
	environment_clear(&e);
	ck_assert_ptr_null(environment_vector(&e)[0]);
}
END_TEST

/* -- files -- */

START_TEST(file_names_of_clients_stay_in_their_directory)
{
	char name[256];
	ck_assert(client_file_name("Jane Doe", name, sizeof(name)));
	ck_assert_str_eq(name, "Jane Doe");
	ck_assert(client_file_name("../../etc/passwd", name, sizeof(name)));
	ck_assert_str_eq(name, ".._.._etc_passwd");
	ck_assert(client_file_name("a\nb\xc3\xa9", name, sizeof(name)));
	ck_assert_str_eq(name, "a_b__");
	ck_assert(!client_file_name("", name, sizeof(name)));
	ck_assert(!client_file_name(".", name, sizeof(name)));
	ck_assert(!client_file_name("..", name, sizeof(name)));
	ck_assert(!client_file_name("12345", name, 5));
}
END_TEST

START_TEST(links_and_odd_files_are_not_followed)
{
	char dir[] = "/tmp/test_files_XXXXXX", path[128], *text;
	size_t len;
	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/out", dir);
	ck_assert_int_eq(symlink("/etc/passwd", path), 0);
	ck_assert_int_eq(client_file_read(dir, "out", &text, &len), -EXDEV);
	ck_assert_int_eq(client_file_read(dir, "../../etc/passwd", &text, &len), -EXDEV);
	ck_assert_int_eq(client_file_read(dir, "/etc/passwd", &text, &len), -EXDEV);
	ck_assert_int_eq(client_file_read(dir, "none", &text, &len), -ENOENT);
	ck_assert_int_eq(client_file_read("/nowhere", "none", &text, &len), -ENOTDIR);
	ck_assert_int_eq(answer_file_read(path, 1000, &text, &len), -ELOOP);
	unlink(path);
	ck_assert_int_eq(mkfifo(path, 0600), 0);
	ck_assert_int_eq(client_file_read(dir, "out", &text, &len), -EINVAL);
	unlink(path);
	ck_assert_int_eq(client_file_read(dir, ".", &text, &len), -EINVAL);
	char made[CLIENT_PATH_MAX];
	struct stat about;
	ck_assert_int_eq(answer_file_make(dir, "stem", made), 0);
	ck_assert_int_eq(stat(made, &about), 0);
	ck_assert_uint_eq(about.st_mode & 0777, 0600);
	ck_assert_int_eq(truncate(made, 11), 0);
	ck_assert_int_eq(answer_file_read(made, 10, &text, &len), -EFBIG);
	unlink(made);
	rmdir(dir);
	ck_assert_int_lt(answer_file_make(dir, "stem", made), 0);
}
END_TEST

static void add(TCase *tcase)
{
	tcase_set_timeout(tcase, 60);
	tcase_add_test(tcase, the_environment_is_what_was_listed_and_nothing_else);
	tcase_add_test(tcase, words_arrive_as_they_are_without_a_shell);
	tcase_add_test(tcase, the_exit_status_is_told);
	tcase_add_test(tcase, no_descriptor_no_input_no_signal_mask_is_inherited);
	tcase_add_test(tcase, one_that_hangs_is_killed_with_its_whole_group);
	tcase_add_test(tcase, what_it_left_in_the_background_goes_on);
	tcase_add_test(tcase, one_that_talks_without_end_is_cut_short);
	tcase_add_test(tcase, limits_are_set_for_those_that_clients_set_off);
	tcase_add_test(tcase, names_and_values_are_made_harmless);
	tcase_add_test(tcase, file_names_of_clients_stay_in_their_directory);
	tcase_add_test(tcase, links_and_odd_files_are_not_followed);
}

int main(void)
{
	return suite_run("master script", add);
}
