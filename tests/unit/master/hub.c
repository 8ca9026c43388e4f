/* SPDX-License-Identifier: MIT
 * The master in a process of its own, and worker_run() as these tests need it. */
#include "hub.h"

#include "conf/config.h"
#include "master/findings.h"
#include "master/keygen.h"
#include "master/log.h"
#include "master/master.h"
#include "shm/stats.h"
#include "worker/keyholder_wire.h"
#include "worker/orders.h"
#include "worker/worker.h"

#include <check.h>
#include <dirent.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

struct fake *fake;

/* -- the worker -- */

static bool announced(const struct inherited *in, int fd)
{
	bool known = fd <= 2 || fd == in->orders_fd || fd == in->keyholder_fd || fd == in->helper_fd ||
		     fd == in->tun_fd;
	for (unsigned i = 0; i < in->link_count; i++)
		known |= fd == in->link_fds[i];
	for (unsigned i = 0; i < in->workers; i++)
		known |= fd == in->wake_fds[i];
	return known;
}

static void count_strays(const struct inherited *in)
{
	DIR *open_ones = opendir("/proc/self/fd");
	if (!open_ones)
		return; /* another uid's, since we are not dumpable */
	for (const struct dirent *d; (d = readdir(open_ones));)
		if (d->d_name[0] != '.' && atoi(d->d_name) != dirfd(open_ones) &&
			!announced(in, atoi(d->d_name)))
			fake->stray_fds++;
	closedir(open_ones);
}

static void ask_keyholder(const struct inherited *in)
{
	struct keyholder_request request = { .id = 9, .algorithm = 0x0403, .input_len = 130 };
	memset(request.input, ' ', 64);
	memcpy(request.input + 64, "TLS 1.3, server CertificateVerify", 34);
	struct keyholder_answer answer;
	struct pollfd p = { .fd = in->keyholder_fd, .events = POLLIN };
	if (send(in->keyholder_fd, &request, KEYHOLDER_HEAD + 130, 0) > 0 && poll(&p, 1, 2000) > 0 &&
		recv(in->keyholder_fd, &answer, sizeof(answer), 0) > KEYHOLDER_HEAD && answer.id == 9)
		fake->signatures++;
}

static void watch_secrets(const struct inherited *in, uint8_t last[SHM_SECRET_LEN])
{
	uint8_t now[SHM_SECRET_LEN], before[SHM_SECRET_LEN];
	shm_secrets(in->shm, now, before);
	if (memcmp(now, last, sizeof(now)) == 0)
		return;
	fake->secrets++;
	fake->secrets_lost += memcmp(before, last, sizeof(before)) != 0;
	memcpy(last, now, sizeof(now));
}

int worker_run(const struct inherited *in)
{
	uint8_t secret[SHM_SECRET_LEN], before[SHM_SECRET_LEN];
	shm_secrets(in->shm, secret, before);
	unsigned i = in->index;
	for (int signal_number = SIGHUP; signal_number <= SIGTERM; signal_number++)
		if (signal_number != SIGKILL && signal_number != SIGSEGV)
			signal(signal_number, SIG_IGN);
	fake->pids[i] = getpid();
	fake->verbs[i] = in->config->verb;
	fake->epochs[i] = in->epoch;
	fake->crl_losses += in->crl_lost;
	fake->successors[i] = in->successor;
	fake->ready[i] = 0;
	fake->births[i]++;
	count_strays(in);
	if (fake->fail_at_verb && in->config->verb == fake->fail_at_verb)
		return 3;
	if (in->keyholder_fd >= 0)
		ask_keyholder(in);
	order_send(in->orders_fd, ANSWER_LOG, 1, "hello\nfrom a worker", 19, -1);
	order_send(in->orders_fd, ANSWER_READY, 0, NULL, 0, -1);
	fake->ready[i] = 1;
	if (fake->die_at_once > 0) {
		fake->die_at_once--;
		raise(SIGSEGV);
	}
	for (;;) {
		struct order order;
		int fd, got;
		struct pollfd p = { .fd = in->orders_fd, .events = POLLIN };
		if (fake->beating)
			stats_heartbeat(stats_worker(in->stats, i), time(NULL), 0, 0);
		poll(&p, 1, 20);
		if (i == 0)
			watch_secrets(in, secret);
		if (fake->insisting)
			order_send(in->orders_fd, ANSWER_READY, 0, NULL, 0, -1);
		if (fake->deaf)
			continue;
		if ((got = order_receive(in->orders_fd, &order, &fd)) < 0)
			return 4;
		if (!got)
			continue;
		if (order.kind == ORDER_VERB)
			fake->verbs[i] = order.value;
		if (order.kind == ORDER_STOP) {
			fake->stop_value = order.value;
			if (!fake->stubborn)
				return 0;
		} else if (order.kind == ORDER_LEAVE) {
			fake->leaves++;
			if (!fake->stubborn)
				return 0;
		} else if (order.kind == ORDER_RESTART_ALL) {
			fake->restarts++;
		} else if (order.kind == ORDER_CRL) {
			struct stat s;
			fake->crl_losses += order.value == 1 && fd < 0;
			fake->crl_len = fd >= 0 && fstat(fd, &s) == 0 ? (int)s.st_size : -1;
			fake->crls += fd >= 0;
		}
		if (fd >= 0)
			close(fd);
	}
}

