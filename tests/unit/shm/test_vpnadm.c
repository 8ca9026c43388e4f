/* SPDX-License-Identifier: MIT
 * The program itself, run on statistics of all kinds. VPNADM in the environment says where it is. */
#include "tests/unit/shm/stats_fixture.h"

#include "shm/events.h"

#include <jansson.h>
#include <sys/wait.h>
#include <time.h>

static char output[1 << 16];

/* Runs vpnadm on `dir`; its exit status, or -1 when a signal ended it. `output` has what it wrote, errors
 * too. */
static int vpnadm(const char *dir, const char *arguments)
{
	char command[1000];
	const char *program = getenv("VPNADM");
	ck_assert_ptr_nonnull(program);
	snprintf(command, sizeof(command), "'%s' --dir '%s' %s 2>&1", program, dir, arguments);
	FILE *pipe = popen(command, "r");
	ck_assert_ptr_nonnull(pipe);
	output[fread(output, 1, sizeof(output) - 1, pipe)] = 0;
	int status = pclose(pipe);
	return WIFEXITED(status) && WEXITSTATUS(status) < 126 ? WEXITSTATUS(status) : -1;
}

static bool says(const char *text)
{
	return strstr(output, text) != NULL;
}

static struct stats *hub_with_alice(const char *dir)
{
	struct stats *stats = new_stats(dir, "hub");
	struct stats_row row = row_of("alice\nand\x1b[2Jmore", 0x0a080002);
	stats_publish(stats, 7, &row);
	stats_worker_born(stats_worker(stats, 0), 4711, 2000, 3);
	stats_worker_born(stats_worker(stats, 1), 4712, 2000, 2);
	counter_fate(&stats_worker(stats, 0)->counters, FATE_REPLAYED, 7);
	return stats;
}

START_TEST(status_shows_hub_workers_and_clients_on_one_line_each)
{
	char dir[64];
	new_directory(dir);
	struct stats *stats = hub_with_alice(dir);
	ck_assert_int_eq(vpnadm(dir, "status"), 0);
	ck_assert(says("hub, running (vpnserverd 0.1.0"));
	ck_assert(says("udp4 0.0.0.0:1194"));
	ck_assert(says("4711"));
	ck_assert(says("alice\\x0aand\\x1b[2Jmore"));
	ck_assert(says("10.8.0.2"));
	ck_assert(says("192.0.2.1:40000"));
	ck_assert_int_eq(vpnadm(dir, "--name hub clients"), 0);
	ck_assert(says("AES-256-GCM"));
	ck_assert_int_eq(vpnadm(dir, "workers"), 0);
	ck_assert(says("starting"));
	ck_assert_int_eq(vpnadm(dir, "fates"), 0);
	ck_assert(says("REPLAYED"));
	stats_detach(&stats);
	remove_directory(dir);
}
END_TEST

START_TEST(json_parses_and_has_the_same_in_it)
{
	char dir[64];
	json_error_t error;
	new_directory(dir);
	struct stats *stats = hub_with_alice(dir);
	struct stats_row row = row_of("caf\xc3\xa9 and \xff", 1);
	stats_publish(stats, 8, &row);
	const char *const commands[] = { "clients --json", "workers --json", "fates --json",
		"--json status" };
	for (int i = 0; i < 4; i++) {
		ck_assert_int_eq(vpnadm(dir, commands[i]), 0);
		json_t *json = json_loads(output, 0, &error);
		ck_assert_msg(json != NULL, "%s: %s", commands[i], error.text);
		if (i == 3) {
			ck_assert_str_eq(
				json_string_value(json_object_get(json_object_get(json, "hub"), "state")),
				"running");
			json_t *clients = json_object_get(json, "clients");
			ck_assert_uint_eq(json_array_size(clients), 2);
			ck_assert_str_eq(
				json_string_value(json_object_get(json_array_get(clients, 0), "name")),
				"alice\nand\x1b[2Jmore");
			ck_assert_str_eq(
				json_string_value(json_object_get(json_array_get(clients, 1), "name")),
				"caf\\xc3\\xa9 and \\xff");
			ck_assert_uint_eq(json_array_size(json_object_get(json, "workers")), 2);
		}
		json_decref(json);
	}
	stats_detach(&stats);
	remove_directory(dir);
}
END_TEST

