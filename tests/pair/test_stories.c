/* SPDX-License-Identifier: MIT
 * Whole stories of a client and a server, without a clock and without a socket. */
#include "common/engine/session.h"
#include "tests/pair/pair.h"
#include "tests/lib/test_pki.h"
#include "common/tls/tls.h"
#include "common/wrap/wrap.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

static struct pair *p;
static uint8_t static_key[VPN_STATIC_KEY], server_key[VPN_SERVER_KEY], wrapped[CLIENT_KEY_WRAPPED_MAX];

static void set_up(void)
{
	p = malloc(sizeof(*p));
	pair_init(p, 1);
	for (unsigned i = 0; i < sizeof(static_key); i++)
		static_key[i] = (uint8_t)(i * 7 + 3);
	for (unsigned i = 0; i < sizeof(server_key); i++)
		server_key[i] = (uint8_t)(i * 5 + 1);
}

static void tear_down(void)
{
	pair_clear(p);
	free(p);
}

enum wrapping { PLAIN, AUTH, CRYPT, CRYPT_V2, WRAPPINGS };

static void choose_wrapping(enum wrapping which)
{
	for (int side = CLIENT; side <= SERVER; side++) {
		p->settings[side].static_key = static_key;
		p->settings[side].wrapping = which == AUTH ? VPN_WRAP_AUTH : which == CRYPT ? VPN_WRAP_CRYPT : VPN_WRAP_NONE;
		p->settings[side].key_direction = side == SERVER ? 0 : 1;
		p->settings[side].auth = "SHA256";
	}
	if (which == CRYPT_V2) {
		struct server_key server;
		struct client_key client = { .metadata_len = 9, .metadata = { 1 } };
		memcpy(server.bytes, server_key, sizeof(server.bytes));
		memcpy(client.key.bytes, static_key, sizeof(client.key.bytes));
		p->settings[CLIENT].client_key_wrapped_len =
			client_key_wrap(&server, &client, wrapped, sizeof(wrapped));
		p->settings[CLIENT].client_key = static_key;
		p->settings[CLIENT].client_key_wrapped = wrapped;
		p->settings[SERVER].server_key = server_key;
	}
}

static void talk(unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		ck_assert_int_eq(pair_send(p, CLIENT, i, 24 + i % 1300), FATE_NONE);
		ck_assert_int_eq(pair_send(p, SERVER, i, 24 + i % 1300), FATE_NONE);
		pair_run(p, 1);
	}
	pair_run(p, 100);
}

START_TEST(they_connect_and_talk_with_every_wrapping)
{
	choose_wrapping((enum wrapping)_i);
	pair_start(p);
	ck_assert(pair_connect(p, 20000));
	talk(50);
	ck_assert_uint_eq(p->arrived[CLIENT], 50);
	ck_assert_uint_eq(p->arrived[SERVER], 50);
	ck_assert_ptr_nonnull(strstr(p->pushed_text, "PUSH_REPLY,ping 10,ping-restart 60,ifconfig 10.8.0.2"));
	ck_assert_ptr_nonnull(strstr(p->pushed_text, "protocol-flags cc-exit tls-ekm dyn-tls-crypt"));
	ck_assert_str_eq(vpn_session_ifconfig(p->sessions[CLIENT], false), "10.8.0.2 255.255.255.0");
	ck_assert_str_eq(vpn_session_name(p->sessions[SERVER]), "client");
	/* A stranger is never answered with much more than it sent. */
	ck_assert_uint_le(p->longest_reply_excess, 12);
	ck_assert_uint_eq(p->fates[SERVER][FATE_FORGED] + p->fates[CLIENT][FATE_FORGED], 0);
}
END_TEST

START_TEST(every_cipher_carries_packets)
{
	static const char *const ciphers[] = { "AES-256-GCM", "AES-192-GCM", "AES-128-GCM", "CHACHA20-POLY1305" };
	p->settings[SERVER].data_ciphers = ciphers[_i];
	p->settings[CLIENT].data_ciphers = "AES-128-GCM:AES-192-GCM:AES-256-GCM:CHACHA20-POLY1305";
	pair_start(p);
	ck_assert(pair_connect(p, 20000));
	talk(10);
	ck_assert_uint_eq(p->arrived[CLIENT] + p->arrived[SERVER], 20);
	vpn_peer peer;
	vpn_session_peer(p->sessions[SERVER], &peer);
	ck_assert_str_eq(peer.cipher, ciphers[_i]);
}
END_TEST

