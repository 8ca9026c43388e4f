/* SPDX-License-Identifier: MIT
 * The turn of the loop. On the ring, links receive by themselves into buffers lent to the kernel; everything else is a
 * one-shot poll, armed again each turn, so that what was not read is reported again. How the ring is
 * made and restricted stands in ring.c. */
#include "worker/loop.h"

#include "common/base/check.h"
#include "worker/ring.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
	OP_SHIFT = 56,	/* user_data: op in the upper byte, index below */
	ROUNDS_MAX = 8, /* plain: reads of one link a turn */
	ERRORS_IN_ROW_MAX = 8,
	RETRY_MS = 100,	   /* after errors, so that a broken fd does not eat the CPU */
	LOAD_BYTES = 3000, /* so many of a super packet weigh as much as one more packet */
	RING_AT_ONCE = 32, /* datagrams: io_uring brings no more of a socket a turn (MULTISHOT_MAX_RETRY) */
	POLLED_OTHERS = 5, /* plain: tunnel, wake, orders, keyholder, helper; links follow */
};

mono_ms loop_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (mono_ms)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

const char *loop_op_name(enum loop_op op)
{
	static const char *const names[LOOP_OP_COUNT] = {
		[LOOP_NONE] = "NONE",
#define OP(name, text) [LOOP_##name] = #name,
#include "worker/ops.def"
#undef OP
	};

	return (unsigned)op < LOOP_OP_COUNT ? names[op] : "?";
}

static uint64_t data_of(enum loop_op op, unsigned index)
{
	return (uint64_t)op << OP_SHIFT | index;
}

/* Buffers are lent no more; they are read into by hand. */
static void become_plain(struct loop *l)
{
	memset(&l->features, 0, sizeof(l->features));
	for (unsigned i = 0; i < l->params.link_count; i++) {
		l->params.links[i].multishot = l->params.links[i].armed = false;
		buffers_drop_ring(&l->params.links[i].buffers);
	}
	if (l->params.tun)
		l->params.tun->armed = false;
}

int loop_init(struct loop *l, const struct loop_params *params)
{
	int error = -ENOSYS;

	CHECK(params->workers <= LOOP_WORKERS_MAX);
	memset(l, 0, sizeof(*l));
	l->params = *params;
	l->watch_orders = params->orders_fd >= 0;
	l->watch_keyholder = params->keyholder_fd >= 0;
	loop_set_helper(l, params->helper_fd);
	l->polled = calloc(POLLED_OTHERS + params->link_count, sizeof(*l->polled));
	if (!l->polled)
		return -ENOMEM;
	if (!params->plain)
		error = ring_set_up(l);
	if (error) {
		become_plain(l);
		l->features.ring_error = params->plain ? 0 : error;
	}
	l->features.ring = !error;
	return 0;
}

void loop_clear(struct loop *l)
{
	if (l->features.ring)
		io_uring_queue_exit(&l->ring);
	free(l->polled);
	memset(l, 0, sizeof(*l));
}

/* ---- other workers ---- */

void loop_set_helper(struct loop *l, int fd)
{
	l->params.helper_fd = fd;
	l->watch_helper = fd >= 0 && l->params.handlers.helper_said;
}

void loop_wake(struct loop *l, unsigned other)
{
	CHECK(other < l->params.workers);
	l->wake_others[other / 64] |= UINT64_C(1) << other % 64;
	l->wake_pending = true;
}

static void wake_others(struct loop *l)
{
	const uint64_t one = 1;

	if (!l->wake_pending)
		return;
	l->wake_pending = false;
	for (unsigned i = 0; i < LOOP_WORKERS_MAX / 64; i++) {
		while (l->wake_others[i]) {
			unsigned bit = (unsigned)__builtin_ctzll(l->wake_others[i]);

			l->wake_others[i] &= l->wake_others[i] - 1;
			/* EAGAIN: its count is full, so it is awake as it is. */
			if (write(l->params.wake_fds[i * 64 + bit], &one, sizeof(one)) == sizeof(one))
				l->counts.wakes_sent++;
		}
	}
}

static void take_wake(struct loop *l)
{
	uint64_t count;

	/* Emptied before the rings are looked into: what comes after this wakes again. */
	if (read(l->params.wake_fds[l->params.index], &count, sizeof(count)) != sizeof(count))
		return;
	l->counts.wakes_got++;
	l->params.handlers.woken(l->params.handlers.context);
}

/* ---- waiting for company ---- */

