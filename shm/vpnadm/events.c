/* SPDX-License-Identifier: MIT
 * vpnadm events: what the flight recorder remembers, newest last, whether or not its hub still runs. */
#include "shm/vpnadm/view.h"
#include "shm/segment.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* -- which of them -- */

static uint64_t session_key(const struct event *e)
{
	return (uint64_t)e->slot << 32 | e->generation;
}

static int by_number(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;
	return *x < *y ? -1 : *x > *y;
}

static bool is_named(const struct event *e, const char *client)
{
	return strncmp(e->name, client, sizeof(e->name) - 1) == 0 && e->name[0];
}

/* Leaves those of the client's sessions, those before its name was known among them. */
static ssize_t of_client(struct event *events, ssize_t count, const char *client)
{
	uint64_t *sessions = calloc((size_t)count + 1, sizeof(*sessions));
	size_t known = 0;
	ssize_t kept = 0;

	if (!sessions)
		return -1;
	for (ssize_t i = 0; i < count; i++)
		if (is_named(&events[i], client) && events[i].slot != PEER_NONE)
			sessions[known++] = session_key(&events[i]);
	qsort(sessions, known, sizeof(*sessions), by_number);
	for (ssize_t i = 0; i < count; i++) {
		uint64_t key = session_key(&events[i]);
		if (is_named(&events[i], client) ||
			(events[i].slot != PEER_NONE &&
				bsearch(&key, sessions, known, sizeof(key), by_number)))
			events[kept++] = events[i];
	}
	free(sessions);
	return kept;
}

ssize_t view_events(const char *path, const struct events_wanted *wanted, struct event **out)
{
	char error[512];
	struct event_reader *reader = event_reader_open(path, error, sizeof(error));
	ssize_t count, first = 0;

	*out = NULL;
	if (!reader) {
		fprintf(stderr, "vpnadm: %s\n", error);
		return -1;
	}
	count = event_reader_take(reader, 0, NULL, NULL, out);
	event_reader_close(&reader);
	if (count > 0 && wanted->client)
		count = of_client(*out, count, wanted->client);
	if (count < 0) {
		fprintf(stderr, "vpnadm: out of memory\n");
		free(*out);
		*out = NULL;
		return -1;
	}
	while (first < count && (*out)[first].unix_ms < wanted->since_ms)
		first++; /* the clock may have been set: what came after the first good one is kept */
	if (wanted->most && count - first > wanted->most)
		first = count - wanted->most;
	memmove(*out, *out + first, (size_t)(count - first) * sizeof(**out));
	return count - first;
}

/* -- shown -- */

static char *show_cause(char *out, size_t room, const struct event *e)
{
	char text[TEXT_ROOM];
	const char *why = e->cause && e->cause != EVENT_WHY_SAID ? event_why_sentence(e->cause) : "";
	bool with_text = e->text[0];

	show_text(text, e->text);
	switch (event_cause(e->kind)) {
	case EVENT_CAUSE_WHY:
		/* the text of an end says what the number knows already */
		with_text &= !*why || e->kind == EVENT_REFUSED;
		snprintf(out, room, "%s%s%s%s", *why ? ": " : "", why, with_text ? ": " : "",
			with_text ? text : "");
		break;
	case EVENT_CAUSE_WORKER:
		snprintf(out, room, ": %u%s%s", e->cause, with_text ? ", " : "", with_text ? text : "");
		break;
	case EVENT_CAUSE_NUMBER:
		snprintf(out, room, ": %u%s%s", e->cause, with_text ? ", " : "", with_text ? text : "");
		break;
	case EVENT_CAUSE_NONE:
		snprintf(out, room, "%s%s", with_text ? ": " : "", with_text ? text : "");
		break;
	}
	return out;
}

void view_event_put(FILE *out, const struct event *e)
{
	char moment[TEXT_ROOM], who[32] = "master", session[32] = "-", name[TEXT_ROOM],
				cause[TEXT_ROOM + 200];

	if (e->ring != EVENT_RING_MASTER)
		snprintf(who, sizeof(who), "worker %u", e->ring - 1);
	if (e->slot != PEER_NONE)
		snprintf(session, sizeof(session), "%u", e->slot);
	fprintf(out, "%s.%03d  %-10s %7s  %-16s  %s%s", show_moment(moment, e->unix_ms / 1000),
		(int)(e->unix_ms % 1000), who, session, e->name[0] ? show_text(name, e->name) : "-",
		event_sentence(e->kind), show_cause(cause, sizeof(cause), e));
}