START_TEST(which_hub_is_said_or_asked_for)
{
	char dir[64];
	new_directory(dir);
	ck_assert_int_eq(vpnadm(dir, "status"), 1);
	ck_assert(says("no hub"));
	struct stats *stats = hub_with_alice(dir), *other = new_stats(dir, "another");
	ck_assert_int_eq(vpnadm(dir, "status"), 1);
	ck_assert(says("another hub"));
	ck_assert_int_eq(vpnadm(dir, "--name another status"), 0);
	ck_assert_int_eq(vpnadm(dir, "--name missing status"), 1);
	ck_assert_int_eq(vpnadm(dir, "--name ../x status"), 1);
	ck_assert_int_eq(vpnadm(dir, "--name '' status"), 1);
	stats_detach(&stats);
	stats_detach(&other);
	remove_directory(dir);
	ck_assert_int_eq(vpnadm(dir, "status"), 1);
}
END_TEST

START_TEST(a_hub_that_does_not_run_is_status_three)
{
	char dir[64];
	new_directory(dir);
	struct stats *stats = hub_with_alice(dir);
	atomic_store(&stats->header->pid, 0);
	ck_assert_int_eq(vpnadm(dir, "status"), 3);
	ck_assert(says("dead"));
	ck_assert(says("alice"));
	stats_detach(&stats);
	remove_directory(dir);
}
END_TEST

START_TEST(commands_that_do_not_exist_are_an_error_with_the_usage)
{
	char dir[64];
	new_directory(dir);
	const char *const bad[] = { "", "frobnicate", "status clients", "--frob status", "--name" };
	for (int i = 0; i < 5; i++) {
		ck_assert_int_eq(vpnadm(dir, bad[i]), 1);
		ck_assert(says("usage:"));
	}
	ck_assert_int_eq(vpnadm(dir, "--help"), 0);
	remove_directory(dir);
}
END_TEST

/* Several sessions that differ in everything that --sort and --filter know. */
static struct stats *crowded_hub(const char *dir)
{
	char error[300];
	struct stats_about about = about_hub("hub");
	about.pool = (struct stats_pool){
		.first4 = 0x0a080002, .count4 = 40, .base6 = { 0xfd, [15] = 0xff }, .count6 = 300, .size = 40
	};
	struct stats *stats = stats_create(dir, &about, error, sizeof(error));
	ck_assert_msg(stats != NULL, "%s", error);
	for (unsigned i = 0; i < 2; i++)
		stats_worker_born(stats_worker(stats, i), 4711 + i, 2000, i);
	for (unsigned i = 0; i < 30; i++) {
		char name[16];
		snprintf(name, sizeof(name), "client%02u", (i * 7) % 30);
		struct stats_row row = row_of(name, 1 + i);
		row.inner4 = 0x0a080002 + i;
		row.rate_in = 1000 * i;
		row.rate_out = i == 3 ? 900000 : 1;
		row.round_trip_ms = i == 5 ? 250 : i == 6 ? -1 : 0;
		row.lease = i % 3 ? i : LEASE_NONE;
		row.wrap = PEER_WRAP_CRYPT;
		row.state = i == 9 ? PEER_HANDSHAKE : PEER_ACTIVE;
		strcpy(row.version, i == 4 ? "2.4.9" : "2.6.14");
		strcpy(row.platform, "linux");
		strcpy(row.tls, "TLSv1.3 X");
		stats_publish(stats, i, &row);
	}
	atomic_store(&stats->header->certificate_ends_unix, time(NULL) + 10 * 86400 + 60);
	atomic_store(&stats->header->crl_ends_unix, time(NULL) - 7200 - 60);
	return stats;
}

