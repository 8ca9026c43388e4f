/* SPDX-License-Identifier: MIT
 * The configuration in effect as directives, helpers already expanded, so that it could be read again. Keys
 * appear by the name of their file; what came inline is shown as a comment. */
#include "conf/conf.h"

#include <arpa/inet.h>

/* A word in quotes where the grammar needs them. */
static void print_word(FILE *out, const char *word)
{
	if (*word && !strpbrk(word, " \t\r\n\v\f\"'\\#;")) {
		fprintf(out, " %s", word);
		return;
	}
	fputs(" \"", out);
	for (; *word; word++)
		fprintf(out, "%s%c", *word == '"' || *word == '\\' ? "\\" : "", *word);
	fputc('"', out);
}

static void print_text(FILE *out, const char *name, const char *word)
{
	if (!word)
		return;
	fputs(name, out);
	print_word(out, word);
	fputc('\n', out);
}

static void print_flag(FILE *out, const char *name, bool on)
{
	if (on)
		fprintf(out, "%s\n", name);
}

static void print_number(FILE *out, const char *name, unsigned long long number)
{
	fprintf(out, "%s %llu\n", name, number);
}

static void print_file(FILE *out, const char *name, const char *path)
{
	if (path && strcmp(path, "[inline]") == 0)
		fprintf(out, "# <%s> was given inline\n", name);
	else
		print_text(out, name, path);
}

/* Host order, into one of a few buffers: enough for the words of a line. */
struct address4 {
	char text[INET_ADDRSTRLEN];
};

static struct address4 text4(uint32_t address)
{
	struct address4 out;
	inet_ntop(AF_INET, &(struct in_addr){ htonl(address) }, out.text, sizeof(out.text));
	return out;
}

struct address6 {
	char text[INET6_ADDRSTRLEN];
};

static struct address6 text6(const struct in6_addr *address)
{
	struct address6 out;
	inet_ntop(AF_INET6, address, out.text, sizeof(out.text));
	return out;
}

static void print_listeners(FILE *out, const struct config *c)
{
	bool v6only = false;

	for (unsigned i = 0; i < c->listener_count; i++) {
		const struct listener *l = &c->listeners[i];
		const struct sockaddr_in *in = (const struct sockaddr_in *)&l->address;
		const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)&l->address;
		if (in->sin_family == AF_INET)
			fprintf(out, "local %s %u udp4\n", text4(ntohl(in->sin_addr.s_addr)).text,
				ntohs(in->sin_port));
		else
			fprintf(out, "local %s %u udp6\n", text6(&in6->sin6_addr).text,
				ntohs(in6->sin6_port));
		v6only |= l->v6only;
	}
	print_flag(out, "bind ipv6only", v6only);
	print_flag(out, "multihome same-interface", c->multihome_same_interface);
	if (c->sndbuf)
		print_number(out, "sndbuf", (unsigned)c->sndbuf);
	if (c->rcvbuf)
		print_number(out, "rcvbuf", (unsigned)c->rcvbuf);
	if (c->mtu_discover >= 0)
		print_text(out, "mtu-disc",
			c->mtu_discover == IP_PMTUDISC_DO     ? "yes"
			: c->mtu_discover == IP_PMTUDISC_WANT ? "maybe"
							      : "no");
	print_number(out, "max-packet-size", c->max_packet_size);
	print_number(out, "explicit-exit-notify", c->explicit_exit_notify);
}

static void print_route4(FILE *out, const struct route4 *r)
{
	fprintf(out, "route %s %s", text4(r->network).text, text4(r->netmask).text);
	if (r->gateway || r->metric >= 0)
		fprintf(out, " %s", r->gateway ? text4(r->gateway).text : "default");
	if (r->metric >= 0)
		fprintf(out, " %d", r->metric);
	fputc('\n', out);
}

static void print_route6(FILE *out, const struct route6 *r)
{
	fprintf(out, "route-ipv6 %s/%u", text6(&r->network).text, r->bits);
	if (r->has_gateway || r->metric >= 0)
		fprintf(out, " %s", r->has_gateway ? text6(&r->gateway).text : "default");
	if (r->metric >= 0)
		fprintf(out, " %d", r->metric);
	fputc('\n', out);
}

