/* SPDX-License-Identifier: MIT
 * Internet checksums of whole packets, the slow and plain way: for tests and for packets that we make
 * ourselves. */
#include "common/base/bytes.h"
#include "common/inner/inner.h"

#include <netinet/in.h>

/* One's complement sum of 16-bit words; a last odd byte counts as the high one. */
static uint64_t sum_of(const uint8_t *at, size_t len)
{
	uint64_t sum = 0;
	for (size_t i = 0; i + 1 < len; i += 2)
		sum += (uint16_t)(at[i] << 8 | at[i + 1]);
	return len % 2 ? sum + ((uint64_t)at[len - 1] << 8) : sum;
}

static uint16_t fold(uint64_t sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)sum;
}

/* A summed part of a packet and where its checksum stands. */
struct summed {
	size_t at, len, sum_at; /* len 0: nothing that we know how to check */
	uint64_t pseudo;
	bool optional;	 /* a sum of 0 says "none" */
	bool never_zero; /* a sum that comes out as 0 is sent as 0xffff */
	bool broken;	 /* shorter than its own header */
};

/* Where a protocol keeps its checksum, how long its head is. */
static bool upper_shape(const struct inner_view *view, size_t *sum_offset, size_t *head)
{
	bool four = view->source.family == INNER_IP4;
	if (view->protocol == IPPROTO_TCP)
		*sum_offset = 16, *head = 20;
	else if (view->protocol == IPPROTO_UDP)
		*sum_offset = 6, *head = 8;
	else if (four ? view->protocol == IPPROTO_ICMP : view->protocol == IPPROTO_ICMPV6)
		*sum_offset = 2, *head = 4;
	else
		return false;
	return true;
}

static struct summed upper_of(const uint8_t *packet, const struct inner_view *view)
{
	struct summed s = { 0 };
	size_t sum_offset, head;
	if (view->fragment || !view->upper_offset || !upper_shape(view, &sum_offset, &head))
		return s;
	s.at = view->upper_offset;
	s.len = (size_t)(view->length - view->upper_offset);
	s.sum_at = s.at + sum_offset;
	if (s.len < head) {
		s.broken = true;
		return s;
	}
	bool four = view->source.family == INNER_IP4;
	if (view->protocol == IPPROTO_UDP) {
		size_t own = (size_t)(packet[s.at + 4] << 8 | packet[s.at + 5]);
		s.broken = own < head || own > s.len;
		s.len = own;
		s.optional = four;
		s.never_zero = true;
	}
	if (view->protocol != IPPROTO_ICMP || !four) {
		size_t address_len = four ? 4 : 16;
		s.pseudo = sum_of(view->source.bytes, address_len) +
			   sum_of(view->destination.bytes, address_len) + view->protocol + s.len;
	}
	return s;
}

bool inner_checksums_right(const void *packet, size_t len)
{
	struct inner_view view;
	const uint8_t *bytes = packet;
	if (inner_look(packet, len, &view) != FATE_NONE)
		return false;
	if (view.source.family == INNER_IP4 && fold(sum_of(bytes, (size_t)(bytes[0] & 15) * 4)) != 0xffff)
		return false;
	struct summed s = upper_of(bytes, &view);
	if (s.broken)
		return false;
	if (!s.len)
		return true;
	bool zero = !bytes[s.sum_at] && !bytes[s.sum_at + 1];
	if (zero && s.never_zero)
		return s.optional;
	return fold(s.pseudo + sum_of(bytes + s.at, s.len)) == 0xffff;
}

/* Clears the two bytes, sums, writes the complement. */
static void write_sum(uint8_t *sum, const uint8_t *at, size_t len, uint64_t pseudo, bool never_zero)
{
	sum[0] = sum[1] = 0;
	uint16_t value = (uint16_t)~fold(pseudo + sum_of(at, len));
	if (!value && never_zero)
		value = 0xffff;
	sum[0] = (uint8_t)(value >> 8);
	sum[1] = (uint8_t)value;
}

void inner_checksums_write(void *packet, size_t len)
{
	struct inner_view view;
	uint8_t *bytes = packet;
	if (inner_look(packet, len, &view) != FATE_NONE)
		return;
	if (view.source.family == INNER_IP4)
		write_sum(bytes + 10, bytes, (size_t)(bytes[0] & 15) * 4, 0, false);
	struct summed s = upper_of(bytes, &view);
	if (s.len && !s.broken)
		write_sum(bytes + s.sum_at, bytes + s.at, s.len, s.pseudo, s.never_zero);
}
