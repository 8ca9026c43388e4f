/* SPDX-License-Identifier: MIT
 * HKDF-Expand (RFC 5869 section 2.3) over SHA-256, and the labelled form of TLS 1.3 with OpenVPN's prefix. */
#include "common/keys/keys.h"
#include "common/base/secret.h"
#include "common/crypto/crypto.h"

enum { HASH_LEN = 32, EXPAND_MAX = 255 * HASH_LEN };

/* T(i) = HMAC(secret, T(i-1) | info | i), the output T(1) | T(2) | ... `pieces[0]` and the last are ours to
 * fill. */
static bool expand(
	const uint8_t secret[HASH_LEN], struct piece *pieces, size_t count, uint8_t *out, size_t out_len)
{
	uint8_t block[HASH_LEN], number = 1;
	size_t done = 0;
	bool ok = out_len <= EXPAND_MAX;

	pieces[0] = (struct piece){ block, 0 };
	pieces[count - 1] = (struct piece){ &number, 1 };
	for (; ok && done < out_len; number++) {
		ok = crypto_hmac(DIGEST_SHA256, secret, HASH_LEN, pieces, count, block);
		size_t n = out_len - done < HASH_LEN ? out_len - done : HASH_LEN;
		memcpy(out + done, block, n);
		done += n;
		pieces[0].len = HASH_LEN;
	}
	secret_wipe(block, sizeof(block));
	if (!ok)
		secret_wipe(out, out_len);
	return ok;
}

bool hkdf_expand(const uint8_t secret[32], const uint8_t *info, size_t info_len, uint8_t *out, size_t out_len)
{
	struct piece pieces[] = { { 0 }, { info, info_len }, { 0 } };

	return expand(secret, pieces, 3, out, out_len);
}

/* info:  0      2                  3        8           ..                 ..
 *        | size | 5 + label length | "ovpn " | label ... | context length | context ... */
bool hkdf_expand_label(const uint8_t secret[32], const char *label, const uint8_t *context,
	size_t context_len, uint8_t *out, size_t out_len)
{
	static const char prefix[] = "ovpn ";
	size_t prefix_len = sizeof(prefix) - 1, label_len = strlen(label);

	if (prefix_len + label_len > UINT8_MAX || context_len > UINT8_MAX || out_len > EXPAND_MAX) {
		secret_wipe(out, out_len);
		return false;
	}
	uint8_t head[] = { (uint8_t)(out_len >> 8), (uint8_t)out_len, (uint8_t)(prefix_len + label_len) };
	uint8_t context_size = (uint8_t)context_len;
	struct piece pieces[] = { { 0 }, { head, sizeof(head) }, { prefix, prefix_len }, { label, label_len },
		{ &context_size, 1 }, { context, context_len }, { 0 } };
	return expand(secret, pieces, sizeof(pieces) / sizeof(pieces[0]), out, out_len);
}
