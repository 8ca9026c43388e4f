/* SPDX-License-Identifier: MIT
 * The order of starting, one call per line, and the same backwards for the end. Why this order: threats.md,
 * "Order at start": nothing is written before everything parsed, sockets are opened as root, children come
 * when all they inherit exists, rights go last. */
#include "master/findings.h"
#include "master/log.h"
#include "master/manage.h"
#include "master/master.h"
#include "master/netlink.h"
#include "master/privilege.h"
#include "master/runtime.h"
#include "master/scripts.h"
#include "master/status.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/fsuid.h>
#include <sys/pidfd.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

/* Of locked memory for all handover rings together. A ring is never so small that it would not take some of
 * the longest packets, so with many workers it is more. */
#define RING_BUDGET (128u << 20)

/* -- the steps -- */

/* Which CPUs we may use; a worker each unless it is said how many. Room is made for some more: their number may change at
 * a reload, the size of shared memory not. */
int start_seats(struct master *m, unsigned workers, unsigned seats)
{
	cpu_set_t cpus;
	CPU_ZERO(&cpus);
	if (sched_getaffinity(0, sizeof(cpus), &cpus) < 0 || CPU_COUNT(&cpus) == 0)
		CPU_SET(0, &cpus);
	m->cpus = (unsigned)CPU_COUNT(&cpus);
	m->workers = m->workers_wanted = workers ? workers : roster_wanted(m, m->now.config);
	m->seat_count = seats ? seats : m->cpus > SEATS_MIN ? m->cpus : SEATS_MIN;
	if (m->seat_count < m->workers)
		m->seat_count = m->workers;
	if (m->seat_count > SHM_MAX_WORKERS)
		m->seat_count = SHM_MAX_WORKERS;
	m->seats = calloc(m->seat_count, sizeof(*m->seats));
	m->wake_fds = calloc(m->seat_count, sizeof(*m->wake_fds));
	if (!m->seats || !m->wake_fds)
		return -ENOMEM;
	int cpu = -1;
	for (unsigned w = 0; w < m->seat_count; w++) {
		do
			cpu = (cpu + 1) % CPU_SETSIZE;
		while (!CPU_ISSET(cpu, &cpus));
		m->seats[w] = (struct seat){ .pid = -1,
			.orders_fd = -1,
			.pid_fd = -1,
			.cpu = cpu,
			.respawn_at = MONO_NEVER,
			.kill_at = MONO_NEVER,
			.end_at = MONO_NEVER };
		m->wake_fds[w] = -1;
	}
	return 0;
}

static uint32_t pool4_size(const struct config *config)
{
	uint64_t count = config->pool4.on ? (uint64_t)config->pool4.last - config->pool4.first + 1 : 0;
	return count < SHM_MAX_POOL ? (uint32_t)count : SHM_MAX_POOL;
}

/* As many as the network has from the base on, but never more than anybody can use: an index serves both
 * families. */
static uint32_t pool6_size(const struct config *config)
{
	if (!config->pool6.on)
		return 0;
	uint64_t host = 0;
	for (int i = 8; i < 16; i++)
		host = host << 8 | config->pool6.base.s6_addr[i];
	unsigned host_bits = config->pool6.bits <= 64 ? 64 : 128u - config->pool6.bits;
	uint64_t mask = host_bits == 64 ? UINT64_MAX : (1ull << host_bits) - 1;
	uint64_t left = mask - (host & mask); /* one less than there are: the last address is nobody's */
	uint64_t useful = config->pool4.on ? pool4_size(config) : 2ull * config->max_clients;
	if (useful > SHM_MAX_POOL)
		useful = SHM_MAX_POOL;
	return (uint32_t)(left < useful ? left : useful);
}

static struct shm_sizes choose_sizes(const struct master *m)
{
	const struct config *config = m->now.config;
	uint32_t ring = RING_BUDGET / (m->seat_count * m->seat_count);
	ring = ring > 1u << 20 ? 1u << 20 : ring < 1u << 16 ? 1u << 16 : ring;
	return (struct shm_sizes){ .workers = m->seat_count,
		.max_clients = config->max_clients,
		.max_routes = config->max_clients + 1024,
		.pool4_count = pool4_size(config),
		.pool6_count = pool6_size(config),
		.ring_bytes = ring };
}

int start_limits(const struct master *m)
{
	const struct config *config = m->now.config;
	struct shm_sizes sizes = choose_sizes(m);
	size_t fds = 128 + (size_t)m->seat_count * (config->listener_count + 6);
	for (unsigned l = 0; l < config->listener_count; l++)
		if (config->listeners[l].proto == PROTO_TCP)
			fds += config->max_clients + 1000; /* a worker may have to hold all of them */
	return privilege_prepare(fds, shm_bytes(&sizes) + (64u << 20), config);
}

