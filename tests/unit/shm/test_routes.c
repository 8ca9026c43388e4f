/* SPDX-License-Identifier: MIT
 * Inner prefixes: the longest wins, only the lengths in use are tried, nothing outlives its session. */
#include "shm/routes.h"
#include "tests/unit/shm/fixture.h"

#include <arpa/inet.h>

static uint8_t *ip(const char *text)
{
	static uint8_t bytes[4][16];
	static int next;
	uint8_t *out = bytes[next++ % 4];
	ck_assert_int_eq(inet_pton(strchr(text, ':') ? AF_INET6 : AF_INET, text, out), 1);
	return out;
}

static unsigned family_of(const char *text)
{
	return strchr(text, ':') ? 6 : 4;
}

static int put(struct shm *shm, const char *prefix, unsigned bits, struct session s)
{
	return routes_put(shm, family_of(prefix), ip(prefix), bits, s.slot, s.generation, NULL, NULL);
}

/* The slot that has `address`, or PEER_NONE. */
static uint32_t who(struct shm *shm, const char *address)
{
	uint32_t slot = PEER_NONE, generation;
	return routes_find(shm, family_of(address), ip(address), &slot, &generation) ? slot : PEER_NONE;
}

START_TEST(the_longest_prefix_wins)
{
	struct shm *shm = small_segment();
	struct session host = new_session(shm, 0), net = new_session(shm, 1), wide = new_session(shm, 2);
	ck_assert_int_eq(put(shm, "10.8.0.2", 32, host), ROUTE_PUT);
	ck_assert_int_eq(put(shm, "10.8.0.0", 24, net), ROUTE_PUT);
	ck_assert_int_eq(put(shm, "10.0.0.0", 8, wide), ROUTE_PUT);
	ck_assert_uint_eq(who(shm, "10.8.0.2"), host.slot);
	ck_assert_uint_eq(who(shm, "10.8.0.3"), net.slot);
	ck_assert_uint_eq(who(shm, "10.9.0.2"), wide.slot);
	ck_assert_uint_eq(who(shm, "11.8.0.2"), PEER_NONE);
	shm_detach(&shm);
}
END_TEST

START_TEST(ipv6_prefixes_of_every_word_are_tried)
{
	struct shm *shm = small_segment();
	struct session a = new_session(shm, 0), b = new_session(shm, 1), c = new_session(shm, 2),
		       d = new_session(shm, 2);
	ck_assert_int_eq(put(shm, "fd00::2", 128, a), ROUTE_PUT);
	ck_assert_int_eq(put(shm, "fd00::", 127, b), ROUTE_PUT);
	ck_assert_int_eq(put(shm, "fd00:1::", 61, c), ROUTE_PUT);
	ck_assert_int_eq(put(shm, "fd00::", 64, d), ROUTE_PUT);
	ck_assert_uint_eq(who(shm, "fd00::2"), a.slot);
	ck_assert_uint_eq(who(shm, "fd00::1"), b.slot);
	ck_assert_uint_eq(who(shm, "fd00::3"), d.slot);
	ck_assert_uint_eq(who(shm, "fd00:1:0:7::1"), c.slot);
	ck_assert_uint_eq(who(shm, "fd00:1:0:8::1"), PEER_NONE);
	shm_detach(&shm);
}
END_TEST

START_TEST(a_default_route_covers_everything_of_its_family)
{
	struct shm *shm = small_segment();
	struct session s = new_session(shm, 0);
	ck_assert_int_eq(put(shm, "1.2.3.4", 0, s), ROUTE_PUT);
	ck_assert_uint_eq(who(shm, "203.0.113.9"), s.slot);
	ck_assert_uint_eq(who(shm, "::1"), PEER_NONE);
	ck_assert_int_eq(put(shm, "::", 0, s), ROUTE_PUT);
	ck_assert_uint_eq(who(shm, "ffff::1"), s.slot);
	shm_detach(&shm);
}
END_TEST

START_TEST(an_ipv4_prefix_is_not_an_ipv6_prefix_of_the_same_bytes)
{
	struct shm *shm = small_segment();
	struct session s = new_session(shm, 0), t = new_session(shm, 0);
	ck_assert_int_eq(put(shm, "10.8.0.0", 32, s), ROUTE_PUT);
	ck_assert_int_eq(put(shm, "a08::", 32, t), ROUTE_PUT);
	ck_assert_uint_eq(who(shm, "10.8.0.0"), s.slot);
	ck_assert_uint_eq(who(shm, "a08::"), t.slot);
	shm_detach(&shm);
}
END_TEST

START_TEST(bits_behind_the_length_do_not_matter)
{
	struct shm *shm = small_segment();
	struct session s = new_session(shm, 0);
	ck_assert_int_eq(put(shm, "10.8.77.99", 17, s), ROUTE_PUT);
	ck_assert_int_eq(put(shm, "10.8.1.1", 17, s), ROUTE_SAME);
	ck_assert_uint_eq(who(shm, "10.8.127.255"), s.slot);
	ck_assert_uint_eq(who(shm, "10.8.128.0"), PEER_NONE);
	ck_assert(routes_remove(shm, 4, ip("10.8.3.3"), 17, s.slot, s.generation));
	ck_assert_uint_eq(who(shm, "10.8.127.255"), PEER_NONE);
	shm_detach(&shm);
}
END_TEST

