/* SPDX-License-Identifier: MIT
 * The management interface against clients of every kind: lines in pieces, lines without end, bytes that are no text,
 * readers that do not read, and the commands themselves. Real sockets: test_manage_sockets.c. */
#include "common/base/packet.h"
#include "master/log.h"
#include "master/manage_internal.h"
#include "worker/orders.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { SLOTS = 3000, NOWHERE = 1000 /* a descriptor that is never used */ };

static struct master m;
static struct config config;
static struct seat seats[2];
static struct manage g;
static struct manage_client *c;
static int worker_end[2];
static mono_ms now = 1000000;

static void set_up(void)
{
	char error[256];
	struct shm_sizes sizes = { .workers = 2, .max_clients = SLOTS, .max_routes = 8, .pool4_count = 8,
		.pool6_count = 8, .ring_bytes = 4096 };

	config = (struct config){ .status_version = 1, .management.log_cache = 4 };
	m = (struct master){ .phase = PHASE_RUNNING, .now.config = &config, .workers = 2, .seats = seats, .manage = &g };
	m.shm = shm_create(&sizes, error, sizeof(error));
	ck_assert_msg(m.shm != NULL, "%s", error);
	m.stats = calloc(1, sizeof(*m.stats)); /* never looked into */
	for (int w = 0; w < 2; w++) {
		int ends[2];
		ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, ends), 0);
		seats[w] = (struct seat){ .pid = -1, .orders_fd = ends[0], .ready = true };
		worker_end[w] = ends[1];
	}
	memset(&g, 0, sizeof(g));
	g.master = &m;
	g.verb = -1;
	for (unsigned i = 0; i < MANAGE_CLIENTS_MAX; i++)
		g.clients[i].fd = -1;
	ck_assert(history_init(&g.log, 4) && history_init(&g.states, 4) && history_init(&g.echoes, 1));
	c = &g.clients[0];
	c->fd = NOWHERE;
	client_begin(&g, c, DOOR_CONTROL, now);
}

static void tear_down(void)
{
	EACH_CLIENT (&g, each)
		client_end(each);
	history_clear(&g.log);
	history_clear(&g.states);
	history_clear(&g.echoes);
	for (int w = 0; w < 2; w++) {
		close(seats[w].orders_fd);
		close(worker_end[w]);
	}
	shm_detach(&m.shm);
	free(m.stats);
}

/* What it sends; false: there is no room for it now. */
static bool sends_bytes(const char *bytes, size_t len)
{
	size_t room;
	char *at = client_room(c, &room);
	if (client_held(c, now) || room < len)
		return false;
	memcpy(at, bytes, len);
	client_took(&g, c, len, now);
	return true;
}

static void sends(const char *text)
{
	ck_assert(sends_bytes(text, strlen(text)));
}

/* What it was told since the last time, all of it, as the loop would hand it over. */
static const char *hears(void)
{
	static char heard[4 << 20];
	size_t len = 0;
	for (;;) {
		client_go_on(&g, c, now);
		answer_go_on(&g, c);
		if (!c->out_len)
			break;
		ck_assert_uint_lt(len + c->out_len, sizeof(heard));
		ck_assert_uint_le(c->out_len, MANAGE_QUEUE_MAX + 4 * MANAGE_LINE_MAX);
		memcpy(heard + len, c->out + c->out_at, c->out_len);
		len += c->out_len;
		client_gave(c, c->out_len, now);
	}
	heard[len] = '\0';
	return heard;
}

static const char *answer(const char *line)
{
	hears();
	sends(line);
	sends("\n");
	return hears();
}

static uint32_t session(const char *name, unsigned owner, uint16_t port, uint64_t cid, uint32_t *generation)
{
	struct peer_identity id = { .lease4 = LEASE_NONE, .lease6 = LEASE_NONE, .client_id = cid,
		.connected_unix = 1795362459,
		.peer_address = { .family = 4, .port = port, .ip = { 192, 0, 2, 1 } } };
	uint32_t slot = peers_take(m.shm, owner, generation);
	snprintf(id.common_name, sizeof(id.common_name), "%s", name);
	ck_assert_uint_ne(slot, PEER_NONE);
	ck_assert(peers_write(m.shm, slot, *generation, &id));
	ck_assert(peers_set_state(m.shm, slot, *generation, PEER_ACTIVE));
	return slot;
}