int start_directory(const struct config *config)
{
	if (!config->cd || chdir(config->cd) == 0)
		return 0;
	int error = -errno;
	log_line(LOG_LEVEL_ERROR, "cd %s: %s", config->cd, strerror(-error));
	return error;
}

static int open_key(struct master *m)
{
	char error[KEYHOLDER_ERROR_MAX];
	if (!m->now.config->key.path && !m->now.config->key.bytes)
		return 0;
	int result = key_source_open(m->now.config, NULL, &m->now.key, error);
	if (result)
		log_line(LOG_LEVEL_ERROR, "%s", error);
	return result;
}

static int go_to_background(struct master *m)
{
	/* a service manager has us in the background already and wants to keep the process that it started */
	if (!m->now.config->daemonize || notify_wanted(&m->notify))
		return 0;
	m->tell_first = runtime_daemonize();
	return m->tell_first < 0 ? m->tell_first : 0;
}

/* Signals wait in a descriptor from here on. */
int start_signals(struct master *m)
{
	sigset_t wanted;
	sigemptyset(&wanted);
	int numbers[] = { SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGUSR2, SIGURG, SIGCHLD };
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		sigaddset(&wanted, numbers[i]);
	signal(SIGPIPE, SIG_IGN);
	sigprocmask(SIG_BLOCK, &wanted, NULL);
	m->signal_fd = signalfd(-1, &wanted, SFD_NONBLOCK | SFD_CLOEXEC);
	m->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	return m->signal_fd < 0 || m->epoll_fd < 0 ? -errno : 0;
}

static int set_tunnel_up(struct master *m)
{
	const struct config *config = m->now.config;
	m->routes_added = calloc(config->route4_count + config->route6_count + 1, sizeof(bool));
	return m->routes_added ? netlink_set_up(config, m->tunnel.index, m->routes_added) : -ENOMEM;
}

static int create_shm(struct master *m)
{
	char error[256];
	struct shm_sizes sizes = choose_sizes(m);
	m->shm = shm_create(&sizes, error, sizeof(error));
	if (!m->shm) {
		log_line(LOG_LEVEL_ERROR, "Shared memory: %s", error);
		return -ENOMEM;
	}
	if ((m->shm->warnings & SHM_NOT_LOCKED) && m->now.config->mlock) {
		log_line(LOG_LEVEL_ERROR,
			"mlock: the session table cannot be locked in memory (raise RLIMIT_MEMLOCK)");
		return -ENOMEM;
	}
	if (m->shm->warnings & SHM_NOT_LOCKED)
		log_line(LOG_LEVEL_NOTICE, "WARNING: the session table is not locked in memory, keys may be "
					   "swapped out (raise RLIMIT_MEMLOCK)");
	if (m->shm->warnings & (SHM_IN_DUMPS | SHM_NOT_SEALED))
		log_line(LOG_LEVEL_NOTICE, "WARNING: this kernel cannot protect shared memory fully (%s)",
			m->shm->warnings & SHM_IN_DUMPS ? "MADV_DONTDUMP" : "seals");
	return 0;
}

static struct stats_pool describe_pool(const struct config *config)
{
	struct stats_pool pool = { .first4 = config->pool4.first,
		.count4 = pool4_size(config),
		.count6 = pool6_size(config) };
	memcpy(pool.base6, &config->pool6.base, sizeof(pool.base6));
	pool.size = !pool.count4 ? pool.count6 :
		    !pool.count6 ? pool.count4 :
		    pool.count4 < pool.count6 ? pool.count4 : pool.count6;
	return pool;
}

static int create_stats(struct master *m)
{
	const struct config *config = m->now.config;
	const char *listeners[STATS_MAX_LISTENERS];
	unsigned count =
		config->listener_count < STATS_MAX_LISTENERS ? config->listener_count : STATS_MAX_LISTENERS;
	for (unsigned l = 0; l < count; l++)
		listeners[l] = config->listeners[l].spelled;
	struct stats_about about = { .name = config->name,
		.program_version = VPNSERVERD_VERSION,
		.listeners = listeners,
		.listener_count = count,
		.started_unix = time(NULL),
		.sizes = { .workers = m->seat_count,
			.slots = config->max_clients,
			.networks = (config->max_clients < 65536 ? config->max_clients : 65536) + 1024 },
		.pool = describe_pool(config),
		.group = runtime_readers_group() };
	char error[256];
	m->stats = stats_create(config->runtime_dir, &about, error, sizeof(error));
	if (m->stats) {
		publish_dates(m);
		return 0;
	}
	log_line(LOG_LEVEL_ERROR, "Statistics file: %s", error);
	return -EIO;
}

