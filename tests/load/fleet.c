/* SPDX-License-Identifier: MIT
 * Sessions, sockets and timers of many clients; see fleet_data.c for the data way. */
#include "tests/load/fleet_inside.h"

#include "common/base/fate.h"
#include "common/wrap/wrap.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

const char fleet_usage[] = "--remote IP:PORT --clients N --ca F --cert F --key F [--tls-auth F DIR | "
			   "--tls-crypt F | --tls-crypt-v2 F] "
			   "[--auth DIGEST] [--ciphers LIST] [--reneg-s S] [--proto-mask N]";

uint64_t fleet_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

vpn_ms fleet_ms(void)
{
	return (vpn_ms)(fleet_ns() / 1000000);
}

_Noreturn void fleet_die(const char *what, const char *detail)
{
	fprintf(stderr, "%s: %s: %s\n", program_invocation_short_name, what, detail);
	exit(2);
}

/* -- settings -- */

void fleet_options_default(struct fleet_options *options)
{
	*options = (struct fleet_options){ .clients = 1,
		.auth = "SHA1",
		.direction = -1,
		.ciphers = "AES-256-GCM:AES-128-GCM:CHACHA20-POLY1305" };
}

const char *fleet_value(int argc, char **argv, int *at)
{
	if (*at + 1 >= argc)
		fleet_die(argv[*at], "needs a value");
	return argv[++*at];
}

bool fleet_option(struct fleet_options *o, int argc, char **argv, int *at)
{
	const struct {
		const char *name;
		const char **text;
	} texts[] = { { "--remote", &o->remote }, { "--ca", &o->ca }, { "--cert", &o->cert },
		{ "--key", &o->key }, { "--tls-auth", &o->tls_auth }, { "--tls-crypt", &o->tls_crypt },
		{ "--tls-crypt-v2", &o->tls_crypt_v2 }, { "--auth", &o->auth },
		{ "--ciphers", &o->ciphers } };
	const struct {
		const char *name;
		unsigned *number;
	} numbers[] = { { "--clients", &o->clients }, { "--reneg-s", &o->reneg_s },
		{ "--proto-mask", &o->proto_mask }, { "--proto-more", &o->proto_more } };
	const char *name = argv[*at];

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		if (strcmp(name, texts[i].name) == 0) {
			*texts[i].text = fleet_value(argc, argv, at);
			if (texts[i].text == &o->tls_auth)
				o->direction = atoi(fleet_value(argc, argv, at));
			return true;
		}
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		if (strcmp(name, numbers[i].name) == 0) {
			*numbers[i].number = (unsigned)strtoul(fleet_value(argc, argv, at), NULL, 0);
			return true;
		}
	return false;
}

static char *read_file(const char *path, size_t *len)
{
	FILE *f = path ? fopen(path, "rb") : NULL;
	char *text = calloc(1, 65536);
	if (!path) {
		free(text);
		return NULL;
	}
	if (!f || !text)
		fleet_die(path, strerror(errno));
	size_t got = fread(text, 1, 65535, f);
	fclose(f);
	if (len)
		*len = got;
	return text;
}

static vpn_endpoint *make_endpoint(const struct fleet_options *o)
{
	struct static_key key;
	uint8_t wrapped[CLIENT_KEY_WRAPPED_MAX];
	size_t wrapped_len = sizeof(wrapped), len;
	char error[VPN_ERROR_TEXT], warning[VPN_ERROR_TEXT];
	char *ca = read_file(o->ca, NULL), *cert = read_file(o->cert, NULL),
	     *own_key = read_file(o->key, NULL);
	char *text = read_file(o->tls_auth    ? o->tls_auth
			       : o->tls_crypt ? o->tls_crypt
					      : o->tls_crypt_v2,
		&len);
	vpn_settings s;

	vpn_settings_default(&s, false);
	s.ca_pem = ca;
	s.cert_pem = cert;
	s.key_pem = own_key;
	s.want_server_usage = true;
	s.auth = o->auth;
	s.data_ciphers = o->ciphers;
	s.proto_mask = o->proto_mask;
	s.proto_more = o->proto_more;
	s.reneg_ms = s.reneg_min_ms = o->reneg_s * 1000;
	if (o->tls_auth || o->tls_crypt) {
		if (!static_key_read(text, len, &key))
			fleet_die("static key", "does not parse");
		s.wrapping = o->tls_auth ? VPN_WRAP_AUTH : VPN_WRAP_CRYPT;
		s.static_key = key.bytes;
		s.key_direction = o->direction;
	} else if (o->tls_crypt_v2) {
		if (!client_key_file_read(text, len, &key, wrapped, &wrapped_len))
			fleet_die("tls-crypt-v2", "does not parse");
		s.client_key = key.bytes;
		s.client_key_wrapped = wrapped;
		s.client_key_wrapped_len = wrapped_len;
	}
	vpn_endpoint *endpoint = vpn_endpoint_new(&s, error, warning);
	if (!endpoint)
		fleet_die("endpoint", error);
	vpn_endpoint_set_clock(endpoint, fleet_ms(), time(NULL));
	free(ca);
	free(cert);
	free(own_key);
	free(text);
	return endpoint;
}

