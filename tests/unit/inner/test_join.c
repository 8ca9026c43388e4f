/* SPDX-License-Identifier: MIT
 * What was joined and is cut again is what came: runs of packets of a few flows, made by hand, at random, and
 * recorded, byte for byte and in order. Checksums are judged by the tests' own routine (sums.h). */
#include "common/inner/inner.h"
#include "tests/unit/inner/recorded.h"
#include "tests/unit/inner/trains.h"

#include <check.h>
#include <stdlib.h>

static struct run run, back;
static struct inner_join join;
static uint8_t super[65536 + 64];

START_TEST(consecutive_segments_become_one_packet_and_again_themselves)
{
	for (unsigned kind = 0; kind < FLOW_KINDS; kind++) {
		run_clear(&run);
		struct flow f = flow_of(kind, 1);
		for (unsigned i = 0; i < 40; i++)
			run_add(&run, &f, i == 39 ? 100 : 1400,
				i == 39 && flow_is_tcp(&f) ? TCP_PSH | TCP_ACK : TCP_ACK);
		run_join(&run, &join, true);
		ck_assert_uint_eq(join.units, 1);
		ck_assert_uint_eq(join.unit[0].count, 40);
		ck_assert_uint_eq(join.unit[0].offload.size, 1400);
		back_from(&run, &join, super, &back);
		runs_equal(&run, &back);
	}
}
END_TEST

START_TEST(a_long_train_ends_where_an_ip_packet_does)
{
	run_clear(&run);
	struct flow f = flow_of(FLOW_TCP4, 1);
	for (unsigned i = 0; i < 100; i++)
		run_add(&run, &f, 1400, TCP_ACK);
	run_join(&run, &join, true);
	ck_assert_uint_eq(join.units, 3); /* 46 segments are 64,440 bytes */
	ck_assert_uint_eq(join.unit[0].count, 46);
	ck_assert_uint_le(join.unit[0].len, 65535);
	back_from(&run, &join, super, &back);
	runs_equal(&run, &back);
}
END_TEST

START_TEST(udp_trains_are_no_longer_than_old_kernels_take)
{
	run_clear(&run);
	struct flow f = flow_of(FLOW_UDP6, 1);
	for (unsigned i = 0; i < 100; i++)
		run_add(&run, &f, 64, 0);
	run_join(&run, &join, true);
	ck_assert_uint_eq(join.units, 2);
	ck_assert_uint_eq(join.unit[0].count, 64);
	run_join(&run, &join, false);
	ck_assert_uint_eq(join.units, 100);
}
END_TEST

/* Each change alone keeps the second packet out of the first one's train. */
START_TEST(whatever_differs_is_not_joined)
{
	static const struct {
		const char *what;
		unsigned kind;
		size_t at;
		uint8_t flip;
	} changes[] = {
		{ "class", FLOW_TCP4, 1, 3 },
		{ "id without DF", FLOW_UDP4, 5, 1 },
		{ "more fragments", FLOW_TCP4, 6, 0x20 },
		{ "DF", FLOW_TCP4, 6, 0x40 },
		{ "reserved bit", FLOW_TCP4, 6, 0x80 },
		{ "offset", FLOW_TCP4, 7, 1 },
		{ "TTL", FLOW_TCP4, 8, 1 },
		{ "source", FLOW_TCP4, 15, 1 },
		{ "destination", FLOW_UDP4, 16, 1 },
		{ "class", FLOW_TCP6, 0, 1 },
		{ "label", FLOW_UDP6, 3, 1 },
		{ "hops", FLOW_TCP6, 7, 1 },
		{ "source", FLOW_TCP6, 23, 1 },
		{ "destination", FLOW_TCP6, 24, 1 },
		{ "source port", FLOW_TCP4, 21, 1 },
		{ "destination port", FLOW_UDP6, 43, 1 },
		{ "number", FLOW_TCP4, 27, 1 },
		{ "acknowledged", FLOW_TCP4, 28, 1 },
		{ "reserved", FLOW_TCP4, 32, 1 },
		{ "SYN", FLOW_TCP4, 33, 2 },
		{ "RST", FLOW_TCP4, 33, 4 },
		{ "no ACK", FLOW_TCP4, 33, 16 },
		{ "URG", FLOW_TCP4, 33, 32 },
		{ "ECE", FLOW_TCP4, 33, 64 },
		{ "CWR", FLOW_TCP4, 33, 128 },
		{ "window", FLOW_TCP4, 35, 1 },
		{ "urgent pointer", FLOW_TCP4, 38, 1 },
		{ "an option", FLOW_TCP4, 51, 1 },
		{ "an option", FLOW_TCP6, 60, 1 },
	};
	for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
		run_clear(&run);
		struct flow f = flow_of(changes[i].kind, 1);
		run_add(&run, &f, 1000, TCP_ACK);
		run_add(&run, &f, 1000, TCP_ACK);
		run_join(&run, &join, true);
		ck_assert_uint_eq(join.units, 1);
		uint8_t *second = run.packets[1].bytes;
		second[changes[i].at] ^= changes[i].flip;
		inner_checksums_write(second, run.packets[1].len);
		run_join(&run, &join, true);
		ck_assert_msg(join.units == 2, "%s of kind %u", changes[i].what, changes[i].kind);
		back_from(&run, &join, super, &back);
		runs_equal(&run, &back);
	}
}
END_TEST

