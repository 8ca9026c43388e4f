/* SPDX-License-Identifier: MIT
 * Which cipher a client gets, and the options text. */
#include "common/negotiate/negotiate.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

static const char ours[] = "AES-256-GCM:AES-128-GCM:?CHACHA20-POLY1305";

/* Chooses for a client with this peer info and options text; checks whether it would be told. */
static enum cipher choose(
	const char *list, const char *fallback, const char *peer_text, const char *options, bool told)
{
	struct peer_info peer;
	bool push_it;
	peer_info_read(peer_text, &peer);
	enum cipher cipher = cipher_choose(list, fallback, &peer, options, &push_it);
	ck_assert(push_it == told);
	return cipher;
}

START_TEST(the_first_of_ours_that_the_client_lists_is_chosen_and_told)
{
	ck_assert_int_eq(
		choose(ours, NULL, "IV_CIPHERS=AES-128-GCM:AES-256-GCM", "V4", true), CIPHER_AES_256_GCM);
	ck_assert_int_eq(
		choose(ours, NULL, "IV_CIPHERS=CHACHA20-POLY1305", "V4", true), CIPHER_CHACHA20_POLY1305);
	ck_assert_int_eq(
		choose("BF-CBC:?NOTHING::AES-128-GCM", NULL, "IV_CIPHERS=BF-CBC:AES-128-GCM", "V4", true),
		CIPHER_AES_128_GCM);
}
END_TEST

START_TEST(a_list_is_final_whatever_else_the_client_says)
{
	ck_assert_int_eq(
		choose(ours, "AES-256-GCM", "IV_CIPHERS=BF-CBC\nIV_NCP=2", "V4,cipher AES-256-GCM", false),
		CIPHER_UNKNOWN);
	ck_assert_int_eq(choose(ours, NULL, "IV_CIPHERS=aes-256-gcm", "V4", false), CIPHER_UNKNOWN);
	ck_assert_int_eq(choose(ours, NULL, "IV_CIPHERS=AES-256-GCMX", "V4", false), CIPHER_UNKNOWN);
}
END_TEST

START_TEST(a_2_4_client_has_two_ciphers_and_the_one_it_names)
{
	ck_assert_int_eq(
		choose(ours, NULL, "IV_NCP=2", "V4,cipher BF-CBC,auth SHA1", true), CIPHER_AES_256_GCM);
	ck_assert_int_eq(
		choose("CHACHA20-POLY1305:AES-128-GCM", NULL, "IV_NCP=2", "V4", true), CIPHER_AES_128_GCM);
	ck_assert_int_eq(choose("CHACHA20-POLY1305:AES-128-GCM", NULL, "IV_NCP=2",
				 "V4,cipher CHACHA20-POLY1305", true),
		CIPHER_CHACHA20_POLY1305);
	ck_assert_int_eq(choose("CHACHA20-POLY1305", NULL, "IV_NCP=2", "V4", false), CIPHER_UNKNOWN);
	ck_assert_int_eq(choose("AES-192-GCM", NULL, "IV_NCP=2", "V4", false), CIPHER_UNKNOWN);
}
END_TEST

START_TEST(a_client_that_cannot_be_told_keeps_its_cipher_or_is_refused)
{
	ck_assert_int_eq(choose(ours, NULL, "", "V4,cipher AES-128-GCM", false), CIPHER_AES_128_GCM);
	ck_assert_int_eq(choose(ours, NULL, "IV_NCP=1", "V4,cipher AES-128-GCM", false), CIPHER_AES_128_GCM);
	ck_assert_int_eq(choose(ours, "AES-256-GCM", "", "V4,cipher BF-CBC", false), CIPHER_UNKNOWN);
	ck_assert_int_eq(choose(ours, "AES-256-GCM", "", "V4,cipher [null-cipher]", false), CIPHER_UNKNOWN);
}
END_TEST

