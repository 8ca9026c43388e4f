/* SPDX-License-Identifier: MIT
 * A data key: cut from the negotiated material, expanded by the best backend, counted until it is worn. The
 * limits are those of OpenVPN 2.7 (src/openvpn/crypto.c, draft-irtf-cfrg-aead-limits). */
#include "common/data/data_key.h"

#include "common/base/secret.h"

#include <stdatomic.h>
#include <stdlib.h>

static const uint32_t worn_id = 0xff000000;
static const uint64_t worn_forged = UINT64_C(1) << 35;
static const uint64_t gcm_load_max = (UINT64_C(1) << 36) - 1;

/* How much a predecessor used the key is not kept. Assume that each of its packets was a full Ethernet frame.
 */
enum { LOAD_OF_UNKNOWN_PACKET = 100 };

static bool all_zero(const uint8_t *bytes, size_t len)
{
	static const uint8_t zeros[AEAD_KEY_MAX];
	return secret_equal(bytes, zeros, len);
}

static uint64_t next_id(const struct data_kept *kept)
{
	return atomic_load_explicit(&kept->ids.word, memory_order_relaxed) & ((UINT64_C(1) << 48) - 1);
}

struct data_key *data_key_new(struct data_kept *kept, uint16_t epoch)
{
	enum cipher cipher = kept->cipher;
	int half = kept->send_half;
	const struct aead_method *method = aead_method_for(cipher);
	if (!method || half > 1)
		return NULL;
	const uint8_t *send = key_cipher(kept->material, half);
	const uint8_t *receive = key_cipher(kept->material, !half);
	if (all_zero(send, cipher_key_len(cipher)) || all_zero(receive, cipher_key_len(cipher)))
		return NULL;
	struct data_key *key = calloc(1, sizeof(*key));
	if (!key)
		return NULL;
	key->kept = kept;
	key->epoch = epoch;
	memcpy(key->send_iv, key_hmac(kept->material, half), IMPLICIT_IV_LEN);
	memcpy(key->receive_iv, key_hmac(kept->material, !half), IMPLICIT_IV_LEN);
	key->sealed.load = next_id(kept) * LOAD_OF_UNKNOWN_PACKET;
	key->opened.load = (uint64_t)kept->window.highest * LOAD_OF_UNKNOWN_PACKET;
	key->send = method->schedule_new(cipher, send, AEAD_SEAL);
	key->receive = method->schedule_new(cipher, receive, AEAD_OPEN);
	if (!key->send || !key->receive)
		data_key_free(&key);
	return key;
}

void data_key_free(struct data_key **key)
{
	if (!*key)
		return;
	aead_schedule_free(&(*key)->send);
	aead_schedule_free(&(*key)->receive);
	secret_wipe(*key, sizeof(**key));
	free(*key);
	*key = NULL;
}

bool data_key_owns(const struct data_key *key)
{
	return atomic_load_explicit(&key->kept->ids.word, memory_order_acquire) >> 48 == key->epoch;
}

uint64_t data_key_packets(const struct data_key *key)
{
	return key->sealed.packets + key->opened.packets;
}

uint64_t data_key_bytes(const struct data_key *key)
{
	return key->sealed.bytes + key->opened.bytes;
}

bool data_key_worn(const struct data_key *key)
{
	const uint64_t worn_load = gcm_load_max / 8 * 7;
	bool limited = key->send->cipher != CIPHER_CHACHA20_POLY1305;
	return next_id(key->kept) >= worn_id || key->kept->window.highest >= worn_id ||
	       key->forged > worn_forged ||
	       (limited && (key->sealed.load >= worn_load || key->opened.load >= worn_load));
}
