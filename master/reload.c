/* SPDX-License-Identifier: MIT
 * SIGHUP: the configuration is read again, what can change does, workers are replaced one after another and
 * their sessions live on. If anything is wrong, everything stays as it was. Also the CRL, which is looked at
 * every second. */
#include "common/base/secret.h"
#include "common/tls/tls.h"
#include "master/findings.h"
#include "master/log.h"
#include "master/manage.h"
#include "master/helper_plan.h"
#include "master/master.h"
#include "master/scripts.h"
#include "worker/orders.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
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

static struct config *read_again(struct master *m)
{
	struct findings findings = { 0 };
	struct conf_report report = { .problem = findings_add, .context = &findings };
	if (m->start_directory >= 0 && fchdir(m->start_directory) < 0)
		log_line(LOG_LEVEL_NOTICE, "WARNING: the directory we were started in is gone");
	struct config *fresh = config_read(m->argc, m->argv, &report);
	findings_log(&findings);
	findings_clear(&findings);
	return fresh;
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

void reload(struct master *m)
{
	log_line(LOG_LEVEL_NOTICE, "SIGHUP received: reading the configuration again");
	char error[KEYHOLDER_ERROR_MAX] = "errors in the configuration", changed[512];
	struct generation fresh = { .number = m->generations + 1,
		.key = { .key_fd = -1, .passphrase_fd = -1 },
		.keyholder = { .pid = -1, .control = -1 } };
	if (m->before.config) {
		log_line(LOG_LEVEL_NOTICE,
			"The reload before this one is still going on: it is finished first");
		m->reload_again = true;
		return;
	}
	notify_reloading(&m->notify, "Reading the configuration again");
	fresh.config = read_again(m);
	if (!fresh.config)
		goto failed;
	if (scripts_wanted_ever(fresh.config) && !scripts_wanted_ever(m->born)) {
		snprintf(error, sizeof(error),
			"it names scripts and the hub was started without any: this takes a restart");
		goto failed;
	}
	reload_keep_born(fresh.config, m->born, changed, sizeof(changed));
	enter_directory(fresh.config);
	if ((fresh.config->key.path || fresh.config->key.bytes) &&
		key_source_open(fresh.config, &m->now.key, &fresh.key, error))
		goto failed;
	m->reading = fresh.config; /* for the keyholder to forget */
	bool held = generation_keyholder(m, &fresh, error);
	m->reading = NULL;
	if (!held)
		goto failed;

	if (changed[0])
		log_line(LOG_LEVEL_NOTICE,
			"WARNING: a change of these takes a restart, they stay as they are: %s", changed);
	supervise_unwatch_keyholder(m);
	m->before = m->now;
	m->now = fresh;
	m->generations++;
	m->keyholder_born_at = master_now();
	m->keyholder_at = MONO_NEVER;
	memset(&m->crl_seen, 0, sizeof(m->crl_seen));
	log_configure(m->now.config);
	manage_reloaded(m);
	supervise_watch_keyholder(m);
	change_helper(m);
	m->status_at = m->now.config->status_file ? master_now() : MONO_NEVER;
	atomic_fetch_add(&m->stats->header->reloads, 1);
	atomic_store(&m->stats->header->reloaded_unix, time(NULL));
	publish_dates(m);
	master_note(m, EVENT_RELOAD_BEGUN, 0, changed[0] ? changed : NULL);
	log_line(LOG_LEVEL_NOTICE, "Configuration read, workers are replaced one after another");
	if (!roster_resize(m, roster_wanted(m, m->now.config)))
		log_line(LOG_LEVEL_NOTICE,
			"WARNING: hub.workers %u: there is room for %u until the next restart, so it is that many",
			m->now.config->workers, m->seat_count);
	supervise_roll(m);
	return;
failed:
	master_note(m, EVENT_RELOAD_FAILED, 0, error);
	log_line(LOG_LEVEL_ERROR, "Reload failed, everything stays as it was: %s", error);
	generation_end(m, &fresh);
	enter_directory(m->now.config);
	notify_ready(&m->notify, RELOAD_FAILED);
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
	memset(&m->crl_seen, 0, sizeof(m->crl_seen));
	publish_dates(m);
	log_configure(m->now.config);
	change_helper(m);
	roster_resize(m, roster_wanted(m, m->now.config));
	m->status_at = m->now.config->status_file ? master_now() : MONO_NEVER;
	notify_ready(&m->notify, RELOAD_FAILED);
	if (m->now.key.key_fd >= 0 && m->now.keyholder.pid < 0)
		keyholder_reborn(m); /* it died while another was in office */
}

void reload_settled(struct master *m)
{
	if (!m->before.config)
		return;
	generation_end(m, &m->before);
	m->before = (struct generation){ .key = { .key_fd = -1, .passphrase_fd = -1 },
		.keyholder = { .pid = -1, .control = -1 } };
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
	if (now - m->keyholder_born_at < QUICK_DEATH_MS && m->keyholder_at == MONO_NEVER) {
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
	supervise_roll(m);
}

/* -- the CRL -- */

void publish_dates(struct master *m)
{
	const struct config *config = m->now.config;
	int64_t certificate = 0, crl = 0;
	if (!config->cert.bytes || !tls_certificate_ends(config->cert.bytes, &certificate))
		certificate = 0;
	if (config->crl_is_dir || !config->crl.bytes || !tls_crl_ends(config->crl.bytes, &crl))
		crl = 0;
	atomic_store(&m->stats->header->certificate_ends_unix, certificate);
	atomic_store(&m->stats->header->crl_ends_unix, crl);
}

static char *read_file(const char *path, size_t *len, struct stat *seen)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK); /* a FIFO must not hold us up */
	if (fd < 0)
		return NULL;
	char *text = NULL;
	size_t have = 0;
	if (fstat(fd, seen) == 0 && S_ISREG(seen->st_mode) && seen->st_size < CONFIG_CRL_MAX)
		text = malloc((size_t)seen->st_size + 1);
	for (ssize_t n; text && have < (size_t)seen->st_size; have += (size_t)n)
		if ((n = read(fd, text + have, (size_t)seen->st_size - have)) <= 0)
			break;
	close(fd);
	if (text)
		text[have] = '\0';
	*len = have;
	return text;
}

