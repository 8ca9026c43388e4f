/* SPDX-License-Identifier: MIT
 * Single directives: what they set, and what they refuse. */
#include "tests/unit/conf/paper.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(list) (sizeof(list) / sizeof(list[0]))

/* A line that is wrong in itself, and what is said about it behind "E main.conf:8: ". */
static const struct {
	const char *line, *problem;
} wrong[] = {
	{ "mode client",
		"mode: 'client' is not a role of this server (hint: add `server NETWORK NETMASK`, or `mode "
		"server` and `tls-server`)" },
	{ "management \"\" unix", "management: the word is empty" },
	{ "management tunnel 7505",
		"management: a listener inside the tunnel would give every client the power over this hub (hint: "
		"management 127.0.0.1 PORT PWFILE)" },
	{ "management 127.0.0.1 0", "management: 0 is not between 1 and 65535" },
	{ "management 127.0.0.1 x", "management: 'x' is not a number" },
	{ "management nowhere.example 7505", "management: 'nowhere.example' has no address" },
	{ "management 127.0.0.1 7505 \"\"", "management: the word is empty" },
	{ "management 127.0.0.1 7505 missing", "management: cannot read missing: No such file or directory" },
	{ "management 192.0.2.1 7505",
		"management: whoever reaches 192.0.2.1 could end this hub: give a password file (hint: management "
		"PATH unix)" },
	{ "management-client-user nobody",
		"management-client-user: only a UNIX socket tells who is calling (hint: management PATH unix)" },
	{ "management-client-group nogroup",
		"management-client-group: only a UNIX socket tells who is calling (hint: management PATH unix)" },
	{ "management-hold", "management-hold: needs management (hint: management PATH unix)" },
	{ "management-log-cache 0", "management-log-cache: 0 is not between 1 and 10000" },
	{ "management-log-cache 10001", "management-log-cache: 10001 is not between 1 and 10000" },
	{ "topology net30", "topology: 'topology net30' is not supported yet" },
	{ "topology p2p", "topology: 'topology p2p' is not supported yet" },
	{ "topology ring", "topology: 'ring' is none of the words it takes (hint: subnet, net30, p2p)" },
	{ "dev tap0", "dev: 'dev tap' is not supported yet" },
	{ "dev null", "dev: 'dev null' is not supported yet" },
	{ "dev 0123456789abcdef",
		"dev: '0123456789abcdef' is not a device name (hint: tun, tun0, or a name of at most 15 "
		"characters)" },
	{ "dev a/b",
		"dev: 'a/b' is not a device name (hint: tun, tun0, or a name of at most 15 characters)" },
	{ "dev \"\"", "dev: '' is not a device name (hint: tun, tun0, or a name of at most 15 characters)" },
	{ "dev-type tap", "dev-type: 'dev-type tap' is not supported yet" },
	{ "dev-type ring", "dev-type: 'ring' is none of the words it takes (hint: tun, tap)" },
	{ "txqueuelen x", "txqueuelen: 'x' is not a number" },
	{ "tun-mtu 99", "tun-mtu: 99 is not between 100 and 65536" },
	{ "tun-mtu 65537", "tun-mtu: 65537 is not between 100 and 65536" },
	{ "tun-mtu 1500 99", "tun-mtu: 99 is not between 100 and 65536" },
	{ "tun-mtu-max 1599", "tun-mtu-max: 1599 is not between 1600 and 65536" },
	{ "mssfix 153", "mssfix: 153 is not between 154 and 65535 (hint: 0 switches it off)" },
	{ "mssfix 65536", "mssfix: 65536 is not between 0 and 65535" },
	{ "mssfix 1400 all", "mssfix: 'all' is none of the words it takes (hint: mtu, fixed)" },
	{ "max-packet-size 153", "max-packet-size: 153 is not between 154 and 2048" },
	{ "max-packet-size 2049", "max-packet-size: 2049 is not between 154 and 2048" },
	{ "mtu-disc perhaps", "mtu-disc: 'perhaps' is none of the words it takes (hint: no, maybe, yes)" },
	{ "multihome all", "multihome: 'all' is none of the words it takes (hint: same-interface)" },
	{ "sndbuf -1", "sndbuf: '-1' is not a number" },
	{ "rcvbuf 99999999999", "rcvbuf: 99999999999 is not between 0 and 1073741823" },
	{ "socket-flags TCP_QUICKACK",
		"socket-flags: 'TCP_QUICKACK' is no flag that can be set (hint: TCP_NODELAY)" },
	{ "explicit-exit-notify x", "explicit-exit-notify: 'x' is not a number" },
	{ "ifconfig 10.8.0.1 10.8.0.2", "ifconfig: '10.8.0.2' is not a netmask (hint: like 255.255.255.0)" },
	{ "ifconfig x 255.255.255.0", "ifconfig: 'x' is not an IPv4 address and cannot be resolved" },
	{ "ifconfig-ipv6 fd00::1 fd00::2", "ifconfig-ipv6: 'fd00::1' is not ADDRESS/BITS in IPv6" },
	{ "ifconfig-ipv6 fd00::1/48 fd00::2", "ifconfig-ipv6: /48 is not between /64 and /124" },
	{ "ifconfig-ipv6 fd00::1/64 x", "ifconfig-ipv6: 'x' is not an IPv6 address" },
	{ "route x.example", "route: 'x.example' is not an IPv4 address and cannot be resolved" },
	{ "route 10.0.0.0 10.0.0.0", "route: '10.0.0.0' is not a netmask (hint: like 255.255.255.0)" },
	{ "route 10.0.0.0 255.0.0.0 net_gateway", "route: 'route net_gateway' is not supported yet" },
	{ "route 10.0.0.0 255.0.0.0 remote_host",
		"route: remote_host has no meaning on a server (hint: name the address)" },
	{ "route 10.0.0.0 255.0.0.0 default x", "route: 'x' is not a number" },
	{ "route-ipv6 10.0.0.0/8", "route-ipv6: '10.0.0.0/8' is not ADDRESS/BITS in IPv6" },
	{ "route-ipv6 fd00::/129", "route-ipv6: /129 is not between /0 and /128" },
	{ "route-ipv6 fd00::/64 net_gateway", "route-ipv6: 'route-ipv6 net_gateway' is not supported yet" },
	{ "route-gateway dhcp", "route-gateway: 'route-gateway dhcp' is not supported yet" },
	{ "route-ipv6-gateway x", "route-ipv6-gateway: 'x' is not an IPv6 address" },
	{ "route-metric x", "route-metric: 'x' is not a number" },
	{ "push \"\"", "push: nothing to push (hint: push \"route 192.0.2.0 255.255.255.0\")" },
	{ "push \"echo a,b\"",
		"push: a pushed option cannot hold a comma (hint: one `push` for each option)" },
	{ "push \"echo \xc3\xa4\"",
		"push: clients drop a whole reply that holds a byte outside printable ASCII" },
	{ "push \"echo\ta\"", "push: clients drop a whole reply that holds a byte outside printable ASCII" },
	{ "max-clients 0", "max-clients: 0 is not between 1 and 1048576" },
	{ "max-clients 1048577", "max-clients: 1048577 is not between 1 and 1048576" },
	{ "max-clients 10x", "max-clients: '10x' is not a number" },
	{ "max-clients \"\"", "max-clients: a number is missing" },
	{ "max-routes-per-client 0", "max-routes-per-client: 0 is not possible, the least is 1" },
	{ "connect-freq 0 1", "connect-freq: 0 is not possible, the least is 1" },
	{ "connect-freq-initial 1 0", "connect-freq-initial: 0 is not possible, the least is 1" },
	{ "inactive x", "inactive: 'x' is not a number" },
	{ "inactive 10 x", "inactive: 'x' is not a number" },
	{ "session-timeout 1s", "session-timeout: '1s' is not a number" },
	{ "tls-version-min 1.4", "tls-version-min: '1.4' is not a TLS version (hint: 1.0, 1.1, 1.2, 1.3)" },
	{ "tls-version-min 1.2 or-lowest",
		"tls-version-min: 'or-lowest' is none of the words it takes (hint: or-highest)" },
	{ "tls-version-max 2", "tls-version-max: '2' is not a TLS version (hint: 1.0, 1.1, 1.2, 1.3)" },
	{ "tls-cipher \"\"", "tls-cipher: the list is empty" },
	{ "tls-groups :", "tls-groups: the list is empty" },
	{ "tls-ciphersuites TLS_AES_128_CCM_SHA256",
		"tls-ciphersuites: none of these suites exists here (hint: "
		"TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256:TLS_AES_128_GCM_SHA256)" },
	{ "tls-cert-profile best", "tls-cert-profile: 'best' is none of the words it takes (hint: insecure, "
				   "legacy, preferred, suiteb)" },
	{ "verify-client-cert none", "verify-client-cert: 'verify-client-cert none' is not supported yet" },
	{ "verify-client-cert optional",
		"verify-client-cert: 'verify-client-cert optional' is not supported yet" },
	{ "verify-client-cert no",
		"verify-client-cert: 'no' is none of the words it takes (hint: require, none, optional)" },
	{ "remote-cert-tls both",
		"remote-cert-tls: 'both' is none of the words it takes (hint: client, server)" },
	{ "remote-cert-ku xyz", "remote-cert-ku: 'xyz' is not a key usage in hex (hint: like a0 or 88)" },
	{ "remote-cert-ku 0", "remote-cert-ku: '0' is not a key usage in hex (hint: like a0 or 88)" },
	{ "remote-cert-eku \"\"", "remote-cert-eku: an OID or a name is missing" },
	{ "verify-x509-name \"\" name", "verify-x509-name: a name is missing" },
	{ "verify-x509-name x all",
		"verify-x509-name: 'all' is none of the words it takes (hint: subject, name, name-prefix)" },
	{ "peer-fingerprint 00:11", "peer-fingerprint: '00:11' is not a SHA-256 fingerprint (hint: 32 pairs "
				    "of hex digits with colons "
				    "between)" },
	{ "crl-verify ca.crt dir", "crl-verify: 'crl-verify dir' is not supported yet" },
	{ "crl-verify ca.crt folder",
		"crl-verify: 'folder' is none of the words it takes (hint: crl-verify FILE)" },
	{ "x509-username-field CN OU",
		"x509-username-field: 'x509-username-field with several fields' is not supported yet" },
	{ "x509-username-field ext:keyUsage", "x509-username-field: 'ext:keyUsage' is not a part of a "
					      "certificate that can be used (hint: CN, another "
					      "attribute, ext:subjectAltName or ext:issuerAltName)" },
	{ "key-direction 2", "key-direction: 2 is not between 0 and 1" },
	{ "tls-timeout 0", "tls-timeout: 0 is not between 1 and 2147483" },
	{ "hand-window 0", "hand-window: 0 is not between 1 and 2147483" },
	{ "tran-window x", "tran-window: 'x' is not a number" },
	{ "reneg-sec 10 20",
		"reneg-sec: the second number is greater than the first (hint: reneg-sec MAX [MIN])" },
	{ "reneg-bytes -1", "reneg-bytes: '-1' is not a number" },
	{ "reneg-pkts 1e3", "reneg-pkts: '1e3' is not a number" },
	{ "data-ciphers BF-CBC", "data-ciphers: 'BF-CBC' is not a data cipher of this server (hint: "
				 "AES-256-GCM:AES-128-GCM:CHACHA20-POLY1305)" },
	{ "data-ciphers AES-256-GCM:AES-256-CBC", "data-ciphers: 'AES-256-CBC' is not supported yet (hint: "
						  "put a question mark before it to go on without "
						  "it)" },
	{ "data-ciphers none",
		"data-ciphers: 'none' is not supported yet (hint: put a question mark before it to go on "
		"without it)" },
	{ "data-ciphers ?AES-256-CBC",
		"data-ciphers: no cipher is left (hint: AES-256-GCM:AES-128-GCM:CHACHA20-POLY1305)" },
	{ "data-ciphers \"\"",
		"data-ciphers: no cipher is left (hint: AES-256-GCM:AES-128-GCM:CHACHA20-POLY1305)" },
	{ "data-ciphers-fallback AES-128-CBC", "data-ciphers-fallback: 'AES-128-CBC' is not supported yet "
					       "(hint: put a question mark before it to go on "
					       "without it)" },
	{ "data-ciphers-fallback BF-CBC",
		"data-ciphers-fallback: 'BF-CBC' is not a data cipher of this server (hint: "
		"AES-256-GCM:AES-128-GCM:CHACHA20-POLY1305)" },
	{ "auth WHIRLPOOL", "auth: 'WHIRLPOOL' is not a digest of this server (hint: SHA1, SHA256, SHA512)" },
	{ "replay-window 65537", "replay-window: 65537 is not between 0 and 65536" },
	{ "replay-window 64 601", "replay-window: 601 is not between 0 and 600" },
	{ "allow-compression asym", "allow-compression: 'allow-compression asym' is not supported yet" },
	{ "allow-compression yes", "allow-compression: 'allow-compression yes' is not supported yet" },
	{ "allow-compression maybe",
		"allow-compression: 'maybe' is none of the words it takes (hint: no, asym, yes)" },
	{ "verb 12", "verb: 12 is not between 0 and 11" },
	{ "mute x", "mute: 'x' is not a number" },
	{ "log \"\"", "log: the word is empty" },
	{ "status st.log x", "status: 'x' is not a number" },
	{ "status-version 4", "status-version: 4 is not between 1 and 3" },
	{ "writepid \"\"", "writepid: the word is empty" },
	{ "user \"\"", "user: the word is empty" },
	{ "nice 20", "nice: '20' is not between -20 and 19" },
	{ "nice -21", "nice: '-21' is not between -20 and 19" },
	{ "nice --1", "nice: '--1' is not between -20 and 19" },
	{ "dhcp-option A b c", "dhcp-option: takes a type and one value" },
	{ "key-method 1",
		"key-method: is not possible on this server (hint: removed in 2.5; method 2 is the only one; "
		"delete the line)" },
	{ "hub.workers 0", "hub.workers: 0 is not between 1 and 256" },
	{ "hub.workers many", "hub.workers: 'many' is not a number" },
	{ "hub.name a234567890123456789012345678901234567890123456789012345678901234",
		"hub.name: 'a23456789012345678901234567890123456789012345678901234567890' cannot be part of "
		"a file name (hint: letters, digits, - and _)" },
	{ "hub.name ../x",
		"hub.name: '../x' cannot be part of a file name (hint: letters, digits, - and _)" },
	{ "hub.name a/b", "hub.name: 'a/b' cannot be part of a file name (hint: letters, digits, - and _)" },
	{ "hub.runtime-dir run", "hub.runtime-dir: the directory must be absolute (hint: /run/vpnserverd)" },
	{ "hub.steering maybe", "hub.steering: 'maybe' is none of the words it takes (hint: off, on)" },
	{ "hub.rebalance 101", "hub.rebalance: 101 is not between 1 and 100" },
	{ "hub.rebalance no", "hub.rebalance: 'no' is not a number" },
	{ "hub.offload 1", "hub.offload: '1' is none of the words it takes (hint: off, on)" },
	{ "hub.live-revoke yes", "hub.live-revoke: 'yes' is none of the words it takes (hint: off, on)" },
};

