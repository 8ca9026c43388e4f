/* SPDX-License-Identifier: MIT
 * One key negotiation from reset to ACTIVE: moves bytes between the reliability layer and TLS, and calls agree.c for
 * what is said inside. */
#include "common/engine/session.h"
#include "common/base/check.h"
#include "common/base/secret.h"

#include <stdio.h>
#include <stdlib.h>

uint8_t next_key_id(uint8_t key_id)
{
	return (key_id & 7) == 7 ? 1 : (uint8_t)((key_id & 7) + 1); /* 0 belongs to the first negotiation alone */
}

static uint8_t own_reset_opcode(const struct vpn_session *s, uint8_t key_id)
{
	if (key_id)
		return OP_SOFT_RESET_V1;
	if (s->endpoint->server)
		return OP_HARD_RESET_SERVER_V2;
	return s->endpoint->has_client_key ? OP_HARD_RESET_CLIENT_V3 : OP_HARD_RESET_CLIENT_V2;
}

struct negotiation *negotiation_new(struct vpn_session *s, uint8_t key_id, bool stateless, mono_ms now)
{
	struct negotiation *n = calloc(1, sizeof(*n));
	if (!n)
		return NULL;
	n->key_id = key_id;
	n->first = key_id == 0;
	n->deadline = now + s->endpoint->hand_window;
	n->state = stateless ? NEGOTIATION_HANDSHAKE : NEGOTIATION_RESET;
	n->reset_seen = stateless;
	n->tls = tls_new(s->endpoint->tls);
	if (!n->tls || !send_window_init(&n->out, stateless ? 1 : 0, s->endpoint->tls_timeout) ||
		!receive_window_init(&n->in, stateless ? 1 : 0) ||
		(!stateless && !send_window_push(&n->out, own_reset_opcode(s, key_id), NULL, 0, now)))
		negotiation_free(&n);
	if (n && !n->first)
		tls_peer_is_known(n->tls); /* agree.c wants the certificate that it had */
	return n;
}

void negotiation_free(struct negotiation **n)
{
	if (!*n)
		return;
	tls_free(&(*n)->tls);
	send_window_clear(&(*n)->out);
	receive_window_clear(&(*n)->in);
	secret_wipe(*n, sizeof(**n));
	free(*n);
	*n = NULL;
}

bool negotiation_again(struct vpn_session *s, bool by_us, mono_ms now)
{
	uint8_t key_id = next_key_id(s->kept->key_id);
	struct negotiation *n = negotiation_new(s, key_id, false, now);
	if (!n)
		return false;
	n->started_by_us = by_us;
	n->at_once = s->lost_keys;
	s->lost_keys = false;
	negotiation_free(&s->negotiation);
	s->negotiation = n;
	s->kept->key_id = key_id;
	s->renegotiate_at = MONO_NEVER;
	s->renegotiate_by = 0;
	s->again_from = now + AGAIN_MIN_MS;
	session_limit_key(s, now);
	session_note(s, 3, "renegotiation of key %u started by %s", key_id, by_us ? "us" : "the peer");
	return true;
}

void negotiation_failed(struct vpn_session *s, const char *why, mono_ms now)
{
	(void)now;
	const struct negotiation *n = s->negotiation;

	if (s->state == SESSION_LEAVING) {
		session_gone(s, "%s", s->close_reason);
		return;
	}
	/* One that had given its keys fails by what the peer sends in it: nothing more can be said to this peer. A client's
	 * server may have died meanwhile (renew.c): it will begin another. */
	if ((n->keyed && s->endpoint->server) || s->state != SESSION_OPEN) {
		session_gone(s, "%s", why);
		return;
	}
	session_note(s, 1, "renegotiation of key %u failed: %s; the old key serves until it expires", n->key_id, why);
	negotiation_free(&s->negotiation);
	s->renewing = false;
}

/* The payload of a server's reset tells a client whether to send its key again. */
static bool read_reset_flags(struct vpn_session *s, struct bytes in)
{
	while (in.left) {
		uint16_t type = read_u16(&in);
		struct bytes value = read_part(&in, read_u16(&in));
		if (type == 1)
			s->resend_client_key = read_u16(&value) & 1;
		if (!bytes_ok(&in) || !bytes_ok(&value))
			return false;
	}
	return true;
}

/* Messages that came in order go to TLS. False: the negotiation is over. */
static bool deliver(struct vpn_session *s, mono_ms now)
{
	struct negotiation *n = s->negotiation;
	const struct message *m;

	while ((m = receive_window_next(&n->in))) {
		if (wire_is_hard_reset(m->opcode) || m->opcode == OP_SOFT_RESET_V1) {
			if (!n->reset_seen) {
				n->reset_seen = true;
				send_window_resend_all(&n->out, now);
			}
			if (m->opcode == OP_HARD_RESET_SERVER_V2 &&
				!read_reset_flags(s, bytes_of(m->payload, m->len))) {
				negotiation_failed(s, "the server's reset is malformed", now);
				return false;
			}
		} else {
			/* A client of OpenVPN 3 answers our soft reset with TLS at once, as message 0: it has none of its own. */
			n->reset_seen |= n->started_by_us;
			if (n->state == NEGOTIATION_RESET)
				break; /* TLS bytes wait until our own reset is acknowledged */
			n->fed = true;
			tls_feed(n->tls, m->payload, m->len);
		}
		receive_window_drop(&n->in);
	}
	return true;
}

