/* SPDX-License-Identifier: MIT
 * Memory of a configuration: what the arena promises, and every allocation failing once. */
#include "tests/unit/conf/paper.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

void *__real_calloc(size_t count, size_t size);
void *__wrap_calloc(size_t count, size_t size);

static long allowed = -1; /* calls that succeed from now on; -1: all */
static unsigned calls;

void *__wrap_calloc(size_t count, size_t size)
{
	calls++;
	if (allowed == 0)
		return NULL;
	if (allowed > 0)
		allowed--;
	return __real_calloc(count, size);
}

START_TEST(what_is_taken_is_zeroed_and_aligned)
{
	struct arena *arena = arena_new();
	for (size_t size = 0; size < 200000; size = size * 3 + 1) {
		uint8_t *at = arena_take(arena, size);
		ck_assert_ptr_nonnull(at);
		ck_assert_uint_eq((uintptr_t)at % 16, 0);
		for (size_t i = 0; i < size; i++)
			ck_assert_uint_eq(at[i], 0);
		memset(at, 0xff, size);
	}
	ck_assert(!arena_failed(arena));
	arena_free(&arena);
	ck_assert_ptr_null(arena);
	arena_free(&arena);
}
END_TEST

START_TEST(an_array_keeps_its_elements_when_it_grows)
{
	struct arena *arena = arena_new();
	unsigned *array = NULL;
	for (unsigned i = 0; i < 1000; i++) {
		array = arena_grow(arena, array, i, sizeof(*array));
		ck_assert_ptr_nonnull(array);
		array[i] = i;
	}
	for (unsigned i = 0; i < 1000; i++)
		ck_assert_uint_eq(array[i], i);
	arena_free(&arena);
}
END_TEST

START_TEST(every_allocation_may_fail)
{
	/* Enough text that later steps, too, need chunks of their own. */
	static char extra[60 * 1024];
	for (unsigned i = 0; i < 400; i++)
		snprintf(extra + strlen(extra), sizeof(extra) - strlen(extra),
			"route 192.168.%u.%u\npush \"echo %080u\"\n", i / 200, i % 200, i);
	strcat(extra, "cd vpn\nsetenv opt foo\ntls-crypt /t\nremote-cert-ku a0\ndata-ciphers "
		      "AES-128-GCM\nlocal ::1\n"
		      "status s\nserver-ipv6 fd00::/64\nroute-ipv6 fd01::/64\nignore-unknown-option a b c\n");
	paper_put("/etc/vpn/ca.crt", PEM, strlen(PEM), 0644);
	paper_put("/etc/vpn/server.crt", PEM, strlen(PEM), 0644);
	paper_put("/etc/vpn/server.key", PEM, strlen(PEM), 0600);
	struct config *config = read_more(extra);
	ck_assert_ptr_null(config); /* tls-crypt /t is not there */
	for (long i = 0; i < 400; i++) {
		allowed = i;
		calls = 0;
		config = read_more(extra);
		bool enough = allowed > 0 || calls <= (unsigned)i;
		allowed = -1;
		ck_assert_ptr_null(config);
		if (enough)
			return;
		/* The very first is the arena itself: then there is nothing to report with. */
		if (i > 1)
			ck_assert(paper_problem_is(strstr(paper_problem(0), "[CMD-LINE]")
							   ? "E [CMD-LINE]: out of memory"
							   : "E main.conf: out of memory"));
	}
	ck_abort_msg("it never had enough");
}
END_TEST

START_TEST(without_memory_there_is_no_configuration)
{
	/* The same with one that is right, so that nothing but memory is missing. */
	struct config *config = silent("");
	config_free(&config);
	for (long i = 0; i < 400; i++) {
		allowed = i;
		config = read_more("push \"echo a\"\n");
		bool used_up = allowed == 0;
		allowed = -1;
		if (config) {
			ck_assert_int_gt(i, 1);
			config_free(&config);
			return;
		}
		ck_assert(used_up);
	}
	ck_abort_msg("it never had enough");
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("conf memory");
	TCase *tcase = tcase_create("memory");
	tcase_add_test(tcase, what_is_taken_is_zeroed_and_aligned);
	tcase_add_test(tcase, an_array_keeps_its_elements_when_it_grows);
	tcase_add_test(tcase, every_allocation_may_fail);
	tcase_add_test(tcase, without_memory_there_is_no_configuration);
	suite_add_tcase(suite, tcase);
	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
