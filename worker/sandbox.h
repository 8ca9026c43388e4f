/* SPDX-License-Identifier: MIT
 * What a worker gives up: its uid and capabilities first, then (ring made, everything open) the file system,
 * new sockets and every system call that moving packets does not need. threats.md, sections 4 and 5. */
#ifndef WORKER_SANDBOX_H
#define WORKER_SANDBOX_H

#include <stdbool.h>
#include <sys/types.h>

/* Becomes uid and gid for good: no supplementary groups, empty bounding set and capabilities, no new
 * privileges, not dumpable. Verifies that there is no way back. Where the process has no privilege and
 * already is uid and gid, the rest is still done. 0 or a negative errno (-EPERM: not allowed, or there is a
 * way back); after an error the process must end. */
int sandbox_enter_identity(uid_t uid, gid_t gid);

struct sandbox_needs {
	bool ring; /* the loop runs on io_uring */
	bool poll; /* it, or a library, waits with poll(2) */
};

/* What came to be, for one log line. */
struct sandbox_state {
	int landlock_abi; /* 0: the kernel has none or refuses it */
	bool mdwe;	  /* memory once writable can never be executed */
	bool seccomp;	  /* false under the address or memory sanitizer only */
};

/* Locks the process. From here on: open files go on working, no path opens, no socket is made, any other
 * system call than the listed ones ends the process (in a debug build: with a line saying which). 0 or a
 * negative errno from seccomp; Landlock and MDWE are used as far as the kernel has them. */
int sandbox_lock(const struct sandbox_needs *, struct sandbox_state *out);

#endif
