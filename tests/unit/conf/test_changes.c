/* SPDX-License-Identifier: MIT
 * What a reload finds changed: every directive by its name, files that stay where they are included, and
 * nothing that only looks different. */
#include "tests/unit/conf/paper.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char told[1024];

static void note(void *context, const char *directive, enum conf_effect effect, const char *how)
{
	size_t len = strlen(told);
	ck_assert_ptr_eq(context, told);
	snprintf(told + len, sizeof(told) - len, "%s%s %s %d", len ? ", " : "", directive, how, (int)effect);
}

static struct config *read_quietly(const char *extra)
{
	struct config *config = read_more(extra);
	ck_assert_ptr_nonnull(config);
	return config;
}

/* Reads GOOD with `before`, then GOOD with `after`; what differs. */
static const char *between(const char *before, const char *after)
{
	struct config *a = read_quietly(before), *b = read_quietly(after);
	told[0] = '\0';
	config_changes(a, b, note, told);
	config_free(&a);
	config_free(&b);
	return told;
}

static const char *said(const char *directive, const char *how, enum conf_effect effect)
{
	static char text[200];
	snprintf(text, sizeof(text), "%s %s %d", directive, how, (int)effect);
	return text;
}

START_TEST(the_same_lines_differ_in_nothing)
{
	ck_assert_str_eq(between("", ""), "");
	ck_assert_str_eq(between("verb 3\npush \"route 10.1.0.0\"\n", "verb 3\npush \"route 10.1.0.0\"\n"), "");
	/* comments, blanks, quotes and the order of different directives are nothing */
	ck_assert_str_eq(between("verb 3\nmute 5\n", "# loud\n  mute \"5\"   # well\n\nverb\t3\n"), "");
}
END_TEST

START_TEST(what_came_went_and_changed_is_named_with_its_meaning)
{
	ck_assert_str_eq(between("", "verb 3\n"), said("verb", "new", EFFECT_AT_ONCE));
	ck_assert_str_eq(between("mute 5\n", ""), said("mute", "gone", EFFECT_AT_ONCE));
	ck_assert_str_eq(between("reneg-sec 60\n", "reneg-sec 90\n"), said("reneg-sec", "changed", EFFECT_RENEGOTIATION));
	ck_assert_str_eq(between("", "port 1195\n"), said("port", "new", EFFECT_RESTART));
	ck_assert_str_eq(between("push \"route 10.1.0.0\"\n", "push \"route 10.1.0.0\"\npush \"route 10.2.0.0\"\n"),
		said("push", "changed", EFFECT_BY_PUSH));
	ck_assert_str_eq(between("data-ciphers AES-256-GCM\n", "data-ciphers AES-128-GCM\n"),
		said("data-ciphers", "changed", EFFECT_NEW_CLIENTS));
	ck_assert_str_eq(between("push \"a b\"\npush \"c\"\n", "push \"c\"\npush \"a b\"\n"),
		said("push", "changed", EFFECT_BY_PUSH));
}
END_TEST

START_TEST(words_do_not_run_into_each_other)
{
	ck_assert_str_ne(between("setenv A BC\n", "setenv AB C\n"), "");
	ck_assert_str_ne(between("setenv A B\nsetenv C D\n", "setenv A B\nsetenv-safe C D\n"), "");
}
END_TEST

START_TEST(a_file_with_other_content_is_a_change_of_its_directive)
{
	paper_put("more.crt", PEM, strlen(PEM), 0644);
	struct config *a = read_quietly("extra-certs more.crt\n");
	paper_put("more.crt", PEM PEM, strlen(PEM PEM), 0644);
	struct config *b = read_quietly("extra-certs more.crt\n");
	told[0] = '\0';
	config_changes(a, b, note, told);
	ck_assert_str_eq(told, said("extra-certs", "changed", EFFECT_RENEGOTIATION));
	config_free(&a);
	config_free(&b);
	/* and so is a block */
	ck_assert_str_eq(between("<extra-certs>\n" PEM "</extra-certs>\n", "<extra-certs>\n" PEM PEM "</extra-certs>\n"),
		said("extra-certs", "changed", EFFECT_RENEGOTIATION));
}
END_TEST

START_TEST(a_crl_of_the_same_name_is_no_change_of_the_configuration)
{
	paper_put("crl.pem", "-----BEGIN X509 CRL-----\n", 25, 0644);
	struct config *a = read_quietly("crl-verify crl.pem\n");
	paper_put("crl.pem", "-----BEGIN X509 CRL-----\nmore", 29, 0644);
	struct config *b = read_quietly("crl-verify crl.pem\n");
	told[0] = '\0';
	config_changes(a, b, note, told);
	ck_assert_str_eq(told, "");
	config_free(&a);
	config_free(&b);
}
END_TEST

START_TEST(every_row_says_what_its_change_means)
{
	for (unsigned i = 0; i < option_row_count; i++) {
		const struct option_row *row = &option_rows[i];
		if (!row->name)
			continue;
		ck_assert_str_ne(config_effect_text(row->effect), "?");
		/* what is never done cannot change anything, and what must be done does */
		if (row->verdict == REFUSE || row->read == accepted || row->read == no_effect)
			ck_assert_msg(row->effect == EFFECT_NOTHING, "%s", row->name);
	}
	ck_assert_str_eq(config_effect_text((enum conf_effect)99), "?");
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("changes");
	TCase *tcase = tcase_create("between two readings");
	tcase_add_test(tcase, the_same_lines_differ_in_nothing);
	tcase_add_test(tcase, what_came_went_and_changed_is_named_with_its_meaning);
	tcase_add_test(tcase, words_do_not_run_into_each_other);
	tcase_add_test(tcase, a_file_with_other_content_is_a_change_of_its_directive);
	tcase_add_test(tcase, a_crl_of_the_same_name_is_no_change_of_the_configuration);
	tcase_add_test(tcase, every_row_says_what_its_change_means);
	suite_add_tcase(suite, tcase);
	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
