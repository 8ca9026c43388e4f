/* SPDX-License-Identifier: MIT
 * Pushed settings: cut into messages as OpenVPN cuts them, and read back. */
#include "common/negotiate/negotiate.h"
#include "common/wire/wire.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

static char out[PUSH_BUNDLE];

START_TEST(a_short_list_is_one_message)
{
	const char *const options[] = { "route-gateway 10.8.0.1", "topology subnet", "ping 10" };
	size_t at = 0;
	size_t len = push_reply_write(options, 3, &at, out, sizeof(out));
	ck_assert_str_eq(out, "PUSH_REPLY,route-gateway 10.8.0.1,topology subnet,ping 10");
	ck_assert_uint_eq(len, strlen(out) + 1);
	ck_assert_uint_eq(push_reply_write(options, 3, &at, out, sizeof(out)), 0);
}
END_TEST

START_TEST(two_hundred_routes_are_cut_and_put_together_again)
{
	static char texts[200][64];
	const char *options[200];
	for (int i = 0; i < 200; i++) {
		snprintf(texts[i], sizeof(texts[i]), "route 10.%d.%d.0 255.255.255.0", i / 7, i);
		options[i] = texts[i];
	}
	size_t at = 0, len, next = 0, messages = 0;
	bool last = false;
	while ((len = push_reply_write(options, 200, &at, out, sizeof(out)))) {
		ck_assert(!last);
		ck_assert_uint_eq(len, strlen(out) + 1);
		ck_assert_uint_le(len, PUSH_BUNDLE);
		char *state, *option = strtok_r(out, ",", &state);
		ck_assert_str_eq(option, "PUSH_REPLY");
		size_t spoken = strlen(option);
		while ((option = strtok_r(NULL, ",", &state)) && strncmp(option, "push-", 5)) {
			ck_assert_str_eq(option, texts[next++]);
			ck_assert_uint_lt(spoken + strlen(option), 940);
			spoken += 1 + strlen(option);
		}
		ck_assert_ptr_nonnull(option);
		last = !strcmp(option, "push-continuation 1");
		if (!last) {
			ck_assert_str_eq(option, "push-continuation 2");
			/* not one option earlier than needed */
			ck_assert_uint_ge(spoken + strlen(texts[next]), 940);
		}
		messages++;
	}
	ck_assert(last);
	ck_assert_uint_eq(next, 200);
	ck_assert_uint_gt(messages, 5);
}
END_TEST

START_TEST(the_cut_is_at_940)
{
	char big[4][PUSH_OPTION_MAX + 1];
	const char *const options[] = { big[0], big[1], big[2], big[3] };
	for (int i = 0; i < 3; i++) {
		memset(big[i], 'a', PUSH_OPTION_MAX);
		big[i][PUSH_OPTION_MAX] = '\0';
	}
	/* 10 + 3 * 256 = 778: the fourth may have 161 characters, not 162 */
	for (size_t len = 161; len <= 162; len++) {
		memset(big[3], 'b', len);
		big[3][len] = '\0';
		size_t at = 0;
		ck_assert_uint_gt(push_reply_write(options, 4, &at, out, sizeof(out)), 0);
		ck_assert_uint_eq(at, len == 161 ? 4 : 3);
		if (len == 162) {
			push_reply_write(options, 4, &at, out, sizeof(out));
			ck_assert_ptr_nonnull(strstr(out, "PUSH_REPLY,bbb"));
			ck_assert_ptr_nonnull(strstr(out, "b,push-continuation 1"));
		}
		ck_assert_uint_eq(push_reply_write(options, 4, &at, out, sizeof(out)), 0);
	}
}
END_TEST

START_TEST(nothing_to_say_is_still_an_answer)
{
	const char *const unsayable[] = { "a,b", "" };
	for (size_t count = 0; count <= 2; count++) {
		size_t at = 0;
		ck_assert_uint_gt(push_reply_write(unsayable, count, &at, out, sizeof(out)), 0);
		ck_assert_str_eq(out, "PUSH_REPLY,ping-restart 0");
		ck_assert_uint_eq(push_reply_write(unsayable, count, &at, out, sizeof(out)), 0);
	}
}
END_TEST

