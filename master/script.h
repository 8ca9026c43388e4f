/* SPDX-License-Identifier: MIT
 * Programs that the configuration names: started, heard, ended. script.c is the only file that execs. Never a
 * shell: an argument vector, and an environment that holds what the caller lists and nothing else. Each gets
 * a process group of its own, standard input from /dev/null, its output in a pipe of ours, no other
 * descriptor, signals as a new process has them; when its time is up the whole group is killed. */
#ifndef MASTER_SCRIPT_H
#define MASTER_SCRIPT_H

#include "common/base/time.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

enum {
	SCRIPT_LINE_MAX = 900,	   /* longer lines of output are cut into several */
	SCRIPT_OUTPUT_LINES = 200, /* of one script; the rest is read and forgotten */
};

struct script {
	pid_t pid;     /* also of its process group; -1: none */
	int pid_fd;    /* readable once it has ended */
	int output_fd; /* non-blocking; -1 once it is closed */
	mono_ms kill_at;
	bool killed;
	unsigned lines;
	size_t line_len;
	char line[SCRIPT_LINE_MAX];
};

typedef void script_line(void *context, const char *line, size_t len);

/* Starts `words` (NULL at the end; words[0] is the program) with `environment` (NULL at the end). `limited`:
 * with bounds on memory, processes, file size and CPU time, for scripts that clients set off. 0 or a negative
 * errno. What only exec finds out (not executable after all) is an exit status of 127 and a line of output.
 */
int script_start(const char *const *words, const char *const *environment, bool limited, mono_ms kill_at,
	struct script *out);
/* Hands over the lines that are there. False: nothing will come any more. */
bool script_listen(struct script *script, script_line *line, void *context);
/* True once it has ended: *status is 0..255, 128 + number for a signal. It stays a zombie, so its group keeps
 * its number, until script_clear(). */
bool script_ended(const struct script *script, int *status);
/* Kills the whole group. */
void script_kill(struct script *script);
/* Waits for an ended (or killed) script and lets everything go. */
void script_clear(struct script *script);

/* Starts one and stays with it until it has ended, at most `limit` long. Its exit status, or -ETIMEDOUT
 * (killed), or another negative errno. For the master's own scripts, before and after its loop. */
int script_run(const char *const *words, const char *const *environment, span_ms limit, script_line *line,
	void *context);

#endif
