/* SPDX-License-Identifier: MIT
 * Inside vpnadm only: the live view in three parts. top_model.c: what there is to see, without a terminal.
 * top_screen.c: drawing it. top.c: the command, its keys and its clock. */
#ifndef SHM_VPNADM_TOP_H
#define SHM_VPNADM_TOP_H

#include "common/base/time.h"
#include "shm/reader.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { TOP_HISTORY = 24, TOP_FILTER_ROOM = 64 };

/* What something carries, as the workers publish it, and what it did while it was watched. */
struct top_flow {
	uint64_t rate_in, rate_out;    /* bytes a second */
	uint64_t history[TOP_HISTORY]; /* both together, newest last */
};

struct top_client {
	uint32_t slot;
	struct stats_row row;
	struct top_flow flow;
};

struct top_worker {
	struct reader_worker now;
	struct top_flow flow;
};

enum top_column {
	TOP_NAME,
	TOP_ADDRESS,
	TOP_INNER,
	TOP_WORKER,
	TOP_RATE_IN,
	TOP_RATE_OUT,
	TOP_GRAPH,
	TOP_IN,
	TOP_OUT,
	TOP_ROUND_TRIP,
	TOP_SINCE,
	TOP_SEEN,
	TOP_COLUMNS
};

/* Everything that is shown. Zeroed at first, but for selected_id. */
struct top_model {
	struct reader_hub hub;
	enum reader_life life;
	bool there;	    /* there is a file to read */
	char trouble[4400]; /* why not */
	struct top_worker workers[SHM_MAX_WORKERS];
	unsigned worker_count;
	struct top_flow total;
	struct top_client *clients; /* by slot */
	size_t count;
	size_t active;
	uint32_t *shown; /* indices into clients[], in the order of the screen */
	size_t shown_count;
	enum top_column by;
	bool descending;
	char filter[TOP_FILTER_ROOM];
	size_t selected;      /* index into shown[] */
	uint64_t selected_id; /* its client_id: it stays selected when the order changes; UINT64_MAX: nobody
				 chose one yet */
};

/* Takes a picture; who was on the one before keeps its history. False: out of memory, the model is as it
 * was. */
bool top_picture(struct top_model *model, const struct reader *reader);
/* There is no hub: empties it. */
void top_nothing(struct top_model *model, const char *why);
/* Sorts and filters anew, keeps the selection. */
void top_arrange(struct top_model *model);
/* Another client becomes the selected one: `by` lines up or down, stopping at the ends. */
void top_select(struct top_model *model, long by);
/* The selected one, or NULL: nothing is shown. */
const struct top_client *top_selected(const struct top_model *model);
void top_clear(struct top_model *model);

/* The next column that can be sorted by, to the right (1) or left (-1), going round. */
enum top_column top_next_column(enum top_column from, int step);

/* -- the screen -- */

/* False, and said why: no terminal. */
bool screen_open(void);
/* Leaves the terminal as it was. Any number of times. */
void screen_close(void);
/* `line`: what stands at the bottom instead of the keys; NULL: the keys. */
void screen_draw(const struct top_model *model, unix_s now, const char *line);
/* How many clients fit. */
size_t screen_page(void);

#endif
