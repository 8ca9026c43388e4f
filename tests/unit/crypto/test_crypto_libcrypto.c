/* SPDX-License-Identifier: MIT
 * The primitives against published answers; the same file runs with either library. */
#include "common/crypto/crypto.h"
#include "tests/lib/hex.h"
#include "tests/lib/suite.h"
#include "tests/vectors/prf.h"

static const enum digest all[] = { DIGEST_MD5, DIGEST_SHA1, DIGEST_SHA224, DIGEST_SHA256, DIGEST_SHA384,
	DIGEST_SHA512 };

enum { ALL = sizeof(all) / sizeof(all[0]) };

START_TEST(a_digest_is_found_by_any_spelling_of_its_name)
{
	ck_assert_int_eq(digest_by_name("SHA256"), DIGEST_SHA256);
	ck_assert_int_eq(digest_by_name("sha512"), DIGEST_SHA512);
	ck_assert_int_eq(digest_by_name("RSA-SHA1"), DIGEST_SHA1);
	ck_assert_int_eq(digest_by_name("rsa-md5"), DIGEST_MD5);
	for (int i = 0; i < ALL; i++)
		ck_assert_int_eq(digest_by_name(digest_name(all[i])), all[i]);
}
END_TEST

START_TEST(what_is_no_digest_is_refused)
{
	static const char *const names[] = { "", "none", "SHA", "SHA2567", "SHA25", "RSA-", "RSA-RSA-SHA1",
		"[null-digest]", " SHA1" };
	uint8_t out[DIGEST_MAX_LEN];

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		ck_assert_int_eq(digest_by_name(names[i]), DIGEST_NONE);
	ck_assert_str_eq(digest_name(DIGEST_NONE), "[null-digest]");
	ck_assert_str_eq(digest_name((enum digest)200), "[null-digest]");
	ck_assert_uint_eq(digest_len(DIGEST_NONE), 0);
	ck_assert_uint_eq(digest_len((enum digest)200), 0);
	ck_assert(!crypto_hash(DIGEST_NONE, NULL, 0, out));
	ck_assert(!crypto_hash((enum digest)200, NULL, 0, out));
	ck_assert(!crypto_hmac(DIGEST_NONE, out, 1, NULL, 0, out));
	ck_assert(!crypto_hmac((enum digest)200, out, 1, NULL, 0, out));
}
END_TEST

/* FIPS 180-2 appendix B, RFC 1321 appendix A.5, RFC 3874 */
START_TEST(the_hash_of_abc_is_the_published_one)
{
	static const char *const answers[ALL] = {
		"900150983cd24fb0d6963f7d28e17f72",
		"a9993e364706816aba3e25717850c26c9cd0d89d",
		"23097d223405d8228642a477bda255b32aadbce4bda0b3f7e36c9da7",
		"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
		"cb00753f45a35e8bb5a03d699ac65007272c32ab0eded1631a8b605a43ff5bed8086072ba1e7cc2358baeca134c8"
		"25a7",
		"ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"
		"2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f",
	};
	/* In pieces, one of them empty and pointing nowhere. */
	const struct piece pieces[] = { { "a", 1 }, { NULL, 0 }, { "bc", 2 } };

	for (int i = 0; i < ALL; i++) {
		uint8_t out[DIGEST_MAX_LEN];
		ck_assert(crypto_hash(all[i], pieces, 3, out));
		assert_hex(out, digest_len(all[i]), answers[i]);
	}
}
END_TEST

