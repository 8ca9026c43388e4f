/* SPDX-License-Identifier: MIT
 * How many workers there are, and who of them takes new sessions, told to those who have to know: the kernel (steering) and
 * the workers (shm/crew.h).
 *
 * The kernel knows workers by their places in socket groups and among queues, and closes ranks when one is closed. So a
 * new one comes last, and the last one goes first: drained, ended, its sockets closed, then the one before it. */
#include "master/log.h"
#include "master/master.h"
#include "shm/crew.h"
#include "shm/peers.h"
#include "worker/orders.h"

#include <string.h>

enum { END_PATIENCE_MS = 10000 }; /* beyond hand-window, which ends whatever handshake is under way */

unsigned roster_wanted(const struct master *m, const struct config *config)
{
	unsigned wanted = config->workers ? config->workers : m->cpus;
	return wanted < SHM_MAX_WORKERS ? wanted : SHM_MAX_WORKERS;
}

bool roster_is_active(const struct master *m, unsigned index)
{
	const struct seat *seat = &m->seats[index];
	return index < m->workers && index < m->workers_wanted && !seat->drained && !seat->fresh &&
	       !seat->shunned;
}

unsigned roster_active(const struct master *m)
{
	unsigned count = 0;
	for (unsigned w = 0; w < m->workers; w++)
		count += roster_is_active(m, w);
	return count;
}

/* With one worker there is nothing to choose. */
static void attach_steering(struct master *m)
{
	struct steering *s = &m->steering;
	int error = 0;
	if (s->link_program < 0 || s->attached || m->workers < 2)
		return;
	for (unsigned l = 0; !error && l < m->born->listener_count; l++)
		if (m->born->listeners[l].proto == PROTO_UDP)
			error = steering_attach_link(s, listeners_group(&m->listeners, l));
	if (!error && m->tunnel.index && m->tunnel.multi_queue && !m->born->tap)
		error = steering_attach_tunnel(s, m->tunnel.queues[0]);
	s->attached = true;
	if (error)
		log_line(LOG_LEVEL_NOTICE, "The kernel does not let us steer everything: %s", strerror(-error));
}

void roster_apply(struct master *m)
{
	unsigned chosen[SHM_MAX_WORKERS], count = 0;
	for (unsigned w = 0; w < m->seat_count; w++) {
		bool active = roster_is_active(m, w);
		crew_set(m->shm, w, active);
		if (m->stats)
			stats_worker_open(stats_worker(m->stats, w), active);
		if (active)
			chosen[count++] = w;
	}
	/* when it is all of them the kernel's own hash does */
	steering_choose(&m->steering, chosen, count == m->workers ? 0 : count);
	attach_steering(m);
}

/* -- those who do not live -- */

static bool others_are_ready(const struct master *m, unsigned index)
{
	for (unsigned w = 0; w < m->workers; w++)
		if (w != index && roster_is_active(m, w) && m->seats[w].ready)
			return true;
	return false;
}

void roster_died(struct master *m, unsigned index)
{
	struct seat *seat = &m->seats[index];
	if (seat->quick_deaths < QUICK_DEATHS_MAX || !others_are_ready(m, index))
		return;
	if (!seat->shunned) {
		seat->shunned = true;
		log_line(LOG_LEVEL_ERROR,
			"Worker %u died %u times in a row: the others get its sessions until it stays alive", index,
			seat->quick_deaths);
		master_note(m, EVENT_DRAIN_BEGUN, index, "it dies again and again");
		roster_apply(m);
	}
	drain_dead(m, index);
}

/* It is tried all the time; one that has lived for a while is one of us again. */
static void forgive(struct master *m, mono_ms now)
{
	for (unsigned w = 0; w < m->workers; w++) {
		struct seat *seat = &m->seats[w];
		if (!seat->shunned || !seat->ready || now - seat->born_at < STEADY_MS)
			continue;
		seat->shunned = false;
		seat->quick_deaths = 0;
		log_line(LOG_LEVEL_NOTICE, "Worker %u lives: it takes sessions again", w);
		master_note(m, EVENT_DRAIN_ENDED, w, NULL);
		roster_apply(m);
	}
}

