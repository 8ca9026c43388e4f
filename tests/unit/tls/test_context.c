/* SPDX-License-Identifier: MIT
 * common/tls/context.c, lists.c and pki.c: which settings make a context, which are refused and how it is
 * said. */
#include "tests/unit/tls/tls_pair.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

static struct identity ca, hub, alice;

static void make_identities(void)
{
	ca = identity_make("Test CA", IDENTITY_CA, NULL);
	hub = identity_make("hub", IDENTITY_SERVER, &ca);
	alice = identity_make("alice", 0, &ca);
}

static void free_identities(void)
{
	identity_free(&ca);
	identity_free(&hub);
	identity_free(&alice);
}

START_TEST(each_broken_setting_is_named)
{
	struct tls_settings good = settings_of(true, &ca, &hub), s;
	struct tls_context *context = context_of(&good);
	tls_context_free(&context);

	s = good, s.ca_pem = NULL;
	assert_settings_refused(&s, "ca: neither");
	s = good, s.ca_pem = "nothing";
	assert_settings_refused(&s, "ca: not a PEM");
	s = good, s.cert_pem = NULL;
	assert_settings_refused(&s, "cert: a server needs");
	s = good, s.cert_pem = hub.key;
	assert_settings_refused(&s, "cert: not a PEM");
	s = good, s.extra_certs_pem = "";
	assert_settings_refused(&s, "extra-certs: not a PEM");
	s = good, s.key_pem = "";
	assert_settings_refused(&s, "key: not a PEM");
	s = good, s.key_pem = alice.key;
	assert_settings_refused(&s, "key: it does not belong");
	s = good, s.crl_pem = ca.cert;
	assert_settings_refused(&s, "crl-verify: not a PEM");
	s = good, s.version_min = 0x0304, s.version_max = 0x0303;
	assert_settings_refused(&s, "tls-version-m");
	s = good, s.version_min = 0x0300;
	assert_settings_refused(&s, "tls-version-min");
	s = good, s.version_max = 0x0305;
	assert_settings_refused(&s, "tls-version-max");
	s = good, s.name_check = TLS_NAME_EXACT;
	assert_settings_refused(&s, "verify-x509-name");
	s = good, s.username_field = "noSuchThing";
	assert_settings_refused(&s, "x509-username-field");
	s = good, s.cipher_list = "NO-SUCH-CIPHER";
	assert_settings_refused(&s, "tls-cipher");
	s = good, s.cipher_list = ":";
	assert_settings_refused(&s, "tls-cipher");
	s = good, s.groups = "NO-SUCH-GROUP";
	assert_settings_refused(&s, "tls-groups");
	uint8_t print[1][TLS_FINGERPRINT_LEN] = { { 0 } };
	s = good, s.ca_pem = NULL, s.crl_pem = "x", s.fingerprint_count = 1;
	s.fingerprints = (const uint8_t(*)[TLS_FINGERPRINT_LEN])print;
	assert_settings_refused(&s, "crl-verify: a CRL needs a CA");
}
END_TEST

START_TEST(names_that_the_library_lacks_are_skipped_and_told)
{
	struct tls_settings s = settings_of(true, &ca, &hub);
	char error[TLS_REASON_MAX], warning[TLS_REASON_MAX];
	s.cipher_list = "NO-SUCH-CIPHER:ECDHE-ECDSA-AES256-GCM-SHA384:ALSO-NONE";
	s.groups = "X25519:none-such";
	struct tls_context *context = tls_context_new(&s, error, warning);
	ck_assert_msg(context != NULL, "%s", error);
	assert_contains(warning, "NO-SUCH-CIPHER, ALSO-NONE; ");
	assert_contains(warning, "none-such");
	ck_assert_ptr_null(strstr(warning, "X25519"));
	tls_context_free(&context);
}
END_TEST

