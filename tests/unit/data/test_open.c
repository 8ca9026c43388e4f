/* SPDX-License-Identifier: MIT
 * Opening: what comes back, and everything that must not. */
#include "tests/unit/data/fixture.h"
#include "tests/unit/data/vectors.h"

#include "common/data/aead.h"

/* Two ends of one key: what `client` seals, `server` opens. */
struct ends {
	struct data_kept client_kept, server_kept;
	struct data_key *client, *server;
	uint8_t room[FIXTURE_ROOM];
};

static void ends_make(struct ends *ends, enum cipher cipher, uint32_t peer_id)
{
	ends->client_kept = fixture_kept(cipher, 0, peer_id);
	ends->server_kept = fixture_kept(cipher, 1, peer_id);
	ends->client = fixture_key(&ends->client_kept);
	ends->server = fixture_key(&ends->server_kept);
}

static void ends_clear(struct ends *ends)
{
	data_key_free(&ends->client);
	data_key_free(&ends->server);
}

static const uint32_t peer_ids[] = { 0x17, WIRE_PEER_ID_NONE }; /* DATA_V2, DATA_V1 */

START_TEST(the_vectors_open_to_their_text)
{
	for (int i = 0; i < DATA_VECTORS; i++) {
		uint8_t datagram[128];
		size_t len = fixture_hex(data_vectors[i].datagram, datagram);
		struct ends ends;
		ends_make(&ends, data_vectors[i].cipher, WIRE_PEER_ID_NONE);
		struct data_job job = { .key = ends.client, .at = datagram, .len = (uint32_t)len };
		data_open(&job, 1, 0);
		ck_assert_int_eq(job.fate, FATE_NONE);
		ck_assert_uint_eq(job.len, strlen(FIXTURE_TEXT));
		ck_assert_mem_eq(job.at, FIXTURE_TEXT, strlen(FIXTURE_TEXT));
		ends_clear(&ends);
	}
}
END_TEST

START_TEST(every_length_comes_back_in_both_forms_and_directions)
{
	uint64_t random = 3;
	uint8_t text[9000];
	fixture_fill(&random, text, sizeof(text));
	for (int c = CIPHER_UNKNOWN + 1; c < CIPHER_COUNT; c++)
		for (int form = 0; form < 2; form++) {
			struct ends ends;
			ends_make(&ends, (enum cipher)c, peer_ids[form]);
			for (size_t len = 1; len <= sizeof(text); len += 1 + len / 7) {
				struct data_job job = fixture_seal(ends.client, ends.room, text, len);
				ck_assert_uint_eq(
					job.len, len + (form ? DATA_OVERHEAD_V1 : DATA_OVERHEAD_V2));
				job.key = ends.server;
				data_open(&job, 1, 0);
				ck_assert_int_eq(job.fate, FATE_NONE);
				ck_assert_uint_eq(job.len, len);
				ck_assert_mem_eq(job.at, text, len);

				job = fixture_seal(ends.server, ends.room, text, len);
				job.key = ends.client;
				data_open(&job, 1, 0);
				ck_assert_int_eq(job.fate, FATE_NONE);
				ck_assert_mem_eq(job.at, text, len);
			}
			ends_clear(&ends);
		}
}
END_TEST

START_TEST(any_flipped_bit_is_forged_and_leaves_the_window_alone)
{
	for (int c = CIPHER_UNKNOWN + 1; c < CIPHER_COUNT; c++)
		for (int form = 0; form < 2; form++) {
			struct ends ends;
			ends_make(&ends, (enum cipher)c, peer_ids[form]);
			struct data_job job = fixture_seal(ends.client, ends.room, FIXTURE_TEXT, 56);
			struct replay_window before = ends.server_kept.window;
			for (uint32_t bit = 0; bit < job.len * 8; bit++) {
				job.at[bit / 8] ^= (uint8_t)(1 << bit % 8);
				ck_assert_int_eq(fixture_open(ends.server, job.at, job.len), FATE_FORGED);
				job.at[bit / 8] ^= (uint8_t)(1 << bit % 8);
			}
			ck_assert_mem_eq(&before, &ends.server_kept.window, sizeof(before));
			ck_assert_int_eq(fixture_open(ends.server, job.at, job.len), FATE_NONE);
			ends_clear(&ends);
		}
}
END_TEST