/* The next order that a worker got; kind 0: none. */
static struct order ordered(unsigned worker, struct order_session *session)
{
	struct order order;
	int fd;
	size_t len = 0;
	if (order_receive(worker_end[worker], &order, &fd) != 1)
		return (struct order){ 0 };
	ck_assert_int_eq(fd, -1);
	const char *text = order_session_read(&order, session, &len);
	if (text) {
		memmove(order.text, text, len);
		order.text[len] = '\0';
	}
	return order;
}

#define IS(text, expected) ck_assert_str_eq((text), (expected))
#define HAS(text, part) ck_assert_msg(strstr((text), (part)) != NULL, "%s", (text))
#define LACKS(text, part) ck_assert_msg(strstr((text), (part)) == NULL, "%s", (text))

/* -- lines -- */

START_TEST(a_client_is_greeted_and_lines_may_come_in_pieces)
{
	set_up();
	IS(hears(), ">INFO:OpenVPN Management Interface Version 5 -- type 'help' for more info\r\n");
	for (const char *at = "mute\r\n\n  \nmute\n"; *at; at++)
		ck_assert(sends_bytes(at, 1));
	IS(hears(), "SUCCESS: mute=0\r\nSUCCESS: mute=0\r\n");
	tear_down();
}
END_TEST

START_TEST(a_line_without_end_is_refused_once_and_skipped_to_its_end)
{
	char x[1000];
	set_up();
	hears();
	memset(x, 'x', sizeof(x));
	for (int i = 0; i < 50; i++)
		ck_assert(sends_bytes(x, sizeof(x)));
	sends(" quit\nmute\n");
	IS(hears(), "ERROR: a command line has at most 1024 bytes\r\nSUCCESS: mute=0\r\n");
	ck_assert_uint_eq(g.counts.long_lines, 1);
	/* the longest one that is let through */
	char line[MANAGE_LINE_MAX + 2];
	memset(line, 'y', sizeof(line));
	line[MANAGE_LINE_MAX] = '\n';
	ck_assert(sends_bytes(line, MANAGE_LINE_MAX + 1));
	HAS(hears(), "ERROR: unknown command [yyy");
	tear_down();
}
END_TEST

START_TEST(bytes_that_are_no_text_do_nothing)
{
	set_up();
	hears();
	ck_assert(sends_bytes("mu\0te\n", 6));
	IS(hears(), "ERROR: a command line has no control characters\r\n");
	ck_assert(sends_bytes("\x1b[2J\x7f\n", 6));
	IS(hears(), "ERROR: a command line has no control characters\r\n");
	IS(answer("\"open"), "ERROR: no closing quotation mark (\")\r\n");
	IS(answer("a b c d e f g h i j k l m n o p q"), "ERROR: too many words\r\n");
	IS(answer("# mute"), "");
	IS(answer("\xc3\xa4\xff"), "ERROR: unknown command [\\xc3\\xa4\\xff], enter 'help' for more options\r\n");
	tear_down();
}
END_TEST

START_TEST(words_are_counted_and_numbers_checked)
{
	static const char *const refused[] = { "kill", "kill a b c", "client-kill", "client-kill x", "client-kill -1",
		"client-kill 18446744073709551616x", "bytecount", "bytecount x", "bytecount -1", "bytecount 99999999", "log",
		"log 0", "log -3", "log 3x", "log on all all", "state 5 5", "status 4", "status 0", "status x", "verb 12",
		"verb -1", "verb 99999999999999999999", "mute x", "version 0", "signal SIGKILL", "signal", "hold perhaps",
		"trace", "trace nobody", "trace nobody -1", "trace nobody 3601", "kill nobody", "kill \"\"",
		"kill a \"tab\there\"", "kill 1.2.3.4:99999", "kill udp:1.2.3:4", "client-kill 99", "nothing", "pid 1",
		"drain", "drain x", "drain 2", "drain -1", "undrain 7" };
	set_up();
	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++)
		ck_assert_msg(strstr(answer(refused[i]), "ERROR: "), "%s: %s", refused[i], hears());
	ck_assert_int_eq(g.verb, -1);
	tear_down();
}
END_TEST