START_TEST(iana_names_of_ciphers_and_both_names_of_groups_are_understood)
{
	struct tls_settings c = settings_of(false, &ca, &alice), s = settings_of(true, &ca, &hub);
	const char *const spellings[] = { "TLS-ECDHE-ECDSA-WITH-AES-128-GCM-SHA256",
		"TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", "ECDHE-ECDSA-AES128-GCM-SHA256" };
	const char *const groups[] = { "secp256r1", "prime256v1", "P-256" };
	s.version_max = 0x0303;
	for (size_t i = 0; i < 3; i++) {
		s.cipher_list = spellings[i];
		s.groups = groups[i];
		struct pair pair = pair_met(&c, &s);
		ck_assert_str_eq(tls_description(pair.client), "TLSv1.2 ECDHE-ECDSA-AES128-GCM-SHA256");
		pair_free(&pair);
	}
}
END_TEST

START_TEST(ciphers_that_decrypt_with_the_key_or_prove_nobody_are_never_used)
{
	struct tls_settings s = settings_of(true, &ca, &hub);
	s.cipher_list = "AES256-GCM-SHA384:AES128-SHA:ADH-AES128-SHA:PSK-AES128-CBC-SHA:NULL-SHA";
	assert_settings_refused(&s, "tls-cipher");
}
END_TEST

START_TEST(modifiers_of_a_cipher_list_work)
{
	struct tls_settings c = settings_of(false, &ca, &alice), s = settings_of(true, &ca, &hub);
	s.version_max = 0x0303;
	s.cipher_list = "ALL:!AES128:!CHACHA20";
	struct pair pair = pair_met(&c, &s);
	assert_contains(tls_description(pair.client), "AES256");
	pair_free(&pair);
	s.cipher_list = "!AES128";
	assert_settings_refused(&s, "tls-cipher");
}
END_TEST

START_TEST(an_encrypted_key_is_not_asked_for_at_a_terminal)
{
	struct tls_settings s = settings_of(true, &ca, &hub);
	s.key_pem = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n"
		    "DEK-Info: AES-128-CBC,00112233445566778899AABBCCDDEEFF\n\nAAAA\n-----END RSA PRIVATE "
		    "KEY-----\n";
	assert_settings_refused(&s, "key: it needs a passphrase");
}
END_TEST

START_TEST(requests_that_make_no_sense_are_refused)
{
	char *cert, *key, error[TLS_REASON_MAX];
	struct pki_request request = { .common_name = "x", .days = 1 };
	request.issuer_cert_pem = ca.cert;
	ck_assert(!pki_make(&request, &cert, &key, error));
	ck_assert_ptr_null(cert);
	ck_assert_ptr_null(key);
	request.issuer_key_pem = alice.key;
	ck_assert(!pki_make(&request, &cert, &key, error));
	ck_assert_str_eq(error, "the issuer's key and certificate differ");
	request.issuer_key_pem = "";
	ck_assert(!pki_make(&request, &cert, &key, error));
	request = (struct pki_request){ .common_name = "", .days = 1 };
	ck_assert(!pki_make(&request, &cert, &key, error));
	request = (struct pki_request){ .common_name = "x" };
	ck_assert(!pki_make(&request, &cert, &key, error));
	char long_name[66] = { 0 };
	memset(long_name, 'n', 65);
	request = (struct pki_request){ .common_name = long_name, .days = 1 };
	ck_assert(!pki_make(&request, &cert, &key, error));
	assert_contains(error, "cannot make it: ");

	char *crl;
	ck_assert(!pki_make_crl(ca.cert, alice.key, NULL, 0, 1, &crl, error));
	ck_assert(!pki_make_crl(ca.cert, ca.key, (const char *[]){ "no certificate" }, 1, 1, &crl, error));
	ck_assert_ptr_null(crl);
	ck_assert_str_ne(error, "");
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("tls context");
	TCase *cases = tcase_create("context");
	tcase_add_unchecked_fixture(cases, make_identities, free_identities);
	tcase_set_timeout(cases, 60);
	tcase_add_test(cases, each_broken_setting_is_named);
	tcase_add_test(cases, names_that_the_library_lacks_are_skipped_and_told);
	tcase_add_test(cases, iana_names_of_ciphers_and_both_names_of_groups_are_understood);
	tcase_add_test(cases, ciphers_that_decrypt_with_the_key_or_prove_nobody_are_never_used);
	tcase_add_test(cases, modifiers_of_a_cipher_list_work);
	tcase_add_test(cases, an_encrypted_key_is_not_asked_for_at_a_terminal);
	tcase_add_test(cases, requests_that_make_no_sense_are_refused);
	suite_add_tcase(suite, cases);
	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