static void print_tunnel(FILE *out, const struct config *c)
{
	print_text(out, "dev", c->dev);
	print_text(out, "topology", "subnet");
	if (c->txqueuelen)
		print_number(out, "txqueuelen", (unsigned)c->txqueuelen);
	fprintf(out, c->occ_mtu ? "tun-mtu %u %u\n" : "tun-mtu %u\n", c->tun_mtu, c->occ_mtu);
	print_number(out, "tun-mtu-max", c->tun_mtu_max);
	fprintf(out, "mssfix %u%s\n", c->mssfix_size,
		c->mssfix == MSSFIX_MTU	    ? " mtu"
		: c->mssfix == MSSFIX_FIXED ? " fixed"
					    : "");
	if (c->ifconfig_on)
		fprintf(out, "ifconfig %s %s\n", text4(c->local4).text, text4(c->netmask4).text);
	if (c->ifconfig6_on)
		fprintf(out, "ifconfig-ipv6 %s/%u %s\n", text6(&c->local6).text, c->bits6,
			text6(&c->remote6).text);
	print_flag(out, "ifconfig-noexec", c->ifconfig_noexec);
	print_flag(out, "route-noexec", c->route_noexec);
	for (unsigned i = 0; i < c->route4_count; i++)
		print_route4(out, &c->routes4[i]);
	for (unsigned i = 0; i < c->route6_count; i++)
		print_route6(out, &c->routes6[i]);
}

static void print_clients(FILE *out, const struct config *c)
{
	if (c->pool4.on)
		fprintf(out, "ifconfig-pool %s %s %s\n", text4(c->pool4.first).text,
			text4(c->pool4.last).text, text4(c->pool4.netmask).text);
	if (c->pool6.on)
		fprintf(out, "ifconfig-ipv6-pool %s/%u\n", text6(&c->pool6.base).text, c->pool6.bits);
	/* The default is left out: written down it would be compared with the pool. */
	if (c->max_clients != 1024)
		print_number(out, "max-clients", c->max_clients);
	print_number(out, "max-routes-per-client", c->max_routes_per_client);
	print_flag(out, "client-to-client", c->client_to_client);
	print_flag(out, "duplicate-cn", c->duplicate_cn);
	for (unsigned i = 0; i < c->push_count; i++) {
		/* Always quoted: it reads better with its words together. */
		fputs("push \"", out);
		for (const char *at = c->push[i]; *at; at++)
			fprintf(out, "%s%c", *at == '"' || *at == '\\' ? "\\" : "", *at);
		fputs("\"\n", out);
	}
	print_number(out, "ping", c->ping_s);
	print_number(out, "ping-restart", c->ping_restart_s);
	if (c->inactive_s)
		fprintf(out, "inactive %u %llu\n", c->inactive_s, (unsigned long long)c->inactive_bytes);
	if (c->session_timeout_s)
		print_number(out, "session-timeout", c->session_timeout_s);
	if (c->connect_freq)
		fprintf(out, "connect-freq %u %u\n", c->connect_freq, c->connect_freq_s);
	fprintf(out, "connect-freq-initial %u %u\n", c->connect_freq_initial, c->connect_freq_initial_s);
}

static const char *version_text(unsigned version)
{
	static const char *const names[] = { "1.0", "1.1", "1.2", "1.3" };
	return version >= 0x0301 && version <= 0x0304 ? names[version - 0x0301] : NULL;
}

