/* SPDX-License-Identifier: MIT
 * A session rebuilt from what its slot kept. The kept bytes are read as if a stranger had written them. */
#include "common/engine/session.h"
#include "common/base/secret.h"

#include <stdlib.h>

enum { NEW_KEY_MS = 1000, MOVE_MARGIN_MS = 5000, PING_WITHIN_MS = 1000 };

static bool kept_makes_sense(const struct vpn_endpoint *e, const struct kept *k)
{
	return k->layout == KEPT_LAYOUT && k->server == e->server && k->open && k->current < 2 && k->key_id <= 7 &&
		k->cipher > CIPHER_UNKNOWN && k->cipher < CIPHER_COUNT && k->wrap.kind <= WRAP_CRYPT &&
		k->dynamic_wrap.kind <= WRAP_CRYPT && k->remote_session && k->local_session &&
		memchr(k->name, 0, sizeof(k->name));
}

static bool adopt_key(struct vpn_session *s, unsigned index, mono_ms now)
{
	struct data_kept *key = &s->kept->keys[index];

	if (key->cipher <= CIPHER_UNKNOWN || key->cipher >= CIPHER_COUNT || key->key_id > 7 || key->send_half > 1 ||
		key->window.width > REPLAY_BITS || !packet_id_was_owned(&key->ids))
		return false;
	if (key->window.checked < 0 || key->window.checked > now)
		key->window.checked = now;
	packet_id_adopt(&key->ids, s->endpoint->epoch);
	s->keys[index] = data_key_new(key, s->endpoint->epoch);
	return s->keys[index] != NULL;
}

bool vpn_session_at_rest(const vpn_session *s, vpn_ms now)
{
	const struct negotiation *n = s->negotiation;

	if (s->state != SESSION_OPEN || s->text_count || s->events || s->renegotiate_now || s->occ_reply || s->peer_left ||
		s->event_lost)
		return false;
	if (!n)
		return true;
	/* Adopters send with the newest key at once: while the peer may not have made it yet, wait. It has all that it
	 * takes since before we had ours. */
	if (!n->keyed || (now < s->send_from && now - n->keyed_at < NEW_KEY_MS))
		return false;
	return send_window_idle(&n->out) && !receive_window_owes(&n->in) && !tls_pending(n->tls);
}

/* A peer may go on sending with its previous key for a hand-window after the newest was made, and OpenVPN 3 would keep
 * that one, not the newest, through another renegotiation: we would no longer have it. So the next one waits until the
 * newest is in use. */
static mono_ms peer_has_moved_at(const struct vpn_session *s, unsigned current, mono_ms now)
{
	const struct vpn_endpoint *e = s->endpoint;
	mono_ms expires = s->kept->expires[1 - current];

	if (!s->keys[1 - current] || s->kept->keys[current].window.highest || expires < now ||
		expires - now > e->tran_window)
		return now;
	return expires - e->tran_window + e->hand_window + MOVE_MARGIN_MS;
}

/* Its owner may have died between copying and dropping: of two copies, each with its own replay window, none stays here. */
static void adopt_old_key(struct vpn_session *s, mono_ms now)
{
	struct kept *k = s->kept;
	bool good = adopt_key(s, KEY_SET_OLD, now);

	for (unsigned i = 0; i < KEY_SET_OLD; i++)
		if (k->keys[i].cipher != CIPHER_UNKNOWN &&
			secret_equal(k->keys[i].material, k->keys[KEY_SET_OLD].material, KEY_MATERIAL_LEN))
			good = false;
	if (!good)
		session_drop_key(s, KEY_SET_OLD);
}

/* Our predecessor may have been silent for almost the whole interval, and so may be our successor. Not all at once: all
 * its sessions are adopted in one go. */
static void ping_soon(struct vpn_session *s, mono_ms now)
{
	uint32_t chance;

	if (!s->ping)
		return;
	crypto_random(&chance, sizeof(chance));
	s->last_out = now - s->ping + (span_ms)(chance % PING_WITHIN_MS);
}

vpn_session *vpn_session_adopt(vpn_endpoint *endpoint, void *kept, vpn_ms now, vpn_ms renegotiate_at)
{
	struct vpn_session *s = NULL;
	/* Looked at in a copy: what was checked does not change any more. */
	struct kept *copy = malloc(sizeof(*copy));
	unsigned index = 0;
	mono_ms opened = 0;

	if (copy) {
		memcpy(copy, kept, sizeof(*copy));
		if (kept_makes_sense(endpoint, copy))
			s = session_new(endpoint, kept, now);
		index = copy->current;
		opened = copy->opened;
		secret_wipe(copy, sizeof(*copy));
		free(copy);
	}
	if (!s)
		return NULL;
	struct kept *k = s->kept;
	bool current = adopt_key(s, index, now), previous = adopt_key(s, 1 - index, now);
	if (!current && !previous) {
		vpn_session_free(&s, false);
		return NULL;
	}
	if (!current)
		index = 1 - index; /* it died while the new set was being written */
	k->current = (uint8_t)index;
	k->expires[index] = MONO_NEVER;
	adopt_old_key(s, now);
	s->state = SESSION_OPEN;
	s->admission = ADMISSION_GRANTED;
	s->push_done = true;
	s->open_since = opened > 0 && opened <= now ? opened : now;
	s->send_from = now;
	s->moved_at = peer_has_moved_at(s, index, now);
	s->renegotiate_at = renegotiate_at > s->moved_at ? renegotiate_at : s->moved_at;
	ping_soon(s, now);
	renew_after_death(s, now);
	return s;
}
