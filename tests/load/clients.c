/* SPDX-License-Identifier: MIT
 * Many VPN clients in one process, on the engine's client role: each with its own UDP socket, none with a tun device.
 * Each answers ICMP echo requests from inside the tunnel and asks the gateway itself. Says on standard output what
 * happened, as JSON. Works against our hub and against a stock server.
 *
 *   clients --remote IP:PORT --clients N --seconds S --ca F --cert F --key F [--tls-auth F DIR | --tls-crypt F |
 *           --tls-crypt-v2 F] [--auth DIGEST] [--ciphers LIST] [--ping-ms MS] [--start-per-s N] [--reneg-s S]
 *           [--gateway IP] [--proto-mask N] [--expect-all] [--say-when-open] */
#include "common/base/fate.h"
#include "common/base/time.h"
#include "common/engine/engine.h"
#include "common/inner/inner.h"
#include "common/wrap/wrap.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

struct client {
	int fd;
	vpn_session *session;
	vpn_ms wake, ping_at, started, opened, last_answer;
	uint32_t address; /* host order */
	uint16_t sequence;
	uint64_t asked, answered, echoed, renegotiated;
	bool open, closed;
	char why[128];
};

static struct {
	const char *remote, *ca, *cert, *key, *tls_auth, *tls_crypt, *tls_crypt_v2, *auth, *ciphers;
	int direction;
	unsigned clients, seconds, ping_ms, start_per_s, reneg_s;
	uint32_t gateway, proto_mask;
	bool expect_all, say_when_open;
} want = { .clients = 1, .seconds = 10, .ping_ms = 1000, .start_per_s = 500, .auth = "SHA1", .direction = -1,
	.ciphers = "AES-256-GCM:AES-128-GCM:CHACHA20-POLY1305" };

static vpn_endpoint *endpoint;
static struct client *clients;
static int watcher;

static vpn_ms now_ms(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (vpn_ms)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static _Noreturn void die(const char *what, const char *detail)
{
	fprintf(stderr, "clients: %s: %s\n", what, detail);
	exit(2);
}

static char *read_file(const char *path, size_t *len)
{
	FILE *f = path ? fopen(path, "rb") : NULL;
	char *text = calloc(1, 65536);
	if (!path)
		return NULL;
	if (!f || !text)
		die(path, strerror(errno));
	size_t got = fread(text, 1, 65535, f);
	fclose(f);
	if (len)
		*len = got;
	return text;
}

/* -- settings -- */

static void read_arguments(int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		const char *name = argv[i];
		if (strcmp(name, "--expect-all") == 0) {
			want.expect_all = true;
			continue;
		}
		if (strcmp(name, "--say-when-open") == 0) {
			want.say_when_open = true;
			continue;
		}
		if (i + 1 >= argc)
			die(name, "needs a value");
		const char *value = argv[++i];
		if (strcmp(name, "--remote") == 0)
			want.remote = value;
		else if (strcmp(name, "--clients") == 0)
			want.clients = (unsigned)atoi(value);
		else if (strcmp(name, "--seconds") == 0)
			want.seconds = (unsigned)atoi(value);
		else if (strcmp(name, "--ca") == 0)
			want.ca = value;
		else if (strcmp(name, "--cert") == 0)
			want.cert = value;
		else if (strcmp(name, "--key") == 0)
			want.key = value;
		else if (strcmp(name, "--tls-auth") == 0 && i + 1 < argc) {
			want.tls_auth = value;
			want.direction = atoi(argv[++i]);
		} else if (strcmp(name, "--tls-crypt") == 0)
			want.tls_crypt = value;
		else if (strcmp(name, "--tls-crypt-v2") == 0)
			want.tls_crypt_v2 = value;
		else if (strcmp(name, "--auth") == 0)
			want.auth = value;
		else if (strcmp(name, "--ciphers") == 0)
			want.ciphers = value;
		else if (strcmp(name, "--ping-ms") == 0)
			want.ping_ms = (unsigned)atoi(value);
		else if (strcmp(name, "--start-per-s") == 0)
			want.start_per_s = (unsigned)atoi(value);
		else if (strcmp(name, "--reneg-s") == 0)
			want.reneg_s = (unsigned)atoi(value);
		else if (strcmp(name, "--gateway") == 0)
			want.gateway = ntohl(inet_addr(value));
		else if (strcmp(name, "--proto-mask") == 0)
			want.proto_mask = (uint32_t)strtoul(value, NULL, 0);
		else
			die(name, "not known");
	}
	if (!want.remote || !want.clients)
		die("--remote", "is needed");
}

