/* SPDX-License-Identifier: MIT
 * The status file in OpenVPN's three versions, from the session table. */
#ifndef MASTER_STATUS_H
#define MASTER_STATUS_H

#include "common/base/time.h"
#include "conf/config.h"
#include "shm/segment.h"

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

/* Writes the text; the caller looks at ferror(). */
void status_print(FILE *out, const struct status_facts *facts, const struct shm *shm);
/* Replaces the status file in one step. 0 or a negative errno. */
int status_write(const struct config *config, const struct shm *shm);
/* The same text, line by line, into the log. */
void status_log(const struct config *config, const struct shm *shm);

#endif
