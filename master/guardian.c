/* SPDX-License-Identifier: MIT
 * Sees a new program through its first steps: a copy of the old one, with all that it has open. If the new one dies before it has
 * taken over, the copy executes the old program again, which goes on as a master does that finds an estate and workers that are
 * not its children. That is another pid: so there is a guardian only where nobody watches ours, for a `daemon` without
 * a service manager. Others see us die, and start us again. */
#include "master/log.h"
#include "master/master.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <unistd.h>

enum {
	GUARDIAN_MS = 3 * ADOPT_DEADLINE_MS, /* the new one's start, and the way back if that hangs, too */
	CLOSED_MS = 1000, /* from the end of the channel to the end of the process, if it is that */
};

int guardian_prepare(struct master *m)
{
	struct upgrade *u = &m->upgrade;
	int ends[2];
	if (!m->born->daemonize || notify_wanted(&m->notify))
		return -1;
	if (pipe2(ends, O_CLOEXEC) < 0) {
		log_line(LOG_LEVEL_NOTICE, "WARNING: no guardian for the upgrade: %s", strerror(errno));
		return -1;
	}
	u->guardian_fd = ends[1];
	return ends[0];
}

/* Returns when the master has died before it said its word. */
static void stand_by(int master, int word)
{
	enum { DEATH, WORD };
	struct pollfd p[] = { [DEATH] = { .fd = master, .events = POLLIN },
		[WORD] = { .fd = word, .events = POLLIN } };
	mono_ms end = master_now() + GUARDIAN_MS;
	char byte;
	for (;;) {
		span_ms left = end - master_now();
		if (left <= 0 && p[WORD].fd < 0)
			_exit(0); /* it lives, and closed what it does not know */
		if (left <= 0) {
			pidfd_send_signal(master, SIGKILL, NULL, 0); /* hangs where its own guard is not set yet */
			end = master_now() + GUARDIAN_MS;
			continue;
		}
		poll(p, 2, (int)left);
		if (p[WORD].revents && read(word, &byte, 1) == 1)
			_exit(0);
		if (p[DEATH].revents)
			break;
		if (p[WORD].revents) {
			p[WORD].fd = -1;
			end = master_now() + CLOSED_MS;
		}
	}
	if (p[WORD].fd >= 0 && poll(&p[WORD], 1, 0) > 0 && read(word, &byte, 1) == 1)
		_exit(0); /* its last word */
}

void guardian_begin(struct master *m, int word)
{
	struct upgrade *u = &m->upgrade;
	if (word < 0)
		return;
	int us = pidfd_open(getpid(), 0);
	pid_t pid = us < 0 ? -1 : fork();
	if (pid < 0)
		log_line(LOG_LEVEL_NOTICE, "WARNING: no guardian for the upgrade: %s", strerror(errno));
	if (pid != 0) {
		if (us >= 0)
			close(us);
		close(word);
		return;
	}
	prctl(PR_SET_NAME, "vpn-guardian");
	/* its number stands in the estate: nothing else may get it */
	int heard = fcntl(word, F_DUPFD_CLOEXEC, 3);
	if (heard < 0 || dup3(word, u->guardian_fd, 0) < 0)
		_exit(1);
	close(word);
	stand_by(us, heard);
	setenv("VPNSERVERD_HEIR", "the new program died before it had taken over", 1);
	upgrade_exec_again(m);
	_exit(1);
}

void guardian_release(struct upgrade *u)
{
	if (u->guardian_fd < 0)
		return;
	(void)!write(u->guardian_fd, "", 1);
	close(u->guardian_fd);
	u->guardian_fd = -1;
}
