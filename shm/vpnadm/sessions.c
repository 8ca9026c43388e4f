/* SPDX-License-Identifier: MIT
 * Sessions as several commands show them: listed, chosen, sorted, as JSON. */
#include "shm/vpnadm/sessions.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

ssize_t sessions_take(const struct view *view, const char *filter, struct session_line **out)
{
	struct session_line line;
	size_t count = 0, room = 0;

	*out = NULL;
	for (uint32_t from = 0; reader_next_row(view->reader, from, &line.slot, &line.row);
		from = line.slot + 1) {
		if (filter && !session_matches(&line, filter))
			continue;
		if (count == room) {
			room = room ? 2 * room : 64;
			struct session_line *more = realloc(*out, room * sizeof(line));
			if (!more) {
				fprintf(stderr, "vpnadm: out of memory\n");
				free(*out);
				*out = NULL;
				return -1;
			}
			*out = more;
		}
		(*out)[count++] = line;
	}
	return (ssize_t)count;
}

bool session_matches(const struct session_line *line, const char *filter)
{
	char text[TEXT_ROOM];
	const struct stats_row *row = &line->row;

	return strcasestr(row->common_name, filter) || strcasestr(row->cipher, filter) ||
	       strcasestr(row->version, filter) || strcasestr(row->platform, filter) ||
	       strcasestr(show_peer_state(row->state), filter) ||
	       strcasestr(link_address_text(&row->peer_address, text, sizeof(text)), filter) ||
	       strcasestr(show_inner4(text, row->inner4), filter) ||
	       strcasestr(show_inner6(text, row->inner6), filter);
}

/* -- sorting -- */

#define LARGEST_FIRST(a, b) ((a) > (b) ? -1 : (a) < (b))
#define SMALLEST_FIRST(a, b) LARGEST_FIRST(b, a)

/* A function for each word that --sort takes. */
#define ORDER(name, expression)                                                                              \
	static int by_##name(const void *x, const void *y)                                                   \
	{                                                                                                    \
		const struct stats_row *a = &((const struct session_line *)x)->row;                          \
		const struct stats_row *b = &((const struct session_line *)y)->row;                          \
		int order = (expression);                                                                    \
		return order ? order : SMALLEST_FIRST(a->client_id, b->client_id);                           \
	}
ORDER(name, strcmp(a->common_name, b->common_name))
ORDER(address, memcmp(&a->peer_address.ip, &b->peer_address.ip, sizeof(a->peer_address.ip)))
ORDER(inner, a->inner4 != b->inner4 ? SMALLEST_FIRST(a->inner4, b->inner4) : memcmp(a->inner6, b->inner6, 16))
ORDER(state, LARGEST_FIRST(a->state, b->state))
ORDER(worker, SMALLEST_FIRST(a->owner, b->owner))
ORDER(cipher, strcmp(a->cipher, b->cipher))
ORDER(rate, LARGEST_FIRST(a->rate_in + a->rate_out, b->rate_in + b->rate_out))
ORDER(rate_in, LARGEST_FIRST(a->rate_in, b->rate_in))
ORDER(rate_out, LARGEST_FIRST(a->rate_out, b->rate_out))
ORDER(bytes, LARGEST_FIRST(a->bytes_in + a->bytes_out, b->bytes_in + b->bytes_out))
ORDER(bytes_in, LARGEST_FIRST(a->bytes_in, b->bytes_in))
ORDER(bytes_out, LARGEST_FIRST(a->bytes_out, b->bytes_out))
ORDER(since, SMALLEST_FIRST(a->connected_unix, b->connected_unix))
ORDER(seen, LARGEST_FIRST(a->last_in_unix, b->last_in_unix))
ORDER(rtt, LARGEST_FIRST(a->round_trip_ms, b->round_trip_ms))
ORDER(version, strcmp(a->version, b->version))

static const struct {
	const char *word;
	int (*compare)(const void *, const void *);
} orders[] = { { "name", by_name }, { "address", by_address }, { "inner", by_inner }, { "state", by_state },
	{ "worker", by_worker }, { "cipher", by_cipher }, { "rate", by_rate }, { "rate-in", by_rate_in },
	{ "rate-out", by_rate_out }, { "bytes", by_bytes }, { "bytes-in", by_bytes_in },
	{ "bytes-out", by_bytes_out }, { "since", by_since }, { "seen", by_seen }, { "rtt", by_rtt },
	{ "version", by_version } };

