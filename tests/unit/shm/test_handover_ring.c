/* SPDX-License-Identifier: MIT
 * The handover rings: what goes in comes out in order, and nonsense in them leads nowhere. */
#include "shm/handover_ring.h"
#include "tests/unit/shm/fixture.h"

static bool give(struct ring ring, uint32_t number, uint32_t len)
{
	struct ring_item item;
	if (!ring_reserve(ring, len, &item))
		return false;
	item.kind = HANDOVER_PACKET;
	item.slot = number;
	memset(item.payload, (int)(number & 0xff), len);
	ring_commit(ring, &item);
	return true;
}

static bool is(const struct ring_item *item, uint32_t number, uint32_t len)
{
	if (item->slot != number || item->len != len || item->headroom < PACKET_HEADROOM ||
		item->tailroom < RING_TAILROOM)
		return false;
	for (uint32_t i = 0; i < len; i++)
		if (item->payload[i] != (number & 0xff))
			return false;
	return true;
}

START_TEST(each_ordered_pair_has_its_own_ring)
{
	struct shm *shm = small_segment();
	for (unsigned a = 0; a < 3; a++) {
		ck_assert_ptr_null(ring_between(shm, a, a).ends);
		for (unsigned b = 0; b < 3; b++)
			for (unsigned c = 0; c < 3; c++)
				for (unsigned d = 0; d < 3; d++)
					if (a != b && c != d && (a != c || b != d)) {
						ck_assert_ptr_ne(ring_between(shm, a, b).ends,
							ring_between(shm, c, d).ends);
						ck_assert_ptr_ne(ring_between(shm, a, b).bytes,
							ring_between(shm, c, d).bytes);
					}
	}
	ck_assert_ptr_null(ring_between(shm, 3, 0).ends);
	ck_assert_ptr_null(ring_between(shm, 0, 3).ends);
	struct ring none = ring_between(shm, 0, 0);
	struct ring_item item;
	uint64_t at = ring_start(none);
	ck_assert(!ring_reserve(none, 1, &item));
	ck_assert_int_eq(ring_next(none, &at, &item), RING_EMPTY);
	ring_release(none, at);
	ck_assert(ring_empty(none));
	shm_detach(&shm);
}
END_TEST

START_TEST(a_record_carries_all_that_was_said)
{
	struct shm *shm = small_segment();
	struct ring ring = ring_between(shm, 0, 1);
	struct ring_item in, out;
	ck_assert(ring_reserve(ring, 5, &in));
	in.kind = HANDOVER_DATAGRAM;
	in.slot = 17;
	in.generation = 23;
	in.reason = 3;
	in.link = 2;
	in.local_interface = 9;
	in.peer_address = address4(0xc0000201, 1194);
	in.local_address = address4(0xc6336401, 0);
	memcpy(in.payload, "hello", 5);
	uint64_t at = ring_start(ring);
	ck_assert_int_eq(ring_next(ring, &at, &out), RING_EMPTY);
	ring_commit(ring, &in);
	ck_assert(!ring_empty(ring));
	ck_assert_int_eq(ring_next(ring, &at, &out), RING_ITEM);
	ck_assert_int_eq(out.kind, HANDOVER_DATAGRAM);
	ck_assert_uint_eq(out.slot, 17);
	ck_assert_uint_eq(out.generation, 23);
	ck_assert_uint_eq(out.reason, 3);
	ck_assert_uint_eq(out.link, 2);
	ck_assert_uint_eq(out.local_interface, 9);
	ck_assert(link_address_equal(&out.peer_address, &in.peer_address));
	ck_assert(link_address_equal(&out.local_address, &in.local_address));
	ck_assert_uint_eq(out.len, 5);
	ck_assert_mem_eq(out.payload, "hello", 5);
	ck_assert_uint_ge(out.headroom, PACKET_HEADROOM);
	ck_assert_uint_ge(out.tailroom, RING_TAILROOM);
	ring_release(ring, at);
	ck_assert(ring_empty(ring));
	shm_detach(&shm);
}
END_TEST

START_TEST(a_payload_may_be_shorter_and_stand_elsewhere_than_reserved)
{
	struct shm *shm = small_segment();
	struct ring ring = ring_between(shm, 0, 1);
	struct ring_item item;
	uint64_t at = ring_start(ring);
	for (int i = 0; i < 200; i++) {
		ck_assert(ring_reserve(ring, 1500, &item));
		item.kind = HANDOVER_PACKET;
		item.payload -= i % 2 ? 100 : -20;
		item.len = 64;
		memset(item.payload, 7, item.len);
		ring_commit(ring, &item);
		ck_assert_int_eq(ring_next(ring, &at, &item), RING_ITEM);
		ck_assert_uint_eq(item.len, 64);
		ck_assert_uint_eq(item.headroom, i % 2 ? PACKET_HEADROOM - 100 : PACKET_HEADROOM + 20);
		ck_assert_uint_eq(item.payload[63], 7);
		ring_release(ring, at);
	}
	shm_detach(&shm);
}
END_TEST

