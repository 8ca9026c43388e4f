/* SPDX-License-Identifier: MIT
 * SIGHUP: the configuration is read again, what can change does, workers are replaced one after another and
 * their sessions live on. If anything is wrong, everything stays as it was. What it will mean for whom is
 * reload_plan.c's business. */
#include "common/base/secret.h"
#include "master/findings.h"
#include "master/log.h"
#include "master/manage.h"
#include "master/helper_plan.h"
#include "master/master.h"
#include "master/runtime.h"
#include "master/reload_plan.h"
#include "master/scripts.h"
#include "worker/orders.h"
#include "worker/worker.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static const char RELOAD_FAILED[] = "Running; the last reload failed, the log says why";

int log_configure(const struct config *config)
{
	struct log_settings settings = { .file = config->log,
		.append = config->log_append,
		.use_syslog = config->use_syslog || (config->daemonize && !config->log),
		.suppress_timestamps = config->suppress_timestamps,
		.machine_readable = config->machine_readable,
		/* whoever starts a daemon should see why it does not; later standard error is closed off */
		.errors_to_stderr = config->errors_to_stderr || config->daemonize,
		.syslog_name = config->syslog_name,
		.verb = config->verb,
		.mute = config->mute };
	int error = log_open(&settings);
	if (error)
		log_line(LOG_LEVEL_ERROR, "log %s: %s", config->log, strerror(-error));
	return error;
}

/* -- what only a restart can change: it stays as it was born, and its name is told -- */

static bool same_text(const char *a, const char *b)
{
	return a && b ? strcmp(a, b) == 0 : a == b;
}

static bool same_listeners(const struct config *a, const struct config *b)
{
	if (a->listener_count != b->listener_count)
		return false;
	for (unsigned l = 0; l < a->listener_count; l++) {
		const struct listener *x = &a->listeners[l], *y = &b->listeners[l];
		if (x->proto != y->proto || x->v6only != y->v6only || x->address_len != y->address_len ||
			memcmp(&x->address, &y->address, x->address_len) != 0)
			return false;
	}
	return true;
}

static bool same_routes(const struct config *a, const struct config *b)
{
	if (a->route4_count != b->route4_count)
		return false;
	for (unsigned i = 0; i < a->route4_count; i++) {
		const struct route4 *x = &a->routes4[i], *y = &b->routes4[i];
		if (x->network != y->network || x->netmask != y->netmask || x->gateway != y->gateway ||
			x->metric != y->metric)
			return false;
	}
	return true;
}

static bool same_routes6(const struct config *a, const struct config *b)
{
	if (a->route6_count != b->route6_count)
		return false;
	for (unsigned i = 0; i < a->route6_count; i++) {
		const struct route6 *x = &a->routes6[i], *y = &b->routes6[i];
		if (!IN6_ARE_ADDR_EQUAL(&x->network, &y->network) ||
			!IN6_ARE_ADDR_EQUAL(&x->gateway, &y->gateway) || x->bits != y->bits ||
			x->has_gateway != y->has_gateway || x->metric != y->metric)
			return false;
	}
	return true;
}

/* Compares one member; if it differs, takes the born one and tells the directive's name. */
#define STAYS(directive, member)                                                                             \
	do {                                                                                                 \
		if (memcmp(&fresh->member, &born->member, sizeof(born->member)) != 0) {                      \
			memcpy(&fresh->member, &born->member, sizeof(born->member));                         \
			note_change(changed, room, directive);                                               \
		}                                                                                            \
	} while (0)
#define STAYS_TEXT(directive, member)                                                                        \
	do {                                                                                                 \
		if (!same_text(fresh->member, born->member))                                                 \
			note_change(changed, room, directive);                                               \
		fresh->member = born->member;                                                                \
	} while (0)

static void note_change(char *changed, size_t room, const char *directive)
{
	size_t len = strlen(changed);
	if (!strstr(changed, directive))
		snprintf(changed + len, room - len, "%s%s", len ? ", " : "", directive);
}

void reload_keep_born(struct config *fresh, const struct config *born, char *changed, size_t room)
{
	changed[0] = '\0';
	if (!same_listeners(fresh, born))
		note_change(changed, room, "local/port/proto");
	fresh->listeners = born->listeners;
	fresh->listener_count = born->listener_count;
	if (!same_routes(fresh, born))
		note_change(changed, room, "route");
	fresh->routes4 = born->routes4;
	fresh->route4_count = born->route4_count;
	if (!same_routes6(fresh, born))
		note_change(changed, room, "route-ipv6");
	fresh->routes6 = born->routes6;
	fresh->route6_count = born->route6_count;
	/* `server` pushes what clients need to reach it: those lines go with the network */
	if (fresh->server_network4 != born->server_network4 ||
		fresh->server_netmask4 != born->server_netmask4) {
		fresh->push = born->push;
		fresh->push_count = born->push_count;
	}
#define BORN(directive, member) STAYS(directive, member);
#define BORN_TEXT(directive, member) STAYS_TEXT(directive, member);
#include "master/born.def"
#undef BORN
#undef BORN_TEXT
}

