/* SPDX-License-Identifier: MIT
 * The steering programs in the kernel: real sockets on loopback, a real tun device in a network namespace of
 * our own. Skipped (77) where bpf() is refused. */
#include "master/steering.h"

#include "master/listen.h"
#include "master/netlink.h"
#include "master/tunnel.h"

#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/if_tun.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { WORKERS = 3, PEERS = 100, POOL_FIRST = 0x0a4d0002, POOL_COUNT = 200 };

static struct steering steering;
static struct in6_addr pool6;

static void open_steering(bool with_pool6)
{
	inet_pton(AF_INET6, "fd77::1000", &pool6);
	struct steering_sizes sizes = { .peers = PEERS,
		.pool_count = POOL_COUNT,
		.pool4_first = POOL_FIRST,
		.pool6_first = with_pool6 ? pool6.s6_addr : NULL };
	ck_assert_int_eq(steering_open(&sizes, &steering), 0);
}

/* Which of the descriptors has something to read; -1: none. Takes it. */
static int who_got_it(const int fds[WORKERS], int wait_ms)
{
	struct pollfd polls[WORKERS];
	for (int i = 0; i < WORKERS; i++)
		polls[i] = (struct pollfd){ .fd = fds[i], .events = POLLIN };
	if (poll(polls, WORKERS, wait_ms) <= 0)
		return -1;
	for (int i = 0; i < WORKERS; i++)
		if (polls[i].revents) {
			char buffer[2048];
			ck_assert_int_gt(read(fds[i], buffer, sizeof(buffer)), 0);
			return i;
		}
	return -1;
}

/* -- datagrams -- */

static struct listeners sockets;
static int client;

static void open_group(int family)
{
	struct listener l = { .proto = PROTO_UDP, .address_len = sizeof(struct sockaddr_in), .spelled = "test" };
	struct sockaddr_in *in = (struct sockaddr_in *)&l.address;
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&l.address;
	in->sin_family = (sa_family_t)family;
	if (family == AF_INET) {
		in->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	} else {
		in6->sin6_addr = in6addr_loopback;
		l.address_len = sizeof(*in6);
	}
	struct config config = { .listeners = &l, .listener_count = 1, .mtu_discover = -1 };
	ck_assert_int_eq(listeners_open(&config, WORKERS, &sockets), 0);
	struct sockaddr_storage to;
	socklen_t len = sizeof(to);
	getsockname(sockets.fds[0], (struct sockaddr *)&to, &len);
	client = socket(family, SOCK_DGRAM, 0);
	ck_assert_int_eq(connect(client, (struct sockaddr *)&to, len), 0);
	ck_assert_int_eq(steering_attach_link(&steering, listeners_group(&sockets, 0)), 0);
}

static int sent_to(const void *datagram, size_t len)
{
	ck_assert_int_eq(send(client, datagram, len, 0), (ssize_t)len);
	return who_got_it(sockets.fds, 1000);
}

static int data_v2_sent_to(uint32_t peer)
{
	uint8_t datagram[40] = { 9 << 3 | 5, (uint8_t)(peer >> 16), (uint8_t)(peer >> 8), (uint8_t)peer };
	return sent_to(datagram, sizeof(datagram));
}

START_TEST(data_goes_to_the_owner_also_after_the_owner_changed)
{
	open_steering(true);
	open_group(AF_INET);
	for (uint32_t peer = 0; peer < PEERS; peer += 33)
		for (int owner = 0; owner < WORKERS; owner++) {
			steering.peers[peer] = (uint64_t)owner;
			ck_assert_int_eq(data_v2_sent_to(peer), owner);
		}
}
END_TEST

