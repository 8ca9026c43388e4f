/* SPDX-License-Identifier: MIT
 * A worker's life as its master sees it: born, heard, dead, and another one in its place. What the master reads from it is a
 * few small messages; it never waits for one. */
#include "master/log.h"
#include "master/manage.h"
#include "master/master.h"
#include "master/privilege.h"
#include "shm/last_words.h"
#include "worker/inherited.h"
#include "worker/orders.h"
#include "worker/worker.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* -- births -- */

/* Whoever keeps our estate must know of a worker before it lives: it waits for our word. If we die before, it is
 * nobody's, and ends. */
static void await_go(int go)
{
	char word;
	ssize_t n;
	while ((n = read(go, &word, 1)) < 0 && errno == EINTR)
		;
	if (n != 1)
		_exit(0);
}

_Noreturn static void live_as_worker(struct master *m, unsigned index, int orders_fd, int keyholder_fd, int helper_fd,
	uint16_t epoch, int go)
{
	const struct seat *seat = &m->seats[index];
	struct inherited inherited = { .index = index,
		.workers = m->seat_count,
		.cpu = seat->cpu,
		.epoch = epoch,
		.successor = seat->had_one,
		.orders_fd = orders_fd,
		.keyholder_fd = keyholder_fd,
		.helper_fd = helper_fd,
		.tun_fd = m->tunnel.queues[index],
		.tun_trains = m->tunnel.trains,
		.tun_udp_trains = m->tunnel.udp_trains,
		.link_fds = listeners_of(&m->listeners, index),
		.link_count = m->listeners.count,
		.wake_fds = m->wake_fds,
		.shm = m->shm,
		.stats = m->stats,
		.events = m->events,
		.steer_peers = m->steering.peers,
		.steer_pool4 = m->steering.pool,
		.steer_pool4_first = m->steering.pool4_first,
		.steer_pool4_count = m->steering.pool_count,
		.config = m->now.config,
		.crl_lost = crl_lost(m),
		.uid = m->uid,
		.gid = m->gid };

	manage_forget(m);
	char name[16];
	snprintf(name, sizeof(name), "vpn-worker-%u", index);
	prctl(PR_SET_NAME, name);
	size_t count = 0;
	int *keep = calloc(5 + m->listeners.count + m->seat_count, sizeof(*keep));
	if (!keep)
		_exit(1);
	keep[count++] = orders_fd;
	keep[count++] = keyholder_fd;
	keep[count++] = helper_fd;
	keep[count++] = go;
	keep[count++] = inherited.tun_fd;
	for (unsigned l = 0; l < m->listeners.count; l++)
		keep[count++] = inherited.link_fds[l];
	for (unsigned w = 0; w < m->seat_count; w++)
		keep[count++] = m->wake_fds[w];
	privilege_child_begin(keep, count, m->born->daemonize);
	free(keep);
	await_go(go);
	close(go);
	_exit(worker_run(&inherited));
}

