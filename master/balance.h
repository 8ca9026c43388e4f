/* SPDX-License-Identifier: MIT
 * When which session should move from a hot worker to a cool one: numbers in, numbers out. Who asks (rebalance.c) knows
 * where they come from.
 *
 *   QUIET ──hot and uneven, BALANCE_PATIENCE looks in a row──> MEASURING ──the next look──> MOVING
 *     ^                                                            ^                          │ some moved: BALANCE_PAUSE looks
 *     └──even enough, not hot any more, nothing worth moving───────┴──────────────────────────┘
 *
 * Why nothing swings: loads are smoothed over several looks; it begins at a larger difference than it ends at; what moves
 * is at most half the difference, so the cool one never becomes the hotter; who moved stays for a minute. A session that is
 * more than half the difference (an elephant) stays, and the others leave it alone on its worker. */
#ifndef MASTER_BALANCE_H
#define MASTER_BALANCE_H

#include <stdbool.h>
#include <stdint.h>

enum {
	BALANCE_WORKERS_MAX = 256,
	BALANCE_BEGIN = 250,	 /* difference between the hottest and the coolest, in permille, to begin at ... */
	BALANCE_END = 120,	 /* ... and to end at */
	BALANCE_WORTH = 10,	 /* a session of less is not worth a handshake */
	BALANCE_PATIENCE = 4,	 /* looks, a second each */
	BALANCE_PAUSE = 4,
	BALANCE_MOVES_MAX = 4,	 /* in one go */
};

struct balance_worker {
	bool able;	/* it has sessions to give, or can take some */
	unsigned load;	/* permille of a CPU since the last look */
};

struct balance {
	unsigned hot_from; /* permille of a CPU: below that nobody needs help. The caller's, as it likes at any time */
	unsigned load[BALANCE_WORKERS_MAX]; /* smoothed, 1/16 permille */
	bool known[BALANCE_WORKERS_MAX];
	unsigned hot, cool; /* the last look's extremes */
	unsigned seen;	    /* looks in a row that wanted something done about `hot` */
	unsigned pause;
	bool measuring;
};

enum balance_step {
	BALANCE_NOTHING,
	BALANCE_MEASURE, /* note what the sessions of `hot` have cost so far */
	BALANCE_CHOOSE,	 /* balance_choose(), with what they cost since; then note it anew */
};

struct balance_session {
	uint32_t slot, generation;
	uint64_t cost; /* any unit, the same for all */
	bool stays;    /* it moved lately */
};

/* One look at the loads of `count` workers. */
enum balance_step balance_look(struct balance *b, const struct balance_worker *workers, unsigned count);
/* Which of the sessions of b->hot should go to b->cool: their indices, at most BALANCE_MOVES_MAX. */
unsigned balance_choose(struct balance *b, const struct balance_session *sessions, unsigned count,
	unsigned chosen[BALANCE_MOVES_MAX]);

#endif
