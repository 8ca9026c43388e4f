/* SPDX-License-Identifier: MIT
 * The keyholder as a process: what it signs, what it refuses, what it may not do, when it ends. */
#include "master/keyholder.h"

#include "common/base/sanitizer.h"
#include "common/tls/tls.h"
#include "worker/keyholder_wire.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { ECDSA_SECP256R1_SHA256 = 0x0403, WAIT_MS = 5000 };

static char *cert, *key, *other_cert, *other_key;
static struct keyholder holder;
static char error[KEYHOLDER_ERROR_MAX];

static int file_of(const char *text)
{
	int fd = memfd_create("test", MFD_CLOEXEC);
	ck_assert_int_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	return fd;
}

static void make_keys(void)
{
	char reason[TLS_REASON_MAX];
	struct pki_request r = { .common_name = "server", .days = 10, .is_server = true };
	ck_assert(pki_make(&r, &cert, &key, reason));
	ck_assert(pki_make(&r, &other_cert, &other_key, reason));
}

static struct keyholder_birth birth_of(const char *key_pem)
{
	const struct passwd *nobody = geteuid() == 0 ? getpwnam("nobody") : NULL;
	return (struct keyholder_birth){ .source = { .key_fd = file_of(key_pem), .passphrase_fd = -1 },
		.cert_pem = cert,
		.uid = nobody ? nobody->pw_uid : geteuid(),
		.gid = nobody ? nobody->pw_gid : getegid() };
}

static void start(void)
{
	make_keys();
	struct keyholder_birth birth = birth_of(key);
	ck_assert_msg(keyholder_start(&birth, &holder, error) == 0, "%s", error);
}

/* What a TLS 1.3 server signs: 64 blanks, the context string, a zero, a hash. */
static size_t certificate_verify(uint8_t *out)
{
	static const char context[] = "TLS 1.3, server CertificateVerify";
	memset(out, ' ', 64);
	memcpy(out + 64, context, sizeof(context)); /* with its zero */
	memset(out + 64 + sizeof(context), 7, 32);
	return 64 + sizeof(context) + 32;
}

static void ask(int channel, uint32_t id, uint16_t algorithm, const void *input, size_t len, size_t claimed)
{
	struct keyholder_request request = {
		.id = id, .algorithm = algorithm, .input_len = (uint16_t)claimed
	};
	memcpy(request.input, input, len);
	ck_assert_int_eq(send(channel, &request, KEYHOLDER_HEAD + len, 0), (ssize_t)(KEYHOLDER_HEAD + len));
}

/* True: an answer came. */
static bool answered(int channel, struct keyholder_answer *out, int wait_ms)
{
	struct pollfd p = { .fd = channel, .events = POLLIN };
	if (poll(&p, 1, wait_ms) <= 0)
		return false;
	ssize_t n = recv(channel, out, sizeof(*out), 0);
	return n >= KEYHOLDER_HEAD && n == KEYHOLDER_HEAD + out->signature_len;
}

START_TEST(a_server_handshake_is_signed_and_the_id_comes_back)
{
	start();
	uint8_t input[200];
	size_t len = certificate_verify(input);
	int channel = keyholder_channel(&holder, 0);
	ck_assert_int_ge(channel, 0);
	ask(channel, 0xabcd1234, ECDSA_SECP256R1_SHA256, input, len, len);
	struct keyholder_answer answer;
	ck_assert(answered(channel, &answer, WAIT_MS));
	ck_assert_uint_eq(answer.id, 0xabcd1234);
	ck_assert_uint_gt(answer.signature_len, 60);
	ck_assert_uint_lt(answer.signature_len, 80);
}
END_TEST

