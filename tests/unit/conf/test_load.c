/* SPDX-License-Identifier: MIT
 * Files that a configuration names: certificates, keys, what comes inline, and what must not stay in memory.
 */
#include "tests/unit/conf/paper.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

static void put(const char *path, const char *text, unsigned mode)
{
	paper_put(path, text, strlen(text), mode);
}

START_TEST(certificates_are_read_and_the_key_is_not)
{
	put("chain.pem", PEM PEM, 0644);
	put("crl.pem", "-----BEGIN X509 CRL-----\n", 0644);
	struct config *config = silent("extra-certs chain.pem\ncrl-verify crl.pem\n");
	ck_assert_str_eq(config->ca.bytes, PEM);
	ck_assert_uint_eq(config->ca.len, strlen(PEM));
	ck_assert_str_eq(config->cert.path, "server.crt");
	ck_assert_str_eq(config->extra_certs.bytes, PEM PEM);
	ck_assert_ptr_nonnull(config->crl.bytes);
	ck_assert(!config->crl_is_dir);
	ck_assert_str_eq(config->key.path, "server.key");
	ck_assert_ptr_null(config->key.bytes);
	config_free(&config);
}
END_TEST

START_TEST(blocks_take_the_place_of_files)
{
	struct config *config =
		silent("<ca>\n" PEM "</ca>\n<cert>\n" PEM "</cert>\n<key>\n" PEM "</key>\n"
		       "<crl-verify>\n" PEM "</crl-verify>\n<extra-certs>\n" PEM "</extra-certs>\n");
	ck_assert_str_eq(config->ca.path, "[inline]");
	ck_assert_str_eq(config->ca.bytes, PEM);
	ck_assert_str_eq(config->key.path, "[inline]");
	ck_assert_str_eq(config->key.bytes, PEM);
	ck_assert_uint_eq(config->key.len, strlen(PEM));
	ck_assert_str_eq(config->crl.bytes, PEM);
	ck_assert_str_eq(config->extra_certs.bytes, PEM);
	config_free(&config);
	/* And the other way round. */
	config = silent("<ca>\n" PEM "</ca>\nca ca.crt\n<key>\n" PEM "</key>\nkey server.key\n");
	ck_assert_str_eq(config->ca.path, "ca.crt");
	ck_assert_ptr_null(config->key.bytes);
	config_free(&config);
}
END_TEST

START_TEST(only_the_last_of_several_files_must_exist)
{
	struct config *config = silent("cert absent.crt\ncert server.crt\n");
	config_free(&config);
}
END_TEST

START_TEST(missing_and_locked_files_are_errors_at_their_line)
{
	put("locked.key", PEM, 0);
	refused_with("ca absent\n", "E main.conf:8: ca: cannot read absent: No such file or directory");
	refused_with("cert absent\n", "E main.conf:8: cert: cannot read absent: No such file or directory");
	refused_with("key absent\n", "E main.conf:8: key: cannot read absent: No such file or directory");
	refused_with("key locked.key\n", "E main.conf:8: key: cannot read locked.key: Permission denied");
	refused_with("extra-certs absent\n",
		"E main.conf:8: extra-certs: cannot read absent: No such file or directory");
	refused_with("crl-verify absent\n",
		"E main.conf:8: crl-verify: cannot read absent: No such file or directory");
	refused_with(
		"askpass absent\n", "E main.conf:8: askpass: cannot read absent: No such file or directory");
	refused_with("dh absent\n", "E main.conf:8: dh: cannot read absent: No such file or directory");
	refused_with("tls-auth absent 0\n",
		"E main.conf:8: tls-auth: cannot read absent: No such file or directory");
	refused_with("tls-crypt absent\n",
		"E main.conf:8: tls-crypt: cannot read absent: No such file or directory");
	refused_with("tls-crypt-v2 absent\n",
		"E main.conf:8: tls-crypt-v2: cannot read absent: No such file or directory");
	refused_with("ca \"\"\n", "E main.conf:8: ca: a file name is missing");
	refused_with("tls-crypt \"\"\n", "E main.conf:8: tls-crypt: a file name is missing");
}
END_TEST

