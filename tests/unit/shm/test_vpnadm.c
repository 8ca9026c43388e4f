/* SPDX-License-Identifier: MIT
 * The program itself, run on statistics of all kinds. VPNADM in the environment says where it is. */
#include "tests/unit/shm/stats_fixture.h"

#include "shm/events.h"

#include <jansson.h>
#include <sys/wait.h>

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
		ck_assert_int_ne(vpnadm(dir, i % 2 ? "status" : "status --json"), -1);
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
	tcase_add_test(t, events_are_told_of_a_hub_that_has_no_statistics_any_more);
	tcase_add_test(t, foreign_and_torn_files_never_crash_it);
	return run_suite(t, "shm vpnadm");
}
