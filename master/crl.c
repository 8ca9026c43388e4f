/* SPDX-License-Identifier: MIT
 * The CRL's file: looked at every second, read again when it changed, sent to the workers. */
#include "common/tls/tls.h"
#include "master/log.h"
#include "master/master.h"
#include "master/runtime.h"
#include "worker/orders.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
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

void crl_resend(struct master *m)
{
	for (unsigned w = 0; w < m->workers; w++)
		m->seats[w].crl_owed = true;
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
	crl_resend(m);
	send_crl(m, text, len);
	m->check_sessions = true;
}