/* Each mask leaves out abilities that older clients lack. */
START_TEST(older_clients_are_served_with_what_they_have)
{
	static const uint32_t masks[] = { 1 << 9, 1 << 7 | 1 << 9, 1 << 3 | 1 << 7 | 1 << 9, 1 << 2, 1 << 1,
		1 << 1 | 1 << 2 | 1 << 3 | 1 << 7 | 1 << 9 };
	choose_wrapping(AUTH);
	p->settings[CLIENT].proto_mask = masks[_i];
	p->settings[SERVER].reneg_ms = p->settings[SERVER].reneg_min_ms = 10000;
	p->settings[CLIENT].reneg_ms = 0;
	pair_start(p);
	ck_assert(pair_connect(p, 20000));
	talk(10);
	pair_run(p, 25000);
	talk(10);
	ck_assert_uint_ge(p->rekeyed[CLIENT], 2);
	ck_assert_uint_eq(p->arrived[CLIENT] + p->arrived[SERVER], 40);
}
END_TEST

START_TEST(both_tls_versions_serve)
{
	p->settings[SERVER].tls_max = _i ? 0x0304 : 0x0303;
	p->settings[SERVER].tls_min = _i ? 0x0304 : 0x0303;
	pair_start(p);
	ck_assert(pair_connect(p, 20000));
	vpn_peer peer;
	vpn_session_peer(p->sessions[SERVER], &peer);
	ck_assert_ptr_nonnull(strstr(peer.tls, _i ? "TLSv1.3" : "TLSv1.2"));
}
END_TEST

START_TEST(the_control_channel_tells_the_round_trip)
{
	p->quality = (struct link_quality){ .delay = 30 };
	pair_start(p);
	ck_assert_int_eq(vpn_session_round_trip(p->sessions[CLIENT]), -1);
	ck_assert(pair_connect(p, 20000));
	pair_run(p, 2000);
	for (enum side side = CLIENT; side <= SERVER; side++) {
		vpn_ms round_trip = vpn_session_round_trip(p->sessions[side]);
		ck_assert_int_ge(round_trip, 60);
		ck_assert_int_le(round_trip, 70);
	}
}
END_TEST

/* A thousand packets a second each way while both keep rekeying: none is lost, none comes twice. */
static void rekey_under_load(enum side by)
{
	p->settings[by].reneg_ms = p->settings[by].reneg_min_ms = 5000;
	p->settings[!by].reneg_ms = p->settings[!by].reneg_min_ms = 0;
	choose_wrapping(CRYPT);
	pair_start(p);
	ck_assert(pair_connect(p, 20000));
	for (uint32_t i = 0; i < 60000; i++) {
		ck_assert_int_eq(pair_send(p, CLIENT, i, 100), FATE_NONE);
		ck_assert_int_eq(pair_send(p, SERVER, i, 100), FATE_NONE);
		pair_run(p, 1);
	}
	pair_run(p, 1000);
	ck_assert_uint_ge(p->rekeyed[CLIENT], 9);
	ck_assert_uint_ge(p->rekeyed[SERVER], 9);
	for (uint32_t i = 0; i < 60000; i++) {
		ck_assert_uint_eq(p->seen[CLIENT][i], 1);
		ck_assert_uint_eq(p->seen[SERVER][i], 1);
	}
}

START_TEST(rekeying_every_5_seconds_by_the_server_loses_nothing)
{
	rekey_under_load(SERVER);
}
END_TEST

START_TEST(rekeying_every_5_seconds_by_the_client_loses_nothing)
{
	rekey_under_load(CLIENT);
}
END_TEST

START_TEST(rekeying_by_both_at_once_merges)
{
	for (int side = CLIENT; side <= SERVER; side++)
		p->settings[side].reneg_ms = p->settings[side].reneg_min_ms = 5000;
	pair_start(p);
	ck_assert(pair_connect(p, 20000));
	for (uint32_t i = 0; i < 3000; i++) {
		pair_send(p, CLIENT, i, 100);
		pair_send(p, SERVER, i, 100);
		pair_run(p, 20);
	}
	ck_assert_uint_ge(p->rekeyed[CLIENT], 5);
	ck_assert_uint_eq(p->closed[CLIENT] + p->closed[SERVER], 0);
	ck_assert_uint_eq(p->arrived[CLIENT], 3000);
	ck_assert_uint_eq(p->arrived[SERVER], 3000);
}
END_TEST

