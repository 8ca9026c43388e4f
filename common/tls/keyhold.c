/* SPDX-License-Identifier: MIT
 * The private key in the hands of the one process that may see it. It signs handshakes and nothing else: what
 * it is asked to sign comes from workers that may have been taken over, so its form is checked here, byte by
 * byte. */
#include "common/tls/certificate.h"

#include "common/base/bytes.h"

#include <openssl/err.h>
#include <openssl/rsa.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct tls_key {
	EVP_PKEY *key;
};

/* SignatureScheme (RFC 8446 section 4.2.3) to key type and hash. No SHA-1: TLS 1.2 and later need none. */
static const struct scheme {
	uint16_t algorithm;
	int key_type;
	const EVP_MD *(*hash)(void);
	bool pss;
} schemes[] = {
	{ 0x0804, EVP_PKEY_RSA, EVP_sha256, true },
	{ 0x0805, EVP_PKEY_RSA, EVP_sha384, true },
	{ 0x0806, EVP_PKEY_RSA, EVP_sha512, true },
	{ 0x0401, EVP_PKEY_RSA, EVP_sha256, false },
	{ 0x0501, EVP_PKEY_RSA, EVP_sha384, false },
	{ 0x0601, EVP_PKEY_RSA, EVP_sha512, false },
	{ 0x0403, EVP_PKEY_EC, EVP_sha256, false },
	{ 0x0503, EVP_PKEY_EC, EVP_sha384, false },
	{ 0x0603, EVP_PKEY_EC, EVP_sha512, false },
	{ 0x0807, EVP_PKEY_ED25519, NULL, false },
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
	if (*key)
		EVP_PKEY_free((*key)->key); /* which wipes it */
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
	ERR_clear_error();
	EVP_MD_CTX *signing = EVP_MD_CTX_new();
	EVP_PKEY_CTX *padding = NULL; /* belongs to `signing` */
	size_t len = room;
	bool ok = signing && EVP_DigestSignInit(signing, &padding, scheme->hash ? scheme->hash() : NULL, NULL,
				     key->key) == 1;
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

bool tls_key_matches(const struct tls_key *key, const char *cert_pem)
{
	STACK_OF(X509) *certificates = pem_certificates(cert_pem);
	bool matches = certificates && X509_check_private_key(sk_X509_value(certificates, 0), key->key) == 1;
	certificates_free(certificates);
	ERR_clear_error();
	return matches;
}
