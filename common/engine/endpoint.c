/* SPDX-License-Identifier: MIT
 * What all sessions of one configuration share: the TLS context, the control keys, the policy. */
#include "common/engine/session.h"
#include "common/base/check.h"
#include "common/base/secret.h"

#include <stdio.h>
#include <stdlib.h>

void vpn_settings_default(vpn_settings *settings, bool server)
{
	*settings = (vpn_settings){
		.server = server,
		.tls_min = 0x0303,
		.profile = VPN_PROFILE_LEGACY,
		.key_direction = -1,
		.auth = "SHA1",
		.data_ciphers = "AES-256-GCM:AES-128-GCM:CHACHA20-POLY1305",
		.replay_window = 64,
		.replay_window_s = 15,
		.tun_mtu = 1500,
		.tun_mtu_max = 1600,
		.tls_timeout_ms = 2000,
		.hand_window_ms = 60000,
		.tran_window_ms = 3600000,
		.reneg_ms = 3600000,
		.reneg_min_ms = server ? 3240000 : 3600000,
		.max_packet_size = 1250,
		.version = "2.6.14",
	};
}

static char *copy_text(const char *text)
{
	return text ? strdup(text) : NULL;
}

static bool wrap_set_up(vpn_endpoint *e, const vpn_settings *in, char *error)
{
	e->auth = digest_by_name(in->auth);
	if (in->wrapping != VPN_WRAP_NONE) {
		memcpy(e->shared_key.bytes, in->static_key, STATIC_KEY_LEN);
		e->has_shared_key = true;
	}
	if (in->wrapping == VPN_WRAP_AUTH) {
		if (e->auth == DIGEST_NONE) {
			snprintf(error, VPN_ERROR_TEXT, "auth: tls-auth needs a digest, and '%s' is none", in->auth);
			return false;
		}
		wrap_init_auth(&e->wrap, &e->shared_key, e->auth, in->key_direction);
	} else if (in->wrapping == VPN_WRAP_CRYPT) {
		wrap_init_crypt(&e->wrap, &e->shared_key, in->server);
	}
	e->has_shared_wrap = in->wrapping != VPN_WRAP_NONE || !in->server_key;
	if (in->server_key) {
		memcpy(e->server_key.bytes, in->server_key, SERVER_KEY_LEN);
		e->has_server_key = true;
	}
	if (in->client_key) {
		if (in->client_key_wrapped_len > sizeof(e->client_key_wrapped)) {
			snprintf(error, VPN_ERROR_TEXT, "tls-crypt-v2: the wrapped client key is too long");
			return false;
		}
		memcpy(e->client_key.bytes, in->client_key, STATIC_KEY_LEN);
		memcpy(e->client_key_wrapped, in->client_key_wrapped, in->client_key_wrapped_len);
		e->client_key_wrapped_len = in->client_key_wrapped_len;
		e->has_client_key = true;
		wrap_init_crypt(&e->wrap, &e->client_key, false);
	}
	return true;
}

