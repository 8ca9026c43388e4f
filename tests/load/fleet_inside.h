/* SPDX-License-Identifier: MIT
 * What fleet.c (sessions) and fleet_data.c (packets) share. */
#ifndef TESTS_LOAD_FLEET_INSIDE_H
#define TESTS_LOAD_FLEET_INSIDE_H

#include "tests/load/fleet.h"

enum {
	FLEET_READS = 16, /* receive buffers; each may bring FLEET_TRAIN datagrams */
	FLEET_TRAIN = 64, /* most datagrams the kernel makes of one UDP_SEGMENT send, or one UDP_GRO read */
	FLEET_TRAIN_BYTES = 65000,
	FLEET_JOBS = VPN_BATCH,
};

/* Datagrams that were read and wait to be opened together. */
struct fleet_in {
	vpn_job jobs[FLEET_JOBS];
	struct fleet_member *members[FLEET_JOBS];
	size_t count;
	unsigned used; /* buffers whose datagrams wait in jobs */
	uint8_t buffers[FLEET_READS][65536];
	struct iovec places[FLEET_READS];
	struct mmsghdr reads[FLEET_READS];
	_Alignas(16) char controls[FLEET_READS][64];
};

/* Packets that wait to be sealed together. */
struct fleet_out {
	vpn_job jobs[FLEET_JOBS];
	struct fleet_member *members[FLEET_JOBS];
	size_t count;
	uint8_t slots[FLEET_JOBS][VPN_HEADROOM + VPN_DATAGRAM_MAX];
	struct fleet_member *owners[FLEET_JOBS]; /* of those that were sealed, side by side with pieces */
	struct iovec pieces[FLEET_JOBS];
	struct mmsghdr sends[FLEET_JOBS];
};

struct fleet {
	struct fleet_options options;
	struct fleet_ears ears;
	void *context;
	struct sockaddr_storage remote;
	socklen_t remote_len;
	vpn_endpoint *endpoint;
	struct fleet_member *members;
	struct timer_wheel *wheel;
	int watcher;
	struct fleet_counts counts;
	struct fleet_in in;
	struct fleet_out out;
};

/* Sends what a session has to say, passes on its events, sets its timer. */
void fleet_serve(struct fleet *fleet, struct fleet_member *member, vpn_ms now);
void fleet_timers(struct fleet *fleet, vpn_ms now);
void fleet_data_init(struct fleet *fleet);

#endif
