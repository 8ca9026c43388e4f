/* SPDX-License-Identifier: MIT
 * Where we listen: every form of local, port, proto and bind. */
#include "tests/unit/conf/paper.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

/* These lines give these listeners, ", " between, "only" behind those that take no IPv4. */
static void listens(const char *extra, const char *expected)
{
	char joined[1024] = "";
	struct config *config = silent(extra);
	for (unsigned i = 0; i < config->listener_count; i++) {
		const struct listener *l = &config->listeners[i];
		snprintf(joined + strlen(joined), sizeof(joined) - strlen(joined), "%s%s%s", i ? ", " : "",
			l->spelled, l->v6only ? " only" : "");
		ck_assert_int_eq(l->proto, PROTO_UDP);
		bool four = l->address.ss_family == AF_INET;
		ck_assert_uint_eq(
			l->address_len, four ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6));
	}
	ck_assert_str_eq(joined, expected);
	config_free(&config);
}

START_TEST(without_any_line_it_is_ipv4_on_1194)
{
	listens("", "udp4 0.0.0.0:1194");
	listens("proto udp\n", "udp4 0.0.0.0:1194");
	listens("proto udp4\n", "udp4 0.0.0.0:1194");
}
END_TEST

START_TEST(udp6_takes_both_families_unless_told_otherwise)
{
	listens("proto udp6\n", "udp6 [::]:1194");
	listens("proto udp6\nbind ipv6only\n", "udp6 [::]:1194 only");
	listens("bind ipv6only\nbind\nproto udp6\n", "udp6 [::]:1194");
}
END_TEST

START_TEST(ports_are_numbers_or_services)
{
	listens("port 443\n", "udp4 0.0.0.0:443");
	listens("lport 443\n", "udp4 0.0.0.0:443");
	listens("port openvpn\n", "udp4 0.0.0.0:1194");
	listens("port 65535\n", "udp4 0.0.0.0:65535");
	listens("lport 0\nlocal 127.0.0.1\n", "udp4 127.0.0.1:0");
	const char *hint = "is not a port (hint: 1 to 65535, or a name from services)";
	char expected[128];
	snprintf(expected, sizeof(expected), "E main.conf:8: port: '65536' %s", hint);
	refused_with("port 65536\n", expected);
	snprintf(expected, sizeof(expected), "E main.conf:8: port: 'ftp!' %s", hint);
	refused_with("port ftp!\n", expected);
	snprintf(expected, sizeof(expected), "E main.conf:8: lport: '-1' %s", hint);
	refused_with("lport -1\n", expected);
	snprintf(expected, sizeof(expected), "E main.conf:8: port: '' %s", hint);
	refused_with("port \"\"\n", expected);
	snprintf(expected, sizeof(expected), "E main.conf:8: local: '12x' %s", hint);
	refused_with("local * 12x\n", expected);
}
END_TEST

START_TEST(each_local_line_is_a_listener)
{
	listens("local 192.0.2.1\nlocal 192.0.2.2 443\nlocal 2001:db8::1 53 udp6\nport 1195\n",
		"udp4 192.0.2.1:1195, udp4 192.0.2.2:443, udp6 [2001:db8::1]:53");
	listens("local ::1\n", "udp6 [::1]:1194");
	listens("local *\n", "udp4 0.0.0.0:1194");
	listens("local * 1195 udp6\n", "udp6 [::]:1195");
	listens("local *\nproto udp6\n", "udp6 [::]:1194");
}
END_TEST

START_TEST(names_are_resolved_in_the_wanted_family)
{
	listens("local vpn.example\n", "udp4 192.0.2.7:1194");
	listens("local vpn.example 1194 udp6\n", "udp6 [2001:db8::7]:1194");
	refused_with("local absent.example\n", "E main.conf:8: local: 'absent.example' has no address");
	refused_with(
		"local 192.0.2.1 1194 udp6\n", "E main.conf:8: local: '192.0.2.1' has no address in IPv6");
	refused_with("local ::1\nproto udp4\n", "E main.conf:8: local: '::1' has no address in IPv4");
	refused_with("local \"\"\n", "E main.conf:8: local: '' has no address");
}
END_TEST

START_TEST(both_families_on_one_port_do_not_overlap)
{
	listens("local *\nlocal * 1194 udp6\n", "udp4 0.0.0.0:1194, udp6 [::]:1194 only");
	listens("local *\nlocal * 1195 udp6\n", "udp4 0.0.0.0:1194, udp6 [::]:1195");
}
END_TEST

START_TEST(the_same_address_twice_is_an_error)
{
	refused_with("local 192.0.2.1\nlocal 192.0.2.1 1194 udp4\n",
		"E main.conf:9: local: udp4 192.0.2.1:1194 is listened on twice (hint: delete one of them)");
	listens("local 192.0.2.1\nlocal 192.0.2.1 1195\n", "udp4 192.0.2.1:1194, udp4 192.0.2.1:1195");
}
END_TEST

START_TEST(other_transports_are_refused)
{
	refused_with("proto tcp\n", "E main.conf:8: proto: 'proto tcp' is not supported yet");
	refused_with("proto tcp6-server\n", "E main.conf:8: proto: 'proto tcp6-server' is not supported yet");
	refused_with("local * 443 tcp\n", "E main.conf:8: local: 'local tcp' is not supported yet");
	refused_with("proto tcp-client\n",
		"E main.conf:8: proto: 'tcp-client' is a client's transport (hint: this is a "
		"client config; vpnserverd only serves)");
	refused_with(
		"proto sctp\n", "E main.conf:8: proto: 'sctp' is not a transport (hint: udp, udp4, udp6)");
	refused_with("bind ipv4only\n",
		"E main.conf:8: bind: 'ipv4only' is none of the words it takes (hint: ipv6only)");
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("conf listeners");
	TCase *tcase = tcase_create("listeners");
	tcase_add_test(tcase, without_any_line_it_is_ipv4_on_1194);
	tcase_add_test(tcase, udp6_takes_both_families_unless_told_otherwise);
	tcase_add_test(tcase, ports_are_numbers_or_services);
	tcase_add_test(tcase, each_local_line_is_a_listener);
	tcase_add_test(tcase, names_are_resolved_in_the_wanted_family);
	tcase_add_test(tcase, both_families_on_one_port_do_not_overlap);
	tcase_add_test(tcase, the_same_address_twice_is_an_error);
	tcase_add_test(tcase, other_transports_are_refused);
	suite_add_tcase(suite, tcase);
	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
