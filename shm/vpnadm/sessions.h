/* SPDX-License-Identifier: MIT
 * Inside vpnadm only: sessions as several commands show them. */
#ifndef SHM_VPNADM_SESSIONS_H
#define SHM_VPNADM_SESSIONS_H

#include "shm/vpnadm/view.h"

#include <sys/types.h>

struct session_line {
	uint32_t slot;
	struct stats_row row;
};

/* All that match (NULL: all), by peer id; the caller frees *out. -1: out of memory, and said so. */
ssize_t sessions_take(const struct view *view, const char *filter, struct session_line **out);
/* The text stands in its name, an address, its cipher, version, platform or state, in whatever case. */
bool session_matches(const struct session_line *line, const char *filter);

typedef int session_order(const void *, const void *);
/* By a column's word ("rate", "rtt"); numbers that grow have the largest first. NULL: there is none, and said
 * so. */
session_order *session_order_named(const char *word);
void sessions_sort(struct session_line *lines, ssize_t count, session_order *order);

const char *show_wrap(unsigned wrap);
/* These two into TEXT_ROOM bytes. */
char *show_rate(char *out, uint64_t bytes_a_second);
char *show_round_trip(char *out, int32_t ms);

/* New references; NULL: out of memory. The keys are documented in vpnadm(8). */
json_t *session_json(const struct view *view, const struct session_line *line);
json_t *sessions_json(const struct view *view, const struct session_line *lines, ssize_t count);
/* clients.c: the table, of at most so many; the rest is counted in a last line. 0: all. */
void sessions_print(const struct view *view, const struct session_line *lines, ssize_t count, ssize_t most);

#endif
