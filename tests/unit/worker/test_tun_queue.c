/* SPDX-License-Identifier: MIT
 * The tunnel queue: over a socket pair that plays the device, and over a real device in a network namespace
 * of its own where this process may make one. */
#include "tests/unit/worker/sockets.h"

#include <fcntl.h>
#include <linux/if_tun.h>
#include <linux/virtio_net.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <sys/ioctl.h>

enum { HEADER = sizeof(struct virtio_net_hdr) };
enum { ON_RING, ON_POLL, KINDS };

static struct loop loop;
static struct tun_queue tun;
static struct seen seen;
static int device[2];

static void begin(int header_len, unsigned buffers, int kind)
{
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, device), 0);
	ck_assert_int_eq(tun_queue_init(&tun, &(struct tun_queue_params){ .fd = device[0],
						      .header_len = header_len,
						      .buffers = buffers,
						      .payload = TEST_PAYLOAD }),
		0);
	struct loop_params params = loop_params_for(&seen, NULL, 0, &tun, kind == ON_POLL);
	ck_assert_int_eq(loop_init(&loop, &params), 0);
}

static void end(void)
{
	loop_clear(&loop);
	tun_queue_clear(&tun);
}

/* Lets the device say a packet of `len` bytes behind `header`. */
static void say(const struct virtio_net_hdr *header, const void *packet, size_t len)
{
	uint8_t bytes[4096];

	memcpy(bytes, header, HEADER);
	memcpy(bytes + HEADER, packet, len);
	ck_assert_int_eq(write(device[1], bytes, HEADER + len), (ssize_t)(HEADER + len));
}

START_TEST(a_packet_is_read_without_its_header_and_with_headroom)
{
	struct virtio_net_hdr header = { 0 };

	begin(HEADER, 8, _i);
	say(&header, "a packet", 8);
	turn_until(&loop, &seen.packets, 1);
	ck_assert_uint_eq(seen.packets, 1);
	ck_assert_uint_eq(seen.last.len, 8);
	ck_assert_mem_eq(seen.bytes[0], "a packet", 8);
	ck_assert_uint_eq(packet_headroom(&seen.last), PACKET_HEADROOM);
	ck_assert_uint_ge(seen.last.room - PACKET_HEADROOM - seen.last.len, BUFFERS_TAILROOM);
	ck_assert_int_eq(seen.last.fate, FATE_NONE);
	ck_assert_uint_eq(seen.last.source, FROM_TUNNEL);
	end();
}
END_TEST

START_TEST(many_packets_arrive_in_order_through_few_buffers)
{
	begin(0, 4, _i);
	for (unsigned i = 0; i < 100; i++)
		ck_assert_int_eq(write(device[1], &i, sizeof(i)), sizeof(i));
	turn_until(&loop, &seen.packets, 100);
	ck_assert_uint_eq(seen.packets, 100);
	for (unsigned i = 0; i < 100; i++)
		ck_assert_mem_eq(seen.bytes[i], &i, sizeof(i));
	ck_assert_uint_eq(tun.buffers.free, 4);
	end();
}
END_TEST

START_TEST(over_long_packets_come_with_a_fate)
{
	static uint8_t packet[TEST_PAYLOAD + 100];
	struct virtio_net_hdr header = { 0 };

	begin(HEADER, 8, _i);
	say(&header, packet, TEST_PAYLOAD);
	turn_until(&loop, &seen.packets, 1);
	ck_assert_int_eq(seen.last.fate, FATE_NONE);
	say(&header, packet, TEST_PAYLOAD + 1);
	turn_until(&loop, &seen.packets, 2);
	ck_assert_int_eq(seen.last.fate, FATE_TOO_LONG);
	say(&header, packet, TEST_PAYLOAD + 100);
	turn_until(&loop, &seen.packets, 3);
	ck_assert_int_eq(seen.last.fate, FATE_TOO_LONG);
	ck_assert_uint_eq(seen.last.len, TEST_PAYLOAD);
	end();
}
END_TEST

