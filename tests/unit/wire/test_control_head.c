/* SPDX-License-Identifier: MIT
 * Bodies of control packets; the samples are those of OpenVPN's tests/unit_tests/openvpn/test_pkt.c, from the
 * byte behind the session id on. */
#include "common/wire/wire.h"

#include <check.h>
#include <stdlib.h>

static const uint8_t with_ack[] = { 1, 0, 0, 0, 0, 0xea, 0xfe, 0xbf, 0xa4, 0x41, 0x8a, 0xe3, 0x1b, 0, 0, 0, 1,
	0x16, 0x03, 0x01 };
static const uint8_t ack_only[] = { 1, 0, 0, 0, 0, 0xdd, 0x85, 0xdb, 0x53, 0x56, 0x23, 0xb0, 0x2e };

START_TEST(a_control_body_gives_acks_message_and_payload)
{
	struct control_head head;
	ck_assert(wire_read_control(OP_CONTROL_V1, bytes_of(with_ack, sizeof(with_ack)), &head));
	ck_assert_uint_eq(head.ack_count, 1);
	ck_assert_uint_eq(head.acks[0], 0);
	ck_assert_uint_eq(head.acked, 0xeafebfa4418ae31b);
	ck_assert_uint_eq(head.message, 1);
	ck_assert_uint_eq(head.payload.left, 3);
	ck_assert_mem_eq(head.payload.at, "\x16\x03\x01", 3);
}
END_TEST

START_TEST(an_ack_has_no_message)
{
	struct control_head head;
	ck_assert(wire_read_control(OP_ACK_V1, bytes_of(ack_only, sizeof(ack_only)), &head));
	ck_assert_uint_eq(head.acked, 0xdd85db535623b02e);
	ck_assert_uint_eq(head.payload.left, 0);
}
END_TEST

START_TEST(a_reset_without_acks_is_five_bytes)
{
	struct control_head head;
	ck_assert(wire_read_control(OP_HARD_RESET_CLIENT_V2, bytes_of("\0\0\0\0\0", 5), &head));
	ck_assert_uint_eq(head.ack_count, 0);
	ck_assert_uint_eq(head.acked, 0);
	ck_assert_uint_eq(head.message, 0);
	ck_assert_uint_eq(head.payload.left, 0);
}
END_TEST

START_TEST(every_cut_body_is_refused)
{
	struct control_head head;
	for (size_t len = 0; len < 17; len++)
		ck_assert(!wire_read_control(OP_CONTROL_V1, bytes_of(with_ack, len), &head));
	for (size_t len = 0; len < sizeof(ack_only); len++)
		ck_assert(!wire_read_control(OP_ACK_V1, bytes_of(ack_only, len), &head));
}
END_TEST

START_TEST(eight_acks_are_read_and_nine_are_refused)
{
	struct control_head head;
	uint8_t body[64] = { 8 };
	ck_assert(wire_read_control(OP_ACK_V1, bytes_of(body, sizeof(body)), &head));
	ck_assert_uint_eq(head.ack_count, 8);
	body[0] = 9;
	ck_assert(!wire_read_control(OP_ACK_V1, bytes_of(body, sizeof(body)), &head));
	ck_assert_uint_eq(head.ack_count, 0);
	body[0] = 255;
	ck_assert(!wire_read_control(OP_CONTROL_V1, bytes_of(body, sizeof(body)), &head));
}
END_TEST

START_TEST(a_data_opcode_has_no_control_body)
{
	struct control_head head;
	uint8_t out[64];
	ck_assert(!wire_read_control(OP_DATA_V1, bytes_of(with_ack, sizeof(with_ack)), &head));
	ck_assert(!wire_read_control(OP_DATA_V2, bytes_of(with_ack, sizeof(with_ack)), &head));
	ck_assert_uint_eq(wire_write_control(OP_DATA_V2, &head, out, sizeof(out)), 0);
}
END_TEST

START_TEST(what_is_written_is_what_was_read)
{
	struct control_head head;
	uint8_t out[64];
	ck_assert(wire_read_control(OP_CONTROL_V1, bytes_of(with_ack, sizeof(with_ack)), &head));
	ck_assert_uint_eq(wire_write_control(OP_CONTROL_V1, &head, out, sizeof(out)), sizeof(with_ack));
	ck_assert_mem_eq(out, with_ack, sizeof(with_ack));
	ck_assert(wire_read_control(OP_ACK_V1, bytes_of(ack_only, sizeof(ack_only)), &head));
	ck_assert_uint_eq(wire_write_control(OP_ACK_V1, &head, out, sizeof(out)), sizeof(ack_only));
	ck_assert_mem_eq(out, ack_only, sizeof(ack_only));
}
END_TEST

START_TEST(nothing_is_written_without_room_or_with_too_many_acks)
{
	struct control_head head;
	uint8_t out[128];
	ck_assert(wire_read_control(OP_CONTROL_V1, bytes_of(with_ack, sizeof(with_ack)), &head));
	for (size_t room = 0; room < sizeof(with_ack); room++)
		ck_assert_uint_eq(wire_write_control(OP_CONTROL_V1, &head, out, room), 0);
	head.ack_count = WIRE_MAX_ACKS + 1;
	ck_assert_uint_eq(wire_write_control(OP_CONTROL_V1, &head, out, sizeof(out)), 0);
}
END_TEST

START_TEST(the_overhead_is_what_stands_in_front_of_the_payload)
{
	uint8_t out[128];
	for (uint8_t acks = 0; acks <= WIRE_MAX_ACKS; acks++) {
		struct control_head head = { .ack_count = acks };
		ck_assert_uint_eq(wire_write_control(OP_CONTROL_V1, &head, out, sizeof(out)),
			wire_control_overhead(acks));
	}
	ck_assert_uint_eq(wire_control_overhead(0), 5);
	ck_assert_uint_eq(wire_control_overhead(1), 17);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("wire/control_head");
	TCase *tcase = tcase_create("control_head");
	tcase_add_test(tcase, a_control_body_gives_acks_message_and_payload);
	tcase_add_test(tcase, an_ack_has_no_message);
	tcase_add_test(tcase, a_reset_without_acks_is_five_bytes);
	tcase_add_test(tcase, every_cut_body_is_refused);
	tcase_add_test(tcase, eight_acks_are_read_and_nine_are_refused);
	tcase_add_test(tcase, a_data_opcode_has_no_control_body);
	tcase_add_test(tcase, what_is_written_is_what_was_read);
	tcase_add_test(tcase, nothing_is_written_without_room_or_with_too_many_acks);
	tcase_add_test(tcase, the_overhead_is_what_stands_in_front_of_the_payload);
	suite_add_tcase(suite, tcase);
	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
