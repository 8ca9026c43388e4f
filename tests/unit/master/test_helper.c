/* SPDX-License-Identifier: MIT
 * The helper as a process, asked by a worker that is this test. */
#include "master/helper.h"

#include "tests/lib/suite.h"
#include "worker/helper_wire.h"

#include <check.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static struct helper helper;
static struct config config;
static char dir[64], script_path[128];
static struct helper_answer answer;
static const char *words[3];
static int channel;

static void put_file(const char *name, const char *text, mode_t mode)
{
	char path[200];
	snprintf(path, sizeof(path), "%s/%s", dir, name);
	FILE *f = fopen(path, "w");
	ck_assert_ptr_nonnull(f);
	fputs(text, f);
	fclose(f);
	ck_assert_int_eq(chmod(path, mode), 0);
}

static char *file_text(const char *name)
{
	static char text[4096];
	char path[200];
	snprintf(path, sizeof(path), "%s/%s", dir, name);
	FILE *f = fopen(path, "r");
	text[f ? fread(text, 1, sizeof(text) - 1, f) : 0] = '\0';
	if (f)
		fclose(f);
	return text;
}

static void tell_plan(void)
{
	struct environment base = { 0 };
	environment_set(&base, "BASE", "1");
	ck_assert_int_eq(helper_tell(&helper, &config, &base), 0);
	environment_clear(&base);
}

