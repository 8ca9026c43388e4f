/* SPDX-License-Identifier: MIT
 * common/tls/keyhold.c: what the key's holder signs, and above all what it does not. */
#include "tests/unit/tls/tls_pair.h"

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

#include <check.h>
#include <stdlib.h>
#include <string.h>

static struct identity ec, rsa, ed;
static struct tls_key *ec_key, *rsa_key, *ed_key;

static struct tls_key *key_of(const struct identity *identity)
{
	char error[TLS_REASON_MAX];
	struct tls_key *key = tls_key_read(identity->key, strlen(identity->key), NULL, error);
	ck_assert_msg(key != NULL, "%s", error);
	return key;
}

static void make_keys(void)
{
	struct forgery form = { .name = "ed", .ed25519 = true };
	ec = identity_make("ec", IDENTITY_SERVER, NULL);
	rsa = identity_make("rsa", IDENTITY_SERVER | IDENTITY_RSA, NULL);
	ed = identity_forge(&form, NULL);
	ec_key = key_of(&ec);
	rsa_key = key_of(&rsa);
	ed_key = key_of(&ed);
}

/* Where another library signs. In a build where none is loaded it is the same again. */
static void make_quick_keys(void)
{
	make_keys();
	tls_key_quicken(ec_key);
	tls_key_quicken(rsa_key);
	ck_assert(!tls_key_quicken(ed_key));
}

static void free_keys(void)
{
	tls_key_free(&ec_key);
	tls_key_free(&rsa_key);
	tls_key_free(&ed_key);
	identity_free(&ec);
	identity_free(&rsa);
	identity_free(&ed);
}

static const char context_13[] = "TLS 1.3, server CertificateVerify";

/* A TLS 1.3 input with a transcript hash of `hash_len` bytes; its length. */
static size_t input_13(uint8_t out[256], size_t hash_len)
{
	memset(out, 0x20, 64);
	memcpy(out + 64, context_13, sizeof context_13);
	memset(out + 64 + sizeof context_13, 0xab, hash_len);
	return 64 + sizeof context_13 + hash_len;
}

/* A TLS 1.2 input. */
static size_t input_12(uint8_t out[256], uint16_t group, uint8_t point_len)
{
	memset(out, 0x11, 64);
	out[64] = 3;
	out[65] = (uint8_t)(group >> 8);
	out[66] = (uint8_t)group;
	out[67] = point_len;
	memset(out + 68, 0x22, point_len);
	out[68] = 4;
	return 68 + (size_t)point_len;
}

static size_t sign(const struct tls_key *key, uint16_t algorithm, const uint8_t *input, size_t len)
{
	uint8_t signature[TLS_SIGNATURE_MAX];
	return tls_key_sign(key, algorithm, input, len, signature, sizeof signature);
}

static bool verifies(const struct identity *identity, const EVP_MD *hash, bool pss, const uint8_t *input,
	size_t len, const uint8_t *signature, size_t signature_len)
{
	BIO *text = BIO_new_mem_buf(identity->cert, -1);
	X509 *certificate = PEM_read_bio_X509(text, NULL, NULL, NULL);
	EVP_PKEY *key = X509_get_pubkey(certificate);
	EVP_MD_CTX *verifying = EVP_MD_CTX_new();
	EVP_PKEY_CTX *padding;
	ck_assert_int_eq(EVP_DigestVerifyInit(verifying, &padding, hash, NULL, key), 1);
	if (pss) {
		EVP_PKEY_CTX_set_rsa_padding(padding, RSA_PKCS1_PSS_PADDING);
		EVP_PKEY_CTX_set_rsa_pss_saltlen(padding, -1);
	}
	bool ok = EVP_DigestVerify(verifying, signature, signature_len, input, len) == 1;
	EVP_MD_CTX_free(verifying);
	EVP_PKEY_free(key);
	X509_free(certificate);
	BIO_free(text);
	return ok;
}

START_TEST(every_algorithm_signs_both_forms_so_that_it_verifies)
{
	const struct {
		uint16_t algorithm;
		const struct identity *identity;
		const struct tls_key *key;
		const EVP_MD *hash;
		bool pss;
	} rows[] = {
		{ 0x0804, &rsa, rsa_key, EVP_sha256(), true },
		{ 0x0805, &rsa, rsa_key, EVP_sha384(), true },
		{ 0x0806, &rsa, rsa_key, EVP_sha512(), true },
		{ 0x0401, &rsa, rsa_key, EVP_sha256(), false },
		{ 0x0501, &rsa, rsa_key, EVP_sha384(), false },
		{ 0x0601, &rsa, rsa_key, EVP_sha512(), false },
		{ 0x0403, &ec, ec_key, EVP_sha256(), false },
		{ 0x0503, &ec, ec_key, EVP_sha384(), false },
		{ 0x0603, &ec, ec_key, EVP_sha512(), false },
		{ 0x0807, &ed, ed_key, NULL, false },
	};
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		uint8_t inputs[3][256], signature[TLS_SIGNATURE_MAX];
		size_t lens[3] = { input_13(inputs[0], 32), input_13(inputs[1], 48),
			input_12(inputs[2], 29, 32) };
		for (int form = 0; form < 3; form++) {
			size_t len = tls_key_sign(rows[i].key, rows[i].algorithm, inputs[form], lens[form],
				signature, sizeof signature);
			ck_assert_uint_gt(len, 0);
			ck_assert(verifies(rows[i].identity, rows[i].hash, rows[i].pss, inputs[form],
				lens[form], signature, len));
			signature[len / 2] ^= 1;
			ck_assert(!verifies(rows[i].identity, rows[i].hash, rows[i].pss, inputs[form],
				lens[form], signature, len));
		}
	}
}
END_TEST

