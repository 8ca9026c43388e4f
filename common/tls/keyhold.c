/* SPDX-License-Identifier: MIT
 * The private key in the hands of the one process that may see it. It signs handshakes and nothing else: what
 * it is asked to sign comes from workers that may have been taken over, so its form is checked here, byte by
 * byte. */
#include "common/tls/certificate.h"

#include "common/base/bytes.h"
#include "common/tls/signer.h"

#include <openssl/err.h>
#include <openssl/rsa.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct tls_key {
	EVP_PKEY *key;
	struct signer *signer; /* a faster hand for the same key; NULL: none */
};

/* SignatureScheme (RFC 8446 section 4.2.3) to key type and hash. No SHA-1: TLS 1.2 and later need none. */
static const struct scheme {
	uint16_t algorithm;
	int key_type;
	unsigned hash_bits; /* 0: no hash of its own */
	bool pss;
} schemes[] = {
	{ 0x0804, EVP_PKEY_RSA, 256, true },
	{ 0x0805, EVP_PKEY_RSA, 384, true },
	{ 0x0806, EVP_PKEY_RSA, 512, true },
	{ 0x0401, EVP_PKEY_RSA, 256, false },
	{ 0x0501, EVP_PKEY_RSA, 384, false },
	{ 0x0601, EVP_PKEY_RSA, 512, false },
	{ 0x0403, EVP_PKEY_EC, 256, false },
	{ 0x0503, EVP_PKEY_EC, 384, false },
	{ 0x0603, EVP_PKEY_EC, 512, false },
	{ 0x0807, EVP_PKEY_ED25519, 0, false },
};

struct tls_key *tls_key_read(const char *pem, size_t len, const char *passphrase, char error[TLS_REASON_MAX])
{
	error[0] = '\0';
	bool encrypted;
	ERR_clear_error();
	EVP_PKEY *key = pem_key(pem, len, passphrase, &encrypted);
	if (!key) {
		const char *why = !encrypted   ? "not a PEM text of a private key"
				  : passphrase ? "wrong passphrase"
					       : "it needs a passphrase";
		snprintf(error, TLS_REASON_MAX, "key: %s", why);
		return NULL;
	}
	int type = EVP_PKEY_id(key);
	if (type != EVP_PKEY_RSA && type != EVP_PKEY_EC && type != EVP_PKEY_ED25519) {
		snprintf(error, TLS_REASON_MAX, "key: neither RSA nor ECDSA nor Ed25519");
		EVP_PKEY_free(key);
		return NULL;
	}
	struct tls_key *out = calloc(1, sizeof *out);
	if (!out) {
		snprintf(error, TLS_REASON_MAX, "key: out of memory");
		EVP_PKEY_free(key);
		return NULL;
	}
	out->key = key;
	return out;
}

void tls_key_free(struct tls_key **key)
{
	if (*key) {
		signer_free(&(*key)->signer);
		EVP_PKEY_free((*key)->key); /* which wipes it */
	}
	free(*key);
	*key = NULL;
}

/* RFC 8446 section 4.4.3, the server's alone:
 *   64 x 0x20 | "TLS 1.3, server CertificateVerify" | 0 | transcript hash, 32 or 48 bytes */
static bool is_certificate_verify(const uint8_t *input, size_t len)
{
	static const char context[] = "TLS 1.3, server CertificateVerify"; /* with its zero byte */
	struct bytes in = bytes_of(input, len);
	for (int i = 0; i < 64; i++)
		if (read_u8(&in) != 0x20)
			return false;
	const uint8_t *at = read_view(&in, sizeof context);
	return at && memcmp(at, context, sizeof context) == 0 && (in.left == 32 || in.left == 48);
}

/* RFC 8422 section 5.4, after the two randoms:
 *   client random, 32 | server random, 32 | 3 (named curve) | group, 2 | length, 1 | point | end */
static bool is_server_key_exchange(const uint8_t *input, size_t len)
{
	static const struct {
		uint16_t group;
		uint8_t point_len;
		bool uncompressed;
	} groups[] = { { 23, 65, true }, { 24, 97, true }, { 25, 133, true }, { 29, 32, false },
		{ 30, 56, false } };
	struct bytes in = bytes_of(input, len);
	read_view(&in, 64);
	uint8_t curve_type = read_u8(&in);
	uint16_t group = read_u16(&in);
	uint8_t point_len = read_u8(&in);
	const uint8_t *point = read_view(&in, point_len);
	if (!bytes_ok(&in) || in.left != 0 || curve_type != 3)
		return false;
	for (size_t i = 0; i < sizeof groups / sizeof groups[0]; i++)
		if (groups[i].group == group)
			return groups[i].point_len == point_len && (!groups[i].uncompressed || point[0] == 4);
	return false;
}

