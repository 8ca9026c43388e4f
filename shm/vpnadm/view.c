/* SPDX-License-Identifier: MIT
 * Values to text and JSON. */
#include "shm/vpnadm/view.h"
#include "common/base/text.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

char *show_text(char *out, const char *text)
{
	return text_escape(out, TEXT_ROOM, text, strlen(text), NULL);
}

char *show_span(char *out, unix_s seconds)
{
	long long s = seconds;

	if (s < 0)
		snprintf(out, TEXT_ROOM, "-");
	else if (s < 60)
		snprintf(out, TEXT_ROOM, "%lld s", s);
	else if (s < 3600)
		snprintf(out, TEXT_ROOM, "%lld min", s / 60);
	else if (s < 86400)
		snprintf(out, TEXT_ROOM, "%lld h %lld min", s / 3600, s % 3600 / 60);
	else
		snprintf(out, TEXT_ROOM, "%lld d %lld h", s / 86400, s % 86400 / 3600);
	return out;
}

char *show_bytes(char *out, uint64_t bytes)
{
	static const char units[] = "KMGTPE";
	double value = (double)bytes / 1000;
	size_t unit = 0;

	if (bytes < 1000) {
		snprintf(out, TEXT_ROOM, "%u B", (unsigned)bytes);
		return out;
	}
	while (value >= 999.95 && unit + 2 < sizeof(units)) {
		value /= 1000;
		unit++;
	}
	snprintf(out, TEXT_ROOM, "%.1f %cB", value, units[unit]);
	return out;
}

char *show_moment(char *out, unix_s moment)
{
	time_t when = (time_t)moment;
	struct tm parts;

	if (!moment || !localtime_r(&when, &parts) || !strftime(out, TEXT_ROOM, "%Y-%m-%d %H:%M:%S", &parts))
		snprintf(out, TEXT_ROOM, "-");
	return out;
}

char *show_inner4(char *out, uint32_t address)
{
	struct in_addr in = { htonl(address) };

	if (!address || !inet_ntop(AF_INET, &in, out, TEXT_ROOM))
		out[0] = 0;
	return out;
}

char *show_inner6(char *out, const uint8_t address[16])
{
	static const uint8_t none[16];

	if (memcmp(address, none, 16) == 0 || !inet_ntop(AF_INET6, address, out, TEXT_ROOM))
		out[0] = 0;
	return out;
}

const char *show_life(enum reader_life life)
{
	static const char *const names[] = {
		[HUB_ALIVE] = "running", [HUB_STOPPED] = "stopped", [HUB_DEAD] = "dead", [HUB_ORPHANED] = "orphaned"
	};
	return names[life];
}

const char *show_worker_state(enum stats_worker_state state)
{
	switch (state) {
	case STATS_WORKER_NONE:
		return "none";
	case STATS_WORKER_STARTING:
		return "starting";
	case STATS_WORKER_READY:
		return "ready";
	case STATS_WORKER_DEAD:
		return "dead";
	}
	return "?";
}

const char *show_peer_state(unsigned state)
{
	switch ((enum peer_state)state) {
	case PEER_FREE:
		return "free";
	case PEER_HANDSHAKE:
		return "handshake";
	case PEER_ACTIVE:
		return "active";
	case PEER_CLOSING:
		return "closing";
	}
	return "?";
}

json_t *json_text(const char *text)
{
	char escaped[TEXT_ROOM];
	json_t *json = json_string(text);
	return json ? json : json_string(show_text(escaped, text));
}

struct reader *view_open(struct view *view, const struct place *place)
{
	char error[sizeof(place->path) + 256];
	struct reader *reader = reader_open(place->path, error, sizeof(error));

	*view = (struct view){
		.reader = reader, .out = stdout, .now = (unix_s)time(NULL), .words = place->words
	};
	if (!reader) {
		fprintf(stderr, "vpnadm: %s\n", error);
		return NULL;
	}
	view->life = reader_life(reader);
	reader_hub(reader, &view->hub);
	return reader;
}

int view_status(const struct view *view, bool quiet)
{
	if (view->life == HUB_ALIVE)
		return VPNADM_OK;
	if (!quiet && view->life == HUB_ORPHANED)
		fprintf(stderr, "vpnadm: " ORPHANED_TEXT "\n", reader_living_workers(view->reader));
	else if (!quiet)
		fprintf(stderr, "vpnadm: this hub is %s; what follows is what it left\n",
			show_life(view->life));
	return VPNADM_NOT_RUNNING;
}

int view_dump(json_t *json)
{
	bool good = json && json_dumpf(json, stdout, JSON_INDENT(2)) == 0 && fputc('\n', stdout) != EOF;

	json_decref(json);
	return good ? VPNADM_OK : VPNADM_FAILED;
}

bool view_number(const char *what, const char *text, long long min, long long max, long long *out)
{
	char *end = NULL;

	errno = 0;
	*out = strtoll(text, &end, 10);
	if (end != text && !*end && !errno && *out >= min && *out <= max)
		return true;
	fprintf(stderr, "vpnadm: %s: a number from %lld to %lld is wanted, not '%s'\n", what, min, max, text);
	return false;
}

bool view_seconds(const char *what, const char *text, double min, double max, span_ms *out)
{
	char *end;
	double seconds = strtod(text, &end);

	if (end == text || *end || !(seconds >= min && seconds <= max)) {
		fprintf(stderr, "vpnadm: %s: seconds from %g to %g are wanted, not '%s'\n", what, min, max, text);
		return false;
	}
	*out = (span_ms)(seconds * 1000);
	return true;
}
