/* SPDX-License-Identifier: MIT
 * common/tls/session.c: handshakes, messages, exporter, and what a peer cannot do to us. */
#include "tests/unit/tls/tls_pair.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

static struct identity ca, hub, alice, rsa_ca, rsa_hub, rsa_alice;

static void make_identities(void)
{
	ca = identity_make("Test CA", IDENTITY_CA, NULL);
	hub = identity_make("hub", IDENTITY_SERVER, &ca);
	alice = identity_make("alice", 0, &ca);
	rsa_ca = identity_make("RSA CA", IDENTITY_CA | IDENTITY_RSA, NULL);
	rsa_hub = identity_make("rsa-hub", IDENTITY_SERVER | IDENTITY_RSA, &rsa_ca);
	rsa_alice = identity_make("rsa-alice", IDENTITY_RSA, &rsa_ca);
}

static void free_identities(void)
{
	struct identity *all[] = { &ca, &hub, &alice, &rsa_ca, &rsa_hub, &rsa_alice };
	for (size_t i = 0; i < 6; i++)
		identity_free(all[i]);
}

static void assert_both(struct pair *pair, enum tls_state state)
{
	ck_assert_msg(tls_step(pair->client) == state && tls_step(pair->server) == state,
		"client '%s', server '%s'", tls_reason(pair->client), tls_reason(pair->server));
}

static void assert_talk(struct tls *from, struct tls *to, const char *text)
{
	char got[16384];
	ck_assert(tls_write(from, text, strlen(text) + 1));
	pair_carry(from, to);
	ck_assert_int_eq(tls_read(to, got, sizeof got), (int)strlen(text) + 1);
	ck_assert_str_eq(got, text);
	ck_assert_int_eq(tls_read(to, got, sizeof got), 0);
}

/* Handshake at one version, a word each way, the same exported bytes. */
static void meet_and_talk(const struct identity *root, const struct identity *server,
	const struct identity *client, unsigned version, const char *description)
{
	struct tls_settings c = settings_of(false, root, client), s = settings_of(true, root, server);
	c.version_max = s.version_max = version;
	if (version < 0x0303)
		c.version_min = s.version_min = version;
	struct pair pair = pair_met(&c, &s);
	assert_both(&pair, TLS_READY);
	assert_contains(tls_description(pair.server), description);
	ck_assert_str_eq(tls_description(pair.server), tls_description(pair.client));
	assert_talk(pair.client, pair.server, "from the client");
	assert_talk(pair.server, pair.client, "from the server");

	uint8_t a[64], b[64], other[64];
	ck_assert(tls_export(pair.client, "EXPORTER-OpenVPN-datakeys", a, sizeof a));
	ck_assert(tls_export(pair.server, "EXPORTER-OpenVPN-datakeys", b, sizeof b));
	ck_assert(tls_export(pair.server, "EXPORTER-OpenVPN-dynamic-tls-crypt", other, sizeof other));
	ck_assert_mem_eq(a, b, sizeof a);
	ck_assert_mem_ne(a, other, sizeof a);
	pair_free(&pair);
}

START_TEST(ecdsa_peers_meet_over_tls_1_3_and_talk)
{
	meet_and_talk(&ca, &hub, &alice, 0, "TLSv1.3 TLS_AES_");
}
END_TEST

START_TEST(ecdsa_peers_meet_over_tls_1_2_and_talk)
{
	meet_and_talk(&ca, &hub, &alice, 0x0303, "TLSv1.2 ECDHE-ECDSA-AES");
}
END_TEST

START_TEST(rsa_peers_meet_over_tls_1_3_and_talk)
{
	meet_and_talk(&rsa_ca, &rsa_hub, &rsa_alice, 0x0304, "TLSv1.3");
}
END_TEST

START_TEST(rsa_peers_meet_over_tls_1_2_and_talk)
{
	meet_and_talk(&rsa_ca, &rsa_hub, &rsa_alice, 0x0303, "TLSv1.2 ECDHE-RSA-AES");
}
END_TEST

