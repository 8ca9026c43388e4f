/* SPDX-License-Identifier: MIT
 * common/tls/certificate.c: names, numbers and usages of a certificate as people configure and log them. */
#include "common/tls/certificate.h"
#include "tests/unit/tls/tls_pair.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static X509 *certificate_of(const struct identity *identity)
{
	STACK_OF(X509) *list = pem_certificates(identity->cert);
	ck_assert_ptr_nonnull(list);
	X509 *out = sk_X509_shift(list);
	certificates_free(list);
	return out;
}

static X509 *forged(const struct forgery *form)
{
	struct identity identity = identity_forge(form, NULL);
	X509 *out = certificate_of(&identity);
	identity_free(&identity);
	return out;
}

static void assert_name(X509 *certificate, const char *fields, const char *wanted)
{
	char name[TLS_NAME_MAX];
	ck_assert_int_eq(certificate_name(certificate, fields, name), wanted != NULL);
	if (wanted)
		ck_assert_str_eq(name, wanted);
}

START_TEST(names_come_from_the_fields_asked_for)
{
	struct forgery form = { .name = "dave",
		.organization = "Example",
		.email = "dave@example.org",
		.alternative_name = "email:d@example.org" };
	X509 *certificate = forged(&form);
	assert_name(certificate, NULL, "dave");
	assert_name(certificate, "CN", "dave");
	assert_name(certificate, "emailAddress", "dave@example.org");
	assert_name(certificate, "ext:subjectAltName", "d@example.org");
	assert_name(certificate, "serialNumber", "0x1267");
	assert_name(certificate, "O CN", "Example_dave");
	assert_name(certificate, "CN serialNumber", "dave_0x1267");
	assert_name(certificate, "OU", NULL);
	assert_name(certificate, "CN OU", NULL);
	assert_name(certificate, "ext:issuerAltName", NULL);
	assert_name(certificate, "", NULL);
	X509_free(certificate);
}
END_TEST

START_TEST(a_joined_name_longer_than_255_is_refused)
{
	char name[65] = { 0 };
	memset(name, 'n', 64);
	struct forgery form = { .name = name };
	X509 *certificate = forged(&form);
	assert_name(certificate, "CN", name);
	char joined[TLS_NAME_MAX];
	ck_assert(certificate_name(certificate, "CN CN CN", joined));
	ck_assert_uint_eq(strlen(joined), 194);
	assert_name(certificate, "CN CN CN CN", NULL);
	X509_free(certificate);
}
END_TEST

START_TEST(an_email_longer_than_64_bytes_is_no_name)
{
	char email[70] = { 0 };
	memset(email, 'e', 65);
	struct forgery form = { .name = "x", .email = email };
	X509 *certificate = forged(&form);
	assert_name(certificate, "emailAddress", NULL);
	X509_free(certificate);
}
END_TEST

START_TEST(only_attributes_that_exist_are_known)
{
	ck_assert(certificate_name_known("CN"));
	ck_assert(certificate_name_known("CN emailAddress serialNumber ext:subjectAltName"));
	ck_assert(!certificate_name_known(""));
	ck_assert(!certificate_name_known("ext:keyUsage"));
	ck_assert(!certificate_name_known("CN noSuchThing"));
}
END_TEST

START_TEST(a_subject_is_written_in_order_and_stays_one_line)
{
	struct forgery form = { .name = "a\nb", .organization = "Example, Inc", .email = "a@b" };
	X509 *certificate = forged(&form);
	char *subject = certificate_subject(X509_get_subject_name(certificate));
	ck_assert_str_eq(subject, "C=KG, O=Example, Inc, CN=a\\0Ab, emailAddress=a@b");
	free(subject);
	X509_free(certificate);
}
END_TEST

START_TEST(a_serial_is_decimal_and_must_fit)
{
	struct forgery form = { .name = "x" };
	X509 *certificate = forged(&form);
	char serial[5];
	ck_assert(certificate_serial(certificate, serial, sizeof serial));
	ck_assert_str_eq(serial, "4711");
	ck_assert(!certificate_serial(certificate, serial, 4));
	ck_assert_str_eq(serial, "");
	X509_free(certificate);
}
END_TEST

