/* SPDX-License-Identifier: MIT
 * One byte ring per ordered pair of workers: datagrams and packets for the worker that owns their session.
 *
 *   record  | head 128 | PACKET_HEADROOM 128 | payload ... | RING_TAILROOM 64 | to the next multiple of 64 |
 *
 * Records are contiguous; where one would not fit before the end of the ring a SKIP record fills the rest.
 * The consumer seals in place: headroom and tailroom are in the record.
 *
 * - Writes: the producer (worker `from`) records and `head`; the consumer (worker `to`) `tail`, and the bytes
 *   of records between tail and head. Each end on its own cache lines.
 * - Reads: the other end, by one acquire load.
 * - Dies: a record is seen only once `head` moved behind it, so half a record is no record; the producer's
 *   successor writes over it. The consumer's successor goes on at the shared `tail` and may see the last
 *   records again. Every position and length read from the ring is checked; nonsense empties it
 *   (RING_BROKEN). */
#ifndef SHM_HANDOVER_RING_H
#define SHM_HANDOVER_RING_H

#include "common/base/address.h"
#include "shm/segment.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum { RING_TAILROOM = 64, RING_PAYLOAD_MAX = 65535 + 64 };

enum handover_kind {
	HANDOVER_DATAGRAM = 1, /* an outer datagram, for the owner of `slot` (or of its address: PEER_NONE) */
	HANDOVER_PACKET = 2,   /* an inner packet, to be sealed for `slot` */
	HANDOVER_END = 3,      /* end the session: `reason` */
	HANDOVER_SUPER = 4,    /* an inner super packet behind its offload head (common/inner/inner.h) */
	HANDOVER_MOVED = 5,    /* the session is yours now: adopt it */
};

/* In shared memory: positions count bytes since the ring was made; each modulo the ring's length is an
 * offset. */
struct ring_ends {
	_Alignas(128) _Atomic uint64_t head; /* the producer's line */
	_Atomic uint64_t tail_seen;
	_Alignas(128) _Atomic uint64_t tail; /* the consumer's line */
	_Atomic uint64_t head_seen;
};

/* One end's view: a value, made by ring_between(), cheap to keep or to make again. */
struct ring {
	struct ring_ends *ends; /* NULL: no such ring */
	uint8_t *bytes;
	uint32_t len; /* a power of two */
};

/* What a record says, copied out of it once. `payload` points into the ring, with `headroom` free bytes
 * before it and `tailroom` behind; it is the caller's from reserve to commit, or from next to release. */
struct ring_item {
	enum handover_kind kind;
	uint32_t slot, generation;
	uint32_t reason; /* HANDOVER_END: the workers' own numbers */
	uint32_t link;	 /* index of the listener */
	uint32_t local_interface;
	struct link_address peer_address, local_address;
	uint8_t *payload;
	uint32_t len;
	uint32_t headroom, tailroom;
	uint64_t at; /* the ring's own: where the record starts */
};

/* The ring from one worker to another; .ends is NULL for equal or unknown indices. */
struct ring ring_between(const struct shm *shm, unsigned from, unsigned to);

/* Producer: room for a payload of `len` bytes. False: the ring is full, or len is above RING_PAYLOAD_MAX or
 * too much for this ring. Fills in payload, len, headroom and tailroom and zeroes the rest; the caller sets
 * the rest and the payload, may lower len and may move payload inside headroom and tailroom. One reservation
 * at a time; without a commit it never was. */
bool ring_reserve(struct ring ring, uint32_t len, struct ring_item *item);
void ring_commit(struct ring ring, const struct ring_item *item);

/* Consumer: walks what is there without giving it back, so that a whole batch can point into the ring.
 *   for (uint64_t at = ring_start(ring); ring_next(ring, &at, &item) == RING_ITEM;) ...;
 *   ring_release(ring, at);
 * After RING_BROKEN `at` stands at the producer's end: ring_release() drops all; count it. */
enum ring_answer { RING_EMPTY, RING_ITEM, RING_BROKEN };
uint64_t ring_start(struct ring ring);
enum ring_answer ring_next(struct ring ring, uint64_t *at, struct ring_item *item);
void ring_release(struct ring ring, uint64_t at);
/* True: nothing to take. For a consumer about to sleep: the wake that it may miss comes by eventfd. */
bool ring_empty(struct ring ring);

#endif
