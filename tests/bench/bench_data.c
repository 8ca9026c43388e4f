/* SPDX-License-Identifier: MIT
 * What sealing and opening cost: each backend of this build by itself, then the whole of data_seal() and
 * data_open() with the chosen one. Nanoseconds a packet, in batches of 64; the best of several rounds, since
 * other work on the machine only ever adds. */
#include "common/data/aead.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { BATCH = 64, ROUNDS = 40, TURNS = 8, SLOT = 2048 };

static uint8_t memory[BATCH][SLOT];
static const uint32_t sizes[] = { 64, 512, 1400 };

static double now_ns(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

/* The smaller of two costs of a packet; `spent` is that of a round. */
static double best(double so_far, double spent)
{
	double each = spent / (BATCH * TURNS);
	return so_far == 0 || each < so_far ? each : so_far;
}

static void backend(const struct aead_method *method, enum cipher cipher, uint32_t size)
{
	uint8_t key[AEAD_KEY_MAX], aad[8] = { 0 }, tags[BATCH][AEAD_TAG_LEN];
	struct aead_job jobs[BATCH];
	double seal = 0, open = 0;
	memset(key, 1, sizeof(key));
	struct aead_schedule *sealing = method->schedule_new(cipher, key, AEAD_SEAL);
	struct aead_schedule *opening = method->schedule_new(cipher, key, AEAD_OPEN);
	for (int i = 0; i < BATCH; i++)
		jobs[i] = (struct aead_job){ .aad = aad,
			.aad_len = sizeof(aad),
			.at = memory[i] + DATA_HEADROOM,
			.tag = tags[i],
			.len = size };
	for (int round = 0; round < ROUNDS; round++) {
		double start = now_ns();
		for (int turn = 0; turn < TURNS; turn++) {
			for (int i = 0; i < BATCH; i++)
				jobs[i].schedule = sealing;
			method->seal(jobs, BATCH);
		}
		seal = best(seal, now_ns() - start);
		start = now_ns();
		for (int turn = 0; turn < TURNS; turn++) {
			for (int i = 0; i < BATCH; i++)
				jobs[i].schedule = opening;
			method->open(jobs, BATCH);
		}
		open = best(open, now_ns() - start);
	}
	printf("%-10s %-18s %5u %9.0f %9.0f\n", method->name, cipher_name(cipher), size, seal, open);
	aead_schedule_free(&sealing);
	aead_schedule_free(&opening);
}

static void whole(enum cipher cipher, uint32_t size)
{
	struct data_kept here = { .cipher = (uint8_t)cipher, .send_half = 0, .window = { .width = 64 } };
	struct data_kept there = { .cipher = (uint8_t)cipher, .send_half = 1, .window = { .width = 64 } };
	memset(here.material, 1, sizeof(here.material));
	memset(there.material, 1, sizeof(there.material));
	packet_id_adopt(&here.ids, 1);
	packet_id_adopt(&there.ids, 1);
	struct data_key *ours = data_key_new(&here, 1), *theirs = data_key_new(&there, 1);
	double seal = 0, open = 0;
	if (!ours || !theirs)
		exit(EXIT_FAILURE);
	for (int round = 0; round < ROUNDS; round++) {
		double seal_spent = 0, open_spent = 0;
		for (int turn = 0; turn < TURNS; turn++) {
			struct data_job jobs[BATCH];
			for (int i = 0; i < BATCH; i++)
				jobs[i] = (struct data_job){
					.key = ours, .at = memory[i] + DATA_HEADROOM, .len = size
				};
			double start = now_ns();
			data_seal(jobs, BATCH);
			seal_spent += now_ns() - start;
			for (int i = 0; i < BATCH; i++)
				jobs[i].key = theirs;
			start = now_ns();
			data_open(jobs, BATCH, 0);
			open_spent += now_ns() - start;
			for (int i = 0; i < BATCH; i++)
				if (jobs[i].fate != FATE_NONE)
					exit(EXIT_FAILURE);
		}
		seal = best(seal, seal_spent);
		open = best(open, open_spent);
	}
	printf("%-10s %-18s %5u %9.0f %9.0f\n", "whole", cipher_name(cipher), size, seal, open);
	data_key_free(&ours);
	data_key_free(&theirs);
}

int main(void)
{
	size_t count;
	const struct aead_method *const *methods = aead_methods(&count);
	printf("%-10s %-18s %5s %9s %9s\n", "backend", "cipher", "bytes", "seal ns", "open ns");
	for (int c = CIPHER_UNKNOWN + 1; c < CIPHER_COUNT; c++)
		for (size_t s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++) {
			for (size_t m = 0; m < count; m++)
				if (methods[m]->usable((enum cipher)c))
					backend(methods[m], (enum cipher)c, sizes[s]);
			whole((enum cipher)c, sizes[s]);
		}
	return EXIT_SUCCESS;
}
