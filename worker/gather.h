/* SPDX-License-Identifier: MIT
 * How long a turn of the loop waits for company before it looks. A wake costs several times what a packet costs, so
 * where many packets come one by one, a turn sleeps a while, as a network card delays its interrupts. Not where little
 * comes, not where turns bring many anyhow, and not where waiting brings no more (question and answer). Numbers only:
 * loop.c sleeps. */
#ifndef WORKER_GATHER_H
#define WORKER_GATHER_H

#include <stdint.h>

enum {
	GATHER_MAX_US = 400,	 /* the longest wait, and so what a packet may be late by */
	GATHER_WINDOW_US = 4000, /* what is decided anew after each */
	GATHER_REST = 64,	/* windows until waiting is tried again where it brought nothing */
};

struct gather {
	uint64_t since_us; /* the present window: when it began, ... */
	unsigned turns;	   /* ... turns that brought something, ... */
	uint64_t load;	   /* ... and what they brought */
	unsigned wait_us;  /* each turn waits so long; 0: not at all */
	unsigned rest;	   /* windows left without trying */
	uint64_t waits;	   /* ever */
};

/* A turn brought `load`: packets, and more for super packets, which keep a worker busy by themselves. */
static inline void gather_note(struct gather *g, unsigned load)
{
	g->turns += load > 0;
	g->load += load;
}

/* Before a turn: how long it waits, in microseconds, or 0. */
unsigned gather_wait_us(struct gather *, uint64_t now_us);

#endif