START_TEST(what_the_kernel_left_to_its_device_stays_in_front)
{
	struct virtio_net_hdr header = { .gso_type = VIRTIO_NET_HDR_GSO_TCPV4, .gso_size = 100 };
	uint8_t packet[1000] = { 7 };

	begin(HEADER, 8, _i);
	say(&header, packet, 1000);
	turn_until(&loop, &seen.packets, 1);
	ck_assert_int_eq(seen.last.fate, FATE_NONE);
	ck_assert_uint_eq(seen.last.offload, HEADER);
	ck_assert_mem_eq(seen.last.at - HEADER, &header, HEADER);
	header = (struct virtio_net_hdr){
		.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM, .csum_start = 4, .csum_offset = 2
	};
	say(&header, packet, 10);
	turn_until(&loop, &seen.packets, 2);
	ck_assert_uint_eq(seen.last.offload, HEADER);
	ck_assert_mem_eq(seen.last.at - HEADER, &header, HEADER);
	header = (struct virtio_net_hdr){ .flags = VIRTIO_NET_HDR_F_DATA_VALID };
	say(&header, packet, 10);
	turn_until(&loop, &seen.packets, 3);
	ck_assert_uint_eq(seen.last.offload, 0);
	ck_assert_uint_eq(tun.counts.offloads, 2);
	end();
}
END_TEST

START_TEST(a_header_without_packet_is_nothing)
{
	struct virtio_net_hdr header = { 0 };

	begin(HEADER, 8, _i);
	ck_assert_int_eq(write(device[1], "short", 5), 5);
	say(&header, "", 0);
	say(&header, "x", 1);
	turn_until(&loop, &seen.packets, 1);
	ck_assert_uint_eq(seen.packets, 1);
	ck_assert_uint_eq(seen.lens[0], 1);
	ck_assert_uint_eq(tun.buffers.free, 8);
	end();
}
END_TEST

START_TEST(a_packet_is_written_behind_a_zeroed_header)
{
	uint8_t bytes[64], got[64];
	struct packet p = { .start = bytes, .at = bytes + 20, .len = 5, .room = sizeof(bytes) };

	begin(HEADER, 8, _i);
	memset(bytes, 0xee, sizeof(bytes));
	memcpy(p.at, "hello", 5);
	tun_queue_write(&tun, &p);
	ck_assert_int_eq(p.fate, FATE_DELIVERED);
	ck_assert_int_eq(read(device[1], got, sizeof(got)), HEADER + 5);
	for (unsigned i = 0; i < HEADER; i++)
		ck_assert_uint_eq(got[i], 0);
	ck_assert_mem_eq(got + HEADER, "hello", 5);
	/* Without headroom nothing in front is touched. */
	memset(bytes, 0xee, 20);
	p.start = p.at;
	p.fate = FATE_NONE;
	tun_queue_write(&tun, &p);
	ck_assert_int_eq(p.fate, FATE_DELIVERED);
	ck_assert_int_eq(read(device[1], got, sizeof(got)), HEADER + 5);
	for (unsigned i = 0; i < HEADER; i++)
		ck_assert_uint_eq(got[i], 0);
	ck_assert_uint_eq(bytes[19], 0xee);
	end();
}
END_TEST

