/* SPDX-License-Identifier: MIT
 * The list of what is wrong with a configuration. */
#include "master/findings.h"

#include "master/log.h"

#include <stdlib.h>
#include <string.h>

void findings_add(void *findings, enum conf_severity severity, const char *file, int line,
	const char *directive, const char *what, const char *hint)
{
	struct findings *p = findings;
	if (severity == CONF_ERROR)
		p->errors++;
	else
		p->warnings++;
	struct finding *list = realloc(p->list, (p->count + 1) * sizeof(*list));
	if (!list)
		return; /* counted at least */
	p->list = list;
	char text[2560];
	char *copy = strdup(config_problem_line(text, sizeof(text), file, line, directive, what, hint));
	if (copy)
		p->list[p->count++] = (struct finding){ .severity = severity, .line = copy };
}

void findings_log(const struct findings *findings)
{
	for (unsigned i = 0; i < findings->count; i++)
		if (findings->list[i].severity == CONF_ERROR)
			log_line(LOG_LEVEL_ERROR, "%s", findings->list[i].line);
		else
			log_line(LOG_LEVEL_NOTICE, "WARNING: %s", findings->list[i].line);
}

void findings_print(FILE *out, const struct findings *findings)
{
	for (unsigned i = 0; i < findings->count; i++)
		fprintf(out, "%s%s\n",
			findings->list[i].severity == CONF_ERROR ? "" : "warning: ", findings->list[i].line);
}

void findings_clear(struct findings *findings)
{
	for (unsigned i = 0; i < findings->count; i++)
		free(findings->list[i].line);
	free(findings->list);
	*findings = (struct findings){ 0 };
}
