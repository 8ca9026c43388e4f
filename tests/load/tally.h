/* SPDX-License-Identifier: MIT
 * What a receiver of numbered packets knows: how many, how late, in which order. And who may send how many
 * now. */
#ifndef TESTS_LOAD_TALLY_H
#define TESTS_LOAD_TALLY_H

#include "tests/load/probe.h"

#include <stdbool.h>
#include <stddef.h>

/* Times in steps of 3 %: 32 to each doubling. */
struct spread {
	uint64_t count, max;
	uint32_t steps[64 * 32];
};

void spread_note(struct spread *spread, uint64_t ns);
/* The time that `part` (0..1) of all did not exceed, within a step; 0 if there is none. */
uint64_t spread_at(const struct spread *spread, double part);

struct tally {
	uint64_t packets, bytes; /* bytes of whole inner packets */
	uint64_t reordered; /* came after one with a higher number; a packet that came twice counts too */
	uint64_t first_ns, last_ns;
	struct spread late;
	uint64_t next[PROBE_FLOWS];
};

void tally_clear(struct tally *tally);
void tally_note(struct tally *tally, const struct probe *probe, size_t inner_len, uint64_t now_ns);
void tally_report(const struct tally *tally, struct probe_report *out);

/* A sender's leave: by rate, by what is on its way, or none. All zero but the limits to begin. */
struct pace {
	uint32_t rate, window;
	uint64_t began_ns, sent;
	uint64_t arrived, forgiven; /* forgiven: taken for lost, since nothing came for a while */
	uint64_t progress_ns;
};

/* How many packets may leave now; `most` at most. */
size_t pace_leave(struct pace *pace, uint64_t now_ns, size_t most);
/* `arrived` packets have come so far. */
void pace_arrived(struct pace *pace, uint64_t arrived, uint64_t now_ns);
/* How long to wait before asking again. */
uint64_t pace_wait_ns(const struct pace *pace, uint64_t now_ns, size_t burst);

#endif
