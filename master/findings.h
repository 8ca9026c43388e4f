/* SPDX-License-Identifier: MIT
 * What the parser found wrong, kept until it is known where to say it. */
#ifndef MASTER_FINDINGS_H
#define MASTER_FINDINGS_H

#include "conf/config.h"

struct finding {
	enum conf_severity severity;
	char *line; /* "FILE:LINE: DIRECTIVE: what (hint: ...)" */
};

struct findings {
	struct finding *list;
	unsigned count, errors, warnings;
};

/* For config_read(): `report.context` is the struct findings. */
void findings_add(void *findings, enum conf_severity severity, const char *file, int line,
	const char *directive, const char *what, const char *hint);
/* To the log: errors at level 0, warnings with that word in front. */
void findings_log(const struct findings *findings);
void findings_print(FILE *out, const struct findings *findings);
void findings_clear(struct findings *findings);

#endif
