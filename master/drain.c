/* SPDX-License-Identifier: MIT
 * A worker without sessions: its core is free for something else. It lives on and hands over what still comes to it. */
#include "master/log.h"
#include "master/master.h"
#include "shm/last_words.h"
#include "shm/peers.h"
#include "worker/orders.h"

#include <errno.h>
#include <stdio.h>

/* How many sessions each worker has, in `counts`. */
static void count_sessions(const struct master *m, unsigned counts[SHM_MAX_WORKERS])
{
	struct peer_word word;
	for (unsigned w = 0; w < SHM_MAX_WORKERS; w++)
		counts[w] = 0;
	for (uint32_t slot = 0; slot < m->shm->sizes.max_clients; slot++)
		if (peers_word(m->shm, slot, &word))
			counts[word.owner]++;
}

/* The one with the fewest sessions; m->workers: none can take any now. */
static unsigned least_busy(const struct master *m, const unsigned counts[SHM_MAX_WORKERS])
{
	unsigned best = m->workers;
	for (unsigned w = 0; w < m->workers; w++)
		if (roster_is_active(m, w) && m->seats[w].ready && !m->seats[w].leaving &&
			(best == m->workers || counts[w] < counts[best]))
			best = w;
	return best;
}

/* The next sessions of `from`, at most `max`. Handshakes of one that lives come later, when they are clients; of a dead
 * one they are somebody's to end. */
static unsigned next_sessions(
	const struct master *m, unsigned from, uint32_t *at, struct order_session *list, unsigned max)
{
	bool dead = m->seats[from].pid < 0;
	unsigned count = 0;
	while (count < max && (*at = peers_next_owned(m->shm, from, *at)) != PEER_NONE) {
		struct peer_word word;
		if (peers_word(m->shm, *at, &word) && word.owner == from &&
			(dead || word.state == PEER_ACTIVE))
			list[count++] = (struct order_session){ .slot = *at, .generation = word.generation };
		++*at;
	}
	return count;
}

/* A dead worker gives nothing away: we do, and tell who has it now. What that order does not get through tells it finds
 * by itself. */
static bool give(struct master *m, unsigned from, unsigned to, const struct order_session *list, unsigned count)
{
	if (m->seats[from].pid >= 0)
		return order_send(m->seats[from].orders_fd, ORDER_MOVE, (int32_t)to, list,
			count * sizeof(list[0]), -1);
	for (unsigned i = 0; i < count; i++)
		peers_move_owner(m->shm, list[i].slot, list[i].generation, from, to);
	order_send(m->seats[to].orders_fd, ORDER_ADOPT, (int32_t)from, list, count * sizeof(list[0]), -1);
	return true;
}

/* In pieces to whoever has the fewest, so that in the end all have about as many. What an order cannot take any more is
 * asked for again at the next tick, as is what its worker could not move yet. */
static void spread(struct master *m, unsigned from, unsigned counts[SHM_MAX_WORKERS])
{
	struct order_session list[ORDER_SESSIONS_MAX];
	unsigned piece = counts[from] / (4 * (roster_active(m) + 1)) + 1, count;
	uint32_t at = 0;
	if (piece > ORDER_SESSIONS_MAX)
		piece = ORDER_SESSIONS_MAX;
	while (at != PEER_NONE && (count = next_sessions(m, from, &at, list, piece))) {
		unsigned to = least_busy(m, counts);
		if (to == m->workers || !give(m, from, to, list, count))
			return;
		counts[to] += count;
	}
}

void drain_dead(struct master *m, unsigned index)
{
	unsigned counts[SHM_MAX_WORKERS];
	uint32_t generation, blamed = last_words_at_work(last_words_of(m->shm, index));
	/* Whatever it died of does not come to the others unblamed. */
	if (blamed != PEER_NONE)
		peers_adopt(m->shm, blamed, index, true, &generation);
	count_sessions(m, counts);
	spread(m, index, counts);
}

/* It has, or shall have, no session. */
static bool is_drained(const struct master *m, unsigned index)
{
	return m->seats[index].drained || index >= m->workers_wanted;
}

void drain_go_on(struct master *m)
{
	unsigned counts[SHM_MAX_WORKERS];
	bool counted = false;
	for (unsigned w = 0; w < m->workers; w++) {
		struct seat *seat = &m->seats[w];
		if (!is_drained(m, w) || seat->idle)
			continue;
		if (!counted)
			count_sessions(m, counts);
		counted = true;
		seat->idle = counts[w] == 0;
		if (seat->idle) {
			log_line(LOG_LEVEL_NOTICE, "Worker %u is drained: it has no session", w);
			master_note(m, EVENT_DRAIN_DONE, w, NULL);
		} else if (seat->ready && !seat->leaving) {
			spread(m, w, counts);
		}
	}
}

int drain_worker(struct master *m, unsigned worker, bool on, char *error, size_t room)
{
	if (m->phase != PHASE_RUNNING || worker >= m->workers || worker >= m->workers_wanted) {
		snprintf(error, room, "there is no worker %u", worker);
		return -ENOENT;
	}
	struct seat *seat = &m->seats[worker];
	if (seat->drained == on)
		return 0;
	if (on && roster_active(m) == roster_is_active(m, worker)) {
		snprintf(error, room, "worker %u is the last one that takes sessions", worker);
		return -EBUSY;
	}
	seat->drained = on;
	seat->idle = false;
	log_line(LOG_LEVEL_NOTICE,
		on ? "Worker %u is drained: its sessions move to the others" : "Worker %u takes sessions again",
		worker);
	master_note(m, on ? EVENT_DRAIN_BEGUN : EVENT_DRAIN_ENDED, worker, NULL);
	roster_apply(m);
	drain_go_on(m);
	return 0;
}