START_TEST(a_wrong_line_is_an_error_that_says_what_to_write)
{
	char problem[1024];
	snprintf(problem, sizeof(problem), "E main.conf:8: %s", wrong[_i].problem);
	refused_with(wrong[_i].line, problem);
}
END_TEST

/* The same for warnings. */
static const struct {
	const char *line, *problem;
} doubtful[] = {
	{ "ecdh-curve secp384r1", "ecdh-curve: is an old form (hint: tls-groups secp384r1)" },
	{ "ncp-ciphers AES-256-GCM", "ncp-ciphers: is an old name (hint: data-ciphers)" },
	{ "tls-ciphersuites TLS_AES_256_GCM_SHA384:X",
		"tls-ciphersuites: the suites of TLS 1.3 and their order are fixed in the TLS library" },
	{ "tls-ciphersuites TLS-AES-256-GCM-SHA384",
		"tls-ciphersuites: the suites of TLS 1.3 and their order are fixed in the TLS library" },
	{ "tls-cert-profile insecure",
		"tls-cert-profile: weak certificates are accepted (hint: legacy, preferred or suiteb)" },
	{ "remote-cert-tls server", "remote-cert-tls: clients need certificates made for servers (hint: "
				    "remote-cert-tls client)" },
	{ "replay-window 4096", "replay-window: the window is 2048 packets wide at most; that is used" },
	{ "key-method 2", "key-method: method 2 is the only one there is (hint: delete the line)" },
	{ "dhcp-option DNS 10.8.0.1",
		"dhcp-option: has no effect here (hint: did you mean push \"dhcp-option ...\")" },
	{ "route 10.1.2.3 255.255.255.0",
		"route: the network has bits behind its netmask; 10.1.2.0 is meant" },
	{ "push \"remote x\"", "push: 'remote' is not an option that clients accept when it is pushed" },
	{ "push \"dhcp-optoin DNS 10.8.0.1\"", "push: 'dhcp-optoin' is not an option that clients accept "
					       "when it is pushed (hint: did you mean "
					       "'dhcp-option'?)" },
};

