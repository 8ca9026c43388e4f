/* SPDX-License-Identifier: MIT
 * A link over the loopback interface: fates, trains, source addresses, dual-stack, and what GRO brings. */
#include "tests/unit/worker/sockets.h"

#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <sys/ioctl.h>

enum { QUEUE = 128 };

static struct loop loop;
static struct udp_link link_;
static struct seen seen;
static struct link_address at, peer_at;
static int fd, peer_fd;
static struct packet packets[QUEUE];
static uint8_t bytes[QUEUE][2048];

static void begin_with(sa_family_t family, const void *ip, struct udp_link_params params)
{
	fd = udp_socket(family, ip, &at);
	params.fd = fd;
	params.payload = TEST_PAYLOAD;
	params.buffers = params.buffers ? params.buffers : 16;
	ck_assert_int_eq(udp_link_init(&link_, &params), 0);
	peer_fd = udp_socket(AF_INET, loopback4, &peer_at);
}

static void begin(void)
{
	begin_with(AF_INET, loopback4, (struct udp_link_params){ 0 });
}

/* Packet `i` of `len` bytes, the first telling its number, to `to`. */
static void queue(unsigned i, uint32_t len, const struct link_address *to)
{
	memset(bytes[i], (int)i, len);
	packets[i] = (struct packet){ .at = bytes[i],
		.start = bytes[i],
		.len = len,
		.room = sizeof(bytes[i]),
		.source = FROM_US,
		.peer_address = *to };
	udp_link_queue(&link_, &packets[i]);
}

static void expect(unsigned i, uint32_t len)
{
	uint8_t got[2048];

	ck_assert_int_eq(next_datagram(peer_fd, got, sizeof(got), NULL), (ssize_t)len);
	for (uint32_t k = 0; k < len; k++)
		ck_assert_uint_eq(got[k], i);
}

START_TEST(a_train_arrives_as_the_datagrams_it_was_made_of)
{
	begin();
	for (unsigned i = 0; i < 20; i++)
		queue(i, 1000, &peer_at);
	queue(20, 300, &peer_at);
	udp_link_flush(&link_);
	for (unsigned i = 0; i <= 20; i++)
		ck_assert_int_eq(packets[i].fate, FATE_DELIVERED);
	if (link_.trains) {
		ck_assert_uint_eq(link_.counts.send_calls, 1);
		ck_assert_uint_eq(link_.counts.trains, 1);
		ck_assert_uint_eq(link_.counts.trained, 21);
	}
	for (unsigned i = 0; i < 20; i++)
		expect(i, 1000);
	expect(20, 300);
	ck_assert(!readable(peer_fd, 0));
}
END_TEST

/* Three in a row, a gap, three in a row; the last one short. */
START_TEST(a_train_may_lie_in_one_piece_in_two_or_in_many)
{
	uint8_t *at_once = bytes[0];

	begin();
	for (unsigned i = 0; i < 6; i++) {
		uint32_t len = i == 5 ? 11 : 700;

		packets[i] = (struct packet){
			.at = at_once + i * 700 + (i >= 3 ? 13 : 0), .len = len, .peer_address = peer_at
		};
		memset(packets[i].at, (int)i, len);
		udp_link_queue(&link_, &packets[i]);
	}
	udp_link_flush(&link_);
	for (unsigned i = 0; i < 6; i++) {
		ck_assert_int_eq(packets[i].fate, FATE_DELIVERED);
		expect(i, i == 5 ? 11 : 700);
	}
	if (link_.trains)
		ck_assert_uint_eq(link_.counts.trains, 1);
}
END_TEST

START_TEST(without_trains_the_same_datagrams_arrive)
{
	begin_with(AF_INET, loopback4, (struct udp_link_params){ .no_trains = true });
	ck_assert(!link_.trains);
	for (unsigned i = 0; i < 10; i++)
		queue(i, 1000, &peer_at);
	udp_link_flush(&link_);
	ck_assert_uint_eq(link_.counts.trains, 0);
	ck_assert_uint_eq(link_.counts.sends, 10);
	for (unsigned i = 0; i < 10; i++)
		expect(i, 1000);
}
END_TEST

START_TEST(sizes_and_limits_end_trains_and_order_is_kept)
{
	static const uint32_t lens[] = { 500, 500, 400, 500, 600, 600, 10, 10, 10, 0, 10, 1500, 1400, 1500 };

	begin();
	for (unsigned i = 0; i < sizeof(lens) / sizeof(lens[0]); i++)
		queue(i, lens[i], &peer_at);
	udp_link_flush(&link_);
	for (unsigned i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
		ck_assert_int_eq(packets[i].fate, FATE_DELIVERED);
		expect(i, lens[i]);
	}
}
END_TEST