START_TEST(what_has_no_owner_goes_where_the_kernel_hashes_it)
{
	open_steering(true);
	open_group(AF_INET);
	const uint8_t reset[14] = { 7 << 3 }, short_data[3] = { 9 << 3, 0, 0 };
	int by_hash = sent_to(reset, sizeof(reset));
	ck_assert_int_ge(by_hash, 0);
	for (uint32_t peer = 0; peer < PEERS; peer++)
		steering.peers[peer] = (uint64_t)(by_hash + 1) % WORKERS;
	ck_assert_int_eq(sent_to(reset, sizeof(reset)), by_hash);
	ck_assert_int_eq(sent_to(short_data, sizeof(short_data)), by_hash);
	ck_assert_int_eq(sent_to("x", 1), by_hash);
	ck_assert_int_eq(data_v2_sent_to(PEERS), by_hash);
	ck_assert_int_eq(data_v2_sent_to(0xffffff), by_hash);
	steering.peers[5] = STEERING_NOBODY;
	ck_assert_int_eq(data_v2_sent_to(5), by_hash);
	steering.peers[5] = WORKERS; /* a worker that does not exist */
	ck_assert_int_eq(data_v2_sent_to(5), by_hash);
	steering.peers[5] = (uint64_t)(by_hash + 1) % WORKERS;
	ck_assert_int_eq(data_v2_sent_to(5), (by_hash + 1) % WORKERS);
}
END_TEST

/* As after an upgrade: nothing but descriptors and sizes is left of it. */
START_TEST(a_successor_steers_with_what_it_was_left)
{
	open_steering(true);
	open_group(AF_INET);
	steering.peers[7] = 1;
	struct steering left = { .link_program = dup(steering.link_program),
		.tunnel_program = dup(steering.tunnel_program),
		.peers_map = dup(steering.peers_map),
		.pool_map = dup(steering.pool_map),
		.chosen_map = dup(steering.chosen_map),
		.peer_count = steering.peer_count,
		.pool_count = steering.pool_count };
	steering_close(&steering);
	ck_assert_int_eq(steering_adopt(&left), 0);
	ck_assert_uint_eq(left.peers[7], 1);
	for (int owner = 0; owner < WORKERS; owner++) {
		left.peers[7] = (uint64_t)owner;
		ck_assert_int_eq(data_v2_sent_to(7), owner);
	}
	steering_reset(&left);
	ck_assert_uint_eq(left.peers[7], STEERING_NOBODY);
	ck_assert_uint_eq(left.pool[POOL_COUNT - 1], STEERING_NOBODY);
	close(left.pool_map); /* one that is no map any more */
	munmap((void *)left.pool, left.pool_size);
	left.pool_map = open("/dev/null", O_RDWR);
	ck_assert_int_lt(steering_adopt(&left), 0);
	ck_assert(left.link_program == -1 && left.peers_map == -1 && !left.peers);
}
END_TEST

/* Whether this very one got it. */
static bool got_by(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	char buffer[2048];
	return poll(&p, 1, 1000) == 1 && read(fd, buffer, sizeof(buffer)) > 0;
}

static void send_data_v2(uint32_t peer)
{
	uint8_t datagram[40] = { 9 << 3, 0, 0, (uint8_t)peer };
	ck_assert_int_eq(send(client, datagram, sizeof(datagram), 0), (ssize_t)sizeof(datagram));
}

START_TEST(workers_that_come_and_go_last_change_nobody_elses_place)
{
	struct listener l = { .proto = PROTO_UDP, .address_len = sizeof(struct sockaddr_in), .spelled = "test" };
	struct config config = { .listeners = &l, .listener_count = 1, .mtu_discover = -1 };
	l.address.ss_family = AF_INET;

	open_steering(true);
	open_group(AF_INET);
	for (int round = 0; round < 3; round++) {
		ck_assert_int_eq(listeners_add(&config, &sockets), 0);
		ck_assert_int_eq(listeners_add(&config, &sockets), 0);
		for (uint32_t owner = 0; owner < WORKERS + 2; owner++) {
			steering.peers[1] = owner;
			send_data_v2(1);
			ck_assert(got_by(listeners_of(&sockets, owner)[0]));
		}
		listeners_drop(&sockets);
		listeners_drop(&sockets);
		for (uint32_t owner = 0; owner < WORKERS; owner++) {
			steering.peers[1] = owner;
			ck_assert_int_eq(data_v2_sent_to(1), (int)owner);
		}
	}
	/* One that cannot be had changes nothing. */
	close(sockets.fds[0]); /* whose address is asked for */
	ck_assert_int_lt(listeners_add(&config, &sockets), 0);
	ck_assert_uint_eq(sockets.workers, WORKERS);
}
END_TEST

