/* SPDX-License-Identifier: MIT
 * Every backend of this build against known answers and against every other, both ways. */
#include "common/data/aead.h"
#include "tests/unit/data/fixture.h"

/* OpenVPN's own packet (tests/unit_tests/openvpn/test_ssl.c), head 07 00 00 17, sealed with the first half.
 */
static const char openvpn_packet[] = "07000017000000011fdd908f0e9dc25e79d832020d58e73f"
				     "2262f977d6bb2118fa0ea82e6b1706d949aefcb5efcbbacd5c09a9ab45f4d391"
				     "d3f68794cb0b82c3d33389b61622b3281598e2ff6d5cc38b";

/* One packet in a buffer of its own: additional data, tag, text. */
struct piece_of_work {
	uint8_t aad[8], tag[AEAD_TAG_LEN];
	uint8_t *room;
	struct aead_job job;
};

/* `len` bytes at an address that is odd in a different way each time. */
static void work_make(
	struct piece_of_work *work, struct aead_schedule *schedule, size_t len, uint64_t *random)
{
	work->room = malloc(len + 64);
	fixture_fill(random, work->aad, sizeof(work->aad));
	work->job = (struct aead_job){ .schedule = schedule,
		.aad = work->aad,
		.aad_len = fixture_random(random) & 1 << 20 ? 4 : 8,
		.at = work->room + fixture_random(random) % 64,
		.len = (uint32_t)len,
		.tag = work->tag };
	fixture_fill(random, work->job.at, len);
	fixture_fill(random, work->job.nonce, AEAD_NONCE_LEN);
}

START_TEST(ciphers_are_found_by_name_in_any_case)
{
	for (int c = CIPHER_UNKNOWN + 1; c < CIPHER_COUNT; c++) {
		const char *name = cipher_name((enum cipher)c);
		ck_assert_int_eq(cipher_by_name(name, strlen(name)), c);
	}
	ck_assert_int_eq(cipher_by_name("aes-256-gcm", 11), CIPHER_AES_256_GCM);
	ck_assert_int_eq(cipher_by_name("ChaCha20-Poly1305:x", 17), CIPHER_CHACHA20_POLY1305);
	ck_assert_uint_eq(cipher_key_len(CIPHER_AES_192_GCM), 24);
}
END_TEST

START_TEST(other_names_and_numbers_are_unknown)
{
	ck_assert_int_eq(cipher_by_name("", 0), CIPHER_UNKNOWN);
	ck_assert_int_eq(cipher_by_name("?", 1), CIPHER_UNKNOWN);
	ck_assert_int_eq(cipher_by_name("AES-256-GC", 10), CIPHER_UNKNOWN);
	ck_assert_int_eq(cipher_by_name("AES-256-GCMM", 12), CIPHER_UNKNOWN);
	ck_assert_int_eq(cipher_by_name("BF-CBC", 6), CIPHER_UNKNOWN);
	ck_assert_str_eq(cipher_name(CIPHER_UNKNOWN), "?");
	ck_assert_str_eq(cipher_name(CIPHER_COUNT), "?");
	ck_assert_str_eq(cipher_name((enum cipher) - 1), "?");
	ck_assert_uint_eq(cipher_key_len(CIPHER_COUNT), 0);
	ck_assert_ptr_null(aead_method_for(CIPHER_UNKNOWN));
	ck_assert_ptr_null(aead_method_for(CIPHER_COUNT));
	ck_assert_str_eq(data_backend_name(CIPHER_UNKNOWN), "?");
}
END_TEST

START_TEST(every_cipher_has_a_backend)
{
	for (int c = CIPHER_UNKNOWN + 1; c < CIPHER_COUNT; c++)
		ck_assert_str_ne(data_backend_name((enum cipher)c), "?");
}
END_TEST

START_TEST(every_backend_seals_the_packet_of_openvpns_own_test)
{
	size_t count;
	const struct aead_method *const *methods = aead_methods(&count);
	uint8_t want[80], got[80], material[KEY_MATERIAL_LEN];
	ck_assert_uint_eq(fixture_hex(openvpn_packet, want), sizeof(want));
	fixture_material(material);
	for (size_t m = 0; m < count; m++) {
		if (!methods[m]->usable(CIPHER_AES_256_GCM))
			continue;
		struct aead_schedule *schedule =
			methods[m]->schedule_new(CIPHER_AES_256_GCM, key_cipher(material, 0), AEAD_SEAL);
		memcpy(got, want, 8);
		memcpy(got + 24, FIXTURE_TEXT, 56);
		struct aead_job job = { .schedule = schedule, .aad = got, .at = got + 24, .tag = got + 8, .aad_len = 8,
			.len = 56, .nonce = { 0, 0, 0, 1 } };
		memcpy(job.nonce + 4, key_hmac(material, 0), 8);
		aead_seal(&job, 1);
		ck_assert(job.ok);
		ck_assert_mem_eq(got, want, sizeof(want));
		aead_schedule_free(&schedule);
		ck_assert_ptr_null(schedule);

		schedule = methods[m]->schedule_new(CIPHER_AES_256_GCM, key_cipher(material, 0), AEAD_OPEN);
		job.schedule = schedule;
		aead_open(&job, 1);
		ck_assert(job.ok);
		ck_assert_mem_eq(got + 24, FIXTURE_TEXT, 56);
		aead_schedule_free(&schedule);
	}
}
END_TEST

