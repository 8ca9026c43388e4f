/* SPDX-License-Identifier: MIT
 * Problems are collected, sorted by where they stand, and handed to the caller's report at the end. Some are
 * found late (files are opened after the last line), but the reader of the list should not notice. */
#include "conf/conf.h"

#include "common/base/text.h"

#include <limits.h>
#include <stdarg.h>

static void problem_add(struct parse *p, enum conf_severity severity, const struct place *place,
	const char *directive, const char *hint, const char *format, va_list args)
{
	if (severity == CONF_ERROR)
		p->errors++;
	else
		p->warnings++;
	if (p->problem_count >= MAX_PROBLEMS && severity == CONF_WARNING)
		return;
	if (p->problem_count > MAX_PROBLEMS) {
		p->stopped = true;
		return;
	}
	struct problem *problems = arena_grow(p->arena, p->problems, p->problem_count, sizeof(*problems));
	if (!problems)
		return;
	p->problems = problems;

	char what[1024];
	vsnprintf(what, sizeof(what), format, args);
	struct problem problem = {
		.severity = severity,
		.place = *place,
		.directive = directive ? arena_copy(p->arena, directive) : NULL,
		.what = arena_copy(p->arena, what),
		.hint = hint ? arena_copy(p->arena, hint) : NULL,
	};
	if (p->problem_count == MAX_PROBLEMS)
		problem = (struct problem){
			.place = place_at_end(p),
			.what = "too many problems; the rest is not shown",
		};

	/* Mostly in order already; a late one goes behind the others of its line. */
	unsigned i = p->problem_count++;
	for (; i > 0 && problems[i - 1].place.order > problem.place.order; i--)
		problems[i] = problems[i - 1];
	problems[i] = problem;
}

void conf_error(struct parse *p, const struct place *place, const char *directive, const char *hint,
	const char *format, ...)
{
	va_list args;
	va_start(args, format);
	problem_add(p, CONF_ERROR, place, directive, hint, format, args);
	va_end(args);
}

void conf_warning(struct parse *p, const struct place *place, const char *directive, const char *hint,
	const char *format, ...)
{
	va_list args;
	va_start(args, format);
	problem_add(p, CONF_WARNING, place, directive, hint, format, args);
	va_end(args);
}

void line_not_yet(struct parse *p, const struct line *line, const char *what)
{
	line_error(p, line, NULL, "'%s' is not supported yet", what);
}

void conf_problems_report(struct parse *p)
{
	if (!p->report || !p->report->problem)
		return;
	for (unsigned i = 0; i < p->problem_count; i++) {
		const struct problem *x = &p->problems[i];
		p->report->problem(p->report->context, x->severity, x->place.file, x->place.line,
			x->directive, x->what ? x->what : "out of memory", x->hint);
	}
}

struct place place_at_end(const struct parse *p)
{
	return (struct place){ .file = p->config->file ? p->config->file : "[CMD-LINE]", .order = UINT_MAX };
}

char *config_problem_line(char *out, size_t room, const char *file, int line, const char *directive,
	const char *what, const char *hint)
{
	char name[256], about[128], text[1200], help[512];
	char number[16] = "";
	if (line > 0)
		snprintf(number, sizeof(number), ":%d", line);
	snprintf(out, room, "%s%s%s%s%s%s%s%s%s",
		file ? text_escape(name, sizeof(name), file, strlen(file), NULL) : "", number,
		file ? ": " : "",
		directive ? text_escape(about, sizeof(about), directive, strlen(directive), NULL) : "",
		directive ? ": " : "", text_escape(text, sizeof(text), what, strlen(what), NULL),
		hint ? " (hint: " : "", hint ? text_escape(help, sizeof(help), hint, strlen(hint), NULL) : "",
		hint ? ")" : "");
	return out;
}
