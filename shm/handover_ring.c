/* SPDX-License-Identifier: MIT
 * The handover rings. Positions are multiples of UNIT; what is read from the ring is copied first, then
 * checked, then used. */
#include "shm/handover_ring.h"
#include "common/base/check.h"
#include "common/base/packet.h"
#include "shm/words.h"

#include <string.h>

enum { UNIT = 64, HEAD_LEN = 128, HANDOVER_SKIP = 0x5c1b };

/* The head of a record. A SKIP record has its first word alone. */
struct record {
	uint32_t kind, total;
	uint32_t payload_at, len; /* from the record's start */
	uint32_t slot, generation;
	uint32_t reason, link;
	uint32_t local_interface, spare;
	struct link_address peer_address, local_address;
	uint64_t room_to_grow[5];
};
_Static_assert(sizeof(struct record) == HEAD_LEN, "head of a record");
enum { RECORD_WORDS = offsetof(struct record, room_to_grow) / 8 };

struct ring ring_between(const struct shm *shm, unsigned from, unsigned to)
{
	const uint32_t workers = shm->sizes.workers;

	if (from >= workers || to >= workers || from == to)
		return (struct ring){ 0 };
	size_t index = (size_t)from * (workers - 1) + (to < from ? to : to - 1);
	return (struct ring){
		.ends = &shm->ring_ends.at[index],
		.bytes = shm->ring_data.at + index * shm->sizes.ring_bytes,
		.len = shm->sizes.ring_bytes,
	};
}

/* A position from shared memory, made harmless: on the grid, whatever it was. */
static uint64_t position(const _Atomic uint64_t *word, memory_order order)
{
	return atomic_load_explicit(word, order) & ~(uint64_t)(UNIT - 1);
}

static uint32_t units(uint32_t len)
{
	return (len + UNIT - 1) & ~(uint32_t)(UNIT - 1);
}

static _Atomic uint64_t *words_at(struct ring ring, uint64_t at)
{
	return (_Atomic uint64_t *)(void *)(ring.bytes + (at & (ring.len - 1)));
}

/* -- producer -- */

bool ring_reserve(struct ring ring, uint32_t len, struct ring_item *item)
{
	if (!ring.ends || len > RING_PAYLOAD_MAX)
		return false;
	const uint32_t total = units(HEAD_LEN + PACKET_HEADROOM + len + RING_TAILROOM);
	if (total > ring.len / 2) /* or it might never fit beside a SKIP */
		return false;

	uint64_t head = position(&ring.ends->head, memory_order_relaxed);
	const uint32_t to_end = ring.len - (uint32_t)(head & (ring.len - 1));
	const uint32_t skip = to_end < total ? to_end : 0;
	uint64_t tail = position(&ring.ends->tail_seen, memory_order_relaxed);
	if (head - tail > ring.len || ring.len - (head - tail) < skip + total) {
		tail = position(&ring.ends->tail, memory_order_acquire);
		atomic_store_explicit(&ring.ends->tail_seen, tail, memory_order_relaxed);
		if (head - tail > ring.len || ring.len - (head - tail) < skip + total)
			return false;
	}
	if (skip) {
		struct record r = { .kind = HANDOVER_SKIP, .total = skip };
		words_store(words_at(ring, head), &r, 1);
		head += skip;
	}
	*item = (struct ring_item){
		.payload = ring.bytes + (head & (ring.len - 1)) + HEAD_LEN + PACKET_HEADROOM,
		.len = len,
		.headroom = PACKET_HEADROOM,
		.tailroom = total - HEAD_LEN - PACKET_HEADROOM - len,
		.slot = PEER_NONE,
		.at = head,
	};
	return true;
}

void ring_commit(struct ring ring, const struct ring_item *item)
{
	const uint8_t *start = ring.bytes + (item->at & (ring.len - 1));
	const size_t payload_at = (size_t)(item->payload - start);

	/* Within what was reserved: the caller's own arithmetic. */
	CHECK(item->payload >= start + HEAD_LEN);
	CHECK(payload_at <= ring.len && item->len <= RING_PAYLOAD_MAX + PACKET_HEADROOM);
	const uint32_t total = units((uint32_t)payload_at + item->len + RING_TAILROOM);
	CHECK(total <= ring.len - (item->at & (ring.len - 1)));

	struct record r = {
		.kind = (uint32_t)item->kind,
		.total = total,
		.payload_at = (uint32_t)payload_at,
		.len = item->len,
		.slot = item->slot,
		.generation = item->generation,
		.reason = item->reason,
		.link = item->link,
		.local_interface = item->local_interface,
		.peer_address = item->peer_address,
		.local_address = item->local_address,
	};
	words_store(words_at(ring, item->at), &r, RECORD_WORDS);
	atomic_store_explicit(&ring.ends->head, item->at + total, memory_order_release);
}

/* -- consumer -- */

uint64_t ring_start(struct ring ring)
{
	return ring.ends ? position(&ring.ends->tail, memory_order_relaxed) : 0;
}

bool ring_empty(struct ring ring)
{
	return !ring.ends || position(&ring.ends->head, memory_order_acquire) == ring_start(ring);
}

static enum ring_answer broken(struct ring ring, uint64_t *at)
{
	*at = position(&ring.ends->head, memory_order_acquire);
	return RING_BROKEN;
}

enum ring_answer ring_next(struct ring ring, uint64_t *at, struct ring_item *item)
{
	struct record r;

	if (!ring.ends)
		return RING_EMPTY;
	/* Two turns at most: a SKIP record, then the one it made room for. */
	for (int turn = 0; turn < 2; turn++) {
		uint64_t head = position(&ring.ends->head_seen, memory_order_relaxed);
		if (head == *at || head - *at > ring.len) {
			head = position(&ring.ends->head, memory_order_acquire);
			atomic_store_explicit(&ring.ends->head_seen, head, memory_order_relaxed);
		}
		if (head == *at)
			return RING_EMPTY;
		const uint32_t offset = (uint32_t)(*at & (ring.len - 1));
		const uint64_t there = head - *at;
		if (there > ring.len || offset % UNIT)
			return broken(ring, at);

		words_load(&r, words_at(ring, *at), 1);
		if (r.total % UNIT || !r.total || r.total > there || r.total > ring.len - offset)
			return broken(ring, at);
		if (r.kind != HANDOVER_SKIP)
			break;
		*at += r.total;
	}
	if (r.kind < HANDOVER_DATAGRAM || r.kind > HANDOVER_MOVED || r.total < HEAD_LEN)
		return broken(ring, at);
	const uint32_t kind = r.kind, total = r.total;
	words_load(&r, words_at(ring, *at), RECORD_WORDS);
	if (r.payload_at < HEAD_LEN || r.payload_at > total || r.len > total - r.payload_at)
		return broken(ring, at);

	*item = (struct ring_item){
		.kind = (enum handover_kind)kind,
		.slot = r.slot,
		.generation = r.generation,
		.reason = r.reason,
		.link = r.link,
		.local_interface = r.local_interface,
		.peer_address = r.peer_address,
		.local_address = r.local_address,
		.payload = ring.bytes + (*at & (ring.len - 1)) + r.payload_at,
		.len = r.len,
		.headroom = r.payload_at - HEAD_LEN,
		.tailroom = total - r.payload_at - r.len,
		.at = *at,
	};
	*at += total;
	return RING_ITEM;
}

void ring_release(struct ring ring, uint64_t at)
{
	if (ring.ends)
		atomic_store_explicit(&ring.ends->tail, at, memory_order_release);
}
