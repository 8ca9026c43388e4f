/* SPDX-License-Identifier: MIT
 * The outer sockets, on loopback: groups, buffers, refusals. */
#include "master/listen.h"

#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

static struct listener loopback4(enum proto proto, uint16_t port)
{
	struct listener l = { .proto = proto, .address_len = sizeof(struct sockaddr_in), .spelled = "test4" };
	struct sockaddr_in *in = (struct sockaddr_in *)&l.address;
	in->sin_family = AF_INET;
	in->sin_port = htons(port);
	in->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	return l;
}

static struct listener any6(bool v6only)
{
	struct listener l = { .proto = PROTO_UDP,
		.address_len = sizeof(struct sockaddr_in6),
		.v6only = v6only,
		.spelled = "test6" };
	((struct sockaddr_in6 *)&l.address)->sin6_family = AF_INET6;
	return l;
}

static uint16_t port_of(int fd)
{
	struct sockaddr_in6 in;
	socklen_t len = sizeof(in);
	ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&in, &len), 0);
	return ntohs(in.sin6_port); /* at the same place for both families */
}

static int option(int fd, int level, int name)
{
	int value = -1;
	socklen_t len = sizeof(value);
	ck_assert_int_eq(getsockopt(fd, level, name, &value, &len), 0);
	return value;
}

START_TEST(each_worker_has_its_own_socket_and_all_share_the_port)
{
	struct listener l = loopback4(PROTO_UDP, 0);
	struct config config = { .listeners = &l, .listener_count = 1, .mtu_discover = -1 };
	struct listeners s;
	ck_assert_int_eq(listeners_open(&config, 3, &s), 0);
	uint16_t port = port_of(s.fds[0]);
	ck_assert_uint_ne(port, 0);
	for (unsigned w = 0; w < 3; w++) {
		int fd = listeners_of(&s, w)[0];
		ck_assert_uint_eq(port_of(fd), port);
		ck_assert_int_eq(option(fd, SOL_SOCKET, SO_REUSEPORT), 1);
		ck_assert_int_ne(fcntl(fd, F_GETFL) & O_NONBLOCK, 0);
		ck_assert_int_ne(fcntl(fd, F_GETFD) & FD_CLOEXEC, 0);
		ck_assert_int_eq(option(fd, IPPROTO_IP, IP_PKTINFO), 1);
		ck_assert_int_eq(option(fd, IPPROTO_IP, IP_RECVERR), 0);
	}
	ck_assert_int_ne(s.fds[0], s.fds[1]);
	listeners_close(&s);
}
END_TEST

START_TEST(buffers_are_large_unless_the_configuration_says_otherwise)
{
	struct listener l = loopback4(PROTO_UDP, 0);
	struct config config = { .listeners = &l, .listener_count = 1, .mtu_discover = -1 };
	struct listeners s;
	ck_assert_int_eq(listeners_open(&config, 1, &s), 0);
	if (geteuid() == 0) {
		ck_assert_int_eq(option(s.fds[0], SOL_SOCKET, SO_RCVBUF), 2 * LISTEN_BUFFER_DEFAULT);
		ck_assert_int_eq(option(s.fds[0], SOL_SOCKET, SO_SNDBUF), 2 * LISTEN_BUFFER_DEFAULT);
	}
	listeners_close(&s);
	config.rcvbuf = 100000;
	config.sndbuf = 50000;
	ck_assert_int_eq(listeners_open(&config, 1, &s), 0);
	ck_assert_int_eq(option(s.fds[0], SOL_SOCKET, SO_RCVBUF), 200000);
	ck_assert_int_eq(option(s.fds[0], SOL_SOCKET, SO_SNDBUF), 100000);
	listeners_close(&s);
}
END_TEST

START_TEST(mtu_disc_is_set_where_wanted)
{
	struct listener l = loopback4(PROTO_UDP, 0);
	struct config config = { .listeners = &l, .listener_count = 1, .mtu_discover = IP_PMTUDISC_DO };
	struct listeners s;
	ck_assert_int_eq(listeners_open(&config, 1, &s), 0);
	ck_assert_int_eq(option(s.fds[0], IPPROTO_IP, IP_MTU_DISCOVER), IP_PMTUDISC_DO);
	listeners_close(&s);
}
END_TEST

