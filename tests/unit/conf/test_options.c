/* SPDX-License-Identifier: MIT
 * Every directive of OpenVPN 2.6 and 2.7 by name: each is known here and gets what was promised for it. */
#include "tests/unit/conf/paper.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(list) (sizeof(list) / sizeof(list[0]))

/* The names come from OpenVPN's own list, not from options.def: a row that is lost is missed here. */

/* Done: their own tests are in test_readers.c and beside it. */
static const char *const done[] = { "management", "management-client-user", "management-client-group",
	"management-hold", "management-log-cache", "mode", "server", "server-ipv6", "tls-server", "topology", "setenv",
	"setenv-safe", "ignore-unknown-option", "config", "cd", "local", "port", "lport", "proto", "bind",
	"multihome", "sndbuf", "rcvbuf", "tcp-nodelay", "max-packet-size", "mtu-disc", "explicit-exit-notify",
	"dev", "dev-type", "txqueuelen", "tun-mtu", "tun-mtu-max", "mssfix", "ifconfig", "ifconfig-ipv6",
	"ifconfig-noexec", "route", "route-ipv6", "route-gateway", "route-ipv6-gateway", "route-metric",
	"route-noexec", "ifconfig-pool", "ifconfig-ipv6-pool", "push", "client-to-client", "duplicate-cn",
	"max-clients", "max-routes-per-client", "connect-freq", "connect-freq-initial", "inactive",
	"session-timeout", "keepalive", "ping", "ping-restart", "ping-exit", "ca", "cert", "key",
	"extra-certs", "askpass", "ecdh-curve", "tls-groups", "tls-version-min", "tls-version-max",
	"tls-cipher", "tls-cert-profile", "verify-client-cert", "remote-cert-tls", "remote-cert-ku",
	"remote-cert-eku", "verify-x509-name", "peer-fingerprint", "crl-verify", "x509-username-field",
	"tls-auth", "tls-crypt", "tls-crypt-v2", "key-direction", "tls-timeout", "hand-window", "tran-window",
	"reneg-sec", "reneg-bytes", "reneg-pkts", "data-ciphers", "ncp-ciphers", "data-ciphers-fallback",
	"cipher", "auth", "replay-window", "mute-replay-warnings", "allow-compression", "script-security",
	"tmp-dir", "verb", "mute", "log", "log-append", "syslog", "daemon", "suppress-timestamps",
	"machine-readable-output", "errors-to-stderr", "status", "status-version", "writepid", "user",
	"group", "nice", "mlock", "ifconfig-push-constraint", "client-config-dir", "ccd-exclusive", "up",
	"down", "down-pre", "up-restart", "route-up", "route-pre-down", "client-connect", "client-disconnect",
	"hub.script-sudo", "hub.live-revoke" };

/* Wanted, not there yet. */
static const char *const later[] = { "server-bridge", "compat-mode", "bind-dev", "mark", "tcp-queue-limit",
	"port-share", "passtos", "dev-node", "lladdr", "link-mtu", "udp-mtu", "fragment", "route-table",
	"block-ipv6", "vlan-tagging", "vlan-accept", "vlan-pvid", "ifconfig-pool-persist",
	"stale-routes-check", "capath", "pkcs12", "verify-hash", "tls-verify", "tls-export-cert",
	"x509-track", "tls-crypt-v2-verify", "tls-crypt-v2-max-age", "keying-material-exporter",
	"force-tls-key-material-export", "compress", "comp-lzo", "auth-user-pass-verify",
	"auth-user-pass-optional", "username-as-common-name", "auth-gen-token", "auth-gen-token-secret",
	"client-crresponse", "plugin", "learn-address", "management-client",
	"management-client-auth", "management-query-passwords", "management-signal", "management-up-down",
	"chroot", "remap-usr1" };

/* Legal in files that this server does not read yet. */
static const char *const client[] = { "ifconfig-push", "ifconfig-ipv6-push", "iroute", "iroute-ipv6",
	"disable", "push-reset", "push-remove", "override-username" };