START_TEST(a_doubtful_line_is_a_warning)
{
	char problem[1024];
	snprintf(problem, sizeof(problem), "W main.conf:8: %s", doubtful[_i].problem);
	struct config *config = warned_with(doubtful[_i].line, problem);
	config_free(&config);
}
END_TEST

START_TEST(sockets)
{
	struct config *c = silent("multihome same-interface\nsndbuf 100000\nrcvbuf 200000\nmtu-disc yes\n"
				  "socket-flags TCP_NODELAY\nexplicit-exit-notify\n");
	ck_assert(c->multihome_same_interface);
	ck_assert_int_eq(c->sndbuf, 100000);
	ck_assert_int_eq(c->rcvbuf, 200000);
	ck_assert_int_eq(c->mtu_discover, IP_PMTUDISC_DO);
	ck_assert_uint_eq(c->explicit_exit_notify, 1);
	config_free(&c);
	c = silent("explicit-exit-notify 2\nmultihome\nmtu-disc no\n");
	ck_assert_uint_eq(c->explicit_exit_notify, 2);
	ck_assert_int_eq(c->mtu_discover, IP_PMTUDISC_DONT);
	config_free(&c);
	c = silent("explicit-exit-notify 5\nmtu-disc maybe\n");
	ck_assert_uint_eq(c->explicit_exit_notify, 1);
	ck_assert_int_eq(c->mtu_discover, IP_PMTUDISC_WANT);
	config_free(&c);
	c = silent("explicit-exit-notify 0\n");
	ck_assert_uint_eq(c->explicit_exit_notify, 0);
	ck_assert_int_eq(c->mtu_discover, -1);
	config_free(&c);
}
END_TEST

