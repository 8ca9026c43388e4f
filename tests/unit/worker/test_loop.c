/* SPDX-License-Identifier: MIT
 * The loop over real sockets on the loopback interface, on the ring, on poll(2), and on the ring of a kernel
 * that cannot receive by itself: each story three times. */
#include "tests/unit/worker/sockets.h"

#include <netinet/ip_icmp.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

enum { ON_RING, ON_POLL, ON_RING_BY_POLLING, KINDS };

static struct loop loop;
static struct udp_link links[2];
static struct seen seen;
static struct link_address at[2];
static int fds[2] = { -1, -1 };
static int plain_fd = -1;
static struct link_address plain_at;

/* Two links, both of 127.0.0.1, and a plain socket to talk to them. */
static void begin(int kind, unsigned buffers)
{
	plain_fd = udp_socket(AF_INET, loopback4, &plain_at);
	for (unsigned i = 0; i < 2; i++) {
		fds[i] = udp_socket(AF_INET, loopback4, &at[i]);
		ck_assert_int_eq(udp_link_init(&links[i], &(struct udp_link_params){ .fd = fds[i],
								  .index = (uint16_t)i,
								  .buffers = buffers,
								  .payload = TEST_PAYLOAD }),
			0);
	}
	struct loop_params params = loop_params_for(&seen, links, 2, NULL, kind == ON_POLL);
	ck_assert_int_eq(loop_init(&loop, &params), 0);
	if (kind == ON_POLL)
		ck_assert(!loop.features.ring);
	for (unsigned i = 0; i < 2 && kind == ON_RING_BY_POLLING; i++) {
		links[i].multishot = false;
		buffers_drop_ring(&links[i].buffers);
	}
}

static void end(void)
{
	loop_clear(&loop);
	for (unsigned i = 0; i < 2; i++)
		udp_link_clear(&links[i]);
}

START_TEST(datagrams_of_each_link_arrive_with_their_addresses)
{
	begin(_i, 16);
	send_plain(plain_fd, &at[0], AF_INET, "one", 3);
	turn_until(&loop, &seen.datagrams, 1);
	ck_assert_uint_eq(seen.datagrams, 1);
	ck_assert_uint_eq(seen.last.link, 0);
	ck_assert_mem_eq(seen.bytes[0], "one", 3);
	ck_assert(link_address_equal(&seen.last.peer_address, &plain_at));
	ck_assert_uint_eq(seen.last.local_address.family, 4);
	ck_assert_mem_eq(seen.last.local_address.ip, loopback4, 4);
	ck_assert_uint_eq(seen.last.local_address.port, 0);
	ck_assert_uint_ne(seen.last.local_interface, 0);
	ck_assert_uint_eq(seen.last.peer, PEER_NONE);
	ck_assert_int_eq(seen.last.fate, FATE_NONE);
	ck_assert_uint_ge(packet_headroom(&seen.last), PACKET_HEADROOM);
	ck_assert_uint_ge(seen.last.room - packet_headroom(&seen.last) - seen.last.len, BUFFERS_TAILROOM);
	send_plain(plain_fd, &at[1], AF_INET, "two", 3);
	turn_until(&loop, &seen.datagrams, 2);
	ck_assert_uint_eq(seen.last.link, 1);
	ck_assert_mem_eq(seen.bytes[1], "two", 3);
	end();
}
END_TEST

START_TEST(more_datagrams_than_buffers_all_arrive_in_order)
{
	begin(_i, 8);
	for (unsigned i = 0; i < 100; i++)
		send_plain(plain_fd, &at[0], AF_INET, &i, sizeof(i));
	turn_until(&loop, &seen.datagrams, 100);
	ck_assert_uint_eq(seen.datagrams, 100);
	for (unsigned i = 0; i < 100; i++)
		ck_assert_mem_eq(seen.bytes[i], &i, sizeof(i));
	ck_assert_uint_eq(links[0].buffers.free, 8);
	end();
}
END_TEST

START_TEST(many_datagrams_come_in_few_batches)
{
	begin(_i, 256);
	for (unsigned i = 0; i < 200; i++)
		send_plain(plain_fd, &at[0], AF_INET, &i, sizeof(i));
	turn_until(&loop, &seen.datagrams, 200);
	ck_assert_uint_eq(seen.datagrams, 200);
	ck_assert_uint_le(seen.batches, 20);
	end();
}
END_TEST

