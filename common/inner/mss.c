/* SPDX-License-Identifier: MIT
 * The MSS option of a TCP SYN, lowered so that full segments fit into one datagram of the tunnel. */
#include "common/base/bytes.h"
#include "common/inner/inner.h"

#include <netinet/in.h>

enum {
	TCP_HEAD = 20,
	TCP_OFFSET_AT = 12,
	TCP_FLAGS_AT = 13,
	TCP_SUM_AT = 16,
	TCP_SYN = 2,
	OPTION_END = 0,
	OPTION_NOTHING = 1,
	OPTION_MSS = 2,
	OPTION_MSS_LEN = 4,
};

/* Mends a checksum after the 16 bits at offset `at` of the summed bytes went from `old` to `new` (RFC 1624,
 * equation 3). Options need not be aligned: at an odd offset the value's two bytes are the low and the high
 * byte of two words, which counts as the swapped value. */
static void mend(uint8_t sum[2], uint16_t old, uint16_t new, size_t at)
{
	if (at % 2) {
		old = (uint16_t)(old << 8 | old >> 8);
		new = (uint16_t)(new << 8 | new >> 8);
	}
	uint32_t folded = (uint16_t) ~(sum[0] << 8 | sum[1]);
	folded += (uint16_t)~old;
	folded += new;
	folded = (folded & 0xffff) + (folded >> 16);
	folded = (folded & 0xffff) + (folded >> 16);
	folded = ~folded;
	sum[0] = (uint8_t)(folded >> 8);
	sum[1] = (uint8_t)folded;
}

/* The two bytes of the MSS value in an option list, or NULL: not there, or the list is broken before it. */
static uint8_t *find_mss(uint8_t *options, size_t len)
{
	size_t at = 0;
	while (at < len && options[at] != OPTION_END) {
		if (options[at] == OPTION_NOTHING) {
			at++;
			continue;
		}
		if (len - at < 2 || options[at + 1] < 2 || options[at + 1] > len - at)
			return NULL;
		if (options[at] == OPTION_MSS)
			return options[at + 1] == OPTION_MSS_LEN ? options + at + 2 : NULL;
		at += options[at + 1];
	}
	return NULL;
}

bool inner_clamp_mss(void *packet, const struct inner_view *view, uint16_t mss4, uint16_t mss6)
{
	uint16_t limit = view->source.family == INNER_IP4 ? mss4 : mss6;
	if (!limit || view->protocol != IPPROTO_TCP || !view->upper_offset ||
		view->length < view->upper_offset + TCP_HEAD)
		return false;
	uint8_t *tcp = (uint8_t *)packet + view->upper_offset;
	size_t head = (size_t)(tcp[TCP_OFFSET_AT] >> 4) * 4;
	if (!(tcp[TCP_FLAGS_AT] & TCP_SYN) || head < TCP_HEAD ||
		head > (size_t)(view->length - view->upper_offset))
		return false;
	uint8_t *value = find_mss(tcp + TCP_HEAD, head - TCP_HEAD);
	uint16_t mss = value ? (uint16_t)(value[0] << 8 | value[1]) : 0;
	if (mss <= limit)
		return false;
	value[0] = (uint8_t)(limit >> 8);
	value[1] = (uint8_t)limit;
	mend(tcp + TCP_SUM_AT, mss, limit, (size_t)(value - tcp));
	return true;
}
