/* SPDX-License-Identifier: MIT
 * Last words, also from a real signal handler in a real dying process. */
#include "shm/last_words.h"
#include "tests/unit/shm/fixture.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

START_TEST(what_was_said_is_taken_once)
{
	struct shm *shm = small_segment();
	struct last_words_copy copy;
	ck_assert(!last_words_take(shm, 1, &copy));
	last_words_say(last_words_of(shm, 1), SIGSEGV, 42, 0xdead, "session.c: oops");
	last_words_say(last_words_of(shm, 1), SIGABRT, 1, 0, "a second signal");
	ck_assert(!last_words_take(shm, 0, &copy));
	ck_assert(last_words_take(shm, 1, &copy));
	ck_assert_int_eq(copy.signal, SIGSEGV);
	ck_assert_uint_eq(copy.slot, 42);
	ck_assert_uint_eq(copy.address, 0xdead);
	ck_assert_str_eq(copy.text, "session.c: oops");
	ck_assert(!last_words_take(shm, 1, &copy));
	last_words_say(last_words_of(shm, 1), SIGABRT, PEER_NONE, 0, NULL);
	ck_assert(last_words_take(shm, 1, &copy));
	ck_assert_str_eq(copy.text, "");
	shm_detach(&shm);
}
END_TEST

START_TEST(there_is_no_place_for_a_worker_that_is_none)
{
	struct shm *shm = small_segment();
	struct last_words_copy copy;
	ck_assert_ptr_null(last_words_of(shm, 3));
	ck_assert(!last_words_take(shm, 3, &copy));
	ck_assert(!last_words_take(shm, UINT32_MAX, &copy));
	shm_detach(&shm);
}
END_TEST

START_TEST(hostile_words_are_cut_and_escaped)
{
	struct shm *shm = small_segment();
	struct last_words *place = last_words_of(shm, 2);
	struct last_words_copy copy;
	memset(place, 0xff, sizeof(*place));
	ck_assert(last_words_take(shm, 2, &copy));
	ck_assert_uint_eq(copy.slot, PEER_NONE);
	for (const char *c = copy.text; *c; c++)
		ck_assert(*c >= 0x20 && *c < 0x7f);
	char longer[1000];
	memset(longer, 'a', sizeof(longer));
	longer[999] = 0;
	last_words_say(place, 6, 1, 0, longer);
	ck_assert(last_words_take(shm, 2, &copy));
	ck_assert_uint_eq(strlen(copy.text), LAST_WORDS_TEXT);
	last_words_say(place, 6, 1, 0, "two\nlines\x1b[2J");
	ck_assert(last_words_take(shm, 2, &copy));
	ck_assert_str_eq(copy.text, "two\\x0alines\\x1b[2J");
	shm_detach(&shm);
}
END_TEST

START_TEST(work_is_noted_and_survives_a_kill_that_no_handler_sees)
{
	struct shm *shm = small_segment();
	struct last_words *place = last_words_of(shm, 0);
	ck_assert_uint_eq(last_words_at_work(place), PEER_NONE);
	pid_t child = fork();
	if (child == 0) {
		last_words_note_work(place, 5);
		last_words_note_work(place, 0);
		kill(getpid(), SIGKILL);
	}
	waitpid(child, NULL, 0);
	ck_assert_uint_eq(last_words_at_work(place), 0);
	last_words_note_work(place, PEER_NONE);
	ck_assert_uint_eq(last_words_at_work(place), PEER_NONE);
	shm_detach(&shm);
}
END_TEST

static struct last_words *my_place;

static void handler(int number, siginfo_t *info, void *context)
{
	(void)context;
	last_words_say(my_place, number, last_words_at_work(my_place), (uintptr_t)info->si_addr, "crashed");
	_exit(3);
}

START_TEST(a_dying_process_speaks_from_its_handler)
{
	struct shm *shm = small_segment();
	struct last_words_copy copy;
	int status;
	my_place = last_words_of(shm, 1);
	pid_t child = fork();
	if (child == 0) {
		struct sigaction action = { .sa_sigaction = handler, .sa_flags = SA_SIGINFO };
		sigaction(SIGBUS, &action, NULL);
		last_words_note_work(my_place, 33);
		raise(SIGBUS);
		_exit(0);
	}
	waitpid(child, &status, 0);
	ck_assert_int_eq(WEXITSTATUS(status), 3);
	ck_assert(last_words_take(shm, 1, &copy));
	ck_assert_int_eq(copy.signal, SIGBUS);
	ck_assert_uint_eq(copy.slot, 33);
	ck_assert_str_eq(copy.text, "crashed");
	shm_detach(&shm);
}
END_TEST

int main(void)
{
	TCase *t = tcase_create("last words");
	tcase_add_test(t, what_was_said_is_taken_once);
	tcase_add_test(t, there_is_no_place_for_a_worker_that_is_none);
	tcase_add_test(t, hostile_words_are_cut_and_escaped);
	tcase_add_test(t, work_is_noted_and_survives_a_kill_that_no_handler_sees);
	tcase_add_test(t, a_dying_process_speaks_from_its_handler);
	return run_suite(t, "shm last words");
}