START_TEST(anything_else_is_refused)
{
	start();
	uint8_t input[200];
	size_t len = certificate_verify(input);
	struct keyholder_answer answer;
	int channel = keyholder_channel(&holder, 0);
	ask(channel, 1, ECDSA_SECP256R1_SHA256, "a bare digest of 32 bytes length", 32, 32);
	ck_assert(answered(channel, &answer, WAIT_MS));
	ck_assert_uint_eq(answer.id, 1);
	ck_assert_uint_eq(answer.signature_len, 0);
	memcpy(input + 64, "TLS 1.3, client CertificateVerify", 33);
	ask(channel, 2, ECDSA_SECP256R1_SHA256, input, len, len);
	ck_assert(answered(channel, &answer, WAIT_MS));
	ck_assert_uint_eq(answer.id, 2);
	ck_assert_uint_eq(answer.signature_len, 0);
	ask(channel, 3, ECDSA_SECP256R1_SHA256, "", 0, 0);
	ck_assert(answered(channel, &answer, WAIT_MS));
	ck_assert_uint_eq(answer.signature_len, 0);
}
END_TEST

START_TEST(a_message_with_a_wrong_length_gets_no_answer_and_does_no_harm)
{
	start();
	uint8_t input[200];
	size_t len = certificate_verify(input);
	struct keyholder_answer answer;
	int channel = keyholder_channel(&holder, 0);
	ask(channel, 1, ECDSA_SECP256R1_SHA256, input, len, len + 1);
	ask(channel, 2, ECDSA_SECP256R1_SHA256, input, len, len - 1);
	ck_assert_int_eq(send(channel, "abc", 3, 0), 3);
	char huge[sizeof(struct keyholder_request) + 10] = { 0 };
	ck_assert_int_eq(send(channel, huge, sizeof(huge), 0), (ssize_t)sizeof(huge));
	ask(channel, 5, ECDSA_SECP256R1_SHA256, input, len, len);
	ck_assert(answered(channel, &answer, WAIT_MS));
	ck_assert_uint_eq(answer.id, 5);
	ck_assert_uint_gt(answer.signature_len, 0);
}
END_TEST

START_TEST(each_worker_has_its_own_channel_and_a_successor_gets_a_fresh_one)
{
	start();
	uint8_t input[200];
	size_t len = certificate_verify(input);
	struct keyholder_answer answer;
	int first = keyholder_channel(&holder, 0), second = keyholder_channel(&holder, 1);
	ask(first, 1, ECDSA_SECP256R1_SHA256, input, len, len);
	ck_assert(answered(first, &answer, WAIT_MS));
	ck_assert(!answered(second, &answer, 50));
	int successor = keyholder_channel(&holder, 0);
	ask(successor, 7, ECDSA_SECP256R1_SHA256, input, len, len);
	ck_assert(answered(successor, &answer, WAIT_MS));
	ck_assert_uint_eq(answer.id, 7);
	char byte;
	ck_assert_int_eq(recv(first, &byte, 1, 0), 0); /* closed */
	ask(second, 8, ECDSA_SECP256R1_SHA256, input, len, len);
	ck_assert(answered(second, &answer, WAIT_MS));
}
END_TEST

START_TEST(who_asks_too_often_waits_and_others_do_not)
{
	start();
	uint8_t input[200];
	size_t len = certificate_verify(input);
	struct keyholder_answer answer;
	int greedy = keyholder_channel(&holder, 0), modest = keyholder_channel(&holder, 1);
	struct timespec before, after;
	clock_gettime(CLOCK_MONOTONIC, &before);
	/* a full purse, and what is earned while these are asked; refused ones cost tokens too, and no
	 * signing time */
	for (unsigned asked = 0; asked < KEYHOLDER_SIGNS_PER_SECOND * 14 / 10; asked++) {
		ask(greedy, asked, ECDSA_SECP256R1_SHA256, "x", 1, 1);
		ck_assert(answered(greedy, &answer, WAIT_MS));
	}
	clock_gettime(CLOCK_MONOTONIC, &after);
	long ms = (after.tv_sec - before.tv_sec) * 1000 + (after.tv_nsec - before.tv_nsec) / 1000000;
	ck_assert_int_ge(ms, 390);
	for (unsigned asked = 0; asked < 50; asked++)
		ask(greedy, asked, ECDSA_SECP256R1_SHA256, "x", 1, 1);
	ask(modest, 1, ECDSA_SECP256R1_SHA256, input, len, len);
	ck_assert(answered(modest, &answer, WAIT_MS));
	ck_assert_uint_gt(answer.signature_len, 0);
}
END_TEST

