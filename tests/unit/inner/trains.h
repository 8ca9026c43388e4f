/* SPDX-License-Identifier: MIT
 * Runs of TCP and UDP packets of a few flows, joined, laid out as a device would take them, cut again,
 * compared. */
#ifndef TESTS_UNIT_INNER_TRAINS_H
#define TESTS_UNIT_INNER_TRAINS_H

#include "common/inner/inner.h"
#include "tests/unit/inner/packets.h"
#include "tests/unit/inner/sums.h"

#include <check.h>

enum { FLOW_TCP4, FLOW_TCP6, FLOW_UDP4, FLOW_UDP6, FLOW_KINDS };
enum { TCP_FIN = 1, TCP_SYN = 2, TCP_PSH = 8, TCP_ACK = 16, TCP_ECE = 64, TCP_CWR = 128 };
enum { RUN_MAX = INNER_JOIN_MAX, RUN_PACKET = 2048 };

struct flow {
	unsigned kind;
	uint16_t port;
	uint32_t number;
	uint16_t id;
	bool may_fragment;
};

struct run {
	unsigned count;
	struct {
		uint32_t len;
		uint8_t bytes[RUN_PACKET];
	} packets[RUN_MAX];
	uint8_t copies[RUN_MAX][RUN_PACKET]; /* what inner_join() works on */
};

static inline struct flow flow_of(unsigned kind, uint16_t port)
{
	/* Numbers and ids that come round within a train. */
	return (struct flow){ .kind = kind,
		.port = port,
		.number = 0xffffff00,
		.id = 0xfffe,
		.may_fragment = kind == FLOW_UDP4 };
}

static inline bool flow_is_tcp(const struct flow *f)
{
	return f->kind == FLOW_TCP4 || f->kind == FLOW_TCP6;
}

static inline void run_clear(struct run *r)
{
	r->count = 0;
}

/* The flow's next packet with `len` bytes of payload and right checksums. */
static inline void run_add(struct run *r, struct flow *f, uint32_t len, uint8_t flags)
{
	static const uint8_t options[12] = { 1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2 };
	uint8_t upper[RUN_PACKET];
	struct bytes_out to = bytes_into(upper, sizeof(upper));
	uint8_t *packet = r->packets[r->count].bytes;

	ck_assert_uint_lt(r->count, RUN_MAX);
	write_u16(&to, f->port);
	write_u16(&to, 5001);
	if (flow_is_tcp(f)) {
		write_u32(&to, f->number);
		write_u32(&to, 0x01020304);
		write_u8(&to, 8 << 4);
		write_u8(&to, flags);
		write_u16(&to, 500);
		write_u32(&to, 0);
		write_data(&to, options, sizeof(options));
	} else {
		write_u16(&to, (uint16_t)(8 + len));
		write_u16(&to, 0);
	}
	for (uint32_t i = 0; i < len; i++)
		write_u8(&to, (uint8_t)(i * 7 + f->number + r->count));
	bool four = f->kind == FLOW_TCP4 || f->kind == FLOW_UDP4;
	size_t all = four ? packet4(packet, flow_is_tcp(f) ? 6 : 17, upper, to.len)
			  : packet6(packet, flow_is_tcp(f) ? 6 : 17, upper, to.len);
	if (four) {
		packet[4] = (uint8_t)(f->id >> 8);
		packet[5] = (uint8_t)f->id;
		packet[6] = f->may_fragment ? 0 : 0x40;
	}
	f->id++;
	f->number += len;
	inner_checksums_write(packet, all);
	r->packets[r->count++].len = (uint32_t)all;
}

/* A few flows taking turns, with everything now and then that keeps packets apart. */
static inline void run_random(struct run *r, uint64_t *random)
{
	struct flow flows[6];
	uint32_t size = 1 + random_next(random) % 1400;

	for (unsigned i = 0; i < 6; i++)
		flows[i] = flow_of((unsigned)(random_next(random) % FLOW_KINDS),
			(uint16_t)(1000 + random_next(random) % 3));
	run_clear(r);
	for (unsigned i = 0, f = 0; i < RUN_MAX; i++) {
		uint64_t dice = random_next(random);
		if (dice % 4 == 0)
			f = (unsigned)(dice >> 8) % 6;
		uint32_t len = (dice >> 16) % 10 ? size : (uint32_t)(dice >> 20) % 1500;
		uint8_t flags = (dice >> 32) % 12 ? TCP_ACK : (uint8_t)(dice >> 40);
		run_add(r, &flows[f], len, flags);
		struct {
			uint32_t len;
			uint8_t *bytes;
		} p = { r->packets[i].len, r->packets[i].bytes };
		if ((dice >> 48) % 20 == 0) {
			p.bytes[(dice >> 53) % (p.len < 64 ? p.len : 64)] ^= (uint8_t)(1 << (dice >> 60) % 8);
			if ((dice >> 52) % 2)
				inner_checksums_write(p.bytes, p.len);
		}
		if ((dice >> 44) % 16 == 0)
			flows[f].number += 100; /* one was lost */
	}
}

