/* SPDX-License-Identifier: MIT
 * Datagrams of lines NAME=VALUE to the socket that NOTIFY_SOCKET names; sd_notify(3) lists the names. */
#include "master/notify.h"

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

/* A file's path, or a name behind '@' that is in no file system. */
static bool read_address(const char *text, struct sockaddr_un *to, socklen_t *len)
{
	size_t size = strlen(text);
	if (size < 2 || size >= sizeof(to->sun_path) || (text[0] != '/' && text[0] != '@'))
		return false;
	*to = (struct sockaddr_un){ .sun_family = AF_UNIX };
	memcpy(to->sun_path, text, size);
	*len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + size);
	if (text[0] == '@')
		to->sun_path[0] = '\0';
	else
		++*len; /* with its end */
	return true;
}

/* Half of what we are given, as sd_watchdog_enabled(3) advises. */
static span_ms read_watchdog(const char *usec, const char *pid)
{
	char *end;
	if (!usec || (pid && strtol(pid, &end, 10) != (long)getpid()))
		return 0;
	errno = 0;
	long long limit = strtoll(usec, &end, 10);
	if (errno || end == usec || *end || limit <= 0)
		return 0;
	span_ms half = limit / 2000;
	return half ? half : 1;
}

void notify_open(struct notify *n)
{
	const char *address = getenv("NOTIFY_SOCKET");
	*n = (struct notify){ .fd = -1 };
	if (address && read_address(address, &n->to, &n->to_len)) {
		struct timeval limit = { .tv_sec = 1 };
		n->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
		if (n->fd >= 0)
			setsockopt(n->fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
		n->watchdog = read_watchdog(getenv("WATCHDOG_USEC"), getenv("WATCHDOG_PID"));
		snprintf(n->address, sizeof(n->address), "%s", address);
		if (n->watchdog)
			snprintf(n->watchdog_usec, sizeof(n->watchdog_usec), "%s", getenv("WATCHDOG_USEC"));
	}
	unsetenv("NOTIFY_SOCKET");
	unsetenv("WATCHDOG_USEC");
	unsetenv("WATCHDOG_PID");
}

void notify_close(struct notify *n)
{
	if (n->fd >= 0)
		close(n->fd);
	n->fd = -1;
}

bool notify_wanted(const struct notify *n)
{
	return n->fd >= 0;
}

/* False, as said in the header: nobody hears us, we go on. */
static bool tell_with(const struct notify *n, const char *text, int fd)
{
	union {
		struct cmsghdr head;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = { .head = { .cmsg_len = CMSG_LEN(sizeof(int)),
			      .cmsg_level = SOL_SOCKET,
			      .cmsg_type = SCM_RIGHTS } };
	struct iovec part = { .iov_base = (void *)(uintptr_t)text, .iov_len = strlen(text) };
	struct msghdr m = { .msg_name = (void *)(uintptr_t)&n->to,
		.msg_namelen = n->to_len,
		.msg_iov = &part,
		.msg_iovlen = 1 };
	if (n->fd < 0)
		return false;
	if (fd >= 0) {
		memcpy(CMSG_DATA(&control.head), &fd, sizeof(fd));
		m.msg_control = &control;
		m.msg_controllen = sizeof(control);
	}
	while (sendmsg(n->fd, &m, MSG_NOSIGNAL) < 0)
		if (errno != EINTR)
			return false;
	return true;
}

static void tell(const struct notify *n, const char *text)
{
	tell_with(n, text, -1);
}

static void tell_state(const struct notify *n, const char *state, const char *status)
{
	char text[320];
	snprintf(text, sizeof(text), "%s\nSTATUS=%.200s", state, status);
	tell(n, text);
}

void notify_ready(const struct notify *n, const char *status)
{
	char state[48];
	snprintf(state, sizeof(state), "READY=1\nMAINPID=%ld", (long)getpid());
	tell_state(n, state, status);
}

void notify_reloading(const struct notify *n, const char *status)
{
	struct timespec now;
	char state[64];
	clock_gettime(CLOCK_MONOTONIC, &now); /* the manager's clock; it wants microseconds */
	snprintf(state, sizeof(state), "RELOADING=1\nMONOTONIC_USEC=%lld",
		(long long)now.tv_sec * 1000000 + now.tv_nsec / 1000);
	tell_state(n, state, status);
}

void notify_stopping(const struct notify *n, const char *status)
{
	tell_state(n, "STOPPING=1", status);
}

void notify_put_back(const struct notify *n)
{
	if (n->address[0])
		setenv("NOTIFY_SOCKET", n->address, 1);
	if (n->watchdog_usec[0])
		setenv("WATCHDOG_USEC", n->watchdog_usec, 1);
}

bool notify_keep(const struct notify *n, const char *name, int fd)
{
	char text[96];
	/* not watched there: a socket's passing error would be taken for its end */
	snprintf(text, sizeof(text), "FDSTORE=1\nFDPOLL=0\nFDNAME=%s", name);
	return tell_with(n, text, fd);
}

bool notify_keep_no_more(const struct notify *n, const char *name)
{
	char text[96];
	snprintf(text, sizeof(text), "FDSTOREREMOVE=1\nFDNAME=%s", name);
	return tell_with(n, text, -1);
}

void notify_alive(const struct notify *n)
{
	tell(n, "WATCHDOG=1");
}