static void print_checks(FILE *out, const struct config *c)
{
	static const char *const profiles[] = { "insecure", "legacy", "preferred", "suiteb" };
	static const char *const kinds[] = { "", "subject", "name", "name-prefix" };

	print_text(out, "tls-cert-profile", profiles[c->profile]);
	if (c->name_check != NAME_CHECK_NONE) {
		fputs("verify-x509-name", out);
		print_word(out, c->name_wanted);
		fprintf(out, " %s\n", kinds[c->name_check]);
	}
	print_text(out, "x509-username-field", c->username_field);
	print_flag(out, "remote-cert-tls client", c->remote_cert_client);
	print_flag(out, "remote-cert-tls server", c->remote_cert_server);
	if (c->remote_ku_any) {
		fputs("remote-cert-ku", out);
		for (unsigned i = 0; i < c->remote_ku_count; i++)
			fprintf(out, " %x", c->remote_ku[i]);
		fputc('\n', out);
	}
	print_text(out, "remote-cert-eku", c->remote_eku);
	for (unsigned i = 0; i < c->fingerprint_count; i++) {
		fputs("peer-fingerprint ", out);
		for (unsigned n = 0; n < 32; n++)
			fprintf(out, "%02X%s", c->fingerprints[i][n], n < 31 ? ":" : "\n");
	}
}

static void print_tls(FILE *out, const struct config *c)
{
	print_file(out, "ca", c->ca.path);
	print_file(out, "cert", c->cert.path);
	print_file(out, "key", c->key.path);
	print_file(out, "extra-certs", c->extra_certs.path);
	print_file(out, "crl-verify", c->crl.path);
	if (c->askpass && *c->askpass)
		print_text(out, "askpass", c->askpass);
	else
		print_flag(out, "askpass", c->askpass != NULL);
	print_text(out, "tls-version-min", version_text(c->tls_min));
	print_text(out, "tls-version-max", version_text(c->tls_max));
	print_text(out, "tls-cipher", c->tls_cipher);
	print_text(out, "tls-groups", c->tls_groups);
	print_checks(out, c);
}

static void print_channel(FILE *out, const struct config *c)
{
	if (c->wrap != WRAP_CHOICE_NONE)
		print_file(out, c->wrap == WRAP_CHOICE_AUTH ? "tls-auth" : "tls-crypt", c->wrap_path);
	if (c->key_direction >= 0)
		print_number(out, "key-direction", (unsigned)c->key_direction);
	if (c->crypt_v2 && c->force_cookie && strcmp(c->crypt_v2_path, "[inline]") != 0) {
		fputs("tls-crypt-v2", out);
		print_word(out, c->crypt_v2_path);
		fputs(" force-cookie\n", out);
	} else if (c->crypt_v2) {
		print_file(out, "tls-crypt-v2", c->crypt_v2_path);
	}
	print_text(out, "auth", strcmp(c->auth, "[null-digest]") == 0 ? "none" : c->auth);
	print_number(out, "tls-timeout", c->tls_timeout_s);
	print_number(out, "hand-window", c->hand_window_s);
	print_number(out, "tran-window", c->tran_window_s);
	fprintf(out, c->reneg_min_s ? "reneg-sec %u %u\n" : "reneg-sec %u\n", c->reneg_s, c->reneg_min_s);
	print_number(out, "reneg-bytes", c->reneg_bytes);
	print_number(out, "reneg-pkts", c->reneg_packets);
	print_text(out, "data-ciphers", c->data_ciphers);
	print_text(out, "data-ciphers-fallback", c->data_ciphers_fallback);
	fprintf(out, "replay-window %u %u\n", c->replay_window, c->replay_window_s);
	print_flag(out, "mute-replay-warnings", c->mute_replay_warnings);
}

/* The command as one word: its own words are in quotes inside it. */
static void print_script(FILE *out, const char *name, const char *const *words)
{
	if (!words)
		return;
	fprintf(out, "%s \"", name);
	for (unsigned i = 0; words[i]; i++) {
		fputs(i ? " \\\"" : "\\\"", out);
		for (const char *c = words[i]; *c; c++)
			fprintf(out, "%s%c", *c == '"' || *c == '\\' ? "\\\\\\" : "", *c);
		fputs("\\\"", out);
	}
	fputs("\"\n", out);
}

