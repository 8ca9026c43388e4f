/* SPDX-License-Identifier: MIT
 * The connection to a control socket: words out, lines in. */
#include "shm/vpnadm/control.h"

#include <errno.h>
#include <grp.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

struct control {
	int fd;
	size_t len; /* of what is in `in` and no line yet taken */
	char in[CONTROL_LINE_MAX];
};

static int64_t now_ms(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* Waits until the descriptor is ready for `events` or the moment has come. */
static bool ready(int fd, short events, int64_t until)
{
	for (;;) {
		int64_t left = until - now_ms();
		struct pollfd p = { .fd = fd, .events = events };
		int count = poll(&p, 1, left > 0 ? (int)left : 0);
		if (count > 0)
			return true;
		if (count == 0 || errno != EINTR)
			return false;
	}
}

/* One line without its end into `line`. 1; 0: none in time; -1: the other end is gone. One that is too long is cut. */
static int take_line(struct control *c, char *line, int wait_ms)
{
	int64_t until = now_ms() + wait_ms;

	for (;;) {
		char *end = memchr(c->in, '\n', c->len);
		if (end || c->len == sizeof(c->in)) {
			size_t len = end ? (size_t)(end - c->in) : c->len - 1, taken = end ? len + 1 : c->len;
			memcpy(line, c->in, len);
			while (len && line[len - 1] == '\r')
				len--;
			line[len] = '\0';
			c->len -= taken;
			memmove(c->in, c->in + taken, c->len);
			return 1;
		}
		if (!ready(c->fd, POLLIN, until))
			return 0;
		ssize_t got = recv(c->fd, c->in + c->len, sizeof(c->in) - c->len, MSG_DONTWAIT);
		if (got < 0 && (errno == EAGAIN || errno == EINTR))
			continue;
		if (got <= 0)
			return -1;
		c->len += (size_t)got;
	}
}

static void why_not(const char *path, int number, char *error, size_t room)
{
	struct stat is;
	const struct group *group = NULL;

	if (number == ENOENT || number == ECONNREFUSED) {
		snprintf(error, room, "this hub is not running: nobody listens at %s", path);
	} else if (number == EACCES || number == EPERM) {
		if (stat(path, &is) == 0 && (is.st_mode & S_IWGRP))
			group = getgrgid(is.st_gid);
		snprintf(error, room, "no permission: %s is for root%s%s", path,
			group ? " and members of the group " : " alone (its group would be vpnadm, if there were one)",
			group ? group->gr_name : "");
	} else {
		snprintf(error, room, "%s: %s", path, strerror(number));
	}
}

struct control *control_open(const char *path, char *error, size_t room)
{
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	struct control *c = calloc(1, sizeof(*c));
	char line[CONTROL_LINE_MAX];

	if (!c || (c->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)) < 0) {
		snprintf(error, room, "%s", strerror(errno));
		free(c);
		return NULL;
	}
	if (strlen(path) >= sizeof(to.sun_path)) {
		snprintf(error, room, "%s is too long for a socket's name", path);
		goto failed;
	}
	strcpy(to.sun_path, path);
	if (connect(c->fd, (struct sockaddr *)&to, sizeof(to)) < 0) {
		why_not(path, errno, error, room);
		goto failed;
	}
	int got = take_line(c, line, CONTROL_WAIT_MS);
	if (got == 1 && strncmp(line, ">INFO:", 6) == 0)
		return c;
	if (got < 0)
		snprintf(error, room, "the hub wants nothing to do with us: not allowed, or too many are connected");
	else
		snprintf(error, room, "%s %s", path, got ? "does not speak like a hub" : "does not answer");
failed:
	control_close(&c);
	return NULL;
}

void control_close(struct control **control)
{
	if (*control) {
		close((*control)->fd);
		free(*control);
	}
	*control = NULL;
}

/* The words as one line, each in quotation marks. Its length; 0: too long, or what cannot be said. */
static size_t spell(const char *const *words, char *out, size_t room)
{
	size_t len = 0;

	for (; *words; words++) {
		if (len + 2 * strlen(*words) + 4 > room)
			return 0;
		if (len)
			out[len++] = ' ';
		out[len++] = '"';
		for (const char *at = *words; *at; at++) {
			if ((uint8_t)*at < ' ' || *at == 0x7f)
				return 0;
			if (*at == '"' || *at == '\\')
				out[len++] = '\\';
			out[len++] = *at;
		}
		out[len++] = '"';
	}
	out[len++] = '\n';
	return len;
}

static bool send_all(struct control *c, const char *bytes, size_t len)
{
	int64_t until = now_ms() + CONTROL_WAIT_MS;

	while (len) {
		if (!ready(c->fd, POLLOUT, until))
			return false;
		ssize_t gone = send(c->fd, bytes, len, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (gone < 0 && errno != EAGAIN && errno != EINTR)
			return false;
		if (gone > 0) {
			bytes += gone;
			len -= (size_t)gone;
		}
	}
	return true;
}

enum control_answer control_command(struct control *c, const char *const *words, control_told *told, void *context,
	char *answer, size_t room)
{
	char line[CONTROL_LINE_MAX];
	size_t len = spell(words, line, 1024);
	int got;

	if (!len) {
		snprintf(answer, room, "this cannot be said in a command: too long, or with control characters");
		return CONTROL_REFUSED;
	}
	if (!send_all(c, line, len)) {
		snprintf(answer, room, "the hub does not listen any more");
		return CONTROL_LOST;
	}
	while ((got = take_line(c, line, CONTROL_WAIT_MS)) == 1) {
		bool good = strncmp(line, "SUCCESS: ", 9) == 0;
		if (good || strncmp(line, "ERROR: ", 7) == 0) {
			snprintf(answer, room, "%s", line + (good ? 9 : 7));
			return good ? CONTROL_DONE : CONTROL_REFUSED;
		}
		if (strcmp(line, "END") == 0) {
			snprintf(answer, room, "%s", "");
			return CONTROL_DONE;
		}
		if (line[0] != '>' && told)
			told(context, line);
	}
	snprintf(answer, room, "%s", got ? "the hub ended the connection before its answer was complete"
					 : "the hub does not answer");
	return CONTROL_LOST;
}

int control_notice(struct control *c, char *line, int wait_ms)
{
	int got;

	while ((got = take_line(c, line, wait_ms)) == 1 && line[0] != '>')
		;
	return got;
}
