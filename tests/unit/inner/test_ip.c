/* SPDX-License-Identifier: MIT
 * Packets seen as IPv4 and IPv6. */
#include "common/inner/inner.h"
#include "tests/unit/inner/packets.h"

#include <check.h>
#include <stdlib.h>

enum { TCP = 6, UDP = 17, NO_NEXT = 59, ESP = 50 };

static uint8_t packet[4096];
static struct inner_view view;

static void refused(size_t len)
{
	ck_assert_int_eq(inner_look(packet, len, &view), FATE_BAD_PACKET);
}

static void accepted(size_t len)
{
	ck_assert_int_eq(inner_look(packet, len, &view), FATE_NONE);
}

static void expect_address(const struct inner_address *address, const char *text)
{
	char out[46];
	ck_assert_str_eq(inner_address_text(address, out, sizeof(out)), text);
}

START_TEST(an_ip4_packet_is_understood)
{
	size_t len = packet4(packet, UDP, "12345678", 8);
	accepted(len);
	expect_address(&view.source, "10.8.0.2");
	expect_address(&view.destination, "192.0.2.1");
	ck_assert_uint_eq(view.protocol, UDP);
	ck_assert_uint_eq(view.upper_offset, 20);
	ck_assert_uint_eq(view.length, 28);
	ck_assert(!view.fragment && !view.multicast);
}
END_TEST

START_TEST(an_ip6_packet_is_understood)
{
	size_t len = packet6(packet, TCP, "12345678", 8);
	accepted(len);
	expect_address(&view.source, "fd00::2");
	expect_address(&view.destination, "2001:db8::1");
	ck_assert_uint_eq(view.protocol, TCP);
	ck_assert_uint_eq(view.upper_offset, 40);
	ck_assert_uint_eq(view.length, 48);
	ck_assert(!view.fragment && !view.multicast);
}
END_TEST

START_TEST(every_cut_packet_is_refused)
{
	size_t len = packet4(packet, UDP, "12345678", 8);
	for (size_t cut = 0; cut < len; cut++)
		refused(cut);
	len = packet6(packet, UDP, "12345678", 8);
	for (size_t cut = 0; cut < len; cut++)
		refused(cut);
}
END_TEST

START_TEST(other_versions_are_refused)
{
	size_t len = packet4(packet, UDP, packet + 1024, 100);
	for (unsigned version = 0; version < 16; version++) {
		packet[0] = (uint8_t)(version << 4 | 5);
		ck_assert((inner_look(packet, len, &view) == FATE_NONE) == (version == 4));
	}
}
END_TEST

START_TEST(an_ip4_head_has_5_to_15_words_that_are_there)
{
	size_t len = packet4(packet, UDP, packet + 1024, 20);
	for (unsigned words = 0; words < 16; words++) {
		packet[0] = (uint8_t)(0x40 | words);
		bool legal = words >= 5 && words <= 10;
		ck_assert((inner_look(packet, len, &view) == FATE_NONE) == legal);
		if (legal)
			ck_assert_uint_eq(view.upper_offset, 4 * words);
	}
}
END_TEST

START_TEST(an_ip4_total_length_lies_between_head_and_packet)
{
	size_t len = packet4(packet, UDP, packet + 1024, 20);
	for (unsigned total = 0; total < 100; total++) {
		packet[3] = (uint8_t)total;
		bool legal = total >= 20 && total <= len;
		ck_assert((inner_look(packet, len, &view) == FATE_NONE) == legal);
		if (legal)
			ck_assert_uint_eq(view.length, total);
	}
}
END_TEST

START_TEST(an_ip6_payload_lies_inside_the_packet)
{
	size_t len = packet6(packet, UDP, packet + 1024, 20);
	for (unsigned payload = 0; payload < 100; payload++) {
		packet[5] = (uint8_t)payload;
		ck_assert((inner_look(packet, len, &view) == FATE_NONE) == (payload <= 20));
	}
	packet[4] = 0xff;
	refused(len);
}
END_TEST

START_TEST(a_packet_over_65535_bytes_is_refused)
{
	uint8_t *big = calloc(1, 70000);
	ck_assert_ptr_nonnull(big);
	packet6(big, UDP, "", 0);
	big[4] = 0xff;
	big[5] = 0xff - 40;
	ck_assert_int_eq(inner_look(big, 70000, &view), FATE_NONE);
	ck_assert_uint_eq(view.length, 65535);
	big[5]++;
	ck_assert_int_eq(inner_look(big, 70000, &view), FATE_BAD_PACKET);
	free(big);
}
END_TEST

