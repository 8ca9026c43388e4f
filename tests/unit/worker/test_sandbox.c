/* SPDX-License-Identifier: MIT
 * The sandbox, each story in a child of its own (check forks one per test): what still works, and what ends
 * the process. Needs no root for locking; the change of uid is tried where we are root. */
#include "worker/sandbox.h"

#include "tests/unit/worker/sockets.h"

#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

enum { NOBODY = 65534 };

static struct sandbox_state state;

static bool filtered(void)
{
	return state.seccomp;
}

/* Runs `deed` locked in, in a child. Its exit status; 1000 + the signal that ended it. */
static int locked(struct sandbox_needs needs, int (*deed)(void))
{
	int status;
	pid_t child = fork();

	ck_assert_int_ge(child, 0);
	if (child == 0) {
		if (sandbox_lock(&needs, &state) != 0)
			_exit(99);
		_exit(deed());
	}
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	return WIFSIGNALED(status) ? 1000 + WTERMSIG(status) : WEXITSTATUS(status);
}

static const struct sandbox_needs with_ring = { .ring = true }, with_poll = { .poll = true };

/* The process was ended for it; under a sanitizer there is no filter to do so. In a debug build the handler
 * exits. */
static bool refused(int how)
{
	return how == 1000 + SIGSYS || how == 128 + SIGSYS;
}

static bool has_filter(void)
{
	struct sandbox_state here = { 0 };
	int status;
	pid_t child = fork();

	if (child == 0) {
		bool yes = sandbox_lock(&with_ring, &here) == 0 && here.seccomp;
		_exit(yes ? 0 : 1);
	}
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static int make_socket(void)
{
	return socket(AF_INET, SOCK_DGRAM, 0) < 0;
}

static int open_file(void)
{
	return open("/etc/passwd", O_RDONLY) < 0;
}

static int make_ring(void)
{
	struct io_uring_params p = { 0 };

	return io_uring_setup(4, &p) < 0;
}

static int register_ring(void)
{
	return io_uring_register(0, IORING_REGISTER_PROBE, NULL, 0) < 0;
}

static int fork_child(void)
{
	return syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0) < 0;
}

static int run_program(void)
{
	return execl("/bin/true", "true", NULL);
}

static int change_mode(void)
{
	return prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
}

static int map_code(void)
{
	return mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED;
}

static int kill_parent(void)
{
	return kill(getppid(), 0) < 0;
}

static int kill_other_thread(void)
{
	return (int)syscall(SYS_tgkill, 1, 1, 0);
}

static int trace_parent(void)
{
	return (int)syscall(SYS_ptrace, 16, getppid(), 0, 0);
}

static int wait_with_poll(void)
{
	return poll(NULL, 0, 0);
}

static int enter_ring(void)
{
	return (int)syscall(SYS_io_uring_enter, -1, 0, 0, 0, NULL, 0) == -1 ? 0 : 1;
}

START_TEST(what_moving_packets_does_not_need_ends_the_process)
{
	static const struct {
		const char *name;
		int (*deed)(void);
	} deeds[] = {
		{ "socket", make_socket },
		{ "open", open_file },
		{ "io_uring_setup", make_ring },
		{ "io_uring_register", register_ring },
		{ "clone", fork_child },
		{ "execve", run_program },
		{ "prctl", change_mode },
		{ "mmap PROT_EXEC", map_code },
		{ "kill", kill_parent },
		{ "tgkill of another", kill_other_thread },
		{ "ptrace", trace_parent },
		{ "poll", wait_with_poll },
	};

	if (!has_filter())
		return;
	for (unsigned i = 0; i < sizeof(deeds) / sizeof(deeds[0]); i++) {
		int how = locked(with_ring, deeds[i].deed);

		ck_assert_msg(refused(how), "%s: %d", deeds[i].name, how);
	}
}
END_TEST

START_TEST(only_the_loop_in_use_may_wait)
{
	if (!has_filter())
		return;
	ck_assert_int_eq(locked(with_poll, wait_with_poll), 0);
	ck_assert_int_eq(locked(with_ring, enter_ring), 0);
	ck_assert(refused(locked(with_poll, enter_ring)));
}
END_TEST

/* Memory of all sizes, clocks, randomness, qsort's temporary memory, abort's way: what libraries do unasked.
 */
static int compare(const void *a, const void *b)
{
	return *(const int *)a - *(const int *)b;
}

static int live_on(void)
{
	uint8_t random[32];
	int *numbers = malloc(100000 * sizeof(int));
	void *large = malloc(10 << 20);
	struct timespec t;

	for (int i = 0; i < 100000; i++)
		numbers[i] = 100000 - i;
	qsort(numbers, 100000, sizeof(int), compare);
	large = realloc(large, 20 << 20);
	memset(large, 1, 20 << 20);
	free(large);
	if (numbers[0] != 1 || getentropy(random, sizeof(random)) != 0 ||
		clock_gettime(CLOCK_REALTIME, &t) != 0)
		return 1;
	free(numbers);
	signal(SIGUSR1, SIG_IGN);
	raise(SIGUSR1);
	(void)time(NULL);
	/* A descriptor opened before. */
	return write(STDERR_FILENO, "", 0) == 0 ? 0 : 2;
}

START_TEST(libraries_and_open_descriptors_go_on_working)
{
	ck_assert_int_eq(locked(with_ring, live_on), 0);
	ck_assert_int_eq(locked(with_poll, live_on), 0);
}
END_TEST

static int abort_now(void)
{
	abort();
}

START_TEST(abort_is_still_abort)
{
	ck_assert_int_eq(locked(with_ring, abort_now), 1000 + SIGABRT);
}
END_TEST