START_TEST(an_algorithm_of_another_key_or_with_sha_1_or_unknown_is_refused)
{
	uint8_t input[256];
	size_t len = input_13(input, 32);
	const uint16_t never[] = { 0, 0x0101, 0x0201, 0x0203, 0x0301, 0x0303, 0x0402, 0x0808, 0x0809, 0x080a,
		0x080b, 0xff01, 0xffff };
	for (size_t i = 0; i < sizeof never / sizeof never[0]; i++) {
		ck_assert_uint_eq(sign(ec_key, never[i], input, len), 0);
		ck_assert_uint_eq(sign(rsa_key, never[i], input, len), 0);
		ck_assert_uint_eq(sign(ed_key, never[i], input, len), 0);
	}
	ck_assert_uint_eq(sign(ec_key, 0x0804, input, len), 0);
	ck_assert_uint_eq(sign(ec_key, 0x0807, input, len), 0);
	ck_assert_uint_eq(sign(rsa_key, 0x0403, input, len), 0);
	ck_assert_uint_eq(sign(ed_key, 0x0401, input, len), 0);
}
END_TEST

START_TEST(every_changed_byte_of_the_tls_1_3_form_is_refused)
{
	uint8_t input[256];
	size_t len = input_13(input, 32);
	ck_assert_uint_gt(sign(ec_key, 0x0403, input, len), 0);
	for (size_t i = 0; i < 64 + sizeof context_13; i++) {
		input[i] ^= 1;
		ck_assert_uint_eq(sign(ec_key, 0x0403, input, len), 0);
		input[i] ^= 1;
	}
}
END_TEST

START_TEST(the_tls_1_3_form_has_a_hash_of_32_or_48_bytes_and_nothing_behind)
{
	uint8_t input[256];
	for (size_t hash = 0; hash < 100; hash++)
		ck_assert_int_eq(
			sign(ec_key, 0x0403, input, input_13(input, hash)) > 0, hash == 32 || hash == 48);
	for (size_t len = 0; len < 64 + sizeof context_13; len++)
		ck_assert_uint_eq(sign(ec_key, 0x0403, input, len), 0);
}
END_TEST

START_TEST(a_client_certificate_verify_is_refused)
{
	uint8_t input[256];
	size_t len = input_13(input, 32);
	memcpy(input + 64 + 9, "client", 6);
	ck_assert_uint_eq(sign(ec_key, 0x0403, input, len), 0);
}
END_TEST

START_TEST(the_tls_1_2_form_has_a_known_group_with_its_point_and_nothing_behind)
{
	uint8_t input[256];
	const struct {
		uint16_t group;
		uint8_t point_len;
	} good[] = { { 23, 65 }, { 24, 97 }, { 25, 133 }, { 29, 32 }, { 30, 56 } };
	for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
		size_t len = input_12(input, good[i].group, good[i].point_len);
		ck_assert_uint_gt(sign(ec_key, 0x0403, input, len), 0);
		ck_assert_uint_eq(sign(ec_key, 0x0403, input, len + 1), 0);
		for (size_t shorter = 0; shorter < len; shorter++)
			ck_assert_uint_eq(sign(ec_key, 0x0403, input, shorter), 0);
		ck_assert_uint_eq(
			sign(ec_key, 0x0403, input, input_12(input, good[i].group, good[i].point_len - 1)),
			0);
		ck_assert_uint_eq(
			sign(ec_key, 0x0403, input, input_12(input, good[i].group, good[i].point_len + 1)),
			0);
	}
	ck_assert_uint_eq(sign(ec_key, 0x0403, input, input_12(input, 22, 65)), 0);
	ck_assert_uint_eq(sign(ec_key, 0x0403, input, input_12(input, 0, 0)), 0);
	ck_assert_uint_eq(sign(ec_key, 0x0403, input, input_12(input, 0xff1d, 32)), 0);

	size_t len = input_12(input, 23, 65);
	input[68] = 2; /* a compressed point */
	ck_assert_uint_eq(sign(ec_key, 0x0403, input, len), 0);
	for (int curve_type = 0; curve_type < 256; curve_type++) {
		input_12(input, 23, 65);
		input[64] = (uint8_t)curve_type;
		ck_assert_int_eq(sign(ec_key, 0x0403, input, len) > 0, curve_type == 3);
	}
}
END_TEST