START_TEST(every_cut_is_too_short_or_forged_and_so_is_every_extension)
{
	for (int form = 0; form < 2; form++) {
		struct ends ends;
		ends_make(&ends, CIPHER_AES_256_GCM, peer_ids[form]);
		struct data_job job = fixture_seal(ends.client, ends.room, FIXTURE_TEXT, 56);
		for (uint32_t len = 0; len < job.len; len++)
			ck_assert_int_eq(fixture_open(ends.server, job.at, len),
				len < job.len - 56 ? FATE_TOO_SHORT : FATE_FORGED);
		job.at[job.len] = 0;
		ck_assert_int_eq(fixture_open(ends.server, job.at, job.len + 1), FATE_FORGED);
		ck_assert_int_eq(fixture_open(ends.server, job.at, job.len), FATE_NONE);
		ends_clear(&ends);
	}
}
END_TEST

START_TEST(another_key_another_cipher_and_the_senders_own_half_are_forged)
{
	struct ends ends, other;
	ends_make(&ends, CIPHER_AES_256_GCM, 0x17);
	struct data_job job = fixture_seal(ends.client, ends.room, FIXTURE_TEXT, 56);
	ck_assert_int_eq(fixture_open(ends.client, job.at, job.len), FATE_FORGED); /* reflected */
	for (int c = CIPHER_UNKNOWN + 1; c < CIPHER_COUNT; c++) {
		ends_make(&other, (enum cipher)c, 0x17);
		if (c == CIPHER_AES_256_GCM) {
			data_key_free(&other.server);
			other.server_kept.material[31] ^= 1; /* one bit of the cipher key */
			other.server = fixture_key(&other.server_kept);
		}
		ck_assert_int_eq(fixture_open(other.server, job.at, job.len), FATE_FORGED);
		ends_clear(&other);
	}
	ends_make(&other, CIPHER_AES_256_GCM, 0x17);
	data_key_free(&other.server);
	other.server_kept.material[64] ^= 1; /* one bit of the implicit IV */
	other.server = fixture_key(&other.server_kept);
	ck_assert_int_eq(fixture_open(other.server, job.at, job.len), FATE_FORGED);
	ends_clear(&other);
	ends_clear(&ends);
}
END_TEST

START_TEST(a_v2_datagram_dressed_as_v1_is_forged)
{
	struct ends ends;
	ends_make(&ends, CIPHER_AES_256_GCM, 0x17);
	struct data_job job = fixture_seal(ends.client, ends.room, FIXTURE_TEXT, 56);
	job.at[3] = OP_DATA_V1 << 3 | 2;
	ck_assert_int_eq(fixture_open(ends.server, job.at + 3, job.len - 3), FATE_FORGED);
	ends_clear(&ends);
}
END_TEST

START_TEST(heads_of_other_opcodes_and_key_ids_are_forged)
{
	struct ends ends;
	ends_make(&ends, CIPHER_AES_256_GCM, WIRE_PEER_ID_NONE);
	struct data_job job = fixture_seal(ends.client, ends.room, FIXTURE_TEXT, 56);
	for (int head = 0; head < 256; head++) {
		if (head == (OP_DATA_V1 << 3 | 2))
			continue;
		job.at[0] = (uint8_t)head;
		ck_assert_int_eq(fixture_open(ends.server, job.at, job.len), FATE_FORGED);
	}
	ends_clear(&ends);
}
END_TEST

START_TEST(a_replayed_datagram_is_refused_in_the_same_batch_and_later)
{
	struct ends ends;
	ends_make(&ends, CIPHER_CHACHA20_POLY1305, 0x17);
	struct data_job job = fixture_seal(ends.client, ends.room, FIXTURE_TEXT, 56);
	uint8_t copies[3][128];
	struct data_job jobs[3];
	for (int i = 0; i < 3; i++) {
		memcpy(copies[i], job.at, job.len);
		jobs[i] = (struct data_job){ .key = ends.server, .at = copies[i], .len = job.len };
	}
	copies[0][40] ^= 1; /* the first one is forged, so the second is the first that counts */
	data_open(jobs, 3, 0);
	ck_assert_int_eq(jobs[0].fate, FATE_FORGED);
	ck_assert_int_eq(jobs[1].fate, FATE_NONE);
	ck_assert_int_eq(jobs[2].fate, FATE_REPLAYED);
	ck_assert_int_eq(fixture_open(ends.server, job.at, job.len), FATE_REPLAYED);
	/* The window is what is kept: whoever adopts the session refuses it too. */
	packet_id_adopt(&ends.server_kept.ids, 2);
	struct data_key *successor = data_key_new(&ends.server_kept, 2);
	ck_assert_int_eq(fixture_open(successor, job.at, job.len), FATE_REPLAYED);
	data_key_free(&successor);
	ends_clear(&ends);
}
END_TEST

