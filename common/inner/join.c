/* SPDX-License-Identifier: MIT
 * Packets of one batch to super packets, so that the kernel's stack is entered once for a train. The rules
 * are those of the kernel's own GRO: what is joined here and cut again there is what came. Payload stays
 * where it is; only the first head of a train is rewritten. Calls nobody but its own room. */
#include "common/base/bytes.h"
#include "common/base/check.h"
#include "common/inner/inner.h"
#include "common/inner/sum.h"

#include <netinet/in.h>

enum {
	IP_MAX = 65535 - 18, /* with the heads of Ethernet and a VLAN still below gso_max_size: it may be forwarded */
	IP4_HEAD = 20,
	IP4_LENGTH_AT = 2,
	IP4_ID_AT = 4,
	IP4_FRAGMENT_AT = 6,
	IP4_DONT_FRAGMENT = 0x40,
	IP4_TTL_AT = 8,
	IP4_SUM_AT = 10,
	IP4_ADDRESSES_AT = 12,
	IP6_HEAD = 40,
	IP6_LENGTH_AT = 4,
	IP6_NEXT_AT = 6,
	IP6_ADDRESSES_AT = 8,
	TCP_HEAD = 20,
	TCP_NUMBER_AT = 4,
	TCP_ACK_AT = 8,
	TCP_OFFSET_AT = 12,
	TCP_FLAGS_AT = 13,
	TCP_WINDOW_AT = 14,
	TCP_SUM_AT = 16,
	TCP_URGENT_AT = 18,
	TCP_FIN = 1,
	TCP_PSH = 8,
	TCP_ACK = 16,
	UDP_HEAD = 8,
	UDP_LENGTH_AT = 4,
	UDP_SUM_AT = 6,
	UDP_TRAIN_MAX = 64, /* UDP_MAX_SEGMENTS of older kernels */
	NEWEST_COUNT = 256,
};

/* A packet as a candidate. */
struct wagon {
	uint8_t *at;
	uint32_t len, upper, head_len, payload;
	uint32_t number; /* TCP: of its first byte */
	bool four, tcp;
	bool fits; /* into a train at all; else it only ends one of its flow */
	bool last; /* nothing may follow it */
};

static uint32_t get_u16(const uint8_t *at)
{
	return (uint32_t)(at[0] << 8 | at[1]);
}

static uint32_t get_u32(const uint8_t *at)
{
	return get_u16(at) << 16 | get_u16(at + 2);
}

static void put_u16(uint8_t *to, uint32_t value)
{
	to[0] = (uint8_t)(value >> 8);
	to[1] = (uint8_t)value;
}

void inner_join_begin(struct inner_join *join, bool udp)
{
	join->packets = join->units = 0;
	join->udp = udp;
	memset(join->newest, 0, sizeof(join->newest));
}

/* -- what a packet is -- */

static void look_tcp(struct wagon *w)
{
	const uint8_t *tcp = w->at + w->upper;
	uint32_t here = w->len - w->upper, head;

	if (here < TCP_HEAD)
		return;
	head = (uint32_t)(tcp[TCP_OFFSET_AT] >> 4) * 4;
	if (head < TCP_HEAD || head >= here || tcp[TCP_OFFSET_AT] & 15 || !(tcp[TCP_FLAGS_AT] & TCP_ACK) ||
		tcp[TCP_FLAGS_AT] & ~(TCP_ACK | TCP_PSH | TCP_FIN))
		return;
	w->head_len = w->upper + head;
	w->payload = here - head;
	w->number = get_u32(tcp + TCP_NUMBER_AT);
	w->last = tcp[TCP_FLAGS_AT] & (TCP_PSH | TCP_FIN);
	w->fits = true;
}

static void look_udp(struct wagon *w)
{
	const uint8_t *udp = w->at + w->upper;
	uint32_t here = w->len - w->upper;

	/* Without a checksum it would get one. */
	if (here <= UDP_HEAD || get_u16(udp + UDP_LENGTH_AT) != here || !get_u16(udp + UDP_SUM_AT))
		return;
	w->head_len = w->upper + UDP_HEAD;
	w->payload = here - UDP_HEAD;
	w->fits = true;
}

static struct wagon look(const struct inner_join *join, uint8_t *packet, const struct inner_view *view)
{
	struct wagon w = { .at = packet,
		.len = view->length,
		.upper = view->upper_offset,
		.four = view->source.family == INNER_IP4,
		.tcp = view->protocol == IPPROTO_TCP };

