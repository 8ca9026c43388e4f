/* SPDX-License-Identifier: MIT
 * Which keys are refused, what is counted, and when a key is worn. */
#include "common/data/data_key.h"
#include "tests/unit/data/fixture.h"

#include <stdatomic.h>

START_TEST(unknown_ciphers_and_halves_make_no_key)
{
	struct data_kept kept = fixture_kept(CIPHER_UNKNOWN, 0, 1);
	ck_assert_ptr_null(data_key_new(&kept, 1));
	kept = fixture_kept(CIPHER_COUNT, 0, 1);
	ck_assert_ptr_null(data_key_new(&kept, 1));
	kept = fixture_kept(CIPHER_AES_256_GCM, 0, 1);
	kept.cipher = 255;
	ck_assert_ptr_null(data_key_new(&kept, 1));
	kept = fixture_kept(CIPHER_AES_256_GCM, 2, 1);
	ck_assert_ptr_null(data_key_new(&kept, 1));
}
END_TEST

START_TEST(a_key_of_only_zeros_is_refused_in_either_direction)
{
	for (int c = CIPHER_UNKNOWN + 1; c < CIPHER_COUNT; c++) {
		size_t len = cipher_key_len((enum cipher)c);
		for (int half = 0; half < 2; half++) {
			struct data_kept kept = fixture_kept((enum cipher)c, 0, 1);
			memset(kept.material + 128 * half, 0, len);
			ck_assert_ptr_null(data_key_new(&kept, 1));
			kept.material[128 * half + len - 1] = 1;
			struct data_key *key = data_key_new(&kept, 1);
			ck_assert_ptr_nonnull(key);
			data_key_free(&key);
		}
	}
}
END_TEST

START_TEST(freeing_empties_the_pointer_and_leaves_the_kept_part)
{
	struct data_kept kept = fixture_kept(CIPHER_AES_256_GCM, 0, 1), before;
	struct data_key *key = fixture_key(&kept);
	memcpy(&before, &kept, sizeof(kept));
	data_key_free(&key);
	ck_assert_ptr_null(key);
	ck_assert_mem_eq(&before, &kept, sizeof(kept));
	data_key_free(&key);
}
END_TEST

START_TEST(packets_and_datagram_bytes_are_counted_both_ways)
{
	struct data_kept here = fixture_kept(CIPHER_AES_256_GCM, 0, 1);
	struct data_kept there = fixture_kept(CIPHER_AES_256_GCM, 1, 1);
	struct data_key *ours = fixture_key(&here), *theirs = fixture_key(&there);
	uint8_t room[FIXTURE_ROOM] = { 0 };
	struct data_job job = fixture_seal(ours, room, "hello", 5);
	ck_assert_int_eq(fixture_open(theirs, job.at, job.len), FATE_NONE);
	ck_assert_int_eq(fixture_open(theirs, job.at, job.len), FATE_REPLAYED);
	job = fixture_seal(theirs, room, "hello!", 6);
	ck_assert_int_eq(fixture_open(ours, job.at, job.len), FATE_NONE);
	job.at[29] ^= 1;
	ck_assert_int_eq(fixture_open(ours, job.at, job.len), FATE_FORGED);
	ck_assert_uint_eq(data_key_packets(ours), 2);
	ck_assert_uint_eq(data_key_bytes(ours), 5 + 6 + 2 * DATA_OVERHEAD_V2);
	ck_assert_uint_eq(data_key_packets(theirs), 2);
	ck_assert_uint_eq(data_key_bytes(theirs), 5 + 6 + 2 * DATA_OVERHEAD_V2);
	/* 1 packet, 1 block of additional data, 1 of text: once sealed, and once opened plus once forged. */
	ck_assert_uint_eq(ours->sealed.load, 3);
	ck_assert_uint_eq(ours->opened.load, 6);
	ck_assert_uint_eq(ours->forged, 1);
	data_key_free(&ours);
	data_key_free(&theirs);
}
END_TEST

