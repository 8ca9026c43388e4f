/* SPDX-License-Identifier: MIT
 * The three wrappings: openers of real clients, both directions against each other, and what must be refused.
 */
#include "common/wrap/wrap.h"
#include "tests/lib/hex.h"
#include "tests/lib/suite.h"
#include "tests/vectors/control_wrap.h"

enum { NOW = 1700000000 };

static struct static_key sample_key(void)
{
	struct static_key key;

	ck_assert_uint_eq(unhex(VECTOR_STATIC_KEY, key.bytes, sizeof(key.bytes)), STATIC_KEY_LEN);
	return key;
}

/* Every kind with its counterpart: [0] is the server's, [1] the client's. */
enum { PAIRS = 7 };

static void sample_pair(int which, struct wrap pair[2])
{
	static const enum digest digests[] = { DIGEST_MD5, DIGEST_SHA1, DIGEST_SHA256, DIGEST_SHA512 };
	struct static_key key = sample_key();

	pair[0] = pair[1] = (struct wrap){ 0 };
	if (which < 4) {
		wrap_init_auth(&pair[0], &key, digests[which], 0);
		wrap_init_auth(&pair[1], &key, digests[which], 1);
	} else if (which == 4) {
		wrap_init_auth(&pair[0], &key, DIGEST_SHA384, -1);
		wrap_init_auth(&pair[1], &key, DIGEST_SHA384, -1);
	} else if (which == 5) {
		wrap_init_crypt(&pair[0], &key, true);
		wrap_init_crypt(&pair[1], &key, false);
	}
}

START_TEST(a_plain_opener_is_read)
{
	struct wrap wrap = { 0 };
	uint8_t datagram[64];
	struct wrap_opened opened;
	size_t len = unhex(VECTOR_PLAIN_OPENER, datagram, sizeof(datagram));

	ck_assert_int_eq(wrap_open(&wrap, datagram, len, &opened), FATE_NONE);
	ck_assert_uint_eq(opened.opcode, OP_HARD_RESET_CLIENT_V2);
	ck_assert_uint_eq(opened.key_id, 0);
	ck_assert_uint_eq(opened.sender, VECTOR_PLAIN_SENDER);
	ck_assert_uint_eq(opened.packet_id, 0);
	ck_assert_uint_eq(opened.net_time, 0);
	assert_hex(opened.body.at, opened.body.left, VECTOR_OPENER_BODY);
}
END_TEST

START_TEST(a_tls_auth_opener_is_verified)
{
	struct static_key key = sample_key();
	struct wrap wrap;
	uint8_t datagram[64];
	struct wrap_opened opened;
	size_t len = unhex(VECTOR_AUTH_OPENER, datagram, sizeof(datagram));

	wrap_init_auth(&wrap, &key, DIGEST_SHA1, 0);
	ck_assert_int_eq(wrap_open(&wrap, datagram, len, &opened), FATE_NONE);
	ck_assert_uint_eq(opened.opcode, OP_HARD_RESET_CLIENT_V2);
	ck_assert_uint_eq(opened.sender, VECTOR_AUTH_SENDER);
	ck_assert_uint_eq(opened.packet_id, 1);
	ck_assert_uint_eq(opened.net_time, VECTOR_AUTH_TIME);
	assert_hex(opened.body.at, opened.body.left, VECTOR_OPENER_BODY);
}
END_TEST

START_TEST(a_tls_crypt_opener_is_verified_and_uncovered)
{
	struct static_key key = sample_key();
	struct wrap wrap;
	uint8_t datagram[64];
	struct wrap_opened opened;
	size_t len = unhex(VECTOR_CRYPT_OPENER, datagram, sizeof(datagram));

	wrap_init_crypt(&wrap, &key, true);
	ck_assert_int_eq(wrap_open(&wrap, datagram, len, &opened), FATE_NONE);
	ck_assert_uint_eq(opened.opcode, OP_HARD_RESET_CLIENT_V2);
	ck_assert_uint_eq(opened.sender, VECTOR_CRYPT_SENDER);
	ck_assert_uint_eq(opened.packet_id, 1);
	ck_assert_uint_eq(opened.net_time, VECTOR_CRYPT_TIME);
	assert_hex(opened.body.at, opened.body.left, VECTOR_OPENER_BODY);
}
END_TEST

