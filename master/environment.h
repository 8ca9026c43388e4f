/* SPDX-License-Identifier: MIT
 * What scripts find in their environment: names and values as OpenVPN has them (its manual, "Environmental
 * variables"), and nothing that we found in our own. */
#ifndef MASTER_ENVIRONMENT_H
#define MASTER_ENVIRONMENT_H

#include "conf/config.h"

#include <stdbool.h>
#include <sys/types.h>

struct environment {
	char **entries; /* "NAME=value", NULL at the end; NULL: none yet */
	unsigned count;
	bool failed; /* out of memory: something is missing, so it must not be used */
};

/* Sets one, in place of an earlier one of that name. In the name what is no letter, digit or `_` becomes `_`,
 * in the value what is not printable. */
void environment_set(struct environment *e, const char *name, const char *value);
__attribute__((format(printf, 3, 4))) void environment_format(
	struct environment *e, const char *name, const char *format, ...);
void environment_unset(struct environment *e, const char *name);
/* NULL: not set. Borrowed until the next change. */
const char *environment_get(const struct environment *e, const char *name);
/* All of `from`. */
void environment_add(struct environment *e, const struct environment *from);
/* For execve(): never NULL. */
const char *const *environment_vector(const struct environment *e);
void environment_clear(struct environment *e);

/* What is known from the start: configuration, process, listeners, device, addresses, routes, setenv. */
void environment_of_hub(struct environment *e, const struct config *config, const char *device, pid_t pid,
	long long started_unix);

#endif
