/* SPDX-License-Identifier: MIT
 * The rows of options.def as a table, from a line to its row and reader, and "did you mean". */
#include "conf/conf.h"

#define SECTION(title) { .section = title },
#define OPTION(name, min, max, places, verdict, change, reader, arguments, help)                             \
	{ NULL, name, min, max, places, verdict, EFFECT_##change, reader, arguments, help },
const struct option_row option_rows[] = {
#include "conf/options.def"
};
#undef OPTION
#undef SECTION

const unsigned option_row_count = sizeof(option_rows) / sizeof(option_rows[0]);

const struct option_row *option_find(const char *name)
{
	for (unsigned i = 0; i < option_row_count; i++)
		if (option_rows[i].name && strcmp(option_rows[i].name, name) == 0)
			return &option_rows[i];
	return NULL;
}

/* Letters to insert, drop, change or swap to make `b` of `a`; both shorter than 48. */
static unsigned edit_distance(const char *a, const char *b)
{
	unsigned rows[3][48];
	unsigned la = (unsigned)strlen(a), lb = (unsigned)strlen(b);

	for (unsigned j = 0; j <= lb; j++)
		rows[0][j] = j;
	for (unsigned i = 1; i <= la; i++) {
		unsigned *now = rows[i % 3], *before = rows[(i + 2) % 3], *earlier = rows[(i + 1) % 3];
		now[0] = i;
		for (unsigned j = 1; j <= lb; j++) {
			unsigned best = before[j - 1] + (a[i - 1] != b[j - 1]);
			if (before[j] + 1 < best)
				best = before[j] + 1;
			if (now[j - 1] + 1 < best)
				best = now[j - 1] + 1;
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
				earlier[j - 2] + 1 < best)
				best = earlier[j - 2] + 1;
			now[j] = best;
		}
	}
	return rows[la % 3][lb];
}

const char *option_nearest(const char *name)
{
	const char *nearest = NULL;
	size_t len = strlen(name);
	unsigned best = len < 4 ? 2 : len < 8 ? 3 : len < 11 ? 4 : 5; /* what is found differs by less */

	if (len > 40)
		return NULL;
	for (unsigned i = 0; i < option_row_count; i++) {
		const char *candidate = option_rows[i].name;
		size_t other = candidate ? strlen(candidate) : 0;
		if (!candidate || other + best <= len || len + best <= other)
			continue; /* a heading, or the lengths alone differ by too much */
		unsigned distance = edit_distance(name, candidate);
		if (distance < best) {
			best = distance;
			nearest = candidate;
		}
	}
	return nearest;
}

const struct place *option_place(const struct parse *p, const char *name)
{
	const struct option_row *row = option_find(name);
	const struct place *place = row ? &p->seen[row - option_rows] : NULL;
	return place && place->order ? place : NULL;
}

static bool may_be_unknown(const struct parse *p, const char *name)
{
	if (p->forward_compatible || p->unknown_is_warning)
		return true;
	for (unsigned i = 0; i < p->draft.ignored_count; i++)
		if (strcmp(p->draft.ignored[i], name) == 0)
			return true;
	return false;
}

/* OpenVPN's own sentence stands in it, for programs that look for it. */
static void unknown(struct parse *p, const struct line *line)
{
	const char *nearest = option_nearest(line->words[0]);
	const char *hint = nearest ? arena_format(p->arena, "unknown directive; did you mean '%s'?", nearest)
				   : "unknown directive";
	if (may_be_unknown(p, line->words[0]))
		line_warning(p, line, NULL, "unknown directive, ignored as the configuration asks");
	else
		line_error(p, line, hint,
			"Unrecognized option or missing or extra parameter(s) in %s:%d: %.100s",
			line->place.file, line->place.line, line->words[0]);
}

static const char *hint_of_place(const struct option_row *row)
{
	if (row->places & CLIENT)
		return "it belongs into a client's own file";
	if (row->places & PUSH)
		return "it can only be pushed";
	return NULL;
}

void option_apply(struct parse *p, const struct line *line)
{
	const struct option_row *row = option_find(line->words[0]);
	unsigned given = line->has_block ? 1 : line->count - 1;

	if (!row) {
		unknown(p, line);
		return;
	}
	if (row->verdict == REFUSE) {
		row->read(p, line);
		return;
	}
	if (!(row->places & (p->client ? CLIENT : MAIN))) {
		line_error(p, line, p->client ? NULL : hint_of_place(row), "option '%s' cannot be used in this context (%s)",
			row->name, line->place.file);
		return;
	}
	if (line->has_block && !(row->places & BLOCK)) {
		line_error(p, line, NULL, "option '%s' is not expected to be inline (%s:%d)", row->name,
			line->place.file, line->place.line);
		return;
	}
	if (given < row->min || given > row->max) {
		line_error(p, line, arena_format(p->arena, "%s %s", row->name, row->arguments),
			"Unrecognized option or missing or extra parameter(s) in %s:%d: %s", line->place.file,
			line->place.line, row->name);
		return;
	}
	if (line->cut)
		line_warning(p, line, NULL, "only the first %d words of the line count", MAX_WORDS);
	if (p->client) {
		client_line(p, line, row);
		return;
	}
	p->seen[row - option_rows] = line->place;
	digest_line(p, row, line);
	row->read(p, line);
}

/* -- the readers of rows without a setting -- */

void not_yet(struct parse *p, const struct line *line)
{
	line_not_yet(p, line, line->words[0]);
}

void accepted(struct parse *p, const struct line *line)
{
	(void)line;
	(void)p;
}

void no_effect(struct parse *p, const struct line *line)
{
	line_warning(p, line, option_find(line->words[0])->help, "has no effect here");
}

void refused(struct parse *p, const struct line *line)
{
	line_error(p, line, option_find(line->words[0])->help, "is not possible on this server");
}