START_TEST(a_reservation_without_commit_never_was)
{
	struct shm *shm = small_segment();
	struct ring ring = ring_between(shm, 0, 1);
	struct ring_item item;
	uint64_t at = ring_start(ring);
	ck_assert(ring_reserve(ring, 100, &item)); /* and the producer died */
	ck_assert(give(ring, 1, 50));
	ck_assert_int_eq(ring_next(ring, &at, &item), RING_ITEM);
	ck_assert(is(&item, 1, 50));
	ck_assert_int_eq(ring_next(ring, &at, &item), RING_EMPTY);
	shm_detach(&shm);
}
END_TEST

START_TEST(a_full_ring_refuses_and_takes_again_after_release)
{
	struct shm *shm = small_segment();
	struct ring ring = ring_between(shm, 2, 0);
	struct ring_item item;
	uint32_t in = 0, out = 0;
	uint64_t seed = 3, at;
	for (int turn = 0; turn < 2000; turn++) {
		while (give(ring, in, in * 37 % 1400))
			in++;
		ck_assert_uint_gt(in, out);
		at = ring_start(ring);
		for (uint64_t n = chance(&seed) % 8 + 1; n && ring_next(ring, &at, &item) == RING_ITEM; n--) {
			ck_assert_msg(is(&item, out, out * 37 % 1400), "record %u", out);
			out++;
		}
		ring_release(ring, at);
	}
	at = ring_start(ring);
	while (ring_next(ring, &at, &item) == RING_ITEM)
		ck_assert(is(&item, out, out * 37 % 1400) && ++out);
	ck_assert_uint_eq(in, out);
	shm_detach(&shm);
}
END_TEST

START_TEST(a_payload_too_large_for_the_ring_is_refused_and_the_largest_fits_a_large_one)
{
	struct shm *shm = small_segment();
	struct ring_item item;
	ck_assert(!ring_reserve(ring_between(shm, 0, 1), 4096, &item));
	ck_assert(!ring_reserve(ring_between(shm, 0, 1), UINT32_MAX, &item));
	ck_assert(ring_reserve(ring_between(shm, 0, 1), 3700, &item));
	shm_detach(&shm);
	shm = segment_of((struct shm_sizes){ 2, 10, 0, 0, 0, 200000 }); /* rounded up */
	ck_assert_uint_eq(shm->sizes.ring_bytes, 262144);
	struct ring ring = ring_between(shm, 0, 1);
	for (int i = 0; i < 20; i++) {
		uint64_t at = ring_start(ring);
		ck_assert(give(ring, 1, RING_PAYLOAD_MAX));
		ck_assert_int_eq(ring_next(ring, &at, &item), RING_ITEM);
		ck_assert(is(&item, 1, RING_PAYLOAD_MAX));
		ring_release(ring, at);
	}
	ck_assert(!ring_reserve(ring, RING_PAYLOAD_MAX + 1, &item));
	shm_detach(&shm);
}
END_TEST

START_TEST(a_successor_of_the_consumer_sees_again_what_was_not_released)
{
	struct shm *shm = small_segment();
	struct ring ring = ring_between(shm, 0, 1);
	struct ring_item item;
	for (uint32_t i = 0; i < 5; i++)
		give(ring, i, 100);
	uint64_t at = ring_start(ring);
	ring_next(ring, &at, &item);
	ring_next(ring, &at, &item);
	ring_release(ring, at);
	ring_next(ring, &at, &item); /* and died */
	ring = ring_between(shm, 0, 1);
	at = ring_start(ring);
	ck_assert_int_eq(ring_next(ring, &at, &item), RING_ITEM);
	ck_assert_uint_eq(item.slot, 2);
	shm_detach(&shm);
}
END_TEST

/* -- what another worker may have written there -- */