/* Parsed, without effect. */
static const char *const harmless[] = { "echo", "parameter", "gremlin", "rport", "proto-force", "float",
	"socket-flags", "bcast-buffers", "mtu-test", "fast-io", "remote-random", "remote-random-hostname",
	"resolv-retry", "preresolve", "ip-remote-hint", "connect-retry", "connect-retry-max",
	"connect-timeout", "server-poll-timeout", "http-proxy-retry", "http-proxy-timeout",
	"socks-proxy-retry", "tun-mtu-extra", "ifconfig-nowarn", "tun-ipv6", "route-nopull", "max-routes",
	"persist-tun", "persist-key", "persist-local-ip", "persist-remote-ip", "iproute", "hash-size",
	"ping-timer-rem", "single-session", "auth-nocache", "dh", "tls-ciphersuites", "tls-exit", "providers",
	"use-prediction-resistance", "push-peer-info", "replay-persist", "comp-noadapt", "disable-occ",
	"opt-verify", "prng", "disable-dco", "auth-token", "auth-token-user", "auth-retry",
	"static-challenge", "dns-updown", "management-forget-disconnect", "dhcp-option", "dns", "pull-filter",
	"allow-pull-fqdn", "windows-driver", "route-method" };

/* An error with a hint. */
static const char *const refuse[] = { "tls-client", "client", "pull", "test-crypto", "secret",
	"allow-deprecated-insecure-static-crypto", "nobind", "mtu-dynamic", "remote", "connection",
	"http-proxy", "http-proxy-option", "http-proxy-override", "http-proxy-user-pass", "socks-proxy",
	"route-delay", "redirect-gateway", "redirect-private", "client-nat", "allow-recursive-routing",
	"mktun", "rmtun", "show-gateway", "push-continuation", "shaper", "peer-id",
	"client-cert-not-required", "ns-cert-type", "engine", "pkcs11-providers", "pkcs11-id",
	"pkcs11-id-management", "pkcs11-pin-cache", "pkcs11-cert-private", "pkcs11-private-mode",
	"pkcs11-protected-authentication", "show-pkcs11-ids", "cryptoapicert", "no-replay", "key-derivation",
	"protocol-flags", "auth-user-pass", "up-delay", "ipchange", "management-external-key",
	"management-external-cert", "management-query-remote", "management-query-proxy", "setcon", "memstats",
	"show-engines", "ip-win32", "dhcp-renew", "dhcp-release", "dhcp-pre-release", "register-dns",
	"block-outside-dns", "tap-sleep", "win-sys", "pause-exit", "service", "allow-nonadmin", "msg-channel",
	"show-adapters", "show-net", "show-net-up", "show-valid-subnets", "dhcp-internal", "rdns-internal",
	"no-name-remapping", "compat-names", "ncp-disable", "keysize", "key-method", "no-iv",
	"ifconfig-pool-linear", "management-client-pf", "tls-remote", "max-connect-retry", "remote-ip-hint",
	"auto-proxy", "http-proxy-fallback", "show-proxy-settings", "dhcp-rr", "foreign-option", "inetd",
	"threads", "nice-work" };

/* Commands of the command line. */
static const char *const commands[] = { "help", "version", "genkey", "show-ciphers", "show-digests",
	"show-tls", "show-groups", "show-curves" };

/* A line of this directive with as many words as it needs. */
static const char *line_of(const char *name)
{
	static char text[256];
	const struct option_row *row = option_find(name);
	const char *word = strcmp(name, "dh") == 0		   ? "none"
			   : strcmp(name, "tls-ciphersuites") == 0 ? "TLS_AES_128_GCM_SHA256"
								   : "1";
	ck_assert_msg(row != NULL, "'%s' is unknown", name);
	snprintf(text, sizeof(text), "%s", name);
	for (unsigned i = 0; i < row->min; i++)
		snprintf(text + strlen(text), sizeof(text) - strlen(text), " %s", word);
	return text;
}

static unsigned count_verdict(enum verdict verdict)
{
	unsigned n = 0;
	for (unsigned i = 0; i < option_row_count; i++)
		n += option_rows[i].name && strncmp(option_rows[i].name, "hub.", 4) != 0 &&
		     option_rows[i].verdict == verdict;
	return n;
}

START_TEST(all_names_are_there_with_their_verdict)
{
	ck_assert_uint_eq(count_verdict(MUST), 143);
	ck_assert_uint_eq(count_verdict(SHOULD), 40);
	ck_assert_uint_eq(count_verdict(ACCEPT), 62);
	/* 71 that OpenVPN 2.6 or 2.7 knows, 17 that were removed before. */
	ck_assert_uint_eq(count_verdict(REFUSE), 71 + 17);
	ck_assert_uint_eq(COUNT(done) + COUNT(later) + COUNT(client) + COUNT(harmless) + COUNT(refuse) +
				  COUNT(commands),
		335);
}
END_TEST