START_TEST(families_and_lengths_that_do_not_exist_are_refused)
{
	struct shm *shm = small_segment();
	struct session s = new_session(shm, 0);
	uint8_t bytes[16] = { 0 };
	uint32_t slot, generation;
	ck_assert_int_eq(routes_put(shm, 4, bytes, 33, s.slot, s.generation, NULL, NULL), ROUTE_BAD);
	ck_assert_int_eq(routes_put(shm, 6, bytes, 129, s.slot, s.generation, NULL, NULL), ROUTE_BAD);
	ck_assert_int_eq(routes_put(shm, 5, bytes, 8, s.slot, s.generation, NULL, NULL), ROUTE_BAD);
	ck_assert_int_eq(routes_put(shm, 4, bytes, UINT32_MAX, s.slot, s.generation, NULL, NULL), ROUTE_BAD);
	ck_assert_int_eq(routes_replace(shm, 0, bytes, 8, 0, 1, s.slot, s.generation), ROUTE_BAD);
	ck_assert(!routes_remove(shm, 4, bytes, 33, s.slot, s.generation));
	ck_assert(!routes_find(shm, 0, bytes, &slot, &generation));
	ck_assert(!routes_find(shm, 16, bytes, &slot, &generation));
	shm_detach(&shm);
}
END_TEST

START_TEST(a_prefix_belongs_to_one_session_and_may_be_taken_over)
{
	struct shm *shm = small_segment();
	struct session s = new_session(shm, 0), t = new_session(shm, 1);
	uint32_t slot = 0, generation = 0;
	put(shm, "10.8.0.2", 32, s);
	ck_assert_int_eq(routes_put(shm, 4, ip("10.8.0.2"), 32, t.slot, t.generation, &slot, &generation),
		ROUTE_TAKEN);
	ck_assert_uint_eq(slot, s.slot);
	ck_assert_int_eq(
		routes_replace(shm, 4, ip("10.8.0.2"), 32, s.slot, s.generation, t.slot, t.generation),
		ROUTE_PUT);
	ck_assert_uint_eq(who(shm, "10.8.0.2"), t.slot);
	ck_assert(!routes_remove(shm, 4, ip("10.8.0.2"), 32, s.slot, s.generation));
	shm_detach(&shm);
}
END_TEST

START_TEST(a_route_does_not_outlive_its_session)
{
	struct shm *shm = small_segment();
	struct session s = new_session(shm, 0);
	put(shm, "10.8.0.2", 32, s);
	put(shm, "10.8.0.0", 16, s);
	peers_release(shm, s.slot, s.generation);
	ck_assert_uint_eq(who(shm, "10.8.0.2"), PEER_NONE);
	struct session next = new_session(shm, 0);
	ck_assert_uint_eq(next.slot, s.slot);
	ck_assert_uint_eq(who(shm, "10.8.0.2"), PEER_NONE);
	shm_detach(&shm);
}
END_TEST

START_TEST(every_client_has_room_for_both_families_and_all_its_subnets)
{
	struct shm *shm = segment_of((struct shm_sizes){ 2, 5000, 5000, 0, 0, 4096 });
	struct session *all = calloc(5000, sizeof(*all));
	uint8_t a[16] = { 0 };
	uint32_t slot, generation;
	for (uint32_t i = 0; i < 5000; i++) {
		all[i] = new_session(shm, i % 2);
		uint32_t four = htonl(0x0a000000 + i), net = htonl(0xac100000 + (i << 8));
		memcpy(a, &four, 4);
		ck_assert_int_eq(
			routes_put(shm, 4, a, 32, all[i].slot, all[i].generation, NULL, NULL), ROUTE_PUT);
		ck_assert_int_eq(
			routes_put(shm, 6, a, 128, all[i].slot, all[i].generation, NULL, NULL), ROUTE_PUT);
		memcpy(a, &net, 4);
		ck_assert_int_eq(
			routes_put(shm, 4, a, 24, all[i].slot, all[i].generation, NULL, NULL), ROUTE_PUT);
	}
	for (uint32_t i = 0; i < 5000; i++) {
		uint32_t four = htonl(0x0a000000 + i), net = htonl(0xac100000 + (i << 8) + 9);
		memcpy(a, &four, 4);
		ck_assert(routes_find(shm, 4, a, &slot, &generation) && slot == all[i].slot);
		ck_assert(routes_find(shm, 6, a, &slot, &generation) && slot == all[i].slot);
		memcpy(a, &net, 4);
		ck_assert(routes_find(shm, 4, a, &slot, &generation) && slot == all[i].slot);
	}
	free(all);
	shm_detach(&shm);
}
END_TEST

int main(void)
{
	TCase *t = tcase_create("routes");
	tcase_add_test(t, the_longest_prefix_wins);
	tcase_add_test(t, ipv6_prefixes_of_every_word_are_tried);
	tcase_add_test(t, a_default_route_covers_everything_of_its_family);
	tcase_add_test(t, an_ipv4_prefix_is_not_an_ipv6_prefix_of_the_same_bytes);
	tcase_add_test(t, bits_behind_the_length_do_not_matter);
	tcase_add_test(t, families_and_lengths_that_do_not_exist_are_refused);
	tcase_add_test(t, a_prefix_belongs_to_one_session_and_may_be_taken_over);
	tcase_add_test(t, a_route_does_not_outlive_its_session);
	tcase_add_test(t, every_client_has_room_for_both_families_and_all_its_subnets);
	return run_suite(t, "shm routes");
}
