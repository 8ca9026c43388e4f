/* SPDX-License-Identifier: MIT
 * The management interface in the master's loop: descriptors and time. What a client says and is told is
 * manage_client.c's; nothing here waits for one. */
#include "master/manage_internal.h"

#include "common/base/packet.h"
#include "common/base/secret.h"
#include "common/base/text.h"
#include "master/log.h"
#include "master/runtime.h"

#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
	WATCH_CLIENTS = MANAGE_WATCH + DOORS, /* doors first, then clients by place */
	ACCEPTS_AT_ONCE = 16,
	READS_AT_ONCE = 8,
	DOOR_PAUSE_MS = 1000,
};

/* -- what the log and the hub tell -- */

static char flag_of(int level, const char *text)
{
	return level <= 0 ? 'N' : log_is_warning(text) ? 'W' : level <= 3 ? 'I' : 'D';
}

static void hear_log(void *context, time_t when, int level, const char *text)
{
	struct manage *g = context;
	char line[LOG_TEXT_MAX + 64];

	snprintf(line, sizeof(line), "%lld,%c,%s", (long long)when, flag_of(level, text), text);
	history_add(&g->log, line);
	EACH_CLIENT (g, c) {
		if (c->log_on)
			client_notice(g, c, ">LOG:%s", line);
		if (c->id == g->relay_to)
			client_say(c, "%s", text);
	}
}

void manage_state(struct master *m, const char *state, const char *detail)
{
	struct manage *g = m->manage;
	char line[256], four[INET_ADDRSTRLEN] = "", six[INET6_ADDRSTRLEN] = "";

	if (!g)
		return;
	const struct config *config = m->now.config;
	struct in_addr local4 = { .s_addr = htonl(config->local4) };
	bool has_address = strcmp(state, "CONNECTED") == 0 || strcmp(state, "ASSIGN_IP") == 0;
	if (has_address && config->ifconfig_on)
		inet_ntop(AF_INET, &local4, four, sizeof(four));
	if (has_address && config->ifconfig6_on)
		inet_ntop(AF_INET6, &config->local6, six, sizeof(six));
	snprintf(line, sizeof(line), "%lld,%s,%s,%s,,,,%s%s", (long long)time(NULL), state, detail, four,
		six[0] ? "," : "", six);
	history_add(&g->states, line);
	EACH_CLIENT (g, c)
		if (c->state_on)
			client_notice(g, c, ">STATE:%s", line);
}

/* What the configuration says to whoever manages the hub. */
static void tell_echoes(struct manage *g, const struct management *said)
{
	char text[MANAGE_LINE_MAX], line[MANAGE_LINE_MAX + 64];

	for (unsigned i = 0; i < said->echo_count; i++) {
		text_escape(text, sizeof(text), said->echoes[i], strlen(said->echoes[i]), NULL);
		snprintf(line, sizeof(line), "%lld,%s", (long long)time(NULL), text);
		history_add(&g->echoes, line);
		if (strncmp(text, "msg", 3) == 0)
			log_line(LOG_LEVEL_NOTICE, "ECHO: %s", text);
		EACH_CLIENT (g, c)
			if (c->echo_on)
				client_notice(g, c, ">ECHO:%s", line);
	}
}

/* -- birth and death -- */

static void watch(struct manage *g, int op, int fd, uint32_t what, uint32_t events)
{
	struct epoll_event event = { .events = events, .data.u32 = what };
	epoll_ctl(g->master->epoll_fd, op, fd, &event);
}

int manage_open(struct master *m)
{
	struct manage *g = calloc(1, sizeof(*g));
	int error = -ENOMEM;

	if (!g)
		return error;
	m->manage = g;
	g->master = m;
	g->verb = -1;
	g->hold_flag = m->now.config->management.hold;
	for (unsigned i = 0; i < MANAGE_CLIENTS_MAX; i++)
		g->clients[i].fd = -1;
	for (unsigned d = 0; d < DOORS; d++) {
		g->doors[d].fd = -1;
		g->doors[d].left = upgrade_left_door(m, d);
	}
	if (history_init(&g->log, m->now.config->management.log_cache) && history_init(&g->states, STATES_KEPT) &&
		history_init(&g->echoes, ECHOES_KEPT))
		error = doors_open(g, m->now.config);
	for (uint32_t d = 0; d < DOORS && !error; d++)
		if (g->doors[d].fd >= 0)
			watch(g, EPOLL_CTL_ADD, g->doors[d].fd, MANAGE_WATCH + d, EPOLLIN);
	if (error)
		return error;
	log_listen(hear_log, g);
	manage_state(m, "CONNECTING", "");
	tell_echoes(g, &m->now.config->management);
	return 0;
}

_Static_assert((int)MANAGE_DOORS == (int)DOORS, "all of them go to a successor");

int manage_door_fd(const struct master *m, unsigned door)
{
	return m->manage ? m->manage->doors[door].fd : -1;
}

static void let_go(struct manage_client *c)
{
	close(c->fd); /* takes it out of epoll */
	client_end(c);
}