static size_t payload_room(const struct vpn_session *s, const struct negotiation *n)
{
	const struct wrap *wrap = n->key_id && s->kept->dynamic ? &s->kept->dynamic_wrap : &s->kept->wrap;
	size_t used = 48 + 9 + wrap_overhead(wrap) + wire_control_overhead(WIRE_MAX_ACKS_PAYLOAD);
	size_t room = s->endpoint->max_packet_size > used + 64 ? s->endpoint->max_packet_size - used : 64;
	return room > MESSAGE_MAX ? MESSAGE_MAX : room;
}

/* TLS bytes become messages while the window has room; what does not fit waits inside TLS. */
static void fill_window(struct vpn_session *s, mono_ms now)
{
	struct negotiation *n = s->negotiation;
	uint8_t piece[MESSAGE_MAX];

	if (n->state == NEGOTIATION_RESET)
		return;
	while (send_window_room(&n->out) && tls_pending(n->tls)) {
		uint8_t opcode = OP_CONTROL_V1;
		size_t room = payload_room(s, n);
		if (s->resend_client_key && n->first && n->out.next_id == 1) {
			opcode = OP_CONTROL_WKC_V1;
			size_t key = s->endpoint->client_key_wrapped_len;
			room = room > key + 64 ? room - key : 64;
		}
		size_t len = tls_drain(n->tls, piece, room);
		if (!len || !send_window_push(&n->out, opcode, piece, len, now))
			break;
	}
	secret_wipe(piece, sizeof(piece));
}

static void handle_failed_tls(struct vpn_session *s, mono_ms now)
{
	struct negotiation *n = s->negotiation;
	char why[TLS_REASON_MAX + 8];

	snprintf(why, sizeof(why), "TLS: %s", tls_reason(n->tls));
	fill_window(s, now);
	if (n->first && s->state == SESSION_GREETING) {
		/* Stay for a moment so that the alert reaches the peer, which can then say why. */
		session_note(s, 1, "%s", why);
		snprintf(s->close_reason, sizeof(s->close_reason), "%.120s", why);
		s->state = SESSION_LEAVING;
		s->linger_until = now + s->endpoint->tls_timeout;
		return;
	}
	negotiation_failed(s, why, now);
}

/* Reads what the peer said inside TLS. False: the negotiation is over. */
static bool hear(struct vpn_session *s, mono_ms now)
{
	uint8_t record[16384 + 1];
	struct negotiation *n = s->negotiation;
	int len;

	while ((len = tls_read(n->tls, record, sizeof(record))) > 0) {
		if (!n->message_read) {
			bool taken = agree_read_key_message(s, bytes_of(record, (size_t)len), now);
			secret_wipe(record, (size_t)len);
			if (!taken)
				return false;
		} else {
			agree_text(s, bytes_of(record, (size_t)len), now);
		}
		if (s->state == SESSION_GONE || s->negotiation != n)
			return false;
	}
	if (len < 0) {
		handle_failed_tls(s, now);
		return false;
	}
	return true;
}

static void ask_for_signature(struct vpn_session *s)
{
	struct tls_signature_request request;
	if (s->negotiation->signing || !tls_signature_wanted(s->negotiation->tls, &request))
		return;
	s->negotiation->signing = true;
	session_event(s, VPN_EVENT_SIGN, request.algorithm, request.input, request.input_len);
}

void vpn_session_signed(vpn_session *s, const uint8_t *signature, size_t len, vpn_ms now)
{
	if (s->state == SESSION_GONE || !s->negotiation || !s->negotiation->signing)
		return;
	s->negotiation->signing = false;
	tls_signature_give(s->negotiation->tls, signature, len);
	negotiation_advance(s, now);
}

/* Text may flow once all of ours is acknowledged. */
static void become_active(struct negotiation *n)
{
	if (n->state == NEGOTIATION_AGREEING && n->message_sent && n->message_read && send_window_idle(&n->out) &&
		!tls_pending(n->tls))
		n->state = NEGOTIATION_ACTIVE;
}

void negotiation_advance(struct vpn_session *s, mono_ms now)
{
	struct negotiation *n = s->negotiation;

	if (!n || s->state == SESSION_GONE)
		return;
	if (s->state == SESSION_LEAVING) {
		/* Only what was said last still goes out: a text, or the alert of a failed handshake. */
		if (!deliver(s, now))
			return;
		become_active(n);
		agree_flush_texts(s, now);
		fill_window(s, now);
		if (s->said_last && !s->text_count && !tls_pending(n->tls) && send_window_idle(&n->out))
			s->linger_until = now;
		return;
	}
	if (!deliver(s, now))
		return;
	if (n->state == NEGOTIATION_RESET && n->reset_seen && send_window_idle(&n->out)) {
		n->state = NEGOTIATION_HANDSHAKE;
		if (!deliver(s, now))
			return;
	}
	if (n->state == NEGOTIATION_HANDSHAKE) {
		switch (tls_step(n->tls)) {
		case TLS_HANDSHAKE:
			break;
		case TLS_WANT_SIGNATURE:
			ask_for_signature(s);
			break;
		case TLS_READY:
			n->state = NEGOTIATION_AGREEING;
			break;
		case TLS_FAILED:
			handle_failed_tls(s, now);
			return;
		}
	}
	if (n->state == NEGOTIATION_AGREEING) {
		if (!s->endpoint->server && !n->message_sent && !agree_write_key_message(s, now)) {
			negotiation_failed(s, "the key message could not be written", now);
			return;
		}
		if (!hear(s, now))
			return;
		become_active(n);
	} else if (n->state == NEGOTIATION_ACTIVE && !hear(s, now)) {
		return;
	}
	if (n->state == NEGOTIATION_ACTIVE) {
		agree_finish(s, now);
		if (s->state == SESSION_GONE || s->negotiation != n)
			return;
		agree_flush_texts(s, now);
	}
	fill_window(s, now);
}
