/* SPDX-License-Identifier: MIT
 * What both sides say inside TLS: the key message, the push, the texts. */
#include "common/engine/session.h"
#include "common/base/secret.h"
#include "common/base/text.h"

#include <stdio.h>
#include <stdlib.h>

static uint32_t client_proto(const struct vpn_endpoint *e)
{
	uint32_t all = PROTO_DATA_V2 | PROTO_REQUEST_PUSH | PROTO_TLS_KEY_EXPORT | PROTO_CC_EXIT_NOTIFY | PROTO_DYN_TLS_CRYPT;
	return (all & ~e->proto_mask) | e->proto_more;
}

static void fill_randoms(struct vpn_session *s, struct key_message *m)
{
	struct key_sources *k = &s->negotiation->sources;

	if (s->endpoint->server) {
		crypto_random(k->server_random1, KEY_RANDOM_LEN);
		crypto_random(k->server_random2, KEY_RANDOM_LEN);
		memcpy(m->random1, k->server_random1, KEY_RANDOM_LEN);
		memcpy(m->random2, k->server_random2, KEY_RANDOM_LEN);
		return;
	}
	crypto_random(k->pre_master, PRE_MASTER_LEN);
	crypto_random(k->client_random1, KEY_RANDOM_LEN);
	crypto_random(k->client_random2, KEY_RANDOM_LEN);
	memcpy(m->pre_master, k->pre_master, PRE_MASTER_LEN);
	memcpy(m->random1, k->client_random1, KEY_RANDOM_LEN);
	memcpy(m->random2, k->client_random2, KEY_RANDOM_LEN);
}

bool agree_write_key_message(struct vpn_session *s, mono_ms now)
{
	const struct vpn_endpoint *e = s->endpoint;
	struct options_facts facts = {
		.server = e->server,
		.tls_auth = s->kept->wrap.kind == WRAP_AUTH,
		.tun_mtu = e->tun_mtu,
		.told_mtu = e->told_mtu,
		.key_direction = s->kept->wrap.kind == WRAP_AUTH ? e->key_direction : -1,
		.cipher = s->kept->cipher ? cipher_name((enum cipher)s->kept->cipher) : "AES-256-GCM",
		.auth = e->auth ? digest_name(e->auth) : "[null-digest]",
	};
	uint8_t out[8192];
	bool done = false;
	(void)now;

	struct key_message *m = calloc(1, sizeof(*m));
	if (!m)
		return false;
	fill_randoms(s, m);
	options_text(&facts, m->options, sizeof(m->options));
	if (!e->server) {
		snprintf(m->username, sizeof(m->username), "%s", e->username ? e->username : "");
		snprintf(m->password, sizeof(m->password), "%s", e->password ? e->password : "");
		peer_info_write(e->version, client_proto(e), e->tun_mtu_max, e->ciphers, m->peer_info,
			sizeof(m->peer_info));
	}
	size_t len = key_message_write(m, !e->server, out, sizeof(out));
	if (len && tls_write(s->negotiation->tls, out, len))
		done = s->negotiation->message_sent = true;
	secret_wipe(out, sizeof(out));
	secret_wipe(m, sizeof(*m));
	free(m);
	return done;
}

/* Name and certificate of the first negotiation hold for all later ones. */
static bool same_peer(struct vpn_session *s, const struct tls_peer *peer)
{
	return strncmp(s->kept->name, peer->name, KEPT_NAME_MAX - 1) == 0 &&
		secret_equal(s->kept->fingerprint, peer->fingerprint, TLS_FINGERPRINT_LEN);
}

/* Without control bytes, as OpenVPN cleans credentials; UTF-8 stays. */
static char *clean_copy(const char *text)
{
	char *copy = strdup(text);
	for (char *c = copy; c && *c; c++)
		if ((unsigned char)*c < 0x20 || (unsigned char)*c == 0x7f)
			*c = '_';
	return copy;
}

