/* SPDX-License-Identifier: MIT
 * A hub's worker without a private key: signatures come from outside, later (BoringSSL) or at once (OpenSSL).
 */
#include "tests/unit/tls/tls_pair.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

static struct identity ca, hub, rsa_hub, ed_hub, alice;

static void make_identities(void)
{
	struct forgery ed = { .name = "ed-hub", .ed25519 = true };
	ca = identity_make("Test CA", IDENTITY_CA, NULL);
	hub = identity_make("hub", IDENTITY_SERVER, &ca);
	rsa_hub = identity_make("rsa-hub", IDENTITY_SERVER | IDENTITY_RSA, &ca);
	ed_hub = identity_forge(&ed, &ca);
	alice = identity_make("alice", 0, &ca);
}

static void free_identities(void)
{
	struct identity *all[] = { &ca, &hub, &rsa_hub, &ed_hub, &alice };
	for (size_t i = 0; i < 5; i++)
		identity_free(all[i]);
}

static struct tls_key *key_of(const struct identity *identity)
{
	char error[TLS_REASON_MAX];
	struct tls_key *key = tls_key_read(identity->key, strlen(identity->key), NULL, error);
	ck_assert_msg(key != NULL, "%s", error);
	return key;
}

static void sign_from_outside(const struct identity *server)
{
	struct tls_key *key = key_of(server);
	for (unsigned version = 0x0303; version <= 0x0304; version++) {
		struct tls_settings c = settings_of(false, &ca, &alice),
				    s = settings_of_worker(&ca, server, key);
		c.version_min = c.version_max = version;
		struct pair pair = pair_met(&c, &s);
		ck_assert_msg(tls_step(pair.server) == TLS_READY, "%s; %s", tls_reason(pair.server),
			tls_reason(pair.client));
		ck_assert_int_eq(tls_step(pair.client), TLS_READY);
#ifdef TLS_BORINGSSL
		ck_assert_uint_eq(pair.signatures, 1);
#endif
		pair_free(&pair);
	}
	tls_key_free(&key);
	ck_assert_ptr_null(key);
}

START_TEST(an_ecdsa_key_signs_from_outside)
{
	sign_from_outside(&hub);
}
END_TEST

START_TEST(an_rsa_key_signs_from_outside)
{
	sign_from_outside(&rsa_hub);
}
END_TEST

START_TEST(an_ed25519_key_signs_from_outside)
{
	sign_from_outside(&ed_hub);
}
END_TEST

START_TEST(a_wrong_key_outside_is_noticed_by_the_client)
{
	struct identity other = identity_make("other", IDENTITY_SERVER, &ca);
	struct tls_key *key = key_of(&other);
	struct tls_settings c = settings_of(false, &ca, &alice), s = settings_of_worker(&ca, &hub, key);
	struct pair pair = pair_met(&c, &s);
	ck_assert_int_eq(tls_step(pair.client), TLS_FAILED);
	assert_contains(tls_reason(pair.client), "bad signature");
	pair_free(&pair);
	tls_key_free(&key);
	identity_free(&other);
}
END_TEST

START_TEST(a_key_of_another_kind_outside_refuses_and_the_handshake_fails)
{
	struct tls_key *key = key_of(&rsa_hub);
	struct tls_settings c = settings_of(false, &ca, &alice), s = settings_of_worker(&ca, &hub, key);
	for (unsigned version = 0x0303; version <= 0x0304; version++) {
		c.version_min = c.version_max = version;
		struct pair pair = pair_met(&c, &s);
		ck_assert_int_eq(tls_step(pair.server), TLS_FAILED);
		ck_assert_str_eq(tls_reason(pair.server), "the holder of our private key refused to sign");
		ck_assert_int_ne(tls_step(pair.client), TLS_READY);
		pair_free(&pair);
	}
	tls_key_free(&key);
}
END_TEST

START_TEST(the_key_holder_does_not_sign_for_tls_1_0)
{
	struct tls_key *key = key_of(&rsa_hub);
	struct tls_settings c = settings_of(false, &ca, &alice), s = settings_of_worker(&ca, &rsa_hub, key);
	c.version_min = s.version_min = 0x0301;
	c.version_max = 0x0301;
	struct pair pair = pair_met(&c, &s);
	ck_assert_int_eq(tls_step(pair.server), TLS_FAILED);
	pair_free(&pair);
	tls_key_free(&key);
}
END_TEST

