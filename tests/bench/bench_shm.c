/* SPDX-License-Identifier: MIT
 * What the shared tables cost: nanoseconds per operation at 10,000 sessions, on one core. */
#include "common/base/packet.h"
#include "shm/handover_ring.h"
#include "shm/links.h"
#include "shm/peers.h"
#include "shm/routes.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum { SESSIONS = 10000, TURNS = 2000000 };

static uint64_t random_state = 88172645463325252u;
static volatile uint32_t sink; /* so that nothing is optimised away */

static uint32_t random_below(uint32_t below)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return (uint32_t)((random_state >> 32) * below >> 32);
}

static double seconds(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void report(const char *what, double start, double turns)
{
	printf("%-48s %7.1f ns\n", what, (seconds() - start) / turns * 1e9);
}

static void address_of(uint32_t host, uint8_t out[4])
{
	uint32_t word = htonl(host);
	memcpy(out, &word, 4);
}

static uint32_t find4(const struct shm *shm, uint32_t host)
{
	uint8_t ip[4];
	uint32_t slot = 0, generation;
	address_of(host, ip);
	return routes_find(shm, 4, ip, &slot, &generation) ? slot : PEER_NONE;
}

static void bench_tables(struct shm *shm)
{
	uint32_t generation, slot;
	double start = seconds();

	for (uint32_t i = 0; i < SESSIONS; i++) {
		slot = peers_take(shm, i % shm->sizes.workers, &generation);
		uint8_t ip[4];
		struct link_address link = { .family = 4, .port = 1194 };
		address_of(0x0a000000 + i, ip);
		routes_put(shm, 4, ip, 32, slot, generation, NULL, NULL);
		address_of(0xc6120000 + i, link.ip);
		links_put(shm, &link, slot, generation, NULL, NULL);
	}
	report("a session: slot, route and link", start, SESSIONS);

	start = seconds();
	for (int i = 0; i < TURNS; i++)
		sink = peers_owner(shm, random_below(SESSIONS), &generation);
	report("owner of a peer id", start, TURNS);

	start = seconds();
	for (int i = 0; i < TURNS; i++)
		sink = find4(shm, 0x0a000000 + random_below(SESSIONS));
	report("route to a client, one prefix length in use", start, TURNS);

	start = seconds();
	for (int i = 0; i < TURNS; i++)
		sink = find4(shm, 0x0b000000 + random_below(SESSIONS));
	report("route to nobody, one prefix length in use", start, TURNS);

	for (uint32_t i = 0; i < 1000; i++) {
		uint8_t ip[4];
		slot = i;
		peers_owner(shm, slot, &generation);
		address_of(0xac100000 + (i << 8), ip);
		routes_put(shm, 4, ip, 24, slot, generation, NULL, NULL);
		routes_put(shm, 4, ip, 16, slot, generation, NULL, NULL);
	}
	start = seconds();
	for (int i = 0; i < TURNS; i++)
		sink = find4(shm, 0xac100000 + random_below(1000 << 8));
	report("route to a subnet, the second length of three", start, TURNS);

	start = seconds();
	for (int i = 0; i < TURNS; i++) {
		struct link_address link = { .family = 4, .port = 1194 };
		address_of(0xc6120000 + random_below(SESSIONS), link.ip);
		sink = links_find(shm, &link, &slot, &generation) ? slot : 0;
	}
	report("session of an outer address", start, TURNS);

	struct peer_row row;
	start = seconds();
	for (int i = 0; i < TURNS / 4; i++)
		sink = peers_read(shm, random_below(SESSIONS), &row);
	report("whole row of a session", start, TURNS / 4);

	struct peer_slot *own = peers_slot(shm, 5);
	start = seconds();
	for (int i = 0; i < TURNS; i++)
		peers_count_in(own, 1, 1400, i);
	report("counting a packet", start, TURNS);
}

static void bench_ring(struct shm *shm, uint32_t len)
{
	struct ring ring = ring_between(shm, 0, 1);
	static uint8_t packet[2048];
	char what[64];
	double start = seconds();

	for (int i = 0; i < TURNS / 32; i++) {
		struct ring_item item;
		for (int k = 0; k < 32 && ring_reserve(ring, len, &item); k++) {
			memcpy(item.payload, packet, len);
			item.kind = HANDOVER_PACKET;
			ring_commit(ring, &item);
		}
		uint64_t at = ring_start(ring);
		while (ring_next(ring, &at, &item) == RING_ITEM)
			sink = item.payload[0];
		ring_release(ring, at);
	}
	snprintf(what, sizeof(what), "handover of %u bytes, in batches of 32", len);
	report(what, start, TURNS / 32 * 32);
}

int main(void)
{
	const struct shm_sizes sizes = { 4, SESSIONS, 4096, 0, 0, 1 << 18 };
	char error[200];
	struct shm *shm = shm_create(&sizes, error, sizeof(error));

	if (!shm) {
		fprintf(stderr, "%s\n", error);
		return 1;
	}
	bench_tables(shm);
	bench_ring(shm, 64);
	bench_ring(shm, 1400);
	shm_detach(&shm);
	return 0;
}
