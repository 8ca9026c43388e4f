/* SPDX-License-Identifier: MIT
 * The tunnel device and its settings, in a network namespace of our own; skipped (77) without the right to
 * make one. */
#include "master/netlink.h"
#include "master/tunnel.h"

#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

static struct config config;
static bool added[8];

static void fresh_namespace(void)
{
	ck_assert_int_eq(unshare(CLONE_NEWNET), 0);
	config = (struct config){ .dev = "tun",
		.tun_mtu = 1400,
		.ifconfig_on = true,
		.local4 = 0x0a4d0001,
		.netmask4 = 0xffffff00 };
}

/* What a command prints, on one line. */
static const char *said(const char *command)
{
	static char text[4096];
	FILE *in = popen(command, "r");
	size_t n = in ? fread(text, 1, sizeof(text) - 1, in) : 0;
	text[n] = '\0';
	if (in)
		pclose(in);
	for (char *c = text; *c; c++)
		if (*c == '\n')
			*c = ' ';
	return text;
}

static int make_persistent(const char *name, short flags)
{
	int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
	struct ifreq request = { .ifr_flags = (short)(IFF_TUN | IFF_NO_PI | flags) };
	snprintf(request.ifr_name, IFNAMSIZ, "%s", name);
	ck_assert_int_eq(ioctl(fd, TUNSETIFF, &request), 0);
	ck_assert_int_eq(ioctl(fd, TUNSETPERSIST, 1), 0);
	return close(fd);
}

START_TEST(dev_tun_takes_the_first_free_unit)
{
	fresh_namespace();
	struct tunnel first, second;
	ck_assert_int_eq(tunnel_open(&config, 2, &first), 0);
	ck_assert_int_eq(tunnel_open(&config, 2, &second), 0);
	ck_assert_str_eq(first.name, "tun0");
	ck_assert_str_eq(second.name, "tun1");
	ck_assert(first.multi_queue && !first.persistent);
	ck_assert_int_ne(first.queues[0], first.queues[1]);
	ck_assert_int_ne(fcntl(first.queues[1], F_GETFL) & O_NONBLOCK, 0);
	ck_assert_int_ne(fcntl(first.queues[1], F_GETFD) & FD_CLOEXEC, 0);
	tunnel_close(&first);
	tunnel_close(&second);
	ck_assert_uint_eq(if_nametoindex("tun0"), 0);
	tunnel_close(&second);
}
END_TEST

START_TEST(dev_null_has_no_queue)
{
	fresh_namespace();
	config.dev = "null";
	struct tunnel t;
	ck_assert_int_eq(tunnel_open(&config, 2, &t), 0);
	ck_assert_int_eq(t.queues[0], -1);
	ck_assert_int_eq(t.queues[1], -1);
	ck_assert_uint_eq(t.index, 0);
	ck_assert_int_eq(netlink_set_up(&config, t.index, added), 0);
	tunnel_close(&t);
}
END_TEST

START_TEST(a_persistent_device_is_opened_and_stays)
{
	fresh_namespace();
	make_persistent("vpn7", IFF_MULTI_QUEUE);
	config.dev = "vpn7";
	struct tunnel t;
	ck_assert_int_eq(tunnel_open(&config, 2, &t), 0);
	ck_assert(t.persistent && t.multi_queue);
	ck_assert_int_eq(netlink_set_up(&config, t.index, added), 0);
	ck_assert_ptr_nonnull(strstr(said("ip -4 addr show dev vpn7"), "10.77.0.1/24"));
	netlink_undo(&config, t.index, t.persistent, added);
	ck_assert_ptr_null(strstr(said("ip -4 addr show dev vpn7"), "10.77.0.1"));
	tunnel_close(&t);
	ck_assert_uint_ne(if_nametoindex("vpn7"), 0);
}
END_TEST

START_TEST(a_device_with_one_queue_is_shared)
{
	fresh_namespace();
	make_persistent("old0", 0);
	config.dev = "old0";
	struct tunnel t;
	ck_assert_int_eq(tunnel_open(&config, 3, &t), 0);
	ck_assert(t.persistent && !t.multi_queue);
	ck_assert_int_ge(t.queues[0], 0);
	ck_assert_int_ge(t.queues[2], 0);
	ck_assert_int_ne(fcntl(t.queues[2], F_GETFL) & O_NONBLOCK, 0);
	tunnel_close(&t);
}
END_TEST