START_TEST(fragments_are_seen_in_ip4)
{
	size_t len = packet4(packet, TCP, packet + 1024, 40);
	memcpy(packet + 6, "\x20\x00", 2); /* first, more follow */
	accepted(len);
	ck_assert(view.fragment);
	ck_assert_uint_eq(view.upper_offset, 20);
	memcpy(packet + 6, "\x00\x01", 2); /* last */
	accepted(len);
	ck_assert(view.fragment);
	ck_assert_uint_eq(view.upper_offset, 0);
	ck_assert_uint_eq(view.protocol, TCP);
	memcpy(packet + 6, "\x80\x00", 2); /* the reserved bit is no fragment */
	accepted(len);
	ck_assert(!view.fragment);
}
END_TEST

START_TEST(fragments_are_seen_in_ip6)
{
	uint8_t upper[48] = { TCP, 0, 0x00, 0x01, 0, 0, 0, 1 };
	size_t len = packet6(packet, 44, upper, sizeof(upper));
	accepted(len);
	ck_assert(view.fragment);
	ck_assert_uint_eq(view.protocol, TCP);
	ck_assert_uint_eq(view.upper_offset, 48);
	packet[40 + 3] = 0x08; /* later */
	accepted(len);
	ck_assert(view.fragment);
	ck_assert_uint_eq(view.protocol, TCP);
	ck_assert_uint_eq(view.upper_offset, 0);
	packet[40 + 3] = 0x00; /* an atomic fragment */
	packet[40 + 1] = 0xff; /* reserved, not a length */
	accepted(len);
	ck_assert_uint_eq(view.upper_offset, 48);
	packet[5] = 7;
	refused(len);
}
END_TEST

START_TEST(a_later_fragments_bytes_are_not_taken_for_headers)
{
	uint8_t upper[16] = { 0, 0, 0x00, 0x08, 0, 0, 0, 1, 0xff, 0xff };
	size_t len = packet6(packet, 44, upper, sizeof(upper));
	accepted(len);
	ck_assert_uint_eq(view.protocol, 0);
	ck_assert_uint_eq(view.upper_offset, 0);
}
END_TEST

START_TEST(extension_headers_are_followed_by_their_lengths)
{
	/* hop-by-hop 16 bytes, AH 24 bytes, destination options 8 bytes, UDP */
	uint8_t upper[56] = { 51, 1 };
	upper[16] = 60, upper[17] = 4;
	upper[40] = UDP;
	size_t len = packet6(packet, 0, upper, sizeof(upper));
	accepted(len);
	ck_assert_uint_eq(view.protocol, UDP);
	ck_assert_uint_eq(view.upper_offset, 40 + 48);
	for (size_t payload = 0; payload < 48; payload++) {
		packet[5] = (uint8_t)payload;
		refused(len);
	}
	packet[5] = 48; /* all headers, nothing behind them */
	accepted(len);
	ck_assert_uint_eq(view.upper_offset, view.length);
}
END_TEST

START_TEST(eight_extension_headers_are_followed_and_no_more)
{
	uint8_t upper[9 * 8] = { 0 };
	for (unsigned count = 1; count <= 9; count++) {
		for (unsigned i = 0; i < count; i++)
			upper[8 * i] = i + 1 == count ? TCP : 60;
		size_t len = packet6(packet, 60, upper, 8 * count);
		accepted(len);
		ck_assert_uint_eq(view.protocol, count <= 8 ? TCP : 60);
		ck_assert_uint_eq(view.upper_offset, count <= 8 ? 40 + 8 * count : 0);
	}
}
END_TEST

START_TEST(an_extension_header_of_2048_bytes_must_be_there)
{
	uint8_t upper[64] = { TCP, 255 };
	refused(packet6(packet, 60, upper, sizeof(upper)));
	refused(packet6(packet, 51, upper, sizeof(upper)));
}
END_TEST

START_TEST(what_cannot_be_followed_is_the_upper_layer)
{
	accepted(packet6(packet, ESP, "12345678", 8));
	ck_assert_uint_eq(view.protocol, ESP);
	ck_assert_uint_eq(view.upper_offset, 40);
	accepted(packet6(packet, NO_NEXT, "", 0));
	ck_assert_uint_eq(view.protocol, NO_NEXT);
}
END_TEST