static void gather(struct loop *l)
{
	struct timespec t;
	unsigned us;

	clock_gettime(CLOCK_MONOTONIC, &t);
	us = gather_wait_us(&l->gather, (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000);
	if (!us)
		return;
	t = (struct timespec){ .tv_nsec = (long)us * 1000 };
	clock_nanosleep(CLOCK_MONOTONIC, 0, &t, NULL); /* cut short: so be it */
}

/* ---- handing out ---- */

static void hand_out(struct loop *l, struct batch *b, void (*handler)(void *, struct batch *))
{
	if (!b->count)
		return;
	l->counts.batches++;
	for (unsigned i = 0; i < b->count; i++)
		l->load += 1 + b->packets[i].len / LOAD_BYTES;
	handler(l->params.handlers.context, b);
	b->count = 0;
}

static void hand_out_datagrams(struct loop *l, struct udp_link *link)
{
	hand_out(l, &link->arriving, l->params.handlers.datagrams);
}

static void hand_out_packets(struct loop *l)
{
	hand_out(l, &l->params.tun->arriving, l->params.handlers.packets);
}

static void hand_out_rests(struct loop *l)
{
	for (unsigned i = 0; i < l->params.link_count; i++)
		hand_out_datagrams(l, &l->params.links[i]);
	if (l->params.tun)
		hand_out_packets(l);
}

static void retry_link_later(struct udp_link *link)
{
	if (link->errors_in_row <= ERRORS_IN_ROW_MAX)
		return;
	/* A second series of errors is as patient as the first. */
	link->errors_in_row = ERRORS_IN_ROW_MAX;
	link->retry_at = loop_now() + RETRY_MS;
}

/* Plain: reads a link or the tunnel queue that is said to be readable. */
static void read_link(struct loop *l, struct udp_link *link)
{
	unsigned round;

	for (round = 0; round < ROUNDS_MAX && udp_link_receive(link); round++) {
		if (link->arriving.count == BATCH_MAX)
			hand_out_datagrams(l, link);
	}
	l->more = round == ROUNDS_MAX || l->more;
	while (link->split_left) {
		hand_out_datagrams(l, link);
		udp_link_receive(link);
	}
	retry_link_later(link);
}

static void read_tun(struct loop *l)
{
	struct tun_queue *tun = l->params.tun;
	uint64_t errors = tun->counts.read_errors;

	if (tun->paused)
		return;
	l->more = tun_queue_receive(tun) == TUN_QUEUE_AT_ONCE || l->more;
	if (tun->counts.read_errors != errors)
		tun->retry_at = loop_now() + RETRY_MS;
}

/* ---- a full link stops the tunnel ---- */

static bool any_link_full(const struct loop *l)
{
	for (unsigned i = 0; i < l->params.link_count; i++)
		if (l->params.links[i].full)
			return true;
	return false;
}

/* Packets wait in the device's queue, where they are counted and shaped, rather than being lost in ours. */
static void pause_or_resume(struct loop *l)
{
	bool full = any_link_full(l);

	if (!l->params.tun || full == l->params.tun->paused)
		return;
	if (full)
		tun_queue_pause(l->params.tun);
	else
		tun_queue_resume(l->params.tun);
}

/* ---- a turn on the ring ---- */

static struct io_uring_sqe *next_entry(struct loop *l)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&l->ring);

	CHECK(sqe); /* there is one for all that can be armed at once: ring.c */
	return sqe;
}

static void arm_poll(struct loop *l, int fd, unsigned events, uint64_t data)
{
	struct io_uring_sqe *sqe = next_entry(l);

	io_uring_prep_poll_add(sqe, fd, events);
	io_uring_sqe_set_data64(sqe, data);
}

static void arm_link(struct loop *l, unsigned i, mono_ms now)
{
	struct udp_link *link = &l->params.links[i];
	uint64_t data = data_of(LOOP_DATAGRAMS, i);

	if (link->multishot)
		buffers_publish(&link->buffers);
	if (!link->armed && now >= link->retry_at && link->buffers.free) {
		link->armed = true;
		if (link->multishot) {
			struct io_uring_sqe *sqe = next_entry(l);

			udp_link_prepare(link, sqe, (uint16_t)(GROUP_LINKS + i));
			io_uring_sqe_set_data64(sqe, data);
		} else {
			arm_poll(l, link->fd, POLLIN, data);
		}
	}
	if (link->full && !link->full_watched) {
		link->full_watched = true;
		arm_poll(l, link->fd, POLLOUT, data_of(LOOP_WRITABLE, i));
	}
}

