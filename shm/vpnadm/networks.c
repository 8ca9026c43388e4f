/* SPDX-License-Identifier: MIT
 * vpnadm routes: which inner addresses and networks lead to which client. */
#include "shm/vpnadm/networks.h"
#include "shm/vpnadm/table.h"

#include <arpa/inet.h>
#include <string.h>

char *show_network(char *out, const struct stats_network *network)
{
	char text[INET6_ADDRSTRLEN] = "?";

	inet_ntop(network->family == 4 ? AF_INET : AF_INET6, network->prefix, text, sizeof(text));
	snprintf(out, TEXT_ROOM, "%s/%u", text, network->bits);
	return out;
}

/* Calls `each` for every way to a client: its own addresses first, then what is behind it. */
typedef void each_way(
	void *context, const char *network, bool behind, uint32_t slot, const struct stats_row *row);

static void walk(const struct view *view, each_way *each, void *context)
{
	struct stats_network network;
	struct stats_row row;
	char text[TEXT_ROOM];
	uint32_t at;

	for (uint32_t from = 0; reader_next_row(view->reader, from, &at, &row); from = at + 1) {
		if (row.state != PEER_ACTIVE)
			continue;
		if (*show_inner4(text, row.inner4))
			each(context, strcat(text, "/32"), false, at, &row);
		if (*show_inner6(text, row.inner6))
			each(context, strcat(text, "/128"), false, at, &row);
	}
	for (uint32_t from = 0; reader_next_network(view->reader, from, &at, &network); from = at + 1)
		if (reader_row(view->reader, network.slot, &row))
			each(context, show_network(text, &network), true, network.slot, &row);
}

static const struct column columns[] = { { "NETWORK", false, 0 }, { "CLIENT", false, 0 },
	{ "PEER ID", true, 3 }, { "WORKER", true, 2 }, { "KIND", false, 1 } };

static void add_line(
	void *context, const char *network, bool behind, uint32_t slot, const struct stats_row *row)
{
	char text[TEXT_ROOM];

	table_cell(context, network);
	table_cell(context, show_text(text, row->common_name));
	snprintf(text, sizeof(text), "%u", slot);
	table_cell(context, text);
	snprintf(text, sizeof(text), "%u", row->owner);
	table_cell(context, text);
	table_cell(context, behind ? "behind it" : "its own");
}

static void print(const struct view *view)
{
	struct table *t = table_new(columns, sizeof(columns) / sizeof(columns[0]));

	walk(view, add_line, t);
	table_print(view->out, &t, table_width(view->out));
}

static void add_json(
	void *context, const char *network, bool behind, uint32_t slot, const struct stats_row *row)
{
	json_array_append_new(context, json_pack("{s:s, s:o, s:I, s:i, s:b}", "network", network, "client",
					       json_text(row->common_name), "peer_id", (json_int_t)slot,
					       "worker", (int)row->owner, "behind", behind));
}

static json_t *as_json(const struct view *view)
{
	json_t *list = json_array();

	if (list)
		walk(view, add_json, list);
	return list;
}

const struct command command_routes = { .name = "routes",
	.help = "which addresses and networks lead to which client",
	.print = print,
	.json = as_json };