session_order *session_order_named(const char *word)
{
	for (size_t i = 0; i < sizeof(orders) / sizeof(orders[0]); i++)
		if (strcmp(orders[i].word, word) == 0)
			return orders[i].compare;
	fprintf(stderr, "vpnadm: --sort: one of these is wanted:");
	for (size_t i = 0; i < sizeof(orders) / sizeof(orders[0]); i++)
		fprintf(stderr, " %s", orders[i].word);
	fprintf(stderr, "\n");
	return NULL;
}

void sessions_sort(struct session_line *lines, ssize_t count, session_order *order)
{
	if (count > 1)
		qsort(lines, (size_t)count, sizeof(*lines), order);
}

/* -- shown -- */

const char *show_wrap(unsigned wrap)
{
	switch ((enum peer_wrap)wrap) {
	case PEER_WRAP_NONE:
		return "none";
	case PEER_WRAP_AUTH:
		return "tls-auth";
	case PEER_WRAP_CRYPT:
		return "tls-crypt";
	case PEER_WRAP_CRYPT_V2:
		return "tls-crypt-v2";
	case PEER_WRAP_COUNT:
		break;
	}
	return "?";
}

char *show_rate(char *out, uint64_t bytes_a_second)
{
	show_bytes(out, bytes_a_second);
	return strcat(out, "/s");
}

char *show_round_trip(char *out, int32_t ms)
{
	if (ms < 0)
		strcpy(out, "-");
	else if (ms == 0)
		strcpy(out, "< 1 ms");
	else
		snprintf(out, TEXT_ROOM, "%d ms", ms);
	return out;
}

json_t *session_json(const struct view *view, const struct session_line *line)
{
	const struct stats_row *row = &line->row;
	char address[64], inner4[TEXT_ROOM], inner6[TEXT_ROOM];
	json_t *listener = row->link < view->hub.listener_count ? json_text(view->hub.listeners[row->link])
								: json_null();
	json_t *object = json_pack(
		"{s:I, s:I, s:I, s:o, s:s, s:s, s:s, s:s, s:i, s:o, s:o, s:I, s:I, s:I, s:I, s:I, s:I}",
		"peer_id", (json_int_t)line->slot, "generation", (json_int_t)row->generation, "client_id",
		(json_int_t)row->client_id, "name", json_text(row->common_name), "state",
		show_peer_state(row->state), "address",
		link_address_text(&row->peer_address, address, sizeof(address)), "inner4",
		show_inner4(inner4, row->inner4), "inner6", show_inner6(inner6, row->inner6), "worker",
		(int)row->owner, "cipher", json_text(row->cipher), "listener", listener, "connected",
		(json_int_t)row->connected_unix, "last_seen", (json_int_t)row->last_in_unix, "bytes_in",
		(json_int_t)row->bytes_in, "bytes_out", (json_int_t)row->bytes_out, "packets_in",
		(json_int_t)row->packets_in, "packets_out", (json_int_t)row->packets_out);
	json_t *more = json_pack("{s:I, s:I, s:o, s:I, s:I, s:s, s:o, s:o, s:o, s:o, s:I}", "rate_in",
		(json_int_t)row->rate_in, "rate_out", (json_int_t)row->rate_out, "round_trip_ms",
		row->round_trip_ms < 0 ? json_null() : json_integer(row->round_trip_ms), "renegotiations",
		(json_int_t)row->renegotiations, "keyed", (json_int_t)row->keyed_unix, "wrap",
		show_wrap(row->wrap), "tls", json_text(row->tls), "version", json_text(row->version),
		"platform", json_text(row->platform), "lease",
		row->lease == LEASE_NONE ? json_null() : json_integer(row->lease), "published",
		(json_int_t)row->published_unix);

	if (object && more)
		json_object_update(object, more);
	json_decref(more);
	return object;
}

json_t *sessions_json(const struct view *view, const struct session_line *lines, ssize_t count)
{
	json_t *list = json_array();

	for (ssize_t i = 0; list && i < count; i++)
		if (json_array_append_new(list, session_json(view, &lines[i])) != 0)
			break;
	return list;
}
