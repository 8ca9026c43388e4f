/* SPDX-License-Identifier: MIT
 * Certificate chains that the library found good a while ago, so that the signatures of a client that comes again, or
 * renegotiates, are not computed anew. Refusals are never kept. What proves that the peer holds the key is not here: the
 * library checks that in each handshake. Inside the room. */
#ifndef COMMON_TLS_KEPT_CHAINS_H
#define COMMON_TLS_KEPT_CHAINS_H

#include <openssl/x509.h>

#include <stdbool.h>
#include <stdint.h>

enum {
	KEPT_CHAINS = 1024,
	KEPT_CHAIN_NAME = 32,
	KEPT_CHAIN_S = 3600, /* the longest, whatever the certificates say */
};

/* By all that the peer sent; good from the moment it was judged until something in it ends. Seconds since 1970. */
struct kept_chain {
	uint8_t name[KEPT_CHAIN_NAME];
	int64_t from, until;
};

struct kept_chains {
	const X509_STORE *store; /* of CA and CRL that they were judged by; those of another count for nothing */
	int64_t crl_until;	 /* when the first CRL of it ends */
	struct kept_chain chains[KEPT_CHAINS];
};

/* Empties it: `store` judges from now on (NULL: nothing is kept), with these CRLs (may be NULL). */
void kept_chains_begin(struct kept_chains *, const X509_STORE *store, const STACK_OF(X509_CRL) * crls);
/* True if the chain that is to be verified was found good by the same store, and nothing has ended since. Before
 * X509_verify_cert(). */
bool kept_chains_has(const struct kept_chains *, X509_STORE_CTX *);
/* Keeps a chain that X509_verify_cert() just found good, if its store is still the present one. */
void kept_chains_add(struct kept_chains *, X509_STORE_CTX *);

#endif