START_TEST(the_fallback_is_for_clients_that_say_nothing)
{
	ck_assert_int_eq(choose(ours, "AES-192-GCM", "", "", false), CIPHER_AES_192_GCM);
	ck_assert_int_eq(choose(ours, NULL, "", "V4,auth SHA1", false), CIPHER_UNKNOWN);
	ck_assert_int_eq(choose(ours, "BF-CBC", "", "", false), CIPHER_UNKNOWN);
}
END_TEST

START_TEST(an_empty_list_of_ours_fits_nobody)
{
	ck_assert_int_eq(choose("", NULL, "IV_CIPHERS=AES-256-GCM", "V4", false), CIPHER_UNKNOWN);
	ck_assert_int_eq(choose("?:::?", NULL, "IV_NCP=2", "V4", false), CIPHER_UNKNOWN);
}
END_TEST

START_TEST(an_item_is_found_by_its_whole_name)
{
	char value[32];
	const char *options =
		"V4,dev-type tun,cipherx A,comp-lzo,cipher AES-256-GCM,auth [null-digest],cipher B";
	ck_assert(options_item(options, "cipher", value, sizeof(value)));
	ck_assert_str_eq(value, "AES-256-GCM");
	ck_assert(options_item(options, "auth", value, sizeof(value)));
	ck_assert_str_eq(value, "[null-digest]");
	ck_assert(options_item(options, "comp-lzo", value, sizeof(value)));
	ck_assert_str_eq(value, "");
	ck_assert(!options_item(options, "ciph", value, sizeof(value)));
	ck_assert(!options_item(options, "comp", value, sizeof(value)));
	ck_assert(!options_item("", "cipher", value, sizeof(value)));
	ck_assert(!options_item(",,,", "cipher", value, sizeof(value)));
	ck_assert(!options_item("V4", "cipher", value, sizeof(value)));
}
END_TEST

START_TEST(an_item_that_does_not_fit_is_not_there)
{
	char value[4];
	ck_assert(options_item("cipher abc", "cipher", value, sizeof(value)));
	ck_assert(!options_item("cipher abcd", "cipher", value, sizeof(value)));
	ck_assert(!options_item("cipher abc", "cipher", value, 0));
}
END_TEST

static const char *text_of(struct options_facts facts)
{
	static char text[OPTIONS_TEXT_MAX];
	facts.tun_mtu = facts.tun_mtu ? facts.tun_mtu : 1500;
	facts.auth = facts.auth ? facts.auth : "SHA1";
	ck_assert_uint_eq(options_text(&facts, text, sizeof(text)), strlen(text));
	return text;
}

START_TEST(our_text_is_what_openvpn_2_6_says)
{
	/* as 2.6.14 shows its own at verb 8; the server's is the client's but for the role */
	const struct {
		struct options_facts facts;
		const char *text;
	} known[] = {
		{ { .key_direction = -1 }, "V4,dev-type tun,link-mtu 1541,tun-mtu 1500,proto UDPv4,auth "
					   "SHA1,keysize 128,key-method 2,"
					   "tls-client" },
		{ { .key_direction = -1, .server = true }, "V4,dev-type tun,link-mtu 1541,tun-mtu 1500,proto "
							   "UDPv4,auth SHA1,keysize 128,key-method 2,"
							   "tls-server" },
		{ { .key_direction = -1, .cipher = "CHACHA20-POLY1305" },
			"V4,dev-type tun,link-mtu 1534,tun-mtu 1500,proto UDPv4,cipher CHACHA20-POLY1305,"
			"auth [null-digest],keysize 256,key-method 2,tls-client" },
		{ { .key_direction = -1, .cipher = "AES-192-GCM", .udp6 = true },
			"V4,dev-type tun,link-mtu 1549,tun-mtu 1500,proto UDPv4,cipher AES-192-GCM,"
			"auth [null-digest],keysize 192,key-method 2,tls-client" },
		{ { .key_direction = -1, .cipher = "AES-256-GCM", .tcp = true },
			"V4,dev-type tun,link-mtu 1551,tun-mtu 1500,proto TCPv4_CLIENT,cipher AES-256-GCM,"
			"auth [null-digest],keysize 256,key-method 2,tls-client" },
		{ { .key_direction = -1, .cipher = "AES-256-GCM", .tcp = true, .server = true },
			"V4,dev-type tun,link-mtu 1551,tun-mtu 1500,proto TCPv4_SERVER,cipher AES-256-GCM,"
			"auth [null-digest],keysize 256,key-method 2,tls-server" },
		{ { .key_direction = 1, .cipher = "AES-256-CBC", .auth = "SHA256", .tls_auth = true },
			"V4,dev-type tun,link-mtu 1569,tun-mtu 1500,proto UDPv4,keydir 1,cipher AES-256-CBC,"
			"auth SHA256,keysize 256,tls-auth,key-method 2,tls-client" },
		{ { .key_direction = -1, .cipher = "AES-128-CBC", .auth = "SHA512", .tun_mtu = 1400 },
			"V4,dev-type tun,link-mtu 1501,tun-mtu 1400,proto UDPv4,cipher AES-128-CBC,"
			"auth SHA512,keysize 128,key-method 2,tls-client" },
	};
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		ck_assert_str_eq(text_of(known[i].facts), known[i].text);
}
END_TEST

