/* SPDX-License-Identifier: MIT
 * Receive buffers: mapping, lending, taking back. */
#include "worker/buffers.h"

#include "common/base/check.h"

#include <errno.h>
#include <liburing.h>
#include <stdlib.h>
#include <sys/mman.h>

enum { SLOT_ALIGN = 64 };

static void *map(size_t len)
{
	void *memory = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return memory == MAP_FAILED ? NULL : memory;
}

int buffers_init(struct buffers *b, unsigned count, uint32_t lend_at, uint32_t lend_len)
{
	unsigned rounded = 1;

	*b = (struct buffers){ .lend_at = lend_at, .lend_len = lend_len };
	while (rounded < count && rounded <= BUFFERS_COUNT_MAX)
		rounded *= 2;
	if (count == 0 || rounded > BUFFERS_COUNT_MAX)
		return -EINVAL;
	b->count = (uint16_t)rounded;
	b->slot_len = (lend_at + lend_len + BUFFERS_TAILROOM + SLOT_ALIGN - 1) / SLOT_ALIGN * SLOT_ALIGN;
	b->memory_len = (size_t)b->count * b->slot_len;
	b->memory = map(b->memory_len);
	b->uses = calloc(b->count, sizeof(*b->uses));
	b->list = calloc(b->count, sizeof(*b->list));
	if (!b->memory || !b->uses || !b->list) {
		buffers_clear(b);
		return -ENOMEM;
	}
	b->free = b->count;
	for (unsigned i = 0; i < b->count; i++)
		b->list[i] = (uint16_t)i;
	return 0;
}

void buffers_clear(struct buffers *b)
{
	buffers_drop_ring(b);
	if (b->memory)
		munmap(b->memory, b->memory_len);
	free(b->uses);
	free(b->list);
	*b = (struct buffers){ 0 };
}

static void add_to_ring(struct buffers *b, uint16_t id)
{
	io_uring_buf_ring_add(
		b->ring, buffers_slot(b, id) + b->lend_at, b->lend_len, id, b->count - 1, b->added);
	b->added++;
}

int buffers_make_ring(struct buffers *b)
{
	CHECK(b->free == b->count);
	b->ring_len = (size_t)b->count * sizeof(struct io_uring_buf);
	b->ring = map(b->ring_len);
	if (!b->ring)
		return -ENOMEM;
	io_uring_buf_ring_init(b->ring);
	for (unsigned i = 0; i < b->count; i++)
		add_to_ring(b, (uint16_t)i);
	buffers_publish(b);
	return 0;
}

void buffers_drop_ring(struct buffers *b)
{
	if (b->ring)
		munmap(b->ring, b->ring_len);
	b->ring = NULL;
	b->added = 0;
}

bool buffers_take(struct buffers *b, uint16_t *id)
{
	CHECK(!b->ring);
	if (b->free == 0)
		return false;
	*id = b->list[--b->free];
	return true;
}

void buffers_note_filled(struct buffers *b, uint16_t id)
{
	CHECK(b->ring && id < b->count && b->uses[id] == 0 && b->free > 0);
	b->free--;
}

void buffers_share(struct buffers *b, uint16_t id, unsigned packets)
{
	CHECK(id < b->count && b->uses[id] == 0 && packets >= 1 && packets <= BUFFERS_USES_MAX);
	b->uses[id] = (uint8_t)packets;
}

void buffers_give_back(struct buffers *b, uint16_t id)
{
	CHECK(id < b->count && b->uses[id] > 0);
	if (--b->uses[id])
		return;
	if (b->ring)
		add_to_ring(b, id);
	else
		b->list[b->free] = id;
	b->free++;
}

void buffers_publish(struct buffers *b)
{
	if (!b->added)
		return;
	io_uring_buf_ring_advance(b->ring, b->added);
	b->added = 0;
}