START_TEST(more_than_64_datagrams_or_64_kib_are_several_trains)
{
	begin();
	for (unsigned i = 0; i < QUEUE; i++)
		queue(i, 10, &peer_at);
	udp_link_flush(&link_);
	if (link_.trains)
		ck_assert_uint_eq(link_.counts.trains, 2);
	for (unsigned i = 0; i < QUEUE; i++)
		expect(i, 10);
	for (unsigned i = 0; i < 60; i++)
		queue(i, 1400, &peer_at);
	udp_link_flush(&link_);
	for (unsigned i = 0; i < 60; i++) {
		ck_assert_int_eq(packets[i].fate, FATE_DELIVERED);
		expect(i, 1400);
	}
	if (link_.trains)
		ck_assert_uint_eq(link_.counts.trains, 4);
	/* 46 of 1,424 bytes fit an IPv4 packet, but with an Ethernet head no device's gso_max_size */
	for (unsigned i = 0; i < 46; i++)
		queue(i, 1424, &peer_at);
	udp_link_flush(&link_);
	if (link_.trains) {
		ck_assert_uint_eq(link_.counts.trains, 5);
		ck_assert_uint_eq(link_.counts.trained, QUEUE + 60 + 45);
	}
}
END_TEST

START_TEST(datagrams_to_several_peers_in_turn_still_make_trains)
{
	struct link_address other_at;
	int other_fd, first_fd;
	uint8_t got[2048];

	begin();
	first_fd = peer_fd;
	other_fd = udp_socket(AF_INET, loopback4, &other_at);
	for (unsigned i = 0; i < 20; i++)
		queue(i, 700, i % 2 ? &other_at : &peer_at);
	udp_link_flush(&link_);
	if (link_.trains)
		ck_assert_uint_eq(link_.counts.trains, 2);
	for (unsigned i = 0; i < 20; i++) {
		ck_assert_int_eq(next_datagram(i % 2 ? other_fd : first_fd, got, sizeof(got), NULL), 700);
		ck_assert_uint_eq(got[0], i);
	}
}
END_TEST

START_TEST(one_datagram_that_cannot_be_sent_does_not_stop_the_others)
{
	struct link_address six = { .family = 6, .port = 9, .ip = { [15] = 1 } };
	struct link_address nowhere = { .family = 4, .port = 0, .ip = { 127, 0, 0, 1 } };
	struct link_address forbidden = { .family = 4, .port = 9, .ip = { 255, 255, 255, 255 } };

	begin();
	queue(0, 100, &peer_at);
	queue(1, 100, &six);
	queue(2, 100, &nowhere);
	queue(3, 100, &nowhere);
	queue(4, 100, &forbidden);
	queue(5, 100, &peer_at);
	udp_link_flush(&link_);
	ck_assert_int_eq(packets[0].fate, FATE_DELIVERED);
	ck_assert_int_eq(packets[1].fate, FATE_LINK_ERROR);
	ck_assert_int_eq(packets[2].fate, FATE_LINK_ERROR);
	ck_assert_int_eq(packets[3].fate, FATE_LINK_ERROR);
	ck_assert_int_eq(packets[4].fate, FATE_LINK_ERROR);
	ck_assert_int_eq(packets[5].fate, FATE_DELIVERED);
	expect(0, 100);
	expect(5, 100);
	/* None of that was a reason to stop making trains. */
	ck_assert_uint_eq(link_.train_limit_for, 0);
}
END_TEST

/* Loopback takes everything at once, so a connected pair stands for a socket whose queue nobody empties: it
 * ignores names and foreign control messages. */
START_TEST(a_full_socket_queue_gives_its_fate_to_the_rest)
{
	unsigned full = 0, delivered = 0;
	int pair[2];

	begin();
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, pair), 0);
	link_.fd = pair[0];
	for (unsigned round = 0; round < 50 && !link_.full; round++) {
		full = delivered = 0;
		for (unsigned i = 0; i < QUEUE; i++)
			queue(i, 1400 - i, &peer_at);
		udp_link_flush(&link_);
		for (unsigned i = 0; i < QUEUE; i++) {
			delivered += packets[i].fate == FATE_DELIVERED && !full;
			full += packets[i].fate == FATE_LINK_FULL;
		}
	}
	ck_assert(link_.full);
	ck_assert_uint_gt(full, 0);
	ck_assert_uint_eq(full + delivered, QUEUE);
	ck_assert_int_eq(udp_link_send_now(&link_, &peer_at, NULL, 0, bytes[0], 1400), FATE_LINK_FULL);
}
END_TEST