/* The server's last message arrives, what acknowledges it does not: the client sends with the new key already. */
START_TEST(a_client_that_is_ahead_of_its_acknowledgements_is_understood)
{
	p->settings[SERVER].reneg_ms = p->settings[CLIENT].reneg_ms = 0;
	p->quality.delay = 20;
	pair_start(p);
	ck_assert(pair_connect(p, 20000));
	pair_run(p, 1000);
	vpn_session_renegotiate(p->sessions[SERVER], p->now);
	for (unsigned i = 0; i < 20000 && !p->rekeyed[CLIENT]; i++) {
		/* once the client has all, nothing but data gets through to the server */
		pair_run(p, 1);
		p->deaf = p->sessions[CLIENT]->negotiation && p->sessions[CLIENT]->negotiation->message_read;
	}
	ck_assert_uint_eq(p->rekeyed[CLIENT], 1);
	ck_assert_uint_eq(p->rekeyed[SERVER], 0);
	p->sessions[CLIENT]->send_from = p->now;
	for (uint32_t i = 0; i < 10; i++) {
		ck_assert_int_eq(pair_send(p, CLIENT, i, 100), FATE_NONE);
		pair_run(p, 10);
	}
	pair_run(p, 50);
	ck_assert_uint_eq(p->arrived[SERVER], 10);
	ck_assert_uint_eq(p->rekeyed[SERVER], 1);
	p->deaf = false;
	for (unsigned i = 0; i < 10; i++) {
		ck_assert_int_eq(pair_send(p, SERVER, 0, 100), FATE_NONE);
		pair_run(p, 10000);
	}
	ck_assert_uint_eq(p->closed[SERVER] + p->closed[CLIENT], 0);
	ck_assert_uint_eq(p->sessions[SERVER]->negotiation->state, NEGOTIATION_ACTIVE);
}
END_TEST

START_TEST(packets_and_bytes_start_a_renegotiation_too)
{
	if (_i)
		p->settings[SERVER].reneg_packets = 500;
	else
		p->settings[CLIENT].reneg_bytes = 50000;
	pair_start(p);
	ck_assert(pair_connect(p, 20000));
	talk(1000);
	ck_assert_uint_ge(p->rekeyed[SERVER], 1);
	ck_assert_uint_eq(p->arrived[SERVER], 1000);
}
END_TEST

/* The link of the issue: 5 % loss, 10 % reordering, 5 % doubled, 50 ms. One seed a loop step of 100. */
START_TEST(a_bad_link_does_not_keep_them_apart)
{
	for (unsigned seed = 0; seed < 100; seed++) {
		tear_down();
		p = malloc(sizeof(*p));
		pair_init(p, (uint64_t)_i * 100 + seed + 1);
		choose_wrapping((enum wrapping)(seed % WRAPPINGS));
		p->quality = (struct link_quality){ .loss = 5, .reorder = 10, .duplicate = 5, .delay = 50 };
		p->settings[SERVER].ping_ms = 10000;
		p->settings[SERVER].ping_restart_ms = 120000;
		p->settings[SERVER].reneg_ms = p->settings[SERVER].reneg_min_ms = 30000;
		pair_start(p);
		ck_assert_msg(pair_connect(p, 60000), "seed %u: %s / %s", _i * 100 + seed, p->close_reason[CLIENT],
			p->close_reason[SERVER]);
		pair_run(p, 100000);
		ck_assert_msg(p->closed[CLIENT] + p->closed[SERVER] == 0, "seed %u: %s / %s", _i * 100 + seed,
			p->close_reason[CLIENT], p->close_reason[SERVER]);
		ck_assert_uint_ge(p->rekeyed[SERVER], 1);
		for (uint32_t i = 0; i < 50; i++)
			pair_send(p, CLIENT, i, 200);
		pair_run(p, 1000);
		for (uint32_t i = 0; i < 50; i++)
			ck_assert_uint_le(p->seen[SERVER][i], 1);
		ck_assert_uint_ge(p->arrived[SERVER], 30);
	}
}
END_TEST

