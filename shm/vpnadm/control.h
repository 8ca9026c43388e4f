/* SPDX-License-Identifier: MIT
 * A hub's control socket, from outside: one connection, commands one after another. Every wait ends by itself, and what
 * the hub says is no more trusted than any other outside text: print it escaped. */
#ifndef SHM_VPNADM_CONTROL_H
#define SHM_VPNADM_CONTROL_H

#include <stdbool.h>
#include <stddef.h>

struct control;

enum { CONTROL_LINE_MAX = 4096, CONTROL_WAIT_MS = 30000 /* between two lines of an answer */ };

/* Connects to DIR/NAME.control. NULL and a sentence: no such hub, not allowed (and who is), no answer in time. */
struct control *control_open(const char *path, char *error, size_t room);
/* Empties the caller's pointer. */
void control_close(struct control **control);

enum control_answer {
	CONTROL_DONE,    /* SUCCESS: `answer` has the rest of that line; or END, and it is empty */
	CONTROL_REFUSED, /* ERROR: `answer` says why */
	CONTROL_LOST,    /* no connection any more, or no answer in time; `answer` says so */
};
/* Each line of an answer before its last one; terminated, raw. */
typedef void control_told(void *context, const char *line);
/* Sends a command, its words ending with NULL, and waits for the answer. `told` may be NULL. What comes unasked in
 * between is left out. */
enum control_answer control_command(struct control *control, const char *const *words, control_told *told,
	void *context, char *answer, size_t room);
/* The next line that comes unasked (">TRACE:..."), without its end, into `line` of CONTROL_LINE_MAX bytes. 1; 0: none in
 * time; -1: the connection is gone. */
int control_notice(struct control *control, char *line, int wait_ms);

#endif
