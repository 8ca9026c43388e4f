/* SPDX-License-Identifier: MIT
 * Numbers going out, never the same twice under one key, whoever believes to own it; and the window that
 * takes each number coming in once. Both live in memory that outlives the process, so every order of two
 * writes here is one that a killed process may leave behind. */
#include "common/data/data.h"

#include <stdatomic.h>
#include <string.h>

/*  word   63        48 47                                0
 *         | epoch     | next id that nobody has taken     |
 *
 * The id only grows, whatever happens to the epoch. A taker swaps (its epoch, id) for (its epoch, id +
 * block): that fails if anyone took or adopted in between, so ids are handed out once even to owners that
 * should not exist. What a dead owner took and did not use is lost, which costs nothing. */
_Static_assert(ATOMIC_LLONG_LOCK_FREE == 2, "a lock would not be shared between processes");

enum { EPOCH_SHIFT = 48 };

static const uint64_t id_mask = (UINT64_C(1) << EPOCH_SHIFT) - 1;
static const uint64_t id_end = UINT32_MAX; /* never given out, so that `end` of a block fits in 32 bits */

bool packet_id_reserve(struct packet_id_source *source, uint16_t epoch, struct packet_id_block *block)
{
	uint64_t seen = atomic_load_explicit(&source->word, memory_order_acquire);
	for (;;) {
		if (seen >> EPOCH_SHIFT != epoch)
			return false;
		if (block->next < block->end)
			return true;
		uint64_t start = seen & id_mask;
		if (start == 0)
			start = 1; /* fresh memory; the wire knows no id 0 */
		if (start >= id_end)
			return false;
		uint64_t end = start + PACKET_ID_BLOCK < id_end ? start + PACKET_ID_BLOCK : id_end;
		uint64_t taken = (uint64_t)epoch << EPOCH_SHIFT | end;
		if (atomic_compare_exchange_weak_explicit(
			    &source->word, &seen, taken, memory_order_acq_rel, memory_order_acquire)) {
			block->next = (uint32_t)start;
			block->end = (uint32_t)end;
			return true;
		}
	}
}

void packet_id_adopt(struct packet_id_source *source, uint16_t epoch)
{
	uint64_t seen = atomic_load_explicit(&source->word, memory_order_acquire);
	while (!atomic_compare_exchange_weak_explicit(&source->word, &seen,
		(uint64_t)epoch << EPOCH_SHIFT | (seen & id_mask), memory_order_acq_rel,
		memory_order_acquire))
		;
}

bool packet_id_was_owned(const struct packet_id_source *source)
{
	return atomic_load_explicit(&source->word, memory_order_acquire) >> EPOCH_SHIFT != 0;
}

/* -- the replay window --
 *
 *   floor            highest - width        highest
 *   | all received . . . . | bits of `seen` . . |  not received yet
 *
 * The bit of an id is at id % REPLAY_BITS. Bits outside (highest - width, highest] mean nothing. */

static bool seen_bit(const struct replay_window *window, uint32_t id)
{
	return window->seen[id % REPLAY_BITS / 64] >> id % 64 & 1;
}

/* Forgets `count` ids from `first` on: the places that the window is about to use again. */
static void seen_clear(struct replay_window *window, uint32_t first, uint32_t count)
{
	if (count >= REPLAY_BITS) {
		memset(window->seen, 0, sizeof(window->seen));
		return;
	}
	while (count > 0) {
		uint32_t bit = first % 64;
		uint32_t here = count < 64 - bit ? count : 64 - bit;
		uint64_t ones = here == 64 ? UINT64_MAX : (UINT64_C(1) << here) - 1;
		window->seen[first % REPLAY_BITS / 64] &= ~(ones << bit);
		first += here;
		count -= here;
	}
}

bool replay_window_accepts(const struct replay_window *window, uint32_t id)
{
	if (id == 0)
		return false;
	if (window->highest == 0)
		return true; /* nothing received yet: the other side may start anywhere */
	if (window->width == 0)
		return id - 1 == window->highest;
	if (id > window->highest)
		return true;
	uint32_t width = window->width < REPLAY_BITS ? window->width : REPLAY_BITS;
	return id > window->floor && window->highest - id < width && !seen_bit(window, id);
}

void replay_window_note(struct replay_window *window, uint32_t id, mono_ms now)
{
	replay_window_age(window, now);
	if (id > window->highest) {
		/* The highest first: a process killed between these lines then leaves ids that look received,
		 * and never ids that look new although they were received. */
		uint32_t before = window->highest;
		window->highest = id;
		atomic_signal_fence(memory_order_seq_cst);
		seen_clear(window, before + 1, id - before);
	}
	if (window->highest - id < REPLAY_BITS)
		window->seen[id % REPLAY_BITS / 64] |= UINT64_C(1) << id % 64;
	if (window->checked == now)
		window->highest_at_check = window->highest;
}

void replay_window_age(struct replay_window *window, mono_ms now)
{
	if (window->limit_s == 0 || now - window->checked <= (span_ms)window->limit_s * 1000)
		return;
	/* Everything up to this id had been received when it was written down, so it is too old by now. */
	window->floor = window->highest_at_check;
	window->highest_at_check = window->highest;
	window->checked = now;
}