vpn_endpoint *vpn_endpoint_new(const vpn_settings *in, char error[VPN_ERROR_TEXT], char warning[VPN_ERROR_TEXT])
{
	struct tls_settings tls = {
		.server = in->server,
		.ca_pem = in->ca_pem,
		.cert_pem = in->cert_pem,
		.extra_certs_pem = in->extra_certs_pem,
		.crl_pem = in->crl_pem,
		.key_pem = in->key_pem,
		.version_min = in->tls_min,
		.version_max = in->tls_max,
		.cipher_list = in->tls_cipher,
		.groups = in->tls_groups,
		.profile = (enum tls_profile)in->profile,
		.name_check = (enum tls_name_check)in->name_check,
		.name_wanted = in->name_wanted,
		.username_field = in->username_field,
		.want_client_usage = in->want_client_usage,
		.want_server_usage = in->want_server_usage,
		.want_key_usage = in->want_key_usage,
		.key_usages = in->key_usages,
		.key_usage_count = in->key_usage_count,
		.extended_usage = in->extended_usage,
		.fingerprints = in->fingerprints,
		.fingerprint_count = in->fingerprint_count,
		.sign = in->sign,
		.sign_context = in->sign_context,
	};
	_Static_assert((int)VPN_ERROR_TEXT == (int)TLS_REASON_MAX, "one size of error text");

	error[0] = warning[0] = 0;
	if (!in->tls_timeout_ms || !in->hand_window_ms) {
		snprintf(error, VPN_ERROR_TEXT, "%s: must not be 0", in->hand_window_ms ? "tls-timeout" : "hand-window");
		return NULL;
	}
	if (in->wrapping != VPN_WRAP_NONE && !in->static_key) {
		snprintf(error, VPN_ERROR_TEXT, "%s: needs a key", in->wrapping == VPN_WRAP_AUTH ? "tls-auth" : "tls-crypt");
		return NULL;
	}
	vpn_endpoint *e = calloc(1, sizeof(*e));
	if (!e) {
		snprintf(error, VPN_ERROR_TEXT, "out of memory");
		return NULL;
	}
	e->server = in->server;
	e->key_direction = in->key_direction;
	e->force_cookie = in->force_cookie;
	e->replay_window = in->replay_window > REPLAY_BITS ? REPLAY_BITS : in->replay_window;
	e->replay_window_s = in->replay_window_s;
	e->tun_mtu = in->tun_mtu;
	e->tun_mtu_max = in->tun_mtu_max;
	e->told_mtu = in->told_mtu;
	e->tls_timeout = in->tls_timeout_ms;
	e->hand_window = in->hand_window_ms;
	e->tran_window = in->tran_window_ms;
	e->reneg = in->reneg_ms;
	e->reneg_min = in->reneg_min_ms && in->reneg_min_ms <= in->reneg_ms ? in->reneg_min_ms : in->reneg_ms;
	e->reneg_bytes = in->reneg_bytes;
	e->reneg_packets = in->reneg_packets;
	e->ping = in->ping_ms;
	e->ping_restart = in->ping_restart_ms;
	e->session_timeout = in->session_timeout_ms;
	e->inactive = in->inactive_ms;
	e->inactive_bytes = in->inactive_bytes;
	e->max_packet_size = in->max_packet_size;
	e->proto_mask = in->proto_mask;
	e->proto_more = in->proto_more;
	e->epoch = 1;
	snprintf(e->version, sizeof(e->version), "%s", in->version ? in->version : "2.6.14");
	snprintf(e->ciphers, sizeof(e->ciphers), "%s", in->data_ciphers);
	snprintf(e->fallback, sizeof(e->fallback), "%s", in->data_ciphers_fallback ? in->data_ciphers_fallback : "");
	e->username = copy_text(in->username);
	e->password = copy_text(in->password);
	crypto_random(e->secret.bytes, sizeof(e->secret.bytes));
	e->secret_before = e->secret;
	if (!wrap_set_up(e, in, error))
		goto failed;
	e->tls = tls_context_new(&tls, error, warning);
	if (!e->tls)
		goto failed;
	return e;
failed:
	vpn_endpoint_free(&e);
	return NULL;
}

void vpn_endpoint_free(vpn_endpoint **endpoint)
{
	vpn_endpoint *e = *endpoint;

	*endpoint = NULL;
	if (!e)
		return;
	tls_context_free(&e->tls);
	if (e->password)
		secret_wipe(e->password, strlen(e->password));
	free(e->username);
	free(e->password);
	secret_wipe(e, sizeof(*e));
	free(e);
}

bool vpn_endpoint_set_crl(vpn_endpoint *endpoint, const char *crl_pem, char error[VPN_ERROR_TEXT])
{
	return tls_context_set_crl(endpoint->tls, crl_pem, error);
}

void vpn_endpoint_lose_crl(vpn_endpoint *endpoint)
{
	tls_context_lose_crl(endpoint->tls);
}

bool vpn_endpoint_revoked(const vpn_endpoint *endpoint, const uint8_t issuer[32], const char *serial)
{
	return tls_context_revoked(endpoint->tls, issuer, serial);
}

void vpn_endpoint_set_clock(vpn_endpoint *endpoint, vpn_ms now, int64_t unix_s_now)
{
	endpoint->unix_offset = unix_s_now - now / 1000;
}

void vpn_endpoint_set_secret(vpn_endpoint *endpoint, const uint8_t secret[VPN_SECRET])
{
	if (secret_equal(endpoint->secret.bytes, secret, VPN_SECRET))
		return;
	endpoint->secret_before = endpoint->secret;
	memcpy(endpoint->secret.bytes, secret, VPN_SECRET);
}

void vpn_endpoint_set_epoch(vpn_endpoint *endpoint, uint16_t epoch)
{
	endpoint->epoch = epoch;
}

const char *vpn_fate_name(int fate)
{
	return fate_name((enum fate)fate);
}

const char *vpn_fate_sentence(int fate)
{
	return fate_sentence((enum fate)fate);
}

int vpn_fate_count(void)
{
	return FATE_COUNT;
}