START_TEST(the_129th_queued_packet_sends_those_before_it)
{
	struct packet one_more;

	begin();
	for (unsigned i = 0; i < QUEUE; i++)
		queue(i, 10, &peer_at);
	one_more = packets[0];
	udp_link_queue(&link_, &one_more);
	ck_assert_int_eq(packets[0].fate, FATE_DELIVERED);
	ck_assert_int_eq(one_more.fate, FATE_NONE);
	udp_link_flush(&link_);
	ck_assert_int_eq(one_more.fate, FATE_DELIVERED);
	udp_link_flush(&link_);
}
END_TEST

START_TEST(datagrams_leave_from_the_address_they_were_sent_to)
{
	struct link_address local = { .family = 4, .ip = { 127, 0, 0, 99 } }, from;
	uint8_t any4[4] = { 0 }, got[16];

	begin_with(AF_INET, any4, (struct udp_link_params){ 0 });
	ck_assert_int_eq(udp_link_send_now(&link_, &peer_at, &local, 0, "now", 3), FATE_DELIVERED);
	ck_assert_int_eq(next_datagram(peer_fd, got, sizeof(got), &from), 3);
	ck_assert_mem_eq(from.ip, local.ip, 4);
	for (unsigned i = 0; i < 3; i++) {
		packets[i] = (struct packet){
			.at = bytes[i], .len = 9, .peer_address = peer_at, .local_address = local
		};
		udp_link_queue(&link_, &packets[i]);
	}
	udp_link_flush(&link_);
	for (unsigned i = 0; i < 3; i++) {
		ck_assert_int_eq(next_datagram(peer_fd, got, sizeof(got), &from), 9);
		ck_assert_mem_eq(from.ip, local.ip, 4);
		ck_assert_uint_eq(from.port, at.port);
	}
}
END_TEST

START_TEST(an_address_that_is_ours_no_more_does_not_silence_a_peer)
{
	struct link_address gone = { .family = 4, .ip = { 192, 0, 2, 1 } };
	uint8_t any4[4] = { 0 }, got[16];

	begin_with(AF_INET, any4, (struct udp_link_params){ 0 });
	ck_assert_int_eq(udp_link_send_now(&link_, &peer_at, &gone, 0, "now", 3), FATE_DELIVERED);
	ck_assert_int_eq(next_datagram(peer_fd, got, sizeof(got), NULL), 3);
	packets[0] =
		(struct packet){ .at = bytes[0], .len = 9, .peer_address = peer_at, .local_address = gone };
	udp_link_queue(&link_, &packets[0]);
	udp_link_flush(&link_);
	ck_assert_int_eq(packets[0].fate, FATE_DELIVERED);
	ck_assert_int_eq(next_datagram(peer_fd, got, sizeof(got), NULL), 9);
}
END_TEST

START_TEST(a_dual_stack_link_sees_ipv4_peers_as_mapped_and_answers_them)
{
	struct link_address to;
	uint8_t got[16];

	begin_with(AF_INET6, any6, (struct udp_link_params){ 0 });
	struct loop_params params = loop_params_for(&seen, &link_, 1, NULL, _i);
	ck_assert_int_eq(loop_init(&loop, &params), 0);
	to = (struct link_address){ .family = 4, .port = at.port, .ip = { 127, 0, 0, 1 } };
	send_plain(peer_fd, &to, AF_INET, "four", 4);
	turn_until(&loop, &seen.datagrams, 1);
	ck_assert_uint_eq(seen.datagrams, 1);
	ck_assert_uint_eq(seen.last.peer_address.family, 4);
	ck_assert_uint_eq(seen.last.peer_address.mapped, 1);
	ck_assert_uint_eq(seen.last.peer_address.port, peer_at.port);
	ck_assert_uint_eq(seen.last.local_address.family, 4);
	ck_assert_mem_eq(seen.last.local_address.ip, loopback4, 4);
	packets[0] = (struct packet){ .at = bytes[0],
		.len = 9,
		.peer_address = seen.last.peer_address,
		.local_address = seen.last.local_address,
		.local_interface = seen.last.local_interface };
	packets[1] = packets[0];
	udp_link_queue(&link_, &packets[0]);
	udp_link_queue(&link_, &packets[1]);
	udp_link_flush(&link_);
	ck_assert_int_eq(packets[0].fate, FATE_DELIVERED);
	ck_assert_int_eq(next_datagram(peer_fd, got, sizeof(got), NULL), 9);
	ck_assert_int_eq(next_datagram(peer_fd, got, sizeof(got), NULL), 9);
	ck_assert_int_eq(
		udp_link_send_now(&link_, &seen.last.peer_address, &seen.last.local_address, 0, "now", 3),
		FATE_DELIVERED);
	ck_assert_int_eq(next_datagram(peer_fd, got, sizeof(got), NULL), 3);
	loop_clear(&loop);
	udp_link_clear(&link_);
}
END_TEST

