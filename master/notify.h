/* SPDX-License-Identifier: MIT
 * What a service manager is told of our life: the datagrams of sd_notify(3), without its library. Nothing
 * happens when nobody asked for them. */
#ifndef MASTER_NOTIFY_H
#define MASTER_NOTIFY_H

#include "common/base/time.h"

#include <stdbool.h>
#include <sys/socket.h>
#include <sys/un.h>

struct notify {
	int fd; /* -1: nobody asked */
	struct sockaddr_un to;
	socklen_t to_len;
	span_ms watchdog; /* a sign of life as often as this; 0: not wanted */
	char address[128], watchdog_usec[24]; /* as the environment had them; "": not */
};

/* Takes what the environment asks for (NOTIFY_SOCKET, WATCHDOG_USEC, WATCHDOG_PID) and removes it there, so
 * that no script can speak in our name. An address that we cannot use is as good as none. */
void notify_open(struct notify *n);
void notify_close(struct notify *n);
/* Is a service manager waiting for us? Then it wants us in the foreground. */
bool notify_wanted(const struct notify *n);

/* Each with a line for `systemctl status`, cut to 200 bytes. They wait a second at most and never fail: a
 * service manager that does not listen must not stop a hub. */
void notify_ready(const struct notify *n, const char *status);
void notify_reloading(const struct notify *n, const char *status);
void notify_stopping(const struct notify *n, const char *status);
/* Puts into the environment what notify_open() took out of it: for a program that goes on in our place. */
void notify_put_back(const struct notify *n);
/* Has it keep a descriptor under a name, for whom it starts after our death; and no more. False: it did not hear us. */
bool notify_keep(const struct notify *n, const char *name, int fd);
bool notify_keep_no_more(const struct notify *n, const char *name);
/* A sign of life. */
void notify_alive(const struct notify *n);

#endif
