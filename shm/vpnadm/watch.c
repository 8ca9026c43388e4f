/* SPDX-License-Identifier: MIT
 * vpnadm watch: a line for each thing that happens, as it happens, for pipes. The flight recorder says what;
 * the row of the session adds what it does not. A hub that died cannot say so: that is seen by its process.
 * Ends with its reader. */
#include "shm/vpnadm/view.h"
#include "shm/segment.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { OPTION_INTERVAL = 256, OPTION_ALL };

/* A record whose number is given out but not there yet is waited for so many looks, if what follows it is
 * younger than that. Then it was overwritten, or its writer died. */
enum { LATE_LOOKS = 4, LATE_MS = 1000 };

static const struct option options[] = { { "interval", required_argument, NULL, OPTION_INTERVAL },
	{ "all", no_argument, NULL, OPTION_ALL }, { 0 } };

static struct {
	span_ms interval;
	bool all;
} asked = { .interval = 200 };

static bool take_option(int option, const char *value)
{
	if (option == OPTION_ALL) {
		asked.all = true;
		return true;
	}
	return view_seconds("--interval", value, 0.05, 60, &asked.interval);
}

/* What happens while a client comes is nothing that changed yet. */
static bool is_change(unsigned kind)
{
	return asked.all ||
	       (kind != EVENT_SESSION_OPENED && kind != EVENT_ADMITTED && kind != EVENT_RENEGOTIATED &&
		       kind != EVENT_MOVED_OUT && kind != EVENT_COMMAND);
}

struct watch {
	const char *path; /* of the flight recorder */
	char stats_path[4096 + 8];
	bool as_json;
	struct event_reader *events;
	dev_t dev; /* which file that is */
	ino_t ino;
	uint64_t next; /* the first number that was not told yet */
	unsigned late; /* looks that found a record missing */
	struct reader *stats;
	bool alive;
	bool failed; /* nobody takes what is said */
};

/* -- saying -- */