START_TEST(old_peers_meet_over_tls_1_0_when_it_is_allowed)
{
	meet_and_talk(&rsa_ca, &rsa_hub, &rsa_alice, 0x0301, "TLSv1 ECDHE-RSA-AES");
}
END_TEST

START_TEST(ed25519_and_p_521_certificates_are_accepted)
{
	struct forgery kinds[] = { { .name = "ed", .ed25519 = true },
		{ .name = "p521", .curve = 716 /* secp521r1 */ } };
	for (size_t i = 0; i < 2; i++) {
		struct identity client = identity_forge(&kinds[i], &ca),
				server = identity_forge(&kinds[i], &ca);
		meet_and_talk(&ca, &server, &client, 0x0304, "TLSv1.3");
		meet_and_talk(&ca, &server, &client, 0x0303, "TLSv1.2");
		identity_free(&client);
		identity_free(&server);
	}
}
END_TEST

START_TEST(the_peer_is_described_on_both_sides)
{
	struct tls_settings c = settings_of(false, &ca, &alice), s = settings_of(true, &ca, &hub);
	struct pair pair = pair_met(&c, &s);
	struct tls_peer peer;
	tls_peer(pair.server, &peer);
	ck_assert_str_eq(peer.name, "alice");
	ck_assert_str_eq(peer.subject, "CN=alice");
	ck_assert_uint_gt(strlen(peer.serial), 30);
	ck_assert_uint_eq(strspn(peer.serial, "0123456789"), strlen(peer.serial));
	tls_peer(pair.client, &peer);
	ck_assert_str_eq(peer.name, "hub");
	pair_free(&pair);
}
END_TEST

START_TEST(each_message_is_one_record_and_one_read)
{
	struct tls_settings c = settings_of(false, &ca, &alice), s = settings_of(true, &ca, &hub);
	struct pair pair = pair_met(&c, &s);
	char got[16384];
	ck_assert(tls_write(pair.client, "one", 3));
	ck_assert(tls_write(pair.client, "three", 5));
	pair_carry(pair.client, pair.server);
	ck_assert_int_eq(tls_read(pair.server, got, sizeof got), 3);
	ck_assert_int_eq(tls_read(pair.server, got, sizeof got), 5);
	ck_assert_int_eq(tls_read(pair.server, got, sizeof got), 0);
	pair_free(&pair);
}
END_TEST

START_TEST(a_message_of_16_kib_fits_and_a_longer_or_empty_one_is_refused)
{
	static char big[16385], got[16384];
	struct tls_settings c = settings_of(false, &ca, &alice), s = settings_of(true, &ca, &hub);
	struct pair pair = pair_met(&c, &s);
	ck_assert(!tls_write(pair.client, big, sizeof big));
	ck_assert(!tls_write(pair.client, big, 0));
	ck_assert(tls_write(pair.client, big, sizeof big - 1));
	pair_carry(pair.client, pair.server);
	ck_assert_int_eq(tls_read(pair.server, got, sizeof got), 16384);
	pair_free(&pair);
}
END_TEST

START_TEST(nothing_is_written_read_or_exported_before_the_handshake_is_done)
{
	struct tls_settings c = settings_of(false, &ca, &alice), s = settings_of(true, &ca, &hub);
	struct pair pair = pair_new(&c, &s);
	char room[16];
	ck_assert_int_eq(tls_step(pair.server), TLS_HANDSHAKE);
	ck_assert_uint_eq(tls_pending(pair.server), 0);
	ck_assert(!tls_write(pair.server, "x", 1));
	ck_assert_int_eq(tls_read(pair.server, room, sizeof room), 0);
	ck_assert(!tls_export(pair.server, "EXPORTER-x", room, sizeof room));
	ck_assert_str_eq(tls_reason(pair.server), "");
	pair_free(&pair);
}
END_TEST

START_TEST(a_handshake_cut_into_single_bytes_succeeds)
{
	struct tls_settings c = settings_of(false, &ca, &alice), s = settings_of(true, &ca, &hub);
	struct pair pair = pair_new(&c, &s);
	uint8_t byte;
	tls_step(pair.client);
	for (bool moved = true; moved;) {
		moved = false;
		for (; tls_drain(pair.client, &byte, 1); moved = true)
			tls_feed(pair.server, &byte, 1);
		for (; tls_drain(pair.server, &byte, 1); moved = true)
			tls_feed(pair.client, &byte, 1);
	}
	assert_both(&pair, TLS_READY);
	pair_free(&pair);
}
END_TEST