socklen_t fleet_address(const char *text, struct sockaddr_storage *out)
{
	char host[128];
	struct sockaddr_in *four = (struct sockaddr_in *)out;
	struct sockaddr_in6 *six = (struct sockaddr_in6 *)out;
	const char *colon = strrchr(text, ':');

	memset(out, 0, sizeof(*out));
	if (!colon)
		fleet_die(text, "is not IP:PORT");
	snprintf(host, sizeof(host), "%.*s", (int)(colon - text), text);
	if (inet_pton(AF_INET, host, &four->sin_addr) == 1) {
		four->sin_family = AF_INET;
		four->sin_port = htons((uint16_t)atoi(colon + 1));
		return sizeof(*four);
	}
	if (inet_pton(AF_INET6, host, &six->sin6_addr) != 1)
		fleet_die(text, "is not IP:PORT");
	six->sin6_family = AF_INET6;
	six->sin6_port = htons((uint16_t)atoi(colon + 1));
	return sizeof(*six);
}

/* -- the fleet -- */

struct fleet *fleet_new(const struct fleet_options *options, const struct fleet_ears *ears, void *context)
{
	struct fleet *f = aligned_alloc(64, (sizeof(*f) + 63) / 64 * 64);
	struct rlimit files;

	if (!options->remote || !options->clients)
		fleet_die("--remote and --clients", "are needed");
	if (!f)
		fleet_die("start", "out of memory");
	memset(f, 0, sizeof(*f));
	f->options = *options;
	f->ears = *ears;
	f->context = context;
	f->remote_len = fleet_address(options->remote, &f->remote);
	getrlimit(RLIMIT_NOFILE, &files);
	if (files.rlim_cur < options->clients + 64) {
		files.rlim_cur = options->clients + 64;
		if (files.rlim_max < files.rlim_cur)
			files.rlim_max = files.rlim_cur;
		if (setrlimit(RLIMIT_NOFILE, &files) != 0)
			fleet_die("open files", strerror(errno));
	}
	f->endpoint = make_endpoint(options);
	f->watcher = epoll_create1(EPOLL_CLOEXEC);
	f->wheel = timer_wheel_new(fleet_ms());
	f->members = calloc(options->clients, sizeof(*f->members));
	if (!f->members || !f->wheel || f->watcher < 0)
		fleet_die("start", "out of memory");
	for (unsigned i = 0; i < options->clients; i++) {
		f->members[i].index = i;
		f->members[i].fd = -1;
	}
	fleet_data_init(f);
	return f;
}

void fleet_free(struct fleet **fleet)
{
	struct fleet *f = *fleet;
	if (!f)
		return;
	for (unsigned i = 0; i < f->options.clients; i++) {
		timer_cancel(f->wheel, &f->members[i].timer);
		if (f->members[i].session)
			vpn_session_free(&f->members[i].session, true);
		if (f->members[i].fd >= 0)
			close(f->members[i].fd);
	}
	free(f->members);
	vpn_endpoint_free(&f->endpoint);
	timer_wheel_free(&f->wheel);
	close(f->watcher);
	free(f);
	*fleet = NULL;
}

struct fleet_member *fleet_member(struct fleet *fleet, unsigned index)
{
	return &fleet->members[index];
}