/* A whole loop, made before, goes on in the sandbox. */
static struct loop loop;
static struct udp_link link_;
static struct seen seen;
static struct link_address at, peer_at;
static int peer_fd;

static int turn_and_answer(void)
{
	uint8_t got[16];

	send_plain(peer_fd, &at, AF_INET, "in", 2);
	for (mono_ms until = loop_now() + 1000; !seen.datagrams && loop_now() < until;)
		if (loop_turn(&loop, loop_now() + 100) != 0)
			return 1;
	if (seen.datagrams != 1)
		return 2;
	struct packet p[2] = {
		{ .at = (uint8_t[]){ "out" }, .len = 3, .peer_address = seen.last.peer_address }
	};
	p[1] = p[0];
	udp_link_queue(&link_, &p[0]);
	udp_link_queue(&link_, &p[1]);
	udp_link_flush(&link_);
	if (p[0].fate != FATE_DELIVERED || p[1].fate != FATE_DELIVERED)
		return 3;
	if (udp_link_send_now(&link_, &peer_at, NULL, 0, "now", 3) != FATE_DELIVERED)
		return 4;
	return recv(peer_fd, got, sizeof(got), 0) == 3 ? 0 : 5;
}

START_TEST(a_loop_goes_on_in_the_sandbox)
{
	int fd = udp_socket(AF_INET, loopback4, &at), status;
	pid_t child;

	peer_fd = udp_socket(AF_INET, loopback4, &peer_at);
	ck_assert_int_eq(
		udp_link_init(
			&link_, &(struct udp_link_params){ .fd = fd, .buffers = 8, .payload = TEST_PAYLOAD }),
		0);
	/* The ring belongs to who makes it: so it is made in the child. */
	child = fork();
	if (child == 0) {
		struct loop_params params = loop_params_for(&seen, &link_, 1, NULL, _i);

		if (loop_init(&loop, &params) != 0)
			_exit(98);
		struct sandbox_needs needs = { .ring = loop.features.ring, .poll = !loop.features.ring };
		if (sandbox_lock(&needs, &state) != 0)
			_exit(99);
		_exit(turn_and_answer());
	}
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0, "status %x", (unsigned)status);
	udp_link_clear(&link_);
}
END_TEST

START_TEST(files_are_out_of_reach_even_without_the_filter)
{
	int status;
	pid_t child = fork();

	if (child == 0) {
		/* Landlock works also where a sanitizer keeps the filter away; with the filter this is tested
		 * above. */
		if (sandbox_lock(&with_ring, &state) != 0)
			_exit(99);
		if (state.landlock_abi == 0 || filtered())
			_exit(0);
		_exit(open("/etc/passwd", O_RDONLY) < 0 && errno == EACCES ? 0 : 1);
	}
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}
END_TEST

static int become_nobody(void)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2] = { 0 };

	if (sandbox_enter_identity(NOBODY, NOBODY) != 0)
		return 1;
	if (getuid() != NOBODY || geteuid() != NOBODY || getgid() != NOBODY || getgroups(0, NULL) != 0)
		return 2;
	if (setuid(0) == 0 || setgid(0) == 0 || setgroups(0, NULL) == 0)
		return 3;
	if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1 || prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) != 0)
		return 4;
	for (int cap = 0; cap < 38; cap++)
		if (prctl(PR_CAPBSET_READ, cap, 0, 0, 0) != 0)
			return 5;
	if (syscall(SYS_capget, &head, data) != 0)
		return 6;
	for (unsigned i = 0; i < 2; i++)
		if (data[i].effective || data[i].permitted || data[i].inheritable)
			return 7;
	/* Again, with no right left to change anything, is no error: nothing is to be changed. */
	return sandbox_enter_identity(NOBODY, NOBODY) == 0 ? 0 : 8;
}

static int stay_root_without_rights(void)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2] = { 0 };

	if (sandbox_enter_identity(0, 0) != 0)
		return 1;
	if (syscall(SYS_capget, &head, data) != 0)
		return 2;
	return data[0].effective || data[0].permitted ? 3 : 0;
}

static int become_root_again(void)
{
	if (sandbox_enter_identity(NOBODY, NOBODY) != 0)
		return 1;
	return sandbox_enter_identity(0, 0) < 0 ? 0 : 2;
}

static int in_child(int (*deed)(void))
{
	int status;
	pid_t child = fork();

	if (child == 0)
		_exit(deed());
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

START_TEST(root_becomes_nobody_and_there_is_no_way_back)
{
	if (geteuid() != 0) {
		fprintf(stderr, "not root: left out\n");
		return;
	}
	ck_assert_int_eq(in_child(become_nobody), 0);
	ck_assert_int_eq(in_child(become_root_again), 0);
	ck_assert_int_eq(in_child(stay_root_without_rights), 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("worker/sandbox");
	TCase *tcase = tcase_create("sandbox");

	tcase_set_timeout(tcase, 20);
	tcase_add_test(tcase, what_moving_packets_does_not_need_ends_the_process);
	tcase_add_test(tcase, only_the_loop_in_use_may_wait);
	tcase_add_test(tcase, libraries_and_open_descriptors_go_on_working);
	tcase_add_test(tcase, abort_is_still_abort);
	tcase_add_loop_test(tcase, a_loop_goes_on_in_the_sandbox, 0, 2);
	tcase_add_test(tcase, files_are_out_of_reach_even_without_the_filter);
	tcase_add_test(tcase, root_becomes_nobody_and_there_is_no_way_back);
	suite_add_tcase(suite, tcase);
	return run_suite(suite);
}