START_TEST(a_key_of_another_certificate_is_refused_at_the_start)
{
	make_keys();
	struct keyholder_birth birth = birth_of(other_key);
	ck_assert_int_lt(keyholder_start(&birth, &holder, error), 0);
	ck_assert_ptr_nonnull(strstr(error, "certificate"));
	ck_assert_int_eq(holder.control, -1);
}
END_TEST

START_TEST(a_file_that_is_no_key_is_refused_at_the_start)
{
	make_keys();
	struct keyholder_birth birth = birth_of("nothing of the kind\n");
	ck_assert_int_lt(keyholder_start(&birth, &holder, error), 0);
	ck_assert_ptr_nonnull(strstr(error, "key"));
}
END_TEST

START_TEST(it_ends_when_it_was_let_go_and_its_last_worker_is_gone)
{
	start();
	int channel = keyholder_channel(&holder, 3);
	uint8_t input[200];
	size_t len = certificate_verify(input);
	struct keyholder_answer answer;
	pid_t pid = holder.pid;
	ck_assert(keyholder_listen(&holder));
	keyholder_let_go(&holder);
	ask(channel, 1, ECDSA_SECP256R1_SHA256, input, len, len);
	ck_assert(answered(channel, &answer, WAIT_MS)); /* a worker of before the reload is still served */
	close(channel);
	int status;
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}
END_TEST

START_TEST(it_has_given_everything_up)
{
	start();
	char path[64], line[256];
	snprintf(path, sizeof(path), "/proc/%d/status", holder.pid);
	FILE *in = fopen(path, "r");
	ck_assert_ptr_nonnull(in);
	unsigned seen = 0;
	while (fgets(line, sizeof(line), in)) {
		unsigned long long caps;
		unsigned number;
		if (sscanf(line, "CapEff: %llx", &caps) == 1 || sscanf(line, "CapPrm: %llx", &caps) == 1 ||
			(geteuid() == 0 && sscanf(line, "CapBnd: %llx", &caps) == 1)) {
			ck_assert_uint_eq(caps, 0);
			seen++;
		}
		if (sscanf(line, "Seccomp: %u", &number) == 1) {
			ck_assert_uint_eq(number, UNDER_SANITIZER ? 0 : 2);
			seen++;
		}
		if (sscanf(line, "NoNewPrivs: %u", &number) == 1) {
			ck_assert_uint_eq(number, 1);
			seen++;
		}
		if (geteuid() == 0 && sscanf(line, "Uid: %u", &number) == 1) {
			ck_assert_uint_ne(number, 0);
			seen++;
		}
	}
	fclose(in);
	ck_assert_uint_ge(seen, 4);
}
END_TEST

START_TEST(nobody_listens_any_more_is_noticed)
{
	start();
	kill(holder.pid, SIGKILL);
	waitpid(holder.pid, NULL, 0);
	ck_assert(!keyholder_listen(&holder));
	ck_assert_int_lt(keyholder_channel(&holder, 0), 0);
}
END_TEST

/* -- where the key comes from -- */

START_TEST(an_inline_key_is_wiped_where_the_parser_left_it)
{
	make_keys();
	struct config config = { .key = { .path = "[inline]", .bytes = key, .len = strlen(key) } };
	struct key_source source;
	ck_assert_int_eq(key_source_open(&config, NULL, &source, error), 0);
	for (size_t i = 0; i < config.key.len; i++)
		ck_assert_int_eq(key[i], 0);
	ck_assert(key_source_check(&source, cert, error));
	ck_assert(!key_source_check(&source, other_cert, error));
	ck_assert_int_lt(write(source.key_fd, "x", 1), 0); /* sealed */
	key_source_close(&source);
}
END_TEST