START_TEST(a_server_that_died_goes_on_with_the_same_keys)
{
	choose_wrapping((enum wrapping)_i);
	for (int side = CLIENT; side <= SERVER; side++)
		p->settings[side].ping_ms = p->settings[side].ping_restart_ms = 0;
	pair_start(p);
	ck_assert(pair_connect(p, 20000));
	talk(20);
	for (unsigned death = 0; death < 3; death++) {
		pair_kill_and_adopt(p, SERVER, 2000);
		ck_assert_ptr_nonnull(p->sessions[SERVER]);
		for (uint32_t i = 0; i < 20; i++) {
			ck_assert_int_eq(pair_send(p, SERVER, 1000 * (death + 1) + i, 100), FATE_NONE);
			ck_assert_int_eq(pair_send(p, CLIENT, 1000 * (death + 1) + i, 100), FATE_NONE);
			pair_run(p, 1);
		}
		pair_run(p, 100);
		for (uint32_t i = 0; i < 20; i++) {
			ck_assert_uint_eq(p->seen[CLIENT][1000 * (death + 1) + i], 1);
			ck_assert_uint_eq(p->seen[SERVER][1000 * (death + 1) + i], 1);
		}
		/* Control goes on through a soft reset; once the new key is in use, it may die again. */
		pair_run(p, 10000);
		ck_assert_uint_eq(p->rekeyed[CLIENT], death + 1);
		for (unsigned i = 0; i < 6; i++) {
			pair_run(p, 10000);
			talk(3);
		}
	}
	ck_assert_uint_eq(p->fates[CLIENT][FATE_REPLAYED], 0);
	ck_assert_uint_eq(p->closed[CLIENT], 0);
}
END_TEST

/* At every 10 ms of a renegotiation over a line of 40 ms there and back; _i: who began it. */
START_TEST(a_server_that_dies_in_a_renegotiation_has_new_keys_with_its_client_soon)
{
	for (vpn_ms into = 0; into < 200; into += 10) {
		pair_clear(p);
		pair_init(p, 77 + (uint64_t)into);
		p->quality.delay = 20;
		pair_start(p);
		ck_assert(pair_connect(p, 20000));
		pair_run(p, 7000);
		unsigned done = p->rekeyed[SERVER];
		vpn_session_renegotiate(p->sessions[_i ? SERVER : CLIENT], p->now);
		pair_run(p, into);
		pair_kill_and_adopt(p, SERVER, 500);
		ck_assert_ptr_nonnull(p->sessions[SERVER]);
		pair_run(p, 15000);
		ck_assert_msg(p->rekeyed[SERVER] > done, "%d ms into it: %s; %s; %s; %s", (int)into, p->last_note[SERVER], p->last_note[CLIENT], p->close_reason[CLIENT], p->close_reason[SERVER]);
		ck_assert_uint_eq(p->closed[CLIENT] + p->closed[SERVER], 0);
		talk(5);
		uint64_t before = p->arrived[SERVER];
		talk(5);
		ck_assert_uint_eq(p->arrived[SERVER] - before, 5);
	}
}
END_TEST

/* The client's part as OpenVPN plays it: it gives its TLS up and sends a hard reset from the same port, while its old
 * keys are in use. */
static vpn_contact proven_contact(void)
{
	vpn_contact contact = { .verdict = VPN_CONTACT_OPEN, .local_session = 77, .remote_session = 78, .proven = true };
	return contact;
}

START_TEST(only_a_session_without_a_control_channel_begins_anew_within_itself)
{
	vpn_contact contact = proven_contact();
	pair_start(p);
	ck_assert(pair_connect(p, 20000));
	ck_assert(!vpn_session_renew(p->sessions[SERVER], &contact, p->now)); /* its own is in order */
	ck_assert(!vpn_session_renew(p->sessions[CLIENT], &contact, p->now));
	pair_kill_and_adopt(p, SERVER, 60000);
	contact.proven = false; /* anybody may say so */
	ck_assert(!vpn_session_renew(p->sessions[SERVER], &contact, p->now));
	contact.proven = true;
	ck_assert(vpn_session_renew(p->sessions[SERVER], &contact, p->now));
	/* nobody comes: the keys go on, and so does the session once the time is over */
	talk(5);
	ck_assert_uint_eq(p->arrived[SERVER], 5);
	for (unsigned i = 0; i < 14; i++) {
		pair_run(p, 5000);
		talk(3);
	}
	ck_assert_uint_eq(p->closed[SERVER], 0);
}
END_TEST

/* The server's session lost its control channel; a client begins anew from the same address. */
static void begin_anew(void)
{
	p->renew = true;
	pair_kill_and_adopt(p, SERVER, 60000);
	vpn_session_free(&p->sessions[CLIENT], true);
	p->opened[CLIENT] = p->pushed = 0;
	p->sessions[CLIENT] = vpn_session_connect(p->endpoints[CLIENT], p->kept[CLIENT], p->now);
	pair_run(p, 10000);
}

