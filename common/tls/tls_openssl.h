/* SPDX-License-Identifier: MIT
 * Inside common/tls, OpenSSL build only: a key that is a certificate's public half and somebody who signs. */
#ifndef COMMON_TLS_TLS_OPENSSL_H
#define COMMON_TLS_TLS_OPENSSL_H

#include "common/tls/tls.h"

#include <openssl/evp.h>
#include <openssl/types.h>

/* Who signs. Lives as long as the key; used by one thread. */
struct outside_signer {
	size_t (*sign)(void *context, uint16_t algorithm, const uint8_t *input, size_t input_len,
		uint8_t *signature, size_t room);
	void *context;
	bool refused; /* set when the last signature was not given */
};

/* A library context with the default provider and ours beside it. NULL: out of memory. */
OSSL_LIB_CTX *outside_library_new(void);
/* A key in it that looks like `public_key` with a private half and asks `signer`. NULL: not RSA, ECDSA or
 * Ed25519, or out of memory. */
EVP_PKEY *outside_key_new(OSSL_LIB_CTX *library, EVP_PKEY *public_key, struct outside_signer *signer);

#endif