/* Best effort: what happened is not worth a hub that does not start. */
static void open_events(struct master *m)
{
	const struct config *config = m->now.config;
	char error[300];
	m->events = events_open(
		config->runtime_dir, config->name, m->seat_count, runtime_readers_group(), error, sizeof(error));
	if (!m->events)
		log_line(LOG_LEVEL_NOTICE, "WARNING: %s", error);
	if (!m->upgrade.hub)
		master_note(m, EVENT_HUB_STARTED, 0, VPNSERVERD_VERSION);
}

int start_segments(struct master *m)
{
	/* a successor has not the right to give files away, but that to act for any group */
	setfsgid(runtime_readers_group());
	int error = m->shm ? 0 : create_shm(m);
	if (!error && !m->stats)
		error = create_stats(m);
	if (!error && !m->events)
		open_events(m);
	setfsgid(getegid());
	return error;
}

/* Best effort: without it the kernel's hashing alone decides, and workers hand over more. */
static void steer(struct master *m)
{
	const struct config *config = m->now.config;
	if (!config->steering)
		return;
	struct steering_sizes sizes = { .peers = config->max_clients,
		.pool_count = pool4_size(config),
		.pool4_first = config->pool4.first,
		.pool6_first = config->pool4.on && config->pool6.on ? config->pool6.base.s6_addr : NULL };
	int error = steering_open(&sizes, &m->steering);
	if (error)
		log_line(LOG_LEVEL_NOTICE,
			"The kernel does not let us steer (bpf: %s): packets find their worker by hash and handover",
			strerror(-error));
}

static int make_wakers(struct master *m)
{
	for (unsigned w = 0; w < m->seat_count; w++)
		if ((m->wake_fds[w] = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) < 0)
			return -errno;
	return 0;
}

int start_first_keyholder(struct master *m)
{
	if (m->now.key.key_fd < 0)
		return 0;
	char error[KEYHOLDER_ERROR_MAX];
	struct keyholder_birth birth = { .source = m->now.key,
		.cert_pem = m->now.config->cert.bytes ? m->now.config->cert.bytes : "",
		.uid = m->uid,
		.gid = m->gid,
		.must_lock = m->now.config->mlock,
		.silent = m->born->daemonize,
		.forget = master_forget,
		.context = m };
	int result = keyholder_start(&birth, &m->now.keyholder, error);
	m->keyholder_born_at = master_now();
	if (result)
		log_line(LOG_LEVEL_ERROR, "%s", error);
	return result;
}

static int bear_workers(struct master *m)
{
	for (unsigned w = 0; w < m->workers; w++)
		if (!worker_birth(m, w))
			return -EAGAIN;
	return 0;
}

/* -- the order -- */

static int start_in_order(struct master *m)
{
	int error;
	if ((error = start_directory(m->now.config)))
		return error;
	if ((error = log_configure(m->now.config)))
		return error;
	log_line(LOG_LEVEL_NOTICE, "vpnserverd %s", VPNSERVERD_VERSION);
#ifdef WITH_NULL_CIPHER
	log_line(LOG_LEVEL_ERROR,
		"WARNING: THIS BUILD DOES NOT ENCRYPT (null_cipher). IT IS FOR MEASUREMENTS ALONE; "
		"WHAT GOES THROUGH THE TUNNEL CAN BE READ AND FORGED BY ANYBODY.");
#endif
	if (m->warnings)
		findings_log(m->warnings);
	if ((error = privilege_account(m->now.config, &m->uid, &m->gid)))
		return error;
	if ((error = start_seats(m, 0, 0)))
		return error;
	if ((error = start_limits(m)))
		return error;
	if ((error = open_key(m))) /* may ask on the terminal, so before the background */
		return error;
	if ((error = go_to_background(m)))
		return error;
	if ((error = start_signals(m)))
		return error;
	m->lock_fd = runtime_lock(
		m->now.config->runtime_dir, m->now.config->name, m->lock_path, sizeof(m->lock_path));
	if (m->lock_fd < 0)
		return m->lock_fd;
	if ((error = manage_open(m)))
		return error;
	if (m->now.config->management.hold && !manage_hold(m))
		return -ECANCELED;
	if ((error = start_first_keyholder(
		     m))) /* before there is shared memory that its copy of us would contain */
		return error;
	if ((error = scripts_start_helper(m)))
		return error;
	if ((error = listeners_open(m->now.config, m->workers, &m->listeners)))
		return error;
	manage_state(m, "ASSIGN_IP", "");
	if ((error = tunnel_open(m->now.config, m->workers, &m->tunnel)))
		return error;
	if ((error = set_tunnel_up(m)))
		return error;
	if ((error = scripts_up(m))) /* as root, before anything is served */
		return error;
	if ((error = scripts_tell_helper(m))) /* now the device has a name */
		return error;
	if ((error = start_segments(m)))
		return error;
	steer(m);
	roster_apply(m);
	if ((error = make_wakers(m)))
		return error;
	return bear_workers(m); /* the rest when they are ready: supervise.c */
}

