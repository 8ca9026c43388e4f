/* SPDX-License-Identifier: MIT
 * tls-crypt-v2's wrapped client keys: known answers, and what must be refused. */
#include "common/wrap/wrap.h"
#include "tests/lib/hex.h"
#include "tests/lib/suite.h"
#include "tests/vectors/client_key.h"

static struct server_key sample_server(void)
{
	struct server_key server;

	for (size_t i = 0; i < sizeof(server.bytes); i++)
		server.bytes[i] = (uint8_t)i;
	return server;
}

static struct client_key sample_client(const char *metadata)
{
	struct client_key client = { 0 };

	for (size_t i = 0; i < STATIC_KEY_LEN; i++)
		client.key.bytes[i] = (uint8_t)i;
	client.metadata_len = (uint16_t)unhex(metadata, client.metadata, sizeof(client.metadata));
	return client;
}

/* A datagram: 49 bytes of anything, then the wrapped key. Its length. */
static size_t sample_datagram(uint8_t out[1200], const char *metadata)
{
	struct server_key server = sample_server();
	struct client_key client = sample_client(metadata);

	memset(out, 0x50, 49);
	size_t len = client_key_wrap(&server, &client, out + 49, 1200 - 49);
	ck_assert_uint_gt(len, 0);
	return 49 + len;
}

START_TEST(wrapping_gives_the_known_tags)
{
	struct server_key server = sample_server();
	struct client_key a = sample_client(VECTOR_WRAPPED_A_METADATA),
			  b = sample_client(VECTOR_WRAPPED_B_METADATA);
	uint8_t out[CLIENT_KEY_WRAPPED_MAX];

	ck_assert_uint_eq(client_key_wrap(&server, &a, out, sizeof(out)), VECTOR_WRAPPED_A_LEN);
	assert_hex(out, 32, VECTOR_WRAPPED_A_TAG);
	ck_assert_uint_eq(
		out[VECTOR_WRAPPED_A_LEN - 2] << 8 | out[VECTOR_WRAPPED_A_LEN - 1], VECTOR_WRAPPED_A_LEN);
	ck_assert_uint_eq(client_key_wrap(&server, &b, out, sizeof(out)), VECTOR_WRAPPED_B_LEN);
	assert_hex(out, 32, VECTOR_WRAPPED_B_TAG);
}
END_TEST

START_TEST(the_server_cuts_it_off_and_finds_key_and_metadata)
{
	static const char *const metadata[] = { VECTOR_WRAPPED_A_METADATA, VECTOR_WRAPPED_B_METADATA, "" };
	struct server_key server = sample_server();

	for (int i = 0; i < 3; i++) {
		struct client_key expected = sample_client(metadata[i]), found;
		uint8_t datagram[1200];
		size_t len = sample_datagram(datagram, metadata[i]);
		ck_assert_int_eq(client_key_cut(&server, datagram, &len, &found), FATE_NONE);
		ck_assert_uint_eq(len, 49);
		ck_assert_mem_eq(found.key.bytes, expected.key.bytes, STATIC_KEY_LEN);
		ck_assert_uint_eq(found.metadata_len, expected.metadata_len);
		ck_assert_mem_eq(found.metadata, expected.metadata, sizeof(found.metadata));
	}
}
END_TEST

START_TEST(metadata_may_fill_the_form_and_no_more)
{
	struct server_key server = sample_server();
	struct client_key client = sample_client(""), found;
	uint8_t datagram[1200] = { 0x50 };

	client.metadata_len = CLIENT_KEY_METADATA_MAX;
	memset(client.metadata, 0x77, sizeof(client.metadata));
	size_t len = 1 + client_key_wrap(&server, &client, datagram + 1, CLIENT_KEY_WRAPPED_MAX);
	ck_assert_uint_eq(len, 1 + CLIENT_KEY_WRAPPED_MAX);
	ck_assert_int_eq(client_key_cut(&server, datagram, &len, &found), FATE_NONE);
	ck_assert_uint_eq(len, 1);
	ck_assert_mem_eq(found.metadata, client.metadata, sizeof(client.metadata));
	client.metadata_len++;
	ck_assert_uint_eq(client_key_wrap(&server, &client, datagram, sizeof(datagram)), 0);
}
END_TEST

START_TEST(without_room_nothing_is_wrapped)
{
	struct server_key server = sample_server();
	struct client_key client = sample_client(VECTOR_WRAPPED_A_METADATA);
	uint8_t out[VECTOR_WRAPPED_A_LEN];

	for (size_t room = 0; room < sizeof(out); room++)
		ck_assert_uint_eq(client_key_wrap(&server, &client, out, room), 0);
	ck_assert_uint_eq(client_key_wrap(&server, &client, out, sizeof(out)), sizeof(out));
}
END_TEST

