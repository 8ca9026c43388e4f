/* SPDX-License-Identifier: MIT
 * The side that comes: what start.c does, for a hub that is there already. Nothing that serves is touched until all of
 * it stands, and the program before us can be put back for as long as not every worker is of this one. */
#include "master/findings.h"
#include "master/helper_plan.h"
#include "master/log.h"
#include "master/manage.h"
#include "master/master.h"
#include "master/privilege.h"
#include "master/runtime.h"
#include "master/scripts.h"
#include "worker/helper_wire.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <unistd.h>

/* -- the configuration: what may change does, as in a reload -- */

static int adopt_config(struct master *m)
{
	struct findings findings = { 0 }; /* told already */
	struct conf_report report = { .problem = findings_add, .context = &findings };
	char changed[512];
	m->now.config = config_read(m->argc, m->argv, &report);
	findings_clear(&findings);
	if (!m->now.config) {
		m->now.config = m->born;
		return -EINVAL;
	}
	if (!estate_born_read(estate_record(&m->upgrade.found, ESTATE_BORN), m->born, &m->upgrade.born))
		return -EINVAL;
	if (m->upgrade.confined && !m->upgrade.hub->scripts && scripts_wanted_ever(m->now.config)) {
		log_line(LOG_LEVEL_ERROR, "The configuration names scripts and the hub was started without any: this "
					  "takes a restart");
		return -EPERM;
	}
	reload_keep_born(m->now.config, m->born, changed, sizeof(changed));
	if (changed[0])
		log_line(LOG_LEVEL_NOTICE,
			"WARNING: a change of these takes a restart, they stay as they are: %s", changed);
	return 0;
}

/* -- what the kernel has for us -- */

__attribute__((format(printf, 2, 3))) static int take(struct master *m, const char *format, ...)
{
	char name[ESTATE_NAME_ROOM];
	va_list args;
	va_start(args, format);
	vsnprintf(name, sizeof(name), format, args);
	va_end(args);
	int fd = estate_take(&m->upgrade.found, name);
	if (fd < 0)
		log_line(LOG_LEVEL_ERROR, "The estate has no %s", name);
	return fd;
}

static int adopt_listeners(struct master *m)
{
	struct listeners *l = &m->listeners;
	*l = (struct listeners){ .workers = m->workers, .count = m->born->listener_count };
	if (m->upgrade.hub->listeners != l->count)
		return -EINVAL;
	l->fds = malloc((l->workers * l->count + 1) * sizeof(*l->fds));
	if (!l->fds)
		return -ENOMEM;
	for (unsigned i = 0; i < l->workers * l->count; i++)
		l->fds[i] = -1;
	for (unsigned i = 0; i < l->workers * l->count; i++)
		if ((l->fds[i] = take(m, "link-%u-%u", i / l->count, i % l->count)) < 0)
			return -EBADF;
	return 0;
}

static int adopt_tunnel(struct master *m)
{
	const struct estate_hub *h = m->upgrade.hub;
	struct tunnel *t = &m->tunnel;
	*t = (struct tunnel){ .workers = m->workers,
		.index = (unsigned)h->device_index,
		.multi_queue = h->multi_queue,
		.trains = h->trains,
		.udp_trains = h->udp_trains,
		.persistent = h->persistent };
	memcpy(t->name, h->device, sizeof(t->name));
	t->queues = malloc(t->workers * sizeof(*t->queues));
	if (!t->queues)
		return -ENOMEM;
	for (unsigned w = 0; w < t->workers; w++)
		t->queues[w] = -1;
	for (unsigned w = 0; t->name[0] && w < t->workers; w++) {
		t->queues[w] = w && !t->multi_queue ? fcntl(t->queues[0], F_DUPFD_CLOEXEC, 3) : take(m, "tun-%u", w);
		if (t->queues[w] < 0)
			return -EBADF;
	}
	return 0;
}

