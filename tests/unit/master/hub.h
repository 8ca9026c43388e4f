/* SPDX-License-Identifier: MIT
 * A whole hub for tests: the real master in a process of its own, with workers that only listen to orders. */
#ifndef TESTS_UNIT_MASTER_HUB_H
#define TESTS_UNIT_MASTER_HUB_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum { HUB_WORKERS = 2, HUB_ROOM = 8 /* workers that may be */ };

/* Shared between the test and all workers. */
struct fake {
	/* what workers do */
	_Atomic int stubborn;	  /* never end by themselves */
	_Atomic int fail_at_verb; /* a worker born with that verb exits before it is ready */
	_Atomic int die_at_once;  /* so many births end in a crash after READY */
	_Atomic int beating;	  /* hearts beat */
	_Atomic int secret_every; /* the master's, in ms; 0: as usual */
	_Atomic int insisting;	  /* says READY again and again */
	_Atomic int deaf;	  /* reads no order */
	/* what they saw */
	_Atomic int births[HUB_ROOM], pids[HUB_ROOM], ready[HUB_ROOM], verbs[HUB_ROOM];
	_Atomic int epochs[HUB_ROOM], successors[HUB_ROOM];
	_Atomic int stop_value, leaves, restarts, crls, crl_len;
	_Atomic int crl_losses; /* told or born so */
	_Atomic int signatures;	  /* the keyholder answered */
	_Atomic int stray_fds;	  /* descriptors that were not announced */
	_Atomic int secrets;	  /* times that the newest secret of address proofs was another */
	_Atomic int secrets_lost; /* of those, when the last newest was not the one before it */
};

extern struct fake *fake;

struct hub {
	char dir[64];
	pid_t master;
	int workers; /* that the configuration asks for */
};

/* A directory with keys and a configuration that starts; the test may write another one before hub_start().
 */
void hub_prepare(struct hub *hub);
/* Writes the configuration: the usual lines, then `more`. */
void hub_configure(struct hub *hub, const char *more);
void hub_start(struct hub *hub);
/* Waits until the log has `text` (up to five seconds). */
bool hub_logs(struct hub *hub, const char *text);
/* The whole log. */
const char *hub_log(struct hub *hub);
/* Waits for the master's end: its exit status, -1 when it does not come in five seconds. */
int hub_ends(struct hub *hub);
/* Name of a file in the hub's directory; the last few stay valid. */
const char *hub_path(struct hub *hub, const char *name);
void hub_clean(struct hub *hub);

/* Waits up to five seconds for a condition. */
#define WAIT_FOR(condition)                                                                                  \
	({                                                                                                   \
		bool wait_good = false;                                                                      \
		for (int wait_i = 0; wait_i < 3000 && !(wait_good = (condition)); wait_i++)                   \
			usleep(10000);                                                                       \
		wait_good;                                                                                   \
	})

#endif