START_TEST(the_device)
{
	struct config *c =
		silent("dev vpn0\ndev-type tun\ntxqueuelen 500\ntun-mtu 1400 1450\nifconfig-noexec\n"
		       "route-noexec\n");
	ck_assert_str_eq(c->dev, "vpn0");
	ck_assert(!c->tap);
	ck_assert_int_eq(c->txqueuelen, 500);
	ck_assert_uint_eq(c->tun_mtu, 1400);
	ck_assert_uint_eq(c->occ_mtu, 1450);
	ck_assert(c->ifconfig_noexec && c->route_noexec);
	config_free(&c);
	c = silent("");
	ck_assert_str_eq(c->dev, "tun");
	ck_assert_int_eq(c->txqueuelen, 0);
	ck_assert_uint_eq(c->occ_mtu, 0);
	config_free(&c);
}
END_TEST

START_TEST(clients)
{
	struct config *c = silent("client-to-client\nduplicate-cn\nmax-clients 200\nmax-routes-per-client 7\n"
				  "connect-freq 5 6\nconnect-freq-initial 7 8\ninactive 600 10000000000\n"
				  "session-timeout 86400\n");
	ck_assert(c->client_to_client && c->duplicate_cn);
	ck_assert_uint_eq(c->max_clients, 200);
	ck_assert_uint_eq(c->max_routes_per_client, 7);
	ck_assert_uint_eq(c->connect_freq, 5);
	ck_assert_uint_eq(c->connect_freq_s, 6);
	ck_assert_uint_eq(c->connect_freq_initial, 7);
	ck_assert_uint_eq(c->connect_freq_initial_s, 8);
	ck_assert_uint_eq(c->inactive_s, 600);
	ck_assert_uint_eq(c->inactive_bytes, 10000000000u);
	ck_assert_uint_eq(c->session_timeout_s, 86400);
	config_free(&c);
	c = silent("");
	ck_assert_uint_eq(c->max_clients, 1024);
	ck_assert_uint_eq(c->max_routes_per_client, 256);
	ck_assert_uint_eq(c->connect_freq, 0);
	ck_assert_uint_eq(c->connect_freq_initial, 100);
	ck_assert_uint_eq(c->connect_freq_initial_s, 10);
	config_free(&c);
}
END_TEST