START_TEST(datagrams_out_of_order_arrive_within_the_window_and_not_outside)
{
	struct ends ends;
	ends_make(&ends, CIPHER_AES_128_GCM, 0x17);
	static uint8_t sent[100][256];
	uint32_t len = 0;
	for (int i = 0; i < 100; i++) {
		struct data_job job = fixture_seal(ends.client, ends.room, FIXTURE_TEXT, 56);
		memcpy(sent[i], job.at, len = job.len);
	}
	ck_assert_int_eq(fixture_open(ends.server, sent[99], len), FATE_NONE);
	for (int i = 98; i >= 0; i--)
		ck_assert_int_eq(
			fixture_open(ends.server, sent[i], len), i >= 36 ? FATE_NONE : FATE_REPLAYED);
	ends_clear(&ends);
}
END_TEST

START_TEST(a_datagram_later_than_the_time_limit_is_refused_even_after_silence)
{
	struct ends ends;
	ends_make(&ends, CIPHER_AES_128_GCM, 0x17);
	uint8_t late[128];
	struct data_job job = fixture_seal(ends.client, ends.room, FIXTURE_TEXT, 56);
	uint32_t len = job.len;
	memcpy(late, job.at, len);
	job = fixture_seal(ends.client, ends.room, FIXTURE_TEXT, 56);
	ck_assert_int_eq(fixture_open_at(ends.server, job.at, len, 1000), FATE_NONE);
	job = fixture_seal(ends.client, ends.room, FIXTURE_TEXT, 56);
	ck_assert_int_eq(fixture_open_at(ends.server, job.at, len, 20000), FATE_NONE);
	ck_assert_int_eq(fixture_open_at(ends.server, late, len, 40000), FATE_REPLAYED);
	ends_clear(&ends);
}
END_TEST

START_TEST(an_authentic_datagram_without_content_is_empty_and_its_id_is_taken)
{
	struct ends ends;
	ends_make(&ends, CIPHER_AES_256_GCM, 0x17);
	uint8_t datagram[DATA_OVERHEAD_V2] = { OP_DATA_V2 << 3 | 2, 0, 0, 0x17, 0, 0, 0, 9 },
		copy[sizeof(datagram)];
	struct aead_schedule *schedule = aead_method_for(CIPHER_AES_256_GCM)
						 ->schedule_new(CIPHER_AES_256_GCM,
							 key_cipher(ends.client_kept.material, 0), AEAD_SEAL);
	struct aead_job job = { .schedule = schedule,
		.aad = datagram,
		.aad_len = 8,
		.at = datagram + DATA_OVERHEAD_V2,
		.tag = datagram + 8,
		.nonce = { 0, 0, 0, 9 } };
	memcpy(job.nonce + 4, key_hmac(ends.client_kept.material, 0), 8);
	aead_seal(&job, 1);
	memcpy(copy, datagram, sizeof(copy));
	ck_assert_int_eq(fixture_open(ends.server, datagram, sizeof(datagram)), FATE_EMPTY);
	ck_assert_int_eq(fixture_open(ends.server, copy, sizeof(copy)), FATE_REPLAYED);
	copy[8] ^= 1;
	ck_assert_int_eq(fixture_open(ends.server, copy, sizeof(copy)), FATE_FORGED);
	aead_schedule_free(&schedule);
	ends_clear(&ends);
}
END_TEST

START_TEST(id_zero_is_refused_even_when_authentic)
{
	struct ends ends;
	ends_make(&ends, CIPHER_AES_256_GCM, 0x17);
	uint8_t datagram[DATA_OVERHEAD_V2 + 1] = { OP_DATA_V2 << 3 | 2, 0, 0, 0x17 };
	struct aead_schedule *schedule = aead_method_for(CIPHER_AES_256_GCM)
						 ->schedule_new(CIPHER_AES_256_GCM,
							 key_cipher(ends.client_kept.material, 0), AEAD_SEAL);
	struct aead_job job = { .schedule = schedule,
		.aad = datagram,
		.aad_len = 8,
		.at = datagram + DATA_OVERHEAD_V2,
		.len = 1,
		.tag = datagram + 8 };
	memcpy(job.nonce + 4, key_hmac(ends.client_kept.material, 0), 8);
	aead_seal(&job, 1);
	ck_assert_int_eq(fixture_open(ends.server, datagram, sizeof(datagram)), FATE_REPLAYED);
	aead_schedule_free(&schedule);
	ends_clear(&ends);
}
END_TEST

