/* SPDX-License-Identifier: MIT
 * Lines of words: every rule of the grammar, and what it refuses. */
#include "tests/unit/conf/paper.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

static char text[16 * 1024];
static struct grammar grammar;
static struct line line;
static const char *why, *hint;

static void begin(const char *given)
{
	ck_assert_uint_lt(strlen(given), sizeof(text));
	strcpy(text, given);
	grammar = grammar_of(text, strlen(given));
}

static enum grammar_result next(void)
{
	return grammar_next(&grammar, &line, &why, &hint);
}

/* One line and the words it is cut to, '|' between. */
static void cut(const char *given, const char *words)
{
	char joined[8192] = "";
	begin(given);
	enum grammar_result result = next();
	ck_assert_msg(result == (*words ? GRAMMAR_LINE : GRAMMAR_EMPTY), "'%s' gave %d", given, result);
	for (unsigned i = 0; i < line.count; i++) {
		strcat(joined, i ? "|" : "");
		strcat(joined, line.words[i]);
	}
	ck_assert_str_eq(joined, words);
	ck_assert_ptr_null(line.words[line.count]);
	ck_assert_int_eq(next(), GRAMMAR_END);
}

static void bad(const char *given, const char *reason)
{
	begin(given);
	ck_assert_msg(next() == GRAMMAR_BAD, "'%s' was taken", given);
	ck_assert_str_eq(why, reason);
}

START_TEST(words_are_split_at_blanks)
{
	cut("dev tun", "dev|tun");
	cut("dev tun\n", "dev|tun");
	cut(" \t dev \t tun  \n", "dev|tun");
	cut("dev\ttun\v0\n", "dev|tun|0");
	cut("verb", "verb");
	begin("");
	ck_assert_int_eq(next(), GRAMMAR_END);
}
END_TEST

START_TEST(empty_lines_and_comments_hold_no_word)
{
	begin("\n   \n# comment\n ; another\n");
	for (int i = 1; i <= 4; i++) {
		ck_assert_int_eq(next(), GRAMMAR_EMPTY);
		ck_assert_int_eq(line.place.line, i);
	}
	ck_assert_int_eq(next(), GRAMMAR_END);
}
END_TEST

START_TEST(a_comment_starts_only_where_a_word_could)
{
	cut("dev tun # x\n", "dev|tun");
	cut("dev tun ;x\n", "dev|tun");
	cut("dev tun#x\n", "dev|tun#x");
	cut("dev tun;x\n", "dev|tun;x");
	cut("dev \"tun\"# x\n", "dev|tun");
	cut("push \"a # b\"\n", "push|a # b");
	cut("dev '#'\n", "dev|#");
}
END_TEST

START_TEST(double_quotes_take_blanks_and_escapes)
{
	cut("push \"route 10.0.0.0 255.0.0.0\"\n", "push|route 10.0.0.0 255.0.0.0");
	cut("push \"a \\\"b\\\" c\"\n", "push|a \"b\" c");
	cut("push \"a \\\\ b\"\n", "push|a \\ b");
	cut("push \"a 'b' c\"\n", "push|a 'b' c");
	cut("x \"a\\ b\"\n", "x|a b");
}
END_TEST

START_TEST(single_quotes_take_everything)
{
	cut("push 'a \"b\" \\ c \\x'\n", "push|a \"b\" \\ c \\x");
	cut("x '#;'\n", "x|#;");
}
END_TEST

START_TEST(empty_quotes_are_an_empty_word)
{
	cut("dev \"\"\n", "dev|");
	cut("dev '' x\n", "dev||x");
}
END_TEST

START_TEST(a_quote_inside_a_word_is_a_letter)
{
	cut("a\"b c\n", "a\"b|c");
	cut("it's fine\n", "it's|fine");
	cut("\"ab\"cd\n", "ab|cd");
}
END_TEST

