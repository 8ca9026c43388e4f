/* SPDX-License-Identifier: MIT
 * SIGHUP: what changes, what stays, what happens when the new configuration is no good; and the CRL. */
#include "hub.h"

#include "common/tls/tls.h"
#include "master/log.h"
#include "master/master.h"

#include <arpa/inet.h>
#include <check.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct hub hub;

/* A change that only new workers know about, and one by which they are known. */
#define ROLLING "verb 4\nreneg-sec 77\n"

static void started(void)
{
	hub_prepare(&hub);
	hub_start(&hub);
	ck_assert_msg(hub_logs(&hub, "Initialization Sequence Completed"), "%s", hub_log(&hub));
}

static void put_file(const char *name, const char *text)
{
	FILE *out = fopen(hub_path(&hub, name), "w");
	ck_assert_ptr_nonnull(out);
	fputs(text, out);
	fclose(out);
}

START_TEST(workers_are_replaced_one_after_another_with_the_new_settings)
{
	started();
	hub_configure(&hub, ROLLING);
	kill(hub.master, SIGHUP);
	ck_assert(hub_logs(&hub, "Reload done"));
	ck_assert_int_eq(fake->births[0], 2);
	ck_assert_int_eq(fake->births[1], 2);
	ck_assert_int_eq(fake->leaves, HUB_WORKERS);
	ck_assert_int_eq(fake->verbs[0], 4);
	ck_assert_int_eq(fake->verbs[1], 4);
	ck_assert_int_eq(fake->successors[0], 1);
	ck_assert_int_eq(fake->signatures, 2 * HUB_WORKERS);
	ck_assert_int_eq(fake->stray_fds, 0);
	hub_clean(&hub);
}
END_TEST

static void reload_with_workers(int workers)
{
	hub.workers = workers;
	hub_configure(&hub, "verb 3\n");
	kill(hub.master, SIGHUP);
}

START_TEST(the_number_of_workers_changes_with_the_configuration)
{
	started();
	reload_with_workers(4);
	ck_assert(hub_logs(&hub, "There are 4 workers now"));
	ck_assert(hub_logs(&hub, "Reload done"));
	ck_assert(WAIT_FOR(fake->ready[2] && fake->ready[3])); /* the others need not wait for them */
	ck_assert_int_eq(fake->births[2], 1);
	ck_assert_int_eq(fake->births[3], 1);
	ck_assert_int_eq(fake->births[1], 1); /* nothing changes for the others */
	ck_assert_int_eq(fake->successors[3], 0);
	ck_assert_int_eq(fake->stray_fds, 0);
	reload_with_workers(1);
	ck_assert(hub_logs(&hub, "Worker 1 is no more"));
	ck_assert(strstr(hub_log(&hub), "Worker 3 is no more") < strstr(hub_log(&hub), "Worker 2 is no more"));
	ck_assert(strstr(hub_log(&hub), "Worker 2 is no more") < strstr(hub_log(&hub), "Worker 1 is no more"));
	for (int w = 1; w < 4; w++)
		ck_assert_int_lt(kill(fake->pids[w], 0), 0);
	ck_assert_int_eq(fake->births[0], 1);
	reload_with_workers(2);
	ck_assert(hub_logs(&hub, "There are 2 workers now"));
	ck_assert(WAIT_FOR(fake->births[1] == 2 && fake->ready[1]));
	hub_clean(&hub);
}
END_TEST

START_TEST(who_is_to_end_and_does_not_is_ended)
{
	started();
	fake->stubborn = 1;
	int victim = fake->pids[1];
	reload_with_workers(1);
	ck_assert(hub_logs(&hub, "Worker 1 is no more"));
	ck_assert_int_lt(kill(victim, 0), 0);
	fake->stubborn = 0;
	ck_assert_int_eq(fake->births[0], 1);
	hub_clean(&hub);
}
END_TEST

