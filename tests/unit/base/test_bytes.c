/* SPDX-License-Identifier: MIT
 * The cursor over outside bytes. */
#include "common/base/bytes.h"
#include "tests/lib/suite.h"

static const uint8_t sample[] = { 0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef, 0xfe, 0xdc, 0xba, 0x98,
	0x76, 0x54, 0x32 };

START_TEST(integers_are_big_endian)
{
	struct bytes b = bytes_of(sample, sizeof(sample));

	ck_assert_uint_eq(read_u8(&b), 0x01);
	ck_assert_uint_eq(read_u16(&b), 0x2345);
	ck_assert_uint_eq(read_u32(&b), 0x6789abcd);
	ck_assert_uint_eq(read_u64(&b), 0xeffedcba98765432);
	ck_assert(bytes_ok(&b));
	ck_assert_uint_eq(b.left, 0);
}
END_TEST

START_TEST(the_first_read_past_the_end_is_remembered)
{
	struct bytes b = bytes_of(sample, 3);

	ck_assert_uint_eq(read_u32(&b), 0);
	ck_assert(!bytes_ok(&b));
	/* Even what would have fitted gives zero from now on. */
	ck_assert_uint_eq(read_u8(&b), 0);
	ck_assert_uint_eq(b.left, 0);
	ck_assert_ptr_null(read_view(&b, 0));
	ck_assert(!bytes_ok(&b));
}
END_TEST

START_TEST(every_reader_gives_zero_when_a_byte_is_missing)
{
	for (size_t len = 0; len < 8; len++) {
		struct bytes b8 = bytes_of(sample, len), b4 = b8, b2 = b8, b1 = b8;
		ck_assert_uint_eq(read_u64(&b8), 0x00);
		ck_assert(!bytes_ok(&b8));
		ck_assert_uint_eq(read_u32(&b4) != 0, len >= 4);
		ck_assert_uint_eq(bytes_ok(&b4), len >= 4);
		ck_assert_uint_eq(read_u16(&b2) != 0, len >= 2);
		ck_assert_uint_eq(bytes_ok(&b2), len >= 2);
		ck_assert_uint_eq(read_u8(&b1) != 0, len >= 1);
		ck_assert_uint_eq(bytes_ok(&b1), len >= 1);
	}
}
END_TEST

START_TEST(copied_data_is_zeros_when_it_is_not_there)
{
	struct bytes b = bytes_of(sample, 4);
	uint8_t out[3];

	read_data(&b, out, 3);
	ck_assert_mem_eq(out, sample, 3);
	memset(out, 0x77, sizeof(out));
	read_data(&b, out, 3);
	ck_assert_mem_eq(out, "\0\0\0", 3);
	ck_assert(!bytes_ok(&b));
}
END_TEST

START_TEST(a_part_ends_where_it_was_cut)
{
	struct bytes b = bytes_of(sample, sizeof(sample));
	struct bytes part = read_part(&b, 2);

	ck_assert_uint_eq(read_u16(&part), 0x0123);
	ck_assert(bytes_ok(&part));
	ck_assert_uint_eq(read_u8(&part), 0);
	ck_assert(!bytes_ok(&part));
	ck_assert(bytes_ok(&b));
	ck_assert_uint_eq(read_u8(&b), 0x45);

	part = read_part(&b, sizeof(sample));
	ck_assert(!bytes_ok(&part));
	ck_assert_uint_eq(part.left, 0);
	ck_assert(!bytes_ok(&b));
}
END_TEST

START_TEST(the_rest_may_be_empty_but_not_of_a_failed_cursor)
{
	struct bytes b = bytes_of(sample, 2);

	read_u8(&b);
	struct bytes rest = read_rest(&b);
	ck_assert_uint_eq(rest.left, 1);
	rest = read_rest(&b);
	ck_assert_uint_eq(rest.left, 0);
	ck_assert(bytes_ok(&rest));
	read_u8(&b);
	rest = read_rest(&b);
	ck_assert(!bytes_ok(&rest));
}
END_TEST

START_TEST(a_length_that_would_wrap_around_fails)
{
	struct bytes b = bytes_of(sample, 4);
	uint8_t room[4];
	struct bytes_out out = bytes_into(room, sizeof(room));

	ck_assert_ptr_null(read_view(&b, SIZE_MAX));
	ck_assert(!bytes_ok(&b));
	write_u8(&out, 1);
	ck_assert_ptr_null(write_space(&out, SIZE_MAX));
	ck_assert(out.failed);
	ck_assert_uint_eq(out.len, 1);
}
END_TEST

START_TEST(what_is_written_is_read_again)
{
	uint8_t room[15];
	struct bytes_out out = bytes_into(room, sizeof(room));

	write_u8(&out, 0x01);
	write_u16(&out, 0x2345);
	write_u32(&out, 0x6789abcd);
	write_u64(&out, 0xeffedcba98765432);
	write_data(&out, NULL, 0);
	ck_assert(!out.failed);
	ck_assert_uint_eq(out.len, sizeof(room));
	ck_assert_mem_eq(room, sample, sizeof(room));
}
END_TEST

START_TEST(nothing_is_written_after_the_first_write_without_room)
{
	uint8_t room[8];
	struct bytes_out out = bytes_into(room, 5);

	memset(room, 0x77, sizeof(room));
	write_u32(&out, 0x01020304);
	write_u16(&out, 0x0506);
	ck_assert(out.failed);
	write_u8(&out, 9); /* would have fitted */
	ck_assert_uint_eq(out.len, 4);
	ck_assert_mem_eq(room, "\x01\x02\x03\x04\x77\x77\x77\x77", 8);
	ck_assert_ptr_null(write_space(&out, 0));
}
END_TEST

static void add(TCase *tcase)
{
	tcase_add_test(tcase, integers_are_big_endian);
	tcase_add_test(tcase, the_first_read_past_the_end_is_remembered);
	tcase_add_test(tcase, every_reader_gives_zero_when_a_byte_is_missing);
	tcase_add_test(tcase, copied_data_is_zeros_when_it_is_not_there);
	tcase_add_test(tcase, a_part_ends_where_it_was_cut);
	tcase_add_test(tcase, the_rest_may_be_empty_but_not_of_a_failed_cursor);
	tcase_add_test(tcase, a_length_that_would_wrap_around_fails);
	tcase_add_test(tcase, what_is_written_is_read_again);
	tcase_add_test(tcase, nothing_is_written_after_the_first_write_without_room);
}

int main(void)
{
	return suite_run("base/bytes", add);
}
