/* SPDX-License-Identifier: MIT
 * The door to TLS on the control channel: bytes on both sides, no socket. Behind it stands one library, chosen
 * when the program is built; outside this room, crypto/ and data/aead_* nobody names one. A context is made once
 * per configuration and shared by all sessions; a `struct tls` lives as long as one negotiation. */
#ifndef COMMON_TLS_TLS_H
#define COMMON_TLS_TLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { TLS_FINGERPRINT_LEN = 32, TLS_NAME_MAX = 256, TLS_REASON_MAX = 256, TLS_SIGNATURE_MAX = 1024 };

enum tls_name_check { TLS_NAME_ANY, TLS_NAME_SUBJECT, TLS_NAME_EXACT, TLS_NAME_PREFIX };
enum tls_profile { TLS_PROFILE_INSECURE, TLS_PROFILE_LEGACY, TLS_PROFILE_PREFERRED, TLS_PROFILE_SUITEB };

/* PEM texts; NULL where not used. Borrowed during tls_context_new() only. */
struct tls_settings {
	bool server;
	const char *ca_pem, *cert_pem, *extra_certs_pem, *crl_pem;
	const char *key_pem;  /* NULL on a hub's worker: signatures come from outside (tls_signature_*) */
	/* Only for the OpenSSL build, which cannot wait for a signature: asked during tls_feed() or tls_step() in the place
	 * of TLS_WANT_SIGNATURE, with the same input. Gives the signature's length, or 0: refused. Must be set there when
	 * key_pem is NULL; the BoringSSL build never calls it. */
	size_t (*sign)(void *context, uint16_t algorithm, const uint8_t *input, size_t input_len, uint8_t *signature,
		size_t room);
	void *sign_context;
	unsigned version_min, version_max; /* 0x0301..0x0304; max 0: the library's highest */
	const char *cipher_list; /* TLS 1.2 and older, OpenSSL or IANA names, ':' between; NULL: default */
	const char *groups;      /* OpenSSL or IANA names, ':' between; NULL: default */
	enum tls_profile profile;
	enum tls_name_check name_check;
	const char *name_wanted;
	const char *username_field; /* subject attribute that names the peer, several parted by spaces; NULL: "CN" */
	bool want_client_usage;     /* remote-cert-tls client: KU present, EKU clientAuth */
	bool want_server_usage;     /* remote-cert-tls server */
	bool want_key_usage;        /* remote-cert-ku without values */
	const unsigned *key_usages; /* remote-cert-ku values: one of them must be covered */
	unsigned key_usage_count;
	const char *extended_usage; /* remote-cert-eku: dotted OID or long name */
	const uint8_t (*fingerprints)[TLS_FINGERPRINT_LEN]; /* peer-fingerprint; with it and without a CA: self-signed */
	unsigned fingerprint_count;
};

struct tls_context;

/* NULL: `error` says what is wrong, naming the setting ("cert: ..."). Skipped cipher or group names are listed in
 * `warning` (empty if none). */
struct tls_context *tls_context_new(const struct tls_settings *settings, char error[TLS_REASON_MAX],
	char warning[TLS_REASON_MAX]);
/* The caller sees to it that no `struct tls` of it is left. Empties the pointer. */
void tls_context_free(struct tls_context **context);
/* Puts another CRL in the place of the old; negotiations that begin later use it. False: not a CRL, nothing changed. */
bool tls_context_set_crl(struct tls_context *context, const char *crl_pem, char error[TLS_REASON_MAX]);
/* There should be a CRL and nobody has it: until there is another one every certificate is refused but those of peers that
 * are known (tls_peer_is_known()). For these the old one holds, and it answers tls_context_revoked(). */
void tls_context_lose_crl(struct tls_context *context);

/* Is the certificate with this serial number (decimal), whose issuer's name has this digest (struct tls_peer), on a CRL of
 * the context? Whoever made the CRL is not asked here: for sessions that are there already. */
bool tls_context_revoked(const struct tls_context *context, const uint8_t issuer[TLS_FINGERPRINT_LEN], const char *serial);

/* Until when the first certificate of a PEM text is valid; when the first of its CRLs should have a successor. Unix
 * seconds. False: there is none in it, or it does not say. */
bool tls_certificate_ends(const char *cert_pem, int64_t *unix_seconds);
bool tls_crl_ends(const char *crl_pem, int64_t *unix_seconds);

/* Who the peer is, once the handshake is done. Empty strings where there is no certificate. */
struct tls_peer {
	char name[TLS_NAME_MAX];      /* as name check and username_field have it; not yet escaped for logs */
	char subject[TLS_NAME_MAX];   /* "C=KG, O=..., CN=..." */
	char serial[64];              /* decimal */
	uint8_t fingerprint[TLS_FINGERPRINT_LEN]; /* SHA-256 of the certificate */
	uint8_t issuer[TLS_FINGERPRINT_LEN];      /* SHA-256 of its issuer's name */
};