/* With a script whose text is this for both steps; $dir is where it may write. */
static void start_with(const char *text)
{
	char whole[1000], error[HELPER_ERROR_MAX];
	bool root = geteuid() == 0;
	struct helper_birth birth = { .uid = root ? 65534 : geteuid(), .gid = root ? 65534 : getegid() };

	snprintf(dir, sizeof(dir), "/tmp/test_helper_XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	ck_assert_int_eq(chmod(dir, 0777), 0);
	snprintf(whole, sizeof(whole), "#!/bin/sh\ndir=%s\n%s\n", dir, text);
	put_file("script", whole, 0755);
	snprintf(script_path, sizeof(script_path), "%s/script", dir);
	words[0] = script_path;
	config.scripts.security = 2;
	config.scripts.client_connect = config.scripts.client_disconnect = words;
	config.scripts.tmp_dir = dir;
	config.hand_window_s = 2;
	config.max_clients = 8;
	ck_assert_msg(helper_start(&birth, &helper, error) == 0, "%s", error);
	tell_plan();
	channel = helper_channel(&helper, 1);
	ck_assert_int_ge(channel, 0);
}

static void send_request(unsigned kind, uint32_t id, uint32_t slot, uint32_t generation, unsigned flags)
{
	const char *texts[HELPER_TEXTS] = { "client", NULL, "CN=client", "7",
		"IV_VER=2\nLD_PRELOAD=x\nUV_A=b" };
	static struct helper_request r;
	r = (struct helper_request){ .id = id,
		.slot = slot,
		.generation = generation,
		.kind = (uint16_t)kind,
		.flags = (uint16_t)flags,
		.inner4 = 0x0a080002,
		.netmask4 = 0xffffff00,
		.peer = { .family = 4, .port = 1000, .ip = { 192, 0, 2, 1 } },
		.bytes_in = 11,
		.bytes_out = 22,
		.duration_s = 33 };
	size_t len = helper_request_texts(&r, texts);
	ck_assert_int_eq(send(channel, &r, len, 0), (ssize_t)len);
}

static bool answered(int wait_ms)
{
	struct pollfd p = { .fd = channel, .events = POLLIN };
	if (poll(&p, 1, wait_ms) <= 0)
		return false;
	ssize_t got = recv(channel, &answer, sizeof(answer), 0);
	return got > 0 && helper_answer_ok(&answer, (size_t)got);
}

static void wait_for_file(const char *name)
{
	for (int i = 0; i < 500 && !*file_text(name); i++)
		usleep(10000);
	ck_assert_msg(*file_text(name), "%s does not come", name);
}

static void stop(void)
{
	close(channel);
	helper_finish(&helper);
	ck_assert_int_eq(waitpid(helper.pid, NULL, 0), helper.pid);
	helper_let_go(&helper);
}

START_TEST(an_allowed_client_comes_with_its_lines)
{
	start_with("[ $script_type = client-connect ] || exit 0\nenv > $dir/env\n"
		   "printf 'push \"a b\"\\nnonsense\\niroute 10.0.0.0 255.0.0.0\\n' > $1");
	send_request(HELPER_CONNECT, 5, 3, 9, 0);
	ck_assert(answered(5000));
	ck_assert_uint_eq(answer.id, 5);
	ck_assert_uint_eq(answer.slot, 3);
	ck_assert_uint_eq(answer.generation, 9);
	ck_assert_uint_eq(answer.verdict, HELPER_ALLOW);
	char lines[100];
	snprintf(lines, sizeof(lines), "%.*s", (int)answer.lines_len, answer.text);
	ck_assert_str_eq(lines, "\"push\" \"a b\"\n\"iroute\" \"10.0.0.0\" \"255.0.0.0\"\n");
	const char *env = file_text("env");
	ck_assert_ptr_nonnull(strstr(env, "BASE=1\n"));
	ck_assert_ptr_nonnull(strstr(env, "common_name=client\n"));
	ck_assert_ptr_nonnull(strstr(env, "trusted_ip=192.0.2.1\n"));
	ck_assert_ptr_nonnull(strstr(env, "ifconfig_pool_remote_ip=10.8.0.2\n"));
	ck_assert_ptr_nonnull(strstr(env, "UV_A=b\n"));
	ck_assert_ptr_null(strstr(env, "LD_PRELOAD"));
	ck_assert_ptr_null(strstr(env, "username="));
	stop();
}
END_TEST

START_TEST(a_client_is_refused_when_its_script_says_no)
{
	start_with("echo $script_type >> $dir/ran; exit 1");
	send_request(HELPER_CONNECT, 5, 3, 9, 0);
	ck_assert(answered(5000));
	ck_assert_uint_eq(answer.verdict, HELPER_DENY);
	ck_assert_uint_eq(answer.lines_len, 0);
	send_request(HELPER_DISCONNECT, 0, 3, 9, 0);
	stop();
	ck_assert_str_eq(file_text("ran"), "client-connect\n"); /* and never client-disconnect */
}
END_TEST

START_TEST(a_script_that_hangs_costs_its_client_the_connection_only)
{
	start_with("[ -e $dir/quick ] || { touch $dir/quick; sleep 100; }");
	send_request(HELPER_CONNECT, 1, 0, 1, 0);
	usleep(300000);
	send_request(HELPER_CONNECT, 2, 1, 1, 0);
	ck_assert(answered(1500));
	ck_assert_uint_eq(answer.id, 2);
	ck_assert_uint_eq(answer.verdict, HELPER_ALLOW);
	ck_assert(answered(5000));
	ck_assert_uint_eq(answer.id, 1);
	ck_assert_uint_eq(answer.verdict, HELPER_DENY);
	stop();
}
END_TEST

START_TEST(requests_of_one_slot_keep_their_order)
{
	start_with("echo $script_type >> $dir/ran; sleep 0.2");
	send_request(HELPER_CONNECT, 1, 4, 1, 0);
	ck_assert(answered(5000));
	send_request(HELPER_DISCONNECT, 0, 4, 1, HELPER_ADMITTED);
	send_request(HELPER_CONNECT, 2, 4, 2, 0);
	ck_assert(answered(5000));
	ck_assert_uint_eq(answer.generation, 2);
	ck_assert_str_eq(file_text("ran"), "client-connect\nclient-disconnect\nclient-connect\n");
	stop();
	/* of the second one nobody said that it went */
	ck_assert_str_eq(
		file_text("ran"), "client-connect\nclient-disconnect\nclient-connect\nclient-disconnect\n");
}
END_TEST

START_TEST(a_goodbye_is_said_once)
{
	start_with("[ $script_type = client-connect ] || echo $bytes_received $bytes_sent $time_duration "
		   "$IV_VER >> $dir/left");
	send_request(HELPER_CONNECT, 1, 4, 1, 0);
	ck_assert(answered(5000));
	send_request(HELPER_DISCONNECT, 0, 4, 1, HELPER_ADMITTED);
	send_request(HELPER_DISCONNECT, 0, 4, 1,
		HELPER_ADMITTED); /* a worker that died in between, and its successor */
	wait_for_file("left");
	stop();
	ck_assert_str_eq(file_text("left"), "11 22 33 2\n");
}
END_TEST

START_TEST(a_helper_that_knows_nothing_says_goodbye_to_those_that_were_in)
{
	start_with("echo $script_type $common_name >> $dir/left");
	send_request(HELPER_DISCONNECT, 0, 4, 1, HELPER_ADMITTED);
	send_request(HELPER_DISCONNECT, 0, 5, 1, 0);
	wait_for_file("left");
	stop();
	ck_assert_str_eq(file_text("left"), "client-disconnect client\n");
}
END_TEST

START_TEST(who_left_before_the_script_ended_is_said_goodbye_after_it)
{
	start_with("sleep 0.3; echo $script_type >> $dir/ran");
	send_request(HELPER_CONNECT, 1, 4, 1, 0);
	usleep(100000);
	send_request(HELPER_DISCONNECT, 0, 4, 1, 0);
	ck_assert(answered(5000));
	stop();
	ck_assert_str_eq(file_text("ran"), "client-connect\nclient-disconnect\n");
}
END_TEST

START_TEST(nonsense_from_a_worker_is_nothing)
{
	start_with("exit 0");
	char nonsense[300];
	memset(nonsense, 0xff, sizeof(nonsense));
	ck_assert_int_gt(send(channel, nonsense, sizeof(nonsense), 0), 0);
	ck_assert_int_gt(send(channel, nonsense, 1, 0), 0);
	send_request(HELPER_CONNECT, 3, 8, 1, 0);	   /* no such slot */
	send_request(HELPER_CONNECT, 4, 0xffffffff, 1, 0); /* neither */
	send_request(HELPER_CONNECT, 5, 7, 1, 0);
	ck_assert(answered(5000));
	ck_assert_uint_eq(answer.id, 5);
	ck_assert(!answered(100));
	stop();
}
END_TEST

START_TEST(files_of_clients_are_read_and_the_script_may_add_to_them)
{
	start_with("[ $script_type = client-connect ] || exit 0\necho $ifconfig_pool_remote_ip > $dir/told\n"
		   "echo 'push last' > $1");
	put_file("client", "ifconfig-push 10.8.0.77 255.255.255.0\nconfig more\n", 0644);
	put_file("more", "push included\n", 0644);
	config.client_config_dir = dir;
	tell_plan();
	send_request(HELPER_CONNECT, 5, 3, 9, 0);
	ck_assert(answered(5000));
	ck_assert_uint_eq(answer.verdict, HELPER_ALLOW);
	char lines[200];
	snprintf(lines, sizeof(lines), "%.*s", (int)answer.lines_len, answer.text);
	ck_assert_str_eq(lines, "\"ifconfig-push\" \"10.8.0.77\" \"255.255.255.0\"\n\"push\" "
				"\"included\"\n\"push\" \"last\"\n");
	ck_assert_str_eq(file_text("told"), "10.8.0.77\n");
	stop();
}
END_TEST

START_TEST(it_has_no_right_and_cannot_get_one)
{
	start_with("grep -E '^(Uid|CapEff|CapBnd|NoNewPrivs)' /proc/self/status | tr '\\t\\n' '  ' > "
		   "$dir/rights");
	send_request(HELPER_CONNECT, 5, 3, 9, 0);
	ck_assert(answered(5000));
	if (geteuid() == 0)
		ck_assert_str_eq(file_text("rights"), "Uid: 65534 65534 65534 65534 CapEff: 0000000000000000 "
						      "CapBnd: 0000000000000000 NoNewPrivs: 1 ");
	stop();
}
END_TEST

static void clean_up(void)
{
	char command[200];
	if (helper.pid > 0)
		kill(helper.pid, SIGKILL);
	snprintf(command, sizeof(command), "rm -rf %s", dir);
	if (*dir && system(command) != 0)
		perror(command);
}

static void add(TCase *tcase)
{
	tcase_set_timeout(tcase, 60);
	tcase_add_checked_fixture(tcase, NULL, clean_up);
	tcase_add_test(tcase, an_allowed_client_comes_with_its_lines);
	tcase_add_test(tcase, a_client_is_refused_when_its_script_says_no);
	tcase_add_test(tcase, a_script_that_hangs_costs_its_client_the_connection_only);
	tcase_add_test(tcase, requests_of_one_slot_keep_their_order);
	tcase_add_test(tcase, a_goodbye_is_said_once);
	tcase_add_test(tcase, a_helper_that_knows_nothing_says_goodbye_to_those_that_were_in);
	tcase_add_test(tcase, who_left_before_the_script_ended_is_said_goodbye_after_it);
	tcase_add_test(tcase, nonsense_from_a_worker_is_nothing);
	tcase_add_test(tcase, files_of_clients_are_read_and_the_script_may_add_to_them);
	tcase_add_test(tcase, it_has_no_right_and_cannot_get_one);
}

int main(void)
{
	return suite_run("master helper", add);
}