START_TEST(digests_certificates_and_nothing_are_refused)
{
	uint8_t zeros[256] = { 0 };
	for (size_t len = 0; len <= sizeof zeros; len++)
		ck_assert_uint_eq(sign(ec_key, 0x0403, zeros, len), 0);
	ck_assert_uint_eq(sign(ec_key, 0x0403, NULL, 0), 0);
	ck_assert_uint_eq(sign(rsa_key, 0x0401, (const uint8_t *)ec.cert, strlen(ec.cert)), 0);
}
END_TEST

START_TEST(a_signature_that_does_not_fit_is_not_given)
{
	uint8_t input[256], signature[256];
	size_t len = input_13(input, 32);
	ck_assert_uint_eq(tls_key_sign(rsa_key, 0x0804, input, len, signature, 255), 0);
	ck_assert_uint_eq(tls_key_sign(rsa_key, 0x0804, input, len, signature, 256), 256);
	ck_assert_uint_eq(tls_key_sign(ec_key, 0x0403, input, len, signature, 10), 0);
	ck_assert_uint_eq(tls_key_sign(ed_key, 0x0807, input, len, signature, 63), 0);
}
END_TEST

START_TEST(a_key_knows_its_certificate)
{
	ck_assert(tls_key_matches(ec_key, ec.cert));
	ck_assert(!tls_key_matches(ec_key, rsa.cert));
	ck_assert(!tls_key_matches(rsa_key, ec.cert));
	ck_assert(!tls_key_matches(ec_key, ec.key));
	ck_assert(!tls_key_matches(ec_key, ""));
	struct identity other = identity_make("ec", IDENTITY_SERVER, NULL);
	ck_assert(!tls_key_matches(ec_key, other.cert));
	identity_free(&other);
}
END_TEST

START_TEST(what_is_not_a_key_is_refused_with_a_reason)
{
	char error[TLS_REASON_MAX];
	ck_assert_ptr_null(tls_key_read("", 0, NULL, error));
	ck_assert_str_eq(error, "key: not a PEM text of a private key");
	ck_assert_ptr_null(tls_key_read(ec.cert, strlen(ec.cert), NULL, error));
	ck_assert_ptr_null(tls_key_read(ec.key, strlen(ec.key) / 2, NULL, error));
	ck_assert_str_eq(error, "key: not a PEM text of a private key");
}
END_TEST

/* The key as PKCS#8 PEM under "sesame". */
static char *encrypted_key(void)
{
	char *start, *out;
	BIO *in = BIO_new_mem_buf(rsa.key, -1), *text = BIO_new(BIO_s_mem());
	EVP_PKEY *key = PEM_read_bio_PrivateKey(in, NULL, NULL, NULL);
	ck_assert_int_eq(
		PEM_write_bio_PKCS8PrivateKey(text, key, EVP_aes_256_cbc(), (char *)"sesame", 6, NULL, NULL),
		1);
	long len = BIO_get_mem_data(text, &start);
	out = strndup(start, (size_t)len);
	EVP_PKEY_free(key);
	BIO_free(in);
	BIO_free(text);
	return out;
}

START_TEST(an_encrypted_key_needs_the_right_passphrase_and_asks_no_terminal)
{
	char *pem = encrypted_key(), error[TLS_REASON_MAX];
	assert_contains(pem, "ENCRYPTED");
	struct tls_key *key = tls_key_read(pem, strlen(pem), "sesame", error);
	ck_assert_msg(key != NULL, "%s", error);
	ck_assert(tls_key_matches(key, rsa.cert));
	tls_key_free(&key);
	tls_key_free(&key);
	ck_assert_ptr_null(tls_key_read(pem, strlen(pem), NULL, error));
	ck_assert_str_eq(error, "key: it needs a passphrase");
	ck_assert_ptr_null(tls_key_read(pem, strlen(pem), "sesam", error));
	ck_assert_str_eq(error, "key: wrong passphrase");
	free(pem);
}
END_TEST

int main(void)
{
	const TTest *const cases[] = {
		every_algorithm_signs_both_forms_so_that_it_verifies,
		an_algorithm_of_another_key_or_with_sha_1_or_unknown_is_refused,
		every_changed_byte_of_the_tls_1_3_form_is_refused,
		the_tls_1_3_form_has_a_hash_of_32_or_48_bytes_and_nothing_behind,
		a_client_certificate_verify_is_refused,
		the_tls_1_2_form_has_a_known_group_with_its_point_and_nothing_behind,
		digests_certificates_and_nothing_are_refused,
		a_signature_that_does_not_fit_is_not_given,
		a_key_knows_its_certificate,
		what_is_not_a_key_is_refused_with_a_reason,
		an_encrypted_key_needs_the_right_passphrase_and_asks_no_terminal,
	};
	Suite *suite = suite_create("tls keyhold");
	for (int quick = 0; quick < 2; quick++) {
		TCase *tests = tcase_create(quick ? "quickened" : "keyhold");
		tcase_add_unchecked_fixture(tests, quick ? make_quick_keys : make_keys, free_keys);
		tcase_set_timeout(tests, 60);
		for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
			tcase_add_test(tests, cases[i]);
		suite_add_tcase(suite, tests);
	}
	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