const struct fleet_counts *fleet_counts(const struct fleet *fleet)
{
	return &fleet->counts;
}

/* -- one member -- */

/* Its session is gone, and with it the packets that wait to be sealed for it. */
static void forget(struct fleet *f, struct fleet_member *m)
{
	for (size_t i = 0; i < f->out.count; i++)
		if (f->out.members[i] == m)
			f->out.jobs[i].fate = FATE_NOT_READY;
	timer_cancel(f->wheel, &m->timer);
	m->open = false;
	vpn_session_free(&m->session, true);
}

/* The address it was given, from "10.8.0.2 255.255.255.0". */
static uint32_t given_address(const vpn_session *session)
{
	char text[64];
	snprintf(text, sizeof(text), "%s", vpn_session_ifconfig(session, false));
	text[strcspn(text, " ")] = 0;
	return ntohl(inet_addr(text));
}

static void opened(struct fleet_member *m, vpn_ms now)
{
	m->address = given_address(m->session);
	m->open = true;
	m->opened = now;
}

void fleet_serve(struct fleet *f, struct fleet_member *m, vpn_ms now)
{
	uint8_t out[VPN_DATAGRAM_MAX];
	vpn_event event;
	size_t len;

	while (m->session) {
		while ((len = vpn_session_transmit(m->session, out, sizeof(out), now)))
			send(m->fd, out, len, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (!vpn_session_next_event(m->session, &event)) {
			timer_set(f->wheel, &m->timer, vpn_session_wake_at(m->session));
			return;
		}
		if (event.kind == VPN_EVENT_OPEN) {
			opened(m, now);
		} else if (event.kind == VPN_EVENT_CLOSED) {
			snprintf(m->why, sizeof(m->why), "%s", event.text);
			m->closed = true;
			forget(f, m);
		} else if (event.kind == VPN_EVENT_TEXT) {
			m->text = event.text;
		} else if (event.kind != VPN_EVENT_REKEYED) {
			continue;
		}
		f->ears.event(f->context, m, event.kind);
	}
}

static void enlarge(int fd, unsigned bytes)
{
	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof(bytes)) != 0)
		setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes));
	if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &bytes, sizeof(bytes)) != 0)
		setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes));
}

void fleet_start(struct fleet *f, struct fleet_member *m)
{
	struct epoll_event watch = { .events = EPOLLIN, .data.ptr = m };
	vpn_ms now = fleet_ms();

	if (m->session)
		forget(f, m);
	if (m->fd >= 0)
		close(m->fd);
	m->fd = socket(f->remote.ss_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (m->fd < 0 || connect(m->fd, (const struct sockaddr *)&f->remote, f->remote_len) != 0)
		fleet_die("socket", strerror(errno));
	if (f->options.trains)
		setsockopt(m->fd, SOL_UDP, UDP_GRO, &(int){ 1 }, sizeof(int));
	if (f->options.socket_buffer)
		enlarge(m->fd, f->options.socket_buffer);
	epoll_ctl(f->watcher, EPOLL_CTL_ADD, m->fd, &watch);
	m->closed = m->open = false;
	m->started = now;
	m->started_ns = fleet_ns();
	m->session = vpn_session_connect(f->endpoint, NULL, now);
	if (!m->session)
		fleet_die("session", "out of memory");
	fleet_serve(f, m, now);
}

void fleet_leave(struct fleet *f, struct fleet_member *m)
{
	vpn_ms now = fleet_ms();
	if (!m->session)
		return;
	fleet_flush(f);
	vpn_session_close(m->session, NULL, "done", 500, now);
	uint8_t out[VPN_DATAGRAM_MAX];
	size_t len;
	while ((len = vpn_session_transmit(m->session, out, sizeof(out), now)))
		send(m->fd, out, len, MSG_DONTWAIT | MSG_NOSIGNAL);
	forget(f, m);
}

void fleet_timers(struct fleet *f, vpn_ms now)
{
	for (struct timer *t; (t = timer_wheel_due(f->wheel, now));) {
		struct fleet_member *m =
			(struct fleet_member *)(void *)((char *)t - offsetof(struct fleet_member, timer));
		vpn_session_tick(m->session, now);
		fleet_serve(f, m, now);
	}
}