START_TEST(a_train_is_written_in_one_piece)
{
	uint8_t bytes[3][20] = { "headONE", "headtwo", "headthree" }, got[64];
	struct packet p[3] = { { .at = bytes[0], .len = 7 }, { .at = bytes[1], .len = 7 },
		{ .at = bytes[2], .len = 9 } };
	struct packet *packets[3] = { &p[0], &p[1], &p[2] };
	struct virtio_net_hdr header = { .gso_type = VIRTIO_NET_HDR_GSO_TCPV6, .gso_size = 3 };

	begin(12, 8, _i); /* two bytes more than we know */
	ck_assert(tun_queue_write_train(&tun, &header, HEADER, packets, 3, 4));
	for (unsigned i = 0; i < 3; i++)
		ck_assert_int_eq(p[i].fate, FATE_DELIVERED);
	ck_assert_uint_eq(tun.counts.trains, 1);
	ck_assert_int_eq(read(device[1], got, sizeof(got)), 12 + 15);
	ck_assert_mem_eq(got, &header, HEADER);
	ck_assert_mem_eq(got + HEADER, "\0\0headONEtwothree", 17);
	signal(SIGPIPE, SIG_IGN);
	close(device[1]);
	ck_assert(tun_queue_write_train(&tun, &header, HEADER, packets, 3, 4));
	for (unsigned i = 0; i < 3; i++)
		ck_assert_int_eq(p[i].fate, FATE_TUNNEL_ERROR);
	end();
}
END_TEST

START_TEST(a_full_device_and_a_broken_one_give_different_fates)
{
	uint8_t bytes[1500] = { 0 };
	struct packet p = { .start = bytes, .at = bytes + 100, .len = 1400, .room = sizeof(bytes) };
	unsigned written = 0;

	begin(HEADER, 8, _i);
	do {
		p.fate = FATE_NONE;
		tun_queue_write(&tun, &p);
	} while (p.fate == FATE_DELIVERED && ++written < 10000);
	ck_assert_int_eq(p.fate, FATE_TUNNEL_FULL);
	signal(SIGPIPE, SIG_IGN);
	close(device[1]);
	tun_queue_write(&tun, &p);
	ck_assert_int_eq(p.fate, FATE_TUNNEL_ERROR);
	end();
}
END_TEST

/* A connected pair that nobody reads stands for a link whose queue is full. */
START_TEST(nothing_is_read_while_a_link_is_full)
{
	struct udp_link full_link;
	struct link_address at;
	char bytes[1000] = { 0 };
	int pair[2], fd = udp_socket(AF_INET, loopback4, &at);

	ck_assert_int_eq(
		udp_link_init(&full_link,
			&(struct udp_link_params){ .fd = fd, .buffers = 4, .payload = TEST_PAYLOAD }),
		0);
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, pair), 0);
	while (write(pair[0], bytes, sizeof(bytes)) > 0)
		;
	full_link.fd = pair[0];
	full_link.full = true;
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, device), 0);
	ck_assert_int_eq(
		tun_queue_init(&tun,
			&(struct tun_queue_params){
				.fd = device[0], .header_len = 0, .buffers = 8, .payload = TEST_PAYLOAD }),
		0);
	struct loop_params params = loop_params_for(&seen, &full_link, 1, &tun, _i == ON_POLL);
	ck_assert_int_eq(loop_init(&loop, &params), 0);
	ck_assert_int_eq(write(device[1], "later", 5), 5);
	for (unsigned i = 0; i < 4; i++)
		ck_assert_int_eq(loop_turn(&loop, loop_now() + 10), 0);
	ck_assert(tun.paused);
	ck_assert_uint_eq(seen.packets, 0);
	while (read(pair[1], bytes, sizeof(bytes)) > 0)
		;
	turn_until(&loop, &seen.packets, 1);
	ck_assert_uint_eq(seen.packets, 1);
	ck_assert(!tun.paused);
	ck_assert_uint_eq(tun.counts.pauses, 1);
	end();
	udp_link_clear(&full_link);
}
END_TEST

START_TEST(a_device_that_errs_is_not_asked_all_the_time)
{
	begin(0, 8, _i);
	close(device[1]);
	/* A read of 0 bytes or an error at once, for ever: turns must still wait. */
	unsigned turns = 0;
	for (mono_ms until = loop_now() + 150; loop_now() < until; turns++)
		ck_assert_int_eq(loop_turn(&loop, until), 0);
	ck_assert_uint_lt(turns, 20);
	end();
}
END_TEST

