/* SPDX-License-Identifier: MIT
 * A small HTTP/1.1 server for one page. Everything is bounded: connections, bytes of a request, and the time
 * of each state. A connection's way:
 *
 *   ASKING ──whole head──> ANSWERING ──all sent──> ENDING ──peer closes, 1 s──> gone
 *      │ 5 s: 408, 4 KiB: 431 ──^   │ 10 s ──> gone
 *
 * ENDING reads and throws away, because closing with unread bytes would take the answer back. */
#include "shm/vpnadm/prometheus.h"

#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { MOST_CONNECTIONS = 32, REQUEST_ROOM = 4096, HEAD_ROOM = 256 };
enum { ASKING_MS = 5000, ANSWERING_MS = 10000, ENDING_MS = 1000, NO_DESCRIPTOR_MS = 100 };

enum state { UNUSED, ASKING, ANSWERING, ENDING };

struct connection {
	enum state state;
	int fd;
	mono_ms until;
	char request[REQUEST_ROOM];
	size_t asked; /* bytes of it */
	char head[HEAD_ROOM];
	size_t head_len;
	char *body;
	size_t body_len, sent; /* of head and body together */
};

struct server {
	int listeners[PROMETHEUS_MOST_LISTENERS];
	size_t listener_count;
	mono_ms listen_at; /* not before: there was no descriptor for a connection that waits */
	struct connection connections[MOST_CONNECTIONS];
	prometheus_render render;
	void *context;
};

static mono_ms now_ms(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (mono_ms)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void close_connection(struct connection *c)
{
	close(c->fd);
	free(c->body);
	c->body = NULL;
	c->state = UNUSED;
}

static void enter(struct connection *c, enum state state, span_ms limit)
{
	c->state = state;
	c->until = now_ms() + limit;
}

/* -- answers -- */

/* Takes `body` over. */
static void answer(struct connection *c, const char *status, const char *extra, char *body, size_t len)
{
	c->body = body;
	c->body_len = len;
	c->sent = 0;
	int n = snprintf(c->head, sizeof(c->head),
		"HTTP/1.1 %s\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n%s"
		"Content-Length: %zu\r\nConnection: close\r\n\r\n",
		status, extra, len);
	c->head_len = n < (int)sizeof(c->head) ? (size_t)n : sizeof(c->head) - 1;
	enter(c, ANSWERING, ANSWERING_MS);
}

static void refuse(struct connection *c, const char *status, const char *extra)
{
	char *body = NULL;
	int len = asprintf(&body, "%s\n", status);
	if (len < 0)
		close_connection(c);
	else
		answer(c, status, extra, body, (size_t)len);
}

static void answer_page(const struct server *server, struct connection *c)
{
	size_t len = 0;
	char *body = server->render(server->context, &len);
	if (body)
		answer(c, "200 OK", "", body, len);
	else
		refuse(c, "503 Service Unavailable", "");
}

/* -- questions -- */

static void read_request(const struct server *server, struct connection *c)
{
	ssize_t n = recv(c->fd, c->request + c->asked, sizeof(c->request) - c->asked, 0);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		close_connection(c);
		return;
	}
	c->asked += (size_t)n;
	switch (prometheus_question(c->request, c->asked)) {
	case QUESTION_NOT_WHOLE:
		if (c->asked == sizeof(c->request))
			refuse(c, "431 Request Header Fields Too Large", "");
		break;
	case QUESTION_PAGE:
		answer_page(server, c);
		break;
	case QUESTION_ELSEWHERE:
		refuse(c, "404 Not Found", "");
		break;
	case QUESTION_OTHER_METHOD:
		refuse(c, "405 Method Not Allowed", "Allow: GET\r\n");
		break;
	case QUESTION_NONSENSE:
		refuse(c, "400 Bad Request", "");
		break;
	}
}

static void write_answer(struct connection *c)
{
	while (c->sent < c->head_len + c->body_len) {
		bool in_head = c->sent < c->head_len;
		const char *from = in_head ? c->head + c->sent : c->body + (c->sent - c->head_len);
		size_t left = in_head ? c->head_len - c->sent : c->head_len + c->body_len - c->sent;
		ssize_t n = send(c->fd, from, left, MSG_NOSIGNAL | (in_head ? MSG_MORE : 0));
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (n <= 0) {
			close_connection(c);
			return;
		}
		c->sent += (size_t)n;
	}
	free(c->body);
	c->body = NULL;
	shutdown(c->fd, SHUT_WR);
	enter(c, ENDING, ENDING_MS);
}

static void drain(struct connection *c)
{
	ssize_t n = recv(c->fd, c->request, sizeof(c->request), 0);
	if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
		close_connection(c);
}

static void expire(struct connection *c)
{
	if (c->state == ASKING && c->asked)
		refuse(c, "408 Request Timeout", "");
	else
		close_connection(c);
}

/* -- sockets -- */

static struct connection *unused_connection(struct server *server)
{
	for (size_t i = 0; i < MOST_CONNECTIONS; i++)
		if (server->connections[i].state == UNUSED)
			return &server->connections[i];
	return NULL;
}

