/* SPDX-License-Identifier: MIT
 * What the files of this room share about AEAD backends: a backend is one const struct of functions that
 * seals and opens batches in place, with the tag wherever the job says. Known to common/data and its tests
 * alone. */
#ifndef COMMON_DATA_AEAD_H
#define COMMON_DATA_AEAD_H

#include "common/data/data.h"

#include <string.h>

enum { AEAD_NONCE_LEN = 12, AEAD_TAG_LEN = 16, AEAD_KEY_MAX = 32 };

enum aead_direction { AEAD_SEAL, AEAD_OPEN };

struct aead_method;

/* The expanded key of one direction; a backend's own struct begins with it. Used by one thread at a time:
 * a backend may keep the state of the packet in work inside. */
struct aead_schedule {
	const struct aead_method *method;
	enum cipher cipher;
};

/* One packet. `at` changes in place, or is written from a payload apart. Sealing writes `tag`; opening compares it. `tag` may
 * not overlap `at`. `ok`: the backend's answer. After a refused opening the bytes at `at` have no meaning and must not
 * be used. */
struct aead_job {
	struct aead_schedule *schedule;
	const uint8_t *aad;
	uint8_t *at;
	uint8_t *payload; /* sealing, NULL or: where all but the first `head` bytes are; aead_gather() */
	uint8_t *tag;
	uint32_t aad_len, len, head;
	uint8_t nonce[AEAD_NONCE_LEN];
	bool ok;
};

struct aead_method {
	const char *name; /* "ipsecmb" */
	/* Whether this machine and library can do the cipher; cheap after the first time. */
	bool (*usable)(enum cipher cipher);
	/* Expands cipher_key_len() bytes. NULL: out of memory, or the library refused. */
	struct aead_schedule *(*schedule_new)(
		enum cipher cipher, const uint8_t *key, enum aead_direction direction);
	/* Wipes and frees. */
	void (*schedule_free)(struct aead_schedule *schedule);
	/* All jobs belong to this method; their ciphers and keys may differ. */
	void (*seal)(struct aead_job *jobs, size_t n);
	void (*open)(struct aead_job *jobs, size_t n);
};

/* The list of this build, best first. */
const struct aead_method *const *aead_methods(size_t *count);
/* The first of the list that can do the cipher, or NULL. */
const struct aead_method *aead_method_for(enum cipher cipher);

/* Wipes and frees; empties the caller's pointer; accepts NULL inside. */
void aead_schedule_free(struct aead_schedule **schedule);

/* What a backend seals, whole: the head moves in front of a payload that lies apart, where it may overwrite what jobs
 * before this one have been sealed from. So each job is gathered when its turn has come, no earlier. */
static inline const uint8_t *aead_gather(const struct aead_job *job)
{
	if (!job->payload)
		return job->at;
	return memcpy(job->payload - job->head, job->at, job->head);
}

/* Gives every job to the method of its schedule, neighbours of one method together, in order. */
void aead_seal(struct aead_job *jobs, size_t n);
void aead_open(struct aead_job *jobs, size_t n);

#endif