static int adopt_routes(struct master *m)
{
	struct bytes record = estate_record(&m->upgrade.found, ESTATE_ROUTES);
	size_t count = m->born->route4_count + m->born->route6_count;
	m->routes_added = calloc(count + 1, sizeof(bool));
	for (size_t i = 0; m->routes_added && i < count; i++)
		m->routes_added[i] = read_u8(&record) != 0;
	return m->routes_added ? 0 : -ENOMEM;
}

static int adopt_wakers(struct master *m)
{
	for (unsigned w = 0; w < m->seat_count; w++)
		if ((m->wake_fds[w] = take(m, "wake-%u", w)) < 0)
			return -EBADF;
	return 0;
}

/* Without it packets find their worker by hash and handover, as when it never was. */
static void adopt_steering(struct master *m)
{
	const struct estate_hub *h = m->upgrade.hub;
	if (!h->steering_peers)
		return;
	m->steering = (struct steering){ .peer_count = (uint32_t)h->steering_peers,
		.pool_count = (uint32_t)h->steering_pool,
		.pool4_first = (uint32_t)h->pool4_first,
		.attached = h->steered,
		.link_program = estate_take(&m->upgrade.found, "steer-link"),
		.tunnel_program = estate_take(&m->upgrade.found, "steer-tunnel"),
		.peers_map = estate_take(&m->upgrade.found, "steer-peers"),
		.pool_map = estate_take(&m->upgrade.found, "steer-pool"),
		.chosen_map = estate_take(&m->upgrade.found, "steer-chosen") };
	int error = steering_adopt(&m->steering);
	if (error)
		log_line(LOG_LEVEL_NOTICE, "WARNING: the tables of owners cannot be mapped: %s", strerror(-error));
}

static int adopt_segments(struct master *m)
{
	char error[256] = "it is missing";
	struct estate_hub *h = m->upgrade.hub;
	int state = estate_take(&m->upgrade.found, "state"), stats = estate_take(&m->upgrade.found, "stats");
	if (!h->fresh) {
		if (state >= 0)
			m->shm = shm_attach(state, error, sizeof(error));
		if (!m->shm) {
			log_line(LOG_LEVEL_ERROR, "The state segment cannot be taken over: %s", error);
			return -EINVAL;
		}
		if (m->shm->sizes.workers != m->seat_count || m->shm->sizes.max_clients != m->born->max_clients)
			return -EINVAL;
		if (stats >= 0)
			m->stats = stats_attach(stats, h->stats_path, error, sizeof(error));
		if (!m->stats)
			log_line(LOG_LEVEL_NOTICE, "Statistics begin anew: %s", error);
	}
	if (m->stats) {
		stats_mark_version(m->stats, VPNSERVERD_VERSION);
		stats_mark_master(m->stats);
	}
	return start_segments(m);
}

/* -- the others -- */

/* What is at the other end of a channel has not closed it. */
static bool open_there(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	return poll(&p, 1, 0) >= 0 && !(p.revents & (POLLHUP | POLLERR | POLLNVAL));
}

/* A pid may be another's by now. But whoever had our channel still has it after the pidfd was there: it lived then, so
 * the pidfd is its own. False: it is gone. */
static bool still_lives(pid_t pid, int channel, int *pid_fd)
{
	*pid_fd = pid > 1 ? pidfd_open(pid, 0) : -1;
	if (*pid_fd >= 0 && open_there(channel))
		return true;
	if (*pid_fd >= 0)
		close(*pid_fd);
	*pid_fd = -1;
	return false;
}