START_TEST(more_workers_than_there_is_room_for_are_told)
{
	started();
	reload_with_workers(200);
	ck_assert(hub_logs(&hub, "WARNING: hub.workers 200: there is room for"));
	ck_assert(hub_logs(&hub, "Reload done"));
	ck_assert(WAIT_FOR(fake->ready[3]));
	hub_clean(&hub);
}
END_TEST

/* The new one does not come up: everything is as before, the number too. */
START_TEST(a_reload_that_is_undone_takes_its_workers_along)
{
	started();
	fake->fail_at_verb = 4;
	hub.workers = 3;
	hub_configure(&hub, ROLLING);
	kill(hub.master, SIGHUP);
	ck_assert(hub_logs(&hub, "back to the one before"));
	ck_assert(hub_logs(&hub, "Worker 2 is no more"));
	ck_assert(WAIT_FOR(fake->ready[0] && fake->ready[1]));
	fake->fail_at_verb = 0;
	reload_with_workers(3);
	ck_assert(WAIT_FOR(fake->ready[2]));
	hub_clean(&hub);
}
END_TEST

START_TEST(an_error_leaves_everything_as_it_was)
{
	started();
	hub_configure(&hub, "verb 4\nnonsense 17\nreneg-sec x\n");
	kill(hub.master, SIGHUP);
	ck_assert(hub_logs(&hub, "Reload failed"));
	ck_assert_ptr_nonnull(strstr(hub_log(&hub), "nonsense"));
	ck_assert_ptr_nonnull(strstr(hub_log(&hub), "reneg-sec"));
	ck_assert_int_eq(fake->births[0], 1);
	ck_assert_int_eq(fake->leaves, 0);

	hub_configure(&hub, ROLLING); /* and repaired, it works */
	kill(hub.master, SIGHUP);
	ck_assert(hub_logs(&hub, "Reload done"));
	ck_assert_int_eq(fake->verbs[1], 4);
	hub_clean(&hub);
}
END_TEST

START_TEST(what_no_worker_must_be_born_for_replaces_none)
{
	started();
	hub_configure(&hub, "verb 4\nstatus-version 3\nmax-clients 5000\n");
	kill(hub.master, SIGHUP);
	ck_assert(hub_logs(&hub, "Reload done: no worker had to be replaced"));
	ck_assert(WAIT_FOR(fake->verbs[0] == 4 && fake->verbs[1] == 4)); /* by an order */
	ck_assert_int_eq(fake->births[0], 1);
	ck_assert_int_eq(fake->leaves, 0);
	ck_assert_ptr_nonnull(strstr(hub_log(&hub), "reload: status-version changed: at once"));
	ck_assert_ptr_nonnull(strstr(hub_log(&hub), "reload: max-clients new: takes a restart"));
	ck_assert_ptr_nonnull(strstr(hub_log(&hub), "reload: 0 clients: 0 nothing"));
	/* whoever is born later has it all, and the keyholder still answers */
	kill(fake->pids[0], SIGKILL);
	ck_assert(WAIT_FOR(fake->births[0] == 2 && fake->ready[0] && fake->signatures == HUB_WORKERS + 1));
	ck_assert_int_eq(fake->verbs[0], 4);
	hub_clean(&hub);
}
END_TEST

START_TEST(a_reload_without_a_difference_replaces_workers_all_the_same)
{
	started();
	kill(hub.master, SIGHUP);
	ck_assert(hub_logs(&hub, "Reload done: all workers"));
	ck_assert_int_eq(fake->leaves, HUB_WORKERS);
	hub_clean(&hub);
}
END_TEST

START_TEST(another_key_behind_the_same_name_needs_new_workers)
{
	started();
	char command[400]; /* the same key in another file */
	snprintf(command, sizeof(command), "cp %s/pki/server.key %s/k && mv %s/k %s/pki/server.key", hub.dir, hub.dir,
		hub.dir, hub.dir);
	ck_assert_int_eq(system(command), 0);
	hub_configure(&hub, "verb 4\n");
	kill(hub.master, SIGHUP);
	ck_assert(hub_logs(&hub, "Reload done: all workers"));
	ck_assert_int_eq(fake->leaves, HUB_WORKERS);
	hub_clean(&hub);
}
END_TEST

