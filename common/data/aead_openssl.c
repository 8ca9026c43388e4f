/* SPDX-License-Identifier: MIT
 * AEAD by OpenSSL 3's EVP ciphers: one context a direction with its key set once, given a new nonce for each
 * packet. The context changes with every packet, so a schedule belongs to one thread. */
#include "common/base/secret.h"
#include "common/data/aead.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <stdlib.h>

extern const struct aead_method aead_openssl;

struct openssl_schedule {
	struct aead_schedule base;
	EVP_CIPHER_CTX *context;
};

/* OpenSSL's names for our ciphers. */
static const char *const names[CIPHER_COUNT] = {
	[CIPHER_AES_128_GCM] = "AES-128-GCM",
	[CIPHER_AES_192_GCM] = "AES-192-GCM",
	[CIPHER_AES_256_GCM] = "AES-256-GCM",
	[CIPHER_CHACHA20_POLY1305] = "ChaCha20-Poly1305",
};

/* A provider may lack a cipher (ChaCha20-Poly1305 in FIPS mode), so the answer is the library's. */
static bool openssl_usable(enum cipher cipher)
{
	if ((unsigned)cipher >= CIPHER_COUNT || !names[cipher])
		return false;
	EVP_CIPHER *found = EVP_CIPHER_fetch(NULL, names[cipher], NULL);
	if (!found)
		ERR_clear_error();
	EVP_CIPHER_free(found);
	return found != NULL;
}

static void openssl_schedule_free(struct aead_schedule *base)
{
	struct openssl_schedule *schedule = (struct openssl_schedule *)base;
	EVP_CIPHER_CTX_free(schedule->context); /* wipes the expanded key */
	secret_wipe(schedule, sizeof(*schedule));
	free(schedule);
}

static struct aead_schedule *openssl_schedule_new(
	enum cipher cipher, const uint8_t *key, enum aead_direction direction)
{
	EVP_CIPHER *fetched = EVP_CIPHER_fetch(NULL, names[cipher], NULL);
	struct openssl_schedule *schedule = calloc(1, sizeof(*schedule));
	if (!fetched || !schedule)
		goto failed;
	schedule->base.method = &aead_openssl;
	schedule->base.cipher = cipher;
	schedule->context = EVP_CIPHER_CTX_new();
	/* The context keeps its own reference to the cipher. Twelve bytes of nonce are the default of all. */
	if (!schedule->context ||
		EVP_CipherInit_ex2(schedule->context, fetched, key, NULL, direction == AEAD_SEAL, NULL) !=
			1 ||
		EVP_CIPHER_CTX_get_iv_length(schedule->context) != AEAD_NONCE_LEN ||
		EVP_CIPHER_CTX_get_key_length(schedule->context) != (int)cipher_key_len(cipher))
		goto failed;
	EVP_CIPHER_free(fetched);
	return &schedule->base;
failed:
	ERR_clear_error();
	EVP_CIPHER_free(fetched);
	if (schedule)
		openssl_schedule_free(&schedule->base);
	return NULL;
}

/* The steps that sealing and opening share: nonce, additional data, the bytes. */
static bool cipher_run(EVP_CIPHER_CTX *context, struct aead_job *job, const uint8_t *from, int sealing)
{
	int done = 0;
	return EVP_CipherInit_ex2(context, NULL, NULL, job->nonce, sealing, NULL) == 1 &&
	       EVP_CipherUpdate(context, NULL, &done, job->aad, (int)job->aad_len) == 1 &&
	       (job->len == 0 || (EVP_CipherUpdate(context, job->at, &done, from, (int)job->len) == 1 &&
					 (uint32_t)done == job->len));
}

static bool cipher_end(EVP_CIPHER_CTX *context)
{
	uint8_t nothing[16];
	int done = 0;
	return EVP_CipherFinal_ex(context, nothing, &done) == 1 && done == 0;
}

static void openssl_seal(struct aead_job *jobs, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct aead_job *job = &jobs[i];
		EVP_CIPHER_CTX *context = ((struct openssl_schedule *)job->schedule)->context;
		job->ok = cipher_run(context, job, aead_gather(job), 1) && cipher_end(context) &&
			  EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, AEAD_TAG_LEN, job->tag) == 1;
		if (!job->ok)
			ERR_clear_error();
	}
}

static void openssl_open(struct aead_job *jobs, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct aead_job *job = &jobs[i];
		EVP_CIPHER_CTX *context = ((struct openssl_schedule *)job->schedule)->context;
		job->ok = cipher_run(context, job, job->at, 0) &&
			  EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG, AEAD_TAG_LEN, job->tag) == 1 &&
			  cipher_end(context);
		/* A refusal may leave an entry in the thread's error queue, which TLS would find there. */
		if (!job->ok)
			ERR_clear_error();
	}
}

const struct aead_method aead_openssl = {
	.name = "openssl",
	.usable = openssl_usable,
	.schedule_new = openssl_schedule_new,
	.schedule_free = openssl_schedule_free,
	.seal = openssl_seal,
	.open = openssl_open,
};
