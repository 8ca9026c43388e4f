/* SPDX-License-Identifier: MIT
 * The worker's sandbox, in the order of its locking: identity; later memory, file system and system calls. */
#include "worker/sandbox.h"

#include "common/base/sanitizer.h"

#include <cap-ng.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/landlock.h>
#include <seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef PR_SET_MDWE
#define PR_SET_MDWE 65
#define PR_MDWE_REFUSE_EXEC_GAIN 1
#endif

/* ---- identity ---- */

static bool has_groups(void)
{
	gid_t own = getgid();
	gid_t groups[2];
	int n = getgroups(2, groups);

	return n != 0 && !(n == 1 && groups[0] == own);
}

static int change_ids(uid_t uid, gid_t gid)
{
	uid_t r, e, s;
	gid_t gr, ge, gs;

	if (setgroups(0, NULL) < 0 && (geteuid() == 0 || has_groups()))
		return -errno;
	if (setresgid(gid, gid, gid) < 0 || setresuid(uid, uid, uid) < 0)
		return -errno;
	if (getresuid(&r, &e, &s) < 0 || getresgid(&gr, &ge, &gs) < 0)
		return -errno;
	if (r != uid || e != uid || s != uid || gr != gid || ge != gid || gs != gid)
		return -EPERM;
	return 0;
}

/* The bounding set goes while we still may change it; own capabilities after the uid, which a `user root`
 * would keep. */
static int drop_bounding_set(void)
{
	capng_clear(CAPNG_SELECT_BOUNDS);
	if (capng_apply(CAPNG_SELECT_BOUNDS) != 0 && geteuid() == 0)
		return -EPERM;
	return 0;
}

static int drop_capabilities(void)
{
	capng_clear(CAPNG_SELECT_CAPS);
	if (capng_apply(CAPNG_SELECT_CAPS) != 0)
		return -EPERM;
	capng_get_caps_process();
	return capng_have_capabilities(CAPNG_SELECT_CAPS) == CAPNG_NONE ? 0 : -EPERM;
}

static bool way_back(uid_t uid)
{
	return uid != 0 && (setuid(0) == 0 || seteuid(0) == 0);
}

int sandbox_enter_identity(uid_t uid, gid_t gid)
{
	int error;

	capng_get_caps_process();
	error = drop_bounding_set();
	if (!error)
		error = change_ids(uid, gid);
	if (!error)
		error = drop_capabilities();
	if (error)
		return error;
	if (way_back(uid))
		return -EPERM;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		return -errno;
	return 0;
}

/* ---- Landlock ---- */

/* The packaged header may be older than the kernel: layout and bits as of ABI 6 (linux/landlock.h of 6.12).
 */
struct ruleset {
	uint64_t handled_access_fs, handled_access_net, scoped;
};

/* Every right that this ABI knows, and no rule: nothing is allowed. Open descriptors go on working. */
static int lock_files(void)
{
	static const unsigned fs_rights[] = { 0, 13, 14, 15, 15,
		16 }; /* how many, by ABI; later ABIs as the last */
	struct ruleset rules = { 0 };
	size_t size = sizeof(rules.handled_access_fs);
	long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
	unsigned known = abi > 5 ? 5 : (unsigned)abi;
	int fd;
	long locked;

	if (abi < 1)
		return 0;
	rules.handled_access_fs = (UINT64_C(1) << fs_rights[known]) - 1;
	if (abi >= 4) {
		rules.handled_access_net = 3; /* bind and connect of TCP */
		size = offsetof(struct ruleset, scoped);
	}
	if (abi >= 6) {
		rules.scoped = 3; /* abstract sockets and signals */
		size = sizeof(rules);
	}
	fd = (int)syscall(SYS_landlock_create_ruleset, &rules, size, 0);
	if (fd < 0)
		return 0;
	locked = syscall(SYS_landlock_restrict_self, fd, 0);
	close(fd);
	return locked == 0 ? (int)abi : 0;
}

/* ---- system calls ---- */

#ifdef SANDBOX_TRAP
#define REFUSED SCMP_ACT_TRAP

/* Says which system call is missing from the list, with nothing but write(). */
static void tell_refused(int signal, siginfo_t *info, void *context)
{
	char text[] = "sandbox: system call 0000 is not allowed\n";
	unsigned number = (unsigned)info->si_syscall;
	char *digits = strchr(text, '0');

	for (int i = 3; i >= 0; i--, number /= 10)
		digits[i] = (char)('0' + number % 10);
	_exit(write(STDERR_FILENO, text, sizeof(text) - 1) > 0 ? 128 + SIGSYS : 127 + SIGSYS);
}

