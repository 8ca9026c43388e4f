/* SPDX-License-Identifier: MIT
 * vpnadm pool: the tunnel addresses that the hub gives to clients, and who has which. */
#include "shm/vpnadm/table.h"
#include "shm/vpnadm/view.h"

#include <string.h>

/* The last of a range that begins at `base`. */
static void last6(uint8_t out[16], const uint8_t base[16], uint32_t count)
{
	uint64_t carry = count - 1;

	memcpy(out, base, 16);
	for (int i = 15; i >= 0 && carry; i--) {
		carry += out[i];
		out[i] = (uint8_t)carry;
		carry >>= 8;
	}
}

static bool next_holder(const struct view *view, uint32_t *from, uint32_t *slot, struct stats_row *row)
{
	while (reader_next_row(view->reader, *from, slot, row)) {
		*from = *slot + 1;
		if (row->lease < view->hub.pool.size)
			return true;
	}
	return false;
}

static unsigned pool_used(const struct view *view)
{
	struct stats_row row;
	unsigned used = 0;
	uint32_t slot;

	for (uint32_t from = 0; next_holder(view, &from, &slot, &row);)
		used++;
	return used;
}

static const struct column columns[] = { { "LEASE", true, 1 }, { "ADDRESS", false, 0 }, { "IPV6", false, 2 },
	{ "CLIENT", false, 0 }, { "PEER ID", true, 3 } };

static void print(const struct view *view)
{
	const struct stats_pool *pool = &view->hub.pool;
	char first[TEXT_ROOM], last[TEXT_ROOM];
	uint8_t end[16];
	struct stats_row row;
	uint32_t slot;

	if (!pool->size) {
		fprintf(view->out, "this hub has no address pool\n");
		return;
	}
	if (pool->count4)
		fprintf(view->out, "IPv4   %s to %s\n", show_inner4(first, pool->first4),
			show_inner4(last, pool->first4 + pool->count4 - 1));
	if (pool->count6) {
		last6(end, pool->base6, pool->count6);
		fprintf(view->out, "IPv6   %s to %s\n", show_inner6(first, pool->base6),
			show_inner6(last, end));
	}
	fprintf(view->out, "used   %u of %u\n\n", pool_used(view), pool->size);
	struct table *t = table_new(columns, sizeof(columns) / sizeof(columns[0]));
	for (uint32_t from = 0; next_holder(view, &from, &slot, &row);) {
		snprintf(first, sizeof(first), "%u", row.lease);
		table_cell(t, first);
		table_cell(t, *show_inner4(first, row.inner4) ? first : "-");
		table_cell(t, *show_inner6(first, row.inner6) ? first : "-");
		table_cell(t, show_text(first, row.common_name));
		snprintf(first, sizeof(first), "%u", slot);
		table_cell(t, first);
	}
	table_print(view->out, &t, table_width(view->out));
}

static json_t *as_json(const struct view *view)
{
	const struct stats_pool *pool = &view->hub.pool;
	char first[TEXT_ROOM], last[TEXT_ROOM];
	uint8_t end[16];
	struct stats_row row;
	uint32_t slot;
	json_t *leases = json_array(), *four = json_null(), *six = json_null();

	for (uint32_t from = 0; leases && next_holder(view, &from, &slot, &row);)
		json_array_append_new(leases,
			json_pack("{s:I, s:s, s:s, s:o, s:I}", "lease", (json_int_t)row.lease, "inner4",
				show_inner4(first, row.inner4), "inner6", show_inner6(last, row.inner6),
				"client", json_text(row.common_name), "peer_id", (json_int_t)slot));
	if (pool->count4)
		four = json_pack("{s:s, s:s}", "first", show_inner4(first, pool->first4), "last",
			show_inner4(last, pool->first4 + pool->count4 - 1));
	if (pool->count6) {
		last6(end, pool->base6, pool->count6);
		six = json_pack("{s:s, s:s}", "first", show_inner6(first, pool->base6), "last",
			show_inner6(last, end));
	}
	return json_pack("{s:I, s:I, s:o, s:o, s:o}", "size", (json_int_t)pool->size, "used",
		(json_int_t)pool_used(view), "ipv4", four, "ipv6", six, "leases", leases);
}

const struct command command_pool = {
	.name = "pool", .help = "the address pool, and who has which address", .print = print, .json = as_json
};
