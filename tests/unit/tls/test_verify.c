/* SPDX-License-Identifier: MIT
 * common/tls/verify.c: whom a server (and a client) turns away, and what it says about it. */
#include "tests/unit/tls/tls_pair.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct identity ca, other_ca, hub, alice, bob;

static void make_identities(void)
{
	ca = identity_make("Test CA", IDENTITY_CA, NULL);
	other_ca = identity_make("Other CA", IDENTITY_CA, NULL);
	hub = identity_make("hub", IDENTITY_SERVER, &ca);
	alice = identity_make("alice", 0, &ca);
	bob = identity_make("bob", 0, &ca);
}

static void free_identities(void)
{
	struct identity *all[] = { &ca, &other_ca, &hub, &alice, &bob };
	for (size_t i = 0; i < 5; i++)
		identity_free(all[i]);
}

static void read_fingerprint(const struct identity *identity, uint8_t out[TLS_FINGERPRINT_LEN])
{
	struct tls_settings c = settings_of(false, &ca, identity), s = settings_of(true, &ca, &hub);
	struct pair pair = pair_met(&c, &s);
	struct tls_peer peer;
	ck_assert_msg(tls_step(pair.server) == TLS_READY, "%s", tls_reason(pair.server));
	tls_peer(pair.server, &peer);
	memcpy(out, peer.fingerprint, TLS_FINGERPRINT_LEN);
	pair_free(&pair);
}

/* The server takes the client. */
static void assert_taken(const struct tls_settings *client, const struct tls_settings *server)
{
	struct pair pair = pair_met(client, server);
	ck_assert_msg(tls_step(pair.server) == TLS_READY, "%s", tls_reason(pair.server));
	ck_assert_msg(tls_step(pair.client) == TLS_READY, "%s", tls_reason(pair.client));
	pair_free(&pair);
}

/* The server turns the client away with this reason, in TLS 1.2 and 1.3, and the client hears of it. */
static void assert_refused(struct tls_settings client, const struct tls_settings *server, const char *who,
	const char *why, const char *alert)
{
	for (unsigned version = 0x0303; version <= 0x0304; version++) {
		client.version_max = client.version_min = version;
		struct pair pair = pair_met(&client, server);
		ck_assert_int_eq(tls_step(pair.server), TLS_FAILED);
		assert_contains(tls_reason(pair.server), who);
		assert_contains(tls_reason(pair.server), why);
		ck_assert_ptr_null(strchr(tls_reason(pair.server), '\n'));
		char room[64];
		ck_assert_int_eq(tls_read(pair.client, room, sizeof room), -1);
		assert_contains(tls_reason(pair.client), "peer sent alert: ");
		assert_contains(tls_reason(pair.client), alert);
		pair_free(&pair);
	}
}

START_TEST(a_client_of_another_ca_is_refused_and_the_ca_named)
{
	struct identity eve = identity_make("eve", 0, &other_ca);
	struct tls_settings c = settings_of(false, &ca, &eve), s = settings_of(true, &ca, &hub);
	assert_refused(c, &s, "certificate of 'eve' (serial ",
		"unknown CA: CN=Other CA; depth 0, subject CN=eve", "unknown");
	identity_free(&eve);
}
END_TEST

START_TEST(a_self_signed_client_is_refused)
{
	struct identity eve = identity_make("eve", 0, NULL);
	struct tls_settings c = settings_of(false, &ca, &eve), s = settings_of(true, &ca, &hub);
	assert_refused(c, &s, "certificate of 'eve'", "unknown CA: CN=eve", "");
	identity_free(&eve);
}
END_TEST

START_TEST(a_ca_of_the_same_name_with_another_key_does_not_help)
{
	struct identity false_ca = identity_make("Test CA", IDENTITY_CA, NULL),
			eve = identity_make("eve", 0, &false_ca);
	struct tls_settings c = settings_of(false, &ca, &eve), s = settings_of(true, &ca, &hub);
	struct pair pair = pair_met(&c, &s);
	ck_assert_int_eq(tls_step(pair.server), TLS_FAILED);
	assert_contains(tls_reason(pair.server), "certificate of 'eve'");
	pair_free(&pair);
	identity_free(&eve);
	identity_free(&false_ca);
}
END_TEST