START_TEST(a_client_seals_the_same_openers_byte_by_byte)
{
	struct static_key key = sample_key();
	struct wrap auth, crypt;
	struct wrap_counter counter = { 0 };
	uint8_t body[5], out[128];

	unhex(VECTOR_OPENER_BODY, body, sizeof(body));
	wrap_init_auth(&auth, &key, DIGEST_SHA1, 1);
	size_t len = wrap_seal(&auth, &counter, VECTOR_AUTH_TIME, OP_HARD_RESET_CLIENT_V2, 0,
		VECTOR_AUTH_SENDER, body, sizeof(body), out, sizeof(out));
	assert_hex(out, len, VECTOR_AUTH_OPENER);

	counter = (struct wrap_counter){ 0 };
	wrap_init_crypt(&crypt, &key, false);
	len = wrap_seal(&crypt, &counter, VECTOR_CRYPT_TIME, OP_HARD_RESET_CLIENT_V2, 0, VECTOR_CRYPT_SENDER,
		body, sizeof(body), out, sizeof(out));
	assert_hex(out, len, VECTOR_CRYPT_OPENER);

	counter = (struct wrap_counter){ 0 };
	len = wrap_seal(&(struct wrap){ 0 }, &counter, NOW, OP_HARD_RESET_CLIENT_V2, 0, VECTOR_PLAIN_SENDER,
		body, sizeof(body), out, sizeof(out));
	assert_hex(out, len, VECTOR_PLAIN_OPENER);
	ck_assert_uint_eq(counter.next, 0);
}
END_TEST

/* The known answer has no opcode and sender in its head, so it is held against the pieces that the keys are
 * made of; the datagram of our own goes through the same keys. */
START_TEST(a_dynamic_key_of_one_repeated_byte_gives_the_known_answer)
{
	struct static_key key;
	struct wrap server, client;
	struct wrap_counter counter = { 0 };
	struct wrap_opened opened;
	uint8_t head[8], tag[32], hidden[10], out[128];

	memset(key.bytes, 0xba, sizeof(key.bytes));
	wrap_init_crypt(&server, &key, true);
	wrap_init_crypt(&client, &key, false);
	unhex(VECTOR_DYNAMIC_HEAD, head, sizeof(head));
	const struct piece pieces[] = { { head, sizeof(head) }, { VECTOR_DYNAMIC_TEXT, 10 } };
	ck_assert(crypto_hmac(DIGEST_SHA256, server.send_hmac, 32, pieces, 2, tag));
	assert_hex(tag, sizeof(tag), VECTOR_DYNAMIC_TAG);
	ck_assert(
		crypto_aes256_ctr(server.send_cipher, tag, (const uint8_t *)VECTOR_DYNAMIC_TEXT, hidden, 10));
	assert_hex(hidden, sizeof(hidden), VECTOR_DYNAMIC_HIDDEN);

	size_t len = wrap_seal(
		&server, &counter, NOW, OP_SOFT_RESET_V1, 1, 5, VECTOR_DYNAMIC_TEXT, 10, out, sizeof(out));
	ck_assert_uint_eq(len, 49 + 10);
	ck_assert_int_eq(wrap_open(&client, out, len, &opened), FATE_NONE);
	ck_assert_uint_eq(opened.key_id, 1);
	ck_assert_mem_eq(opened.body.at, VECTOR_DYNAMIC_TEXT, 10);
}
END_TEST

