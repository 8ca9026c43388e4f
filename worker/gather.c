/* SPDX-License-Identifier: MIT
 * Whether waiting pays, from the last few milliseconds. */
#include "worker/gather.h"

enum {
	WAKES_LEAST = 5000, /* a second: fewer are cheap, and waiting would find nobody */
	FEW = 8,	    /* a wake: below it wakes are most of the cost */
	ENOUGH = 48,	    /* a wake: what a wait aims at */
	MANY = 192,	    /* a wake: there is work all the time, a wait would waste it */
	OTHERS = 4,	    /* times as much: not those any more for whom waiting was in vain */
};

static unsigned next_wait_us(const struct gather *g, uint64_t span_us)
{
	uint64_t wait = ENOUGH * span_us / g->load;

	return wait < GATHER_MAX_US ? (unsigned)wait : GATHER_MAX_US;
}

static void decide(struct gather *g, uint64_t span_us)
{
	uint64_t wakes = g->wakes;

	if (g->wait_us) {
		/* Hardly more than one a wake: less comes than it did, or whoever sends waits for us in turn. */
		bool in_vain = 2 * g->load < 3 * wakes;

		if (in_vain)
			g->rest = GATHER_REST;
		g->wait_us = !in_vain && g->load < MANY * wakes ? next_wait_us(g, span_us) : 0;
	} else if (g->rest && g->load < OTHERS * g->tried_at) {
		g->rest--;
	} else if (wakes * 1000000 >= WAKES_LEAST * span_us && g->load < FEW * wakes) {
		g->wait_us = next_wait_us(g, span_us);
		g->rest = 0;
		g->tried_at = g->load;
	}
}

unsigned gather_wait_us(struct gather *g, uint64_t now_us)
{
	uint64_t span_us = now_us - g->since_us;

	if (span_us >= GATHER_WINDOW_US) {
		/* After a silence nothing is known: a wait of old does not hold up whoever comes first. */
		if (span_us >= 4 * GATHER_WINDOW_US)
			g->wait_us = 0;
		else
			decide(g, span_us);
		g->since_us = now_us;
		g->wakes = 0;
		g->load = 0;
	}
	if (g->more)
		return 0;
	g->waits += g->wait_us > 0;
	return g->wait_us;
}
