/* SPDX-License-Identifier: MIT
 * Super packets cut: one made by hand, every size, and everything that a device should not say. */
#include "common/inner/inner.h"
#include "tests/unit/inner/trains.h"

#include <stdlib.h>

static uint8_t super[65536];
static uint8_t segment[65536];
static struct inner_cut cut;

/* A super packet of a kind, as the kernel gives it: heads of 20 or 40, and 32 or 8 bytes; the partial sum in
 * place. */
static size_t make_super(
	unsigned kind, uint8_t flags, uint32_t payload, uint16_t size, struct inner_offload *offload)
{
	bool four = kind == FLOW_TCP4 || kind == FLOW_UDP4, tcp = kind == FLOW_TCP4 || kind == FLOW_TCP6;
	uint32_t ip = four ? 20 : 40, head = ip + (tcp ? 32 : 8), len = head + payload;
	static const uint8_t address4[] = { 10, 8, 0, 2, 192, 0, 2, 1 };

	memset(super, 0, sizeof(super));
	struct bytes_out to = bytes_into(super, sizeof(super));
	if (four) {
		write_u16(&to, 0x4502);
		write_u16(&to, (uint16_t)len);
		write_u32(&to, 0xffff4000);
		write_u16(&to, (uint16_t)(64 << 8 | (tcp ? 6 : 17)));
		write_u16(&to, 0xdead); /* whatever stands there */
		write_data(&to, address4, 8);
	} else {
		write_u32(&to, 0x60000000);
		write_u16(&to, (uint16_t)(len - 40));
		write_u16(&to, (uint16_t)((tcp ? 6 : 17) << 8 | 64));
		for (unsigned i = 0; i < 32; i++)
			write_u8(&to, (uint8_t)(0xf0 + i));
	}
	write_u32(&to, 0x04d21389);
	if (tcp) {
		write_u32(&to, 0xfffffff0);
		write_u32(&to, 7);
		write_u16(&to, (uint16_t)(8 << 12 | flags));
		write_u16(&to, 1000);
		write_u32(&to, 0xbeef0000);
		for (unsigned i = 0; i < 12; i++)
			write_u8(&to, 1);
	} else {
		write_u16(&to, (uint16_t)(len - ip));
		write_u16(&to, 0xbeef);
	}
	for (uint32_t i = 0; i < payload; i++)
		write_u8(&to, (uint8_t)(i * 31 + (i >> 8)));
	*offload = (struct inner_offload){ .flags = INNER_SUM_MISSING,
		.train = !tcp	? INNER_TRAIN_UDP
			 : four ? INNER_TRAIN_TCP4
				: INNER_TRAIN_TCP6,
		.head_len = (uint16_t)head,
		.size = size,
		.sum_start = (uint16_t)ip,
		.sum_offset = tcp ? 16 : 6 };
	return len;
}

static uint32_t get(const uint8_t *at, unsigned len)
{
	uint32_t value = 0;
	for (unsigned i = 0; i < len; i++)
		value = value << 8 | at[i];
	return value;
}

/* Every segment has the heads it should have, and all the payload is there in order. */
static void cut_all(unsigned kind, uint8_t flags, uint32_t payload, uint16_t size)
{
	struct inner_offload offload;
	size_t len = make_super(kind, flags, payload, size, &offload), at = 0, got;
	bool four = kind == FLOW_TCP4 || kind == FLOW_UDP4, tcp = kind == FLOW_TCP4 || kind == FLOW_TCP6;
	uint32_t ip = four ? 20 : 40, head = ip + (tcp ? 32 : 8),
		 count = payload ? (payload + size - 1) / size : 1;

	ck_assert_int_eq(inner_cut_begin(&cut, &offload, super, len), FATE_NONE);
	ck_assert_uint_eq(cut.count, count);
	ck_assert_uint_eq(cut.first_len, head + (payload < size ? payload : size));
	for (uint32_t n = 0; n < count; n++) {
		memset(segment, 0xee, sizeof(segment));
		got = inner_cut_next(&cut, segment);
		uint32_t here = n + 1 < count ? size : payload - n * size;
		ck_assert_uint_eq(got, head + here);
		ck_assert_uint_eq(segment[got], 0xee);
		ck_assert_mem_eq(segment + head, super + head + at, here);
		ck_assert(inner_checksums_right(segment, got));
		if (four) {
			ck_assert_uint_eq(get(segment + 4, 2), (0xffff + n) & 0xffff);
			ck_assert_mem_eq(segment + 6, super + 6, 4);
			ck_assert_mem_eq(segment + 12, super + 12, 8);
		}
		if (tcp) {
			uint8_t want = flags;
			if (n)
				want &= (uint8_t)~TCP_CWR;
			if (n + 1 < count)
				want &= (uint8_t) ~(TCP_FIN | TCP_PSH);
			ck_assert_uint_eq(segment[ip + 13], want);
			ck_assert_uint_eq(get(segment + ip + 4, 4), (uint32_t)(0xfffffff0 + at));
			ck_assert_mem_eq(segment + ip + 14, super + ip + 14, 2);
			ck_assert_mem_eq(segment + ip + 18, super + ip + 18, 14);
		} else {
			ck_assert_uint_eq(get(segment + ip + 4, 2), 8 + here);
		}
		at += here;
	}
	ck_assert_uint_eq(at, payload);
	ck_assert_uint_eq(inner_cut_next(&cut, segment), 0);
}

