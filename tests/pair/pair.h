/* SPDX-License-Identifier: MIT
 * Two engines, one bad link, no clock: a client and a server in one process. Time is a number that only run() moves;
 * loss, order and doubling come from a seed, so each run can be had again. */
#ifndef TESTS_PAIR_PAIR_H
#define TESTS_PAIR_PAIR_H

#include "common/base/fate.h"
#include "common/engine/engine.h"

enum side { CLIENT, SERVER };
enum { FLIGHT_MAX = 4096, FLIGHT_BYTES = 2100, PAIR_TEXT = 512 };

struct flight {
	bool used;
	enum side to;
	vpn_ms at;
	uint32_t len;
	uint8_t bytes[FLIGHT_BYTES];
};

struct link_quality {
	unsigned loss, reorder, duplicate; /* per cent */
	vpn_ms delay;
};

struct pair {
	vpn_settings settings[2];
	vpn_endpoint *endpoints[2];
	vpn_session *sessions[2];
	void *kept[2];
	vpn_ms now;
	uint64_t seed;
	struct link_quality quality;
	struct flight *flights;
	unsigned flight_high;
	bool hold_admission, refuse, renew; /* renew: a stranger may begin anew within the session that is there */
	bool deaf; /* no control datagram reaches the server */
	uint32_t peer_id;
	const char *options[8];
	unsigned option_count;
	/* what happened */
	unsigned fates[2][64];
	unsigned opened[2], rekeyed[2], closed[2], pushed, contacts[3];
	char close_reason[2][PAIR_TEXT];
	char pushed_text[4096];
	char last_note[2][PAIR_TEXT];
	uint32_t last_seen[2];   /* number in the last packet that arrived */
	uint64_t arrived[2], sent[2];
	uint8_t seen[2][1 << 17]; /* packets by number: how often */
	uint64_t longest_reply_excess; /* bytes of a stateless reply beyond its request */
};

/* Settings are the defaults with the test's certificates; change pair->settings before pair_start(). */
void pair_init(struct pair *p, uint64_t seed);
/* Makes endpoints and the client's session. Aborts on an error. */
void pair_start(struct pair *p);
void pair_clear(struct pair *p);
/* Runs for `ms` of virtual time. */
void pair_run(struct pair *p, vpn_ms ms);
/* Runs until both are open or one closed, at most `ms`. True: both open. */
bool pair_connect(struct pair *p, vpn_ms ms);
/* Sends one numbered inner packet of `len` bytes (at least 24) from a side; its fate. */
int pair_send(struct pair *p, enum side from, uint32_t number, unsigned len);
/* A server session dies without a word and is adopted from its kept bytes. */
void pair_kill_and_adopt(struct pair *p, enum side side, vpn_ms renegotiate_in);
uint32_t pair_chance(struct pair *p);

#endif