static void adopt_seats(struct master *m)
{
	struct upgrade *u = &m->upgrade;
	mono_ms now = master_now();
	for (unsigned w = 0; w < m->workers; w++) {
		struct seat *seat = &m->seats[w];
		struct estate_seat left;
		char name[ESTATE_NAME_ROOM];
		seat->respawn_at = now;
		seat->had_one = !u->hub->fresh;
		if (!estate_seat_read(&u->found, w, &left))
			continue;
		seat->drained = left.drained;
		seat->shunned = left.shunned;
		seat->quick_deaths = left.quick_deaths;
		if (left.pid <= 1)
			continue;
		snprintf(name, sizeof(name), "orders-%u", left.serial);
		int orders = estate_take(&u->found, name);
		if (orders < 0)
			continue;
		if (u->stored && !still_lives((pid_t)left.pid, orders, &seat->pid_fd)) {
			log_line(LOG_LEVEL_NOTICE, "worker %u (pid %lld) is gone", w, (long long)left.pid);
			close(orders);
			continue;
		}
		seat->pid = (pid_t)left.pid;
		seat->orders_fd = orders;
		seat->serial = left.serial;
		seat->generation = left.generation;
		seat->ready = left.ready;
		seat->born_at = now;
		seat->respawn_at = MONO_NEVER;
		seat->kill_at = left.ready ? MONO_NEVER : now + READY_DEADLINE_MS;
	}
}

static int adopt_helper(struct master *m)
{
	struct upgrade *u = &m->upgrade;
	char name[ESTATE_NAME_ROOM];
	pid_t pid = (pid_t)u->hub->helper_pid;
	snprintf(name, sizeof(name), "helper-%ld", (long)pid);
	int pid_fd = -1, control = estate_take(&u->found, name);
	bool same = pid > 1 && control >= 0 && u->hub->helper_wire == helper_wire_layout();
	if (same && (!u->stored || still_lives(pid, control, &pid_fd))) {
		m->helper = (struct helper){ .pid = pid, .control = control, .pid_fd = pid_fd };
		m->helper_born_at = master_now();
		return scripts_tell_helper(m);
	}
	/* one that speaks otherwise: who waits for it begins anew. Not let go, it would bid all clients farewell */
	if (pid > 1 && !u->stored)
		kill(pid, SIGKILL);
	if (control >= 0)
		close(control);
	int error = scripts_start_helper(m);
	return error ? error : scripts_tell_helper(m);
}

static int adopt_keyholder(struct master *m)
{
	struct upgrade *u = &m->upgrade;
	char name[ESTATE_NAME_ROOM], error[KEYHOLDER_ERROR_MAX];
	pid_t pid = (pid_t)u->hub->keyholder_pid;
	snprintf(name, sizeof(name), "keyholder-%ld", (long)pid);
	struct keyholder theirs = { .pid = u->stored || pid <= 1 ? -1 : pid,
		.control = estate_take(&u->found, name) };
	struct key_source key = { .key_fd = estate_take(&u->found, "key"),
		.passphrase_fd = estate_take(&u->found, "passphrase") };
	if (u->back[0]) {
		m->now.keyholder = theirs;
		m->now.key = key;
		m->keyholder_born_at = master_now();
		return 0;
	}
	m->before.keyholder = theirs;
	m->before.key = key;
	if (!m->now.config->key.path && !m->now.config->key.bytes)
		return 0;
	int result = key_source_open(m->now.config, &key, &m->now.key, error);
	if (result) {
		log_line(LOG_LEVEL_ERROR, "%s", error);
		return result;
	}
	return start_first_keyholder(m);
}

/* -- the order -- */

static void take_numbers(struct master *m)
{
	struct upgrade *u = &m->upgrade;
	const struct estate_hub *h = u->hub;
	m->started_unix = (long long)h->started_unix;
	m->was_up = h->was_up;
	m->pid_file_written = h->pid_file && !u->stored;
	m->before.number = (unsigned)h->number;
	m->generations = (unsigned)h->generations + (u->back[0] ? 0 : 1);
	m->now.number = u->back[0] ? (unsigned)h->number : m->generations;
	memcpy(m->lock_path, h->lock_path, sizeof(m->lock_path));
}

