/* SPDX-License-Identifier: MIT
 * The management interface on real sockets: whose they are, who may call, more callers than places, readers that stop. */
#include "master/log.h"
#include "master/manage_internal.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static struct master m;
static struct config config;

/* Puts another file in the place of a socket's as soon as it is there. */
static struct quick {
	const char *path, *other; /* path NULL: nothing */
	bool as_link;
} quick;

int bind(int fd, const struct sockaddr *address, socklen_t len)
{
	const struct sockaddr_un *name = (const struct sockaddr_un *)address;
	int result = (int)syscall(SYS_bind, fd, address, len);
	if (result == 0 && quick.path && address->sa_family == AF_UNIX && strcmp(name->sun_path, quick.path) == 0) {
		unlink(quick.path);
		if (quick.as_link ? symlink(quick.other, quick.path) : rename(quick.other, quick.path))
			_exit(9);
	}
	return result;
}

#define HAS(text, part) ck_assert_msg(strstr((text), (part)) != NULL, "%s", (text))
#define LACKS(text, part) ck_assert_msg(strstr((text), (part)) == NULL, "%s", (text))

static char dir[64];

static int open_real(void)
{
	strcpy(dir, "/tmp/vpnserverd-manage-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	ck_assert_int_eq(chmod(dir, 0755), 0);
	config = (struct config){ .runtime_dir = dir, .name = "hub", .management = { .log_cache = 10 } };
	m = (struct master){ .phase = PHASE_RUNNING, .now.config = &config, .epoll_fd = epoll_create1(EPOLL_CLOEXEC) };
	return 0;
}

static const char *in_dir(const char *name)
{
	static char path[100];
	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return path;
}

static void turns(void)
{
	struct epoll_event events[64];
	for (int idle = 0; idle < 3;) {
		int count = epoll_wait(m.epoll_fd, events, 64, 5);
		for (int i = 0; i < count; i++)
			manage_said(&m, events[i].data.u32, events[i].events);
		manage_on_time(&m, master_now());
		idle = count > 0 ? 0 : idle + 1;
	}
}

static int calls(const char *name)
{
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
	snprintf(to.sun_path, sizeof(to.sun_path), "%s", in_dir(name));
	if (connect(fd, (struct sockaddr *)&to, sizeof(to)) == 0)
		return fd;
	close(fd);
	return -errno;
}

static ssize_t reads(int fd, char *out, size_t room)
{
	turns();
	ssize_t len = recv(fd, out, room - 1, MSG_DONTWAIT);
	out[len > 0 ? len : 0] = '\0';
	return len;
}

static void close_real(void)
{
	manage_close(&m);
	ck_assert_ptr_null(m.manage);
	ck_assert_int_lt(access(in_dir("hub.control"), F_OK), 0);
	close(m.epoll_fd);
	ck_assert_int_eq(rmdir(dir), 0);
}

START_TEST(a_dead_hubs_socket_is_replaced_and_a_living_ones_is_not)
{
	char heard[4096];
	open_real();
	struct sockaddr_un name = { .sun_family = AF_UNIX };
	snprintf(name.sun_path, sizeof(name.sun_path), "%s", in_dir("m.sock"));
	int other = socket(AF_UNIX, SOCK_STREAM, 0);
	ck_assert_int_eq(bind(other, (struct sockaddr *)&name, sizeof(name)), 0);
	ck_assert_int_eq(listen(other, 1), 0);
	config.management.path = name.sun_path;
	ck_assert_int_eq(manage_open(&m), -EADDRINUSE); /* it lives */
	manage_close(&m);
	ck_assert_int_eq(access(name.sun_path, F_OK), 0);
	close(other); /* now it is dead */
	ck_assert_int_eq(manage_open(&m), 0);
	int fd = calls("m.sock");
	ck_assert_int_ge(fd, 0);
	ck_assert_int_gt(reads(fd, heard, sizeof(heard)), 0);
	close(fd);
	close_real();
}
END_TEST

START_TEST(a_file_that_is_no_socket_stays)
{
	open_real();
	char path[100];
	strcpy(path, in_dir("precious"));
	close(open(path, O_CREAT | O_WRONLY, 0600));
	config.management.path = path;
	ck_assert_int_eq(manage_open(&m), -EADDRINUSE);
	manage_close(&m);
	ck_assert_int_eq(unlink(path), 0);
	close_real();
}
END_TEST

START_TEST(more_callers_than_places_and_those_who_owe_the_password_go_first)
{
	char heard[4096];
	int fds[2 * MANAGE_CLIENTS_MAX];
	open_real();
	char path[100], password[] = "word\n";
	strcpy(path, in_dir("m.sock"));
	config.management.path = path;
	config.management.password = (struct file_text){ .path = "pw", .bytes = password, .len = 5 };
	ck_assert_int_eq(manage_open(&m), 0);
	ck_assert_int_eq(password[0], 0); /* no worker will inherit it */
	int known = calls("m.sock");
	reads(known, heard, sizeof(heard));
	ck_assert_int_eq(send(known, "word\n", 5, MSG_NOSIGNAL), 5);
	reads(known, heard, sizeof(heard));
	HAS(heard, "SUCCESS: password is correct");
	for (int i = 0; i < 2 * MANAGE_CLIENTS_MAX; i++) {
		ck_assert_int_ge(fds[i] = calls("m.sock"), 0);
		turns();
	}
	ck_assert_int_eq(send(known, "pid\n", 4, MSG_NOSIGNAL), 4);
	ck_assert_int_gt(reads(known, heard, sizeof(heard)), 0);
	HAS(heard, "SUCCESS: pid=");
	reads(fds[0], heard, sizeof(heard));
	ck_assert_int_eq(reads(fds[0], heard, sizeof(heard)), 0); /* gone */
	ck_assert_int_gt(reads(fds[2 * MANAGE_CLIENTS_MAX - 1], heard, sizeof(heard)), 0);
	for (int i = 0; i < 2 * MANAGE_CLIENTS_MAX; i++)
		close(fds[i]);
	close(known);
	close_real();
}
END_TEST

START_TEST(a_full_house_of_known_clients_turns_the_next_one_away)
{
	char heard[4096];
	int fds[MANAGE_CLIENTS_MAX];
	open_real();
	ck_assert_int_eq(manage_open(&m), 0);
	for (int i = 0; i < MANAGE_CLIENTS_MAX; i++) {
		ck_assert_int_ge(fds[i] = calls("hub.control"), 0);
		turns();
	}
	int late = calls("hub.control");
	ck_assert_int_eq(reads(late, heard, sizeof(heard)), 0);
	close(fds[5]);
	close(late);
	turns();
	late = calls("hub.control");
	ck_assert_int_gt(reads(late, heard, sizeof(heard)), 0);
	for (int i = 0; i < MANAGE_CLIENTS_MAX; i++)
		if (i != 5)
			close(fds[i]);
	close(late);
	close_real();
}
END_TEST

START_TEST(a_reader_that_stops_is_dropped_and_the_hub_does_not_wait)
{
	char heard[4096], line[600];
	open_real();
	ck_assert_int_eq(manage_open(&m), 0);
	int fd = calls("hub.control");
	reads(fd, heard, sizeof(heard));
	ck_assert_int_eq(send(fd, "log on\n", 7, MSG_NOSIGNAL), 7);
	turns();
	memset(line, 'l', sizeof(line));
	line[sizeof(line) - 1] = '\0';
	ck_assert_int_eq(log_open(&(struct log_settings){ .file = "/dev/null" }), 0);
	mono_ms before = master_now();
	for (int i = 0; i < 5000 && !m.manage->counts.slow; i++) {
		log_foreign(0, line, strlen(line));
		manage_on_time(&m, master_now());
	}
	ck_assert_uint_eq(m.manage->counts.slow, 1);
	ck_assert_int_lt(master_now() - before, 5000);
	turns();
	EACH_CLIENT (m.manage, each)
		ck_abort_msg("it is still there");
	close(fd);
	close_real();
}
END_TEST

START_TEST(who_says_quit_or_goes_gets_its_answers_first)
{
	char heard[4096];
	open_real();
	ck_assert_int_eq(manage_open(&m), 0);
	int fd = calls("hub.control");
	ck_assert_int_eq(send(fd, "log all\npid\nquit\nverb\n", 22, MSG_NOSIGNAL), 22);
	reads(fd, heard, sizeof(heard));
	HAS(heard, "SUCCESS: pid=");
	LACKS(heard, "verb=");
	ck_assert_int_eq(reads(fd, heard, sizeof(heard)), 0);
	close(fd);
	fd = calls("hub.control");
	ck_assert_int_eq(send(fd, "pid\nlog all\n", 12, MSG_NOSIGNAL), 12);
	shutdown(fd, SHUT_WR);
	reads(fd, heard, sizeof(heard));
	HAS(heard, "SUCCESS: pid=");
	HAS(heard, "END\r\n");
	close(fd);
	close_real();
}
END_TEST

/* What an account hears at a socket: 0 a greeting, 1 nothing, 2 it may not even connect. */
static int as_account(const char *name, uid_t uid, gid_t gid, size_t more, const gid_t *groups)
{
	pid_t pid = fork();
	if (pid == 0) {
		if (setgroups(more, groups) < 0 || setgid(gid) < 0 || setuid(uid) < 0)
			_exit(9);
		int fd = calls(name);
		char byte;
		if (fd < 0)
			_exit(fd == -EACCES ? 2 : 8);
		fcntl(fd, F_SETFL, 0);
		_exit(recv(fd, &byte, 1, 0) > 0 ? 0 : 1);
	}
	int status = -1;
	for (int i = 0; i < 500 && waitpid(pid, &status, WNOHANG) == 0; i++)
		turns();
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

START_TEST(another_account_may_not_use_the_control_socket)
{
	if (geteuid() != 0)
		return; /* it takes root to become another */
	open_real();
	ck_assert_int_eq(manage_open(&m), 0);
	ck_assert_int_eq(as_account("hub.control", 65534, 65534, 0, NULL), 2);
	/* were the mode wider than it should be, it is asked who calls */
	ck_assert_int_eq(chmod(in_dir("hub.control"), 0666), 0);
	ck_assert_int_eq(as_account("hub.control", 65534, 65534, 0, NULL), 1);
	ck_assert_uint_eq(m.manage->counts.refused, 1);
	ck_assert_uint_eq(m.manage->counts.accepted, 0);
	close_real();
}
END_TEST

/* Somebody may write in the folder, and is quick: what was bound is something else a moment later. */
START_TEST(what_somebody_put_in_the_sockets_place_is_not_given_away)
{
	if (geteuid() != 0)
		return;
	char path[100], victim[100];
	struct stat is;
	open_real();
	strcpy(victim, in_dir("victim"));
	strcpy(path, in_dir("m.sock"));
	config.management.path = path;
	config.management.client_user = "nobody";
	for (int kind = 0; kind < 3; kind++) {
		int other = -1;
		struct sockaddr_un name = { .sun_family = AF_UNIX };
		strcpy(name.sun_path, victim);
		if (kind == 2) { /* a socket of root's, too, and a living one */
			other = socket(AF_UNIX, SOCK_STREAM, 0);
			ck_assert_int_eq(syscall(SYS_bind, other, &name, sizeof(name)), 0);
			ck_assert_int_eq(listen(other, 5), 0);
		} else {
			close(open(victim, O_CREAT | O_WRONLY, 0600));
		}
		ck_assert_int_eq(chmod(victim, 0600), 0);
		quick = (struct quick){ .path = path, .other = victim, .as_link = kind == 0 };
		ck_assert_int_ne(manage_open(&m), 0);
		manage_close(&m);
		quick.path = NULL;
		ck_assert_int_eq(lstat(kind == 0 ? victim : path, &is), 0);
		ck_assert_uint_eq(is.st_uid, 0);
		ck_assert_uint_eq(is.st_mode & 0777, 0600);
		if (other >= 0)
			close(other);
		unlink(victim);
		unlink(path);
	}
	ck_assert_int_eq(manage_open(&m), 0);
	ck_assert_int_eq(stat(path, &is), 0);
	ck_assert_uint_eq(is.st_uid, 65534);
	close_real();
}
END_TEST

START_TEST(the_directives_user_and_group_must_both_be_right)
{
	if (geteuid() != 0)
		return;
	const gid_t nogroup = 65534, other = 4711;
	open_real();
	char path[100];
	strcpy(path, in_dir("m.sock"));
	config.management.path = path;
	config.management.client_group = "nogroup";
	ck_assert_int_eq(manage_open(&m), 0);
	ck_assert_int_eq(as_account("m.sock", 4711, 4711, 1, &nogroup), 0); /* any of its groups */
	ck_assert_int_eq(as_account("m.sock", 4711, 65534, 0, NULL), 0);
	ck_assert_int_eq(as_account("m.sock", 4711, 4711, 1, &other), 2);
	ck_assert_int_eq(as_account("m.sock", 0, 0, 0, NULL), 0);
	manage_close(&m);
	config.management.client_user = "nobody";
	ck_assert_int_eq(manage_open(&m), 0);
	ck_assert_int_eq(as_account("m.sock", 65534, 65534, 0, NULL), 0);
	ck_assert_int_eq(as_account("m.sock", 4711, 65534, 0, NULL), 1);
	ck_assert_int_eq(as_account("m.sock", 65534, 4711, 0, NULL), 1);
	manage_close(&m);
	config.management.client_user = "no such user";
	ck_assert_int_eq(manage_open(&m), -ENOENT);
	close_real();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("manage sockets");
	TCase *tcase = tcase_create("all");
	tcase_set_timeout(tcase, 60);
	suite_add_tcase(suite, tcase);
	tcase_add_test(tcase, a_dead_hubs_socket_is_replaced_and_a_living_ones_is_not);
	tcase_add_test(tcase, a_file_that_is_no_socket_stays);
	tcase_add_test(tcase, more_callers_than_places_and_those_who_owe_the_password_go_first);
	tcase_add_test(tcase, a_full_house_of_known_clients_turns_the_next_one_away);
	tcase_add_test(tcase, a_reader_that_stops_is_dropped_and_the_hub_does_not_wait);
	tcase_add_test(tcase, who_says_quit_or_goes_gets_its_answers_first);
	tcase_add_test(tcase, another_account_may_not_use_the_control_socket);
	tcase_add_test(tcase, what_somebody_put_in_the_sockets_place_is_not_given_away);
	tcase_add_test(tcase, the_directives_user_and_group_must_both_be_right);
	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
