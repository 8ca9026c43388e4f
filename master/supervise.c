/* SPDX-License-Identifier: MIT
 * Births, deaths, orders and the loop in which the master spends its life. What it reads from a worker is a
 * few small messages; it never waits for one. */
#include "common/base/packet.h"
#include "master/log.h"
#include "master/manage.h"
#include "master/master.h"
#include "master/privilege.h"
#include "master/runtime.h"
#include "master/scripts.h"
#include "master/status.h"
#include "shm/last_words.h"
#include "worker/inherited.h"
#include "worker/orders.h"
#include "worker/worker.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
	WATCH_SIGNALS = 0xffff0000,
	WATCH_KEYHOLDER,
	WATCH_HELPER,
	WATCH_CHECKER,
	WATCH_FOREIGN = 0x10000, /* and a seat's index: its worker is no child of ours, and ended */
	READ_MAX = 64 /* messages of one worker in one turn */
};

static void watch(struct master *m, int fd, uint32_t what)
{
	struct epoll_event event = { .events = EPOLLIN, .data.u32 = what };
	epoll_ctl(m->epoll_fd, EPOLL_CTL_ADD, fd, &event);
}

static void unwatch(struct master *m, int fd)
{
	epoll_ctl(m->epoll_fd, EPOLL_CTL_DEL, fd, NULL);
}

void master_note(struct master *m, enum event_kind kind, unsigned cause, const char *text)
{
	event_note(m->events, EVENT_RING_MASTER, kind, PEER_NONE, 0, cause, NULL, text);
}

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
	watch(m, seat->orders_fd, index);
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

/* -- what workers say -- */

int supervise_running(struct master *m)
{
	int error = privilege_reduce_master(
		scripts_wanted_ever(m->born), m->born->scripts.sudo, m->upgrade.confined);
	if (error) {
		log_line(LOG_LEVEL_ERROR, "Cannot give up root's rights: %s", strerror(-error));
		return error;
	}
	if (m->born->writepid && !m->pid_file_written) {
		if ((error = pid_file_write(m->born->writepid)))
			log_line(LOG_LEVEL_NOTICE, "WARNING: writepid %s: %s", m->born->writepid,
				strerror(-error));
		m->pid_file_written = !error;
	}
	m->phase = PHASE_RUNNING;
	m->status_at = m->now.config->status_file ? master_now() : MONO_NEVER;
	m->tick_at = master_now() + m->tick;
	m->secret_at = master_now() + m->secret_every;
	m->alive_at = m->notify.watchdog ? master_now() : MONO_NEVER;
	m->upgrade.store.on = notify_wanted(&m->notify);
	return 0;
}

/* Where a service manager keeps our ends of the workers' channels, our death does not close them. */
static void say_alive(struct master *m)
{
	if (m->upgrade.store.on)
		supervise_order_all(m, ORDER_ALIVE, LEFT_ALONE_S);
}

static void all_ready(struct master *m)
{
	if (supervise_running(m)) {
		supervise_stop(m, 1);
		return;
	}
	log_line(LOG_LEVEL_NOTICE, "Initialization Sequence Completed");
	manage_state(m, "CONNECTED", "SUCCESS");
	runtime_tell(m->tell_first, 0);
	m->tell_first = -1;
	estate_keep(m);
	say_alive(m);
	notify_ready(&m->notify, "Running");
}

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
		all_ready(m);
	else if (m->phase == PHASE_RUNNING)
		supervise_roll(m);
}

/* Takes what is there, at most `max` messages. False: the other end is closed. */
static bool hear_worker(struct master *m, unsigned index, int max)
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