static void make_endpoint(void)
{
	static struct static_key key;
	static uint8_t wrapped[CLIENT_KEY_WRAPPED_MAX];
	size_t wrapped_len = sizeof(wrapped), len;
	char error[VPN_ERROR_TEXT], warning[VPN_ERROR_TEXT];
	vpn_settings s;

	vpn_settings_default(&s, false);
	s.ca_pem = read_file(want.ca, NULL);
	s.cert_pem = read_file(want.cert, NULL);
	s.key_pem = read_file(want.key, NULL);
	s.want_server_usage = true;
	s.auth = want.auth;
	s.data_ciphers = want.ciphers;
	s.proto_mask = want.proto_mask;
	s.reneg_ms = s.reneg_min_ms = want.reneg_s * 1000;
	if (want.tls_auth || want.tls_crypt) {
		char *text = read_file(want.tls_auth ? want.tls_auth : want.tls_crypt, &len);
		if (!static_key_read(text, len, &key))
			die("static key", "does not parse");
		s.wrapping = want.tls_auth ? VPN_WRAP_AUTH : VPN_WRAP_CRYPT;
		s.static_key = key.bytes;
		s.key_direction = want.direction;
	} else if (want.tls_crypt_v2) {
		char *text = read_file(want.tls_crypt_v2, &len);
		if (!client_key_file_read(text, len, &key, wrapped, &wrapped_len))
			die("tls-crypt-v2", "does not parse");
		s.client_key = key.bytes;
		s.client_key_wrapped = wrapped;
		s.client_key_wrapped_len = wrapped_len;
	}
	endpoint = vpn_endpoint_new(&s, error, warning);
	if (!endpoint)
		die("endpoint", error);
	vpn_endpoint_set_clock(endpoint, now_ms(), time(NULL));
}

/* -- packets inside -- */

