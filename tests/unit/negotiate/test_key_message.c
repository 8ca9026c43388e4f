/* SPDX-License-Identifier: MIT
 * The first message over TLS, both ways, and every way it can be wrong. */
#include "common/negotiate/negotiate.h"

#include <check.h>
#include <stdlib.h>

enum {
	CLIENT_HEAD = 4 + 1 + PRE_MASTER_LEN + 2 * KEY_RANDOM_LEN,
	SERVER_HEAD = CLIENT_HEAD - PRE_MASTER_LEN
};

static struct key_message sent, got;
static uint8_t wire[3 * CREDENTIAL_MAX + PEER_INFO_MAX];

static void fill(void)
{
	memset(&sent, 0, sizeof(sent));
	memset(sent.pre_master, 1, sizeof(sent.pre_master));
	memset(sent.random1, 2, sizeof(sent.random1));
	memset(sent.random2, 3, sizeof(sent.random2));
	strcpy(sent.options, "V4,dev-type tun");
	strcpy(sent.username, "alice");
	strcpy(sent.password, "secret");
	strcpy(sent.peer_info, "IV_VER=2.6.14\nIV_PROTO=990\n");
}

START_TEST(a_clients_message_arrives_as_it_was_sent)
{
	fill();
	size_t len = key_message_write(&sent, true, wire, sizeof(wire));
	ck_assert_uint_eq(len, CLIENT_HEAD + 2 + 16 + 2 + 6 + 2 + 7 + 2 + 28);
	ck_assert_mem_eq(wire, "\0\0\0\0\2\1\1", 7);
	ck_assert(key_message_read(bytes_of(wire, len), true, &got));
	ck_assert_mem_eq(&got, &sent, sizeof(sent));
}
END_TEST

START_TEST(a_servers_message_has_neither_pre_master_nor_credentials)
{
	fill();
	size_t len = key_message_write(&sent, false, wire, sizeof(wire));
	ck_assert_uint_eq(len, SERVER_HEAD + 2 + 16 + 3 * 2);
	ck_assert(key_message_read(bytes_of(wire, len), false, &got));
	ck_assert_mem_eq(got.random1, sent.random1, KEY_RANDOM_LEN);
	ck_assert_mem_eq(got.random2, sent.random2, KEY_RANDOM_LEN);
	ck_assert_uint_eq(got.pre_master[0], 0);
	ck_assert_str_eq(got.options, sent.options);
	ck_assert_str_eq(got.username, "");
	ck_assert_str_eq(got.peer_info, "");
}
END_TEST

START_TEST(empty_texts_have_no_nul)
{
	fill();
	sent.username[0] = sent.password[0] = '\0';
	size_t len = key_message_write(&sent, true, wire, sizeof(wire));
	ck_assert_mem_eq(wire + CLIENT_HEAD + 2 + 16, "\0\0\0\0\0\x1c", 6);
	ck_assert(key_message_read(bytes_of(wire, len), true, &got));
	ck_assert_str_eq(got.username, "");
	ck_assert_str_eq(got.peer_info, sent.peer_info);
}
END_TEST

START_TEST(fields_may_be_missing_at_the_end_but_never_cut)
{
	fill();
	size_t options_end = CLIENT_HEAD + 2 + 16, username_end = options_end + 2 + 6,
	       password_end = username_end + 2 + 7;
	size_t len = key_message_write(&sent, true, wire, sizeof(wire));
	for (size_t cut = 0; cut <= len; cut++) {
		bool whole = cut == options_end || cut == username_end || cut == password_end || cut == len;
		ck_assert_msg(key_message_read(bytes_of(wire, cut), true, &got) == whole, "cut at %zu", cut);
		if (!whole) /* nothing secret is left behind */
			ck_assert(!got.pre_master[0] && !got.random1[0] && !got.username[0]);
	}
}
END_TEST

START_TEST(only_method_2_is_spoken)
{
	fill();
	size_t len = key_message_write(&sent, true, wire, sizeof(wire));
	for (unsigned method = 0; method < 256; method++) {
		wire[4] = (uint8_t)method;
		ck_assert(key_message_read(bytes_of(wire, len), true, &got) == ((method & 15) == 2));
	}
}
END_TEST

START_TEST(the_leading_number_and_what_follows_the_message_are_ignored)
{
	fill();
	size_t len = key_message_write(&sent, true, wire, sizeof(wire));
	memset(wire, 0xff, 4);
	memset(wire + len, 0xff, 100);
	ck_assert(key_message_read(bytes_of(wire, len + 100), true, &got));
	ck_assert_str_eq(got.peer_info, sent.peer_info);
}
END_TEST

