/* SPDX-License-Identifier: MIT
 * What the files of this room share: the master's whole state. One process, one thread, one loop
 * (supervise.c). */
#ifndef MASTER_MASTER_H
#define MASTER_MASTER_H

#include "conf/config.h"
#include "master/clock.h"
#include "master/helper.h"
#include "master/keyholder.h"
#include "master/listen.h"
#include "master/notify.h"
#include "master/steering.h"
#include "master/tunnel.h"
#include "master/upgrade.h"
#include "shm/events.h"
#include "shm/segment.h"
#include "shm/stats.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/types.h>

enum {
	RESPAWN_STEP_MS = 100, /* the first pause after a second quick death; doubled by each further one */
	RESPAWN_MAX_MS = 5000,
	QUICK_DEATH_MS = 1000,	   /* a worker's life shorter than that counts as quick */
	QUICK_DEATHS_MAX = 4,	   /* in a row: then the others get what it had */
	STEADY_MS = 5000,	   /* who lives longer is well again; keyholder and helper: was no quick death */
	READY_DEADLINE_MS = 15000, /* a worker that is not ready by then is ended */
	LEAVE_DEADLINE_MS = 2000,
	STOP_DEADLINE_MS = 2000,
	HELPER_DEADLINE_MS = 10000, /* for client-disconnect scripts when the hub stops */
	TICK_MS = 1000,
	SECRET_MS = 3600000,   /* a secret of address proofs counts so long, then once more so long */
	SEATS_MIN = 4,	       /* room for so many workers at least, however few there are at the start */
	SILENT_TICKS_MAX = 10, /* a worker whose heart does not beat for so many is ended ... */
	STARVED_TICKS_TOLD = 3, /* ... but not for those in which it got no CPU: that is told */
	CRL_PATIENCE = 5, /* ticks: a file that is being written is not lost yet */
	DEATH_NOTE_MAX = 640,
};

/*  STARTING ──all ready──> RUNNING ──SIGTERM, SIGINT──> STOPPING ──all gone──> end
 *      └──one died, a signal──────────────────────────────^
 *  STARTING: nobody outside knows of us: no pid file, the first process still waits. A death ends the start.
 *  RUNNING: whoever dies is reborn. Reloads happen here.
 *  STOPPING: nobody is reborn. */
enum phase { PHASE_STARTING, PHASE_RUNNING, PHASE_STOPPING };

/* One worker's place; its index is its place in master->seats. */
struct seat {
	pid_t pid;     /* -1: nobody */
	int orders_fd; /* our end; -1 with nobody */
	int pid_fd;    /* of one that is not our child: a master before us had it; else -1 */
	uint32_t serial; /* of this birth: no other has it */
	int cpu;
	unsigned generation; /* it was born with that generation of the configuration */
	bool ready, leaving, had_one;
	unsigned quick_deaths;
	uint64_t heartbeats, born_with; /* as seen at the last tick; at its birth */
	unsigned silent_ticks, starved_ticks;
	uint64_t ran_us; /* as seen at the last silent tick */
	bool drained;  /* an administrator wants it without sessions */
	bool idle;     /* it is, and that was told */
	bool shunned;  /* it died at once again and again: the others have its sessions until it lives */
	bool fresh;    /* came with a reload and was not ready yet: nothing is brought to it */
	mono_ms end_at; /* it is to end, at the latest then; MONO_NEVER */
	bool crl_owed; /* the newest CRL did not get through to it */
	mono_ms born_at;
	mono_ms respawn_at;	    /* MONO_NEVER: not to be reborn now */
	mono_ms kill_at;	    /* when patience ends */
	char death[DEATH_NOTE_MAX]; /* how the last one died; told with its successor's name */
};

/* What a reload exchanges, all together. */
struct generation {
	unsigned number;
	struct config *config;
	struct key_source key;
	struct keyholder keyholder;
	char *crl_text; /* newer than the configuration's, whose `crl` points to it; NULL: none */
};

struct findings;
struct rebalance;
struct manage;

struct master {
	int argc;
	char **argv;
	int start_directory;		 /* where relative names of the command line count from */
	const struct findings *warnings; /* of the first reading, for the log; NULL once told */
	struct config *reading;		 /* of a reload that is not accepted yet */
	enum phase phase;
	int exit_status;

