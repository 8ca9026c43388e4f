/* SPDX-License-Identifier: MIT
 * The text that Prometheus gets: names, labels whatever is in them, and what a hub that is gone leaves of it.
 */
#include "shm/vpnadm/prometheus.h"
#include "tests/unit/shm/stats_fixture.h"

static char *page;

static void write_page(const struct reader *reader, bool clients)
{
	size_t len;
	free(page);
	FILE *out = open_memstream(&page, &len);
	prometheus_write(out, reader, clients);
	ck_assert_int_eq(fclose(out), 0);
}

/* A whole line of it. */
static bool says(const char *line)
{
	size_t len = strlen(line);
	for (const char *at = page; (at = strstr(at, line)) != NULL; at++)
		if ((at == page || at[-1] == '\n') && at[len] == '\n')
			return true;
	return false;
}

static struct reader *open_stats(const struct stats *stats)
{
	char error[300];
	struct reader *reader = reader_open(stats->path, error, sizeof(error));
	ck_assert_ptr_nonnull(reader);
	return reader;
}

START_TEST(counters_and_fates_have_a_line_for_each_worker)
{
	char dir[64];
	new_directory(dir);
	struct stats *stats = new_stats(dir, "hub");
	struct reader *reader = open_stats(stats);
	counter_add(&stats_worker(stats, 1)->counters, COUNTER_LINK_BYTES_IN, 1234);
	counter_set(&stats_worker(stats, 0)->counters, COUNTER_SESSIONS, 3);
	counter_fate(&stats_worker(stats, 0)->counters, FATE_REPLAYED, 7);
	stats_worker_born(stats_worker(stats, 0), 4710, 2000, 2);
	stats_worker_born(stats_worker(stats, 1), 4711, 2000, 3);
	write_page(reader, false);
	ck_assert_ptr_null(strstr(page, "expiry"));
	atomic_store(&stats->header->certificate_ends_unix, 1234567890);
	atomic_store(&stats->header->crl_ends_unix, 1234567891);
	stats_worker_state(stats_worker(stats, 1), STATS_WORKER_READY);
	stats_heartbeat(stats_worker(stats, 1), 2010, 1500000, 25);
	write_page(reader, false);
	ck_assert(says("vpnserverd_up 1"));
	ck_assert(says("vpnserverd_info{name=\"hub\",version=\"0.1.0\"} 1"));
	ck_assert(says("vpnserverd_start_time_seconds 1000000"));
	ck_assert(says("vpnserverd_max_clients 50"));
	ck_assert(says("vpnserverd_certificate_expiry_timestamp_seconds 1234567890"));
	ck_assert(says("vpnserverd_crl_expiry_timestamp_seconds 1234567891"));
	ck_assert(says("vpnserverd_crl_lost 0"));
	atomic_store(&stats->header->crl_lost_unix, 1234567892);
	write_page(reader, false);
	ck_assert(says("vpnserverd_crl_lost 1"));
	ck_assert(says("vpnserverd_link_in_bytes_total{worker=\"0\"} 0"));
	ck_assert(says("vpnserverd_link_in_bytes_total{worker=\"1\"} 1234"));
	ck_assert(says("# TYPE vpnserverd_worker_sessions gauge"));
	ck_assert(says("vpnserverd_worker_sessions{worker=\"0\"} 3"));
	ck_assert(says("vpnserverd_fates_total{worker=\"0\",fate=\"REPLAYED\"} 7"));
	ck_assert(says("vpnserverd_worker_up{worker=\"0\"} 0"));
	ck_assert(says("vpnserverd_worker_up{worker=\"1\"} 1"));
	ck_assert(says("vpnserverd_worker_starts_total{worker=\"1\"} 1"));
	ck_assert(says("vpnserverd_worker_cpu_seconds_total{worker=\"1\",mode=\"user\"} 1.500000"));
	ck_assert(says("vpnserverd_worker_cpu_seconds_total{worker=\"1\",mode=\"system\"} 0.000025"));
	ck_assert(says("vpnserverd_listener_sessions{listener=\"tcp4 0.0.0.0:443\"} 0"));
	ck_assert_ptr_null(strstr(page, "vpnserverd_client_"));
	reader_close(&reader);
	stats_remove(stats);
	stats_detach(&stats);
	rmdir(dir);
}
END_TEST