START_TEST(what_no_worker_would_start_with_is_found_before_any_is_replaced)
{
	started();
	hub_configure(&hub, "verb 4\ntls-cipher NONSENSE\n");
	kill(hub.master, SIGHUP);
	ck_assert(hub_logs(&hub, "Reload failed, everything stays as it was: tls-cipher"));
	ck_assert_int_eq(fake->leaves, 0);
	hub_clean(&hub);
}
END_TEST

START_TEST(a_key_that_is_not_the_certificates_is_refused)
{
	started();
	char command[200];
	snprintf(command, sizeof(command), "cp %s/pki/client.key %s/pki/server.key", hub.dir, hub.dir);
	ck_assert_int_eq(system(command), 0);
	kill(hub.master, SIGHUP);
	ck_assert(hub_logs(&hub, "Reload failed, everything stays as it was: key: does not belong"));
	ck_assert_int_eq(fake->births[0], 1);
	kill(fake->pids[0], SIGKILL); /* the old keyholder still serves */
	ck_assert(WAIT_FOR(fake->signatures == HUB_WORKERS + 1));
	hub_clean(&hub);
}
END_TEST

START_TEST(settings_with_which_no_worker_starts_are_taken_back)
{
	started();
	fake->fail_at_verb = 4;
	hub_configure(&hub, ROLLING);
	kill(hub.master, SIGHUP);
	ck_assert(hub_logs(&hub, "back to the one before"));
	ck_assert(WAIT_FOR(fake->verbs[0] == 3 && fake->ready[0]));
	ck_assert_int_eq(fake->births[1], 1);
	ck_assert_int_eq(fake->verbs[1], 3);
	fake->fail_at_verb = 0;
	kill(hub.master, SIGHUP);
	ck_assert(hub_logs(&hub, "Reload done"));
	ck_assert_int_eq(fake->verbs[0], 4);
	hub_clean(&hub);
}
END_TEST

START_TEST(what_takes_a_restart_is_named_and_stays)
{
	started();
	hub_configure(&hub, ROLLING "max-clients 77\nhub.name other\nport 1195\n");
	kill(hub.master, SIGHUP);
	ck_assert(hub_logs(&hub, "takes a restart"));
	const char *line = strstr(hub_log(&hub), "takes a restart");
	ck_assert_ptr_nonnull(strstr(line, "max-clients"));
	ck_assert_ptr_nonnull(strstr(line, "hub.name"));
	ck_assert(hub_logs(&hub, "Reload done"));
	ck_assert_int_eq(fake->verbs[0], 4);
	hub_clean(&hub);
	ck_assert_int_lt(access(hub_path(&hub, "run/test.lock"), F_OK), 0);
}
END_TEST

START_TEST(two_reloads_at_once_are_done_one_after_the_other)
{
	started();
	for (int i = 0; i < 3; i++) {
		kill(hub.master, SIGHUP);
		usleep(3000);
	}
	ck_assert(hub_logs(&hub, "Reload done"));
	ck_assert(WAIT_FOR(fake->ready[0] && fake->ready[1] && fake->births[1] >= 2));
	usleep(100000);
	hub_configure(&hub, "verb 5\nreneg-sec 78\n");
	kill(hub.master, SIGHUP);
	ck_assert(WAIT_FOR(fake->verbs[0] == 5 && fake->verbs[1] == 5));
	hub_clean(&hub);
}
END_TEST

START_TEST(a_worker_that_will_not_leave_is_made_to)
{
	started();
	fake->stubborn = 1;
	hub_configure(&hub, ROLLING);
	kill(hub.master, SIGHUP);
	ck_assert(WAIT_FOR(fake->births[0] == 2));
	ck_assert(hub_logs(&hub, "does not end: killed"));
	fake->stubborn = 0;
	ck_assert(hub_logs(&hub, "Reload done"));
	hub_clean(&hub);
}
END_TEST

