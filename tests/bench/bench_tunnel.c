/* SPDX-License-Identifier: MIT
 * What a lone packet costs to get it out of the kernel when it is there already: from a tunnel device by read(2) and by a
 * multishot read of io_uring with lent buffers, from a socket by recvmmsg(2) and by a multishot recvmsg. Nobody sleeps and
 * nothing else is done, so no server of this kind pays less. In a network namespace of its own; root. */
#include <arpa/inet.h>
#include <fcntl.h>
#include <liburing.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#ifndef UDP_GRO
#define UDP_GRO 104
#endif
#define OP_READ_MULTISHOT 49 /* kernel 6.7; liburing 2.3 does not know it */

enum { PACKETS = 100, ROUNDS = 400, BUFFERS = 256, BUFFER_LEN = 2048, AT_ONCE = 64, PAYLOAD = 36, SKIPPED = 77 };

struct source {
	int fd, sender;
	bool is_tunnel;
};

static struct io_uring ring;
static struct io_uring_buf_ring *lent;
static uint8_t memory[BUFFERS][BUFFER_LEN], names[AT_ONCE][sizeof(struct sockaddr_in)], control[AT_ONCE][64];

static void fail(const char *what)
{
	perror(what);
	exit(1);
}

static double now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static int by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* ---- two sources: packets sent to an address behind a tunnel, datagrams to a socket ---- */

/* `address` NULL: it has one. */
static void set_up(const char *device, const char *address)
{
	struct ifreq request = { 0 };
	struct sockaddr_in *a = (struct sockaddr_in *)&request.ifr_addr;
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", device);
	if (address) {
		a->sin_family = AF_INET;
		a->sin_addr.s_addr = inet_addr(address);
		if (ioctl(fd, SIOCSIFADDR, &request) < 0)
			fail("an address");
		a->sin_addr.s_addr = inet_addr("255.255.255.0");
		if (ioctl(fd, SIOCSIFNETMASK, &request) < 0)
			fail("a netmask");
	}
	if (ioctl(fd, SIOCGIFFLAGS, &request) < 0)
		fail("flags");
	request.ifr_flags |= IFF_UP;
	if (ioctl(fd, SIOCSIFFLAGS, &request) < 0)
		fail("a device that is up");
	close(fd);
}

static int sender_to(const char *address, uint16_t port)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = inet_addr(address) };
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0)
		fail("a sender");
	return fd;
}

static struct source make_tunnel(void)
{
	struct ifreq request = { .ifr_name = "bench", .ifr_flags = IFF_TUN | IFF_NO_PI | IFF_VNET_HDR };
	struct source s = { .fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC), .is_tunnel = true };
	uint8_t rest[BUFFER_LEN];

	if (s.fd < 0 || ioctl(s.fd, TUNSETIFF, &request) < 0)
		fail("a tunnel device");
	set_up("bench", "10.0.0.1");
	s.sender = sender_to("10.0.0.2", 9);
	usleep(100000); /* the kernel's own first packets */
	while (read(s.fd, rest, sizeof(rest)) > 0)
		;
	return s;
}

static struct source make_socket(void)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct source s = { .fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0) };
	socklen_t len = sizeof(at);
	int on = 1;

	set_up("lo", NULL);
	setsockopt(s.fd, IPPROTO_IP, IP_PKTINFO, &on, sizeof(on));
	setsockopt(s.fd, IPPROTO_UDP, UDP_GRO, &on, sizeof(on));
	if (bind(s.fd, (struct sockaddr *)&at, sizeof(at)) < 0 || getsockname(s.fd, (struct sockaddr *)&at, &len) < 0)
		fail("a socket");
	s.sender = sender_to("127.0.0.1", ntohs(at.sin_port));
	return s;
}

/* ---- ways to empty them; how many packets came ---- */

static unsigned by_call(const struct source *s)
{
	struct mmsghdr messages[AT_ONCE] = { 0 };
	struct iovec pieces[AT_ONCE];
	unsigned got = 0;
	int n;

	if (s->is_tunnel) {
		while (read(s->fd, memory[got % AT_ONCE], BUFFER_LEN) > 0)
			got++;
		return got;
	}
	do {
		for (unsigned i = 0; i < AT_ONCE; i++) {
			pieces[i] = (struct iovec){ memory[i], BUFFER_LEN };
			messages[i].msg_hdr = (struct msghdr){ .msg_name = names[i], .msg_namelen = sizeof(names[i]),
				.msg_iov = &pieces[i], .msg_iovlen = 1, .msg_control = control[i],
				.msg_controllen = sizeof(control[i]) };
		}
		n = recvmmsg(s->fd, messages, AT_ONCE, MSG_DONTWAIT, NULL);
		got += n > 0 ? (unsigned)n : 0;
	} while (n > 0);
	return got;
}