static void accept_one(struct server *server, int listener)
{
	struct connection *c = unused_connection(server);
	int fd = c ? accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC) : -1;

	if (fd < 0) {
		/* It left again, or it goes on waiting: not in a circle. */
		if (c && errno != EAGAIN && errno != EINTR && errno != ECONNABORTED)
			server->listen_at = now_ms() + NO_DESCRIPTOR_MS;
		return;
	}
	c->fd = fd;
	c->asked = 0;
	enter(c, ASKING, ASKING_MS);
}

/* "ADDRESS:PORT" or "[ADDRESS]:PORT", numbers only; the socket, or -1 and said why. */
static int listen_on(const char *text)
{
	char host[128];
	const char *colon = strrchr(text, ':'), *from = text, *to = colon;
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM,
		.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE },
			*found = NULL;
	int fd = -1, on = 1;

	if (colon && text[0] == '[' && colon > text + 1 && colon[-1] == ']') {
		from++;
		to--;
	} else if (colon && memchr(text, ':', (size_t)(colon - text))) {
		to = from; /* IPv6 wants its brackets */
	}
	if (!colon || to <= from || !colon[1] || (size_t)(to - from) >= sizeof(host)) {
		fprintf(stderr, "vpnadm: --listen wants ADDRESS:PORT or [ADDRESS]:PORT\n");
		return -1;
	}
	memcpy(host, from, (size_t)(to - from));
	host[to - from] = 0;
	int wrong = getaddrinfo(host, colon + 1, &hints, &found);
	if (wrong) {
		fprintf(stderr, "vpnadm: --listen %s: %s\n", text, gai_strerror(wrong));
		return -1;
	}
	fd = socket(found->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd >= 0 && found->ai_family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0 ||
		bind(fd, found->ai_addr, found->ai_addrlen) != 0 || listen(fd, MOST_CONNECTIONS) != 0) {
		fprintf(stderr, "vpnadm: --listen %s: %s\n", text, strerror(errno));
		if (fd >= 0)
			close(fd);
		fd = -1;
	}
	freeaddrinfo(found);
	return fd;
}

static void advance(struct server *server, struct connection *c, short events)
{
	if (c->state == ASKING && events)
		read_request(server, c);
	else if (c->state == ENDING && events)
		drain(c);
	/* The answer usually fits the socket at once. */
	if (c->state == ANSWERING)
		write_answer(c);
}

/* One turn: waits for something to do or the next deadline, does it. False: told to end. */
static bool turn(struct server *server, int signals)
{
	struct pollfd fds[1 + PROMETHEUS_MOST_LISTENERS + MOST_CONNECTIONS];
	struct connection *of[MOST_CONNECTIONS];
	size_t count = 0, first;
	mono_ms now = now_ms(), wake = MONO_NEVER;

	fds[count++] = (struct pollfd){ .fd = signals, .events = POLLIN };
	/* Without a free place the kernel's queue is where they wait. */
	bool listening = now >= server->listen_at && unused_connection(server);
	for (size_t i = 0; i < server->listener_count && listening; i++)
		fds[count++] = (struct pollfd){ .fd = server->listeners[i], .events = POLLIN };
	if (now < server->listen_at)
		wake = server->listen_at;
	first = count;
	for (size_t i = 0; i < MOST_CONNECTIONS; i++) {
		struct connection *c = &server->connections[i];
		if (c->state == UNUSED)
			continue;
		of[count - first] = c;
		fds[count++] =
			(struct pollfd){ .fd = c->fd, .events = c->state == ANSWERING ? POLLOUT : POLLIN };
		wake = mono_earlier(wake, c->until);
	}
	int timeout = wake == MONO_NEVER ? -1 : wake <= now ? 0 : (int)(wake - now);
	if (poll(fds, count, timeout) < 0)
		return errno == EINTR;
	if (fds[0].revents)
		return false;
	now = now_ms();
	for (size_t i = first; i < count; i++) {
		struct connection *c = of[i - first];
		/* Deadlines first: one byte now and then must not put them off. */
		if (now >= c->until)
			expire(c);
		else if (fds[i].revents)
			advance(server, c, fds[i].revents);
	}
	for (size_t i = 1; i < first; i++)
		if (fds[i].revents)
			accept_one(server, fds[i].fd);
	return true;
}

int prometheus_serve(const char *const *addresses, size_t count, prometheus_render render, void *context)
{
	static struct server server;
	sigset_t ending;
	int signals = -1, status = 1;

	server.render = render;
	server.context = context;
	sigemptyset(&ending);
	sigaddset(&ending, SIGTERM);
	sigaddset(&ending, SIGINT);
	if (sigprocmask(SIG_BLOCK, &ending, NULL) != 0)
		goto cleanup;
	signals = signalfd(-1, &ending, SFD_CLOEXEC | SFD_NONBLOCK);
	if (signals < 0)
		goto cleanup;
	for (size_t i = 0; i < count; i++) {
		int fd = listen_on(addresses[i]);
		if (fd < 0)
			goto cleanup;
		server.listeners[server.listener_count++] = fd;
	}
	while (turn(&server, signals))
		;
	status = 0;
cleanup:
	for (size_t i = 0; i < MOST_CONNECTIONS; i++)
		if (server.connections[i].state != UNUSED)
			close_connection(&server.connections[i]);
	for (size_t i = 0; i < server.listener_count; i++)
		close(server.listeners[i]);
	if (signals >= 0)
		close(signals);
	return status;
}
