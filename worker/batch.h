/* SPDX-License-Identifier: MIT
 * Up to BATCH_MAX packets walking the same way through a worker in one turn of its loop. */
#ifndef WORKER_BATCH_H
#define WORKER_BATCH_H

#include "common/base/packet.h"

enum { BATCH_MAX = 128 };

/* Who lent a packet's buffer and takes it back at the batch's end. */
enum packet_source {
	FROM_LINK,     /* udp_link.c's receive buffers */
	FROM_TUNNEL,   /* tun_queue.c's receive buffers */
	FROM_HANDOVER, /* a record of a handover ring */
	FROM_US,       /* memory of the caller; nothing to give back */
};

struct batch {
	unsigned count;
	struct packet packets[BATCH_MAX];
};

#endif
