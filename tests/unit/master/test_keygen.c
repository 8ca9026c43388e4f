/* SPDX-License-Identifier: MIT
 * Keys made by --genkey and --genpki: our own readers take them, and stock OpenVPN does where it is
 * installed. */
#include "master/keygen.h"

#include "common/tls/tls.h"
#include "common/wrap/wrap.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static char dir[64];

static const char *in_dir(const char *name)
{
	static char paths[4][160];
	static unsigned next;
	char *path = paths[next++ % 4];
	snprintf(path, sizeof(paths[0]), "%s/%s", dir, name);
	return path;
}

static void set_up(void)
{
	snprintf(dir, sizeof(dir), "/tmp/vpnserverd-keys-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
}

static int run(const char *format, const char *a, const char *b)
{
	char command[512];
	snprintf(command, sizeof(command), format, a, b);
	return system(command);
}

static void clean_up(void)
{
	ck_assert_int_eq(run("rm -r '%s' %s", dir, ""), 0);
}

static bool has_stock(void)
{
	return system("command -v openvpn > /dev/null 2>&1") == 0;
}

static char *contents(const char *path)
{
	static char texts[2][8192];
	static unsigned next;
	char *text = texts[next++ % 2];
	FILE *in = fopen(path, "r");
	ck_assert_ptr_nonnull(in);
	text[fread(text, 1, sizeof(texts[0]) - 1, in)] = '\0';
	fclose(in);
	return text;
}

/* As a server does it, from the end of a datagram. */
static enum fate unwrap(
	const struct server_key *server, const uint8_t *wrapped, size_t len, struct client_key *out)
{
	uint8_t datagram[64 + CLIENT_KEY_WRAPPED_MAX] = { 0 };
	memcpy(datagram + 64, wrapped, len);
	len += 64;
	return client_key_cut(server, datagram, &len, out);
}

START_TEST(static_keys_have_the_form_of_stock_and_mode_0600)
{
	const char *const types[] = { "secret", "tls-auth", "tls-crypt" };
	set_up();
	for (int i = 0; i < 3; i++) {
		const char *path = in_dir(types[i]);
		struct static_key key;
		struct stat s;
		ck_assert_int_eq(keygen(types[i], path, NULL, NULL), 0);
		const char *text = contents(path);
		ck_assert(static_key_read(text, strlen(text), &key));
		ck_assert_int_eq(strncmp(text, "#\n# 2048 bit OpenVPN static key\n#\n-----BEGIN",
					 strlen("#\n# 2048 bit OpenVPN static key\n#\n-----BEGIN")),
			0);
		ck_assert_uint_eq(strlen(text), 636);
		ck_assert_int_eq(stat(path, &s), 0);
		ck_assert_uint_eq(s.st_mode & 0777, 0600);
	}
	ck_assert_str_ne(contents(in_dir("secret")), contents(in_dir("tls-auth")));
	clean_up();
}
END_TEST

START_TEST(a_client_key_opens_with_its_server_key_and_carries_the_time)
{
	set_up();
	ck_assert_int_eq(keygen("tls-crypt-v2-server", in_dir("server"), NULL, NULL), 0);
	ck_assert_int_eq(keygen("tls-crypt-v2-client", in_dir("client"), NULL, in_dir("server")), 0);
	struct server_key server;
	struct static_key key;
	struct client_key opened;
	uint8_t wrapped[CLIENT_KEY_WRAPPED_MAX];
	size_t len = sizeof(wrapped);
	const char *text = contents(in_dir("server"));
	ck_assert(server_key_read(text, strlen(text), &server));
	text = contents(in_dir("client"));
	ck_assert(client_key_file_read(text, strlen(text), &key, wrapped, &len));
	ck_assert_uint_eq(len, 299);
	ck_assert_int_eq(unwrap(&server, wrapped, len, &opened), FATE_NONE);
	ck_assert_mem_eq(opened.key.bytes, key.bytes, STATIC_KEY_LEN);
	ck_assert_uint_eq(opened.metadata_len, 9);
	struct bytes metadata = bytes_of(opened.metadata, opened.metadata_len);
	ck_assert_uint_eq(read_u8(&metadata), 1);
	uint64_t when = read_u64(&metadata);
	ck_assert_uint_le(when, (uint64_t)time(NULL));
	ck_assert_uint_ge(when, (uint64_t)time(NULL) - 60);
	clean_up();
}
END_TEST

START_TEST(metadata_of_the_user_is_carried_and_nonsense_refused)
{
	set_up();
	ck_assert_int_eq(keygen("tls-crypt-v2-server", in_dir("server"), NULL, NULL), 0);
	ck_assert_int_eq(keygen("tls-crypt-v2-client", in_dir("client"), "aGFsbG8=", in_dir("server")), 0);
	struct server_key server;
	struct static_key key;
	struct client_key opened;
	uint8_t wrapped[CLIENT_KEY_WRAPPED_MAX];
	size_t len = sizeof(wrapped);
	const char *text = contents(in_dir("server"));
	ck_assert(server_key_read(text, strlen(text), &server));
	text = contents(in_dir("client"));
	ck_assert(client_key_file_read(text, strlen(text), &key, wrapped, &len));
	ck_assert_int_eq(unwrap(&server, wrapped, len, &opened), FATE_NONE);
	ck_assert_uint_eq(opened.metadata_len, 6);
	ck_assert_mem_eq(opened.metadata, "\0hallo", 6);

	ck_assert_int_ne(keygen("tls-crypt-v2-client", in_dir("c2"), "aGFsbG8", in_dir("server")), 0);
	ck_assert_int_ne(keygen("tls-crypt-v2-client", in_dir("c2"), "a b=", in_dir("server")), 0);
	ck_assert_int_ne(keygen("tls-crypt-v2-client", in_dir("c2"), "=aaa", in_dir("server")), 0);
	char most[981], more[985]; /* 735 bytes decoded are one too many */
	memset(most, 'A', 976);
	strcpy(most + 976, "AA==");
	memset(more, 'A', 984);
	most[980] = more[984] = '\0';
	ck_assert_int_eq(keygen("tls-crypt-v2-client", in_dir("c2"), most, in_dir("server")), 0);
	ck_assert_int_ne(keygen("tls-crypt-v2-client", in_dir("c3"), more, in_dir("server")), 0);
	ck_assert_int_lt(access(in_dir("c3"), F_OK), 0);
	clean_up();
}
END_TEST

START_TEST(a_client_key_without_a_good_server_key_is_refused)
{
	set_up();
	ck_assert_int_eq(keygen("secret", in_dir("static"), NULL, NULL), 0);
	ck_assert_int_ne(keygen("tls-crypt-v2-client", in_dir("client"), NULL, NULL), 0);
	ck_assert_int_ne(keygen("tls-crypt-v2-client", in_dir("client"), NULL, in_dir("static")), 0);
	ck_assert_int_ne(keygen("tls-crypt-v2-client", in_dir("client"), NULL, in_dir("nothing")), 0);
	ck_assert_int_lt(access(in_dir("client"), F_OK), 0);
	clean_up();
}
END_TEST

START_TEST(an_unknown_type_or_a_place_that_is_not_there_is_refused)
{
	set_up();
	ck_assert_int_ne(keygen("tls-something", in_dir("x"), NULL, NULL), 0);
	ck_assert_int_ne(keygen("secret", in_dir("no/such/dir"), NULL, NULL), 0);
	clean_up();
}
END_TEST

START_TEST(stock_takes_our_keys)
{
	if (!has_stock())
		return;
	set_up();
	ck_assert_int_eq(keygen("tls-crypt-v2-server", in_dir("server"), NULL, NULL), 0);
	ck_assert_int_eq(keygen("auth-token", in_dir("token"), NULL, NULL), 0);
	ck_assert_int_eq(keygen("tls-crypt", in_dir("static"), NULL, NULL), 0);
	/* its client key from our server key, which it must read; and our reader must like what it made */
	ck_assert_int_eq(run("openvpn --tls-crypt-v2 '%s' --genkey tls-crypt-v2-client '%s' > /dev/null",
				 in_dir("server"), in_dir("theirs")),
		0);
	struct static_key key;
	uint8_t wrapped[CLIENT_KEY_WRAPPED_MAX];
	size_t len = sizeof(wrapped);
	const char *text = contents(in_dir("theirs"));
	ck_assert(client_key_file_read(text, strlen(text), &key, wrapped, &len));
	/* a crypto self test with our static key reads the whole of it */
	ck_assert_int_eq(run("openvpn --test-crypto --cipher AES-256-CBC --secret '%s' > '%s' 2>&1",
				 in_dir("static"), in_dir("out")),
		0);
	/* both are 128 bytes in base64 under their titles */
	ck_assert_int_eq(run("openvpn --genkey auth-token '%s' %s", in_dir("their-token"), ""), 0);
	const char *ours = contents(in_dir("token")), *theirs = contents(in_dir("their-token"));
	ck_assert_uint_eq(strlen(ours), strlen(theirs));
	ck_assert_int_eq(strncmp(ours, theirs, strchr(theirs, '\n') - theirs), 0);
	ck_assert_str_eq(strstr(ours, "-----END"), strstr(theirs, "-----END"));
	clean_up();
}
END_TEST

START_TEST(the_pki_is_whole_and_never_overwritten)
{
	set_up();
	ck_assert_int_eq(pkigen(in_dir("pki")), 0);
	const char *const private_ones[] = { "pki/ca.key", "pki/server.key", "pki/client.key" };
	struct stat s;
	for (int i = 0; i < 3; i++) {
		ck_assert_int_eq(stat(in_dir(private_ones[i]), &s), 0);
		ck_assert_uint_eq(s.st_mode & 0777, 0600);
	}
	char error[TLS_REASON_MAX];
	const char *text = contents(in_dir("pki/server.key"));
	struct tls_key *key = tls_key_read(text, strlen(text), NULL, error);
	ck_assert_ptr_nonnull(key);
	ck_assert(tls_key_matches(key, contents(in_dir("pki/server.crt"))));
	ck_assert(!tls_key_matches(key, contents(in_dir("pki/client.crt"))));
	tls_key_free(&key);
	ck_assert_int_ne(pkigen(in_dir("pki")), 0);
	if (system("command -v openssl > /dev/null 2>&1") == 0) {
		ck_assert_int_eq(
			run("cd '%s/pki' && openssl verify -purpose sslserver -CAfile ca.crt server.crt > "
			    "/dev/null %s",
				dir, ""),
			0);
		ck_assert_int_eq(
			run("cd '%s/pki' && openssl verify -purpose sslclient -CAfile ca.crt client.crt > "
			    "/dev/null %s",
				dir, ""),
			0);
	}
	clean_up();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("keygen");
	TCase *t = tcase_create("keygen");
	tcase_set_timeout(t, 30);
	tcase_add_test(t, static_keys_have_the_form_of_stock_and_mode_0600);
	tcase_add_test(t, a_client_key_opens_with_its_server_key_and_carries_the_time);
	tcase_add_test(t, metadata_of_the_user_is_carried_and_nonsense_refused);
	tcase_add_test(t, a_client_key_without_a_good_server_key_is_refused);
	tcase_add_test(t, an_unknown_type_or_a_place_that_is_not_there_is_refused);
	tcase_add_test(t, stock_takes_our_keys);
	tcase_add_test(t, the_pki_is_whole_and_never_overwritten);
	suite_add_tcase(suite, t);
	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
