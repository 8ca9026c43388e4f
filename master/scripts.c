/* SPDX-License-Identifier: MIT
 * When which script of the master runs, and births of the helper. */
#include "master/scripts.h"

#include "master/helper_plan.h"
#include "master/log.h"
#include "master/script.h"
#include "worker/orders.h"

#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { OWN_SCRIPT_MS = 60000, LAST_SCRIPT_MS = 15000 /* when the hub ends */ };

bool scripts_wanted_ever(const struct config *born)
{
	const struct scripts *s = &born->scripts;
	return s->client_connect || s->client_disconnect || s->up || s->down || s->route_up ||
	       s->route_pre_down;
}

/* -- up and down -- */

static void tell_output(void *context, const char *line, size_t len)
{
	char text[1024];
	int written = snprintf(text, sizeof(text), "%s: %.*s", (const char *)context, (int)len, line);
	log_foreign(
		LOG_LEVEL_NOTICE, text, (size_t)written < sizeof(text) ? (size_t)written : sizeof(text) - 1);
}

static struct environment base_environment(const struct master *m)
{
	struct environment e = { 0 };
	environment_of_hub(&e, m->now.config, m->tunnel.name, getpid(), m->started_unix);
	return e;
}

/* Runs one of the four. 0 or a negative errno after a log line. */
static int run(struct master *m, const char *type, const char *const *words, bool addresses,
	const char *context, span_ms limit)
{
	const char *argv[32];
	char mtu[16], local[INET_ADDRSTRLEN] = "", other[INET_ADDRSTRLEN] = "";
	const struct config *c = m->born;
	unsigned count = 0;

	if (!words)
		return 0;
	if (m->now.config->scripts.security < 2) {
		log_line(LOG_LEVEL_ERROR, "%s: script-security does not allow it to run", type);
		return -EPERM;
	}
	for (; words[count] && count < 20; count++)
		argv[count] = words[count];
	if (addresses) { /* DEVICE MTU 0 ADDRESS NETMASK-OR-REMOTE init|restart */
		bool netmask = c->topology == TOPOLOGY_SUBNET || c->tap;
		snprintf(mtu, sizeof(mtu), "%u", c->tun_mtu);
		if (c->ifconfig_on) {
			inet_ntop(AF_INET, &(struct in_addr){ htonl(c->local4) }, local, sizeof(local));
			inet_ntop(AF_INET, &(struct in_addr){ htonl(netmask ? c->netmask4 : c->remote4) },
				other, sizeof(other));
		}
		const char *more[] = { m->tunnel.name, mtu, "0", local, other, context };
		for (unsigned i = 0; i < sizeof(more) / sizeof(more[0]); i++)
			argv[count++] = more[i];
	}
	argv[count] = NULL;
	struct environment e = base_environment(m);
	environment_set(&e, "script_type", type);
	environment_set(&e, "script_context", context);
	if (m->end_signal && strcmp(type, "down") == 0)
		environment_set(&e, "signal", m->end_signal);
	int status = e.failed ? -ENOMEM
			      : script_run(argv, environment_vector(&e), limit, tell_output,
					(void *)(uintptr_t)type);
	environment_clear(&e);
	if (status > 0)
		log_line(LOG_LEVEL_ERROR, "%s %s ended with status %d", type, words[0], status);
	else if (status < 0)
		log_line(LOG_LEVEL_ERROR, "%s %s: %s", type, words[0], strerror(-status));
	return status > 0 ? -ECANCELED : status;
}

int scripts_up(struct master *m)
{
	const struct scripts *s = &m->now.config->scripts;
	int error = run(m, "up", s->up, true, "init", OWN_SCRIPT_MS);
	m->was_up = !error;
	if (!error)
		run(m, "route-up", s->route_up, false, "init", OWN_SCRIPT_MS);
	return error;
}

void scripts_before_down(struct master *m)
{
	if (!m->was_up)
		return;
	const struct scripts *s = &m->now.config->scripts;
	run(m, "route-pre-down", s->route_pre_down, false, "init", LAST_SCRIPT_MS);
	if (s->down_pre)
		run(m, "down", s->down, true, "init", LAST_SCRIPT_MS);
}

void scripts_after_down(struct master *m)
{
	if (m->was_up && !m->now.config->scripts.down_pre)
		run(m, "down", m->now.config->scripts.down, true, "init", LAST_SCRIPT_MS);
}

void scripts_restart(struct master *m)
{
	const struct scripts *s = &m->now.config->scripts;
	if (!s->up_restart || (!s->up && !s->down))
		return;
	pid_t pid = fork();
	if (pid < 0)
		log_line(LOG_LEVEL_ERROR, "up-restart: %s", strerror(errno));
	if (pid != 0)
		return; /* reaped with all others */
	m->end_signal = "sigusr1";
	run(m, "down", s->down, true, "restart", OWN_SCRIPT_MS);
	run(m, "up", s->up, true, "restart", OWN_SCRIPT_MS);
	_exit(0);
}

/* -- the helper -- */

static int bear(struct master *m)
{
	char error[HELPER_ERROR_MAX];
	struct helper_birth birth = { .uid = m->uid,
		.gid = m->gid,
		.sudo = m->born->scripts.sudo,
		.silent = m->born->daemonize,
		.forget = master_forget,
		.context = m };
	int result = helper_start(&birth, &m->helper, error);
	m->helper_born_at = master_now();
	if (result)
		log_line(LOG_LEVEL_ERROR, "%s", error);
	return result;
}

int scripts_start_helper(struct master *m)
{
	return helper_wanted(m->now.config) ? bear(m) : 0;
}

int scripts_tell_helper(struct master *m)
{
	if (m->helper.pid <= 0)
		return 0;
	struct environment e = base_environment(m);
	int error = helper_tell(&m->helper, m->now.config, &e);
	environment_clear(&e);
	if (error)
		log_line(LOG_LEVEL_ERROR, "The helper does not hear its plan: %s", strerror(-error));
	return error;
}

/* Its channel goes to each worker with an order; one that was not ready yet has been born without. */
static void connect_workers(struct master *m)
{
	for (unsigned w = 0; w < m->workers; w++) {
		if (m->seats[w].orders_fd < 0)
			continue;
		int fd = helper_channel(&m->helper, w);
		if (fd < 0 || !order_send(m->seats[w].orders_fd, ORDER_HELPER, 0, NULL, 0, fd))
			log_line(LOG_LEVEL_ERROR, "worker %u has no way to the helper", w);
		if (fd >= 0)
			close(fd);
	}
}

void scripts_helper_again(struct master *m)
{
	m->helper_at = MONO_NEVER;
	if (!helper_wanted(m->now.config))
		return;
	if (bear(m) || scripts_tell_helper(m)) {
		m->helper_at = master_now() + RESPAWN_MAX_MS;
		return;
	}
	master_note(m, EVENT_HELPER_STARTED, 0, NULL);
	supervise_watch_helper(m);
	estate_keep(m);
	connect_workers(m);
}

void scripts_helper_died(struct master *m)
{
	bool quick = master_now() - m->helper_born_at < STEADY_MS;
	helper_let_go(&m->helper);
	master_note(m, EVENT_HELPER_DIED, 0, NULL);
	log_line(LOG_LEVEL_ERROR, "The helper died: clients that wait for it are refused%s",
		quick ? "; the next one starts in a while" : "; a new one starts");
	m->helper_at = quick ? master_now() + RESPAWN_MAX_MS : master_now();
}