void manage_close(struct master *m)
{
	struct manage *g = m->manage;

	if (!g)
		return;
	manage_on_time(m, master_now()); /* a last try to tell them */
	doors_close(g);
	manage_forget(m);
}

void manage_forget(struct master *m)
{
	struct manage *g = m->manage;

	if (!g)
		return;
	log_listen(NULL, NULL);
	EACH_CLIENT (g, c)
		let_go(c);
	for (int d = 0; d < DOORS; d++)
		if (g->doors[d].fd >= 0)
			close(g->doors[d].fd); /* the socket's name stays: it is not ours to remove */
	history_clear(&g->log);
	history_clear(&g->states);
	history_clear(&g->echoes);
	secret_wipe(g, sizeof(*g));
	free(g);
	m->manage = NULL;
}

/* -- clients -- */

/* A free place; if there is none, that of the one that has owed us the password for longest: who gave it, or need not,
 * keeps its place. */
static struct manage_client *free_place(struct manage *g)
{
	struct manage_client *oldest = NULL;

	for (unsigned i = 0; i < MANAGE_CLIENTS_MAX; i++) {
		struct manage_client *c = &g->clients[i];
		if (c->fd < 0)
			return c;
		if (!c->known && (!oldest || c->known_by < oldest->known_by))
			oldest = c;
	}
	g->counts.full++;
	if (oldest)
		let_go(oldest);
	return oldest;
}

static void accept_clients(struct manage *g, enum door_kind door)
{
	long pid, uid;

	for (unsigned i = 0; i < ACCEPTS_AT_ONCE; i++) {
		int fd = door_accept(g, door, &pid, &uid);
		if (fd == -EACCES || fd == -ECONNABORTED)
			continue;
		if (fd < 0 && fd != -EAGAIN) { /* out of descriptors: it would be told again and again */
			g->doors[door].closed_until = master_now() + DOOR_PAUSE_MS;
			watch(g, EPOLL_CTL_MOD, g->doors[door].fd, MANAGE_WATCH + (uint32_t)door, 0);
		}
		if (fd < 0)
			return;
		struct manage_client *c = free_place(g);
		if (!c) {
			close(fd);
			continue;
		}
		c->fd = fd;
		client_begin(g, c, door, master_now());
		c->pid = pid;
		c->uid = uid;
		g->counts.accepted++;
		if (c->known)
			client_note(g, EVENT_MANAGER_CAME, door, uid, "");
		c->watched = EPOLLIN;
		watch(g, EPOLL_CTL_ADD, fd, WATCH_CLIENTS + (uint32_t)(c - g->clients), EPOLLIN);
	}
}