START_TEST(a_wrong_checksum_is_never_mended)
{
	for (unsigned kind = 0; kind < FLOW_KINDS; kind++) {
		for (unsigned bad = 0; bad < 3; bad++) {
			run_clear(&run);
			struct flow f = flow_of(kind, 1);
			for (unsigned i = 0; i < 3; i++)
				run_add(&run, &f, 500, TCP_ACK);
			run.packets[bad].bytes[run.packets[bad].len - 1] ^= 4;
			run_join(&run, &join, true);
			ck_assert_uint_eq(join.units, bad == 1 ? 3 : 2);
			back_from(&run, &join, super, &back);
			runs_equal(&run, &back);
		}
	}
	/* The head's own, too. */
	run_clear(&run);
	struct flow f = flow_of(FLOW_TCP4, 1);
	run_add(&run, &f, 500, TCP_ACK);
	run_add(&run, &f, 500, TCP_ACK);
	run.packets[1].bytes[10] ^= 1;
	run_join(&run, &join, true);
	ck_assert_uint_eq(join.units, 2);
}
END_TEST

START_TEST(udp_without_a_checksum_does_not_get_one)
{
	run_clear(&run);
	struct flow f = flow_of(FLOW_UDP4, 1);
	for (unsigned i = 0; i < 2; i++) {
		run_add(&run, &f, 500, 0);
		memset(run.packets[i].bytes + 26, 0, 2);
	}
	run_join(&run, &join, true);
	ck_assert_uint_eq(join.units, 2);
}
END_TEST

START_TEST(push_fin_and_short_segments_end_a_train)
{
	run_clear(&run);
	struct flow f = flow_of(FLOW_TCP4, 1);
	run_add(&run, &f, 1000, TCP_ACK);
	run_add(&run, &f, 1000, TCP_ACK | TCP_PSH);
	run_add(&run, &f, 1000, TCP_ACK); /* second unit */
	run_add(&run, &f, 999, TCP_ACK);
	run_add(&run, &f, 999, TCP_ACK);  /* third */
	run_add(&run, &f, 1000, TCP_ACK); /* longer than its first: fourth */
	run_add(&run, &f, 1000, TCP_ACK | TCP_FIN);
	run_add(&run, &f, 0, TCP_ACK); /* nothing in it: fifth */
	run_join(&run, &join, true);
	ck_assert_uint_eq(join.units, 5);
	back_from(&run, &join, super, &back);
	runs_equal(&run, &back);
}
END_TEST

