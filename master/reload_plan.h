/* SPDX-License-Identifier: MIT
 * What a change of the configuration means before it is made: for the hub by directive, for each client that
 * is connected. It only looks: at two configurations, the shared session table, clients' files. */
#ifndef MASTER_RELOAD_PLAN_H
#define MASTER_RELOAD_PLAN_H

#include "conf/config.h"
#include "shm/peers.h"

#include <stdbool.h>
#include <stdio.h>

struct tls_context;

/* What becomes of a client; the later, the stronger. */
enum plan_fate {
	PLAN_NOTHING,
	PLAN_NEXT_TIME,	    /* it gets what changed when it connects anew, whenever that is */
	PLAN_RENEGOTIATION, /* at its next renegotiation */
	PLAN_UPDATE,	    /* it is pushed an update */
	PLAN_RECONNECT,	    /* it must connect anew */
	PLAN_REFUSED,	    /* it may not stay and would not be let in again */
	PLAN_FATES
};

struct plan_counts {
	unsigned clients, of[PLAN_FATES];
};

struct reload_plan {
	const struct config *before, *after; /* borrowed */
	unsigned changed;		     /* directives */
	bool differs[EFFECT_RESTART + 1];    /* a directive of this kind does */
	bool new_workers;		     /* what differs reaches the hub by new workers */
	const char *reconnect;		     /* the directive for which all must connect anew; NULL */
	const char **update;		     /* what is pushed; lines of `after` */
	size_t update_count;
	bool update_is_all; /* whoever takes it has all that is pushed now */
	bool push_differs;
	struct tls_context *revoked; /* the CRL of `after` to be asked; NULL: none */
};

/* False: no memory; plan_clear() in either case. `after` is what will count: reload_keep_born() came first. */
bool plan_make(struct reload_plan *plan, const struct config *before, const struct config *after);
void plan_clear(struct reload_plan *plan);

/* The next client at or after *slot, which moves behind it; its texts are terminated whatever stands there. False: none. */
bool plan_next(const struct shm *shm, uint32_t *slot, struct peer_row *row);
/* `why`: half a sentence, "" where there is none to give. */
enum { PLAN_WHY_MAX = 160 };
enum plan_fate plan_of(const struct reload_plan *plan, const struct peer_row *row, char why[PLAN_WHY_MAX]);
void plan_count(const struct reload_plan *plan, const struct shm *shm, struct plan_counts *counts);
/* "120 clients: 100 nothing, 15 pushed update, ..." */
enum { PLAN_SUMMARY_MAX = 200 };
const char *plan_summary(const struct plan_counts *counts, char out[PLAN_SUMMARY_MAX]);
/* Everything, for people: directives, workers, each client for which something changes, the summary. */
void plan_print(const struct reload_plan *plan, const struct shm *shm, FILE *out);

#endif