START_TEST(no_name_breaks_its_line_or_commands_a_terminal)
{
	static const struct {
		const char *name, *label;
	} names[] = {
		{ "plain", "plain" },
		{ "a\"b\\c", "a\\\"b\\\\c" },
		{ "two\nlines", "two\\\\x0alines" },
		{ "\x1b[2J", "\\\\x1b[2J" },
		{ "caf\xc3\xa9", "caf\xc3\xa9" },
		{ "bad \xff", "bad \\\\xff" },
		{ "c1 \xc2\x9b"
		  "2J",
			"c1 \\\\xc2\\\\x9b2J" },
		{ "\x7f", "\\\\x7f" },
	};
	char dir[64], line[400];
	new_directory(dir);
	struct stats *stats = new_stats(dir, "hub");
	struct reader *reader = open_stats(stats);
	for (uint32_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		struct stats_row row = row_of(names[i].name, 100 + i);
		stats_publish(stats, i, &row);
	}
	write_page(reader, true);
	for (uint32_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		snprintf(line, sizeof(line), "vpnserverd_client_in_bytes_total{client=\"%s\"} %u",
			names[i].label, 100 + i);
		ck_assert_msg(says(line), "%s", line);
	}
	reader_close(&reader);
	stats_remove(stats);
	stats_detach(&stats);
	rmdir(dir);
}
END_TEST

START_TEST(sessions_of_one_name_are_one_line)
{
	char dir[64];
	new_directory(dir);
	struct stats *stats = new_stats(dir, "hub");
	struct reader *reader = open_stats(stats);
	struct stats_row rows[] = { row_of("twice", 10), row_of("once", 1), row_of("twice", 20),
		row_of("", 5) };
	rows[3].state = PEER_HANDSHAKE;
	for (int i = 0; i < 4; i++) {
		rows[i].lease = i == 1 ? LEASE_NONE : (uint32_t)i;
		rows[i].round_trip_ms = i == 1 ? -1 : 1000 + 50 * i;
		rows[i].renegotiations = (uint32_t)i;
	}
	for (uint32_t i = 0; i < 4; i++)
		stats_publish(stats, i, &rows[i]);
	write_page(reader, true);
	ck_assert(says("vpnserverd_sessions{state=\"active\"} 3"));
	ck_assert(says("vpnserverd_sessions{state=\"handshake\"} 1"));
	ck_assert(says("vpnserverd_sessions{state=\"closing\"} 0"));
	ck_assert(says("vpnserverd_listener_sessions{listener=\"udp4 0.0.0.0:1194\"} 4"));
	ck_assert(says("vpnserverd_client_sessions{client=\"twice\"} 2"));
	ck_assert(says("vpnserverd_client_in_bytes_total{client=\"twice\"} 30"));
	ck_assert(says("vpnserverd_client_round_trip_seconds{client=\"twice\"} 1.100"));
	ck_assert_ptr_null(strstr(page, "vpnserverd_client_round_trip_seconds{client=\"once\"}"));
	ck_assert(says("vpnserverd_client_renegotiations_total{client=\"twice\"} 2"));
	ck_assert(says("vpnserverd_pool_leased 3"));
	ck_assert(says("vpnserverd_client_sessions{client=\"once\"} 1"));
	ck_assert(says("vpnserverd_client_sessions_left_out 0"));
	ck_assert_ptr_null(strstr(page, "client=\"\""));
	reader_close(&reader);
	stats_remove(stats);
	stats_detach(&stats);
	rmdir(dir);
}
END_TEST

START_TEST(a_crowd_is_cut_and_what_is_left_out_is_counted)
{
	char dir[64], error[300], name[32];
	struct stats_about about = about_hub("hub");
	new_directory(dir);
	about.sizes.slots = PROMETHEUS_MOST_CLIENTS + 5;
	struct stats *stats = stats_create(dir, &about, error, sizeof(error));
	ck_assert_ptr_nonnull(stats);
	struct reader *reader = open_stats(stats);
	for (uint32_t i = 0; i < about.sizes.slots; i++) {
		snprintf(name, sizeof(name), "client-%u", i);
		struct stats_row row = row_of(name, i + 1);
		stats_publish(stats, i, &row);
	}
	write_page(reader, true);
	ck_assert(says("vpnserverd_client_sessions{client=\"client-0\"} 1"));
	ck_assert(says("vpnserverd_client_sessions{client=\"client-19999\"} 1"));
	ck_assert(!says("vpnserverd_client_sessions{client=\"client-20000\"} 1"));
	ck_assert(says("vpnserverd_client_sessions_left_out 5"));
	ck_assert(says("vpnserverd_sessions{state=\"active\"} 20005"));
	reader_close(&reader);
	stats_remove(stats);
	stats_detach(&stats);
	rmdir(dir);
}
END_TEST