START_TEST(a_client_begins_anew_within_its_session)
{
	choose_wrapping((enum wrapping)_i);
	pair_start(p);
	ck_assert(pair_connect(p, 20000));
	talk(5);
	begin_anew();
	ck_assert_uint_eq(p->opened[SERVER], 1); /* the same one */
	ck_assert_uint_eq(p->rekeyed[SERVER], 1);
	ck_assert_uint_eq(p->opened[CLIENT], 1);
	ck_assert_uint_eq(p->pushed, 1);
	uint64_t before[2] = { p->arrived[CLIENT], p->arrived[SERVER] };
	talk(5);
	ck_assert_uint_eq(p->arrived[SERVER] - before[1], 5);
	ck_assert_uint_eq(p->arrived[CLIENT] - before[0], 5);
	vpn_session_renegotiate(p->sessions[SERVER], p->now);
	pair_run(p, 10000);
	ck_assert_uint_eq(p->rekeyed[SERVER], 2);
	ck_assert_uint_eq(p->closed[CLIENT] + p->closed[SERVER], 0);
}
END_TEST

static void talk_now_and_then(unsigned seconds)
{
	for (unsigned i = 0; i < seconds; i += 10) {
		talk(1);
		pair_run(p, 10000);
	}
}

/* Ten packets with the key of another session of the client's; how many arrive. */
static uint64_t send_as(vpn_session *other)
{
	uint64_t before = p->arrived[SERVER];
	vpn_session *s = p->sessions[CLIENT];

	for (uint32_t i = 0; i < 10; i++) {
		p->sessions[CLIENT] = other;
		ck_assert_int_eq(pair_send(p, CLIENT, i, 100), FATE_NONE);
		p->sessions[CLIENT] = s;
		pair_run(p, 2);
	}
	pair_run(p, 100);
	return p->arrived[SERVER] - before;
}

/* OpenVPN's has a third key then, and takes it while its newer ones are young: whatever is negotiated meanwhile, however often
 * the server dies, and also when another key has come by the same name. _i: how many negotiations there were before. */
START_TEST(a_client_that_began_anew_may_go_back_to_its_key_from_before)
{
	for (int side = CLIENT; side <= SERVER; side++)
		p->settings[side].tran_window_ms = 1200000;
	pair_start(p);
	ck_assert(pair_connect(p, 20000));
	for (int i = 0; i < _i; i++) {
		vpn_session_renegotiate(p->sessions[SERVER], p->now);
		talk_now_and_then(70); /* then the newest is in use */
	}
	talk(5);
	void *kept = aligned_alloc(VPN_KEPT_ALIGN, vpn_kept_size());
	memcpy(kept, p->kept[CLIENT], vpn_kept_size());
	begin_anew();
	vpn_session *before = vpn_session_adopt(p->endpoints[CLIENT], kept, p->now, INT64_MAX);
	ck_assert_ptr_nonnull(before);
	for (unsigned again = 0; again < 9; again++) {
		ck_assert_uint_eq(send_as(before), 10);
		uint64_t arrived = p->arrived[SERVER];
		talk(20);
		ck_assert_uint_eq(p->arrived[SERVER] - arrived, 20);
		ck_assert_uint_eq(send_as(before), 10);
		pair_kill_and_adopt(p, SERVER, 500);
		talk_now_and_then(70);
		ck_assert_uint_eq(p->rekeyed[SERVER], (unsigned)_i + 2 + again);
	}
	ck_assert_uint_eq(p->fates[SERVER][FATE_FORGED], 0);
	/* as long as any key that was replaced */
	ck_assert_uint_eq(send_as(before), 10);
	talk_now_and_then(1200);
	ck_assert_uint_eq(send_as(before), 0);
	ck_assert_uint_eq(p->closed[CLIENT] + p->closed[SERVER], 0);
	vpn_session_free(&before, false);
	free(kept);
}
END_TEST

/* Two keys of one name, whose counts pass one another: the tag alone tells which a packet is for. */
START_TEST(keys_of_one_name_are_told_apart_whatever_their_counts)
{
	pair_start(p);
	ck_assert(pair_connect(p, 20000));
	begin_anew();
	talk(5);
	struct kept *k = p->kept[SERVER];
	unsigned before = 1 - k->current;
	ck_assert_ptr_nonnull(p->sessions[SERVER]->keys[before]);
	ck_assert_uint_eq(k->keys[before].key_id, k->keys[1 - before].key_id);
	for (unsigned ahead = 0; ahead < 40; ahead++) {
		uint64_t arrived = p->arrived[SERVER];
		k->keys[before].window.highest = k->keys[1 - before].window.highest + ahead;
		k->keys[before].window.floor = 0;
		/* one is lost */
		uint8_t room[VPN_HEADROOM + 64] = { 0 };
		vpn_job job = { .session = p->sessions[CLIENT], .data = room + VPN_HEADROOM, .len = 40 };
		vpn_seal(&job, 1, p->now);
		talk(20);
		ck_assert_uint_eq(p->arrived[SERVER] - arrived, 20);
	}
}
END_TEST