int master_start(struct master *m)
{
	m->phase = PHASE_STARTING;
	if (!m->upgrade.known)
		upgrade_inherit(m);
	if (!m->tick)
		m->tick = TICK_MS;
	if (!m->secret_every)
		m->secret_every = SECRET_MS;
	m->signal_fd = m->epoll_fd = m->lock_fd = m->tell_first = -1;
	m->now.key = m->before.key = (struct key_source){ .key_fd = -1, .passphrase_fd = -1 };
	m->now.keyholder = m->before.keyholder = (struct keyholder){ .pid = -1, .control = -1 };
	m->steering = STEERING_NONE;
	m->status_at = m->tick_at = m->keyholder_at = m->helper_at = m->alive_at = MONO_NEVER;
	m->helper = (struct helper){ .pid = -1, .control = -1, .pid_fd = -1 };
	m->started_unix = time(NULL);
	notify_open(&m->notify);
	m->born = m->now.config;
	int error = m->upgrade.hub ? master_adopt(m) : start_in_order(m);
	if (error)
		log_line(LOG_LEVEL_ERROR, "Exiting due to fatal error: %s", strerror(-error));
	return error ? 1 : 0;
}

static void end_children(struct master *m)
{
	for (unsigned w = 0; m->seats && w < m->workers; w++) {
		struct seat *seat = &m->seats[w];
		if (seat->pid_fd >= 0) { /* no child of ours */
			pidfd_send_signal(seat->pid_fd, SIGKILL, NULL, 0);
			close(seat->pid_fd);
		} else if (seat->pid > 0) {
			kill(seat->pid, SIGKILL);
			waitpid(seat->pid, NULL, 0);
		}
		if (seat->orders_fd >= 0)
			close(seat->orders_fd);
	}
	struct keyholder *keyholders[] = { &m->now.keyholder, &m->before.keyholder };
	for (int i = 0; i < 2; i++) {
		if (keyholders[i]->pid > 0) {
			kill(keyholders[i]->pid, SIGKILL);
			waitpid(keyholders[i]->pid, NULL, 0);
		}
		keyholder_let_go(keyholders[i]);
	}
	helper_kill(&m->helper);
	if (m->helper.pid > 0 && m->helper.pid_fd < 0)
		waitpid(m->helper.pid, NULL, 0);
	helper_let_go(&m->helper);
}

/* Wipes the keys in them, too. */
static void forget_configs(struct master *m)
{
	if (m->reading)
		config_free(&m->reading);
	if (m->before.config && m->before.config != m->born)
		config_free(&m->before.config);
	if (m->now.config && m->now.config != m->born)
		config_free(&m->now.config);
	if (m->born)
		config_free(&m->born);
}

void master_end(struct master *m)
{
	estate_forget(m);
	end_children(m);
	manage_close(m);
	if (m->pid_file_written)
		unlink(m->born->writepid);
	for (unsigned w = 0; m->wake_fds && w < m->seat_count; w++)
		if (m->wake_fds[w] >= 0)
			close(m->wake_fds[w]);
	free(m->wake_fds);
	if (m->tunnel.persistent && m->steering.tunnel_program >= 0)
		steering_detach_tunnel(m->tunnel.queues[0]);
	steering_close(&m->steering);
	if (m->stats)
		stats_remove(m->stats);
	stats_detach(&m->stats);
	events_close(&m->events);
	shm_detach(&m->shm);
	scripts_before_down(m);
	netlink_undo(m->born, m->tunnel.index, m->tunnel.persistent, m->routes_added);
	free(m->routes_added);
	char name[sizeof(m->tunnel.name)];
	memcpy(name, m->tunnel.name, sizeof(name));
	tunnel_close(&m->tunnel);
	memcpy(m->tunnel.name, name, sizeof(name)); /* `down` is told which it was */
	scripts_after_down(m);
	listeners_close(&m->listeners);
	key_source_close(&m->now.key);
	key_source_close(&m->before.key);
	runtime_unlock(m->lock_fd, m->lock_path);
	if (m->signal_fd >= 0)
		close(m->signal_fd);
	if (m->epoll_fd >= 0)
		close(m->epoll_fd);
	rebalance_free(m);
	free(m->seats);
	free(m->now.crl_text);
	free(m->before.crl_text);
	forget_configs(m);
	upgrade_end(m);
	notify_close(&m->notify);
	log_line(LOG_LEVEL_NOTICE, "vpnserverd has ended");
	runtime_tell(m->tell_first, m->exit_status);
}

void master_forget(void *master)
{
	struct master *m = master;
	manage_forget(m);
	steering_close(&m->steering);
	if (m->stats)
		stats_detach(&m->stats);
	events_close(&m->events);
	if (m->shm)
		shm_detach(&m->shm);
	forget_configs(m);
}