/* -- more -- */

static bool add_one(struct master *m)
{
	unsigned index = m->workers;
	if (listeners_add(m->born, &m->listeners))
		return false;
	if (tunnel_add(m->born, &m->tunnel)) {
		listeners_drop(&m->listeners);
		return false;
	}
	struct seat *seat = &m->seats[index];
	*seat = (struct seat){ .pid = -1,
		.orders_fd = -1,
		.pid_fd = -1,
		.cpu = seat->cpu,
		.fresh = true,
		.respawn_at = MONO_NEVER,
		.kill_at = MONO_NEVER,
		.end_at = MONO_NEVER };
	m->workers++;
	roster_apply(m);
	worker_birth(m, index); /* if it fails it is tried again */
	return true;
}

/* -- fewer -- */

/* The last one's process has ended: nobody holds its sockets but we. False: nobody can take its sessions now. */
static bool remove_last(struct master *m)
{
	unsigned index = m->workers - 1;
	drain_dead(m, index);
	if (peers_next_owned(m->shm, index, 0) != PEER_NONE)
		return false;
	tunnel_drop(&m->tunnel);
	listeners_drop(&m->listeners);
	m->workers = index;
	stats_worker_state(stats_worker(m->stats, index), STATS_WORKER_NONE);
	roster_apply(m);
	estate_keep(m); /* whoever keeps its sockets keeps them in their groups */
	log_line(LOG_LEVEL_NOTICE, "Worker %u is no more, as the configuration says", index);
	return true;
}

static void let_go(struct seat *seat, unsigned index, mono_ms now)
{
	if (seat->leaving)
		return;
	if (!seat->idle)
		log_line(LOG_LEVEL_NOTICE, "Worker %u still has sessions that do not come to rest: it ends all the same",
			index);
	seat->leaving = true;
	seat->kill_at = order_send(seat->orders_fd, ORDER_LEAVE, 0, NULL, 0, -1) ? now + LEAVE_DEADLINE_MS : now;
}

void roster_go_on(struct master *m)
{
	mono_ms now = master_now();
	if (m->phase != PHASE_RUNNING)
		return;
	forgive(m, now);
	while (m->workers > m->workers_wanted && m->seats[m->workers - 1].pid < 0)
		if (!remove_last(m))
			return;
	if (m->workers > m->workers_wanted) {
		struct seat *last = &m->seats[m->workers - 1];
		if (last->idle || last->end_at <= now)
			let_go(last, m->workers - 1, now);
		return;
	}
	bool grew = m->workers < m->workers_wanted;
	while (m->workers < m->workers_wanted)
		if (!add_one(m))
			m->workers_wanted = m->workers; /* told by who could not */
	if (grew)
		log_line(LOG_LEVEL_NOTICE, "There are %u workers now", m->workers);
}

bool roster_resize(struct master *m, unsigned wanted)
{
	bool fits = wanted <= m->seat_count;
	mono_ms now = master_now();
	span_ms patience = (span_ms)m->now.config->hand_window_s * 1000 + END_PATIENCE_MS;
	m->workers_wanted = fits ? wanted : m->seat_count;
	for (unsigned w = 0; w < m->workers; w++) {
		struct seat *seat = &m->seats[w];
		bool ends = w >= m->workers_wanted;
		if (ends != (seat->end_at != MONO_NEVER))
			seat->idle = false;
		seat->end_at = !ends ? MONO_NEVER : seat->end_at == MONO_NEVER ? now + patience : seat->end_at;
		if (!ends && seat->pid < 0 && seat->respawn_at == MONO_NEVER)
			seat->respawn_at = now; /* it had ended already */
	}
	roster_apply(m);
	drain_go_on(m);
	roster_go_on(m);
	return fits;
}
