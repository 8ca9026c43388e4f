/* SPDX-License-Identifier: MIT
 * Capabilities by libcap-ng, limits, ids. Workers have their own counterpart in worker/; this file serves the
 * master and the keyholder. */
#include "master/privilege.h"

#include "common/base/sanitizer.h"
#include "master/log.h"
#include "master/upgrade.h"

#include <cap-ng.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <pwd.h>
#include <seccomp.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LOCKED_GROWTH = 1 << 30 };

int privilege_account(const struct config *config, uid_t *uid, gid_t *gid)
{
	if (geteuid() != 0) {
		*uid = geteuid();
		*gid = getegid();
		return 0;
	}
	const struct passwd *user = getpwnam(config->user);
	if (!user) {
		log_line(LOG_LEVEL_ERROR, "user %s: no such user", config->user);
		return -ENOENT;
	}
	*uid = user->pw_uid;
	*gid = user->pw_gid;
	const struct group *group = getgrnam(config->group);
	if (group) {
		*gid = group->gr_gid;
	} else if (strcmp(config->group, "nogroup") != 0) { /* the default's name differs between systems */
		log_line(LOG_LEVEL_ERROR, "group %s: no such group", config->group);
		return -ENOENT;
	}
	if (*uid == 0) {
		log_line(LOG_LEVEL_ERROR,
			"user %s: workers never run as root (write another user, or none for nobody)",
			config->user);
		return -EPERM;
	}
	return 0;
}

/* Raises a limit as far as it goes, never lowers it. */
static void raise_limit(int resource, rlim_t wanted, const char *name, const char *cost)
{
	struct rlimit now;
	if (getrlimit(resource, &now) < 0 || now.rlim_cur >= wanted)
		return;
	struct rlimit more = { .rlim_cur = wanted,
		.rlim_max = now.rlim_max > wanted ? now.rlim_max : wanted };
	if (setrlimit(resource, &more) == 0)
		return;
	more = (struct rlimit){ .rlim_cur = now.rlim_max, .rlim_max = now.rlim_max };
	setrlimit(resource, &more);
	/* root's CAP_IPC_LOCK makes the limit on locked memory moot where the locking is done */
	if (resource != RLIMIT_MEMLOCK || geteuid() != 0)
		log_line(LOG_LEVEL_NOTICE, "WARNING: %s is %llu where %llu is needed: %s", name,
			(unsigned long long)now.rlim_max, (unsigned long long)wanted, cost);
}

/* With `mlock` whole processes are locked and grow after they gave up the right to lock: a limit in their way
 * would be met by a client's handshake. */
static int may_lock_all(size_t locked)
{
	struct rlimit limit;
	if (getrlimit(RLIMIT_MEMLOCK, &limit) == 0 && limit.rlim_cur >= locked + LOCKED_GROWTH)
		return 0;
	log_line(LOG_LEVEL_ERROR,
		"mlock: RLIMIT_MEMLOCK is %llu and cannot be raised (ulimit -l unlimited, or "
		"LimitMEMLOCK=infinity)",
		(unsigned long long)limit.rlim_cur);
	return -EPERM;
}

int privilege_prepare(size_t fds, size_t locked, const struct config *config)
{
	umask(077);
	struct rlimit none = { 0, 0 };
	setrlimit(RLIMIT_CORE, &none);
	prctl(PR_SET_DUMPABLE, 0);
	raise_limit(RLIMIT_NOFILE, fds, "RLIMIT_NOFILE", "connections will be refused at some point");
	raise_limit(RLIMIT_MEMLOCK, config->mlock ? RLIM_INFINITY : locked, "RLIMIT_MEMLOCK",
		"keys may be swapped out");
	if (config->nice && setpriority(PRIO_PROCESS, 0, config->nice) < 0)
		log_line(LOG_LEVEL_NOTICE, "WARNING: nice %d was refused: %s", config->nice, strerror(errno));
	return config->mlock ? may_lock_all(locked) : 0;
}

/* What births, reload and the end need. NET_BIND_SERVICE: sockets of workers that a reload adds. KILL, SETUID, SETGID and SETPCAP: children are born, give everything
 * up, and are ended. IPC_LOCK: their key memory. NET_ADMIN: the device at the end. */
static const int kept[] = { CAP_KILL, CAP_SETUID, CAP_SETGID, CAP_SETPCAP, CAP_IPC_LOCK, CAP_NET_ADMIN,
	CAP_NET_BIND_SERVICE };

static bool is_kept(int cap)
{
	for (size_t i = 0; i < sizeof(kept) / sizeof(kept[0]); i++)
		if (kept[i] == cap)
			return true;
	return false;
}

static int deny_programs(scmp_filter_ctx filter)
{
	int execveat_number = SCMP_SYS(execveat);
	int error = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(execve), 0);
	if (!error)
		error = seccomp_rule_add(
			filter, SCMP_ACT_ERRNO(EPERM), execveat_number, 1, SCMP_A0_32(SCMP_CMP_NE, PROGRAM_FD, 0));
	if (!error)
		error = seccomp_rule_add(
			filter, SCMP_ACT_ERRNO(EPERM), execveat_number, 1, SCMP_A4_32(SCMP_CMP_NE, AT_EMPTY_PATH, 0));
	return error;
}

/* What no master ever needs: other processes' memory, other kernels; and, where no script is configured,
 * other programs, but for the one that an upgrade opened at PROGRAM_FD. A filter cannot see which file that is: it
 * keeps whoever took us over from a shell's path, not from a descriptor that he can open. Births keep this filter and
 * add their own. */