START_TEST(a_fresh_key_is_not_worn_and_one_near_its_last_id_is)
{
	struct data_kept kept = fixture_kept(CIPHER_CHACHA20_POLY1305, 0, 1);
	struct data_key *key = fixture_key(&kept);
	ck_assert(!data_key_worn(key));
	atomic_store(&kept.ids.word, (uint64_t)1 << 48 | 0xfeffffff);
	ck_assert(!data_key_worn(key));
	atomic_store(&kept.ids.word, (uint64_t)1 << 48 | 0xff000000);
	ck_assert(data_key_worn(key));
	atomic_store(&kept.ids.word, (uint64_t)1 << 48 | 1);
	kept.window.highest = 0xfeffffff;
	ck_assert(!data_key_worn(key));
	kept.window.highest = 0xff000000;
	ck_assert(data_key_worn(key));
	data_key_free(&key);
}
END_TEST

START_TEST(aes_gcm_is_worn_at_seven_eighths_of_its_blocks_and_chacha_never)
{
	const uint64_t limit = ((UINT64_C(1) << 36) - 1) / 8 * 7;
	for (int c = CIPHER_UNKNOWN + 1; c < CIPHER_COUNT; c++) {
		struct data_kept kept = fixture_kept((enum cipher)c, 0, 1);
		struct data_key *key = fixture_key(&kept);
		bool limited = c != CIPHER_CHACHA20_POLY1305;
		key->sealed.load = key->opened.load = limit - 1;
		ck_assert(!data_key_worn(key));
		key->sealed.load = limit;
		ck_assert_int_eq(data_key_worn(key), limited);
		key->sealed.load = 0;
		key->opened.load = limit;
		ck_assert_int_eq(data_key_worn(key), limited);
		data_key_free(&key);
	}
}
END_TEST

START_TEST(an_adopted_key_counts_what_its_predecessor_may_have_sealed)
{
	struct data_kept kept = fixture_kept(CIPHER_AES_256_GCM, 0, 1);
	atomic_store(&kept.ids.word, (uint64_t)1 << 48 | 700000000);
	struct data_key *key = fixture_key(&kept);
	ck_assert(data_key_worn(key));
	data_key_free(&key);
	atomic_store(&kept.ids.word, (uint64_t)1 << 48 | 1000000);
	key = fixture_key(&kept);
	ck_assert(!data_key_worn(key));
	data_key_free(&key);
}
END_TEST

START_TEST(too_many_forged_tags_wear_a_key_and_then_close_it)
{
	struct data_kept here = fixture_kept(CIPHER_AES_256_GCM, 0, 1);
	struct data_kept there = fixture_kept(CIPHER_AES_256_GCM, 1, 1);
	struct data_key *ours = fixture_key(&here), *theirs = fixture_key(&there);
	uint8_t room[FIXTURE_ROOM] = { 0 };
	theirs->forged = UINT64_C(1) << 35;
	ck_assert(!data_key_worn(theirs));
	theirs->forged++;
	ck_assert(data_key_worn(theirs));
	struct data_job job = fixture_seal(ours, room, "hello", 5);
	theirs->forged = UINT64_C(1) << 36;
	ck_assert_int_eq(fixture_open(theirs, job.at, job.len), FATE_NONE);
	theirs->forged++;
	job = fixture_seal(ours, room, "hello", 5);
	ck_assert_int_eq(fixture_open(theirs, job.at, job.len), FATE_FORGED);
	data_key_free(&ours);
	data_key_free(&theirs);
}
END_TEST

FIXTURE_MAIN("data_key", unknown_ciphers_and_halves_make_no_key,
	a_key_of_only_zeros_is_refused_in_either_direction,
	freeing_empties_the_pointer_and_leaves_the_kept_part,
	packets_and_datagram_bytes_are_counted_both_ways, a_fresh_key_is_not_worn_and_one_near_its_last_id_is,
	aes_gcm_is_worn_at_seven_eighths_of_its_blocks_and_chacha_never,
	an_adopted_key_counts_what_its_predecessor_may_have_sealed,
	too_many_forged_tags_wear_a_key_and_then_close_it)
