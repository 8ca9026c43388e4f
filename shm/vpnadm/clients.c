/* SPDX-License-Identifier: MIT
 * vpnadm clients: one line per session. */
#include "shm/vpnadm/sessions.h"
#include "shm/vpnadm/table.h"

#include <stdlib.h>

static const struct column columns[] = { { "NAME", false, 0 }, { "ADDRESS", false, 3 }, { "INNER", false, 1 },
	{ "STATE", false, 11 }, { "WORKER", true, 9 }, { "CIPHER", false, 10 }, { "IN/S", true, 2 },
	{ "OUT/S", true, 2 }, { "IN", true, 5 }, { "OUT", true, 5 }, { "SINCE", true, 6 },
	{ "SEEN", true, 4 }, { "RTT", true, 7 }, { "VERSION", false, 12 }, { "INNER IPV6", false, 13 } };

static void print_line(struct table *t, const struct view *view, const struct session_line *line)
{
	const struct stats_row *row = &line->row;
	char text[TEXT_ROOM];

	table_cell(t, row->common_name[0] ? show_text(text, row->common_name) : "-");
	table_cell(t, link_address_text(&row->peer_address, text, sizeof(text)));
	show_inner4(text, row->inner4);
	table_cell(t, text[0] ? text : *show_inner6(text, row->inner6) ? text : "-");
	table_cell(t, show_peer_state(row->state));
	snprintf(text, sizeof(text), "%u", row->owner);
	table_cell(t, text);
	table_cell(t, row->cipher[0] ? show_text(text, row->cipher) : "-");
	table_cell(t, show_rate(text, row->rate_in));
	table_cell(t, show_rate(text, row->rate_out));
	table_cell(t, show_bytes(text, row->bytes_in));
	table_cell(t, show_bytes(text, row->bytes_out));
	table_cell(t, row->connected_unix ? show_span(text, view->now - row->connected_unix) : "-");
	table_cell(t, row->last_in_unix ? show_span(text, view->now - row->last_in_unix) : "-");
	table_cell(t, show_round_trip(text, row->round_trip_ms));
	table_cell(t, row->version[0] ? show_text(text, row->version) : "-");
	table_cell(t, *show_inner6(text, row->inner6) ? text : "-");
}

void sessions_print(const struct view *view, const struct session_line *lines, ssize_t count, ssize_t most)
{
	ssize_t shown = most && count > most ? most : count;
	struct table *t = table_new(columns, sizeof(columns) / sizeof(columns[0]));

	for (ssize_t i = 0; i < shown; i++)
		print_line(t, view, &lines[i]);
	if (table_print(view->out, &t, table_width(view->out)) && shown < count)
		fprintf(view->out, "... and %zd more: vpnadm clients\n", count - shown);
}

enum { OPTION_SORT = 256, OPTION_FILTER };

static struct {
	session_order *order;
	const char *filter;
} asked;

static bool take_option(int option, const char *value)
{
	if (option == OPTION_FILTER)
		asked.filter = value;
	else
		asked.order = session_order_named(value);
	return option == OPTION_FILTER || asked.order;
}

static ssize_t take(const struct view *view, struct session_line **lines)
{
	ssize_t count = sessions_take(view, asked.filter, lines);

	if (asked.order)
		sessions_sort(*lines, count, asked.order);
	return count;
}

static void print(const struct view *view)
{
	struct session_line *lines;
	ssize_t count = take(view, &lines);

	if (count >= 0)
		sessions_print(view, lines, count, 0);
	free(lines);
}

static json_t *as_json(const struct view *view)
{
	struct session_line *lines;
	ssize_t count = take(view, &lines);
	json_t *list = count < 0 ? NULL : sessions_json(view, lines, count);

	free(lines);
	return list;
}

static const struct option options[] = { { "sort", required_argument, NULL, OPTION_SORT },
	{ "filter", required_argument, NULL, OPTION_FILTER }, { 0 } };

const struct command command_clients = { .name = "clients",
	.help = "one line per session",
	.print = print,
	.json = as_json,
	.options = options,
	.take_option = take_option,
	.usage = "[--sort COLUMN] [--filter TEXT]" };
