/* SPDX-License-Identifier: MIT
 * A master that is made by hand: real tables, statistics and channels, and nobody behind them. */
#ifndef TESTS_UNIT_MASTER_MADE_BY_HAND_H
#define TESTS_UNIT_MASTER_MADE_BY_HAND_H

#include "master/master.h"
#include "shm/peers.h"
#include "tests/lib/suite.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { WORKERS = 4, SLOTS = 256 };

static struct master m;
static struct seat seats[WORKERS];
static int ends[WORKERS]; /* where a worker would listen */
static char directory[64];

static void hand_made(struct config *config)
{
	struct shm_sizes sizes = {
		.workers = WORKERS, .max_clients = SLOTS, .max_routes = 16, .pool4_count = 16, .ring_bytes = 1 << 14
	};
	struct stats_about about = { .name = "hand",
		.program_version = "0",
		.sizes = { .workers = WORKERS, .slots = SLOTS, .networks = 4 },
		.group = (gid_t)-1 };
	char error[300];

	strcpy(directory, "/tmp/by-hand-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(directory));
	m = (struct master){ .phase = PHASE_RUNNING, .workers = WORKERS, .workers_wanted = WORKERS,
		.seat_count = WORKERS, .seats = seats, .now = { .config = config },
		.steering = { .link_program = -1, .tunnel_program = -1 } };
	m.shm = shm_create(&sizes, error, sizeof(error));
	ck_assert_msg(m.shm != NULL, "%s", error);
	m.stats = stats_create(directory, &about, error, sizeof(error));
	ck_assert_msg(m.stats != NULL, "%s", error);
	for (unsigned w = 0; w < WORKERS; w++) {
		int pair[2];
		ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, pair), 0);
		seats[w] = (struct seat){ .pid = 1, .orders_fd = pair[0], .ready = true };
		ends[w] = pair[1];
	}
	roster_apply(&m);
}

static void hand_unmade(void)
{
	for (unsigned w = 0; w < WORKERS; w++) {
		close(seats[w].orders_fd);
		close(ends[w]);
	}
	rebalance_free(&m);
	stats_remove(m.stats);
	stats_detach(&m.stats);
	shm_detach(&m.shm);
	rmdir(directory);
}

/* A client of that worker: its slot. */
static inline uint32_t session_of(unsigned worker)
{
	uint32_t generation, slot = peers_take(m.shm, worker, &generation);

	ck_assert_uint_ne(slot, PEER_NONE);
	ck_assert(peers_set_state(m.shm, slot, generation, PEER_ACTIVE));
	return slot;
}

#endif
