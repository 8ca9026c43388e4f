/* SPDX-License-Identifier: MIT
 * The option chapter, printed from the rows that the parser itself uses. */
#include "conf/conf.h"

const char *option_remark(const struct option_row *row)
{
	if (row->verdict == REFUSE)
		return "refused: ";
	if (row->read == not_yet)
		return "not supported yet: ";
	if (row->verdict == ACCEPT)
		return "accepted without effect: ";
	return "";
}

void config_explain(FILE *out, const char *part)
{
	const char *section = NULL;

	for (unsigned i = 0; i < option_row_count; i++) {
		const struct option_row *row = &option_rows[i];
		if (row->section) {
			section = row->section;
			continue;
		}
		if (part && !strstr(row->name, part))
			continue;
		if (section)
			fprintf(out, "\n%s\n\n", section);
		section = NULL;
		fprintf(out, "%s%s%s\n\t%s%s\n", row->name, *row->arguments ? " " : "", row->arguments,
			option_remark(row), row->help);
	}
}
