/* SPDX-License-Identifier: MIT
 * What `vpnadm top` shows, without a terminal: pictures of the statistics, rates between them, order and
 * filter. */
#include "shm/vpnadm/top.h"
#include "shm/vpnadm/view.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* -- pictures -- */

static void flow_note(struct top_flow *flow, uint64_t rate_in, uint64_t rate_out)
{
	flow->rate_in = rate_in;
	flow->rate_out = rate_out;
	memmove(flow->history, flow->history + 1, sizeof(flow->history) - sizeof(flow->history[0]));
	flow->history[TOP_HISTORY - 1] = rate_in + rate_out;
}

static void picture_workers(struct top_model *model, const struct reader *reader)
{
	uint64_t in = 0, out = 0;

	model->worker_count = 0;
	for (unsigned i = 0; i < SHM_MAX_WORKERS && reader_worker(reader, i, &model->workers[i].now); i++) {
		const struct stats_rates *rates = &model->workers[i].now.rates;
		flow_note(&model->workers[i].flow, rates->bytes_in, rates->bytes_out);
		in += rates->bytes_in;
		out += rates->bytes_out;
		model->worker_count = i + 1;
	}
	flow_note(&model->total, in, out);
}

/* Both lists are in the order of slots, so one walk finds who was there before. */
bool top_picture(struct top_model *model, const struct reader *reader)
{
	struct top_client *clients = NULL;
	size_t count = 0, room = model->count + 64, old = 0;
	struct stats_row row;
	uint32_t slot;

	clients = malloc(room * sizeof(*clients));
	if (!clients)
		return false;
	for (uint32_t from = 0; reader_next_row(reader, from, &slot, &row); from = slot + 1) {
		if (count == room) {
			struct top_client *more = realloc(clients, 2 * room * sizeof(*clients));
			if (!more)
				goto failed;
			clients = more;
			room *= 2;
		}
		struct top_client *c = &clients[count++];
		while (old < model->count && model->clients[old].slot < slot)
			old++;
		bool same = old < model->count && model->clients[old].slot == slot &&
			    model->clients[old].row.client_id == row.client_id;
		c->slot = slot;
		c->row = row;
		c->flow = same ? model->clients[old].flow : (struct top_flow){ 0 };
		flow_note(&c->flow, row.rate_in, row.rate_out);
	}
	uint32_t *shown = realloc(model->shown, (count + 1) * sizeof(*shown));
	if (!shown)
		goto failed;
	model->shown = shown;
	free(model->clients);
	model->clients = clients;
	model->count = count;
	model->active = 0;
	for (size_t i = 0; i < count; i++)
		model->active += clients[i].row.state == PEER_ACTIVE;
	reader_hub(reader, &model->hub);
	model->life = reader_life(reader);
	model->there = true;
	picture_workers(model, reader);
	top_arrange(model);
	return true;

failed:
	free(clients);
	return false;
}

void top_nothing(struct top_model *model, const char *why)
{
	free(model->clients);
	model->clients = NULL;
	model->count = model->active = model->shown_count = model->worker_count = 0;
	model->there = false;
	snprintf(model->trouble, sizeof(model->trouble), "%s", why);
	memset(model->workers, 0, sizeof(model->workers));
	memset(&model->total, 0, sizeof(model->total));
}

void top_clear(struct top_model *model)
{
	top_nothing(model, "");
	free(model->shown);
	model->shown = NULL;
}

/* -- order -- */

static int compare_numbers(uint64_t a, uint64_t b)
{
	return a < b ? -1 : a > b;
}