static void print_scripts(FILE *out, const struct config *c)
{
	const struct scripts *s = &c->scripts;

	print_number(out, "script-security", s->security);
	print_script(out, "up", s->up);
	print_script(out, "down", s->down);
	print_flag(out, "down-pre", s->down_pre);
	print_flag(out, "up-restart", s->up_restart);
	print_script(out, "route-up", s->route_up);
	print_script(out, "route-pre-down", s->route_pre_down);
	print_script(out, "client-connect", s->client_connect);
	print_script(out, "client-disconnect", s->client_disconnect);
	print_text(out, "hub.script-sudo", s->sudo ? "on" : "off");
	print_text(out, "tmp-dir", s->tmp_dir);
	for (unsigned i = 0; i < s->environment_count; i++) {
		const char *value = strchr(s->environment[i], '=');
		fprintf(out, "setenv %.*s", (int)(value - s->environment[i]), s->environment[i]);
		print_word(out, value + 1);
		fputc('\n', out);
	}
	print_text(out, "client-config-dir", c->client_config_dir);
	print_flag(out, "ccd-exclusive", c->ccd_exclusive);
	if (c->push_netmask4)
		fprintf(out, "ifconfig-push-constraint %s %s\n", text4(c->push_network4).text,
			text4(c->push_netmask4).text);
}

static void print_process(FILE *out, const struct config *c)
{
	print_text(out, "user", c->user);
	print_text(out, "group", c->group);
	if (c->workers)
		print_number(out, "hub.workers", c->workers);
	else
		print_text(out, "hub.workers", "auto");
	print_text(out, "hub.name", c->name);
	print_text(out, "hub.runtime-dir", c->runtime_dir);
	print_text(out, "hub.live-revoke", c->live_revoke ? "on" : "off");
	print_text(out, "hub.steering", c->steering ? "on" : "off");
	if (c->rebalance)
		print_number(out, "hub.rebalance", c->rebalance);
	else
		print_text(out, "hub.rebalance", "off");
	print_text(out, "hub.offload", c->offload ? "on" : "off");
	print_number(out, "verb", (unsigned)c->verb);
	if (c->mute)
		print_number(out, "mute", (unsigned)c->mute);
	print_text(out, c->log_append ? "log-append" : "log", c->log);
	if (c->use_syslog)
		print_text(out, "syslog", c->syslog_name ? c->syslog_name : "vpnserverd");
	if (c->daemonize)
		print_text(out, "daemon", c->syslog_name ? c->syslog_name : "vpnserverd");
	print_flag(out, "suppress-timestamps", c->suppress_timestamps);
	print_flag(out, "machine-readable-output", c->machine_readable);
	print_flag(out, "errors-to-stderr", c->errors_to_stderr);
	if (c->status_file) {
		fputs("status", out);
		print_word(out, c->status_file);
		fprintf(out, " %u\n", c->status_s);
	}
	print_number(out, "status-version", c->status_version);
	print_text(out, "writepid", c->writepid);
	if (c->nice)
		fprintf(out, "nice %d\n", c->nice);
	print_flag(out, "mlock", c->mlock);
}

static void print_management(FILE *out, const struct management *m)
{
	if (m->path || m->host) {
		fputs("management", out);
		print_word(out, m->path ? m->path : m->host);
		if (m->path)
			fputs(" unix", out);
		else
			fprintf(out, " %u", m->port);
		if (m->password.path)
			print_word(out, m->password.path);
		fputc('\n', out);
	}
	print_text(out, "management-client-user", m->client_user);
	print_text(out, "management-client-group", m->client_group);
	print_flag(out, "management-hold", m->hold);
	print_number(out, "management-log-cache", m->log_cache);
	for (unsigned i = 0; i < m->echo_count; i++)
		print_text(out, "echo", m->echoes[i]);
}

void config_print(FILE *out, const struct config *c)
{
	print_text(out, "cd", c->cd);
	fputs("mode server\ntls-server\n", out);
	print_listeners(out, c);
	print_tunnel(out, c);
	print_clients(out, c);
	print_tls(out, c);
	print_channel(out, c);
	print_scripts(out, c);
	print_process(out, c);
	print_management(out, &c->management);
}