START_TEST(an_empty_datagram_arrives_and_stops_nothing)
{
	begin(_i, 8);
	send_plain(plain_fd, &at[0], AF_INET, "", 0);
	send_plain(plain_fd, &at[0], AF_INET, "after", 5);
	turn_until(&loop, &seen.datagrams, 2);
	ck_assert_uint_eq(seen.datagrams, 2);
	ck_assert_uint_eq(seen.lens[0], 0);
	ck_assert_uint_eq(seen.lens[1], 5);
	ck_assert_uint_eq(links[0].buffers.free, 8);
	end();
}
END_TEST

START_TEST(a_datagram_longer_than_wanted_comes_with_a_fate)
{
	static uint8_t bytes[TEST_PAYLOAD + 1];

	begin(_i, 8);
	send_plain(plain_fd, &at[0], AF_INET, bytes, TEST_PAYLOAD);
	turn_until(&loop, &seen.datagrams, 1);
	ck_assert_int_eq(seen.last.fate, FATE_NONE);
	ck_assert_uint_eq(seen.last.len, TEST_PAYLOAD);
	send_plain(plain_fd, &at[0], AF_INET, bytes, TEST_PAYLOAD + 1);
	turn_until(&loop, &seen.datagrams, 2);
	ck_assert_int_eq(seen.last.fate, FATE_TOO_LONG);
	ck_assert_uint_le(seen.last.len, TEST_PAYLOAD);
	end();
}
END_TEST

START_TEST(an_icmp_error_does_not_end_receiving)
{
	struct link_address nobody;
	int closed, on = 1;

	begin(_i, 8);
	/* Asks for errors to be reported, which nobody does; then a port that nobody listens on. */
	ck_assert_int_eq(setsockopt(fds[0], IPPROTO_IP, IP_RECVERR, &on, sizeof(on)), 0);
	closed = udp_socket(AF_INET, loopback4, &nobody);
	close(closed);
	ck_assert_int_eq(loop_turn(&loop, loop_now()), 0);
	udp_link_send_now(&links[0], &nobody, NULL, 0, "x", 1);
	ck_assert_int_eq(loop_turn(&loop, loop_now() + 20), 0);
	ck_assert_int_eq(loop_turn(&loop, loop_now() + 20), 0);
	send_plain(plain_fd, &at[0], AF_INET, "still here", 10);
	turn_until(&loop, &seen.datagrams, 1);
	ck_assert_uint_eq(seen.datagrams, 1);
	ck_assert_mem_eq(seen.bytes[0], "still here", 10);
	end();
}
END_TEST

START_TEST(a_turn_ends_at_the_time_it_was_given)
{
	mono_ms before;

	begin(_i, 8);
	ck_assert_int_eq(loop_turn(&loop, 0), 0);
	before = loop_now();
	ck_assert_int_eq(loop_turn(&loop, before + 50), 0);
	ck_assert_int_ge(loop_now(), before + 50);
	ck_assert_int_le(loop_now(), before + 1000);
	before = loop_now();
	ck_assert_int_eq(loop_turn(&loop, before - 1000), 0);
	ck_assert_int_le(loop_now(), before + 40);
	end();
}
END_TEST

START_TEST(workers_wake_each_other_once_a_turn)
{
	int wake_fds[2] = { eventfd(0, EFD_NONBLOCK), eventfd(0, EFD_NONBLOCK) };
	struct loop other;
	struct seen other_seen = { 0 };
	struct loop_params params = loop_params_for(&seen, NULL, 0, NULL, _i == ON_POLL);
	struct loop_params other_params = loop_params_for(&other_seen, NULL, 0, NULL, _i == ON_POLL);

	params.wake_fds = other_params.wake_fds = wake_fds;
	params.workers = other_params.workers = 2;
	other_params.index = 1;
	ck_assert_int_eq(loop_init(&loop, &params), 0);
	ck_assert_int_eq(loop_init(&other, &other_params), 0);
	for (unsigned i = 0; i < 5; i++)
		loop_wake(&loop, 1);
	ck_assert_int_eq(loop_turn(&loop, 0), 0);
	ck_assert_uint_eq(loop.counts.wakes_sent, 1);
	turn_until(&other, &other_seen.woken, 1);
	ck_assert_uint_eq(other_seen.woken, 1);
	ck_assert_int_eq(loop_turn(&other, loop_now() + 20), 0);
	ck_assert_uint_eq(other_seen.woken, 1);
	loop_wake(&loop, 1);
	ck_assert_int_eq(loop_turn(&loop, 0), 0);
	turn_until(&other, &other_seen.woken, 2);
	ck_assert_uint_eq(other_seen.woken, 2);
	ck_assert_uint_eq(seen.woken, 0);
	loop_clear(&other);
	loop_clear(&loop);
}
END_TEST