static int64_t now_unix_ms(void)
{
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* The row of the session that an event is about, if it is still the same one. */
static bool row_of(const struct watch *watch, const struct event *event, struct stats_row *row)
{
	return watch->stats && event->slot != PEER_NONE && reader_row(watch->stats, event->slot, row) &&
	       row->state != PEER_FREE && row->generation == event->generation;
}

static bool wants_row(unsigned kind)
{
	return kind == EVENT_CONNECTED || kind == EVENT_FLOATED || kind == EVENT_MOVED_IN ||
	       kind == EVENT_ADOPTED;
}

static json_t *client_json(const struct stats_row *row)
{
	char address[64], inner4[TEXT_ROOM], inner6[TEXT_ROOM];

	return json_pack("{s:I, s:o, s:s, s:s, s:s, s:o, s:i}", "client_id", (json_int_t)row->client_id,
		"name", json_text(row->common_name), "address",
		link_address_text(&row->peer_address, address, sizeof(address)), "inner4",
		show_inner4(inner4, row->inner4), "inner6", show_inner6(inner6, row->inner6), "cipher",
		json_text(row->cipher), "worker", (int)row->owner);
}

static void print_client(const struct stats_row *row)
{
	char address[64], inner4[TEXT_ROOM], inner6[TEXT_ROOM], cipher[TEXT_ROOM];

	show_inner4(inner4, row->inner4);
	show_inner6(inner6, row->inner6);
	printf(" [from %s, has %s%s%s, %s, worker %u]",
		link_address_text(&row->peer_address, address, sizeof(address)), inner4,
		inner4[0] && inner6[0] ? " " : "", inner6, show_text(cipher, row->cipher), row->owner);
}

static void end_line(struct watch *watch)
{
	if (putchar('\n') == EOF || fflush(stdout) != 0)
		watch->failed = true;
}

static void say_json(struct watch *watch, json_t *json)
{
	if (!json || json_dumpf(json, stdout, JSON_COMPACT) != 0)
		watch->failed = true;
	json_decref(json);
	end_line(watch);
}

static void say_event(struct watch *watch, const struct event *event)
{
	struct stats_row row;
	bool known = wants_row(event->kind) && row_of(watch, event, &row);

	if (watch->as_json) {
		json_t *json = view_event_json(event);
		if (json)
			json_object_set_new(json, "client", known ? client_json(&row) : json_null());
		say_json(watch, json);
		return;
	}
	view_event_put(stdout, event);
	if (known)
		print_client(&row);
	end_line(watch);
}

/* What no process of the hub could write. */
static void say_death(struct watch *watch)
{
	char moment[TEXT_ROOM];
	int64_t now = now_unix_ms();

	if (watch->as_json) {
		say_json(watch,
			json_pack("{s:n, s:I, s:n, s:s, s:s, s:n}", "order", "time_ms", (json_int_t)now,
				"by_worker", "kind", "HUB_DIED", "sentence", "the hub is dead", "client"));
		return;
	}
	printf("%s.%03d  the hub is dead", show_moment(moment, now / 1000), (int)(now % 1000));
	end_line(watch);
}

/* -- looking -- */

/* The file of the name may be another one after a restart with more workers; its numbers go on, unless it was
 * not continued at all. */
static void look_for_events(struct watch *watch)
{
	char error[4400];
	struct stat st;

	if (stat(watch->path, &st) != 0 ||
		(watch->events && st.st_dev == watch->dev && st.st_ino == watch->ino))
		return;
	struct event_reader *again = event_reader_open(watch->path, error, sizeof(error));
	if (!again)
		return;
	event_reader_close(&watch->events);
	watch->events = again;
	watch->dev = st.st_dev;
	watch->ino = st.st_ino;
	if (event_reader_next(again) < watch->next)
		watch->next = 0;
}

static void look_for_hub(struct watch *watch)
{
	char error[4400];

	if (!watch->stats || reader_life(watch->stats) != HUB_ALIVE) {
		struct reader *again = reader_open(watch->stats_path, error, sizeof(error));
		if (again) {
			reader_close(&watch->stats);
			watch->stats = again;
		}
	}
}

/* True: it died since the last look. Asked after its events, which it may have written at the end. That its master is
 * gone and workers go on they say themselves. */
static bool hub_died(struct watch *watch)
{
	enum reader_life life = watch->stats ? reader_life(watch->stats) : HUB_STOPPED;
	bool was = watch->alive;

	watch->alive = life == HUB_ALIVE || life == HUB_ORPHANED;
	return was && !watch->alive && life == HUB_DEAD;
}

static bool may_be_late(const struct watch *watch, const struct event *next)
{
	return next->order > watch->next && watch->late < LATE_LOOKS &&
	       now_unix_ms() - next->unix_ms < LATE_MS;
}

static void tell_news(struct watch *watch)
{
	struct event *events;
	uint64_t until;

	if (!watch->events || (until = event_reader_next(watch->events)) == watch->next)
		return;
	ssize_t count = event_reader_take(watch->events, watch->next, NULL, NULL, &events);
	for (ssize_t i = 0; i < count && !watch->failed; i++) {
		if (may_be_late(watch, &events[i])) {
			watch->late++;
			free(events);
			return;
		}
		watch->late = 0;
		watch->next = events[i].order + 1;
		if (is_change(events[i].kind))
			say_event(watch, &events[i]);
	}
	free(events);
	if (count == 0 && ++watch->late > LATE_LOOKS) {
		watch->late = 0;
		watch->next = until;
	}
}

/* True: nobody reads any more. Waits for the next look. */
static bool reader_left(void)
{
	struct pollfd out = { .fd = STDOUT_FILENO };
	int count = poll(&out, 1, (int)asked.interval);

	return count < 0 ? errno != EINTR : count > 0 && out.revents & (POLLERR | POLLNVAL);
}

static int run(const struct place *place, bool as_json)
{
	static struct watch watch;

	watch.path = place->path;
	watch.as_json = as_json;
	if (snprintf(watch.stats_path, sizeof(watch.stats_path), "%s/%s.stats", place->dir, place->name) >=
		(int)sizeof(watch.stats_path)) {
		fprintf(stderr, "vpnadm: --dir is too long\n");
		return VPNADM_FAILED;
	}
	look_for_events(&watch);
	watch.next = watch.events ? event_reader_next(watch.events) : 0;
	do {
		look_for_events(&watch);
		look_for_hub(&watch);
		tell_news(&watch);
		if (hub_died(&watch))
			say_death(&watch);
	} while (!watch.failed && !reader_left());
	event_reader_close(&watch.events);
	reader_close(&watch.stats);
	return VPNADM_OK;
}

const struct command command_watch = { .name = "watch",
	.help = "a line for each thing that happens, as it happens; for pipes",
	.usage = "[--all] [--interval SECONDS]",
	.run = run,
	.options = options,
	.take_option = take_option,
	.ending = ".events" };
