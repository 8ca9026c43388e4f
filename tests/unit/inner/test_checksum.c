/* SPDX-License-Identifier: MIT
 * Checksums of whole packets, against packets whose sums others computed, and against every flipped bit. */
#include "common/inner/inner.h"
#include "tests/unit/inner/packets.h"

#include <check.h>
#include <stdlib.h>

enum { ICMP = 1, TCP = 6, UDP = 17, ICMP6 = 58, GRE = 47 };

static uint8_t packet[2048];

/* Sums added up by hand: an echo request "abcd" from 10.8.0.2 to 192.0.2.1. */
START_TEST(known_sums_are_written)
{
	size_t len = packet4(packet, ICMP,
		"\x08\x00\x00\x00\x00\x01\x00\x01"
		"abcd",
		12);
	inner_checksums_write(packet, len);
	/* 4500 0020 1234 4000 4001 0a08 0002 c000 0201 */
	ck_assert_mem_eq(packet + 10, "\x5c\x9e", 2);
	/* 0800 0001 0001 6162 6364 */
	ck_assert_mem_eq(packet + 22, "\x33\x37", 2);
	ck_assert(inner_checksums_right(packet, len));
}
END_TEST

START_TEST(every_flipped_bit_is_noticed)
{
	static const struct {
		bool six;
		uint8_t protocol;
	} kinds[] = { { false, ICMP }, { false, TCP }, { false, UDP }, { true, TCP }, { true, UDP },
		{ true, ICMP6 } };
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		uint8_t upper[27] = { 1, 2, 3, 4, 0, 27, 7, 8, 9, 10, 11, 12, 0x50, 0x10 };
		size_t len = kinds[i].six ? packet6(packet, kinds[i].protocol, upper, sizeof(upper))
					  : packet4(packet, kinds[i].protocol, upper, sizeof(upper));
		inner_checksums_write(packet, len);
		ck_assert(inner_checksums_right(packet, len));
		/* in IPv6 the head but for the addresses is not summed */
		for (size_t bit = kinds[i].six ? 8 * 8 : 0; bit < 8 * len; bit++) {
			packet[bit / 8] ^= (uint8_t)(1 << bit % 8);
			ck_assert_msg(!inner_checksums_right(packet, len), "kind %zu bit %zu", i, bit);
			packet[bit / 8] ^= (uint8_t)(1 << bit % 8);
		}
	}
}
END_TEST

START_TEST(udp_without_a_checksum_is_legal_in_ip4_only)
{
	uint8_t udp[8] = { 0, 53, 0, 53, 0, 8, 0, 0 };
	size_t len = packet4(packet, UDP, udp, sizeof(udp));
	inner_checksums_write(packet, len);
	packet[26] = packet[27] = 0;
	ck_assert(inner_checksums_right(packet, len));
	len = packet6(packet, UDP, udp, sizeof(udp));
	ck_assert(!inner_checksums_right(packet, len));
}
END_TEST

START_TEST(a_udp_sum_of_zero_is_sent_as_ones)
{
	uint8_t udp[10] = { 0, 53, 0, 53, 0, 10, 0, 0, 0, 0 };
	size_t len = packet4(packet, UDP, udp, sizeof(udp));
	inner_checksums_write(packet, len);
	/* put the sum into the data: the whole sums up to 0 then */
	memcpy(packet + 28, packet + 26, 2);
	inner_checksums_write(packet, len);
	ck_assert_mem_eq(packet + 26, "\xff\xff", 2);
	ck_assert(inner_checksums_right(packet, len));
}
END_TEST

START_TEST(short_upper_layers_are_wrong_and_untouched)
{
	uint8_t upper[20] = { 0, 53, 0, 53, 0, 8 };
	for (size_t n = 0; n < 20; n++) {
		size_t len = packet4(packet, TCP, upper, n);
		inner_checksums_write(packet, len);
		ck_assert(!inner_checksums_right(packet, len));
		ck_assert_mem_eq(packet + 20, upper, n);
	}
	for (uint8_t own = 0; own < 12; own++) {
		upper[5] = own;
		size_t len = packet4(packet, UDP, upper, 10);
		inner_checksums_write(packet, len);
		ck_assert(inner_checksums_right(packet, len) == (own >= 8 && own <= 10));
	}
}
END_TEST

START_TEST(of_fragments_and_strangers_the_head_alone_is_checked)
{
	uint8_t upper[20] = { 1, 2, 3 };
	size_t len = packet4(packet, GRE, upper, sizeof(upper));
	inner_checksums_write(packet, len);
	ck_assert(inner_checksums_right(packet, len));
	packet[8]--;
	ck_assert(!inner_checksums_right(packet, len));
	len = packet4(packet, TCP, upper, sizeof(upper));
	packet[6] = 0x20;
	inner_checksums_write(packet, len);
	ck_assert(inner_checksums_right(packet, len));
	ck_assert_mem_eq(packet + 20, upper, sizeof(upper));
}
END_TEST

START_TEST(what_is_no_packet_is_never_right)
{
	memset(packet, 0, sizeof(packet));
	ck_assert(!inner_checksums_right(packet, 0));
	ck_assert(!inner_checksums_right(packet, 40));
	inner_checksums_write(packet, 40);
	for (size_t i = 0; i < 40; i++)
		ck_assert_uint_eq(packet[i], 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("inner/checksum");
	TCase *tcase = tcase_create("checksum");
	tcase_add_test(tcase, known_sums_are_written);
	tcase_add_test(tcase, every_flipped_bit_is_noticed);
	tcase_add_test(tcase, udp_without_a_checksum_is_legal_in_ip4_only);
	tcase_add_test(tcase, a_udp_sum_of_zero_is_sent_as_ones);
	tcase_add_test(tcase, short_upper_layers_are_wrong_and_untouched);
	tcase_add_test(tcase, of_fragments_and_strangers_the_head_alone_is_checked);
	tcase_add_test(tcase, what_is_no_packet_is_never_right);
	suite_add_tcase(suite, tcase);
	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