bool worker_birth(struct master *m, unsigned index)
{
	struct seat *seat = &m->seats[index];
	int ends[2] = { -1, -1 }, go[2] = { -1, -1 }, keyholder_fd = -1, helper_fd = -1;
	mono_ms now = master_now();
	span_ms pause = RESPAWN_MAX_MS;
	seat->respawn_at = MONO_NEVER;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) < 0 ||
		pipe2(go, O_CLOEXEC) < 0)
		goto failed;
	if (m->now.keyholder.control >= 0 &&
		(keyholder_fd = keyholder_channel(&m->now.keyholder, index)) < 0) {
		errno = -keyholder_fd;
		pause = RESPAWN_STEP_MS; /* it is dying: soon there will be another */
		goto failed;
	}
	/* without one it refuses clients until it is given one */
	if (m->helper.control >= 0)
		helper_fd = helper_channel(&m->helper, index);
	uint16_t epoch = shm_next_epoch(m->shm);
	seat->born_with = atomic_load(&stats_worker(m->stats, index)->heartbeats);
	pid_t pid = fork();
	if (pid == 0)
		live_as_worker(m, index, ends[1], keyholder_fd, helper_fd, epoch, go[0]);
	if (pid < 0)
		goto failed;
	close(ends[1]);
	close(go[0]);
	if (keyholder_fd >= 0)
		close(keyholder_fd);
	if (helper_fd >= 0)
		close(helper_fd);
	seat->pid = pid;
	seat->orders_fd = ends[0];
	seat->serial = ++m->upgrade.births;
	seat->generation = m->now.number;
	seat->ready = seat->leaving = seat->crl_owed = false;
	seat->silent_ticks = seat->starved_ticks = 0;
	seat->born_at = now;
	seat->kill_at = now + READY_DEADLINE_MS;
	supervise_watch(m, seat->orders_fd, index);
	stats_worker_born(stats_worker(m->stats, index), pid, time(NULL), (uint32_t)seat->cpu);
	master_note(m, EVENT_WORKER_BORN, index, NULL);
	if (seat->death[0])
		log_line(LOG_LEVEL_NOTICE, "%s; sessions are adopted by its successor pid %ld", seat->death,
			(long)pid);
	seat->death[0] = '\0';
	seat->had_one = true;
	estate_keep(m);
	if (m->upgrade.store.on)
		order_send(seat->orders_fd, ORDER_ALIVE, LEFT_ALONE_S, NULL, 0, -1);
	(void)!write(go[1], "", 1);
	close(go[1]);
	return true;
failed:
	log_line(LOG_LEVEL_ERROR, "Worker %u cannot be started: %s", index, strerror(errno));
	for (int i = 0; i < 2; i++) {
		if (ends[i] >= 0)
			close(ends[i]);
		if (go[i] >= 0)
			close(go[i]);
	}
	if (keyholder_fd >= 0)
		close(keyholder_fd);
	if (helper_fd >= 0)
		close(helper_fd);
	seat->respawn_at = now + pause;
	return false;
}

/* -- what it says -- */

static void worker_ready(struct master *m, unsigned index)
{
	/* Said once. One that says it again, or on its way out, would buy time from whoever is to end it. */
	if (m->seats[index].ready || m->seats[index].leaving || m->phase == PHASE_STOPPING)
		return;
	m->seats[index].ready = true;
	m->seats[index].kill_at = MONO_NEVER;
	m->check_sessions = true; /* an order to its predecessor may have died with it */
	if (m->seats[index].fresh) {
		m->seats[index].fresh = false;
		roster_apply(m);
	}
	stats_worker_state(stats_worker(m->stats, index), STATS_WORKER_READY);
	master_note(m, EVENT_WORKER_READY, index, NULL);
	manage_worker_ready(m, index);
	for (unsigned w = 0; w < m->workers; w++)
		if (!m->seats[w].ready)
			return;
	if (m->phase == PHASE_STARTING)
		supervise_started(m);
	else if (m->phase == PHASE_RUNNING)
		supervise_roll(m);
}

bool worker_hear(struct master *m, unsigned index, int max)
{
	struct order answer;
	int fd, got = 0;
	while (max-- > 0 && (got = order_receive(m->seats[index].orders_fd, &answer, &fd)) > 0) {
		if (fd >= 0)
			close(fd); /* nobody asked for it */
		switch (answer.kind) {
		case ANSWER_READY:
			worker_ready(m, index);
			break;
		case ANSWER_LOG:
			log_foreign(answer.value, answer.text, answer.len);
			break;
		case ANSWER_TRACE:
			manage_trace_line(m, &answer);
			break;
		case ANSWER_CHANGED:
			if (m->status_at != MONO_NEVER && m->status_at > m->status_earliest)
				m->status_at = m->status_earliest;
			break;
		default:
			break; /* a worker is not trusted: whatever else it says is nothing */
		}
		if (m->seats[index].orders_fd < 0)
			return false;
	}
	return got >= 0;
}

void worker_deaf(struct master *m, unsigned index)
{
	supervise_unwatch(m, m->seats[index].orders_fd);
	m->seats[index].kill_at = mono_earlier(m->seats[index].kill_at, master_now() + LEAVE_DEADLINE_MS);
}

/* -- deaths -- */

