/* SPDX-License-Identifier: MIT
 * AEAD by Intel's IPsec multi-buffer library.
 *
 * GCM through its direct calls: one packet a call, synchronous, the fastest form on machines with vector AES.
 * The library wants a manager (IMB_MGR), but the direct calls need it for one thing alone: which function
 * suits this CPU. So a manager is made once, its pointers are copied, and it is freed again. What stays is a
 * table that nobody writes afterwards: threads share it, and a forked child has a good copy. Like the library's
 * own CPU detection it depends on the machine only, never on what the engine was given. All state of a packet
 * lies on the caller's stack.
 *
 * ChaCha20-Poly1305 as jobs, which also end at once, but take 120 ns less a packet than the three direct calls
 * (bench_data). They are noted in the manager, so each thread that has such keys has a manager of its own. */
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
	pthread_key_t managers; /* ends them with their threads */
} calls;

static pthread_once_t calls_once = PTHREAD_ONCE_INIT;
static _Thread_local IMB_MGR *own_manager;

struct ipsecmb_schedule {
	struct aead_schedule base;
	union {
		struct gcm_key_data gcm; /* aligned to 64 */
		uint8_t chacha[32];
	} key;
};

/* NULL: out of memory, or this CPU is none for it. */
static IMB_MGR *manager_new(void)
{
	/* Without AES instructions the library emulates them, slowly and not in constant time. */
	const uint64_t wanted = IMB_FEATURE_AESNI | IMB_FEATURE_PCLMULQDQ | IMB_FEATURE_SELF_TEST_PASS;
	IMB_MGR *manager = alloc_mb_mgr(0);
	if (!manager)
		return NULL;
	init_mb_mgr_auto(manager, NULL);
	if (imb_get_errno(manager) == 0 && (manager->features & wanted) == wanted)
		return manager;
	free_mb_mgr(manager);
	return NULL;
}

static void manager_end(void *manager)
{
	own_manager = NULL;
	free_mb_mgr(manager);
}

static void calls_find(void)
{
	IMB_MGR *manager = manager_new();
	if (!manager)
		return;
	if (pthread_key_create(&calls.managers, manager_end) == 0) {
		calls.gcm_expand[CIPHER_AES_128_GCM] = manager->gcm128_pre;
		calls.gcm_expand[CIPHER_AES_192_GCM] = manager->gcm192_pre;
		calls.gcm_expand[CIPHER_AES_256_GCM] = manager->gcm256_pre;
		calls.gcm_seal[CIPHER_AES_128_GCM] = manager->gcm128_enc;
		calls.gcm_seal[CIPHER_AES_192_GCM] = manager->gcm192_enc;
		calls.gcm_seal[CIPHER_AES_256_GCM] = manager->gcm256_enc;
		calls.gcm_open[CIPHER_AES_128_GCM] = manager->gcm128_dec;
		calls.gcm_open[CIPHER_AES_192_GCM] = manager->gcm192_dec;
		calls.gcm_open[CIPHER_AES_256_GCM] = manager->gcm256_dec;
		calls.ready = true;
	}
	free_mb_mgr(manager);
}

static bool ipsecmb_usable(enum cipher cipher)
{
	pthread_once(&calls_once, calls_find);
	return calls.ready && cipher_key_len(cipher) > 0;
}

/* The calling thread's, made when it is first asked for; NULL: out of memory. */
static IMB_MGR *manager_of_thread(void)
{
	if (own_manager)
		return own_manager;
	own_manager = manager_new();
	if (own_manager && pthread_setspecific(calls.managers, own_manager) != 0)
		manager_end(own_manager);
	return own_manager;
}

