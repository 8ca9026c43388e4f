/* SPDX-License-Identifier: MIT
 * Rules between options, each with what breaks it. */
#include "tests/unit/conf/paper.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#define FILES "ca ca.crt\ncert server.crt\nkey server.key\nremote-cert-tls client\n"

static void text_refused_with(const char *text, const char *problem)
{
	ck_assert_ptr_null(read_text(text));
	ck_assert_msg(paper_problems == 1, "%u problems, first: %s", paper_problems, paper_problem(0));
	ck_assert_str_eq(paper_problem(0), problem);
}

static void text_warned_with(const char *text, const char *problem)
{
	struct config *config = read_text(text);
	ck_assert_ptr_nonnull(config);
	ck_assert_uint_eq(paper_problems, 1);
	ck_assert_str_eq(paper_problem(0), problem);
	config_free(&config);
}

START_TEST(a_configuration_must_be_one_of_a_server)
{
	text_refused_with(FILES "keepalive 10 60\n", "E main.conf: the configuration is not one of a server "
						     "(hint: add `server NETWORK NETMASK`, or `mode "
						     "server` and `tls-server`)");
	text_refused_with(FILES "keepalive 10 60\nmode p2p\n",
		"E main.conf:6: mode: 'p2p' is not a role of this server (hint: add `server NETWORK "
		"NETMASK`, or `mode "
		"server` and `tls-server`)");
	text_refused_with(FILES "keepalive 10 60\nmode server\nifconfig 10.8.0.1 255.255.255.0\n",
		"E main.conf:6: mode: `mode server` requires `tls-server` (hint: add `tls-server`)");
}
END_TEST

START_TEST(a_client_configuration_is_told_so)
{
	ck_assert_ptr_null(read_text("client\nremote vpn.example 1194\ndev tun\n"));
	ck_assert(paper_problem_is(
		"E main.conf:1: client: is not possible on this server (hint: this is a client config; "
		"vpnserverd only serves)"));
	ck_assert(paper_problem_is(
		"E main.conf:2: remote: is not possible on this server (hint: this is a client config; "
		"vpnserverd only serves)"));
}
END_TEST

START_TEST(certificate_and_key_are_needed)
{
	const char *rest =
		"server 10.8.0.0 255.255.255.0\ntopology subnet\nkeepalive 10 60\nremote-cert-tls client\n";
	char text[512];
	snprintf(text, sizeof(text), "%sca ca.crt\nkey server.key\n", rest);
	text_refused_with(text, "E main.conf: no certificate is given: `cert` is missing (hint: cert FILE)");
	snprintf(text, sizeof(text), "%sca ca.crt\ncert server.crt\n", rest);
	text_refused_with(text, "E main.conf: no private key is given: `key` is missing (hint: key FILE)");
	snprintf(text, sizeof(text), "%scert server.crt\nkey server.key\n", rest);
	text_refused_with(
		text, "E main.conf: no certificate authority is given: `ca` is missing (hint: ca FILE)");
}
END_TEST

START_TEST(fingerprints_do_without_an_authority)
{
	struct config *config =
		read_text("server 10.8.0.0 255.255.255.0\ntopology subnet\nkeepalive 10 60\n"
			  "cert server.crt\nkey server.key\npeer-fingerprint 00:11:22:33:44:55:66:77:88:99:"
			  "AA:BB:CC:DD:EE:FF:00:11:22:33:44:55:66:77:88:99:aa:bb:cc:dd:ee:ff\n");
	ck_assert_ptr_nonnull(config);
	ck_assert_uint_eq(paper_problems, 0);
	ck_assert_uint_eq(config->fingerprint_count, 1);
	config_free(&config);
}
END_TEST