static void catch_refused(void)
{
	struct sigaction action = { .sa_sigaction = tell_refused, .sa_flags = SA_SIGINFO }, before;

	/* Whoever writes last words for it already says more. */
	if (sigaction(SIGSYS, NULL, &before) == 0 && before.sa_handler == SIG_DFL)
		sigaction(SIGSYS, &action, NULL);
}
#else
#define REFUSED SCMP_ACT_KILL_PROCESS

static void catch_refused(void)
{
}
#endif

/* What moving packets takes, and what the C library, the allocator and the TLS and crypto libraries do on the
 * way. */
static const int allowed[] = {
	SCMP_SYS(read),
	SCMP_SYS(write),
	SCMP_SYS(writev),
	SCMP_SYS(recvfrom),
	SCMP_SYS(recvmsg),
	SCMP_SYS(recvmmsg),
	SCMP_SYS(sendto),
	SCMP_SYS(sendmsg),
	SCMP_SYS(sendmmsg),
	SCMP_SYS(close),
	/* a CRL arrives as a memfd: its size, its bytes */
	SCMP_SYS(lseek),
	SCMP_SYS(pread64),
	SCMP_SYS(fstat),
	/* memory; mmap and mprotect below */
	SCMP_SYS(brk),
	SCMP_SYS(munmap),
	SCMP_SYS(mremap),
	SCMP_SYS(madvise),
	SCMP_SYS(futex),
	/* time and chance; the clocks where the vDSO cannot tell */
	SCMP_SYS(clock_gettime),
	SCMP_SYS(gettimeofday),
	SCMP_SYS(time),
	SCMP_SYS(getrandom),
	/* signal handlers, abort() and its last words; qsort() asks sysinfo how much memory there is */
	SCMP_SYS(rt_sigreturn),
	SCMP_SYS(rt_sigprocmask),
	SCMP_SYS(rt_sigaction),
	SCMP_SYS(restart_syscall),
	SCMP_SYS(getpid),
	SCMP_SYS(gettid),
	SCMP_SYS(sysinfo),
	SCMP_SYS(sched_yield),
	SCMP_SYS(clock_nanosleep), /* waiting for company: gather.h */
	SCMP_SYS(membarrier),
	SCMP_SYS(exit_group),
	SCMP_SYS(exit),
	SCMP_SYS(getrusage), /* the heartbeat says how much CPU we use */
};

static int allow_all(scmp_filter_ctx filter, const struct sandbox_needs *needs)
{
	int error = 0;

	for (size_t i = 0; !error && i < sizeof(allowed) / sizeof(allowed[0]); i++) {
		error = seccomp_rule_add(filter, SCMP_ACT_ALLOW, allowed[i], 0);
		if (error == -EDOM)
			error = 0; /* this architecture never had it */
	}
	if (!error)
		error = seccomp_rule_add(
			filter, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 1, SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
	if (!error)
		error = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(mprotect), 1,
			SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
	if (!error)
		error = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(tgkill), 1,
			SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)getpid(), 0));
	/* fstat() of newer C libraries: of an open descriptor, so without a path. */
	if (!error)
		error = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(newfstatat), 1,
			SCMP_A3(SCMP_CMP_MASKED_EQ, AT_EMPTY_PATH, AT_EMPTY_PATH));
	/* What the ring itself may do is restricted in loop.c: a filter does not see it. */
	if (!error && needs->ring)
		error = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(io_uring_enter), 0);
	if (!error && needs->poll)
		error = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(ppoll), 0);
	if (!error && needs->poll)
		error = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(poll), 0);
	if (error == -EDOM)
		error = 0; /* poll, where there is only ppoll */
	return error;
}

static int lock_calls(const struct sandbox_needs *needs)
{
	scmp_filter_ctx filter = seccomp_init(REFUSED);
	int error;

	if (!filter)
		return -ENOMEM;
	error = seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
	if (!error)
		error = allow_all(filter, needs);
	/* A tree instead of a list: each system call pays for the filter. Older libraries cannot; no harm. */
	seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2);
	catch_refused();
	if (!error)
		error = seccomp_load(filter);
	seccomp_release(filter);
	return error;
}

int sandbox_lock(const struct sandbox_needs *needs, struct sandbox_state *out)
{
	int error;

	memset(out, 0, sizeof(*out));
	/* Both need this; no matter whether sandbox_enter_identity() was called before. */
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return -errno;
	/* Waits of less than the usual slack of 50 us are meant. */
	prctl(PR_SET_TIMERSLACK, 1000, 0, 0, 0);
	out->landlock_abi = lock_files();
	if (UNDER_SANITIZER)
		return 0;
	out->mdwe = prctl(PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN, 0, 0, 0) == 0;
	error = lock_calls(needs);
	out->seccomp = !error;
	return error;
}