START_TEST(no_bit_of_the_wrapped_key_may_change)
{
	static const struct client_key empty;
	struct server_key server = sample_server();
	uint8_t datagram[1200];
	size_t whole = sample_datagram(datagram, VECTOR_WRAPPED_A_METADATA);

	for (size_t bit = 49 * 8; bit < whole * 8; bit++) {
		struct client_key found;
		size_t len = whole;
		datagram[bit / 8] ^= (uint8_t)(1 << bit % 8);
		enum fate fate = client_key_cut(&server, datagram, &len, &found);
		ck_assert(fate == FATE_CLIENT_KEY_BAD || (bit >= (whole - 2) * 8 && fate == FATE_TOO_SHORT));
		ck_assert_uint_eq(len, whole);
		ck_assert_mem_eq(&found, &empty, sizeof(found));
		datagram[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
}
END_TEST

START_TEST(another_servers_key_unwraps_nothing)
{
	uint8_t datagram[1200];
	size_t whole = sample_datagram(datagram, VECTOR_WRAPPED_A_METADATA);
	/* In the cipher key and in the HMAC key. */
	static const size_t places[] = { 0, 31, 64, 95 };

	for (int i = 0; i < 4; i++) {
		struct server_key server = sample_server();
		struct client_key found;
		size_t len = whole;
		server.bytes[places[i]] ^= 1;
		ck_assert_int_eq(client_key_cut(&server, datagram, &len, &found), FATE_CLIENT_KEY_BAD);
	}
}
END_TEST

START_TEST(lengths_that_lie_are_refused)
{
	struct server_key server = sample_server();
	struct client_key found;
	uint8_t datagram[1200] = { 0 };

	for (size_t claimed = 0; claimed <= UINT16_MAX; claimed++) {
		size_t len = 600;
		datagram[598] = (uint8_t)(claimed >> 8);
		datagram[599] = (uint8_t)claimed;
		enum fate fate = client_key_cut(&server, datagram, &len, &found);
		bool possible = claimed >= CLIENT_KEY_WRAPPED_MIN && claimed <= CLIENT_KEY_WRAPPED_MAX;
		ck_assert_int_eq(fate, possible && claimed > 599 ? FATE_TOO_SHORT : FATE_CLIENT_KEY_BAD);
		ck_assert_uint_eq(len, 600);
	}
}
END_TEST

START_TEST(every_short_datagram_is_refused_without_reading_past_it)
{
	struct server_key server = sample_server();
	uint8_t datagram[1200];
	size_t whole = sample_datagram(datagram, VECTOR_WRAPPED_A_METADATA);

	for (size_t tail = 0; tail < whole; tail++) {
		/* The end is kept: the length in it is right, the beginning is missing. */
		struct client_key found;
		size_t len = tail;
		uint8_t *exact = malloc(tail ? tail : 1);
		ck_assert_ptr_nonnull(exact);
		memcpy(exact, datagram + whole - tail, tail);
		enum fate fate = client_key_cut(&server, exact, &len, &found);
		ck_assert_int_eq(fate, tail <= VECTOR_WRAPPED_A_LEN ? FATE_TOO_SHORT : FATE_NONE);
		free(exact);
	}
}
END_TEST

START_TEST(a_session_that_has_its_key_just_cuts)
{
	uint8_t datagram[1200];
	size_t whole = sample_datagram(datagram, VECTOR_WRAPPED_A_METADATA), len = whole;

	datagram[60] ^= 1; /* not even looked at */
	ck_assert_int_eq(client_key_cut(NULL, datagram, &len, NULL), FATE_NONE);
	ck_assert_uint_eq(len, 49);
	len = whole - 1; /* cut by accident: the length is not where it should be */
	ck_assert_int_ne(client_key_cut(NULL, datagram, &len, NULL), FATE_NONE);
}
END_TEST

START_TEST(the_early_marker_is_the_ids_highest_byte)
{
	ck_assert(client_key_early(0x0f000001));
	ck_assert(client_key_early(0x0fffffff));
	ck_assert(!client_key_early(1));
	ck_assert(!client_key_early(0x0effffff));
	ck_assert(!client_key_early(0x10000000));
	ck_assert(!client_key_early(0xff000001));
}
END_TEST

static void add(TCase *tcase)
{
	tcase_add_test(tcase, wrapping_gives_the_known_tags);
	tcase_add_test(tcase, the_server_cuts_it_off_and_finds_key_and_metadata);
	tcase_add_test(tcase, metadata_may_fill_the_form_and_no_more);
	tcase_add_test(tcase, without_room_nothing_is_wrapped);
	tcase_add_test(tcase, no_bit_of_the_wrapped_key_may_change);
	tcase_add_test(tcase, another_servers_key_unwraps_nothing);
	tcase_add_test(tcase, lengths_that_lie_are_refused);
	tcase_add_test(tcase, every_short_datagram_is_refused_without_reading_past_it);
	tcase_add_test(tcase, a_session_that_has_its_key_just_cuts);
	tcase_add_test(tcase, the_early_marker_is_the_ids_highest_byte);
}

int main(void)
{
	return suite_run("wrap/client_key", add);
}
