/* SPDX-License-Identifier: MIT
 * Helper directives and defaults: own addresses, pools, and the pushed list in its order. */
#include "tests/unit/conf/paper.h"

#include <arpa/inet.h>
#include <check.h>
#include <stdlib.h>
#include <string.h>

/* A server whose helpers the test chooses. */
#define BARE "ca ca.crt\ncert server.crt\nkey server.key\nremote-cert-tls client\ntopology subnet\n"

static struct config *bare(const char *extra)
{
	static char text[4096];
	snprintf(text, sizeof(text), "%s%s", BARE, extra);
	return read_text(text);
}

static uint32_t ip4(const char *text)
{
	struct in_addr address;
	ck_assert_int_eq(inet_pton(AF_INET, text, &address), 1);
	return ntohl(address.s_addr);
}

static void ck_assert_ip6(const struct in6_addr *address, const char *expected)
{
	char text[INET6_ADDRSTRLEN];
	inet_ntop(AF_INET6, address, text, sizeof(text));
	ck_assert_str_eq(text, expected);
}

static void ck_assert_pushes(const struct config *config, const char *expected)
{
	char joined[4096] = "";
	for (unsigned i = 0; i < config->push_count; i++) {
		strcat(joined, i ? "," : "");
		strcat(joined, config->push[i]);
	}
	ck_assert_str_eq(joined, expected);
}

START_TEST(the_pushed_list_has_the_order_that_was_measured)
{
	/* OpenVPN 2.6.14 and 2.7.6 with the same directives, in any order of these lines. */
	struct config *config =
		bare("keepalive 5 20\nserver 10.77.0.0 255.255.255.0\nserver-ipv6 fd77::/64\n");
	ck_assert_ptr_nonnull(config);
	ck_assert_uint_eq(paper_problems, 0);
	ck_assert_pushes(config, "tun-ipv6,route-gateway 10.77.0.1,topology subnet,ping 5,ping-restart 20");
	config_free(&config);
}
END_TEST

START_TEST(configured_pushes_come_first_in_file_order)
{
	struct config *config =
		bare("push \"route 192.168.99.0 255.255.255.0\"\nserver 10.77.0.0 255.255.255.0\n"
		     "push \"dhcp-option DNS 10.77.0.1\"\nserver-ipv6 fd00:77::/64\nkeepalive 5 20\n"
		     "tcp-nodelay\npush \"echo hello\"\n");
	ck_assert_ptr_nonnull(config);
	ck_assert_pushes(config,
		"route 192.168.99.0 255.255.255.0,dhcp-option DNS 10.77.0.1,echo hello,tun-ipv6,"
		"route-gateway 10.77.0.1,topology subnet,ping 5,ping-restart 20,"
		"socket-flags TCP_NODELAY");
	config_free(&config);
}
END_TEST

START_TEST(server_gives_itself_the_first_address_and_clients_the_rest)
{
	struct config *config = silent("");
	ck_assert(config->ifconfig_on && config->pool4.on);
	ck_assert_uint_eq(config->local4, ip4("10.8.0.1"));
	ck_assert_uint_eq(config->netmask4, ip4("255.255.255.0"));
	ck_assert_uint_eq(config->pool4.first, ip4("10.8.0.2"));
	ck_assert_uint_eq(config->pool4.last, ip4("10.8.0.254"));
	ck_assert_uint_eq(config->pool4.netmask, ip4("255.255.255.0"));
	ck_assert_uint_eq(config->server_network4, ip4("10.8.0.0"));
	ck_assert_uint_eq(config->server_netmask4, ip4("255.255.255.0"));
	ck_assert(!config->ifconfig6_on && !config->pool6.on);
	config_free(&config);
}
END_TEST

START_TEST(server_takes_networks_from_8_to_29_bits)
{
	struct config *config = bare("server 10.0.0.0 255.0.0.0\nkeepalive 10 60\n");
	ck_assert_ptr_nonnull(config);
	ck_assert_uint_eq(config->pool4.last, ip4("10.255.255.254"));
	config_free(&config);
	config = bare("server 10.8.0.8 255.255.255.248\nkeepalive 10 60\n");
	ck_assert_uint_eq(config->pool4.first, ip4("10.8.0.10"));
	ck_assert_uint_eq(config->pool4.last, ip4("10.8.0.14"));
	config_free(&config);
	ck_assert_ptr_null(bare("server 10.8.0.0 255.255.255.252\nkeepalive 10 60\n"));
	ck_assert_str_eq(paper_problem(0),
		"E main.conf:6: server: the netmask is not between 255.0.0.0 and 255.255.255.248");
	ck_assert_uint_eq(paper_problems, 1);
	ck_assert_ptr_null(bare("server 0.0.0.0 254.0.0.0\nkeepalive 10 60\n"));
}
END_TEST

