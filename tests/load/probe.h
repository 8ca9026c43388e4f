/* SPDX-License-Identifier: MIT
 * What vpnload and farend say to each other inside the tunnel: UDP payloads that begin with struct probe.
 * Both run on one machine, so numbers stand in its own order and moments are CLOCK_MONOTONIC. */
#ifndef TESTS_LOAD_PROBE_H
#define TESTS_LOAD_PROBE_H

#include <stdint.h>

enum {
	PROBE_MAGIC = 0x76706c64,
	PROBE_PORT = 7777,
	PROBE_FLOWS = 65536,	/* most flows of a run */
	PROBE_COUNT_EVERY = 64, /* packets for one PROBE_COUNT */
};

enum probe_kind {
	PROBE_SINK = 1, /* counted by who receives it */
	PROBE_ECHO,	/* sent back as PROBE_SINK, its moment unchanged: round trips */
	PROBE_HELLO,	/* client: this flow is at my address; answered by the same */
	PROBE_GO,     /* client: struct probe_order; farend begins to send. Repeated until something comes */
	PROBE_COUNT,  /* receiver: `sequence` packets of the run have come; for senders with a window */
	PROBE_REPORT, /* client: how was it; answered by the same with struct probe_report */
};

struct probe {
	uint32_t magic;
	uint32_t kind; /* enum probe_kind */
	uint32_t run;  /* a number of the client's; another one means: forget the last */
	uint32_t flow;
	uint64_t sequence; /* in its flow, from 0 */
	uint64_t sent_ns;
};

/* Packets from the far end: whole inner packets of `size` bytes, `burst` at a time to one flow, then to the
 * next. */
struct probe_order {
	uint32_t rate;	 /* packets per second in all; 0: as many as the window, or the socket, lets */
	uint32_t window; /* most packets on the way; 0: no limit */
	uint32_t size, burst, trains;
	uint32_t spare;
	uint64_t duration_ns;
};

struct probe_report {
	uint64_t sent;
	uint64_t received, bytes, reordered, first_ns, last_ns;
	uint64_t p50_ns, p99_ns, p999_ns, max_ns;
};

#endif