	struct generation now,
		before;	      /* before: kept until every worker runs with `now`; config NULL: none */
	unsigned generations; /* numbers given so far: one that failed is never given again */
	struct config *born;  /* the first: what only a restart can change stays as it says */
	uid_t uid;
	gid_t gid;

	struct listeners listeners;
	struct tunnel tunnel;
	bool *routes_added; /* one for each route; NULL: not that far yet */
	struct steering steering;
	struct shm *shm;
	struct stats *stats;
	struct events *events;
	int *wake_fds; /* one eventfd per seat */

	/* Seats there is room for: shared memory was sized for so many. Of these the first `workers` are in use. Wanted:
	 * fewer while the last ones give their sessions away. */
	unsigned seat_count, workers, workers_wanted, cpus;
	struct seat *seats;
	struct rebalance *rebalance; /* NULL: not now */

	int signal_fd, epoll_fd;
	int lock_fd, tell_first; /* tell_first: pipe to the waiting first process of `daemon`, -1 none */
	bool pid_file_written;
	char lock_path[256];

	span_ms tick;			   /* TICK_MS, unless a test wants time to pass faster */
	bool check_sessions;		   /* somebody may be there who may not */
	bool reload_again;		   /* a SIGHUP came during a reload */
	mono_ms keyholder_born_at;	   /* the last replacement */
	mono_ms keyholder_at;		   /* when to try again; MONO_NEVER */
	struct helper helper;		   /* lives on over reloads */
	mono_ms helper_born_at, helper_at; /* when to try again; MONO_NEVER */
	mono_ms helper_kill_at; /* while stopping: told to finish, when patience ends; 0: not told yet */
	bool was_up;		/* `up` had success: `down` is due */
	const char *end_signal; /* "sigterm"; NULL: none */
	long long started_unix;
	mono_ms status_at, tick_at; /* MONO_NEVER: not wanted */
	mono_ms secret_at;	    /* when the next secret of address proofs is due */
	span_ms secret_every;	    /* SECRET_MS, unless a test wants time to pass faster */
	struct manage *manage;	    /* management interface; NULL: not open */
	struct upgrade upgrade;	    /* what we were left, what we leave */
	struct notify notify;	    /* who started us wants to hear of our life */
	mono_ms alive_at;	    /* the next sign of life; MONO_NEVER */
	mono_ms status_earliest;    /* not more often than this when clients come and go */
	struct stat crl_seen;
	unsigned crl_bad; /* ticks for which the CRL's file is of no use; CRL_PATIENCE + 1: nobody new is let in */
};

/* supervise.c: into the flight recorder. `text` may be NULL. */
void master_note(struct master *m, enum event_kind kind, unsigned cause, const char *text);

/* start.c: everything before the loop, in order. 0, or the exit status; master_end() afterwards in either
 * case. */
int master_start(struct master *m);
/* Takes everything down again in reverse, each part if it is there. */
void master_end(struct master *m);
/* What a child that must know nothing of it lets go. */
void master_forget(void *master);
/* Steps of it that a successor takes, too (adopt.c). Each 0 or a negative errno after a log line. */
int start_directory(const struct config *config);
/* Workers and seats: 0 of them as the configuration says. */
int start_seats(struct master *m, unsigned workers, unsigned seats);
int start_limits(const struct master *m);
int start_signals(struct master *m);
int start_first_keyholder(struct master *m);
/* The state segment, unless there is one; the statistics, unless there are some; the events. */
int start_segments(struct master *m);

/* worker_life.c: births, deaths, and what a worker says in between. */
/* False: it is tried again after a pause. */
bool worker_birth(struct master *m, unsigned index);
/* Takes what is there, at most `max` messages. False: the other end is closed. */
bool worker_hear(struct master *m, unsigned index, int max);
/* A worker that closed its end is dying, or will not hear another order. */
void worker_deaf(struct master *m, unsigned index);
/* Its process has ended, with this status of waitpid(). */
void worker_died(struct master *m, unsigned index, int status);

/* signals.c */
/* What came, each served. */
void signals_read(struct master *m);
/* Those of our children that have ended. */
void signals_reap(struct master *m);