static size_t sign(const struct tls_key *key, const struct scheme *scheme, const uint8_t *input,
	size_t input_len, uint8_t *signature, size_t room)
{
	const EVP_MD *hash = scheme->hash_bits == 256	? EVP_sha256()
			     : scheme->hash_bits == 384 ? EVP_sha384()
			     : scheme->hash_bits == 512 ? EVP_sha512()
							: NULL;
	size_t len = key->signer ? signer_sign(key->signer, scheme->hash_bits, scheme->pss, input, input_len,
					   signature, room)
				 : 0;
	if (len)
		return len;
	ERR_clear_error();
	EVP_MD_CTX *signing = EVP_MD_CTX_new();
	EVP_PKEY_CTX *padding = NULL; /* belongs to `signing` */
	len = room;
	bool ok = signing && EVP_DigestSignInit(signing, &padding, hash, NULL, key->key) == 1;
	if (ok && scheme->pss)
		ok = EVP_PKEY_CTX_set_rsa_padding(padding, RSA_PKCS1_PSS_PADDING) == 1 &&
		     EVP_PKEY_CTX_set_rsa_pss_saltlen(padding, -1) == 1; /* as long as the hash */
	/* Asked for the length first: not every key type checks the room by itself. */
	ok = ok && EVP_DigestSign(signing, NULL, &len, input, input_len) == 1 && len <= room;
	ok = ok && EVP_DigestSign(signing, signature, &len, input, input_len) == 1;
	EVP_MD_CTX_free(signing);
	ERR_clear_error();
	return ok ? len : 0;
}

size_t tls_key_sign(const struct tls_key *key, uint16_t algorithm, const uint8_t *input, size_t input_len,
	uint8_t *signature, size_t room)
{
	const struct scheme *scheme = NULL;
	for (size_t i = 0; i < sizeof schemes / sizeof schemes[0]; i++)
		if (schemes[i].algorithm == algorithm)
			scheme = &schemes[i];
	if (!scheme || scheme->key_type != EVP_PKEY_id(key->key))
		return 0;
	if (!is_certificate_verify(input, input_len) && !is_server_key_exchange(input, input_len))
		return 0;
	return sign(key, scheme, input, input_len, signature, room);
}

/* The best of a few, in nanoseconds; 0: it fails. */
static int64_t signing_takes(const struct tls_key *key, const struct scheme *scheme)
{
	static const uint8_t text[160];
	uint8_t signature[TLS_SIGNATURE_MAX];
	int64_t best = 0;
	for (int i = 0; i < 4; i++) {
		struct timespec from, to;
		clock_gettime(CLOCK_MONOTONIC, &from);
		if (!sign(key, scheme, text, sizeof text, signature, sizeof signature))
			return 0;
		clock_gettime(CLOCK_MONOTONIC, &to);
		int64_t took = (int64_t)(to.tv_sec - from.tv_sec) * 1000000000 + to.tv_nsec - from.tv_nsec;
		if (!best || took < best)
			best = took;
	}
	return best;
}

/* Which library is faster depends on the kind of key and on the CPU. */
bool tls_key_quicken(struct tls_key *key)
{
	const struct scheme *scheme = schemes;
	while (scheme->key_type != EVP_PKEY_id(key->key))
		scheme++; /* one is there, or it would not have been read */
	int64_t without = signing_takes(key, scheme);
	key->signer = signer_open(key->key);
	if (key->signer && without && signing_takes(key, scheme) > without)
		signer_free(&key->signer);
	return key->signer != NULL;
}

bool tls_key_matches(const struct tls_key *key, const char *cert_pem)
{
	STACK_OF(X509) *certificates = pem_certificates(cert_pem);
	bool matches = certificates && X509_check_private_key(sk_X509_value(certificates, 0), key->key) == 1;
	certificates_free(certificates);
	ERR_clear_error();
	return matches;
}