static int compare_by(enum top_column column, const struct top_client *a, const struct top_client *b)
{
	const struct stats_row *x = &a->row, *y = &b->row;
	int order;

	switch (column) {
	case TOP_NAME:
		return strcmp(x->common_name, y->common_name);
	case TOP_ADDRESS:
		order = compare_numbers(x->peer_address.family, y->peer_address.family);
		if (!order)
			order = memcmp(x->peer_address.ip, y->peer_address.ip, sizeof(x->peer_address.ip));
		return order ? order : compare_numbers(x->peer_address.port, y->peer_address.port);
	case TOP_INNER:
		order = compare_numbers(x->inner4, y->inner4);
		return order ? order : memcmp(x->inner6, y->inner6, sizeof(x->inner6));
	case TOP_WORKER:
		return compare_numbers(x->owner, y->owner);
	case TOP_RATE_IN:
		return compare_numbers(a->flow.rate_in, b->flow.rate_in);
	case TOP_RATE_OUT:
		return compare_numbers(a->flow.rate_out, b->flow.rate_out);
	case TOP_IN:
		return compare_numbers(x->bytes_in, y->bytes_in);
	case TOP_OUT:
		return compare_numbers(x->bytes_out, y->bytes_out);
	case TOP_ROUND_TRIP: /* unknown is least */
		return compare_numbers((uint64_t)(x->round_trip_ms + 1), (uint64_t)(y->round_trip_ms + 1));
	case TOP_SINCE: /* as shown: how long ago */
		return compare_numbers((uint64_t)y->connected_unix, (uint64_t)x->connected_unix);
	case TOP_SEEN:
		return compare_numbers((uint64_t)y->last_in_unix, (uint64_t)x->last_in_unix);
	case TOP_GRAPH:
	case TOP_COLUMNS:
		break;
	}
	return 0;
}

static int compare_shown(const void *a, const void *b, void *context)
{
	const struct top_model *model = context;
	const struct top_client *x = &model->clients[*(const uint32_t *)a];
	const struct top_client *y = &model->clients[*(const uint32_t *)b];
	int order = compare_by(model->by, x, y);

	if (model->descending)
		order = -order;
	/* Equal ones must not dance. */
	return order ? order : compare_numbers(x->slot, y->slot);
}

static bool has(const char *text, const char *part)
{
	return strcasestr(text, part) != NULL;
}

static bool passes(const struct stats_row *row, const char *filter)
{
	char text[TEXT_ROOM];

	return !filter[0] || has(show_text(text, row->common_name), filter) ||
	       has(link_address_text(&row->peer_address, text, sizeof(text)), filter) ||
	       has(show_inner4(text, row->inner4), filter) || has(show_inner6(text, row->inner6), filter) ||
	       has(row->cipher, filter);
}

void top_arrange(struct top_model *model)
{
	model->shown_count = 0;
	for (size_t i = 0; i < model->count; i++)
		if (passes(&model->clients[i].row, model->filter))
			model->shown[model->shown_count++] = (uint32_t)i;
	if (model->shown_count)
		qsort_r(model->shown, model->shown_count, sizeof(*model->shown), compare_shown, model);
	/* Where its client went; one that left leaves the selection at its line. */
	for (size_t i = 0; i < model->shown_count; i++)
		if (model->clients[model->shown[i]].row.client_id == model->selected_id)
			model->selected = i;
	if (model->selected >= model->shown_count)
		model->selected = model->shown_count ? model->shown_count - 1 : 0;
}

void top_select(struct top_model *model, long by)
{
	long at = (long)model->selected + by;

	if (at >= (long)model->shown_count)
		at = (long)model->shown_count - 1;
	if (at < 0)
		at = 0;
	model->selected = (size_t)at;
	const struct top_client *client = top_selected(model);
	model->selected_id = client ? client->row.client_id : UINT64_MAX;
}

const struct top_client *top_selected(const struct top_model *model)
{
	return model->selected < model->shown_count ? &model->clients[model->shown[model->selected]] : NULL;
}

enum top_column top_next_column(enum top_column from, int step)
{
	int column = (int)from;

	do
		column = (column + TOP_COLUMNS + step) % TOP_COLUMNS;
	while (column == TOP_GRAPH);
	return (enum top_column)column;
}