/* supervise.c: orders, time, the loop. */
void supervise_watch(struct master *m, int fd, uint32_t what);
void supervise_unwatch(struct master *m, int fd);
/* The first time that all workers are ready. */
void supervise_started(struct master *m);
bool supervise_anybody_left(const struct master *m);
/* Workers tell their clients RESTART and end, with the usual patience; nobody is born for them. */
void supervise_empty(struct master *m);
/* Rights, signs of life, first times: from here on we are RUNNING. 0 or a negative errno after a log line. */
int supervise_running(struct master *m);
/* The checker's answers; -1: no more. */
void supervise_watch_checker(struct master *m, bool on);
/* Runs until the end; gives the exit status. */
int supervise(struct master *m);
void supervise_stop(struct master *m, int exit_status);
/* An order without text (enum order_kind) to every worker that is there. */
void supervise_order_all(struct master *m, unsigned kind, int32_t value);
/* To be called when m->now.keyholder goes out of and comes into office. */
void supervise_unwatch_keyholder(struct master *m);
void supervise_watch_keyholder(struct master *m);
void supervise_watch_helper(struct master *m);
/* Asks the workers of older generations to leave, one after another; called whenever one may go. */
void supervise_roll(struct master *m);
/* To the worker of a seat, if there is one. */
void supervise_signal(const struct seat *seat, int number);

/* pulse.c: each tick, for all workers: whose heart stands still for too long is ended. */
void pulse_feel(struct master *m, mono_ms now);

/* roster.c: how many workers there are, and who of them takes new sessions. */
/* How many a configuration asks for. */
unsigned roster_wanted(const struct master *m, const struct config *config);
bool roster_is_active(const struct master *m, unsigned index);
unsigned roster_active(const struct master *m);
/* After a change: tells the kernel and the workers. */
void roster_apply(struct master *m);
/* So many from now on: more are born at once, the last ones give their sessions away and end. False: there is no room for
 * so many, it will be as many as there is room for. */
bool roster_resize(struct master *m, unsigned wanted);
/* Those who are to end: each tick, and when one of them died. */
void roster_go_on(struct master *m);
/* A worker died: what it had goes to the others if it did so too often in a row. */
void roster_died(struct master *m, unsigned index);

/* drain.c */
/* All sessions of a worker to the others, and no new ones to it; or, with `on` false, new ones again. 0; -ENOENT, -EBUSY
 * (the last one that is left) with a sentence in `error`. */
int drain_worker(struct master *m, unsigned worker, bool on, char *error, size_t room);
/* What was not at rest before may be now: each tick. */
void drain_go_on(struct master *m);
/* The sessions of a worker that died, and whose process has ended, to the others. */
void drain_dead(struct master *m, unsigned index);

/* rebalance.c: each tick; hub.rebalance. */
void rebalance_go_on(struct master *m);
void rebalance_free(struct master *m);

/* reload.c */
/* False: it failed, everything stays as it was, the log says why. */
bool reload(struct master *m);
/* Puts into `fresh` what only a restart can change, as it was `born`; the directives that wanted otherwise
 * are listed in `changed`. Pointers into born's memory: that must live on. */
void reload_keep_born(struct config *fresh, const struct config *born, char *changed, size_t room);
/* The new configuration does not even start: back to the one before. */
void reload_undo(struct master *m);
/* Every worker runs with the present generation: the one before may go. */
void reload_settled(struct master *m);
/* The keyholder died: another one, and workers with channels to it. */
void keyholder_reborn(struct master *m);
/* What a reload would do, for people; changes nothing. 0, or 1: it would fail (`out` says why). */
int reload_plan(struct master *m, FILE *out);

/* crl.c: reads the CRL file again if it changed and sends it to the workers. */
void crl_watch(struct master *m);
/* All workers are sent it once more, whatever they have. */
void crl_resend(struct master *m);
/* The file has been of no use for so long that whoever may be revoked is kept out. */
bool crl_lost(const struct master *m);
/* A configuration was read, and the CRL with it. */
void crl_reloaded(struct master *m);
/* Puts into the statistics until when certificate and CRL are good. */
void publish_dates(struct master *m);

/* sessions.c: what the plan says about sessions, told to their owners. */
struct reload_plan;
/* Ends those of this fate and of stronger ones (enum plan_fate). */
void sessions_end(struct master *m, const struct reload_plan *plan, int at_least);
void sessions_update(struct master *m, const struct reload_plan *plan);
/* Ends those that may not be there by the present configuration: after a new CRL, or a birth. */
void sessions_check(struct master *m);
/* Opens the log as the configuration says. */
int log_configure(const struct config *config);

#endif
