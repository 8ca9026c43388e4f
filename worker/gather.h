/* SPDX-License-Identifier: MIT
 * How long a turn of the loop waits for company before it looks. A wake costs several times what a packet costs, so
 * where many packets come one by one, a turn sleeps a while, as a network card delays its interrupts. Not where little
 * comes, not where wakes bring many anyhow, and not where waiting brings no more (question and answer). Numbers only:
 * loop.c sleeps. */
#ifndef WORKER_GATHER_H
#define WORKER_GATHER_H

#include <stdbool.h>
#include <stdint.h>

enum {
	GATHER_MAX_US = 400,	 /* the longest wait, and so what a packet may be late by */
	GATHER_WINDOW_US = 4000, /* what is decided anew after each */
	GATHER_REST = 64,	/* windows until waiting is tried again where it brought nothing */
};

struct gather {
	uint64_t since_us; /* the present window: when it began, ... */
	unsigned wakes;	   /* ... turns that had to wait for what they brought, ... */
	uint64_t load;	   /* ... and what all of them brought */
	bool more;	   /* the last turn left something: the next one need not wait */
	unsigned wait_us;  /* each wake waits so long; 0: not at all */
	unsigned rest;	   /* windows left without trying, ... */
	uint64_t tried_at; /* ... and what the window brought that made it wait */
	uint64_t waits;	   /* ever */
};

/* What a turn brought: packets, and more for super packets, which keep a worker busy by themselves. `more`: it may have
 * left some. */
static inline void gather_note(struct gather *g, unsigned load, bool more)
{
	g->wakes += load > 0 && !g->more;
	g->load += load;
	g->more = more;
}

/* Before a turn: how long it waits, in microseconds, or 0. */
unsigned gather_wait_us(struct gather *, uint64_t now_us);

#endif
