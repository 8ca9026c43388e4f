/* SPDX-License-Identifier: MIT
 * Our queue of the tunnel device: packets out of it, as packets that borrow its buffers with room in front;
 * packets into it, one write each. loop.c drives the reading half. */
#ifndef WORKER_TUN_QUEUE_H
#define WORKER_TUN_QUEUE_H

#include "worker/batch.h"
#include "worker/buffers.h"

struct io_uring_cqe;
struct io_uring_sqe;

enum { TUN_HEADER_ASK = -1, TUN_HEADER_MAX = 64 };

struct tun_queue_params {
	int fd;		/* borrowed: non-blocking */
	int header_len; /* bytes of virtio_net_hdr in front of each packet; TUN_HEADER_ASK: ask the device */
	unsigned buffers; /* how many; 256 is a good number */
	uint32_t payload; /* longest packet taken whole (tun-mtu-max + 256); longer ones come with
			     FATE_TOO_LONG */
};

struct tun_queue_counts {
	uint64_t read_errors;	 /* the device was down or gone */
	uint64_t out_of_buffers; /* the kernel found no buffer and stopped until we gave some back */
	uint64_t pauses;	 /* times reading stopped because a link was full */
	uint64_t checksums;	 /* packets whose checksum the kernel had left to us */
};

struct tun_queue {
	int fd;
	unsigned header_len;
	bool multishot; /* read by the ring by itself; else readiness and read */
	bool armed;	/* an operation of ours is in the ring */
	bool cancelled; /* and was asked to end */
	bool paused;
	int64_t retry_at; /* mono_ms: not armed again before, after an error */
	uint32_t payload;
	struct buffers buffers;
	struct batch arriving; /* filled by completions, handed out by loop.c */
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

/* No further packets are read (those already read still arrive) until resumed. loop.c does both by itself as
 * links fill and drain. */
void tun_queue_pause(struct tun_queue *);
void tun_queue_resume(struct tun_queue *);

/* For loop.c: as in udp_link.h. A completion brings at most one packet. */
void tun_queue_prepare(struct tun_queue *, struct io_uring_sqe *, uint16_t group);
bool tun_queue_complete(struct tun_queue *, const struct io_uring_cqe *);
unsigned tun_queue_receive(struct tun_queue *);

#endif
