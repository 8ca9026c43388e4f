/* SPDX-License-Identifier: MIT
 * For the tests of common/tls: identities made on the spot, and a client and a server that talk through
 * memory. */
#ifndef TESTS_UNIT_TLS_TLS_PAIR_H
#define TESTS_UNIT_TLS_TLS_PAIR_H

#include "common/tls/tls.h"

struct identity {
	char *cert, *key;
};

enum { IDENTITY_CA = 1, IDENTITY_SERVER = 2, IDENTITY_RSA = 4, IDENTITY_EXPIRED = 8 };

/* Made by pki_make(); `issuer` NULL: self-signed. */
struct identity identity_make(const char *name, unsigned flags, const struct identity *issuer);
void identity_free(struct identity *identity);
/* A CRL of `ca` that lists `revoked` (may be NULL). */
char *crl_make(const struct identity *ca, const struct identity *revoked, int days);

/* What pki_make() never makes. Zero: as usual. */
struct forgery {
	const char *name; /* CN, `name_len` bytes if that is set */
	int name_len;
	const char *organization, *email, *alternative_name; /* O; e-mail in the subject; "email:..." */
	const char *usage, *extended_usage; /* keyUsage and EKU as OpenSSL writes them; NULL: none */
	long begins_s, ends_s;		    /* from now; both 0: from a minute ago for a day */
	int rsa_bits;			    /* 0: P-256 */
	int curve;			    /* NID; 0: P-256 */
	bool ed25519, ca, sha1, pss_sha1, pss_sha256;
};
struct identity identity_forge(const struct forgery *forgery, const struct identity *issuer);

/* The usual settings: TLS 1.2 and up, profile legacy, `own` with its key. */
struct tls_settings settings_of(bool server, const struct identity *ca, const struct identity *own);
/* The same without the key: signatures are asked of `key`. */
struct tls_settings settings_of_worker(
	const struct identity *ca, const struct identity *own, struct tls_key *key);

struct pair {
	struct tls_context *client_context, *server_context;
	struct tls *client, *server;
	const struct tls_key *key; /* answers TLS_WANT_SIGNATURE */
	unsigned signatures;
};

struct pair pair_new(const struct tls_settings *client, const struct tls_settings *server);
/* Carries bytes both ways until nothing moves. */
void pair_run(struct pair *pair);
/* New and run. */
struct pair pair_met(const struct tls_settings *client, const struct tls_settings *server);
void pair_free(struct pair *pair);
/* Carries what `from` has to say to `to`. */
void pair_carry(struct tls *from, struct tls *to);

struct tls_context *context_of(const struct tls_settings *settings);
/* A context is refused and the text begins so. */
void assert_settings_refused(const struct tls_settings *settings, const char *beginning);
void assert_contains(const char *text, const char *part);

#endif
