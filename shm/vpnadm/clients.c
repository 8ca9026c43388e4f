/* SPDX-License-Identifier: MIT
 * vpnadm clients: one line per session. */
#include "shm/vpnadm/view.h"

#include <string.h>

static void print(const struct view *view)
{
	struct stats_row row;
	char name[TEXT_ROOM], address[64], inner4[TEXT_ROOM], inner6[TEXT_ROOM], in[TEXT_ROOM],
		out[TEXT_ROOM], since[TEXT_ROOM], seen[TEXT_ROOM], cipher[TEXT_ROOM];
	uint32_t slot;

	fprintf(view->out, "%-24s %-28s %-15s %-10s %6s  %-18s %10s %10s  %-12s %s\n", "NAME", "ADDRESS",
		"INNER", "STATE", "WORKER", "CIPHER", "IN", "OUT", "SINCE", "LAST SEEN");
	for (uint32_t from = 0; reader_next_row(view->reader, from, &slot, &row); from = slot + 1) {
		show_inner4(inner4, row.inner4);
		show_inner6(inner6, row.inner6);
		fprintf(view->out, "%-24s %-28s %-15s %-10s %6u  %-18s %10s %10s  %-12s %s%s%s\n",
			row.common_name[0] ? show_text(name, row.common_name) : "-",
			link_address_text(&row.peer_address, address, sizeof(address)),
			inner4[0]   ? inner4
			: inner6[0] ? inner6
				    : "-",
			show_peer_state(row.state), row.owner,
			row.cipher[0] ? show_text(cipher, row.cipher) : "-", show_bytes(in, row.bytes_in),
			show_bytes(out, row.bytes_out),
			row.connected_unix ? show_span(since, view->now - row.connected_unix) : "-",
			row.last_in_unix ? show_span(seen, view->now - row.last_in_unix) : "-",
			inner4[0] && inner6[0] ? "  " : "", inner4[0] ? inner6 : "");
	}
}

static json_t *row_json(const struct view *view, uint32_t slot, const struct stats_row *row)
{
	char address[64], inner4[TEXT_ROOM], inner6[TEXT_ROOM];
	json_t *listener = row->link < view->hub.listener_count ? json_text(view->hub.listeners[row->link])
								: json_null();

	return json_pack("{s:i, s:I, s:o, s:s, s:s, s:s, s:s, s:i, s:o, s:o, s:I, s:I, s:I, s:I, s:I, s:I}",
		"peer_id", (int)slot, "client_id", (json_int_t)row->client_id, "name",
		json_text(row->common_name), "state", show_peer_state(row->state), "address",
		link_address_text(&row->peer_address, address, sizeof(address)), "inner4",
		show_inner4(inner4, row->inner4), "inner6", show_inner6(inner6, row->inner6), "worker",
		(int)row->owner, "cipher", json_text(row->cipher), "listener", listener, "connected",
		(json_int_t)row->connected_unix, "last_seen", (json_int_t)row->last_in_unix, "bytes_in",
		(json_int_t)row->bytes_in, "bytes_out", (json_int_t)row->bytes_out, "packets_in",
		(json_int_t)row->packets_in, "packets_out", (json_int_t)row->packets_out);
}

static json_t *as_json(const struct view *view)
{
	json_t *list = json_array();
	struct stats_row row;
	uint32_t slot;

	for (uint32_t from = 0; list && reader_next_row(view->reader, from, &slot, &row); from = slot + 1)
		if (json_array_append_new(list, row_json(view, slot, &row)) != 0)
			break;
	return list;
}

const struct command command_clients = { .name = "clients",
	.help = "one line per session",
	.print = print,
	.json = as_json };
