/* SPDX-License-Identifier: MIT
 * The pseudo-random function of TLS 1.0 and 1.1 (RFC 2246 section 5), which the old key derivation still
 * uses. BoringSSL does not offer it, so it is made of HMAC here. */
#include "common/keys/keys.h"
#include "common/base/secret.h"
#include "common/crypto/crypto.h"

/* P_hash: A(1) = HMAC(seed), A(i+1) = HMAC(A(i)); the output is HMAC(A(1) | seed), HMAC(A(2) | seed), ...
 * It is added (xor) to what is in `out`. */
static bool add_p_hash(enum digest digest, const uint8_t *secret, size_t secret_len, struct piece seed,
	uint8_t *out, size_t out_len)
{
	uint8_t a[DIGEST_MAX_LEN], block[DIGEST_MAX_LEN];
	size_t size = digest_len(digest);
	struct piece a_then_seed[] = { { a, size }, seed };
	bool ok = crypto_hmac(digest, secret, secret_len, &seed, 1, a);

	while (ok && out_len) {
		ok = crypto_hmac(digest, secret, secret_len, a_then_seed, 2, block);
		size_t n = out_len < size ? out_len : size;
		for (size_t i = 0; ok && i < n; i++)
			out[i] ^= block[i];
		out += n;
		out_len -= n;
		if (ok && out_len) {
			ok = crypto_hmac(digest, secret, secret_len, a_then_seed, 1, block);
			memcpy(a, block, size);
		}
	}
	secret_wipe(a, sizeof(a));
	secret_wipe(block, sizeof(block));
	return ok;
}

bool prf_tls1(const uint8_t *secret, size_t secret_len, const uint8_t *seed, size_t seed_len, uint8_t *out,
	size_t out_len)
{
	/* With an odd length both halves have the byte in the middle. */
	size_t half = secret_len / 2 + secret_len % 2;
	struct piece seed_piece = { seed, seed_len };

	memset(out, 0, out_len);
	bool ok = add_p_hash(DIGEST_MD5, secret, half, seed_piece, out, out_len) &&
		  add_p_hash(DIGEST_SHA1, secret + secret_len - half, half, seed_piece, out, out_len);
	if (!ok)
		secret_wipe(out, out_len);
	return ok;
}