static void read_client(struct manage *g, struct manage_client *c)
{
	uint64_t id = c->id;

	for (unsigned i = 0; i < READS_AT_ONCE; i++) {
		mono_ms now = master_now();
		size_t room;
		char *at = client_room(c, &room);
		if (client_held(c, now) || !room)
			return;
		ssize_t got = recv(c->fd, at, room, MSG_DONTWAIT);
		if (got < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (got <= 0) {
			client_leave(c, "it left", true);
			return;
		}
		client_took(g, c, (size_t)got, now);
		if (c->id != id || c->fd < 0)
			return;
	}
}

static void write_client(struct manage_client *c, mono_ms now)
{
	while (c->out_len) {
		ssize_t gone = send(c->fd, c->out + c->out_at, c->out_len, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (gone < 0 && errno != EAGAIN && errno != EINTR)
			client_leave(c, "it left", false);
		if (gone <= 0)
			return;
		client_gave(c, (size_t)gone, now);
	}
	c->moved_at = now;
}

void manage_said(struct master *m, uint32_t what, uint32_t events)
{
	struct manage *g = m->manage;

	if (!g || what < MANAGE_WATCH)
		return;
	if (what < WATCH_CLIENTS) {
		if (g->doors[what - MANAGE_WATCH].fd >= 0)
			accept_clients(g, (enum door_kind)(what - MANAGE_WATCH));
		return;
	}
	if (what - WATCH_CLIENTS >= MANAGE_CLIENTS_MAX)
		return;
	struct manage_client *c = &g->clients[what - WATCH_CLIENTS];
	if (c->fd < 0)
		return; /* of one that is gone */
	uint64_t id = c->id;
	if (events & (EPOLLIN | EPOLLHUP))
		read_client(g, c);
	if (c->id == id && c->fd >= 0 && (events & (EPOLLHUP | EPOLLERR)) && client_held(c, master_now()))
		client_leave(c, "it left", false); /* nobody is there to read the rest */
}

/* -- time -- */

/* A password that does not come, a queue that does not move. */
static void check_deadlines(struct manage *g, struct manage_client *c, mono_ms now)
{
	if (!c->known && now >= c->known_by && !c->leaving) {
		g->counts.silent++;
		client_leave(c, "the password did not come in time", false);
	}
	if (c->out_len && now - c->moved_at >= STALL_MS) {
		g->counts.slow++;
		c->leaving = c->leaving ? c->leaving : "it does not read what it is told";
		c->last_words = false;
	}
}

static void serve_client(struct manage *g, struct manage_client *c, mono_ms now)
{
	uint64_t id = c->id;

	client_go_on(g, c, now);
	if (c->id != id || c->fd < 0)
		return;
	/* in turns, so that one that reads all the time does not keep the hub from its work */
	answer_go_on(g, c);
	bytecount_go_on(g, c, now);
	write_client(c, now);
	check_deadlines(g, c, now);
	if (c->leaving && !(c->last_words && (c->out_len || c->answer.kind != LONG_NONE))) {
		if (strncmp(c->leaving, "it left", 7) != 0)
			log_line(LOG_LEVEL_INFO, "MANAGEMENT: client %llu is let go: %s", (unsigned long long)c->id,
				c->leaving);
		let_go(c);
		return;
	}
	bool more = c->out_len || c->answer.kind != LONG_NONE || c->bytecount_slot != PEER_NONE;
	uint32_t events = (client_held(c, now) ? 0 : EPOLLIN) | (more ? EPOLLOUT : 0);
	if (events != c->watched) {
		watch(g, EPOLL_CTL_MOD, c->fd, WATCH_CLIENTS + (uint32_t)(c - g->clients), events);
		c->watched = events;
	}
}

void manage_on_time(struct master *m, mono_ms now)
{
	struct manage *g = m->manage;

	if (!g)
		return;
	traces_tidy(g, now);
	for (uint32_t d = 0; d < DOORS; d++)
		if (g->doors[d].closed_until && now >= g->doors[d].closed_until) {
			g->doors[d].closed_until = 0;
			watch(g, EPOLL_CTL_MOD, g->doors[d].fd, MANAGE_WATCH + d, EPOLLIN);
		}
	EACH_CLIENT (g, c)
		serve_client(g, c, now);
}

mono_ms manage_wake_at(const struct master *m)
{
	struct manage *g = m->manage;
	mono_ms next = MONO_NEVER;

	if (!g)
		return next;
	EACH_CLIENT (g, c) {
		if (!c->known)
			next = mono_earlier(next, c->known_by);
		if (c->held_until)
			next = mono_earlier(next, c->held_until);
		if (c->out_len) /* queued after its turn: at once */
			next = mono_earlier(next, c->watched & EPOLLOUT ? c->moved_at + STALL_MS : 0);
		if (c->bytecount_s)
			next = mono_earlier(next, c->bytecount_at);
	}
	for (int d = 0; d < DOORS; d++)
		if (g->doors[d].closed_until)
			next = mono_earlier(next, g->doors[d].closed_until);
	for (unsigned i = 0; i < MANAGE_TRACES_MAX; i++)
		if (g->traces[i].on)
			next = mono_earlier(next, g->traces[i].until + TRACE_LAST_MS);
	return next;
}

/* -- the hub's life -- */

bool manage_hold(struct master *m)
{
	struct manage *g = m->manage;
	struct epoll_event events[16], own = { .events = EPOLLIN, .data.u32 = 0 };
	bool wanted = true;

	log_line(LOG_LEVEL_NOTICE, "Waiting for `hold release` of a management client");
	/* Whoever started us would wait as long as that, and needs to know whom to end. */
	if (m->born->writepid)
		m->pid_file_written = pid_file_write(m->born->writepid) == 0;
	runtime_tell(m->tell_first, 0);
	m->tell_first = -1;
	notify_ready(&m->notify, "Waiting for `hold release` of a management client");
	manage_state(m, "CONNECTING", "hold");
	epoll_ctl(m->epoll_fd, EPOLL_CTL_ADD, m->signal_fd, &own);
	g->holding = true;
	while (!g->released && wanted) {
		struct signalfd_siginfo info;
		mono_ms left = manage_wake_at(m) - master_now();
		int count = epoll_wait(m->epoll_fd, events, 16, left < 0 ? 0 : left > 60000 ? 60000 : (int)left + 1);
		for (int i = 0; i < count; i++)
			if (events[i].data.u32 != 0)
				manage_said(m, events[i].data.u32, events[i].events);
		while (read(m->signal_fd, &info, sizeof(info)) == sizeof(info))
			wanted = wanted && info.ssi_signo != SIGTERM && info.ssi_signo != SIGINT;
		manage_on_time(m, master_now());
	}
	g->holding = false;
	epoll_ctl(m->epoll_fd, EPOLL_CTL_DEL, m->signal_fd, NULL);
	return wanted;
}

void manage_worker_ready(struct master *m, unsigned worker)
{
	struct manage *g = m->manage;

	if (!g)
		return;
	if (g->verb >= 0)
		order_send(m->seats[worker].orders_fd, ORDER_VERB, g->verb, NULL, 0, -1);
	for (unsigned i = 0; i < MANAGE_TRACES_MAX; i++)
		if (g->traces[i].owner == worker)
			g->traces[i].owner = WORKER_NONE; /* it is told anew */
}

void manage_reloaded(struct master *m)
{
	if (!m->manage)
		return;
	m->manage->verb = -1; /* the configuration's counts again */
	doors_reloaded(m->manage, m->now.config);
	tell_echoes(m->manage, &m->now.config->management);
}
