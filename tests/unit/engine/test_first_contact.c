/* SPDX-License-Identifier: MIT
 * Strangers: what is answered, what opens, what gets silence. Every check also with what must be refused. */
#include "common/engine/session.h"
#include "tests/lib/suite.h"
#include "tests/pair/pair.h"

#include <string.h>

static struct pair *p;
static uint8_t static_key[VPN_STATIC_KEY], server_key[VPN_SERVER_KEY], wrapped[CLIENT_KEY_WRAPPED_MAX];
static vpn_contact contact;

enum wrapping { PLAIN, AUTH, CRYPT, CRYPT_V2, WRAPPINGS };

static void set_up(void)
{
	p = malloc(sizeof(*p));
	pair_init(p, 5);
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

static void start(enum wrapping which)
{
	for (int side = CLIENT; side <= SERVER; side++) {
		p->settings[side].static_key = static_key;
		p->settings[side].wrapping = which == AUTH    ? VPN_WRAP_AUTH
					     : which == CRYPT ? VPN_WRAP_CRYPT
							      : VPN_WRAP_NONE;
		p->settings[side].key_direction = side == SERVER ? 0 : 1;
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
	pair_start(p);
}

/* Asks, and sees to what holds of every answer. */
static int ask(const char *from, const uint8_t *datagram, size_t len)
{
	uint8_t copy[4096];

	ck_assert_uint_le(len, sizeof(copy));
	memcpy(copy, datagram, len);
	vpn_first_contact(p->endpoints[SERVER], from, strlen(from), datagram, len, p->now, &contact);
	ck_assert_mem_eq(copy, datagram, len);
	if (contact.verdict == VPN_CONTACT_REPLY) {
		ck_assert_uint_le(contact.reply_len, 2 * len);
		ck_assert_int_eq(contact.fate, FATE_ANSWERED);
	} else if (contact.verdict == VPN_CONTACT_DROP) {
		static const uint8_t zeros[VPN_STATIC_KEY];
		ck_assert_int_ne(contact.fate, FATE_NONE);
		ck_assert_mem_eq(contact.client_key, zeros, sizeof(zeros));
	}
	return contact.verdict;
}

static size_t client_says(uint8_t out[VPN_DATAGRAM_MAX])
{
	return vpn_session_transmit(p->sessions[CLIENT], out, VPN_DATAGRAM_MAX, p->now);
}

/* The client's second packet, after an answer for `from`. */
static size_t second_packet(const char *from, uint8_t out[VPN_DATAGRAM_MAX])
{
	size_t len = client_says(out);

	ck_assert_int_eq(ask(from, out, len), VPN_CONTACT_REPLY);
	ck_assert_int_eq(vpn_session_receive(p->sessions[CLIENT], contact.reply, contact.reply_len, p->now),
		FATE_CONSUMED);
	len = client_says(out);
	ck_assert_uint_gt(len, 0);
	return len;
}

START_TEST(who_brings_the_proof_back_is_let_in)
{
	uint8_t datagram[VPN_DATAGRAM_MAX];

	start((enum wrapping)_i);
	size_t len = second_packet("192.0.2.1:5000", datagram);
	ck_assert_int_eq(ask("192.0.2.1:5000", datagram, len), VPN_CONTACT_OPEN);
	ck_assert(contact.proven);
	ck_assert_int_eq(contact.has_client_key, _i == CRYPT_V2);
}
END_TEST

START_TEST(a_proof_serves_no_other_address_and_not_for_ever)
{
	uint8_t datagram[VPN_DATAGRAM_MAX];

	start((enum wrapping)_i);
	size_t len = second_packet("192.0.2.1:5000", datagram);
	ck_assert_int_eq(ask("192.0.2.1:5001", datagram, len), VPN_CONTACT_DROP);
	ck_assert_int_eq(contact.fate, FATE_COOKIE_BAD);
	ck_assert_int_eq(ask("192.0.2.2:5000", datagram, len), VPN_CONTACT_DROP);
	p->now += 29000;
	ck_assert_int_eq(ask("192.0.2.1:5000", datagram, len), VPN_CONTACT_OPEN);
	p->now += 91000;
	ck_assert_int_eq(ask("192.0.2.1:5000", datagram, len), VPN_CONTACT_DROP);
	ck_assert_int_eq(contact.fate, FATE_COOKIE_BAD);
}
END_TEST

/* Seconds of the two clocks begin at different moments, so what we take for the time may step back by one between the
 * answer and the session; a client takes nothing that is older than what it has. */
START_TEST(a_clock_that_steps_back_by_a_second_does_not_deafen_the_client)
{
	start(CRYPT);
	for (unsigned i = 0; i < 20 && !p->sessions[SERVER]; i++) {
		vpn_endpoint_set_clock(p->endpoints[SERVER], p->now, 1790000001);
		if (p->contacts[VPN_CONTACT_REPLY])
			vpn_endpoint_set_clock(p->endpoints[SERVER], p->now, 1790000000);
		pair_run(p, 1);
	}
	ck_assert_ptr_nonnull(p->sessions[SERVER]);
	ck_assert(pair_connect(p, 20000));
	ck_assert_uint_eq(p->fates[CLIENT][FATE_WRAP_REPLAYED], 0);
}
END_TEST

START_TEST(a_new_secret_does_not_lock_out_who_was_just_answered)
{
	uint8_t datagram[VPN_DATAGRAM_MAX], secret[VPN_SECRET] = { 1 };

	start(CRYPT);
	size_t len = second_packet("192.0.2.1:5000", datagram);
	vpn_endpoint_set_secret(p->endpoints[SERVER], secret);
	vpn_endpoint_set_secret(p->endpoints[SERVER], secret);
	ck_assert_int_eq(ask("192.0.2.1:5000", datagram, len), VPN_CONTACT_OPEN);
	ck_assert_int_eq(ask("192.0.2.2:5000", datagram, len), VPN_CONTACT_DROP);
	secret[0]++;
	vpn_endpoint_set_secret(p->endpoints[SERVER], secret);
	ck_assert_int_eq(ask("192.0.2.1:5000", datagram, len), VPN_CONTACT_DROP);
}
END_TEST

START_TEST(a_changed_byte_never_opens)
{
	uint8_t datagram[VPN_DATAGRAM_MAX];

	start((enum wrapping)_i);
	size_t len = second_packet("192.0.2.1:5000", datagram);
	/* Without wrapping the TLS bytes are TLS's affair, and so are message id and repeated acks; up to the
	 * echoed session id everything counts. */
	size_t counts = _i == PLAIN ? 1 + 8 : len;
	for (size_t i = 0; i < counts; i++) {
		datagram[i] ^= 0x10;
		ck_assert_msg(ask("192.0.2.1:5000", datagram, len) != VPN_CONTACT_OPEN, "byte %zu", i);
		datagram[i] ^= 0x10;
	}
	for (size_t cut = 0; cut < len; cut++)
		if (_i != PLAIN || cut < 14 + 8 + 4)
			ck_assert_int_ne(ask("192.0.2.1:5000", datagram, cut), VPN_CONTACT_OPEN);
}
END_TEST

START_TEST(openers_are_answered_and_nothing_else_is)
{
	uint8_t opener[VPN_DATAGRAM_MAX];

	start((enum wrapping)_i);
	size_t len = client_says(opener);
	ck_assert_int_eq(ask("192.0.2.1:5000", opener, len), VPN_CONTACT_REPLY);
	for (unsigned first = 0; first < 256; first++) {
		uint8_t was = opener[0];
		opener[0] = (uint8_t)first;
		int verdict = ask("192.0.2.1:5000", opener, len);
		ck_assert(first == was ? verdict == VPN_CONTACT_REPLY : verdict == VPN_CONTACT_DROP);
		opener[0] = was;
	}
	memset(opener + 1, 0, 8);
	ck_assert_int_eq(ask("192.0.2.1:5000", opener, len), VPN_CONTACT_DROP);
}
END_TEST

/* Made with the right key, so only what is inside can be wrong. */
static int say(uint8_t opcode, uint32_t message, uint8_t acks, uint32_t first_ack, uint64_t acked)
{
	struct control_head head = {
		.ack_count = acks, .acks = { first_ack }, .acked = acked, .message = message
	};
	struct wrap_counter counter = { 0 };
	struct wrap wrap = { 0 };
	struct static_key key;
	uint8_t body[256], out[512];

	memcpy(key.bytes, static_key, sizeof(key.bytes));
	wrap_init_crypt(&wrap, &key, false);
	size_t len = wire_write_control(opcode, &head, body, sizeof(body));
	len = wrap_seal(&wrap, &counter, 1000, opcode, 0, 0x1122334455667788, body, len, out, sizeof(out));
	ck_assert_uint_gt(len, 0);
	return ask("192.0.2.9:1", out, len);
}

START_TEST(holders_of_the_key_must_prove_their_address_too)
{
	struct bytes in;
	struct wrap_opened opened;
	struct static_key key;
	struct wrap wrap;

	start(CRYPT);
	memcpy(key.bytes, static_key, sizeof(key.bytes));
	wrap_init_crypt(&wrap, &key, false);
	ck_assert_int_eq(say(OP_HARD_RESET_CLIENT_V2, 0, 0, 0, 0), VPN_CONTACT_REPLY);
	ck_assert_int_eq(wrap_open(&wrap, contact.reply, contact.reply_len, &opened), FATE_NONE);
	uint64_t proof = opened.sender;
	in = opened.body;
	ck_assert_uint_eq(read_u8(&in), 1);
	ck_assert_int_eq(say(OP_CONTROL_V1, 1, 1, 0, proof), VPN_CONTACT_OPEN);
	ck_assert_int_eq(say(OP_ACK_V1, 0, 1, 0, proof), VPN_CONTACT_OPEN);
	ck_assert_int_eq(say(OP_CONTROL_V1, 1, 1, 0, proof + 1), VPN_CONTACT_DROP);
	ck_assert_int_eq(say(OP_CONTROL_V1, 1, 0, 0, 0), VPN_CONTACT_DROP);
	ck_assert_int_eq(say(OP_CONTROL_V1, 2, 1, 0, proof), VPN_CONTACT_DROP);
	ck_assert_int_eq(say(OP_CONTROL_V1, 1, 1, 2, proof), VPN_CONTACT_DROP);
	ck_assert_int_eq(say(OP_CONTROL_V1, 1, 8, 0, 0), VPN_CONTACT_DROP);
	ck_assert_int_eq(say(OP_HARD_RESET_CLIENT_V2, 1, 0, 0, 0), VPN_CONTACT_DROP);
	ck_assert_int_eq(say(OP_SOFT_RESET_V1, 0, 0, 0, 0), VPN_CONTACT_DROP);
	ck_assert_int_eq(say(OP_HARD_RESET_SERVER_V2, 0, 0, 0, 0), VPN_CONTACT_DROP);
}
END_TEST

START_TEST(noise_gets_silence)
{
	uint8_t noise[WIRE_CONTROL_MAX + 100];

	start((enum wrapping)_i);
	for (unsigned round = 0; round < 20000; round++) {
		size_t len = pair_chance(p) % (round % 4 ? 100 : sizeof(noise));
		for (size_t i = 0; i < len; i++)
			noise[i] = (uint8_t)pair_chance(p);
		if (len && round % 2)
			noise[0] = (uint8_t)((3 + round % 9) << 3);
		ck_assert_int_ne(ask("192.0.2.1:5000", noise, len), VPN_CONTACT_OPEN);
		/* Without a control key anybody may knock. */
		if (_i != PLAIN)
			ck_assert_int_eq(contact.verdict, VPN_CONTACT_DROP);
	}
}
END_TEST

START_TEST(a_client_key_without_a_server_key_opens_nothing)
{
	uint8_t opener[VPN_DATAGRAM_MAX];

	start(CRYPT_V2);
	size_t len = client_says(opener);
	vpn_endpoint_free(&p->endpoints[SERVER]);
	char error[VPN_ERROR_TEXT], warning[VPN_ERROR_TEXT];
	p->settings[SERVER].server_key = NULL;
	p->endpoints[SERVER] = vpn_endpoint_new(&p->settings[SERVER], error, warning);
	ck_assert_int_eq(ask("192.0.2.1:5000", opener, len), VPN_CONTACT_DROP);
	ck_assert_int_eq(contact.fate, FATE_CLIENT_KEY_BAD);
}
END_TEST

static void add(TCase *t)
{
	tcase_set_timeout(t, 60);
	tcase_add_checked_fixture(t, set_up, tear_down);
	tcase_add_loop_test(t, who_brings_the_proof_back_is_let_in, 0, WRAPPINGS);
	tcase_add_loop_test(t, a_proof_serves_no_other_address_and_not_for_ever, 0, WRAPPINGS);
	tcase_add_test(t, a_clock_that_steps_back_by_a_second_does_not_deafen_the_client);
	tcase_add_test(t, a_new_secret_does_not_lock_out_who_was_just_answered);
	tcase_add_loop_test(t, a_changed_byte_never_opens, 0, WRAPPINGS);
	tcase_add_loop_test(t, openers_are_answered_and_nothing_else_is, 0, WRAPPINGS);
	tcase_add_test(t, holders_of_the_key_must_prove_their_address_too);
	tcase_add_loop_test(t, noise_gets_silence, 0, WRAPPINGS);
	tcase_add_test(t, a_client_key_without_a_server_key_opens_nothing);
}

int main(void)
{
	return suite_run("first contact", add);
}