/* ---- a real device ---- */

static int make_device(const char *name)
{
	struct ifreq request = { .ifr_flags = IFF_TUN | IFF_NO_PI | IFF_VNET_HDR | IFF_MULTI_QUEUE };
	int fd, control;

	if (unshare(CLONE_NEWNET) < 0)
		return -1;
	fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return -1;
	snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", name);
	if (ioctl(fd, TUNSETIFF, &request) < 0)
		return -1;
	control = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct sockaddr_in *address = (struct sockaddr_in *)&request.ifr_addr;
	*address = (struct sockaddr_in){ .sin_family = AF_INET, .sin_addr.s_addr = htonl(0x0a630001) };
	ck_assert_int_eq(ioctl(control, SIOCSIFADDR, &request), 0);
	*address = (struct sockaddr_in){ .sin_family = AF_INET, .sin_addr.s_addr = htonl(0xffffff00) };
	ck_assert_int_eq(ioctl(control, SIOCSIFNETMASK, &request), 0);
	ck_assert_int_eq(ioctl(control, SIOCGIFFLAGS, &request), 0);
	request.ifr_flags |= IFF_UP | IFF_RUNNING;
	ck_assert_int_eq(ioctl(control, SIOCSIFFLAGS, &request), 0);
	close(control);
	return fd;
}

static void set_up(const char *name, bool up)
{
	struct ifreq request = { 0 };
	int control = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", name);
	ck_assert_int_eq(ioctl(control, SIOCGIFFLAGS, &request), 0);
	request.ifr_flags = (short)(up ? request.ifr_flags | IFF_UP : request.ifr_flags & ~IFF_UP);
	ck_assert_int_eq(ioctl(control, SIOCSIFFLAGS, &request), 0);
	close(control);
}

/* Turns until an IPv4 packet (the kernel also says IPv6 things unasked) or for a second. */
static bool wait_for_ip4(void)
{
	mono_ms until = loop_now() + 1000;

	while (loop_now() < until) {
		unsigned before = seen.packets;

		ck_assert_int_eq(loop_turn(&loop, loop_now() + 50), 0);
		for (unsigned i = before; i < seen.packets; i++)
			if (seen.bytes[i][0] == 0x45 && seen.bytes[i][9] == IPPROTO_UDP) {
				memmove(seen.bytes[0], seen.bytes[i], 64);
				return true;
			}
	}
	return false;
}

START_TEST(a_real_device_gives_and_takes_packets_and_survives_being_down)
{
	struct link_address to = { .family = 4, .port = 7777, .ip = { 10, 99, 0, 2 } }, own, from;
	uint8_t ip[4] = { 10, 99, 0, 1 }, bytes[PACKET_HEADROOM + 100] = { 0 }, got[64];
	struct packet back = { .start = bytes, .at = bytes + PACKET_HEADROOM, .room = sizeof(bytes) };
	int fd = make_device("vpntest0"), socket_fd;

	if (fd < 0) {
		fprintf(stderr, "no right to make a network namespace or a tun device: left out\n");
		return;
	}
	ck_assert_int_eq(tun_queue_init(&tun, &(struct tun_queue_params){ .fd = fd,
						      .header_len = TUN_HEADER_ASK,
						      .buffers = 16,
						      .payload = TEST_PAYLOAD }),
		0);
	ck_assert_uint_eq(tun.header_len, HEADER);
	struct loop_params params = loop_params_for(&seen, NULL, 0, &tun, _i == ON_POLL);
	ck_assert_int_eq(loop_init(&loop, &params), 0);
	socket_fd = udp_socket(AF_INET, ip, &own);
	send_plain(socket_fd, &to, AF_INET, "out", 3);
	ck_assert(wait_for_ip4());
	ck_assert_mem_eq(seen.bytes[0] + 28, "out", 3);
	/* The same packet turned round; checksum 0 says there is none. */
	memcpy(back.at, seen.bytes[0], 31);
	memcpy(back.at + 12, seen.bytes[0] + 16, 4);
	memcpy(back.at + 16, seen.bytes[0] + 12, 4);
	memcpy(back.at + 20, seen.bytes[0] + 22, 2);
	memcpy(back.at + 22, seen.bytes[0] + 20, 2);
	memset(back.at + 26, 0, 2);
	back.len = 31;
	tun_queue_write(&tun, &back);
	ck_assert_int_eq(back.fate, FATE_DELIVERED);
	ck_assert_int_eq(next_datagram(socket_fd, got, sizeof(got), &from), 3);
	ck_assert_mem_eq(from.ip, to.ip, 4);
	set_up("vpntest0", false);
	back.fate = FATE_NONE;
	tun_queue_write(&tun, &back);
	ck_assert_int_eq(back.fate, FATE_TUNNEL_ERROR);
	for (unsigned i = 0; i < 3; i++)
		ck_assert_int_eq(loop_turn(&loop, loop_now() + 10), 0);
	set_up("vpntest0", true);
	send_plain(socket_fd, &to, AF_INET, "again", 5);
	ck_assert(wait_for_ip4());
	ck_assert_mem_eq(seen.bytes[0] + 28, "again", 5);
	end();
}
END_TEST