START_TEST(ipv6_peers_are_heard_and_answered)
{
	struct link_address six_at, to;
	uint8_t got[16];
	int six_fd;

	begin_with(AF_INET6, any6, (struct udp_link_params){ 0 });
	struct loop_params params = loop_params_for(&seen, &link_, 1, NULL, _i);
	ck_assert_int_eq(loop_init(&loop, &params), 0);
	six_fd = udp_socket(AF_INET6, loopback6, &six_at);
	to = (struct link_address){ .family = 6, .port = at.port, .ip = { [15] = 1 } };
	send_plain(six_fd, &to, AF_INET6, "six", 3);
	turn_until(&loop, &seen.datagrams, 1);
	ck_assert(link_address_equal(&seen.last.peer_address, &six_at));
	ck_assert_uint_eq(seen.last.local_address.family, 6);
	ck_assert_mem_eq(seen.last.local_address.ip, loopback6, 16);
	ck_assert_int_eq(udp_link_send_now(&link_, &six_at, &seen.last.local_address,
				 seen.last.local_interface, "now", 3),
		FATE_DELIVERED);
	ck_assert_int_eq(next_datagram(six_fd, got, sizeof(got), NULL), 3);
	loop_clear(&loop);
	udp_link_clear(&link_);
}
END_TEST

START_TEST(a_train_received_whole_is_taken_apart)
{
	struct udp_link far;
	struct link_address far_at;
	uint64_t rounds;

	begin_with(AF_INET, loopback4, (struct udp_link_params){ .gro = true, .buffers = 4 });
	struct loop_params params = loop_params_for(&seen, &link_, 1, NULL, _i);
	ck_assert_int_eq(loop_init(&loop, &params), 0);
	int far_fd = udp_socket(AF_INET, loopback4, &far_at);
	ck_assert_int_eq(
		udp_link_init(&far, &(struct udp_link_params){ .fd = far_fd, .buffers = 4, .payload = 100 }),
		0);
	for (rounds = 0; rounds < 3; rounds++) {
		for (unsigned i = 0; i < 60; i++) {
			unsigned number = (unsigned)rounds * 60 + i;

			memset(bytes[i], 0, 64);
			memcpy(bytes[i], &number, sizeof(number));
			packets[i] = (struct packet){
				.at = bytes[i], .len = i == 59 ? 70 : 1000, .peer_address = at
			};
			udp_link_queue(&far, &packets[i]);
		}
		udp_link_flush(&far);
	}
	turn_until(&loop, &seen.datagrams, 180);
	ck_assert_uint_eq(seen.datagrams, 180);
	for (unsigned i = 0; i < 180; i++) {
		ck_assert_mem_eq(seen.bytes[i], &i, sizeof(i));
		ck_assert_uint_eq(seen.lens[i], i % 60 == 59 ? 70 : 1000);
	}
	ck_assert_uint_eq(link_.buffers.free, link_.buffers.count);
	loop_clear(&loop);
	udp_link_clear(&link_);
	udp_link_clear(&far);
}
END_TEST

/* A namespace of its own, whose loopback device takes no datagram of 1400 bytes in one piece. */
static bool make_narrow_loopback(void)
{
	struct ifreq request = { .ifr_name = "lo" };
	int control;
	bool made;

	if (unshare(CLONE_NEWNET) < 0)
		return false;
	control = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	request.ifr_mtu = 1300;
	made = ioctl(control, SIOCSIFMTU, &request) == 0;
	request.ifr_flags = IFF_UP | IFF_RUNNING;
	made = made && ioctl(control, SIOCSIFFLAGS, &request) == 0;
	close(control);
	return made;
}

