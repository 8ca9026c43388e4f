/* SPDX-License-Identifier: MIT
 * The way out: inner packets get their number and head, and are sealed where they lie, or to there from where
 * their payload lies. Calls the AEAD backends and the packet id source; reads no clock, allocates nothing. */
#include "common/data/data_key.h"

#include "common/base/check.h"
#include "common/wire/wire.h"

/* The jobs that are still on their way, side by side with what their backend is asked. */
struct seal_batch {
	size_t count;
	struct data_job *job[DATA_BATCH];
	uint32_t id[DATA_BATCH];
	struct aead_job aead[DATA_BATCH];
};

/* Each job its number, in order. One compare-and-swap serves PACKET_ID_BLOCK packets of a key. */
static void seal_numbers(struct seal_batch *batch, struct data_job *jobs, size_t n)
{
	batch->count = 0;
	for (size_t i = 0; i < n; i++) {
		struct data_job *job = &jobs[i];
		if (job->fate != FATE_NONE)
			continue;
		if (job->len == 0) {
			job->fate = FATE_EMPTY;
			continue;
		}
		struct data_key *key = job->key;
		if (!packet_id_reserve(&key->kept->ids, key->epoch, &key->block)) {
			job->fate = FATE_KEY_EXHAUSTED;
			continue;
		}
		batch->id[batch->count] = key->block.next++;
		batch->job[batch->count++] = job;
	}
}

/* Head and packet id in front of the place of the tag (drawn in data.h). */
static void seal_heads(struct seal_batch *batch)
{
	for (size_t i = 0; i < batch->count; i++) {
		struct data_job *job = batch->job[i];
		struct aead_job *aead = &batch->aead[i];
		const struct data_key *key = job->key;
		uint32_t id = batch->id[i], peer_id = key->kept->peer_id;
		bool v1 = peer_id == WIRE_PEER_ID_NONE;
		size_t overhead = v1 ? DATA_OVERHEAD_V1 : DATA_OVERHEAD_V2;
		struct bytes_out head = bytes_into(job->at - overhead, overhead);
		if (v1)
			write_u8(&head, (uint8_t)(OP_DATA_V1 << 3 | (key->kept->key_id & 7)));
		else
			write_u32(&head, (uint32_t)(OP_DATA_V2 << 3 | (key->kept->key_id & 7)) << 24 |
						 (peer_id & 0xffffff));
		size_t open_part = v1 ? head.len : 0; /* V1: the first byte is not authenticated */
		write_u32(&head, id);
		aead->schedule = key->send;
		aead->aad = head.start + open_part;
		aead->aad_len = (uint32_t)(head.len - open_part);
		aead->tag = write_space(&head, AEAD_TAG_LEN);
		aead->at = job->at;
		aead->payload = job->payload;
		aead->head = job->head;
		aead->len = job->len;
		data_nonce(aead->nonce, id, key->send_iv);
		job->at -= overhead;
		job->len += (uint32_t)overhead;
	}
}

static void seal_finish(struct seal_batch *batch)
{
	for (size_t i = 0; i < batch->count; i++) {
		struct data_job *job = batch->job[i];
		const struct aead_job *aead = &batch->aead[i];
		struct data_usage *usage = &job->key->sealed;
		usage->load += data_load(aead);
		if (!aead->ok) {
			job->fate = FATE_KEY_EXHAUSTED; /* the library refused: this key seals no more */
			continue;
		}
		usage->packets++;
		usage->bytes += job->len;
	}
}

void data_seal(struct data_job *jobs, size_t n)
{
	/* 10 KiB that each step fills before the next one reads; clearing them first would cost as much as
	 * sealing a small packet. */
	struct seal_batch batch __attribute__((uninitialized));
	CHECK(n <= DATA_BATCH);
	seal_numbers(&batch, jobs, n);
	seal_heads(&batch);
	aead_seal(batch.aead, batch.count);
	seal_finish(&batch);
}
