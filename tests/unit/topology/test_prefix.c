/* SPDX-License-Identifier: MIT
 * The IPv6 pool and what clients are told. */
#include "common/topology/topology.h"

#include <arpa/inet.h>
#include <check.h>
#include <stdlib.h>

static struct in6_addr address_of(const char *text)
{
	struct in6_addr address;
	ck_assert_int_eq(inet_pton(AF_INET6, text, &address), 1);
	return address;
}

static struct tunnel6 tunnel_of(const char *own, const char *base, uint8_t bits)
{
	return (struct tunnel6){ .own = address_of(own), .base = address_of(base), .bits = bits };
}

static void expect_place(const struct tunnel6 *tunnel, uint32_t place, const char *text)
{
	struct in6_addr address, expected = address_of(text);
	uint32_t index;
	ck_assert(tunnel6_pool_address(tunnel, place, &address));
	ck_assert_mem_eq(&address, &expected, sizeof(address));
	ck_assert(tunnel6_pool_index(tunnel, &address, &index));
	ck_assert_uint_eq(index, place);
}

static void expect_no_index(const struct tunnel6 *tunnel, const char *text)
{
	struct in6_addr address = address_of(text);
	uint32_t index;
	ck_assert_msg(!tunnel6_pool_index(tunnel, &address, &index), "%s", text);
}

START_TEST(every_place_has_its_address_and_back)
{
	struct tunnel6 tunnel = tunnel_of("fd00:77::1", "fd00:77::1000", 64);
	expect_place(&tunnel, 0, "fd00:77::1000");
	expect_place(&tunnel, 1, "fd00:77::1001");
	expect_place(&tunnel, 0xf000, "fd00:77::1:0");
	expect_place(&tunnel, POOL_MAX - 1, "fd00:77::100:fff");
	ck_assert_uint_eq(tunnel6_pool_size(&tunnel), POOL_MAX);
}
END_TEST

START_TEST(sums_carry_over_many_bytes)
{
	struct tunnel6 tunnel = tunnel_of("fd00::1", "fd00::ffff:ffff:ffff", 48);
	expect_place(&tunnel, 0, "fd00::ffff:ffff:ffff");
	expect_place(&tunnel, 1, "fd00::1:0:0:0");
}
END_TEST

START_TEST(there_is_nothing_outside_the_pool)
{
	struct tunnel6 tunnel = tunnel_of("fd00:77::1", "fd00:77::1000", 64);
	struct in6_addr address;
	ck_assert(!tunnel6_pool_address(&tunnel, POOL_MAX, &address));
	ck_assert(!tunnel6_pool_address(&tunnel, UINT32_MAX, &address));
	expect_no_index(&tunnel, "fd00:77::fff");
	expect_no_index(&tunnel, "fd00:77::100:1000");
	expect_no_index(&tunnel, "fd00:77:0:1::1000");
	expect_no_index(&tunnel, "fd00:77::1:0:0:1000");
	expect_no_index(&tunnel, "::");
	expect_no_index(&tunnel, "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff");
}
END_TEST

