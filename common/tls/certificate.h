/* SPDX-License-Identifier: MIT
 * Inside common/tls: plain questions about one certificate, answered from its bytes alone, and the reading of
 * PEM texts. The same calls exist in both TLS libraries, so these files are compiled with either. */
#ifndef COMMON_TLS_CERTIFICATE_H
#define COMMON_TLS_CERTIFICATE_H

#include "common/tls/tls.h"

#include <openssl/evp.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

/* -- pem.c -- */

/* All certificates of a PEM text, in order; other blocks are passed over. NULL when one is broken, there is
 * none or memory is out. The caller frees with certificates_free(). */
STACK_OF(X509) * pem_certificates(const char *pem);
/* All CRLs of a PEM text likewise; freed with crls_free(). */
STACK_OF(X509_CRL) * pem_crls(const char *pem);
/* A private key, decrypted with `passphrase` (NULL: there is none; nobody is ever asked). NULL when it cannot
 * be read; `encrypted` then tells whether a passphrase was asked for. */
EVP_PKEY *pem_key(const char *pem, size_t len, const char *passphrase, bool *encrypted);
void certificates_free(STACK_OF(X509) * list);
void crls_free(STACK_OF(X509_CRL) * list);
/* The library's oldest queued complaint in lower-case words ("no shared cipher"); empties the queue. An alert
 * is told as "peer sent alert: certificate expired". Returns `out`. */
char *library_reason(char *out, size_t room);

/* -- certificate.c -- */

/* "C=KG, ST=NA, O=..., CN=..." with control characters replaced by '_', malloc'ed; NULL when memory is out.
 */
char *certificate_subject(const X509_NAME *name);
/* The name of the holder: subject attributes, "serialNumber" (0x..., hex) or "ext:subjectAltName" (its
 * e-mail). Several in `fields`, parted by spaces, are joined by '_'; NULL means "CN". False when one is
 * missing or longer than 64 bytes, has a zero byte inside, or the whole is longer than 255. */
bool certificate_name(X509 *certificate, const char *fields, char out[TLS_NAME_MAX]);
/* True when certificate_name() can look for all these fields. */
bool certificate_name_known(const char *fields);
/* Decimal. False when it is longer than 63 digits (RFC 5280 allows 49). */
bool certificate_serial(const X509 *certificate, char *out, size_t room);
/* SHA-256 of the name as it is encoded, to compare issuers. */
bool certificate_name_hash(const X509_NAME *name, uint8_t out[TLS_FINGERPRINT_LEN]);
bool certificate_fingerprint(const X509 *certificate, uint8_t out[TLS_FINGERPRINT_LEN]);

/* Is the keyUsage extension there? */
bool certificate_has_key_usage(X509 *certificate);
/* Are all bits of one of `wanted` set? The bits are those of the extension's first byte (0x80
 * digitalSignature ...). */
bool certificate_covers_key_usage(X509 *certificate, const unsigned *wanted, unsigned count);
/* Is the extended key usage `wanted`, dotted or by its long name, listed? */
bool certificate_has_extended_usage(X509 *certificate, const char *wanted);

/* tls-cert-profile: is the public key strong enough, is the hash of its signature? NULL, or what is wrong. */
const char *certificate_key_weakness(X509 *certificate, enum tls_profile profile);
const char *certificate_signature_weakness(const X509 *certificate, enum tls_profile profile);

#endif
