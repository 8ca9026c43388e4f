/* SPDX-License-Identifier: MIT
 * The management interface: OpenVPN's management protocol on two doors, the control socket
 * <hub.runtime-dir>/<hub.name>.control (always; for vpnadm) and what the directive `management` names.
 *
 * - Everything happens in the master's loop and never waits: lines, queues, connections and times are bounded.
 * - Nothing happens before a client is known: by its account on a UNIX socket, by the password where there is one.
 * - A client that does not read what it is told is dropped, and so is one that says nothing while the password is
 *   due; both are counted.
 *
 *   manage.c           doors' clients in the loop: accept, read, write, time      manage_doors.c  sockets, who may
 *   manage_client.c    one client: lines in, queue out, password; no descriptor   manage_history.c what is kept
 *   manage_commands.c  the table of commands; manage_sessions.c, manage_status.c, manage_trace.c what some of them do */
#ifndef MASTER_MANAGE_H
#define MASTER_MANAGE_H

#include "common/base/time.h"
#include "worker/orders.h"

#include <stdbool.h>
#include <stdint.h>

struct master;

enum {
	MANAGE_WATCH = 0xfffe0000, /* epoll data from here to MANAGE_WATCH + 0xffff is ours */
	MANAGE_DOORS = 2,
};

/* Opens both doors; m->epoll_fd and the lock are there. 0, or a negative errno after a log line: the directive's
 * door cannot be opened. Without a control socket the hub lives on, with a warning. */
int manage_open(struct master *m);
/* The listening sockets, for a successor: of door 0 and so on, `door` below MANAGE_DOORS. -1: none. */
int manage_door_fd(const struct master *m, unsigned door);
/* Removes the sockets. Clients are let go. Nothing happens if it was not open. */
void manage_close(struct master *m);
/* In a child: wipes what it must not know. Descriptors are closed by the child itself. */
void manage_forget(struct master *m);
/* `management-hold`: serves management clients and signals alone until one says `hold release`. For whoever started us
 * that is a good start: the pid file is there. False: the hub is to end. */
bool manage_hold(struct master *m);

/* epoll said so of one of ours. */
void manage_said(struct master *m, uint32_t what, uint32_t events);
/* When manage_on_time() is wanted next; MONO_NEVER. */
mono_ms manage_wake_at(const struct master *m);
/* Once a turn of the loop, after everything else: writes, deadlines, what is told every few seconds. */
void manage_on_time(struct master *m, mono_ms now);

/* The hub's state changed: "CONNECTED", "SUCCESS". */
void manage_state(struct master *m, const char *state, const char *detail);
/* A worker is ready: it gets to know what is asked of all and of its sessions. */
void manage_worker_ready(struct master *m, unsigned worker);
/* A line of a trace, from a worker; not trusted. */
void manage_trace_line(struct master *m, const struct order *answer);
/* The configuration changed: what can change at once does. */
void manage_reloaded(struct master *m);

#endif
