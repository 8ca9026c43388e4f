/* SPDX-License-Identifier: MIT
 * What a service manager hears, with a socket in its place. */
#include "master/notify.h"

#include <check.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static char path[64];
static struct notify n;

/* A manager that listens at `name`. */
static int manager(const char *name)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	size_t len = strlen(name);
	memcpy(at.sun_path, name, len);
	if (name[0] == '@')
		at.sun_path[0] = '\0';
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(
		bind(fd, (struct sockaddr *)&at, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len)),
		0);
	return fd;
}

static int file_manager(void)
{
	snprintf(path, sizeof(path), "/tmp/vpnserverd-notify-%ld", (long)getpid());
	unlink(path);
	int fd = manager(path);
	setenv("NOTIFY_SOCKET", path, 1);
	notify_open(&n);
	return fd;
}

static const char *heard(int fd)
{
	static char text[1024];
	ssize_t len = recv(fd, text, sizeof(text) - 1, 0);
	text[len > 0 ? len : 0] = '\0';
	return text;
}

START_TEST(each_change_of_life_is_one_datagram)
{
	int fd = file_manager();
	char ready[80];
	ck_assert(notify_wanted(&n));
	notify_ready(&n, "Running");
	snprintf(ready, sizeof(ready), "READY=1\nMAINPID=%ld\nSTATUS=Running", (long)getpid());
	ck_assert_str_eq(heard(fd), ready);
	notify_alive(&n);
	ck_assert_str_eq(heard(fd), "WATCHDOG=1");
	notify_stopping(&n, "Ending");
	ck_assert_str_eq(heard(fd), "STOPPING=1\nSTATUS=Ending");
	ck_assert_str_eq(heard(fd), "");
	notify_close(&n);
	unlink(path);
}
END_TEST

/* One descriptor, the name it is kept under, and that nobody shall watch it. */
START_TEST(a_descriptor_is_kept_under_its_name_until_it_is_taken_back)
{
	int fd = file_manager(), ends[2], kept;
	char text[200], byte;
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(2 * sizeof(int))];
	struct iovec part = { text, sizeof(text) - 1 };
	struct msghdr m = { .msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control) };
	ck_assert_int_eq(pipe(ends), 0);
	ck_assert(notify_keep(&n, "tun-1", ends[0]));
	close(ends[0]);
	ssize_t len = recvmsg(fd, &m, 0);
	ck_assert_int_gt(len, 0);
	text[len] = '\0';
	ck_assert_str_eq(text, "FDSTORE=1\nFDPOLL=0\nFDNAME=tun-1");
	struct cmsghdr *head = CMSG_FIRSTHDR(&m);
	ck_assert(head && head->cmsg_type == SCM_RIGHTS && head->cmsg_len == CMSG_LEN(sizeof(int)));
	memcpy(&kept, CMSG_DATA(head), sizeof(kept));
	ck_assert_int_eq(write(ends[1], "x", 1), 1);
	ck_assert_int_eq(read(kept, &byte, 1), 1);
	ck_assert(notify_keep_no_more(&n, "tun-1"));
	ck_assert_str_eq(heard(fd), "FDSTOREREMOVE=1\nFDNAME=tun-1");
	close(fd); /* it does not hear us */
	ck_assert(!notify_keep(&n, "tun-1", ends[1]));
	ck_assert(!notify_keep_no_more(&n, "tun-1"));
	notify_close(&n);
	unlink(path);
	ck_assert(!notify_keep(&n, "tun-1", ends[1])); /* nobody asked */
	close(ends[1]);
	close(kept);
}
END_TEST

/* An exec: who comes after us finds in the environment what we took out of it. */
START_TEST(a_successor_finds_the_manager_too)
{
	setenv("WATCHDOG_USEC", "4000000", 1);
	int fd = file_manager();
	ck_assert_ptr_null(getenv("NOTIFY_SOCKET"));
	ck_assert_int_eq(n.watchdog, 2000);
	notify_put_back(&n);
	ck_assert_str_eq(getenv("NOTIFY_SOCKET"), path);
	notify_close(&n);
	notify_open(&n);
	ck_assert(notify_wanted(&n));
	ck_assert_int_eq(n.watchdog, 2000);
	notify_alive(&n);
	ck_assert_str_eq(heard(fd), "WATCHDOG=1");
	notify_close(&n);
	close(fd);
	unlink(path);
}
END_TEST

START_TEST(a_reload_carries_the_time_of_the_managers_clock)
{
	int fd = file_manager();
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	long long before = (long long)t.tv_sec * 1000000 + t.tv_nsec / 1000, said;
	notify_reloading(&n, "Again");
	ck_assert_int_eq(sscanf(heard(fd), "RELOADING=1\nMONOTONIC_USEC=%lld\nSTATUS=Again", &said), 1);
	ck_assert_int_ge(said, before);
	ck_assert_int_lt(said, before + 5000000);
	unlink(path);
}
END_TEST