	/* No options, no extension headers; of an IPv4 packet's flags only "don't fragment". */
	if (w.four ? w.upper != IP4_HEAD || packet[IP4_FRAGMENT_AT] & ~IP4_DONT_FRAGMENT ||
				packet[IP4_FRAGMENT_AT + 1]
		   : w.upper != IP6_HEAD)
		return w;
	if (w.tcp)
		look_tcp(&w);
	else if (view->protocol == IPPROTO_UDP && join->udp)
		look_udp(&w);
	return w;
}

/* Whose newest unit this is, by addresses and ports. Flows that meet in a slot only cost trains: the
 * newcomer's unit is younger in any case. */
static uint32_t flow_slot(const struct inner_view *view, const uint8_t *ports)
{
	uint64_t a, b, c, d;
	uint32_t both;

	memcpy(&a, view->source.bytes, 8);
	memcpy(&b, view->source.bytes + 8, 8);
	memcpy(&c, view->destination.bytes, 8);
	memcpy(&d, view->destination.bytes + 8, 8);
	memcpy(&both, ports, 4);
	uint64_t key = a * 3 + b * 5 + c * 7 + d * 11 + both + view->protocol;
	return (uint32_t)(key * UINT64_C(0x9e3779b97f4a7c15) >> 56);
}
_Static_assert(
	NEWEST_COUNT == 256 && NEWEST_COUNT == sizeof(((struct inner_join *)0)->newest), "8 bits of hash");
_Static_assert(INNER_JOIN_MAX < 256, "a unit's number plus one in a byte");

/* -- may it join -- */

static bool sums_right(const uint8_t *at, const struct wagon *w, uint32_t len)
{
	uint64_t sum = sum_addresses(at) + sum_u16(w->tcp ? IPPROTO_TCP : IPPROTO_UDP) +
		       sum_u16((uint16_t)(len - w->upper));

	if (w->four && sum_fold(sum_bytes(at, IP4_HEAD)) != 0xffff)
		return false;
	return sum_fold(sum + sum_bytes(at + w->upper, len - w->upper)) == 0xffff;
}

static bool same_ip(const struct inner_unit *unit, const uint8_t *first, const struct wagon *w)
{
	const uint8_t *at = w->at;

	if (!w->four) /* version, class, flow label; next header, hops; addresses */
		return memcmp(first, at, IP6_LENGTH_AT) == 0 &&
		       memcmp(first + IP6_NEXT_AT, at + IP6_NEXT_AT, IP6_HEAD - IP6_NEXT_AT) == 0;
	if (memcmp(first, at, IP4_LENGTH_AT) != 0 ||
		memcmp(first + IP4_ADDRESSES_AT, at + IP4_ADDRESSES_AT, 8) != 0)
		return false;
	/* flags, TTL, protocol */
	if (memcmp(first + IP4_FRAGMENT_AT, at + IP4_FRAGMENT_AT, IP4_SUM_AT - IP4_FRAGMENT_AT) != 0)
		return false;
	return at[IP4_FRAGMENT_AT] & IP4_DONT_FRAGMENT ||
	       get_u16(at + IP4_ID_AT) == (uint16_t)(get_u16(first + IP4_ID_AT) + unit->count);
}

static bool same_tcp(const uint8_t *first, const struct wagon *w)
{
	const uint8_t *tcp = w->at + w->upper;
	uint32_t options = w->head_len - w->upper - TCP_HEAD;

	/* ports; ack, head length; window; urgent pointer; options */
	return memcmp(first, tcp, TCP_NUMBER_AT) == 0 &&
	       memcmp(first + TCP_ACK_AT, tcp + TCP_ACK_AT, TCP_FLAGS_AT - TCP_ACK_AT) == 0 &&
	       memcmp(first + TCP_WINDOW_AT, tcp + TCP_WINDOW_AT, 2) == 0 &&
	       memcmp(first + TCP_URGENT_AT, tcp + TCP_URGENT_AT, 2 + options) == 0;
}

static bool belongs(const struct inner_unit *unit, const uint8_t *first, const struct wagon *w)
{
	if (unit->closed || unit->head_len != w->head_len || w->payload > unit->offload.size ||
		unit->len + w->payload > IP_MAX || !same_ip(unit, first, w))
		return false;
	if (w->tcp)
		return w->number == unit->number && same_tcp(first + w->upper, w);
	return unit->count < UDP_TRAIN_MAX && memcmp(first + w->upper, w->at + w->upper, UDP_LENGTH_AT) == 0;
}