/* -- generations -- */

static void generation_end(struct master *m, struct generation *g)
{
	if (g->config && g->config != m->born)
		config_free(&g->config);
	g->config = NULL;
	free(g->crl_text);
	g->crl_text = NULL;
	key_source_close(&g->key);
	keyholder_let_go(&g->keyholder); /* it ends with the last worker that has a channel to it */
}

/* A keyholder for this generation, or none if it has no key. False: `error` says why. */
static bool generation_keyholder(struct master *m, struct generation *g, char error[KEYHOLDER_ERROR_MAX])
{
	if (g->key.key_fd < 0)
		return true;
	struct keyholder_birth birth = { .source = g->key,
		.cert_pem = g->config->cert.bytes ? g->config->cert.bytes : "",
		.uid = m->uid,
		.gid = m->gid,
		.must_lock = g->config->mlock,
		.silent = m->born->daemonize,
		.forget = master_forget,
		.context = m };
	return keyholder_start(&birth, &g->keyholder, error) == 0;
}

static void enter_directory(const struct config *config)
{
	if (config->cd && chdir(config->cd) < 0)
		log_line(LOG_LEVEL_NOTICE, "WARNING: cd %s: %s", config->cd, strerror(errno));
}

/* It outlives reloads: it knows the clients that are there. */
static void change_helper(struct master *m)
{
	if (m->helper.pid > 0)
		scripts_tell_helper(m);
	else if (helper_wanted(m->now.config))
		scripts_helper_again(m);
}

/* -- a new generation: everything that can be wrong is found before anything changes -- */

static size_t signs_nothing(
	void *context, uint16_t algorithm, const uint8_t *input, size_t input_len, uint8_t *signature, size_t room)
{
	(void)context;
	(void)algorithm;
	(void)input;
	(void)input_len;
	(void)signature;
	(void)room;
	return 0;
}

/* Would a worker start with it? */
static bool worker_would_start(const struct config *config, char error[KEYHOLDER_ERROR_MAX])
{
	char why[VPN_ERROR_TEXT], warning[VPN_ERROR_TEXT];
	vpn_endpoint *endpoint = worker_endpoint(config, signs_nothing, NULL, why, warning);
	if (!endpoint) {
		snprintf(error, KEYHOLDER_ERROR_MAX, "%s", why);
		return false;
	}
	vpn_endpoint_free(&endpoint);
	return true;
}

/* Reads it; what is wrong with the files stands in `findings`, otherwise in `error`. We are in its directory
 * afterwards. */
static bool prepare(struct master *m, struct generation *fresh, struct findings *findings, char *changed, size_t room,
	char error[KEYHOLDER_ERROR_MAX])
{
	struct conf_report report = { .problem = findings_add, .context = findings };

	*fresh = (struct generation){ .number = m->generations + 1,
		.key = { .key_fd = -1, .passphrase_fd = -1 },
		.keyholder = { .pid = -1, .control = -1 } };
	snprintf(error, KEYHOLDER_ERROR_MAX, "errors in the configuration");
	if (m->start_directory >= 0 && fchdir(m->start_directory) < 0)
		log_line(LOG_LEVEL_NOTICE, "WARNING: the directory we were started in is gone");
	fresh->config = config_read(m->argc, m->argv, &report);
	if (!fresh->config)
		return false;
	if (scripts_wanted_ever(fresh->config) && !scripts_wanted_ever(m->born)) {
		snprintf(error, KEYHOLDER_ERROR_MAX,
			"it names scripts and the hub was started without any: this takes a restart");
		return false;
	}
	reload_keep_born(fresh->config, m->born, changed, room);
	enter_directory(fresh->config);
	if (!worker_would_start(fresh->config, error))
		return false;
	return (!fresh->config->key.path && !fresh->config->key.bytes) ||
	       key_source_open(fresh->config, &m->now.key, &fresh->key, error) == 0;
}

static bool start_keyholder(struct master *m, struct generation *fresh, char error[KEYHOLDER_ERROR_MAX])
{
	m->reading = fresh->config; /* for the keyholder to forget */
	bool held = generation_keyholder(m, fresh, error);
	m->reading = NULL;
	return held;
}