#ifdef TLS_BORINGSSL
START_TEST(a_handshake_waits_for_its_signature_and_takes_bytes_meanwhile)
{
	struct tls_key *key = key_of(&hub);
	struct tls_settings c = settings_of(false, &ca, &alice), s = settings_of_worker(&ca, &hub, key);
	struct pair pair = pair_new(&c, &s);
	struct tls_signature_request request;
	ck_assert(!tls_signature_wanted(pair.server, &request));
	tls_signature_give(pair.server, (const uint8_t *)"early", 5);
	tls_step(pair.client);
	pair_carry(pair.client, pair.server);
	ck_assert_int_eq(tls_step(pair.server), TLS_WANT_SIGNATURE);
	ck_assert_int_eq(tls_step(pair.server), TLS_WANT_SIGNATURE);
	ck_assert(tls_signature_wanted(pair.server, &request));
	ck_assert(!tls_write(pair.server, "x", 1));
	ck_assert_int_eq(tls_feed(pair.server, "\x14\x03\x03\x00\x01\x01", 6), TLS_WANT_SIGNATURE);

	uint8_t signature[TLS_SIGNATURE_MAX];
	size_t len = tls_key_sign(
		key, request.algorithm, request.input, request.input_len, signature, sizeof signature);
	ck_assert_uint_gt(len, 0);
	tls_signature_give(pair.server, signature, len);
	tls_signature_give(pair.server, signature, 0); /* the second answer does not count */
	ck_assert(!tls_signature_wanted(pair.server, &request));
	ck_assert_int_eq(tls_step(pair.server), TLS_HANDSHAKE);
	pair_run(&pair);
	ck_assert_msg(tls_step(pair.server) == TLS_READY, "%s", tls_reason(pair.server));
	pair_free(&pair);
	tls_key_free(&key);
}
END_TEST

START_TEST(a_signature_that_is_too_long_or_refused_fails_the_handshake)
{
	static uint8_t big[TLS_SIGNATURE_MAX + 1];
	const size_t lens[] = { 0, sizeof big, sizeof big - 1 };
	struct tls_settings c = settings_of(false, &ca, &alice), s = settings_of_worker(&ca, &hub, NULL);
	for (size_t i = 0; i < 3; i++) {
		struct pair pair = pair_met(&c, &s);
		ck_assert_int_eq(tls_step(pair.server), TLS_WANT_SIGNATURE);
		tls_signature_give(pair.server, big, lens[i]);
		ck_assert_int_eq(tls_step(pair.server), TLS_FAILED);
		ck_assert_str_ne(tls_reason(pair.server), "");
		pair_free(&pair);
	}
}
END_TEST

START_TEST(a_negotiation_can_end_while_its_signature_is_under_way)
{
	struct tls_settings c = settings_of(false, &ca, &alice), s = settings_of_worker(&ca, &hub, NULL);
	struct pair pair = pair_met(&c, &s);
	ck_assert_int_eq(tls_step(pair.server), TLS_WANT_SIGNATURE);
	pair_free(&pair);
}
END_TEST
#else
START_TEST(without_a_key_somebody_must_sign)
{
	struct tls_settings s = settings_of(true, &ca, &hub);
	s.key_pem = NULL;
	assert_settings_refused(&s, "key: ");
}
END_TEST
#endif

int main(void)
{
	Suite *suite = suite_create("tls signature");
	TCase *cases = tcase_create("signature");
	tcase_add_unchecked_fixture(cases, make_identities, free_identities);
	tcase_set_timeout(cases, 60);
	tcase_add_test(cases, an_ecdsa_key_signs_from_outside);
	tcase_add_test(cases, an_rsa_key_signs_from_outside);
	tcase_add_test(cases, an_ed25519_key_signs_from_outside);
	tcase_add_test(cases, a_wrong_key_outside_is_noticed_by_the_client);
	tcase_add_test(cases, a_key_of_another_kind_outside_refuses_and_the_handshake_fails);
	tcase_add_test(cases, the_key_holder_does_not_sign_for_tls_1_0);
#ifdef TLS_BORINGSSL
	tcase_add_test(cases, a_handshake_waits_for_its_signature_and_takes_bytes_meanwhile);
	tcase_add_test(cases, a_signature_that_is_too_long_or_refused_fails_the_handshake);
	tcase_add_test(cases, a_negotiation_can_end_while_its_signature_is_under_way);
#else
	tcase_add_test(cases, without_a_key_somebody_must_sign);
#endif
	suite_add_tcase(suite, cases);
	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