START_TEST(multicast_and_the_limited_broadcast_are_marked)
{
	const struct {
		uint8_t address[4];
		bool multicast;
	} known[] = { { { 224, 0, 0, 1 }, true }, { { 239, 255, 255, 255 }, true },
		{ { 255, 255, 255, 255 }, true }, { { 223, 255, 255, 255 }, false },
		{ { 240, 0, 0, 1 }, false }, { { 255, 255, 255, 254 }, false },
		{ { 10, 8, 0, 255 }, false } };
	size_t len = packet4(packet, UDP, "", 0);
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		memcpy(packet + 16, known[i].address, 4);
		accepted(len);
		ck_assert(view.multicast == known[i].multicast);
	}
	len = packet6(packet, UDP, "", 0);
	packet[24] = 0xff;
	accepted(len);
	ck_assert(view.multicast);
	packet[24] = 0xfe;
	accepted(len);
	ck_assert(!view.multicast);
}
END_TEST

START_TEST(addresses_of_two_families_are_never_equal)
{
	struct inner_address a = { .family = INNER_IP4, .bytes = { 1, 2, 3, 4 } }, b = a;
	ck_assert(inner_address_equal(&a, &b));
	b.family = INNER_IP6;
	ck_assert(!inner_address_equal(&a, &b));
	b = a;
	b.bytes[3] = 5;
	ck_assert(!inner_address_equal(&a, &b));
}
END_TEST

START_TEST(an_address_without_room_is_empty_text)
{
	struct inner_address a = { .family = INNER_IP4, .bytes = { 10, 11, 12, 13 } };
	char out[46] = "x";
	ck_assert_str_eq(inner_address_text(&a, out, 11), "");
	ck_assert_str_eq(inner_address_text(&a, out, 12), "10.11.12.13");
	a.family = INNER_NONE;
	ck_assert_str_eq(inner_address_text(&a, out, sizeof(out)), "none");
	ck_assert_ptr_eq(inner_address_text(&a, out, 0), out);
}
END_TEST

START_TEST(random_bytes_never_point_outside)
{
	uint64_t state = 1;
	for (int i = 0; i < 100000; i++) {
		size_t len = random_next(&state) % 120;
		uint8_t *exact = malloc(len ? len : 1);
		ck_assert_ptr_nonnull(exact);
		random_fill(&state, exact, len);
		if (len > 6)
			exact[0] = i % 2 ? 0x60 : 0x45, exact[2] = exact[4] = 0;
		if (inner_look(exact, len, &view) == FATE_NONE) {
			ck_assert_uint_le(view.length, len);
			ck_assert_uint_le(view.upper_offset, view.length);
		}
		free(exact);
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("inner/ip");
	TCase *tcase = tcase_create("ip");
	tcase_add_test(tcase, an_ip4_packet_is_understood);
	tcase_add_test(tcase, an_ip6_packet_is_understood);
	tcase_add_test(tcase, every_cut_packet_is_refused);
	tcase_add_test(tcase, other_versions_are_refused);
	tcase_add_test(tcase, an_ip4_head_has_5_to_15_words_that_are_there);
	tcase_add_test(tcase, an_ip4_total_length_lies_between_head_and_packet);
	tcase_add_test(tcase, an_ip6_payload_lies_inside_the_packet);
	tcase_add_test(tcase, a_packet_over_65535_bytes_is_refused);
	tcase_add_test(tcase, fragments_are_seen_in_ip4);
	tcase_add_test(tcase, fragments_are_seen_in_ip6);
	tcase_add_test(tcase, a_later_fragments_bytes_are_not_taken_for_headers);
	tcase_add_test(tcase, extension_headers_are_followed_by_their_lengths);
	tcase_add_test(tcase, eight_extension_headers_are_followed_and_no_more);
	tcase_add_test(tcase, an_extension_header_of_2048_bytes_must_be_there);
	tcase_add_test(tcase, what_cannot_be_followed_is_the_upper_layer);
	tcase_add_test(tcase, multicast_and_the_limited_broadcast_are_marked);
	tcase_add_test(tcase, addresses_of_two_families_are_never_equal);
	tcase_add_test(tcase, an_address_without_room_is_empty_text);
	tcase_add_test(tcase, random_bytes_never_point_outside);
	suite_add_tcase(suite, tcase);
	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