START_TEST(options_that_would_break_the_message_are_left_out)
{
	char exact[PUSH_OPTION_MAX + 1], longer[PUSH_OPTION_MAX + 2];
	memset(exact, 'e', sizeof(exact));
	exact[PUSH_OPTION_MAX] = '\0';
	memset(longer, 'l', sizeof(longer));
	longer[PUSH_OPTION_MAX + 1] = '\0';
	const char *const options[] = { "route 1,push-reset", "echo a\nb", "echo \x7f", "echo \xc3\xa4", "",
		longer, exact, "ping 1" };
	size_t at = 0;
	push_reply_write(options, 8, &at, out, sizeof(out));
	ck_assert_uint_eq(strlen(out), 11 + PUSH_OPTION_MAX + 7);
	ck_assert_str_eq(out + 11 + PUSH_OPTION_MAX, ",ping 1");
}
END_TEST

START_TEST(unsayable_options_behind_a_cut_leave_no_empty_message)
{
	char big[PUSH_OPTION_MAX + 1];
	memset(big, 'a', PUSH_OPTION_MAX);
	big[PUSH_OPTION_MAX] = '\0';
	const char *const options[] = { big, big, big, ",", "", "," };
	size_t at = 0;
	push_reply_write(options, 6, &at, out, sizeof(out));
	ck_assert_ptr_null(strstr(out, "push-continuation"));
	ck_assert_uint_eq(push_reply_write(options, 6, &at, out, sizeof(out)), 0);
}
END_TEST

START_TEST(less_room_than_a_bundle_is_refused)
{
	const char *const options[] = { "ping 1" };
	size_t at = 0;
	ck_assert_uint_eq(push_reply_write(options, 1, &at, out, PUSH_BUNDLE - 1), 0);
	ck_assert_uint_eq(at, 0);
}
END_TEST

START_TEST(a_2_6_servers_reply_is_understood)
{
	struct pushed p;
	pushed_init(&p);
	ck_assert(pushed_read(&p,
		"PUSH_REPLY,route 192.168.99.0 255.255.255.0,dhcp-option DNS 10.77.0.1,echo hello,tun-ipv6,"
		"route-gateway 10.77.0.1,topology subnet,ping 5,ping-restart 20,ifconfig-ipv6 "
		"fd00:77::1000/64 fd00:77::1,"
		"ifconfig 10.77.0.2 255.255.255.0,peer-id 0,auth-token SESS_ID_AT_x,cipher AES-256-GCM,"
		"protocol-flags cc-exit tls-ekm dyn-tls-crypt,tun-mtu 1500"));
	ck_assert_uint_eq(p.peer_id, 0);
	ck_assert_int_eq(p.cipher, CIPHER_AES_256_GCM);
	ck_assert(p.tls_ekm && p.cc_exit && p.dyn_tls_crypt);
	ck_assert_uint_eq(p.ping_s, 5);
	ck_assert_uint_eq(p.ping_restart_s, 20);
	ck_assert_uint_eq(p.tun_mtu, 1500);
	ck_assert(!p.more && !p.unusable);
	ck_assert_str_eq(p.ifconfig, "10.77.0.2 255.255.255.0");
	ck_assert_str_eq(p.ifconfig6, "fd00:77::1000/64 fd00:77::1");
}
END_TEST

START_TEST(several_messages_add_up)
{
	struct pushed p;
	pushed_init(&p);
	ck_assert_uint_eq(p.peer_id, WIRE_PEER_ID_NONE);
	ck_assert(pushed_read(&p, "PUSH_REPLY,peer-id 7,push-continuation 2"));
	ck_assert(p.more);
	ck_assert(pushed_read(&p, "PUSH_REPLY,key-derivation tls-ekm,push-continuation 1"));
	ck_assert(!p.more);
	ck_assert_uint_eq(p.peer_id, 7);
	ck_assert(p.tls_ekm);
}
END_TEST

