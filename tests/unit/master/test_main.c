/* SPDX-License-Identifier: MIT
 * The program's command line, by running it: VPNSERVERD names it. */
#include "master/keygen.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char dir[] = "/tmp/vpnserverd-main-XXXXXX", said[1 << 16];

/* Runs it with arguments, in a directory with a PKI and a good configuration; what it said is in `said`. */
static int run(const char *arguments)
{
	char command[1024];
	snprintf(command, sizeof(command), "cd %s && '%s' %s 2>&1", dir, getenv("VPNSERVERD"), arguments);
	FILE *in = popen(command, "r");
	ck_assert_ptr_nonnull(in);
	said[fread(said, 1, sizeof(said) - 1, in)] = '\0';
	int status = pclose(in);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void configure(const char *name, const char *more)
{
	char path[128];
	snprintf(path, sizeof(path), "%s/%s", dir, name);
	FILE *out = fopen(path, "w");
	ck_assert_ptr_nonnull(out);
	fprintf(out,
		"dev tun\ntopology subnet\nserver 10.77.0.0 255.255.255.0\nca pki/ca.crt\ncert "
		"pki/server.crt\n"
		"key pki/server.key\nremote-cert-tls client\nkeepalive 10 60\n%s",
		more);
	fclose(out);
}

static void set_up(void)
{
	char pki[128];
	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(pki, sizeof(pki), "%s/pki", dir);
	ck_assert_int_eq(pkigen(pki), 0);
	configure("good.conf", "");
}

static void clean_up(void)
{
	char command[128];
	snprintf(command, sizeof(command), "rm -r %s", dir);
	ck_assert_int_eq(system(command), 0);
}

START_TEST(a_good_configuration_passes_the_test)
{
	set_up();
	ck_assert_int_eq(run("--test-config good.conf"), 0);
	ck_assert_ptr_nonnull(strstr(said, "0 errors, 0 warnings\n"));
	ck_assert_int_eq(run("--config good.conf --test-config"), 0);
	ck_assert_int_eq(run("--config good.conf --port 1195 --test-config"), 0);
	ck_assert_int_eq(run("--test-config good.conf --port 1195"), 0);
	clean_up();
}
END_TEST

START_TEST(all_problems_are_told_with_their_places)
{
	set_up();
	configure("bad.conf", "nonsense 1\nport 99999\nverb x\n");
	ck_assert_int_eq(run("--test-config bad.conf"), 1);
	ck_assert_ptr_nonnull(strstr(said, "bad.conf:9: nonsense: "));
	ck_assert_ptr_nonnull(strstr(said, "bad.conf:10: port: "));
	ck_assert_ptr_nonnull(strstr(said, "bad.conf:11: verb: "));
	ck_assert_ptr_nonnull(strstr(said, "3 errors, "));
	ck_assert_int_eq(run("--test-config nothing.conf"), 1);
	ck_assert_int_eq(run("--test-config good.conf --port 99999"), 1);
	clean_up();
}
END_TEST

START_TEST(a_key_of_another_certificate_fails_the_test)
{
	set_up();
	configure("bad.conf", "key pki/client.key\n");
	ck_assert_int_eq(run("--test-config bad.conf"), 1);
	ck_assert_ptr_nonnull(strstr(said, "does not belong to the certificate"));
	ck_assert_ptr_nonnull(strstr(said, "1 errors, "));
	clean_up();
}
END_TEST

START_TEST(a_hub_does_not_start_with_errors)
{
	set_up();
	configure("bad.conf", "nonsense 1\n");
	ck_assert_int_eq(run("bad.conf"), 1);
	ck_assert_ptr_nonnull(strstr(said, "bad.conf:9: nonsense: "));
	ck_assert_int_eq(run("--config bad.conf"), 1);
	ck_assert_ptr_nonnull(strstr(said, "bad.conf:9: nonsense: "));
	clean_up();
}
END_TEST

START_TEST(the_small_commands_answer)
{
	set_up();
	ck_assert_int_eq(run("--version"), 0);
	ck_assert_int_eq(strncmp(said, "vpnserverd ", 11), 0);
	ck_assert_int_eq(run("--help"), 0);
	ck_assert_ptr_nonnull(strstr(said, "keepalive"));
	ck_assert_int_eq(run("--help keepal"), 0);
	ck_assert_ptr_nonnull(strstr(said, "keepalive"));
	ck_assert_ptr_null(strstr(said, "crl-verify"));
	ck_assert_int_eq(run(""), 1);
	ck_assert_ptr_nonnull(strstr(said, "--test-config"));
	clean_up();
}
END_TEST

START_TEST(genkey_takes_its_words_as_stock_does)
{
	set_up();
	ck_assert_int_eq(run("--genkey secret"), 0);
	ck_assert_ptr_nonnull(strstr(said, "-----BEGIN OpenVPN Static key V1-----"));
	ck_assert_int_eq(run("--genkey --secret old.key"), 0);
	ck_assert_str_eq(said, "");
	ck_assert_int_eq(run("--genkey tls-crypt-v2-server v2.key && cat v2.key"), 0);
	ck_assert_ptr_nonnull(strstr(said, "-----BEGIN OpenVPN tls-crypt-v2 server key-----"));
	ck_assert_int_eq(
		run("--tls-crypt-v2 v2.key --genkey tls-crypt-v2-client c.key aGFsbG8= && cat c.key"), 0);
	ck_assert_ptr_nonnull(strstr(said, "-----BEGIN OpenVPN tls-crypt-v2 client key-----"));
	ck_assert_int_eq(run("--genkey tls-crypt-v2-client"), 1);
	ck_assert_int_eq(run("--genkey rubbish"), 1);
	ck_assert_int_eq(run("--genpki"), 1);
	ck_assert_int_eq(run("--genpki other && ls other"), 0);
	ck_assert_ptr_nonnull(strstr(said, "server.key"));
	clean_up();
}
END_TEST

int main(void)
{
	if (!getenv("VPNSERVERD"))
		return 77;
	Suite *suite = suite_create("main");
	TCase *t = tcase_create("main");
	tcase_set_timeout(t, 30);
	tcase_add_test(t, a_good_configuration_passes_the_test);
	tcase_add_test(t, all_problems_are_told_with_their_places);
	tcase_add_test(t, a_key_of_another_certificate_fails_the_test);
	tcase_add_test(t, a_hub_does_not_start_with_errors);
	tcase_add_test(t, the_small_commands_answer);
	tcase_add_test(t, genkey_takes_its_words_as_stock_does);
	suite_add_tcase(suite, t);
	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
