/* SPDX-License-Identifier: MIT
 * Our socket of one UDP listener: datagrams in, as packets that borrow its buffers; packets out, in trains.
 * loop.c drives the receiving half. No clock, no session, no allocation after udp_link_init(). */
#ifndef WORKER_UDP_LINK_H
#define WORKER_UDP_LINK_H

#include "worker/batch.h"
#include "worker/buffers.h"

#include <sys/socket.h>

struct io_uring_cqe;
struct io_uring_sqe;
struct udp_link_scratch; /* messages, names and control bytes of one system call */

struct udp_link_params {
	int fd;		  /* borrowed: a bound, non-blocking UDP socket */
	uint16_t index;	  /* the number packets carry as `link` */
	unsigned buffers; /* how many receive buffers; 512 is a good number, 128 with gro */
	uint32_t payload; /* longest datagram taken whole (tun-mtu-max + 256); longer ones come with
			     FATE_TOO_LONG */
	bool gro; /* let the kernel bring several datagrams at once (needs 64 KiB a buffer, done here) */
	bool no_trains; /* never send with UDP_SEGMENT */
};

/* What happened so far; whoever shows counters reads it. */
struct udp_link_counts {
	uint64_t trains, trained;   /* messages of more than one datagram, and the datagrams in them */
	uint64_t trains_refused;    /* sent again one by one */
	uint64_t receive_errors;    /* completions with an error that no datagram belongs to */
	uint64_t out_of_buffers;    /* the kernel found no buffer and stopped until we gave some back */
	uint64_t sends, send_calls; /* datagrams given to the kernel, system calls for it */
};

struct udp_link {
	int fd;
	uint16_t index;
	sa_family_t family;	  /* of the socket */
	bool gro, trains;	  /* in use */
	bool multishot;		  /* receive through the ring by itself; else readiness and recvmmsg */
	bool armed;		  /* an operation of ours is in the ring */
	bool full;		  /* a send met a full queue; loop.c clears it when the socket is writable */
	bool full_watched;	  /* loop.c: the ring watches for that */
	unsigned errors_in_row;	  /* receive errors since the last datagram */
	int64_t retry_at;	  /* mono_ms: not armed again before, after too many of them */
	uint32_t train_limit;	  /* segments longer than this go alone ... */
	unsigned train_limit_for; /* ... for this many datagrams more */
	uint32_t payload;
	struct buffers buffers;
	struct msghdr receive_shape; /* tells the kernel how much name and control room to leave */
	struct packet split;	     /* gro: what is left of a train that did not fit into the batch ... */
	uint32_t split_left, split_size; /* ... bytes, and bytes a datagram */
	struct batch arriving;		 /* filled by completions, handed out by loop.c */
	struct packet *queue[BATCH_MAX];
	unsigned queued;
	struct udp_link_scratch *scratch;
	struct udp_link_counts counts;
};

/* Sets the socket's options (packet info, GRO), asks it what it can, maps buffers. Before the sandbox is
 * locked. 0 or a negative errno; after an error there is nothing to clear. */
int udp_link_init(struct udp_link *, const struct udp_link_params *);
/* Frees; does not close the socket. After loop_clear(). */
void udp_link_clear(struct udp_link *);

/* Gives back the buffer of a packet with source FROM_LINK and this link's index. */
void udp_link_give_back(struct udp_link *, const struct packet *);

/* Collects a packet to send to p->peer_address, from p->local_address and p->local_interface where known
 * (family 0 and 0: the kernel chooses). Borrows it, its bytes included, until the next udp_link_flush(),
 * which writes p->fate. Flushes by itself when BATCH_MAX are waiting. */
void udp_link_queue(struct udp_link *, struct packet *);
/* Sends what was collected. Each packet's fate becomes DELIVERED, LINK_FULL (no room in the socket's queue)
 * or LINK_ERROR. Datagrams to one peer keep their order. Never blocks. */
void udp_link_flush(struct udp_link *);
/* Sends one datagram at once, past the queue: for control. Same fates. `local` may be NULL or of family 0,
 * `interface` 0. */
enum fate udp_link_send_now(struct udp_link *, const struct link_address *peer,
	const struct link_address *local, uint32_t interface, const void *data, size_t len);

/* For loop.c: fills an entry that receives until further notice (multishot; `group` is the buffer group), or
 * takes one completion of it. True: a datagram (or several) went into link->arriving, which may now hold
 * BATCH_MAX; call again with the same completion while `*again` is set, after handing the batch out. */
void udp_link_prepare(struct udp_link *, struct io_uring_sqe *, uint16_t group);
bool udp_link_complete(struct udp_link *, const struct io_uring_cqe *, bool *again);
/* For loop.c, plain back end: reads what is there into link->arriving, as far as it and the buffers go.
 * Returns how many datagrams, or 0. */
unsigned udp_link_receive(struct udp_link *);

#endif