START_TEST(no_name_stands_twice)
{
	for (unsigned i = 0; i < option_row_count; i++)
		if (option_rows[i].name)
			ck_assert_ptr_eq(option_find(option_rows[i].name), &option_rows[i]);
}
END_TEST

START_TEST(every_row_is_complete)
{
	for (unsigned i = 0; i < option_row_count; i++) {
		const struct option_row *row = &option_rows[i];
		if (row->section)
			continue;
		ck_assert_ptr_nonnull(row->read);
		ck_assert_uint_le(row->min, row->max);
		ck_assert_uint_le(row->max, MAX_WORDS - 1);
		ck_assert_msg(*row->help, "%s has no help", row->name);
		ck_assert_msg(row->max == 0 || row->verdict == REFUSE || *row->arguments, "%s: arguments",
			row->name);
		ck_assert(row->read != refused || row->verdict == REFUSE);
	}
}
END_TEST

START_TEST(done_directives_have_a_reader)
{
	option_reader *read = option_find(done[_i])->read;
	ck_assert(read && read != not_yet && read != refused && read != no_effect && read != accepted);
}
END_TEST

START_TEST(directives_not_there_yet_are_an_error_that_says_so)
{
	char expected[256];
	snprintf(expected, sizeof(expected), "E main.conf:8: %s: '%s' is not supported yet", later[_i],
		later[_i]);
	ck_assert_ptr_null(read_more(line_of(later[_i])));
	ck_assert_msg(paper_problem_is(expected), "%s", expected);
	ck_assert_uint_eq(paper_problems, 1);
}
END_TEST

START_TEST(directives_of_client_files_do_not_belong_into_the_main_file)
{
	char expected[256];
	snprintf(expected, sizeof(expected),
		"E main.conf:8: %s: option '%s' cannot be used in this context (main.conf) (hint: it belongs "
		"into a "
		"client's own file)",
		client[_i], client[_i]);
	refused_with(line_of(client[_i]), expected);
}
END_TEST

START_TEST(accepted_directives_stop_nothing)
{
	struct config *config = read_more(line_of(harmless[_i]));
	ck_assert_msg(config != NULL, "%s", paper_problems ? paper_problem(0) : "");
	for (unsigned i = 0; i < paper_problems; i++)
		ck_assert_int_eq(paper_problem(i)[0], 'W');
	config_free(&config);
}
END_TEST

START_TEST(accepted_directives_still_count_their_words)
{
	char text[512];
	const struct option_row *row = option_find(harmless[_i]);
	if (row->max == MAX_WORDS - 1)
		return;
	snprintf(text, sizeof(text), "%s", harmless[_i]);
	for (unsigned i = 0; i <= row->max; i++)
		strcat(text, " 1");
	ck_assert_ptr_null(read_more(text));
	ck_assert_ptr_nonnull(strstr(paper_problem(0), "missing or extra parameter"));
}
END_TEST

START_TEST(refused_directives_are_an_error_with_a_hint)
{
	char expected[512];
	const struct option_row *row = option_find(refuse[_i]);
	ck_assert_ptr_nonnull(row);
	snprintf(expected, sizeof(expected), "E main.conf:8: %s: is not possible on this server (hint: %s)",
		refuse[_i], row->help);
	/* Whatever follows the name. */
	refused_with(refuse[_i], expected);
	char text[256];
	snprintf(text, sizeof(text), "%s 1 2 3 4 5 6 7 8", refuse[_i]);
	refused_with(text, expected);
	snprintf(text, sizeof(text), "<%s>\nx\n</%s>\n", refuse[_i], refuse[_i]);
	refused_with(text, expected);
}
END_TEST

START_TEST(commands_are_no_settings)
{
	char expected[256];
	snprintf(expected, sizeof(expected),
		"E main.conf:8: %s: is a command of its own, not a setting (hint: vpnserverd --%s)",
		commands[_i], commands[_i]);
	refused_with(commands[_i], expected);
}
END_TEST

