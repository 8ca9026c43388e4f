/* SPDX-License-Identifier: MIT
 * An unknown sender: answered and forgotten, or let in. Nothing is kept, nothing is allocated; the order of checks is
 * cheapest first. The rules are OpenVPN's three-way handshake (src/openvpn/mudp.c, ssl_pkt.c). */
#include "common/engine/session.h"
#include "common/base/secret.h"

/* The answer's flag for a client that can send its key again: type 1, length 2, bit 0. */
static const uint8_t resend_client_key[] = { 0, 1, 0, 2, 0, 1 };

static bool plausible(const uint8_t *datagram, size_t len, struct wire_head *head, vpn_contact *out)
{
	static const uint8_t no_session[8];

	if (!wire_read_head(datagram, len, head) || len < 9) {
		out->fate = FATE_TOO_SHORT;
		if (len && ((datagram[0] >> 3) < OP_SOFT_RESET_V1 || (datagram[0] >> 3) > OP_CONTROL_WKC_V1))
			out->fate = FATE_BAD_OPCODE;
		return false;
	}
	switch (head->opcode) {
	case OP_HARD_RESET_CLIENT_V2:
	case OP_HARD_RESET_CLIENT_V3:
		break;
	case OP_CONTROL_V1:
	case OP_ACK_V1:
	case OP_CONTROL_WKC_V1:
		break;
	default:
		out->fate = FATE_UNKNOWN_PEER;
		return false;
	}
	if (head->key_id != 0) {
		out->fate = wire_is_hard_reset(head->opcode) ? FATE_BAD_KEY_ID : FATE_UNKNOWN_PEER;
		return false;
	}
	if (len > WIRE_CONTROL_MAX || memcmp(datagram + 1, no_session, 8) == 0) {
		out->fate = FATE_MALFORMED;
		return false;
	}
	return true;
}

/* The stateless reply: our session id is the proof that the next packet must bring back. */
static void answer(const vpn_endpoint *e, const struct wrap *wrap, const void *address, size_t address_len,
	const struct wrap_opened *opened, bool early, mono_ms now, vpn_contact *out)
{
	uint8_t body[64];
	struct control_head head = {
		.ack_count = 1,
		.acks = { 0 },
		.acked = opened->sender,
		.payload = early ? bytes_of(resend_client_key, sizeof(resend_client_key)) : bytes_of(NULL, 0),
	};
	struct wrap_counter counter = { 0 };
	uint64_t proof = address_proof_make(&e->secret, address, address_len, opened->sender, now, e->hand_window);
	size_t len = wire_write_control(OP_HARD_RESET_SERVER_V2, &head, body, sizeof(body));

	out->reply_len = wrap_seal(wrap, &counter, now / 1000 + e->unix_offset, OP_HARD_RESET_SERVER_V2, 0, proof, body,
		len, out->reply, sizeof(out->reply));
	out->verdict = out->reply_len ? VPN_CONTACT_REPLY : VPN_CONTACT_DROP;
	out->fate = out->reply_len ? FATE_ANSWERED : FATE_MALFORMED;
}

static void let_in(vpn_contact *out, const struct wrap_opened *opened, uint64_t local, bool proven)
{
	out->verdict = VPN_CONTACT_OPEN;
	out->fate = FATE_NONE;
	out->local_session = local;
	out->remote_session = opened->sender;
	out->proven = proven;
}

void vpn_first_contact(const vpn_endpoint *e, const void *address, size_t address_len, const void *datagram, size_t len,
	vpn_ms now, vpn_contact *out)
{
	uint8_t copy[WIRE_CONTROL_MAX];
	struct client_key key;
	struct wrap client_wrap;
	const struct wrap *wrap = &e->wrap;
	struct wire_head head;
	struct wrap_opened opened;
	struct control_head control;

	memset(out, 0, offsetof(vpn_contact, client_key));
	out->metadata_len = 0;
	out->verdict = VPN_CONTACT_DROP;
	if (!plausible(datagram, len, &head, out))
		return;
	memcpy(copy, datagram, len);

	if (head.opcode == OP_HARD_RESET_CLIENT_V3 || head.opcode == OP_CONTROL_WKC_V1) {
		if (!e->has_server_key) {
			out->fate = FATE_CLIENT_KEY_BAD;
			return;
		}
		out->fate = client_key_cut(&e->server_key, copy, &len, &key);
		if (out->fate != FATE_NONE)
			return;
		wrap_init_crypt(&client_wrap, &key.key, true);
		wrap = &client_wrap;
		out->has_client_key = true;
		memcpy(out->client_key, key.key.bytes, STATIC_KEY_LEN);
		out->metadata_len = key.metadata_len < sizeof(out->metadata) ? key.metadata_len : sizeof(out->metadata);
		memcpy(out->metadata, key.metadata, out->metadata_len);
		secret_wipe(&key, sizeof(key));
	} else if (!e->has_shared_wrap) {
		out->fate = FATE_WRAP_FORGED;
		return;
	}

	out->fate = wrap_open(wrap, copy, len, &opened);
	if (out->fate != FATE_NONE)
		goto done;
	if (!wire_read_control(head.opcode, opened.body, &control)) {
		out->fate = FATE_MALFORMED;
		goto done;
	}
	if (wire_is_hard_reset(head.opcode)) {
		bool early = head.opcode == OP_HARD_RESET_CLIENT_V3 && client_key_early(opened.packet_id);
		uint64_t local;

		if (control.message != 0) {
			out->fate = FATE_MALFORMED;
		} else if (head.opcode == OP_HARD_RESET_CLIENT_V2 || early) {
			answer(e, wrap, address, address_len, &opened, early, now, out);
		} else if (e->force_cookie) {
			out->fate = FATE_COOKIE_BAD;
		} else {
			crypto_random(&local, sizeof(local));
			let_in(out, &opened, local | 1, false);
		}
		goto done;
	}
	/* A second packet: it acknowledges our reset and so names the proof. */
	out->fate = FATE_COOKIE_BAD;
	if (control.ack_count == 0 || (head.opcode != OP_ACK_V1 && control.message > 1))
		goto done;
	for (unsigned i = 0; i < control.ack_count; i++)
		if (control.acks[i] > 1)
			goto done;
	/* Both are looked at, whatever the first one says. */
	bool newest = address_proof_verify(
		&e->secret, address, address_len, opened.sender, control.acked, now, e->hand_window);
	bool before = address_proof_verify(
		&e->secret_before, address, address_len, opened.sender, control.acked, now, e->hand_window);
	if (newest || before)
		let_in(out, &opened, control.acked, true);
done:
	secret_wipe(&client_wrap, sizeof(client_wrap));
	if (out->verdict != VPN_CONTACT_OPEN)
		secret_wipe(out->client_key, sizeof(out->client_key));
}
