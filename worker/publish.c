/* SPDX-License-Identifier: MIT
 * For readers outside: rows and heartbeat, once a second, and when a session comes or goes; and what happened, into the
 * flight recorder. Never per packet. */
#include "worker/internal.h"

#include "shm/stats.h"

#include <string.h>
#include <sys/resource.h>
#include <time.h>

enum {
	PUBLISH_MS = 1000,   /* each row is looked at so often */
	RATE_MS = 500,       /* the shortest time that a rate is made of */
	STALE_MS = 10000,    /* a row without news is written so often */
	PART_SESSIONS = 500, /* more than so many are looked at in parts */
	PARTS = 8,
	STRANGERS_MAX = 20,  /* events of them that are told each, a second */
};

void note_worker(struct worker *w, enum event_kind kind, unsigned cause, const char *text)
{
	event_note(w->born->events, EVENT_RING_OF(w->born->index), kind, PEER_NONE, 0, cause, NULL, text);
}

/* Whoever floods us with handshakes must not wash away what happened before: beyond some a second they are counted. */
static bool stranger_counts(struct worker *w)
{
	if (w->now >= w->strangers_until) {
		if (w->strangers_left_out)
			note_worker(w, EVENT_STRANGERS, w->strangers_left_out, NULL);
		w->strangers = w->strangers_left_out = 0;
		w->strangers_until = w->now + 1000;
	}
	w->strangers_left_out += w->strangers == STRANGERS_MAX;
	return w->strangers < STRANGERS_MAX && ++w->strangers;
}

void note_session(struct worker *w, const struct session *s, enum event_kind kind, unsigned cause, const char *text)
{
	if (!s->identity.common_name[0] && (kind == EVENT_SESSION_OPENED || kind == EVENT_HANDSHAKE_FAILED) &&
		!stranger_counts(w))
		return;
	event_note(w->born->events, EVENT_RING_OF(w->born->index), kind, s->slot, s->generation, cause,
		s->identity.common_name, text);
}

/* Bytes a second since the row was told last, half of it what they were then: the last few seconds count. */
static uint64_t rate(uint64_t before, uint64_t bytes, uint64_t told, span_ms span)
{
	return (before + (bytes - told) * 1000 / (uint64_t)span) / 2;
}

/* An engine that took a session over knows no round trip yet. */
static bool knows_better(const struct session *s)
{
	vpn_ms round_trip = s->engine ? vpn_session_round_trip(s->engine) : -1;
	return round_trip >= 0 && round_trip != s->told.round_trip;
}

void publish_taken_over(struct worker *w, struct session *s)
{
	const struct peer_counters *c = &s->shared->counters;
	struct stats_row row;

	if (!stats_row_read(w->stats, s->slot, s->generation, &row))
		return;
	s->told.at = w->now;
	s->told.bytes_in = atomic_load_explicit(&c->bytes_in, memory_order_relaxed);
	s->told.bytes_out = atomic_load_explicit(&c->bytes_out, memory_order_relaxed);
	s->told.rate_in = row.rate_in;
	s->told.rate_out = row.rate_out;
	s->told.round_trip = row.round_trip_ms;
}

void publish_session(struct worker *w, struct session *s)
{
	const struct peer_counters *c = &s->shared->counters;
	struct peer_row peer = {
		.slot = s->slot,
		.generation = s->generation,
		.owner = w->born->index,
		.state = s->active ? PEER_ACTIVE : PEER_HANDSHAKE,
		.identity = s->identity,
		.bytes_in = atomic_load_explicit(&c->bytes_in, memory_order_relaxed),
		.bytes_out = atomic_load_explicit(&c->bytes_out, memory_order_relaxed),
		.packets_in = atomic_load_explicit(&c->packets_in, memory_order_relaxed),
		.packets_out = atomic_load_explicit(&c->packets_out, memory_order_relaxed),
		.last_in_ms = atomic_load_explicit(&c->last_in_ms, memory_order_relaxed),
	};
	struct stats_row row;
	span_ms span = w->now - s->told.at;

	if (!s->told.at || span >= RATE_MS) {
		if (s->told.at) {
			s->told.rate_in = rate(s->told.rate_in, peer.bytes_in, s->told.bytes_in, span);
			s->told.rate_out = rate(s->told.rate_out, peer.bytes_out, s->told.bytes_out, span);
		}
		s->told.at = w->now;
		s->told.bytes_in = peer.bytes_in;
		s->told.bytes_out = peer.bytes_out;
	}
	if (knows_better(s))
		s->told.round_trip = vpn_session_round_trip(s->engine);
	stats_row_from_peer(&row, &peer, w->now, time(NULL));
	if (!row.last_in_unix)
		row.last_in_unix = row.connected_unix;
	row.rate_in = s->told.rate_in;
	row.rate_out = s->told.rate_out;
	row.round_trip_ms = s->told.round_trip < INT32_MAX ? (int32_t)s->told.round_trip : INT32_MAX;
	stats_publish(w->stats, s->slot, &row);
}

