/* SPDX-License-Identifier: MIT
 * Sessions from busy workers to idle ones: where balance.c's numbers come from, and what becomes of its answers. Every tick
 * costs a look at the workers' loads; only when one is hot its sessions are looked at. */
#include "master/balance.h"
#include "master/log.h"
#include "master/master.h"
#include "shm/peers.h"
#include "worker/orders.h"

#include <stdio.h>
#include <stdlib.h>

enum {
	STAY_MS = 60000,	/* who moved stays for so long */
	PACKET_COST = 400,	/* about what a worker spends, in nanoseconds: for a packet ... */
	KILOBYTE_COST = 400,	/* ... and for a thousand bytes of it */
};

/* Of every slot: what its session had cost when we last looked, and when it moved. */
struct rebalance {
	struct balance balance;
	uint64_t *cost;
	mono_ms *stays_until;
};

static struct rebalance *rebalance_of(struct master *m)
{
	const uint32_t slots = m->shm->sizes.max_clients;
	if (m->rebalance)
		return m->rebalance;
	struct rebalance *r = calloc(1, sizeof(*r));
	if (r) {
		r->cost = calloc(slots, sizeof(*r->cost));
		r->stays_until = calloc(slots, sizeof(*r->stays_until));
	}
	m->rebalance = r;
	if (r && r->cost && r->stays_until)
		return r;
	rebalance_free(m);
	return NULL;
}

void rebalance_free(struct master *m)
{
	if (!m->rebalance)
		return;
	free(m->rebalance->cost);
	free(m->rebalance->stays_until);
	free(m->rebalance);
	m->rebalance = NULL;
}

static uint64_t cost_of(const struct master *m, uint32_t slot)
{
	struct peer_counters *c = &peers_slot(m->shm, slot)->counters;
	uint64_t packets = atomic_load_explicit(&c->packets_in, memory_order_relaxed) +
			   atomic_load_explicit(&c->packets_out, memory_order_relaxed);
	uint64_t bytes = atomic_load_explicit(&c->bytes_in, memory_order_relaxed) +
			 atomic_load_explicit(&c->bytes_out, memory_order_relaxed);
	return packets * PACKET_COST + bytes / 1000 * KILOBYTE_COST;
}

/* Whose sessions are counted: with what they cost since the last time, or nothing for who is new. Gives their number. */
static unsigned measure(struct master *m, struct rebalance *r, unsigned worker, struct balance_session *out, mono_ms now)
{
	unsigned count = 0;
	for (uint32_t slot = peers_next_owned(m->shm, worker, 0); slot != PEER_NONE;
		slot = peers_next_owned(m->shm, worker, slot + 1)) {
		struct peer_word word;
		if (!peers_word(m->shm, slot, &word) || word.state != PEER_ACTIVE)
			continue;
		uint64_t cost = cost_of(m, slot), before = r->cost[slot];
		r->cost[slot] = cost;
		if (out)
			out[count] = (struct balance_session){ .slot = slot,
				.generation = word.generation,
				.cost = cost > before && cost - before < UINT32_MAX * 1000ull ? cost - before : 0,
				.stays = now < r->stays_until[slot] };
		count++;
	}
	return count;
}

static void move(struct master *m, struct rebalance *r, const struct balance_session *sessions, const unsigned *chosen,
	unsigned count, mono_ms now)
{
	struct order_session list[BALANCE_MOVES_MAX];
	unsigned from = r->balance.hot, to = r->balance.cool;
	char text[40];
	for (unsigned i = 0; i < count; i++)
		list[i] = (struct order_session){ .slot = sessions[chosen[i]].slot,
			.generation = sessions[chosen[i]].generation };
	if (!order_send(m->seats[from].orders_fd, ORDER_MOVE, (int32_t)to, list, count * sizeof(list[0]), -1))
		return;
	for (unsigned i = 0; i < count; i++)
		r->stays_until[list[i].slot] = now + STAY_MS;
	snprintf(text, sizeof(text), "worker %u to worker %u", from, to);
	master_note(m, EVENT_REBALANCED, count, text);
	atomic_fetch_add(&m->stats->header->rebalanced, count);
	log_line(LOG_LEVEL_INFO, "Worker %u is busy: %u of its sessions %s to worker %u", from, count,
		count == 1 ? "goes" : "go", to);
}

static void choose(struct master *m, struct rebalance *r, mono_ms now)
{
	unsigned chosen[BALANCE_MOVES_MAX];
	struct balance_session *sessions = malloc(m->shm->sizes.max_clients * sizeof(*sessions));
	if (!sessions)
		return;
	unsigned count = measure(m, r, r->balance.hot, sessions, now);
	unsigned moves = balance_choose(&r->balance, sessions, count, chosen);
	if (moves)
		move(m, r, sessions, chosen, moves, now);
	free(sessions);
}

void rebalance_go_on(struct master *m)
{
	struct balance_worker workers[BALANCE_WORKERS_MAX];
	if (!m->now.config->rebalance || roster_active(m) < 2) {
		rebalance_free(m); /* it begins anew */
		return;
	}
	struct rebalance *r = rebalance_of(m);
	if (!r)
		return;
	for (unsigned w = 0; w < m->workers; w++)
		workers[w] = (struct balance_worker){ .able = roster_is_active(m, w) && m->seats[w].ready &&
							      !m->seats[w].leaving,
			.load = atomic_load(&stats_worker(m->stats, w)->cpu_permille) };
	r->balance.hot_from = m->now.config->rebalance * 10;
	switch (balance_look(&r->balance, workers, m->workers)) {
	case BALANCE_MEASURE:
		measure(m, r, r->balance.hot, NULL, 0);
		break;
	case BALANCE_CHOOSE:
		choose(m, r, master_now());
		break;
	case BALANCE_NOTHING:
		break;
	}
}
