/* SPDX-License-Identifier: MIT
 * Control way in: unwrap, replay, session ids, key id, acks, order; then negotiation.c. Only what verified changes
 * anything. */
#include "common/engine/session.h"
#include "common/base/secret.h"

/* The sender's session id stands in the clear, whatever the wrapping. */
static bool sent_by(const uint8_t *datagram, size_t len, uint64_t session)
{
	struct bytes in = bytes_of(datagram, len);

	read_u8(&in);
	return read_u64(&in) == session;
}

/* Is this datagram for a negotiation that we have, or the start of the next one? */
static enum fate settle_key_id(struct vpn_session *s, const struct wrap_opened *opened, mono_ms now)
{
	const struct negotiation *n = s->negotiation;

	/* A server that starts what we have finished has lost it in a death: the next key id is the way on, as OpenVPN has it. */
	if (n && n->keyed && !s->endpoint->server && opened->opcode == OP_SOFT_RESET_V1 && opened->key_id == n->key_id) {
		negotiation_again(s, true, now);
		return FATE_WRONG_KEY_ID;
	}
	if (n && opened->key_id == n->key_id)
		return FATE_NONE;
	if (opened->opcode == OP_SOFT_RESET_V1 && s->state == SESSION_OPEN && (!n || n->keyed || renew_is_new(n)) &&
		opened->key_id == next_key_id(s->kept->key_id)) {
		if (s->endpoint->server && now < s->again_from)
			return FATE_NOT_READY; /* it asks again */
		s->lost_keys = n && renew_is_new(n); /* it had finished that one, and so dropped what was before */
		return negotiation_again(s, false, now) ? FATE_NONE : FATE_NOT_READY;
	}
	if (!n && s->state == SESSION_OPEN) {
		/* We were adopted and have no TLS: what the peer wants to say needs a new one. */
		s->renegotiate_at = mono_earlier(s->renegotiate_at, now > s->moved_at ? now : s->moved_at);
	}
	return FATE_WRONG_KEY_ID;
}

static enum fate check_ids(struct vpn_session *s, const struct wrap_opened *opened, const struct control_head *head)
{
	struct kept *k = s->kept;

	if (head->ack_count && head->acked != k->local_session)
		return FATE_WRONG_SESSION;
	if (k->remote_session == 0) {
		/* A client learns the server's id from the reset that answers its own. */
		if (opened->opcode != OP_HARD_RESET_SERVER_V2 || !head->ack_count)
			return FATE_WRONG_SESSION;
		k->remote_session = opened->sender;
	}
	return opened->sender == k->remote_session ? FATE_NONE : FATE_WRONG_SESSION;
}

static enum fate take(struct vpn_session *s, const struct wrap_opened *opened, mono_ms now)
{
	struct control_head head;
	enum fate fate;

	if (!wire_read_control(opened->opcode, opened->body, &head))
		return FATE_MALFORMED;
	fate = check_ids(s, opened, &head);
	if (fate == FATE_NONE)
		fate = settle_key_id(s, opened, now);
	if (fate != FATE_NONE)
		return fate;
	struct negotiation *n = s->negotiation;
	if (opened->opcode != OP_ACK_V1 && renew_is_late(s, head.message, now))
		return FATE_OUTSIDE_WINDOW;
	s->last_in = now;
	send_window_acked(&n->out, head.acks, head.ack_count, now);
	session_note_round_trip(s, n->out.round_trip);
	if (opened->opcode != OP_ACK_V1 &&
		receive_window_put(&n->in, opened->opcode, head.message, head.payload) == RECEIVED_OUTSIDE)
		fate = FATE_OUTSIDE_WINDOW;
	else if (opened->opcode != OP_ACK_V1)
		renew_received(n, head.message);
	negotiation_advance(s, now);
	if (s->negotiation && s->negotiation->spoilt)
		renew_tick(s, now);
	return fate == FATE_NONE ? FATE_CONSUMED : fate;
}

int vpn_session_receive(vpn_session *s, void *datagram, size_t len, vpn_ms now)
{
	struct kept *k = s->kept;
	struct wire_head head;
	struct wrap_opened opened;

	if (s->state == SESSION_GONE)
		return FATE_UNKNOWN_PEER;
	if (!wire_read_head(datagram, len, &head))
		return FATE_TOO_SHORT;
	if (!wire_is_control(head.opcode))
		return FATE_BAD_OPCODE;
	if (head.opcode == (k->server ? OP_HARD_RESET_SERVER_V2 : OP_HARD_RESET_CLIENT_V2) ||
		(!k->server && (head.opcode == OP_HARD_RESET_CLIENT_V3 || head.opcode == OP_CONTROL_WKC_V1)))
		return FATE_BAD_OPCODE;
	if (wire_is_hard_reset(head.opcode) && head.key_id)
		return FATE_BAD_KEY_ID;
	/* Before anything is changed: a host may offer a stranger's datagram to vpn_first_contact() next. */
	if (k->remote_session && !sent_by(datagram, len, k->remote_session))
		return FATE_WRONG_SESSION;
	/* A client key at the end was used when the session began; later it is only cut off. */
	if ((head.opcode == OP_HARD_RESET_CLIENT_V3 || head.opcode == OP_CONTROL_WKC_V1) &&
		client_key_cut(NULL, datagram, &len, NULL) != FATE_NONE)
		return FATE_CLIENT_KEY_BAD;

	bool dynamic = head.key_id && k->dynamic;
	const struct wrap *wrap = dynamic ? &k->dynamic_wrap : &k->wrap;
	struct wrap_window *window = dynamic ? &k->dynamic_window : &k->window;
	enum fate fate = wrap_open(wrap, datagram, len, &opened);
	if (fate != FATE_NONE)
		return fate;
	if (wrap->kind != WRAP_NONE) {
		if (!wrap_window_accepts(window, opened.packet_id, opened.net_time))
			return FATE_WRAP_REPLAYED;
		wrap_window_note(window, opened.packet_id, opened.net_time);
	}
	return take(s, &opened, now);
}
