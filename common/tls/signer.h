/* SPDX-License-Identifier: MIT
 * Inside common/tls: a private key in the hands of OpenSSL's libcrypto, loaded beside BoringSSL, for
 * signatures alone. It has assembly where Debian's BoringSSL is built without: on a CPU with AVX-512 IFMA an
 * RSA-2048 signature takes half the time. */
#ifndef COMMON_TLS_SIGNER_H
#define COMMON_TLS_SIGNER_H

#include <openssl/evp.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct signer;

/* Takes a copy of an RSA or EC key and tries it: what it signs is checked with `key`. NULL: the library is
 * not there, cannot be loaded (under a sanitizer) or does not do well. A system's openssl.cnf is not read. */
struct signer *signer_open(EVP_PKEY *key);
void signer_free(struct signer **signer); /* wipes the copy; the library stays loaded */
/* One signature over `input`; `hash_bits` is 256, 384 or 512, `pss` (RSA alone): padding by RFC 8017
 * section 8.1, with a salt as long as the hash, in the place of section 8.2. Its length, or 0: failed. */
size_t signer_sign(const struct signer *signer, unsigned hash_bits, bool pss, const uint8_t *input,
	size_t input_len, uint8_t *signature, size_t room);

#endif