/* The first column of the n-th line behind the titles. */
static const char *first_word(unsigned line)
{
	static char word[64];
	const char *at = output;
	for (unsigned i = 0; i <= line && at; i++)
		at = strchr(at, '\n') ? strchr(at, '\n') + 1 : NULL;
	word[0] = 0;
	if (at)
		sscanf(at, "%63s", word);
	return word;
}

static json_t *json_of(const char *dir, const char *arguments)
{
	ck_assert_int_eq(vpnadm(dir, arguments), 0);
	json_t *json = json_loads(output, 0, NULL);
	ck_assert_msg(json != NULL, "%s: %s", arguments, output);
	return json;
}

START_TEST(clients_are_sorted_and_filtered)
{
	char dir[64];
	static const struct {
		const char *words, *first;
	} stories[] = { { "name", "client00" }, { "rate", "client21" }, { "rate-in", "client23" },
		{ "rate-out", "client21" }, { "rtt", "client05" }, { "state", "client00" },
		{ "version", "client28" }, { "bytes", "client23" }, { "since", "client00" },
		{ "inner", "client00" }, { "worker", "client00" }, { "cipher", "client00" },
		{ "address", "client00" }, { "bytes-in", "client23" }, { "bytes-out", "client00" },
		{ "seen", "client00" } };
	new_directory(dir);
	struct stats *stats = crowded_hub(dir);
	for (size_t i = 0; i < sizeof(stories) / sizeof(stories[0]); i++) {
		char arguments[64];
		snprintf(arguments, sizeof(arguments), "clients --sort %s", stories[i].words);
		ck_assert_int_eq(vpnadm(dir, arguments), 0);
		ck_assert_msg(strcmp(first_word(0), stories[i].first) == 0, "by %s: %s", stories[i].words,
			first_word(0));
		ck_assert_str_ne(first_word(29), "");
		ck_assert_str_eq(first_word(30), "");
	}
	ck_assert_int_eq(vpnadm(dir, "clients --sort beauty"), 1);
	ck_assert(says("rate-in"));
	ck_assert_int_eq(vpnadm(dir, "clients --filter CLIENT1 --sort name"), 0);
	ck_assert_str_eq(first_word(0), "client10");
	ck_assert_str_eq(first_word(9), "client19");
	ck_assert_str_eq(first_word(10), "");
	const char *const one[] = { "2.4.9", "handshake", "10.8.0.31" };
	for (int i = 0; i < 3; i++) {
		char arguments[64];
		snprintf(arguments, sizeof(arguments), "clients --filter %s", one[i]);
		ck_assert_int_eq(vpnadm(dir, arguments), 0);
		ck_assert_str_ne(first_word(0), "");
		ck_assert_str_eq(first_word(1), "");
	}
	ck_assert_int_eq(vpnadm(dir, "clients --filter nothing-like-it"), 0);
	ck_assert_str_eq(first_word(0), "");
	stats_detach(&stats);
	remove_directory(dir);
}
END_TEST

