/* SPDX-License-Identifier: MIT
 * Inside common/tls: the two structs behind the door, and what the file of the chosen library
 * (tls_boringssl.c or tls_openssl.c) does for the files that are compiled with either. */
#ifndef COMMON_TLS_TLS_INSIDE_H
#define COMMON_TLS_TLS_INSIDE_H

#include "common/tls/tls.h"

#include <openssl/ssl.h>
#include <openssl/x509.h>

enum {
	TLS_INCOMING_MAX = 65536,  /* bytes that one handshake may take, and later what may wait unread */
	TLS_OUTGOING_MAX = 262144, /* bytes that may wait to be drained before the peer is given up */
	TLS_CHAIN_MAX = 16,	   /* certificates, as stock */
	TLS_LIST_MAX = 4096,	   /* a cipher or group list after translation */
};

/* What the peer's certificate must be: the settings that outlive tls_context_new(), copied. */
struct peer_policy {
	bool has_ca;
	enum tls_profile profile;
	enum tls_name_check name_check;
	char *name_wanted, *username_field, *extended_usage;
	bool want_client_usage, want_server_usage, want_key_usage;
	unsigned *key_usages, key_usage_count;
	uint8_t (*fingerprints)[TLS_FINGERPRINT_LEN];
	unsigned fingerprint_count;
};

struct kept_chains;
struct library_extra; /* what the chosen library's file needs besides; may stay NULL */

struct tls_context {
	SSL_CTX *library;
	struct library_extra *extra;
	bool server;
	STACK_OF(X509) * ca; /* what a new store is built of */
	STACK_OF(X509_CRL) * crls; /* those of `store`, to be asked; NULL: none */
	bool crl_lost;		   /* nobody knows who is revoked by now */
	X509_STORE *store;   /* CA and CRL; each negotiation holds its own reference, so it can be swapped */
	struct kept_chains *chains; /* that `store` found good; NULL: none are kept */
	struct peer_policy policy;
};

struct tls {
	struct tls_context *context;
	SSL *library;
	BIO *in, *out; /* memory; owned by `library` */
	enum tls_state state;
	bool peer_known; /* a lost CRL keeps others out */
	size_t taken; /* bytes from the peer before TLS_READY */
	struct tls_peer peer;
	char description[96], reason[TLS_REASON_MAX];

	/* The signature that the handshake waits for, or has been given. */
	uint8_t *sign_input;
	size_t sign_input_len;
	uint16_t sign_algorithm;
	bool sign_answered;
	size_t signature_len;
	uint8_t signature[TLS_SIGNATURE_MAX];
};

/* -- the chosen library's file -- */

/* Makes context->library with its own switches set: no tickets and so on, accepted signatures. False: out of
 * memory. */
bool library_prepare(struct tls_context *context, const struct tls_settings *settings);
/* Frees what library_prepare() and library_sign_outside() made besides context->library, which is freed
 * already. */
void library_clear(struct tls_context *context);
/* Puts signatures from outside in the place of a private key; the certificate is set. */
bool library_sign_outside(struct tls_context *context, X509 *certificate, const struct tls_settings *settings,
	char error[TLS_REASON_MAX]);
/* A ':' list of groups in this library's spelling; false when it does not know one of them. */
bool library_set_groups(SSL_CTX *library, const char *list);
/* True when SSL_get_error() said that the handshake waits for a signature. */
bool library_waits_for_signature(int error);
/* True, once, when the handshake that just failed did so because a signature was refused. */
bool library_signature_refused(struct tls *tls);

/* -- lists.c -- */

/* Sets the cipher list, in either spelling; what the library lacks goes to `skipped` (room TLS_REASON_MAX, ",
 * " between). False when nothing is left. NULL means the default. */
bool lists_set_ciphers(SSL_CTX *library, const char *list, enum tls_profile profile, char *skipped);
bool lists_set_groups(SSL_CTX *library, const char *list, enum tls_profile profile, char *skipped);

/* -- verify.c -- */

/* SSL_CTX_set_cert_verify_callback(): judges the peer's chain; on refusal the reason is in its `struct tls`.
 */
int verify_peer(X509_STORE_CTX *chain, void *context);

#endif