START_TEST(what_is_no_pem_is_refused)
{
	put("text", "hello\n", 0644);
	put("empty", "", 0644);
	const char *hint = "holds nothing in PEM form (hint: a text with a line that begins with -----BEGIN)";
	char expected[256];
	snprintf(expected, sizeof(expected), "E main.conf:8: ca: text %s", hint);
	refused_with("ca text\n", expected);
	snprintf(expected, sizeof(expected), "E main.conf:8: cert: empty %s", hint);
	refused_with("cert empty\n", expected);
	snprintf(expected, sizeof(expected), "E main.conf:8: crl-verify: [inline] %s", hint);
	refused_with("<crl-verify>\n</crl-verify>\n", expected);
	refused_with("<key>\nx\n</key>\n", "E main.conf:8: key: the block holds nothing in PEM form");
}
END_TEST

START_TEST(too_large_a_file_is_refused)
{
	static char large[MAX_FILE_BYTES + 1];
	memset(large, 'x', sizeof(large));
	paper_put("large", large, sizeof(large), 0644);
	refused_with("ca large\n", "E main.conf:8: ca: cannot read large: File too large");
}
END_TEST

START_TEST(secrets_that_everybody_may_read_are_warned_of)
{
	put("open.key", PEM, 0644);
	put("group.key", PEM, 0640);
	put("pass", "secret\n", 0604);
	struct config *config = warned_with("key open.key\n",
		"W main.conf:8: key: every user of this machine may open open.key (hint: chmod o= open.key)");
	config_free(&config);
	config = warned_with("askpass pass\n",
		"W main.conf:8: askpass: every user of this machine may open pass (hint: chmod o= pass)");
	ck_assert_str_eq(config->askpass, "pass");
	config_free(&config);
	config = silent("key group.key\naskpass\n");
	ck_assert_str_eq(config->askpass, "");
	config_free(&config);
}
END_TEST

START_TEST(uris_are_files_or_refused)
{
	put("/etc/server.key", PEM, 0600);
	struct config *config = silent("key file:/etc/server.key\n");
	ck_assert_str_eq(config->key.path, "/etc/server.key");
	config_free(&config);
	config = silent("key file:///etc/server.key\ncert file:server.crt\n");
	ck_assert_str_eq(config->key.path, "/etc/server.key");
	ck_assert_str_eq(config->cert.path, "server.crt");
	config_free(&config);
	refused_with("key pkcs11:token=x\n", "E main.conf:8: key: URIs of this kind are not possible here "
					     "(hint: a file name, or file:NAME)");
	refused_with("cert https://x/y\n", "E main.conf:8: cert: URIs of this kind are not possible here "
					   "(hint: a file name, or file:NAME)");
}
END_TEST

START_TEST(static_keys_wrap_the_control_channel)
{
	struct config *config = silent("");
	ck_assert_int_eq(config->wrap, WRAP_CHOICE_NONE);
	ck_assert_int_eq(config->key_direction, -1);
	config_free(&config);
	config = silent("tls-auth ta.key 0\n");
	ck_assert_int_eq(config->wrap, WRAP_CHOICE_AUTH);
	ck_assert_int_eq(config->key_direction, 0);
	ck_assert_str_eq(config->wrap_path, "ta.key");
	ck_assert_uint_eq(config->static_key[0], 1);
	ck_assert_uint_eq(config->static_key[254], 255);
	config_free(&config);
	config = silent("tls-auth ta.key\nkey-direction 1\n");
	ck_assert_int_eq(config->key_direction, 1);
	config_free(&config);
	config = silent("tls-auth ta.key\n");
	ck_assert_int_eq(config->key_direction, -1);
	config_free(&config);
	config = silent("tls-crypt ta.key\n");
	ck_assert_int_eq(config->wrap, WRAP_CHOICE_CRYPT);
	ck_assert_uint_eq(config->static_key[1], 2);
	config_free(&config);
	refused_with("tls-auth ta.key 2\n", "E main.conf:8: tls-auth: 2 is not between 0 and 1");
	refused_with("tls-crypt ta.key 0\n",
		"E main.conf:8: tls-crypt: takes one file and nothing else (hint: tls-crypt FILE)");
	refused_with("tls-crypt server.key\n",
		"E main.conf:8: tls-crypt: server.key holds no static key (hint: vpnserverd "
		"--genkey tls-crypt FILE)");
}
END_TEST

