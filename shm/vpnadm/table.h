/* SPDX-License-Identifier: MIT
 * Inside vpnadm only: columns that fit the terminal. Where they do not, those of least use are left out. */
#ifndef SHM_VPNADM_TABLE_H
#define SHM_VPNADM_TABLE_H

#include <stdbool.h>
#include <stdio.h>

struct column {
	const char *title;
	bool right;	    /* aligned: numbers */
	unsigned least_use; /* the highest goes first; 0: stays in any case */
};

struct table;

/* `columns` must live as long as the table. NULL: out of memory; the others take that and do nothing. */
struct table *table_new(const struct column *columns, unsigned count);
/* The next cell, row by row; printable ASCII, copied. */
void table_cell(struct table *table, const char *text);
/* Titles and rows, at most `width` wide if leaving out columns does it; 0: all columns. Frees it. False:
 * memory ran out on the way, and it was said. */
bool table_print(FILE *out, struct table **table, unsigned width);
/* How wide the terminal is that `out` goes to; 0: it goes to none. */
unsigned table_width(FILE *out);

#endif