/* A row says when it was written, so one of a quiet session need not be written every second. */
static bool has_news(const struct worker *w, const struct session *s)
{
	const struct peer_counters *c = &s->shared->counters;

	return atomic_load_explicit(&c->bytes_in, memory_order_relaxed) != s->told.bytes_in ||
		atomic_load_explicit(&c->bytes_out, memory_order_relaxed) != s->told.bytes_out || s->told.rate_in ||
		s->told.rate_out || knows_better(s) ||
		w->now - s->told.at >= STALE_MS;
}

void publish_gone(struct worker *w, uint32_t slot)
{
	stats_clear(w->stats, slot);
}

static uint64_t micros(struct timeval t)
{
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_usec;
}

static void tell_rates(struct worker *w, uint64_t cpu_us)
{
	const _Atomic uint64_t *named = w->counters->named;
	uint64_t bytes_in = atomic_load_explicit(&named[COUNTER_LINK_BYTES_IN], memory_order_relaxed);
	uint64_t bytes_out = atomic_load_explicit(&named[COUNTER_LINK_BYTES_OUT], memory_order_relaxed);
	uint64_t packets_in = atomic_load_explicit(&named[COUNTER_DATAGRAMS_IN], memory_order_relaxed);
	uint64_t packets_out = atomic_load_explicit(&named[COUNTER_DATAGRAMS_OUT], memory_order_relaxed);
	span_ms span = w->now - w->told.at;

	if (w->told.at && span > 0) {
		struct stats_rates rates = {
			.cpu_permille = (uint32_t)((cpu_us - w->told.cpu_us) / (uint64_t)span),
			.bytes_in = (bytes_in - w->told.bytes_in) * 1000 / (uint64_t)span,
			.bytes_out = (bytes_out - w->told.bytes_out) * 1000 / (uint64_t)span,
			.packets_in = (packets_in - w->told.packets_in) * 1000 / (uint64_t)span,
			.packets_out = (packets_out - w->told.packets_out) * 1000 / (uint64_t)span,
		};
		stats_rates(stats_worker(w->stats, w->born->index), &rates);
	}
	w->told.at = w->now;
	w->told.cpu_us = cpu_us;
	w->told.bytes_in = bytes_in;
	w->told.bytes_out = bytes_out;
	w->told.packets_in = packets_in;
	w->told.packets_out = packets_out;
}

static void tell_heart(struct worker *w)
{
	struct rusage used;
	uint64_t calls = 0;

	if (getrusage(RUSAGE_SELF, &used) == 0) {
		stats_heartbeat(stats_worker(w->stats, w->born->index), time(NULL), micros(used.ru_utime),
			micros(used.ru_stime));
		tell_rates(w, micros(used.ru_utime) + micros(used.ru_stime));
	}
	for (unsigned i = 0; i < w->link_count; i++)
		calls += w->links[i].counts.send_calls;
	counter_set(w->counters, COUNTER_LINK_CALLS_OUT, calls);
	counter_set(w->counters, COUNTER_RING_TURNS, w->loop.counts.turns);
	counter_set(w->counters, COUNTER_HANDOVER_WAKES, w->loop.counts.wakes_sent);
}

void publish(struct worker *w)
{
	uint32_t slots = w->config->max_clients;
	/* Many rows in parts: thousands at once would hold up the packets that arrive meanwhile. */
	uint32_t parts = w->session_count > PART_SESSIONS ? PARTS : 1;
	uint32_t until = w->publish_from + (slots + parts - 1) / parts;

	if (!w->publish_from) {
		sessions_tidy(w);
		if (w->tracing)
			trace_tidy(w);
		tell_heart(w);
	}
	if (until > slots || parts == 1)
		until = slots;
	for (uint32_t slot = w->publish_from; slot < until; slot++)
		if (w->sessions[slot] && has_news(w, w->sessions[slot]))
			publish_session(w, w->sessions[slot]);
	w->publish_from = until < slots ? until : 0;
	w->publish_at = w->now + PUBLISH_MS / parts;
}
