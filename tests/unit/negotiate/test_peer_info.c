/* SPDX-License-Identifier: MIT
 * What peers tell about themselves. */
#include "common/negotiate/negotiate.h"

#include <check.h>
#include <stdlib.h>

static struct peer_info info;

START_TEST(a_2_6_client_is_understood)
{
	unsigned skipped =
		peer_info_read("IV_VER=2.6.14\nIV_PLAT=linux\nIV_TCPNL=1\nIV_MTU=1600\nIV_NCP=2\n"
			       "IV_CIPHERS=AES-256-GCM:AES-128-GCM:CHACHA20-POLY1305\nIV_PROTO=990\n"
			       "IV_LZO_STUB=1\nIV_COMP_STUB=1\nIV_COMP_STUBv2=1\n",
			&info);
	ck_assert_uint_eq(skipped, 0);
	ck_assert_uint_eq(info.proto, 990);
	ck_assert(info.proto & PROTO_DATA_V2 && info.proto & PROTO_DYN_TLS_CRYPT &&
		  !(info.proto & PROTO_DATA_EPOCH));
	ck_assert_uint_eq(info.mtu, 1600);
	ck_assert_uint_eq(info.ncp, 2);
	ck_assert_str_eq(info.ciphers, "AES-256-GCM:AES-128-GCM:CHACHA20-POLY1305");
	ck_assert_str_eq(info.version, "2.6.14");
	ck_assert_str_eq(info.platform, "linux");
	ck_assert(info.comp_stub_v2);
}
END_TEST

START_TEST(nothing_told_is_nothing_known)
{
	ck_assert_uint_eq(peer_info_read("", &info), 0);
	ck_assert_uint_eq(peer_info_read("\n\n\n", &info), 0);
	ck_assert_uint_eq(info.proto, 0);
	ck_assert_uint_eq(info.ncp, 0);
	ck_assert_str_eq(info.ciphers, "");
	ck_assert_str_eq(info.version, "");
}
END_TEST

START_TEST(a_last_line_needs_no_newline)
{
	ck_assert_uint_eq(peer_info_read("IV_NCP=2\nIV_PROTO=6", &info), 0);
	ck_assert_uint_eq(info.proto, 6);
}
END_TEST

START_TEST(user_values_and_ids_are_legal)
{
	ck_assert_uint_eq(
		peer_info_read("UV_ID=x\nID=7f\nIV_SSO=webauth,crtext\nIV_HWADDR=00:11\n", &info), 0);
}
END_TEST

START_TEST(ill_formed_lines_are_counted_and_skipped)
{
	static const char *const bad[] = { "IV_PROTO", "=2", "IV PROTO=2", "XX_PROTO=2", "proto=2",
		"IV_PROTO=", "IV_PROTO=-2", "IV_PROTO=2x", "IV_PROTO=0x2", "IV_PROTO= 2",
		"IV_PROTO=4294967296", "IV_PROTO=99999999999999999999", "IV-PROTO=2", "I=1", "IDS=2" };
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		ck_assert_msg(peer_info_read(bad[i], &info) == 1, "%s", bad[i]);
		ck_assert_msg(info.proto == 0, "%s", bad[i]);
	}
	ck_assert_uint_eq(peer_info_read("IV_PROTO=4294967295", &info), 0);
	ck_assert_uint_eq(info.proto, UINT32_MAX);
}
END_TEST

START_TEST(a_repetition_does_not_change_what_was_said)
{
	ck_assert_uint_eq(peer_info_read("IV_PROTO=2\nIV_PROTO=990\nIV_VER=a\nIV_VER=b\n", &info), 2);
	ck_assert_uint_eq(info.proto, 2);
	ck_assert_str_eq(info.version, "a");
}
END_TEST

START_TEST(lines_end_at_255_characters)
{
	char text[512];
	for (size_t len = 255; len <= 256; len++) {
		memset(text, 'x', sizeof(text));
		memcpy(text, "IV_CIPHERS=", 11);
		strcpy(text + len, "\nIV_NCP=2\n");
		ck_assert_uint_eq(peer_info_read(text, &info), len == 256);
		ck_assert_uint_eq(strlen(info.ciphers), len == 255 ? 244 : 0);
		ck_assert_uint_eq(info.ncp, 2);
	}
}
END_TEST

