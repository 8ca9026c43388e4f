/* SPDX-License-Identifier: MIT
 * The status file in OpenVPN's three versions, from the session table. */
#ifndef MASTER_STATUS_H
#define MASTER_STATUS_H

#include "common/base/time.h"
#include "conf/config.h"
#include "shm/segment.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/* What a status text needs to know beside the table. */
struct status_facts {
	unsigned version;   /* 1, 2 (commas) or 3 (tabs) */
	bool name_protocol; /* "udp4:1.2.3.4:5" in place of "1.2.3.4:5": listeners differ in their protocol */
	const struct listener *listeners;
	unsigned listener_count;
	unix_s now_unix;
	mono_ms now_ms; /* the same moment */
};

/* How far a text has been written; starts zeroed. */
struct status_place {
	enum status_part { STATUS_HEAD, STATUS_CLIENTS, STATUS_ROUTES, STATUS_END } part;
	uint32_t slot; /* the next one to look at */
};

/* What is true of a configuration now, in its own status-version. */
struct status_facts status_facts_now(const struct config *config);
/* Goes on with the text for `rows` rows. False: that was its end. */
bool status_print_some(FILE *out, struct status_place *at, const struct status_facts *facts,
	const struct shm *shm, unsigned rows);
/* Writes the whole text; the caller looks at ferror(). */
void status_print(FILE *out, const struct status_facts *facts, const struct shm *shm);
/* Replaces the status file in one step. 0 or a negative errno. */
int status_write(const struct config *config, const struct shm *shm);
/* The same text, line by line, into the log. */
void status_log(const struct config *config, const struct shm *shm);

#endif
