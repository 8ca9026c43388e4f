/* SPDX-License-Identifier: MIT
 * What cutting a super packet and joining its segments again cost: nanoseconds a segment, everything in a
 * core's own cache; the best of many rounds, since other work on the machine only ever adds. */
#include "common/base/check.h"
#include "common/inner/inner.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

enum { ROUNDS = 2000, HEAD = 52, SEGMENTS = 40 };

static uint8_t super[65536], segments[SEGMENTS][1600];
static struct inner_join join;

static double now_ns(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static size_t make_super(uint16_t size, struct inner_offload *offload)
{
	size_t len = HEAD + SEGMENTS * (size_t)size;

	memset(super, 0x5a, sizeof(super));
	memset(super, 0, HEAD);
	super[0] = 0x45;
	super[2] = (uint8_t)(len >> 8);
	super[3] = (uint8_t)len;
	super[8] = 64;
	super[9] = 6;
	super[32] = 8 << 4;
	super[33] = 16;
	*offload = (struct inner_offload){ .flags = INNER_SUM_MISSING,
		.train = INNER_TRAIN_TCP4,
		.head_len = HEAD,
		.size = size,
		.sum_start = 20,
		.sum_offset = 16 };
	return len;
}

static void round_trip(uint16_t size)
{
	struct inner_offload offload;
	struct inner_cut cut;
	struct inner_view view;
	size_t len = make_super(size, &offload);
	double best_heads = 1e9, best_cut = 1e9, best_look = 1e9, best_join = 1e9;

	for (unsigned round = 0; round < ROUNDS; round++) {
		uint8_t *payload;
		double heads_at = now_ns();
		CHECK(inner_cut_begin(&cut, &offload, super, len) == FATE_NONE);
		for (unsigned i = 0; i < SEGMENTS; i++)
			inner_cut_head(&cut, segments[i], &payload);
		double start = now_ns();
		CHECK(inner_cut_begin(&cut, &offload, super, len) == FATE_NONE);
		for (unsigned i = 0; i < SEGMENTS; i++)
			inner_cut_next(&cut, segments[i]);
		double cut_at = now_ns();
		for (unsigned i = 0; i < SEGMENTS; i++)
			inner_look(segments[i], HEAD + size, &view);
		double looked_at = now_ns();
		inner_join_begin(&join, true);
		for (unsigned i = 0; i < SEGMENTS; i++) {
			inner_look(segments[i], HEAD + size, &view);
			inner_join_add(&join, segments[i], &view);
		}
		inner_join_end(&join);
		double joined_at = now_ns();
		CHECK(join.units == 1);
		best_heads = start - heads_at < best_heads ? start - heads_at : best_heads;
		best_cut = cut_at - start < best_cut ? cut_at - start : best_cut;
		best_look = looked_at - cut_at < best_look ? looked_at - cut_at : best_look;
		best_join = joined_at - looked_at < best_join ? joined_at - looked_at : best_join;
	}
	printf("%5u bytes of payload: heads and sums %6.1f, cut %6.1f, look %5.1f, join (checksums judged) %6.1f ns a segment\n",
		size, best_heads / SEGMENTS, best_cut / SEGMENTS, best_look / SEGMENTS, (best_join - best_look) / SEGMENTS);
}

int main(void)
{
	round_trip(64);
	round_trip(512);
	round_trip(1348);
	round_trip(1448);
	return 0;
}
