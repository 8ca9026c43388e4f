/* SPDX-License-Identifier: MIT
 * What is shown: the option chapter, the configuration in effect, single problems. */
#include "tests/unit/conf/paper.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

static char first[64 * 1024], second[64 * 1024];

static void print_into(char *out, size_t room, const struct config *config)
{
	memset(out, 0, room);
	FILE *stream = fmemopen(out, room, "w");
	config_print(stream, config);
	fclose(stream);
}

START_TEST(what_is_printed_reads_as_the_same_configuration)
{
	paper_put("/x/run", "x", 1, 0755);
	struct config *config = silent(
		"server-ipv6 fd00:8::/64\nlocal 192.0.2.1\nlocal 2001:db8::1 53 udp6\npush 'echo \"a b\" "
		"\\x'\nroute 10.1.0.0 "
		"255.255.0.0 10.8.0.9 5\nroute 10.2.0.0 255.255.0.0\nroute-ipv6 fd01::/48\nroute-ipv6 "
		"fd02::/48 default 3\n"
		"max-packet-size 1000\nmssfix 1300 fixed\nverify-x509-name \"C=KG, CN=#1\" subject\ntls-auth "
		"ta.key 0\n"
		"tls-crypt-v2 v2.key force-cookie\nreneg-sec 100 90\nstatus \"my status\" 5\nhub.workers "
		"2\nnice -3\n"
		"inactive 10 20\nconnect-freq 1 2\nauth none\nauth SHA512\nremote-cert-ku a0\ntun-mtu 1400 "
		"1410\ndaemon x\n"
		"peer-fingerprint "
		"00:11:22:33:44:55:66:77:88:99:aa:bb:cc:dd:ee:ff:00:11:22:33:44:55:66:77:88:99:AA:BB:CC:"
		"DD:EE:FF\nmtu-disc maybe\ntls-version-max 1.3\nsndbuf 5\nrcvbuf 6\n"
		"script-security 2\nclient-connect \"/x/run 'a b' c\\\\\\\"d\"\nsetenv A 'b \"c'\ntmp-dir "
		"/tmp\nmanagement \"my sock\" unix\nmanagement-client-group a\nmanagement-hold\necho a \"b c\"\n");
	print_into(first, sizeof(first), config);
	config_free(&config);
	config = read_text(first);
	ck_assert_msg(paper_problems == 0, "%s", paper_problems ? paper_problem(0) : "");
	ck_assert_ptr_nonnull(config);
	print_into(second, sizeof(second), config);
	config_free(&config);
	/* All but the hub's name, which comes from the file's and is printed. */
	ck_assert_str_eq(first, second);
	ck_assert_ptr_nonnull(strstr(first, "\npush \"echo \\\"a b\\\" \\\\x\"\n"));
	ck_assert_ptr_nonnull(strstr(first, "\nlocal 2001:db8::1 53 udp6\n"));
	ck_assert_ptr_nonnull(strstr(first, "\nstatus \"my status\" 5\n"));
}
END_TEST

START_TEST(no_secret_is_printed)
{
	struct config *config = silent("<key>\n-----BEGIN TOPSECRET-----\n</key>\ntls-crypt ta.key\n");
	print_into(first, sizeof(first), config);
	config_free(&config);
	ck_assert_ptr_null(strstr(first, "TOPSECRET"));
	ck_assert_ptr_null(strstr(first, "0102030405"));
	ck_assert_ptr_nonnull(strstr(first, "# <key> was given inline\n"));
	ck_assert_ptr_nonnull(strstr(first, "tls-crypt ta.key\n"));
}
END_TEST

static void explain(const char *part)
{
	memset(first, 0, sizeof(first));
	FILE *stream = fmemopen(first, sizeof(first), "w");
	config_explain(stream, part);
	fclose(stream);
	ck_assert_uint_lt(strlen(first), sizeof(first) - 1);
}

START_TEST(the_option_chapter_holds_every_row)
{
	explain(NULL);
	ck_assert_ptr_nonnull(strstr(first, "\nMode and role\n"));
	ck_assert_ptr_nonnull(strstr(first, "server NETWORK NETMASK [nopool]\n\thelper:"));
	ck_assert_ptr_nonnull(strstr(first, "\nclient\n\trefused: "));
	ck_assert_ptr_nonnull(strstr(first, "\ntcp-queue-limit PACKETS\n\tnot supported yet: "));
	ck_assert_ptr_nonnull(strstr(first, "\nfast-io\n\taccepted without effect: "));
}
END_TEST

START_TEST(a_part_of_a_name_selects)
{
	explain("keepal");
	ck_assert_str_eq(first,
		"\nClients: pool, per-client settings, limits\n\nkeepalive INTERVAL TIMEOUT\n\thelper: ping "
		"after INTERVAL silent seconds, clients give up after TIMEOUT, the server after twice "
		"that\n");
	explain("no such thing");
	ck_assert_str_eq(first, "");
}
END_TEST

START_TEST(a_problem_is_one_line_whatever_came_from_outside)
{
	char out[256];
	ck_assert_str_eq(config_problem_line(out, sizeof(out), "a.conf", 3, "dev", "is wrong", "dev tun"),
		"a.conf:3: dev: is wrong (hint: dev tun)");
	ck_assert_str_eq(config_problem_line(out, sizeof(out), "a.conf", 0, NULL, "is wrong", NULL),
		"a.conf: is wrong");
	ck_assert_str_eq(config_problem_line(out, sizeof(out), NULL, 0, NULL, "is wrong", NULL), "is wrong");
	ck_assert_str_eq(config_problem_line(out, sizeof(out), "a\nb", 1, "x\x1b[0m", "c\rd", NULL),
		"a\\x0ab:1: x\\x1b[0m: c\\x0dd");
	char tiny[8];
	ck_assert_str_eq(
		config_problem_line(tiny, sizeof(tiny), "a.conf", 3, "dev", "is wrong", NULL), "a.conf:");
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("conf print");
	TCase *tcase = tcase_create("print");
	tcase_add_test(tcase, what_is_printed_reads_as_the_same_configuration);
	tcase_add_test(tcase, no_secret_is_printed);
	tcase_add_test(tcase, the_option_chapter_holds_every_row);
	tcase_add_test(tcase, a_part_of_a_name_selects);
	tcase_add_test(tcase, a_problem_is_one_line_whatever_came_from_outside);
	suite_add_tcase(suite, tcase);
	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
