/* SPDX-License-Identifier: MIT
 * The hub goes on in another program, or in another process, with the same sessions (estate.h).
 *
 *   NONE ──asked──> CHECKING ──good──> exec ──> SETTLING ──all workers are ours──> NONE
 *     ^                │ bad, late                  │ a worker or anything before does not start
 *     └────────────────┘<──exec of the old program──┘
 *   CHECKING ──another layout──> EMPTYING ──all workers gone──> exec
 *
 *   CHECKING: a child runs the new program, which reads configuration and estate and says what it thinks of them.
 *   EMPTYING: clients were told RESTART; sockets, device and addresses stay. Workers that end have no successor.
 *   SETTLING: in the new program. Nothing has a name for the old one any more but the descriptor that leads back. */
#ifndef MASTER_UPGRADE_H
#define MASTER_UPGRADE_H

#include "master/clock.h"
#include "master/estate.h"

#include <stdbool.h>
#include <sys/types.h>

struct born_memory;
struct config;
struct findings;
struct master;

enum {
	CHECK_TICKS = 10,	    /* what a new program takes to say that it is one; ours, so that a pause of the machine is not its */
	BUSY_MS = 3000,		    /* and until nobody has it open for writing any more */
	ADOPT_DEADLINE_MS = 20000,  /* from exec to the loop; then the old one goes on */
	LEFT_ALONE_S = 30,	    /* workers whose master is silent for so long tell their clients and end */
	SETTLE_DEADLINE_MS = 60000, /* and until all workers are of the new program */
	/* The only descriptor whose program a master without scripts may execute: in its filter (privilege.c), so
	 * it is the same in all versions. */
	PROGRAM_FD = 30,
};

enum upgrade_state { UPGRADE_NONE, UPGRADE_CHECKING, UPGRADE_EMPTYING, UPGRADE_SETTLING };

struct upgrade {
	bool known; /* upgrade_inherit() was here */
	enum upgrade_state state;
	bool wanted; /* as soon as a reload is over */
	char program[PATH_MAX]; /* the file that we were started from; "": /proc told us nothing */
	int own_program;	/* it, open */
	int old_program;	/* SETTLING: the way back; -1 */
	int estate_fd;		/* where we describe ourselves */
	uint32_t estate_serial;
	uint32_t births;	/* serial numbers given to workers */
	unsigned count;		/* upgrades so far */
	bool confined;		/* we were executed with given-up rights and filters in force */
	struct estate_store store;

	struct estate found;	 /* what our predecessor left; taken apart in master_adopt() */
	struct estate_hub *hub;	 /* of `found`; NULL: we start afresh */
	bool stored;		 /* a service manager or a guardian kept it: the workers are not our children */
	char back[200];		 /* why the new program gave back to us; "": it did not */
	char heir[200];		 /* the same, where a guardian executed us; "": none did */
	int guardian_fd;	 /* its word is owed to one; -1 */
	struct born_memory *born;

	pid_t checker; /* -1: none */
	int answer_fd; /* what it says; -1 */
	char answer[512];
	size_t answer_len;
	unsigned ticks_left; /* CHECKING: until it must have said something; 0: it was ended */
	mono_ms deadline; /* SETTLING: when it must be over; MONO_NEVER */
};

/* upgrade.c: on the side that goes */

/* Begins one: as SIGURG and `vpnadm upgrade` do. 0: it goes on by itself, the log tells how; else a negative errno and
 * why not in `error`. */
int upgrade(struct master *m, char *error, size_t room);
/* Hooks of the loop. The checker said something or ended; a worker ended; time passed. */
void upgrade_heard(struct master *m);
bool upgrade_reaped(struct master *m, pid_t pid, int status);
bool upgrade_worker_gone(struct master *m);
void upgrade_on_time(struct master *m, mono_ms now);
void upgrade_on_tick(struct master *m);
void upgrade_end(struct master *m);
/* `--check-upgrade FD ...`, the option standing at argv[at]: what the checker does, in the new program. */
int upgrade_check(int argc, char **argv, int at);

/* It is over, well or badly: for the log, the recorder, the lock file, the service manager. */
void upgrade_failed(struct master *m, const char *why);
void upgrade_done(struct master *m);

/* inherit.c: on the side that comes */

/* First of all: is there an estate? Takes what stands in the environment, and closes everything to programs. */
void upgrade_inherit(struct master *m);
/* adopt.c: the same */

/* The configuration is there: all as the estate says, up to the loop. 0 or a negative errno after a log line. */
int master_adopt(struct master *m);
/* The listening socket of a management door that we were left; -1. */
int upgrade_left_door(struct master *m, unsigned door);
/* The start failed and what we were left is with a service manager: whoever it starts next may have more luck, so nothing
 * is taken down. */
bool upgrade_left_alone(const struct master *m);
/* All workers are of this program. */
void upgrade_settled(struct master *m);
/* This program cannot go on with it: the old one does. Does not return if there is a way back. */
void upgrade_go_back(struct master *m, const char *why);

/* guardian.c: on both sides */

/* Before the estate is described, for it lists our end (upgrade.guardian_fd). The other end, or -1: there is to be none. */
int guardian_prepare(struct master *m);
/* All is ready for exec: from here on it looks after us. Takes the descriptor. */
void guardian_begin(struct master *m, int word);
/* We have taken over: it is not needed any more. */
void guardian_release(struct upgrade *upgrade);

/* exec.c: both */

/* Executes the program at PROGRAM_FD with our estate. Returns a negative errno if it does not work. `back`: NULL, or
 * why the program before it goes on. */
int upgrade_exec(struct master *m, const char *back);
/* The same with the estate as it was found, when nothing was changed yet. */
int upgrade_exec_found(struct master *m, const char *back);
/* This program once more, with what upgrade_exec() made ready. */
int upgrade_exec_again(struct master *m);
/* Until upgrade_unguard(): if the start takes longer than ADOPT_DEADLINE_MS, the program before us goes on. */
void upgrade_guard(struct master *m);
void upgrade_unguard(void);

#endif