START_TEST(before_the_hub_serves_there_is_no_client_to_speak_of)
{
	set_up();
	m.phase = PHASE_STARTING;
	IS(answer("status"), "ERROR: 'status' needs a hub that serves: this one has not started yet\r\n");
	m.phase = PHASE_STOPPING;
	IS(answer("kill a"), "ERROR: 'kill' needs a hub that serves: this one is ending\r\n");
	HAS(answer("pid"), "SUCCESS: pid=");
	tear_down();
}
END_TEST

/* -- the password -- */

static void behind_a_password(void)
{
	set_up();
	client_end(c);
	strcpy(g.doors[DOOR_DIRECTIVE].password, "open sesame");
	g.doors[DOOR_DIRECTIVE].password_len = 11;
	c->fd = NOWHERE;
	client_begin(&g, c, DOOR_DIRECTIVE, now);
	IS(hears(), "ENTER PASSWORD:");
}

START_TEST(nothing_happens_before_the_password)
{
	behind_a_password();
	client_notice(&g, c, ">STATE:secret");
	IS(hears(), "");
	sends("verb 9\nopen sesame\nverb\n");
	IS(hears(), "ERROR: bad password\r\nENTER PASSWORD:"); /* and then a pause */
	ck_assert_int_eq(g.verb, -1);
	now += PASSWORD_PAUSE_MS;
	HAS(hears(), "SUCCESS: password is correct\r\n>INFO:OpenVPN Management Interface");
	ck_assert(c->known);
	tear_down();
}
END_TEST

START_TEST(part_of_a_password_or_more_of_it_is_wrong_and_three_are_enough)
{
	behind_a_password();
	for (int try = 0; try < PASSWORD_TRIES; try++) {
		ck_assert_ptr_null(c->leaving);
		sends(try == 0 ? "open sesam\n" : try == 1 ? "open sesame2\n" : "\n");
		HAS(hears(), "ERROR: bad password\r\n");
		ck_assert(!c->known);
		now += PASSWORD_PAUSE_MS;
	}
	ck_assert_ptr_nonnull(c->leaving);
	ck_assert(client_held(c, now));
	ck_assert_uint_eq(g.counts.wrong_password, 3);
	tear_down();
}
END_TEST

START_TEST(a_line_without_end_is_a_wrong_password)
{
	char x[MANAGE_LINE_MAX + 1];
	behind_a_password();
	memset(x, 'x', sizeof(x));
	for (int try = 0; try < PASSWORD_TRIES; try++) {
		ck_assert(sends_bytes(x, sizeof(x)));
		HAS(hears(), "ERROR: bad password\r\n");
		now += PASSWORD_PAUSE_MS;
		if (!c->leaving)
			ck_assert(sends_bytes("\n", 1));
	}
	ck_assert_ptr_nonnull(c->leaving);
	ck_assert_uint_eq(g.counts.wrong_password, 3);
	tear_down();
}
END_TEST

/* -- queues -- */

START_TEST(who_does_not_read_what_comes_unasked_is_dropped)
{
	char line[500];
	set_up();
	memset(line, 'l', sizeof(line));
	line[sizeof(line) - 1] = '\0';
	for (int i = 0; i < 10000; i++)
		client_notice(&g, c, ">LOG:%s", line);
	ck_assert_ptr_nonnull(c->leaving);
	ck_assert_uint_le(c->out_len, MANAGE_QUEUE_MAX + sizeof(line) + 8);
	ck_assert_uint_eq(g.counts.slow, 1);
	tear_down();
}
END_TEST

