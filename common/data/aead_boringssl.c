/* SPDX-License-Identifier: MIT
 * AEAD by BoringSSL's EVP_AEAD: one context a direction, used for every packet without being changed; the
 * scatter and gather calls put the tag where the wire wants it. Keeps no state of its own. */
#include "common/base/secret.h"
#include "common/data/aead.h"

#include <openssl/aead.h>
#include <openssl/err.h>
#include <stdlib.h>

extern const struct aead_method aead_boringssl;

struct boringssl_schedule {
	struct aead_schedule base;
	EVP_AEAD_CTX context;
};

static const EVP_AEAD *aead_of(enum cipher cipher)
{
	switch (cipher) {
	case CIPHER_AES_128_GCM:
		return EVP_aead_aes_128_gcm();
	case CIPHER_AES_192_GCM:
		return EVP_aead_aes_192_gcm();
	case CIPHER_AES_256_GCM:
		return EVP_aead_aes_256_gcm();
	case CIPHER_CHACHA20_POLY1305:
		return EVP_aead_chacha20_poly1305();
	default:
		return NULL;
	}
}

static bool boringssl_usable(enum cipher cipher)
{
	return aead_of(cipher) != NULL;
}

static struct aead_schedule *boringssl_schedule_new(
	enum cipher cipher, const uint8_t *key, enum aead_direction direction)
{
	(void)direction; /* one kind of context serves both */
	/* The context holds the expanded key inside, aligned for the library's vector code. */
	struct boringssl_schedule *schedule = calloc(1, sizeof(*schedule));
	if (!schedule)
		return NULL;
	schedule->base.method = &aead_boringssl;
	schedule->base.cipher = cipher;
	if (!EVP_AEAD_CTX_init(
		    &schedule->context, aead_of(cipher), key, cipher_key_len(cipher), AEAD_TAG_LEN, NULL)) {
		ERR_clear_error();
		free(schedule);
		return NULL;
	}
	return &schedule->base;
}

static void boringssl_schedule_free(struct aead_schedule *base)
{
	struct boringssl_schedule *schedule = (struct boringssl_schedule *)base;
	EVP_AEAD_CTX_cleanup(&schedule->context);
	secret_wipe(schedule, sizeof(*schedule));
	free(schedule);
}

static void boringssl_seal(struct aead_job *jobs, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct aead_job *job = &jobs[i];
		struct boringssl_schedule *schedule = (struct boringssl_schedule *)job->schedule;
		size_t tag_len = 0;
		job->ok = EVP_AEAD_CTX_seal_scatter(&schedule->context, job->at, job->tag, &tag_len,
				  AEAD_TAG_LEN, job->nonce, AEAD_NONCE_LEN, aead_gather(job), job->len,
				  NULL, 0, job->aad, job->aad_len) &&
			  tag_len == AEAD_TAG_LEN;
		if (!job->ok)
			ERR_clear_error();
	}
}

static void boringssl_open(struct aead_job *jobs, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct aead_job *job = &jobs[i];
		struct boringssl_schedule *schedule = (struct boringssl_schedule *)job->schedule;
		job->ok = EVP_AEAD_CTX_open_gather(&schedule->context, job->at, job->nonce, AEAD_NONCE_LEN,
			job->at, job->len, job->tag, AEAD_TAG_LEN, job->aad, job->aad_len);
		/* Each refusal leaves an entry in the thread's error queue, which TLS would find there. */
		if (!job->ok)
			ERR_clear_error();
	}
}

const struct aead_method aead_boringssl = {
	.name = "boringssl",
	.usable = boringssl_usable,
	.schedule_new = boringssl_schedule_new,
	.schedule_free = boringssl_schedule_free,
	.seal = boringssl_seal,
	.open = boringssl_open,
};
