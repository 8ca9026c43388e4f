/* SPDX-License-Identifier: MIT
 * The configuration as the engine wants it. Here and nowhere else, so that the master can ask at a reload what
 * a worker would say to it. */
#include "worker/worker.h"

#include "conf/config.h"

#include <limits.h>

/* Seconds of the configuration; what does not fit is as good as never. */
static unsigned ms_of(unsigned seconds)
{
	return seconds < UINT_MAX / 1000 ? seconds * 1000 : UINT_MAX;
}

vpn_endpoint *worker_endpoint(const struct config *c, worker_signs *sign, void *context, char error[VPN_ERROR_TEXT],
	char warning[VPN_ERROR_TEXT])
{
	vpn_settings s;

	vpn_settings_default(&s, true);
	s.ca_pem = c->ca.bytes;
	s.cert_pem = c->cert.bytes;
	s.extra_certs_pem = c->extra_certs.bytes;
	s.crl_pem = c->crl.bytes;
	s.tls_min = c->tls_min;
	s.tls_max = c->tls_max;
	s.tls_cipher = c->tls_cipher;
	s.tls_groups = c->tls_groups;
	s.profile = (int)c->profile;
	s.name_check = (int)c->name_check;
	s.name_wanted = c->name_wanted;
	s.username_field = c->username_field;
	s.want_client_usage = c->remote_cert_client;
	s.want_server_usage = c->remote_cert_server;
	s.want_key_usage = c->remote_ku_any;
	s.key_usages = c->remote_ku;
	s.key_usage_count = c->remote_ku_count;
	s.extended_usage = c->remote_eku;
	s.fingerprints = (const uint8_t(*)[32])c->fingerprints;
	s.fingerprint_count = c->fingerprint_count;
	s.sign = sign;
	s.sign_context = context;
	s.wrapping = (int)c->wrap;
	s.static_key = c->static_key;
	s.key_direction = c->key_direction;
	s.auth = c->auth;
	s.server_key = c->crypt_v2 ? c->crypt_v2_key : NULL;
	s.force_cookie = c->force_cookie;
	s.data_ciphers = c->data_ciphers;
	s.data_ciphers_fallback = c->data_ciphers_fallback;
	s.replay_window = c->replay_window;
	s.replay_window_s = c->replay_window_s;
	s.tun_mtu = c->tun_mtu;
	s.tun_mtu_max = c->tun_mtu_max;
	s.told_mtu = c->occ_mtu;
	s.tls_timeout_ms = ms_of(c->tls_timeout_s);
	s.hand_window_ms = ms_of(c->hand_window_s);
	s.tran_window_ms = ms_of(c->tran_window_s);
	s.reneg_ms = ms_of(c->reneg_s);
	s.reneg_min_ms = c->reneg_min_s ? ms_of(c->reneg_min_s) : ms_of(c->reneg_s) / 10 * 9;
	s.reneg_bytes = c->reneg_bytes;
	s.reneg_packets = c->reneg_packets;
	s.ping_ms = ms_of(c->ping_s);
	s.ping_restart_ms = ms_of(c->ping_restart_s);
	s.session_timeout_ms = ms_of(c->session_timeout_s);
	s.inactive_ms = ms_of(c->inactive_s);
	s.inactive_bytes = c->inactive_bytes;
	s.max_packet_size = c->max_packet_size;
	return vpn_endpoint_new(&s, error, warning);
}
