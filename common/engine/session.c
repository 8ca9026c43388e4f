/* SPDX-License-Identifier: MIT
 * A session's birth, its timeouts and its death; the states are drawn in session.h. */
#include "common/engine/session.h"
#include "common/base/check.h"
#include "common/base/secret.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

size_t vpn_kept_size(void)
{
	return (sizeof(struct kept) + VPN_KEPT_ALIGN - 1) / VPN_KEPT_ALIGN * VPN_KEPT_ALIGN;
}

unsigned vpn_kept_layout(void)
{
	return KEPT_LAYOUT << 24 | (unsigned)sizeof(struct kept);
}

unix_s session_unix(const struct vpn_session *s, mono_ms now)
{
	return now / 1000 + s->endpoint->unix_offset;
}

struct vpn_session *session_new(struct vpn_endpoint *endpoint, void *kept, mono_ms now)
{
	struct vpn_session *s = calloc(1, sizeof(*s));
	if (!s)
		return NULL;
	s->endpoint = endpoint;
	s->kept = kept;
	if (!kept) {
		s->kept = aligned_alloc(VPN_KEPT_ALIGN, vpn_kept_size());
		if (!s->kept) {
			free(s);
			return NULL;
		}
		memset(s->kept, 0, vpn_kept_size());
		s->owns_kept = true;
	}
	CHECK((uintptr_t)s->kept % 8 == 0);
	s->events_end = &s->events;
	s->round_trip8 = -1;
	s->born = s->last_in = s->last_out = s->inactive_since = now;
	s->ping = endpoint->ping;
	s->ping_restart = endpoint->ping_restart;
	s->spoil_at = s->renegotiate_at = s->push_at = s->linger_until = MONO_NEVER;
	return s;
}

static struct kept *kept_begin(struct vpn_session *s)
{
	struct kept *k = s->kept;
	memset(k, 0, sizeof(*k));
	k->layout = KEPT_LAYOUT;
	k->server = s->endpoint->server;
	k->peer_id = WIRE_PEER_ID_NONE;
	return k;
}

static void wrap_begin(struct vpn_session *s)
{
	struct kept *k = s->kept;
	k->wrap = s->endpoint->wrap;
	k->counter = k->dynamic_counter = (struct wrap_counter){ 0 };
	k->window = k->dynamic_window = (struct wrap_window){
		.width = (uint8_t)(s->endpoint->replay_window < 64 ? s->endpoint->replay_window : 64) };
	s->control_key = s->endpoint->has_client_key ? s->endpoint->client_key : s->endpoint->shared_key;
	s->has_control_key = s->endpoint->has_client_key || s->endpoint->has_shared_key;
}

void session_wrap(struct vpn_session *s, const vpn_contact *contact, mono_ms now)
{
	struct kept *k = s->kept;
	wrap_begin(s);
	if (contact->has_client_key) {
		memcpy(s->control_key.bytes, contact->client_key, STATIC_KEY_LEN);
		s->has_control_key = true;
		wrap_init_crypt(&k->wrap, &s->control_key, true);
	}
	if (contact->proven) {
		/* The stateless answer used id 1. Its time may have been a second later than what is taken for the time
		 * now (the two clocks' seconds do not begin together), and peers take nothing from the past. */
		k->counter.next = 2;
		k->counter.time = (uint32_t)session_unix(s, now) + 1;
	}
}

vpn_session *vpn_session_accept(vpn_endpoint *endpoint, const vpn_contact *contact, void *kept, vpn_ms now)
{
	struct vpn_session *s = session_new(endpoint, kept, now);
	if (!s)
		return NULL;
	struct kept *k = kept_begin(s);
	k->local_session = contact->local_session;
	k->remote_session = contact->remote_session;
	session_wrap(s, contact, now);
	s->negotiation = negotiation_new(s, 0, contact->proven, now);
	if (!s->negotiation)
		vpn_session_free(&s, true);
	return s;
}