static struct aead_schedule *ipsecmb_schedule_new(
	enum cipher cipher, const uint8_t *key, enum aead_direction direction)
{
	(void)direction; /* counter mode: one schedule serves both */
	struct ipsecmb_schedule *schedule;
	/* Made here rather than at the first packet, which would wait for the library's self-test. */
	if (cipher == CIPHER_CHACHA20_POLY1305 && !manager_of_thread())
		return NULL;
	schedule = aligned_alloc(_Alignof(struct ipsecmb_schedule), sizeof(*schedule));
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

/* The tag goes to `tag`, also of what is opened. False: nothing was done. */
static bool chacha(struct aead_job *job, enum aead_direction direction, uint8_t *tag)
{
	const uint8_t *key = ((struct ipsecmb_schedule *)job->schedule)->key.chacha;
	IMB_MGR *manager = manager_of_thread();
	IMB_JOB *it;
	if (!manager)
		return false;
	it = IMB_GET_NEXT_JOB(manager);
	it->cipher_mode = IMB_CIPHER_CHACHA20_POLY1305;
	it->hash_alg = IMB_AUTH_CHACHA20_POLY1305;
	it->cipher_direction = direction == AEAD_SEAL ? IMB_DIR_ENCRYPT : IMB_DIR_DECRYPT;
	it->chain_order = direction == AEAD_SEAL ? IMB_ORDER_CIPHER_HASH : IMB_ORDER_HASH_CIPHER;
	it->enc_keys = it->dec_keys = key;
	it->key_len_in_bytes = sizeof(((struct ipsecmb_schedule *)0)->key.chacha);
	it->iv = job->nonce;
	it->iv_len_in_bytes = AEAD_NONCE_LEN;
	it->u.CHACHA20_POLY1305.aad = job->aad;
	it->u.CHACHA20_POLY1305.aad_len_in_bytes = job->aad_len;
	it->src = direction == AEAD_SEAL ? aead_gather(job) : job->at;
	it->dst = job->at;
	it->cipher_start_src_offset_in_bytes = it->hash_start_src_offset_in_bytes = 0;
	it->msg_len_to_cipher_in_bytes = it->msg_len_to_hash_in_bytes = job->len;
	it->auth_tag_output = tag;
	it->auth_tag_output_len_in_bytes = AEAD_TAG_LEN;
	it = IMB_SUBMIT_JOB_NOCHECK(manager);
	return it && it->status == IMB_STATUS_COMPLETED;
}

static void ipsecmb_seal(struct aead_job *jobs, size_t n)
{
	struct gcm_context_data state; /* holds key stream: wiped */
	for (size_t i = 0; i < n; i++) {
		struct aead_job *job = &jobs[i];
		struct ipsecmb_schedule *schedule = (struct ipsecmb_schedule *)job->schedule;
		if (schedule->base.cipher == CIPHER_CHACHA20_POLY1305) {
			job->ok = chacha(job, AEAD_SEAL, job->tag);
			continue;
		}
		calls.gcm_seal[schedule->base.cipher](&schedule->key.gcm, &state, job->at, aead_gather(job),
			job->len, job->nonce, job->aad, job->aad_len, job->tag, AEAD_TAG_LEN);
		job->ok = true;
	}
	secret_wipe(&state, sizeof(state));
}

/* Decrypts and computes the tag in one pass; the comparison is ours. */
static void ipsecmb_open(struct aead_job *jobs, size_t n)
{
	struct gcm_context_data state;
	uint8_t tag[AEAD_TAG_LEN];
	for (size_t i = 0; i < n; i++) {
		struct aead_job *job = &jobs[i];
		struct ipsecmb_schedule *schedule = (struct ipsecmb_schedule *)job->schedule;
		bool done = true;
		if (schedule->base.cipher == CIPHER_CHACHA20_POLY1305)
			done = chacha(job, AEAD_OPEN, tag);
		else
			calls.gcm_open[schedule->base.cipher](&schedule->key.gcm, &state, job->at, job->at,
				job->len, job->nonce, job->aad, job->aad_len, tag, AEAD_TAG_LEN);
		job->ok = done && secret_equal(tag, job->tag, AEAD_TAG_LEN);
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