static void arm_tun(struct loop *l, mono_ms now)
{
	struct tun_queue *tun = l->params.tun;

	if (tun->armed || tun->paused || now < tun->retry_at || !tun->buffers.free)
		return;
	tun->armed = true;
	arm_poll(l, tun->fd, POLLIN, data_of(LOOP_PACKETS, 0));
}

static void arm_control(struct loop *l, bool *armed, bool wanted, int fd, enum loop_op op)
{
	if (!wanted || *armed)
		return;
	*armed = true;
	arm_poll(l, fd, POLLIN, data_of(op, 0));
}

static void arm(struct loop *l, mono_ms now)
{
	const struct loop_params *p = &l->params;

	for (unsigned i = 0; i < p->link_count; i++)
		arm_link(l, i, now);
	if (p->tun)
		arm_tun(l, now);
	arm_control(l, &l->armed_wake, p->wake_fds, p->wake_fds ? p->wake_fds[p->index] : -1, LOOP_WAKE);
	arm_control(l, &l->armed_orders, l->watch_orders, p->orders_fd, LOOP_ORDERS);
	arm_control(l, &l->armed_keyholder, l->watch_keyholder, p->keyholder_fd, LOOP_KEYHOLDER);
	arm_control(l, &l->armed_helper, l->watch_helper, p->helper_fd, LOOP_HELPER);
}

/* Whoever is not armed because of an error is tried again then. */
static mono_ms earliest_retry(const struct loop *l, mono_ms now, mono_ms wake_at)
{
	for (unsigned i = 0; i < l->params.link_count; i++)
		if (l->params.links[i].retry_at > now)
			wake_at = mono_earlier(wake_at, l->params.links[i].retry_at);
	if (l->params.tun && l->params.tun->retry_at > now)
		wake_at = mono_earlier(wake_at, l->params.tun->retry_at);
	return wake_at;
}

static int wait_ring(struct loop *l, mono_ms now, mono_ms wake_at)
{
	struct io_uring_cqe *first;
	span_ms left = wake_at > now ? wake_at - now : 0;
	struct __kernel_timespec limit = { .tv_sec = left / 1000, .tv_nsec = left % 1000 * 1000000 };
	int got;

	if (wake_at == MONO_NEVER)
		got = io_uring_submit_and_wait(&l->ring, 1);
	else
		got = io_uring_submit_and_wait_timeout(&l->ring, &first, 1, &limit, NULL);
	/* EAGAIN, EBUSY: the kernel wants us to read completions first. */
	if (got < 0 && got != -ETIME && got != -EINTR && got != -EAGAIN && got != -EBUSY)
		return got;
	return 0;
}

static void complete_link(struct loop *l, struct udp_link *link, const struct io_uring_cqe *cqe)
{
	bool again;

	if (!link->multishot) {
		link->armed = false;
		if (cqe->res >= 0)
			read_link(l, link);
		return;
	}
	do {
		udp_link_complete(link, cqe, &again);
		if (link->arriving.count == BATCH_MAX)
			hand_out_datagrams(l, link);
	} while (again);
	if (!link->multishot) {
		/* Its last completion said so: the lent buffers are ours again. */
		buffers_drop_ring(&link->buffers);
		l->features.multishot_links = false;
	}
	retry_link_later(link);
}

static void complete_tun(struct loop *l, const struct io_uring_cqe *cqe)
{
	l->params.tun->armed = false;
	if (cqe->res >= 0)
		read_tun(l);
}

static void complete(struct loop *l, const struct io_uring_cqe *cqe)
{
	struct loop_handlers *h = &l->params.handlers;
	unsigned index = (unsigned)(cqe->user_data & 0xffffffff);

	l->counts.completions++;
	switch ((enum loop_op)(cqe->user_data >> OP_SHIFT)) {
	case LOOP_DATAGRAMS:
		complete_link(l, &l->params.links[index], cqe);
		break;
	case LOOP_WRITABLE:
		l->params.links[index].full = l->params.links[index].full_watched = false;
		break;
	case LOOP_PACKETS:
		complete_tun(l, cqe);
		break;
	case LOOP_WAKE:
		l->armed_wake = false;
		take_wake(l);
		break;
	case LOOP_ORDERS:
		l->armed_orders = false;
		l->watch_orders = h->order_said(h->context);
		break;
	case LOOP_KEYHOLDER:
		l->armed_keyholder = false;
		l->watch_keyholder = h->keyholder_said(h->context);
		break;
	case LOOP_HELPER:
		/* perhaps of a former channel: then the handler finds nothing in the present one */
		l->armed_helper = false;
		l->watch_helper = h->helper_said(h->context);
		break;
	case LOOP_NONE:
	case LOOP_OP_COUNT:
		break;
	}
}

