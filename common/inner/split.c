/* SPDX-License-Identifier: MIT
 * A super packet to its packets: what a network card does when the kernel leaves it segmentation and
 * checksums. Payload is summed where it lies, and copied only if asked for. Calls nobody but its own room.
 *
 *   super packet   | IP | TCP or UDP | payload of segment 1 | 2 | 3 | ... | last |
 *   segment n      | IP | TCP or UDP | payload of segment n |                         */
#include "common/base/bytes.h"
#include "common/inner/inner.h"
#include "common/inner/sum.h"

#include <netinet/in.h>

enum {
	IP4_LENGTH_AT = 2,
	IP4_ID_AT = 4,
	IP4_SUM_AT = 10,
	IP6_HEAD = 40,
	IP6_LENGTH_AT = 4,
	TCP_HEAD = 20,
	TCP_NUMBER_AT = 4,
	TCP_OFFSET_AT = 12,
	TCP_FLAGS_AT = 13,
	TCP_SUM_AT = 16,
	TCP_FIN = 1,
	TCP_SYN = 2,
	TCP_PSH = 8,
	TCP_CWR = 128,
	UDP_HEAD = 8,
	UDP_LENGTH_AT = 4,
	UDP_SUM_AT = 6,
};

_Static_assert(sizeof(struct inner_offload) == INNER_OFFLOAD_LEN, "as the kernel has it");

static void put_u16(uint8_t *to, uint32_t value)
{
	to[0] = (uint8_t)(value >> 8);
	to[1] = (uint8_t)value;
}

static void put_u32(uint8_t *to, uint32_t value)
{
	put_u16(to, value >> 16);
	put_u16(to + 2, value);
}

enum fate inner_finish_sum(const struct inner_offload *offload, void *packet, size_t len)
{
	uint8_t *bytes = packet;
	size_t start = offload->sum_start, at = start + offload->sum_offset;

	if (start >= len || at + 2 > len)
		return FATE_BAD_PACKET;
	uint16_t sum = (uint16_t)~sum_fold(sum_bytes(bytes + start, len - start));
	sum_write(bytes + at,
		sum ? sum : 0xffff); /* 0 would say "no checksum" to UDP; the same number to all */
	return FATE_NONE;
}

/* The type, the protocol and the checksum's place have to agree. Gives the upper head's length, or 0. */
static uint32_t upper_head(
	const struct inner_offload *offload, const uint8_t *packet, const struct inner_view *view)
{
	bool four = view->source.family == INNER_IP4;
	uint32_t here = (uint32_t)(view->length - view->upper_offset), head;
	uint8_t train = offload->train & ~INNER_TRAIN_ECN;

	if (view->protocol == IPPROTO_TCP) {
		if (train != (four ? INNER_TRAIN_TCP4 : INNER_TRAIN_TCP6) ||
			offload->sum_offset != TCP_SUM_AT || here < TCP_HEAD)
			return 0;
		head = (uint32_t)(packet[view->upper_offset + TCP_OFFSET_AT] >> 4) * 4;
		return head >= TCP_HEAD && head <= here ? head : 0;
	}
	if (view->protocol != IPPROTO_UDP || offload->train != INNER_TRAIN_UDP ||
		offload->sum_offset != UDP_SUM_AT || here < UDP_HEAD)
		return 0;
	return UDP_HEAD;
}

/* The head that all segments share, with zeros where they differ; its sums. */
static void prepare_head(struct inner_cut *cut)
{
	uint8_t *ip = cut->head, *upper = cut->head + cut->upper;

	memcpy(cut->head, cut->packet, cut->head_len);
	if (cut->four) {
		cut->id = (uint16_t)(ip[IP4_ID_AT] << 8 | ip[IP4_ID_AT + 1]);
		put_u32(ip + IP4_LENGTH_AT, 0); /* and the id */
		put_u16(ip + IP4_SUM_AT, 0);
		cut->ip_sum = sum_bytes(ip, cut->upper);
	}
	if (cut->tcp) {
		cut->number = (uint32_t)upper[TCP_NUMBER_AT] << 24 |
			      (uint32_t)upper[TCP_NUMBER_AT + 1] << 16 |
			      (uint32_t)upper[TCP_NUMBER_AT + 2] << 8 | upper[TCP_NUMBER_AT + 3];
		cut->last_flags = upper[TCP_FLAGS_AT] & (TCP_PSH | TCP_FIN);
		upper[TCP_FLAGS_AT] &= (uint8_t) ~(TCP_PSH | TCP_FIN);
		put_u32(upper + TCP_NUMBER_AT, 0);
	} else {
		put_u16(upper + UDP_LENGTH_AT, 0);
	}
	put_u16(upper + cut->sum_offset, 0);
	cut->upper_sum = sum_addresses(ip) + sum_u16(cut->tcp ? IPPROTO_TCP : IPPROTO_UDP) +
			 sum_bytes(upper, cut->head_len - cut->upper);
}