static void send_packet(struct client *c, uint8_t *packet, size_t len, vpn_ms now)
{
	vpn_job job = { .session = c->session, .data = packet, .len = (uint32_t)len };
	vpn_seal(&job, 1, now);
	if (job.fate == FATE_NONE)
		send(c->fd, job.data, job.len, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void ask_gateway(struct client *c, vpn_ms now)
{
	uint8_t room[VPN_HEADROOM + 84] = { 0 }, *p = room + VPN_HEADROOM;
	uint32_t from = htonl(c->address);
	uint32_t to = htonl(want.gateway ? want.gateway : (c->address & 0xffffff00) | 1);

	p[0] = 0x45;
	p[3] = 84;
	p[8] = 64;
	p[9] = IPPROTO_ICMP;
	memcpy(p + 12, &from, 4);
	memcpy(p + 16, &to, 4);
	p[20] = 8; /* echo request */
	p[26] = (uint8_t)(++c->sequence >> 8);
	p[27] = (uint8_t)c->sequence;
	inner_checksums_write(p, 84);
	c->asked++;
	send_packet(c, p, 84, now);
}

static void packet_in(struct client *c, uint8_t *packet, size_t len, vpn_ms now)
{
	struct inner_view view;
	uint8_t room[VPN_HEADROOM + 2048], *answer = room + VPN_HEADROOM;

	if (inner_look(packet, len, &view) != FATE_NONE || view.protocol != IPPROTO_ICMP ||
		view.source.family != INNER_IP4 || view.upper_offset + 8u > view.length || view.length > 2048)
		return;
	if (!inner_checksums_right(packet, view.length))
		return;
	if (packet[view.upper_offset] == 0) {
		c->answered++;
		c->last_answer = now;
	} else if (packet[view.upper_offset] == 8) {
		memcpy(answer, packet, view.length);
		memcpy(answer + 12, packet + 16, 4);
		memcpy(answer + 16, packet + 12, 4);
		answer[view.upper_offset] = 0;
		inner_checksums_write(answer, view.length);
		c->echoed++;
		send_packet(c, answer, view.length, now);
	}
}

/* -- sessions -- */

static void serve(struct client *c, vpn_ms now)
{
	uint8_t out[VPN_DATAGRAM_MAX];
	vpn_event event;
	size_t len;

	for (;;) {
		while ((len = vpn_session_transmit(c->session, out, sizeof(out), now)))
			send(c->fd, out, len, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (!vpn_session_next_event(c->session, &event))
			break;
		if (event.kind == VPN_EVENT_OPEN) {
			char text[64];
			snprintf(text, sizeof(text), "%s", vpn_session_ifconfig(c->session, false));
			char *blank = strchr(text, ' ');
			if (blank)
				*blank = 0;
			c->address = ntohl(inet_addr(text));
			c->open = true;
			c->opened = now;
			c->ping_at = now + (want.ping_ms ? rand() % (int)want.ping_ms : 0);
		} else if (event.kind == VPN_EVENT_REKEYED) {
			c->renegotiated++;
		} else if (event.kind == VPN_EVENT_CLOSED) {
			c->closed = true;
			c->open = false;
			snprintf(c->why, sizeof(c->why), "%s", event.text);
			vpn_session_free(&c->session, true);
			return;
		}
	}
	c->wake = vpn_session_wake_at(c->session);
}

static void datagram_in(struct client *c, uint8_t *datagram, size_t len, vpn_ms now)
{
	uint8_t opcode = len ? datagram[0] >> 3 : 0;

	if (opcode == 6 || opcode == 9) {
		vpn_job job = { .session = c->session, .data = datagram, .len = (uint32_t)len };
		vpn_open(&job, 1, now);
		if (job.fate == FATE_NONE)
			packet_in(c, job.data, job.len, now);
		if (job.attention) {
			vpn_session_tick(c->session, now);
			serve(c, now);
		}
	} else {
		vpn_session_receive(c->session, datagram, len, now);
		serve(c, now);
	}
}

static void start(struct client *c, const struct sockaddr_storage *to, socklen_t to_len, vpn_ms now)
{
	struct epoll_event watch = { .events = EPOLLIN, .data.ptr = c };

	c->fd = socket(to->ss_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (c->fd < 0 || connect(c->fd, (const struct sockaddr *)to, to_len) != 0)
		die("socket", strerror(errno));
	epoll_ctl(watcher, EPOLL_CTL_ADD, c->fd, &watch);
	c->started = now;
	c->session = vpn_session_connect(endpoint, NULL, now);
	if (!c->session)
		die("session", "out of memory");
	serve(c, now);
}

static void tend(struct client *c, vpn_ms now)
{
	if (!c->session)
		return;
	if (now >= c->wake) {
		vpn_session_tick(c->session, now);
		serve(c, now);
	}
	if (c->session && c->open && want.ping_ms && now >= c->ping_at) {
		ask_gateway(c, now);
		c->ping_at += want.ping_ms;
	}
}

static socklen_t parse_remote(struct sockaddr_storage *out)
{
	char host[128];
	struct sockaddr_in *four = (struct sockaddr_in *)out;
	struct sockaddr_in6 *six = (struct sockaddr_in6 *)out;
	const char *colon = strrchr(want.remote, ':');

	memset(out, 0, sizeof(*out));
	if (!colon)
		die("--remote", "IP:PORT");
	snprintf(host, sizeof(host), "%.*s", (int)(colon - want.remote), want.remote);
	if (inet_pton(AF_INET, host, &four->sin_addr) == 1) {
		four->sin_family = AF_INET;
		four->sin_port = htons((uint16_t)atoi(colon + 1));
		return sizeof(*four);
	}
	if (inet_pton(AF_INET6, host, &six->sin6_addr) != 1)
		die("--remote", host);
	six->sin6_family = AF_INET6;
	six->sin6_port = htons((uint16_t)atoi(colon + 1));
	return sizeof(*six);
}

static int report(void)
{
	uint64_t asked = 0, answered = 0, echoed = 0, renegotiated = 0, open = 0, closed = 0;
	vpn_ms slowest = 0;
	const char *why = "";
	struct rusage used;

	for (unsigned i = 0; i < want.clients; i++) {
		const struct client *c = &clients[i];
		open += c->open;
		closed += c->closed;
		asked += c->asked;
		answered += c->answered;
		echoed += c->echoed;
		renegotiated += c->renegotiated;
		if (c->opened && c->opened - c->started > slowest)
			slowest = c->opened - c->started;
		if (c->closed)
			why = c->why;
	}
	getrusage(RUSAGE_SELF, &used);
	printf("{\"clients\": %u, \"open\": %llu, \"closed\": %llu, \"asked\": %llu, \"answered\": %llu, \"echoed\": %llu, "
	       "\"renegotiated\": %llu, \"slowest_connect_ms\": %lld, \"rss_kib\": %ld, \"why\": \"%s\"}\n",
		want.clients, (unsigned long long)open, (unsigned long long)closed, (unsigned long long)asked,
		(unsigned long long)answered, (unsigned long long)echoed, (unsigned long long)renegotiated,
		(long long)slowest, used.ru_maxrss, why);
	return want.expect_all && open != want.clients ? 1 : 0;
}

int main(int argc, char **argv)
{
	struct sockaddr_storage to;
	struct epoll_event ready[256];
	static uint8_t datagram[65536];
	unsigned started = 0, said = 0;

	read_arguments(argc, argv);
	make_endpoint();
	socklen_t to_len = parse_remote(&to);
	watcher = epoll_create1(EPOLL_CLOEXEC);
	clients = calloc(want.clients, sizeof(*clients));
	if (!clients || watcher < 0)
		die("start", "out of memory");
	vpn_ms began = now_ms(), end = began + (vpn_ms)want.seconds * 1000, tended = 0;
	for (vpn_ms now; (now = now_ms()) < end;) {
		while (started < want.clients && (now - began) * want.start_per_s / 1000 >= started)
			start(&clients[started++], &to, to_len, now);
		int count = epoll_wait(watcher, ready, 256, 5);
		now = now_ms();
		for (int i = 0; i < count; i++) {
			struct client *c = ready[i].data.ptr;
			ssize_t len;
			while ((len = recv(c->fd, datagram, sizeof(datagram), MSG_DONTWAIT)) > 0)
				if (c->session)
					datagram_in(c, datagram, (size_t)len, now);
		}
		if (now - tended < 5)
			continue;
		tended = now;
		unsigned open = 0;
		for (unsigned i = 0; i < started; i++) {
			tend(&clients[i], now);
			open += clients[i].open;
		}
		if (want.say_when_open && open == want.clients && !said++) {
			printf("all open after %lld ms\n", (long long)(now - began));
			fflush(stdout);
		}
	}
	int status = report();
	for (unsigned i = 0; i < started; i++)
		if (clients[i].session) {
			vpn_session_close(clients[i].session, NULL, "done", 500, now_ms());
			serve(&clients[i], now_ms());
		}
	return status;
}