START_TEST(what_one_side_seals_the_other_opens)
{
	static const size_t sizes[] = { 0, 1, 13, 16, 17, 1200 };
	uint8_t body[1200], out[1400];

	for (size_t i = 0; i < sizeof(body); i++)
		body[i] = (uint8_t)(i * 7);
	for (int which = 0; which < PAIRS; which++) {
		for (int sender = 0; sender < 2; sender++) {
			struct wrap pair[2];
			struct wrap_counter counter = { 0 };
			sample_pair(which, pair);
			bool counts = pair[0].kind != WRAP_NONE;
			for (uint32_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
				struct wrap_opened opened;
				size_t len = wrap_seal(&pair[sender], &counter, NOW + i, OP_CONTROL_V1, 5,
					0x0102030405060708, body, sizes[i], out, sizeof(out));
				ck_assert_uint_eq(len, 9 + wrap_overhead(&pair[sender]) + sizes[i]);
				ck_assert_int_eq(wrap_open(&pair[!sender], out, len, &opened), FATE_NONE);
				ck_assert_uint_eq(opened.opcode, OP_CONTROL_V1);
				ck_assert_uint_eq(opened.key_id, 5);
				ck_assert_uint_eq(opened.sender, 0x0102030405060708);
				ck_assert_uint_eq(opened.packet_id, counts ? i + 1 : 0);
				ck_assert_uint_eq(opened.net_time, counts ? NOW : 0);
				ck_assert_uint_eq(opened.body.left, sizes[i]);
				if (sizes[i])
					ck_assert_mem_eq(opened.body.at, body, sizes[i]);
			}
		}
	}
}
END_TEST

START_TEST(overheads_are_those_of_the_protocol)
{
	static const size_t overheads[PAIRS] = { 16 + 8, 20 + 8, 32 + 8, 64 + 8, 48 + 8, 40, 0 };
	struct wrap pair[2];

	for (int which = 0; which < PAIRS; which++) {
		sample_pair(which, pair);
		ck_assert_uint_eq(wrap_overhead(&pair[0]), overheads[which]);
		ck_assert_uint_le(wrap_overhead(&pair[0]), WRAP_MAX_OVERHEAD);
	}
}
END_TEST

START_TEST(no_bit_of_a_datagram_may_change)
{
	uint8_t good[200], bad[200];

	for (int which = 0; which < PAIRS - 1; which++) {
		struct wrap pair[2];
		struct wrap_counter counter = { 0 };
		struct wrap_opened opened;
		sample_pair(which, pair);
		size_t len = wrap_seal(
			&pair[1], &counter, NOW, OP_CONTROL_V1, 0, 42, "a body", 6, good, sizeof(good));
		for (size_t bit = 0; bit < len * 8; bit++) {
			memcpy(bad, good, len);
			bad[bit / 8] ^= (uint8_t)(1 << bit % 8);
			ck_assert_int_eq(wrap_open(&pair[0], bad, len, &opened), FATE_WRAP_FORGED);
		}
		/* Nor be cut off or added. */
		for (size_t cut = 9 + wrap_overhead(&pair[0]); cut < len; cut++) {
			memcpy(bad, good, len);
			ck_assert_int_eq(wrap_open(&pair[0], bad, cut, &opened), FATE_WRAP_FORGED);
		}
		memcpy(bad, good, len);
		bad[len] = 0;
		ck_assert_int_eq(wrap_open(&pair[0], bad, len + 1, &opened), FATE_WRAP_FORGED);
		memcpy(bad, good, len);
		ck_assert_int_eq(wrap_open(&pair[0], bad, len, &opened), FATE_NONE);
	}
}
END_TEST

START_TEST(a_datagram_shorter_than_its_wrapping_is_too_short)
{
	for (int which = 0; which < PAIRS; which++) {
		struct wrap pair[2];
		struct wrap_opened opened;
		sample_pair(which, pair);
		for (size_t len = 0; len < 9 + wrap_overhead(&pair[0]); len++) {
			/* Of exactly that size, so that a sanitizer sees what reads on. */
			uint8_t *exact = malloc(len ? len : 1);
			ck_assert_ptr_nonnull(exact);
			memset(exact, 0x38, len ? len : 1);
			ck_assert_int_eq(wrap_open(&pair[0], exact, len, &opened), FATE_TOO_SHORT);
			ck_assert_uint_eq(opened.body.left, 0);
			free(exact);
		}
	}
}
END_TEST

