/* SPDX-License-Identifier: MIT
 * One client with a tunnel device and super packets on both sides: fast enough that the server is what is
 * measured. The engine's client role on the worker's own queues. Prints "open" when the device is up; ends
 * when it is told to.
 *
 *   station --remote IP:PORT --ca F --cert F --key F [--dev NAME] [--plain] */
#include "common/base/check.h"
#include "common/base/fate.h"
#include "common/engine/engine.h"
#include "common/inner/inner.h"
#include "common/wire/wire.h"
#include "worker/loop.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

enum { AREA = 256 * 1024, SUPER_MAX = 65535 };

static struct {
	const char *remote, *ca, *cert, *key, *dev;
	bool plain;
} want = { .dev = "tun0" };

static vpn_endpoint *endpoint;
static vpn_session *session;
static struct link_address server;
static struct udp_link link_;
static struct tun_queue tun;
static struct loop loop;
static struct inner_join join;
static struct packet *joined[BATCH_MAX];
static struct packet segments[BATCH_MAX];
static uint8_t area[AREA];
static vpn_job jobs[BATCH_MAX];
static unsigned waiting;
static uint32_t used;
static bool over;

static _Noreturn void die(const char *what, const char *detail)
{
	fprintf(stderr, "station: %s: %s\n", what, detail);
	exit(2);
}

static char *read_file(const char *path)
{
	FILE *f = path ? fopen(path, "rb") : NULL;
	char *text = calloc(1, 65536);

	if (!f || !text || fread(text, 1, 65535, f) == 0)
		die(path ? path : "a file", "cannot be read");
	fclose(f);
	return text;
}

static void read_arguments(int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		const char *name = argv[i], **value = strcmp(name, "--remote") == 0 ? &want.remote
						      : strcmp(name, "--ca") == 0   ? &want.ca
						      : strcmp(name, "--cert") == 0 ? &want.cert
						      : strcmp(name, "--key") == 0  ? &want.key
						      : strcmp(name, "--dev") == 0  ? &want.dev
										    : NULL;
		if (strcmp(name, "--plain") == 0)
			want.plain = true;
		else if (value && i + 1 < argc)
			*value = argv[++i];
		else
			die(name, "not known, or without a value");
	}
	if (!want.remote)
		die("--remote", "is needed");
}

static void make_session(void)
{
	char error[VPN_ERROR_TEXT], warning[VPN_ERROR_TEXT];
	vpn_settings s;

	vpn_settings_default(&s, false);
	s.ca_pem = read_file(want.ca);
	s.cert_pem = read_file(want.cert);
	s.key_pem = read_file(want.key);
	endpoint = vpn_endpoint_new(&s, error, warning);
	if (!endpoint)
		die("endpoint", error);
	vpn_endpoint_set_clock(endpoint, loop_now(), time(NULL));
	session = vpn_session_connect(endpoint, NULL, loop_now());
	CHECK(session);
}

/* -- the device -- */

static int make_device(void)
{
	struct ifreq request = { .ifr_flags = IFF_TUN | IFF_NO_PI | IFF_VNET_HDR };
	int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);

	snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", want.dev);
	if (fd < 0 || ioctl(fd, TUNSETIFF, &request) < 0)
		die(want.dev, strerror(errno));
	/* CSUM, TSO4, TSO6, USO4, USO6 */
	if (!want.plain && ioctl(fd, TUNSETOFFLOAD, 0x67) < 0)
		die("TUNSETOFFLOAD", strerror(errno));
	return fd;
}

static void set_up_device(void)
{
	char command[300], address[64], mask[64] = "";

	if (sscanf(vpn_session_ifconfig(session, false), "%63s %63s", address, mask) != 2)
		die("no address", vpn_session_ifconfig(session, false));
	snprintf(command, sizeof(command), "ip addr add %s/%d dev %s; ip link set %s up mtu 1500", address,
		__builtin_popcount(inet_addr(mask)), want.dev, want.dev);
	if (system(command) != 0)
		die(command, "failed");
	printf("open\n");
	fflush(stdout);
}

/* -- control -- */

static void serve(vpn_ms now)
{
	uint8_t out[VPN_DATAGRAM_MAX];
	vpn_event event;
	size_t len;

	for (;;) {
		while ((len = vpn_session_transmit(session, out, sizeof(out), now)))
			udp_link_send_now(&link_, &server, NULL, 0, out, len);
		if (!vpn_session_next_event(session, &event))
			return;
		if (event.kind == VPN_EVENT_OPEN)
			set_up_device();
		if (event.kind == VPN_EVENT_CLOSED) {
			fprintf(stderr, "station: closed: %s\n", event.text);
			over = true;
			return;
		}
	}
}

/* -- link to tunnel -- */

static void deliver(struct batch *b)
{
	struct packet *packets[BATCH_MAX];

	inner_join_begin(&join, !want.plain);
	for (unsigned i = 0; i < b->count; i++) {
		struct inner_view view;
		struct packet *p = &b->packets[i];

		if (p->fate != FATE_NONE || inner_look(p->at, p->len, &view) != FATE_NONE)
			continue;
		joined[join.packets] = p;
		if (want.plain)
			tun_queue_write(&tun, p);
		else
			inner_join_add(&join, p->at, &view);
	}
	inner_join_end(&join);
	for (unsigned i = 0; i < join.units; i++) {
		const struct inner_unit *unit = &join.unit[i];
		unsigned index = unit->first;

		for (unsigned n = 0; n < unit->count; n++, index = join.next[index])
			packets[n] = joined[index];
		if (unit->count == 1)
			tun_queue_write(&tun, packets[0]);
		else
			tun_queue_write_train(&tun, &unit->offload, sizeof(unit->offload), packets,
				unit->count, unit->head_len);
	}
}

