/* SPDX-License-Identifier: MIT
 * The tunnel device and its queues, one per worker. The master keeps them open, so the device outlives its
 * workers and goes when the master goes (unless it was persistent before us). */
#ifndef MASTER_TUNNEL_H
#define MASTER_TUNNEL_H

#include "conf/config.h"

#include <net/if.h>

struct tunnel {
	char name[IFNAMSIZ]; /* as the kernel has it; empty: no device (dev null) */
	unsigned index;	     /* its interface index */
	unsigned workers;
	int *queues; /* one per worker, non-blocking; -1: no device. Without multi-queue all are the same
			queue */
	bool multi_queue;
	bool trains;	 /* the kernel leaves TCP segmentation and checksums to the queues' readers, and takes super packets */
	bool udp_trains; /* the same for UDP (kernel 6.2) */
	bool persistent; /* existed before us and stays */
};

/* Opens the device of `dev` with a queue per worker: packets without protocol information in front and with a
 * virtio_net_hdr of 10 bytes (IFF_NO_PI, IFF_VNET_HDR); with hub.offload it speaks of super packets,
 * as far as the kernel goes along. "tun" and "tap" alone take the first
 * free unit. 0, or a negative errno after a log line; nothing is left open then. */
int tunnel_open(const struct config *config, unsigned workers, struct tunnel *out);
/* One worker more: its queue comes last. 0, or a negative errno after a log line; all is as before then. */
int tunnel_add(const struct config *config, struct tunnel *tunnel);
/* One worker less, the last. The other queues keep their numbers. */
void tunnel_drop(struct tunnel *tunnel);
void tunnel_close(struct tunnel *tunnel);

#endif