/* The server had made keys of the negotiation in which it died, the client had not: what it uses is the set before. */
START_TEST(who_begins_anew_keeps_the_key_it_uses_not_the_newest_we_made)
{
	p->quality.delay = 20;
	pair_start(p);
	ck_assert(pair_connect(p, 20000));
	talk(5);
	void *kept = aligned_alloc(VPN_KEPT_ALIGN, vpn_kept_size());
	memcpy(kept, p->kept[CLIENT], vpn_kept_size());
	struct kept *k = p->kept[SERVER];
	uint8_t used = k->current;
	vpn_session_renegotiate(p->sessions[SERVER], p->now);
	for (unsigned i = 0; i < 1000 && k->current == used; i++)
		pair_run(p, 1);
	ck_assert_uint_ne(k->current, used);
	begin_anew();
	vpn_session *before = vpn_session_adopt(p->endpoints[CLIENT], kept, p->now, INT64_MAX);
	ck_assert_ptr_nonnull(before);
	ck_assert_uint_eq(send_as(before), 10);
	pair_kill_and_adopt(p, SERVER, 500);
	talk_now_and_then(70);
	ck_assert_uint_eq(send_as(before), 10);
	vpn_session_free(&before, false);
	free(kept);
}
END_TEST

START_TEST(nobody_else_begins_anew_in_anothers_place)
{
	char *cert, *key, error[TLS_REASON_MAX];
	const struct test_pki *pki = test_pki();
	vpn_settings other = p->settings[CLIENT];
	ck_assert(pki_make(&(struct pki_request){ .common_name = "other", .days = 9, .issuer_cert_pem = pki->ca_cert,
		.issuer_key_pem = pki->ca_key }, &cert, &key, error));
	pair_start(p);
	ck_assert(pair_connect(p, 20000));
	talk(5);
	other.cert_pem = cert;
	other.key_pem = key;
	vpn_session_free(&p->sessions[CLIENT], true);
	vpn_endpoint_free(&p->endpoints[CLIENT]);
	p->endpoints[CLIENT] = vpn_endpoint_new(&other, error, error);
	vpn_endpoint_set_clock(p->endpoints[CLIENT], p->now, 1790000100);
	begin_anew();
	ck_assert_uint_eq(p->opened[CLIENT], 0);
	ck_assert_uint_eq(p->rekeyed[SERVER], 0);
	ck_assert_ptr_nonnull(p->sessions[SERVER]);
	ck_assert_str_eq(vpn_session_name(p->sessions[SERVER]), "client");
	free(cert);
	free(key);
}
END_TEST

START_TEST(what_was_received_before_a_death_is_not_taken_again_after_it)
{
	pair_start(p);
	ck_assert(pair_connect(p, 20000));
	ck_assert_int_eq(pair_send(p, CLIENT, 1, 100), FATE_NONE);
	struct flight copy = { 0 };
	for (unsigned i = 0; i < FLIGHT_MAX; i++)
		if (p->flights[i].used && p->flights[i].to == SERVER)
			copy = p->flights[i];
	ck_assert(copy.used);
	pair_run(p, 100);
	ck_assert_uint_eq(p->seen[SERVER][1], 1);
	pair_kill_and_adopt(p, SERVER, 60000);
	copy.at = p->now;
	p->flights[0] = copy;
	p->flight_high = p->flight_high ? p->flight_high : 1;
	pair_run(p, 10);
	ck_assert_uint_eq(p->seen[SERVER][1], 1);
	ck_assert_uint_eq(p->fates[SERVER][FATE_REPLAYED], 1);
}
END_TEST

START_TEST(a_client_that_leaves_says_so)
{
	pair_start(p);
	ck_assert(pair_connect(p, 20000));
	vpn_session_close(p->sessions[CLIENT], NULL, "test", 1000, p->now);
	pair_run(p, 500); /* its place is free at once, not after a time of grace */
	ck_assert_uint_eq(p->closed[SERVER], 1);
	ck_assert_str_eq(p->close_reason[SERVER], "the peer left (EXIT)");
}
END_TEST

START_TEST(a_server_that_stops_tells_its_client)
{
	pair_start(p);
	ck_assert(pair_connect(p, 20000));
	pair_run(p, 1000);
	vpn_session_close(p->sessions[SERVER], "RESTART", "test", 1000, p->now);
	pair_run(p, 3000);
	ck_assert_uint_eq(p->closed[CLIENT], 1);
	ck_assert_str_eq(p->close_reason[CLIENT], "the server says RESTART");
	ck_assert_uint_eq(p->closed[SERVER], 1);
}
END_TEST