/* From many ports: who got what. */
static void many_strangers(int family, bool seen[WORKERS])
{
	const uint8_t reset[14] = { 7 << 3 };
	struct sockaddr_storage to;
	socklen_t len = sizeof(to);

	memset(seen, 0, WORKERS * sizeof(seen[0]));
	getsockname(sockets.fds[0], (struct sockaddr *)&to, &len);
	for (int i = 0; i < 64; i++) {
		int stranger = socket(family, SOCK_DGRAM, 0), first = -1;
		for (int again = 0; again < 3; again++) {
			ck_assert_int_eq(sendto(stranger, reset, sizeof(reset), 0, (struct sockaddr *)&to, len), 14);
			int got = who_got_it(sockets.fds, 1000);
			ck_assert_int_ge(got, 0);
			seen[got] = true;
			ck_assert_int_eq(got, again ? first : got); /* one stranger meets one worker */
			first = got;
		}
		close(stranger);
	}
}

static void strangers_meet_the_chosen(int family)
{
	bool seen[WORKERS];
	const unsigned two[] = { 0, 2 }, one[] = { 1 };

	many_strangers(family, seen);
	ck_assert(seen[0] && seen[1] && seen[2]);
	steering_choose(&steering, two, 2);
	many_strangers(family, seen);
	ck_assert(seen[0] && !seen[1] && seen[2]);
	steering_choose(&steering, one, 1);
	many_strangers(family, seen);
	ck_assert(!seen[0] && seen[1] && !seen[2]);
	steering.peers[4] = 2; /* who has an owner goes there all the same */
	ck_assert_int_eq(data_v2_sent_to(4), 2);
	steering.peers[4] = STEERING_NOBODY;
	ck_assert_int_eq(data_v2_sent_to(4), 1);
	steering_choose(&steering, NULL, 0);
	many_strangers(family, seen);
	ck_assert(seen[0] && seen[1] && seen[2]);
}

START_TEST(strangers_meet_only_those_who_were_chosen)
{
	open_steering(true);
	open_group(AF_INET);
	strangers_meet_the_chosen(AF_INET);
}
END_TEST

START_TEST(strangers_meet_only_those_who_were_chosen_in_ipv6_too)
{
	open_steering(true);
	open_group(AF_INET6);
	strangers_meet_the_chosen(AF_INET6);
}
END_TEST

START_TEST(the_programs_outlive_the_descriptors_they_were_loaded_by)
{
	open_steering(false);
	open_group(AF_INET);
	close(steering.link_program);
	close(steering.tunnel_program);
	steering.peers[1] = 2;
	ck_assert_int_eq(data_v2_sent_to(1), 2);
}
END_TEST

/* -- packets -- */

static struct tunnel tunnel;
static int out4, out6;

static void open_tunnel(void)
{
	ck_assert_int_eq(unshare(CLONE_NEWNET), 0);
	struct config config = { .dev = "tun",
		.tun_mtu = 1400,
		.ifconfig_on = true,
		.local4 = 0x0a4d0001,
		.netmask4 = 0xffff0000,
		.ifconfig6_on = true,
		.bits6 = 64 };
	inet_pton(AF_INET6, "fd77::1", &config.local6);
	ck_assert_int_eq(tunnel_open(&config, WORKERS, &tunnel), 0);
	ck_assert_int_eq(netlink_set_up(&config, tunnel.index, NULL), 0);
	ck_assert_int_eq(steering_attach_tunnel(&steering, tunnel.queues[0]), 0);
	while (who_got_it(tunnel.queues, 100) >= 0)
		; /* what the kernel says to a new interface */
	out4 = socket(AF_INET, SOCK_DGRAM, 0);
	out6 = socket(AF_INET6, SOCK_DGRAM, 0);
}

static int packet4_got_by(uint32_t address)
{
	struct sockaddr_in to = {
		.sin_family = AF_INET, .sin_port = htons(9), .sin_addr.s_addr = htonl(address)
	};
	ck_assert_int_eq(sendto(out4, "x", 1, 0, (struct sockaddr *)&to, sizeof(to)), 1);
	return who_got_it(tunnel.queues, 1000);
}

