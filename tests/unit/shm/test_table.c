/* SPDX-License-Identifier: MIT
 * vpnadm's columns: aligned, and those of least use go where the terminal is narrow. */
#include "shm/vpnadm/table.h"
#include "tests/unit/shm/fixture.h"

static const struct column columns[] = { { "NAME", false, 0 }, { "CIPHER", false, 2 }, { "BYTES", true, 1 },
	{ "WORKER", true, 3 } };

static const char *const cells[] = { "alice", "AES-256-GCM", "9", "0", "bob", "-", "123456", "11" };

/* The whole table as text; the caller frees it. */
static char *printed(unsigned width)
{
	char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);
	struct table *t = table_new(columns, 4);
	for (int i = 0; i < 8; i++)
		table_cell(t, cells[i]);
	ck_assert(table_print(out, &t, width));
	ck_assert_ptr_null(t);
	fclose(out);
	return text;
}

static void assert_printed(unsigned width, const char *wanted)
{
	char *text = printed(width);
	ck_assert_str_eq(text, wanted);
	free(text);
}

static const char whole[] = "NAME   CIPHER        BYTES  WORKER\n"
			    "alice  AES-256-GCM       9       0\n"
			    "bob    -            123456      11\n";

START_TEST(without_a_terminal_all_columns_are_there)
{
	assert_printed(0, whole);
	assert_printed(34, whole); /* fits exactly */
}
END_TEST

START_TEST(a_narrow_terminal_loses_the_columns_of_least_use_first)
{
	assert_printed(33, "NAME   CIPHER        BYTES\n"
			   "alice  AES-256-GCM       9\n"
			   "bob    -            123456\n");
	assert_printed(25, "NAME    BYTES\n"
			   "alice       9\n"
			   "bob    123456\n");
	assert_printed(12, "NAME\nalice\nbob\n");
	assert_printed(1, "NAME\nalice\nbob\n"); /* what is wanted most stays in any case */
}
END_TEST

START_TEST(an_empty_table_has_its_titles)
{
	char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);
	struct table *t = table_new(columns, 4), *none = NULL;
	table_cell(none, "x");
	ck_assert(!table_print(out, &none, 0));
	ck_assert(table_print(out, &t, 0));
	fclose(out);
	ck_assert_str_eq(text, "NAME  CIPHER  BYTES  WORKER\n");
	free(text);
}
END_TEST

START_TEST(a_file_has_no_width)
{
	FILE *out = tmpfile();
	ck_assert_uint_eq(table_width(out), 0);
	fclose(out);
}
END_TEST

int main(void)
{
	TCase *t = tcase_create("table");
	tcase_add_test(t, without_a_terminal_all_columns_are_there);
	tcase_add_test(t, a_narrow_terminal_loses_the_columns_of_least_use_first);
	tcase_add_test(t, an_empty_table_has_its_titles);
	tcase_add_test(t, a_file_has_no_width);
	return run_suite(t, "vpnadm table");
}