static void server_hears(struct vpn_session *s, const struct key_message *m, mono_ms now)
{
	struct negotiation *n = s->negotiation;
	struct tls_peer peer;

	tls_peer(n->tls, &peer);
	if (!n->first) {
		if (!same_peer(s, &peer)) {
			session_note(s, 1, "the peer came back as another: refused");
			vpn_session_refuse(s, NULL, now);
		}
		return;
	}
	if (s->renewing && !same_peer(s, &peer)) {
		negotiation_failed(s, "another peer began anew in its place", now);
		return;
	}
	s->peer = peer;
	snprintf(s->kept->name, KEPT_NAME_MAX, "%.127s", peer.name);
	memcpy(s->kept->fingerprint, peer.fingerprint, TLS_FINGERPRINT_LEN);
	snprintf(s->tls_text, sizeof(s->tls_text), "%s", tls_description(n->tls));
	unsigned skipped = peer_info_read(m->peer_info, &s->peer_info);
	if (skipped)
		session_note(s, 3, "%u lines of peer info ignored", skipped);
	s->kept->proto = s->peer_info.proto;
	s->peer_info_text = strdup(m->peer_info);
	if (s->peer_info_text)
		peer_info_clean(s->peer_info_text);
	s->peer_options = clean_copy(m->options);
	s->username = clean_copy(m->username);
	s->password = clean_copy(m->password);
	if (m->credentials_too_long) {
		vpn_session_refuse(s, "Username or password is too long. Maximum length is 4095 bytes", now);
		return;
	}
	s->admission = ADMISSION_ASKED;
	session_event(s, VPN_EVENT_IDENTIFIED, 0, NULL, 0);
}

bool agree_read_key_message(struct vpn_session *s, struct bytes record, mono_ms now)
{
	struct negotiation *n = s->negotiation;
	struct key_sources *k = &n->sources;
	struct key_message *m = calloc(1, sizeof(*m));
	bool good = m && key_message_read(record, s->endpoint->server, m);

	if (!good) {
		free(m);
		negotiation_failed(s, "the peer's key message does not parse", now);
		return false;
	}
	n->message_read = true;
	if (s->endpoint->server) {
		memcpy(k->pre_master, m->pre_master, PRE_MASTER_LEN);
		memcpy(k->client_random1, m->random1, KEY_RANDOM_LEN);
		memcpy(k->client_random2, m->random2, KEY_RANDOM_LEN);
		good = agree_write_key_message(s, now);
		if (good)
			server_hears(s, m, now);
	} else {
		memcpy(k->server_random1, m->random1, KEY_RANDOM_LEN);
		memcpy(k->server_random2, m->random2, KEY_RANDOM_LEN);
		if (n->first) {
			tls_peer(n->tls, &s->peer);
			snprintf(s->kept->name, KEPT_NAME_MAX, "%.127s", s->peer.name);
			snprintf(s->tls_text, sizeof(s->tls_text), "%s", tls_description(n->tls));
			s->push_at = now + 1000;
		}
	}
	secret_wipe(m, sizeof(*m));
	free(m);
	if (!good)
		negotiation_failed(s, "the key message could not be written", now);
	return good && s->state != SESSION_GONE;
}

/* -- the server's push -- */

enum { ENGINE_OPTIONS = 6 };

static void choose(struct vpn_session *s, bool *push_cipher)
{
	enum cipher cipher = cipher_choose(s->endpoint->ciphers, s->endpoint->fallback[0] ? s->endpoint->fallback : NULL,
		&s->peer_info, s->peer_options ? s->peer_options : "", push_cipher);
	s->kept->cipher = (uint8_t)cipher;
}

/* False: no memory, or TLS failed. */
static bool send_push(struct vpn_session *s, bool push_cipher, mono_ms now)
{
	char own[ENGINE_OPTIONS][PUSH_OPTION_MAX + 1];
	unsigned count = 0;
	size_t at = 0, len, total = s->option_count;
	char message[PUSH_BUNDLE];
	const char **all = calloc(total + ENGINE_OPTIONS, sizeof(*all));

	if (!all)
		return false;
	memcpy(all, s->options, total * sizeof(*all));
	if (s->kept->peer_id != WIRE_PEER_ID_NONE)
		snprintf(own[count++], sizeof(own[0]), "peer-id %u", s->kept->peer_id);
	if (push_cipher)
		snprintf(own[count++], sizeof(own[0]), "cipher %s", cipher_name((enum cipher)s->kept->cipher));
	if (s->kept->proto & PROTO_CC_EXIT_NOTIFY)
		snprintf(own[count++], sizeof(own[0]), "protocol-flags cc-exit%s%s", s->kept->tls_ekm ? " tls-ekm" : "",
			s->kept->dynamic ? " dyn-tls-crypt" : "");
	else if (s->kept->tls_ekm)
		snprintf(own[count++], sizeof(own[0]), "key-derivation tls-ekm");
	if (s->peer_info.mtu)
		snprintf(own[count++], sizeof(own[0]), "tun-mtu %u",
			s->peer_info.mtu < s->endpoint->tun_mtu ? s->peer_info.mtu : s->endpoint->tun_mtu);
	for (unsigned i = 0; i < count; i++)
		all[total++] = own[i];
	while ((len = push_reply_write(all, total, &at, message, sizeof(message))))
		if (!tls_write(s->negotiation->tls, message, len))
			break;
	free(all);
	forget_options(s);
	s->push_done = true;
	s->pushed_at = now;
	return !len;
}

