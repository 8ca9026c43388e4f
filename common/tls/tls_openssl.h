/* SPDX-License-Identifier: MIT
 * Inside common/tls, OpenSSL build only: a key that is a certificate's public half and somebody who signs. */
#ifndef COMMON_TLS_TLS_OPENSSL_H
#define COMMON_TLS_TLS_OPENSSL_H

#include "common/tls/tls.h"

#include <openssl/evp.h>
#include <openssl/provider.h>

/* Who signs. Lives as long as the key; used by one thread. */
struct outside_signer {
	size_t (*sign)(void *context, uint16_t algorithm, const uint8_t *input, size_t input_len,
		uint8_t *signature, size_t room);
	void *context;
	bool refused; /* set when the last signature was not given */
};

/* A library context of its own, with the default provider and ours beside it. All NULL: not made. */
struct outside_library {
	OSSL_LIB_CTX *context;
	OSSL_PROVIDER *standard, *ours;
};

/* False: out of memory, nothing made. */
bool outside_library_init(struct outside_library *library);
/* Everything made in it must be freed before. */
void outside_library_clear(struct outside_library *library);
/* A key in it that looks like `public_key` with a private half and asks `signer`. NULL: not RSA, ECDSA or
 * Ed25519, or out of memory. */
EVP_PKEY *outside_key_new(
	const struct outside_library *library, EVP_PKEY *public_key, struct outside_signer *signer);

#endif