START_TEST(client_keys_may_stand_beside_a_static_key)
{
	struct config *config = silent("tls-crypt-v2 v2.key\n");
	ck_assert(config->crypt_v2);
	ck_assert(!config->force_cookie);
	ck_assert_int_eq(config->wrap, WRAP_CHOICE_NONE);
	ck_assert_uint_eq(config->crypt_v2_key[0], 200);
	config_free(&config);
	config = silent("tls-crypt-v2 v2.key force-cookie\ntls-crypt ta.key\n");
	ck_assert(config->crypt_v2 && config->force_cookie);
	ck_assert_int_eq(config->wrap, WRAP_CHOICE_CRYPT);
	config_free(&config);
	config = silent("tls-crypt-v2 v2.key allow-noncookie\ntls-auth ta.key 0\n");
	ck_assert(config->crypt_v2 && !config->force_cookie);
	config_free(&config);
	refused_with("tls-crypt-v2 v2.key cookie\n", "E main.conf:8: tls-crypt-v2: 'cookie' is none of the "
						     "words it takes (hint: allow-noncookie, force-cookie)");
	refused_with("tls-crypt-v2 ta.key\n",
		"E main.conf:8: tls-crypt-v2: ta.key holds no tls-crypt-v2 server key "
		"(hint: vpnserverd --genkey tls-crypt-v2-server FILE)");
}
END_TEST

static struct config *with_inline_key(void)
{
	char extra[2048], *bytes;
	size_t len;
	unsigned mode;
	struct arena *arena = arena_new();
	struct config *first = silent("");
	config_free(&first);
	ck_assert_int_eq(paper.read(&paper, arena, "ta.key", 4096, &bytes, &len, &mode), 0);
	snprintf(extra, sizeof(extra), "<tls-crypt>\n%s</tls-crypt>\n", bytes);
	arena_free(&arena);
	return silent(extra);
}

START_TEST(an_inline_key_counts)
{
	struct config *config = with_inline_key();
	ck_assert_int_eq(config->wrap, WRAP_CHOICE_CRYPT);
	ck_assert_str_eq(config->wrap_path, "[inline]");
	ck_assert_uint_eq(config->static_key[2], 3);
	config_free(&config);
}
END_TEST

START_TEST(dh_parameters_are_accepted_and_unused)
{
	put("dh.pem", "-----BEGIN DH PARAMETERS-----\n", 0644);
	struct config *config = silent("dh dh.pem\n");
	config_free(&config);
	config = silent("dh none\n");
	config_free(&config);
	config = silent("<dh>\nx\n</dh>\n");
	config_free(&config);
}
END_TEST

/* The one test that opens a file: the example that users copy. */
START_TEST(the_example_is_accepted_without_a_word)
{
	static char text[16 * 1024], key[2048], *bytes;
	size_t len;
	unsigned mode;
	FILE *file = fopen(EXAMPLES "/road-warriors.conf", "r");
	ck_assert_ptr_nonnull(file);
	text[fread(text, 1, sizeof(text) - 1, file)] = '\0';
	fclose(file);
	struct config *config = silent("");
	config_free(&config);
	struct arena *arena = arena_new();
	ck_assert_int_eq(paper.read(&paper, arena, "ta.key", 4096, &bytes, &len, &mode), 0);
	memcpy(key, bytes, len);
	arena_free(&arena);
	put("/etc/vpnserverd/tls-crypt.key", key, 0600);
	put("/etc/vpnserverd/ca.crt", PEM, 0644);
	put("/etc/vpnserverd/server.crt", PEM, 0644);
	put("/etc/vpnserverd/server.key", PEM, 0600);
	config = read_text(text);
	ck_assert_msg(config && !paper_problems, "%s", paper_problems ? paper_problem(0) : "");
	ck_assert_uint_eq(config->listener_count, 1);
	ck_assert_str_eq(config->listeners[0].spelled, "udp6 [::]:1194");
	ck_assert_str_eq(config->status_file, "/run/vpnserverd/status.log");
	config_free(&config);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("conf load");
	TCase *tcase = tcase_create("load");
	tcase_add_test(tcase, certificates_are_read_and_the_key_is_not);
	tcase_add_test(tcase, blocks_take_the_place_of_files);
	tcase_add_test(tcase, only_the_last_of_several_files_must_exist);
	tcase_add_test(tcase, missing_and_locked_files_are_errors_at_their_line);
	tcase_add_test(tcase, what_is_no_pem_is_refused);
	tcase_add_test(tcase, too_large_a_file_is_refused);
	tcase_add_test(tcase, secrets_that_everybody_may_read_are_warned_of);
	tcase_add_test(tcase, uris_are_files_or_refused);
	tcase_add_test(tcase, static_keys_wrap_the_control_channel);
	tcase_add_test(tcase, client_keys_may_stand_beside_a_static_key);
	tcase_add_test(tcase, an_inline_key_counts);
	tcase_add_test(tcase, dh_parameters_are_accepted_and_unused);
	tcase_add_test(tcase, the_example_is_accepted_without_a_word);
	suite_add_tcase(suite, tcase);
	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