/* The key's file is not read here: another file, or another time, may be another key. */
static bool same_key(const struct generation *a, const struct generation *b)
{
	struct stat x, y;
	if (a->key.key_fd < 0 || b->key.key_fd < 0)
		return a->key.key_fd == b->key.key_fd;
	if (a->config->key.path && strcmp(a->config->key.path, "[inline]") == 0)
		return true; /* it stands in the configuration: compared there */
	return fstat(a->key.key_fd, &x) == 0 && fstat(b->key.key_fd, &y) == 0 && same_file(&x, &y);
}

int reload_plan(struct master *m, FILE *out)
{
	char error[KEYHOLDER_ERROR_MAX], changed[512];
	struct findings findings = { 0 };
	struct generation fresh;
	struct reload_plan plan = { 0 };

	bool good = prepare(m, &fresh, &findings, changed, sizeof(changed), error) && start_keyholder(m, &fresh, error);
	findings_print(out, &findings);
	findings_clear(&findings);
	if (good && !plan_make(&plan, m->now.config, fresh.config)) {
		snprintf(error, sizeof(error), "out of memory");
		good = false;
	}
	if (good) {
		plan.new_workers |= !same_key(&m->now, &fresh);
		plan_print(&plan, m->shm, out);
	} else {
		fprintf(out, "a reload would fail and change nothing: %s\n", error);
	}
	plan_clear(&plan);
	generation_end(m, &fresh);
	enter_directory(m->now.config);
	return good ? 0 : 1;
}

/* -- and into office -- */

static void log_change(void *context, const char *directive, enum conf_effect effect, const char *how)
{
	(void)context;
	log_line(LOG_LEVEL_NOTICE, "reload: %s %s: %s", directive, how, config_effect_text(effect));
}

/* What master, log and helper do differently now, and how many workers there are. */
static void settings_in_office(struct master *m)
{
	crl_reloaded(m);
	publish_dates(m);
	log_configure(m->now.config);
	manage_reloaded(m);
	change_helper(m);
	if (!roster_resize(m, roster_wanted(m, m->now.config)))
		log_line(LOG_LEVEL_NOTICE,
			"WARNING: hub.workers %u: there is room for %u until the next restart, so it is that many",
			m->now.config->workers, m->seat_count);
	m->status_at = m->now.config->status_file ? master_now() : MONO_NEVER;
}

/* Those whom the new settings do not allow any more, and those who can be told them. */
static void tell_sessions(struct master *m, const struct reload_plan *plan)
{
	sessions_end(m, plan, PLAN_RECONNECT);
	sessions_update(m, plan);
}

/* Nothing that workers know differs: they stay, and so does the keyholder. */
static void change_in_place(struct master *m, struct generation *fresh, const struct reload_plan *plan)
{
	struct generation old = m->now;
	const struct file_text *a = &old.config->crl, *b = &fresh->config->crl;
	bool other_crl = a->len != b->len || (a->len && memcmp(a->bytes, b->bytes, a->len) != 0);

	m->now.config = fresh->config;
	m->now.crl_text = NULL;
	fresh->config = NULL;
	old.key = fresh->key; /* that one goes */
	old.keyholder = fresh->keyholder;
	settings_in_office(m);
	if (other_crl)
		crl_resend(m);
	supervise_order_all(m, ORDER_VERB, m->now.config->verb);
	tell_sessions(m, plan);
	master_note(m, EVENT_RELOAD_DONE, 0, NULL);
	log_line(LOG_LEVEL_NOTICE, "Reload done: no worker had to be replaced");
	generation_end(m, &old);
	notify_ready(&m->notify, "Running");
}

static void roll(struct master *m, struct generation *fresh)
{
	supervise_unwatch_keyholder(m);
	m->before = m->now;
	m->now = *fresh;
	m->generations++;
	m->keyholder_born_at = master_now();
	m->keyholder_at = MONO_NEVER;
	supervise_watch_keyholder(m);
	settings_in_office(m);
	estate_keep(m);
	log_line(LOG_LEVEL_NOTICE, "Configuration read, workers are replaced one after another");
	supervise_roll(m);
}