START_TEST(a_backslash_outside_quotes_escapes_backslash_quote_and_blank)
{
	cut("log C:\\\\x\n", "log|C:\\x");
	cut("log a\\ b\n", "log|a b");
	cut("log \\\"a\\\"\n", "log|\"a\"");
}
END_TEST

START_TEST(any_other_backslash_is_an_error)
{
	const char *reason = "a backslash may only stand before a backslash, a double quote or a blank";
	bad("log C:\\x\n", reason);
	bad("log \"C:\\x\"\n", reason);
	bad("log a\\'b\n", reason);
	bad("log a\\\n", reason);
	bad("log a\\", reason);
	bad("log \"a\\", reason);
}
END_TEST

START_TEST(an_unclosed_quote_is_an_error)
{
	bad("push \"a\n", "no closing quotation mark (\")");
	bad("push \"a\\\"\n", "no closing quotation mark (\")");
	bad("push 'a\n", "no closing quotation mark (')");
	bad("push 'it''s\n", "no closing quotation mark (')");
}
END_TEST

START_TEST(after_a_bad_line_the_next_one_is_read)
{
	begin("push \"a\nverb 3\n");
	ck_assert_int_eq(next(), GRAMMAR_BAD);
	ck_assert_int_eq(line.place.line, 1);
	ck_assert_int_eq(next(), GRAMMAR_LINE);
	ck_assert_int_eq(line.place.line, 2);
	ck_assert_str_eq(line.words[1], "3");
}
END_TEST

START_TEST(sixteen_words_count_and_the_rest_is_noticed)
{
	begin("a 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16\n");
	ck_assert_int_eq(next(), GRAMMAR_LINE);
	ck_assert_uint_eq(line.count, 16);
	ck_assert(!line.cut);
	begin("a 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 # seventeen\n");
	ck_assert_int_eq(next(), GRAMMAR_LINE);
	ck_assert(!line.cut);
	begin("a 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17\nverb 3\n");
	ck_assert_int_eq(next(), GRAMMAR_LINE);
	ck_assert_uint_eq(line.count, 16);
	ck_assert_str_eq(line.words[15], "16");
	ck_assert(line.cut);
	ck_assert_int_eq(next(), GRAMMAR_LINE);
	ck_assert_str_eq(line.words[0], "verb");
}
END_TEST

START_TEST(a_line_may_have_4096_bytes)
{
	memset(text, 'a', MAX_LINE);
	strcpy(text + MAX_LINE, "\r\nverb 3\n");
	grammar = grammar_of(text, strlen(text));
	ck_assert_int_eq(next(), GRAMMAR_LINE);
	ck_assert_uint_eq(strlen(line.words[0]), MAX_LINE);
	memset(text, 'a', MAX_LINE + 1);
	strcpy(text + MAX_LINE + 1, "\nverb 3\n");
	grammar = grammar_of(text, strlen(text));
	ck_assert_int_eq(next(), GRAMMAR_BAD);
	ck_assert_str_eq(why, "the line is too long");
	ck_assert_int_eq(next(), GRAMMAR_LINE);
	ck_assert_str_eq(line.words[0], "verb");
}
END_TEST

START_TEST(a_leading_double_dash_is_dropped)
{
	cut("--dev tun\n", "dev|tun");
	cut("dev --tun\n", "dev|--tun");
	cut("--\n", "--");
	cut("-dev\n", "-dev");
	cut("----dev\n", "--dev");
}
END_TEST

START_TEST(a_byte_order_mark_and_carriage_returns_are_no_words)
{
	cut("\xef\xbb\xbf"
	    "dev tun\r\n",
		"dev|tun");
	begin("\xef\xbb\xbf");
	ck_assert_int_eq(next(), GRAMMAR_END);
	begin("\xef\xbb\xbf\r\ndev tun\r\n");
	ck_assert_int_eq(next(), GRAMMAR_EMPTY);
	ck_assert_int_eq(next(), GRAMMAR_LINE);
	ck_assert_str_eq(line.words[1], "tun");
	/* Only at the start. */
	begin("dev\n\xef\xbb\xbf"
	      "tun\n");
	next();
	ck_assert_int_eq(next(), GRAMMAR_LINE);
	ck_assert_uint_eq(strlen(line.words[0]), 6);
}
END_TEST