START_TEST(offloads_are_asked_for_when_wanted_and_taken_back_from_a_device_that_stays)
{
	fresh_namespace();
	struct tunnel t;
	ck_assert_int_eq(tunnel_open(&config, 2, &t), 0);
	ck_assert(!t.trains && !t.udp_trains);
	tunnel_close(&t);
	make_persistent("vpn7", IFF_MULTI_QUEUE);
	config.dev = "vpn7";
	config.offload = true;
	ck_assert_int_eq(tunnel_open(&config, 2, &t), 0);
	ck_assert(t.trains);
	int fd = t.queues[1];
	/* Whether a kernel has USO is its own affair; that it says so truly is not. */
	ck_assert(t.udp_trains == (ioctl(fd, TUNSETOFFLOAD, 0x61) == 0));
	ck_assert_int_eq(ioctl(fd, TUNSETOFFLOAD, 7), 0);
	tunnel_close(&t);
	config.offload = false;
	ck_assert_int_eq(tunnel_open(&config, 2, &t), 0);
	ck_assert(!t.trains);
	tunnel_close(&t);
}
END_TEST

START_TEST(a_device_in_use_or_with_too_long_a_name_is_refused)
{
	fresh_namespace();
	config.dev = "busy0";
	struct tunnel t;
	int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
	struct ifreq request = { .ifr_flags = IFF_TUN | IFF_NO_PI };
	strcpy(request.ifr_name, "busy0");
	ck_assert_int_eq(ioctl(fd, TUNSETIFF, &request), 0);
	ck_assert_int_lt(tunnel_open(&config, 2, &t), 0);
	ck_assert_ptr_null(t.queues);
	config.dev = "a_name_that_no_interface_can_have";
	ck_assert_int_eq(tunnel_open(&config, 2, &t), -ENAMETOOLONG);
	config.dev = "lo";
	ck_assert_int_lt(tunnel_open(&config, 2, &t), 0);
}
END_TEST

START_TEST(the_device_gets_its_mtu_queue_length_addresses_and_routes)
{
	fresh_namespace();
	struct route4 four[] = { { .network = 0x0a4e0000, .netmask = 0xffff0000, .metric = -1 },
		{ .network = 0x0a4f0000, .netmask = 0xffff0000, .gateway = 0x0a4d0002, .metric = 77 } };
	struct route6 six[] = { { .bits = 48, .metric = -1 },
		{ .bits = 48, .has_gateway = true, .metric = 5 } };
	inet_pton(AF_INET6, "fd78::", &six[0].network);
	inet_pton(AF_INET6, "fd79::", &six[1].network);
	inet_pton(AF_INET6, "fd77::2", &six[1].gateway);
	inet_pton(AF_INET6, "fd77::1", &config.local6);
	config.txqueuelen = 333;
	config.ifconfig6_on = true;
	config.bits6 = 64;
	config.routes4 = four;
	config.routes6 = six;
	config.route4_count = config.route6_count = 2;
	struct tunnel t;
	ck_assert_int_eq(tunnel_open(&config, 1, &t), 0);
	ck_assert_int_eq(netlink_set_up(&config, t.index, added), 0);
	const char *link = said("ip addr show dev tun0");
	ck_assert_ptr_nonnull(strstr(link, "mtu 1400"));
	ck_assert_ptr_nonnull(strstr(link, "qlen 333"));
	ck_assert_ptr_nonnull(strstr(link, ",UP"));
	ck_assert_ptr_nonnull(strstr(link, "inet 10.77.0.1/24 brd 10.77.0.255"));
	ck_assert_ptr_nonnull(strstr(link, "inet6 fd77::1/64"));
	ck_assert_ptr_null(strstr(link, "tentative"));
	const char *routes = said("ip -4 route");
	ck_assert_ptr_nonnull(strstr(routes, "10.78.0.0/16 dev tun0"));
	ck_assert_ptr_nonnull(strstr(routes, "10.79.0.0/16 via 10.77.0.2 dev tun0 metric 77"));
	routes = said("ip -6 route");
	ck_assert_ptr_nonnull(strstr(routes, "fd78::/48 dev tun0"));
	ck_assert_ptr_nonnull(strstr(routes, "fd79::/48 via fd77::2 dev tun0 metric 5"));
	netlink_undo(&config, t.index, t.persistent, added);
	ck_assert_ptr_null(strstr(said("ip route"), "10.78"));
	ck_assert_ptr_null(strstr(said("ip route"), "10.79"));
	ck_assert_ptr_null(strstr(said("ip -6 route"), "fd78"));
	tunnel_close(&t);
}
END_TEST