START_TEST(a_replaced_owner_takes_no_number_any_more)
{
	struct ends ends;
	ends_make(&ends, CIPHER_AES_256_GCM, 0x17);
	struct data_job job = fixture_seal(ends.client, ends.room, FIXTURE_TEXT, 56);
	packet_id_adopt(&ends.server_kept.ids, 2);
	struct replay_window before = ends.server_kept.window;
	ck_assert_int_eq(fixture_open(ends.server, job.at, job.len), FATE_STALE);
	ck_assert_mem_eq(&before, &ends.server_kept.window, sizeof(before));
	struct data_key *successor = data_key_new(&ends.server_kept, 2);
	ck_assert_int_eq(fixture_open(successor, job.at, job.len), FATE_NONE);
	data_key_free(&successor);
	ends_clear(&ends);
}
END_TEST

START_TEST(a_full_mixed_batch_comes_back_and_decided_jobs_are_left_alone)
{
	enum { SESSIONS = 5 };
	static struct ends ends[SESSIONS];
	static uint8_t rooms[DATA_BATCH][DATA_HEADROOM + 100];
	struct data_job jobs[DATA_BATCH];
	for (int s = 0; s < SESSIONS; s++)
		ends_make(&ends[s], (enum cipher)(1 + s % (CIPHER_COUNT - 1)), peer_ids[s % 2]);
	for (int i = 0; i < DATA_BATCH; i++) {
		memset(rooms[i], i, sizeof(rooms[i]));
		jobs[i] = (struct data_job){ .key = ends[i % SESSIONS].client,
			.at = rooms[i] + DATA_HEADROOM,
			.len = 1 + (uint32_t)(i % 100) };
	}
	data_seal(jobs, DATA_BATCH);
	for (int i = 0; i < DATA_BATCH; i++) {
		jobs[i].key = ends[i % SESSIONS].server;
		if (i % 11 == 5)
			jobs[i].fate = FATE_UNKNOWN_PEER;
		if (i % 11 == 7)
			jobs[i].at[jobs[i].len - 1] ^= 0x80;
		if (i % 11 == 9)
			jobs[i].len = 12;
	}
	data_open(jobs, DATA_BATCH, 0);
	for (int i = 0; i < DATA_BATCH; i++) {
		enum fate want = i % 11 == 5   ? FATE_UNKNOWN_PEER
				 : i % 11 == 7 ? FATE_FORGED
				 : i % 11 == 9 ? FATE_TOO_SHORT
					       : FATE_NONE;
		ck_assert_int_eq(jobs[i].fate, want);
		if (want != FATE_NONE)
			continue;
		ck_assert_ptr_eq(jobs[i].at, rooms[i] + DATA_HEADROOM);
		ck_assert_uint_eq(jobs[i].len, 1 + i % 100);
		for (uint32_t b = 0; b < jobs[i].len; b++)
			ck_assert_uint_eq(jobs[i].at[b], i);
	}
	data_open(NULL, 0, 0);
	for (int s = 0; s < SESSIONS; s++)
		ends_clear(&ends[s]);
}
END_TEST

FIXTURE_MAIN("open", the_vectors_open_to_their_text, every_length_comes_back_in_both_forms_and_directions,
	any_flipped_bit_is_forged_and_leaves_the_window_alone,
	every_cut_is_too_short_or_forged_and_so_is_every_extension,
	another_key_another_cipher_and_the_senders_own_half_are_forged, a_v2_datagram_dressed_as_v1_is_forged,
	heads_of_other_opcodes_and_key_ids_are_forged,
	a_replayed_datagram_is_refused_in_the_same_batch_and_later,
	datagrams_out_of_order_arrive_within_the_window_and_not_outside,
	a_datagram_later_than_the_time_limit_is_refused_even_after_silence,
	an_authentic_datagram_without_content_is_empty_and_its_id_is_taken,
	id_zero_is_refused_even_when_authentic, a_replaced_owner_takes_no_number_any_more,
	a_full_mixed_batch_comes_back_and_decided_jobs_are_left_alone)
