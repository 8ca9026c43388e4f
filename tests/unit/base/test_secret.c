/* SPDX-License-Identifier: MIT
 * Wiping and comparing. */
#include "common/base/secret.h"
#include "tests/lib/suite.h"

START_TEST(a_wiped_secret_is_zero_and_its_neighbours_are_not)
{
	static const uint8_t zeros[16];
	uint8_t room[32];

	memset(room, 0x77, sizeof(room));
	secret_wipe(room + 8, 16);
	ck_assert_mem_eq(room + 8, zeros, 16);
	for (int i = 0; i < 8; i++)
		ck_assert(room[i] == 0x77 && room[24 + i] == 0x77);
}
END_TEST

START_TEST(equal_means_every_bit)
{
	uint8_t a[33], b[33];

	for (uint8_t i = 0; i < sizeof(a); i++)
		a[i] = b[i] = (uint8_t)(i * 37);
	ck_assert(secret_equal(a, b, sizeof(a)));
	for (size_t bit = 0; bit < 8 * sizeof(a); bit++) {
		b[bit / 8] ^= (uint8_t)(1 << bit % 8);
		ck_assert(!secret_equal(a, b, sizeof(a)));
		/* What is behind the length does not count. */
		ck_assert(secret_equal(a, b, bit / 8));
		b[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	/* Differences must not cancel each other out. */
	a[0] ^= 0x10;
	a[1] ^= 0x10;
	ck_assert(!secret_equal(a, b, sizeof(a)));
	ck_assert(secret_equal(a, b, 0));
}
END_TEST

static void add(TCase *tcase)
{
	tcase_add_test(tcase, a_wiped_secret_is_zero_and_its_neighbours_are_not);
	tcase_add_test(tcase, equal_means_every_bit);
}

int main(void)
{
	return suite_run("base/secret", add);
}
