/* SPDX-License-Identifier: MIT
 * The helper as the master sees it: birth, plans, channels, its lines for the log. */
#include "master/helper.h"

#include "master/helper_plan.h"
#include "master/log.h"
#include "master/privilege.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

enum { START_DEADLINE_MS = 10000, REPORT_HEAD = offsetof(struct helper_report, text), LISTEN_MAX = 256 };

static void tell_master(int control, enum helper_report_kind kind, const char *text)
{
	struct helper_report r = { .kind = kind, .len = (uint32_t)strlen(text) };
	memcpy(r.text, text, r.len);
	send(control, &r, REPORT_HEAD + r.len, MSG_NOSIGNAL);
}

_Noreturn static void be_born(const struct helper_birth *birth, int control)
{
	struct helper_birth b = *birth;
	char text[128];

	if (b.forget)
		b.forget(b.context);
	int error = b.sudo ? privilege_drop_ids(b.uid, b.gid) : privilege_drop_all(b.uid, b.gid);
	if (error) {
		snprintf(text, sizeof(text), "the helper cannot give up its rights: %s", strerror(-error));
		tell_master(control, HELPER_REPORT_FAILED, text);
		_exit(1);
	}
	tell_master(control, HELPER_REPORT_READY, "");
	helper_live(control);
}

/* One report. 1: got it, 0: nothing there, -1: gone. Ill-formed ones are nothing. */
static int take_report(int control, struct helper_report *r)
{
	ssize_t got = recv(control, r, sizeof(*r), MSG_DONTWAIT | MSG_TRUNC);
	if (got < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -1;
	if (got == 0)
		return -1;
	uint32_t len = r->len;
	if (got < REPORT_HEAD || len > sizeof(r->text) || (size_t)got != REPORT_HEAD + len)
		r->kind = 0;
	return 1;
}

static int await_ready(int control, char error[HELPER_ERROR_MAX])
{
	struct helper_report r;
	struct pollfd p = { .fd = control, .events = POLLIN };

	snprintf(error, HELPER_ERROR_MAX, "the helper does not answer");
	if (poll(&p, 1, START_DEADLINE_MS) <= 0)
		return -ETIMEDOUT;
	int got = take_report(control, &r);
	if (got == 1 && r.kind == HELPER_REPORT_READY)
		return 0;
	if (got == 1 && r.kind == HELPER_REPORT_FAILED)
		snprintf(error, HELPER_ERROR_MAX, "%.*s", (int)(r.len < 200 ? r.len : 200), r.text);
	else
		snprintf(error, HELPER_ERROR_MAX, "the helper died at its start");
	return -ECHILD;
}

int helper_start(const struct helper_birth *birth, struct helper *out, char error[HELPER_ERROR_MAX])
{
	*out = (struct helper){ .pid = -1, .control = -1, .pid_fd = -1 };
	int result, ends[2];
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0) {
		result = -errno;
		snprintf(error, HELPER_ERROR_MAX, "the helper cannot be started: %s", strerror(-result));
		return result;
	}
	out->control = ends[0];
	out->pid = fork();
	if (out->pid == 0) {
		int keep[] = { ends[1] };
		prctl(PR_SET_NAME, "vpn-helper");
		privilege_child_begin(keep, 1, birth->silent);
		be_born(birth, ends[1]);
	}
	if (out->pid < 0)
		snprintf(error, HELPER_ERROR_MAX, "the helper cannot be started: %s", strerror(errno));
	close(ends[1]);
	result = out->pid < 0 ? -EAGAIN : await_ready(out->control, error);
	if (result && out->pid > 0)
		kill(out->pid, SIGKILL); /* it is ours and not reaped yet, so the number is still its own */
	if (result)
		helper_let_go(out);
	return result;
}

/* The helper reads commands whenever it is not at work on something short, so waiting for room is short too.
 */
static int command(struct helper *helper, enum helper_command_kind kind, unsigned worker, int fd)
{
	struct helper_command c = { .kind = kind, .worker = worker };
	union {
		struct cmsghdr head;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = { .head = { .cmsg_len = CMSG_LEN(sizeof(int)),
			      .cmsg_level = SOL_SOCKET,
			      .cmsg_type = SCM_RIGHTS } };
	struct iovec part = { .iov_base = &c, .iov_len = sizeof(c) };
	struct msghdr m = { .msg_iov = &part, .msg_iovlen = 1 };
	struct pollfd p = { .fd = helper->control, .events = POLLOUT };

	if (helper->control < 0)
		return -ENOTCONN;
	if (fd >= 0) {
		memcpy(CMSG_DATA(&control.head), &fd, sizeof(fd));
		m.msg_control = &control;
		m.msg_controllen = sizeof(control);
	}
	ssize_t n;
	while ((n = sendmsg(helper->control, &m, MSG_DONTWAIT | MSG_NOSIGNAL)) < 0 && errno == EAGAIN)
		if (poll(&p, 1, 500) <= 0)
			return -ETIMEDOUT;
	return n < 0 ? -errno : 0;
}

int helper_tell(struct helper *helper, const struct config *config, const struct environment *base)
{
	int fd = helper_plan_write(config, base);
	if (fd < 0)
		return fd;
	int error = command(helper, HELPER_COMMAND_PLAN, 0, fd);
	close(fd);
	return error;
}

int helper_channel(struct helper *helper, unsigned worker)
{
	int ends[2];
	/* Blocking ends: each call says itself when it must not wait. A worker's last messages may, for a
	 * bounded time. */
	struct timeval patience = { .tv_usec = 300000 };
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
		return -errno;
	setsockopt(ends[0], SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	int error = command(helper, HELPER_COMMAND_CHANNEL, worker, ends[1]);
	close(ends[1]);
	if (!error)
		return ends[0];
	close(ends[0]);
	return error;
}

bool helper_listen(struct helper *helper)
{
	struct helper_report r;
	int got = 0;
	for (unsigned i = 0; i < LISTEN_MAX && (got = take_report(helper->control, &r)) > 0; i++)
		if (r.kind == HELPER_REPORT_LOG)
			log_foreign(r.level, r.text, r.len);
	return got >= 0;
}

void helper_finish(struct helper *helper)
{
	command(helper, HELPER_COMMAND_FINISH, 0, -1);
}

void helper_let_go(struct helper *helper)
{
	if (helper->control >= 0)
		close(helper->control);
	if (helper->pid_fd >= 0)
		close(helper->pid_fd);
	*helper = (struct helper){ .pid = -1, .control = -1, .pid_fd = -1 };
}

void helper_kill(const struct helper *helper)
{
	if (helper->pid_fd >= 0)
		pidfd_send_signal(helper->pid_fd, SIGKILL, NULL, 0);
	else if (helper->pid > 0)
		kill(helper->pid, SIGKILL);
}