void view_event_print(FILE *out, const struct event *e)
{
	view_event_put(out, e);
	fprintf(out, "\n");
}

json_t *view_event_json(const struct event *e)
{
	bool session = e->slot != PEER_NONE, why = event_cause(e->kind) == EVENT_CAUSE_WHY;
	bool number = event_cause(e->kind) == EVENT_CAUSE_NUMBER,
	     worker = event_cause(e->kind) == EVENT_CAUSE_WORKER;

	return json_pack("{s:I, s:I, s:o, s:s, s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "order",
		(json_int_t)e->order, "time_ms", (json_int_t)e->unix_ms, "by_worker",
		e->ring == EVENT_RING_MASTER ? json_null() : json_integer(e->ring - 1), "kind",
		event_name(e->kind), "sentence", event_sentence(e->kind), "peer_id",
		session ? json_integer(e->slot) : json_null(), "generation",
		session ? json_integer(e->generation) : json_null(), "name",
		e->name[0] ? json_text(e->name) : json_null(), "why",
		why ? json_string(event_why_name(e->cause)) : json_null(), "worker",
		worker ? json_integer(e->cause) : json_null(), "number",
		number ? json_integer(e->cause) : json_null(), "text",
		e->text[0] ? json_text(e->text) : json_null());
}

/* -- the command -- */

enum { OPTION_CLIENT = 256, OPTION_SINCE };

static struct events_wanted asked;

/* "90", "15m", "2h", "3d" back from now, or a local moment as we print it, or an hour of today. */
static bool read_since(const char *text, int64_t *out)
{
	static const char *const forms[] = { "%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M", "%Y-%m-%d", "%H:%M:%S",
		"%H:%M" };
	static const struct {
		char unit;
		int64_t seconds;
	} units[] = { { 's', 1 }, { 0, 1 }, { 'm', 60 }, { 'h', 3600 }, { 'd', 86400 } };
	time_t now = time(NULL);
	char *end;

	errno = 0;
	long long number = strtoll(text, &end, 10);
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
		if (end != text && !errno && number >= 0 && number < 100000000 && *end == units[i].unit &&
			(!*end || !end[1])) {
			*out = ((int64_t)now - number * units[i].seconds) * 1000;
			return true;
		}
	for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
		struct tm parts;
		if (!localtime_r(&now, &parts))
			return false;
		parts.tm_sec = 0;
		if (forms[i][1] == 'Y')
			parts.tm_min = parts.tm_hour = 0;
		parts.tm_isdst = -1;
		end = strptime(text, forms[i], &parts);
		if (end && !*end) {
			*out = (int64_t)mktime(&parts) * 1000;
			return true;
		}
	}
	fprintf(stderr,
		"vpnadm: --since: a time like '15m', '2h', '12:30' or '2026-01-31 12:30' is wanted, not "
		"'%s'\n",
		text);
	return false;
}

static bool take_option(int option, const char *value)
{
	long long number;

	switch (option) {
	case OPTION_CLIENT:
		asked.client = value;
		return true;
	case OPTION_SINCE:
		return read_since(value, &asked.since_ms);
	default:
		if (!view_number("-n", value, 1, 1000000000, &number))
			return false;
		asked.most = (ssize_t)number;
		return true;
	}
}

static int run(const struct place *place, bool as_json)
{
	struct event *events;
	ssize_t count = view_events(place->path, &asked, &events);
	int status = VPNADM_OK;

	if (count < 0)
		return VPNADM_FAILED;
	if (as_json) {
		json_t *list = json_array();
		for (ssize_t i = 0; list && i < count; i++)
			json_array_append_new(list, view_event_json(&events[i]));
		status = view_dump(list);
	} else {
		if (count)
			printf("%-23s  %-10s %7s  %-16s  %s\n", "TIME", "BY", "PEER ID", "CLIENT", "WHAT");
		for (ssize_t i = 0; i < count; i++)
			view_event_print(stdout, &events[i]);
	}
	free(events);
	return fflush(stdout) != 0 || ferror(stdout) ? VPNADM_FAILED : status;
}

static const struct option options[] = { { "client", required_argument, NULL, OPTION_CLIENT },
	{ "since", required_argument, NULL, OPTION_SINCE }, { "count", required_argument, NULL, 'n' },
	{ 0 } };

const struct command command_events = { .name = "events",
	.help = "what happened: the flight recorder, of a hub that ended, too",
	.run = run,
	.options = options,
	.letters = "n:",
	.take_option = take_option,
	.usage = "[--client CLIENT] [--since WHEN] [-n COUNT]",
	.ending = ".events" };