START_TEST(an_unknown_directive_gets_the_nearest_name)
{
	refused_with("kepalive 10 60\n", "E main.conf:8: kepalive: Unrecognized option or missing or extra "
					 "parameter(s) in main.conf:8: kepalive "
					 "(hint: unknown directive; did you mean 'keepalive'?)");
	ck_assert_str_eq(option_nearest("protoo"), "proto");
	ck_assert_str_eq(option_nearest("sever"), "server");
	ck_assert_str_eq(option_nearest("max-client"), "max-clients");
	ck_assert_str_eq(option_nearest("client-to-cleint"), "client-to-client");
	ck_assert_str_eq(option_nearest("Push"), "push");
	ck_assert_str_eq(option_nearest("hub.worker"), "hub.workers");
	ck_assert_str_eq(option_nearest("tls-ver-min"), "tls-version-min");
}
END_TEST

START_TEST(a_name_like_no_other_gets_no_suggestion)
{
	ck_assert_ptr_null(option_nearest("wireguard-peer"));
	ck_assert_ptr_null(option_nearest("x"));
	ck_assert_ptr_null(option_nearest(""));
	ck_assert_ptr_null(option_nearest(
		"a-very-long-name-that-cannot-be-any-directive-of-ours-because-none-is-so-long"));
	refused_with("wireguard-peer x\n", "E main.conf:8: wireguard-peer: Unrecognized option or missing or "
					   "extra parameter(s) in main.conf:8: "
					   "wireguard-peer (hint: unknown directive)");
}
END_TEST

START_TEST(names_are_case_sensitive)
{
	ck_assert_ptr_null(option_find("DEV"));
	ck_assert_ptr_null(read_more("Verb 3\n"));
}
END_TEST

START_TEST(a_wrong_number_of_words_shows_the_right_one)
{
	refused_with("max-clients\n", "E main.conf:8: max-clients: Unrecognized option or missing or extra "
				      "parameter(s) in main.conf:8: "
				      "max-clients (hint: max-clients N)");
	refused_with("max-clients 1 2\n", "E main.conf:8: max-clients: Unrecognized option or missing or "
					  "extra parameter(s) in main.conf:8: "
					  "max-clients (hint: max-clients N)");
}
END_TEST

START_TEST(only_some_directives_may_be_inline)
{
	refused_with("<verb>\n3\n</verb>\n",
		"E main.conf:8: verb: option 'verb' is not expected to be inline (main.conf:8)");
	refused_with("<connection>\nremote x\n</connection>\n",
		"E main.conf:8: connection: is not possible on this server (hint: this is a client config; "
		"vpnserverd "
		"only serves)");
}
END_TEST

START_TEST(words_behind_the_sixteenth_are_not_dropped_silently)
{
	struct config *config = warned_with("echo 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17\n",
		"W main.conf:8: echo: only the first 16 words of the line count");
	config_free(&config);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("conf options");
	TCase *tcase = tcase_create("options");
	tcase_add_test(tcase, all_names_are_there_with_their_verdict);
	tcase_add_test(tcase, no_name_stands_twice);
	tcase_add_test(tcase, every_row_is_complete);
	tcase_add_loop_test(tcase, done_directives_have_a_reader, 0, COUNT(done));
	tcase_add_loop_test(tcase, directives_not_there_yet_are_an_error_that_says_so, 0, COUNT(later));
	tcase_add_loop_test(
		tcase, directives_of_client_files_do_not_belong_into_the_main_file, 0, COUNT(client));
	tcase_add_loop_test(tcase, accepted_directives_stop_nothing, 0, COUNT(harmless));
	tcase_add_loop_test(tcase, accepted_directives_still_count_their_words, 0, COUNT(harmless));
	tcase_add_loop_test(tcase, refused_directives_are_an_error_with_a_hint, 0, COUNT(refuse));
	tcase_add_loop_test(tcase, commands_are_no_settings, 0, COUNT(commands));
	tcase_add_test(tcase, an_unknown_directive_gets_the_nearest_name);
	tcase_add_test(tcase, a_name_like_no_other_gets_no_suggestion);
	tcase_add_test(tcase, names_are_case_sensitive);
	tcase_add_test(tcase, a_wrong_number_of_words_shows_the_right_one);
	tcase_add_test(tcase, only_some_directives_may_be_inline);
	tcase_add_test(tcase, words_behind_the_sixteenth_are_not_dropped_silently);
	suite_add_tcase(suite, tcase);
	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