START_TEST(net30_has_one_other_end)
{
	fresh_namespace();
	config.remote4 = 0x0a4d0002;
	struct tunnel t;
	ck_assert_int_eq(tunnel_open(&config, 1, &t), 0);
	ck_assert_int_eq(netlink_set_up(&config, t.index, added), 0);
	ck_assert_ptr_nonnull(strstr(said("ip addr show dev tun0"), "inet 10.77.0.1 peer 10.77.0.2/32"));
	tunnel_close(&t);
}
END_TEST

START_TEST(noexec_leaves_addresses_and_routes_alone)
{
	fresh_namespace();
	struct route4 four[] = { { .network = 0x0a4e0000, .netmask = 0xffff0000, .metric = -1 } };
	config.routes4 = four;
	config.route4_count = 1;
	config.ifconfig_noexec = config.route_noexec = true;
	struct tunnel t;
	ck_assert_int_eq(tunnel_open(&config, 1, &t), 0);
	ck_assert_int_eq(netlink_set_up(&config, t.index, added), 0);
	ck_assert_ptr_null(strstr(said("ip addr show dev tun0"), "10.77"));
	ck_assert_ptr_null(strstr(said("ip route"), "10.78"));
	tunnel_close(&t);
}
END_TEST

START_TEST(a_route_that_the_kernel_refuses_is_no_reason_to_fail)
{
	fresh_namespace();
	struct route4 four[] = {
		{ .network = 0x0a4e0000, .netmask = 0xffff0000, .gateway = 0xc0000201, .metric = -1 },
		{ .network = 0x0a4f0000, .netmask = 0xffff0000, .metric = -1 }
	};
	config.routes4 = four;
	config.route4_count = 2;
	struct tunnel t;
	ck_assert_int_eq(tunnel_open(&config, 1, &t), 0);
	ck_assert_int_eq(netlink_set_up(&config, t.index, added), 0);
	ck_assert_ptr_nonnull(strstr(said("ip route"), "10.79.0.0/16"));
	tunnel_close(&t);
}
END_TEST

START_TEST(a_route_that_was_there_before_us_stays_after_us)
{
	fresh_namespace();
	ck_assert_int_eq(system("ip link set lo up && ip route add 10.78.0.0/16 dev lo"), 0);
	struct route4 four[] = { { .network = 0x0a4e0000, .netmask = 0xffff0000, .metric = -1 },
		{ .network = 0x0a4f0000, .netmask = 0xffff0000, .metric = -1 } };
	config.routes4 = four;
	config.route4_count = 2;
	struct tunnel t;
	ck_assert_int_eq(tunnel_open(&config, 1, &t), 0);
	ck_assert_int_eq(netlink_set_up(&config, t.index, added), 0);
	ck_assert(!added[0] && added[1]);
	netlink_undo(&config, t.index, t.persistent, added);
	ck_assert_ptr_nonnull(strstr(said("ip route"), "10.78.0.0/16 dev lo"));
	ck_assert_ptr_null(strstr(said("ip route"), "10.79"));
	tunnel_close(&t);
}
END_TEST

int main(void)
{
	if (geteuid() != 0 || access("/dev/net/tun", R_OK | W_OK) != 0) {
		printf("needs root and /dev/net/tun\n");
		return 77;
	}
	Suite *suite = suite_create("tunnel");
	TCase *t = tcase_create("tunnel");
	tcase_add_test(t, dev_tun_takes_the_first_free_unit);
	tcase_add_test(t, dev_null_has_no_queue);
	tcase_add_test(t, a_persistent_device_is_opened_and_stays);
	tcase_add_test(t, a_device_with_one_queue_is_shared);
	tcase_add_test(t, offloads_are_asked_for_when_wanted_and_taken_back_from_a_device_that_stays);
	tcase_add_test(t, a_device_in_use_or_with_too_long_a_name_is_refused);
	tcase_add_test(t, the_device_gets_its_mtu_queue_length_addresses_and_routes);
	tcase_add_test(t, net30_has_one_other_end);
	tcase_add_test(t, noexec_leaves_addresses_and_routes_alone);
	tcase_add_test(t, a_route_that_the_kernel_refuses_is_no_reason_to_fail);
	tcase_add_test(t, a_route_that_was_there_before_us_stays_after_us);
	suite_add_tcase(suite, t);
	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