START_TEST(a_client_without_a_certificate_is_refused)
{
	struct tls_settings c = settings_of(false, &ca, &alice), s = settings_of(true, &ca, &hub);
	c.cert_pem = c.key_pem = NULL;
	struct pair pair = pair_met(&c, &s);
	ck_assert_int_eq(tls_step(pair.server), TLS_FAILED);
	assert_contains(tls_reason(pair.server), "peer did not return a certificate");
	pair_free(&pair);
}
END_TEST

START_TEST(a_client_refuses_a_server_of_another_ca)
{
	struct tls_settings c = settings_of(false, &other_ca, &alice), s = settings_of(true, &ca, &hub);
	struct pair pair = pair_met(&c, &s);
	ck_assert_int_eq(tls_step(pair.client), TLS_FAILED);
	assert_contains(tls_reason(pair.client), "certificate of 'hub'");
	assert_contains(tls_reason(pair.client), "unknown CA: CN=Test CA");
	assert_contains(tls_reason(pair.server), "peer sent alert: unknown");
	pair_free(&pair);
}
END_TEST

START_TEST(an_expired_client_is_refused)
{
	struct identity late = identity_make("late", IDENTITY_EXPIRED, &ca);
	struct tls_settings c = settings_of(false, &ca, &late), s = settings_of(true, &ca, &hub);
	assert_refused(c, &s, "certificate of 'late'", "certificate has expired", "certificate expired");
	identity_free(&late);
}
END_TEST

START_TEST(a_client_before_its_time_is_refused)
{
	struct forgery early = { .name = "early", .begins_s = 3600, .ends_s = 7200 };
	struct identity client = identity_forge(&early, &ca);
	struct tls_settings c = settings_of(false, &ca, &client), s = settings_of(true, &ca, &hub);
	assert_refused(c, &s, "certificate of 'early' (serial 4711)", "certificate is not yet valid", "");
	identity_free(&client);
}
END_TEST

START_TEST(an_expired_ca_makes_its_clients_unusable)
{
	struct identity old_ca = identity_make("Old CA", IDENTITY_CA | IDENTITY_EXPIRED, NULL);
	struct identity client = identity_make("client", 0, &old_ca);
	struct tls_settings c = settings_of(false, &ca, &client), s = settings_of(true, &old_ca, &hub);
	assert_refused(
		c, &s, "certificate of 'Old CA'", "certificate has expired; depth 1", "certificate expired");
	identity_free(&client);
	identity_free(&old_ca);
}
END_TEST

START_TEST(a_client_certificate_cannot_issue_others)
{
	struct identity eve = identity_make("eve", 0, &alice);
	struct tls_settings c = settings_of(false, &ca, &eve), s = settings_of(true, &ca, &hub);
	c.extra_certs_pem = alice.cert;
	struct pair pair = pair_met(&c, &s);
	ck_assert_int_eq(tls_step(pair.server), TLS_FAILED);
	assert_contains(tls_reason(pair.server), "certificate of '");
	pair_free(&pair);
	identity_free(&eve);
}
END_TEST

START_TEST(an_intermediate_ca_sent_along_or_known_is_enough)
{
	struct identity middle = identity_make("Middle CA", IDENTITY_CA, &ca),
			client = identity_make("client", 0, &middle);
	struct tls_settings c = settings_of(false, &ca, &client), s = settings_of(true, &ca, &hub);
	assert_refused(c, &s, "certificate of 'client'", "unknown CA: CN=Middle CA", "");
	c.extra_certs_pem = middle.cert;
	assert_taken(&c, &s);
	c.extra_certs_pem = NULL;
	char both[8192];
	snprintf(both, sizeof both, "%s\nText between.\n%s", client.cert, middle.cert);
	c.cert_pem = both;
	assert_taken(&c, &s);
	/* Found in the client's own CA file, as stock does. */
	snprintf(both, sizeof both, "%s%s", middle.cert, ca.cert);
	c.cert_pem = client.cert;
	c.ca_pem = both;
	assert_taken(&c, &s);
	identity_free(&client);
	identity_free(&middle);
}
END_TEST

