/* SPDX-License-Identifier: MIT
 * What is seen of sessions from outside: their rows in the statistics, the flight recorder, traces. */
#include "tests/unit/worker/inside.h"

#include "shm/events.h"
#include "worker/orders.h"

#include <fcntl.h>

static struct stats_row row_told(uint32_t slot)
{
	struct stats_row row;
	for (size_t i = 0; i < sizeof(row) / 8; i++) {
		uint64_t word = atomic_load(&stats.rows[slot].words[i]);
		memcpy((uint8_t *)&row + 8 * i, &word, 8);
	}
	return row;
}

/* A second goes by; true if the row was written. */
static bool a_second_later(uint32_t slot)
{
	uint32_t before = atomic_load(&stats.rows[slot].version);
	w.now += 1000;
	publish(&w);
	return atomic_load(&stats.rows[slot].version) != before;
}

START_TEST(a_flood_of_strangers_does_not_wash_the_flight_recorder)
{
	char dir[] = "/tmp/worker-events-XXXXXX", path[64], error[400];
	unsigned opened = 0, left_out = 0, connected = 0;
	struct event *found;
	ck_assert_ptr_nonnull(mkdtemp(dir));
	born.events = events_open(dir, "hub", 2, (gid_t)-1, error, sizeof(error));
	ck_assert_msg(born.events != NULL, "%s", error);
	connect_client(&clients[0]);
	w.now += 1000;
	struct session stranger = { .slot = 1 };
	for (unsigned i = 0; i < 5000; i++)
		note_session(&w, &stranger, i % 2 ? EVENT_SESSION_OPENED : EVENT_HANDSHAKE_FAILED, 0, NULL);
	note_session(&w, session_at(&clients[0]), EVENT_RENEGOTIATED, 1, NULL); /* one we know is always told of */
	w.now += 1000;
	note_session(&w, &stranger, EVENT_SESSION_OPENED, 0, NULL);
	events_close(&born.events);

	snprintf(path, sizeof(path), "%s/hub.events", dir);
	struct event_reader *reader = event_reader_open(path, error, sizeof(error));
	ssize_t count = event_reader_take(reader, 0, NULL, NULL, &found);
	for (ssize_t i = 0; i < count; i++) {
		opened += found[i].slot == 1 && found[i].kind != EVENT_STRANGERS;
		connected += found[i].kind == EVENT_CONNECTED || found[i].kind == EVENT_RENEGOTIATED;
		if (found[i].kind == EVENT_STRANGERS)
			left_out += found[i].cause;
	}
	ck_assert_uint_eq(connected, 2);
	ck_assert_uint_le(opened, 21);
	ck_assert_uint_eq(opened + left_out, 5001);
	free(found);
	event_reader_close(&reader);
	unlink(path);
	rmdir(dir);
}
END_TEST

START_TEST(a_row_is_written_when_it_has_news_and_now_and_then)
{
	connect_client(&clients[0]);
	struct session *s = session_at(&clients[0]);
	struct stats_row row = row_told(s->slot);
	ck_assert_str_eq(row.common_name, "client");
	ck_assert_uint_eq(row.state, PEER_ACTIVE);
	ck_assert_ptr_nonnull(strstr(row.tls, "TLSv1."));
	ck_assert_int_ge(row.round_trip_ms, 0);
	ck_assert_uint_eq(row.wrap, PEER_WRAP_NONE);
	ck_assert_int_gt(row.keyed_unix, 0);
	for (int i = 0; i < 30; i++)
		a_second_later(s->slot); /* what it moved while connecting is forgotten */
	unsigned written = 0;
	for (int i = 0; i < 100; i++)
		written += a_second_later(s->slot);
	ck_assert_uint_ge(written, 9);
	ck_assert_uint_le(written, 11);

	peers_count_in(s->shared, 10, 64000, w.now);
	ck_assert(a_second_later(s->slot));
	row = row_told(s->slot);
	ck_assert_uint_ge(row.rate_in, 3000); /* depends on when the row was written last */
	ck_assert_uint_le(row.rate_in, 32000);
	ck_assert_uint_eq(row.rate_out, 0);
	uint64_t rate = row.rate_in;
	ck_assert(a_second_later(s->slot)); /* half of it: that is news as well */
	ck_assert_uint_eq(row_told(s->slot).rate_in, rate / 2);
	for (int i = 0; i < 20; i++)
		a_second_later(s->slot);
	ck_assert_uint_eq(row_told(s->slot).rate_in, 0);
	ck_assert_uint_gt(atomic_load(&stats.workers[0].heartbeats), 100);
}
END_TEST

/* -- traces -- */

static int master_end = -1;

/* From here on the master hears what we say. */
static void master_listens(void)
{
	int ends[2];
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, ends), 0);
	born.orders_fd = ends[0];
	master_end = ends[1];
	w.master_gone = false;
}

/* The next line of a trace, static; NULL: none. */
static const char *traced(const struct session *s)
{
	static char line[ORDER_TEXT_MAX + 1];
	struct order order;
	struct order_session of;
	size_t len;
	int fd;

	while (order_receive(master_end, &order, &fd) == 1) {
		if (order.kind != ANSWER_TRACE)
			continue;
		const char *text = order_session_read(&order, &of, &len);
		ck_assert_ptr_nonnull(text);
		ck_assert_uint_eq(of.slot, s->slot);
		ck_assert_uint_eq(of.generation, s->generation);
		memcpy(line, text, len);
		line[len] = '\0';
		return line;
	}
	return NULL;
}