static char *read_pki(const char *name)
{
	FILE *in = fopen(hub_path(&hub, name), "r");
	char *text = calloc(1, 8192);
	ck_assert_ptr_nonnull(in);
	ck_assert_uint_gt(fread(text, 1, 8191, in), 0);
	fclose(in);
	return text;
}

START_TEST(a_crl_that_changed_reaches_the_workers_and_a_broken_one_does_not)
{
	char error[TLS_REASON_MAX], *crl;
	hub_prepare(&hub);
	char *ca = read_pki("pki/ca.crt"), *key = read_pki("pki/ca.key"),
	     *client = read_pki("pki/client.crt");
	ck_assert(pki_make_crl(ca, key, NULL, 0, 30, &crl, error));
	put_file("crl.pem", crl);
	char line[128];
	snprintf(line, sizeof(line), "verb 3\ncrl-verify %s\n", hub_path(&hub, "crl.pem"));
	hub_configure(&hub, line);
	hub_start(&hub);
	ck_assert(hub_logs(&hub, "Initialization Sequence Completed"));

	put_file("crl.pem", "-----BEGIN X509 CRL-----\nbm90aGluZw==\n-----END X509 CRL-----\n");
	ck_assert(hub_logs(&hub, "the old one stays in force"));
	ck_assert_int_eq(fake->crls, 0);
	ck_assert_int_eq(fake->crl_losses, 0); /* it may be there half */
	ck_assert(WAIT_FOR(fake->crl_losses == HUB_WORKERS));
	ck_assert_int_eq(fake->crls, 0);

	const char *revoked[] = { client };
	char *longer;
	ck_assert(pki_make_crl(ca, key, revoked, 1, 30, &longer, error));
	put_file("crl.pem", longer);
	ck_assert(WAIT_FOR(fake->crls == HUB_WORKERS));
	ck_assert_int_eq(fake->crl_len, (int)strlen(longer));
	hub_clean(&hub);
	free(ca);
	free(key);
	free(client);
	free(crl);
	free(longer);
}
END_TEST

START_TEST(a_crl_that_is_missing_is_told_once_and_one_that_did_not_get_through_is_sent_again)
{
	char error[TLS_REASON_MAX], *crl, *longer;
	hub_prepare(&hub);
	char *ca = read_pki("pki/ca.crt"), *key = read_pki("pki/ca.key"),
	     *client = read_pki("pki/client.crt");
	const char *revoked[] = { client };
	ck_assert(pki_make_crl(ca, key, NULL, 0, 30, &crl, error));
	ck_assert(pki_make_crl(ca, key, revoked, 1, 30, &longer, error));
	put_file("crl.pem", crl);
	char line[128];
	snprintf(line, sizeof(line), "verb 3\nmute 3\ncrl-verify %s\n", hub_path(&hub, "crl.pem"));
	hub_configure(&hub, line);
	hub_start(&hub);
	ck_assert(hub_logs(&hub, "Initialization Sequence Completed"));
	unlink(hub_path(&hub, "crl.pem"));
	ck_assert(hub_logs(&hub, "cannot be read; the old one stays in force"));
	ck_assert(WAIT_FOR(fake->crl_losses == HUB_WORKERS));
	usleep(400000); /* some ticks */
	const char *told = strstr(hub_log(&hub), "stays in force");
	ck_assert_ptr_null(strstr(told + 1, "stays in force"));
	ck_assert_int_eq(fake->crl_losses, HUB_WORKERS);
	kill(fake->pids[0], SIGKILL); /* its successor is born with it */
	ck_assert(WAIT_FOR(fake->crl_losses == HUB_WORKERS + 1));
	put_file("crl.pem", crl);
	ck_assert(hub_logs(&hub, "is there again, as it was"));
	ck_assert(WAIT_FOR(fake->crls == HUB_WORKERS));
	ck_assert_int_eq(fake->crl_len, (int)strlen(crl));

	/* its queue is full: workers that do not listen, and an order that each signal sends */
	fake->deaf = 1;
	int sent = 0;
	for (; sent < 5000 && !strstr(hub_log(&hub), "could not be told"); sent++) {
		kill(hub.master, SIGUSR1);
		usleep(500);
		if (sent == 1500)
			put_file("crl.pem", longer);
	}
	ck_assert(hub_logs(&hub, "could not be told the new CRL yet"));
	fake->deaf = 0;
	ck_assert(WAIT_FOR(fake->crls >= 2 * HUB_WORKERS));
	ck_assert_int_eq(fake->crl_len, (int)strlen(longer));
	hub_clean(&hub);
	free(ca);
	free(key);
	free(client);
	free(crl);
	free(longer);
}
END_TEST