START_TEST(status_counts_clients_and_says_what_ends_when)
{
	char dir[64];
	new_directory(dir);
	struct stats *stats = crowded_hub(dir);
	counter_fate(&stats_worker(stats, 0)->counters, FATE_DELIVERED, 1000);
	counter_fate(&stats_worker(stats, 0)->counters, FATE_REPLAYED, 7);
	counter_fate(&stats_worker(stats, 1)->counters, FATE_FORGED, 9);
	counter_add(&stats_worker(stats, 1)->counters, COUNTER_DATAGRAMS_IN, 100);
	counter_add(&stats_worker(stats, 1)->counters, COUNTER_HANDED_OVER_OUT, 25);
	struct stats_rates rates = { .cpu_permille = 500, .bytes_in = 2000000, .packets_in = 2000 };
	stats_rates(stats_worker(stats, 0), &rates);
	ck_assert_int_eq(vpnadm(dir, "status"), 0);
	ck_assert(says("clients      29 of 50, and 1 handshakes\n"));
	ck_assert(says("certificate  until ") && says("for 10 d 0 h\n"));
	ck_assert(says("CRL          OUT OF DATE since ") && says("for 2 h 1 min\n"));
	ck_assert(says("in 2.0 MB/s, 2000 datagrams/s"));
	ck_assert(says("handed over  25.0 %"));
	ck_assert(says("drops        9 FORGED"));
	ck_assert(says("7 REPLAYED") && !says("DELIVERED"));
	ck_assert(says("... and 10 more: vpnadm clients"));
	ck_assert(says("50.0 %")); /* of a CPU */

	json_t *json = json_of(dir, "status --json"), *hub = json_object_get(json, "hub");
	ck_assert_int_eq(json_integer_value(json_object_get(hub, "clients")), 29);
	ck_assert_int_eq(json_integer_value(json_object_get(json_object_get(hub, "drops"), "FORGED")), 9);
	ck_assert_uint_eq(json_object_size(json_object_get(hub, "drops")), 2);
	ck_assert_double_eq_tol(json_real_value(json_object_get(hub, "handover_share")), 0.25, 1e-9);
	ck_assert_int_gt(json_integer_value(json_object_get(hub, "certificate_ends")), time(NULL));
	ck_assert_uint_eq(json_array_size(json_object_get(json, "clients")), 30);
	json_decref(json);
	atomic_store(&stats->header->crl_ends_unix, 0); /* there is none */
	json = json_of(dir, "status --json");
	ck_assert(json_is_null(json_object_get(json_object_get(json, "hub"), "crl_ends")));
	ck_assert(json_is_null(json_object_get(json_object_get(json, "hub"), "crl_lost")));
	json_decref(json);
	ck_assert_int_eq(vpnadm(dir, "status"), 0);
	ck_assert(!says("CRL          LOST"));
	atomic_store(&stats->header->crl_lost_unix, 1234567890);
	ck_assert_int_eq(vpnadm(dir, "status"), 0);
	ck_assert(says("CRL          LOST since 2009-02-1"));
	json = json_of(dir, "status --json");
	ck_assert_int_eq(json_integer_value(json_object_get(json_object_get(json, "hub"), "crl_lost")), 1234567890);
	json_decref(json);
	stats_detach(&stats);
	remove_directory(dir);
}
END_TEST

START_TEST(one_client_is_told_of_with_networks_and_events)
{
	char dir[64], error[400];
	new_directory(dir);
	struct stats *stats = crowded_hub(dir);
	struct shm *shm = small_segment();
	struct stats_network network = {
		.slot = 1, .generation = 1, .family = 4, .bits = 24, .prefix = { 192, 168, 5 }
	};
	ck_assert(stats_network_put(stats, shm, &network));
	struct events *events = events_open(dir, "hub", 1, (gid_t)-1, error, sizeof(error));
	event_note(events, 1, EVENT_CONNECTED, 1, 1, 0, "client07", "10.8.0.3");
	event_note(events, 1, EVENT_CONNECTED, 2, 1, 0, "client14", "10.8.0.4");
	event_note(events, 1, EVENT_ENDED, 3, 1, EVENT_WHY_REPLACED, "left", NULL);
	events_close(&events);
	ck_assert_int_eq(vpnadm(dir, "client client07"), 0);
	ck_assert(says("network         192.168.5.0/24"));
	ck_assert(says("control wrap    tls-crypt\n"));
	ck_assert(says("program         2.6.14 linux"));
	ck_assert(says("a client is connected: 10.8.0.3") && !says("10.8.0.4"));
	json_t *json = json_of(dir, "client client07 --json");
	json_t *session = json_array_get(json_object_get(json, "sessions"), 0);
	ck_assert_int_eq(json_integer_value(json_object_get(session, "peer_id")), 1);
	ck_assert_uint_eq(json_array_size(json_object_get(session, "networks")), 1);
	ck_assert_uint_eq(json_array_size(json_object_get(json, "events")), 1);
	json_decref(json);
	ck_assert_int_eq(vpnadm(dir, "client left"), 1);
	ck_assert(says("left is not connected") && says("a newer connection"));
	ck_assert_int_eq(vpnadm(dir, "client"), 1);
	ck_assert_int_eq(vpnadm(dir, "client a b"), 1);
	shm_detach(&shm);
	stats_detach(&stats);
	remove_directory(dir);
}
END_TEST

