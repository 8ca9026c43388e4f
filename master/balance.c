/* SPDX-License-Identifier: MIT
 * The decision who moves. No clock, no table, no message in here. */
#include "master/balance.h"

#include "common/base/check.h"

enum { SMOOTH = 4, SCALE = 16 };

static void smooth(struct balance *b, unsigned w, const struct balance_worker *worker)
{
	unsigned now = (worker->load > 1000 ? 1000 : worker->load) * SCALE;
	if (!worker->able) {
		b->known[w] = false;
		return;
	}
	b->load[w] = b->known[w] ? (b->load[w] * (SMOOTH - 1) + now) / SMOOTH : now;
	b->known[w] = true;
}

static unsigned load_of(const struct balance *b, unsigned w)
{
	return b->load[w] / SCALE;
}

/* False: there are not two of them. */
static bool find_extremes(const struct balance *b, unsigned count, unsigned *hot, unsigned *cool)
{
	unsigned able = 0;
	for (unsigned w = 0; w < count; w++) {
		if (!b->known[w])
			continue;
		if (!able || b->load[w] > b->load[*hot])
			*hot = w;
		if (!able || b->load[w] < b->load[*cool])
			*cool = w;
		able++;
	}
	return able >= 2 && *hot != *cool;
}

static enum balance_step rest(struct balance *b)
{
	b->seen = 0;
	b->measuring = false;
	return BALANCE_NOTHING;
}

enum balance_step balance_look(struct balance *b, const struct balance_worker *workers, unsigned count)
{
	unsigned hot = 0, cool = 0;
	CHECK(count <= BALANCE_WORKERS_MAX);
	for (unsigned w = 0; w < count; w++)
		smooth(b, w, &workers[w]);
	if (!find_extremes(b, count, &hot, &cool))
		return rest(b);
	bool same = b->seen && hot == b->hot;
	b->hot = hot;
	b->cool = cool;
	if (b->pause) {
		b->pause--;
		return BALANCE_NOTHING;
	}
	unsigned difference = load_of(b, hot) - load_of(b, cool);
	if (load_of(b, hot) < b->hot_from || difference < (same && b->measuring ? BALANCE_END : BALANCE_BEGIN))
		return rest(b);
	if (!same) {
		rest(b);
		b->seen = 1;
		return BALANCE_NOTHING;
	}
	if (++b->seen < BALANCE_PATIENCE)
		return BALANCE_NOTHING;
	if (b->measuring)
		return BALANCE_CHOOSE;
	b->measuring = true;
	return BALANCE_MEASURE;
}

/* The largest that is at most `most`, worth it and not chosen yet; `count`: none. */
static unsigned best_of(const struct balance_session *sessions, unsigned count, const unsigned *chosen, unsigned have,
	uint64_t total, unsigned load, unsigned most, unsigned *share)
{
	unsigned best = count;
	*share = 0;
	for (unsigned i = 0; i < count; i++) {
		unsigned its = (unsigned)((double)sessions[i].cost / (double)total * load);
		bool taken = sessions[i].stays || its < BALANCE_WORTH || its > most;
		for (unsigned k = 0; k < have; k++)
			taken |= chosen[k] == i;
		if (!taken && its > *share) {
			best = i;
			*share = its;
		}
	}
	return best;
}

unsigned balance_choose(struct balance *b, const struct balance_session *sessions, unsigned count,
	unsigned chosen[BALANCE_MOVES_MAX])
{
	const unsigned load = load_of(b, b->hot);
	unsigned hot = load, cool = load_of(b, b->cool), have = 0;
	uint64_t total = 0;
	for (unsigned i = 0; i < count; i++)
		total += sessions[i].cost;
	while (total && have < BALANCE_MOVES_MAX && hot >= cool + BALANCE_END) {
		unsigned share, next =
			best_of(sessions, count, chosen, have, total, load, (hot - cool) / 2, &share);
		if (next == count)
			break;
		chosen[have++] = next;
		hot -= share;
		cool += share;
	}
	if (!have) {
		rest(b);
		b->pause = BALANCE_PAUSE; /* there is nothing to be done: no need to measure all the time */
		return 0;
	}
	/* What was moved is not in what was seen yet. */
	b->load[b->hot] = hot * SCALE;
	b->load[b->cool] = cool * SCALE;
	b->pause = BALANCE_PAUSE;
	return have;
}