START_TEST(every_kind_is_cut_at_every_odd_size)
{
	static const uint32_t payloads[] = { 0, 1, 2, 31, 32, 33, 1447, 1448, 1449, 2896, 2897, 20000,
		65000 };
	static const uint16_t sizes[] = { 1, 7, 8, 9, 63, 64, 536, 1447, 1448, 9000, 65535 };
	for (unsigned kind = 0; kind < FLOW_KINDS; kind++)
		for (unsigned p = 0; p < sizeof(payloads) / sizeof(payloads[0]); p++)
			for (unsigned s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++)
				if (payloads[p] / sizes[s] < 3000)
					cut_all(kind, TCP_ACK | TCP_PSH | TCP_FIN | TCP_CWR | TCP_ECE,
						payloads[p], sizes[s]);
}
END_TEST

/* Heads alone, and the segments made whole inside the super packet, one after the other: what sealing does. */
START_TEST(a_segment_can_be_made_whole_where_its_payload_lies)
{
	static const uint16_t sizes[] = { 1, 9, 64, 536, 1448, 9000 };
	static uint8_t original[sizeof(super)], heads[4096][128];
	static uint8_t *payloads[4096];
	static size_t lens[4096];
	for (unsigned kind = 0; kind < FLOW_KINDS; kind++)
		for (unsigned s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++) {
			struct inner_offload offload;
			size_t len = make_super(kind, TCP_ACK | TCP_PSH | TCP_CWR, sizes[s] == 1 ? 3000 : 20000, sizes[s],
				&offload);
			unsigned n = 0;
			memcpy(original, super, sizeof(super));
			ck_assert_int_eq(inner_cut_begin(&cut, &offload, super, len), FATE_NONE);
			while ((lens[n] = inner_cut_head(&cut, heads[n], &payloads[n])))
				n++;
			struct inner_cut again;
			ck_assert_int_eq(inner_cut_begin(&again, &offload, original, len), FATE_NONE);
			for (unsigned i = 0; i < n; i++) {
				uint8_t *whole = payloads[i] - cut.head_len;
				memcpy(whole, heads[i], cut.head_len);
				ck_assert_uint_eq(inner_cut_next(&again, segment), lens[i]);
				ck_assert_mem_eq(whole, segment, lens[i]);
			}
			ck_assert_uint_eq(inner_cut_next(&again, segment), 0);
		}
}
END_TEST

START_TEST(options_of_ip4_go_with_every_segment)
{
	struct inner_offload offload;
	size_t len = make_super(FLOW_TCP4, TCP_ACK, 3000, 1000, &offload);
	memmove(super + 24, super + 20, len - 20);
	memcpy(super + 20, "\x94\x04\x00\x00", 4); /* router alert */
	super[0] = 0x46;
	super[3] = (uint8_t)(super[3] + 4);
	offload.sum_start = 24;
	ck_assert_int_eq(inner_cut_begin(&cut, &offload, super, len + 4), FATE_NONE);
	for (unsigned i = 0; i < 3; i++) {
		ck_assert_uint_eq(inner_cut_next(&cut, segment), 56 + 1000);
		ck_assert(inner_checksums_right(segment, 1056));
		ck_assert_mem_eq(segment + 20, "\x94\x04\x00\x00", 4);
	}
}
END_TEST