/* Joins copies: what is no packet (any more) is left out of the run. */
static inline void run_join(struct run *r, struct inner_join *join, bool udp)
{
	unsigned kept = 0;

	inner_join_begin(join, udp);
	for (unsigned i = 0; i < r->count; i++) {
		struct inner_view view;
		if (inner_look(r->packets[i].bytes, r->packets[i].len, &view) != FATE_NONE)
			continue;
		if (kept != i)
			memcpy(&r->packets[kept], &r->packets[i], sizeof(r->packets[i]));
		r->packets[kept].len = view.length;
		memcpy(r->copies[kept], r->packets[kept].bytes, view.length);
		inner_join_add(join, r->copies[kept], &view);
		kept++;
	}
	r->count = kept;
	inner_join_end(join);
}

/* Units as the device would see them, cut again into `back`. */
static inline void back_from(
	const struct run *r, const struct inner_join *join, uint8_t *super, struct run *back)
{
	struct inner_cut cut;

	back->count = 0;
	for (unsigned i = 0; i < join->units; i++) {
		const struct inner_unit *unit = &join->unit[i];
		uint32_t len = 0;
		unsigned index = unit->first;
		for (unsigned n = 0; n < unit->count; n++, index = join->next[index]) {
			uint32_t skip = n ? unit->head_len : 0;
			memcpy(super + len, join->at[index] + skip, r->packets[index].len - skip);
			len += r->packets[index].len - skip;
		}
		if (unit->count == 1) {
			ck_assert_uint_eq(unit->offload.train | unit->offload.flags, 0);
			memcpy(back->packets[back->count].bytes, super, len);
			back->packets[back->count++].len = len;
			continue;
		}
		ck_assert_uint_eq(unit->len, len);
		ck_assert_int_eq(inner_cut_begin(&cut, &unit->offload, super, len), FATE_NONE);
		ck_assert_uint_eq(cut.count, unit->count);
		/* one more is asked for than there are, with room that the run may not have */
		uint8_t piece[RUN_PACKET];
		size_t got;
		while ((got = inner_cut_next(&cut, piece))) {
			ck_assert_uint_lt(back->count, RUN_MAX);
			ck_assert(sums_right(piece, got));
			memcpy(back->packets[back->count].bytes, piece, got);
			back->packets[back->count++].len = (uint32_t)got;
		}
	}
}

/* Ids of IPv4 packets with DF mean nothing (RFC 6864): those of `b` become those of `a`. */
static inline void same_ids(const uint8_t *a, uint8_t *b, uint32_t len)
{
	if (a[0] >> 4 != 4 || !(a[6] & 0x40) || memcmp(a + 4, b + 4, 2) == 0)
		return;
	memcpy(b + 4, a + 4, 2);
	b[10] = b[11] = 0;
	uint32_t sum = 0;
	for (unsigned i = 0; i < (a[0] & 15) * 4u && i < len; i += 2)
		sum += (uint32_t)(b[i] << 8 | b[i + 1]);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	b[10] = (uint8_t)(~sum >> 8);
	b[11] = (uint8_t)~sum;
}

/* Addresses, protocol, and ports, where there are some. */
static inline size_t flow_name(const uint8_t *p, uint32_t len, uint8_t out[40])
{
	struct inner_view view;

	memset(out, 0, 40);
	if (inner_look(p, len, &view) != FATE_NONE)
		return 0;
	memcpy(out, view.source.bytes, 16);
	memcpy(out + 16, view.destination.bytes, 16);
	out[32] = view.protocol;
	if (!view.fragment && view.upper_offset && view.upper_offset + 4u <= len)
		memcpy(out + 33, p + view.upper_offset, 4);
	return 40;
}

/* The same packets, in the same order within each flow. */
static inline void runs_equal(const struct run *a, struct run *b)
{
	bool taken[RUN_MAX] = { false };

	ck_assert_uint_eq(a->count, b->count);
	for (unsigned i = 0; i < a->count; i++) {
		uint8_t name[40], other[40];
		unsigned k = 0;
		flow_name(a->packets[i].bytes, a->packets[i].len, name);
		/* the first of this flow that nobody was compared with */
		for (; k < b->count; k++) {
			flow_name(b->packets[k].bytes, b->packets[k].len, other);
			if (!taken[k] && memcmp(name, other, 40) == 0)
				break;
		}
		ck_assert_uint_lt(k, b->count);
		taken[k] = true;
		ck_assert_uint_eq(a->packets[i].len, b->packets[k].len);
		same_ids(a->packets[i].bytes, b->packets[k].bytes, a->packets[i].len);
		ck_assert_mem_eq(a->packets[i].bytes, b->packets[k].bytes, a->packets[i].len);
	}
}

#endif