START_TEST(one_wrapping_at_a_time)
{
	refused_with("tls-auth ta.key 0\ntls-crypt ta.key\n",
		"E main.conf:8: tls-auth: does not go together with tls-crypt (hint: delete one of them)");
	refused_with("tls-auth ta.key 0\nauth none\n",
		"E main.conf:8: tls-auth: needs a digest, but `auth none` is given (hint: auth SHA256)");
	struct config *config = warned_with(
		"key-direction 0\n", "W main.conf:8: key-direction: only means something with tls-auth");
	config_free(&config);
}
END_TEST

START_TEST(tls_versions_must_meet)
{
	refused_with("tls-version-min 1.3\ntls-version-max 1.2\n",
		"E main.conf:9: tls-version-max: is less than tls-version-min");
	struct config *config = silent("tls-version-min 1.3\ntls-version-max 1.3\n");
	config_free(&config);
	refused_with("tls-version-max 1.1\n", "E main.conf:8: tls-version-max: is less than tls-version-min");
}
END_TEST

START_TEST(a_cipher_that_is_not_negotiated_is_only_noted)
{
	struct config *config =
		warned_with("cipher BF-CBC\n", "W main.conf:8: cipher: 'BF-CBC' is not in data-ciphers and "
					       "has no effect (hint: data-ciphers decides "
					       "which ciphers clients may use)");
	config_free(&config);
	config = silent("cipher aes-256-gcm\n");
	config_free(&config);
	config = silent("cipher AES-192-GCM\ndata-ciphers AES-192-GCM:AES-256-GCM\n");
	config_free(&config);
}
END_TEST

START_TEST(the_pool_should_hold_all_clients)
{
	struct config *config =
		warned_with("max-clients 254\n", "W main.conf:1: server: the pool has 253 addresses for 254 "
						 "clients (hint: a larger network, or a smaller "
						 "max-clients)");
	config_free(&config);
	config = silent("max-clients 253\n");
	config_free(&config);
	config = warned_with("server-ipv6 fd00::/124\nmax-clients 15\n",
		"W main.conf:8: server-ipv6: the pool has 14 addresses for 15 clients");
	config_free(&config);
	config = silent("server-ipv6 fd00::/124\nmax-clients 14\n");
	config_free(&config);
}
END_TEST

START_TEST(the_pool_must_suit_the_own_address)
{
	const char *start =
		FILES "keepalive 10 60\ntopology subnet\npush \"topology subnet\"\nmode server\ntls-server\n";
	char text[1024];
	snprintf(text, sizeof(text), "%sifconfig 10.8.0.1 255.255.255.0\nifconfig-pool 10.8.0.1 10.8.0.9\n",
		start);
	text_refused_with(text, "E main.conf:11: ifconfig-pool: the pool holds the server's own address");
	snprintf(text, sizeof(text), "%sifconfig 10.8.0.1 255.255.255.0\nifconfig-pool 10.9.0.1 10.9.0.9\n",
		start);
	text_warned_with(
		text, "W main.conf:11: ifconfig-pool: the pool lies outside of the server's own network");
	snprintf(text, sizeof(text), "%sifconfig-pool 10.9.0.1 10.9.0.9\nifconfig-ipv6 fd00::1/64 fd00::2\n",
		start);
	text_warned_with(text,
		"W main.conf:10: ifconfig-pool: the server itself has no address (hint: ifconfig ADDRESS "
		"NETMASK)");
	snprintf(text, sizeof(text), "%sifconfig 10.8.0.1 255.255.255.0\nifconfig-pool 10.8.0.9 10.8.0.3\n",
		start);
	text_refused_with(text, "E main.conf:11: ifconfig-pool: the first address is greater than the last");
	snprintf(text, sizeof(text), "%sifconfig 10.8.0.1 255.255.255.0\nifconfig-pool 10.8.0.9 12.8.0.3\n",
		start);
	text_refused_with(text, "E main.conf:11: ifconfig-pool: more than 16777216 addresses");
	snprintf(text, sizeof(text), "%sifconfig 10.8.0.1 255.255.255.0\nifconfig-ipv6-pool fd00::/64\n",
		start);
	text_refused_with(text,
		"E main.conf:11: ifconfig-ipv6-pool: needs ifconfig-ipv6 (hint: ifconfig-ipv6 "
		"ADDRESS/BITS REMOTE)");
	snprintf(text, sizeof(text), "%s", start);
	text_warned_with(text, "W main.conf:8: mode: the server has no address in the tunnel (hint: server "
			       "NETWORK NETMASK)");
}
END_TEST

