/* SPDX-License-Identifier: MIT
 * The far end of the tunnel for vpnload, in the hub's namespace: counts what is sent to it, sends back what
 * asks for an echo, and sends by itself when told to. Keeps the figures of the latest run. Ends by a signal.
 *
 *   farend ADDRESS:PORT */
#include "tests/load/tally.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

enum { READS = 16, BATCH = 128, TRAIN = 64, TRAIN_BYTES = 65000, INNER_HEADS = 28, PAYLOAD_MAX = 2048 };

static struct {
	int fd;
	uint32_t run;
	struct tally tally;
	uint64_t counted;
	/* who is there in this run */
	struct sockaddr_in flows[PROBE_FLOWS];
	uint64_t sequences[PROBE_FLOWS];
	uint32_t known[PROBE_FLOWS], flow_count, next;
	/* what it sends */
	struct probe_order order;
	struct pace pace;
	bool sending;
	/* receive and send memory */
	uint8_t in[READS][65536];
	struct iovec in_places[READS];
	struct mmsghdr reads[READS];
	struct sockaddr_in from[READS];
	_Alignas(16) char controls[READS][64];
	uint8_t out[BATCH][PAYLOAD_MAX];
	struct iovec out_places[BATCH];
	struct mmsghdr sends[BATCH];
} me;

static uint64_t now_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static _Noreturn void die(const char *what)
{
	fprintf(stderr, "farend: %s: %s\n", what, strerror(errno));
	exit(2);
}

static void answer(const struct sockaddr_in *to, const void *payload, size_t len)
{
	sendto(me.fd, payload, len, MSG_DONTWAIT | MSG_NOSIGNAL, (const struct sockaddr *)to, sizeof(*to));
}

static void new_run(uint32_t run)
{
	me.run = run;
	tally_clear(&me.tally);
	me.counted = 0;
	memset(me.flows, 0, sizeof(me.flows));
	memset(me.sequences, 0, sizeof(me.sequences));
	me.flow_count = me.next = 0;
	me.sending = false;
	me.pace = (struct pace){ 0 };
}

/* -- what comes -- */

static void hello(const struct probe *p, const struct sockaddr_in *from)
{
	uint32_t flow = p->flow % PROBE_FLOWS;
	if (!me.flows[flow].sin_family)
		me.known[me.flow_count++] = flow;
	me.flows[flow] = *from;
	answer(from, p, sizeof(*p));
}

static void go(const uint8_t *payload, size_t len, uint64_t now)
{
	if (me.sending || me.pace.sent || len < sizeof(struct probe) + sizeof(me.order))
		return;
	memcpy(&me.order, payload + sizeof(struct probe), sizeof(me.order));
	if (me.order.size < INNER_HEADS + sizeof(struct probe) || me.order.size > PAYLOAD_MAX ||
		!me.flow_count)
		return;
	if (!me.order.burst || me.order.burst > TRAIN)
		me.order.burst = me.order.burst ? TRAIN : 1;
	me.pace = (struct pace){
		.rate = me.order.rate, .window = me.order.window, .began_ns = now, .progress_ns = now
	};
	me.sending = true;
}

static void report(const struct probe *p, const struct sockaddr_in *from)
{
	uint8_t payload[sizeof(struct probe) + sizeof(struct probe_report)];
	struct probe_report report = { .sent = me.pace.sent };
	tally_report(&me.tally, &report);
	memcpy(payload, p, sizeof(*p));
	memcpy(payload + sizeof(*p), &report, sizeof(report));
	answer(from, payload, sizeof(payload));
}