START_TEST(what_is_no_device_is_refused)
{
	int fd = open("/dev/null", O_RDWR | O_CLOEXEC);

	ck_assert_int_lt(
		tun_queue_init(&tun,
			&(struct tun_queue_params){
				.fd = fd, .header_len = TUN_HEADER_ASK, .buffers = 4, .payload = 100 }),
		0);
	ck_assert_int_eq(tun_queue_init(&tun,
				 &(struct tun_queue_params){
					 .fd = fd, .header_len = 4, .buffers = 4, .payload = 100 }),
		-EINVAL);
	ck_assert_int_eq(
		tun_queue_init(&tun,
			&(struct tun_queue_params){
				.fd = fd, .header_len = TUN_HEADER_MAX + 1, .buffers = 4, .payload = 100 }),
		-EINVAL);
	ck_assert_int_eq(tun_queue_init(&tun,
				 &(struct tun_queue_params){
					 .fd = fd, .header_len = 0, .buffers = 0, .payload = 100 }),
		-EINVAL);
	close(fd);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("worker/tun_queue");
	TCase *tcase = tcase_create("tun_queue");

	tcase_add_loop_test(tcase, a_packet_is_read_without_its_header_and_with_headroom, 0, KINDS);
	tcase_add_loop_test(tcase, many_packets_arrive_in_order_through_few_buffers, 0, KINDS);
	tcase_add_loop_test(tcase, over_long_packets_come_with_a_fate, 0, KINDS);
	tcase_add_loop_test(tcase, a_header_without_packet_is_nothing, 0, KINDS);
	tcase_add_loop_test(tcase, what_the_kernel_left_to_its_device_stays_in_front, 0, KINDS);
	tcase_add_loop_test(tcase, a_train_is_written_in_one_piece, 0, KINDS);
	tcase_add_loop_test(tcase, a_packet_is_written_behind_a_zeroed_header, 0, KINDS);
	tcase_add_loop_test(tcase, a_full_device_and_a_broken_one_give_different_fates, 0, KINDS);
	tcase_add_loop_test(tcase, nothing_is_read_while_a_link_is_full, 0, KINDS);
	tcase_add_loop_test(tcase, a_device_that_errs_is_not_asked_all_the_time, 0, KINDS);
	tcase_add_loop_test(tcase, a_real_device_gives_and_takes_packets_and_survives_being_down, 0, KINDS);
	tcase_add_test(tcase, what_is_no_device_is_refused);
	suite_add_tcase(suite, tcase);
	return run_suite(suite);
}
