/* SPDX-License-Identifier: MIT
 * The life of a script. */
#include "master/script.h"

#include "master/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* -- in the child -- */

static void limit(int resource, rlim_t most)
{
	struct rlimit now;
	if (getrlimit(resource, &now) < 0 || now.rlim_max <= most)
		return;
	struct rlimit less = { .rlim_cur = most, .rlim_max = most };
	setrlimit(resource, &less);
}

/* Far above what a script needs; they are there for the one that runs away. */
static void limit_all(void)
{
	limit(RLIMIT_AS, (rlim_t)2 << 30);
	limit(RLIMIT_NPROC, 1024);
	limit(RLIMIT_FSIZE, (rlim_t)256 << 20);
	limit(RLIMIT_CPU, 120);
	limit(RLIMIT_NOFILE, 1024);
	limit(RLIMIT_MEMLOCK, 64 << 10);
}

_Noreturn static void become(
	const char *const *words, const char *const *environment, int output, bool limited, pid_t parent)
{
	setpgid(0, 0);
	for (int number = 1; number < NSIG; number++)
		signal(number, SIG_DFL);
	sigset_t none;
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	int null = open("/dev/null", O_RDONLY);
	if (getppid() != parent || null < 0 || dup2(null, STDIN_FILENO) < 0 ||
		dup2(output, STDOUT_FILENO) < 0 || dup2(output, STDERR_FILENO) < 0 ||
		close_range(3, ~0u, 0) < 0)
		_exit(126);
	umask(022);
	limit(RLIMIT_CORE, 0);
	if (limited)
		limit_all();
	execve(words[0], (char *const *)(uintptr_t)words, (char *const *)(uintptr_t)environment);
	dprintf(STDERR_FILENO, "cannot execute %s: %s\n", words[0], strerror(errno));
	_exit(127);
}

/* -- in the parent -- */

int script_start(const char *const *words, const char *const *environment, bool limited, mono_ms kill_at,
	struct script *out)
{
	int ends[2];
	pid_t parent = getpid();

	*out = (struct script){ .pid = -1, .pid_fd = -1, .output_fd = -1, .kill_at = kill_at };
	if (pipe2(ends, O_CLOEXEC) < 0)
		return -errno;
	pid_t pid = fork();
	if (pid == 0)
		become(words, environment, ends[1], limited, parent);
	int error = errno;
	close(ends[1]);
	if (pid < 0) {
		close(ends[0]);
		return -error;
	}
	setpgid(pid, pid); /* whoever of the two comes first; it may have gone on to exec already */
	fcntl(ends[0], F_SETFL, O_NONBLOCK);
	out->pid = pid;
	out->output_fd = ends[0];
	out->pid_fd = pidfd_open(pid, 0);
	if (out->pid_fd >= 0)
		return 0;
	error = errno;
	script_kill(out);
	script_clear(out);
	return -error;
}

static void end_line(struct script *s, script_line *line, void *context)
{
	static const char too_many[] = "(more output is not shown)";

	s->lines++;
	if (s->lines <= SCRIPT_OUTPUT_LINES && s->line_len)
		line(context, s->line, s->line_len);
	else if (s->lines == SCRIPT_OUTPUT_LINES + 1)
		line(context, too_many, sizeof(too_many) - 1);
	s->line_len = 0;
}

bool script_listen(struct script *s, script_line *line, void *context)
{
	char bytes[4096];
	ssize_t got;

	if (s->output_fd < 0)
		return false;
	/* a few turns at a time: one that never stops talking must not keep us here */
	for (unsigned turns = 0; turns < 16 && (got = read(s->output_fd, bytes, sizeof(bytes))) > 0; turns++)
		for (ssize_t i = 0; i < got; i++) {
			if (bytes[i] == '\n' || s->line_len == sizeof(s->line))
				end_line(s, line, context);
			if (bytes[i] != '\n' && s->lines <= SCRIPT_OUTPUT_LINES)
				s->line[s->line_len++] = bytes[i];
		}
	if (got > 0 || (got < 0 && (errno == EAGAIN || errno == EINTR)))
		return true;
	if (s->line_len)
		end_line(s, line, context);
	close(s->output_fd);
	s->output_fd = -1;
	return false;
}

bool script_ended(const struct script *s, int *status)
{
	siginfo_t info = { 0 };

	if (s->pid <= 0 || waitid(P_PID, (id_t)s->pid, &info, WEXITED | WNOHANG | WNOWAIT) < 0 ||
		info.si_pid != s->pid)
		return false;
	*status = info.si_code == CLD_EXITED ? info.si_status : 128 + info.si_status;
	return true;
}

void script_kill(struct script *s)
{
	if (s->pid <= 1)
		return;
	kill(-s->pid, SIGKILL);
	kill(s->pid, SIGKILL); /* should it not have a group of its own yet */
	s->killed = true;
}

void script_clear(struct script *s)
{
	if (s->pid > 0)
		while (waitpid(s->pid, NULL, 0) < 0 && errno == EINTR)
			;
	if (s->pid_fd >= 0)
		close(s->pid_fd);
	if (s->output_fd >= 0)
		close(s->output_fd);
	*s = (struct script){ .pid = -1, .pid_fd = -1, .output_fd = -1 };
}

int script_run(const char *const *words, const char *const *environment, span_ms limit_ms, script_line *line,
	void *context)
{
	struct script s;
	int status = 0, error = script_start(words, environment, false, master_now() + limit_ms, &s);

	if (error)
		return error;
	while (!script_ended(&s, &status)) {
		struct pollfd polls[2] = { { .fd = s.pid_fd, .events = POLLIN },
			{ .fd = s.output_fd, .events = POLLIN } };
		span_ms left = s.kill_at - master_now();
		if (left <= 0) {
			script_kill(&s);
			break;
		}
		poll(polls, 2, (int)(left < 1000 ? left + 1 : 1000));
		script_listen(&s, line, context);
	}
	script_listen(&s, line, context);
	if (s.line_len)
		end_line(&s, line, context);
	bool killed = s.killed;
	script_clear(&s);
	return killed ? -ETIMEDOUT : status;
}