enum fate inner_cut_begin(
	struct inner_cut *cut, const struct inner_offload *offload, void *packet, size_t len)
{
	struct inner_view view;
	uint32_t head;

	if (inner_look(packet, len, &view) != FATE_NONE || view.fragment || !view.upper_offset)
		return FATE_BAD_PACKET;
	*cut = (struct inner_cut){ .packet = packet,
		.four = view.source.family == INNER_IP4,
		.tcp = view.protocol == IPPROTO_TCP,
		.size = offload->size,
		.upper = view.upper_offset,
		.sum_offset = offload->sum_offset };
	if (!(offload->flags & INNER_SUM_MISSING) || offload->sum_start != cut->upper || !cut->size ||
		(!cut->four && cut->upper != IP6_HEAD))
		return FATE_BAD_PACKET;
	head = upper_head(offload, packet, &view);
	if (!head || (cut->tcp && cut->packet[cut->upper + TCP_FLAGS_AT] & TCP_SYN))
		return FATE_BAD_PACKET;
	cut->head_len = cut->upper + head;
	cut->payload = cut->packet + cut->head_len;
	cut->left = view.length - cut->head_len;
	cut->count = cut->left ? (cut->left + cut->size - 1) / cut->size : 1;
	cut->first_len = cut->head_len + (cut->left < cut->size ? cut->left : cut->size);
	prepare_head(cut);
	return FATE_NONE;
}

static void write_ip(struct inner_cut *cut, uint8_t *ip, uint32_t len)
{
	if (!cut->four) {
		put_u16(ip + IP6_LENGTH_AT, len - IP6_HEAD);
		return;
	}
	put_u16(ip + IP4_LENGTH_AT, len);
	put_u16(ip + IP4_ID_AT, cut->id);
	sum_write(ip + IP4_SUM_AT,
		(uint16_t)~sum_fold(cut->ip_sum + sum_u16((uint16_t)len) + sum_u16(cut->id)));
	cut->id++;
}

static void write_upper(struct inner_cut *cut, uint8_t *upper, uint32_t len, uint64_t payload_sum)
{
	uint64_t sum = cut->upper_sum + payload_sum + sum_u16((uint16_t)len);
	uint16_t folded;

	if (cut->tcp) {
		put_u32(upper + TCP_NUMBER_AT, cut->number);
		sum += sum_u32(cut->number);
		if (cut->count == 1) {
			upper[TCP_FLAGS_AT] |= cut->last_flags;
			sum += sum_u16(cut->last_flags);
		}
	} else {
		put_u16(upper + UDP_LENGTH_AT, len);
		sum += sum_u16((uint16_t)len);
	}
	folded = (uint16_t)~sum_fold(sum);
	sum_write(upper + cut->sum_offset, folded || cut->tcp ? folded : 0xffff);
}

/* CWR answers one ECE, not one for each segment. */
static void drop_cwr(struct inner_cut *cut)
{
	uint8_t *flags = cut->head + cut->upper + TCP_FLAGS_AT;

	if (!cut->tcp || !(*flags & TCP_CWR))
		return;
	*flags &= (uint8_t)~TCP_CWR;
	cut->upper_sum += (uint16_t)~sum_u16(TCP_CWR);
}

size_t inner_cut_head(struct inner_cut *cut, void *to, uint8_t **payload_at)
{
	uint8_t *segment = to;
	uint32_t payload = cut->left < cut->size ? cut->left : cut->size, len = cut->head_len + payload;

	if (!cut->count)
		return 0;
	*payload_at = cut->payload;
	memcpy(segment, cut->head, cut->head_len);
	uint64_t sum = sum_bytes(cut->payload, payload);
	write_ip(cut, segment, len);
	write_upper(cut, segment + cut->upper, len - cut->upper, sum);
	drop_cwr(cut);
	cut->payload += payload;
	cut->left -= payload;
	cut->number += payload;
	cut->count--;
	return len;
}

size_t inner_cut_next(struct inner_cut *cut, void *to)
{
	uint8_t *payload;
	size_t len = inner_cut_head(cut, to, &payload);

	if (len)
		memcpy((uint8_t *)to + cut->head_len, payload, len - cut->head_len);
	return len;
}
