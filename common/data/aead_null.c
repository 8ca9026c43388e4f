/* SPDX-License-Identifier: MIT
 * No encryption at all: packets are framed and nothing else, to measure what everything but the cipher costs. Exists in
 * builds with -Dnull_cipher=true alone, where it takes the place of every cipher, and only such builds understand each
 * other: the tag is a fixed text, so a real peer's packets are refused and a real peer refuses ours. */
#include "common/data/aead.h"

#include <stdlib.h>
#include <string.h>

extern const struct aead_method aead_null;

static const uint8_t null_tag[AEAD_TAG_LEN] = "NOT ENCRYPTED!!";

static bool null_usable(enum cipher cipher)
{
	return cipher_key_len(cipher) != 0;
}

static struct aead_schedule *null_schedule_new(enum cipher cipher, const uint8_t *key, enum aead_direction direction)
{
	(void)key;
	(void)direction;
	struct aead_schedule *schedule = calloc(1, sizeof(*schedule));
	if (schedule)
		*schedule = (struct aead_schedule){ .method = &aead_null, .cipher = cipher };
	return schedule;
}

static void null_schedule_free(struct aead_schedule *schedule)
{
	free(schedule);
}

static void null_seal(struct aead_job *jobs, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct aead_job *job = &jobs[i];
		if (job->payload)
			memcpy(job->at + job->head, job->payload, job->len - job->head);
		memcpy(jobs[i].tag, null_tag, AEAD_TAG_LEN);
		jobs[i].ok = true;
	}
}

static void null_open(struct aead_job *jobs, size_t n)
{
	for (size_t i = 0; i < n; i++)
		jobs[i].ok = memcmp(jobs[i].tag, null_tag, AEAD_TAG_LEN) == 0;
}

const struct aead_method aead_null = {
	.name = "null",
	.usable = null_usable,
	.schedule_new = null_schedule_new,
	.schedule_free = null_schedule_free,
	.seal = null_seal,
	.open = null_open,
};
