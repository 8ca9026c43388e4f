/* SPDX-License-Identifier: MIT
 * A worker without its loop: real tables, a real socket, true clients. For the tests of sessions and of the packets' two
 * lines. */
#ifndef TESTS_UNIT_WORKER_INSIDE_H
#define TESTS_UNIT_WORKER_INSIDE_H

#include "worker/internal.h"

#include "shm/stats.h"
#include "tests/lib/test_pki.h"
#include "tests/unit/worker/sockets.h"

#include <sys/socket.h>

enum { SLOTS = 4, CLIENTS = 4, BYTES = 2048, FROM = PACKET_HEADROOM };

struct client {
	vpn_session *session;
	int fd;
	struct link_address at;
	unsigned arrived;
};

static struct worker w;
static struct config config;
static struct inherited born;
static volatile uint64_t born_steer[SLOTS];
static struct counters counters;
static struct stats stats;
static struct udp_link link_of_hub;
static int hub_fd;
static vpn_endpoint *client_endpoint;
static struct client clients[CLIENTS];
static struct batch batch;
static uint8_t room[BATCH_MAX][FROM + BYTES + 64];

/* `max_packet_size` 0: as it comes. */
static inline vpn_endpoint *endpoint(bool server, unsigned max_packet_size)
{
	const struct test_pki *pki = test_pki();
	char error[VPN_ERROR_TEXT], warning[VPN_ERROR_TEXT];
	vpn_settings s;

	vpn_settings_default(&s, server);
	if (max_packet_size)
		s.max_packet_size = max_packet_size;
	s.ca_pem = pki->ca_cert;
	s.cert_pem = server ? pki->server_cert : pki->client_cert;
	s.key_pem = server ? pki->server_key : pki->client_key;
	vpn_endpoint *e = vpn_endpoint_new(&s, error, warning);
	ck_assert_msg(e != NULL, "%s", error);
	vpn_endpoint_set_clock(e, w.now, 1790000000);
	return e;
}

static inline void set_up(void)
{
	struct shm_sizes sizes = {
		.workers = 2, .max_clients = SLOTS, .max_routes = 16, .pool4_count = 16, .ring_bytes = 1 << 14
	};
	struct link_address at;
	char error[256];

	memset(&w, 0, sizeof(w));
	memset(&config, 0, sizeof(config));
	config.max_clients = SLOTS;
	config.tun_mtu = 1500;
	config.ifconfig_on = true;
	config.local4 = 0x0a080001;
	config.netmask4 = 0xffffff00;
	config.pool4 =
		(struct pool4){ .on = true, .first = 0x0a080002, .last = 0x0a080011, .netmask = 0xffffff00 };
	config.connect_freq_initial = 100000;
	config.connect_freq_initial_s = 10;
	born = (struct inherited){
		.workers = 2, .epoch = 1, .orders_fd = -1, .keyholder_fd = -1, .tun_fd = -1
	};
	w.now = 1000000;
	w.born = &born;
	w.config = &config;
	w.counters = &counters;
	w.shm = shm_create(&sizes, error, sizeof(error));
	ck_assert_msg(w.shm != NULL, "%s", error);
	stats.sizes = (struct stats_sizes){ .workers = 2, .slots = SLOTS };
	stats.rows = aligned_alloc(64, SLOTS * sizeof(*stats.rows));
	memset(stats.rows, 0, SLOTS * sizeof(*stats.rows));
	stats.workers = aligned_alloc(128, 2 * sizeof(*stats.workers));
	memset(stats.workers, 0, 2 * sizeof(*stats.workers));
	w.stats = &stats;
	w.sessions = calloc(SLOTS, sizeof(*w.sessions));
	w.wheel = timer_wheel_new(w.now);
	w.sign_last = &w.sign_first;
	w.half_last = &w.half_first;
	w.move_last = &w.move_first;
	w.move_look_at = MONO_NEVER;
	for (unsigned i = 0; i < SLOTS; i++)
		born_steer[i] = 0;
	born.steer_peers = born_steer;
	w.master_gone = true;
	w.loop.params.workers = 2;
	hub_fd = udp_socket(AF_INET, loopback4, &at);
	ck_assert_int_eq(udp_link_init(&link_of_hub,
				 &(struct udp_link_params){ .fd = hub_fd, .buffers = 16, .payload = 1800 }),
		0);
	w.links = &link_of_hub;
	w.link_count = 1;
	w.endpoint = endpoint(true, 0);
	client_endpoint = endpoint(false, 0);
	for (unsigned i = 0; i < CLIENTS; i++) {
		clients[i].fd = udp_socket(AF_INET, loopback4, &clients[i].at);
		clients[i].session = vpn_session_connect(client_endpoint, NULL, w.now);
	}
}

