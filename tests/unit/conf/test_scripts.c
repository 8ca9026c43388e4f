/* SPDX-License-Identifier: MIT
 * Directives that name scripts and the files of clients. */
#include "tests/lib/suite.h"
#include "tests/unit/conf/paper.h"

#include <check.h>

static void put_script(void)
{
	paper_put("/x/run", "#!/bin/sh\n", 10, 0755);
}

START_TEST(a_command_is_cut_into_its_words)
{
	put_script();
	struct config *config = silent("script-security 2\nclient-connect \"/x/run one 'two three'\"\n");
	const char *const *words = config->scripts.client_connect;
	ck_assert_str_eq(words[0], "/x/run");
	ck_assert_str_eq(words[1], "one");
	ck_assert_str_eq(words[2], "two three");
	ck_assert_ptr_null(words[3]);
	ck_assert_ptr_null(config->scripts.client_disconnect);
	config_free(&config);
}
END_TEST

START_TEST(a_script_must_be_there_and_executable)
{
	refused_with("script-security 2\nup /x/none\n",
		"E main.conf:9: up: cannot find /x/none: No such file or directory");
	paper_put("/x/plain", "x", 1, 0644);
	refused_with("script-security 2\ndown /x/plain\n",
		"E main.conf:9: down: /x/plain is not executable (hint: chmod +x /x/plain)");
	refused_with("client-connect \"\"\n", "E main.conf:8: client-connect: names no program");
	refused_with("client-connect \"'/x/run\"\n",
		"E main.conf:8: client-connect: no closing quotation mark (')");
}
END_TEST

START_TEST(words_outside_of_the_quotes_are_refused)
{
	put_script();
	ck_assert_ptr_null(read_more("script-security 2\nclient-connect /x/run word\n"));
}
END_TEST

START_TEST(script_security_that_forbids_a_script_is_told)
{
	put_script();
	struct config *config =
		warned_with("client-connect /x/run\n", "W main.conf:8: client-connect: script-security does "
						       "not allow it to run: its step will fail (hint: "
						       "script-security 2)");
	ck_assert_uint_eq(config->scripts.security, 1);
	config_free(&config);
}
END_TEST

START_TEST(the_second_script_of_a_kind_replaces_the_first)
{
	put_script();
	paper_put("/x/other", "x", 1, 0755);
	struct config *config = warned_with("script-security 2\nup /x/run\nup /x/other\n",
		"W main.conf:10: up: stands here a second time; this script replaces the first");
	ck_assert_str_eq(config->scripts.up[0], "/x/other");
	config_free(&config);
}
END_TEST

START_TEST(ccd_exclusive_needs_a_directory)
{
	refused_with("ccd-exclusive\n",
		"E main.conf:8: ccd-exclusive: needs client-config-dir (hint: client-config-dir DIR)");
}
END_TEST

static void add(TCase *tcase)
{
	tcase_add_test(tcase, a_command_is_cut_into_its_words);
	tcase_add_test(tcase, a_script_must_be_there_and_executable);
	tcase_add_test(tcase, words_outside_of_the_quotes_are_refused);
	tcase_add_test(tcase, script_security_that_forbids_a_script_is_told);
	tcase_add_test(tcase, the_second_script_of_a_kind_replaces_the_first);
	tcase_add_test(tcase, ccd_exclusive_needs_a_directory);
}

int main(void)
{
	return suite_run("conf scripts", add);
}
