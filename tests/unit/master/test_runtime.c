/* SPDX-License-Identifier: MIT
 * Lock, pid file and background. */
#include "master/runtime.h"

#include "master/log.h"

#include <check.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char dir[64], log_path[80];

static void set_up(void)
{
	snprintf(dir, sizeof(dir), "/tmp/vpnserverd-run-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(log_path, sizeof(log_path), "%s/log", dir);
	struct log_settings s = { .file = log_path, .verb = 3 };
	ck_assert_int_eq(log_open(&s), 0);
}

static const char *contents(const char *path)
{
	static char text[4096];
	FILE *in = fopen(path, "r");
	size_t n = in ? fread(text, 1, sizeof(text) - 1, in) : 0;
	text[n] = '\0';
	if (in)
		fclose(in);
	return text;
}

static void clean_up(void)
{
	char command[128];
	snprintf(command, sizeof(command), "rm -r %s", dir);
	ck_assert_int_eq(system(command), 0);
}

START_TEST(the_directory_is_made_and_others_may_look_inside)
{
	set_up();
	char sub[96], path[256];
	snprintf(sub, sizeof(sub), "%s/hub", dir);
	umask(077);
	int fd = runtime_lock(sub, "office", path, sizeof(path));
	ck_assert_int_ge(fd, 0);
	struct stat s;
	ck_assert_int_eq(stat(sub, &s), 0);
	ck_assert_uint_eq(s.st_mode & 0777, 0755);
	ck_assert_ptr_nonnull(strstr(path, "/hub/office.lock"));
	ck_assert_int_eq(stat(path, &s), 0);
	ck_assert_uint_eq(s.st_mode & 0777, 0600); /* who can open it can keep a later hub out */
	runtime_unlock(fd, path);
	ck_assert_int_lt(access(path, F_OK), 0);
	clean_up();
}
END_TEST

START_TEST(a_second_hub_of_the_same_name_is_refused_and_told_the_pid_of_the_first)
{
	set_up();
	char path[256];
	int ends[2];
	ck_assert_int_eq(pipe(ends), 0);
	pid_t first = fork();
	if (first == 0) {
		char there[256];
		int fd = runtime_lock(dir, "office", there, sizeof(there));
		(void)!write(ends[1], fd >= 0 ? "y" : "n", 1);
		pause();
		_exit(0);
	}
	char word;
	ck_assert_int_eq(read(ends[0], &word, 1), 1);
	ck_assert_int_eq(word, 'y');
	ck_assert_int_eq(runtime_lock(dir, "office", path, sizeof(path)), -EBUSY);
	char expected[80];
	snprintf(expected, sizeof(expected), "A hub named office is running already: pid %d", first);
	ck_assert_ptr_nonnull(strstr(contents(log_path), expected));

	int other = runtime_lock(dir, "home", path, sizeof(path));
	ck_assert_int_ge(other, 0);
	runtime_unlock(other, path);

	/* dead: nobody holds it, whatever file is left */
	kill(first, SIGKILL);
	waitpid(first, NULL, 0);
	int fd = runtime_lock(dir, "office", path, sizeof(path));
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(atoi(contents(path)), getpid());
	runtime_unlock(fd, path);
	clean_up();
}
END_TEST

START_TEST(a_link_in_place_of_the_lock_is_not_followed)
{
	set_up();
	char path[256], target[96], lock[96];
	snprintf(target, sizeof(target), "%s/victim", dir);
	snprintf(lock, sizeof(lock), "%s/office.lock", dir);
	ck_assert_int_eq(symlink(target, lock), 0);
	ck_assert_int_lt(runtime_lock(dir, "office", path, sizeof(path)), 0);
	ck_assert_int_lt(access(target, F_OK), 0);
	clean_up();
}
END_TEST

START_TEST(a_runtime_directory_where_others_may_write_is_warned_of)
{
	set_up();
	char path[256];
	ck_assert_int_eq(chmod(dir, 0777), 0);
	int fd = runtime_lock(dir, "office", path, sizeof(path));
	ck_assert_int_ge(fd, 0);
	ck_assert_ptr_nonnull(strstr(contents(log_path), "WARNING: hub.runtime-dir"));
	runtime_unlock(fd, path);
	clean_up();
}
END_TEST

START_TEST(a_runtime_directory_that_is_a_file_is_refused)
{
	set_up();
	char path[256];
	ck_assert_int_eq(runtime_lock(log_path, "office", path, sizeof(path)), -ENOTDIR);
	clean_up();
}
END_TEST

START_TEST(the_pid_file_has_our_pid_and_is_readable_by_all)
{
	set_up();
	char path[96];
	struct stat s;
	snprintf(path, sizeof(path), "%s/pid", dir);
	umask(077);
	ck_assert_int_eq(pid_file_write(path), 0);
	ck_assert_int_eq(atoi(contents(path)), getpid());
	ck_assert_int_eq(stat(path, &s), 0);
	ck_assert_uint_eq(s.st_mode & 0777, 0644);
	ck_assert_int_lt(pid_file_write("/nonexistent/pid"), 0);
	clean_up();
}
END_TEST

/* Whoever may write to the directory put something there; the alarm ends us if we wait for a FIFO. */
START_TEST(what_stands_in_place_of_the_pid_file_is_replaced_and_never_opened)
{
	set_up();
	char path[96], target[96];
	struct stat s;
	snprintf(path, sizeof(path), "%s/pid", dir);
	snprintf(target, sizeof(target), "%s/victim", dir);
	FILE *victim = fopen(target, "w");
	fputs("precious", victim);
	fclose(victim);
	ck_assert_int_eq(symlink(target, path), 0);
	alarm(5);
	ck_assert_int_eq(pid_file_write(path), 0);
	ck_assert_str_eq(contents(target), "precious");
	ck_assert_int_eq(unlink(path), 0);
	ck_assert_int_eq(mkfifo(path, 0600), 0);
	ck_assert_int_eq(pid_file_write(path), 0);
	alarm(0);
	ck_assert_int_eq(lstat(path, &s), 0);
	ck_assert(S_ISREG(s.st_mode));
	ck_assert_int_eq(atoi(contents(path)), getpid());
	char command[160];
	snprintf(command, sizeof(command), "test \"$(ls -A %s | sort | tr '\\n' ' ')\" = 'log pid victim '",
		dir);
	ck_assert_int_eq(system(command), 0);
	clean_up();
}
END_TEST

/* What the first process of a daemon exits with, when the background one says `word` (-1: dies without a
 * word). */
static int first_process_exits_with(int word)
{
	pid_t first = fork();
	if (first == 0) {
		int fd = runtime_daemonize();
		if (word < 0)
			_exit(0);
		runtime_tell(fd, word);
		_exit(0);
	}
	int status;
	ck_assert_int_eq(waitpid(first, &status, 0), first);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

START_TEST(the_first_process_exits_as_the_one_in_the_background_says)
{
	ck_assert_int_eq(first_process_exits_with(0), 0);
	ck_assert_int_eq(first_process_exits_with(1), 1);
	ck_assert_int_eq(first_process_exits_with(-1), 1);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("runtime");
	TCase *t = tcase_create("runtime");
	tcase_add_test(t, the_directory_is_made_and_others_may_look_inside);
	tcase_add_test(t, a_second_hub_of_the_same_name_is_refused_and_told_the_pid_of_the_first);
	tcase_add_test(t, a_link_in_place_of_the_lock_is_not_followed);
	tcase_add_test(t, a_runtime_directory_that_is_a_file_is_refused);
	tcase_add_test(t, a_runtime_directory_where_others_may_write_is_warned_of);
	tcase_add_test(t, what_stands_in_place_of_the_pid_file_is_replaced_and_never_opened);
	tcase_add_test(t, the_pid_file_has_our_pid_and_is_readable_by_all);
	tcase_add_test(t, the_first_process_exits_as_the_one_in_the_background_says);
	suite_add_tcase(suite, t);
	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