START_TEST(the_pool_ends_where_the_network_ends)
{
	struct tunnel6 tunnel = tunnel_of("fd00::1", "fd00::2", 124);
	struct in6_addr address;
	ck_assert_uint_eq(tunnel6_pool_size(&tunnel), 14);
	expect_place(&tunnel, 13, "fd00::f");
	ck_assert(!tunnel6_pool_address(&tunnel, 14, &address));
	expect_no_index(&tunnel, "fd00::10");

	tunnel = tunnel_of("fd00::1", "fd00::5", 128);
	ck_assert_uint_eq(tunnel6_pool_size(&tunnel), 1);
	expect_place(&tunnel, 0, "fd00::5");
	tunnel = tunnel_of("::1", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe", 64);
	ck_assert_uint_eq(tunnel6_pool_size(&tunnel), 2);
	ck_assert(!tunnel6_pool_address(&tunnel, 2, &address));
}
END_TEST

START_TEST(sizes_are_exact_up_to_the_bound)
{
	for (unsigned bits = 128; bits >= 104; bits--) {
		struct tunnel6 tunnel = tunnel_of("fd01::1", "fd00::", (uint8_t)bits);
		ck_assert_uint_eq(tunnel6_pool_size(&tunnel), 1u << (128 - bits));
	}
	struct tunnel6 tunnel = tunnel_of("fd01::1", "fd00::", 1);
	ck_assert_uint_eq(tunnel6_pool_size(&tunnel), POOL_MAX);
}
END_TEST

START_TEST(addresses_that_nobody_may_have_are_given_to_nobody)
{
	struct tunnel6 tunnel = tunnel_of("fd00::3", "fd00::", 120);
	struct in6_addr address;
	ck_assert(!tunnel6_pool_address(&tunnel, 0, &address)); /* the network's first */
	ck_assert(!tunnel6_pool_address(&tunnel, 3, &address)); /* the server's own */
	ck_assert(tunnel6_pool_address(&tunnel, 4, &address));
	expect_no_index(&tunnel, "fd00::");
	expect_no_index(&tunnel, "fd00::3");
}
END_TEST

START_TEST(without_ipv6_nothing_belongs)
{
	struct tunnel6 none = { 0 };
	struct in6_addr address = address_of("fd00::1");
	ck_assert(!tunnel6_contains(&none, &address));
	ck_assert_uint_eq(tunnel6_pool_size(&none), 0);
	ck_assert(!tunnel6_pool_address(&none, 0, &address));
	none.bits = 129;
	ck_assert(!tunnel6_contains(&none, &address));
	ck_assert_uint_eq(tunnel6_pool_size(&none), 0);
}
END_TEST

START_TEST(the_network_contains_what_shares_its_bits)
{
	const struct {
		uint8_t bits;
		const char *address;
		bool inside;
	} known[] = { { 64, "fd00::ffff:ffff:ffff:ffff", true }, { 64, "fd00:0:0:1::", false },
		{ 65, "fd00::7fff:0:0:0", true }, { 65, "fd00::8000:0:0:0", false }, { 1, "8000::", true },
		{ 1, "7fff::", false }, { 127, "fd00::1", true }, { 127, "fd00::2", false },
		{ 128, "fd00::", true }, { 128, "fd00::1", false } };
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		struct tunnel6 tunnel = tunnel_of("fd00::1", "fd00::", known[i].bits);
		struct in6_addr address = address_of(known[i].address);
		ck_assert_msg(tunnel6_contains(&tunnel, &address) == known[i].inside, "case %zu", i);
	}
}
END_TEST

START_TEST(a_client_is_told_address_bits_and_server)
{
	struct tunnel6 tunnel = tunnel_of("fd00:77::1", "fd00:77::1000", 64);
	struct in6_addr address = address_of("fd00:77::1000");
	char out[128];
	size_t len = tunnel6_ifconfig(&tunnel, &address, out, sizeof(out));
	ck_assert_str_eq(out, "ifconfig-ipv6 fd00:77::1000/64 fd00:77::1");
	ck_assert_uint_eq(len, 41);
	ck_assert_uint_eq(tunnel6_ifconfig(&tunnel, &address, out, 41), 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("topology/prefix");
	TCase *tcase = tcase_create("prefix");
	tcase_add_test(tcase, every_place_has_its_address_and_back);
	tcase_add_test(tcase, sums_carry_over_many_bytes);
	tcase_add_test(tcase, there_is_nothing_outside_the_pool);
	tcase_add_test(tcase, the_pool_ends_where_the_network_ends);
	tcase_add_test(tcase, sizes_are_exact_up_to_the_bound);
	tcase_add_test(tcase, addresses_that_nobody_may_have_are_given_to_nobody);
	tcase_add_test(tcase, without_ipv6_nothing_belongs);
	tcase_add_test(tcase, the_network_contains_what_shares_its_bits);
	tcase_add_test(tcase, a_client_is_told_address_bits_and_server);
	suite_add_tcase(suite, tcase);
	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