START_TEST(key_usage_bits_are_covered_as_a_whole)
{
	struct forgery form = { .name = "x", .usage = "digitalSignature,keyEncipherment,decipherOnly" };
	X509 *certificate = forged(&form);
	ck_assert(certificate_has_key_usage(certificate));
	ck_assert(certificate_covers_key_usage(certificate, (unsigned[]){ 0xa0 }, 1));
	ck_assert(certificate_covers_key_usage(certificate, (unsigned[]){ 0x80 }, 1));
	ck_assert(certificate_covers_key_usage(certificate, (unsigned[]){ 0x08, 0x20 }, 2));
	ck_assert(!certificate_covers_key_usage(certificate, (unsigned[]){ 0x88 }, 1));
	ck_assert(!certificate_covers_key_usage(certificate, (unsigned[]){ 0 }, 1));
	ck_assert(!certificate_covers_key_usage(certificate, NULL, 0));
	X509_free(certificate);
	form.usage = NULL;
	certificate = forged(&form);
	ck_assert(!certificate_has_key_usage(certificate));
	ck_assert(!certificate_covers_key_usage(certificate, (unsigned[]){ 0x80 }, 1));
	X509_free(certificate);
}
END_TEST

START_TEST(extended_usages_go_by_number_or_long_name)
{
	struct forgery form = { .name = "x", .extended_usage = "clientAuth,1.2.3.4.5" };
	X509 *certificate = forged(&form);
	ck_assert(certificate_has_extended_usage(certificate, "TLS Web Client Authentication"));
	ck_assert(certificate_has_extended_usage(certificate, "1.3.6.1.5.5.7.3.2"));
	ck_assert(certificate_has_extended_usage(certificate, "1.2.3.4.5"));
	ck_assert(!certificate_has_extended_usage(certificate, "1.2.3.4"));
	ck_assert(!certificate_has_extended_usage(certificate, "TLS Web Server Authentication"));
	ck_assert(!certificate_has_extended_usage(certificate, ""));
	X509_free(certificate);
}
END_TEST

START_TEST(profiles_judge_keys)
{
	const struct {
		struct forgery form;
		enum tls_profile best; /* the strictest that takes it */
	} rows[] = {
		{ { .name = "rsa", .rsa_bits = 1024 }, TLS_PROFILE_LEGACY },
		{ { .name = "rsa", .rsa_bits = 2048 }, TLS_PROFILE_PREFERRED },
		{ { .name = "rsa", .rsa_bits = 3072 }, TLS_PROFILE_PREFERRED },
		{ { .name = "ed", .ed25519 = true }, TLS_PROFILE_PREFERRED },
		{ { .name = "p521", .curve = 716 }, TLS_PROFILE_PREFERRED },
		{ { .name = "p384", .curve = 715 }, TLS_PROFILE_SUITEB },
		{ { .name = "p256" }, TLS_PROFILE_SUITEB },
	};
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		X509 *certificate = forged(&rows[i].form);
		for (int profile = TLS_PROFILE_INSECURE; profile <= TLS_PROFILE_SUITEB; profile++)
			ck_assert_int_eq(
				certificate_key_weakness(certificate, (enum tls_profile)profile) == NULL,
				profile <= (int)rows[i].best);
		X509_free(certificate);
	}
}
END_TEST

