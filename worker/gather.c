/* SPDX-License-Identifier: MIT
 * Whether waiting pays, from the last few milliseconds. */
#include "worker/gather.h"

#include <stdbool.h>

enum {
	TURNS_LEAST = 5000, /* a second: fewer wakes are cheap, and waiting would find nobody */
	ENOUGH = 12,	    /* a turn: what a wait aims at, ... */
	ENOUGH_ONE_WAY = 20, /* ... where hardly anything goes back, so that no sender waits for an answer */
	ONE_WAY = 48,	    /* more than so many there for each one back */
	MANY = 28,	    /* a turn: there is work all the time, a wait would waste it. A turn on the ring brings 32 at most of
			     * what comes one by one (io_uring's MULTISHOT_MAX_RETRY), however much waits */
};

static uint64_t load(const struct gather *g)
{
	return g->from_links + g->from_tunnel;
}

static bool goes_one_way(const struct gather *g)
{
	uint64_t back = g->from_links < g->from_tunnel ? g->from_links : g->from_tunnel;

	return back * ONE_WAY < load(g);
}

static uint64_t enough(const struct gather *g)
{
	return goes_one_way(g) ? ENOUGH_ONE_WAY : ENOUGH;
}

static unsigned next_wait_us(const struct gather *g, uint64_t span_us)
{
	uint64_t wait = enough(g) * span_us / load(g);

	return wait < GATHER_MAX_US ? (unsigned)wait : GATHER_MAX_US;
}

static void decide(struct gather *g, uint64_t span_us)
{
	uint64_t turns = g->turns;

	if (g->wait_us) {
		/* Hardly more than one a turn: less comes than it did, or whoever sends waits for us in turn. */
		bool in_vain = 2 * load(g) < 3 * turns, too_much = load(g) >= MANY * turns;

		if (in_vain || too_much)
			g->rest = GATHER_REST;
		g->wait_us = in_vain || too_much ? 0 : next_wait_us(g, span_us);
	} else if (g->rest) {
		g->rest--;
	} else if (turns * 1000000 >= TURNS_LEAST * span_us && 3 * load(g) < 2 * enough(g) * turns) {
		/* So few a turn that wakes are most of the cost. */
		g->wait_us = next_wait_us(g, span_us);
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
		g->turns = 0;
		g->from_links = g->from_tunnel = 0;
	}
	g->waits += g->wait_us > 0;
	return g->wait_us;
}
