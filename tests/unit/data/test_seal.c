/* SPDX-License-Identifier: MIT
 * Sealing: the bytes on the wire, the order of numbers, and who is refused. */
#include "tests/unit/data/fixture.h"
#include "tests/unit/data/vectors.h"

#include <stdatomic.h>

static uint32_t id_of(const struct data_job *job)
{
	struct bytes in = bytes_of(job->at, job->len);
	if (read_u8(&in) >> 3 == OP_DATA_V2)
		read_view(&in, 3);
	return read_u32(&in);
}

START_TEST(sealed_bytes_are_those_of_the_vectors)
{
	for (int i = 0; i < DATA_VECTORS; i++) {
		uint8_t want[128], room[FIXTURE_ROOM];
		size_t len = fixture_hex(data_vectors[i].datagram, want);
		struct data_kept kept = fixture_kept(data_vectors[i].cipher, 1, data_vectors[i].peer_id);
		struct data_key *key = fixture_key(&kept);
		struct data_job job = fixture_seal(key, room, FIXTURE_TEXT, strlen(FIXTURE_TEXT));
		ck_assert_int_eq(job.fate, FATE_NONE);
		ck_assert_uint_eq(job.len, len);
		ck_assert_mem_eq(job.at, want, len);
		ck_assert_ptr_eq(job.at + len, room + DATA_HEADROOM + strlen(FIXTURE_TEXT));
		data_key_free(&key);
	}
}
END_TEST

START_TEST(nothing_beside_the_datagram_is_written)
{
	for (uint32_t peer_id = 0x17; peer_id <= WIRE_PEER_ID_NONE; peer_id += WIRE_PEER_ID_NONE - 0x17) {
		struct data_kept kept = fixture_kept(CIPHER_AES_128_GCM, 0, peer_id);
		struct data_key *key = fixture_key(&kept);
		for (uint32_t len = 1; len < 200; len++) {
			uint8_t room[DATA_HEADROOM + 300], before[sizeof(room)];
			memset(room, 0xa5, sizeof(room));
			memset(before, 0xa5, sizeof(before));
			struct data_job job = { .key = key, .at = room + DATA_HEADROOM, .len = len };
			data_seal(&job, 1);
			ck_assert_int_eq(job.fate, FATE_NONE);
			ck_assert_mem_eq(room, before, (size_t)(job.at - room));
			ck_assert_mem_eq(job.at + job.len, before, sizeof(room) - DATA_HEADROOM - len);
		}
		data_key_free(&key);
	}
}
END_TEST

START_TEST(a_payload_apart_is_sealed_as_if_it_were_behind_its_head)
{
	for (int i = 0; i < DATA_VECTORS; i++) {
		uint8_t want[128], room[FIXTURE_ROOM] = { 0 }, text[128];
		size_t len = fixture_hex(data_vectors[i].datagram, want), text_len = strlen(FIXTURE_TEXT);
		for (uint32_t head = 0; head <= text_len; head++) {
			struct data_kept kept = fixture_kept(data_vectors[i].cipher, 1, data_vectors[i].peer_id);
			struct data_key *key = fixture_key(&kept);
			memset(text, 0xee, sizeof(text));
			memcpy(text + 8 + head, &FIXTURE_TEXT[head], text_len - head);
			memset(room, 0xdd, sizeof(room));
			memcpy(room + DATA_HEADROOM, FIXTURE_TEXT, head);
			struct data_job job = { .key = key, .at = room + DATA_HEADROOM, .payload = text + 8 + head,
				.len = (uint32_t)text_len, .head = head };
			data_seal(&job, 1);
			ck_assert_int_eq(job.fate, FATE_NONE);
			ck_assert_uint_eq(job.len, len);
			ck_assert_mem_eq(job.at, want, len);
			ck_assert_uint_eq(job.at[len], 0xdd);
			ck_assert_mem_eq(text, "\xee\xee\xee\xee\xee\xee\xee\xee", 8);
			ck_assert_mem_eq(text + 8, FIXTURE_TEXT, text_len);
			data_key_free(&key);
		}
	}
}
END_TEST

