/* SPDX-License-Identifier: MIT
 * Inside vpnadm only: a hub's statistics in Prometheus' text exposition format 0.0.4, and a small HTTP server
 * for them. */
#ifndef SHM_VPNADM_PROMETHEUS_H
#define SHM_VPNADM_PROMETHEUS_H

#include "shm/reader.h"

#include <stdbool.h>
#include <stdio.h>

enum { PROMETHEUS_MOST_LISTENERS = 8, PROMETHEUS_MOST_CLIENTS = 20000 };

/* Writes all of it; `reader` NULL: there is nothing to read, which is "not up". `clients`: also a few lines
 * for each client name, at most PROMETHEUS_MOST_CLIENTS names. */
void prometheus_write(FILE *out, const struct reader *reader, bool clients);

/* "vpnserverd_link_in_bytes_total" and the like, of one row of counters.def. Returns `out`. */
char *prometheus_counter(char *out, size_t room, enum counter which);

enum prometheus_question {
	QUESTION_NOT_WHOLE, /* its head goes on */
	QUESTION_PAGE,
	QUESTION_ELSEWHERE, /* not /metrics */
	QUESTION_OTHER_METHOD,
	QUESTION_NONSENSE,
};
/* What the first `len` bytes of a connection ask. */
enum prometheus_question prometheus_question(const char *request, size_t len);

/* What the server answers with: all bytes, in memory of malloc(). NULL: out of memory. */
typedef char *(*prometheus_render)(void *context, size_t *len);

/* Serves GET /metrics on "ADDRESS:PORT" or "[ADDRESS]:PORT" until SIGTERM or SIGINT; one process, no threads.
 * Answers 404, 405, 400, 408 and 431 to what is not that; every connection has a deadline, a limit to its
 * request, and ends after its answer. Returns an exit status. */
int prometheus_serve(const char *const *addresses, size_t count, prometheus_render render, void *context);

#endif