START_TEST(who_asks_faster_than_it_reads_has_to_wait)
{
	set_up();
	hears();
	unsigned sent = 0, answered = 0;
	while (sends_bytes("help\nhelp\nhelp\n", 15))
		sent += 3;
	ck_assert_uint_lt(c->out_len, MANAGE_CHUNK + 8192);
	ck_assert_ptr_null(c->leaving);
	for (const char *at = hears(); (at = strstr(at, "END\r\n")); at++)
		answered++;
	ck_assert_uint_eq(answered, sent);
	tear_down();
}
END_TEST

START_TEST(a_long_status_comes_in_parts_and_whole)
{
	uint32_t generation;
	char name[32];
	unsigned rows = 0, parts = 0;
	set_up();
	hears();
	for (unsigned i = 0; i < SLOTS; i++) {
		snprintf(name, sizeof(name), "client-%u", i);
		session(name, i % 2, 1, i, &generation);
	}
	sends("status 2\nmute\n");
	char *text = calloc(1, 4 << 20);
	size_t len = 0;
	for (; c->answer.kind != LONG_NONE; parts++) {
		answer_go_on(&g, c);
		ck_assert_uint_lt(c->out_len, 2 * MANAGE_CHUNK);
		memcpy(text + len, c->out + c->out_at, c->out_len);
		len += c->out_len;
		client_gave(c, c->out_len, now);
	}
	ck_assert_uint_gt(parts, 2);
	for (const char *at = text; (at = strstr(at, "CLIENT_LIST,client-")); at++)
		rows++;
	ck_assert_uint_eq(rows, SLOTS);
	LACKS(text, "SUCCESS");
	ck_assert_str_eq(text + len - 5, "END\r\n");
	IS(hears(), "SUCCESS: mute=0\r\n"); /* the next command waited */
	free(text);
	tear_down();
}
END_TEST

/* -- what was -- */

START_TEST(the_last_lines_are_kept_and_told_as_asked)
{
	set_up();
	IS(answer("log all"), "END\r\n");
	for (char line[] = "1,I,a"; line[4] <= 'f'; line[4]++)
		history_add(&g.log, line);
	IS(answer("log 2"), "1,I,e\r\n1,I,f\r\nEND\r\n");
	IS(answer("log all"), "1,I,c\r\n1,I,d\r\n1,I,e\r\n1,I,f\r\nEND\r\n");
	IS(answer("log on all"), "SUCCESS: real-time log notification set to ON\r\n1,I,c\r\n1,I,d\r\n1,I,e\r\n"
				 "1,I,f\r\nEND\r\n");
	ck_assert(c->log_on);
	IS(answer("log off"), "SUCCESS: real-time log notification set to OFF\r\n");
	ck_assert(!c->log_on);
	manage_state(&m, "CONNECTED", "SUCCESS");
	HAS(answer("state"), ",CONNECTED,SUCCESS,,,,,\r\nEND\r\n");
	sends("state on\n");
	hears();
	manage_state(&m, "EXITING", "SIGTERM");
	HAS(hears(), ">STATE:");
	IS(answer("echo all"), "END\r\n");
	tear_down();
}
END_TEST

/* -- sessions -- */

