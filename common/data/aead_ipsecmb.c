/* SPDX-License-Identifier: MIT
 * AEAD by Intel's IPsec multi-buffer library, through its direct calls: one packet a call, synchronous, the
 * fastest form for GCM on machines with vector AES.
 *
 * The library wants a manager (IMB_MGR), but the direct calls need it for one thing alone: which function
 * suits this CPU. So a manager is made once, its pointers are copied, and it is freed again. What stays is a
 * table that nobody writes afterwards: threads share it, and a forked child has a good copy. It is the one
 * static object of this room; like the library's own CPU detection it depends on the machine only, never on
 * what the engine was given. All state of a packet lies on the caller's stack. */
#include "common/base/secret.h"
#include "common/data/aead.h"

#include <intel-ipsec-mb.h>
#include <pthread.h>
#include <stdlib.h>

extern const struct aead_method aead_ipsecmb;

/* Indexed by cipher; the AES rows are filled. */
static struct {
	bool ready;
	aes_gcm_pre_t gcm_expand[CIPHER_COUNT];
	aes_gcm_enc_dec_t gcm_seal[CIPHER_COUNT], gcm_open[CIPHER_COUNT];
	chacha_poly_init_t chacha_start;
	chacha_poly_enc_dec_update_t chacha_seal, chacha_open;
	chacha_poly_finalize_t chacha_end;
} calls;

static pthread_once_t calls_once = PTHREAD_ONCE_INIT;

struct ipsecmb_schedule {
	struct aead_schedule base;
	union {
		struct gcm_key_data gcm; /* aligned to 64 */
		uint8_t chacha[32];
	} key;
};

/* What each packet needs besides its schedule. Holds key stream, so it is wiped after a batch. */
union packet_state {
	struct gcm_context_data gcm;
	struct chacha20_poly1305_context_data chacha;
};

static void calls_find(void)
{
	/* Without AES instructions the library emulates them, slowly and not in constant time. */
	const uint64_t wanted = IMB_FEATURE_AESNI | IMB_FEATURE_PCLMULQDQ | IMB_FEATURE_SELF_TEST_PASS;
	IMB_MGR *manager = alloc_mb_mgr(0);
	if (!manager)
		return;
	init_mb_mgr_auto(manager, NULL);
	if (imb_get_errno(manager) == 0 && (manager->features & wanted) == wanted) {
		calls.gcm_expand[CIPHER_AES_128_GCM] = manager->gcm128_pre;
		calls.gcm_expand[CIPHER_AES_192_GCM] = manager->gcm192_pre;
		calls.gcm_expand[CIPHER_AES_256_GCM] = manager->gcm256_pre;
		calls.gcm_seal[CIPHER_AES_128_GCM] = manager->gcm128_enc;
		calls.gcm_seal[CIPHER_AES_192_GCM] = manager->gcm192_enc;
		calls.gcm_seal[CIPHER_AES_256_GCM] = manager->gcm256_enc;
		calls.gcm_open[CIPHER_AES_128_GCM] = manager->gcm128_dec;
		calls.gcm_open[CIPHER_AES_192_GCM] = manager->gcm192_dec;
		calls.gcm_open[CIPHER_AES_256_GCM] = manager->gcm256_dec;
		calls.chacha_start = manager->chacha20_poly1305_init;
		calls.chacha_seal = manager->chacha20_poly1305_enc_update;
		calls.chacha_open = manager->chacha20_poly1305_dec_update;
		calls.chacha_end = manager->chacha20_poly1305_finalize;
		calls.ready = true;
	}
	free_mb_mgr(manager);
}

static bool ipsecmb_usable(enum cipher cipher)
{
	pthread_once(&calls_once, calls_find);
	return calls.ready && cipher_key_len(cipher) > 0;
}

static struct aead_schedule *ipsecmb_schedule_new(
	enum cipher cipher, const uint8_t *key, enum aead_direction direction)
{
	(void)direction; /* counter mode: one schedule serves both */
	struct ipsecmb_schedule *schedule =
		aligned_alloc(_Alignof(struct ipsecmb_schedule), sizeof(*schedule));
	if (!schedule)
		return NULL;
	memset(schedule, 0, sizeof(*schedule));
	schedule->base.method = &aead_ipsecmb;
	schedule->base.cipher = cipher;
	if (cipher == CIPHER_CHACHA20_POLY1305)
		memcpy(schedule->key.chacha, key, sizeof(schedule->key.chacha));
	else
		calls.gcm_expand[cipher](key, &schedule->key.gcm);
	return &schedule->base;
}

static void ipsecmb_schedule_free(struct aead_schedule *base)
{
	secret_wipe(base, sizeof(struct ipsecmb_schedule));
	free(base);
}

static void ipsecmb_seal(struct aead_job *jobs, size_t n)
{
	union packet_state state;
	for (size_t i = 0; i < n; i++) {
		struct aead_job *job = &jobs[i];
		struct ipsecmb_schedule *schedule = (struct ipsecmb_schedule *)job->schedule;
		if (schedule->base.cipher == CIPHER_CHACHA20_POLY1305) {
			const uint8_t *key = schedule->key.chacha;
			calls.chacha_start(key, &state.chacha, job->nonce, job->aad, job->aad_len);
			calls.chacha_seal(key, &state.chacha, job->at, job->at, job->len);
			calls.chacha_end(&state.chacha, job->tag, AEAD_TAG_LEN);
		} else {
			calls.gcm_seal[schedule->base.cipher](&schedule->key.gcm, &state.gcm, job->at,
				job->at, job->len, job->nonce, job->aad, job->aad_len, job->tag,
				AEAD_TAG_LEN);
		}
		job->ok = true;
	}
	secret_wipe(&state, sizeof(state));
}

/* Decrypts and computes the tag in one pass; the comparison is ours. */
static void ipsecmb_open(struct aead_job *jobs, size_t n)
{
	union packet_state state;
	uint8_t tag[AEAD_TAG_LEN];
	for (size_t i = 0; i < n; i++) {
		struct aead_job *job = &jobs[i];
		struct ipsecmb_schedule *schedule = (struct ipsecmb_schedule *)job->schedule;
		if (schedule->base.cipher == CIPHER_CHACHA20_POLY1305) {
			const uint8_t *key = schedule->key.chacha;
			calls.chacha_start(key, &state.chacha, job->nonce, job->aad, job->aad_len);
			calls.chacha_open(key, &state.chacha, job->at, job->at, job->len);
			calls.chacha_end(&state.chacha, tag, AEAD_TAG_LEN);
		} else {
			calls.gcm_open[schedule->base.cipher](&schedule->key.gcm, &state.gcm, job->at,
				job->at, job->len, job->nonce, job->aad, job->aad_len, tag, AEAD_TAG_LEN);
		}
		job->ok = secret_equal(tag, job->tag, AEAD_TAG_LEN);
	}
	secret_wipe(&state, sizeof(state));
	secret_wipe(tag, sizeof(tag)); /* the right tag of a forged packet */
}

const struct aead_method aead_ipsecmb = {
	.name = "ipsecmb",
	.usable = ipsecmb_usable,
	.schedule_new = ipsecmb_schedule_new,
	.schedule_free = ipsecmb_schedule_free,
	.seal = ipsecmb_seal,
	.open = ipsecmb_open,
};