/* D: what the exporter gives, mixed with the control key in use (protocol: dynamic tls-crypt). */
static bool make_dynamic_wrap(struct vpn_session *s)
{
	struct static_key d;
	struct kept *k = s->kept;

	if (!tls_export(s->negotiation->tls, EXPORT_LABEL_WRAP, d.bytes, sizeof(d.bytes)))
		return false;
	for (unsigned i = 0; s->has_control_key && i < STATIC_KEY_LEN; i++)
		d.bytes[i] ^= s->control_key.bytes[i];
	secret_wipe(&s->control_key, sizeof(s->control_key));
	wrap_init_crypt(&k->dynamic_wrap, &d, s->endpoint->server);
	secret_wipe(&d, sizeof(d));
	k->dynamic_counter = (struct wrap_counter){ 0 };
	k->dynamic = true;
	return true;
}

static void server_opens(struct vpn_session *s, mono_ms now)
{
	struct kept *k = s->kept;
	bool push_cipher = false;

	choose(s, &push_cipher);
	if (!k->cipher) {
		session_note(s, 1, "no data cipher that both sides have");
		vpn_session_refuse(s, "Data channel cipher negotiation failed (no shared cipher)", now);
		return;
	}
	k->tls_ekm = !!(k->proto & PROTO_TLS_KEY_EXPORT);
	k->cc_exit = !!(k->proto & PROTO_CC_EXIT_NOTIFY);
	if (!(k->proto & PROTO_DATA_V2))
		k->peer_id = WIRE_PEER_ID_NONE;
	if ((k->proto & PROTO_DYN_TLS_CRYPT) && k->cc_exit && !make_dynamic_wrap(s)) {
		session_gone(s, "TLS gave no key material");
		return;
	}
	if (!session_make_keys(s, now))
		return;
	/* Ready to receive before the push leaves. */
	if (!send_push(s, push_cipher, now)) {
		session_gone(s, "the push could not be written");
		return;
	}
	if (s->renewing) {
		renew_done(s, now);
		session_event(s, VPN_EVENT_REKEYED, s->negotiation->key_id, NULL, 0);
		return;
	}
	s->open_since = k->opened = now;
	s->state = SESSION_OPEN;
	session_event(s, VPN_EVENT_OPEN, 0, NULL, 0);
}

static void client_opens(struct vpn_session *s, mono_ms now)
{
	struct kept *k = s->kept;

	if (s->pushed->unusable) {
		session_gone(s, "the server pushed a cipher or protocol flag that we do not have");
		return;
	}
	k->cipher = (uint8_t)(s->pushed->cipher ? s->pushed->cipher : CIPHER_AES_256_GCM);
	k->peer_id = s->pushed->peer_id;
	k->tls_ekm = s->pushed->tls_ekm;
	k->cc_exit = s->pushed->cc_exit;
	if (s->pushed->dyn_tls_crypt && !make_dynamic_wrap(s)) {
		session_gone(s, "TLS gave no key material");
		return;
	}
	if (s->pushed->ping_s)
		s->ping = (span_ms)s->pushed->ping_s * 1000;
	if (s->pushed->ping_restart_s)
		s->ping_restart = (span_ms)s->pushed->ping_restart_s * 1000;
	if (!session_make_keys(s, now))
		return;
	s->push_at = MONO_NEVER;
	s->open_since = k->opened = now;
	s->state = SESSION_OPEN;
	session_event(s, VPN_EVENT_OPEN, 0, NULL, 0);
}

static void rekey(struct vpn_session *s, mono_ms now)
{
	uint8_t key_id = s->negotiation->key_id;

	if (s->admission != ADMISSION_REFUSED && session_make_keys(s, now))
		session_event(s, VPN_EVENT_REKEYED, key_id, NULL, 0);
}

void agree_early(struct vpn_session *s, uint8_t key_id, mono_ms now)
{
	const struct negotiation *n = s->negotiation;

	if (s->state == SESSION_OPEN && !n->first && !n->keyed && n->key_id == key_id && n->message_sent && n->message_read)
		rekey(s, now);
}