START_TEST(a_server_sends_nothing_after_its_handshake)
{
	/* Tickets would come before the key method 2 message and confuse old peers. */
	struct tls_settings c = settings_of(false, &ca, &alice), s = settings_of(true, &ca, &hub);
	struct pair pair = pair_new(&c, &s);
	tls_step(pair.client);
	pair_carry(pair.client, pair.server);
	pair_carry(pair.server, pair.client);
	ck_assert_int_eq(tls_step(pair.client), TLS_READY);
	pair_carry(pair.client, pair.server);
	ck_assert_int_eq(tls_step(pair.server), TLS_READY);
	ck_assert_uint_eq(tls_pending(pair.server), 0);
	pair_free(&pair);
}
END_TEST

START_TEST(a_message_right_behind_the_finished_is_read)
{
	struct tls_settings c = settings_of(false, &ca, &alice), s = settings_of(true, &ca, &hub);
	struct pair pair = pair_new(&c, &s);
	char got[16384];
	tls_step(pair.client);
	pair_carry(pair.client, pair.server);
	pair_carry(pair.server, pair.client);
	ck_assert(tls_write(pair.client, "key method 2", 12));
	uint8_t all[16384];
	size_t len = tls_drain(pair.client, all, sizeof all);
	ck_assert_int_eq(tls_feed(pair.server, all, len), TLS_READY);
	ck_assert_int_eq(tls_read(pair.server, got, sizeof got), 12);
	pair_free(&pair);
}
END_TEST

START_TEST(garbage_fails_the_handshake_with_a_reason_and_an_alert)
{
	struct tls_settings s = settings_of(true, &ca, &hub);
	struct tls_context *context = context_of(&s);
	struct tls *tls = tls_new(context);
	ck_assert_int_eq(tls_feed(tls, "GET / HTTP/1.1\r\nHost: hub\r\n\r\n", 29), TLS_FAILED);
	ck_assert_str_ne(tls_reason(tls), "");
	ck_assert_int_eq(tls_feed(tls, "more", 4), TLS_FAILED);
	ck_assert_int_eq(tls_step(tls), TLS_FAILED);
	ck_assert(!tls_write(tls, "x", 1));
	ck_assert_int_eq(tls_read(tls, (char[1]){ 0 }, 1), -1);
	tls_free(&tls);
	ck_assert_ptr_null(tls);

	/* Somebody else's handshake is not disturbed by what the library remembers of this one. */
	struct tls_settings c = settings_of(false, &ca, &alice);
	struct pair pair = pair_met(&c, &s);
	assert_both(&pair, TLS_READY);
	pair_free(&pair);
	tls_context_free(&context);
	ck_assert_ptr_null(context);
}
END_TEST

START_TEST(every_flipped_byte_of_a_client_hello_is_survived)
{
	struct tls_settings c = settings_of(false, &ca, &alice), s = settings_of(true, &ca, &hub);
	struct tls_context *client_context = context_of(&c), *server_context = context_of(&s);
	struct tls *client = tls_new(client_context);
	uint8_t hello[2048];
	tls_step(client);
	size_t len = tls_drain(client, hello, sizeof hello);
	for (size_t i = 0; i < len; i++) {
		struct tls *server = tls_new(server_context);
		hello[i] ^= 0xff;
		if (tls_feed(server, hello, len) == TLS_FAILED)
			ck_assert_str_ne(tls_reason(server), "");
		hello[i] ^= 0xff;
		tls_free(&server);
	}
	tls_free(&client);
	tls_context_free(&client_context);
	tls_context_free(&server_context);
}
END_TEST