START_TEST(routes_and_pool_say_who_has_what)
{
	char dir[64];
	new_directory(dir);
	struct stats *stats = crowded_hub(dir);
	struct shm *shm = small_segment();
	struct stats_network network = {
		.slot = 1, .generation = 1, .family = 6, .bits = 48, .prefix = { 0xfd, 0x99 }
	};
	ck_assert(stats_network_put(stats, shm, &network));
	ck_assert_int_eq(vpnadm(dir, "routes"), 0);
	ck_assert(says("10.8.0.3/32") && says("its own"));
	ck_assert(says("fd99::/48") && says("behind it"));
	ck_assert(!says("10.8.0.11/32")); /* a handshake has no route yet */
	json_t *json = json_of(dir, "routes --json");
	ck_assert_uint_eq(json_array_size(json), 30);
	json_t *last = json_array_get(json, 29);
	ck_assert_str_eq(json_string_value(json_object_get(last, "client")), "client07");
	ck_assert(json_is_true(json_object_get(last, "behind")));
	json_decref(json);
	ck_assert_int_eq(vpnadm(dir, "pool"), 0);
	ck_assert(says("IPv4   10.8.0.2 to 10.8.0.41"));
	ck_assert(says("IPv6   fd00::ff to fd00::22a")); /* carried over */
	ck_assert(says("used   20 of 40"));
	json = json_of(dir, "pool --json");
	ck_assert_int_eq(json_integer_value(json_object_get(json, "used")), 20);
	ck_assert_uint_eq(json_array_size(json_object_get(json, "leases")), 20);
	json_decref(json);
	stats_remove(stats);
	stats_detach(&stats);
	stats = hub_with_alice(dir);
	ck_assert_int_eq(vpnadm(dir, "pool"), 0);
	ck_assert(says("no address pool"));
	json = json_of(dir, "pool --json");
	ck_assert(json_is_null(json_object_get(json, "ipv4")) && json_is_null(json_object_get(json, "ipv6")));
	json_decref(json);
	shm_detach(&shm);
	stats_detach(&stats);
	remove_directory(dir);
}
END_TEST

START_TEST(events_are_told_of_a_hub_that_has_no_statistics_any_more)
{
	char dir[64], error[400], path[400];
	new_directory(dir);
	struct events *events = events_open(dir, "hub", 2, (gid_t)-1, error, sizeof(error));
	ck_assert_ptr_nonnull(events);
	event_note(events, EVENT_RING_MASTER, EVENT_WORKER_DIED, PEER_NONE, 0, 1, NULL, "signal 11");
	event_note(events, EVENT_RING_OF(1), EVENT_SESSION_OPENED, 5, 1, 0, NULL, "192.0.2.1:1");
	event_note(
		events, EVENT_RING_OF(1), EVENT_REFUSED, 5, 1, EVENT_WHY_SCRIPT, "al\x1b[2Jice", "go\naway");
	event_note(events, EVENT_RING_OF(0), EVENT_RENEGOTIATED, 6, 1, 3, "bob", NULL);
	event_note(events, EVENT_RING_OF(0), EVENT_ENDED, 6, 1, EVENT_WHY_REPLACED, "bob", "replaced by");
	event_note(events, EVENT_RING_OF(0), EVENT_ENDED, 6, 2, EVENT_WHY_SAID, "bo", "the peer left");
	events_close(&events);
	ck_assert_int_eq(vpnadm(dir, "events"), 0);
	ck_assert(says("a worker died: 1, signal 11"));
	ck_assert(says("a client was refused: a script said no: go\\x0aaway"));
	ck_assert(says("al\\x1b[2Jice"));
	ck_assert(says("new keys were agreed (key id): 3"));
	ck_assert(says("a session ended: a newer connection of the same name\n"));
	ck_assert(says("a session ended: the peer left\n"));
	ck_assert_int_eq(vpnadm(dir, "events --client bob"), 0);
	ck_assert(says("REPLACED") == false && says("bob") && !says("the peer left") && !says("worker died"));
	ck_assert_int_eq(vpnadm(dir, "events --client \"$(printf 'al\\033[2Jice')\" --json"), 0);
	json_t *json = json_loads(output, 0, NULL);
	ck_assert_uint_eq(json_array_size(json), 2); /* what came before the name was known as well */
	ck_assert_str_eq(json_string_value(json_object_get(json_array_get(json, 1), "why")), "SCRIPT");
	ck_assert(json_is_null(json_object_get(json_array_get(json, 0), "name")));
	json_decref(json);
	ck_assert_int_eq(vpnadm(dir, "events -n 2 --since 1h"), 0);
	ck_assert(says("the peer left") && says("newer connection") && !says("key id"));
	const char *const bad[] = { "-n 0", "-n x", "--since tomorrow", "--since", "--frob", "word" };
	for (int i = 0; i < 6; i++) {
		snprintf(path, sizeof(path), "events %s", bad[i]);
		ck_assert_int_eq(vpnadm(dir, path), 1);
	}
	ck_assert_int_eq(vpnadm(dir, "--name other events"), 1);
	write_file(dir, "hub.events", "hello", 5);
	ck_assert_int_eq(vpnadm(dir, "events"), 1);
	ck_assert(says("not a flight recorder's file"));
	remove_directory(dir);
}
END_TEST