START_TEST(a_revoked_client_is_refused_and_another_is_not)
{
	char *crl = crl_make(&ca, &bob, 5);
	struct tls_settings c = settings_of(false, &ca, &bob), s = settings_of(true, &ca, &hub);
	s.crl_pem = crl;
	assert_refused(
		c, &s, "certificate of 'bob'", "certificate is revoked by the CRL", "certificate revoked");
	c = settings_of(false, &ca, &alice);
	assert_taken(&c, &s);
	free(crl);
}
END_TEST

START_TEST(an_expired_crl_refuses_everybody)
{
	char *crl = crl_make(&ca, NULL, -1);
	struct tls_settings c = settings_of(false, &ca, &alice), s = settings_of(true, &ca, &hub);
	s.crl_pem = crl;
	assert_refused(c, &s, "certificate of 'alice'", "CRL has expired", "");
	free(crl);
}
END_TEST

START_TEST(a_crl_of_another_ca_refuses_everybody)
{
	char *crl = crl_make(&other_ca, NULL, 5);
	struct tls_settings c = settings_of(false, &ca, &alice), s = settings_of(true, &ca, &hub);
	s.crl_pem = crl;
	assert_refused(c, &s, "certificate of 'alice'", "there is no CRL of its issuer", "");
	free(crl);
}
END_TEST

START_TEST(a_crl_forged_with_another_key_refuses_everybody)
{
	struct identity false_ca = identity_make("Test CA", IDENTITY_CA, NULL);
	char *crl = crl_make(&false_ca, NULL, 5);
	struct tls_settings c = settings_of(false, &ca, &alice), s = settings_of(true, &ca, &hub);
	s.crl_pem = crl;
	struct pair pair = pair_met(&c, &s);
	ck_assert_int_eq(tls_step(pair.server), TLS_FAILED);
	pair_free(&pair);
	free(crl);
	identity_free(&false_ca);
}
END_TEST

START_TEST(an_intermediate_ca_needs_no_crl_of_the_root_but_heeds_one)
{
	struct identity middle = identity_make("Middle CA", IDENTITY_CA, &ca),
			client = identity_make("client", 0, &middle);
	char *crl = crl_make(&middle, NULL, 5), *root_crl = crl_make(&ca, &middle, 5), both[8192];
	struct tls_settings c = settings_of(false, &ca, &client), s = settings_of(true, &ca, &hub);
	c.extra_certs_pem = middle.cert;
	s.crl_pem = crl;
	assert_taken(&c, &s);
	snprintf(both, sizeof both, "%s%s", crl, root_crl);
	s.crl_pem = both;
	assert_refused(
		c, &s, "certificate of 'Middle CA'", "revoked by the CRL; depth 1", "certificate revoked");
	free(crl);
	free(root_crl);
	identity_free(&client);
	identity_free(&middle);
}
END_TEST

START_TEST(a_new_crl_counts_for_later_negotiations_only)
{
	char *empty = crl_make(&ca, NULL, 5), *crl = crl_make(&ca, &bob, 5), error[TLS_REASON_MAX];
	struct tls_settings c = settings_of(false, &ca, &bob), s = settings_of(true, &ca, &hub);
	s.crl_pem = empty;
	struct pair pair = pair_new(&c, &s);
	ck_assert(tls_context_set_crl(pair.server_context, crl, error));
	pair_run(&pair);
	ck_assert_int_eq(tls_step(pair.server), TLS_READY);

	struct tls *later[2] = { tls_new(pair.client_context), tls_new(pair.server_context) };
	tls_free(&pair.client);
	tls_free(&pair.server);
	pair.client = later[0];
	pair.server = later[1];
	pair_run(&pair);
	ck_assert_int_eq(tls_step(pair.server), TLS_FAILED);
	assert_contains(tls_reason(pair.server), "revoked");

	/* A broken one changes nothing. */
	ck_assert(!tls_context_set_crl(pair.server_context, "no CRL at all", error));
	assert_contains(error, "crl-verify: ");
	crl[strlen(crl) / 2] = '\0';
	ck_assert(!tls_context_set_crl(pair.server_context, crl, error));
	tls_free(&pair.client);
	tls_free(&pair.server);
	pair.client = tls_new(pair.client_context);
	pair.server = tls_new(pair.server_context);
	pair_run(&pair);
	assert_contains(tls_reason(pair.server), "revoked");
	pair_free(&pair);
	free(empty);
	free(crl);
}
END_TEST

