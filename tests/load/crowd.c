/* SPDX-License-Identifier: MIT
 * crowd DIR NAME CLIENTS: the statistics of a hub that there is not, with as many clients as one likes, all
 * of them busy, published once a second until SIGTERM. For trying what reads them with crowds that no test
 * machine could hold. */
#include "shm/stats.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { WORKERS = 4 };

static volatile sig_atomic_t ended;

static void on_signal(int number)
{
	(void)number;
	ended = 1;
}

static void publish(struct stats *stats, uint32_t clients, uint64_t turn)
{
	time_t now = time(NULL);

	for (uint32_t i = 0; i < clients; i++) {
		/* A pace of its own for each, so that every order by rate is another one. */
		uint64_t pace = 1000 + (uint64_t)i * 2654435761u % 1000000;
		struct stats_row row = { .client_id = i,
			.generation = 1,
			.owner = (uint16_t)(i % WORKERS),
			.state = PEER_ACTIVE,
			.peer_address = { .family = 4,
				.port = (uint16_t)(1024 + i % 60000),
				.ip = { 198, 18, (uint8_t)(i >> 8), (uint8_t)i } },
			.inner4 = 0x0a080002 + i,
			.connected_unix = now - (time_t)turn,
			.last_in_unix = now,
			.bytes_in = pace * turn,
			.bytes_out = pace / 3 * turn,
			.rate_in = pace,
			.rate_out = pace / 3,
			.published_unix = now,
			.round_trip_ms = -1,
			.lease = LEASE_NONE };
		/* The first one would rather command a terminal. */
		snprintf(row.common_name, sizeof(row.common_name), i ? "client-%05u" : "client-%05u\x1b[2J\n\xff", i);
		strcpy(row.cipher, "AES-256-GCM");
		stats_publish(stats, i, &row);
	}
	for (unsigned w = 0; w < WORKERS; w++) {
		struct stats_worker *worker = stats_worker(stats, w);
		counter_set(&worker->counters, COUNTER_SESSIONS, clients / WORKERS);
		stats_rates(worker, &(struct stats_rates){ 600, 10000000 * (w + 1), 1000000, 20000, 10000 });
		stats_heartbeat(worker, now, turn * 500000, turn * 100000);
	}
}

int main(int argc, char **argv)
{
	struct sigaction action = { .sa_handler = on_signal };
	struct stats_about about = {
		.program_version = "crowd", .group = (gid_t)-1, .started_unix = time(NULL)
	};
	char error[300];

	if (argc != 4) {
		fprintf(stderr, "usage: crowd DIR NAME CLIENTS\n");
		return 1;
	}
	uint32_t clients = (uint32_t)strtoul(argv[3], NULL, 10);
	about.name = argv[2];
	about.sizes = (struct stats_sizes){ .workers = WORKERS, .slots = clients ? clients : 1 };
	struct stats *stats = stats_create(argv[1], &about, error, sizeof(error));
	if (!stats) {
		fprintf(stderr, "crowd: %s\n", error);
		return 1;
	}
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGINT, &action, NULL);
	for (unsigned w = 0; w < WORKERS; w++) {
		stats_worker_born(stats_worker(stats, w), getpid(), time(NULL), w);
		stats_worker_state(stats_worker(stats, w), STATS_WORKER_READY);
	}
	for (uint64_t turn = 1; !ended; turn++) {
		publish(stats, clients, turn);
		if (turn == 1) {
			printf("published\n");
			fflush(stdout);
		}
		sleep(1);
	}
	stats_remove(stats);
	stats_detach(&stats);
	return 0;
}
