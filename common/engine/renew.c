/* SPDX-License-Identifier: MIT
 * A session whose control channel is lost: its process died in the middle of a renegotiation, whose TLS died with it,
 * or a renegotiation failed. The data keys go on; these are the ways back to a control channel.
 *
 * OpenVPN's client, caught in a renegotiation, takes messages of that key id alone, until its hand-window is over. If it
 * has not heard of our TLS yet, the same key id can begin again. If it has, only an end of its TLS helps: it then keeps
 * its data keys aside, goes on sending with them, and begins anew with a hard reset from the same port
 * (OpenVPN: src/openvpn/ssl.c, move_session). That reset is answered within the session: peer id, addresses and the
 * data keys stay, because that client uses them for up to a minute more. */
#include "common/engine/session.h"
#include "common/base/secret.h"

#include <stdlib.h>

enum {
	PATIENCE_MS = 2600,  /* its first TLS message is sent again within 2 s if nobody had acknowledged it */
	SPOIL_MS = 2000,     /* how long it is told to give up */
	SPOIL_MESSAGES = 12, /* more than we ever send before it answers */
	SEND_NEW_MS = 1000,  /* it has the new keys once it has the push */
};

/* -- begun again under the same key id -- */

void renew_after_death(struct vpn_session *s, mono_ms now)
{
	const struct kept *k = s->kept;

	if (!s->endpoint->server || k->key_id == 0 || k->key_id == k->keys[session_current(s)].key_id)
		return;
	s->negotiation = negotiation_new(s, k->key_id, false, now);
	if (!s->negotiation)
		return;
	session_limit_key(s, now);
	s->negotiation->started_by_us = s->negotiation->again = true;
	/* Our predecessor may have been one that peer had gone on from already (lost_keys), and so without the old key. */
	s->negotiation->at_once = true;
	s->spoil_at = now + PATIENCE_MS;
	s->renegotiate_at = MONO_NEVER;
	session_note(s, 3, "renegotiation of key %u begins again", k->key_id);
}

bool renew_is_new(const struct negotiation *n)
{
	return n->again && !n->fed;
}

bool renew_is_late(struct vpn_session *s, uint32_t message, mono_ms now)
{
	if (!renew_is_new(s->negotiation) || message < 2)
		return false;
	s->spoil_at = mono_earlier(s->spoil_at, now);
	return true;
}

void renew_received(struct negotiation *n, uint32_t message)
{
	/* Its reset was acknowledged by our predecessor, so what it sends now is the first of its TLS. */
	if (!n->again || n->in.next_id != 0 || message != 1)
		return;
	receive_window_skip(&n->in);
	n->reset_seen = true;
}

/* No record of any TLS: a fatal alert for one that has no keys yet, nonsense for one that has. */
static void spoil(struct vpn_session *s, mono_ms now)
{
	static const uint8_t alert[] = { 21, 3, 3, 0, 2, 2, 40 };
	struct negotiation *n = s->negotiation;

	while (n->spoilt < SPOIL_MESSAGES && send_window_room(&n->out) &&
		send_window_push(&n->out, OP_CONTROL_V1, alert, sizeof(alert), now))
		n->spoilt++;
}

void renew_tick(struct vpn_session *s, mono_ms now)
{
	struct negotiation *n = s->negotiation;

	if (!n || !renew_is_new(n)) {
		s->spoil_at = MONO_NEVER;
		return;
	}
	if (now < s->spoil_at)
		return;
	if (now < s->spoil_at + SPOIL_MS) {
		spoil(s, now);
		return;
	}
	negotiation_failed(s, "its TLS died with our predecessor", now);
	s->spoil_at = MONO_NEVER;
	s->lost_keys = true;
	s->renegotiate_at = now > s->moved_at ? now : s->moved_at;
}

mono_ms renew_wake_at(const struct vpn_session *s)
{
	if (s->spoil_at == MONO_NEVER || !s->negotiation)
		return MONO_NEVER;
	return s->negotiation->spoilt ? s->spoil_at + SPOIL_MS : s->spoil_at;
}

/* -- begun anew within the session -- */

static void forget_peer(struct vpn_session *s)
{
	free(s->username);
	free(s->password);
	free(s->peer_info_text);
	free(s->peer_options);
	s->username = s->password = s->peer_info_text = s->peer_options = NULL;
	s->push_wanted = false;
	forget_options(s);
}

/* Of the negotiation that it gave up we had made the keys, and it had not: it uses the set before, and so do we. */
static void go_back_a_key(struct vpn_session *s)
{
	struct kept *k = s->kept;
	unsigned current = session_current(s);

	if (!s->keys[current] || !s->keys[1 - current] || k->keys[current].key_id != k->key_id ||
		k->keys[current].window.highest)
		return;
	k->current = (uint8_t)(1 - current);
	session_drop_key(s, current);
}

bool vpn_session_renew(vpn_session *s, const vpn_contact *contact, vpn_ms now)
{
	const struct negotiation *old = s->negotiation;
	struct kept *k = s->kept;

	if (!s->endpoint->server || s->state != SESSION_OPEN || !contact->proven || (old && old->keyed))
		return false;
	struct negotiation *n = negotiation_new(s, 0, true, now);
	if (!n)
		return false;
	negotiation_free(&s->negotiation);
	s->negotiation = n;
	forget_peer(s);
	go_back_a_key(s);
	k->key_id = 0;
	k->local_session = contact->local_session;
	k->remote_session = contact->remote_session;
	k->dynamic = false;
	session_wrap(s, contact, now);
	session_limit_key(s, now);
	s->renewing = true;
	s->admission = ADMISSION_UNASKED;
	s->renegotiate_at = s->spoil_at = MONO_NEVER;
	session_note(s, 3, "begins anew, its keys stay until it has others");
	return true;
}

void renew_done(struct vpn_session *s, mono_ms now)
{
	const struct kept *k = s->kept;
	unsigned current = session_current(s);

	s->renewing = false;
	/* It goes on sending with the old ones. We do so only until it has the new ones, and not at all when both are
	 * called the same: it would take ours for new. */
	bool same_name = s->keys[1 - current] && k->keys[0].key_id == k->keys[1].key_id;
	s->send_from = same_name ? now : now + SEND_NEW_MS;
}
