/* SPDX-License-Identifier: MIT
 * Our queue of the tunnel device: packets and super packets out of it, that borrow its buffers with
 * room in front; packets into it, one write each or a train at a time. loop.c drives the reading half. */
#ifndef WORKER_TUN_QUEUE_H
#define WORKER_TUN_QUEUE_H

#include "worker/batch.h"
#include "worker/buffers.h"

#include <sys/uio.h>

enum { TUN_HEADER_ASK = -1, TUN_HEADER_MAX = 64, TUN_QUEUE_AT_ONCE = 64 };

struct tun_queue_params {
	int fd;		/* borrowed: non-blocking */
	int header_len; /* bytes of virtio_net_hdr in front of each packet; TUN_HEADER_ASK: ask the device */
	unsigned buffers; /* how many; TUN_QUEUE_AT_ONCE is a good number */
	uint32_t payload; /* longest packet taken whole (tun-mtu-max + 256; 65535 with super packets); longer
			     ones come with FATE_TOO_LONG */
};

struct tun_queue_counts {
	uint64_t read_errors;	 /* the device was down or gone */
	uint64_t pauses;	 /* times reading stopped because a link was full */
	uint64_t offloads;	 /* packets with a checksum or segments that the kernel had left to us */
	uint64_t trains;	 /* super packets written */
};

struct tun_queue {
	int fd;
	unsigned header_len;
	bool armed; /* the ring tells when there is something to read */
	bool paused;
	int64_t retry_at; /* mono_ms: not armed again before, after an error */
	uint32_t payload;
	struct buffers buffers;
	struct batch arriving;		    /* filled by tun_queue_receive(), handed out by loop.c */
	struct iovec pieces[BATCH_MAX + 1]; /* of one train */
	struct tun_queue_counts counts;
};

/* Asks the device for its header length, maps buffers. Before the sandbox is locked. 0 or a negative errno;
 * after an error there is nothing to clear. */
int tun_queue_init(struct tun_queue *, const struct tun_queue_params *);
/* Frees; does not close the fd. After loop_clear(). */
void tun_queue_clear(struct tun_queue *);

/* Gives back the buffer of a packet with source FROM_TUNNEL. */
void tun_queue_give_back(struct tun_queue *, const struct packet *);

/* Writes one packet to the device, behind a zeroed virtio header that overwrites the bytes in front of p->at
 * (headroom; if there is less than that, nothing is overwritten). Never blocks. p->fate becomes DELIVERED,
 * TUNNEL_FULL or TUNNEL_ERROR (the device is down, gone, or does not like it). */
void tun_queue_write(struct tun_queue *, struct packet *);

/* Writes several packets as one super packet, `offload` (offload_len bytes, the rest of the header zero) in
 * front of the first; of the others their first `skip` bytes are left out. All get the same fate. False, and
 * no fate: the device has never taken any and does not know this kind; write them one by one, as they were.
 */
bool tun_queue_write_train(struct tun_queue *, const void *offload, size_t offload_len,
	struct packet *const *packets, unsigned count, uint32_t skip);

/* No further packets are read (those already read still arrive) until resumed. loop.c does both by itself as
 * links fill and drain. */
void tun_queue_pause(struct tun_queue *);
void tun_queue_resume(struct tun_queue *);

/* For loop.c: reads up to TUN_QUEUE_AT_ONCE packets, as many as `arriving` and the buffers take, and says how many came.
 * Never blocks. */
unsigned tun_queue_receive(struct tun_queue *);

#endif