vpn_session *vpn_session_connect(vpn_endpoint *endpoint, void *kept, vpn_ms now)
{
	struct vpn_session *s = session_new(endpoint, kept, now);
	if (!s)
		return NULL;
	struct kept *k = kept_begin(s);
	wrap_begin(s);
	crypto_random(&k->local_session, sizeof(k->local_session));
	k->local_session |= 1;
	if (endpoint->has_client_key) {
		/* This id announces that we can send the client key again when asked to. */
		k->counter.next = 0x0f000001;
		k->counter.time = (uint32_t)session_unix(s, now);
	}
	s->pushed = malloc(sizeof(*s->pushed));
	if (s->pushed) {
		pushed_init(s->pushed);
		s->negotiation = negotiation_new(s, 0, false, now);
	}
	if (!s->negotiation)
		vpn_session_free(&s, true);
	return s;
}

void forget_options(struct vpn_session *s)
{
	for (size_t i = 0; i < s->option_count; i++)
		free(s->options[i]);
	free(s->options);
	s->options = NULL;
	s->option_count = 0;
}

static void forget_texts(struct vpn_session *s)
{
	char *secrets[] = { s->username, s->password };
	for (unsigned i = 0; i < 2; i++)
		if (secrets[i])
			secret_wipe(secrets[i], strlen(secrets[i]));
	free(s->username);
	free(s->password);
	free(s->peer_info_text);
	free(s->peer_options);
	s->username = s->password = s->peer_info_text = s->peer_options = NULL;
	forget_options(s);
	for (unsigned i = 0; i < s->text_count; i++)
		free(s->texts[i]);
	s->text_count = 0;
}

void vpn_session_free(vpn_session **session, bool wipe_kept)
{
	struct vpn_session *s = *session;

	*session = NULL;
	if (!s)
		return;
	negotiation_free(&s->negotiation);
	for (unsigned i = 0; i < KEY_SETS; i++)
		data_key_free(&s->keys[i]);
	forget_texts(s);
	while (s->events) {
		struct event *next = s->events->next;
		free(s->events);
		s->events = next;
	}
	free(s->given);
	free(s->pushed);
	if (s->owns_kept || wipe_kept)
		secret_wipe(s->kept, vpn_kept_size());
	if (s->owns_kept)
		free(s->kept);
	secret_wipe(s, sizeof(*s));
	free(s);
}

void session_gone(struct vpn_session *s, const char *format, ...)
{
	char text[sizeof(s->close_reason)];
	va_list args;

	if (s->state == SESSION_GONE)
		return;
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args); /* not at once: the reason may be the argument */
	va_end(args);
	memcpy(s->close_reason, text, sizeof(s->close_reason));
	s->state = SESSION_GONE;
	negotiation_free(&s->negotiation);
}

/* -- time -- */

static mono_ms ping_at(const struct vpn_session *s)
{
	return s->ping && s->state == SESSION_OPEN ? s->last_out + s->ping : MONO_NEVER;
}

static mono_ms silence_at(const struct vpn_session *s)
{
	return s->ping_restart && s->state != SESSION_LEAVING ? s->last_in + s->ping_restart : MONO_NEVER;
}

static mono_ms inactive_at(const struct vpn_session *s)
{
	return s->endpoint->inactive && s->state == SESSION_OPEN ? s->inactive_since + s->endpoint->inactive :
								    MONO_NEVER;
}

static mono_ms timeout_at(const struct vpn_session *s)
{
	return s->endpoint->session_timeout && s->state == SESSION_OPEN ?
		s->open_since + s->endpoint->session_timeout :
		MONO_NEVER;
}

static mono_ms key_end_at(const struct vpn_session *s)
{
	mono_ms at = MONO_NEVER;
	for (unsigned i = 0; i < KEY_SETS; i++)
		if (s->keys[i])
			at = mono_earlier(at, s->kept->expires[i]);
	return at;
}

