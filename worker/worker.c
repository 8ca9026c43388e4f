/* SPDX-License-Identifier: MIT
 * A worker's life: rights given up, ring built, READY, packets until an order or the loss of the master, death. The
 * packets' own lines are inbound.c and outbound.c. */
#include "worker/worker.h"
#include "worker/internal.h"

#include "common/base/check.h"
#include "common/base/secret.h"
#include "shm/last_words.h"
#include "shm/stats.h"
#include "worker/orders.h"
#include "worker/sandbox.h"

#include <errno.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum {
	LINK_BUFFERS = 512, /* of one datagram */
	LINK_TRAINS = 128,  /* of 64 KiB */
	SUPER_MAX = 65535,
	PAYLOAD_EXTRA = 256,
	SECRET_MS = 1000,  /* how often the shared secrets and the clock are looked at */
	ORPHAN_MS = 4000,  /* how long we go on telling clients once the master is gone */
	SESSION_LINES_MAX = 20, /* a second, of what one peer can cause */
	STRANGER_LINES_MAX = 50, /* a second, about sessions of whom nobody knows yet who they are */
	HELPER_RETRY_MS = 20,
	CHANGED_MS = 100, /* how often the master is told that clients came or went */
	SLICE_NS = 500000, /* of a CPU that is shared */
};

/* -- last words -- */

/* Set once at birth; the handlers below may run at any instruction. */
static struct last_words *words_place;

void worker_touch(uint32_t slot)
{
	if (words_place)
		last_words_note_work(words_place, slot);
}

static void say_last_words(int signal_number, siginfo_t *info, void *context)
{
	(void)context;
	if (words_place)
		last_words_say(words_place, signal_number, last_words_at_work(words_place), (uint64_t)(uintptr_t)info->si_addr,
			signal_number == SIGABRT ? check_failed_text : NULL);
	signal(signal_number, SIG_DFL);
	raise(signal_number);
}