START_TEST(kill_orders_the_owner_of_every_session_of_a_name)
{
	uint32_t generation[3], slots[3];
	struct order_session who;
	set_up();
	slots[0] = session("alice", 0, 1000, 7, &generation[0]);
	slots[1] = session("alice", 1, 1001, 8, &generation[1]);
	slots[2] = session("bob", 1, 1002, 9, &generation[2]);
	IS(answer("kill alice"), "SUCCESS: common name 'alice' found, 2 client(s) killed\r\n");
	struct order order = ordered(0, &who);
	ck_assert_uint_eq(order.kind, ORDER_KILL);
	ck_assert_uint_eq(who.slot, slots[0]);
	ck_assert_uint_eq(who.generation, generation[0]);
	IS(order.text, "RESTART");
	ck_assert_uint_eq(ordered(1, &who).kind, ORDER_KILL);
	ck_assert_uint_eq(who.slot, slots[1]);
	ck_assert_uint_eq(ordered(1, &who).kind, 0); /* not bob */

	IS(answer("kill udp:192.0.2.1:1002 HALT"), "SUCCESS: 1 client(s) at address udp:192.0.2.1:1002 killed\r\n");
	IS(ordered(1, &who).text, "HALT");
	ck_assert_uint_eq(who.slot, slots[2]);
	IS(answer("kill 192.0.2.1:1003"), "ERROR: client at address 192.0.2.1:1003 not found\r\n");
	IS(answer("kill [fd00::1]:1002"), "ERROR: client at address [fd00::1]:1002 not found\r\n");
	IS(answer("client-kill 8 \"HALT,go away\""), "SUCCESS: client-kill command succeeded\r\n");
	IS(ordered(1, &who).text, "HALT,go away");
	tear_down();
}
END_TEST

START_TEST(a_worker_that_does_not_listen_is_told_to_who_asked)
{
	uint32_t generation;
	struct order_session who;
	set_up();
	session("alice", 0, 1000, 7, &generation);
	session("alice", 1, 1001, 8, &generation);
	close(seats[0].orders_fd);
	seats[0].orders_fd = -1;
	IS(answer("kill alice"), "ERROR: 1 of 2 client(s) could not be ended: try again in a moment\r\n");
	ck_assert_uint_eq(ordered(1, &who).kind, ORDER_KILL);
	tear_down();
}
END_TEST

static void worker_says(uint32_t slot, uint32_t generation, const char *text)
{
	struct order answer = { .kind = ANSWER_TRACE, .len = (uint32_t)(8 + strlen(text)) };
	memcpy(answer.text, &(struct order_session){ slot, generation }, 8);
	memcpy(answer.text + 8, text, strlen(text));
	manage_trace_line(&m, &answer);
}

START_TEST(a_trace_reaches_who_asked_follows_its_session_and_ends)
{
	uint32_t generation, slot;
	struct order_session who;
	set_up();
	slot = session("alice", 0, 1000, 7, &generation);
	IS(answer("trace alice 10"), "SUCCESS: 1 session(s) traced for 10 seconds\r\n");
	mono_ms start = master_now();
	traces_tidy(&g, start);
	struct order order = ordered(0, &who);
	ck_assert_uint_eq(order.kind, ORDER_TRACE);
	ck_assert_int_eq(order.value, 10);
	ck_assert_uint_eq(who.slot, slot);
	traces_tidy(&g, start);
	ck_assert_uint_eq(ordered(0, &who).kind, 0); /* once */
	worker_says(slot, generation, "in line\n2");
	HAS(hears(), "in line\\x0a2\r\n");
	worker_says(slot, generation + 1, "a liar");
	worker_says(slot + 1, generation, "a liar");
	manage_trace_line(&m, &(struct order){ .kind = ANSWER_TRACE, .len = 3 });
	manage_trace_line(&m, &(struct order){ .kind = ANSWER_TRACE, .len = UINT32_MAX });
	IS(hears(), "");
	/* its worker was born anew: told what is left */
	manage_worker_ready(&m, 0);
	traces_tidy(&g, start + 4000);
	int left = ordered(0, &who).value;
	ck_assert(left == 6 || left == 7);
	/* another owner */
	ck_assert(peers_move_owner(m.shm, slot, generation, 0, 1));
	traces_tidy(&g, start + 5000);
	left = ordered(1, &who).value;
	ck_assert(left == 5 || left == 6);
	traces_tidy(&g, start + 11000);
	HAS(hears(), "END its time is over\r\n");
	worker_says(slot, generation, "too late");
	IS(hears(), "");

	answer("trace alice 10");
	peers_release(m.shm, slot, generation);
	traces_tidy(&g, master_now());
	HAS(hears(), "END the session is over\r\n");
	tear_down();
}
END_TEST