START_TEST(jobs_of_each_key_keep_their_order_in_a_mixed_batch)
{
	enum { KEYS = 4 };
	struct data_kept kept[KEYS];
	struct data_key *keys[KEYS];
	struct data_job jobs[DATA_BATCH];
	uint8_t *rooms = calloc(DATA_BATCH, FIXTURE_ROOM);
	uint32_t last[KEYS] = { 0 };
	uint64_t random = 9;
	for (int k = 0; k < KEYS; k++) {
		kept[k] = fixture_kept((enum cipher)(k + 1), 0, k % 2 ? WIRE_PEER_ID_NONE : 5);
		keys[k] = fixture_key(&kept[k]);
	}
	for (int round = 0; round < 100; round++) {
		int of[DATA_BATCH];
		for (int i = 0; i < DATA_BATCH; i++) {
			of[i] = (int)(fixture_random(&random) % KEYS);
			jobs[i] = (struct data_job){ .key = keys[of[i]],
				.at = rooms + i * FIXTURE_ROOM + DATA_HEADROOM,
				.len = 1 + (uint32_t)(fixture_random(&random) % 100),
				.fate = i % 10 == 3 ? FATE_NO_ROUTE : FATE_NONE };
		}
		data_seal(jobs, DATA_BATCH);
		for (int i = 0; i < DATA_BATCH; i++) {
			if (i % 10 == 3) {
				ck_assert_int_eq(jobs[i].fate, FATE_NO_ROUTE);
				ck_assert_ptr_eq(jobs[i].at, rooms + i * FIXTURE_ROOM + DATA_HEADROOM);
				continue;
			}
			ck_assert_int_eq(jobs[i].fate, FATE_NONE);
			ck_assert_uint_eq(id_of(&jobs[i]), ++last[of[i]]);
		}
	}
	for (int k = 0; k < KEYS; k++)
		data_key_free(&keys[k]);
	free(rooms);
}
END_TEST

START_TEST(an_empty_packet_is_not_sealed_and_costs_no_id)
{
	struct data_kept kept = fixture_kept(CIPHER_AES_256_GCM, 0, 5);
	struct data_key *key = fixture_key(&kept);
	uint8_t room[FIXTURE_ROOM];
	struct data_job job = fixture_seal(key, room, "", 0);
	ck_assert_int_eq(job.fate, FATE_EMPTY);
	job = fixture_seal(key, room, "x", 1);
	ck_assert_uint_eq(id_of(&job), 1);
	data_seal(NULL, 0);
	data_key_free(&key);
}
END_TEST

START_TEST(a_replaced_owner_seals_nothing_more)
{
	struct data_kept kept = fixture_kept(CIPHER_AES_256_GCM, 0, 5);
	struct data_key *old = fixture_key(&kept);
	uint8_t room[FIXTURE_ROOM];
	struct data_job job = fixture_seal(old, room, "x", 1);
	ck_assert_uint_eq(id_of(&job), 1);
	packet_id_adopt(&kept.ids, 2);
	struct data_key *fresh = data_key_new(&kept, 2);
	job = fixture_seal(old, room, "x", 1);
	ck_assert_int_eq(job.fate, FATE_KEY_EXHAUSTED);
	ck_assert_mem_eq(job.at, "x", 1);
	job = fixture_seal(fresh, room, "x", 1);
	ck_assert_int_eq(job.fate, FATE_NONE);
	ck_assert_uint_eq(id_of(&job), 1 + PACKET_ID_BLOCK);
	data_key_free(&old);
	data_key_free(&fresh);
}
END_TEST

START_TEST(a_key_without_ids_refuses_the_rest_of_a_batch)
{
	struct data_kept kept = fixture_kept(CIPHER_AES_256_GCM, 0, 5);
	struct data_key *key = fixture_key(&kept);
	uint8_t rooms[20][DATA_HEADROOM + 1];
	struct data_job jobs[20];
	atomic_store(&kept.ids.word, (uint64_t)1 << 48 | (UINT32_MAX - 7));
	for (int i = 0; i < 20; i++)
		jobs[i] = (struct data_job){ .key = key, .at = rooms[i] + DATA_HEADROOM, .len = 1 };
	data_seal(jobs, 20);
	for (int i = 0; i < 20; i++)
		ck_assert_int_eq(jobs[i].fate, i < 7 ? FATE_NONE : FATE_KEY_EXHAUSTED);
	ck_assert_uint_eq(id_of(&jobs[6]), UINT32_MAX - 1);
	data_key_free(&key);
}
END_TEST

FIXTURE_MAIN("seal", sealed_bytes_are_those_of_the_vectors,
	a_payload_apart_is_sealed_as_if_it_were_behind_its_head, nothing_beside_the_datagram_is_written,
	jobs_of_each_key_keep_their_order_in_a_mixed_batch, an_empty_packet_is_not_sealed_and_costs_no_id,
	a_replaced_owner_seals_nothing_more, a_key_without_ids_refuses_the_rest_of_a_batch)
