/* SPDX-License-Identifier: MIT
 * From one program of the hub to another: the same process, the same children, the same descriptors. The only file
 * beside script.c that executes anything, and that only what is open at PROGRAM_FD. */
#include "master/log.h"
#include "master/master.h"
#include "master/privilege.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Ready before it may be needed in a signal handler. */
static struct {
	const struct upgrade *upgrade;
	char **argv, **environment;
} way_back;

static void lend(int fd, bool lent)
{
	fcntl(fd, F_SETFD, lent ? 0 : FD_CLOEXEC);
}

static void lend_one(void *context, const char *name, int fd, bool lasting)
{
	(void)name;
	(void)lasting;
	lend(fd, *(bool *)context);
}

/* All that leads to exec, and nothing that may not be done in a signal handler. */
static int execute(char *const *argv, char *const *environment)
{
	return syscall(SYS_execveat, PROGRAM_FD, "", argv, environment, AT_EMPTY_PATH) < 0 ? -errno : 0;
}

static void lend_found(const struct upgrade *u, bool lent)
{
	for (unsigned i = 0; i < u->found.count; i++)
		lend(u->found.fds[i].number, lent);
	lend(u->found.memory, lent);
}

/* What a successor finds in its environment beside what we found in ours. */
static void tell_successor(const struct master *m, int estate_fd, const char *back)
{
	char number[16];
	snprintf(number, sizeof(number), "%d", estate_fd);
	setenv("VPNSERVERD_ESTATE", number, 1);
	if (back)
		setenv("VPNSERVERD_BACK", back, 1);
	notify_put_back(&m->notify);
}

static void tell_nobody(void)
{
	static const char *const names[] = { "VPNSERVERD_ESTATE", "VPNSERVERD_BACK", "NOTIFY_SOCKET", "WATCHDOG_USEC" };
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		unsetenv(names[i]);
}

static int use_program(int fd)
{
	return fd < 0 ? -ENOENT : dup3(fd, PROGRAM_FD, O_CLOEXEC) < 0 ? -errno : 0;
}

int upgrade_exec(struct master *m, const char *back)
{
	bool yes = true, no = false;
	int error = back ? use_program(m->upgrade.old_program) : 0, guardian = -1;
	if (!error && !back)
		guardian = guardian_prepare(m);
	if (!error)
		error = estate_save(m);
	if (!error)
		error = privilege_keep_through_exec(true);
	if (!error) {
		tell_successor(m, m->upgrade.estate_fd, back);
		estate_list(m, lend_one, &yes);
		lend(m->upgrade.estate_fd, true);
		guardian_begin(m, guardian);
		guardian = -1;
		error = execute(m->argv, environ);
		lend(m->upgrade.estate_fd, false);
		estate_list(m, lend_one, &no);
		tell_nobody();
		privilege_keep_through_exec(false);
	}
	if (guardian >= 0)
		close(guardian);
	guardian_release(&m->upgrade); /* we are still here */
	return error;
}

int upgrade_exec_again(struct master *m)
{
	int error = use_program(m->upgrade.own_program);
	return error ? error : execute(m->argv, environ);
}

int upgrade_exec_found(struct master *m, const char *back)
{
	int error = use_program(m->upgrade.old_program);
	if (!error)
		error = privilege_keep_through_exec(true);
	if (error)
		return error;
	tell_successor(m, m->upgrade.found.memory, back);
	lend_found(&m->upgrade, true);
	return execute(m->argv, environ);
}

/* -- a start that does not end -- */

static void go_back_now(int number)
{
	(void)number;
	if (use_program(way_back.upgrade->old_program) < 0)
		_exit(1);
	lend_found(way_back.upgrade, true);
	execute(way_back.argv, way_back.environment);
	_exit(1);
}

/* A copy of the environment as the program before us is to find it. */
static char **copy_environment(void)
{
	size_t count = 0;
	while (environ[count])
		count++;
	char **copy = calloc(count + 1, sizeof(*copy));
	for (size_t i = 0; copy && i < count; i++)
		copy[i] = strdup(environ[i]);
	return copy;
}

void upgrade_guard(struct master *m)
{
	struct sigaction action = { .sa_handler = go_back_now };
	way_back.upgrade = &m->upgrade;
	way_back.argv = m->argv;
	/* what a service manager wants is still there: notify_open() comes later */
	tell_successor(m, m->upgrade.found.memory, "its start took too long");
	way_back.environment = copy_environment();
	unsetenv("VPNSERVERD_ESTATE");
	unsetenv("VPNSERVERD_BACK");
	if (!way_back.environment || m->upgrade.old_program < 0)
		return;
	sigaction(SIGALRM, &action, NULL);
	alarm(ADOPT_DEADLINE_MS / 1000);
}

void upgrade_unguard(void)
{
	alarm(0);
	signal(SIGALRM, SIG_DFL);
	for (char **each = way_back.environment; each && *each; each++)
		free(*each);
	free(way_back.environment);
	way_back.environment = NULL;
}