START_TEST(the_hash_of_nothing_is_the_published_one)
{
	uint8_t out[32];

	ck_assert(crypto_hash(DIGEST_SHA256, NULL, 0, out));
	assert_hex(out, 32, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}
END_TEST

/* RFC 2202 and RFC 4231, test case 2: key "Jefe" */
START_TEST(the_hmac_of_the_rfcs_comes_out)
{
	static const char *const answers[ALL] = {
		"750c783e6ab0b503eaa86e310a5db738",
		"effcdf6ae5eb2fa2d27416d5f184df9c259a7c79",
		"a30e01098bc6dbbf45690f3a7e9e6d0f8bbea2a39e6148008fd05e44",
		"5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
		"af45d2e376484031617f78d2b58a6b1b9c7ef464f5a01b47e42ec3736322445e8e2240ca5e69e2c78b3239ecfab2"
		"1649",
		"164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea250554"
		"9758bf75c05a994a6d034f65f8f0e6fdcaeab1a34d4a6b4b636e070a38bce737",
	};
	const struct piece pieces[] = { { "what do ya want ", 16 }, { "", 0 }, { "for nothing?", 12 } };

	for (int i = 0; i < ALL; i++) {
		uint8_t out[DIGEST_MAX_LEN];
		ck_assert(crypto_hmac(all[i], (const uint8_t *)"Jefe", 4, pieces, 3, out));
		assert_hex(out, digest_len(all[i]), answers[i]);
	}
}
END_TEST

START_TEST(a_message_given_twice_is_hashed_as_one)
{
	const struct piece pieces[] = { { VECTOR_LOREM, strlen(VECTOR_LOREM) },
		{ VECTOR_LOREM, strlen(VECTOR_LOREM) } };
	uint8_t key[20], out[20];

	unhex(VECTOR_HMAC_SHA1_KEY, key, sizeof(key));
	ck_assert(crypto_hmac(DIGEST_SHA1, key, sizeof(key), pieces, 2, out));
	assert_hex(out, 20, VECTOR_HMAC_SHA1_OUT);
}
END_TEST

START_TEST(an_empty_key_is_a_key)
{
	uint8_t with_null[32], with_pointer[32], zero[1] = { 0 };

	ck_assert(crypto_hmac(DIGEST_SHA256, NULL, 0, NULL, 0, with_null));
	ck_assert(crypto_hmac(DIGEST_SHA256, zero, 0, NULL, 0, with_pointer));
	assert_hex(with_null, 32, "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad");
	ck_assert_mem_eq(with_null, with_pointer, 32);
}
END_TEST

/* NIST SP 800-38A, F.5.5 */
START_TEST(counter_mode_gives_the_published_text_in_place_too)
{
	static const char cipher_text[] = "601ec313775789a5b7a7f504bbf3d228 f443e3ca4d62b59aca84e990cacaf5c5"
					  "2b0930daa23de94ce87017ba2d84988d dfc9c58db67aada613c2dd08457941a6";
	uint8_t key[32], iv[16], text[64], out[64];

	unhex("603deb1015ca71be2b73aef0857d7781 1f352c073b6108d72d9810a30914dff4", key, sizeof(key));
	unhex("f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff", iv, sizeof(iv));
	unhex("6bc1bee22e409f96e93d7e117393172a ae2d8a571e03ac9c9eb76fac45af8e51"
	      "30c81c46a35ce411e5fbc1191a0a52ef f69f2445df4f9b17ad2b417be66c3710",
		text, sizeof(text));
	ck_assert(crypto_aes256_ctr(key, iv, text, out, sizeof(text)));
	assert_hex(out, sizeof(out), cipher_text);
	ck_assert(crypto_aes256_ctr(key, iv, out, out, sizeof(out)));
	ck_assert_mem_eq(out, text, sizeof(text));
	ck_assert(crypto_aes256_ctr(key, iv, text, out, 5));
	ck_assert_mem_ne(out, text, 5);
	ck_assert_mem_eq(out + 5, text + 5, sizeof(text) - 5);
	ck_assert(crypto_aes256_ctr(key, iv, NULL, NULL, 0));
}
END_TEST

START_TEST(random_bytes_differ_and_stay_inside)
{
	uint8_t a[64 + 1] = { 0 }, b[64] = { 0 };

	crypto_random(a, 64);
	crypto_random(b, 64);
	ck_assert_mem_ne(a, b, 64);
	ck_assert_uint_eq(a[64], 0);
	crypto_random(NULL, 0);
}
END_TEST

static void add(TCase *tcase)
{
	tcase_add_test(tcase, a_digest_is_found_by_any_spelling_of_its_name);
	tcase_add_test(tcase, what_is_no_digest_is_refused);
	tcase_add_test(tcase, the_hash_of_abc_is_the_published_one);
	tcase_add_test(tcase, the_hash_of_nothing_is_the_published_one);
	tcase_add_test(tcase, the_hmac_of_the_rfcs_comes_out);
	tcase_add_test(tcase, a_message_given_twice_is_hashed_as_one);
	tcase_add_test(tcase, an_empty_key_is_a_key);
	tcase_add_test(tcase, counter_mode_gives_the_published_text_in_place_too);
	tcase_add_test(tcase, random_bytes_differ_and_stay_inside);
}

int main(void)
{
	return suite_run("crypto/crypto_libcrypto", add);
}