vpn_ms vpn_session_wake_at(const vpn_session *s)
{
	mono_ms at = s->linger_until;

	if (s->state == SESSION_GONE)
		return s->events || !s->closed_told ? 0 : MONO_NEVER;
	if (s->event_lost || s->peer_left || (s->negotiation && receive_window_owes(&s->negotiation->in)))
		return 0;
	/* Only what tick() and transmit() then do away with: anything else would keep the host awake for nothing. */
	if (s->state == SESSION_OPEN && (s->renegotiate_now || s->occ_reply))
		return 0;
	if (s->farewells)
		at = mono_earlier(at, s->farewell_at);
	if (s->negotiation) {
		at = mono_earlier(at, send_window_wake_at(&s->negotiation->out));
		if (!s->negotiation->keyed)
			at = mono_earlier(at, s->negotiation->deadline);
	}
	at = mono_earlier(at, ping_at(s));
	at = mono_earlier(at, silence_at(s));
	at = mono_earlier(at, inactive_at(s));
	at = mono_earlier(at, timeout_at(s));
	at = mono_earlier(at, key_end_at(s));
	at = mono_earlier(at, s->push_at);
	at = mono_earlier(at, renew_wake_at(s));
	if (s->state == SESSION_OPEN)
		at = mono_earlier(at, s->renegotiate_at);
	return at;
}

static void check_inactive(struct vpn_session *s, mono_ms now)
{
	uint64_t traffic = s->bytes_in + s->bytes_out;
	if (now < inactive_at(s))
		return;
	uint64_t least = s->endpoint->inactive_bytes ? s->endpoint->inactive_bytes : 1;
	if (traffic - s->inactive_mark < least) {
		vpn_session_close(s, NULL, "inactive: too little traffic", 0, now);
		return;
	}
	s->inactive_mark = traffic;
	s->inactive_since = now;
}

void vpn_session_tick(vpn_session *s, vpn_ms now)
{
	struct negotiation *n = s->negotiation;

	if (s->state == SESSION_GONE)
		return;
	if (now >= s->linger_until) {
		session_gone(s, "%s", s->close_reason);
		return;
	}
	if (s->peer_left || s->event_lost) {
		session_gone(s, s->peer_left ? "the peer left" : "out of memory");
		return;
	}
	if (now >= silence_at(s)) {
		session_gone(s, "ping-restart: nothing heard for %lld s", (long long)(s->ping_restart / 1000));
		return;
	}
	if (now >= timeout_at(s)) {
		vpn_session_close(s, s->endpoint->server ? "RESTART" : NULL, "session-timeout", LINGER_MS, now);
		return;
	}
	if (n && !n->keyed && now >= n->deadline) {
		negotiation_failed(s, "hand-window: the negotiation took too long", now);
		return;
	}
	check_inactive(s, now);
	for (unsigned i = 0; i < KEY_SETS; i++)
		if (s->keys[i] && now >= s->kept->expires[i])
			session_drop_key(s, i);
	if (s->state == SESSION_OPEN && !s->keys[0] && !s->keys[1]) {
		session_gone(s, "tran-window: the last data key has expired");
		return;
	}
	if (now >= renew_wake_at(s))
		renew_tick(s, now);
	if (s->state == SESSION_OPEN && (s->renegotiate_now || now >= s->renegotiate_at))
		vpn_session_renegotiate(s, now);
	if (now >= s->push_at && !s->endpoint->server) {
		vpn_session_say(s, "PUSH_REQUEST", now);
		s->push_at = now + 5000;
	}
	if (s->negotiation)
		negotiation_advance(s, now);
}

void vpn_session_renegotiate(vpn_session *s, vpn_ms now)
{
	s->renegotiate_now = false;
	if (s->state != SESSION_OPEN || (s->negotiation && !s->negotiation->keyed))
		return;
	if (s->endpoint->server && now < s->again_from) {
		s->renegotiate_at = s->again_from;
		return;
	}
	/* Nothing that must be delivered may be left unacknowledged: the peer drops late packets of the old key id. But
	 * one that never acknowledges would keep its keys, and its certificate unasked for, as long as it likes. */
	if (s->negotiation && !send_window_idle(&s->negotiation->out)) {
		if (!s->renegotiate_by)
			s->renegotiate_by = now + s->endpoint->hand_window;
		if (now < s->renegotiate_by) {
			s->renegotiate_at = now + 100;
			return;
		}
	}
	if (!negotiation_again(s, true, now))
		s->renegotiate_at = now + 5000;
}