static void worker_died(struct master *m, unsigned index, int status)
{
	struct seat *seat = &m->seats[index];
	pid_t pid = seat->pid;
	mono_ms now = master_now();
	hear_worker(m, index, INT_MAX); /* what it said before */
	bool was_ready = seat->ready, asked = seat->leaving;
	if (now - seat->born_at >= QUICK_DEATH_MS)
		seat->quick_deaths = 0;
	unwatch(m, seat->orders_fd);
	close(seat->orders_fd);
	seat->orders_fd = -1;
	if (seat->pid_fd >= 0) {
		unwatch(m, seat->pid_fd);
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

static void reap(struct master *m)
{
	int status;
	pid_t pid;
	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		if (upgrade_reaped(m, pid, status))
			continue;
		if (pid == m->now.keyholder.pid) {
			keyholder_let_go(&m->now.keyholder);
			if (m->phase != PHASE_STOPPING)
				master_note(m, EVENT_KEYHOLDER_DIED, 0, NULL);
			if (m->phase == PHASE_STARTING)
				supervise_stop(m, 1);
			else if (m->phase == PHASE_RUNNING)
				keyholder_reborn(m);
			continue;
		}
		if (pid == m->helper.pid) {
			if (m->phase == PHASE_RUNNING)
				scripts_helper_died(m);
			else
				helper_let_go(&m->helper);
			if (m->phase == PHASE_STARTING)
				supervise_stop(m, 1);
			continue;
		}
		if (pid == m->before.keyholder.pid)
			keyholder_let_go(&m->before.keyholder);
		for (unsigned w = 0; w < m->workers; w++)
			if (m->seats[w].pid == pid) {
				worker_died(m, w, status);
				break;
			}
	}
}

/* -- orders -- */

void supervise_order_all(struct master *m, unsigned kind, int32_t value)
{
	for (unsigned w = 0; w < m->workers; w++)
		if (m->seats[w].orders_fd >= 0)
			order_send(m->seats[w].orders_fd, (enum order_kind)kind, value, NULL, 0, -1);
}

void supervise_signal(const struct seat *seat, int number)
{
	if (seat->pid_fd >= 0)
		pidfd_send_signal(seat->pid_fd, number, NULL, 0);
	else if (seat->pid > 0)
		kill(seat->pid, number);
}

static void stop_workers(struct master *m)
{
	/* Told in any case: clients that know begin anew at once instead of after their ping-restart. */
	unsigned how = m->now.config->explicit_exit_notify;
	supervise_order_all(m, ORDER_STOP, how ? (int32_t)how : 1);
	for (unsigned w = 0; w < m->workers; w++) {
		m->seats[w].respawn_at = MONO_NEVER;
		m->seats[w].kill_at = m->seats[w].pid > 0 ? master_now() + STOP_DEADLINE_MS : MONO_NEVER;
	}
}

void supervise_empty(struct master *m)
{
	stop_workers(m);
}

void supervise_stop(struct master *m, int exit_status)
{
	if (m->phase == PHASE_STOPPING)
		return;
	bool was_running = m->phase == PHASE_RUNNING;
	m->phase = PHASE_STOPPING;
	m->exit_status = exit_status;
	master_note(m, EVENT_HUB_STOPPED, (unsigned)exit_status, m->end_signal);
	notify_stopping(&m->notify, "Ending");
	manage_state(m, "EXITING", !m->end_signal ? "error" : strcmp(m->end_signal, "sigterm") ? "SIGINT" : "SIGTERM");
	if (was_running && m->now.config->status_file)
		status_write(m->now.config, m->shm);
	stop_workers(m);
}

void supervise_roll(struct master *m)
{
	unsigned old = m->workers;
	for (unsigned w = m->workers; w-- > 0;) {
		const struct seat *seat = &m->seats[w];
		if (w >= m->workers_wanted)
			continue; /* it ends as it is */
		if (!seat->ready || seat->leaving)
			return; /* one at a time */
		if (seat->generation != m->now.number)
			old = w;
	}
	if (old == m->workers) {
		upgrade_settled(m);
		reload_settled(m);
		return;
	}
	struct seat *seat = &m->seats[old];
	seat->leaving = true;
	seat->kill_at = master_now() + LEAVE_DEADLINE_MS;
	if (!order_send(seat->orders_fd, ORDER_LEAVE, 0, NULL, 0, -1))
		seat->kill_at = master_now();
}

static void on_signal(struct master *m, int number, pid_t sender)
{
	switch (number) {
	case SIGCHLD:
		reap(m);
		break;
	case SIGTERM:
	case SIGINT:
		log_line(LOG_LEVEL_NOTICE, "%s received from pid %ld, process exiting",
			number == SIGTERM ? "SIGTERM" : "SIGINT", (long)sender);
		m->end_signal = number == SIGTERM ? "sigterm" : "sigint";
		supervise_stop(m, m->phase == PHASE_STARTING);
		break;
	case SIGHUP:
		if (m->phase == PHASE_RUNNING)
			reload(m);
		break;
	case SIGUSR1:
		if (m->phase != PHASE_RUNNING)
			break;
		log_line(LOG_LEVEL_NOTICE, "SIGUSR1 received: all sessions end with RESTART");
		master_note(m, EVENT_ALL_ENDED, 0, NULL);
		manage_state(m, "RECONNECTING", "SIGUSR1");
		supervise_order_all(m, ORDER_RESTART_ALL, m->now.config->explicit_exit_notify == 2 ? 2 : 1);
		scripts_restart(m);
		manage_state(m, "CONNECTED", "SUCCESS");
		break;
	case SIGURG: {
		char error[256];
		log_line(LOG_LEVEL_NOTICE, "SIGURG received from pid %ld: upgrade", (long)sender);
		upgrade(m, error, sizeof(error));
		break;
	}
	case SIGUSR2:
		status_log(m->now.config, m->shm);
		break;
	}
}

static void read_signals(struct master *m)
{
	struct signalfd_siginfo info;
	while (read(m->signal_fd, &info, sizeof(info)) == sizeof(info))
		on_signal(m, (int)info.ssi_signo, (pid_t)info.ssi_pid);
}

/* -- time -- */

static void write_status(struct master *m, mono_ms now)
{
	int error = status_write(m->now.config, m->shm);
	mono_ms done = master_now();
	if (error)
		log_line(LOG_LEVEL_NOTICE, "WARNING: status %s: %s", m->now.config->status_file,
			strerror(-error));
	m->status_earliest = done + 1000 + 20 * (done - now); /* a twentieth of our time at most */
	m->status_at =
		m->now.config->status_s ? now + (span_ms)m->now.config->status_s * 1000 : INT64_MAX - 1;
}

/* Whoever has a proof of his address got it from the newest secret or from the one before: neither may count
 * for less than a handshake takes. */
static void change_secret(struct master *m, mono_ms now)
{
	span_ms handshake = (span_ms)m->now.config->hand_window_s * 1000;
	if (m->secret_at > now)
		return;
	m->secret_at = now + (m->secret_every > handshake ? m->secret_every : handshake);
	if (!shm_rotate_secrets(m->shm))
		log_line(LOG_LEVEL_NOTICE, "WARNING: no random bytes: the secret of address proofs stays");
}

bool supervise_anybody_left(const struct master *m)
{
	for (unsigned w = 0; w < m->workers; w++)
		if (m->seats[w].pid > 0)
			return true;
	return false;
}

/* The last thing of a stop: client-disconnect for those whom it took by surprise, for a bounded time. */
static void finish_helper(struct master *m, mono_ms now)
{
	if (m->helper.pid <= 0 || supervise_anybody_left(m))
		return;
	if (!m->helper_kill_at) {
		m->helper_kill_at = now + HELPER_DEADLINE_MS;
		helper_finish(&m->helper);
	} else if (m->helper_kill_at <= now && m->helper_kill_at != MONO_NEVER) {
		log_line(LOG_LEVEL_NOTICE, "WARNING: the helper is not done with client-disconnect: ended");
		helper_kill(&m->helper);
		m->helper_kill_at = MONO_NEVER;
	}
}

/* What is due now. */
static void on_time(struct master *m)
{
	mono_ms now = master_now();
	for (unsigned w = 0; w < m->workers; w++) {
		struct seat *seat = &m->seats[w];
		if (seat->pid > 0 && seat->kill_at <= now) {
			if (!seat->ready)
				log_line(LOG_LEVEL_NOTICE, "worker %u (pid %ld) is not ready in time: killed",
					w, (long)seat->pid);
			else
				log_line(LOG_LEVEL_NOTICE, "worker %u (pid %ld) does not end: killed", w,
					(long)seat->pid);
			supervise_signal(seat, SIGKILL);
			seat->kill_at = MONO_NEVER;
		}
		if (seat->pid < 0 && seat->respawn_at <= now && m->phase == PHASE_RUNNING)
			worker_birth(m, w);
	}
	if (m->phase == PHASE_STOPPING)
		finish_helper(m, now);
	if (m->phase != PHASE_RUNNING)
		return;
	if (m->alive_at <= now) {
		notify_alive(&m->notify);
		m->alive_at = now + m->notify.watchdog;
	}
	if (m->status_at <= now)
		write_status(m, now);
	if (m->keyholder_at <= now)
		keyholder_reborn(m);
	if (m->helper_at <= now)
		scripts_helper_again(m);
	upgrade_on_time(m, now);
	if (m->tick_at <= now) {
		m->tick_at = now + m->tick;
		say_alive(m);
		upgrade_on_tick(m);
		if (m->upgrade.store.again_at <= now)
			estate_keep(m);
		pulse_feel(m, now);
		change_secret(m, now);
		drain_go_on(m);
		roster_go_on(m);
		rebalance_go_on(m);
		crl_watch(m);
		if (m->check_sessions)
			sessions_check(m);
	}
}

static int wait_for(const struct master *m)
{
	mono_ms next = mono_earlier(m->keyholder_at, mono_earlier(m->status_at, m->tick_at));
	next = mono_earlier(next, mono_earlier(m->helper_at, mono_earlier(m->alive_at, m->upgrade.deadline)));
	if (m->phase != PHASE_RUNNING)
		next = m->helper_kill_at ? m->helper_kill_at : MONO_NEVER;
	next = mono_earlier(next, manage_wake_at(m));
	for (unsigned w = 0; w < m->workers; w++)
		next = mono_earlier(next, mono_earlier(m->seats[w].respawn_at, m->seats[w].kill_at));
	span_ms left = next - master_now();
	return left <= 0 ? 0 : left > 60000 ? 60000 : (int)left + 1;
}

/* A worker that closed its end is dying, or will not hear another order. */
static void gone_deaf(struct master *m, unsigned index)
{
	unwatch(m, m->seats[index].orders_fd);
	m->seats[index].kill_at = mono_earlier(m->seats[index].kill_at, master_now() + LEAVE_DEADLINE_MS);
}

static void hear_keyholder(struct master *m)
{
	if (m->now.keyholder.control >= 0 && !keyholder_listen(&m->now.keyholder))
		unwatch(m, m->now.keyholder.control); /* its death is told by SIGCHLD */
}

void supervise_unwatch_keyholder(struct master *m)
{
	if (m->now.keyholder.control >= 0)
		unwatch(m, m->now.keyholder.control);
}

void supervise_watch_keyholder(struct master *m)
{
	if (m->now.keyholder.control >= 0)
		watch(m, m->now.keyholder.control, WATCH_KEYHOLDER);
}

static void hear_helper(struct master *m)
{
	if (m->helper.control < 0 || helper_listen(&m->helper))
		return;
	unwatch(m, m->helper.control);
	if (m->helper.pid_fd >= 0) { /* no child of ours: nobody else tells us */
		if (m->phase == PHASE_RUNNING)
			scripts_helper_died(m);
		else
			helper_let_go(&m->helper);
	}
}

void supervise_watch_helper(struct master *m)
{
	if (m->helper.control >= 0)
		watch(m, m->helper.control, WATCH_HELPER);
}

void supervise_watch_checker(struct master *m, bool on)
{
	if (on)
		watch(m, m->upgrade.answer_fd, WATCH_CHECKER);
	else
		unwatch(m, m->upgrade.answer_fd);
}

/* Those whom a master before us bore. */
static void watch_adopted(struct master *m)
{
	for (unsigned w = 0; w < m->workers; w++) {
		if (m->seats[w].orders_fd >= 0)
			watch(m, m->seats[w].orders_fd, w);
		if (m->seats[w].pid_fd >= 0)
			watch(m, m->seats[w].pid_fd, WATCH_FOREIGN + w);
	}
	reap(m); /* deaths of the moment between the two programs */
	roster_resize(m, m->workers_wanted);
	supervise_roll(m);
}

int supervise(struct master *m)
{
	watch(m, m->signal_fd, WATCH_SIGNALS);
	supervise_watch_keyholder(m);
	supervise_watch_helper(m);
	if (m->phase == PHASE_RUNNING)
		watch_adopted(m);
	while (m->phase != PHASE_STOPPING || supervise_anybody_left(m) || m->helper.pid > 0) {
		struct epoll_event events[64];
		int count = epoll_wait(m->epoll_fd, events, 64, wait_for(m));
		for (int i = 0; i < count; i++) {
			uint32_t what = events[i].data.u32;
			if (what == WATCH_SIGNALS)
				read_signals(m);
			else if (what == WATCH_KEYHOLDER)
				hear_keyholder(m);
			else if (what == WATCH_HELPER)
				hear_helper(m);
			else if (what == WATCH_CHECKER)
				upgrade_heard(m);
			else if (what >= MANAGE_WATCH)
				manage_said(m, what, events[i].events);
			else if (what >= WATCH_FOREIGN)
				worker_died(m, what - WATCH_FOREIGN, 0);
			else if (m->seats[what].orders_fd >= 0 && !hear_worker(m, what, READ_MAX))
				gone_deaf(m, what);
		}
		on_time(m);
		manage_on_time(m, master_now());
	}
	return m->exit_status;
}
