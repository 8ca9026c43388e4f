/* SPDX-License-Identifier: MIT
 * Control way out: what is due in the send window, else acks alone, else a datagram of our own in the data channel. */
#include "common/engine/session.h"

static size_t seal_control(struct vpn_session *s, uint8_t opcode, struct control_head *head, void *out, size_t room,
	mono_ms now)
{
	struct negotiation *n = s->negotiation;
	struct kept *k = s->kept;
	bool dynamic = n->key_id && k->dynamic;
	uint8_t body[WIRE_CONTROL_MAX];

	if (k->remote_session) {
		head->ack_count = receive_window_take_acks(&n->in, head->acks,
			opcode == OP_ACK_V1 ? WIRE_MAX_ACKS : WIRE_MAX_ACKS_PAYLOAD);
		head->acked = k->remote_session;
	}
	size_t len = wire_write_control(opcode, head, body, sizeof(body));
	if (!len)
		return 0;
	len = wrap_seal(dynamic ? &k->dynamic_wrap : &k->wrap, dynamic ? &k->dynamic_counter : &k->counter,
		session_unix(s, now), opcode, n->key_id, k->local_session, body, len, out, room);
	if (!len)
		return 0;
	if (opcode == OP_HARD_RESET_CLIENT_V3 || opcode == OP_CONTROL_WKC_V1) {
		struct bytes_out tail = bytes_into((uint8_t *)out + len, room - len);
		write_data(&tail, s->endpoint->client_key_wrapped, s->endpoint->client_key_wrapped_len);
		if (tail.failed)
			return 0;
		len += tail.len;
	}
	s->last_out = now;
	return len;
}

size_t vpn_session_transmit(vpn_session *s, void *out, size_t room, vpn_ms now)
{
	struct negotiation *n = s->negotiation;
	const struct message *due;
	size_t len = 0;

	if (s->state == SESSION_GONE || room < VPN_DATAGRAM_MAX)
		return 0;
	if (n && (due = send_window_due(&n->out, now))) {
		struct control_head head = { .message = due->id, .payload = bytes_of(due->payload, due->len) };
		len = seal_control(s, due->opcode, &head, out, room, now);
	} else if (n && receive_window_owes(&n->in)) {
		struct control_head head = { 0 };
		len = seal_control(s, OP_ACK_V1, &head, out, room, now);
	}
	return len ? len : session_own_data(s, out, room, now);
}