/* Lengths that meet every path: all short ones, then any up to 9000. */
static size_t length_of(int i, uint64_t *random)
{
	return i <= 600 ? (size_t)i : fixture_random(random) % 9001;
}

/* What `a` seals, `b` seals to the same bytes and opens; what is changed on the way, `b` refuses. */
static void hold_against(const struct aead_method *a, const struct aead_method *b, enum cipher cipher)
{
	uint64_t random = 77 + cipher;
	enum { BATCH = 16, LENGTHS = 1200 };
	for (int i = 0; i < LENGTHS; i += BATCH) {
		struct piece_of_work by_a[BATCH], by_b[BATCH];
		struct aead_job jobs[BATCH];
		uint8_t key[AEAD_KEY_MAX], *text[BATCH];
		fixture_fill(&random, key, sizeof(key));
		struct aead_schedule *a_seal = a->schedule_new(cipher, key, AEAD_SEAL);
		struct aead_schedule *b_seal = b->schedule_new(cipher, key, AEAD_SEAL);
		struct aead_schedule *b_open = b->schedule_new(cipher, key, AEAD_OPEN);
		ck_assert(a_seal && b_seal && b_open);
		for (int j = 0; j < BATCH; j++) {
			size_t len = length_of(i + j, &random);
			work_make(&by_a[j], a_seal, len, &random);
			work_make(&by_b[j], b_seal, len, &random);
			struct aead_job *job = &by_b[j].job;
			memcpy(job->at, by_a[j].job.at, len);
			memcpy(by_b[j].aad, by_a[j].aad, sizeof(by_a[j].aad));
			memcpy(job->nonce, by_a[j].job.nonce, AEAD_NONCE_LEN);
			job->aad_len = by_a[j].job.aad_len;
			text[j] = malloc(len + 1);
			memcpy(text[j], by_a[j].job.at, len);
			jobs[j] = by_a[j].job;
		}
		aead_seal(jobs, BATCH);
		for (int j = 0; j < BATCH; j++) {
			ck_assert(jobs[j].ok);
			aead_seal(&by_b[j].job, 1);
			ck_assert(by_b[j].job.ok);
			ck_assert_mem_eq(by_b[j].tag, by_a[j].tag, AEAD_TAG_LEN);
			ck_assert_mem_eq(by_b[j].job.at, jobs[j].at, jobs[j].len);
			jobs[j].schedule = b_open;
			jobs[j].ok = false;
		}
		/* One in four is spoiled: tag, text, additional data or nonce. */
		for (int j = 0; j < BATCH; j += 4) {
			uint8_t bit = (uint8_t)(1 << fixture_random(&random) % 8);
			uint8_t *where[] = { jobs[j].tag, jobs[j].len ? jobs[j].at : jobs[j].tag, by_a[j].aad,
				jobs[j].nonce };
			const size_t lens[] = { AEAD_TAG_LEN, jobs[j].len ? jobs[j].len : AEAD_TAG_LEN,
				jobs[j].aad_len, AEAD_NONCE_LEN };
			size_t which = fixture_random(&random) % 4;
			where[which][fixture_random(&random) % lens[which]] ^= bit;
		}
		aead_open(jobs, BATCH);
		for (int j = 0; j < BATCH; j++) {
			ck_assert_int_eq(jobs[j].ok, j % 4 != 0);
			if (jobs[j].ok)
				ck_assert_mem_eq(jobs[j].at, text[j], jobs[j].len);
			free(by_a[j].room);
			free(by_b[j].room);
			free(text[j]);
		}
		aead_schedule_free(&a_seal);
		aead_schedule_free(&b_seal);
		aead_schedule_free(&b_open);
	}
}

START_TEST(every_backend_seals_for_every_other)
{
	size_t count;
	const struct aead_method *const *methods = aead_methods(&count);
	for (int c = CIPHER_UNKNOWN + 1; c < CIPHER_COUNT; c++)
		for (size_t a = 0; a < count; a++)
			for (size_t b = 0; b < count; b++)
				if (methods[a]->usable((enum cipher)c) && methods[b]->usable((enum cipher)c))
					hold_against(methods[a], methods[b], (enum cipher)c);
}
END_TEST