START_TEST(profiles_judge_the_hash_of_a_signature)
{
	const struct {
		struct forgery form;
		enum tls_profile best;
	} rows[] = {
		{ { .name = "x", .rsa_bits = 2048, .sha1 = true }, TLS_PROFILE_INSECURE },
		{ { .name = "x", .sha1 = true }, TLS_PROFILE_INSECURE },
		{ { .name = "x", .rsa_bits = 2048, .pss_sha1 = true }, TLS_PROFILE_INSECURE },
		{ { .name = "x", .rsa_bits = 2048, .pss_sha256 = true }, TLS_PROFILE_PREFERRED },
		{ { .name = "x", .ed25519 = true }, TLS_PROFILE_PREFERRED },
		{ { .name = "x" }, TLS_PROFILE_SUITEB },
	};
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		X509 *certificate = forged(&rows[i].form);
		for (int profile = TLS_PROFILE_INSECURE; profile <= TLS_PROFILE_SUITEB; profile++)
			ck_assert_msg(
				(certificate_signature_weakness(certificate, (enum tls_profile)profile) ==
					NULL) == (profile <= (int)rows[i].best),
				"row %zu, profile %d", i, profile);
		X509_free(certificate);
	}
}
END_TEST

START_TEST(pem_texts_with_a_broken_block_are_refused_whole)
{
	struct identity one = identity_make("one", 0, NULL), two = identity_make("two", 0, NULL);
	char text[8192];
	snprintf(text, sizeof text, "comment\n%s\n%s%s", one.cert, one.key, two.cert);
	STACK_OF(X509) *list = pem_certificates(text);
	ck_assert_uint_eq((size_t)sk_X509_num(list), 2);
	certificates_free(list);
	text[strlen(text) - 60] = '\0';
	ck_assert_ptr_null(pem_certificates(text));
	ck_assert_ptr_null(pem_certificates(""));
	ck_assert_ptr_null(pem_certificates(one.key));
	ck_assert_ptr_null(pem_crls(one.cert));
	identity_free(&one);
	identity_free(&two);
}
END_TEST

START_TEST(what_we_make_names_its_own_and_its_issuers_key)
{
	struct identity ca = identity_make("ca", IDENTITY_CA, NULL),
			hub = identity_make("hub", IDENTITY_SERVER, &ca);
	X509 *root = certificate_of(&ca), *leaf = certificate_of(&hub);
	X509 *const both[] = { root, leaf };
	ASN1_OCTET_STRING *own = X509_get_ext_d2i(root, NID_subject_key_identifier, NULL, NULL);
	ck_assert_ptr_nonnull(own);
	for (int i = 0; i < 2; i++) {
		AUTHORITY_KEYID *issuer = X509_get_ext_d2i(both[i], NID_authority_key_identifier, NULL, NULL);
		ck_assert_ptr_nonnull(issuer);
		ck_assert_ptr_nonnull(issuer->keyid);
		ck_assert_int_eq(ASN1_OCTET_STRING_cmp(issuer->keyid, own), 0);
		AUTHORITY_KEYID_free(issuer);
	}
	ASN1_OCTET_STRING_free(own);
	ck_assert(certificate_covers_key_usage(root, (unsigned[]){ 0x06 }, 1));
	ck_assert(!certificate_covers_key_usage(leaf, (unsigned[]){ 0x04 }, 1));
	ck_assert(certificate_has_extended_usage(leaf, "TLS Web Server Authentication"));
	X509_free(root);
	X509_free(leaf);
	identity_free(&ca);
	identity_free(&hub);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("tls certificate");
	TCase *cases = tcase_create("certificate");
	tcase_set_timeout(cases, 60);
	tcase_add_test(cases, names_come_from_the_fields_asked_for);
	tcase_add_test(cases, a_joined_name_longer_than_255_is_refused);
	tcase_add_test(cases, an_email_longer_than_64_bytes_is_no_name);
	tcase_add_test(cases, only_attributes_that_exist_are_known);
	tcase_add_test(cases, a_subject_is_written_in_order_and_stays_one_line);
	tcase_add_test(cases, a_serial_is_decimal_and_must_fit);
	tcase_add_test(cases, key_usage_bits_are_covered_as_a_whole);
	tcase_add_test(cases, extended_usages_go_by_number_or_long_name);
	tcase_add_test(cases, profiles_judge_keys);
	tcase_add_test(cases, profiles_judge_the_hash_of_a_signature);
	tcase_add_test(cases, pem_texts_with_a_broken_block_are_refused_whole);
	tcase_add_test(cases, what_we_make_names_its_own_and_its_issuers_key);
	suite_add_tcase(suite, cases);
	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