static int adopt_in_order(struct master *m)
{
	int error;
	log_go_on();
	if ((error = start_directory(m->now.config)))
		return error;
	if ((error = log_configure(m->now.config)))
		return error;
	log_line(LOG_LEVEL_NOTICE, "vpnserverd %s goes on where %s version %s %s", VPNSERVERD_VERSION,
		m->upgrade.stored ? "a master that died," : "its predecessor,", m->upgrade.hub->version,
		m->upgrade.stored ? "left it" : "was");
	if (m->warnings)
		findings_log(m->warnings);
	if ((error = adopt_config(m)))
		return error;
	if ((error = privilege_account(m->now.config, &m->uid, &m->gid)))
		return error;
	if ((error = start_seats(m, (unsigned)m->upgrade.hub->workers, (unsigned)m->upgrade.hub->seats)))
		return error;
	if ((error = start_limits(m)))
		return error;
	if ((error = start_signals(m)))
		return error;
	m->workers_wanted = (unsigned)m->upgrade.hub->workers_wanted;
	take_numbers(m);
	if ((m->lock_fd = take(m, "lock")) < 0)
		return -EBADF;
	if ((error = manage_open(m)))
		return error;
	if ((error = adopt_keyholder(m))) /* before there is shared memory that its copy of us would contain */
		return error;
	if ((error = adopt_listeners(m)))
		return error;
	if ((error = adopt_tunnel(m)))
		return error;
	if ((error = adopt_routes(m)))
		return error;
	if ((error = adopt_helper(m)))
		return error;
	if ((error = adopt_wakers(m)))
		return error;
	adopt_steering(m);
	if ((error = adopt_segments(m)))
		return error;
	adopt_seats(m);
	return supervise_running(m);
}

int master_adopt(struct master *m)
{
	struct upgrade *u = &m->upgrade;
	prctl(PR_SET_NAME, "vpnserverd"); /* what is executed through a descriptor is named after its number */
	int error = adopt_in_order(m);
	if (error)
		return error;
	upgrade_unguard();
	guardian_release(u);
	estate_clear(&u->found);
	manage_state(m, "CONNECTED", "SUCCESS");
	if (u->back[0] || u->heir[0])
		upgrade_failed(m, u->back[0] ? u->back : u->heir);
	if (!u->back[0]) {
		u->state = UPGRADE_SETTLING;
		u->deadline = u->stored ? MONO_NEVER : master_now() + SETTLE_DEADLINE_MS;
	}
	estate_keep(m);
	return 0;
}

int upgrade_left_door(struct master *m, unsigned door)
{
	char name[ESTATE_NAME_ROOM];
	snprintf(name, sizeof(name), "manage-%u", door);
	return m->upgrade.hub ? estate_take(&m->upgrade.found, name) : -1;
}

bool upgrade_left_alone(const struct master *m)
{
	return m->upgrade.hub && m->upgrade.stored && !m->upgrade.heir[0];
}

void upgrade_settled(struct master *m)
{
	struct upgrade *u = &m->upgrade;
	if (u->state != UPGRADE_SETTLING)
		return;
	u->state = UPGRADE_NONE;
	u->deadline = MONO_NEVER;
	keyholder_let_go(&m->before.keyholder);
	key_source_close(&m->before.key);
	if (u->old_program >= 0)
		close(u->old_program);
	u->old_program = -1;
	estate_keep(m);
	upgrade_done(m);
	/* what a reload would have changed, and could not while workers were exchanged */
	if (!roster_resize(m, roster_wanted(m, m->now.config)))
		log_line(LOG_LEVEL_NOTICE, "WARNING: hub.workers %u: there is room for %u until the next restart",
			m->now.config->workers, m->seat_count);
}

void upgrade_go_back(struct master *m, const char *why)
{
	struct upgrade *u = &m->upgrade;
	if (!u->hub || u->old_program < 0)
		return;
	log_line(LOG_LEVEL_ERROR, "This program cannot go on (%s): the one before it does", why);
	int error = u->found.body ? upgrade_exec_found(m, why) : upgrade_exec(m, why);
	log_line(LOG_LEVEL_ERROR, "The one before cannot be executed: %s", strerror(-error));
}