START_TEST(clients_must_learn_the_topology)
{
	text_warned_with(FILES "keepalive 10 60\ntopology subnet\nmode server\ntls-server\n"
			       "ifconfig 10.8.0.1 255.255.255.0\nifconfig-pool 10.8.0.2 10.8.0.9\n",
		"W main.conf:10: ifconfig-pool: clients are not told the topology (hint: push \"topology "
		"subnet\")");
	text_warned_with(FILES "keepalive 10 60\nserver 10.8.0.0 255.255.255.0\n",
		"W main.conf:6: topology: is not given: subnet is used, which is the default since OpenVPN "
		"2.7 (hint: "
		"add `topology subnet`)");
}
END_TEST

START_TEST(silence_should_be_noticed)
{
	const char *server = "server 10.8.0.0 255.255.255.0\ntopology subnet\n" FILES;
	char text[512];
	text_warned_with(server,
		"W main.conf: a client that vanishes stays: there is no keepalive (hint: keepalive 10 60)");
	snprintf(text, sizeof(text), "%sping 10\nping-exit 60\n", server);
	struct config *config = read_text(text);
	ck_assert_uint_eq(paper_problems, 0);
	ck_assert_uint_eq(config->ping_restart_s, 60);
	config_free(&config);
}
END_TEST

START_TEST(listening_inside_the_tunnel_is_noticed)
{
	refused_with("local 10.8.0.1\n",
		"E main.conf:8: local: 10.8.0.1 is the server's address inside the tunnel");
	struct config *config = warned_with(
		"local 10.8.0.77\n", "W main.conf:8: local: 10.8.0.77 lies inside the tunnel's own network");
	config_free(&config);
}
END_TEST

START_TEST(needless_routes_are_noticed)
{
	struct config *config = warned_with("route 10.8.0.0 255.255.255.0\n",
		"W main.conf:8: route: 10.8.0.0/24 is the device's own network (hint: delete the line)");
	config_free(&config);
	config = warned_with("route 10.9.0.0 255.255.0.0\nroute 10.9.0.0 255.255.0.0\n",
		"W main.conf:9: route: 10.9.0.0/16 is routed twice (hint: delete one of them)");
	config_free(&config);
}
END_TEST

START_TEST(a_replay_window_of_zero_does_not_suit_udp)
{
	struct config *config =
		warned_with("replay-window 0\n", "W main.conf:8: replay-window: 0 drops every packet that "
						 "UDP puts out of order (hint: at least 64)");
	config_free(&config);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("conf check");
	TCase *tcase = tcase_create("check");
	tcase_add_test(tcase, a_configuration_must_be_one_of_a_server);
	tcase_add_test(tcase, a_client_configuration_is_told_so);
	tcase_add_test(tcase, certificate_and_key_are_needed);
	tcase_add_test(tcase, fingerprints_do_without_an_authority);
	tcase_add_test(tcase, one_wrapping_at_a_time);
	tcase_add_test(tcase, tls_versions_must_meet);
	tcase_add_test(tcase, a_cipher_that_is_not_negotiated_is_only_noted);
	tcase_add_test(tcase, the_pool_should_hold_all_clients);
	tcase_add_test(tcase, the_pool_must_suit_the_own_address);
	tcase_add_test(tcase, clients_must_learn_the_topology);
	tcase_add_test(tcase, silence_should_be_noticed);
	tcase_add_test(tcase, listening_inside_the_tunnel_is_noticed);
	tcase_add_test(tcase, needless_routes_are_noticed);
	tcase_add_test(tcase, a_replay_window_of_zero_does_not_suit_udp);
	suite_add_tcase(suite, tcase);
	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