START_TEST(a_name_outside_the_file_system_is_reached_too)
{
	char name[64];
	snprintf(name, sizeof(name), "@vpnserverd-notify-%ld", (long)getpid());
	int fd = manager(name);
	setenv("NOTIFY_SOCKET", name, 1);
	notify_open(&n);
	notify_alive(&n);
	ck_assert_str_eq(heard(fd), "WATCHDOG=1");
}
END_TEST

START_TEST(a_long_status_is_cut)
{
	int fd = file_manager();
	char status[400];
	memset(status, 'x', sizeof(status) - 1);
	status[sizeof(status) - 1] = '\0';
	notify_stopping(&n, status);
	ck_assert_uint_eq(strlen(heard(fd)), strlen("STOPPING=1\nSTATUS=") + 200);
	unlink(path);
}
END_TEST

START_TEST(scripts_inherit_nothing_to_speak_with)
{
	setenv("WATCHDOG_USEC", "1000000", 1);
	setenv("WATCHDOG_PID", "1", 1);
	int fd = file_manager();
	ck_assert_int_ge(fd, 0);
	ck_assert_ptr_null(getenv("NOTIFY_SOCKET"));
	ck_assert_ptr_null(getenv("WATCHDOG_USEC"));
	ck_assert_ptr_null(getenv("WATCHDOG_PID"));
	unlink(path);
}
END_TEST

static span_ms watchdog_of(const char *usec, const char *pid)
{
	setenv("WATCHDOG_USEC", usec, 1);
	if (pid)
		setenv("WATCHDOG_PID", pid, 1);
	close(file_manager());
	unlink(path);
	return n.watchdog;
}

START_TEST(signs_of_life_come_twice_as_often_as_they_must)
{
	char us[24];
	snprintf(us, sizeof(us), "%ld", (long)getpid());
	ck_assert_int_eq(watchdog_of("30000000", NULL), 15000);
	ck_assert_int_eq(watchdog_of("30000000", us), 15000);
	ck_assert_int_eq(watchdog_of("500", NULL), 1); /* never zero: that means none */
}
END_TEST

START_TEST(nonsense_and_what_is_for_another_process_give_no_watchdog)
{
	static const char *const wrong[] = { "", "0", "-5", "5s", "x", "99999999999999999999999" };
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		ck_assert_msg(watchdog_of(wrong[i], NULL) == 0, "%s", wrong[i]);
	ck_assert_int_eq(watchdog_of("30000000", "1"), 0);
}
END_TEST

START_TEST(nobody_asked_and_nothing_happens)
{
	char longest[200];
	memset(longest, 'a', sizeof(longest) - 1);
	longest[0] = '/';
	longest[sizeof(longest) - 1] = '\0';
	const char *const wrong[] = { NULL, "", "/", "@", "relative", "vsock:2:1234", longest };
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		unsetenv("NOTIFY_SOCKET");
		if (wrong[i])
			setenv("NOTIFY_SOCKET", wrong[i], 1);
		notify_open(&n);
		ck_assert(!notify_wanted(&n));
		notify_ready(&n, "Running");
		notify_alive(&n);
		notify_close(&n);
	}
}
END_TEST

START_TEST(a_manager_that_is_gone_or_does_not_listen_stops_nobody)
{
	int fd = file_manager();
	struct timeval at_once = { .tv_usec = 1 };
	int smallest = 1;
	setsockopt(n.fd, SOL_SOCKET, SO_SNDTIMEO, &at_once, sizeof(at_once));
	setsockopt(n.fd, SOL_SOCKET, SO_SNDBUF, &smallest, sizeof(smallest));
	for (int i = 0; i < 30; i++) /* more than fits: the last ones wait in vain */
		notify_alive(&n);
	close(fd);
	notify_alive(&n);
	unlink(path);
	notify_stopping(&n, "Ending");
	notify_close(&n);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("notify");
	TCase *all = tcase_create("all");
	tcase_add_test(all, each_change_of_life_is_one_datagram);
	tcase_add_test(all, a_descriptor_is_kept_under_its_name_until_it_is_taken_back);
	tcase_add_test(all, a_successor_finds_the_manager_too);
	tcase_add_test(all, a_reload_carries_the_time_of_the_managers_clock);
	tcase_add_test(all, a_name_outside_the_file_system_is_reached_too);
	tcase_add_test(all, a_long_status_is_cut);
	tcase_add_test(all, scripts_inherit_nothing_to_speak_with);
	tcase_add_test(all, signs_of_life_come_twice_as_often_as_they_must);
	tcase_add_test(all, nonsense_and_what_is_for_another_process_give_no_watchdog);
	tcase_add_test(all, nobody_asked_and_nothing_happens);
	tcase_add_test(all, a_manager_that_is_gone_or_does_not_listen_stops_nobody);
	suite_add_tcase(suite, all);
	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
