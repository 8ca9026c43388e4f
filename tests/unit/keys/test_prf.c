/* SPDX-License-Identifier: MIT
 * The TLS 1.0 PRF against known answers. */
#include "common/keys/keys.h"
#include "tests/lib/hex.h"
#include "tests/lib/suite.h"
#include "tests/vectors/prf.h"

static bool prf_text(const char *secret, const char *seed, uint8_t *out, size_t len)
{
	return prf_tls1(
		(const uint8_t *)secret, strlen(secret), (const uint8_t *)seed, strlen(seed), out, len);
}

START_TEST(a_secret_of_odd_length_shares_its_middle_byte)
{
	uint8_t out[32];

	ck_assert_uint_eq(strlen(VECTOR_LOREM) % 2, 1);
	ck_assert(prf_text(VECTOR_LOREM, VECTOR_PRF_SEED, out, sizeof(out)));
	assert_hex(out, sizeof(out), VECTOR_PRF_OUT);
}
END_TEST

START_TEST(a_secret_of_even_length_is_cut_in_the_middle)
{
	uint8_t out[8];

	ck_assert(prf_text(VECTOR_PRF_SHORT_SECRET, VECTOR_PRF_SHORT_SEED, out, sizeof(out)));
	assert_hex(out, sizeof(out), VECTOR_PRF_SHORT_OUT);
}
END_TEST

START_TEST(a_shorter_result_is_the_beginning_of_a_longer_one)
{
	uint8_t whole[300], part[300];

	ck_assert(prf_text("secret", "seed", whole, sizeof(whole)));
	for (size_t len = 0; len < sizeof(whole); len += 7) {
		memset(part, 0x5a, sizeof(part));
		ck_assert(prf_text("secret", "seed", part, len));
		ck_assert_mem_eq(part, whole, len);
		ck_assert_uint_eq(part[len], 0x5a);
	}
}
END_TEST

START_TEST(every_byte_of_secret_and_seed_counts)
{
	char secret[] = "0123456789a", seed[] = "the seed";
	uint8_t first[48], other[48];

	ck_assert(prf_text(secret, seed, first, sizeof(first)));
	for (size_t i = 0; secret[i]; i++) {
		secret[i] ^= 1;
		ck_assert(prf_text(secret, seed, other, sizeof(other)));
		ck_assert_mem_ne(first, other, sizeof(first));
		secret[i] ^= 1;
	}
	for (size_t i = 0; seed[i]; i++) {
		seed[i] ^= 1;
		ck_assert(prf_text(secret, seed, other, sizeof(other)));
		ck_assert_mem_ne(first, other, sizeof(first));
		seed[i] ^= 1;
	}
}
END_TEST

static void add(TCase *tcase)
{
	tcase_add_test(tcase, a_secret_of_odd_length_shares_its_middle_byte);
	tcase_add_test(tcase, a_secret_of_even_length_is_cut_in_the_middle);
	tcase_add_test(tcase, a_shorter_result_is_the_beginning_of_a_longer_one);
	tcase_add_test(tcase, every_byte_of_secret_and_seed_counts);
}

int main(void)
{
	return suite_run("keys/prf", add);
}
