/* SPDX-License-Identifier: MIT
 * How loop.c gets its ring. */
#ifndef WORKER_RING_H
#define WORKER_RING_H

#include "worker/loop.h"

/* Buffer group of the first link; the others follow. */
enum { GROUP_LINKS = 1 };

/* Makes l->ring for l->params, lends it the buffers of links as far as the kernel has buffer rings
 * (`multishot` says whether), restricts and enables it, notes l->features. 0, or a negative errno: there is
 * no ring, though buffers may have been lent to it. */
int ring_set_up(struct loop *l);

#endif
