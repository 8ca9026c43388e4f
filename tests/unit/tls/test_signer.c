/* SPDX-License-Identifier: MIT
 * common/tls/signer.c: OpenSSL's library beside ours, and the key's holder with either. */
#include "tests/unit/tls/tls_pair.h"

#include "common/tls/certificate.h"
#include "common/tls/signer.h"

#include <openssl/rsa.h>

#include <check.h>
#include <stdlib.h>
#include <string.h>

static const uint8_t text[] = "what is signed";
static EVP_PKEY *ec, *rsa, *small, *ed;

static EVP_PKEY *key_of(struct identity identity)
{
	bool encrypted;
	EVP_PKEY *key = pem_key(identity.key, strlen(identity.key), NULL, &encrypted);
	ck_assert_ptr_nonnull(key);
	identity_free(&identity);
	return key;
}

static void make_keys(void)
{
	struct forgery form = { .name = "ed", .ed25519 = true };
	BIGNUM *e = BN_new();
	RSA *made = RSA_new();
	ec = key_of(identity_make("ec", IDENTITY_SERVER, NULL));
	rsa = key_of(identity_make("rsa", IDENTITY_SERVER | IDENTITY_RSA, NULL));
	ed = key_of(identity_forge(&form, NULL));
	small = EVP_PKEY_new();
	ck_assert(BN_set_word(e, RSA_F4) && RSA_generate_key_ex(made, 1024, e, NULL) &&
		  EVP_PKEY_set1_RSA(small, made));
	RSA_free(made);
	BN_free(e);
}

static void free_keys(void)
{
	EVP_PKEY_free(ec);
	EVP_PKEY_free(rsa);
	EVP_PKEY_free(small);
	EVP_PKEY_free(ed);
}

static bool verifies(EVP_PKEY *key, const EVP_MD *hash, bool pss, const uint8_t *signature, size_t len)
{
	EVP_MD_CTX *verifying = EVP_MD_CTX_new();
	EVP_PKEY_CTX *padding;
	ck_assert_int_eq(EVP_DigestVerifyInit(verifying, &padding, hash, NULL, key), 1);
	if (pss)
		ck_assert(EVP_PKEY_CTX_set_rsa_padding(padding, RSA_PKCS1_PSS_PADDING) == 1 &&
			  EVP_PKEY_CTX_set_rsa_pss_saltlen(padding, -1) == 1);
	bool ok = EVP_DigestVerify(verifying, signature, len, text, sizeof text) == 1;
	EVP_MD_CTX_free(verifying);
	return ok;
}

START_TEST(what_the_other_library_signs_this_one_verifies)
{
	const struct {
		EVP_PKEY *key;
		unsigned hash_bits;
		bool pss;
		const EVP_MD *hash, *other;
	} rows[] = {
		{ ec, 256, false, EVP_sha256(), EVP_sha384() },
		{ ec, 384, false, EVP_sha384(), EVP_sha256() },
		{ ec, 512, false, EVP_sha512(), EVP_sha256() },
		{ rsa, 256, false, EVP_sha256(), EVP_sha384() },
		{ rsa, 384, false, EVP_sha384(), EVP_sha256() },
		{ rsa, 512, false, EVP_sha512(), EVP_sha256() },
		{ rsa, 256, true, EVP_sha256(), EVP_sha384() },
		{ rsa, 384, true, EVP_sha384(), EVP_sha256() },
		{ rsa, 512, true, EVP_sha512(), EVP_sha256() },
	};
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		uint8_t signature[TLS_SIGNATURE_MAX];
		struct signer *signer = signer_open(rows[i].key);
		ck_assert_ptr_nonnull(signer);
		size_t len = signer_sign(signer, rows[i].hash_bits, rows[i].pss, text, sizeof text, signature,
			sizeof signature);
		ck_assert_uint_gt(len, 0);
		ck_assert(verifies(rows[i].key, rows[i].hash, rows[i].pss, signature, len));
		ck_assert(!verifies(rows[i].key, rows[i].other, rows[i].pss, signature, len));
		signature[len / 2] ^= 1;
		ck_assert(!verifies(rows[i].key, rows[i].hash, rows[i].pss, signature, len));
		signer_free(&signer);
		ck_assert_ptr_null(signer);
	}
}
END_TEST

START_TEST(what_does_not_fit_or_is_unknown_is_not_signed)
{
	uint8_t signature[TLS_SIGNATURE_MAX];
	struct signer *signer = signer_open(rsa);
	ck_assert_uint_eq(signer_sign(signer, 256, false, text, sizeof text, signature, 255), 0);
	ck_assert_uint_eq(signer_sign(signer, 256, false, text, sizeof text, signature, 256), 256);
	ck_assert_uint_eq(signer_sign(signer, 0, false, text, sizeof text, signature, sizeof signature), 0);
	ck_assert_uint_eq(signer_sign(signer, 160, false, text, sizeof text, signature, sizeof signature), 0);
	ck_assert_uint_eq(signer_sign(signer, 768, false, text, sizeof text, signature, sizeof signature), 0);
	signer_free(&signer);
	signer_free(&signer);
	signer = signer_open(ec); /* which has no such padding */
	ck_assert_uint_eq(signer_sign(signer, 256, true, text, sizeof text, signature, sizeof signature), 0);
	signer_free(&signer);
}
END_TEST

START_TEST(a_key_that_it_cannot_serve_wholly_it_does_not_take)
{
	ck_assert_ptr_null(signer_open(ed));
	ck_assert_ptr_null(signer_open(small)); /* too small for PSS with SHA-512 */
}
END_TEST

START_TEST(many_signers_come_and_go)
{
	struct signer *signers[20];
	for (int i = 0; i < 20; i++)
		ck_assert_ptr_nonnull(signers[i] = signer_open(i % 2 ? rsa : ec));
	for (int i = 0; i < 20; i++) {
		uint8_t signature[TLS_SIGNATURE_MAX];
		size_t len =
			signer_sign(signers[i], 256, false, text, sizeof text, signature, sizeof signature);
		ck_assert(verifies(i % 2 ? rsa : ec, EVP_sha256(), false, signature, len));
		signer_free(&signers[i]);
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("tls signer");
	TCase *tests = tcase_create("signer");
	tcase_add_unchecked_fixture(tests, make_keys, free_keys);
	tcase_add_test(tests, what_the_other_library_signs_this_one_verifies);
	tcase_add_test(tests, what_does_not_fit_or_is_unknown_is_not_signed);
	tcase_add_test(tests, a_key_that_it_cannot_serve_wholly_it_does_not_take);
	tcase_add_test(tests, many_signers_come_and_go);
	suite_add_tcase(suite, tests);
	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
