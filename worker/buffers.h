/* SPDX-License-Identifier: MIT
 * Receive buffers of one link or tunnel queue: one block of memory cut into equal slots, each with headroom
 * and tailroom around what the kernel may fill. Lent to the kernel by a provided-buffer ring, or (plain back
 * end) taken from a list. A slot comes back when the last packet that points into it does. Known to
 * udp_link.c, tun_queue.c and loop.c alone. */
#ifndef WORKER_BUFFERS_H
#define WORKER_BUFFERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct io_uring_buf_ring;

enum {
	BUFFERS_TAILROOM = 128, /* behind the payload, for tags and padding */
	BUFFERS_COUNT_MAX = 32768,
	BUFFERS_USES_MAX = 255, /* packets in one slot */
};

struct buffers {
	uint8_t *memory; /* count * slot_len */
	size_t memory_len;
	uint32_t slot_len;
	uint32_t lend_at, lend_len;	/* the part of a slot that the kernel fills */
	uint16_t count;			/* a power of two */
	uint16_t free;			/* slots no packet points into */
	uint8_t *uses;			/* packets that point into each slot */
	uint16_t *list;			/* plain: the first `free` are free */
	struct io_uring_buf_ring *ring; /* NULL: plain */
	size_t ring_len;
	uint16_t added; /* given back, not yet shown to the kernel */
};

/* Maps `count` slots (rounded up to a power of two) whose part [lend_at, lend_at + lend_len) is lent. 0 or
 * -ENOMEM, -EINVAL (too many). */
int buffers_init(struct buffers *, unsigned count, uint32_t lend_at, uint32_t lend_len);
/* Unmaps; no packet may point into it any more, and the ring it was lent to is closed. */
void buffers_clear(struct buffers *);

/* Makes the ring that shows all slots to the kernel, for the caller to register under a group of its own: its
 * address and its entry count (`count`). 0 or -ENOMEM. */
int buffers_make_ring(struct buffers *);
/* Back to the list, when the ring could not be registered. */
void buffers_drop_ring(struct buffers *);

static inline uint8_t *buffers_slot(const struct buffers *b, uint16_t id)
{
	return b->memory + (size_t)id * b->slot_len;
}

/* Plain: takes a free slot. False: all are in use. */
bool buffers_take(struct buffers *, uint16_t *id);
/* Ring: notes that the kernel filled slot `id`. */
void buffers_note_filled(struct buffers *, uint16_t id);
/* `packets` (1 or more) now point into a slot that was taken or filled. */
void buffers_share(struct buffers *, uint16_t id, unsigned packets);
/* One packet no longer points into it. The last one gives the slot back. */
void buffers_give_back(struct buffers *, uint16_t id);
/* Shows the kernel what was given back; before each wait. */
void buffers_publish(struct buffers *);

#endif
