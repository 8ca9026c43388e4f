/* SPDX-License-Identifier: MIT
 * Every backend of a BoringSSL build against OpenSSL's libcrypto, which is loaded beside it: its functions
 * have the same names, so it gets a scope of its own and is called through pointers alone. */
#include "common/data/aead.h"
#include "tests/unit/data/fixture.h"

#include <dlfcn.h>
#include <stdio.h>

/* From OpenSSL 3's evp.h; its headers cannot be included next to BoringSSL's. */
enum { CTRL_AEAD_GET_TAG = 0x10, CTRL_AEAD_SET_TAG = 0x11 };

static struct {
	void *(*cipher_fetch)(void *library, const char *name, const char *properties);
	void *(*context_new)(void);
	void (*context_free)(void *context);
	int (*init)(void *context, const void *cipher, const uint8_t *key, const uint8_t *iv, int encrypting,
		const void *params);
	int (*update)(void *context, uint8_t *out, int *out_len, const uint8_t *in, int in_len);
	int (*final)(void *context, uint8_t *out, int *out_len);
	int (*ctrl)(void *context, int type, int arg, void *at);
} openssl;

static void *load(void *library, const char *name)
{
	void *function = dlsym(library, name);
	if (!function) {
		fprintf(stderr, "%s\n", dlerror());
		exit(EXIT_FAILURE);
	}
	return function;
}

static const char *const names[CIPHER_COUNT] = { NULL, "AES-128-GCM", "AES-192-GCM", "AES-256-GCM",
	"ChaCha20-Poly1305" };

/* The job done by OpenSSL, in place. */
static bool reference(enum cipher cipher, const uint8_t *key, struct aead_job *job, bool sealing)
{
	uint8_t nothing[16];
	int len = 0;
	void *context = openssl.context_new();
	bool ok = openssl.init(context, openssl.cipher_fetch(NULL, names[cipher], NULL), key, job->nonce,
			  sealing, NULL) == 1 &&
		  openssl.update(context, NULL, &len, job->aad, (int)job->aad_len) == 1 &&
		  (job->len == 0 || openssl.update(context, job->at, &len, job->at, (int)job->len) == 1) &&
		  (sealing || openssl.ctrl(context, CTRL_AEAD_SET_TAG, AEAD_TAG_LEN, job->tag) == 1) &&
		  openssl.final(context, nothing, &len) == 1 &&
		  (!sealing || openssl.ctrl(context, CTRL_AEAD_GET_TAG, AEAD_TAG_LEN, job->tag) == 1);
	openssl.context_free(context);
	return ok;
}

static void hold_against_reference(const struct aead_method *method, enum cipher cipher)
{
	uint64_t random = 1000 + cipher;
	static uint8_t text[9000], ours[9000], theirs[9000];
	for (int i = 0; i < 900; i++) {
		uint8_t key[AEAD_KEY_MAX], aad[8], our_tag[AEAD_TAG_LEN], their_tag[AEAD_TAG_LEN];
		uint32_t len = i < 400 ? (uint32_t)i : (uint32_t)(fixture_random(&random) % sizeof(text));
		struct aead_job our = { .aad = aad, .at = ours, .tag = our_tag, .len = len };
		fixture_fill(&random, key, sizeof(key));
		fixture_fill(&random, aad, sizeof(aad));
		fixture_fill(&random, our.nonce, sizeof(our.nonce));
		fixture_fill(&random, text, len);
		our.aad_len = i % 2 ? 4 : 8;
		memcpy(ours, text, len);
		memcpy(theirs, text, len);
		struct aead_job their = our;
		their.at = theirs;
		their.tag = their_tag;

		our.schedule = method->schedule_new(cipher, key, AEAD_SEAL);
		method->seal(&our, 1);
		ck_assert(our.ok);
		ck_assert(reference(cipher, key, &their, true));
		ck_assert_mem_eq(our_tag, their_tag, AEAD_TAG_LEN);
		ck_assert_mem_eq(ours, theirs, len);
		aead_schedule_free(&our.schedule);

		/* Ours opens theirs, theirs opens ours. */
		their.schedule = method->schedule_new(cipher, key, AEAD_OPEN);
		method->open(&their, 1);
		ck_assert(their.ok);
		ck_assert_mem_eq(theirs, text, len);
		aead_schedule_free(&their.schedule);
		ck_assert(reference(cipher, key, &our, false));
		ck_assert_mem_eq(ours, text, len);
	}
}

START_TEST(every_backend_agrees_with_openssl_in_both_directions)
{
	size_t count;
	const struct aead_method *const *methods = aead_methods(&count);
	for (int c = CIPHER_UNKNOWN + 1; c < CIPHER_COUNT; c++)
		for (size_t m = 0; m < count; m++)
			if (methods[m]->usable((enum cipher)c))
				hold_against_reference(methods[m], (enum cipher)c);
}
END_TEST

int main(void)
{
	void *library = dlopen("libcrypto.so.3", RTLD_NOW | RTLD_LOCAL | RTLD_DEEPBIND);
	if (!library) {
		printf("skipped: %s\n", dlerror());
		return 77;
	}
	openssl.cipher_fetch = load(library, "EVP_CIPHER_fetch");
	openssl.context_new = load(library, "EVP_CIPHER_CTX_new");
	openssl.context_free = load(library, "EVP_CIPHER_CTX_free");
	openssl.init = load(library, "EVP_CipherInit_ex2");
	openssl.update = load(library, "EVP_CipherUpdate");
	openssl.final = load(library, "EVP_CipherFinal_ex");
	openssl.ctrl = load(library, "EVP_CIPHER_CTX_ctrl");
	const TTest *const cases[] = { every_backend_agrees_with_openssl_in_both_directions };
	return fixture_run("against_openssl", cases, 1);
}