static inline void tear_down(void)
{
	sessions_free(&w, false);
	later_clear(&w);
	for (unsigned i = 0; i < CLIENTS; i++) {
		vpn_session_free(&clients[i].session, true);
		close(clients[i].fd);
	}
	vpn_endpoint_free(&client_endpoint);
	vpn_endpoint_free(&w.endpoint);
	udp_link_clear(&link_of_hub);
	close(hub_fd);
	timer_wheel_free(&w.wheel);
	free(w.sessions);
	free(stats.rows);
	free(stats.workers);
	shm_detach(&w.shm);
}

/* -- the way between -- */

static inline struct packet *add(const struct link_address *from, const void *bytes, size_t len)
{
	struct packet *p = &batch.packets[batch.count];

	memcpy(room[batch.count] + FROM, bytes, len);
	*p = (struct packet){ .at = room[batch.count] + FROM,
		.len = (uint32_t)len,
		.start = room[batch.count],
		.room = sizeof(room[0]),
		.peer = PEER_NONE,
		.source = FROM_HANDOVER,
		.peer_address = *from };
	batch.count++;
	return p;
}

/* inbound() without the clock. */
static inline void deliver(void)
{
	for (unsigned i = 0; i < batch.count; i++) {
		struct packet *p = &batch.packets[i];
		if (p->at[0] >> 3 == 9)
			p->peer = (uint32_t)p->at[1] << 16 | (uint32_t)p->at[2] << 8 | p->at[3];
		else
			session_by_address(&w, &p->peer_address, &p->peer, &p->generation, &(unsigned){ 0 });
		if (p->peer == PEER_NONE || peers_owner(w.shm, p->peer, &p->generation) == WORKER_NONE)
			p->peer = PEER_NONE;
	}
	inbound_handed(&w, &batch);
	batch.count = 0;
	do /* further turns, for who must stand aside in a crowd */
		later_go_on(&w);
	while (w.later.count);
}

static inline void client_hears(struct client *c)
{
	uint8_t bytes[BYTES];
	vpn_event event;
	ssize_t len;

	while ((len = recv(c->fd, bytes, sizeof(bytes), MSG_DONTWAIT)) > 0) {
		if (bytes[0] >> 3 == 9) {
			vpn_job job = { .session = c->session, .data = bytes, .len = (uint32_t)len };
			vpn_open(&job, 1, w.now);
			c->arrived += job.fate == FATE_NONE;
		} else {
			vpn_session_receive(c->session, bytes, (size_t)len, w.now);
		}
	}
	while (vpn_session_next_event(c->session, &event))
		;
}

static inline void client_speaks(struct client *c)
{
	uint8_t out[VPN_DATAGRAM_MAX];
	size_t len;

	while (batch.count < BATCH_MAX && (len = vpn_session_transmit(c->session, out, sizeof(out), w.now)))
		add(&c->at, out, len);
	if (batch.count)
		deliver();
}

static inline void run(struct client *c, unsigned ms)
{
	for (mono_ms end = w.now + ms; w.now < end; w.now += 10) {
		if (vpn_session_wake_at(c->session) <= w.now)
			vpn_session_tick(c->session, w.now);
		client_speaks(c);
		control_timers(&w);
		client_hears(c);
	}
}

static inline void connect_client(struct client *c)
{
	run(c, 2500);
	ck_assert(vpn_session_is_open(c->session));
}

static inline struct session *session_at(const struct client *c)
{
	uint32_t slot, generation;
	unsigned owner;

	return session_by_address(&w, &c->at, &slot, &generation, &owner);
}

/* A stranger's session at its beginning; NULL: refused, `fate` says why. */
static inline struct session *half_open(uint16_t port, bool proven, enum fate *fate)
{
	struct packet p = { .peer_address = { .family = 4, .port = port, .ip = { 192, 0, 2, 1 } } };
	vpn_contact contact = { .local_session = 5, .remote_session = port, .proven = proven };

	return session_open(&w, &p, &contact, fate);
}

static inline uint64_t fates(void)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < FATE_COUNT; i++)
		sum += atomic_load(&counters.fates[i]);
	return sum;
}

/* A datagram of this client with an inner packet between two addresses, as if it came from `from`. */
static inline void add_data(struct client *c, const struct link_address *from, uint32_t source, uint32_t destination)
{
	uint8_t space[VPN_HEADROOM + 64] = { 0 }, *ip = space + VPN_HEADROOM;
	vpn_job job = { .session = c->session, .data = ip, .len = 28 };

	ip[0] = 0x45;
	ip[3] = 28;
	ip[9] = 17;
	for (unsigned i = 0; i < 4; i++) {
		ip[12 + i] = (uint8_t)(source >> (24 - 8 * i));
		ip[16 + i] = (uint8_t)(destination >> (24 - 8 * i));
	}
	vpn_seal(&job, 1, w.now);
	ck_assert_int_eq(job.fate, FATE_NONE);
	add(from, job.data, job.len);
}

#endif