START_TEST(what_the_master_said_is_told_until_it_is_read)
{
	int pair[2];
	struct loop_params params = loop_params_for(&seen, NULL, 0, NULL, _i == ON_POLL);

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, pair), 0);
	params.orders_fd = pair[0];
	seen.keep = true;
	seen.drain_fd = pair[0];
	ck_assert_int_eq(loop_init(&loop, &params), 0);
	for (unsigned i = 0; i < 3; i++)
		ck_assert_int_eq(write(pair[1], "o", 1), 1);
	/* The handler reads one at a time. */
	turn_until(&loop, &seen.orders, 3);
	ck_assert_uint_eq(seen.orders, 3);
	ck_assert_int_eq(loop_turn(&loop, loop_now() + 20), 0);
	ck_assert_uint_eq(seen.orders, 3);
	loop_clear(&loop);
}
END_TEST

START_TEST(an_end_that_is_gone_is_told_once)
{
	int orders[2], keyholder[2];
	struct loop_params params = loop_params_for(&seen, NULL, 0, NULL, _i == ON_POLL);

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, orders), 0);
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, keyholder), 0);
	params.orders_fd = orders[0];
	params.keyholder_fd = keyholder[0];
	seen.keep = false;
	ck_assert_int_eq(loop_init(&loop, &params), 0);
	close(orders[1]);
	close(keyholder[1]);
	for (unsigned i = 0; i < 5; i++)
		ck_assert_int_eq(loop_turn(&loop, loop_now() + 10), 0);
	ck_assert_uint_eq(seen.orders, 1);
	ck_assert_uint_eq(seen.keyholder, 1);
	loop_clear(&loop);
}
END_TEST

START_TEST(orders_are_served_while_datagrams_pour_in)
{
	int pair[2];

	begin(_i, 32);
	loop_clear(&loop);
	struct loop_params params = loop_params_for(&seen, links, 2, NULL, _i == ON_POLL);
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, pair), 0);
	params.orders_fd = pair[0];
	seen.keep = true;
	seen.drain_fd = pair[0];
	ck_assert_int_eq(loop_init(&loop, &params), 0);
	for (unsigned i = 0; i < 100; i++)
		send_plain(plain_fd, &at[0], AF_INET, &i, sizeof(i));
	ck_assert_int_eq(write(pair[1], "o", 1), 1);
	for (unsigned i = 0; i < 3; i++)
		ck_assert_int_eq(loop_turn(&loop, loop_now() + 10), 0);
	ck_assert_uint_eq(seen.orders, 1);
	end();
}
END_TEST

/* A socket pair stands for both the tunnel and a link whose queue is full. */
START_TEST(a_full_link_stops_the_tunnel_until_it_drains)
{
	int pair[2];
	struct tun_queue tun;

	begin(_i, 8);
	loop_clear(&loop);
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, pair), 0);
	ck_assert_int_eq(
		tun_queue_init(&tun,
			&(struct tun_queue_params){
				.fd = pair[0], .header_len = 0, .buffers = 8, .payload = TEST_PAYLOAD }),
		0);
	struct loop_params params = loop_params_for(&seen, links, 2, &tun, _i == ON_POLL);
	ck_assert_int_eq(loop_init(&loop, &params), 0);
	ck_assert_int_eq(write(pair[1], "before", 6), 6);
	turn_until(&loop, &seen.packets, 1);
	ck_assert_uint_eq(seen.packets, 1);
	/* As after EAGAIN; the socket is writable, so this lasts a turn or two. */
	links[0].full = true;
	ck_assert_int_eq(loop_turn(&loop, loop_now() + 10), 0);
	ck_assert_uint_eq(tun.counts.pauses, 1);
	ck_assert_int_eq(write(pair[1], "after", 5), 5);
	turn_until(&loop, &seen.packets, 2);
	ck_assert_uint_eq(seen.packets, 2);
	ck_assert(!links[0].full);
	ck_assert(!tun.paused);
	ck_assert_mem_eq(seen.bytes[1], "after", 5);
	end();
	tun_queue_clear(&tun);
}
END_TEST

