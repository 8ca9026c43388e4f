/* SPDX-License-Identifier: MIT
 * The MSS clamp: it changes what it must, mends the checksum, and leaves everything else alone. */
#include "common/inner/inner.h"
#include "tests/unit/inner/packets.h"

#include <check.h>
#include <stdlib.h>

enum { TCP = 6, UDP = 17, SYN = 2, ACK = 16 };

static uint8_t packet[2048], before[2048];
static size_t packet_len;

/* A TCP segment with these options (a multiple of 4 bytes), in IPv4 or IPv6, checksums right. */
static void segment(bool six, uint8_t flags, const void *options, size_t len)
{
	uint8_t tcp[60] = { 0x12, 0x34, 0, 80, 1, 2, 3, 4, 0, 0, 0, 0, (uint8_t)((20 + len) / 4 << 4), flags,
		0xff, 0xff };
	memcpy(tcp + 20, options, len);
	packet_len = six ? packet6(packet, TCP, tcp, 20 + len) : packet4(packet, TCP, tcp, 20 + len);
	inner_checksums_write(packet, packet_len);
	ck_assert(inner_checksums_right(packet, packet_len));
}

static bool clamp(uint16_t mss4, uint16_t mss6)
{
	struct inner_view view;
	memcpy(before, packet, sizeof(before));
	ck_assert_int_eq(inner_look(packet, packet_len, &view), FATE_NONE);
	bool changed = inner_clamp_mss(packet, &view, mss4, mss6);
	ck_assert(changed == (memcmp(before, packet, sizeof(before)) != 0));
	return changed;
}

START_TEST(a_large_mss_is_lowered_and_the_checksum_mended)
{
	for (int six = 0; six < 2; six++) {
		size_t value = (six ? 40 : 20) + 20 + 2;
		segment(six, SYN, "\x02\x04\x05\xb4\x01\x03\x03\x07", 8);
		ck_assert(clamp(1360, 1340));
		ck_assert_uint_eq(packet[value] << 8 | packet[value + 1], six ? 1340 : 1360);
		ck_assert(inner_checksums_right(packet, packet_len));
	}
}
END_TEST

START_TEST(a_syn_ack_is_clamped_too)
{
	segment(false, SYN | ACK, "\x02\x04\x05\xb4", 4);
	ck_assert(clamp(1360, 0));
}
END_TEST

START_TEST(an_mss_at_an_odd_offset_is_mended_right)
{
	segment(false, SYN, "\x01\x02\x04\x05\xb4\x01\x01\x01", 8);
	ck_assert(clamp(1299, 1299));
	ck_assert_mem_eq(packet + 40, "\x01\x02\x04\x05\x13", 5);
	ck_assert(inner_checksums_right(packet, packet_len));
}
END_TEST

START_TEST(what_fits_and_what_is_switched_off_is_left_alone)
{
	segment(false, SYN, "\x02\x04\x05\xb4", 4);
	ck_assert(!clamp(1460, 0));
	ck_assert(!clamp(0, 1200));
	segment(true, SYN, "\x02\x04\x05\xb4", 4);
	ck_assert(!clamp(1200, 0));
	ck_assert(!clamp(1200, 1460));
}
END_TEST

START_TEST(segments_without_syn_are_left_alone)
{
	segment(false, ACK, "\x02\x04\x05\xb4", 4);
	ck_assert(!clamp(1200, 1200));
}
END_TEST

START_TEST(other_protocols_and_later_fragments_are_left_alone)
{
	segment(false, SYN, "\x02\x04\x05\xb4", 4);
	packet[9] = UDP;
	ck_assert(!clamp(1200, 1200));
	packet[9] = TCP;
	packet[7] = 1;
	ck_assert(!clamp(1200, 1200));
}
END_TEST