START_TEST(a_lost_crl_refuses_everybody_until_there_is_another)
{
	char *crl = crl_make(&ca, &bob, 5), error[TLS_REASON_MAX];
	struct tls_settings c = settings_of(false, &ca, &alice), s = settings_of(true, &ca, &hub);
	s.crl_pem = crl;
	struct pair pair = pair_new(&c, &s);
	pair_run(&pair); /* so her chain was found good once, too */
	ck_assert_int_eq(tls_step(pair.server), TLS_READY);
	for (int found = 0; found < 2; found++) {
		if (found)
			ck_assert(tls_context_set_crl(pair.server_context, crl, error));
		else
			tls_context_lose_crl(pair.server_context);
		tls_free(&pair.client);
		tls_free(&pair.server);
		pair.client = tls_new(pair.client_context);
		pair.server = tls_new(pair.server_context);
		pair_run(&pair);
		ck_assert_int_eq(tls_step(pair.server), found ? TLS_READY : TLS_FAILED);
		if (!found)
			assert_contains(tls_reason(pair.server), "the CRL is lost");
	}
	struct tls_peer peer;
	pair_free(&pair);
	/* for whoever is in already the old one holds */
	for (int is_bob = 0; is_bob < 2; is_bob++) {
		struct tls_settings who = settings_of(false, &ca, is_bob ? &bob : &alice);
		pair = pair_new(&who, &s);
		tls_context_lose_crl(pair.server_context);
		tls_peer_is_known(pair.server);
		pair_run(&pair);
		ck_assert_int_eq(tls_step(pair.server), is_bob ? TLS_FAILED : TLS_READY);
		if (is_bob)
			assert_contains(tls_reason(pair.server), "revoked");
		pair_free(&pair);
	}
	struct tls_settings b = settings_of(false, &ca, &bob);
	s.crl_pem = NULL;
	pair = pair_met(&b, &s);
	tls_peer(pair.server, &peer);
	ck_assert(tls_context_set_crl(pair.server_context, crl, error));
	tls_context_lose_crl(pair.server_context);
	ck_assert(tls_context_revoked(pair.server_context, peer.issuer, peer.serial));
	pair_free(&pair);
	free(crl);
}
END_TEST

START_TEST(a_session_that_is_there_already_can_be_asked_about)
{
	struct identity stranger = identity_make("Other CA", IDENTITY_CA, NULL);
	char *crl = crl_make(&ca, &bob, 5), *empty = crl_make(&ca, NULL, 5), error[TLS_REASON_MAX];
	char *foreign = crl_make(&stranger, &bob, 5); /* the same serial number, by another issuer */
	struct tls_settings c = settings_of(false, &ca, &bob), s = settings_of(true, &ca, &hub);
	s.crl_pem = empty;
	struct pair pair = pair_met(&c, &s);
	struct tls_peer peer;
	tls_peer(pair.server, &peer);
	ck_assert(!tls_context_revoked(pair.server_context, peer.issuer, peer.serial));
	ck_assert(tls_context_set_crl(pair.server_context, crl, error));
	ck_assert(tls_context_revoked(pair.server_context, peer.issuer, peer.serial));
	/* neither another number, nor none, nor nonsense */
	ck_assert(!tls_context_revoked(pair.server_context, peer.issuer, "12345"));
	ck_assert(!tls_context_revoked(pair.server_context, peer.issuer, ""));
	ck_assert(!tls_context_revoked(pair.server_context, peer.issuer, "12x"));
	ck_assert(tls_context_set_crl(pair.server_context, foreign, error));
	ck_assert(!tls_context_revoked(pair.server_context, peer.issuer, peer.serial));
	pair_free(&pair);
	s.crl_pem = NULL;
	pair = pair_met(&c, &s);
	ck_assert(!tls_context_revoked(pair.server_context, peer.issuer, peer.serial));
	pair_free(&pair);
	free(crl);
	free(empty);
	free(foreign);
	identity_free(&stranger);
}
END_TEST

START_TEST(a_server_certificate_is_not_taken_from_a_client)
{
	struct tls_settings c = settings_of(false, &ca, &hub), s = settings_of(true, &ca, &hub);
	assert_refused(c, &s, "certificate of 'hub'", "purpose", "");
	s.want_client_usage = true;
	assert_refused(c, &s, "certificate of 'hub'", "purpose", "");
	c = settings_of(false, &ca, &alice);
	assert_taken(&c, &s);
}
END_TEST