bool reload(struct master *m)
{
	log_line(LOG_LEVEL_NOTICE, "SIGHUP received: reading the configuration again");
	char error[KEYHOLDER_ERROR_MAX], changed[512], summary[PLAN_SUMMARY_MAX];
	struct findings findings = { 0 };
	struct generation fresh;
	struct reload_plan plan = { 0 };
	struct plan_counts counts;
	if (m->before.config || m->upgrade.state != UPGRADE_NONE) {
		log_line(LOG_LEVEL_NOTICE, "%s is still going on: it is finished first",
			m->before.config ? "The reload before this one" : "An upgrade");
		m->reload_again = true;
		return true;
	}
	notify_reloading(&m->notify, "Reading the configuration again");
	bool good = prepare(m, &fresh, &findings, changed, sizeof(changed), error);
	findings_log(&findings);
	findings_clear(&findings);
	if (!good)
		goto failed;
	snprintf(error, sizeof(error), "out of memory");
	if (!plan_make(&plan, m->now.config, fresh.config))
		goto failed;
	plan.new_workers |= !same_key(&m->now, &fresh);
	if (plan.new_workers && !start_keyholder(m, &fresh, error))
		goto failed;

	config_changes(m->now.config, fresh.config, log_change, NULL);
	if (changed[0])
		log_line(LOG_LEVEL_NOTICE,
			"WARNING: a change of these takes a restart, they stay as they are: %s", changed);
	plan_count(&plan, m->shm, &counts);
	log_line(LOG_LEVEL_NOTICE, "reload: %s", plan_summary(&counts, summary));
	atomic_fetch_add(&m->stats->header->reloads, 1);
	atomic_store(&m->stats->header->reloaded_unix, time(NULL));
	master_note(m, EVENT_RELOAD_BEGUN, 0, summary);
	if (plan.new_workers)
		roll(m, &fresh);
	else
		change_in_place(m, &fresh, &plan);
	plan_clear(&plan);
	return true;
failed:
	plan_clear(&plan);
	master_note(m, EVENT_RELOAD_FAILED, 0, error);
	log_line(LOG_LEVEL_ERROR, "Reload failed, everything stays as it was: %s", error);
	generation_end(m, &fresh);
	enter_directory(m->now.config);
	notify_ready(&m->notify, RELOAD_FAILED);
	return false;
}

void reload_undo(struct master *m)
{
	master_note(m, EVENT_RELOAD_FAILED, 0, "a worker does not start with the new configuration");
	log_line(LOG_LEVEL_ERROR,
		"A worker does not start with the new configuration: back to the one before");
	generation_end(m, &m->now);
	m->now = m->before;
	supervise_watch_keyholder(m);
	m->before = (struct generation){ .key = { .key_fd = -1, .passphrase_fd = -1 },
		.keyholder = { .pid = -1, .control = -1 } };
	m->reload_again = false;
	settings_in_office(m);
	notify_ready(&m->notify, RELOAD_FAILED);
	if (m->now.key.key_fd >= 0 && m->now.keyholder.pid < 0)
		keyholder_reborn(m); /* it died while another was in office */
}

void reload_settled(struct master *m)
{
	struct reload_plan plan = { 0 };
	if (!m->before.config)
		return;
	/* Who connected meanwhile counts, too: so it is asked again. */
	if (plan_make(&plan, m->before.config, m->now.config))
		tell_sessions(m, &plan);
	plan_clear(&plan);
	generation_end(m, &m->before);
	m->before = (struct generation){ .key = { .key_fd = -1, .passphrase_fd = -1 },
		.keyholder = { .pid = -1, .control = -1 } };
	estate_keep(m);
	master_note(m, EVENT_RELOAD_DONE, 0, NULL);
	log_line(LOG_LEVEL_NOTICE, "Reload done: all workers run with the new configuration");
	notify_ready(&m->notify, "Running");
	if (m->reload_again) {
		m->reload_again = false;
		reload(m);
	}
}

void keyholder_reborn(struct master *m)
{
	char error[KEYHOLDER_ERROR_MAX];
	mono_ms now = master_now();
	/* one that dies at once and again must not keep us busy with births: until then no new sessions, the
	 * others go on */
	if (now - m->keyholder_born_at < STEADY_MS && m->keyholder_at == MONO_NEVER) {
		m->keyholder_at = now + RESPAWN_MAX_MS;
		log_line(LOG_LEVEL_ERROR, "The keyholder died again: the next one starts in %d ms",
			RESPAWN_MAX_MS);
		return;
	}
	m->keyholder_at = MONO_NEVER;
	m->keyholder_born_at = now;
	log_line(LOG_LEVEL_NOTICE, "The keyholder died; a new one starts, workers are replaced to reach it");
	if (!generation_keyholder(m, &m->now, error)) {
		log_line(LOG_LEVEL_ERROR, "%s; next try in %d ms", error, RESPAWN_MAX_MS);
		m->keyholder_at = now + RESPAWN_MAX_MS;
		return;
	}
	master_note(m, EVENT_KEYHOLDER_STARTED, 0, NULL);
	supervise_watch_keyholder(m);
	m->now.number = ++m->generations;
	estate_keep(m);
	supervise_roll(m);
}