START_TEST(pushed_options_are_kept_as_they_are)
{
	char extra[400], *option = extra + 6;
	struct config *c = silent("push \"route 10.0.0.0 255.0.0.0\"\npush 'setenv-safe A \"b c\"'\n");
	ck_assert_str_eq(c->push[0], "route 10.0.0.0 255.0.0.0");
	ck_assert_str_eq(c->push[1], "setenv-safe A \"b c\"");
	config_free(&c);
	strcpy(extra, "push \"echo ");
	memset(option + 5, 'a', 250);
	strcpy(option + 255, "\"\n");
	c = silent(extra);
	ck_assert_uint_eq(strlen(c->push[0]), 255);
	config_free(&c);
	strcpy(option + 255, "a\"\n");
	refused_with(extra, "E main.conf:8: push: clients take at most 255 bytes in one option");
}
END_TEST

START_TEST(tls_settings)
{
	struct config *c = silent(
		"tls-version-min 1.0\ntls-version-max 1.3\ntls-cipher TLS-ECDHE-RSA-WITH-AES-128-GCM-SHA256\n"
		"tls-groups X25519:secp256r1\ntls-cert-profile suiteb\nverify-client-cert require\n"
		"verify-client-cert\nx509-username-field emailAddress\n");
	ck_assert_uint_eq(c->tls_min, 0x0301);
	ck_assert_uint_eq(c->tls_max, 0x0304);
	ck_assert_str_eq(c->tls_cipher, "TLS-ECDHE-RSA-WITH-AES-128-GCM-SHA256");
	ck_assert_str_eq(c->tls_groups, "X25519:secp256r1");
	ck_assert_int_eq(c->profile, PROFILE_SUITEB);
	ck_assert_str_eq(c->username_field, "emailAddress");
	config_free(&c);
	c = silent("tls-version-min 1.9 or-highest\ntls-cert-profile preferred\nx509-username-field "
		   "ext:subjectAltName\n");
	ck_assert_uint_eq(c->tls_min, 0x0304);
	ck_assert_int_eq(c->profile, PROFILE_PREFERRED);
	config_free(&c);
	c = silent("");
	ck_assert_uint_eq(c->tls_min, 0x0303);
	ck_assert_uint_eq(c->tls_max, 0);
	ck_assert_int_eq(c->profile, PROFILE_LEGACY);
	ck_assert_str_eq(c->username_field, "CN");
	ck_assert_ptr_null(c->tls_cipher);
	ck_assert_ptr_null(c->tls_groups);
	config_free(&c);
}
END_TEST

