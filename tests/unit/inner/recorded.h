/* SPDX-License-Identifier: MIT
 * Packets that Linux sent, from tests/vectors/traffic.pcap (made by record_traffic beside it): TCP with
 * options, losses, other order, congestion marks, closed windows and urgent bytes, UDP, echo, fragments, both
 * families, both ways. */
#ifndef TESTS_UNIT_INNER_RECORDED_H
#define TESTS_UNIT_INNER_RECORDED_H

#include "tests/unit/inner/sums.h"
#include "tests/unit/inner/trains.h"

#include <stdio.h>

enum { RECORDED_HEAD = 24, RECORDED_PACKET_HEAD = 16, RECORDED_RAW_IP = 101 };

/* The file, behind its head. The caller closes it. */
static inline FILE *recorded_open(void)
{
	uint32_t head[RECORDED_HEAD / 4];
	FILE *file = fopen(RECORDED, "rb");

	ck_assert_msg(file != NULL, "%s", RECORDED);
	ck_assert_uint_eq(fread(head, sizeof(head), 1, file), 1);
	ck_assert_uint_eq(head[0], 0xa1b2c3d4);
	ck_assert_uint_eq(head[5], RECORDED_RAW_IP);
	return file;
}

/* The next `most` packets of it, or what is left. False: none was. */
static inline bool recorded_next(FILE *file, struct run *r, unsigned most)
{
	uint32_t head[RECORDED_PACKET_HEAD / 4];

	for (r->count = 0; r->count < most && fread(head, sizeof(head), 1, file) == 1; r->count++) {
		ck_assert_uint_le(head[2], RUN_PACKET);
		ck_assert_uint_eq(fread(r->packets[r->count].bytes, head[2], 1, file), 1);
		r->packets[r->count].len = head[2];
		ck_assert(sums_right(r->packets[r->count].bytes, head[2]));
	}
	return r->count > 0;
}

#endif