/* The first one's checksum is looked at only when a second one wants to join. */
static bool first_is_right(struct inner_unit *unit, const uint8_t *first, const struct wagon *w)
{
	if (!unit->verified)
		unit->closed = !sums_right(first, w, unit->len);
	unit->verified = true;
	return !unit->closed;
}

static void append(struct inner_join *join, struct inner_unit *unit, const struct wagon *w, uint16_t index)
{
	join->next[unit->last] = index;
	unit->last = index;
	unit->count++;
	unit->len += w->payload;
	unit->number += w->payload;
	unit->closed = w->last || w->payload < unit->offload.size;
	if (w->tcp) /* they are on no earlier one */
		join->at[unit->first][w->upper + TCP_FLAGS_AT] |= w->at[w->upper + TCP_FLAGS_AT];
}

static struct inner_unit *new_unit(struct inner_join *join, const struct wagon *w, uint16_t index)
{
	struct inner_unit *unit = &join->unit[join->units++];

	*unit = (struct inner_unit){
		.first = index,
		.last = index,
		.count = 1,
		.head_len = (uint16_t)w->head_len,
		.len = w->len,
		.number = w->number + w->payload,
		.closed = !w->fits || w->last,
	};
	if (w->fits)
		unit->offload = (struct inner_offload){
			.flags = INNER_SUM_MISSING,
			.train = !w->tcp   ? INNER_TRAIN_UDP
				 : w->four ? INNER_TRAIN_TCP4
					   : INNER_TRAIN_TCP6,
			.head_len = (uint16_t)w->head_len,
			.size = (uint16_t)w->payload,
			.sum_start = (uint16_t)w->upper,
			.sum_offset = w->tcp ? TCP_SUM_AT : UDP_SUM_AT,
		};
	return unit;
}

void inner_join_add(struct inner_join *join, void *packet, const struct inner_view *view)
{
	CHECK(join->packets < INNER_JOIN_MAX);
	uint16_t index = (uint16_t)join->packets++;
	struct wagon w = look(join, packet, view);

	join->at[index] = packet;
	if (view->protocol != IPPROTO_TCP && view->protocol != IPPROTO_UDP) {
		new_unit(join, &w, index); /* no ports, no order among flows */
		return;
	}
	if (view->fragment || !view->upper_offset || view->upper_offset + 4 > view->length) {
		/* Whose flow it is nobody knows: all trains end. */
		memset(join->newest, 0, sizeof(join->newest));
		new_unit(join, &w, index);
		return;
	}
	uint8_t *newest = &join->newest[flow_slot(view, w.at + w.upper)];
	struct inner_unit *unit = *newest && w.fits ? &join->unit[*newest - 1] : NULL;
	if (unit && belongs(unit, join->at[unit->first], &w) &&
		first_is_right(unit, join->at[unit->first], &w)) {
		if (sums_right(w.at, &w, w.len)) {
			append(join, unit, &w, index);
			return;
		}
		w.fits = false; /* a wrong checksum stays wrong: it goes alone, as it is */
	}
	new_unit(join, &w, index);
	*newest = (uint8_t)join->units;
}

/* -- the super packet's head -- */

static void rewrite_head(const struct inner_unit *unit, uint8_t *ip)
{
	uint8_t *upper = ip + unit->offload.sum_start;
	uint32_t upper_len = unit->len - unit->offload.sum_start;
	bool udp = unit->offload.train == INNER_TRAIN_UDP;

	if (ip[0] >> 4 == 4) {
		put_u16(ip + IP4_LENGTH_AT, unit->len);
		put_u16(ip + IP4_SUM_AT, 0);
		sum_write(ip + IP4_SUM_AT, (uint16_t)~sum_fold(sum_bytes(ip, IP4_HEAD)));
	} else {
		put_u16(ip + IP6_LENGTH_AT, unit->len - IP6_HEAD);
	}
	if (udp)
		put_u16(upper + UDP_LENGTH_AT, upper_len);
	sum_write(upper + unit->offload.sum_offset,
		sum_fold(sum_addresses(ip) + sum_u16(udp ? IPPROTO_UDP : IPPROTO_TCP) +
			 sum_u16((uint16_t)upper_len)));
}

void inner_join_end(struct inner_join *join)
{
	for (unsigned i = 0; i < join->units; i++) {
		struct inner_unit *unit = &join->unit[i];

		if (unit->count > 1)
			rewrite_head(unit, join->at[unit->first]);
		else
			unit->offload = (struct inner_offload){ 0 };
	}
}