/* Would the workers take it? Asked here, so that a worker born later does not fail on what its elders
 * refused. */
static bool crl_good(const struct config *config, const char *text, char error[TLS_REASON_MAX])
{
	char warning[TLS_REASON_MAX];
	struct tls_settings settings = { .ca_pem = config->ca.bytes };
	struct tls_context *context = tls_context_new(&settings, error, warning);
	bool good = context && tls_context_set_crl(context, text, error);
	if (context)
		tls_context_free(&context);
	return good;
}

/* To those who still need it. */
static void send_crl(struct master *m, const char *text, size_t len)
{
	for (unsigned w = 0; w < m->workers; w++) {
		if (m->seats[w].orders_fd < 0 || !m->seats[w].crl_owed)
			continue;
		/* one each: a worker could move the position of a shared one */
		int fd = memfd_create("crl", MFD_CLOEXEC | MFD_ALLOW_SEALING);
		bool sent = fd >= 0 && write(fd, text, len) == (ssize_t)len && lseek(fd, 0, SEEK_SET) == 0 &&
			    fcntl(fd, F_ADD_SEALS,
				    F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL) == 0 &&
			    order_send(m->seats[w].orders_fd, ORDER_CRL, 0, NULL, 0, fd);
		m->seats[w].crl_owed = !sent;
		if (!sent)
			log_line(LOG_LEVEL_NOTICE, "WARNING: worker %u could not be told the new CRL yet", w);
		if (fd >= 0)
			close(fd);
	}
}

static bool same_file(const struct stat *a, const struct stat *b)
{
	return a->st_ino == b->st_ino && a->st_dev == b->st_dev && a->st_size == b->st_size &&
	       a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

void crl_watch(struct master *m)
{
	struct config *config = m->now.config;
	struct stat seen;
	if (!config->crl.bytes || config->crl_is_dir || strcmp(config->crl.path, "[inline]") == 0)
		return;
	send_crl(m, config->crl.bytes, config->crl.len);
	if (stat(config->crl.path, &seen) < 0)
		memset(&seen, 0xff, sizeof(seen)); /* one that is missing is told once, too */
	if (same_file(&seen, &m->crl_seen))
		return;
	m->crl_seen = seen;
	size_t len = 0;
	char error[TLS_REASON_MAX] = "cannot be read",
	     *text = read_file(config->crl.path, &len, &m->crl_seen);
	bool known = text && len == config->crl.len && memcmp(text, config->crl.bytes, len) == 0;
	if (known || !text || !crl_good(config, text, error)) {
		if (!known) {
			master_note(m, EVENT_CRL_REFUSED, 0, error);
			log_line(LOG_LEVEL_NOTICE, "WARNING: crl-verify %s: %s; the old one stays in force",
				config->crl.path, error);
		}
		free(text);
		return;
	}
	free(m->now.crl_text);
	m->now.crl_text = text;
	config->crl.bytes = text;
	config->crl.len = len;
	master_note(m, EVENT_CRL_CHANGED, 0, NULL);
	publish_dates(m);
	log_line(LOG_LEVEL_NOTICE, "crl-verify %s: changed, read again", config->crl.path);
	for (unsigned w = 0; w < m->workers; w++)
		m->seats[w].crl_owed = true;
	send_crl(m, text, len);
}