START_TEST(a_block_is_verbatim_up_to_its_end_tag)
{
	begin("<ca>\n  # not a comment \"\n\\x <cert>\n </ca> rest\nverb 3\n");
	ck_assert_int_eq(next(), GRAMMAR_LINE);
	ck_assert(line.has_block);
	ck_assert_str_eq(line.words[0], "ca");
	ck_assert_uint_eq(line.count, 1);
	ck_assert_str_eq(line.block, "  # not a comment \"\n\\x <cert>\n");
	ck_assert_uint_eq(line.block_len, strlen(line.block));
	ck_assert_int_eq(line.place.line, 1);
	ck_assert_int_eq(next(), GRAMMAR_LINE);
	ck_assert_int_eq(line.place.line, 5);
	ck_assert(!line.has_block);
}
END_TEST

START_TEST(a_block_may_be_empty_or_end_with_the_file)
{
	begin("<ca>\n</ca>");
	ck_assert_int_eq(next(), GRAMMAR_LINE);
	ck_assert_str_eq(line.block, "");
	ck_assert_int_eq(next(), GRAMMAR_END);
	begin("  --<ca>  # comment\r\nx\r\n</ca>\r\n");
	ck_assert_int_eq(next(), GRAMMAR_LINE);
	ck_assert_str_eq(line.words[0], "ca");
	ck_assert_str_eq(line.block, "x\r\n");
}
END_TEST

START_TEST(a_block_without_an_end_is_an_error_and_takes_all)
{
	bad("<ca>\nx\n</cert>\nverb 3\n", "this block has no end");
	ck_assert_int_eq(next(), GRAMMAR_END);
	bad("<ca>", "this block has no end");
	bad("<ca>\n</c", "this block has no end");
}
END_TEST

START_TEST(only_a_single_word_begins_a_block)
{
	cut("<ca> x\n", "<ca>|x");
	cut("x <ca>\n", "x|<ca>");
	cut("<>\n", "<>");
	cut("<ca\n", "<ca");
	cut("ca>\n", "ca>");
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("conf grammar");
	TCase *tcase = tcase_create("grammar");
	tcase_add_test(tcase, words_are_split_at_blanks);
	tcase_add_test(tcase, empty_lines_and_comments_hold_no_word);
	tcase_add_test(tcase, a_comment_starts_only_where_a_word_could);
	tcase_add_test(tcase, double_quotes_take_blanks_and_escapes);
	tcase_add_test(tcase, single_quotes_take_everything);
	tcase_add_test(tcase, empty_quotes_are_an_empty_word);
	tcase_add_test(tcase, a_quote_inside_a_word_is_a_letter);
	tcase_add_test(tcase, a_backslash_outside_quotes_escapes_backslash_quote_and_blank);
	tcase_add_test(tcase, any_other_backslash_is_an_error);
	tcase_add_test(tcase, an_unclosed_quote_is_an_error);
	tcase_add_test(tcase, after_a_bad_line_the_next_one_is_read);
	tcase_add_test(tcase, sixteen_words_count_and_the_rest_is_noticed);
	tcase_add_test(tcase, a_line_may_have_4096_bytes);
	tcase_add_test(tcase, a_leading_double_dash_is_dropped);
	tcase_add_test(tcase, a_byte_order_mark_and_carriage_returns_are_no_words);
	tcase_add_test(tcase, a_block_is_verbatim_up_to_its_end_tag);
	tcase_add_test(tcase, a_block_may_be_empty_or_end_with_the_file);
	tcase_add_test(tcase, a_block_without_an_end_is_an_error_and_takes_all);
	tcase_add_test(tcase, only_a_single_word_begins_a_block);
	suite_add_tcase(suite, tcase);
	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
