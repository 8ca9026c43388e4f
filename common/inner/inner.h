/* SPDX-License-Identifier: MIT
 * The door to what crosses the tunnel: a packet seen as IPv4 or IPv6. Bytes only; nothing is kept. RFC 791, RFC 8200,
 * RFC 9293 (MSS option), RFC 1624 (incremental checksums). */
#ifndef COMMON_INNER_INNER_H
#define COMMON_INNER_INNER_H

#include "common/base/fate.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum inner_family { INNER_NONE, INNER_IP4, INNER_IP6 };

struct inner_address {
	uint8_t family; /* enum inner_family */
	uint8_t bytes[16]; /* network order; IPv4 in the first four, the rest zero */
};

struct inner_view {
	struct inner_address source, destination;
	uint8_t protocol;      /* upper layer: behind IPv6 extension headers, as far as they are here */
	uint16_t upper_offset; /* where it begins; 0: not here (later fragment) or not found (too many headers) */
	uint16_t length;       /* of the packet by its own header */
	bool fragment;         /* first or later */
	bool multicast;        /* destination: 224/4, ff00::/8 or the limited broadcast */
};

/* Looks at a packet. FATE_NONE, or FATE_BAD_PACKET: version, header length or total length do not fit in `len` bytes, an
 * extension header is cut, or the packet is longer than 65,535 bytes (jumbograms included). At most 8 extension headers
 * are followed. A packet longer than its header says is cut by the caller to view.length. */
enum fate inner_look(const void *packet, size_t len, struct inner_view *out);

bool inner_address_equal(const struct inner_address *a, const struct inner_address *b);
/* Text of an address; returns `out` (46 bytes are enough). */
char *inner_address_text(const struct inner_address *address, char *out, size_t room);

/* Lowers the MSS option of a TCP SYN to `mss4` (IPv4) or `mss6` (IPv6) if it is larger, and mends the checksum. Anything
 * else is left alone; 0 means do not touch. True when it changed something. The packet is whole to view->length and its
 * checksum complete: one that the tunnel device left to be finished (virtio's NEEDS_CSUM) is finished first. */
bool inner_clamp_mss(void *packet, const struct inner_view *view, uint16_t mss4, uint16_t mss6);

/* Internet checksum (RFC 1071) over a whole packet's upper layer with pseudo header; for tests and packet makers.
 * True when the IPv4 header checksum (if any) and the TCP, UDP, ICMP or ICMPv6 checksum are right. Of fragments and of
 * other protocols the header alone is looked at. False too for what inner_look() refuses. */
bool inner_checksums_right(const void *packet, size_t len);
/* Writes them; leaves alone what it cannot parse. */
void inner_checksums_write(void *packet, size_t len);

#endif