START_TEST(a_flipped_byte_in_a_record_fails_the_stream)
{
	struct tls_settings c = settings_of(false, &ca, &alice), s = settings_of(true, &ca, &hub);
	struct pair pair = pair_met(&c, &s);
	uint8_t record[256];
	char got[64];
	ck_assert(tls_write(pair.client, "hello", 5));
	size_t len = tls_drain(pair.client, record, sizeof record);
	record[len - 1] ^= 1;
	tls_feed(pair.server, record, len);
	ck_assert_int_eq(tls_read(pair.server, got, sizeof got), -1);
	assert_contains(tls_reason(pair.server), "decrypt");
	ck_assert_int_eq(tls_step(pair.server), TLS_FAILED);
	pair_carry(pair.server, pair.client);
	ck_assert_int_eq(tls_read(pair.client, got, sizeof got), -1);
	assert_contains(tls_reason(pair.client), "peer sent alert: bad record mac");
	pair_free(&pair);
}
END_TEST

START_TEST(a_flood_before_the_handshake_is_done_is_refused)
{
	/* A handshake message that claims 65,000 bytes, in records that never end it. */
	static uint8_t record[5 + 16000] = { 22, 3, 3, 16000 >> 8, 16000 & 0xff, 1, 0, 0xfd, 0xe8 };
	struct tls_settings s = settings_of(true, &ca, &hub);
	struct tls_context *context = context_of(&s);
	struct tls *tls = tls_new(context);
	enum tls_state state = TLS_HANDSHAKE;
	for (int i = 0; i < 5; i++)
		state = tls_feed(tls, record, sizeof record);
	ck_assert_int_eq(state, TLS_FAILED);
	tls_free(&tls);

	/* One bite too many, whatever is in it. */
	static uint8_t bite[65537];
	tls = tls_new(context);
	ck_assert_int_eq(tls_feed(tls, bite, sizeof bite), TLS_FAILED);
	assert_contains(tls_reason(tls), "64 KiB before the handshake");
	tls_free(&tls);
	tls_context_free(&context);
}
END_TEST

START_TEST(a_flood_of_records_that_nobody_reads_is_refused)
{
	static char message[16000];
	struct tls_settings c = settings_of(false, &ca, &alice), s = settings_of(true, &ca, &hub);
	struct pair pair = pair_met(&c, &s);
	for (int i = 0; i < 4; i++) {
		ck_assert(tls_write(pair.client, message, sizeof message));
		pair_carry(pair.client, pair.server);
		ck_assert_int_eq(tls_step(pair.server), TLS_READY);
	}
	ck_assert(tls_write(pair.client, message, sizeof message));
	pair_carry(pair.client, pair.server);
	ck_assert_int_eq(tls_step(pair.server), TLS_FAILED);
	assert_contains(tls_reason(pair.server), "64 KiB that nobody has read");
	pair_free(&pair);
}
END_TEST

START_TEST(what_nobody_drains_is_bounded)
{
	static char message[16000];
	struct tls_settings c = settings_of(false, &ca, &alice), s = settings_of(true, &ca, &hub);
	struct pair pair = pair_met(&c, &s);
	int written = 0;
	while (written < 100 && tls_write(pair.client, message, sizeof message))
		written++;
	ck_assert_int_lt(written, 20);
	assert_contains(tls_reason(pair.client), "more bytes wait");
	pair_free(&pair);
}
END_TEST

START_TEST(versions_outside_the_limits_are_refused)
{
	struct tls_settings c = settings_of(false, &ca, &alice), s = settings_of(true, &ca, &hub);
	c.version_max = 0x0303;
	s.version_min = 0x0304;
	struct pair pair = pair_met(&c, &s);
	ck_assert_int_eq(tls_step(pair.server), TLS_FAILED);
	assert_contains(tls_reason(pair.server), "unsupported protocol");
	assert_contains(tls_reason(pair.client), "peer sent alert: protocol version");
	pair_free(&pair);
}
END_TEST

START_TEST(a_client_of_tls_1_1_is_refused_by_default)
{
	struct tls_settings c = settings_of(false, &rsa_ca, &rsa_alice),
			    s = settings_of(true, &rsa_ca, &rsa_hub);
	c.version_min = 0x0301;
	c.version_max = 0x0302;
	s.version_min = 0;
	struct pair pair = pair_met(&c, &s);
	assert_both(&pair, TLS_FAILED);
	pair_free(&pair);
}
END_TEST

