/* SPDX-License-Identifier: MIT
 * The way in: heads are read, all tags are judged, then each number is taken, in the order of arrival. Calls
 * the AEAD backends and the replay window; allocates nothing. There is no look at the window before
 * decryption: a replayed datagram costs what a forged one costs, and the fates stay simple. */
#include "common/data/data_key.h"

#include "common/base/check.h"
#include "common/wire/wire.h"

/* The jobs that are still on their way, side by side with what their backend is asked. */
struct open_batch {
	size_t count;
	struct data_job *job[DATA_BATCH];
	uint32_t id[DATA_BATCH];
	struct aead_job aead[DATA_BATCH];
};

/* Reads head, id and tag (drawn in data.h) of one datagram. Gives the job's fate, or FATE_NONE. */
static enum fate open_head(const struct data_job *job, uint32_t *id, struct aead_job *aead)
{
	const struct data_key *key = job->key;
	struct bytes in = bytes_of(job->at, job->len);
	const uint8_t *start = in.at;
	uint8_t head = read_u8(&in);
	if (head >> 3 == OP_DATA_V2)
		read_view(&in, 3); /* the peer id has done its work */
	else
		start = in.at; /* V1: the first byte is not authenticated */
	*id = read_u32(&in);
	const uint8_t *tag = read_view(&in, AEAD_TAG_LEN);
	struct bytes sealed = read_rest(&in);
	if (!bytes_ok(&in))
		return FATE_TOO_SHORT;
	if ((head >> 3 != OP_DATA_V2 && head >> 3 != OP_DATA_V1) || (head & 7) != key->kept->key_id ||
		key->forged > data_key_forged_max)
		return FATE_FORGED;
	aead->schedule = key->receive;
	aead->aad = start;
	aead->aad_len = (uint32_t)(tag - start);
	aead->tag = job->at + (tag - job->at);
	aead->at = job->at + (sealed.at - job->at);
	aead->len = (uint32_t)sealed.left;
	data_nonce(aead->nonce, *id, key->receive_iv);
	return FATE_NONE;
}

static void open_heads(struct open_batch *batch, struct data_job *jobs, size_t n)
{
	batch->count = 0;
	for (size_t i = 0; i < n; i++) {
		size_t next = batch->count;
		if (jobs[i].fate != FATE_NONE)
			continue;
		jobs[i].fate = open_head(&jobs[i], &batch->id[next], &batch->aead[next]);
		if (jobs[i].fate == FATE_NONE)
			batch->job[batch->count++] = &jobs[i];
	}
}

/* What the tags said. A refused backend may have left key stream over known bytes: nothing of it stays. */
static void open_verdicts(struct open_batch *batch)
{
	for (size_t i = 0; i < batch->count; i++) {
		const struct aead_job *aead = &batch->aead[i];
		struct data_key *key = batch->job[i]->key;
		key->opened.load += data_load(aead);
		if (aead->ok)
			continue;
		batch->job[i]->fate = FATE_FORGED;
		key->forged++;
		memset(aead->at, 0, aead->len);
	}
}

/* Takes the number of everything that verified, while this process may still speak for the session. */
static void open_numbers(struct open_batch *batch, mono_ms now)
{
	for (size_t i = 0; i < batch->count; i++) {
		struct data_job *job = batch->job[i];
		struct replay_window *window = &job->key->kept->window;
		if (job->fate != FATE_NONE)
			continue;
		if (!data_key_owns(job->key)) {
			job->fate = FATE_STALE; /* a second writer could move the window back */
			continue;
		}
		replay_window_age(window, now);
		if (replay_window_accepts(window, batch->id[i]))
			replay_window_note(window, batch->id[i], now);
		else
			job->fate = FATE_REPLAYED;
	}
}

static void open_finish(struct open_batch *batch)
{
	for (size_t i = 0; i < batch->count; i++) {
		struct data_job *job = batch->job[i];
		const struct aead_job *aead = &batch->aead[i];
		if (job->fate != FATE_NONE)
			continue;
		job->key->opened.packets++;
		job->key->opened.bytes += job->len;
		job->at = aead->at;
		job->len = aead->len;
		if (job->len == 0)
			job->fate = FATE_EMPTY;
	}
}

void data_open(struct data_job *jobs, size_t n, mono_ms now)
{
	/* 10 KiB that each step fills before the next one reads; clearing them first would cost as much as
	 * opening a small packet. */
	struct open_batch batch __attribute__((uninitialized));
	CHECK(n <= DATA_BATCH);
	open_heads(&batch, jobs, n);
	aead_open(batch.aead, batch.count);
	open_verdicts(&batch);
	open_numbers(&batch, now);
	open_finish(&batch);
}
