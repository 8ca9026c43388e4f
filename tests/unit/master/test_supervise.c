/* SPDX-License-Identifier: MIT
 * The life of a hub: start, deaths and births, signals, end. */
#include "hub.h"

#include "conf/config.h"
#include "master/log.h"
#include "master/master.h"
#include "shm/events.h"
#include "shm/reader.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static struct hub hub;

static void started(void)
{
	hub_prepare(&hub);
	hub_start(&hub);
	ck_assert_msg(hub_logs(&hub, "Initialization Sequence Completed"), "%s", hub_log(&hub));
}

static long now_ms(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

START_TEST(a_hub_is_up_when_all_workers_are_ready)
{
	started();
	ck_assert(WAIT_FOR(access(hub_path(&hub, "pid"), F_OK) == 0));
	ck_assert_int_eq(fake->births[0], 1);
	ck_assert_int_eq(fake->births[1], 1);
	ck_assert_int_eq(fake->successors[0], 0);
	ck_assert_int_ne(fake->epochs[0], fake->epochs[1]);
	ck_assert_int_eq(fake->signatures, HUB_WORKERS);
	ck_assert_int_eq(fake->stray_fds, 0);
	ck_assert(hub_logs(&hub, "hello\\x0afrom a worker"));
	ck_assert(WAIT_FOR(access(hub_path(&hub, "status"), F_OK) == 0));
	ck_assert_int_eq(access(hub_path(&hub, "run/test.lock"), F_OK), 0);

	char error[256];
	struct reader *reader = reader_open(hub_path(&hub, "run/test.stats"), error, sizeof(error));
	ck_assert_msg(reader != NULL, "%s", error);
	ck_assert_int_eq(reader_life(reader), HUB_ALIVE);
	struct reader_worker worker;
	ck_assert(reader_worker(reader, 1, &worker));
	ck_assert_int_eq(worker.state, STATS_WORKER_READY);
	ck_assert_int_eq(worker.pid, fake->pids[1]);
	reader_close(&reader);
	hub_clean(&hub);
}
END_TEST

START_TEST(an_end_in_good_order_leaves_nothing_behind)
{
	started();
	long before = now_ms();
	kill(hub.master, SIGTERM);
	ck_assert_int_eq(hub_ends(&hub), 0);
	ck_assert_int_lt(now_ms() - before, 1000);
	ck_assert_int_eq(fake->stop_value, 1); /* also without explicit-exit-notify */
	ck_assert_int_lt(access(hub_path(&hub, "pid"), F_OK), 0);
	ck_assert_int_lt(access(hub_path(&hub, "run/test.lock"), F_OK), 0);
	ck_assert_int_lt(access(hub_path(&hub, "run/test.stats"), F_OK), 0);
	ck_assert_int_lt(kill(fake->pids[0], 0), 0);
	ck_assert_int_lt(kill(fake->pids[1], 0), 0);
	hub_clean(&hub);
}
END_TEST

START_TEST(clients_are_told_as_the_configuration_says)
{
	hub_prepare(&hub);
	hub_configure(&hub, "explicit-exit-notify 2\n");
	hub_start(&hub);
	ck_assert(hub_logs(&hub, "Initialization Sequence Completed"));
	kill(hub.master, SIGINT);
	ck_assert_int_eq(hub_ends(&hub), 0);
	ck_assert_int_eq(fake->stop_value, 2);
	hub_clean(&hub);
}
END_TEST

START_TEST(who_does_not_end_is_ended_after_two_seconds)
{
	started();
	fake->stubborn = 1;
	long before = now_ms();
	kill(hub.master, SIGTERM);
	ck_assert_int_eq(hub_ends(&hub), 0);
	ck_assert_int_ge(now_ms() - before, 1900);
	ck_assert_int_lt(now_ms() - before, 3000);
	ck_assert_int_lt(kill(fake->pids[0], 0), 0);
	hub_clean(&hub);
}
END_TEST

START_TEST(who_says_ready_again_gains_no_time)
{
	started();
	fake->stubborn = fake->insisting = 1;
	long before = now_ms();
	kill(hub.master, SIGTERM);
	ck_assert_int_eq(hub_ends(&hub), 0);
	ck_assert_int_lt(now_ms() - before, 3000);
	hub_clean(&hub);
}
END_TEST

START_TEST(a_log_that_nobody_reads_stops_neither_births_nor_the_end)
{
	hub_prepare(&hub);
	int ends[2];
	ck_assert_int_eq(pipe(ends), 0);
	hub_configure(&hub, "verb 3\n");
	char command[160];
	snprintf(command, sizeof(command), "sed -i /^log-append/d %s", hub_path(&hub, "server.conf"));
	ck_assert_int_eq(system(command), 0);
	int before = dup(STDOUT_FILENO);
	dup2(ends[1], STDOUT_FILENO);
	hub_start(&hub);
	dup2(before, STDOUT_FILENO);
	ck_assert(WAIT_FOR(access(hub_path(&hub, "pid"), F_OK) == 0));
	for (int i = 0; i < 40; i++) { /* the status is a dozen lines */
		kill(hub.master, SIGUSR2);
		usleep(5000);
	}
	char full[1 << 16];
	fcntl(ends[1], F_SETFL, O_NONBLOCK);
	while (write(ends[1], "x", 1) == 1)
		;
	kill(fake->pids[0], SIGKILL);
	ck_assert(WAIT_FOR(fake->births[0] == 2 && fake->ready[0]));
	kill(hub.master, SIGTERM);
	ck_assert_int_eq(hub_ends(&hub), 0);
	ck_assert_int_gt(read(ends[0], full, sizeof(full)), 1000);
	hub_clean(&hub);
}
END_TEST

START_TEST(a_worker_that_dies_has_a_successor_at_once)
{
	started();
	int dead = fake->pids[1], epoch = fake->epochs[1];
	kill(dead, SIGKILL);
	ck_assert(WAIT_FOR(fake->births[1] == 2 && fake->ready[1]));
	ck_assert_int_eq(fake->successors[1], 1);
	ck_assert_int_gt(fake->epochs[1], epoch);
	ck_assert_int_eq(fake->births[0], 1);
	ck_assert_int_eq(fake->signatures, HUB_WORKERS + 1); /* over a channel of its own */
	char expected[160];
	snprintf(expected, sizeof(expected),
		"worker 1 (pid %d) died by signal 9: no last words; sessions are adopted by its successor "
		"pid %d",
		dead, fake->pids[1]);
	ck_assert(hub_logs(&hub, expected));
	hub_clean(&hub);
}
END_TEST

START_TEST(a_worker_that_dies_again_and_again_is_born_ever_slower)
{
	started();
	fake->die_at_once = 4;
	long before = now_ms();
	kill(fake->pids[0], SIGKILL);
	ck_assert(WAIT_FOR(fake->births[0] == 6));
	ck_assert_int_ge(now_ms() - before, 100 + 200 + 400 + 800 - 50);
	ck_assert(hub_logs(&hub, "the next one starts in 100 ms"));
	ck_assert(hub_logs(&hub, "the next one starts in 800 ms"));
	ck_assert_int_eq(fake->births[1], 1);
	hub_clean(&hub);
}
END_TEST

START_TEST(a_worker_that_fails_at_the_start_fails_the_start)
{
	hub_prepare(&hub);
	hub_configure(&hub, "verb 4\n");
	fake->fail_at_verb = 4;
	hub_start(&hub);
	ck_assert_int_eq(hub_ends(&hub), 1);
	ck_assert(hub_logs(&hub, "ended with status 3; the hub does not start"));
	ck_assert_int_lt(access(hub_path(&hub, "pid"), F_OK), 0);
	ck_assert_int_lt(access(hub_path(&hub, "run/test.stats"), F_OK), 0);
	hub_clean(&hub);
}
END_TEST

START_TEST(a_second_hub_of_the_same_name_does_not_start)
{
	started();
	struct hub second = hub;
	hub_start(&second);
	ck_assert_int_eq(hub_ends(&second), 1);
	char expected[96];
	snprintf(expected, sizeof(expected), "A hub named test is running already: pid %d", hub.master);
	ck_assert(hub_logs(&hub, expected));
	ck_assert_int_eq(kill(fake->pids[0], 0), 0);
	ck_assert_int_eq(access(hub_path(&hub, "run/test.stats"), F_OK), 0);
	hub_clean(&hub);
}
END_TEST

START_TEST(sigusr1_ends_all_sessions_and_sigusr2_tells_the_status)
{
	started();
	kill(hub.master, SIGUSR1);
	ck_assert(WAIT_FOR(fake->restarts == HUB_WORKERS));
	kill(hub.master, SIGUSR2);
	ck_assert(hub_logs(&hub, "HEADER,CLIENT_LIST,Common Name"));
	ck_assert(hub_logs(&hub, " END\n"));
	ck_assert_int_eq(fake->births[0], 1);
	hub_clean(&hub);
}
END_TEST

START_TEST(the_first_process_of_a_daemon_waits_until_the_hub_is_up)
{
	hub_prepare(&hub);
	hub_configure(&hub, "daemon\n");
	hub_start(&hub);
	ck_assert_int_eq(hub_ends(&hub), 0);
	/* already up when it ended */
	ck_assert_ptr_nonnull(strstr(hub_log(&hub), "Initialization Sequence Completed"));
	FILE *in = fopen(hub_path(&hub, "pid"), "r");
	int pid = 0;
	ck_assert(in && fscanf(in, "%d", &pid) == 1);
	fclose(in);
	ck_assert_int_eq(kill(pid, SIGTERM), 0);
	ck_assert(WAIT_FOR(kill(pid, 0) < 0 || access(hub_path(&hub, "run/test.lock"), F_OK) < 0));
	ck_assert(hub_logs(&hub, "vpnserverd has ended"));

	hub_configure(&hub, "daemon\nverb 4\n");
	fake->fail_at_verb = 4;
	hub_start(&hub);
	ck_assert_int_eq(hub_ends(&hub), 1);
	hub_clean(&hub);
}
END_TEST

START_TEST(who_dies_again_and_again_is_tried_on_but_the_others_have_its_share)
{
	started();
	for (int death = 1; death <= QUICK_DEATHS_MAX; death++) {
		kill(fake->pids[1], SIGKILL);
		ck_assert(WAIT_FOR(fake->births[1] == death + 1 && fake->ready[1]));
	}
	ck_assert(hub_logs(&hub, "Worker 1 died 4 times in a row: the others get its sessions"));
	ck_assert_ptr_null(strstr(hub_log(&hub), "takes sessions again"));
	ck_assert_int_eq(fake->births[0], 1);
	/* takes five seconds, which is as long as it waits */
	ck_assert(hub_logs(&hub, "Worker 1 lives: it takes sessions again") ||
		  hub_logs(&hub, "Worker 1 lives: it takes sessions again"));
	hub_clean(&hub);
}
END_TEST

/* How many such events the flight recorder has; `cause` of the last one. */
static unsigned recorded(enum event_kind kind, unsigned *cause)
{
	char error[400];
	struct event *events;
	unsigned count = 0;
	struct event_reader *reader =
		event_reader_open(hub_path(&hub, "run/test.events"), error, sizeof(error));
	ck_assert_msg(reader != NULL, "%s", error);
	ssize_t all = event_reader_take(reader, 0, NULL, NULL, &events);
	for (ssize_t i = 0; i < all; i++)
		if (events[i].kind == kind && events[i].ring == EVENT_RING_MASTER) {
			count++;
			*cause = events[i].cause;
		}
	free(events);
	event_reader_close(&reader);
	return count;
}

START_TEST(a_keyholder_that_dies_is_replaced_and_workers_reach_the_new_one)
{
	started();
	char command[128];
	snprintf(command, sizeof(command), "pkill -KILL -x -P %d vpn-keyholder", hub.master);
	ck_assert_int_eq(system(command), 0);
	ck_assert(WAIT_FOR(
		fake->births[0] == 2 && fake->births[1] == 2 && fake->signatures == 2 * HUB_WORKERS));
	ck_assert_int_eq(fake->leaves, HUB_WORKERS);
	unsigned cause;
	ck_assert_uint_eq(recorded(EVENT_KEYHOLDER_DIED, &cause), 1);
	ck_assert_uint_eq(recorded(EVENT_KEYHOLDER_STARTED, &cause), 1);
	ck_assert_uint_eq(recorded(EVENT_WORKER_LEFT, &cause), HUB_WORKERS);
	ck_assert_uint_eq(recorded(EVENT_WORKER_DIED, &cause), 0);
	hub_clean(&hub);
}
END_TEST

START_TEST(a_worker_whose_heart_stops_is_replaced)
{
	hub_prepare(&hub);
	fake->beating = 1;
	hub_start(&hub);
	ck_assert(hub_logs(&hub, "Initialization Sequence Completed"));
	usleep(300000);
	int stopped = fake->pids[0];
	kill(stopped, SIGSTOP); /* it cannot even say last words */
	ck_assert(WAIT_FOR(fake->births[0] == 2));
	ck_assert_int_eq(fake->births[1], 1);
	char expected[64];
	snprintf(expected, sizeof(expected), "worker 0 (pid %d) hangs: ended", stopped);
	ck_assert(hub_logs(&hub, expected));
	unsigned hung, died;
	ck_assert_uint_eq(recorded(EVENT_WORKER_HUNG, &hung), 1);
	ck_assert_uint_eq(recorded(EVENT_WORKER_DIED, &died), 1);
	ck_assert(hung == 0 && died == 0);
	hub_clean(&hub);
}
END_TEST

START_TEST(the_secret_of_address_proofs_changes_and_the_one_before_still_counts)
{
	hub_prepare(&hub);
	hub_configure(&hub, "verb 3\nhand-window 1\n");
	fake->secret_every = 300;
	hub_start(&hub);
	ck_assert(WAIT_FOR(fake->secrets == 2));
	ck_assert_int_eq(fake->secrets_lost, 0);
	hub_clean(&hub);
}
END_TEST

START_TEST(the_master_keeps_few_rights)
{
	started();
	ck_assert(WAIT_FOR(access(hub_path(&hub, "pid"), F_OK) == 0)); /* written after they were given up */
	char path[64], line[256];
	snprintf(path, sizeof(path), "/proc/%d/status", hub.master);
	FILE *in = fopen(path, "r");
	ck_assert_ptr_nonnull(in);
	while (fgets(line, sizeof(line), in)) {
		unsigned long long caps;
		if (sscanf(line, "CapEff: %llx", &caps) == 1 || sscanf(line, "CapBnd: %llx", &caps) == 1) {
			const int gone[] = { 1 /* DAC_OVERRIDE */, 2 /* DAC_READ_SEARCH */,
				16 /* SYS_MODULE */, 19 /* SYS_PTRACE */, 21 /* SYS_ADMIN */,
				13 /* NET_RAW */ };
			for (size_t i = 0; i < sizeof(gone) / sizeof(gone[0]) && geteuid() == 0; i++)
				ck_assert_msg(!(caps >> gone[i] & 1), "capability %d in %s", gone[i], line);
		}
	}
	fclose(in);
	hub_clean(&hub);
}
END_TEST

START_TEST(a_wrong_key_stops_the_start)
{
	hub_prepare(&hub);
	char command[200];
	snprintf(command, sizeof(command), "cp %s/pki/client.key %s/pki/server.key", hub.dir, hub.dir);
	ck_assert_int_eq(system(command), 0);
	hub_start(&hub);
	ck_assert_int_eq(hub_ends(&hub), 1);
	ck_assert(hub_logs(&hub, "does not belong to the certificate"));
	hub_clean(&hub);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("supervise");
	TCase *t = tcase_create("supervise");
	tcase_set_timeout(t, 30);
	tcase_add_test(t, a_hub_is_up_when_all_workers_are_ready);
	tcase_add_test(t, an_end_in_good_order_leaves_nothing_behind);
	tcase_add_test(t, clients_are_told_as_the_configuration_says);
	tcase_add_test(t, who_does_not_end_is_ended_after_two_seconds);
	tcase_add_test(t, who_says_ready_again_gains_no_time);
	tcase_add_test(t, a_log_that_nobody_reads_stops_neither_births_nor_the_end);
	tcase_add_test(t, a_worker_that_dies_has_a_successor_at_once);
	tcase_add_test(t, a_worker_that_dies_again_and_again_is_born_ever_slower);
	tcase_add_test(t, a_worker_that_fails_at_the_start_fails_the_start);
	tcase_add_test(t, a_second_hub_of_the_same_name_does_not_start);
	tcase_add_test(t, sigusr1_ends_all_sessions_and_sigusr2_tells_the_status);
	tcase_add_test(t, the_first_process_of_a_daemon_waits_until_the_hub_is_up);
	tcase_add_test(t, who_dies_again_and_again_is_tried_on_but_the_others_have_its_share);
	tcase_add_test(t, a_keyholder_that_dies_is_replaced_and_workers_reach_the_new_one);
	tcase_add_test(t, a_worker_whose_heart_stops_is_replaced);
	tcase_add_test(t, the_secret_of_address_proofs_changes_and_the_one_before_still_counts);
	tcase_add_test(t, the_master_keeps_few_rights);
	tcase_add_test(t, a_wrong_key_stops_the_start);
	suite_add_tcase(suite, t);
	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