static void datagrams(void *context, struct batch *b)
{
	vpn_ms now = loop_now();

	for (unsigned i = 0; i < b->count; i++) {
		struct packet *p = &b->packets[i];
		bool control = p->len && wire_is_control(p->at[0] >> 3);

		if (control && !over) {
			vpn_session_receive(session, p->at, p->len, now);
			serve(now);
			p->fate = FATE_CONSUMED;
		}
		jobs[i] = (vpn_job){ .session = session, .data = p->at, .len = p->len, .fate = p->fate };
	}
	vpn_open(jobs, b->count, now);
	for (unsigned i = 0; i < b->count; i++) {
		b->packets[i].at = jobs[i].data;
		b->packets[i].len = jobs[i].len;
		b->packets[i].fate = jobs[i].fate;
	}
	deliver(b);
	for (unsigned i = 0; i < b->count; i++)
		udp_link_give_back(&link_, &b->packets[i]);
}

/* -- tunnel to link -- */

static void send_waiting(void)
{
	for (unsigned i = 0; i < waiting; i++)
		jobs[i] = (vpn_job){ .session = session, .data = segments[i].at, .len = segments[i].len };
	vpn_seal(jobs, waiting, loop_now());
	for (unsigned i = 0; i < waiting; i++) {
		segments[i].at = jobs[i].data;
		segments[i].len = jobs[i].len;
		segments[i].peer_address = server;
		if (jobs[i].fate == FATE_NONE)
			udp_link_queue(&link_, &segments[i]);
	}
	udp_link_flush(&link_);
	waiting = used = 0;
}

static uint8_t *room_for(uint32_t len)
{
	if (waiting == BATCH_MAX || used + VPN_OVERHEAD + len > AREA)
		send_waiting();
	return area + used + VPN_OVERHEAD;
}

static void add(uint8_t *at, uint32_t len)
{
	segments[waiting++] = (struct packet){ .at = at, .len = len };
	used += VPN_OVERHEAD + len;
}

static void packets(void *context, struct batch *b)
{
	struct inner_offload offload;
	struct inner_cut cut;

	for (unsigned i = 0; i < b->count; i++) {
		struct packet *p = &b->packets[i];

		memset(&offload, 0, sizeof(offload));
		if (p->offload)
			memcpy(&offload, p->at - p->offload, sizeof(offload));
		if (offload.train) {
			if (inner_cut_begin(&cut, &offload, p->at, p->len) != FATE_NONE)
				continue;
			while (cut.count) {
				uint8_t *at = room_for(cut.first_len);
				add(at, (uint32_t)inner_cut_next(&cut, at));
			}
		} else if (p->fate == FATE_NONE) {
			if (p->offload)
				inner_finish_sum(&offload, p->at, p->len);
			memcpy(room_for(p->len), p->at, p->len);
			add(area + used + VPN_OVERHEAD, p->len);
		}
	}
	send_waiting();
	for (unsigned i = 0; i < b->count; i++)
		tun_queue_give_back(&tun, &b->packets[i]);
}

static void woken(void *context)
{
}

static bool said(void *context)
{
	return false;
}

int main(int argc, char **argv)
{
	struct sockaddr_in any = { .sin_family = AF_INET };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), large = 8 << 20;

	read_arguments(argc, argv);
	char *colon = strchr(want.remote, ':');
	if (!colon)
		die("--remote", "IP:PORT");
	*colon = 0;
	server = (struct link_address){ .family = 4, .port = (uint16_t)atoi(colon + 1) };
	inet_pton(AF_INET, want.remote, server.ip);
	if (fd < 0 || bind(fd, (struct sockaddr *)&any, sizeof(any)) < 0)
		die("socket", strerror(errno));
	setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &large, sizeof(large));
	setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &large, sizeof(large));
	struct udp_link_params l = {
		.fd = fd, .buffers = 128, .payload = 2048, .gro = !want.plain, .no_trains = want.plain
	};
	struct tun_queue_params t = {
		.fd = make_device(), .header_len = TUN_HEADER_ASK, .buffers = 64, .payload = SUPER_MAX
	};
	if (udp_link_init(&link_, &l) < 0 || tun_queue_init(&tun, &t) < 0)
		die("queues", "failed");
	struct loop_params params = { .links = &link_,
		.link_count = 1,
		.tun = &tun,
		.orders_fd = -1,
		.keyholder_fd = -1,
		.workers = 1,
		.handlers = { .datagrams = datagrams,
			.packets = packets,
			.woken = woken,
			.order_said = said,
			.keyholder_said = said } };
	if (loop_init(&loop, &params) < 0)
		die("loop", "failed");
	make_session();
	serve(loop_now());
	while (!over && loop_turn(&loop, vpn_session_wake_at(session)) == 0) {
		vpn_ms now = loop_now();
		if (now >= vpn_session_wake_at(session)) {
			vpn_session_tick(session, now);
			serve(now);
		}
	}
	return 1;
}