START_TEST(a_text_without_nul_loses_its_last_byte)
{
	fill();
	size_t len = key_message_write(&sent, true, wire, sizeof(wire));
	wire[CLIENT_HEAD + 2 + 16 + 2 + 5] = 'X'; /* where the user name's NUL stood */
	ck_assert(key_message_read(bytes_of(wire, len), true, &got));
	ck_assert_str_eq(got.username, "alice");
}
END_TEST

/* Head, options "V", then one text of `len` bytes in the place of the user name, password "p", peer info "i".
 */
static size_t with_long_username(size_t len)
{
	struct bytes_out to = bytes_into(wire, sizeof(wire));
	memset(write_space(&to, CLIENT_HEAD), 0, CLIENT_HEAD);
	wire[4] = 2;
	write_u16(&to, 2);
	write_data(&to, "V", 2);
	write_u16(&to, (uint16_t)len);
	memset(write_space(&to, len), 'u', len);
	write_u16(&to, 2);
	write_data(&to, "p", 2);
	write_u16(&to, 2);
	write_data(&to, "i", 2);
	ck_assert(!to.failed);
	return to.len;
}

START_TEST(over_long_credentials_are_skipped_and_marked)
{
	size_t len = with_long_username(CREDENTIAL_MAX);
	ck_assert(key_message_read(bytes_of(wire, len), true, &got));
	ck_assert(!got.credentials_too_long);
	ck_assert_uint_eq(strlen(got.username), CREDENTIAL_MAX - 1);

	len = with_long_username(CREDENTIAL_MAX + 1);
	ck_assert(key_message_read(bytes_of(wire, len), true, &got));
	ck_assert(got.credentials_too_long);
	ck_assert_str_eq(got.username, "");
	ck_assert_str_eq(got.password, "p");
	ck_assert_str_eq(got.peer_info, "i");
}
END_TEST

START_TEST(an_over_long_options_text_is_refused)
{
	for (size_t len = OPTIONS_TEXT_MAX - 1; len < OPTIONS_TEXT_MAX + 2; len++) {
		struct bytes_out to = bytes_into(wire, sizeof(wire));
		memset(write_space(&to, CLIENT_HEAD), 0, CLIENT_HEAD);
		wire[4] = 2;
		write_u16(&to, (uint16_t)len);
		memset(write_space(&to, len), 'o', len);
		ck_assert(key_message_read(bytes_of(wire, to.len), true, &got) == (len <= OPTIONS_TEXT_MAX));
	}
}
END_TEST

START_TEST(an_over_long_peer_info_is_left_out)
{
	struct bytes_out to = bytes_into(wire, sizeof(wire));
	memset(write_space(&to, CLIENT_HEAD), 0, CLIENT_HEAD);
	wire[4] = 2;
	memset(write_space(&to, 6), 0, 6);
	write_u16(&to, PEER_INFO_MAX + 1);
	memset(write_space(&to, PEER_INFO_MAX + 1), 'i', PEER_INFO_MAX + 1);
	ck_assert(key_message_read(bytes_of(wire, to.len), true, &got));
	ck_assert_str_eq(got.peer_info, "");
	ck_assert(!got.credentials_too_long);
}
END_TEST

START_TEST(nothing_is_written_without_room_or_without_an_end)
{
	fill();
	size_t len = key_message_write(&sent, true, wire, sizeof(wire));
	for (size_t room = 0; room < len; room++)
		ck_assert_uint_eq(key_message_write(&sent, true, wire, room), 0);
	memset(sent.username, 'u', sizeof(sent.username));
	ck_assert_uint_eq(key_message_write(&sent, true, wire, sizeof(wire)), 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("negotiate/key_message");
	TCase *tcase = tcase_create("key_message");
	tcase_add_test(tcase, a_clients_message_arrives_as_it_was_sent);
	tcase_add_test(tcase, a_servers_message_has_neither_pre_master_nor_credentials);
	tcase_add_test(tcase, empty_texts_have_no_nul);
	tcase_add_test(tcase, fields_may_be_missing_at_the_end_but_never_cut);
	tcase_add_test(tcase, only_method_2_is_spoken);
	tcase_add_test(tcase, the_leading_number_and_what_follows_the_message_are_ignored);
	tcase_add_test(tcase, a_text_without_nul_loses_its_last_byte);
	tcase_add_test(tcase, over_long_credentials_are_skipped_and_marked);
	tcase_add_test(tcase, an_over_long_options_text_is_refused);
	tcase_add_test(tcase, an_over_long_peer_info_is_left_out);
	tcase_add_test(tcase, nothing_is_written_without_room_or_without_an_end);
	suite_add_tcase(suite, tcase);
	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
