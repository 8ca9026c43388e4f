/* SPDX-License-Identifier: MIT
 * What must be true of a segment after any deaths, once every session in it was ended. */
#ifndef TESTS_UNIT_SHM_USABLE_H
#define TESTS_UNIT_SHM_USABLE_H

#include "shm/leases.h"
#include "shm/links.h"
#include "shm/routes.h"
#include "tests/unit/shm/fixture.h"

/* Each table can be filled to its last entry and found again. */
static inline void check_usable(struct shm *shm)
{
	static const uint8_t zeros[PEER_KEPT_LEN];
	const uint32_t slots = shm->sizes.max_clients, pool = lease_count(shm);
	struct session *all = calloc(slots, sizeof(*all));
	uint32_t slot, generation;

	ck_assert_ptr_nonnull(all);
	ck_assert_uint_eq(peers_count(shm), 0);
	for (uint32_t i = 0; i < slots; i++) {
		all[i] = new_session(shm, i % shm->sizes.workers);
		ck_assert_mem_eq(peers_slot(shm, all[i].slot)->kept, zeros, sizeof(zeros));
		struct link_address a = address4(i, 1);
		uint8_t prefix[4] = { 10, 8, 0, (uint8_t)i };
		ck_assert_int_eq(links_put(shm, &a, all[i].slot, all[i].generation, NULL, NULL), LINK_PUT);
		ck_assert_int_eq(routes_put(shm, 4, prefix, 32, all[i].slot, all[i].generation, NULL, NULL),
			ROUTE_PUT);
		if (i < pool)
			ck_assert_uint_lt(lease_take(shm, "x", all[i].slot, all[i].generation), pool);
		else
			ck_assert_uint_eq(lease_take(shm, "x", all[i].slot, all[i].generation), LEASE_NONE);
	}
	ck_assert_uint_eq(peers_take(shm, 0, &generation), PEER_NONE);
	for (uint32_t i = 0; i < slots; i++) {
		struct link_address a = address4(i, 1);
		uint8_t prefix[4] = { 10, 8, 0, (uint8_t)i };
		ck_assert(links_find(shm, &a, &slot, &generation) && slot == all[i].slot);
		ck_assert(routes_find(shm, 4, prefix, &slot, &generation) && slot == all[i].slot);
		ck_assert(peers_release(shm, all[i].slot, all[i].generation));
	}
	for (uint32_t i = 0; i < pool; i++) {
		struct lease_row row;
		ck_assert(lease_read(shm, i, &row) && !row.taken);
	}
	free(all);
}

#endif