START_TEST(an_ipv6_listener_is_dual_stack_or_not_as_told)
{
	for (int only = 0; only < 2; only++) {
		struct listener l = any6(only);
		struct config config = { .listeners = &l, .listener_count = 1, .mtu_discover = -1 };
		struct listeners s;
		int error = listeners_open(&config, 2, &s);
		if (error == -EAFNOSUPPORT)
			return; /* no IPv6 on this machine */
		ck_assert_int_eq(error, 0);
		ck_assert_int_eq(option(s.fds[0], IPPROTO_IPV6, IPV6_V6ONLY), only);
		ck_assert_int_eq(option(s.fds[1], IPPROTO_IPV6, IPV6_RECVPKTINFO), 1);
		listeners_close(&s);
	}
}
END_TEST

START_TEST(a_port_that_another_listens_on_is_refused_although_it_would_share)
{
	struct listener l = loopback4(PROTO_UDP, 0);
	struct config config = { .listeners = &l, .listener_count = 1, .mtu_discover = -1 };
	struct listeners first, second;
	ck_assert_int_eq(listeners_open(&config, 2, &first), 0);
	struct listener same = loopback4(PROTO_UDP, port_of(first.fds[0]));
	config.listeners = &same;
	ck_assert_int_eq(listeners_open(&config, 2, &second), -EADDRINUSE);
	ck_assert_ptr_null(second.fds);
	listeners_close(&first);
	ck_assert_int_eq(listeners_open(&config, 2, &second), 0);
	listeners_close(&second);
}
END_TEST

START_TEST(a_failing_listener_leaves_no_earlier_one_open)
{
	struct listener two[2] = { loopback4(PROTO_UDP, 0), loopback4(PROTO_UDP, 0) };
	((struct sockaddr_in *)&two[1].address)->sin_addr.s_addr =
		htonl(0xc0000201); /* 192.0.2.1 is nobody's */
	struct config config = { .listeners = two, .listener_count = 2, .mtu_discover = -1 };
	struct listeners s;
	int next = dup(0);
	close(next);
	ck_assert_int_lt(listeners_open(&config, 2, &s), 0);
	int after = dup(0);
	ck_assert_int_eq(after, next);
	close(after);
}
END_TEST

START_TEST(tcp_listens_and_does_not_delay)
{
	struct listener two[2] = { loopback4(PROTO_UDP, 0), loopback4(PROTO_TCP, 0) };
	struct config config = { .listeners = two, .listener_count = 2, .mtu_discover = -1 };
	struct listeners s;
	ck_assert_int_eq(listeners_open(&config, 2, &s), 0);
	for (unsigned w = 0; w < 2; w++)
		ck_assert_int_eq(option(listeners_of(&s, w)[1], SOL_SOCKET, SO_ACCEPTCONN), 1);
	ck_assert_int_eq(option(listeners_group(&s, 0), SOL_SOCKET, SO_TYPE), SOCK_DGRAM);
	ck_assert_int_eq(option(listeners_group(&s, 1), SOL_SOCKET, SO_TYPE), SOCK_STREAM);
	listeners_close(&s);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("listen");
	TCase *t = tcase_create("listen");
	tcase_add_test(t, each_worker_has_its_own_socket_and_all_share_the_port);
	tcase_add_test(t, buffers_are_large_unless_the_configuration_says_otherwise);
	tcase_add_test(t, mtu_disc_is_set_where_wanted);
	tcase_add_test(t, an_ipv6_listener_is_dual_stack_or_not_as_told);
	tcase_add_test(t, a_port_that_another_listens_on_is_refused_although_it_would_share);
	tcase_add_test(t, a_failing_listener_leaves_no_earlier_one_open);
	tcase_add_test(t, tcp_listens_and_does_not_delay);
	suite_add_tcase(suite, t);
	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
