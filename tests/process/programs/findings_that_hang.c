/* SPDX-License-Identifier: MIT
 * In place of master/findings.c: a program that hangs in its start, where warnings go to the log; or dies there, if it was
 * built to. */
#include "master/findings.h"

#include <signal.h>
#include <unistd.h>

void findings_add(void *findings, enum conf_severity severity, const char *file, int line, const char *directive,
	const char *what, const char *hint)
{
	(void)findings, (void)severity, (void)file, (void)line, (void)directive, (void)what, (void)hint;
}

void findings_log(const struct findings *findings)
{
	(void)findings;
#ifdef DIES
	raise(SIGKILL);
#endif
	for (;;)
		pause();
}

void findings_print(FILE *out, const struct findings *findings)
{
	(void)out, (void)findings;
}

void findings_clear(struct findings *findings)
{
	(void)findings;
}
