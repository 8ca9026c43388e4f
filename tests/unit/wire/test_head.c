/* SPDX-License-Identifier: MIT
 * The first bytes of a datagram. */
#include "common/wire/wire.h"

#include <check.h>
#include <stdlib.h>

START_TEST(an_opener_has_opcode_and_key_id_and_no_peer)
{
	struct wire_head head;
	ck_assert(wire_read_head("\x38", 1, &head));
	ck_assert_uint_eq(head.opcode, OP_HARD_RESET_CLIENT_V2);
	ck_assert_uint_eq(head.key_id, 0);
	ck_assert_uint_eq(head.peer_id, WIRE_PEER_ID_NONE);
}
END_TEST

START_TEST(a_data_v2_carries_its_peer_id_in_24_bits)
{
	struct wire_head head;
	ck_assert(wire_read_head("\x4d\x01\x02\x03\xff", 5, &head));
	ck_assert_uint_eq(head.opcode, OP_DATA_V2);
	ck_assert_uint_eq(head.key_id, 5);
	ck_assert_uint_eq(head.peer_id, 0x010203);
	ck_assert(wire_read_head("\x48\xff\xff\xff", 4, &head));
	ck_assert_uint_eq(head.peer_id, WIRE_PEER_ID_NONE);
}
END_TEST

START_TEST(a_data_v1_has_no_peer_id)
{
	struct wire_head head;
	ck_assert(wire_read_head("\x37\x01\x02\x03", 4, &head));
	ck_assert_uint_eq(head.opcode, OP_DATA_V1);
	ck_assert_uint_eq(head.key_id, 7);
	ck_assert_uint_eq(head.peer_id, WIRE_PEER_ID_NONE);
}
END_TEST

START_TEST(nothing_and_a_cut_data_v2_are_refused)
{
	struct wire_head head;
	ck_assert(!wire_read_head("", 0, &head));
	for (size_t len = 1; len < 4; len++)
		ck_assert(!wire_read_head("\x48\x00\x00\x01", len, &head));
}
END_TEST

START_TEST(only_opcodes_3_to_11_are_accepted)
{
	struct wire_head head;
	for (unsigned opcode = 0; opcode < 32; opcode++) {
		uint8_t datagram[20] = { (uint8_t)(opcode << 3) };
		bool legal = opcode >= 3 && opcode <= 11;
		ck_assert(wire_read_head(datagram, sizeof(datagram), &head) == legal);
		ck_assert(wire_is_control((uint8_t)opcode) == (legal && opcode != 6 && opcode != 9));
		ck_assert(
			wire_is_hard_reset((uint8_t)opcode) == (opcode == 7 || opcode == 8 || opcode == 10));
		ck_assert((wire_opcode_name((uint8_t)opcode)[0] != '?') == legal);
	}
	ck_assert_str_eq(wire_opcode_name(OP_CONTROL_WKC_V1), "CONTROL_WKC_V1");
	ck_assert_str_eq(wire_opcode_name(255), "?");
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("wire/head");
	TCase *tcase = tcase_create("head");
	tcase_add_test(tcase, an_opener_has_opcode_and_key_id_and_no_peer);
	tcase_add_test(tcase, a_data_v2_carries_its_peer_id_in_24_bits);
	tcase_add_test(tcase, a_data_v1_has_no_peer_id);
	tcase_add_test(tcase, nothing_and_a_cut_data_v2_are_refused);
	tcase_add_test(tcase, only_opcodes_3_to_11_are_accepted);
	suite_add_tcase(suite, tcase);
	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