/* Encrypts `key` with "correct horse" by the openssl program; false where there is none. */
static bool encrypt_key(char *out, size_t room)
{
	char path[] = "/tmp/vpnserverd-key-XXXXXX", command[200];
	int fd = mkstemp(path);
	ck_assert_int_eq(write(fd, key, strlen(key)), (ssize_t)strlen(key));
	close(fd);
	snprintf(command, sizeof(command),
		"openssl pkcs8 -topk8 -v2 aes-256-cbc -passout 'pass:correct horse' -in %s 2> /dev/null",
		path);
	FILE *in = popen(command, "r");
	size_t n = in ? fread(out, 1, room - 1, in) : 0;
	out[n] = '\0';
	int status = in ? pclose(in) : -1;
	unlink(path);
	return status == 0 && n > 0;
}

START_TEST(an_encrypted_key_takes_the_first_line_of_the_pass_phrase_file)
{
	char encrypted[4096];
	make_keys();
	if (!encrypt_key(encrypted, sizeof(encrypted)))
		return;
	struct keyholder_birth birth = birth_of(encrypted);
	birth.source.passphrase_fd = file_of("correct horse\nbattery staple\n");
	ck_assert_msg(keyholder_start(&birth, &holder, error) == 0, "%s", error);
	keyholder_let_go(&holder);
	/* the descriptors serve a successor as well */
	ck_assert_msg(keyholder_start(&birth, &holder, error) == 0, "%s", error);
	keyholder_let_go(&holder);
	birth.source.passphrase_fd = file_of("wrong horse\n");
	ck_assert_int_lt(keyholder_start(&birth, &holder, error), 0);
	birth.source.passphrase_fd = -1;
	ck_assert_int_lt(keyholder_start(&birth, &holder, error), 0);
}
END_TEST

START_TEST(a_missing_key_file_is_named)
{
	struct config config = { .key = { .path = "/nonexistent/server.key" } };
	struct key_source source;
	ck_assert_int_eq(key_source_open(&config, NULL, &source, error), -ENOENT);
	ck_assert_ptr_nonnull(strstr(error, "/nonexistent/server.key"));
	ck_assert_int_eq(source.key_fd, -1);
}
END_TEST

START_TEST(a_missing_pass_phrase_file_is_named)
{
	struct config config = { .key = { .path = "/dev/null" }, .askpass = "/nonexistent/pass" };
	struct key_source source;
	ck_assert_int_eq(key_source_open(&config, NULL, &source, error), -ENOENT);
	ck_assert_ptr_nonnull(strstr(error, "/nonexistent/pass"));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("keyholder");
	TCase *t = tcase_create("keyholder");
	tcase_set_timeout(t, 20);
	tcase_add_test(t, a_server_handshake_is_signed_and_the_id_comes_back);
	tcase_add_test(t, anything_else_is_refused);
	tcase_add_test(t, a_message_with_a_wrong_length_gets_no_answer_and_does_no_harm);
	tcase_add_test(t, each_worker_has_its_own_channel_and_a_successor_gets_a_fresh_one);
	tcase_add_test(t, who_asks_too_often_waits_and_others_do_not);
	tcase_add_test(t, a_key_of_another_certificate_is_refused_at_the_start);
	tcase_add_test(t, a_file_that_is_no_key_is_refused_at_the_start);
	tcase_add_test(t, it_ends_when_it_was_let_go_and_its_last_worker_is_gone);
	tcase_add_test(t, it_has_given_everything_up);
	tcase_add_test(t, nobody_listens_any_more_is_noticed);
	tcase_add_test(t, an_inline_key_is_wiped_where_the_parser_left_it);
	tcase_add_test(t, an_encrypted_key_takes_the_first_line_of_the_pass_phrase_file);
	tcase_add_test(t, a_missing_key_file_is_named);
	tcase_add_test(t, a_missing_pass_phrase_file_is_named);
	suite_add_tcase(suite, t);
	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