START_TEST(ones_own_datagram_comes_back_as_a_forgery)
{
	/* With directions only: that is what they are for. */
	static const int directed[] = { 0, 1, 2, 3, 5 };

	for (size_t i = 0; i < sizeof(directed) / sizeof(directed[0]); i++) {
		struct wrap pair[2];
		struct wrap_counter counter = { 0 };
		struct wrap_opened opened;
		uint8_t out[200];
		sample_pair(directed[i], pair);
		size_t len =
			wrap_seal(&pair[0], &counter, NOW, OP_ACK_V1, 0, 42, "a body", 6, out, sizeof(out));
		ck_assert_int_eq(wrap_open(&pair[0], out, len, &opened), FATE_WRAP_FORGED);
	}
}
END_TEST

START_TEST(another_key_or_digest_is_a_forgery)
{
	struct static_key key = sample_key(), other = sample_key();
	struct wrap sender, receiver;
	struct wrap_counter counter = { 0 };
	struct wrap_opened opened;
	uint8_t out[200];

	other.bytes[64] ^= 1;
	wrap_init_auth(&sender, &key, DIGEST_SHA256, -1);
	wrap_init_auth(&receiver, &other, DIGEST_SHA256, -1);
	size_t len = wrap_seal(&sender, &counter, NOW, OP_ACK_V1, 0, 42,
		"a longer body than any digest is, by some", 41, out, sizeof(out));
	ck_assert_int_eq(wrap_open(&receiver, out, len, &opened), FATE_WRAP_FORGED);
	wrap_init_auth(&receiver, &key, DIGEST_SHA1, -1);
	ck_assert_int_eq(wrap_open(&receiver, out, len, &opened), FATE_WRAP_FORGED);
	wrap_init_auth(&receiver, &key, DIGEST_SHA256, -1);
	ck_assert_int_eq(wrap_open(&receiver, out, len, &opened), FATE_NONE);
}
END_TEST

START_TEST(a_wrap_that_memory_spoilt_opens_and_seals_nothing)
{
	struct wrap wrap = { .kind = 77 };
	struct wrap_counter counter = { 0 };
	struct wrap_opened opened;
	uint8_t out[200] = { 0 };

	ck_assert_int_eq(wrap_open(&wrap, out, 100, &opened), FATE_WRAP_FORGED);
	ck_assert_uint_eq(wrap_seal(&wrap, &counter, NOW, OP_ACK_V1, 0, 42, "body", 4, out, sizeof(out)), 0);
	ck_assert_uint_eq(wrap_overhead(&wrap), 0);
	/* No digest, or an unknown one: never "no HMAC to verify". */
	for (int digest = 0; digest < 256; digest += 255) {
		wrap = (struct wrap){ .kind = WRAP_AUTH, .digest = (uint8_t)digest };
		ck_assert_int_eq(wrap_open(&wrap, out, 100, &opened), FATE_WRAP_FORGED);
		ck_assert_uint_eq(
			wrap_seal(&wrap, &counter, NOW, OP_ACK_V1, 0, 42, "body", 4, out, sizeof(out)), 0);
	}
	ck_assert_uint_eq(counter.next, 0);
}
END_TEST

START_TEST(what_has_no_room_is_not_sealed_and_not_counted)
{
	for (int which = 0; which < PAIRS; which++) {
		struct wrap pair[2];
		struct wrap_counter counter = { 0 };
		uint8_t out[200];
		sample_pair(which, pair);
		size_t needed = 9 + wrap_overhead(&pair[0]) + 6;
		for (size_t room = 0; room < needed; room++)
			ck_assert_uint_eq(
				wrap_seal(&pair[0], &counter, NOW, OP_ACK_V1, 0, 42, "a body", 6, out, room),
				0);
		ck_assert_uint_eq(counter.next, 0);
		ck_assert_uint_eq(
			wrap_seal(&pair[0], &counter, NOW, OP_ACK_V1, 0, 42, "a body", 6, out, needed),
			needed);
		/* A length that overflows the sum. */
		ck_assert_uint_eq(wrap_seal(&pair[0], &counter, NOW, OP_ACK_V1, 0, 42, "a body", SIZE_MAX - 8,
					  out, sizeof(out)),
			0);
	}
}
END_TEST