START_TEST(checks_of_certificates)
{
	struct config *c = silent(
		"verify-x509-name \"C=KG, CN=x\"\nremote-cert-ku a0 88\nremote-cert-eku \"TLS Web Client "
		"Authentication\"\n");
	ck_assert_int_eq(c->name_check, NAME_CHECK_SUBJECT);
	ck_assert_str_eq(c->name_wanted, "C=KG, CN=x");
	ck_assert(c->remote_cert_client && !c->remote_cert_server && c->remote_ku_any);
	ck_assert_uint_eq(c->remote_ku_count, 2);
	ck_assert_uint_eq(c->remote_ku[0], 0xa0);
	ck_assert_uint_eq(c->remote_ku[1], 0x88);
	ck_assert_str_eq(c->remote_eku, "TLS Web Client Authentication");
	config_free(&c);
	c = silent("verify-x509-name box- name-prefix\nremote-cert-ku\n");
	ck_assert_int_eq(c->name_check, NAME_CHECK_PREFIX);
	ck_assert(c->remote_ku_any);
	ck_assert_uint_eq(c->remote_ku_count, 0);
	config_free(&c);
	c = silent("verify-x509-name box name\n");
	ck_assert_int_eq(c->name_check, NAME_CHECK_NAME);
	ck_assert(!c->remote_ku_any);
	config_free(&c);
}
END_TEST

#define PRINT                                                                                                \
	"00:11:22:33:44:55:66:77:88:99:aa:bb:cc:dd:ee:ff:00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF"

START_TEST(fingerprints_add_up)
{
	struct config *c = silent("peer-fingerprint " PRINT "\n<peer-fingerprint>\n# comment\n\n  " PRINT
				  "  # box\r\n" PRINT "\n; other\n</peer-fingerprint>\n");
	ck_assert_uint_eq(c->fingerprint_count, 3);
	for (unsigned i = 0; i < 3; i++) {
		ck_assert_uint_eq(c->fingerprints[i][1], 0x11);
		ck_assert_uint_eq(c->fingerprints[i][10], 0xaa);
		ck_assert_uint_eq(c->fingerprints[i][31], 0xff);
	}
	config_free(&c);
	ck_assert_ptr_null(read_more("<peer-fingerprint>\n" PRINT "0\n</peer-fingerprint>\n"));
	ck_assert_ptr_null(read_more("peer-fingerprint " PRINT ":00\n"));
	char text[200] = "peer-fingerprint " PRINT "\n";
	text[17 + 2] = '-';
	ck_assert_ptr_null(read_more(text));
	strcpy(text, "peer-fingerprint " PRINT "\n");
	text[17] = 'g';
	ck_assert_ptr_null(read_more(text));
}
END_TEST

START_TEST(the_control_channel)
{
	struct config *c =
		silent("auth sha256\ntls-timeout 3\nhand-window 30\ntran-window 100\nreneg-sec 1000 900\n"
		       "reneg-bytes 10000000000\nreneg-pkts 7\nmax-packet-size 800\n");
	ck_assert_str_eq(c->auth, "SHA256");
	ck_assert_uint_eq(c->tls_timeout_s, 3);
	ck_assert_uint_eq(c->hand_window_s, 30);
	ck_assert_uint_eq(c->tran_window_s, 100);
	ck_assert_uint_eq(c->reneg_s, 1000);
	ck_assert_uint_eq(c->reneg_min_s, 900);
	ck_assert_uint_eq(c->reneg_bytes, 10000000000u);
	ck_assert_uint_eq(c->reneg_packets, 7);
	config_free(&c);
	c = silent("auth none\nreneg-sec 0\n");
	ck_assert_str_eq(c->auth, "[null-digest]");
	ck_assert_uint_eq(c->reneg_s, 0);
	config_free(&c);
	c = silent("");
	ck_assert_str_eq(c->auth, "SHA1");
	ck_assert_uint_eq(c->tls_timeout_s, 2);
	ck_assert_uint_eq(c->hand_window_s, 60);
	ck_assert_uint_eq(c->tran_window_s, 3600);
	ck_assert_uint_eq(c->reneg_s, 3600);
	ck_assert_uint_eq(c->max_packet_size, 1250);
	config_free(&c);
}
END_TEST

