/* SPDX-License-Identifier: MIT
 * A packet or datagram on its way through a worker: bytes with headroom and tailroom, whose it is, its fate. Steps set
 * the fate and go on; later steps skip packets that have one; one place counts fates and gives buffers back. */
#ifndef COMMON_BASE_PACKET_H
#define COMMON_BASE_PACKET_H

#include "common/base/address.h"
#include "common/base/fate.h"

#include <stddef.h>
#include <stdint.h>

enum { PACKET_HEADROOM = 128, PEER_NONE = 0xffffffff };

struct packet {
	uint8_t *at;  /* first byte now */
	uint32_t len; /* bytes from there */
	uint8_t *start; /* of the buffer: at - start is headroom */
	uint32_t room;  /* of the buffer, from start */
	uint32_t peer;  /* slot in the session table, or PEER_NONE */
	uint32_t generation;
	enum fate fate;
	uint16_t link;   /* listener it came by or leaves by */
	uint16_t buffer; /* which buffer, for whoever lent it */
	uint8_t offload; /* so many bytes in front of `at` say that it is a super packet or lacks its checksum: what
			  * common/inner/inner.h calls struct inner_offload; 0: a packet like any other */
	uint8_t source;  /* who lent the buffer: enum packet_source of worker/batch.h */
	struct link_address peer_address;  /* the peer's: from where, or to where */
	struct link_address local_address; /* ours, as the datagram named it (port 0); family 0: not known */
	uint32_t local_interface;          /* its index, 0: not known */
};

static inline size_t packet_headroom(const struct packet *p)
{
	return (size_t)(p->at - p->start);
}

#endif
