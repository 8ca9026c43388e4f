/* SPDX-License-Identifier: MIT
 * Two libraries with the same names in one process: OpenSSL's is loaded by hand, resolves its names among its
 * own first (RTLD_DEEPBIND), and is called through this table. Its types stay its own: nothing of one library
 * is given to the other but a key's DER bytes. */
#include "common/tls/signer.h"

#include "common/base/sanitizer.h"

#include <openssl/crypto.h>
#include <openssl/rsa.h>

#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

enum {
	/* openssl/crypto.h and openssl/rsa.h of OpenSSL 3, its stable binary interface */
	INIT_NO_LOAD_CONFIG = 0x80,
	INIT_NO_ATEXIT = 0x80000,
	PADDING_PSS = 6,
	SALT_AS_HASH = -1,
	HASHES = 3,
};

struct signer {
	int (*init_crypto)(uint64_t options, const void *settings);
	void *(*key_read)(void **key, const unsigned char **at, long len);
	void (*key_free)(void *key);
	void *(*hash_fetch)(void *library, const char *name, const char *properties);
	void (*hash_free)(void *hash);
	void *(*context_new)(void);
	void (*context_free)(void *context);
	int (*sign_init)(void *context, void **key_context, const void *hash, void *engine, void *key);
	int (*sign)(void *context, unsigned char *signature, size_t *len, const unsigned char *input,
		size_t input_len);
	int (*set_padding)(void *key_context, int padding);
	int (*set_salt_len)(void *key_context, int len);
	void (*clear_errors)(void);

	void *library, *key, *hashes[HASHES]; /* SHA-256, -384, -512 */
};

static bool load(struct signer *s)
{
	const struct {
		void *to;
		const char *name;
	} calls[] = {
		{ &s->init_crypto, "OPENSSL_init_crypto" },
		{ &s->key_read, "d2i_AutoPrivateKey" },
		{ &s->key_free, "EVP_PKEY_free" },
		{ &s->hash_fetch, "EVP_MD_fetch" },
		{ &s->hash_free, "EVP_MD_free" },
		{ &s->context_new, "EVP_MD_CTX_new" },
		{ &s->context_free, "EVP_MD_CTX_free" },
		{ &s->sign_init, "EVP_DigestSignInit" },
		{ &s->sign, "EVP_DigestSign" },
		{ &s->set_padding, "EVP_PKEY_CTX_set_rsa_padding" },
		{ &s->set_salt_len, "EVP_PKEY_CTX_set_rsa_pss_saltlen" },
		{ &s->clear_errors, "ERR_clear_error" },
	};
#ifdef TLS_OPENSSL
	return false; /* it is there already */
#endif
	if (UNDER_SANITIZER) /* their runtimes end a process that binds deeply */
		return false;
	s->library = dlopen("libcrypto.so.3", RTLD_NOW | RTLD_LOCAL | RTLD_DEEPBIND);
	if (!s->library)
		return false;
	for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++) {
		void *function = dlsym(s->library, calls[i].name);
		if (!function)
			return false;
		memcpy(calls[i].to, &function, sizeof function);
	}
	return s->init_crypto(INIT_NO_LOAD_CONFIG | INIT_NO_ATEXIT, NULL) == 1;
}

static bool take_key(struct signer *s, EVP_PKEY *key)
{
	static const char *const names[HASHES] = { "SHA2-256", "SHA2-384", "SHA2-512" };
	unsigned char *der = NULL;
	int len = i2d_PrivateKey(key, &der);
	const unsigned char *at = der;
	if (len > 0)
		s->key = s->key_read(NULL, &at, len);
	if (len > 0)
		OPENSSL_cleanse(der, (size_t)len);
	OPENSSL_free(der);
	for (int i = 0; i < HASHES; i++)
		s->hashes[i] = s->hash_fetch(NULL, names[i], NULL);
	return s->key && s->hashes[0] && s->hashes[1] && s->hashes[2];
}

/* One that is fast and wrong is worth nothing. */
static bool signs_well(const struct signer *s, EVP_PKEY *key)
{
	static const uint8_t text[] = "tried before it is trusted";
	const EVP_MD *const hashes[HASHES] = { EVP_sha256(), EVP_sha384(), EVP_sha512() };
	uint8_t signature[1024];
	bool rsa = EVP_PKEY_id(key) == EVP_PKEY_RSA, ok = true;
	for (int i = 0; ok && i < HASHES * (1 + rsa); i++) {
		bool pss = i >= HASHES;
		size_t len = signer_sign(s, 256 + 128 * (unsigned)(i % HASHES), pss, text, sizeof text,
			signature, sizeof signature);
		EVP_MD_CTX *verifying = EVP_MD_CTX_new();
		EVP_PKEY_CTX *padding;
		ok = len && verifying &&
		     EVP_DigestVerifyInit(verifying, &padding, hashes[i % HASHES], NULL, key) == 1;
		if (ok && pss)
			ok = EVP_PKEY_CTX_set_rsa_padding(padding, RSA_PKCS1_PSS_PADDING) == 1 &&
			     EVP_PKEY_CTX_set_rsa_pss_saltlen(padding, SALT_AS_HASH) == 1;
		ok = ok && EVP_DigestVerify(verifying, signature, len, text, sizeof text) == 1;
		EVP_MD_CTX_free(verifying);
	}
	return ok;
}

struct signer *signer_open(EVP_PKEY *key)
{
	int type = EVP_PKEY_id(key);
	if (type != EVP_PKEY_RSA && type != EVP_PKEY_EC)
		return NULL;
	struct signer *s = calloc(1, sizeof *s);
	if (s && load(s) && take_key(s, key) && signs_well(s, key))
		return s;
	signer_free(&s);
	return NULL;
}

void signer_free(struct signer **signer)
{
	struct signer *s = *signer;
	if (!s)
		return;
	if (s->key)
		s->key_free(s->key);
	for (int i = 0; i < HASHES; i++)
		if (s->hashes[i])
			s->hash_free(s->hashes[i]);
	free(s);
	*signer = NULL;
}

size_t signer_sign(const struct signer *s, unsigned hash_bits, bool pss, const uint8_t *input,
	size_t input_len, uint8_t *signature, size_t room)
{
	if (hash_bits != 256 && hash_bits != 384 && hash_bits != 512)
		return 0;
	void *context = s->context_new(), *padding = NULL; /* `padding` belongs to `context` */
	size_t len = room;
	bool ok = context &&
		  s->sign_init(context, &padding, s->hashes[(hash_bits - 256) / 128], NULL, s->key) == 1;
	if (ok && pss)
		ok = s->set_padding(padding, PADDING_PSS) == 1 && s->set_salt_len(padding, SALT_AS_HASH) == 1;
	ok = ok && s->sign(context, NULL, &len, input, input_len) == 1 && len <= room;
	ok = ok && s->sign(context, signature, &len, input, input_len) == 1;
	s->context_free(context);
	s->clear_errors();
	return ok ? len : 0;
}