START_TEST(server_refuses_what_is_no_network)
{
	ck_assert_ptr_null(bare("server 10.8.0.1 255.255.255.0\nkeepalive 10 60\n"));
	ck_assert_str_eq(paper_problem(0), "E main.conf:6: server: the network has bits behind its netmask "
					   "(hint: server 10.8.0.0 255.255.255.0)");
	ck_assert_ptr_null(bare("server 10.8.0.0 255.0.255.0\nkeepalive 10 60\n"));
	ck_assert_str_eq(paper_problem(0),
		"E main.conf:6: server: '255.0.255.0' is not a netmask (hint: like 255.255.255.0)");
	ck_assert_ptr_null(bare("server 10.8.0 255.255.255.0\nkeepalive 10 60\n"));
	ck_assert_str_eq(paper_problem(0), "E main.conf:6: server: '10.8.0' is not an IPv4 address");
	ck_assert_ptr_null(bare("server 10.8.0.0 255.255.255.0 pool\nkeepalive 10 60\n"));
	ck_assert_str_eq(paper_problem(0),
		"E main.conf:6: server: 'pool' is none of the words it takes (hint: nopool)");
}
END_TEST

START_TEST(a_second_server_line_replaces_the_first)
{
	struct config *config = silent("server 10.9.0.0 255.255.255.0\n");
	ck_assert_uint_eq(config->local4, ip4("10.9.0.1"));
	ck_assert_pushes(config, "route-gateway 10.9.0.1,topology subnet,ping 10,ping-restart 60");
	config_free(&config);
}
END_TEST

START_TEST(nopool_leaves_the_pool_to_another_line)
{
	struct config *config = bare("server 10.8.0.0 255.255.255.0 nopool\nkeepalive 10 60\n");
	ck_assert(!config->pool4.on);
	config_free(&config);
	config = bare("server 10.8.0.0 255.255.255.0 nopool\nifconfig-pool 10.8.0.100 10.8.0.120\nkeepalive "
		      "10 60\n");
	ck_assert_ptr_nonnull(config);
	ck_assert_uint_eq(config->pool4.first, ip4("10.8.0.100"));
	ck_assert_uint_eq(config->pool4.netmask, ip4("255.255.255.0"));
	config_free(&config);
	refused_with("ifconfig-pool 10.8.0.100 10.8.0.120\n",
		"E main.conf:8: ifconfig-pool: `server` already gives a pool (hint: delete it, or write "
		"`server NETWORK "
		"NETMASK nopool`)");
	ck_assert_ptr_null(
		bare("server 10.8.0.0 255.255.255.0 nopool\nserver-ipv6 fd00::/64\nkeepalive 10 60\n"));
	ck_assert_uint_eq(paper_problems, 1);
}
END_TEST

START_TEST(server_ipv6_counts_its_pool_from_1000_in_large_networks)
{
	struct config *config = silent("server-ipv6 fd00:8::/64\n");
	ck_assert(config->ifconfig6_on && config->pool6.on);
	ck_assert_ip6(&config->local6, "fd00:8::1");
	ck_assert_ip6(&config->remote6, "fd00:8::2");
	ck_assert_uint_eq(config->bits6, 64);
	ck_assert_ip6(&config->pool6.base, "fd00:8::1000");
	ck_assert_uint_eq(config->pool6.bits, 64);
	config_free(&config);
	config = silent("server-ipv6 fd00:8::/112\n");
	ck_assert_ip6(&config->pool6.base, "fd00:8::2");
	config_free(&config);
	config = silent("server-ipv6 fd00:8::/111\n");
	ck_assert_ip6(&config->pool6.base, "fd00:8::1000");
	config_free(&config);
}
END_TEST

START_TEST(server_ipv6_alone_is_a_server)
{
	struct config *config = bare("server-ipv6 fd00:8::/64\nkeepalive 10 60\n");
	ck_assert_ptr_nonnull(config);
	ck_assert_uint_eq(paper_problems, 0);
	ck_assert(!config->ifconfig_on && config->ifconfig6_on);
	ck_assert_pushes(config, "tun-ipv6,ping 10,ping-restart 60");
	config_free(&config);
}
END_TEST

