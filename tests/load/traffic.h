/* SPDX-License-Identifier: MIT
 * One run of data through a fleet: numbered packets out, counting of what comes. Used by vpnload.c. */
#ifndef TESTS_LOAD_TRAFFIC_H
#define TESTS_LOAD_TRAFFIC_H

#include "tests/load/fleet.h"
#include "tests/load/tally.h"

enum traffic_mode {
	TRAFFIC_UP = 1,	  /* client to far end */
	TRAFFIC_DOWN = 2, /* far end to client */
	TRAFFIC_BOTH = 3,
	TRAFFIC_ECHO,  /* client to far end and back */
	TRAFFIC_PAIRS, /* client 0 to client 1, 1 to 0, 2 to 3, ... through the hub */
};

struct traffic_options {
	int mode;	      /* enum traffic_mode */
	uint32_t far_address; /* host order */
	uint16_t far_port;
	uint32_t rate, window; /* packets per second and on the way, in all; 0: no limit */
	uint32_t size, burst;  /* bytes of an inner packet; packets in a row from one client */
	bool trains;
	uint64_t duration_ns;
	uint64_t (*spent)(
		void); /* asked when data begins and when all has come: CPU time of who is watched */
};

struct traffic_result {
	uint64_t began_ns, ended_ns;
	uint64_t spent_ns;			    /* between the two answers of `spent` */
	bool up, down;				    /* which of the two hold something */
	struct probe_report up_report, down_report; /* down: also echoes and pairs */
	uint64_t up_sent;
};

struct traffic;

struct traffic *traffic_new(const struct traffic_options *options);
void traffic_free(struct traffic **traffic);
/* For fleet_ears.packets. */
void traffic_packets(
	struct traffic *traffic, struct fleet *fleet, const vpn_job *jobs, size_t n, uint64_t now_ns);
/* Runs it with the members that are open. False: the far end did not answer. */
bool traffic_run(struct traffic *traffic, struct fleet *fleet, unsigned clients, struct traffic_result *out);

#endif