static void describe_death(struct master *m, unsigned index, pid_t pid, int status, char *out, size_t room)
{
	struct last_words_copy words;
	bool said = last_words_take(m->shm, index, &words);
	char slot[32] = "", address[40] = "";
	if (said && words.slot != PEER_NONE)
		snprintf(slot, sizeof(slot), " (at session %u)", words.slot);
	if (said && words.address)
		snprintf(address, sizeof(address), " at address %#llx", (unsigned long long)words.address);
	if (WIFSIGNALED(status)) {
		snprintf(out, room, "worker %u (pid %ld) died by signal %d%s: %s%s", index, (long)pid,
			WTERMSIG(status), address, said && words.text[0] ? words.text : "no last words",
			slot);
	} else {
		snprintf(out, room, "worker %u (pid %ld) ended with status %d%s%s", index, (long)pid,
			WEXITSTATUS(status), said ? ": " : "", said ? words.text : "");
	}
}

/* The pause before the next birth: none at first, longer each time it dies young. */
static span_ms pause_for(struct seat *seat)
{
	unsigned deaths = seat->quick_deaths++;
	if (!deaths)
		return 0;
	span_ms pause = deaths > 6 ? RESPAWN_MAX_MS : RESPAWN_STEP_MS << (deaths - 1);
	return pause < RESPAWN_MAX_MS ? pause : RESPAWN_MAX_MS;
}

void worker_died(struct master *m, unsigned index, int status)
{
	struct seat *seat = &m->seats[index];
	pid_t pid = seat->pid;
	mono_ms now = master_now();
	worker_hear(m, index, INT_MAX); /* what it said before */
	bool was_ready = seat->ready, asked = seat->leaving;
	if (now - seat->born_at >= QUICK_DEATH_MS)
		seat->quick_deaths = 0;
	supervise_unwatch(m, seat->orders_fd);
	close(seat->orders_fd);
	seat->orders_fd = -1;
	if (seat->pid_fd >= 0) {
		supervise_unwatch(m, seat->pid_fd);
		close(seat->pid_fd);
		seat->pid_fd = -1;
	}
	seat->pid = -1;
	seat->ready = seat->leaving = false;
	seat->kill_at = MONO_NEVER;
	stats_worker_state(stats_worker(m->stats, index), STATS_WORKER_DEAD);

	char death[DEATH_NOTE_MAX];
	describe_death(m, index, pid, status, death, sizeof(death));
	bool well = WIFEXITED(status) && WEXITSTATUS(status) == 0 && (asked || m->phase == PHASE_STOPPING);
	master_note(m, well ? EVENT_WORKER_LEFT : EVENT_WORKER_DIED, index, well ? NULL : death);
	if (m->phase == PHASE_STOPPING) {
		if (!well)
			log_line(LOG_LEVEL_NOTICE, "%s", death);
		return;
	}
	if (m->phase == PHASE_STARTING) {
		log_line(LOG_LEVEL_ERROR, "%s; the hub does not start", death);
		supervise_stop(m, 1);
		return;
	}
	if (upgrade_worker_gone(m))
		return;
	if (index >= m->workers_wanted) {
		if (!asked)
			log_line(LOG_LEVEL_NOTICE, "%s; it was to end anyway", death);
		drain_dead(m, index);
		roster_go_on(m);
		return;
	}
	if (asked) {
		worker_birth(m, index);
		return;
	}
	if (!was_ready && m->upgrade.state == UPGRADE_SETTLING && seat->generation == m->now.number)
		upgrade_go_back(m, death);
	if (!was_ready && m->before.config && seat->generation == m->now.number) {
		log_line(LOG_LEVEL_ERROR, "%s", death);
		reload_undo(m);
	} else {
		memcpy(seat->death, death, sizeof(death));
	}
	span_ms pause = pause_for(seat);
	roster_died(m, index);
	if (pause && seat->death[0])
		log_line(LOG_LEVEL_NOTICE, "%s; the next one starts in %lld ms", seat->death,
			(long long)pause);
	if (pause)
		seat->respawn_at = now + pause;
	else
		worker_birth(m, index);
}