START_TEST(over_long_and_odd_versions_are_cut_and_cleaned)
{
	peer_info_read(
		"IV_VER=$(reboot) \x1b[31m0123456789012345678901234567890\nIV_PLAT=a\tb`c\xc3\xa4\n", &info);
	ck_assert_str_eq(info.version, "__reboot)__[31m0123456789012345");
	ck_assert_uint_eq(strlen(info.version), sizeof(info.version) - 1);
	ck_assert_str_eq(info.platform, "a_b_c__");
}
END_TEST

START_TEST(what_we_say_is_what_we_understand)
{
	char text[512];
	size_t len = peer_info_write("0.1.0", 990, 1600, "AES-256-GCM:AES-128-GCM", text, sizeof(text));
	ck_assert_str_eq(text, "IV_VER=0.1.0\nIV_PLAT=linux\nIV_TCPNL=1\nIV_MTU=1600\nIV_NCP=2\n"
			       "IV_CIPHERS=AES-256-GCM:AES-128-GCM\nIV_PROTO=990\n");
	ck_assert_uint_eq(len, strlen(text));
	ck_assert_uint_eq(peer_info_read(text, &info), 0);
	ck_assert_uint_eq(info.proto, 990);
	for (size_t room = 0; room <= len; room++)
		ck_assert_uint_eq(
			peer_info_write("0.1.0", 990, 1600, "AES-256-GCM:AES-128-GCM", text, room), 0);
}
END_TEST

START_TEST(ncp_is_told_with_both_old_ciphers_only)
{
	char text[512];
	peer_info_write("1", 2, 0, "AES-256-GCM:CHACHA20-POLY1305", text, sizeof(text));
	ck_assert_ptr_null(strstr(text, "IV_NCP"));
	ck_assert_ptr_null(strstr(text, "IV_MTU"));
}
END_TEST

START_TEST(lists_are_compared_by_whole_items)
{
	ck_assert(cipher_list_has("AES-256-GCM:AES-128-GCM", "AES-128-GCM"));
	ck_assert(cipher_list_has("AES-256-GCM", "AES-256-GCM"));
	ck_assert(!cipher_list_has("AES-256-GCM", "AES-256"));
	ck_assert(!cipher_list_has("AES-256-GCM", "aes-256-gcm"));
	ck_assert(!cipher_list_has("XAES-256-GCM:AES-256-GCMX", "AES-256-GCM"));
	ck_assert(!cipher_list_has("", "AES-256-GCM"));
	ck_assert(!cipher_list_has(":::", "AES-256-GCM"));
}
END_TEST

START_TEST(cleaning_keeps_lines_and_takes_the_rest)
{
	char text[] = "IV_VER=2.6 x\nUV_CMD=$(id)`id`=\x7f\r\nBAD KEY;=v\nnot a line";
	peer_info_clean(text);
	ck_assert_str_eq(text, "IV_VER=2.6_x\nUV_CMD=__id)_id_=__\nBAD?KEY?=v\nnot?a?line");
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("negotiate/peer_info");
	TCase *tcase = tcase_create("peer_info");
	tcase_add_test(tcase, a_2_6_client_is_understood);
	tcase_add_test(tcase, nothing_told_is_nothing_known);
	tcase_add_test(tcase, a_last_line_needs_no_newline);
	tcase_add_test(tcase, user_values_and_ids_are_legal);
	tcase_add_test(tcase, ill_formed_lines_are_counted_and_skipped);
	tcase_add_test(tcase, a_repetition_does_not_change_what_was_said);
	tcase_add_test(tcase, lines_end_at_255_characters);
	tcase_add_test(tcase, over_long_and_odd_versions_are_cut_and_cleaned);
	tcase_add_test(tcase, what_we_say_is_what_we_understand);
	tcase_add_test(tcase, ncp_is_told_with_both_old_ciphers_only);
	tcase_add_test(tcase, lists_are_compared_by_whole_items);
	tcase_add_test(tcase, cleaning_keeps_lines_and_takes_the_rest);
	suite_add_tcase(suite, tcase);
	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