START_TEST(link_mtu_is_counted_as_old_peers_count_it)
{
	const struct {
		const char *cipher, *auth;
		unsigned tun_mtu, link_mtu;
	} known[] = { { "none", "none", 1500, 1505 }, { "none", "none", 1400, 1405 },
		{ "AES-128-CBC", "SHA1", 1500, 1557 }, { "AES-128-CBC", "SHA1", 1400, 1457 },
		{ "AES-256-GCM", "SHA1", 1500, 1549 }, { "AES-256-GCM", "SHA1", 1400, 1449 },
		{ NULL, "SHA1", 1500, 1541 } };
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		char value[32], expected[32];
		const char *text = text_of((struct options_facts){ .cipher = known[i].cipher,
			.auth = known[i].auth,
			.tun_mtu = known[i].tun_mtu,
			.key_direction = -1 });
		ck_assert(options_item(text, "link-mtu", value, sizeof(value)));
		snprintf(expected, sizeof(expected), "%u", known[i].link_mtu);
		ck_assert_str_eq(value, expected);
	}
}
END_TEST

START_TEST(no_room_no_text)
{
	struct options_facts facts = { .tun_mtu = 1500, .key_direction = -1, .auth = "SHA1" };
	char text[OPTIONS_TEXT_MAX];
	size_t len = options_text(&facts, text, sizeof(text));
	ck_assert_uint_gt(len, 0);
	for (size_t room = 0; room <= len; room++)
		ck_assert_uint_eq(options_text(&facts, text, room), 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("negotiate/cipher_choice");
	TCase *tcase = tcase_create("cipher_choice");
	tcase_add_test(tcase, the_first_of_ours_that_the_client_lists_is_chosen_and_told);
	tcase_add_test(tcase, a_list_is_final_whatever_else_the_client_says);
	tcase_add_test(tcase, a_2_4_client_has_two_ciphers_and_the_one_it_names);
	tcase_add_test(tcase, a_client_that_cannot_be_told_keeps_its_cipher_or_is_refused);
	tcase_add_test(tcase, the_fallback_is_for_clients_that_say_nothing);
	tcase_add_test(tcase, an_empty_list_of_ours_fits_nobody);
	tcase_add_test(tcase, an_item_is_found_by_its_whole_name);
	tcase_add_test(tcase, an_item_that_does_not_fit_is_not_there);
	tcase_add_test(tcase, our_text_is_what_openvpn_2_6_says);
	tcase_add_test(tcase, link_mtu_is_counted_as_old_peers_count_it);
	tcase_add_test(tcase, no_room_no_text);
	suite_add_tcase(suite, tcase);
	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