static int packet6_got_by(const char *address)
{
	struct sockaddr_in6 to = { .sin6_family = AF_INET6, .sin6_port = htons(9) };
	inet_pton(AF_INET6, address, &to.sin6_addr);
	ck_assert_int_eq(sendto(out6, "x", 1, 0, (struct sockaddr *)&to, sizeof(to)), 1);
	return who_got_it(tunnel.queues, 1000);
}

START_TEST(packets_go_to_the_owner_of_their_destination_in_both_families)
{
	open_steering(true);
	open_tunnel();
	for (int owner = 0; owner < WORKERS; owner++) {
		steering.pool[7] = (uint64_t)owner;
		ck_assert_int_eq(packet4_got_by(POOL_FIRST + 7), owner);
		ck_assert_int_eq(packet6_got_by("fd77::1007"), owner);
		steering.pool[POOL_COUNT - 1] = (uint64_t)owner;
		ck_assert_int_eq(packet4_got_by(POOL_FIRST + POOL_COUNT - 1), owner);
	}
}
END_TEST

START_TEST(packets_to_others_always_take_the_same_queue)
{
	open_steering(true);
	open_tunnel();
	int nobody = packet4_got_by(POOL_FIRST + 3), outside = packet4_got_by(POOL_FIRST + POOL_COUNT);
	int nobody6 = packet6_got_by("fd77::1003"), outside6 = packet6_got_by("fd77::2:0:1");
	ck_assert_int_ge(nobody, 0);
	ck_assert_int_ge(outside6, 0);
	for (uint32_t i = 0; i < POOL_COUNT; i++)
		if (i != 3)
			steering.pool[i] = 2;
	ck_assert_int_eq(packet4_got_by(POOL_FIRST + 3), nobody);
	ck_assert_int_eq(packet4_got_by(POOL_FIRST + POOL_COUNT), outside);
	ck_assert_int_eq(packet6_got_by("fd77::1003"), nobody6);
	ck_assert_int_eq(packet6_got_by("fd77::2:0:1"), outside6);
	/* and not all of them one: 64 of them leave no queue out, but for a chance of one in 10^11 */
	bool seen[WORKERS] = { 0 };
	for (uint32_t i = 0; i < 64; i++)
		seen[packet4_got_by(0x0a4d2000 + i)] = true;
	for (int w = 0; w < WORKERS; w++)
		ck_assert(seen[w]);
}
END_TEST

START_TEST(packets_to_others_go_to_the_chosen_alone)
{
	open_steering(true);
	open_tunnel();
	const unsigned two[] = { 0, 2 };
	steering_choose(&steering, two, 2);
	bool seen[WORKERS] = { 0 };
	for (uint32_t i = 0; i < 64; i++)
		seen[packet4_got_by(0x0a4d2000 + i)] = true;
	ck_assert(seen[0] && !seen[1] && seen[2]);
	steering.pool[7] = 1; /* an owner goes on to get what is its */
	ck_assert_int_eq(packet4_got_by(POOL_FIRST + 7), 1);
	ck_assert_int_ne(packet6_got_by("fd77::2:0:1"), 1);
}
END_TEST

START_TEST(queues_that_come_and_go_last_change_nobody_elses_number)
{
	struct config config = { .dev = "tun" };
	open_steering(true);
	open_tunnel();
	for (int round = 0; round < 3; round++) {
		ck_assert_int_eq(tunnel_add(&config, &tunnel), 0);
		ck_assert_int_eq(tunnel_add(&config, &tunnel), 0);
		ck_assert_uint_eq(tunnel.workers, WORKERS + 2);
		for (unsigned owner = 0; owner < WORKERS + 2; owner++) {
			struct sockaddr_in to = { .sin_family = AF_INET,
				.sin_port = htons(9),
				.sin_addr.s_addr = htonl(POOL_FIRST + 7) };
			steering.pool[7] = owner;
			ck_assert_int_eq(sendto(out4, "x", 1, 0, (struct sockaddr *)&to, sizeof(to)), 1);
			ck_assert(got_by(tunnel.queues[owner]));
		}
		int held = dup(tunnel.queues[WORKERS + 1]); /* a worker that is slow to die */
		tunnel_drop(&tunnel);
		tunnel_drop(&tunnel);
		for (unsigned owner = 0; owner < WORKERS; owner++) {
			steering.pool[7] = owner;
			ck_assert_int_eq(packet4_got_by(POOL_FIRST + 7), (int)owner);
		}
		close(held);
	}
}
END_TEST

