/* SPDX-License-Identifier: MIT
 * Columns that fit the terminal. */
#include "shm/vpnadm/table.h"

#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { GAP = 2 };

struct table {
	const struct column *columns;
	unsigned count;
	char **cells;
	size_t used, room;
	bool failed;
};

struct table *table_new(const struct column *columns, unsigned count)
{
	struct table *t = calloc(1, sizeof(*t));

	if (t)
		*t = (struct table){ .columns = columns, .count = count };
	return t;
}

void table_cell(struct table *t, const char *text)
{
	if (!t || t->failed)
		return;
	if (t->used == t->room) {
		size_t room = t->room ? 2 * t->room : 64;
		char **more = realloc(t->cells, room * sizeof(*more));
		if (!more) {
			t->failed = true;
			return;
		}
		t->cells = more;
		t->room = room;
	}
	t->cells[t->used] = strdup(text);
	t->failed = !t->cells[t->used];
	t->used += !t->failed;
}

static size_t column_width(const struct table *t, unsigned column)
{
	size_t widest = strlen(t->columns[column].title);

	for (size_t i = column; i < t->used; i += t->count)
		if (strlen(t->cells[i]) > widest)
			widest = strlen(t->cells[i]);
	return widest;
}

/* Widths of the columns that are shown; 0: left out. */
static void choose(const struct table *t, unsigned width, size_t *widths)
{
	size_t sum = 0;

	for (unsigned c = 0; c < t->count; c++) {
		widths[c] = column_width(t, c);
		sum += widths[c] + GAP;
	}
	while (width && sum > width + GAP) {
		unsigned worst = t->count;
		for (unsigned c = 0; c < t->count; c++)
			if (widths[c] && t->columns[c].least_use &&
				(worst == t->count || t->columns[c].least_use > t->columns[worst].least_use))
				worst = c;
		if (worst == t->count)
			return;
		sum -= widths[worst] + GAP;
		widths[worst] = 0;
	}
}

static void print_line(FILE *out, const struct table *t, const size_t *widths, char *const *cells)
{
	size_t owed = 0; /* blanks before the next cell: none at the end of a line */

	for (unsigned c = 0; c < t->count; c++) {
		const char *text = cells ? cells[c] : t->columns[c].title;
		size_t len = strlen(text);
		if (!widths[c])
			continue;
		if (t->columns[c].right)
			owed += widths[c] - len;
		fprintf(out, "%*s%s", (int)owed, "", text);
		owed = GAP + (t->columns[c].right ? 0 : widths[c] - len);
	}
	fputc('\n', out);
}

bool table_print(FILE *out, struct table **table, unsigned width)
{
	struct table *t = *table;
	size_t *widths = t ? calloc(t->count, sizeof(*widths)) : NULL;
	bool good = widths && !t->failed;

	if (good) {
		choose(t, width, widths);
		print_line(out, t, widths, NULL);
		for (size_t i = 0; i + t->count <= t->used; i += t->count)
			print_line(out, t, widths, t->cells + i);
	} else {
		fprintf(stderr, "vpnadm: out of memory\n");
	}
	for (size_t i = 0; t && i < t->used; i++)
		free(t->cells[i]);
	free(widths);
	if (t)
		free(t->cells);
	free(t);
	*table = NULL;
	return good;
}

unsigned table_width(FILE *out)
{
	struct winsize size;

	if (!isatty(fileno(out)) || ioctl(fileno(out), TIOCGWINSZ, &size) != 0)
		return 0;
	return size.ws_col;
}
