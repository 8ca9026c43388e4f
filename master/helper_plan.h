/* SPDX-License-Identifier: MIT
 * What the helper must know of the configuration, and nothing more: the master writes it into a memfd at each
 * start and reload, so the helper itself outlives reloads and holds no key. */
#ifndef MASTER_HELPER_PLAN_H
#define MASTER_HELPER_PLAN_H

#include "conf/config.h"
#include "master/environment.h"

enum { HELPER_SCRIPT_MS = 30000 /* a script's time; the hand-window, if that is shorter */ };

struct helper_plan {
	struct environment base;
	char **connect, **disconnect; /* argument vectors, NULL at the end; NULL: no such script */
	char *directory;	      /* client-config-dir; NULL: none */
	char *tmp_dir;
	bool exclusive, allowed; /* ccd-exclusive; script-security lets scripts run */
	unsigned script_ms, deferred_ms;
	unsigned slots; /* sessions there can be */
};

/* Does anything in it take a helper? */
bool helper_wanted(const struct config *config);
/* A sealed memfd with the plan; `base` is what all scripts find in their environment. Negative errno. */
int helper_plan_write(const struct config *config, const struct environment *base);
/* Reads one. False: it is broken, or there is no memory; the plan is empty then. */
bool helper_plan_read(int fd, struct helper_plan *out);
void helper_plan_clear(struct helper_plan *plan);

#endif