/* No TLS is left after a death: the data channel says it, and again where the first word is lost. */
START_TEST(a_server_just_adopted_tells_its_client_too)
{
	pair_start(p);
	ck_assert(pair_connect(p, 20000));
	talk(3);
	pair_kill_and_adopt(p, SERVER, 60000);
	p->quality.loss = _i ? 100 : 0;
	vpn_session_close(p->sessions[SERVER], "RESTART", "test", 1500, p->now);
	pair_run(p, 100);
	p->quality.loss = 0;
	pair_run(p, 1500);
	ck_assert_uint_eq(p->closed[CLIENT], 1);
	ck_assert_str_eq(p->close_reason[CLIENT], "the peer left");
	ck_assert_uint_eq(p->closed[SERVER], 1);
	ck_assert_str_eq(p->close_reason[SERVER], "test");
}
END_TEST

/* It would end for good by that word, where it comes back by itself otherwise. */
START_TEST(an_older_client_of_an_adopted_server_is_not_told)
{
	p->settings[CLIENT].proto_mask = 1 << 7;
	pair_start(p);
	ck_assert(pair_connect(p, 20000));
	talk(3);
	pair_kill_and_adopt(p, SERVER, 60000);
	vpn_session_close(p->sessions[SERVER], "RESTART", "test", 1500, p->now);
	pair_run(p, 2000);
	ck_assert_uint_eq(p->closed[CLIENT], 0);
	ck_assert_uint_eq(p->closed[SERVER], 1);
}
END_TEST

START_TEST(a_refused_client_hears_why)
{
	p->refuse = true;
	pair_start(p);
	ck_assert(!pair_connect(p, 20000));
	ck_assert_str_eq(p->close_reason[CLIENT], "the server says AUTH_FAILED,not today");
	pair_run(p, 10000);
	ck_assert_uint_eq(p->closed[SERVER], 1);
}
END_TEST

START_TEST(no_shared_cipher_is_refused_with_that_reason)
{
	p->settings[SERVER].data_ciphers = "CHACHA20-POLY1305";
	p->settings[CLIENT].data_ciphers = "AES-128-GCM";
	pair_start(p);
	ck_assert(!pair_connect(p, 20000));
	ck_assert_ptr_nonnull(strstr(p->close_reason[CLIENT], "no shared cipher"));
}
END_TEST

START_TEST(a_strangers_certificate_is_refused_and_the_reason_noted)
{
	char *cert, *key, *ca, *ca_key, error[TLS_REASON_MAX];
	ck_assert(pki_make(&(struct pki_request){ .common_name = "Other CA", .days = 9, .is_ca = true }, &ca, &ca_key, error));
	ck_assert(pki_make(&(struct pki_request){ .common_name = "stranger", .days = 9, .issuer_cert_pem = ca,
		.issuer_key_pem = ca_key }, &cert, &key, error));
	p->settings[CLIENT].cert_pem = cert;
	p->settings[CLIENT].key_pem = key;
	pair_start(p);
	ck_assert(!pair_connect(p, 20000));
	pair_run(p, 70000);
	ck_assert_uint_eq(p->opened[SERVER], 0);
	ck_assert_uint_ge(p->closed[SERVER], 1);
	ck_assert_msg(strstr(p->close_reason[SERVER], "stranger") != NULL || strstr(p->close_reason[SERVER], "issuer") != NULL,
		"%s", p->close_reason[SERVER]);
	free(cert);
	free(key);
	free(ca);
	free(ca_key);
}
END_TEST

START_TEST(silence_ends_a_session)
{
	p->settings[SERVER].ping_restart_ms = 20000;
	pair_start(p);
	ck_assert(pair_connect(p, 20000));
	vpn_session_free(&p->sessions[CLIENT], true);
	pair_run(p, 21000);
	ck_assert_uint_eq(p->closed[SERVER], 1);
	ck_assert_ptr_nonnull(strstr(p->close_reason[SERVER], "ping-restart"));
}
END_TEST

START_TEST(pings_keep_a_quiet_session_alive)
{
	p->settings[SERVER].ping_ms = 10000;
	p->settings[SERVER].ping_restart_ms = 60000;
	pair_start(p);
	ck_assert(pair_connect(p, 20000));
	pair_run(p, 600000);
	ck_assert_uint_eq(p->closed[SERVER] + p->closed[CLIENT], 0);
	ck_assert_uint_ge(p->fates[SERVER][FATE_CONSUMED], 50);
}
END_TEST

