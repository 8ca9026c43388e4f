/* SPDX-License-Identifier: MIT
 * The key sets of a session: the current one, the one before it, and one from before the peer began anew. */
#include "common/engine/session.h"
#include "common/base/secret.h"

#include <stdatomic.h>
#include <stddef.h>
#include <string.h>

_Static_assert(offsetof(struct data_kept, cipher) == 0, "what makes a set count is its first byte");

void session_drop_key(struct vpn_session *s, unsigned index)
{
	data_key_free(&s->keys[index]);
	/* The cipher first: should we die on the next line, no successor takes what is left of it for a key set. */
	s->kept->keys[index].cipher = CIPHER_UNKNOWN;
	atomic_signal_fence(memory_order_seq_cst);
	secret_wipe(&s->kept->keys[index], sizeof(s->kept->keys[index]));
	s->kept->expires[index] = MONO_NEVER;
}

/* Makes room at `index`. A client that began anew keeps the set from before that as its third, and goes back to it whenever
 * its two newer ones are both younger than its hand-window (OpenVPN: src/openvpn/ssl.c, tls_select_encryption_key). */
static void clear_place(struct vpn_session *s, unsigned index)
{
	struct kept *k = s->kept;
	struct data_kept *to = &k->keys[KEY_SET_OLD];

	if (k->becomes_old == 1 + index && s->keys[index]) {
		session_drop_key(s, KEY_SET_OLD);
		/* The cipher last, as ever: a set that is whole counts. Should we die here, there are two (adopt.c). */
		memcpy((uint8_t *)to + 1, (const uint8_t *)&k->keys[index] + 1, sizeof(*to) - 1);
		k->expires[KEY_SET_OLD] = k->expires[index];
		atomic_signal_fence(memory_order_seq_cst);
		to->cipher = k->keys[index].cipher;
		s->keys[KEY_SET_OLD] = data_key_new(to, s->endpoint->epoch);
		if (!s->keys[KEY_SET_OLD])
			session_drop_key(s, KEY_SET_OLD);
	}
	if (k->becomes_old == 1 + index)
		k->becomes_old = 0;
	session_drop_key(s, index);
}

void session_limit_key(struct vpn_session *s, mono_ms now)
{
	mono_ms *expires = &s->kept->expires[session_current(s)];
	*expires = mono_earlier(*expires, now + s->endpoint->tran_window);
}

static bool key_material(struct vpn_session *s, uint8_t out[KEY_MATERIAL_LEN])
{
	const struct kept *k = s->kept;
	uint64_t client = k->server ? k->remote_session : k->local_session;
	uint64_t server = k->server ? k->local_session : k->remote_session;

	if (k->tls_ekm)
		return tls_export(s->negotiation->tls, EXPORT_LABEL_DATA, out, KEY_MATERIAL_LEN);
	return derive_from_sources(&s->negotiation->sources, client, server, out);
}

bool session_make_keys(struct vpn_session *s, mono_ms now)
{
	struct negotiation *n = s->negotiation;
	struct kept *k = s->kept;
	unsigned current = session_current(s), index = s->keys[current] ? 1 - current : current;
	struct data_kept *key = &k->keys[index];

	clear_place(s, index);
	key->key_id = n->key_id;
	key->send_half = k->server ? 1 : 0;
	key->peer_id = k->peer_id;
	key->window.width = s->endpoint->replay_window;
	key->window.limit_s = s->endpoint->replay_window_s;
	packet_id_adopt(&key->ids, s->endpoint->epoch);
	bool good = key_material(s, key->material);
	secret_wipe(&n->sources, sizeof(n->sources));
	/* The cipher last: with it the set counts as one, for whoever finds it after our death. */
	atomic_signal_fence(memory_order_release);
	key->cipher = k->cipher;
	s->keys[index] = good ? data_key_new(key, s->endpoint->epoch) : NULL;
	if (!s->keys[index]) {
		session_drop_key(s, index);
		negotiation_failed(s, "no data keys could be made", now);
		return false;
	}
	span_ms wait = s->endpoint->hand_window;
	if (s->endpoint->reneg && s->endpoint->reneg / 2 < wait)
		wait = s->endpoint->reneg / 2;
	/* From now, not from the beginning as stock counts: where acknowledgements are lost, the peer may have its keys much
	 * later than we have ours. If it is quicker, we see it use them and follow. */
	s->send_from = n->first || n->at_once ? now : now + wait;
	k->expires[index] = MONO_NEVER;
	if (s->renewing && index != current)
		k->becomes_old = (uint8_t)(1 + current);
	k->current = (uint8_t)index;
	k->open = true;
	n->keyed = true;
	n->keyed_at = now;
	session_plan_renegotiation(s, now);
	return true;
}

void session_plan_renegotiation(struct vpn_session *s, mono_ms now)
{
	const struct vpn_endpoint *e = s->endpoint;
	uint32_t chance;

	s->renegotiate_at = MONO_NEVER;
	if (!e->reneg)
		return;
	crypto_random(&chance, sizeof(chance));
	s->renegotiate_at = now + e->reneg_min + (span_ms)(chance % (uint32_t)(e->reneg - e->reneg_min + 1));
}

struct data_key *session_send_key(struct vpn_session *s, mono_ms now)
{
	unsigned current = session_current(s), previous = 1 - current;

	/* The peer gets time to finish before it sees the new key. */
	if (s->keys[previous] && now < s->send_from && now < s->kept->expires[previous])
		return s->keys[previous];
	return s->keys[current];
}