void agree_finish(struct vpn_session *s, mono_ms now)
{
	struct negotiation *n = s->negotiation;

	if (n->keyed || s->state == SESSION_LEAVING)
		return;
	if (!n->first) {
		rekey(s, now);
		return;
	}
	if (!s->endpoint->server) {
		if (s->push_done)
			client_opens(s, now);
		return;
	}
	if (s->admission != ADMISSION_GRANTED)
		return;
	if ((s->kept->proto & PROTO_REQUEST_PUSH) || s->push_wanted)
		server_opens(s, now);
}

static void forget_password(struct vpn_session *s)
{
	if (s->password)
		secret_wipe(s->password, strlen(s->password));
}

bool vpn_session_admit(vpn_session *s, const vpn_grant *grant, vpn_ms now)
{
	if ((s->state != SESSION_GREETING && !s->renewing) || s->admission != ADMISSION_ASKED)
		return false;
	s->options = calloc(grant->option_count ? grant->option_count : 1, sizeof(*s->options));
	if (!s->options)
		return false;
	for (size_t i = 0; i < grant->option_count; i++) {
		s->options[i] = strdup(grant->options[i]);
		if (!s->options[i])
			return false;
		s->option_count++;
	}
	s->kept->peer_id = grant->peer_id;
	s->admission = ADMISSION_GRANTED;
	forget_password(s);
	negotiation_advance(s, now);
	return true;
}

void vpn_session_refuse(vpn_session *s, const char *reason, vpn_ms now)
{
	char text[CONTROL_TEXT_MAX];

	if (s->state == SESSION_GONE || s->state == SESSION_LEAVING || !s->negotiation)
		return;
	snprintf(text, sizeof(text), "AUTH_FAILED%s%s", reason ? "," : "", reason ? reason : "");
	s->admission = ADMISSION_REFUSED;
	forget_password(s);
	snprintf(s->close_reason, sizeof(s->close_reason), "refused%s%.100s", reason ? ": " : "", reason ? reason : "");
	for (unsigned i = 0; i < KEY_SETS; i++)
		session_drop_key(s, i);
	vpn_session_say(s, text, now);
	if (s->state == SESSION_GONE)
		return;
	s->state = SESSION_LEAVING;
	s->said_last = true;
	s->linger_until = now + LINGER_MS;
}

/* -- texts -- */

static void hear_push_reply(struct vpn_session *s, const char *text)
{
	if (s->endpoint->server || !s->pushed || s->state == SESSION_OPEN)
		return;
	session_event(s, VPN_EVENT_PUSHED, 0, text, strlen(text));
	if (pushed_read(s->pushed, text) && !s->pushed->more)
		s->push_done = true;
}

static void hear_text(struct vpn_session *s, const char *text, mono_ms now)
{
	const char *rest;
	char shown[256];

	switch (control_text_kind(text, &rest)) {
	case TEXT_PUSH_REQUEST:
		s->push_wanted = s->endpoint->server;
		return;
	case TEXT_PUSH_REPLY:
		hear_push_reply(s, text);
		return;
	case TEXT_EXIT:
		session_note(s, 3, "the peer says EXIT");
		if (s->endpoint->server) {
			snprintf(s->close_reason, sizeof(s->close_reason), "the peer left (EXIT)");
			s->state = SESSION_LEAVING;
			s->linger_until = now; /* once it is acknowledged; the place is free for others at once */
		} else {
			session_gone(s, "the server left (EXIT)");
		}
		return;
	case TEXT_AUTH_FAILED:
	case TEXT_RESTART:
	case TEXT_HALT:
		if (!s->endpoint->server) {
			session_gone(s, "the server says %s", text_escape(shown, sizeof(shown), text, strlen(text), NULL));
			return;
		}
		break;
	default:
		break;
	}
	session_event(s, VPN_EVENT_TEXT, 0, text, strlen(text));
}

void agree_text(struct vpn_session *s, struct bytes record, mono_ms now)
{
	char text[CONTROL_TEXT_MAX];
	bool bad;

	while (s->state != SESSION_GONE && control_text_next(&record, text, &bad)) {
		if (bad)
			session_note(s, 2, "a text message that is not plain text was dropped");
		else
			hear_text(s, text, now);
	}
}

void agree_flush_texts(struct vpn_session *s, mono_ms now)
{
	unsigned sent = 0;
	(void)now;

	if (!s->negotiation || s->negotiation->state != NEGOTIATION_ACTIVE)
		return;
	while (sent < s->text_count && tls_write(s->negotiation->tls, s->texts[sent], strlen(s->texts[sent]) + 1))
		free(s->texts[sent++]);
	memmove(s->texts, s->texts + sent, (s->text_count - sent) * sizeof(*s->texts));
	s->text_count -= sent;
}
