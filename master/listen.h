/* SPDX-License-Identifier: MIT
 * The outer sockets: one per worker and listener, all of one SO_REUSEPORT group per listener, opened by root
 * because the kernel lets only the same uid join a group. The master keeps them open as long as there is such
 * a worker, so the group's order never changes and packets wait while a worker is reborn. */
#ifndef MASTER_LISTEN_H
#define MASTER_LISTEN_H

#include "conf/config.h"

struct listeners {
	unsigned workers, count; /* count: listeners of the configuration */
	int *fds;		 /* of worker w and listener l: fds[w * count + l] */
};

/* What is asked of the kernel for each UDP socket when the configuration names no size: enough for some 20 ms
 * of 10 Gbit/s, where default buffers lose every tenth segment of a fast TCP flow. The kernel counts twice
 * the size. */
enum { LISTEN_BUFFER_DEFAULT = 4 << 20 };

/* Opens all of them, non-blocking and close-on-exec. Refuses an address that another process listens on,
 * although SO_REUSEPORT would let us join it. 0, or a negative errno after saying in the log which listener
 * failed; nothing is left open then. A listener of port 0 gets one port of the kernel's choice for its whole
 * group, told in the log. */
int listeners_open(const struct config *config, unsigned workers, struct listeners *out);
/* One worker more: its sockets come last in their groups, at the addresses that the others have. 0, or a negative errno
 * after saying in the log which listener failed; all is as before then. */
int listeners_add(const struct config *config, struct listeners *listeners);
/* One worker less, the last: whose end must have closed its copies. The others keep their places in the groups. */
void listeners_drop(struct listeners *listeners);
void listeners_close(struct listeners *listeners);
/* The sockets of one worker, in the order of config->listeners: `count` of them. */
const int *listeners_of(const struct listeners *listeners, unsigned worker);
/* The one that stands for its whole group when a steering program is attached. */
int listeners_group(const struct listeners *listeners, unsigned listener);

#endif
