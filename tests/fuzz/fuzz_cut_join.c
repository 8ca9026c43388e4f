/* SPDX-License-Identifier: MIT
 * First byte even: an offload head and a super packet: whatever is cut has right checksums, no byte is lost.
 * Odd: packets (two bytes of length each), joined and cut again: the same, in the same order for each flow.
 */
#include "common/base/bytes.h"
#include "common/base/check.h"
#include "common/inner/inner.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void cut(struct bytes in)
{
	struct inner_offload offload;
	struct inner_cut c;
	uint32_t payload = 0;
	size_t got;

	read_data(&in, &offload, sizeof(offload));
	/* Just as long as it is, so that a step beyond is seen. */
	uint8_t *packet = malloc(in.left + 1), *copy = malloc(in.left + 1);
	CHECK(packet && copy);
	memcpy(packet, in.at, in.left);
	memcpy(copy, in.at, in.left);
	inner_finish_sum(&offload, copy, in.left);
	if (inner_cut_begin(&c, &offload, packet, in.left) == FATE_NONE) {
		uint32_t all = c.left, count = c.count;
		uint8_t *segment = malloc(c.first_len);
		CHECK(segment);
		while ((got = inner_cut_next(&c, segment))) {
			CHECK(got <= c.first_len && got >= c.head_len);
			CHECK(inner_checksums_right(segment, got));
			payload += (uint32_t)got - c.head_len;
			count--;
		}
		CHECK(payload == all && !count && !c.left);
		free(segment);
	}
	free(packet);
	free(copy);
}

struct piece {
	uint8_t *bytes, *copy;
	uint32_t len;
	bool met;
};

/* Addresses and protocol: coarser than a flow. */
static bool same_way(const uint8_t *a, const uint8_t *b)
{
	if (a[0] >> 4 != b[0] >> 4)
		return false;
	return a[0] >> 4 == 4 ? a[9] == b[9] && !memcmp(a + 12, b + 12, 8)
			      : a[6] == b[6] && !memcmp(a + 8, b + 8, 32);
}

/* Equal but for an IPv4 id that means nothing, and the checksum over it. */
static bool same_packet(const uint8_t *a, const uint8_t *b, uint32_t len)
{
	if (a[0] >> 4 == 4 && a[6] & 0x40)
		return !memcmp(a, b, 4) && !memcmp(a + 6, b + 6, 4) && !memcmp(a + 12, b + 12, len - 12);
	return !memcmp(a, b, len);
}

static void meet(struct piece *pieces, unsigned count, const uint8_t *packet, uint32_t len)
{
	for (unsigned i = 0; i < count; i++) {
		if (pieces[i].met || pieces[i].len != len || !same_packet(pieces[i].bytes, packet, len))
			continue;
		CHECK(same_way(pieces[i].bytes, packet));
		pieces[i].met = true;
		return;
	}
	CHECK(!"a packet that nobody sent");
}

static void unit_back(
	const struct inner_join *join, const struct inner_unit *unit, struct piece *pieces, unsigned count)
{
	static uint8_t super[65536], segment[65536];
	struct inner_cut c;
	uint32_t at = 0;
	unsigned index = unit->first;
	size_t got;

	for (unsigned n = 0; n < unit->count; n++, index = join->next[index]) {
		uint32_t skip = n ? unit->head_len : 0;
		CHECK(join->at[index] == pieces[index].copy && pieces[index].len > skip);
		CHECK(at + pieces[index].len - skip <= 65535);
		memcpy(super + at, pieces[index].copy + skip, pieces[index].len - skip);
		at += pieces[index].len - skip;
	}
	if (unit->count == 1) {
		CHECK(!memcmp(super, pieces[unit->first].bytes, at));
		pieces[unit->first].met = true;
		return;
	}
	CHECK(at == unit->len && inner_cut_begin(&c, &unit->offload, super, at) == FATE_NONE &&
		c.count == unit->count);
	while ((got = inner_cut_next(&c, segment)))
		meet(pieces, count, segment, (uint32_t)got);
}

static void join(struct bytes in, bool sums)
{
	static struct inner_join j;
	struct piece pieces[INNER_JOIN_MAX];
	unsigned count = 0;

	inner_join_begin(&j, true);
	while (count < INNER_JOIN_MAX && in.left > 2) {
		struct inner_view view;
		size_t len = read_u16(&in);
		struct bytes one = read_part(&in, len < in.left ? len : in.left);
		if (inner_look(one.at, one.left, &view) != FATE_NONE)
			continue;
		struct piece *p = &pieces[count++];
		*p = (struct piece){
			.bytes = malloc(view.length), .copy = malloc(view.length), .len = view.length
		};
		CHECK(p->bytes && p->copy);
		memcpy(p->bytes, one.at, p->len);
		if (sums)
			inner_checksums_write(p->bytes, p->len);
		memcpy(p->copy, p->bytes, p->len);
		inner_join_add(&j, p->copy, &view);
	}
	inner_join_end(&j);
	CHECK(j.packets == count && j.units <= count);
	for (unsigned i = 0; i < j.units; i++)
		unit_back(&j, &j.unit[i], pieces, count);
	for (unsigned i = 0; i < count; i++) {
		CHECK(pieces[i].met);
		free(pieces[i].bytes);
		free(pieces[i].copy);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct bytes in = bytes_of(data, len);
	uint8_t kind = read_u8(&in);
	if (kind & 1)
		join(in, kind & 2);
	else
		cut(in);
	return 0;
}