START_TEST(a_client_that_begins_anew_is_let_in_again)
{
	choose_wrapping((enum wrapping)_i);
	pair_start(p);
	ck_assert(pair_connect(p, 20000));
	vpn_session_free(&p->sessions[CLIENT], true);
	p->opened[CLIENT] = p->opened[SERVER] = 0;
	p->sessions[CLIENT] = vpn_session_connect(p->endpoints[CLIENT], p->kept[CLIENT], p->now);
	ck_assert(pair_connect(p, 20000));
	talk(5);
	ck_assert_uint_eq(p->arrived[SERVER], 5);
}
END_TEST

START_TEST(openers_cost_the_server_nothing)
{
	uint8_t opener[VPN_DATAGRAM_MAX];
	pair_start(p);
	size_t len = vpn_session_transmit(p->sessions[CLIENT], opener, sizeof(opener), p->now);
	ck_assert_uint_eq(len, 14);
	for (unsigned i = 0; i < 1000; i++) {
		vpn_contact contact;
		opener[1] = (uint8_t)i;
		vpn_first_contact(p->endpoints[SERVER], &i, sizeof(i), opener, len, p->now, &contact);
		ck_assert_int_eq(contact.verdict, VPN_CONTACT_REPLY);
		ck_assert_uint_eq(contact.reply_len, 26);
	}
	ck_assert_ptr_null(p->sessions[SERVER]);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("pair");
	TCase *t = tcase_create("stories");
	SRunner *runner;

	tcase_set_timeout(t, 240);
	tcase_add_checked_fixture(t, set_up, tear_down);
	tcase_add_loop_test(t, they_connect_and_talk_with_every_wrapping, 0, WRAPPINGS);
	tcase_add_loop_test(t, every_cipher_carries_packets, 0, 4);
	tcase_add_loop_test(t, older_clients_are_served_with_what_they_have, 0, 6);
	tcase_add_loop_test(t, both_tls_versions_serve, 0, 2);
	tcase_add_test(t, the_control_channel_tells_the_round_trip);
	tcase_add_test(t, rekeying_every_5_seconds_by_the_server_loses_nothing);
	tcase_add_test(t, rekeying_every_5_seconds_by_the_client_loses_nothing);
	tcase_add_test(t, rekeying_by_both_at_once_merges);
	tcase_add_test(t, a_client_that_is_ahead_of_its_acknowledgements_is_understood);
	tcase_add_loop_test(t, packets_and_bytes_start_a_renegotiation_too, 0, 2);
	tcase_add_loop_test(t, a_bad_link_does_not_keep_them_apart, 0, 10);
	tcase_add_loop_test(t, a_server_that_died_goes_on_with_the_same_keys, 0, WRAPPINGS);
	tcase_add_loop_test(t, a_server_that_dies_in_a_renegotiation_has_new_keys_with_its_client_soon, 0, 2);
	tcase_add_test(t, only_a_session_without_a_control_channel_begins_anew_within_itself);
	tcase_add_loop_test(t, a_client_begins_anew_within_its_session, 0, WRAPPINGS);
	tcase_add_loop_test(t, a_client_that_began_anew_may_go_back_to_its_key_from_before, 0, 3);
	tcase_add_test(t, keys_of_one_name_are_told_apart_whatever_their_counts);
	tcase_add_test(t, who_begins_anew_keeps_the_key_it_uses_not_the_newest_we_made);
	tcase_add_test(t, nobody_else_begins_anew_in_anothers_place);
	tcase_add_test(t, what_was_received_before_a_death_is_not_taken_again_after_it);
	tcase_add_test(t, a_client_that_leaves_says_so);
	tcase_add_test(t, a_server_that_stops_tells_its_client);
	tcase_add_loop_test(t, a_server_just_adopted_tells_its_client_too, 0, 2);
	tcase_add_test(t, an_older_client_of_an_adopted_server_is_not_told);
	tcase_add_test(t, a_refused_client_hears_why);
	tcase_add_test(t, no_shared_cipher_is_refused_with_that_reason);
	tcase_add_test(t, a_strangers_certificate_is_refused_and_the_reason_noted);
	tcase_add_test(t, silence_ends_a_session);
	tcase_add_test(t, pings_keep_a_quiet_session_alive);
	tcase_add_loop_test(t, a_client_that_begins_anew_is_let_in_again, 0, WRAPPINGS);
	tcase_add_test(t, openers_cost_the_server_nothing);
	suite_add_tcase(suite, t);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
