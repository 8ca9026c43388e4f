/* SPDX-License-Identifier: MIT
 * The door to what crosses the tunnel: a packet seen as IPv4 or IPv6. Bytes only; nothing is kept. RFC 791, RFC 8200,
 * RFC 9293 (MSS option), RFC 1624 (incremental checksums). Super packets: the kernel's linux/virtio_net.h. */
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

/* -- super packets: split.c, join.c -- */

enum {
	INNER_SUM_MISSING = 1, /* flag: the upper layer's checksum field holds the pseudo header's sum, no more */
	INNER_OFFLOAD_LEN = 10,
	INNER_JOIN_MAX = 128, /* packets in one join */
};

enum inner_train {
	INNER_TRAIN_NONE = 0,
	INNER_TRAIN_TCP4 = 1,
	INNER_TRAIN_TCP6 = 4,
	INNER_TRAIN_UDP = 5,
	INNER_TRAIN_ECN = 0x80, /* beside one of TCP's: the first segment may have CWR */
};

/* What stands in front of a packet that a tunnel device gives or takes: bit for bit the kernel's struct virtio_net_hdr,
 * in the machine's byte order. All zero: a packet like any other. */
struct inner_offload {
	uint8_t flags;       /* INNER_SUM_MISSING */
	uint8_t train;       /* enum inner_train */
	uint16_t head_len;   /* a hint: what is repeated in front of each segment */
	uint16_t size;       /* payload of each segment but the last */
	uint16_t sum_start;  /* the checksum is over the bytes from here on ... */
	uint16_t sum_offset; /* ... and stands so far behind */
};

/* Completes the checksum of a packet with INNER_SUM_MISSING, in place. FATE_NONE, or FATE_BAD_PACKET: its place is
 * outside the packet. */
enum fate inner_finish_sum(const struct inner_offload *offload, void *packet, size_t len);

/* One super packet on its way to being its packets. The caller reads `count`, `first_len`, `left` and `head_len` only. */
struct inner_cut {
	uint32_t count;     /* segments not yet given */
	uint32_t first_len; /* of each but the last */
	uint8_t *packet, *payload;
	uint32_t left; /* payload not yet given */
	uint32_t size, head_len, upper, sum_offset;
	uint32_t number; /* TCP: of the next segment's first byte */
	uint16_t id;	 /* IPv4: of the next segment */
	bool four, tcp;
	uint8_t last_flags;	       /* TCP: of the last segment */
	uint64_t ip_sum, upper_sum;    /* of the heads, what differs between segments left out */
	uint8_t head[60 + 60];	       /* the first segment's, then the next one's */
};

/* Looks at a super packet (offload->train set), which is borrowed until the last segment was given. FATE_NONE, or
 * FATE_BAD_PACKET: no TCP or UDP packet whole and alone behind an IP header without extension headers, a checksum that is
 * not missing where it should be, segments of no size, a SYN, or a type that does not fit. */
enum fate inner_cut_begin(struct inner_cut *, const struct inner_offload *offload, void *packet, size_t len);
/* Writes the next segment, checksums complete, to `to`: room for first_len bytes. Returns its length; 0 after the last.
 * Sequence numbers and IPv4 ids count on, PSH and FIN go with the last segment, CWR with the first. */
size_t inner_cut_next(struct inner_cut *, void *to);
/* The same without the payload: `to` gets the first head_len bytes, `payload` is where the others are in the super packet.
 * The head_len bytes in front of it belong to segments given before, or are the super packet's own head, which is not read
 * again: who has used the segments before may overwrite them, to have this one whole. */
size_t inner_cut_head(struct inner_cut *, void *to, uint8_t **payload);

/* A run of packets that leaves as one: a train of two or more as a super packet, others alone as they are. */
struct inner_unit {
	struct inner_offload offload; /* all zero for one packet */
	uint16_t first, last, count;  /* packets, linked by join->next[] */
	uint16_t head_len;	      /* skipped in all but the first */
	uint32_t len;		      /* of the super packet */
	/* the room's own */
	uint32_t number;
	uint32_t slot;
	bool closed, verified;
};

/* Packets of one batch, in order, to units, in order. Plain memory of the caller; no need to clear it. */
struct inner_join {
	unsigned packets, units;
	bool udp; /* UDP packets may be joined: the device knows INNER_TRAIN_UDP */
	struct inner_unit unit[INNER_JOIN_MAX];
	uint16_t next[INNER_JOIN_MAX];
	uint8_t *at[INNER_JOIN_MAX];
	uint8_t newest[256]; /* by flow: unit + 1 */
};

void inner_join_begin(struct inner_join *, bool udp);
/* Adds a packet, borrowed until the units are written; `view` is what inner_look() said of it. At most INNER_JOIN_MAX. It
 * joins the newest unit of its flow where the unit, cut again, gives back the same packets (but for the ids of IPv4 packets
 * that must not be fragmented, which mean nothing), and if the checksums of both are right. Packets of one flow keep their
 * order. */
void inner_join_add(struct inner_join *, void *packet, const struct inner_view *view);
/* Makes the first packet's head of each train that of the super packet. */
void inner_join_end(struct inner_join *);

#endif
