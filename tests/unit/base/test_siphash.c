/* SPDX-License-Identifier: MIT
 * SipHash-1-3 against another implementation, and the qualities that a hash table needs. */
#include "common/base/siphash.h"
#include "tests/lib/suite.h"
#include "tests/vectors/siphash.h"

#include <string.h>

static const uint64_t zero_key[2], key[2] = VECTOR_SIPHASH_KEY;

START_TEST(known_strings_have_their_known_hashes)
{
	uint8_t bytes[64];

#define VECTOR(text, under_zero, under_key)                                                                  \
	ck_assert_uint_eq(siphash13(zero_key, text, strlen(text)), under_zero);                              \
	ck_assert_uint_eq(siphash13(key, text, strlen(text)), under_key);
	VECTOR_SIPHASH_ROWS
#undef VECTOR
	for (uint8_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = i;
	ck_assert_uint_eq(siphash13(zero_key, bytes, sizeof(bytes)), VECTOR_SIPHASH_0_TO_63_ZERO_KEY);
	ck_assert_uint_eq(siphash13(key, bytes, sizeof(bytes)), VECTOR_SIPHASH_0_TO_63);
}
END_TEST

START_TEST(where_the_bytes_lie_does_not_matter)
{
	uint8_t room[64 + 8];

	for (size_t len = 0; len <= 56; len++) {
		memset(room, 0x31, sizeof(room));
		uint64_t expected = siphash13(key, room, len);
		for (size_t shift = 1; shift < 8; shift++) {
			memset(room, 0xee, sizeof(room)); /* what is around must not count */
			memset(room + shift, 0x31, len);
			ck_assert_uint_eq(siphash13(key, room + shift, len), expected);
		}
	}
}
END_TEST

START_TEST(zeros_of_different_lengths_differ)
{
	static const uint8_t zeros[100];

	for (size_t a = 0; a < sizeof(zeros); a++)
		for (size_t b = 0; b < a; b++)
			ck_assert_uint_ne(siphash13(zero_key, zeros, a), siphash13(zero_key, zeros, b));
}
END_TEST

/* Mean and spread of how many of the 64 result bits turn over. */
START_TEST(one_changed_bit_changes_half_of_the_result)
{
	uint8_t message[27] = "the message that is changed";
	uint64_t first = siphash13(key, message, sizeof(message));
	unsigned turned = 0, flips = 8 * sizeof(message);

	for (unsigned bit = 0; bit < flips; bit++) {
		message[bit / 8] ^= (uint8_t)(1 << bit % 8);
		unsigned now =
			(unsigned)__builtin_popcountll(first ^ siphash13(key, message, sizeof(message)));
		ck_assert_uint_gt(now, 12);
		ck_assert_uint_lt(now, 52);
		turned += now;
		message[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	ck_assert_uint_gt(turned, 30 * flips);
	ck_assert_uint_lt(turned, 34 * flips);
	for (unsigned bit = 0; bit < 128; bit++) {
		uint64_t other[2] = { key[0], key[1] };
		other[bit / 64] ^= 1ull << bit % 64;
		unsigned now =
			(unsigned)__builtin_popcountll(first ^ siphash13(other, message, sizeof(message)));
		ck_assert_uint_gt(now, 12);
		ck_assert_uint_lt(now, 52);
	}
}
END_TEST

static void add(TCase *tcase)
{
	tcase_add_test(tcase, known_strings_have_their_known_hashes);
	tcase_add_test(tcase, where_the_bytes_lie_does_not_matter);
	tcase_add_test(tcase, zeros_of_different_lengths_differ);
	tcase_add_test(tcase, one_changed_bit_changes_half_of_the_result);
}

int main(void)
{
	return suite_run("base/siphash", add);
}