/* -- what the host says -- */

bool vpn_session_say(vpn_session *s, const char *text, vpn_ms now)
{
	if (s->state == SESSION_GONE || s->text_count == TEXTS_MAX || strlen(text) >= CONTROL_TEXT_MAX)
		return false;
	char *copy = strdup(text);
	if (!copy)
		return false;
	s->texts[s->text_count++] = copy;
	if (s->negotiation)
		negotiation_advance(s, now);
	return true;
}

/* An adopted session has no TLS to say anything in until it has renegotiated, nor has one in the middle of that; the
 * data channel can still tell the peer to begin anew. Only peers that take part in exit by control channel (2.6 and
 * later) do: older ones would end for good. */
static bool can_tell_by_data(const struct vpn_session *s)
{
	return s->endpoint->server && s->state == SESSION_OPEN && s->kept->cc_exit;
}

void vpn_session_close(vpn_session *s, const char *text, const char *reason, vpn_ms linger, vpn_ms now)
{
	if (s->state == SESSION_GONE || s->state == SESSION_LEAVING)
		return;
	bool can_say = s->negotiation && s->negotiation->state == NEGOTIATION_ACTIVE;
	if (!text && !s->endpoint->server && s->kept->cc_exit)
		text = "EXIT";
	if (text && can_say)
		vpn_session_say(s, text, now);
	if (s->state == SESSION_GONE)
		return;
	if (text && !can_say && can_tell_by_data(s)) {
		s->farewells = FAREWELLS;
		s->farewell_at = now;
	}
	if (!text || (!can_say && !s->farewells) || linger <= 0) {
		session_gone(s, "%s", reason);
		return;
	}
	snprintf(s->close_reason, sizeof(s->close_reason), "%s", reason);
	s->state = SESSION_LEAVING;
	s->said_last = can_say;
	s->linger_until = now + linger;
}

bool vpn_session_is_open(const vpn_session *s)
{
	return s->state == SESSION_OPEN;
}

const char *vpn_session_name(const vpn_session *s)
{
	return s->kept->name;
}

void vpn_session_traffic(const vpn_session *s, uint64_t *bytes_in, uint64_t *bytes_out)
{
	*bytes_in = s->bytes_in;
	*bytes_out = s->bytes_out;
}

const char *vpn_session_ifconfig(const vpn_session *s, bool ip6)
{
	if (!s->pushed)
		return "";
	return ip6 ? s->pushed->ifconfig6 : s->pushed->ifconfig;
}

void session_note_round_trip(struct vpn_session *s, span_ms sample)
{
	if (sample < 0)
		return;
	if (s->round_trip8 < 0)
		s->round_trip8 = sample * 8;
	else
		s->round_trip8 += sample - s->round_trip8 / 8; /* an eighth of the difference */
}

vpn_ms vpn_session_round_trip(const vpn_session *s)
{
	return s->round_trip8 < 0 ? -1 : (s->round_trip8 + 4) / 8;
}

void vpn_session_peer(const vpn_session *s, vpn_peer *out)
{
	*out = (vpn_peer){
		.common_name = s->peer.name[0] ? s->peer.name : s->kept->name,
		.subject = s->peer.subject,
		.serial = s->peer.serial,
		.fingerprint = s->peer.fingerprint,
		.issuer = s->peer.issuer,
		.username = s->username ? s->username : "",
		.password = s->password ? s->password : "",
		.peer_info = s->peer_info_text ? s->peer_info_text : "",
		.version = s->peer_info.version,
		.platform = s->peer_info.platform,
		.cipher = s->kept->cipher ? cipher_name((enum cipher)s->kept->cipher) : "",
		.tls = s->tls_text,
		.proto = s->kept->proto,
		.mtu = s->peer_info.mtu,
	};
}