/* Back to where it came from, a read at a time; the segments of a read are the same train again. */
static void echo(uint8_t *data, size_t len, size_t segment, const struct sockaddr_in *from)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(uint16_t))] = { 0 };
	struct iovec place = { data, len };
	struct msghdr head = { .msg_name = (void *)(uintptr_t)from,
		.msg_namelen = sizeof(*from),
		.msg_iov = &place,
		.msg_iovlen = 1 };
	for (size_t at = 0; at + sizeof(struct probe) <= len; at += segment) {
		uint32_t kind = PROBE_SINK;
		memcpy(data + at + offsetof(struct probe, kind), &kind, sizeof(kind));
	}
	if (len > segment) {
		head.msg_control = control;
		head.msg_controllen = sizeof(control);
		struct cmsghdr *c = CMSG_FIRSTHDR(&head);
		c->cmsg_level = SOL_UDP;
		c->cmsg_type = UDP_SEGMENT;
		c->cmsg_len = CMSG_LEN(sizeof(uint16_t));
		uint16_t size = (uint16_t)segment;
		memcpy(CMSG_DATA(c), &size, sizeof(size));
	}
	sendmsg(me.fd, &head, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void sunk(const struct probe *p, size_t len, const struct sockaddr_in *from, uint64_t now)
{
	tally_note(&me.tally, p, len + INNER_HEADS, now);
	if (me.tally.packets - me.counted >= PROBE_COUNT_EVERY) {
		struct probe count = { PROBE_MAGIC, PROBE_COUNT, me.run, p->flow, me.tally.packets, now };
		me.counted = me.tally.packets;
		answer(from, &count, sizeof(count));
	}
}

static void taken(uint8_t *data, size_t len, size_t segment, const struct sockaddr_in *from, uint64_t now)
{
	struct probe p;
	for (size_t at = 0; at < len; at += segment) {
		size_t one = len - at < segment ? len - at : segment;
		if (one < sizeof(p))
			continue;
		memcpy(&p, data + at, sizeof(p));
		if (p.magic != PROBE_MAGIC)
			continue;
		if (p.run != me.run)
			new_run(p.run);
		if (p.kind == PROBE_SINK) {
			sunk(&p, one, from, now);
		} else if (p.kind == PROBE_ECHO) {
			echo(data + at, len - at, segment, from);
			return;
		} else if (p.kind == PROBE_HELLO) {
			hello(&p, from);
		} else if (p.kind == PROBE_GO) {
			go(data + at, one, now);
		} else if (p.kind == PROBE_COUNT) {
			pace_arrived(&me.pace, p.sequence, now);
		} else if (p.kind == PROBE_REPORT) {
			report(&p, from);
		}
	}
}

static size_t segment_of(struct msghdr *head, size_t whole)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(head); c; c = CMSG_NXTHDR(head, c))
		if (c->cmsg_level == SOL_UDP && c->cmsg_type == UDP_GRO) {
			int size;
			memcpy(&size, CMSG_DATA(c), sizeof(size));
			return size > 0 ? (size_t)size : whole;
		}
	return whole;
}

static void read_all(void)
{
	for (int turn = 0; turn < 4; turn++) {
		for (unsigned i = 0; i < READS; i++)
			me.reads[i].msg_hdr = (struct msghdr){ .msg_name = &me.from[i],
				.msg_namelen = sizeof(me.from[i]),
				.msg_iov = &me.in_places[i],
				.msg_iovlen = 1,
				.msg_control = me.controls[i],
				.msg_controllen = sizeof(me.controls[i]) };
		int got = recvmmsg(me.fd, me.reads, READS, MSG_DONTWAIT, NULL);
		uint64_t now = now_ns();
		for (int i = 0; i < got; i++) {
			size_t len = me.reads[i].msg_len;
			size_t segment = len ? segment_of(&me.reads[i].msg_hdr, len) : 0;
			if (len)
				taken(me.in[i], len, segment, &me.from[i], now);
		}
		if (got < READS)
			return;
	}
}

/* -- what goes -- */

static void fill(uint8_t *payload, uint32_t flow, uint64_t now)
{
	struct probe p = { PROBE_MAGIC, PROBE_SINK, me.run, flow, me.sequences[flow]++, now };
	memcpy(payload, &p, sizeof(p));
}