static void catch_deadly_signals(void)
{
	static const int deadly[] = { SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGSYS };
	struct sigaction action = { .sa_sigaction = say_last_words, .sa_flags = SA_SIGINFO | SA_NODEFER };

	sigemptyset(&action.sa_mask);
	for (size_t i = 0; i < sizeof(deadly) / sizeof(deadly[0]); i++)
		sigaction(deadly[i], &action, NULL);
	/* The master decides when we end; a Ctrl-C on the terminal reaches all of the process group. */
	signal(SIGINT, SIG_IGN);
	signal(SIGTERM, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	signal(SIGUSR1, SIG_IGN);
	signal(SIGUSR2, SIG_IGN);
	signal(SIGPIPE, SIG_IGN);
}

/* -- log -- */

static void log_line(struct worker *w, int level, const char *line)
{
	if (w->master_gone || !order_send(w->born->orders_fd, ANSWER_LOG, level, line, strlen(line), -1))
		counter_add(w->counters, COUNTER_LOG_DROPPED, 1);
}

void worker_log(struct worker *w, int level, const char *format, ...)
{
	char line[1000];
	va_list args;

	if (level > w->verb)
		return;
	va_start(args, format);
	vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	log_line(w, level, line);
}

/* A new second: says what was left out in the last one. */
static void strangers_again(struct worker *w)
{
	unsigned left_out = w->stranger_left_out;

	if (w->now - w->stranger_log_at < 1000)
		return;
	w->stranger_log_at = w->now;
	w->stranger_lines = w->stranger_left_out = 0;
	if (left_out)
		worker_log(w, 1, "%u more lines about handshakes were left out", left_out);
}

/* Whoever has an address can begin handshakes without end: each has lines, but not each second as many. */
static bool stranger_has_line(struct worker *w)
{
	strangers_again(w);
	if (w->stranger_lines == STRANGER_LINES_MAX) {
		w->stranger_left_out++;
		return false;
	}
	w->stranger_lines++;
	return true;
}

static void session_line(struct worker *w, const struct session *s, int level, const char *format, va_list args)
{
	char line[1000], address[64];

	if (level > w->verb || (!s->identity.common_name[0] && !stranger_has_line(w)))
		return;
	int at = snprintf(line, sizeof(line), "%s%s%s ", s->identity.common_name, s->identity.common_name[0] ? "/" : "",
		link_address_text(&s->identity.peer_address, address, sizeof(address)));
	vsnprintf(line + at, sizeof(line) - (size_t)at, format, args);
	log_line(w, level, line);
}

void session_log(struct worker *w, const struct session *s, int level, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	session_line(w, s, level, format, args);
	va_end(args);
}

void session_log_limited(struct worker *w, struct session *s, int level, const char *format, ...)
{
	va_list args;

	if (level > w->verb)
		return;
	if (w->now - s->log_at >= 1000) {
		unsigned left_out = s->log_left_out;
		s->log_at = w->now;
		s->log_lines = s->log_left_out = 0;
		if (left_out)
			session_log(w, s, level, "%u more lines were left out", left_out);
	}
	if (s->log_lines == SESSION_LINES_MAX) {
		s->log_left_out++;
		return;
	}
	s->log_lines++;
	va_start(args, format);
	session_line(w, s, level, format, args);
	va_end(args);
}

/* -- orders -- */

static void stop_sessions(struct worker *w, const char *text, const char *why)
{
	for (uint32_t slot = 0; slot < w->config->max_clients; slot++) {
		struct session *s = w->sessions[slot];
		if (!s)
			continue;
		vpn_session_close(s->engine, text, why, STOP_LINGER_MS, w->now);
		control_serve(w, s);
	}
}

void worker_stop(struct worker *w, int how, const char *why)
{
	if (w->stopping)
		return;
	w->stopping = true;
	w->stop_at = w->now + STOP_LINGER_MS;
	stop_sessions(w, how == 0 ? NULL : how == 2 ? "RESTART,[N]" : "RESTART", why);
}

static void kill_session(struct worker *w, const struct order *order)
{
	char text[ORDER_TEXT_MAX + 1];
	struct order_session wanted;
	size_t len;
	const char *said = order_session_read(order, &wanted, &len);

	if (!said)
		return;
	memcpy(text, said, len);
	text[len] = '\0';
	moving_end(w, wanted.slot, wanted.generation, END_KILLED, text);
}

static void follow_session(struct worker *w, const struct order *order)
{
	struct order_session wanted;
	size_t len;

	if (order_session_read(order, &wanted, &len))
		trace_session(w, wanted.slot, wanted.generation, order->value);
}

static void end_sessions(struct worker *w, const struct order *order)
{
	struct order_session which;

	for (size_t at = 0; at + sizeof(which) <= order->len; at += sizeof(which)) {
		memcpy(&which, order->text + at, sizeof(which));
		moving_end(w, which.slot, which.generation,
			order->value == ORDER_END_REFUSED ? END_REVOKED : END_SETTINGS, NULL);
	}
}

static void say_update(struct worker *w, const struct order *order)
{
	char text[ORDER_TEXT_MAX + 1];

	memcpy(text, order->text, order->len);
	text[order->len] = '\0';
	for (uint32_t slot = 0; slot < w->config->max_clients; slot++) {
		struct session *s = w->sessions[slot];
		if (!s || !s->active || !(s->identity.flags & PEER_FLAG_UPDATES) || (s->identity.flags & PEER_FLAG_OWN))
			continue;
		if (!vpn_session_say(s->engine, text, w->now))
			session_log_limited(w, s, 1, "cannot be told of an update");
		control_serve(w, s);
	}
}

static void take_crl(struct worker *w, int fd, bool lost)
{
	if (lost) {
		vpn_endpoint_lose_crl(w->endpoint);
		return;
	}
	char error[VPN_ERROR_TEXT];
	size_t len = 0;
	ssize_t got;
	char *text = fd >= 0 ? malloc(CONFIG_CRL_MAX + 1) : NULL;

	while (text && len < CONFIG_CRL_MAX && (got = read(fd, text + len, CONFIG_CRL_MAX - len)) > 0)
		len += (size_t)got;
	if (text) {
		text[len] = 0;
		if (len == CONFIG_CRL_MAX)
			worker_log(w, 1, "the new CRL is not used: it has more than %d bytes", CONFIG_CRL_MAX - 1);
		else if (!vpn_endpoint_set_crl(w->endpoint, text, error))
			worker_log(w, 1, "the new CRL is not used: %s", error);
		else {
			worker_log(w, 3, "worker %u uses the new CRL", w->born->index);
			sessions_check_revoked(w);
		}
	}
	free(text);
}

static void take_given(struct worker *w, const struct order *order)
{
	struct order_session list[ORDER_SESSIONS_MAX];
	unsigned count = order->len / sizeof(list[0]);
	uint32_t generation;

	memcpy(list, order->text, count * sizeof(list[0]));
	for (unsigned i = 0; i < count; i++)
		if (peers_owner(w->shm, list[i].slot, &generation) == w->born->index)
			session_welcome(w, list[i].slot);
}

/* Its end of our channel is closed; or it lives on with a service manager, and nobody came to take it up. */
static void orphaned(struct worker *w)
{
	w->master_gone = true;
	w->alone_at = MONO_NEVER;
	note_worker(w, EVENT_MASTER_GONE, 0, NULL);
	worker_stop(w, 1, "the master is gone");
	w->stop_at = w->now + ORPHAN_MS;
}

static bool take_orders(void *context)
{
	struct worker *w = context;
	struct order order;
	int fd, got;

	w->now = loop_now();
	while ((got = order_receive(w->born->orders_fd, &order, &fd)) > 0) {
		switch (order.kind) {
		case ORDER_STOP:
			worker_stop(w, order.value, "the hub stops");
			break;
		case ORDER_LEAVE:
			w->leaving = true;
			break;
		case ORDER_VERB:
			w->verb = order.value;
			break;
		case ORDER_CRL:
			take_crl(w, fd, order.value == 1);
			break;
		case ORDER_HELPER:
			scripts_set_helper(w, fd);
			fd = -1;
			break;
		case ORDER_MOVE:
			moving_begin(w, (unsigned)order.value, &order);
			break;
		case ORDER_ADOPT:
			take_given(w, &order);
			break;
		case ORDER_KILL:
			kill_session(w, &order);
			break;
		case ORDER_TRACE:
			follow_session(w, &order);
			break;
		case ORDER_END:
			end_sessions(w, &order);
			break;
		case ORDER_SAY:
			say_update(w, &order);
			break;
		case ORDER_ALIVE:
			w->alone_at = order.value > 0 ? w->now + (span_ms)order.value * 1000 : MONO_NEVER;
			break;
		case ORDER_RESTART_ALL:
			stop_sessions(w, "RESTART", "restarted by SIGUSR1");
			break;
		default:
			break;
		}
		if (fd >= 0)
			close(fd);
	}
	if (got == 0)
		return true;
	orphaned(w);
	return false;
}

/* -- birth -- */

static bool make_endpoint(struct worker *w)
{
	char error[VPN_ERROR_TEXT], warning[VPN_ERROR_TEXT];

	w->endpoint = worker_endpoint(w->config, signing_now, w, error, warning);
	if (!w->endpoint)
		worker_log(w, 0, "worker %u cannot start: %s", w->born->index, error);
	else if (warning[0] && w->born->index == 0)
		worker_log(w, 1, "%s", warning);
	if (w->endpoint && w->born->crl_lost)
		vpn_endpoint_lose_crl(w->endpoint);
	return w->endpoint != NULL;
}

static void share_secret(struct worker *w)
{
	uint8_t now[SHM_SECRET_LEN], before[SHM_SECRET_LEN];

	shm_secrets(w->shm, now, before);
	/* in this order, whatever the endpoint has: proofs that others made before the last change count too */
	vpn_endpoint_set_secret(w->endpoint, before);
	vpn_endpoint_set_secret(w->endpoint, now);
	vpn_endpoint_set_clock(w->endpoint, w->now, time(NULL));
	secret_wipe(now, sizeof(now));
	secret_wipe(before, sizeof(before));
	w->secret_at = w->now + SECRET_MS;
}

static int make_links(struct worker *w, uint32_t payload)
{
	const struct inherited *born = w->born;
	bool gro = w->config->offload;
	int result = 0;

	w->links = calloc(born->link_count ? born->link_count : 1, sizeof(*w->links));
	if (!w->links)
		return -ENOMEM;
	for (unsigned i = 0; i < born->link_count && result == 0; i++) {
		struct udp_link_params params = { .fd = born->link_fds[i], .index = (uint16_t)i,
			.buffers = gro ? LINK_TRAINS : LINK_BUFFERS, .payload = payload, .gro = gro, .no_trains = !gro };
		result = udp_link_init(&w->links[i], &params);
		w->link_count += result == 0;
	}
	return result;
}

static int make_tunnel(struct worker *w, uint32_t payload)
{
	const struct inherited *born = w->born;
	struct tun_queue_params params = { .fd = born->tun_fd, .header_len = TUN_HEADER_ASK, .buffers = TUN_QUEUE_AT_ONCE,
		.payload = payload };
	int result;

	if (born->tun_fd < 0)
		return 0;
	if (born->tun_trains)
		params.payload = SUPER_MAX;
	result = tun_queue_init(&w->tun, &params);
	w->has_tun = result == 0;
	w->joins = w->has_tun && born->tun_trains;
	w->joins_udp = w->joins && born->tun_udp_trains;
	return result;
}

static int make_ways(struct worker *w)
{
	uint32_t payload = w->config->tun_mtu_max + PAYLOAD_EXTRA;
	int result = make_links(w, payload);

	if (result == 0)
		result = make_tunnel(w, payload);
	return result == 0 && !outbound_init(w, payload) ? -ENOMEM : result;
}

static int make_loop(struct worker *w)
{
	struct loop_params params = {
		.links = w->links,
		.link_count = w->link_count,
		.tun = w->has_tun ? &w->tun : NULL,
		.orders_fd = w->born->orders_fd,
		.keyholder_fd = w->born->keyholder_fd,
		.helper_fd = w->helper_fd,
		.wake_fds = w->born->wake_fds,
		.index = w->born->index,
		.workers = w->born->workers,
		.handlers = {
			.datagrams = inbound,
			.packets = outbound,
			.woken = handover_take,
			.order_said = take_orders,
			.keyholder_said = signing_answers,
			.helper_said = scripts_answers,
			.context = w,
		},
	};
	return loop_init(&w->loop, &params);
}

/* Where a worker shares its CPU, it is soon on again when packets come: it asks for short slices, and gets what it gets
 * (before Linux 6.12 nothing; sched(7), sched_setattr(2)). Its share of the CPU is the same. */
static void ask_for_short_slices(void)
{
	struct {
		uint32_t size, sched_policy;
		uint64_t sched_flags;
		int32_t sched_nice;
		uint32_t sched_priority;
		uint64_t sched_runtime, sched_deadline, sched_period;
	} attr = { 0 }; /* of the manual page: glibc 2.36 has it not, the kernel's header clashes with <sched.h> */

	if (syscall(SYS_sched_getattr, 0, &attr, sizeof(attr), 0) < 0 || attr.sched_policy != SCHED_OTHER)
		return;
	attr.sched_runtime = SLICE_NS;
	syscall(SYS_sched_setattr, 0, &attr, 0);
}

static void pin(const struct worker *w)
{
	cpu_set_t cpus;

	if (w->born->cpu < 0)
		return;
	CPU_ZERO(&cpus);
	CPU_SET(w->born->cpu, &cpus);
	sched_setaffinity(0, sizeof(cpus), &cpus);
}

/* In the order of the threat model: identity, then ring, then the locks. */
static bool be_born(struct worker *w)
{
	struct sandbox_state locked;
	int error;

	pin(w);
	ask_for_short_slices();
	error = make_ways(w);
	if (!error && w->config->mlock && mlockall(MCL_CURRENT | MCL_FUTURE) < 0) {
		worker_log(w, 0, "worker %u cannot lock its memory: %s (raise RLIMIT_MEMLOCK)", w->born->index,
			strerror(errno));
		return false;
	}
	if (!error)
		error = sandbox_enter_identity(w->born->uid, w->born->gid);
	if (!error)
		error = make_loop(w);
	if (error) {
		worker_log(w, 0, "worker %u cannot start: %s", w->born->index, strerror(-error));
		return false;
	}
	if (!make_endpoint(w))
		return false;
	vpn_endpoint_set_epoch(w->endpoint, w->born->epoch);
	w->now = loop_now();
	share_secret(w);
	struct sandbox_needs needs = { .ring = w->loop.features.ring, .poll = !w->loop.features.ring || TLS_WAITS };
	error = sandbox_lock(&needs, &locked);
	if (error) {
		worker_log(w, 0, "worker %u cannot lock itself in: %s", w->born->index, strerror(-error));
		return false;
	}
	if (w->born->index == 0 && !w->born->successor)
		worker_log(w, 3, "workers: %s%s, links %s, landlock ABI %d%s%s",
			w->loop.features.ring ? "io_uring" : "poll",
			w->loop.features.defer_taskrun ? " (deferred task run)" : "",
			w->loop.features.multishot_links ? "multishot" : "plain",
			locked.landlock_abi,
			locked.mdwe ? ", no new code" : "", locked.seccomp ? ", seccomp" : "");
	return true;
}

/* -- life -- */

static mono_ms next_wake(const struct worker *w)
{
	mono_ms at = mono_earlier(mono_earlier(timer_wheel_wake_at(w->wheel), w->publish_at), w->alone_at);
	at = mono_earlier(at, w->move_look_at);
	if (w->later.count)
		at = w->now;
	if (w->helper_first)
		at = mono_earlier(at, w->now + HELPER_RETRY_MS);
	if (w->changed)
		at = mono_earlier(at, w->changed_at);
	return w->stopping ? mono_earlier(at, w->stop_at) : at;
}

static void chores(struct worker *w)
{
	w->now = loop_now();
	later_go_on(w);
	control_timers(w);
	if (w->now >= w->publish_at)
		publish(w);
	if (w->stranger_left_out)
		strangers_again(w);
	if (w->changed && w->now >= w->changed_at) {
		w->changed = false;
		w->changed_at = w->now + CHANGED_MS;
		order_send(w->born->orders_fd, ANSWER_CHANGED, 0, NULL, 0, -1);
	}
	if (w->now >= w->secret_at)
		share_secret(w);
	if (w->now >= w->move_look_at)
		moving_go_on(w);
	if (w->helper_first)
		scripts_flush(w, false);
	if (w->now >= w->alone_at)
		orphaned(w);
}

static int live(struct worker *w)
{
	while (!w->leaving) {
		int error = loop_turn(&w->loop, next_wake(w));
		if (error) {
			worker_log(w, 0, "worker %u: its ring is broken: %s", w->born->index, strerror(-error));
			return 1;
		}
		chores(w);
		if (w->stopping && (w->session_count == 0 || w->now >= w->stop_at))
			return 0;
	}
	return 0;
}

int worker_run(const struct inherited *inherited)
{
	struct worker *w = calloc(1, sizeof(*w));
	int status = 1;

	CHECK(w != NULL);
	w->born = inherited;
	w->config = inherited->config;
	w->shm = inherited->shm;
	w->stats = inherited->stats;
	w->counters = &stats_worker(inherited->stats, inherited->index)->counters;
	w->verb = inherited->config->verb;
	w->sign_last = &w->sign_first;
	w->helper_fd = inherited->helper_fd;
	w->helper_last = &w->helper_first;
	w->half_last = &w->half_first;
	w->move_last = &w->move_first;
	w->move_look_at = MONO_NEVER;
	w->now = loop_now();
	w->alone_at = MONO_NEVER;
	w->sessions = calloc(inherited->config->max_clients, sizeof(*w->sessions));
	w->wheel = timer_wheel_new(w->now);
	CHECK(w->sessions && w->wheel);
	CHECK(vpn_kept_size() <= PEER_KEPT_LEN);
	words_place = last_words_of(w->shm, inherited->index);
	CHECK(words_place != NULL);
	w->blamed = last_words_at_work(words_place);
	worker_touch(PEER_NONE);
	catch_deadly_signals();
	if (be_born(w)) {
		sessions_adopt(w);
		handover_look(w); /* what our predecessor was woken for */
		publish(w); /* the first heartbeat: from here on the master feels a silence */
		order_send(inherited->orders_fd, ANSWER_READY, 0, NULL, 0, -1);
		status = live(w);
		/* A worker that broke does not end its clients: its successor goes on with them. */
		sessions_free(w, w->leaving || status != 0);
		scripts_flush(w, true);
	}
	loop_clear(&w->loop);
	later_clear(w);
	vpn_endpoint_free(&w->endpoint);
	return status;
}
