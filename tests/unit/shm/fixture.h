/* SPDX-License-Identifier: MIT
 * What the tests of shm/ share: a small segment, sessions in it, and the suite's main. */
#ifndef TESTS_UNIT_SHM_FIXTURE_H
#define TESTS_UNIT_SHM_FIXTURE_H

#include "common/base/packet.h"
#include "shm/peers.h"
#include "shm/segment.h"

#include <check.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static inline struct shm *segment_of(struct shm_sizes sizes)
{
	char error[160] = "";
	struct shm *shm = shm_create(&sizes, error, sizeof(error));
	ck_assert_msg(shm != NULL, "%s", error);
	return shm;
}

/* Three workers, a hundred slots. */
static inline struct shm *small_segment(void)
{
	return segment_of((struct shm_sizes){ .workers = 3,
		.max_clients = 100,
		.max_routes = 50,
		.pool4_count = 40,
		.pool6_count = 60,
		.ring_bytes = 8192 });
}

struct session {
	uint32_t slot, generation;
};

static inline struct session new_session(struct shm *shm, unsigned worker)
{
	struct session s = { 0 };
	s.slot = peers_take(shm, worker, &s.generation);
	ck_assert_uint_ne(s.slot, PEER_NONE);
	return s;
}

static inline struct link_address address4(uint32_t ip, uint16_t port)
{
	return (struct link_address){ .family = 4,
		.port = port,
		.ip = { (uint8_t)(ip >> 24), (uint8_t)(ip >> 16), (uint8_t)(ip >> 8), (uint8_t)ip } };
}

/* Fast, seeded, good enough to shuffle with. */
static inline uint64_t chance(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

static inline int run_suite(TCase *tests, const char *name)
{
	Suite *suite = suite_create(name);
	suite_add_tcase(suite, tests);
	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}

#endif
