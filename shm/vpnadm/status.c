/* SPDX-License-Identifier: MIT
 * vpnadm status: the hub, its workers, its clients. */
#include "shm/vpnadm/view.h"

static unsigned client_count(const struct view *view)
{
	struct stats_row row;
	unsigned count = 0;
	uint32_t slot;

	for (uint32_t from = 0; reader_next_row(view->reader, from, &slot, &row); from = slot + 1)
		count += row.state == PEER_ACTIVE;
	return count;
}

static void print(const struct view *view)
{
	const struct reader_hub *hub = &view->hub;
	char text[TEXT_ROOM], more[TEXT_ROOM];

	fprintf(view->out, "hub        %s, %s", show_text(text, hub->name), show_life(view->life));
	fprintf(view->out, " (vpnserverd %s, pid %lld)\n", show_text(text, hub->program_version),
		(long long)hub->pid);
	fprintf(view->out, "started    %s, %s ago\n", show_moment(text, hub->started_unix),
		show_span(more, view->now - hub->started_unix));
	if (hub->reloads)
		fprintf(view->out, "reloaded   %u times, last %s\n", hub->reloads,
			show_moment(text, hub->reloaded_unix));
	for (unsigned i = 0; i < hub->listener_count; i++)
		fprintf(view->out, "listener   %s\n", show_text(text, hub->listeners[i]));
	fprintf(view->out, "clients    %u of %u\n\n", client_count(view), hub->sizes.slots);
	command_workers.print(view);
	fprintf(view->out, "\n");
	command_clients.print(view);
}

static json_t *as_json(const struct view *view)
{
	const struct reader_hub *hub = &view->hub;
	json_t *listeners = json_array();

	for (unsigned i = 0; listeners && i < hub->listener_count; i++)
		json_array_append_new(listeners, json_text(hub->listeners[i]));
	return json_pack("{s:{s:o, s:s, s:o, s:I, s:I, s:I, s:I, s:I, s:I, s:o}, s:o, s:o}", "hub", "name",
		json_text(hub->name), "state", show_life(view->life), "version",
		json_text(hub->program_version), "pid", (json_int_t)hub->pid, "started",
		(json_int_t)hub->started_unix, "reloads", (json_int_t)hub->reloads, "reloaded",
		(json_int_t)hub->reloaded_unix, "clients", (json_int_t)client_count(view), "max_clients",
		(json_int_t)hub->sizes.slots, "listeners", listeners, "workers", command_workers.json(view),
		"clients", command_clients.json(view));
}

const struct command command_status = { .name = "status",
	.help = "the hub, its workers and its clients",
	.print = print,
	.json = as_json };