struct tls; /* one negotiation */

struct tls *tls_new(struct tls_context *context);
/* The caller let the peer in before and sees to it that it is the same one again. */
void tls_peer_is_known(struct tls *);
void tls_free(struct tls **tls);

enum tls_state {
	TLS_HANDSHAKE,      /* needs more from the peer */
	TLS_WANT_SIGNATURE, /* ask tls_signature_wanted(), answer with tls_signature_give() */
	TLS_READY,          /* messages may flow */
	TLS_FAILED,         /* tls_reason() says why; what tls_drain() still gives (an alert) should be sent */
};

/* Records from the peer, any cut. Always takes everything. Returns the state after as much work as possible. */
enum tls_state tls_feed(struct tls *tls, const void *records, size_t len);
/* Goes on without new input (starts a client's handshake, continues after a signature). */
enum tls_state tls_step(struct tls *tls);
/* Bytes for the peer: copies up to `room`, returns how many. 0: nothing left. */
size_t tls_drain(struct tls *tls, void *records, size_t room);
/* Bytes that tls_drain() would give. */
size_t tls_pending(const struct tls *tls);
/* One message as one record. False when not TLS_READY, too long (over 16 KiB) or failed. */
bool tls_write(struct tls *tls, const void *message, size_t len);
/* The next record's plain bytes: their count, 0 when there is none, -1 when the stream failed. */
int tls_read(struct tls *tls, void *message, size_t room);
/* RFC 5705 exporter without context. Only when TLS_READY. */
bool tls_export(struct tls *tls, const char *label, void *out, size_t len);
/* Fills in the peer; only when TLS_READY. */
void tls_peer(const struct tls *tls, struct tls_peer *out);
/* "TLSv1.3 TLS_AES_256_GCM_SHA384", for logs. Borrowed for the life of `tls`. */
const char *tls_description(const struct tls *tls);
/* Why it failed, one line for the log: which certificate, which check. Never NULL. */
const char *tls_reason(const struct tls *tls);

/* What must be signed: the handshake's whole input, so that the key's holder can see what it signs. */
struct tls_signature_request {
	uint16_t algorithm; /* TLS SignatureScheme, RFC 8446 section 4.2.3 */
	const uint8_t *input; /* borrowed until the answer */
	size_t input_len;
};
bool tls_signature_wanted(const struct tls *tls, struct tls_signature_request *out);
/* The answer; len 0 means refused and fails the handshake. Continue with tls_step(). */
void tls_signature_give(struct tls *tls, const uint8_t *signature, size_t len);

/* -- for the keyholder: keyhold.c -- */

struct tls_key; /* a private key */
/* From PEM, decrypted with `passphrase` if it must be (NULL: none). NULL on error, `error` says why. */
struct tls_key *tls_key_read(const char *pem, size_t len, const char *passphrase, char error[TLS_REASON_MAX]);
/* For who signs often: OpenSSL's libcrypto (libcrypto.so.3) signs from now on, if it is there and does well;
 * it is loaded, and the key is copied into it, wiped with the key. False: this build's own library goes on.
 * Before a sandbox, and once. */
bool tls_key_quicken(struct tls_key *key);
void tls_key_free(struct tls_key **key);
/* Signs `input` by a SignatureScheme, only if it has the form of a TLS 1.3 server CertificateVerify input or of a
 * TLS 1.2 server key exchange (64 bytes of randoms, then named-curve parameters). Length, or 0: refused or failed. */
size_t tls_key_sign(const struct tls_key *key, uint16_t algorithm, const uint8_t *input, size_t input_len,
	uint8_t *signature, size_t room);
/* True when the certificate (first in the PEM text) belongs to the key. */
bool tls_key_matches(const struct tls_key *key, const char *cert_pem);

/* -- certificates made by us: pki.c, for quickstart and tests -- */

struct pki_request {
	const char *common_name;
	int days;            /* of life, from a minute ago; negative: already expired */
	bool is_ca, is_server; /* neither: a client */
	const char *issuer_cert_pem, *issuer_key_pem; /* NULL, NULL: self-signed */
	bool rsa;            /* RSA-2048 in place of ECDSA P-256 */
};
/* Makes a key and a certificate (SHA-256, KU and EKU as its kind needs, random serial). False on error. Both PEM texts
 * are malloc'ed; the caller wipes and frees the key. */
bool pki_make(const struct pki_request *request, char **cert_pem, char **key_pem, char error[TLS_REASON_MAX]);
/* Makes a CRL that lists the given certificates, valid for `days` from now. */
bool pki_make_crl(const char *ca_cert_pem, const char *ca_key_pem, const char *const *revoked_cert_pems, size_t count,
	int days, char **crl_pem, char error[TLS_REASON_MAX]);

#endif