static int deny_the_unneeded(bool programs)
{
	if (UNDER_SANITIZER)
		return 0; /* a leak check at the end needs ptrace */
	static const int denied[] = { SCMP_SYS(ptrace), SCMP_SYS(process_vm_readv),
		SCMP_SYS(process_vm_writev), SCMP_SYS(kexec_load), SCMP_SYS(kexec_file_load),
		SCMP_SYS(init_module), SCMP_SYS(finit_module), SCMP_SYS(delete_module), SCMP_SYS(userfaultfd),
		SCMP_SYS(mount), SCMP_SYS(umount2), SCMP_SYS(pivot_root), SCMP_SYS(reboot), SCMP_SYS(swapon),
		SCMP_SYS(swapoff), SCMP_SYS(perf_event_open) };
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
	if (!filter)
		return -ENOMEM;
	int error = 0;
	for (size_t i = 0; i < sizeof(denied) / sizeof(denied[0]) && !error; i++)
		error = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), denied[i], 0);
	if (!error && !programs)
		error = deny_programs(filter);
	if (!error)
		error = seccomp_load(filter);
	seccomp_release(filter);
	return error;
}

int privilege_reduce_master(bool programs, bool gain, bool confined)
{
	if (capng_get_caps_process() < 0)
		return -EPERM;
	for (int cap = 0; cap <= CAP_LAST_CAP; cap++)
		if (!is_kept(cap))
			capng_update(CAPNG_DROP,
				CAPNG_EFFECTIVE | CAPNG_PERMITTED | CAPNG_INHERITABLE | CAPNG_BOUNDING_SET,
				(unsigned)cap);
		else if (!programs)
			capng_update(CAPNG_DROP, CAPNG_INHERITABLE, (unsigned)cap);
	/* another account has what a supervisor gave it, but not the right to cut the bounding set */
	if (capng_apply(geteuid() == 0 ? CAPNG_SELECT_BOTH : CAPNG_SELECT_CAPS) < 0)
		return -EPERM;
	if (gain || confined)
		return 0; /* a filter would take from a later helper's scripts what it promises them */
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return -EPERM;
	return deny_the_unneeded(programs);
}

/* Another account than root loses in an exec what it did not mark for it. */
int privilege_keep_through_exec(bool keep)
{
	if (geteuid() == 0)
		return 0;
	if (capng_get_caps_process() < 0)
		return -EPERM;
	for (size_t i = 0; i < sizeof(kept) / sizeof(kept[0]); i++)
		if (capng_have_capability(CAPNG_PERMITTED, (unsigned)kept[i]))
			capng_update(keep ? CAPNG_ADD : CAPNG_DROP, CAPNG_INHERITABLE, (unsigned)kept[i]);
	if (capng_apply(CAPNG_SELECT_CAPS) < 0) /* ambient ones go with inheritable ones */
		return -EPERM;
	for (size_t i = 0; keep && i < sizeof(kept) / sizeof(kept[0]); i++)
		if (capng_have_capability(CAPNG_PERMITTED, (unsigned)kept[i]) &&
			prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, kept[i], 0, 0) < 0)
			return -errno;
	return 0;
}

/* Root's go with the uid; those that a supervisor gave to another account do not, and a script would inherit
 * them. */
static int drop_capabilities(void)
{
	capng_clear(CAPNG_SELECT_CAPS);
	return capng_apply(CAPNG_SELECT_CAPS) < 0 ? -EPERM : 0;
}

/* Becomes another account with no other group, no capability and no way back by itself. */
static int change_ids(uid_t uid, gid_t gid)
{
	if (geteuid() != 0)
		return drop_capabilities();
	if (setgroups(0, NULL) < 0 || setresgid(gid, gid, gid) < 0 || setresuid(uid, uid, uid) < 0)
		return -errno;
	uid_t r, e, s;
	gid_t gr, ge, gs;
	if (getresuid(&r, &e, &s) < 0 || r != uid || e != uid || s != uid || getresgid(&gr, &ge, &gs) < 0 ||
		gr != gid || ge != gid || gs != gid)
		return -EPERM;
	if (uid != 0 && setuid(0) == 0)
		return -EPERM; /* there is a way back */
	return drop_capabilities();
}

/* After the uid change, which would undo it. */
static int hide(void)
{
	return prctl(PR_SET_DUMPABLE, 0) < 0 ? -errno : 0;
}

int privilege_drop_all(uid_t uid, gid_t gid)
{
	/* all that the kernel has, also those that are newer than our headers */
	for (int cap = 0; geteuid() == 0 && prctl(PR_CAPBSET_READ, cap) >= 0; cap++)
		if (prctl(PR_CAPBSET_READ, cap) == 1 && prctl(PR_CAPBSET_DROP, cap) < 0)
			return -errno;
	int error = change_ids(uid, gid);
	if (error)
		return error;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return -errno;
	return hide();
}

int privilege_drop_ids(uid_t uid, gid_t gid)
{
	int error = change_ids(uid, gid);
	return error ? error : hide();
}

void privilege_child_begin(const int *keep, size_t count, bool silent)
{
	for (int number = 1; number < NSIG; number++)
		signal(number, SIG_DFL); /* fails for two of them, which cannot be changed anyway */
	sigset_t none;
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);

	/* close the gaps between the listed ones, smallest first */
	unsigned from = 3;
	for (;;) {
		unsigned next = UINT_MAX;
		for (size_t i = 0; i < count; i++)
			if (keep[i] >= (int)from && (unsigned)keep[i] < next)
				next = (unsigned)keep[i];
		if (next > from)
			close_range(from, next == UINT_MAX ? UINT_MAX : next - 1, 0);
		if (next == UINT_MAX)
			break;
		from = next + 1;
	}
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (null >= 0) {
		dup2(null, STDIN_FILENO);
		dup2(null, STDOUT_FILENO);
		if (silent)
			dup2(null, STDERR_FILENO);
		close(null);
	}
}