START_TEST(without_an_ipv6_pool_ipv6_goes_by_hash_alone)
{
	open_steering(false);
	open_tunnel();
	int by_hash = packet6_got_by("fd77::1007");
	steering.pool[7] = (uint64_t)(by_hash + 1) % WORKERS;
	ck_assert_int_eq(packet6_got_by("fd77::1007"), by_hash);
	ck_assert_int_eq(packet4_got_by(POOL_FIRST + 7), (by_hash + 1) % WORKERS);
}
END_TEST

/* Number of a loaded program by which others find it. */
static uint32_t program_id(int fd)
{
	struct bpf_prog_info info = { 0 };
	union bpf_attr attr = { .info = { .bpf_fd = (uint32_t)fd, .info_len = sizeof(info) } };
	attr.info.info = (uint64_t)(uintptr_t)&info;
	ck_assert_int_eq(syscall(SYS_bpf, BPF_OBJ_GET_INFO_BY_FD, &attr, sizeof(attr)), 0);
	return info.id;
}

static bool program_lives(uint32_t id)
{
	union bpf_attr attr = { .prog_id = id };
	long fd = syscall(SYS_bpf, BPF_PROG_GET_FD_BY_ID, &attr, sizeof(attr));
	if (fd >= 0)
		close((int)fd);
	return fd >= 0;
}

START_TEST(a_persistent_device_does_not_keep_the_program)
{
	ck_assert_int_eq(unshare(CLONE_NEWNET), 0);
	struct config config = { .dev = "vpn8", .tun_mtu = 1500 };
	struct tunnel kept;
	ck_assert_int_eq(tunnel_open(&config, WORKERS, &kept), 0);
	ck_assert_int_eq(ioctl(kept.queues[0], TUNSETPERSIST, 1), 0);
	open_steering(true);
	ck_assert_int_eq(steering_attach_tunnel(&steering, kept.queues[0]), 0);
	uint32_t id = program_id(steering.tunnel_program);
	steering_close(&steering);
	usleep(100000);
	ck_assert(program_lives(id));
	steering_detach_tunnel(kept.queues[0]);
	bool lives = true;
	for (int i = 0; i < 200 && (lives = program_lives(id)); i++)
		usleep(10000); /* the kernel frees it when nobody can be in it any more */
	ck_assert(!lives);
	tunnel_close(&kept);
}
END_TEST

int main(void)
{
	struct steering_sizes sizes = { .peers = 1 };
	int error = steering_open(&sizes, &steering);
	if (error) {
		printf("bpf() is refused here: %s\n", strerror(-error));
		return 77;
	}
	steering_close(&steering);

	Suite *suite = suite_create("steering");
	TCase *t = tcase_create("steering");
	tcase_add_test(t, a_persistent_device_does_not_keep_the_program);
	tcase_add_test(t, data_goes_to_the_owner_also_after_the_owner_changed);
	tcase_add_test(t, a_successor_steers_with_what_it_was_left);
	tcase_add_test(t, what_has_no_owner_goes_where_the_kernel_hashes_it);
	tcase_add_test(t, workers_that_come_and_go_last_change_nobody_elses_place);
	tcase_add_test(t, strangers_meet_only_those_who_were_chosen);
	tcase_add_test(t, strangers_meet_only_those_who_were_chosen_in_ipv6_too);
	tcase_add_test(t, the_programs_outlive_the_descriptors_they_were_loaded_by);
	if (geteuid() == 0 && access("/dev/net/tun", R_OK | W_OK) == 0) {
		tcase_add_test(t, packets_go_to_the_owner_of_their_destination_in_both_families);
		tcase_add_test(t, packets_to_others_always_take_the_same_queue);
		tcase_add_test(t, packets_to_others_go_to_the_chosen_alone);
		tcase_add_test(t, queues_that_come_and_go_last_change_nobody_elses_number);
		tcase_add_test(t, without_an_ipv6_pool_ipv6_goes_by_hash_alone);
	}
	suite_add_tcase(suite, t);
	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
