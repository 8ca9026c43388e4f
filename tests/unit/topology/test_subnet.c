/* SPDX-License-Identifier: MIT
 * Topology subnet: the pool and what clients are told. */
#include "common/topology/topology.h"

#include <check.h>
#include <stdlib.h>

/* What `server 10.8.0.0 255.255.255.0` makes. */
static struct tunnel4 tunnel = { .network = 0x0a080000,
	.netmask = 0xffffff00,
	.own = 0x0a080001,
	.first = 0x0a080002,
	.last = 0x0a0800fe };
static const struct topology *subnet;

static void setup(void)
{
	subnet = topology_by_name("subnet");
	ck_assert_ptr_nonnull(subnet);
}

START_TEST(topologies_are_found_by_their_exact_name)
{
	ck_assert_str_eq(subnet->name, "subnet");
	ck_assert_ptr_null(topology_by_name("Subnet"));
	ck_assert_ptr_null(topology_by_name("subnets"));
	ck_assert_ptr_null(topology_by_name(""));
}
END_TEST

START_TEST(every_place_has_its_address_and_back)
{
	ck_assert_uint_eq(subnet->pool_size(&tunnel), 253);
	for (uint32_t place = 0; place < 253; place++) {
		uint32_t address, index;
		ck_assert(subnet->pool_address(&tunnel, place, &address));
		ck_assert_uint_eq(address, 0x0a080002 + place);
		ck_assert(subnet->pool_index(&tunnel, address, &index));
		ck_assert_uint_eq(index, place);
	}
}
END_TEST

START_TEST(there_is_nothing_outside_the_pool)
{
	uint32_t address, index;
	ck_assert(!subnet->pool_address(&tunnel, 253, &address));
	ck_assert(!subnet->pool_address(&tunnel, UINT32_MAX, &address));
	ck_assert(!subnet->pool_index(&tunnel, 0x0a080001, &index));
	ck_assert(!subnet->pool_index(&tunnel, 0x0a0800ff, &index));
	ck_assert(!subnet->pool_index(&tunnel, 0x0a080102, &index));
	ck_assert(!subnet->pool_index(&tunnel, 0, &index));
	ck_assert(!subnet->pool_index(&tunnel, UINT32_MAX, &index));
}
END_TEST

START_TEST(addresses_that_nobody_may_have_are_given_to_nobody)
{
	struct tunnel4 wide = tunnel; /* a pool over the whole network, the server in its middle */
	wide.first = 0x0a080000;
	wide.last = 0x0a0800ff;
	wide.own = 0x0a080080;
	uint32_t address, index;
	ck_assert_uint_eq(subnet->pool_size(&wide), 256);
	for (uint32_t place = 0; place < 256; place++) {
		bool given = place != 0 && place != 0x80 && place != 0xff;
		ck_assert(subnet->pool_address(&wide, place, &address) == given);
		ck_assert(subnet->pool_index(&wide, 0x0a080000 + place, &index) == given);
		ck_assert(subnet->assignable(&wide, 0x0a080000 + place) == given);
	}
}
END_TEST

START_TEST(a_pool_outside_the_network_gives_nothing)
{
	struct tunnel4 foreign = tunnel;
	foreign.first = 0x0a090002;
	foreign.last = 0x0a090010;
	uint32_t address;
	ck_assert(!subnet->pool_address(&foreign, 0, &address));
}
END_TEST

START_TEST(no_pool_and_no_network_are_empty)
{
	struct tunnel4 none = tunnel;
	none.first = none.last + 1;
	ck_assert_uint_eq(subnet->pool_size(&none), 0);
	none = (struct tunnel4){ 0 };
	uint32_t index;
	ck_assert_uint_eq(subnet->pool_size(&none), 0);
	ck_assert(!subnet->pool_index(&none, 0, &index));
	ck_assert(!subnet->assignable(&none, 5));
	ck_assert(!tunnel4_contains(&none, 0));
}
END_TEST

START_TEST(huge_pools_are_bounded)
{
	struct tunnel4 huge = {
		.network = 0, .netmask = 0x80000000, .own = 1, .first = 0, .last = UINT32_MAX
	};
	uint32_t address;
	ck_assert_uint_eq(subnet->pool_size(&huge), POOL_MAX);
	ck_assert(subnet->pool_address(&huge, POOL_MAX - 1, &address));
	ck_assert(!subnet->pool_address(&huge, POOL_MAX, &address));
}
END_TEST

START_TEST(the_network_contains_its_addresses)
{
	ck_assert(tunnel4_contains(&tunnel, 0x0a080000));
	ck_assert(tunnel4_contains(&tunnel, 0x0a0800ff));
	ck_assert(!tunnel4_contains(&tunnel, 0x0a07ffff));
	ck_assert(!tunnel4_contains(&tunnel, 0x0a080100));
	ck_assert_uint_eq(tunnel4_broadcast(&tunnel), 0x0a0800ff);
}
END_TEST

START_TEST(a_client_is_told_its_address_and_the_netmask)
{
	char out[64];
	ck_assert_uint_eq(subnet->ifconfig(&tunnel, 0x0a080002, out, sizeof(out)), 31);
	ck_assert_str_eq(out, "ifconfig 10.8.0.2 255.255.255.0");
	ck_assert_uint_eq(subnet->ifconfig(&tunnel, 0x0a080002, out, 32), 31);
	ck_assert_uint_eq(subnet->ifconfig(&tunnel, 0x0a080002, out, 31), 0);
	ck_assert_uint_eq(subnet->ifconfig(&tunnel, 0x0a080002, out, 0), 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("topology/subnet");
	TCase *tcase = tcase_create("subnet");
	tcase_add_checked_fixture(tcase, setup, NULL);
	tcase_add_test(tcase, topologies_are_found_by_their_exact_name);
	tcase_add_test(tcase, every_place_has_its_address_and_back);
	tcase_add_test(tcase, there_is_nothing_outside_the_pool);
	tcase_add_test(tcase, addresses_that_nobody_may_have_are_given_to_nobody);
	tcase_add_test(tcase, a_pool_outside_the_network_gives_nothing);
	tcase_add_test(tcase, no_pool_and_no_network_are_empty);
	tcase_add_test(tcase, huge_pools_are_bounded);
	tcase_add_test(tcase, the_network_contains_its_addresses);
	tcase_add_test(tcase, a_client_is_told_its_address_and_the_netmask);
	suite_add_tcase(suite, tcase);
	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
