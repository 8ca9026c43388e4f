/* SPDX-License-Identifier: MIT
 * The CRL's file: looked at every second, read again when it changed, sent to the workers. One that is gone or
 * broken keeps everybody out who is not in yet, as an outdated one does: who is revoked by now is not known. */
#include "common/tls/tls.h"
#include "master/log.h"
#include "master/master.h"
#include "master/runtime.h"
#include "worker/orders.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

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

/* One memfd each: a worker could move the position of a shared one. False: try again. */
static bool send_text(int orders_fd, const char *text, size_t len)
{
	int fd = memfd_create("crl", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	bool sent = fd >= 0 && write(fd, text, len) == (ssize_t)len && lseek(fd, 0, SEEK_SET) == 0 &&
		    fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL) == 0 &&
		    order_send(orders_fd, ORDER_CRL, 0, NULL, 0, fd);
	if (fd >= 0)
		close(fd);
	return sent;
}

/* To those who still need it; or the word that there is none any more. */
static void send_crl(struct master *m)
{
	const struct file_text *crl = &m->now.config->crl;
	for (unsigned w = 0; w < m->workers; w++) {
		struct seat *seat = &m->seats[w];
		if (seat->orders_fd < 0 || !seat->crl_owed)
			continue;
		seat->crl_owed = crl_lost(m) ? !order_send(seat->orders_fd, ORDER_CRL, 1, NULL, 0, -1)
					     : !send_text(seat->orders_fd, crl->bytes, crl->len);
		if (seat->crl_owed)
			log_line(LOG_LEVEL_NOTICE, "WARNING: worker %u could not be told the new CRL yet", w);
	}
}

void crl_resend(struct master *m)
{
	for (unsigned w = 0; w < m->workers; w++)
		m->seats[w].crl_owed = true;
}

bool crl_lost(const struct master *m)
{
	return m->crl_bad > CRL_PATIENCE;
}

/* It may be good again, or another one; workers that were told of the loss must hear of that. */
static void end_of_trouble(struct master *m)
{
	if (crl_lost(m)) {
		master_note(m, EVENT_CRL_FOUND, 0, NULL);
		crl_resend(m);
	}
	m->crl_bad = 0;
	atomic_store(&m->stats->header->crl_lost_unix, 0);
}

void crl_reloaded(struct master *m)
{
	memset(&m->crl_seen, 0, sizeof(m->crl_seen));
	end_of_trouble(m);
}

/* It is gone, or no CRL: told once, however often it changes until it is good again. */
static void trouble(struct master *m, const char *error)
{
	if (m->crl_bad)
		return;
	m->crl_bad = 1;
	master_note(m, EVENT_CRL_REFUSED, 0, error);
	log_line(LOG_LEVEL_NOTICE,
		"WARNING: crl-verify %s: %s; the old one stays in force, after %d s only for clients that are there",
		m->now.config->crl.path, error, CRL_PATIENCE);
}

static void lose_crl(struct master *m)
{
	const char *path = m->now.config->crl.path;
	atomic_store(&m->stats->header->crl_lost_unix, (unix_s)time(NULL));
	master_note(m, EVENT_CRL_LOST, 0, path);
	log_line(LOG_LEVEL_ERROR, "crl-verify %s: of no use for %d s: nobody new is let in until it is good again", path,
		CRL_PATIENCE);
	crl_resend(m);
}

static void take_text(struct master *m, char *text, size_t len)
{
	struct config *config = m->now.config;
	free(m->now.crl_text);
	m->now.crl_text = text;
	config->crl.bytes = text;
	config->crl.len = len;
	master_note(m, EVENT_CRL_CHANGED, 0, NULL);
	publish_dates(m);
	log_line(LOG_LEVEL_NOTICE, "crl-verify %s: changed, read again", config->crl.path);
	crl_resend(m);
	m->check_sessions = true;
}

static void read_again(struct master *m)
{
	const struct config *config = m->now.config;
	size_t len = 0;
	char error[TLS_REASON_MAX] = "cannot be read",
	     *text = read_file(config->crl.path, &len, &m->crl_seen);
	bool known = text && len == config->crl.len && memcmp(text, config->crl.bytes, len) == 0;
	if (!text) /* why may change without a trace in what stat() says: it is tried again */
		memset(&m->crl_seen, 0, sizeof(m->crl_seen));
	if (!text || (!known && !crl_good(config, text, error))) {
		trouble(m, error);
		free(text);
		return;
	}
	if (m->crl_bad && known)
		log_line(LOG_LEVEL_NOTICE, "crl-verify %s: is there again, as it was", config->crl.path);
	end_of_trouble(m);
	if (known)
		free(text);
	else
		take_text(m, text, len);
}

void crl_watch(struct master *m)
{
	const struct config *config = m->now.config;
	struct stat seen;
	if (!config->crl.bytes || config->crl_is_dir || strcmp(config->crl.path, "[inline]") == 0)
		return;
	if (stat(config->crl.path, &seen) < 0)
		memset(&seen, 0xff, sizeof(seen));
	if (!same_file(&seen, &m->crl_seen)) {
		m->crl_seen = seen;
		read_again(m);
	}
	if (m->crl_bad && !crl_lost(m) && ++m->crl_bad > CRL_PATIENCE)
		lose_crl(m);
	send_crl(m);
}
