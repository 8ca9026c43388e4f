/* SPDX-License-Identifier: MIT
 * Orders, time, and the loop in which the master spends its life. It never waits for a worker. */
#include "master/log.h"
#include "master/manage.h"
#include "master/master.h"
#include "master/privilege.h"
#include "master/runtime.h"
#include "master/scripts.h"
#include "master/status.h"
#include "worker/orders.h"

#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/pidfd.h>

enum {
	WATCH_SIGNALS = 0xffff0000,
	WATCH_KEYHOLDER,
	WATCH_HELPER,
	WATCH_CHECKER,
	WATCH_FOREIGN = 0x10000, /* and a seat's index: its worker is no child of ours, and ended */
	READ_MAX = 256,		 /* messages of one worker in one turn */
	LINES_PAUSE_MS = 5
};

void supervise_watch(struct master *m, int fd, uint32_t what)
{
	struct epoll_event event = { .events = EPOLLIN, .data.u32 = what };
	epoll_ctl(m->epoll_fd, EPOLL_CTL_ADD, fd, &event);
}

void supervise_unwatch(struct master *m, int fd)
{
	epoll_ctl(m->epoll_fd, EPOLL_CTL_DEL, fd, NULL);
}

void master_note(struct master *m, enum event_kind kind, unsigned cause, const char *text)
{
	event_note(m->events, EVENT_RING_MASTER, kind, PEER_NONE, 0, cause, NULL, text);
}

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

void supervise_started(struct master *m)
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

static void hear_keyholder(struct master *m)
{
	if (m->now.keyholder.control >= 0 && !keyholder_listen(&m->now.keyholder))
		supervise_unwatch(m, m->now.keyholder.control); /* its death is told by SIGCHLD */
}

void supervise_unwatch_keyholder(struct master *m)
{
	if (m->now.keyholder.control >= 0)
		supervise_unwatch(m, m->now.keyholder.control);
}

void supervise_watch_keyholder(struct master *m)
{
	if (m->now.keyholder.control >= 0)
		supervise_watch(m, m->now.keyholder.control, WATCH_KEYHOLDER);
}

static void hear_helper(struct master *m)
{
	if (m->helper.control < 0 || helper_listen(&m->helper))
		return;
	supervise_unwatch(m, m->helper.control);
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
		supervise_watch(m, m->helper.control, WATCH_HELPER);
}

void supervise_watch_checker(struct master *m, bool on)
{
	if (on)
		supervise_watch(m, m->upgrade.answer_fd, WATCH_CHECKER);
	else
		supervise_unwatch(m, m->upgrade.answer_fd);
}

/* Those whom a master before us bore. */
static void watch_adopted(struct master *m)
{
	for (unsigned w = 0; w < m->workers; w++) {
		if (m->seats[w].orders_fd >= 0)
			supervise_watch(m, m->seats[w].orders_fd, w);
		if (m->seats[w].pid_fd >= 0)
			supervise_watch(m, m->seats[w].pid_fd, WATCH_FOREIGN + w);
	}
	signals_reap(m); /* deaths of the moment between the two programs */
	roster_resize(m, m->workers_wanted);
	supervise_roll(m);
}

/* In a storm of handshakes lines come by the thousand, and to be woken for one costs more than the line: they
 * gather for a moment. Not where somebody's word is waited for; a signal, and so a death, ends it. */
static void let_lines_gather(struct master *m)
{
	struct pollfd signals = { .fd = m->signal_fd, .events = POLLIN };
	if (m->phase != PHASE_RUNNING)
		return;
	for (unsigned w = 0; w < m->workers; w++)
		if (!m->seats[w].ready || m->seats[w].leaving)
			return;
	poll(&signals, 1, LINES_PAUSE_MS);
}

int supervise(struct master *m)
{
	supervise_watch(m, m->signal_fd, WATCH_SIGNALS);
	supervise_watch_keyholder(m);
	supervise_watch_helper(m);
	if (m->phase == PHASE_RUNNING)
		watch_adopted(m);
	while (m->phase != PHASE_STOPPING || supervise_anybody_left(m) || m->helper.pid > 0) {
		struct epoll_event events[64];
		int count = epoll_wait(m->epoll_fd, events, 64, wait_for(m));
		bool only_workers = count > 0;
		for (int i = 0; i < count; i++) {
			uint32_t what = events[i].data.u32;
			only_workers = only_workers && what < WATCH_FOREIGN;
			if (what == WATCH_SIGNALS)
				signals_read(m);
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
			else if (m->seats[what].orders_fd >= 0 && !worker_hear(m, what, READ_MAX))
				worker_deaf(m, what);
		}
		on_time(m);
		manage_on_time(m, master_now());
		if (only_workers)
			let_lines_gather(m);
	}
	return m->exit_status;
}
