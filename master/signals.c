/* SPDX-License-Identifier: MIT
 * What signals mean to the master. They come as bytes of a descriptor, so each is served in its turn of the loop. */
#include "master/log.h"
#include "master/manage.h"
#include "master/master.h"
#include "master/scripts.h"
#include "master/status.h"
#include "worker/orders.h"

#include <signal.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

void signals_reap(struct master *m)
{
	int status;
	pid_t pid;
	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		if (upgrade_reaped(m, pid, status))
			continue;
		if (pid == m->now.keyholder.pid) {
			keyholder_let_go(&m->now.keyholder);
			if (m->phase != PHASE_STOPPING)
				master_note(m, EVENT_KEYHOLDER_DIED, 0, NULL);
			if (m->phase == PHASE_STARTING)
				supervise_stop(m, 1);
			else if (m->phase == PHASE_RUNNING)
				keyholder_reborn(m);
			continue;
		}
		if (pid == m->helper.pid) {
			if (m->phase == PHASE_RUNNING)
				scripts_helper_died(m);
			else
				helper_let_go(&m->helper);
			if (m->phase == PHASE_STARTING)
				supervise_stop(m, 1);
			continue;
		}
		if (pid == m->before.keyholder.pid)
			keyholder_let_go(&m->before.keyholder);
		for (unsigned w = 0; w < m->workers; w++)
			if (m->seats[w].pid == pid) {
				worker_died(m, w, status);
				break;
			}
	}
}

static void on_signal(struct master *m, int number, pid_t sender)
{
	switch (number) {
	case SIGCHLD:
		signals_reap(m);
		break;
	case SIGTERM:
	case SIGINT:
		log_line(LOG_LEVEL_NOTICE, "%s received from pid %ld, process exiting",
			number == SIGTERM ? "SIGTERM" : "SIGINT", (long)sender);
		m->end_signal = number == SIGTERM ? "sigterm" : "sigint";
		supervise_stop(m, m->phase == PHASE_STARTING);
		break;
	case SIGHUP:
		if (m->phase == PHASE_RUNNING)
			reload(m);
		break;
	case SIGUSR1:
		if (m->phase != PHASE_RUNNING)
			break;
		log_line(LOG_LEVEL_NOTICE, "SIGUSR1 received: all sessions end with RESTART");
		master_note(m, EVENT_ALL_ENDED, 0, NULL);
		manage_state(m, "RECONNECTING", "SIGUSR1");
		supervise_order_all(m, ORDER_RESTART_ALL, m->now.config->explicit_exit_notify == 2 ? 2 : 1);
		scripts_restart(m);
		manage_state(m, "CONNECTED", "SUCCESS");
		break;
	case SIGURG: {
		char error[256];
		log_line(LOG_LEVEL_NOTICE, "SIGURG received from pid %ld: upgrade", (long)sender);
		upgrade(m, error, sizeof(error));
		break;
	}
	case SIGUSR2:
		status_log(m->now.config, m->shm);
		break;
	}
}

void signals_read(struct master *m)
{
	struct signalfd_siginfo info;
	while (read(m->signal_fd, &info, sizeof(info)) == sizeof(info))
		on_signal(m, (int)info.ssi_signo, (pid_t)info.ssi_pid);
}