START_TEST(foreign_and_torn_files_never_crash_it)
{
	char dir[64], path[400];
	uint64_t seed = 123;
	new_directory(dir);
	struct stats *stats = hub_with_alice(dir);
	uint8_t *bytes = malloc(stats->size);
	ck_assert_int_eq(pread(stats->fd, bytes, stats->size, 0), (ssize_t)stats->size);
	unlink(stats->path);
	for (int i = 0; i < 30; i++) {
		for (size_t at = i % 2 ? 512 : STATS_HEADER_LEN; at + 8 <= stats->size; at += 8) {
			uint64_t word = chance(&seed) & (i % 3 ? UINT64_MAX : 0x0000000300000002);
			memcpy(bytes + at, &word, 8);
		}
		write_file(dir, "hub.stats", bytes, i % 5 ? stats->size : chance(&seed) % stats->size);
		static const char *const asked[] = { "status", "status --json", "routes", "pool",
			"client alice", "clients --sort rtt", "pool --json" };
		ck_assert_int_ne(vpnadm(dir, asked[i % 7]), -1);
	}
	snprintf(path, sizeof(path), "%s/hub.stats", dir);
	unlink(path);
	ck_assert_int_eq(mkfifo(path, 0600), 0);
	ck_assert_int_eq(vpnadm(dir, "status"), 1);
	free(bytes);
	stats_detach(&stats);
	remove_directory(dir);
}
END_TEST

int main(void)
{
	TCase *t = tcase_create("vpnadm");
	tcase_set_timeout(t, 30);
	tcase_add_test(t, status_shows_hub_workers_and_clients_on_one_line_each);
	tcase_add_test(t, json_parses_and_has_the_same_in_it);
	tcase_add_test(t, which_hub_is_said_or_asked_for);
	tcase_add_test(t, a_hub_that_does_not_run_is_status_three);
	tcase_add_test(t, commands_that_do_not_exist_are_an_error_with_the_usage);
	tcase_add_test(t, clients_are_sorted_and_filtered);
	tcase_add_test(t, status_counts_clients_and_says_what_ends_when);
	tcase_add_test(t, one_client_is_told_of_with_networks_and_events);
	tcase_add_test(t, routes_and_pool_say_who_has_what);
	tcase_add_test(t, events_are_told_of_a_hub_that_has_no_statistics_any_more);
	tcase_add_test(t, foreign_and_torn_files_never_crash_it);
	return run_suite(t, "shm vpnadm");
}
