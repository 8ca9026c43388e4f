/* SPDX-License-Identifier: MIT
 * options TEMPLATE: prints a manual page with the line OPTIONS_HERE of its template replaced by the option
 * chapter, made from the rows that the parser itself uses. A program of the build, not installed. */
#include "conf/conf.h"

#include <stdio.h>
#include <stdlib.h>

#define OPTIONS_HERE ".\\\" OPTIONS\n"

/* One character as roff shows it unchanged. */
static void put_char(char c)
{
	switch (c) {
	case '\\':
		fputs("\\e", stdout);
		break;
	case '-':
		fputs("\\-", stdout);
		break;
	case '\'':
		fputs("\\(aq", stdout);
		break;
	case '`':
		fputs("\\(ga", stdout);
		break;
	case '^':
		fputs("\\(ha", stdout);
		break;
	case '~':
		fputs("\\(ti", stdout);
		break;
	case '"':
		fputs("\\(dq", stdout); /* it would end the argument of a macro */
		break;
	default:
		putchar(c);
	}
}

static void put_text(const char *text)
{
	for (; *text; text++)
		put_char(*text);
}

/* A sentence in which `words` stand out. */
static void put_sentence(const char *text)
{
	bool bold = false;
	fputs("\\&", stdout); /* or a dot in front would be a request */
	for (; *text; text++) {
		if (*text != '`') {
			put_char(*text);
			continue;
		}
		if (!bold && !strchr(text + 1, '`')) {
			put_char('`');
			continue;
		}
		bold = !bold;
		fputs(bold ? "\\fB" : "\\fR", stdout);
	}
	putchar('\n');
}

/* Where it may stand, when that is not the configuration alone. */
static void put_places(const struct option_row *row)
{
	static const struct {
		unsigned place;
		const char *name;
	} places[] = { { BLOCK, "inline" }, { CLIENT, "per client" }, { PUSH, "pushed" } };
	const char *before = "  \\fI(";
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++)
		if (row->places & places[i].place) {
			printf("%s%s", before, places[i].name);
			before = ", ";
		}
	if (*before == ',')
		fputs(")\\fR", stdout);
}

static void put_option(const struct option_row *row)
{
	fputs(".TP\n\\fB", stdout);
	put_text(row->name);
	fputs("\\fR", stdout);
	if (*row->arguments) {
		putchar(' ');
		put_text(row->arguments);
	}
	put_places(row);
	putchar('\n');
	const char *remark = option_remark(row);
	if (*remark) {
		fputs(".I \\&", stdout);
		put_text(remark);
		putchar('\n');
	}
	put_sentence(row->help);
	if (row->effect == EFFECT_NOTHING)
		return;
	fputs("At a reload: ", stdout);
	put_text(config_effect_text(row->effect));
	puts(".");
}

static void put_options(void)
{
	for (unsigned i = 0; i < option_row_count; i++) {
		const struct option_row *row = &option_rows[i];
		if (row->section) {
			fputs(".SS \"", stdout);
			put_text(row->section);
			fputs("\"\n", stdout);
		} else {
			put_option(row);
		}
	}
}

int main(int argc, char **argv)
{
	char line[4096];
	bool found = false;
	FILE *template = argc == 2 ? fopen(argv[1], "r") : NULL;
	if (!template) {
		fputs("usage: options TEMPLATE\n", stderr);
		return EXIT_FAILURE;
	}
	while (fgets(line, sizeof(line), template)) {
		if (strcmp(line, OPTIONS_HERE) == 0) {
			put_options();
			found = true;
		} else {
			fputs(line, stdout);
		}
	}
	fclose(template);
	return found && fflush(stdout) == 0 && !ferror(stdout) ? EXIT_SUCCESS : EXIT_FAILURE;
}