START_TEST(broken_option_lists_are_left_alone)
{
	static const struct {
		const char *bytes;
		size_t len;
	} lists[] = {
		{ "", 0 },				   /* none */
		{ "\x00\x02\x04\x05\xb4\x00\x00\x00", 8 }, /* behind the end */
		{ "\x01\x01\x01\x02", 4 },		   /* kind only */
		{ "\x01\x01\x02\x04", 4 },		   /* no value */
		{ "\x01\x02\x04\x05", 4 },		   /* half a value */
		{ "\x02\x03\x05\xb4", 4 },		   /* wrong lengths */
		{ "\x02\x06\x05\xb4\x00\x00\x00\x00", 8 },
		{ "\x03\x00\x02\x04\x05\xb4\x00\x00",
			8 }, /* an option of length 0, 1, or past the end in front */
		{ "\x03\x01\x02\x04\x05\xb4\x00\x00", 8 },
		{ "\x08\xff\x02\x04\x05\xb4\x00\x00", 8 },
		{ "\x08\x09\x02\x04\x05\xb4\x00\x00", 8 },
	};
	for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
		segment(false, SYN, lists[i].bytes, lists[i].len);
		ck_assert_msg(!clamp(1200, 1200), "list %zu", i);
	}
}
END_TEST

START_TEST(odd_heads_are_left_alone)
{
	segment(false, SYN, "\x02\x04\x05\xb4", 4);
	for (unsigned words = 0; words < 16; words++) {
		packet[32] = (uint8_t)(words << 4);
		if (words != 6)
			ck_assert_msg(!clamp(1200, 1200), "%u words", words);
	}
	packet[32] = 0x60;
	for (uint8_t total = 20; total < 44; total++) {
		packet[3] = total;
		ck_assert(!clamp(1200, 1200));
	}
}
END_TEST

START_TEST(the_mended_checksum_is_the_recomputed_one_for_random_packets)
{
	uint64_t state = 7;
	unsigned changed = 0;
	for (int i = 0; i < 50000; i++) {
		uint8_t tcp[60 + 128];
		size_t options_len = 4 * (1 + random_next(&state) % 10), data_len = random_next(&state) % 128;
		random_fill(&state, tcp, sizeof(tcp));
		tcp[12] = (uint8_t)((20 + options_len) / 4 << 4);
		tcp[13] = SYN;
		size_t at = 20 + random_next(&state) % (options_len - 3);
		memset(tcp + 20, 1, options_len);
		tcp[at] = 2;
		tcp[at + 1] = 4;
		random_fill(&state, tcp + at + 2, 2);
		bool six = i % 2;
		size_t len = 20 + options_len + data_len;
		packet_len = six ? packet6(packet, TCP, tcp, len) : packet4(packet, TCP, tcp, len);
		random_fill(&state, packet + (six ? 8 : 12), six ? 32 : 8);
		inner_checksums_write(packet, packet_len);
		changed += clamp((uint16_t)random_next(&state), (uint16_t)random_next(&state));
		ck_assert_msg(inner_checksums_right(packet, packet_len), "packet %d", i);
		/* an independent full sum gives the same two bytes */
		uint8_t *sum = packet + (six ? 40 : 20) + 16;
		uint8_t mended[2] = { sum[0], sum[1] };
		inner_checksums_write(packet, packet_len);
		ck_assert_mem_eq(sum, mended, 2);
	}
	ck_assert_uint_gt(changed, 10000);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("inner/mss");
	TCase *tcase = tcase_create("mss");
	tcase_add_test(tcase, a_large_mss_is_lowered_and_the_checksum_mended);
	tcase_add_test(tcase, a_syn_ack_is_clamped_too);
	tcase_add_test(tcase, an_mss_at_an_odd_offset_is_mended_right);
	tcase_add_test(tcase, what_fits_and_what_is_switched_off_is_left_alone);
	tcase_add_test(tcase, segments_without_syn_are_left_alone);
	tcase_add_test(tcase, other_protocols_and_later_fragments_are_left_alone);
	tcase_add_test(tcase, broken_option_lists_are_left_alone);
	tcase_add_test(tcase, odd_heads_are_left_alone);
	tcase_add_test(tcase, the_mended_checksum_is_the_recomputed_one_for_random_packets);
	suite_add_tcase(suite, tcase);
	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
