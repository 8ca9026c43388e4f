/* SPDX-License-Identifier: MIT
 * The one file of conf/ that asks the system: against files of a directory of its own. */
#include "conf/conf.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char directory[] = "/tmp/test_conf_outside_XXXXXX";
static struct arena *arena;
static const struct outside *const real = &outside_system;
static char *bytes;
static size_t len;
static unsigned mode;

static void setup(void)
{
	ck_assert_ptr_nonnull(mkdtemp(directory));
	ck_assert_int_eq(chdir(directory), 0);
	arena = arena_new();
}

static void teardown(void)
{
	static const char *const made[] = { "file", "fifo", "secret" };
	arena_free(&arena);
	for (unsigned i = 0; i < sizeof(made) / sizeof(made[0]); i++)
		unlink(made[i]);
	ck_assert_int_eq(rmdir(directory), 0);
}

static void put(const char *path, size_t size, mode_t permissions)
{
	FILE *file = fopen(path, "w");
	ck_assert_ptr_nonnull(file);
	for (size_t i = 0; i < size; i++)
		fputc('a' + (int)(i % 26), file);
	fclose(file);
	ck_assert_int_eq(chmod(path, permissions), 0);
}

START_TEST(a_file_is_read_whole_and_terminated)
{
	static const size_t sizes[] = { 0, 1, 16 * 1024 - 1, 16 * 1024, 16 * 1024 + 1, 300000,
		MAX_FILE_BYTES };
	for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		put("file", sizes[i], 0640);
		ck_assert_int_eq(real->read(real, arena, "file", MAX_FILE_BYTES, &bytes, &len, &mode), 0);
		ck_assert_uint_eq(len, sizes[i]);
		ck_assert_uint_eq(strlen(bytes), sizes[i]);
		ck_assert_uint_eq(mode, 0640);
		if (len)
			ck_assert_int_eq(bytes[len - 1], 'a' + (int)((len - 1) % 26));
	}
}
END_TEST

START_TEST(a_file_over_the_limit_is_refused)
{
	put("file", 101, 0600);
	ck_assert_int_eq(real->read(real, arena, "file", 101, &bytes, &len, &mode), 0);
	ck_assert_int_eq(real->read(real, arena, "file", 100, &bytes, &len, &mode), -EFBIG);
	put("file", MAX_FILE_BYTES + 1, 0600);
	ck_assert_int_eq(real->read(real, arena, "file", MAX_FILE_BYTES, &bytes, &len, &mode), -EFBIG);
	/* One without an end, too. */
	ck_assert_int_eq(real->read(real, arena, "/dev/zero", MAX_FILE_BYTES, &bytes, &len, &mode), -EFBIG);
}
END_TEST

START_TEST(what_is_no_file_is_refused_and_nothing_waits)
{
	ck_assert_int_eq(real->read(real, arena, "absent", 100, &bytes, &len, &mode), -ENOENT);
	ck_assert_int_eq(real->read(real, arena, ".", 100, &bytes, &len, &mode), -EISDIR);
	ck_assert_int_eq(real->look(real, "absent", &mode), -ENOENT);
	ck_assert_int_eq(real->look(real, ".", &mode), -EISDIR);
	/* Nobody writes into this FIFO: it is empty, not endless. */
	ck_assert_int_eq(mkfifo("fifo", 0600), 0);
	ck_assert_int_eq(real->read(real, arena, "fifo", 100, &bytes, &len, &mode), 0);
	ck_assert_uint_eq(len, 0);
}
END_TEST

START_TEST(looking_tells_the_permission_bits_and_leaves_nothing_open)
{
	put("secret", 5, 0604);
	int before = open("/dev/null", O_RDONLY | O_CLOEXEC);
	for (int i = 0; i < 20; i++) {
		ck_assert_int_eq(real->look(real, "secret", &mode), 0);
		ck_assert_int_eq(real->read(real, arena, "secret", 2, &bytes, &len, &mode), -EFBIG);
	}
	ck_assert_uint_eq(mode, 0604);
	int after = open("/dev/null", O_RDONLY | O_CLOEXEC);
	ck_assert_int_eq(after, before + 1);
	close(after);
	close(before);
}
END_TEST

START_TEST(a_directory_becomes_absolute)
{
	char absolute[4096], tiny[4];
	ck_assert_int_eq(real->directory(real, ".", absolute, sizeof(absolute)), 0);
	ck_assert_int_eq(absolute[0], '/');
	ck_assert_ptr_nonnull(strstr(absolute, strrchr(directory, '/')));
	ck_assert_int_eq(real->directory(real, ".", tiny, sizeof(tiny)), -ENAMETOOLONG);
	put("file", 1, 0600);
	ck_assert_int_eq(real->directory(real, "file", absolute, sizeof(absolute)), -ENOTDIR);
	ck_assert_int_eq(real->directory(real, "absent", absolute, sizeof(absolute)), -ENOENT);
}
END_TEST

START_TEST(numeric_addresses_need_no_resolver)
{
	struct sockaddr_storage out;
	ck_assert(real->resolve(real, "127.0.0.1", AF_UNSPEC, &out));
	ck_assert_int_eq(out.ss_family, AF_INET);
	ck_assert_uint_eq(((struct sockaddr_in *)&out)->sin_addr.s_addr, htonl(0x7f000001));
	ck_assert_uint_eq(((struct sockaddr_in *)&out)->sin_port, 0);
	ck_assert(real->resolve(real, "::1", AF_INET6, &out));
	ck_assert_int_eq(out.ss_family, AF_INET6);
	ck_assert(!real->resolve(real, "::1", AF_INET, &out));
	ck_assert(!real->resolve(real, "127.0.0.1", AF_INET6, &out));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("conf outside");
	TCase *tcase = tcase_create("outside");
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, a_file_is_read_whole_and_terminated);
	tcase_add_test(tcase, a_file_over_the_limit_is_refused);
	tcase_add_test(tcase, what_is_no_file_is_refused_and_nothing_waits);
	tcase_add_test(tcase, looking_tells_the_permission_bits_and_leaves_nothing_open);
	tcase_add_test(tcase, a_directory_becomes_absolute);
	tcase_add_test(tcase, numeric_addresses_need_no_resolver);
	suite_add_tcase(suite, tcase);
	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