START_TEST(a_train_longer_than_the_path_allows_goes_one_by_one)
{
	if (!make_narrow_loopback()) {
		fprintf(stderr, "no right to make a network namespace: left out\n");
		return;
	}
	begin();
	if (!link_.trains)
		return;
	for (unsigned i = 0; i < 10; i++)
		queue(i, 1400, &peer_at);
	udp_link_flush(&link_);
	ck_assert_uint_eq(link_.counts.trains_refused, 1);
	for (unsigned i = 0; i < 10; i++) {
		ck_assert_int_eq(packets[i].fate, FATE_DELIVERED);
		expect(i, 1400);
	}
	/* That is remembered; shorter ones still make trains. */
	for (unsigned i = 0; i < 10; i++)
		queue(i, i < 5 ? 1400 : 1200, &peer_at);
	udp_link_flush(&link_);
	ck_assert_uint_eq(link_.counts.trains_refused, 1);
	ck_assert_uint_eq(link_.counts.trains, 1);
	for (unsigned i = 0; i < 10; i++)
		expect(i, i < 5 ? 1400 : 1200);
	/* But not for ever. */
	for (unsigned n = 0; n < 4096; n++) {
		queue(0, 1400, &peer_at);
		udp_link_flush(&link_);
	}
	ck_assert_uint_eq(link_.train_limit_for, 0);
}
END_TEST

START_TEST(a_kernel_without_multishot_receive_is_noticed_at_the_first_completion)
{
	struct io_uring_cqe cqe = { .res = -EINVAL };
	bool again;

	begin();
	link_.multishot = link_.armed = true;
	ck_assert(!udp_link_complete(&link_, &cqe, &again));
	ck_assert(!again);
	ck_assert(!link_.armed);
	ck_assert(!link_.multishot);
	/* Later it is an error like others. */
	link_.multishot = link_.armed = true;
	ck_assert(!udp_link_complete(&link_, &cqe, &again));
	ck_assert(link_.multishot);
	ck_assert_uint_eq(link_.errors_in_row, 2);
}
END_TEST

START_TEST(what_is_no_udp_socket_is_refused)
{
	int pair[2];

	ck_assert_int_eq(
		udp_link_init(&link_, &(struct udp_link_params){ .fd = -1, .buffers = 4, .payload = 100 }),
		-EBADF);
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
	ck_assert_int_eq(udp_link_init(&link_,
				 &(struct udp_link_params){ .fd = pair[0], .buffers = 4, .payload = 100 }),
		-EAFNOSUPPORT);
	fd = udp_socket(AF_INET, loopback4, &at);
	ck_assert_int_eq(
		udp_link_init(&link_, &(struct udp_link_params){ .fd = fd, .buffers = 0, .payload = 100 }),
		-EINVAL);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("worker/udp_link");
	TCase *tcase = tcase_create("udp_link");

	tcase_add_test(tcase, a_train_arrives_as_the_datagrams_it_was_made_of);
	tcase_add_test(tcase, a_train_may_lie_in_one_piece_in_two_or_in_many);
	tcase_add_test(tcase, without_trains_the_same_datagrams_arrive);
	tcase_add_test(tcase, sizes_and_limits_end_trains_and_order_is_kept);
	tcase_add_test(tcase, more_than_64_datagrams_or_64_kib_are_several_trains);
	tcase_add_test(tcase, datagrams_to_several_peers_in_turn_still_make_trains);
	tcase_add_test(tcase, one_datagram_that_cannot_be_sent_does_not_stop_the_others);
	tcase_add_test(tcase, a_full_socket_queue_gives_its_fate_to_the_rest);
	tcase_add_test(tcase, the_129th_queued_packet_sends_those_before_it);
	tcase_add_test(tcase, datagrams_leave_from_the_address_they_were_sent_to);
	tcase_add_test(tcase, an_address_that_is_ours_no_more_does_not_silence_a_peer);
	tcase_add_loop_test(tcase, a_dual_stack_link_sees_ipv4_peers_as_mapped_and_answers_them, 0, 2);
	tcase_add_loop_test(tcase, ipv6_peers_are_heard_and_answered, 0, 2);
	tcase_add_loop_test(tcase, a_train_received_whole_is_taken_apart, 0, 2);
	tcase_add_test(tcase, a_train_longer_than_the_path_allows_goes_one_by_one);
	tcase_add_test(tcase, a_kernel_without_multishot_receive_is_noticed_at_the_first_completion);
	tcase_add_test(tcase, what_is_no_udp_socket_is_refused);
	suite_add_tcase(suite, tcase);
	return run_suite(suite);
}