START_TEST(records_that_lie_empty_the_ring)
{
	struct shm *shm = small_segment();
	struct ring ring = ring_between(shm, 0, 1);
	const uint32_t lies[][4] = {
		/* kind, total, payload at, length */
		{ 2, 0, 256, 10 },
		{ 2, 63, 256, 10 },
		{ 2, 1 << 20, 256, 10 },
		{ 2, 64, 256, 10 },
		{ 2, 512, 100, 10 },
		{ 2, 512, 513, 0 },
		{ 2, 512, 256, 257 },
		{ 2, 512, 256, UINT32_MAX },
		{ 2, 512, UINT32_MAX, 10 },
		{ 0, 512, 256, 10 },
		{ 6, 512, 256, 10 },
		{ UINT32_MAX, 512, 256, 10 },
		{ 0x5c1b, 1 << 20, 0, 0 },
		{ 2, UINT32_MAX - 63, 256, 10 },
	};
	for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
		struct ring_item item;
		uint64_t at = ring_start(ring);
		uint8_t *record = ring.bytes + (at & (ring.len - 1));
		ck_assert(give(ring, 1, 100));
		ck_assert(give(ring, 2, 100));
		memcpy(record, lies[i], 16);
		ck_assert_msg(ring_next(ring, &at, &item) == RING_BROKEN, "lie %zu", i);
		ring_release(ring, at);
		ck_assert(ring_empty(ring));
		/* And it works again. */
		ck_assert(give(ring, 3, 10));
		ck_assert_int_eq(ring_next(ring, &at, &item), RING_ITEM);
		ring_release(ring, at);
	}
	shm_detach(&shm);
}
END_TEST

START_TEST(positions_that_lie_are_survived)
{
	struct shm *shm = small_segment();
	struct ring ring = ring_between(shm, 0, 1);
	uint64_t seed = 11;
	for (int i = 0; i < 100000; i++) {
		struct ring_item item;
		_Atomic uint64_t *words[] = { &ring.ends->head, &ring.ends->tail, &ring.ends->head_seen,
			&ring.ends->tail_seen };
		uint64_t value = chance(&seed);
		if (i % 3 == 0)
			value &= 0xffff;
		atomic_store(words[chance(&seed) % 4], value);
		if (ring_reserve(ring, (uint32_t)(chance(&seed) % 4000), &item)) {
			item.kind = HANDOVER_END;
			memset(item.payload, 1, item.len);
			ring_commit(ring, &item);
		}
		uint64_t at = ring_start(ring);
		for (int n = 0; n < 300 && ring_next(ring, &at, &item) == RING_ITEM; n++) {
			ck_assert(item.payload >= ring.bytes &&
				  item.payload + item.len <= ring.bytes + ring.len);
			ck_assert(item.payload - item.headroom >= ring.bytes);
			ck_assert(item.payload + item.len + item.tailroom <= ring.bytes + ring.len);
		}
		ring_release(ring, at);
	}
	shm_detach(&shm);
}
END_TEST

START_TEST(random_bytes_in_a_ring_lead_nowhere)
{
	struct shm *shm = small_segment();
	struct ring ring = ring_between(shm, 0, 1);
	uint64_t seed = 5;
	for (int i = 0; i < 20000; i++) {
		struct ring_item item;
		for (uint32_t k = 0; k < ring.len; k += 64) {
			uint32_t r[4] = { (uint32_t)chance(&seed) % 5, (uint32_t)chance(&seed) % 1024,
				(uint32_t)chance(&seed) % 512, (uint32_t)chance(&seed) % 512 };
			if (chance(&seed) % 4)
				r[1] &= ~63u;
			memcpy(ring.bytes + k, r, sizeof(r));
		}
		atomic_store(&ring.ends->tail, (uint64_t)i * 64);
		atomic_store(&ring.ends->head, (uint64_t)i * 64 + chance(&seed) % (ring.len + 1));
		uint64_t at = ring_start(ring);
		int n = 0;
		while (n++ < 1000 && ring_next(ring, &at, &item) == RING_ITEM) {
			ck_assert(item.payload - item.headroom >= ring.bytes);
			ck_assert(item.payload + item.len + item.tailroom <= ring.bytes + ring.len);
		}
		ck_assert_int_lt(n, 1000);
		ring_release(ring, at);
	}
	shm_detach(&shm);
}
END_TEST

int main(void)
{
	TCase *t = tcase_create("handover ring");
	tcase_add_test(t, each_ordered_pair_has_its_own_ring);
	tcase_add_test(t, a_record_carries_all_that_was_said);
	tcase_add_test(t, a_payload_may_be_shorter_and_stand_elsewhere_than_reserved);
	tcase_add_test(t, a_reservation_without_commit_never_was);
	tcase_add_test(t, a_full_ring_refuses_and_takes_again_after_release);
	tcase_add_test(t, a_payload_too_large_for_the_ring_is_refused_and_the_largest_fits_a_large_one);
	tcase_add_test(t, a_successor_of_the_consumer_sees_again_what_was_not_released);
	tcase_add_test(t, records_that_lie_empty_the_ring);
	tcase_add_test(t, positions_that_lie_are_survived);
	tcase_add_test(t, random_bytes_in_a_ring_lead_nowhere);
	return run_suite(t, "shm handover ring");
}