static bool begins_and_ends(const char *line, const char *beginning, const char *end)
{
	size_t len = line ? strlen(line) : 0, end_len = strlen(end);
	return len >= end_len && strncmp(line, beginning, strlen(beginning)) == 0 &&
	       strcmp(line + len - end_len, end) == 0;
}

START_TEST(a_traced_session_says_what_became_of_each_packet_and_another_says_nothing)
{
	config.duplicate_cn = config.client_to_client = true;
	connect_client(&clients[0]);
	connect_client(&clients[1]);
	struct session *a = session_at(&clients[0]), *b = session_at(&clients[1]);
	master_listens();
	ck_assert_ptr_null(w.tracing);
	trace_session(&w, a->slot, a->generation, 60);
	ck_assert_ptr_nonnull(w.tracing);

	add_data(&clients[0], &clients[0].at, a->identity.inner4, config.local4);
	add_data(&clients[1], &clients[1].at, b->identity.inner4, config.local4); /* not traced */
	add_data(&clients[0], &clients[0].at, b->identity.inner4, config.local4); /* not its own address */
	batch.packets[2].at[20] ^= 1;						   /* ... and nobody will know */
	add_data(&clients[0], &clients[0].at, b->identity.inner4, config.local4);
	add_data(&clients[1], &clients[1].at, b->identity.inner4, a->identity.inner4);
	deliver();
	const char *line = traced(a);
	ck_assert_msg(begins_and_ends(line, "out UDP 10.8.0.3 0 > 10.8.0.2 0 len 28 | DATA_V2 kid=0 peer=0 len=52", ": DELIVERED"),
		"%s", line); /* it is sent while the batch still goes on */
	line = traced(a);
	ck_assert_msg(begins_and_ends(line, "in 127.0.0.1:", " DATA_V2 kid=0 peer=0 len=52 | UDP 10.8.0.2 0 > 10.8.0.1 0 len 28: "
		"TUNNEL_ERROR"), "%s", line);
	line = traced(a);
	ck_assert_msg(begins_and_ends(line, "in 127.0.0.1:", " DATA_V2 kid=0 peer=0 len=52: FORGED"), "%s", line);
	line = traced(a);
	ck_assert_msg(begins_and_ends(line, "in 127.0.0.1:", " | UDP 10.8.0.3 0 > 10.8.0.1 0 len 28: BAD_SOURCE"), "%s", line);
	ck_assert_ptr_null(traced(a));

	trace_session(&w, a->slot, a->generation, 0);
	ck_assert_ptr_null(w.tracing);
	add_data(&clients[0], &clients[0].at, a->identity.inner4, config.local4);
	deliver();
	ck_assert_ptr_null(traced(a));
}
END_TEST

START_TEST(a_trace_has_a_bounded_number_of_lines_a_second_and_ends)
{
	connect_client(&clients[0]);
	struct session *a = session_at(&clients[0]);
	unsigned lines = 0;
	master_listens();
	trace_session(&w, a->slot, a->generation, 3);
	for (unsigned i = 0; i < 5; i++) {
		for (unsigned n = 0; n < 100; n++)
			add_data(&clients[0], &clients[0].at, a->identity.inner4, config.local4);
		deliver();
		while (traced(a))
			lines++;
	}
	ck_assert_uint_eq(lines, 200);
	w.now += 1000;
	add_data(&clients[0], &clients[0].at, a->identity.inner4, config.local4);
	deliver();
	ck_assert_str_eq(traced(a), "300 more were left out");
	ck_assert(begins_and_ends(traced(a), "in ", ": TUNNEL_ERROR"));
	w.now += 1999;
	trace_tidy(&w);
	ck_assert_ptr_nonnull(w.tracing);
	w.now += 1;
	trace_tidy(&w);
	ck_assert_ptr_null(w.tracing);
}
END_TEST

START_TEST(who_is_not_there_or_not_ours_is_not_traced)
{
	connect_client(&clients[0]);
	struct session *a = session_at(&clients[0]);
	master_listens();
	trace_session(&w, a->slot, a->generation + 1, 60);
	trace_session(&w, SLOTS, a->generation, 60);
	trace_session(&w, UINT32_MAX, a->generation, 60);
	trace_session(&w, a->slot, a->generation, -1);
	ck_assert_ptr_null(w.tracing);
	trace_session(&w, a->slot, a->generation, 60);
	session_end(&w, a, "it goes");
	trace_tidy(&w);
	ck_assert_ptr_null(w.tracing);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("worker watched");
	TCase *t = tcase_create("watched");

	tcase_set_timeout(t, 30);
	tcase_add_checked_fixture(t, set_up, tear_down);
	tcase_add_test(t, a_flood_of_strangers_does_not_wash_the_flight_recorder);
	tcase_add_test(t, a_row_is_written_when_it_has_news_and_now_and_then);
	tcase_add_test(t, a_traced_session_says_what_became_of_each_packet_and_another_says_nothing);
	tcase_add_test(t, a_trace_has_a_bounded_number_of_lines_a_second_and_ends);
	tcase_add_test(t, who_is_not_there_or_not_ours_is_not_traced);
	suite_add_tcase(suite, t);
	return run_suite(suite);
}
