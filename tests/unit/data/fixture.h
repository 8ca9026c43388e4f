/* SPDX-License-Identifier: MIT
 * What the tests of this room share: the key material of the vectors, both ends of a key, numbers that look
 * random and are the same in every run. */
#ifndef TESTS_UNIT_DATA_FIXTURE_H
#define TESTS_UNIT_DATA_FIXTURE_H

#include "common/data/data.h"
#include "common/wire/wire.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

enum { FIXTURE_ROOM = DATA_HEADROOM + 9216 };

/* What the vectors seal. */
#define FIXTURE_TEXT "The quick little fox jumps over the bureaucratic hurdles"

/* The 256 bytes of OpenVPN's own tests. */
static inline void fixture_material(uint8_t out[KEY_MATERIAL_LEN])
{
	for (int i = 0; i < KEY_MATERIAL_LEN; i++)
		out[i] = (uint8_t)("abcdefgh01234567ABCDEFGHjkuchenl"[i % 32] ^ i);
}

/* One end of a key with a fresh source and window; `half` 0 is the client, 1 the server. */
static inline struct data_kept fixture_kept(enum cipher cipher, uint8_t half, uint32_t peer_id)
{
	struct data_kept kept = { .cipher = (uint8_t)cipher,
		.key_id = 2,
		.send_half = half,
		.peer_id = peer_id,
		.window = { .width = 64, .limit_s = 15 } };
	fixture_material(kept.material);
	packet_id_adopt(&kept.ids, 1);
	return kept;
}

static inline struct data_key *fixture_key(struct data_kept *kept)
{
	struct data_key *key = data_key_new(kept, 1);
	ck_assert_ptr_nonnull(key);
	return key;
}

/* xorshift64*, seeded by the caller. */
static inline uint64_t fixture_random(uint64_t *state)
{
	*state ^= *state >> 12;
	*state ^= *state << 25;
	*state ^= *state >> 27;
	return *state * UINT64_C(0x2545f4914f6cdd1d);
}

static inline void fixture_fill(uint64_t *state, void *out, size_t len)
{
	for (size_t i = 0; i < len; i++)
		((uint8_t *)out)[i] = (uint8_t)(fixture_random(state) >> 32);
}

/* Bytes of a hex string; their count. */
static inline size_t fixture_hex(const char *hex, uint8_t *out)
{
	size_t len = strlen(hex) / 2;
	for (size_t i = 0; i < len; i++)
		out[i] = (uint8_t)strtoul((char[]){ hex[2 * i], hex[2 * i + 1], 0 }, NULL, 16);
	return len;
}

/* Seals a copy of `len` bytes inside `room` (FIXTURE_ROOM bytes). */
static inline struct data_job fixture_seal(
	struct data_key *key, uint8_t *room, const void *packet, size_t len)
{
	struct data_job job = { .key = key, .at = room + DATA_HEADROOM, .len = (uint32_t)len };
	memcpy(job.at, packet, len);
	data_seal(&job, 1);
	return job;
}

/* Opens a datagram, given as memory of exactly its size so that a sanitizer sees every step beside it. */
static inline enum fate fixture_open_at(struct data_key *key, const void *datagram, size_t len, mono_ms now)
{
	uint8_t *copy = malloc(len ? len : 1);
	memcpy(copy, datagram, len);
	struct data_job job = { .key = key, .at = copy, .len = (uint32_t)len };
	data_open(&job, 1, now);
	free(copy);
	return job.fate;
}

static inline enum fate fixture_open(struct data_key *key, const void *datagram, size_t len)
{
	return fixture_open_at(key, datagram, len, 1000);
}

/* Runs the cases of one file. */
static inline int fixture_run(const char *name, const TTest *const *cases, size_t count)
{
	Suite *suite = suite_create(name);
	TCase *tcase = tcase_create(name);
	tcase_set_timeout(tcase, 60);
	for (size_t i = 0; i < count; i++)
		tcase_add_test(tcase, cases[i]);
	suite_add_tcase(suite, tcase);
	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

#define FIXTURE_MAIN(name, ...)                                                                              \
	int main(void)                                                                                       \
	{                                                                                                    \
		const TTest *const cases[] = { __VA_ARGS__ };                                                \
		return fixture_run(name, cases, sizeof(cases) / sizeof(cases[0]));                           \
	}

#endif