START_TEST(server_ipv6_refuses_other_sizes_and_a_second_pool)
{
	refused_with(
		"server-ipv6 fd00::/63\n", "E main.conf:8: server-ipv6: /63 is not between /64 and /124");
	refused_with(
		"server-ipv6 fd00::/125\n", "E main.conf:8: server-ipv6: /125 is not between /64 and /124");
	refused_with(
		"server-ipv6 fd00::\n", "E main.conf:8: server-ipv6: 'fd00::' is not ADDRESS/BITS in IPv6");
	refused_with("server-ipv6 fd00::/64x\n",
		"E main.conf:8: server-ipv6: 'fd00::/64x' is not ADDRESS/BITS in IPv6");
	refused_with("server-ipv6 10.0.0.0/64\n",
		"E main.conf:8: server-ipv6: '10.0.0.0/64' is not ADDRESS/BITS in IPv6");
	refused_with("server-ipv6 fd00::/64\nifconfig-ipv6-pool fd00::5000/64\n",
		"E main.conf:9: ifconfig-ipv6-pool: `server-ipv6` already gives a pool (hint: delete one of "
		"them)");
}
END_TEST

START_TEST(a_server_without_helpers_is_put_together_by_hand)
{
	struct config *config =
		bare("mode server\ntls-server\nifconfig 10.8.0.1 255.255.0.0\n"
		     "ifconfig-pool 10.8.1.0 10.8.1.99\nifconfig-ipv6 fd00::1/64 fd00::2\n"
		     "ifconfig-ipv6-pool fd00::/64\npush \"topology subnet\"\nping 10\nping-restart 120\n");
	ck_assert_ptr_nonnull(config);
	ck_assert_uint_eq(paper_problems, 0);
	ck_assert_uint_eq(config->pool4.netmask, ip4("255.255.0.0"));
	ck_assert_ip6(&config->pool6.base, "fd00::1");
	ck_assert_uint_eq(config->server_network4, 0);
	ck_assert_uint_eq(config->ping_s, 10);
	ck_assert_uint_eq(config->ping_restart_s, 120);
	ck_assert_pushes(config, "topology subnet");
	config_free(&config);
}
END_TEST

START_TEST(keepalive_doubles_the_servers_own_time_out)
{
	struct config *config = silent("");
	ck_assert_uint_eq(config->ping_s, 10);
	ck_assert_uint_eq(config->ping_restart_s, 120);
	config_free(&config);
	refused_with("ping 5\n",
		"E main.conf:6: keepalive: does not go together with ping, ping-restart and ping-exit "
		"(hint: delete those lines)");
	refused_with("ping-exit 5\n",
		"E main.conf:6: keepalive: does not go together with ping, ping-restart and "
		"ping-exit (hint: delete those lines)");
	refused_with("keepalive 10 19\n",
		"E main.conf:8: keepalive: the time-out must be at least twice the interval "
		"(hint: keepalive 10 60)");
	refused_with("keepalive 0 10\n", "E main.conf:8: keepalive: 0 is not between 1 and 86400");
	refused_with("keepalive 10 43201\n", "E main.conf:8: keepalive: 43201 is not between 1 and 43200");
	refused_with("keepalive 4294967296 10\n",
		"E main.conf:8: keepalive: 4294967296 is not between 1 and 86400");
	config = silent("keepalive 10 20\nping 0\n");
	config_free(&config);
}
END_TEST

START_TEST(routes_take_what_their_line_leaves_open)
{
	struct config *config =
		silent("route 192.168.1.0 255.255.255.0\nroute 192.168.2.0 255.255.255.0 10.8.0.9 7\n"
		       "route 192.168.3.3\nroute 192.168.4.0 255.255.255.0 vpn_gateway\n"
		       "route 192.168.5.5 default default 3\nroute-gateway 10.8.0.5\nroute-metric 50\n"
		       "route-ipv6 fd01::/48\nroute-ipv6 fd02::1 fd00::9 4\nroute vpn.example\n");
	ck_assert_uint_eq(config->route4_count, 6);
	ck_assert_uint_eq(config->routes4[0].gateway, ip4("10.8.0.5"));
	ck_assert_int_eq(config->routes4[0].metric, 50);
	ck_assert_uint_eq(config->routes4[1].gateway, ip4("10.8.0.9"));
	ck_assert_int_eq(config->routes4[1].metric, 7);
	ck_assert_uint_eq(config->routes4[2].netmask, UINT32_MAX);
	ck_assert_uint_eq(config->routes4[3].gateway, ip4("10.8.0.5"));
	ck_assert_uint_eq(config->routes4[4].netmask, UINT32_MAX);
	ck_assert_int_eq(config->routes4[4].metric, 3);
	ck_assert_uint_eq(config->routes4[5].network, ip4("192.0.2.7"));
	ck_assert_uint_eq(config->route6_count, 2);
	ck_assert_uint_eq(config->routes6[0].bits, 48);
	ck_assert(!config->routes6[0].has_gateway);
	ck_assert_int_eq(config->routes6[0].metric, 50);
	ck_assert_uint_eq(config->routes6[1].bits, 128);
	ck_assert_ip6(&config->routes6[1].gateway, "fd00::9");
	ck_assert_int_eq(config->routes6[1].metric, 4);
	config_free(&config);
	config =
		silent("route 192.168.1.0 255.255.255.0\nroute-ipv6 fd01::/48\nroute-ipv6-gateway fd00::7\n");
	ck_assert_uint_eq(config->routes4[0].gateway, 0);
	ck_assert_int_eq(config->routes4[0].metric, -1);
	ck_assert_ip6(&config->routes6[0].gateway, "fd00::7");
	config_free(&config);
}
END_TEST