static void ciphers(const char *line, const char *expected)
{
	struct config *c = silent(line);
	ck_assert_str_eq(c->data_ciphers, expected);
	config_free(&c);
}

START_TEST(data_ciphers)
{
	ciphers("", "AES-256-GCM:AES-128-GCM:CHACHA20-POLY1305");
	ciphers("data-ciphers chacha20-poly1305:Aes-192-Gcm\n", "CHACHA20-POLY1305:AES-192-GCM");
	ciphers("data-ciphers ?BF-CBC:AES-128-GCM:?AES-256-CBC:?AES-256-GCM\n", "AES-128-GCM:AES-256-GCM");
	ciphers("data-ciphers AES-192-GCM:DEFAULT:AES-192-GCM\n",
		"AES-192-GCM:AES-256-GCM:AES-128-GCM:CHACHA20-POLY1305");
	ciphers("data-ciphers :AES-128-GCM::AES-128-GCM:\n", "AES-128-GCM");
	char text[200] = "data-ciphers ";
	for (int i = 0; i < 8; i++)
		strcat(text, "AES-128-GCM:AES-");
	ck_assert_ptr_null(read_more(text));
	ck_assert_str_eq(paper_problem(0), "E main.conf:8: data-ciphers: the list is longer than 127 bytes");
	struct config *c = silent("data-ciphers-fallback aes-128-gcm\n");
	ck_assert_str_eq(c->data_ciphers_fallback, "AES-128-GCM");
	config_free(&c);
}
END_TEST

START_TEST(replay)
{
	struct config *c = silent("replay-window 128 30\nmute-replay-warnings\nallow-compression no\n");
	ck_assert_uint_eq(c->replay_window, 128);
	ck_assert_uint_eq(c->replay_window_s, 30);
	ck_assert(c->mute_replay_warnings);
	config_free(&c);
	c = silent("replay-window 2048\n");
	ck_assert_uint_eq(c->replay_window, 2048);
	ck_assert_uint_eq(c->replay_window_s, 15);
	config_free(&c);
	c = read_more("replay-window 65536\n");
	ck_assert_uint_eq(c->replay_window, 2048);
	config_free(&c);
	c = silent("replay-window 7\nreplay-window\n");
	ck_assert_uint_eq(c->replay_window, 64);
	config_free(&c);
}
END_TEST

START_TEST(the_process)
{
	struct config *c = silent(
		"verb 4\nmute 20\nlog-append /var/log/x.log\ndaemon hub\nsuppress-timestamps\n"
		"machine-readable-output\nerrors-to-stderr\nstatus /run/st 10\nstatus-version 3\n"
		"writepid /run/x.pid\nuser vpn\ngroup vpn\nnice -5\nmlock\nhub.workers 4\nhub.name main-1\n"
		"hub.runtime-dir /run/hub\nhub.steering off\nhub.offload off\nhub.rebalance off\n"
		"hub.live-revoke off\n");
	ck_assert_int_eq(c->verb, 4);
	ck_assert_int_eq(c->mute, 20);
	ck_assert_str_eq(c->log, "/var/log/x.log");
	ck_assert(c->log_append && c->daemonize && !c->use_syslog && c->suppress_timestamps &&
		  c->machine_readable);
	ck_assert(c->errors_to_stderr && c->mlock && !c->steering && !c->offload && !c->live_revoke && !c->rebalance);
	ck_assert_str_eq(c->syslog_name, "hub");
	ck_assert_str_eq(c->status_file, "/run/st");
	ck_assert_uint_eq(c->status_s, 10);
	ck_assert_uint_eq(c->status_version, 3);
	ck_assert_str_eq(c->writepid, "/run/x.pid");
	ck_assert_str_eq(c->user, "vpn");
	ck_assert_str_eq(c->group, "vpn");
	ck_assert_int_eq(c->nice, -5);
	ck_assert_uint_eq(c->workers, 4);
	ck_assert_str_eq(c->name, "main-1");
	ck_assert_str_eq(c->runtime_dir, "/run/hub");
	config_free(&c);
	c = silent(
		"syslog hub\nlog a\nlog-append b\nlog c\nhub.workers 3\nhub.workers auto\nhub.steering on\n"
		"hub.offload off\nhub.offload on\n");
	ck_assert_uint_eq(c->rebalance, CONFIG_REBALANCE);
	struct config *other = silent("hub.rebalance off\nhub.rebalance on\n"), *third = silent("hub.rebalance 40\n");
	ck_assert(other->rebalance == CONFIG_REBALANCE && third->rebalance == 40);
	config_free(&other);
	config_free(&third);
	ck_assert(c->use_syslog && !c->log_append && c->steering && c->offload && c->live_revoke);
	ck_assert_str_eq(c->log, "c");
	ck_assert_uint_eq(c->workers, 0);
	config_free(&c);
	c = silent("daemon\nsyslog\n");
	ck_assert_ptr_null(c->syslog_name);
	config_free(&c);
	c = warned_with(
		"daemon a\ndaemon b\n", "W main.conf:9: daemon: stands here a second time; this name counts");
	ck_assert_str_eq(c->syslog_name, "b");
	config_free(&c);
}
END_TEST