/* Seals one and gives the id and time that it carries. */
static bool seal_next(struct wrap_counter *counter, unix_s now, uint32_t *id, uint32_t *time)
{
	struct wrap pair[2];
	struct wrap_opened opened;
	uint8_t out[100];

	sample_pair(5, pair);
	size_t len = wrap_seal(&pair[0], counter, now, OP_ACK_V1, 0, 42, "", 0, out, sizeof(out));
	if (!len)
		return false;
	ck_assert_int_eq(wrap_open(&pair[1], out, len, &opened), FATE_NONE);
	*id = opened.packet_id;
	*time = opened.net_time;
	return true;
}

START_TEST(the_counter_keeps_the_time_of_its_first_use)
{
	struct wrap_counter counter = { 0 };
	uint32_t id, time;

	for (uint32_t i = 0; i < 10; i++) {
		ck_assert(seal_next(&counter, NOW + i, &id, &time));
		ck_assert_uint_eq(id, i + 1);
		ck_assert_uint_eq(time, NOW);
	}
}
END_TEST

START_TEST(the_counter_may_start_elsewhere)
{
	struct wrap_counter counter = { .next = 0x0f000001 };
	uint32_t id, time;

	ck_assert(seal_next(&counter, NOW, &id, &time));
	ck_assert_uint_eq(id, 0x0f000001);
	ck_assert_uint_eq(time, NOW);
	ck_assert(seal_next(&counter, NOW + 5, &id, &time));
	ck_assert_uint_eq(id, 0x0f000002);
	ck_assert_uint_eq(time, NOW);
}
END_TEST

START_TEST(used_up_ids_start_again_in_a_later_second_only)
{
	struct wrap_counter counter = { .next = UINT32_MAX, .time = NOW };
	uint32_t id, time;

	ck_assert(seal_next(&counter, NOW, &id, &time));
	ck_assert_uint_eq(id, UINT32_MAX);
	ck_assert(!seal_next(&counter, NOW, &id, &time));
	ck_assert(!seal_next(&counter, NOW - 1, &id, &time));
	ck_assert(seal_next(&counter, NOW + 1, &id, &time));
	ck_assert_uint_eq(id, 1);
	ck_assert_uint_eq(time, NOW + 1);
}
END_TEST

/* aborts */
START_TEST(tls_auth_without_a_digest_is_our_own_mistake)
{
	struct static_key key = sample_key();
	struct wrap wrap;

	wrap_init_auth(&wrap, &key, DIGEST_NONE, 0);
}
END_TEST

static void add(TCase *tcase)
{
	tcase_add_test(tcase, a_plain_opener_is_read);
	tcase_add_test(tcase, a_tls_auth_opener_is_verified);
	tcase_add_test(tcase, a_tls_crypt_opener_is_verified_and_uncovered);
	tcase_add_test(tcase, a_client_seals_the_same_openers_byte_by_byte);
	tcase_add_test(tcase, a_dynamic_key_of_one_repeated_byte_gives_the_known_answer);
	tcase_add_test(tcase, what_one_side_seals_the_other_opens);
	tcase_add_test(tcase, overheads_are_those_of_the_protocol);
	tcase_add_test(tcase, no_bit_of_a_datagram_may_change);
	tcase_add_test(tcase, a_datagram_shorter_than_its_wrapping_is_too_short);
	tcase_add_test(tcase, ones_own_datagram_comes_back_as_a_forgery);
	tcase_add_test(tcase, another_key_or_digest_is_a_forgery);
	tcase_add_test(tcase, a_wrap_that_memory_spoilt_opens_and_seals_nothing);
	tcase_add_test(tcase, what_has_no_room_is_not_sealed_and_not_counted);
	tcase_add_test(tcase, the_counter_keeps_the_time_of_its_first_use);
	tcase_add_test(tcase, the_counter_may_start_elsewhere);
	tcase_add_test(tcase, used_up_ids_start_again_in_a_later_second_only);
	tcase_add_test_raise_signal(tcase, tls_auth_without_a_digest_is_our_own_mistake, SIGABRT);
}

int main(void)
{
	return suite_run("wrap/wrap", add);
}