START_TEST(a_client_that_wants_server_usage_refuses_other_certificates)
{
	struct forgery plain = { .name = "plain", .usage = "digitalSignature" };
	struct identity server = identity_forge(&plain, &ca);
	struct tls_settings c = settings_of(false, &ca, &alice), s = settings_of(true, &ca, &server);
	assert_taken(&c, &s);
	c.want_server_usage = true;
	struct pair pair = pair_met(&c, &s);
	ck_assert_int_eq(tls_step(pair.client), TLS_FAILED);
	assert_contains(tls_reason(pair.client), "does not allow TLS server authentication");
	pair_free(&pair);
	s = settings_of(true, &ca, &hub);
	assert_taken(&c, &s);
	identity_free(&server);
}
END_TEST

START_TEST(usages_that_are_asked_for_must_be_there)
{
	struct forgery bare = { .name = "bare" };
	struct forgery signer = { .name = "signer", .usage = "digitalSignature,keyAgreement" };
	struct identity none = identity_forge(&bare, &ca), some = identity_forge(&signer, &ca);
	struct tls_settings c = settings_of(false, &ca, &none), s = settings_of(true, &ca, &hub);
	assert_taken(&c, &s);
	s.want_key_usage = true;
	assert_refused(c, &s, "'bare'", "no key usage extension", "");
	s.want_key_usage = false;
	s.want_client_usage = true;
	assert_refused(c, &s, "'bare'", "no key usage extension", "");
	c = settings_of(false, &ca, &some);
	assert_refused(c, &s, "'signer'", "does not allow TLS client authentication", "");

	s = settings_of(true, &ca, &hub);
	s.key_usages = (unsigned[]){ 0xa0, 0x88 };
	s.key_usage_count = 2;
	assert_taken(&c, &s);
	s.key_usage_count = 1;
	assert_refused(c, &s, "'signer'", "remote-cert-ku", "");
	c = settings_of(false, &ca, &none);
	assert_refused(c, &s, "'bare'", "remote-cert-ku", "");

	s = settings_of(true, &ca, &hub);
	c = settings_of(false, &ca, &alice);
	s.extended_usage = "1.3.6.1.5.5.7.3.2";
	assert_taken(&c, &s);
	s.extended_usage = "TLS Web Client Authentication";
	assert_taken(&c, &s);
	s.extended_usage = "1.3.6.1.5.5.7.3.4";
	assert_refused(c, &s, "'alice'", "remote-cert-eku", "");
	identity_free(&none);
	identity_free(&some);
}
END_TEST

START_TEST(names_are_checked_whole_by_prefix_or_as_a_subject)
{
	struct forgery form = { .name = "carol-1", .organization = "Example" };
	struct identity carol = identity_forge(&form, &ca);
	struct tls_settings c = settings_of(false, &ca, &carol), s = settings_of(true, &ca, &hub);
	const struct {
		enum tls_name_check check;
		const char *wanted;
		bool taken;
	} rows[] = {
		{ TLS_NAME_EXACT, "carol-1", true },
		{ TLS_NAME_EXACT, "carol", false },
		{ TLS_NAME_EXACT, "carol-12", false },
		{ TLS_NAME_EXACT, "Carol-1", false },
		{ TLS_NAME_PREFIX, "carol-", true },
		{ TLS_NAME_PREFIX, "arol", false },
		{ TLS_NAME_PREFIX, "carol-12", false },
		{ TLS_NAME_SUBJECT, "C=KG, O=Example, CN=carol-1", true },
		{ TLS_NAME_SUBJECT, "C=KG, O=Example, CN=carol", false },
		{ TLS_NAME_SUBJECT, "carol-1", false },
	};
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		s.name_check = rows[i].check;
		s.name_wanted = rows[i].wanted;
		if (rows[i].taken)
			assert_taken(&c, &s);
		else
			assert_refused(c, &s, "certificate of 'carol-1'", "verify-x509-name", "");
	}
	identity_free(&carol);
}
END_TEST

