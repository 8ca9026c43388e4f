/* SPDX-License-Identifier: MIT
 * What the files of the helper process share. Only they include it.
 *
 *   WAITING ──a place is free, nobody of this slot runs──> RUNNING ──"2" in its file──> DEFERRED
 *      │ its DISCONNECT came first                            │ ended, time is up          │ "0", "1", time
 * is up └────────────────────────> (gone) <────answered────────┴────────────────────────────┘
 *
 *   WAITING   in the queue. Requests of one slot keep their order.
 *   RUNNING   a script is at work; at most HELPER_SCRIPTS_MAX.
 *   DEFERRED  the script has ended but its process group is still ours; it will write into a file what it
 * decided. */
#ifndef MASTER_HELPER_INTERNAL_H
#define MASTER_HELPER_INTERNAL_H

#include "conf/client_file.h"
#include "master/clock.h"
#include "master/client_files.h"
#include "master/helper.h"
#include "master/helper_plan.h"
#include "master/script.h"
#include "shm/segment.h"
#include "worker/helper_wire.h"

enum { DEFERRED_MAX = 1024, DEFERRED_LOOK_MS = 200, ALONE_MS = 10000, IDLE_MS = 50000 };

/* A client between the success of its connect step and its client-disconnect. */
struct client {
	uint32_t generation;
	bool succeeded;
	uint64_t connected_unix;
	struct environment facts; /* what its scripts were told so far */
};

struct client_slot {
	struct client *client;
	bool busy; /* a job of it is RUNNING or DEFERRED */
	bool has_ended;
	uint32_t ended; /* the last generation whose client-disconnect was run: never again */
};

struct job {
	struct job *next;
	struct helper_request *request; /* cut behind its texts */
	unsigned worker;
	uint32_t channel; /* which of this worker's channels it came through; 0: nobody asked */
	bool deferred;
	struct script script;
	struct client_settings *settings; /* of a connect: what its lines say so far */
	char *lines;
	size_t lines_len;
	bool lines_full;
	mono_ms give_up_at, look_at;
	char name[160];			   /* the client's, for the log */
	char answer_path[CLIENT_PATH_MAX]; /* "": none */
	char deferred_path[CLIENT_PATH_MAX];
};

struct worker_channel {
	int fd; /* -1: none */
	uint32_t serial;
};

struct helper_state {
	int control;
	struct worker_channel channels[SHM_MAX_WORKERS];
	uint32_t serial;
	struct helper_plan plan;
	bool has_plan, finishing, had_workers;
	mono_ms idle_since; /* no worker since then; MONO_NEVER */
	mono_ms ends_at; /* the master is gone: so long it may finish; MONO_NEVER */
	struct client_slot *slots;
	unsigned slot_count;
	struct job *waiting, **waiting_end;
	struct job *running; /* and deferred */
	unsigned waiting_count, running_count, deferred_count;
	unsigned log_dropped;
};

/* A line for the master's log. */
__attribute__((format(printf, 3, 4))) void helper_log(
	struct helper_state *h, int level, const char *format, ...);

/* helper_job.c. Both return true when the job is over: it was answered, and may be freed. */
bool job_begin(struct helper_state *h, struct job *job);
bool job_continue(struct helper_state *h, struct job *job, mono_ms now);
void job_free(struct job **job);
void client_forget(struct client_slot *slot);

/* helper_process.c */
void helper_answer(
	struct helper_state *h, const struct job *job, enum helper_verdict verdict, const char *reason);

#endif