START_TEST(a_hub_that_is_gone_is_not_up_and_has_no_other_figures)
{
	char dir[64];
	new_directory(dir);
	struct stats *stats = new_stats(dir, "hub");
	struct reader *reader = open_stats(stats);
	atomic_store(&stats->header->pid, 0);
	for (int i = 0; i < 2; i++) {
		write_page(i ? reader : NULL, true);
		ck_assert(says("vpnserverd_up 0"));
		ck_assert_ptr_null(strstr(page, "_total"));
	}
	reader_close(&reader);
	stats_remove(stats);
	stats_detach(&stats);
	rmdir(dir);
}
END_TEST

START_TEST(each_counter_has_a_name_of_its_own)
{
	char names[COUNTER_COUNT][96];
	for (int i = 0; i < COUNTER_COUNT; i++) {
		prometheus_counter(names[i], sizeof(names[i]), (enum counter)i);
		for (int j = 0; j < i; j++)
			ck_assert_str_ne(names[i], names[j]);
		ck_assert_uint_eq(
			strspn(names[i], "abcdefghijklmnopqrstuvwxyz0123456789_"), strlen(names[i]));
	}
}
END_TEST

START_TEST(only_a_get_of_the_page_is_given_it)
{
	static const struct {
		const char *request;
		enum prometheus_question question;
	} asked[] = {
		{ "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n", QUESTION_PAGE },
		{ "GET /metrics HTTP/1.0\r\n\r\n", QUESTION_PAGE },
		{ "GET /metrics?name=x HTTP/1.1\r\n\r\n", QUESTION_PAGE },
		{ "", QUESTION_NOT_WHOLE },
		{ "GET /metrics HTTP/1.1\r\n", QUESTION_NOT_WHOLE },
		{ "GET /metrics HTTP/1.1\r\nHost: x\r\n", QUESTION_NOT_WHOLE },
		{ "GET / HTTP/1.1\r\n\r\n", QUESTION_ELSEWHERE },
		{ "GET /metricsx HTTP/1.1\r\n\r\n", QUESTION_ELSEWHERE },
		{ "POST / HTTP/1.1\r\n\r\n", QUESTION_ELSEWHERE },
		{ "POST /metrics HTTP/1.1\r\n\r\n", QUESTION_OTHER_METHOD },
		{ "get /metrics HTTP/1.1\r\n\r\n", QUESTION_OTHER_METHOD },
		{ "GET /metrics HTTP/2\r\n\r\n", QUESTION_NONSENSE },
		{ "GET /metrics\r\n\r\n", QUESTION_NONSENSE },
		{ "GET  /metrics HTTP/1.1\r\n\r\n", QUESTION_NONSENSE },
		{ "GET /metrics HTTP/1.1 x\r\n\r\n", QUESTION_NONSENSE },
		{ "\r\n\r\n", QUESTION_NONSENSE },
		{ "   \r\n\r\n", QUESTION_NONSENSE },
	};
	for (size_t i = 0; i < sizeof(asked) / sizeof(asked[0]); i++)
		ck_assert_msg(
			prometheus_question(asked[i].request, strlen(asked[i].request)) == asked[i].question,
			"%s", asked[i].request);
}
END_TEST

int main(void)
{
	TCase *t = tcase_create("prometheus");
	tcase_set_timeout(t, 30);
	tcase_add_test(t, counters_and_fates_have_a_line_for_each_worker);
	tcase_add_test(t, no_name_breaks_its_line_or_commands_a_terminal);
	tcase_add_test(t, sessions_of_one_name_are_one_line);
	tcase_add_test(t, a_crowd_is_cut_and_what_is_left_out_is_counted);
	tcase_add_test(t, a_hub_that_is_gone_is_not_up_and_has_no_other_figures);
	tcase_add_test(t, each_counter_has_a_name_of_its_own);
	tcase_add_test(t, only_a_get_of_the_page_is_given_it);
	return run_suite(t, "shm prometheus");
}