/* -- without a hub -- */

START_TEST(what_only_a_restart_changes_is_taken_from_the_first_configuration)
{
	struct listener l = { .address_len = sizeof(struct sockaddr_in), .spelled = "a" };
	struct listener other = l;
	((struct sockaddr_in *)&other.address)->sin_port = htons(1195);
	struct route4 r = { .network = 1, .metric = -1 }, r2 = { .network = 2, .metric = -1 };
	struct config born = { .listeners = &l,
		.listener_count = 1,
		.dev = "tun",
		.max_clients = 10,
		.verb = 3,
		.routes4 = &r,
		.route4_count = 1,
		.user = "nobody" };
	struct config fresh = { .listeners = &other,
		.listener_count = 1,
		.dev = "tun",
		.max_clients = 20,
		.verb = 4,
		.routes4 = &r2,
		.route4_count = 1,
		.user = "nobody",
		.pool4 = { .on = true } };
	char changed[512];
	reload_keep_born(&fresh, &born, changed, sizeof(changed));
	ck_assert_str_eq(changed, "local/port/proto, route, ifconfig-pool, max-clients");
	ck_assert_ptr_eq(fresh.listeners, &l);
	ck_assert_ptr_eq(fresh.routes4, &r);
	ck_assert_uint_eq(fresh.max_clients, 10);
	ck_assert(!fresh.pool4.on);
	ck_assert_int_eq(fresh.verb, 4);

	struct config same = born;
	same.verb = 5;
	reload_keep_born(&same, &born, changed, sizeof(changed));
	ck_assert_str_eq(changed, "");
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("reload");
	TCase *t = tcase_create("reload");
	tcase_set_timeout(t, 30);
	tcase_add_test(t, workers_are_replaced_one_after_another_with_the_new_settings);
	tcase_add_test(t, the_number_of_workers_changes_with_the_configuration);
	tcase_add_test(t, who_is_to_end_and_does_not_is_ended);
	tcase_add_test(t, more_workers_than_there_is_room_for_are_told);
	tcase_add_test(t, a_reload_that_is_undone_takes_its_workers_along);
	tcase_add_test(t, an_error_leaves_everything_as_it_was);
	tcase_add_test(t, what_no_worker_must_be_born_for_replaces_none);
	tcase_add_test(t, a_reload_without_a_difference_replaces_workers_all_the_same);
	tcase_add_test(t, another_key_behind_the_same_name_needs_new_workers);
	tcase_add_test(t, what_no_worker_would_start_with_is_found_before_any_is_replaced);
	tcase_add_test(t, a_key_that_is_not_the_certificates_is_refused);
	tcase_add_test(t, settings_with_which_no_worker_starts_are_taken_back);
	tcase_add_test(t, what_takes_a_restart_is_named_and_stays);
	tcase_add_test(t, two_reloads_at_once_are_done_one_after_the_other);
	tcase_add_test(t, a_worker_that_will_not_leave_is_made_to);
	tcase_add_test(t, a_crl_that_changed_reaches_the_workers_and_a_broken_one_does_not);
	tcase_add_test(t, a_crl_that_is_missing_is_told_once_and_one_that_did_not_get_through_is_sent_again);
	tcase_add_test(t, what_only_a_restart_changes_is_taken_from_the_first_configuration);
	suite_add_tcase(suite, t);
	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