/* Pieces of one long text, each with a head of its own: the head of one may lie over those before it. */
START_TEST(a_payload_apart_gives_the_bytes_of_the_packet_whole)
{
	enum { PIECES = 48, LONG = PIECES * 1400 };
	size_t count;
	const struct aead_method *const *methods = aead_methods(&count);
	uint64_t random = 11;
	uint8_t *text = malloc(LONG), *room = malloc(LONG + 120), *apart = malloc(LONG * 2), *whole = malloc(LONG * 2);
	for (int round = 0; round < 200; round++) {
		enum cipher cipher = (enum cipher)(1 + round % (CIPHER_COUNT - 1));
		const struct aead_method *method = methods[round / (CIPHER_COUNT - 1) % count];
		struct aead_job jobs[PIECES], plain[PIECES];
		uint8_t key[AEAD_KEY_MAX], tags[2][PIECES][AEAD_TAG_LEN];
		uint32_t size = 1 + (uint32_t)(fixture_random(&random) % 1400), head = 28 + (uint32_t)(round % 93);
		if (!method->usable(cipher))
			continue;
		fixture_fill(&random, key, sizeof(key));
		fixture_fill(&random, text, LONG);
		memcpy(room + 120, text, LONG);
		struct aead_schedule *schedule = method->schedule_new(cipher, key, AEAD_SEAL);
		for (uint32_t i = 0, at = 0; i < PIECES; i++, at += head + size) {
			uint32_t here = i + 1 < PIECES ? size : (uint32_t)(fixture_random(&random) % size);
			jobs[i] = (struct aead_job){ .schedule = schedule, .aad = (const uint8_t *)"additional", .aad_len = 8,
				.at = apart + at, .payload = room + 120 + i * size, .tag = tags[0][i], .head = head,
				.len = head + here, .nonce = { (uint8_t)i } };
			fixture_fill(&random, apart + at, head);
			plain[i] = jobs[i];
			plain[i].payload = NULL;
			plain[i].at = whole + at;
			plain[i].tag = tags[1][i];
			memcpy(whole + at, apart + at, head);
			memcpy(whole + at + head, text + i * size, here);
		}
		aead_seal(jobs, PIECES);
		aead_seal(plain, PIECES);
		for (int i = 0; i < PIECES; i++) {
			ck_assert(jobs[i].ok && plain[i].ok);
			ck_assert_mem_eq(jobs[i].at, plain[i].at, plain[i].len);
			ck_assert_mem_eq(jobs[i].tag, plain[i].tag, AEAD_TAG_LEN);
		}
		/* Not a byte behind the last, nor more than one head in front of the first. */
		ck_assert_mem_eq(room + 120 + PIECES * size, text + PIECES * size, LONG - PIECES * size);
		aead_schedule_free(&schedule);
	}
	free(text);
	free(room);
	free(apart);
	free(whole);
}
END_TEST

START_TEST(a_batch_may_mix_backends_ciphers_and_keys)
{
	size_t count, n = 0;
	const struct aead_method *const *methods = aead_methods(&count);
	uint64_t random = 5;
	struct piece_of_work work[64];
	struct aead_job jobs[64];
	uint8_t text[64][100];
	struct aead_schedule *seal[64], *open[64];
	while (n < 64) {
		enum cipher cipher = (enum cipher)(1 + fixture_random(&random) % (CIPHER_COUNT - 1));
		const struct aead_method *method = methods[fixture_random(&random) % count];
		if (!method->usable(cipher))
			continue;
		uint8_t key[AEAD_KEY_MAX];
		fixture_fill(&random, key, sizeof(key));
		seal[n] = method->schedule_new(cipher, key, AEAD_SEAL);
		open[n] = aead_method_for(cipher)->schedule_new(cipher, key, AEAD_OPEN);
		work_make(&work[n], seal[n], 100, &random);
		memcpy(text[n], work[n].job.at, 100);
		jobs[n] = work[n].job;
		n++;
	}
	aead_seal(jobs, n);
	for (size_t i = 0; i < n; i++) {
		ck_assert(jobs[i].ok);
		ck_assert_mem_ne(jobs[i].at, text[i], 100);
		jobs[i].schedule = open[i];
	}
	aead_open(jobs, n);
	for (size_t i = 0; i < n; i++) {
		ck_assert(jobs[i].ok);
		ck_assert_mem_eq(jobs[i].at, text[i], 100);
		free(work[i].room);
		aead_schedule_free(&seal[i]);
		aead_schedule_free(&open[i]);
	}
}
END_TEST

FIXTURE_MAIN("aead", ciphers_are_found_by_name_in_any_case, other_names_and_numbers_are_unknown,
	every_cipher_has_a_backend, every_backend_seals_the_packet_of_openvpns_own_test,
	every_backend_seals_for_every_other, a_payload_apart_gives_the_bytes_of_the_packet_whole,
	a_batch_may_mix_backends_ciphers_and_keys)
