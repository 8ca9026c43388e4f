/* SPDX-License-Identifier: MIT
 * Outer addresses as text and as bytes. */
#include "common/base/address.h"
#include "tests/lib/suite.h"

START_TEST(both_families_have_their_usual_spelling)
{
	struct link_address v4 = { .family = 4, .port = 1194, .ip = { 192, 0, 2, 1 } };
	struct link_address v6 = { .family = 6, .port = 65535, .ip = { 0x20, 0x01, 0x0d, 0xb8, [15] = 1 } };
	char out[64];

	ck_assert_str_eq(link_address_text(&v4, out, sizeof(out)), "192.0.2.1:1194");
	ck_assert_str_eq(link_address_text(&v6, out, sizeof(out)), "[2001:db8::1]:65535");
}
END_TEST

START_TEST(no_family_and_unknown_ones_are_none)
{
	char out[64];

	for (unsigned family = 0; family < 256; family++) {
		struct link_address address = { .family = (uint8_t)family, .port = 1 };
		link_address_text(&address, out, sizeof(out));
		ck_assert((strcmp(out, "none") == 0) == (family != 4 && family != 6));
	}
}
END_TEST

START_TEST(the_longest_text_fits_and_a_short_room_cuts_it)
{
	struct link_address longest = { .family = 6, .port = 65535 };
	char out[64], cut[8];

	memset(longest.ip, 0xff, sizeof(longest.ip));
	ck_assert_str_eq(link_address_text(&longest, out, sizeof(out)),
		"[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535");
	ck_assert_str_eq(link_address_text(&longest, cut, sizeof(cut)), "[ffff:f");
}
END_TEST

START_TEST(every_field_counts_in_a_comparison)
{
	struct link_address a = { .family = 6, .port = 1194, .scope = 3, .ip = { 0xfe, 0x80 } };

	for (size_t i = 0; i < sizeof(a); i++) {
		struct link_address b = a;
		ck_assert(link_address_equal(&a, &b));
		((uint8_t *)&b)[i] ^= 1;
		ck_assert(!link_address_equal(&a, &b));
	}
}
END_TEST

static void add(TCase *tcase)
{
	tcase_add_test(tcase, both_families_have_their_usual_spelling);
	tcase_add_test(tcase, no_family_and_unknown_ones_are_none);
	tcase_add_test(tcase, the_longest_text_fits_and_a_short_room_cuts_it);
	tcase_add_test(tcase, every_field_counts_in_a_comparison);
}

int main(void)
{
	return suite_run("base/address", add);
}
