/* SPDX-License-Identifier: MIT
 * The primitives, by the libcrypto of BoringSSL or OpenSSL: what is called here has one form in both. Every
 * call makes and frees its own context, and leaves nothing in the library's error queue. */
#define OPENSSL_SUPPRESS_DEPRECATED /* HMAC_CTX: BoringSSL has no EVP_MAC, and OpenSSL's is no faster */

#include "common/crypto/crypto.h"
#include "common/base/check.h"
#include "common/base/secret.h"

#include <limits.h>
#include <strings.h>

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>

static const struct {
	const char *name;
	size_t len;
	const EVP_MD *(*method)(void);
} digests[] = {
	[DIGEST_NONE] = { "[null-digest]", 0, NULL },
	[DIGEST_MD5] = { "MD5", 16, EVP_md5 },
	[DIGEST_SHA1] = { "SHA1", 20, EVP_sha1 },
	[DIGEST_SHA224] = { "SHA224", 28, EVP_sha224 },
	[DIGEST_SHA256] = { "SHA256", 32, EVP_sha256 },
	[DIGEST_SHA384] = { "SHA384", 48, EVP_sha384 },
	[DIGEST_SHA512] = { "SHA512", 64, EVP_sha512 },
};

enum { DIGEST_COUNT = sizeof(digests) / sizeof(digests[0]) };

enum digest digest_by_name(const char *name)
{
	if (strncasecmp(name, "RSA-", 4) == 0)
		name += 4;
	for (int i = DIGEST_NONE + 1; i < DIGEST_COUNT; i++)
		if (strcasecmp(name, digests[i].name) == 0)
			return (enum digest)i;
	return DIGEST_NONE;
}

/* A digest may come out of shared memory, as a number that somebody spoilt: then it is none. */
static enum digest known(enum digest digest)
{
	return (unsigned)digest < DIGEST_COUNT ? digest : DIGEST_NONE;
}

const char *digest_name(enum digest digest)
{
	return digests[known(digest)].name;
}

size_t digest_len(enum digest digest)
{
	return digests[known(digest)].len;
}

bool crypto_hash(enum digest digest, const struct piece *pieces, size_t count, uint8_t *out)
{
	digest = known(digest);
	if (digest == DIGEST_NONE)
		return false;

	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	bool ok = ctx && EVP_DigestInit_ex(ctx, digests[digest].method(), NULL) == 1;
	for (size_t i = 0; ok && i < count; i++)
		if (pieces[i].len)
			ok = EVP_DigestUpdate(ctx, pieces[i].at, pieces[i].len) == 1;
	ok = ok && EVP_DigestFinal_ex(ctx, out, NULL) == 1;
	EVP_MD_CTX_free(ctx);
	if (!ok) {
		secret_wipe(out, digests[digest].len);
		ERR_clear_error();
	}
	return ok;
}

bool crypto_hmac(enum digest digest, const uint8_t *key, size_t key_len, const struct piece *pieces,
	size_t count, uint8_t *out)
{
	digest = known(digest);
	if (digest == DIGEST_NONE)
		return false;

	/* No key pointer at all would mean "the one set before" to the library. */
	HMAC_CTX *ctx = HMAC_CTX_new();
	bool ok = ctx && key_len <= INT_MAX &&
		  HMAC_Init_ex(ctx, key_len ? (const void *)key : "", (int)key_len, digests[digest].method(),
			  NULL) == 1;
	for (size_t i = 0; ok && i < count; i++)
		if (pieces[i].len)
			ok = HMAC_Update(ctx, pieces[i].at, pieces[i].len) == 1;
	ok = ok && HMAC_Final(ctx, out, NULL) == 1;
	HMAC_CTX_free(ctx);
	if (!ok) {
		secret_wipe(out, digests[digest].len);
		ERR_clear_error();
	}
	return ok;
}

bool crypto_aes256_ctr(
	const uint8_t key[32], const uint8_t iv[16], const uint8_t *in, uint8_t *out, size_t len)
{
	if (!len)
		return true;

	int written = 0;
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	bool ok = ctx && len <= INT_MAX && EVP_EncryptInit_ex(ctx, EVP_aes_256_ctr(), NULL, key, iv) == 1 &&
		  EVP_EncryptUpdate(ctx, out, &written, in, (int)len) == 1 && (size_t)written == len;
	EVP_CIPHER_CTX_free(ctx);
	if (!ok) {
		secret_wipe(out, len);
		ERR_clear_error();
	}
	return ok;
}

void crypto_random(void *out, size_t len)
{
	uint8_t *at = out;

	while (len) {
		int some = len < INT_MAX ? (int)len : INT_MAX;
		CHECK(RAND_bytes(at, some) == 1);
		at += some;
		len -= (size_t)some;
	}
}
