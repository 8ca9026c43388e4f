/* SPDX-License-Identifier: MIT
 * Loopback sockets, a packet to send, and a loop that collects what its handlers are given. For the tests of
 * this room. */
#ifndef TESTS_UNIT_WORKER_SOCKETS_H
#define TESTS_UNIT_WORKER_SOCKETS_H

#include "worker/link_names.h"
#include "worker/loop.h"

#include <check.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { TEST_PAYLOAD = 1600, TURN_MS = 200 };

/* A UDP socket on an ephemeral port of `ip` (network order, 4 or 16 bytes by family); its address in *at. */
static inline int udp_socket(sa_family_t family, const void *ip, struct link_address *at)
{
	union link_name name = { 0 };
	socklen_t len = family == AF_INET ? sizeof(name.in4) : sizeof(name.in6);
	int off = 0, fd = socket(family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	ck_assert_int_ge(fd, 0);
	name.any.sa_family = family;
	if (family == AF_INET) {
		memcpy(&name.in4.sin_addr, ip, 4);
	} else {
		memcpy(&name.in6.sin6_addr, ip, 16);
		ck_assert_int_eq(setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off)), 0);
	}
	ck_assert_int_eq(bind(fd, &name.any, len), 0);
	len = sizeof(name);
	ck_assert_int_eq(getsockname(fd, &name.any, &len), 0);
	ck_assert(link_name_read(&name, len, at));
	return fd;
}

static const uint8_t loopback4[4] = { 127, 0, 0, 1 };
static const uint8_t loopback6[16] = { [15] = 1 };
static const uint8_t any6[16];

static inline bool readable(int fd, int ms)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	return poll(&p, 1, ms) == 1;
}

/* The next datagram of a plain socket, waited for shortly. Its length, or -1. */
static inline ssize_t next_datagram(int fd, void *room, size_t len, struct link_address *from)
{
	union link_name name;
	socklen_t name_len = sizeof(name);
	ssize_t got = readable(fd, 1000) ? recvfrom(fd, room, len, 0, &name.any, &name_len) : -1;

	if (got >= 0 && from)
		link_name_read(&name, name_len, from);
	return got;
}

static inline void send_plain(
	int fd, const struct link_address *to, sa_family_t family, const void *data, size_t len)
{
	union link_name name;
	socklen_t name_len = link_name_write(to, family, &name);

	ck_assert_int_eq(sendto(fd, data, len, 0, &name.any, name_len), (ssize_t)len);
}

/* What a loop's handlers saw. */
struct seen {
	unsigned datagrams, packets, batches, woken, orders, keyholder;
	bool keep; /* handlers of orders and keyholder go on being called */
	struct packet last;
	uint8_t bytes[512][64]; /* the first ones of each datagram or packet */
	uint32_t lens[512];
	struct udp_link *links;
	struct tun_queue *tun;
	int drain_fd; /* read one byte of it when orders are said */
};

static inline void note(struct seen *s, const struct batch *b, unsigned at)
{
	ck_assert_uint_ge(b->count, 1);
	ck_assert_uint_le(b->count, BATCH_MAX);
	for (unsigned i = 0; i < b->count && at + i < 512; i++) {
		const struct packet *p = &b->packets[i];

		memcpy(s->bytes[at + i], p->at, p->len < 64 ? p->len : 64);
		s->lens[at + i] = p->len;
		s->last = *p;
	}
	s->batches++;
}

static inline void saw_datagrams(void *context, struct batch *b)
{
	struct seen *s = context;

	note(s, b, s->datagrams);
	s->datagrams += b->count;
	for (unsigned i = 0; i < b->count; i++)
		udp_link_give_back(&s->links[b->packets[i].link], &b->packets[i]);
}

static inline void saw_packets(void *context, struct batch *b)
{
	struct seen *s = context;

	note(s, b, s->packets);
	s->packets += b->count;
	for (unsigned i = 0; i < b->count; i++)
		tun_queue_give_back(s->tun, &b->packets[i]);
}

static inline void saw_wake(void *context)
{
	((struct seen *)context)->woken++;
}

static inline bool saw_order(void *context)
{
	struct seen *s = context;
	char byte;

	s->orders++;
	if (s->drain_fd >= 0 && read(s->drain_fd, &byte, 1) < 0)
		ck_assert_int_eq(errno, EAGAIN);
	return s->keep;
}

static inline bool saw_keyholder(void *context)
{
	struct seen *s = context;

	s->keyholder++;
	return s->keep;
}

static inline struct loop_params loop_params_for(
	struct seen *s, struct udp_link *links, unsigned count, struct tun_queue *tun, bool plain)
{
	s->links = links;
	s->tun = tun;
	s->drain_fd = -1;
	return (struct loop_params){
		.links = links,
		.link_count = count,
		.tun = tun,
		.orders_fd = -1,
		.keyholder_fd = -1,
		.plain = plain,
		.handlers = { saw_datagrams, saw_packets, saw_wake, saw_order, saw_keyholder, s, NULL },
	};
}

/* Turns until `*count` reaches `wanted`, a second at the longest. */
static inline void turn_until(struct loop *l, const unsigned *count, unsigned wanted)
{
	mono_ms until = loop_now() + 1000;

	while (*count < wanted && loop_now() < until)
		ck_assert_int_eq(loop_turn(l, mono_earlier(until, loop_now() + TURN_MS)), 0);
}

/* The name of a suite's runner at the end of each main(). */
static inline int run_suite(Suite *suite)
{
	SRunner *runner = srunner_create(suite);
	int failed;

	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

#endif