START_TEST(no_cipher_in_common_is_said_so)
{
	struct tls_settings c = settings_of(false, &ca, &alice), s = settings_of(true, &ca, &hub);
	c.version_max = s.version_max = 0x0303;
	c.cipher_list = "ECDHE-ECDSA-AES128-GCM-SHA256";
	s.cipher_list = "ECDHE-ECDSA-AES256-GCM-SHA384";
	struct pair pair = pair_met(&c, &s);
	assert_contains(tls_reason(pair.server), "no shared cipher");
	assert_contains(tls_reason(pair.client), "peer sent alert: handshake failure");
	pair_free(&pair);
}
END_TEST

START_TEST(the_servers_order_of_ciphers_counts)
{
	struct tls_settings c = settings_of(false, &ca, &alice), s = settings_of(true, &ca, &hub);
	c.version_max = s.version_max = 0x0303;
	c.cipher_list = "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384";
	s.cipher_list = "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-ECDSA-AES128-GCM-SHA256";
	struct pair pair = pair_met(&c, &s);
	ck_assert_str_eq(tls_description(pair.client), "TLSv1.2 ECDHE-ECDSA-AES256-GCM-SHA384");
	pair_free(&pair);
}
END_TEST

START_TEST(no_group_in_common_fails)
{
	struct tls_settings c = settings_of(false, &ca, &alice), s = settings_of(true, &ca, &hub);
	c.groups = "X25519";
	s.groups = "P-384";
	struct pair pair = pair_met(&c, &s);
	ck_assert_int_eq(tls_step(pair.server), TLS_FAILED);
	pair_free(&pair);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("tls session");
	TCase *cases = tcase_create("session");
	tcase_add_unchecked_fixture(cases, make_identities, free_identities);
	tcase_set_timeout(cases, 60);
	tcase_add_test(cases, ecdsa_peers_meet_over_tls_1_3_and_talk);
	tcase_add_test(cases, ecdsa_peers_meet_over_tls_1_2_and_talk);
	tcase_add_test(cases, rsa_peers_meet_over_tls_1_3_and_talk);
	tcase_add_test(cases, rsa_peers_meet_over_tls_1_2_and_talk);
	tcase_add_test(cases, old_peers_meet_over_tls_1_0_when_it_is_allowed);
	tcase_add_test(cases, ed25519_and_p_521_certificates_are_accepted);
	tcase_add_test(cases, the_peer_is_described_on_both_sides);
	tcase_add_test(cases, each_message_is_one_record_and_one_read);
	tcase_add_test(cases, a_message_of_16_kib_fits_and_a_longer_or_empty_one_is_refused);
	tcase_add_test(cases, nothing_is_written_read_or_exported_before_the_handshake_is_done);
	tcase_add_test(cases, a_handshake_cut_into_single_bytes_succeeds);
	tcase_add_test(cases, a_server_sends_nothing_after_its_handshake);
	tcase_add_test(cases, a_message_right_behind_the_finished_is_read);
	tcase_add_test(cases, garbage_fails_the_handshake_with_a_reason_and_an_alert);
	tcase_add_test(cases, every_flipped_byte_of_a_client_hello_is_survived);
	tcase_add_test(cases, a_flipped_byte_in_a_record_fails_the_stream);
	tcase_add_test(cases, a_flood_before_the_handshake_is_done_is_refused);
	tcase_add_test(cases, a_flood_of_records_that_nobody_reads_is_refused);
	tcase_add_test(cases, what_nobody_drains_is_bounded);
	tcase_add_test(cases, versions_outside_the_limits_are_refused);
	tcase_add_test(cases, a_client_of_tls_1_1_is_refused_by_default);
	tcase_add_test(cases, no_cipher_in_common_is_said_so);
	tcase_add_test(cases, the_servers_order_of_ciphers_counts);
	tcase_add_test(cases, no_group_in_common_fails);
	suite_add_tcase(suite, cases);
	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