static int turn_ring(struct loop *l, mono_ms wake_at)
{
	mono_ms now = loop_now();
	struct io_uring_cqe *cqe;
	unsigned head, seen = 0;
	int error;

	arm(l, now);
	gather(l);
	error = wait_ring(l, now, earliest_retry(l, now, wake_at));
	if (error)
		return error;
	/* Bounded: a completion that brings bytes holds a buffer, and buffers given back meanwhile are shown
	 * to the kernel in the next turn only. */
	io_uring_for_each_cqe(&l->ring, head, cqe)
	{
		complete(l, cqe);
		seen++;
	}
	io_uring_cq_advance(&l->ring, seen);
	l->more = seen >= RING_AT_ONCE || l->more;
	return 0;
}

/* ---- a turn on poll(2) ---- */

static void poll_for(struct pollfd *p, bool wanted, int fd, int events)
{
	*p = (struct pollfd){ .fd = wanted && events ? fd : -1, .events = (short)events };
}

static void fill_polled(struct loop *l, mono_ms now)
{
	const struct loop_params *p = &l->params;
	const struct tun_queue *tun = p->tun;

	poll_for(&l->polled[0], tun && !tun->paused && tun->buffers.free && now >= tun->retry_at,
		tun ? tun->fd : -1, POLLIN);
	poll_for(&l->polled[1], p->wake_fds, p->wake_fds ? p->wake_fds[p->index] : -1, POLLIN);
	poll_for(&l->polled[2], l->watch_orders, p->orders_fd, POLLIN);
	poll_for(&l->polled[3], l->watch_keyholder, p->keyholder_fd, POLLIN);
	poll_for(&l->polled[4], l->watch_helper, p->helper_fd, POLLIN);
	for (unsigned i = 0; i < p->link_count; i++) {
		const struct udp_link *link = &p->links[i];
		int events = link->buffers.free && now >= link->retry_at ? POLLIN : 0;

		poll_for(&l->polled[POLLED_OTHERS + i], true, link->fd, events | (link->full ? POLLOUT : 0));
	}
}

static int wait_polled(struct loop *l, mono_ms now, mono_ms wake_at)
{
	span_ms left = wake_at > now ? wake_at - now : 0;
	struct timespec limit = { .tv_sec = left / 1000, .tv_nsec = left % 1000 * 1000000 };
	nfds_t count = POLLED_OTHERS + l->params.link_count;

	if (ppoll(l->polled, count, wake_at == MONO_NEVER ? NULL : &limit, NULL) >= 0)
		return 0;
	for (nfds_t i = 0; i < count; i++)
		l->polled[i].revents = 0;
	return errno == EINTR || errno == EAGAIN || errno == ENOMEM ? 0 : -errno;
}

static int turn_plain(struct loop *l, mono_ms wake_at)
{
	struct loop_handlers *h = &l->params.handlers;
	mono_ms now = loop_now();
	int error;

	fill_polled(l, now);
	gather(l);
	error = wait_polled(l, now, earliest_retry(l, now, wake_at));
	if (error)
		return error;
	for (unsigned i = 0; i < l->params.link_count; i++) {
		const struct pollfd *p = &l->polled[POLLED_OTHERS + i];

		if (p->revents & POLLOUT)
			l->params.links[i].full = false;
		if (p->revents & ~POLLOUT)
			read_link(l, &l->params.links[i]);
	}
	if (l->polled[0].revents)
		read_tun(l);
	if (l->polled[1].revents)
		take_wake(l);
	if (l->polled[2].revents)
		l->watch_orders = h->order_said(h->context);
	if (l->polled[3].revents)
		l->watch_keyholder = h->keyholder_said(h->context);
	if (l->polled[4].revents)
		l->watch_helper = h->helper_said(h->context);
	return 0;
}

int loop_turn(struct loop *l, mono_ms wake_at)
{
	int error;

	l->counts.turns++;
	wake_others(l);
	pause_or_resume(l);
	error = l->features.ring ? turn_ring(l, wake_at) : turn_plain(l, wake_at);
	hand_out_rests(l);
	gather_note(&l->gather, l->load, l->more);
	l->load = 0;
	l->more = false;
	return error;
}
