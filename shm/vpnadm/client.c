/* SPDX-License-Identifier: MIT
 * vpnadm client NAME: everything about one: its sessions, the networks behind it, what happened to it last.
 */
#include "shm/vpnadm/networks.h"
#include "shm/vpnadm/sessions.h"

#include <stdlib.h>
#include <string.h>

enum { LAST_EVENTS = 20 };

struct client {
	const char *name;
	struct session_line *sessions;
	ssize_t session_count;
	struct event *events;
	ssize_t event_count;
};

/* What the flight recorder has of it; a hub without a record has nothing to tell. */
static void take_events(const struct place *place, struct client *c)
{
	struct events_wanted wanted = { .client = c->name, .most = LAST_EVENTS };
	char path[sizeof(place->path)];

	if (snprintf(path, sizeof(path), "%s/%s.events", place->dir, place->name) < (int)sizeof(path))
		c->event_count = view_events(path, &wanted, &c->events);
	if (c->event_count < 0)
		c->event_count = 0;
}

static bool take(const struct view *view, const struct place *place, struct client *c)
{
	ssize_t count = sessions_take(view, NULL, &c->sessions);

	if (count < 0)
		return false;
	for (ssize_t i = 0; i < count; i++)
		if (strcmp(c->sessions[i].row.common_name, c->name) == 0)
			c->sessions[c->session_count++] = c->sessions[i];
	take_events(place, c);
	return true;
}

static bool is_behind(const struct stats_network *network, const struct session_line *line)
{
	return network->slot == line->slot && network->generation == line->row.generation;
}

/* -- as text -- */

static void print_line(const struct view *view, const char *what, const char *text)
{
	fprintf(view->out, "%-15s %s\n", what, text[0] ? text : "-");
}

static void print_moment(const struct view *view, const char *what, unix_s moment)
{
	char text[TEXT_ROOM], span[TEXT_ROOM];

	show_moment(text, moment);
	if (moment)
		snprintf(text + strlen(text), sizeof(text) - strlen(text), ", %s ago",
			show_span(span, view->now - moment));
	print_line(view, what, text);
}

static void print_traffic(
	const struct view *view, const char *what, uint64_t bytes, uint64_t packets, uint64_t rate)
{
	char sum[TEXT_ROOM], a_second[TEXT_ROOM];

	fprintf(view->out, "%-15s %s in %llu packets, now %s\n", what, show_bytes(sum, bytes),
		(unsigned long long)packets, show_rate(a_second, rate));
}

static void print_session(const struct view *view, const struct session_line *line)
{
	const struct stats_row *row = &line->row;
	char text[TEXT_ROOM], more[TEXT_ROOM];
	struct stats_network network;
	uint32_t index;

	print_line(view, "name", show_text(text, row->common_name));
	fprintf(view->out, "%-15s %s, peer id %u, client id %llu\n", "session", show_peer_state(row->state),
		line->slot, (unsigned long long)row->client_id);
	print_line(view, "address", link_address_text(&row->peer_address, text, sizeof(text)));
	print_line(view, "listener",
		row->link < view->hub.listener_count ? show_text(text, view->hub.listeners[row->link]) : "");
	print_line(view, "inner address", show_inner4(text, row->inner4));
	print_line(view, "inner IPv6", show_inner6(text, row->inner6));
	for (uint32_t from = 0; reader_next_network(view->reader, from, &index, &network); from = index + 1)
		if (is_behind(&network, line))
			print_line(view, "network", show_network(text, &network));
	snprintf(text, sizeof(text), "%u", row->owner);
	print_line(view, "worker", text);
	print_line(view, "cipher", show_text(text, row->cipher));
	print_line(view, "TLS", show_text(text, row->tls));
	print_line(view, "control wrap", show_wrap(row->wrap));
	fprintf(view->out, "%-15s %s %s\n", "program", row->version[0] ? show_text(text, row->version) : "-",
		show_text(more, row->platform));
	print_moment(view, "connected", row->connected_unix);
	print_moment(view, "last seen", row->last_in_unix);
	print_moment(view, "keys agreed", row->keyed_unix);
	snprintf(text, sizeof(text), "%u", row->renegotiations);
	print_line(view, "renegotiations", text);
	print_line(view, "round trip", show_round_trip(text, row->round_trip_ms));
	print_traffic(view, "received", row->bytes_in, row->packets_in, row->rate_in);
	print_traffic(view, "sent", row->bytes_out, row->packets_out, row->rate_out);
	fprintf(view->out, "\n");
}

static void print(const struct view *view, const struct client *c)
{
	for (ssize_t i = 0; i < c->session_count; i++)
		print_session(view, &c->sessions[i]);
	for (ssize_t i = 0; i < c->event_count; i++)
		view_event_print(view->out, &c->events[i]);
}

/* -- as JSON -- */

static json_t *networks_json(const struct view *view, const struct session_line *line)
{
	json_t *list = json_array();
	struct stats_network network;
	char text[TEXT_ROOM];
	uint32_t index;

	for (uint32_t from = 0; list && reader_next_network(view->reader, from, &index, &network);
		from = index + 1)
		if (is_behind(&network, line))
			json_array_append_new(list, json_string(show_network(text, &network)));
	return list;
}

static json_t *as_json(const struct view *view, const struct client *c)
{
	json_t *sessions = json_array(), *events = json_array();

	for (ssize_t i = 0; sessions && i < c->session_count; i++) {
		json_t *session = session_json(view, &c->sessions[i]);
		if (session)
			json_object_set_new(session, "networks", networks_json(view, &c->sessions[i]));
		json_array_append_new(sessions, session);
	}
	for (ssize_t i = 0; events && i < c->event_count; i++)
		json_array_append_new(events, view_event_json(&c->events[i]));
	return json_pack(
		"{s:o, s:o, s:o}", "name", json_text(c->name), "sessions", sessions, "events", events);
}

static int run(const struct place *place, bool json_wanted)
{
	struct client c = { .name = place->words[0] };
	struct view view;
	struct reader *reader = view_open(&view, place);
	char text[TEXT_ROOM];
	int status = VPNADM_FAILED;

	if (!reader)
		return VPNADM_FAILED;
	if (take(&view, place, &c)) {
		status = view_status(&view, json_wanted);
		if (json_wanted && view_dump(as_json(&view, &c)) != VPNADM_OK)
			status = VPNADM_FAILED;
		if (!json_wanted)
			print(&view, &c);
		if (!c.session_count) {
			fprintf(stderr, "vpnadm: %s is not connected\n", show_text(text, c.name));
			status = VPNADM_FAILED;
		}
		if (fflush(view.out) != 0 || ferror(view.out))
			status = VPNADM_FAILED;
	}
	free(c.sessions);
	free(c.events);
	reader_close(&reader);
	return status;
}

const struct command command_client = { .name = "client",
	.help = "everything about one client, and what happened to it last",
	.run = run,
	.usage = "CLIENT",
	.least_words = 1,
	.most_words = 1 };