/* -- the hub -- */

const char *hub_path(struct hub *hub, const char *name)
{
	static char paths[8][128];
	static unsigned next;
	char *path = paths[next++ % 8];
	snprintf(path, sizeof(paths[0]), "%s/%s", hub->dir, name);
	return path;
}

void hub_prepare(struct hub *hub)
{
	fake = mmap(NULL, sizeof(*fake), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ck_assert_ptr_ne(fake, MAP_FAILED);
	*hub = (struct hub){ .dir = "/tmp/vpnserverd-hub-XXXXXX", .master = -1, .workers = HUB_WORKERS };
	ck_assert_ptr_nonnull(mkdtemp(hub->dir));
	ck_assert_int_eq(chmod(hub->dir, 0755), 0);
	ck_assert_int_eq(pkigen(hub_path(hub, "pki")), 0);
	hub_configure(hub, "verb 3\n");
}

void hub_configure(struct hub *hub, const char *more)
{
	FILE *out = fopen(hub_path(hub, "server.conf"), "w");
	ck_assert_ptr_nonnull(out);
	fprintf(out,
		"local 127.0.0.1\nlport 0\nproto udp4\ndev tun\ntopology subnet\nserver 10.77.0.0 "
		"255.255.255.0\n"
		"ca %s/pki/ca.crt\ncert %s/pki/server.crt\nkey %s/pki/server.key\nremote-cert-tls client\n"
		"keepalive 10 60\nhub.workers %d\nhub.runtime-dir %s/run\nhub.name test\nwritepid %s/pid\n"
		"log-append %s/log\nstatus %s/status 60\nstatus-version 2\n%s",
		hub->dir, hub->dir, hub->dir, hub->workers, hub->dir, hub->dir, hub->dir, hub->dir, more);
	fclose(out);
}

static int run_master(const char *config_path)
{
	char *argv[] = { "vpnserverd", strdup(config_path), NULL };
	struct findings findings = { 0 };
	struct conf_report report = { .problem = findings_add, .context = &findings };
	struct master m = { .argc = 2,
		.argv = argv,
		.start_directory = -1,
		.tick = 100,
		.secret_every = fake->secret_every };
	m.now.config = config_read(m.argc, m.argv, &report);
	findings_print(stderr, &findings);
	findings_clear(&findings);
	if (!m.now.config)
		return 99;
	m.now.config->dev = "null"; /* a device takes root */
	m.exit_status = master_start(&m);
	if (!m.exit_status)
		supervise(&m);
	master_end(&m);
	free(argv[1]);
	return m.exit_status;
}

void hub_start(struct hub *hub)
{
	hub->master = fork();
	if (hub->master == 0)
		_exit(run_master(hub_path(hub, "server.conf")));
	ck_assert_int_gt(hub->master, 0);
}

const char *hub_log(struct hub *hub)
{
	static char text[1 << 16];
	FILE *in = fopen(hub_path(hub, "log"), "r");
	size_t n = in ? fread(text, 1, sizeof(text) - 1, in) : 0;
	text[n] = '\0';
	if (in)
		fclose(in);
	return text;
}

bool hub_logs(struct hub *hub, const char *text)
{
	return WAIT_FOR(strstr(hub_log(hub), text) != NULL);
}

int hub_ends(struct hub *hub)
{
	int status;
	if (!WAIT_FOR(waitpid(hub->master, &status, WNOHANG) == hub->master))
		return -1;
	hub->master = -1;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

void hub_clean(struct hub *hub)
{
	char command[128];
	if (hub->master > 0) {
		kill(hub->master, SIGTERM);
		ck_assert_int_eq(hub_ends(hub), 0);
	}
	snprintf(command, sizeof(command), "rm -r %s", hub->dir);
	ck_assert_int_eq(system(command), 0);
}
