/* SPDX-License-Identifier: MIT
 * HKDF-Expand and its labelled form against known answers, and the lengths that they refuse. */
#include "common/keys/keys.h"
#include "tests/lib/hex.h"
#include "tests/lib/suite.h"
#include "tests/vectors/hkdf.h"

START_TEST(expand_gives_the_published_bytes)
{
	uint8_t secret[32], info[32], out[42];

	unhex(VECTOR_HKDF_SECRET, secret, sizeof(secret));
	ck_assert(hkdf_expand(secret, info, unhex(VECTOR_HKDF_INFO1, info, sizeof(info)), out, 42));
	assert_hex(out, 42, VECTOR_HKDF_OUT1);
	ck_assert(hkdf_expand(secret, info, unhex(VECTOR_HKDF_INFO2, info, sizeof(info)), out, 27));
	assert_hex(out, 27, VECTOR_HKDF_OUT2);
}
END_TEST

START_TEST(a_label_is_an_info_with_openvpns_prefix)
{
	uint8_t secret[32], out[27];

	unhex(VECTOR_HKDF_SECRET, secret, sizeof(secret));
	ck_assert(hkdf_expand_label(secret, VECTOR_LABEL, NULL, 0, out, 16));
	assert_hex(out, 16, VECTOR_LABEL_OUT);
	ck_assert(hkdf_expand_label(secret, VECTOR_LABEL, NULL, 0, out, 27));
	assert_hex(out, 27, VECTOR_HKDF_OUT2);
}
END_TEST

START_TEST(an_epoch_key_expands_to_key_and_iv)
{
	uint8_t secret[32], out[24];

	unhex(VECTOR_EPOCH_KEY, secret, sizeof(secret));
	ck_assert(hkdf_expand_label(secret, "data_key", NULL, 0, out, 24));
	assert_hex(out, 24, VECTOR_EPOCH_DATA_KEY);
	ck_assert(hkdf_expand_label(secret, "data_iv", NULL, 0, out, 12));
	assert_hex(out, 12, VECTOR_EPOCH_DATA_IV);
}
END_TEST

START_TEST(the_context_is_part_of_the_info)
{
	static const uint8_t info[] = "\x00\x20\x07"
				      "ovpn ab"
				      "\x03"
				      "ctx";
	uint8_t secret[32] = { 1 }, labelled[32], plain[32], other[32];

	ck_assert(hkdf_expand_label(secret, "ab", (const uint8_t *)"ctx", 3, labelled, 32));
	ck_assert(hkdf_expand(secret, info, sizeof(info) - 1, plain, 32));
	ck_assert_mem_eq(labelled, plain, 32);
	ck_assert(hkdf_expand_label(secret, "ab", (const uint8_t *)"cty", 3, other, 32));
	ck_assert_mem_ne(labelled, other, 32);
}
END_TEST

START_TEST(lengths_beyond_their_fields_are_refused)
{
	static uint8_t out[255 * 32 + 1], context[256];
	static const uint8_t zeros[32];
	uint8_t secret[32] = { 1 };
	char label[252];

	memset(label, 'x', 251);
	label[251] = 0;
	memset(out, 0x5a, sizeof(out));
	ck_assert(!hkdf_expand_label(secret, label, NULL, 0, out, 32));
	ck_assert_mem_eq(out, zeros, 32);
	label[250] = 0;
	ck_assert(hkdf_expand_label(secret, label, NULL, 0, out, 32));
	ck_assert(!hkdf_expand_label(secret, "x", context, 256, out, 32));
	ck_assert(hkdf_expand_label(secret, "x", context, 255, out, 32));
	ck_assert(!hkdf_expand_label(secret, "x", NULL, 0, out, 255 * 32 + 1));
	ck_assert(hkdf_expand_label(secret, "x", NULL, 0, out, 255 * 32));
	ck_assert(!hkdf_expand(secret, NULL, 0, out, 255 * 32 + 1));
	ck_assert(hkdf_expand(secret, NULL, 0, out, 255 * 32));
}
END_TEST

static void add(TCase *tcase)
{
	tcase_add_test(tcase, expand_gives_the_published_bytes);
	tcase_add_test(tcase, a_label_is_an_info_with_openvpns_prefix);
	tcase_add_test(tcase, an_epoch_key_expands_to_key_and_iv);
	tcase_add_test(tcase, the_context_is_part_of_the_info);
	tcase_add_test(tcase, lengths_beyond_their_fields_are_refused);
}

int main(void)
{
	return suite_run("keys/hkdf", add);
}