START_TEST(the_ring_refuses_what_the_loop_does_not_use)
{
	struct io_uring_sqe *sqe;
	struct io_uring_cqe *cqe;

	begin(ON_RING, 8);
	if (!loop.features.ring)
		return;
	sqe = io_uring_get_sqe(&loop.ring);
	io_uring_prep_openat(sqe, AT_FDCWD, "/", O_RDONLY, 0);
	io_uring_sqe_set_data64(sqe, 0);
	ck_assert_int_ge(io_uring_submit_and_wait(&loop.ring, 1), 0);
	ck_assert_int_eq(io_uring_peek_cqe(&loop.ring, &cqe), 0);
	ck_assert_int_eq(cqe->res, -EACCES);
	io_uring_cqe_seen(&loop.ring, cqe);
	sqe = io_uring_get_sqe(&loop.ring);
	io_uring_prep_socket(sqe, AF_INET, SOCK_DGRAM, 0, 0);
	ck_assert_int_ge(io_uring_submit_and_wait(&loop.ring, 1), 0);
	ck_assert_int_eq(io_uring_peek_cqe(&loop.ring, &cqe), 0);
	ck_assert_int_eq(cqe->res, -EACCES);
	io_uring_cqe_seen(&loop.ring, cqe);
	/* An allowed operation with a flag that is not. */
	sqe = io_uring_get_sqe(&loop.ring);
	io_uring_prep_poll_add(sqe, plain_fd, POLLOUT);
	sqe->flags |= IOSQE_ASYNC;
	ck_assert_int_ge(io_uring_submit_and_wait(&loop.ring, 1), 0);
	ck_assert_int_eq(io_uring_peek_cqe(&loop.ring, &cqe), 0);
	ck_assert_int_eq(cqe->res, -EACCES);
	io_uring_cqe_seen(&loop.ring, cqe);
	ck_assert_int_eq(io_uring_register((unsigned)loop.ring.ring_fd, IORING_REGISTER_PERSONALITY, NULL, 0),
		-EACCES);
	end();
}
END_TEST

START_TEST(every_op_has_a_name)
{
	ck_assert_str_eq(loop_op_name(LOOP_DATAGRAMS), "DATAGRAMS");
	ck_assert_str_eq(loop_op_name(LOOP_HELPER), "HELPER");
	ck_assert_str_eq(loop_op_name(LOOP_OP_COUNT), "?");
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("worker/loop");
	TCase *tcase = tcase_create("loop");

	tcase_add_loop_test(tcase, datagrams_of_each_link_arrive_with_their_addresses, 0, KINDS);
	tcase_add_loop_test(tcase, more_datagrams_than_buffers_all_arrive_in_order, 0, KINDS);
	tcase_add_loop_test(tcase, many_datagrams_come_in_few_batches, 0, KINDS);
	tcase_add_loop_test(tcase, an_empty_datagram_arrives_and_stops_nothing, 0, KINDS);
	tcase_add_loop_test(tcase, a_datagram_longer_than_wanted_comes_with_a_fate, 0, KINDS);
	tcase_add_loop_test(tcase, an_icmp_error_does_not_end_receiving, 0, KINDS);
	tcase_add_loop_test(tcase, a_turn_ends_at_the_time_it_was_given, 0, KINDS);
	tcase_add_loop_test(tcase, workers_wake_each_other_once_a_turn, 0, KINDS);
	tcase_add_loop_test(tcase, what_the_master_said_is_told_until_it_is_read, 0, KINDS);
	tcase_add_loop_test(tcase, an_end_that_is_gone_is_told_once, 0, KINDS);
	tcase_add_loop_test(tcase, orders_are_served_while_datagrams_pour_in, 0, KINDS);
	tcase_add_loop_test(tcase, a_full_link_stops_the_tunnel_until_it_drains, 0, KINDS);
	tcase_add_test(tcase, the_ring_refuses_what_the_loop_does_not_use);
	tcase_add_test(tcase, every_op_has_a_name);
	suite_add_tcase(suite, tcase);
	return run_suite(suite);
}