START_TEST(flows_are_joined_side_by_side_and_a_lone_packet_does_not_overtake)
{
	run_clear(&run);
	struct flow a = flow_of(FLOW_TCP4, 1), b = flow_of(FLOW_TCP6, 2);
	run_add(&run, &a, 1000, TCP_ACK);
	run_add(&run, &b, 1000, TCP_ACK);
	run_add(&run, &a, 1000, TCP_ACK);
	run_add(&run, &b, 1000, TCP_ACK);
	run_add(&run, &a, 0, TCP_ACK); /* a's train is over */
	run_add(&run, &a, 1000, TCP_ACK);
	run_add(&run, &b, 1000, TCP_ACK);
	run_join(&run, &join, true);
	ck_assert_uint_eq(join.units, 4);
	ck_assert_uint_eq(join.unit[0].count, 2);
	ck_assert_uint_eq(join.unit[1].count, 3);
	back_from(&run, &join, super, &back);
	runs_equal(&run, &back);
}
END_TEST

START_TEST(a_fragment_ends_all_trains)
{
	run_clear(&run);
	struct flow f = flow_of(FLOW_UDP4, 1);
	run_add(&run, &f, 1000, 0);
	run_add(&run, &f, 1000, 0);
	run.packets[1].bytes[6] = 0x20;
	inner_checksums_write(run.packets[1].bytes, run.packets[1].len);
	run_add(&run, &f, 1000, 0);
	run_join(&run, &join, true);
	ck_assert_uint_eq(join.units, 3);
	back_from(&run, &join, super, &back);
	runs_equal(&run, &back);
}
END_TEST

START_TEST(random_runs_come_back_as_they_were)
{
	uint64_t random = 1 + (uint64_t)_i;
	unsigned trains = 0;
	for (unsigned round = 0; round < 200; round++) {
		run_random(&run, &random);
		run_join(&run, &join, true);
		for (unsigned i = 0; i < join.units; i++)
			trains += join.unit[i].count > 1;
		back_from(&run, &join, super, &back);
		runs_equal(&run, &back);
	}
	ck_assert_uint_gt(trains, 500);
}
END_TEST

START_TEST(what_linux_sent_comes_back_as_it_was)
{
	static const unsigned at_once[] = { 2, 7, 32, RUN_MAX };

	for (unsigned i = 0; i < sizeof(at_once) / sizeof(at_once[0]); i++) {
		FILE *file = recorded_open();
		unsigned packets = 0, in_trains = 0;

		while (recorded_next(file, &run, at_once[i])) {
			unsigned count = run.count;
			packets += count;
			run_join(&run, &join, true);
			ck_assert_uint_eq(run.count, count); /* none was refused */
			for (unsigned k = 0; k < join.units; k++)
				in_trains += join.unit[k].count > 1 ? join.unit[k].count : 0;
			back_from(&run, &join, super, &back);
			runs_equal(&run, &back);
		}
		fclose(file);
		ck_assert_uint_gt(packets, 1000);
		ck_assert_uint_gt(in_trains, at_once[i] > 2 ? 300 : 100);
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("inner/join");
	TCase *tcase = tcase_create("join");
	tcase_add_test(tcase, consecutive_segments_become_one_packet_and_again_themselves);
	tcase_add_test(tcase, a_long_train_ends_where_an_ip_packet_does);
	tcase_add_test(tcase, udp_trains_are_no_longer_than_old_kernels_take);
	tcase_add_test(tcase, whatever_differs_is_not_joined);
	tcase_add_test(tcase, a_wrong_checksum_is_never_mended);
	tcase_add_test(tcase, udp_without_a_checksum_does_not_get_one);
	tcase_add_test(tcase, push_fin_and_short_segments_end_a_train);
	tcase_add_test(tcase, flows_are_joined_side_by_side_and_a_lone_packet_does_not_overtake);
	tcase_add_test(tcase, a_fragment_ends_all_trains);
	tcase_add_loop_test(tcase, random_runs_come_back_as_they_were, 0, 8);
	tcase_add_test(tcase, what_linux_sent_comes_back_as_it_was);
	suite_add_tcase(suite, tcase);
	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