/* `n` packets to one flow, as one send or as n. */
static void send_burst(uint32_t flow, size_t n, uint64_t now)
{
	size_t payload = me.order.size - INNER_HEADS;
	for (size_t i = 0; i < n; i++) {
		fill(me.out[i], flow, now);
		me.out_places[i].iov_len = payload;
	}
	me.pace.sent += n;
	if (!me.order.trains || n == 1) {
		for (size_t i = 0; i < n; i++)
			me.sends[i].msg_hdr = (struct msghdr){ .msg_name = &me.flows[flow],
				.msg_namelen = sizeof(me.flows[flow]),
				.msg_iov = &me.out_places[i],
				.msg_iovlen = 1 };
		sendmmsg(me.fd, me.sends, (unsigned)n, MSG_NOSIGNAL);
		return;
	}
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(uint16_t))] = { 0 };
	struct msghdr head = { .msg_name = &me.flows[flow],
		.msg_namelen = sizeof(me.flows[flow]),
		.msg_iov = me.out_places,
		.msg_iovlen = n,
		.msg_control = control,
		.msg_controllen = sizeof(control) };
	struct cmsghdr *c = CMSG_FIRSTHDR(&head);
	uint16_t size = (uint16_t)payload;
	c->cmsg_level = SOL_UDP;
	c->cmsg_type = UDP_SEGMENT;
	c->cmsg_len = CMSG_LEN(sizeof(size));
	memcpy(CMSG_DATA(c), &size, sizeof(size));
	sendmsg(me.fd, &head, MSG_NOSIGNAL);
}

static void send_due(uint64_t now)
{
	size_t most = TRAIN_BYTES / me.order.size < TRAIN ? TRAIN_BYTES / me.order.size : TRAIN;
	size_t burst = me.order.burst < most ? me.order.burst : most;
	size_t leave = pace_leave(&me.pace, now, BATCH * 2);
	leave -= leave % burst; /* a burst is a burst */
	for (; leave; leave -= burst) {
		send_burst(me.known[me.next], burst, now_ns());
		me.next = (me.next + 1) % me.flow_count;
	}
	if (now - me.pace.began_ns > me.order.duration_ns)
		me.sending = false;
}

int main(int argc, char **argv)
{
	struct sockaddr_in own = { .sin_family = AF_INET };
	char *colon = argc == 2 ? strchr(argv[1], ':') : NULL;
	int big = 8 << 20;

	if (!colon) {
		fprintf(stderr, "usage: farend ADDRESS:PORT\n");
		return 2;
	}
	own.sin_port = htons((uint16_t)atoi(colon + 1));
	*colon = 0;
	if (inet_pton(AF_INET, argv[1], &own.sin_addr) != 1)
		die(argv[1]);
	me.fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (me.fd < 0 || bind(me.fd, (struct sockaddr *)&own, sizeof(own)) != 0)
		die("bind");
	setsockopt(me.fd, SOL_UDP, UDP_GRO, &(int){ 1 }, sizeof(int));
	setsockopt(me.fd, SOL_SOCKET, SO_RCVBUFFORCE, &big, sizeof(big));
	setsockopt(me.fd, SOL_SOCKET, SO_SNDBUFFORCE, &big, sizeof(big));
	for (int i = 0; i < READS; i++)
		me.in_places[i] = (struct iovec){ me.in[i], sizeof(me.in[i]) };
	for (int i = 0; i < BATCH; i++)
		me.out_places[i].iov_base = me.out[i];
	printf("ready\n");
	fflush(stdout);
	for (;;) {
		struct pollfd watch = { .fd = me.fd, .events = POLLIN };
		uint64_t now = now_ns();
		uint64_t wait = me.sending ? pace_wait_ns(&me.pace, now, me.order.burst) : 1000000000u;
		struct timespec timeout = { (time_t)(wait / 1000000000u), (long)(wait % 1000000000u) };
		if (ppoll(&watch, 1, &timeout, NULL) > 0)
			read_all();
		if (me.sending)
			send_due(now_ns());
	}
}
