/* SPDX-License-Identifier: MIT
 * The door to the few primitives that the control channel needs: hash, MAC, counter mode, key expansion,
 * random bytes. Which library does them is known to the files behind this door alone. No state, no allocation
 * that outlives a call. Calls that return false failed inside the library (out of memory); their output is
 * then zeroed. */
#ifndef COMMON_CRYPTO_CRYPTO_H
#define COMMON_CRYPTO_CRYPTO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum digest { DIGEST_NONE, DIGEST_MD5, DIGEST_SHA1, DIGEST_SHA224, DIGEST_SHA256, DIGEST_SHA384, DIGEST_SHA512 };

enum { DIGEST_MAX_LEN = 64 };

/* By the name that `auth` takes ("SHA256", any case, also "RSA-SHA256"); DIGEST_NONE if unknown. */
enum digest digest_by_name(const char *name);
/* "SHA256"; "[null-digest]" for DIGEST_NONE (the word of OpenVPN's options string). */
const char *digest_name(enum digest digest);
/* Result size in bytes; 0 for DIGEST_NONE. */
size_t digest_len(enum digest digest);

/* A piece of a message that is hashed without being copied together first. */
struct piece {
	const void *at;
	size_t len;
};

/* `out` takes digest_len() bytes. */
bool crypto_hash(enum digest digest, const struct piece *pieces, size_t count, uint8_t *out);
bool crypto_hmac(enum digest digest, const uint8_t *key, size_t key_len, const struct piece *pieces, size_t count,
	uint8_t *out);
/* AES-256 in counter mode, `iv` the first big-endian counter block. `in` may equal `out`. */
bool crypto_aes256_ctr(const uint8_t key[32], const uint8_t iv[16], const uint8_t *in, uint8_t *out, size_t len);
/* Cryptographic random bytes; aborts when the system has none. Safe after a fork. */
void crypto_random(void *out, size_t len);

#endif