START_TEST(no_more_than_a_few_are_traced)
{
	uint32_t generation;
	set_up();
	for (unsigned i = 0; i <= MANAGE_TRACES_MAX; i++)
		session("alice", 0, (uint16_t)(1000 + i), i, &generation);
	IS(answer("trace alice"), "ERROR: 8 session(s) of 9: no more than 8 are traced at a time\r\n");
	HAS(answer("trace alice 0"), "SUCCESS: 8 trace(s) ended\r\n");
	tear_down();
}
END_TEST

START_TEST(bytes_are_told_every_few_seconds)
{
	uint32_t generation, slot;
	set_up();
	slot = session("alice", 0, 1000, 7, &generation);
	peers_count_in(peers_slot(m.shm, slot), 1, 100, 1);
	peers_count_out(peers_slot(m.shm, slot), 1, 200, 1);
	IS(answer("bytecount 5"), "SUCCESS: bytecount interval changed\r\n");
	mono_ms at = c->bytecount_at;
	bytecount_go_on(&g, c, at - 1);
	IS(hears(), "");
	bytecount_go_on(&g, c, at);
	IS(hears(), ">BYTECOUNT_CLI:7,100,200\r\n");
	bytecount_go_on(&g, c, at + 1);
	IS(hears(), "");
	answer("bytecount 0");
	bytecount_go_on(&g, c, at + 100000);
	IS(hears(), "");
	tear_down();
}
END_TEST

START_TEST(a_changed_verb_reaches_workers_of_now_and_later)
{
	struct order_session who;
	set_up();
	IS(answer("verb 5"), "SUCCESS: verb level changed\r\n");
	ck_assert_int_eq(ordered(0, &who).value, 5);
	ck_assert_int_eq(ordered(1, &who).value, 5);
	IS(answer("log-level"), "SUCCESS: verb=5\r\n");
	manage_worker_ready(&m, 1);
	ck_assert_int_eq(ordered(1, &who).value, 5);
	manage_reloaded(&m);
	manage_worker_ready(&m, 1);
	ck_assert_uint_eq(ordered(1, &who).kind, 0);
	log_set_verb(1);
	tear_down();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("manage");
	TCase *tcase = tcase_create("all");
	tcase_set_timeout(tcase, 60);
	suite_add_tcase(suite, tcase);
	tcase_add_test(tcase, a_client_is_greeted_and_lines_may_come_in_pieces);
	tcase_add_test(tcase, a_line_without_end_is_refused_once_and_skipped_to_its_end);
	tcase_add_test(tcase, bytes_that_are_no_text_do_nothing);
	tcase_add_test(tcase, words_are_counted_and_numbers_checked);
	tcase_add_test(tcase, before_the_hub_serves_there_is_no_client_to_speak_of);
	tcase_add_test(tcase, nothing_happens_before_the_password);
	tcase_add_test(tcase, part_of_a_password_or_more_of_it_is_wrong_and_three_are_enough);
	tcase_add_test(tcase, a_line_without_end_is_a_wrong_password);
	tcase_add_test(tcase, who_does_not_read_what_comes_unasked_is_dropped);
	tcase_add_test(tcase, who_asks_faster_than_it_reads_has_to_wait);
	tcase_add_test(tcase, a_long_status_comes_in_parts_and_whole);
	tcase_add_test(tcase, the_last_lines_are_kept_and_told_as_asked);
	tcase_add_test(tcase, kill_orders_the_owner_of_every_session_of_a_name);
	tcase_add_test(tcase, a_worker_that_does_not_listen_is_told_to_who_asked);
	tcase_add_test(tcase, a_trace_reaches_who_asked_follows_its_session_and_ends);
	tcase_add_test(tcase, no_more_than_a_few_are_traced);
	tcase_add_test(tcase, bytes_are_told_every_few_seconds);
	tcase_add_test(tcase, a_changed_verb_reaches_workers_of_now_and_later);
	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