START_TEST(a_name_with_a_zero_byte_or_no_name_is_refused)
{
	struct forgery zero = { .name = "alice\0.evil", .name_len = 11 },
		       none = { .organization = "Example" };
	struct identity client = identity_forge(&zero, &ca);
	struct tls_settings c = settings_of(false, &ca, &client), s = settings_of(true, &ca, &hub);
	assert_refused(c, &s, "certificate of ''", "no usable name", "");
	identity_free(&client);
	client = identity_forge(&none, &ca);
	c = settings_of(false, &ca, &client);
	assert_refused(c, &s, "certificate of ''", "no usable name", "");
	identity_free(&client);
}
END_TEST

START_TEST(a_name_with_line_breaks_cannot_break_the_log_line)
{
	struct forgery form = { .name = "x\nroot: all fine", .begins_s = -7200, .ends_s = -3600 };
	struct identity client = identity_forge(&form, &ca);
	struct tls_settings c = settings_of(false, &ca, &client), s = settings_of(true, &ca, &hub);
	assert_refused(c, &s, "certificate of 'x_root: all fine'", "certificate has expired", "");
	identity_free(&client);
}
END_TEST

START_TEST(a_listed_fingerprint_is_enough_without_a_ca)
{
	uint8_t prints[2][TLS_FINGERPRINT_LEN] = { { 1 }, { 0 } };
	read_fingerprint(&alice, prints[1]);
	struct tls_settings c = settings_of(false, &ca, &alice), s = settings_of(true, NULL, &hub);
	s.fingerprints = (const uint8_t(*)[TLS_FINGERPRINT_LEN])prints;
	s.fingerprint_count = 2;
	assert_taken(&c, &s);
	c = settings_of(false, &ca, &bob);
	assert_refused(c, &s, "certificate of 'bob'", "peer-fingerprint", "");
	s.fingerprint_count = 1;
	c = settings_of(false, &ca, &alice);
	assert_refused(c, &s, "certificate of 'alice'", "peer-fingerprint", "");
}
END_TEST

START_TEST(with_a_ca_the_chain_and_the_fingerprint_must_hold)
{
	uint8_t prints[1][TLS_FINGERPRINT_LEN];
	read_fingerprint(&alice, prints[0]);
	struct tls_settings c = settings_of(false, &ca, &alice), s = settings_of(true, &ca, &hub);
	s.fingerprints = (const uint8_t(*)[TLS_FINGERPRINT_LEN])prints;
	s.fingerprint_count = 1;
	assert_taken(&c, &s);
	s.ca_pem = other_ca.cert;
	assert_refused(c, &s, "certificate of 'alice'", "unknown CA", "");
	s.ca_pem = ca.cert;
	c = settings_of(false, &ca, &bob);
	assert_refused(c, &s, "certificate of 'bob'", "peer-fingerprint", "");
}
END_TEST

START_TEST(a_fingerprint_in_the_list_does_not_give_another_key)
{
	/* The right certificate, copied from the wire, with a key of one's own. */
	struct tls_settings c = settings_of(false, &ca, &alice);
	c.key_pem = bob.key;
	assert_settings_refused(&c, "key: it does not belong to the certificate");
}
END_TEST

START_TEST(weak_certificates_are_refused_by_the_profile)
{
	struct identity rsa_ca = identity_make("RSA CA", IDENTITY_CA | IDENTITY_RSA, NULL);
	const struct {
		struct forgery form;
		enum tls_profile profile;
		const char *why; /* NULL: taken */
	} rows[] = {
		{ { .name = "sha1", .sha1 = true }, TLS_PROFILE_INSECURE, NULL },
		{ { .name = "sha1", .sha1 = true }, TLS_PROFILE_LEGACY, "a hash that is too weak" },
		{ { .name = "pss1", .pss_sha1 = true }, TLS_PROFILE_LEGACY, "" },
		{ { .name = "rsa1024", .rsa_bits = 1024 }, TLS_PROFILE_LEGACY, NULL },
		{ { .name = "rsa1024", .rsa_bits = 1024 }, TLS_PROFILE_PREFERRED, "its key is too short" },
		{ { .name = "rsa1016", .rsa_bits = 1016 }, TLS_PROFILE_LEGACY, "its key is too short" },
		{ { .name = "rsa2048", .rsa_bits = 2048 }, TLS_PROFILE_PREFERRED, NULL },
		{ { .name = "p256" }, TLS_PROFILE_PREFERRED, NULL },
		{ { .name = "p256" }, TLS_PROFILE_SUITEB, "" }, /* its CA is RSA */
	};
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct identity client = identity_forge(&rows[i].form, &rsa_ca);
		struct tls_settings c = settings_of(false, &ca, &client),
				    s = settings_of(true, &rsa_ca, &hub);
		c.profile = TLS_PROFILE_INSECURE;
		s.profile = rows[i].profile;
		if (rows[i].why)
			assert_refused(c, &s, "certificate of '", rows[i].why, "");
		else
			assert_taken(&c, &s);
		identity_free(&client);
	}
	identity_free(&rsa_ca);
}
END_TEST