START_TEST(mssfix_follows_the_mtu_unless_it_is_set)
{
	struct config *config = silent("");
	ck_assert_int_eq(config->mssfix, MSSFIX_MTU);
	ck_assert_uint_eq(config->mssfix_size, 1492);
	config_free(&config);
	config = silent("tun-mtu 1400\n");
	ck_assert_int_eq(config->mssfix, MSSFIX_FIXED);
	ck_assert_uint_eq(config->mssfix_size, 1400);
	config_free(&config);
	config = silent("max-packet-size 900\n");
	ck_assert_int_eq(config->mssfix, MSSFIX_MTU);
	ck_assert_uint_eq(config->mssfix_size, 900);
	ck_assert_uint_eq(config->max_packet_size, 900);
	config_free(&config);
	/* Of the two lines the later one counts. */
	config = silent("max-packet-size 900\nmssfix 1300\n");
	ck_assert_int_eq(config->mssfix, MSSFIX_PLAIN);
	ck_assert_uint_eq(config->mssfix_size, 1300);
	config_free(&config);
	config = silent("mssfix 1300\nmax-packet-size 900\n");
	ck_assert_uint_eq(config->mssfix_size, 900);
	config_free(&config);
	config = silent("mssfix 1300 mtu\nmssfix\n");
	ck_assert_uint_eq(config->mssfix_size, 1492);
	config_free(&config);
	config = silent("mssfix 0\n");
	ck_assert_int_eq(config->mssfix, MSSFIX_OFF);
	config_free(&config);
}
END_TEST

START_TEST(the_largest_mtu_is_at_least_the_mtu)
{
	struct config *config = silent("tun-mtu 9000\n");
	ck_assert_uint_eq(config->tun_mtu_max, 9000);
	config_free(&config);
	config = silent("");
	ck_assert_uint_eq(config->tun_mtu, 1500);
	ck_assert_uint_eq(config->tun_mtu_max, 1600);
	config_free(&config);
	refused_with("tun-mtu 9000\ntun-mtu-max 8000\n", "E main.conf:9: tun-mtu-max: is less than tun-mtu");
}
END_TEST

START_TEST(helpers_win_over_addresses_of_their_own_lines_and_say_so)
{
	struct config *config = warned_with("ifconfig 10.9.0.1 255.255.255.0\n",
		"W main.conf:8: ifconfig: `server` sets the address (hint: delete the line)");
	ck_assert_uint_eq(config->local4, ip4("10.8.0.1"));
	config_free(&config);
	config = warned_with("ifconfig-ipv6 fd01::1/64 fd01::2\nserver-ipv6 fd00::/64\n",
		"W main.conf:8: ifconfig-ipv6: `server-ipv6` sets the address (hint: delete the line)");
	ck_assert_ip6(&config->local6, "fd00::1");
	config_free(&config);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("conf expand");
	TCase *tcase = tcase_create("expand");
	tcase_add_test(tcase, the_pushed_list_has_the_order_that_was_measured);
	tcase_add_test(tcase, configured_pushes_come_first_in_file_order);
	tcase_add_test(tcase, server_gives_itself_the_first_address_and_clients_the_rest);
	tcase_add_test(tcase, server_takes_networks_from_8_to_29_bits);
	tcase_add_test(tcase, server_refuses_what_is_no_network);
	tcase_add_test(tcase, a_second_server_line_replaces_the_first);
	tcase_add_test(tcase, nopool_leaves_the_pool_to_another_line);
	tcase_add_test(tcase, server_ipv6_counts_its_pool_from_1000_in_large_networks);
	tcase_add_test(tcase, server_ipv6_alone_is_a_server);
	tcase_add_test(tcase, server_ipv6_refuses_other_sizes_and_a_second_pool);
	tcase_add_test(tcase, a_server_without_helpers_is_put_together_by_hand);
	tcase_add_test(tcase, keepalive_doubles_the_servers_own_time_out);
	tcase_add_test(tcase, routes_take_what_their_line_leaves_open);
	tcase_add_test(tcase, mssfix_follows_the_mtu_unless_it_is_set);
	tcase_add_test(tcase, the_largest_mtu_is_at_least_the_mtu);
	tcase_add_test(tcase, helpers_win_over_addresses_of_their_own_lines_and_say_so);
	suite_add_tcase(suite, tcase);
	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
