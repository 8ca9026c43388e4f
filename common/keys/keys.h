/* SPDX-License-Identifier: MIT
 * The door to key derivation: from what a negotiation agreed on to the 256 bytes that both sides cut their
 * data keys from. OpenVPN's src/openvpn/ssl.c (generate_key_expansion), RFC 5705 for the exporter. */
#ifndef COMMON_KEYS_KEYS_H
#define COMMON_KEYS_KEYS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { KEY_MATERIAL_LEN = 256, PRE_MASTER_LEN = 48, KEY_RANDOM_LEN = 32 };

/* Exporter labels (used without a context). */
#define EXPORT_LABEL_DATA "EXPORTER-OpenVPN-datakeys"
#define EXPORT_LABEL_WRAP "EXPORTER-OpenVPN-dynamic-tls-crypt"

/* What both sides put into their key messages, for the old derivation. Secret: wipe it. */
struct key_sources {
	uint8_t pre_master[PRE_MASTER_LEN];
	uint8_t client_random1[KEY_RANDOM_LEN], client_random2[KEY_RANDOM_LEN];
	uint8_t server_random1[KEY_RANDOM_LEN], server_random2[KEY_RANDOM_LEN];
};

/* The TLS 1.0 PRF (RFC 2246 section 5) over MD5 and SHA-1. */
bool prf_tls1(const uint8_t *secret, size_t secret_len, const uint8_t *seed, size_t seed_len, uint8_t *out,
	size_t out_len);
/* HKDF-Expand (RFC 5869 section 2.3), SHA-256. False also when more than 255 * 32 bytes are asked for. */
bool hkdf_expand(const uint8_t secret[32], const uint8_t *info, size_t info_len, uint8_t *out, size_t out_len);
/* HKDF-Expand-Label with OpenVPN's prefix "ovpn " (RFC 8446 section 7.1 otherwise), SHA-256. False also
 * when label (250), context (255) or result (255 * 32) are longer than their length fields allow. */
bool hkdf_expand_label(const uint8_t secret[32], const char *label, const uint8_t *context, size_t context_len,
	uint8_t *out, size_t out_len);
/* The old derivation; the session ids are those of client and server, big endian on the wire. */
bool derive_from_sources(const struct key_sources *sources, uint64_t client_session, uint64_t server_session,
	uint8_t out[KEY_MATERIAL_LEN]);

/* Where one direction's keys lie inside the material. The client sends with half 0, the server with half 1. */
static inline const uint8_t *key_cipher(const uint8_t material[KEY_MATERIAL_LEN], int half)
{
	return material + 128 * half;
}
static inline const uint8_t *key_hmac(const uint8_t material[KEY_MATERIAL_LEN], int half)
{
	return material + 128 * half + 64;
}

#endif
