/* SPDX-License-Identifier: MIT
 * common/tls/dates.c: until when certificates and revocation lists are good. */
#include "common/tls/tls.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static char *make(int days, const char *issuer_cert, const char *issuer_key, char **key)
{
	char error[TLS_REASON_MAX], *cert;
	struct pki_request request = { .common_name = "x",
		.days = days,
		.is_ca = !issuer_cert,
		.issuer_cert_pem = issuer_cert,
		.issuer_key_pem = issuer_key };
	ck_assert_msg(pki_make(&request, &cert, key, error), "%s", error);
	return cert;
}

static char *joined(const char *a, const char *b)
{
	char *out = malloc(strlen(a) + strlen(b) + 1);
	strcpy(out, a);
	return strcat(out, b);
}

static void assert_days_from_now(int64_t seconds, int days)
{
	int64_t wanted = (int64_t)time(NULL) + (int64_t)days * 86400;
	ck_assert_msg(llabs(seconds - wanted) < 300, "%lld, not %lld", (long long)seconds, (long long)wanted);
}

START_TEST(a_certificate_says_when_it_ends_the_first_of_a_chain_counts)
{
	char *ca_key, *key, *old_key;
	char *ca = make(4000, NULL, NULL, &ca_key), *cert = make(90, ca, ca_key, &key),
	     *chain = joined(cert, ca);
	char *old = make(-3, NULL, NULL, &old_key);
	int64_t ends;
	ck_assert(tls_certificate_ends(cert, &ends));
	assert_days_from_now(ends, 90);
	ck_assert(tls_certificate_ends(chain, &ends));
	assert_days_from_now(ends, 90);
	ck_assert(tls_certificate_ends(ca, &ends));
	assert_days_from_now(ends, 4000);
	ck_assert(tls_certificate_ends(old, &ends));
	assert_days_from_now(ends, -3);
	ck_assert(!tls_certificate_ends("", &ends));
	ck_assert(!tls_certificate_ends(
		"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", &ends));
	ck_assert(!tls_certificate_ends(key, &ends));
	char *texts[] = { ca_key, key, old_key, ca, cert, chain, old };
	for (int i = 0; i < 7; i++)
		free(texts[i]);
}
END_TEST

START_TEST(of_several_lists_the_one_that_ends_first_counts)
{
	char error[TLS_REASON_MAX], *key, *shorter, *longer;
	char *ca = make(100, NULL, NULL, &key);
	ck_assert(pki_make_crl(ca, key, NULL, 0, 7, &shorter, error));
	ck_assert(pki_make_crl(ca, key, NULL, 0, 30, &longer, error));
	char *both = joined(longer, shorter), *turned = joined(shorter, longer);
	int64_t ends;
	ck_assert(tls_crl_ends(longer, &ends));
	assert_days_from_now(ends, 30);
	ck_assert(tls_crl_ends(both, &ends));
	assert_days_from_now(ends, 7);
	ck_assert(tls_crl_ends(turned, &ends));
	assert_days_from_now(ends, 7);
	ck_assert(!tls_crl_ends(ca, &ends));
	ck_assert(!tls_crl_ends("", &ends));
	char *texts[] = { key, ca, shorter, longer, both, turned };
	for (int i = 0; i < 6; i++)
		free(texts[i]);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("tls dates");
	TCase *cases = tcase_create("dates");
	tcase_add_test(cases, a_certificate_says_when_it_ends_the_first_of_a_chain_counts);
	tcase_add_test(cases, of_several_lists_the_one_that_ends_first_counts);
	suite_add_tcase(suite, cases);
	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
