/* SPDX-License-Identifier: MIT
 * Counting at the receiver, pacing at the sender. */
#include "tests/load/tally.h"

#include <string.h>

enum { STALLED_NS = 30000000, WAIT_MOST_NS = 1000000, WAIT_LEAST_NS = 20000 };

static unsigned step_of(uint64_t ns)
{
	unsigned top = ns < 32 ? 5 : 63u - (unsigned)__builtin_clzll(ns);
	return ns < 32 ? (unsigned)ns : (top - 4) * 32 + (unsigned)(ns >> (top - 5)) - 32;
}

static uint64_t step_value(unsigned step)
{
	unsigned doubling = step / 32;
	return doubling == 0 ? step : (uint64_t)(step % 32 + 32) << (doubling - 1);
}

void spread_note(struct spread *spread, uint64_t ns)
{
	spread->steps[step_of(ns)]++;
	spread->count++;
	if (ns > spread->max)
		spread->max = ns;
}

uint64_t spread_at(const struct spread *spread, double part)
{
	uint64_t wanted = (uint64_t)(part * (double)spread->count), seen = 0;
	for (unsigned i = 0; i < sizeof(spread->steps) / sizeof(spread->steps[0]); i++) {
		seen += spread->steps[i];
		if (seen > wanted)
			return step_value(i);
	}
	return spread->max;
}

void tally_clear(struct tally *tally)
{
	memset(tally, 0, sizeof(*tally));
}

void tally_note(struct tally *tally, const struct probe *probe, size_t inner_len, uint64_t now_ns)
{
	uint64_t *next = &tally->next[probe->flow % PROBE_FLOWS];
	if (!tally->packets++)
		tally->first_ns = now_ns;
	tally->last_ns = now_ns;
	tally->bytes += inner_len;
	if (probe->sequence < *next)
		tally->reordered++;
	else
		*next = probe->sequence + 1;
	spread_note(&tally->late, now_ns > probe->sent_ns ? now_ns - probe->sent_ns : 0);
}

void tally_report(const struct tally *tally, struct probe_report *out)
{
	out->received = tally->packets;
	out->bytes = tally->bytes;
	out->reordered = tally->reordered;
	out->first_ns = tally->first_ns;
	out->last_ns = tally->last_ns;
	out->p50_ns = spread_at(&tally->late, 0.5);
	out->p99_ns = spread_at(&tally->late, 0.99);
	out->p999_ns = spread_at(&tally->late, 0.999);
	out->max_ns = tally->late.max;
}

size_t pace_leave(struct pace *pace, uint64_t now_ns, size_t most)
{
	uint64_t leave = most;
	if (!pace->began_ns)
		pace->began_ns = pace->progress_ns = now_ns;
	if (pace->rate) {
		uint64_t due = (uint64_t)((double)(now_ns - pace->began_ns) * pace->rate / 1e9);
		leave = due > pace->sent ? due - pace->sent : 0;
	}
	if (pace->window) {
		uint64_t settled = pace->arrived + pace->forgiven;
		if (settled + pace->window <= pace->sent && now_ns - pace->progress_ns > STALLED_NS) {
			pace->forgiven = pace->sent - pace->arrived;
			pace->progress_ns = now_ns;
			settled = pace->sent;
		}
		uint64_t under_way = pace->sent > settled ? pace->sent - settled : 0;
		uint64_t room = pace->window > under_way ? pace->window - under_way : 0;
		if (leave > room)
			leave = room;
	}
	return leave < most ? (size_t)leave : most;
}

void pace_arrived(struct pace *pace, uint64_t arrived, uint64_t now_ns)
{
	if (arrived <= pace->arrived)
		return;
	pace->arrived = arrived;
	pace->progress_ns = now_ns;
	if (pace->arrived + pace->forgiven > pace->sent) /* what was forgiven was only late */
		pace->forgiven = pace->sent > pace->arrived ? pace->sent - pace->arrived : 0;
}

uint64_t pace_wait_ns(const struct pace *pace, uint64_t now_ns, size_t burst)
{
	if (pace->rate) {
		uint64_t at = pace->began_ns + (uint64_t)((double)(pace->sent + burst) * 1e9 / pace->rate);
		uint64_t wait = at > now_ns ? at - now_ns : 0;
		return wait > WAIT_MOST_NS ? WAIT_MOST_NS : wait < WAIT_LEAST_NS ? WAIT_LEAST_NS : wait;
	}
	return pace->window && pace->sent - pace->arrived - pace->forgiven >= pace->window ? WAIT_MOST_NS : 0;
}
