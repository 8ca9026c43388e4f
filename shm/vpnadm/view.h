/* SPDX-License-Identifier: MIT
 * Inside vpnadm only: what every command is given, and how values become text and JSON. Everything that is
 * printed went through one escape on its way. */
#ifndef SHM_VPNADM_VIEW_H
#define SHM_VPNADM_VIEW_H

#include "common/base/time.h"
#include "shm/events.h"
#include "shm/reader.h"

#include <getopt.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

enum { VPNADM_OK = 0, VPNADM_FAILED = 1, VPNADM_NOT_RUNNING = 3 };

/* Which hub: its files are DIR/NAME.stats and so on. */
struct place {
	const char *dir;
	char name[STATS_NAME_ROOM], path[4096]; /* path: of the one that the command is about */
	const char *const *words;		/* what stands behind the command; NULL ends them */
};

struct view {
	const struct reader *reader;
	struct reader_hub hub;
	enum reader_life life;
	unix_s now;
	FILE *out;
	const char *const *words; /* what stands behind the command */
};

/* One subcommand: prints itself as text, or gives itself as JSON (a new reference; NULL: out of memory). */
struct command {
	const char *name, *help;
	void (*print)(const struct view *);
	json_t *(*json)(const struct view *);
	/* In place of the two: a command that opens the file itself, and may go on. Its exit status. */
	int (*run)(const struct place *, bool as_json);
	/* Options of its own, the last one {0}; each one's `val` (256 and up) and value go to take_option().
	 * False, and said why: not a good one. */
	const struct option *options;
	const char
		*letters; /* short ones, as getopt has them ("n:"); NULL: none. Their `val` is the letter */
	bool (*take_option)(int val, const char *value);
	const char *usage;	     /* of its words and options: "[--sort COLUMN] NAME"; NULL: none */
	int least_words, most_words; /* that stand behind it */
	const char *ending;	     /* of the file that it opens; NULL: ".stats" */
};
#define COMMAND(name) extern const struct command command_##name;
#include "shm/vpnadm/commands.def"
#undef COMMAND

enum { TEXT_ROOM = 4 * STATS_LISTENER_ROOM + 1 };

/* Outside text made printable, into `out` of TEXT_ROOM bytes. All these return `out`. */
char *show_text(char *out, const char *text);
/* "17 s", "3 min", "5 h 12 min", "9 d 3 h"; "-" for less than nothing. */
char *show_span(char *out, unix_s seconds);
/* "512 B", "1.4 KB", "12.0 GB". */
char *show_bytes(char *out, uint64_t bytes);
/* Local time, "2026-01-31 12:00:00"; "-" for 0. */
char *show_moment(char *out, unix_s moment);
char *show_inner4(char *out, uint32_t address); /* "" for none */
char *show_inner6(char *out, const uint8_t address[16]);
const char *show_life(enum reader_life life);
#define ORPHANED_TEXT "the master of this hub is dead; %u workers go on serving, and nobody takes orders"
const char *show_worker_state(enum stats_worker_state state);
const char *show_peer_state(unsigned state);

/* Which part of what arrived at a worker was another's. */
double handover_share(const struct counter_values *values);

/* Opens what a command reads; the caller closes it. NULL: and said why. */
struct reader *view_open(struct view *view, const struct place *place);
/* The exit status that goes with the hub's life; says so if it does not run and `quiet` is false. */
int view_status(const struct view *view, bool quiet);

/* UTF-8 as it is, anything else escaped. */
json_t *json_text(const char *text);
/* Prints it on standard output, drops the reference; NULL was out of memory. Gives the exit status. */
int view_dump(json_t *json);
/* A whole number from `min` to `max`. False: and said so. */
bool view_number(const char *what, const char *text, long long min, long long max, long long *out);
/* The same of seconds with a fraction, out in milliseconds. */
bool view_seconds(const char *what, const char *text, double min, double max, span_ms *out);

/* events.c: for others that show events, too. */
struct events_wanted {
	const char *client; /* NULL: all */
	int64_t since_ms;
	ssize_t most; /* the newest so many; 0: all */
};
/* Newest last; the caller frees *out. -1: and said why. */
ssize_t view_events(const char *path, const struct events_wanted *wanted, struct event **out);
void view_event_print(FILE *out, const struct event *event);
void view_event_put(FILE *out, const struct event *event); /* without the end of its line */
json_t *view_event_json(const struct event *event);

#endif