START_TEST(what_is_no_reply_is_refused)
{
	struct pushed p;
	pushed_init(&p);
	ck_assert(!pushed_read(&p, "PUSH_REQUEST"));
	ck_assert(!pushed_read(&p, "PUSH_REPLYX,peer-id 7"));
	ck_assert(!pushed_read(&p, "PUSH_REPL"));
	ck_assert(!pushed_read(&p, ""));
	ck_assert_uint_eq(p.peer_id, WIRE_PEER_ID_NONE);
	ck_assert(pushed_read(&p, "PUSH_REPLY"));
	ck_assert(pushed_read(&p, "PUSH_REPLY,,,"));
	ck_assert(!p.unusable);
}
END_TEST

START_TEST(what_we_cannot_obey_is_unusable)
{
	static const char *const bad[] = { "cipher BF-CBC", "cipher", "protocol-flags aead-epoch",
		"protocol-flags tls-ekm something", "key-derivation other", "key-derivation", "comp-lzo no",
		"compress lz4", "compress", "peer-id 16777215", "peer-id", "peer-id -1", "peer-id 1x",
		"peer-id 99999999999999999999" };
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		char message[128];
		struct pushed p;
		pushed_init(&p);
		snprintf(message, sizeof(message), "PUSH_REPLY,%s", bad[i]);
		ck_assert(pushed_read(&p, message));
		ck_assert_msg(p.unusable, "%s", bad[i]);
		ck_assert_uint_eq(p.peer_id, WIRE_PEER_ID_NONE);
	}
}
END_TEST

START_TEST(wrong_numbers_and_over_long_values_change_nothing)
{
	struct pushed p;
	char message[1024] =
		"PUSH_REPLY,ping x,ping-restart -1,ping-restart 4294967296,tun-mtu 99,tun-mtu 65536,"
		"compress stub-v2,ifconfig ";
	size_t len = strlen(message);
	memset(message + len, '1', 64);
	strcpy(message + len + 64, ",ifconfig-ipv6 ");
	len = strlen(message);
	memset(message + len, '1', 300);
	pushed_init(&p);
	ck_assert(pushed_read(&p, message));
	ck_assert_uint_eq(p.ping_s, 0);
	ck_assert_uint_eq(p.ping_restart_s, 0);
	ck_assert_uint_eq(p.tun_mtu, 0);
	ck_assert_str_eq(p.ifconfig, "");
	ck_assert_str_eq(p.ifconfig6, "");
	ck_assert(!p.unusable);
}
END_TEST

/* -- updates -- */

#define COUNT(list) (sizeof(list) / sizeof((list)[0]))

/* What an update from `a` to `b` says, joined; "!" in front when it cannot say all. */
static const char *update(const char *const *a, size_t a_count, const char *const *b, size_t b_count)
{
	static char text[512];
	const char *said[32];
	bool all;
	ck_assert_uint_le(a_count + b_count, COUNT(said));
	size_t count = push_update_options(a, a_count, b, b_count, said, &all);
	ck_assert_uint_le(count, a_count + b_count);
	snprintf(text, sizeof(text), "%s", all ? "" : "!");
	for (size_t i = 0; i < count; i++)
		snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s%s", i ? "," : "", said[i]);
	return text;
}

START_TEST(an_update_says_each_kind_that_differs_and_no_other)
{
	const char *before[] = { "route 10.1.0.0 255.255.0.0", "dhcp-option DNS 10.0.0.1", "route 10.2.0.0 255.255.0.0" };
	const char *more[] = { "route 10.1.0.0 255.255.0.0", "dhcp-option DNS 10.0.0.1", "route 10.2.0.0 255.255.0.0",
		"route 10.3.0.0 255.255.0.0" };
	const char *less[] = { "dhcp-option DNS 10.0.0.1" };
	const char *other[] = { "route 10.1.0.0 255.255.0.0", "route 10.2.0.0 255.255.0.0", "dhcp-option DNS 10.0.0.2",
		"route-gateway 10.0.0.9" };
	ck_assert_str_eq(update(before, COUNT(before), before, COUNT(before)), "");
	ck_assert_str_eq(update(before, COUNT(before), more, COUNT(more)),
		"route 10.1.0.0 255.255.0.0,route 10.2.0.0 255.255.0.0,route 10.3.0.0 255.255.0.0");
	ck_assert_str_eq(update(before, COUNT(before), less, COUNT(less)), "-route");
	ck_assert_str_eq(update(before, COUNT(before), other, COUNT(other)), "dhcp-option DNS 10.0.0.2,route-gateway 10.0.0.9");
	ck_assert_str_eq(update(NULL, 0, less, COUNT(less)), "dhcp-option DNS 10.0.0.1");
	ck_assert_str_eq(update(less, COUNT(less), NULL, 0), "-dhcp-option");
}
END_TEST

