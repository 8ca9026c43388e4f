/* SPDX-License-Identifier: MIT
 * The process that asks scripts and reads the files of clients, so that neither a worker nor the master's
 * loop ever waits for one. It has an unprivileged account and no capability (hub.script-sudo leaves a way to
 * gain some), one private channel per worker (worker/helper_wire.h), and one to the master. */
#ifndef MASTER_HELPER_H
#define MASTER_HELPER_H

#include "conf/config.h"
#include "master/environment.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum {
	HELPER_SCRIPTS_MAX = 32, /* scripts at a time */
	HELPER_QUEUE_MAX = 2048, /* requests that wait; with more, workers wait with theirs */
	HELPER_ERROR_MAX = 256,
};

struct helper {
	pid_t pid;   /* -1: none */
	int control; /* our end: plans and channels go out, log lines come in */
	int pid_fd;  /* of one that is not our child: a master before us had it; else -1 */
};

struct helper_birth {
	uid_t uid;
	gid_t gid;
	bool sudo;		       /* programs that it executes may gain rights */
	bool silent;		       /* no standard error either */
	void (*forget)(void *context); /* called in the child: lets go of what the fork copied; may be NULL */
	void *context;
};

/* Forks one and waits until it has given up its rights. It knows no plan yet: helper_tell(). 0 or a negative
 * errno, `error` says why. The child is reaped by whoever reaps all children. */
int helper_start(const struct helper_birth *birth, struct helper *out, char error[HELPER_ERROR_MAX]);
/* The plan that counts from now on. 0 or a negative errno. */
int helper_tell(struct helper *helper, const struct config *config, const struct environment *base);
/* A new private channel for a worker, replacing its earlier one. Returns the worker's end, or a negative
 * errno. */
int helper_channel(struct helper *helper, unsigned worker);
/* Writes the lines it sent to the log. False: it is gone. */
bool helper_listen(struct helper *helper);
/* No worker is left: it runs the client-disconnect scripts that are still due, and ends. */
void helper_finish(struct helper *helper);
void helper_let_go(struct helper *helper);
void helper_kill(const struct helper *helper);

/* helper_process.c: what it does once it has given up its rights. Ends the process. */
_Noreturn void helper_live(int control);

/* What both say. */
enum helper_command_kind { HELPER_COMMAND_PLAN = 1, HELPER_COMMAND_CHANNEL, HELPER_COMMAND_FINISH };
struct helper_command { /* master to helper, the first two with a descriptor */
	uint32_t kind;
	uint32_t worker;
};

enum helper_report_kind { HELPER_REPORT_READY = 1, HELPER_REPORT_FAILED, HELPER_REPORT_LOG };
struct helper_report { /* helper to master */
	uint32_t kind;
	int32_t level;
	uint32_t len;
	char text[1024];
};

#endif
