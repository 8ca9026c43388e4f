/* SPDX-License-Identifier: MIT
 * For readers outside: rows and heartbeat, once a second, and when a session comes or goes; and what happened, into the
 * flight recorder. Never per packet. */
#include "worker/internal.h"

#include "shm/stats.h"

#include <string.h>
#include <sys/resource.h>
#include <time.h>

void note_worker(struct worker *w, enum event_kind kind, unsigned cause, const char *text)
{
	event_note(w->born->events, EVENT_RING_OF(w->born->index), kind, PEER_NONE, 0, cause, NULL, text);
}

void note_session(struct worker *w, const struct session *s, enum event_kind kind, unsigned cause, const char *text)
{
	event_note(w->born->events, EVENT_RING_OF(w->born->index), kind, s->slot, s->generation, cause,
		s->identity.common_name, text);
}

void publish_session(struct worker *w, const struct session *s)
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

	stats_row_from_peer(&row, &peer, w->now, time(NULL));
	if (!row.last_in_unix)
		row.last_in_unix = row.connected_unix;
	stats_publish(w->stats, s->slot, &row);
}

void publish_gone(struct worker *w, uint32_t slot)
{
	stats_clear(w->stats, slot);
}

static uint64_t micros(struct timeval t)
{
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_usec;
}

void publish(struct worker *w)
{
	struct rusage used;
	uint64_t calls = 0;

	for (uint32_t slot = 0; slot < w->config->max_clients; slot++)
		if (w->sessions[slot])
			publish_session(w, w->sessions[slot]);
	if (getrusage(RUSAGE_SELF, &used) == 0)
		stats_heartbeat(stats_worker(w->stats, w->born->index), time(NULL), micros(used.ru_utime),
			micros(used.ru_stime));
	for (unsigned i = 0; i < w->link_count; i++)
		calls += w->links[i].counts.send_calls;
	counter_set(w->counters, COUNTER_LINK_CALLS_OUT, calls);
	counter_set(w->counters, COUNTER_RING_TURNS, w->loop.counts.turns);
	counter_set(w->counters, COUNTER_HANDOVER_WAKES, w->loop.counts.wakes_sent);
}