START_TEST(suite_b_takes_p_256_and_refuses_ed25519)
{
	struct forgery form = { .name = "ed", .ed25519 = true };
	struct identity ed = identity_forge(&form, &ca);
	struct tls_settings c = settings_of(false, &ca, &alice), s = settings_of(true, &ca, &hub);
	s.profile = TLS_PROFILE_SUITEB;
	assert_taken(&c, &s);
	c = settings_of(false, &ca, &ed);
	struct pair pair = pair_met(&c, &s);
	ck_assert_int_eq(tls_step(pair.server) == TLS_FAILED || tls_step(pair.client) == TLS_FAILED, 1);
	pair_free(&pair);
	identity_free(&ed);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("tls verify");
	TCase *cases = tcase_create("verify");
	tcase_add_unchecked_fixture(cases, make_identities, free_identities);
	tcase_set_timeout(cases, 60);
	tcase_add_test(cases, a_client_of_another_ca_is_refused_and_the_ca_named);
	tcase_add_test(cases, a_self_signed_client_is_refused);
	tcase_add_test(cases, a_ca_of_the_same_name_with_another_key_does_not_help);
	tcase_add_test(cases, a_client_without_a_certificate_is_refused);
	tcase_add_test(cases, a_client_refuses_a_server_of_another_ca);
	tcase_add_test(cases, an_expired_client_is_refused);
	tcase_add_test(cases, a_client_before_its_time_is_refused);
	tcase_add_test(cases, an_expired_ca_makes_its_clients_unusable);
	tcase_add_test(cases, a_client_certificate_cannot_issue_others);
	tcase_add_test(cases, an_intermediate_ca_sent_along_or_known_is_enough);
	tcase_add_test(cases, a_revoked_client_is_refused_and_another_is_not);
	tcase_add_test(cases, an_expired_crl_refuses_everybody);
	tcase_add_test(cases, a_crl_of_another_ca_refuses_everybody);
	tcase_add_test(cases, a_crl_forged_with_another_key_refuses_everybody);
	tcase_add_test(cases, an_intermediate_ca_needs_no_crl_of_the_root_but_heeds_one);
	tcase_add_test(cases, a_new_crl_counts_for_later_negotiations_only);
	tcase_add_test(cases, a_lost_crl_refuses_everybody_until_there_is_another);
	tcase_add_test(cases, a_session_that_is_there_already_can_be_asked_about);
	tcase_add_test(cases, a_server_certificate_is_not_taken_from_a_client);
	tcase_add_test(cases, a_client_that_wants_server_usage_refuses_other_certificates);
	tcase_add_test(cases, usages_that_are_asked_for_must_be_there);
	tcase_add_test(cases, names_are_checked_whole_by_prefix_or_as_a_subject);
	tcase_add_test(cases, a_name_with_a_zero_byte_or_no_name_is_refused);
	tcase_add_test(cases, a_name_with_line_breaks_cannot_break_the_log_line);
	tcase_add_test(cases, a_listed_fingerprint_is_enough_without_a_ca);
	tcase_add_test(cases, with_a_ca_the_chain_and_the_fingerprint_must_hold);
	tcase_add_test(cases, a_fingerprint_in_the_list_does_not_give_another_key);
	tcase_add_test(cases, weak_certificates_are_refused_by_the_profile);
	tcase_add_test(cases, suite_b_takes_p_256_and_refuses_ed25519);
	suite_add_tcase(suite, cases);
	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