START_TEST(what_a_device_should_not_say_is_refused)
{
	struct inner_offload good, o;
	size_t len = make_super(FLOW_TCP4, TCP_ACK, 3000, 1000, &good);
	uint8_t saved[64];
	memcpy(saved, super, 64);
#define REFUSED(change)                                                                                      \
	do {                                                                                                 \
		o = good;                                                                                    \
		memcpy(super, saved, 64);                                                                    \
		change;                                                                                      \
		ck_assert_int_eq(inner_cut_begin(&cut, &o, super, len), FATE_BAD_PACKET);                    \
	} while (0)
	REFUSED(o.flags = 0);
	REFUSED(o.size = 0);
	REFUSED(o.train = INNER_TRAIN_TCP6);
	REFUSED(o.train = INNER_TRAIN_UDP);
	REFUSED(o.train = 3); /* UDP fragmentation: nobody asked for it */
	REFUSED(o.train = 77);
	REFUSED(o.sum_start = 21);
	REFUSED(o.sum_start = 0xffff);
	REFUSED(o.sum_offset = 6);
	REFUSED(super[33] |= TCP_SYN);
	REFUSED(super[32] = 4 << 4);
	REFUSED(super[6] = 0x20);
	REFUSED(super[7] = 1);
	REFUSED(super[9] = 17);
	REFUSED(super[9] = 1);
	REFUSED(super[0] = 0x44);
	REFUSED(super[0] = 0x4f); /* its options would be the TCP head */
	REFUSED(super[2] = 0xff);
	/* A TCP head that goes beyond the packet, one of less than 20 bytes. */
	REFUSED(super[2] = 0; super[3] = 51);
	REFUSED(super[2] = 0; super[3] = 39);
	for (size_t cut_off = 0; cut_off < len; cut_off += 97)
		ck_assert_int_eq(
			inner_cut_begin(&cut, &good, saved, cut_off < 64 ? cut_off : 63), FATE_BAD_PACKET);

	len = make_super(FLOW_TCP6, TCP_ACK, 3000, 1000, &good);
	memcpy(saved, super, 64);
	REFUSED(super[6] = 0); /* extension headers, whatever they are */
	REFUSED(super[6] = 44);
	REFUSED(super[6] = 60);
	len = make_super(FLOW_UDP4, 0, 3000, 1000, &good);
	memcpy(saved, super, 64);
	REFUSED(o.train = INNER_TRAIN_TCP4);
	REFUSED(o.train = INNER_TRAIN_UDP | INNER_TRAIN_ECN);
	REFUSED(o.sum_offset = 16);
	REFUSED(super[2] = 0; super[3] = 27);
#undef REFUSED
}
END_TEST

START_TEST(bytes_behind_the_packet_are_nobodys)
{
	struct inner_offload offload;
	size_t len = make_super(FLOW_UDP6, 0, 300, 200, &offload);
	ck_assert_int_eq(inner_cut_begin(&cut, &offload, super, len + 100), FATE_NONE);
	ck_assert_uint_eq(inner_cut_next(&cut, segment), 248);
	ck_assert_uint_eq(inner_cut_next(&cut, segment), 148);
	ck_assert_uint_eq(inner_cut_next(&cut, segment), 0);
}
END_TEST

START_TEST(a_sum_left_to_the_device_is_finished)
{
	/* An "upper layer" of odd length at 4 whose checksum field holds the pseudo header's sum, 0x1234. */
	uint8_t packet[] = { 9, 9, 9, 9, 0x00, 0x01, 0x12, 0x34, 0xf0 };
	struct inner_offload o = { .flags = INNER_SUM_MISSING, .sum_start = 4, .sum_offset = 2 };
	/* 0x0001 + 0x1234 + 0xf000 = 0x10235, folded 0x0236, inverted 0xfdc9 */
	const uint8_t finished[] = { 9, 9, 9, 9, 0x00, 0x01, 0xfd, 0xc9, 0xf0 };

	ck_assert_int_eq(inner_finish_sum(&o, packet, sizeof(packet)), FATE_NONE);
	ck_assert_mem_eq(packet, finished, sizeof(finished));
	o.sum_start = sizeof(packet);
	ck_assert_int_eq(inner_finish_sum(&o, packet, sizeof(packet)), FATE_BAD_PACKET);
	o.sum_start = 4;
	o.sum_offset = 4;
	ck_assert_int_eq(inner_finish_sum(&o, packet, sizeof(packet)), FATE_BAD_PACKET);
	o.sum_start = o.sum_offset = 0xffff;
	ck_assert_int_eq(inner_finish_sum(&o, packet, sizeof(packet)), FATE_BAD_PACKET);
	ck_assert_int_eq(inner_finish_sum(&o, packet, 0), FATE_BAD_PACKET);
	ck_assert_mem_eq(packet, finished, sizeof(finished));
	uint8_t ones[] = { 0xff, 0xff, 0, 0 };
	o.sum_start = 0;
	o.sum_offset = 2;
	ck_assert_int_eq(inner_finish_sum(&o, ones, sizeof(ones)), FATE_NONE);
	ck_assert_uint_eq(get(ones + 2, 2), 0xffff);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("inner/split");
	TCase *tcase = tcase_create("split");
	tcase_set_timeout(tcase, 30);
	tcase_add_test(tcase, every_kind_is_cut_at_every_odd_size);
	tcase_add_test(tcase, a_segment_can_be_made_whole_where_its_payload_lies);
	tcase_add_test(tcase, options_of_ip4_go_with_every_segment);
	tcase_add_test(tcase, what_a_device_should_not_say_is_refused);
	tcase_add_test(tcase, bytes_behind_the_packet_are_nobodys);
	tcase_add_test(tcase, a_sum_left_to_the_device_is_finished);
	suite_add_tcase(suite, tcase);
	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