START_TEST(what_no_client_can_update_is_left_out_and_told)
{
	const char *before[] = { "ping 10", "route 10.1.0.0" }, *after[] = { "ping 20", "route 10.2.0.0" };
	ck_assert_str_eq(update(before, 2, after, 2), "!route 10.2.0.0");
	ck_assert_str_eq(update(before, 1, after, 1), "!");
	ck_assert_str_eq(update(before + 1, 1, after + 1, 1), "route 10.2.0.0");
	/* a kind whose name only begins like another's is its own */
	const char *gateway[] = { "route-gateway 10.0.0.1" }, *route[] = { "route 10.0.0.1" };
	ck_assert_str_eq(update(gateway, 1, route, 1), "-route-gateway,route 10.0.0.1");
}
END_TEST

START_TEST(a_long_update_goes_in_several_messages)
{
	static char texts[60][40];
	const char *options[60];
	char message[PUSH_BUNDLE];
	size_t at = 0, len, messages = 0, said = 0;
	for (size_t i = 0; i < COUNT(options); i++) {
		snprintf(texts[i], sizeof(texts[i]), "route 10.%zu.0.0 255.255.0.0", i);
		options[i] = texts[i];
	}
	while ((len = push_update_write(options, COUNT(options), &at, message, sizeof(message)))) {
		ck_assert_uint_eq(len, strlen(message) + 1);
		ck_assert_uint_le(len, PUSH_BUNDLE);
		ck_assert_int_eq(strncmp(message, "PUSH_UPDATE,route ", 18), 0);
		ck_assert_ptr_nonnull(strstr(message, at < COUNT(options) ? ",push-continuation 2" : ",push-continuation 1"));
		for (const char *p = message; (p = strstr(p, ",route ")); p++)
			said++;
		messages++;
	}
	ck_assert_uint_eq(said, COUNT(options));
	ck_assert_uint_eq(messages, 2);
	at = 0;
	ck_assert_uint_eq(push_update_write(options, 0, &at, message, sizeof(message)), 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("negotiate/push");
	TCase *tcase = tcase_create("push");
	tcase_add_test(tcase, a_short_list_is_one_message);
	tcase_add_test(tcase, two_hundred_routes_are_cut_and_put_together_again);
	tcase_add_test(tcase, the_cut_is_at_940);
	tcase_add_test(tcase, nothing_to_say_is_still_an_answer);
	tcase_add_test(tcase, options_that_would_break_the_message_are_left_out);
	tcase_add_test(tcase, unsayable_options_behind_a_cut_leave_no_empty_message);
	tcase_add_test(tcase, less_room_than_a_bundle_is_refused);
	tcase_add_test(tcase, a_2_6_servers_reply_is_understood);
	tcase_add_test(tcase, several_messages_add_up);
	tcase_add_test(tcase, what_is_no_reply_is_refused);
	tcase_add_test(tcase, what_we_cannot_obey_is_unusable);
	tcase_add_test(tcase, wrong_numbers_and_over_long_values_change_nothing);
	tcase_add_test(tcase, an_update_says_each_kind_that_differs_and_no_other);
	tcase_add_test(tcase, what_no_client_can_update_is_left_out_and_told);
	tcase_add_test(tcase, a_long_update_goes_in_several_messages);
	suite_add_tcase(suite, tcase);
	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