START_TEST(the_management_interface)
{
	paper_put("pw", "sesame\r\nmore\n", 14, 0600);
	paper_put("empty", "\n", 1, 0600);
	struct config *c = silent("management m.sock unix pw\nmanagement-client-user monitor\n"
				  "management-client-group monitors\nmanagement-hold\nmanagement-log-cache 9\n");
	ck_assert_str_eq(c->management.path, "m.sock");
	ck_assert_str_eq(c->management.client_user, "monitor");
	ck_assert_str_eq(c->management.client_group, "monitors");
	ck_assert(c->management.hold && !c->management.host);
	ck_assert_uint_eq(c->management.log_cache, 9);
	ck_assert_str_eq(c->management.password.bytes, "sesame\r\nmore\n");
	config_free(&c);
	c = silent("management m.sock unix\nmanagement ::1 7505 pw\n"); /* the last one counts */
	ck_assert(!c->management.path);
	ck_assert_int_eq(c->management.address.ss_family, AF_INET6);
	ck_assert_uint_eq(c->management.port, 7505);
	ck_assert_str_eq(c->management.password.path, "pw");
	ck_assert_uint_eq(c->management.log_cache, 250);
	config_free(&c);
	c = silent("management 127.0.0.1 7505 stdin\n"); /* asked for on the terminal */
	ck_assert_ptr_null(c->management.password.bytes);
	config_free(&c);
	c = silent("echo\necho msg \"two  words\" more\nparameter x\nmanagement m.sock unix\n");
	ck_assert_uint_eq(c->management.echo_count, 3);
	ck_assert_str_eq(c->management.echoes[0], "");
	ck_assert_str_eq(c->management.echoes[1], "msg two  words more");
	ck_assert_str_eq(c->management.echoes[2], "x");
	config_free(&c);
	c = silent("");
	ck_assert(!c->management.path && !c->management.host);
	config_free(&c);
	c = warned_with("management 127.0.0.1 7505\n",
		"W main.conf:8: management: without a password file every user of this machine may end sessions and "
		"this hub (hint: management PATH unix)");
	config_free(&c);
	c = warned_with("management 192.0.2.1 7505 pw\n",
		"W main.conf:8: management: the password crosses the network in the clear (hint: management PATH unix)");
	config_free(&c);
	refused_with("management m.sock unix empty\n",
		"E main.conf:8: management: the first line of empty is no password: 1 to 128 bytes");
	refused_with("management m.sock unix\nmanagement-client-user \"\"\n",
		"E main.conf:9: management-client-user: the word is empty");
	char longest[256] = "management /", problem[256];
	memset(longest + 12, 'a', 107);
	strcpy(longest + 119, " unix\n");
	snprintf(problem, sizeof(problem),
		"E main.conf:8: management: %.108s is too long for a socket's name: at most 107 bytes", longest + 11);
	refused_with(longest, problem);
	memmove(longest + 12, longest + 13, 120);
	c = silent(longest);
	config_free(&c);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("conf readers");
	TCase *tcase = tcase_create("readers");
	tcase_add_loop_test(tcase, a_wrong_line_is_an_error_that_says_what_to_write, 0, COUNT(wrong));
	tcase_add_loop_test(tcase, a_doubtful_line_is_a_warning, 0, COUNT(doubtful));
	tcase_add_test(tcase, sockets);
	tcase_add_test(tcase, the_device);
	tcase_add_test(tcase, clients);
	tcase_add_test(tcase, pushed_options_are_kept_as_they_are);
	tcase_add_test(tcase, tls_settings);
	tcase_add_test(tcase, checks_of_certificates);
	tcase_add_test(tcase, fingerprints_add_up);
	tcase_add_test(tcase, the_control_channel);
	tcase_add_test(tcase, data_ciphers);
	tcase_add_test(tcase, replay);
	tcase_add_test(tcase, the_process);
	tcase_add_test(tcase, the_management_interface);
	suite_add_tcase(suite, tcase);
	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