static void arm(const struct source *s)
{
	static struct msghdr shape = { .msg_namelen = sizeof(names[0]), .msg_controllen = sizeof(control[0]) };
	struct io_uring_sqe *entry = io_uring_get_sqe(&ring);

	if (s->is_tunnel)
		io_uring_prep_rw(OP_READ_MULTISHOT, entry, s->fd, NULL, 0, 0);
	else
		io_uring_prep_recvmsg_multishot(entry, s->fd, &shape, 0);
	entry->flags |= IOSQE_BUFFER_SELECT;
}

static unsigned by_ring(const struct source *s)
{
	static const struct source *armed_for;
	unsigned got = 0;

	while (got < PACKETS) {
		struct io_uring_cqe *done;
		unsigned head, seen = 0;

		if (armed_for != s) {
			arm(s);
			armed_for = s;
		}
		if (io_uring_submit_and_wait(&ring, 1) < 0)
			return 0;
		io_uring_for_each_cqe(&ring, head, done)
		{
			seen++;
			if (done->res < 0 && !got)
				return 0;
			if (!(done->flags & IORING_CQE_F_MORE))
				armed_for = NULL;
			if (!(done->flags & IORING_CQE_F_BUFFER))
				continue;
			unsigned id = done->flags >> IORING_CQE_BUFFER_SHIFT;
			io_uring_buf_ring_add(lent, memory[id], BUFFER_LEN, (uint16_t)id, BUFFERS - 1, 0);
			io_uring_buf_ring_advance(lent, 1);
			got++;
		}
		io_uring_cq_advance(&ring, seen);
	}
	return got;
}

static void make_ring(void)
{
	struct io_uring_params p = { .flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_CQSIZE,
		.cq_entries = 1024 };
	struct io_uring_buf_reg reg = { .ring_entries = BUFFERS };

	if (io_uring_queue_init_params(16, &ring, &p) < 0 ||
		posix_memalign((void **)&lent, 4096, BUFFERS * sizeof(struct io_uring_buf)) != 0)
		fail("a ring");
	reg.ring_addr = (uint64_t)(uintptr_t)lent;
	if (io_uring_register_buf_ring(&ring, &reg, 0) != 0)
		fail("lent buffers");
	io_uring_buf_ring_init(lent);
	for (unsigned i = 0; i < BUFFERS; i++)
		io_uring_buf_ring_add(lent, memory[i], BUFFER_LEN, (uint16_t)i, BUFFERS - 1, (int)i);
	io_uring_buf_ring_advance(lent, BUFFERS);
}

static void measure(const char *what, const struct source *s, unsigned (*empty)(const struct source *))
{
	static const uint8_t payload[PAYLOAD];
	double each[ROUNDS];

	for (unsigned round = 0; round < ROUNDS; round++) {
		for (unsigned i = 0; i < PACKETS; i++)
			if (send(s->sender, payload, sizeof(payload), 0) < 0)
				fail("sending");
		double began = now_ns();
		unsigned got = empty(s);
		if (!got) {
			printf("%-36s not on this kernel\n", what);
			return;
		}
		each[round] = (now_ns() - began) / got;
	}
	qsort(each, ROUNDS, sizeof(each[0]), by_size);
	printf("%-36s %5.0f ns a packet\n", what, each[ROUNDS / 2]);
}

int main(void)
{
	if (unshare(CLONE_NEWNET) < 0 || access("/dev/net/tun", R_OK | W_OK) < 0) {
		printf("needs root and /dev/net/tun\n");
		return SKIPPED;
	}
	struct source tunnel = make_tunnel(), udp = make_socket();
	measure("out of a tunnel, read", &tunnel, by_call);
	measure("datagrams, recvmmsg", &udp, by_call);
	make_ring();
	measure("out of a tunnel, multishot read", &tunnel, by_ring);
	measure("datagrams, multishot recvmsg", &udp, by_ring);
	return 0;
}
