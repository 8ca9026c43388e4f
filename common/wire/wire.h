/* SPDX-License-Identifier: MIT
 * The door to the wire format: opcodes, sizes, and the structs that the readers fill. Formats as in OpenVPN's
 * src/openvpn/ssl_pkt.h and the "OpenVPN wire protocol" draft. Pure functions over bytes; nothing is kept. */
#ifndef COMMON_WIRE_WIRE_H
#define COMMON_WIRE_WIRE_H

#include "common/base/bytes.h"

enum opcode {
	OP_SOFT_RESET_V1 = 3,
	OP_CONTROL_V1 = 4,
	OP_ACK_V1 = 5,
	OP_DATA_V1 = 6,
	OP_HARD_RESET_CLIENT_V2 = 7,
	OP_HARD_RESET_SERVER_V2 = 8,
	OP_DATA_V2 = 9,
	OP_HARD_RESET_CLIENT_V3 = 10,
	OP_CONTROL_WKC_V1 = 11,
};

enum {
	WIRE_PEER_ID_NONE = 0xffffff,
	WIRE_CONTROL_MAX = 2048,  /* largest control datagram that is read */
	WIRE_MAX_ACKS = 8,        /* in an ACK_V1; read everywhere */
	WIRE_MAX_ACKS_PAYLOAD = 4 /* sent beside a payload */
};

/*  byte 0      opcode << 3 | key id
 *  bytes 1..3  peer id, DATA_V2 only */
struct wire_head {
	uint8_t opcode, key_id;
	uint32_t peer_id; /* WIRE_PEER_ID_NONE where there is none */
};

/* False: empty, an opcode outside 3..11, or a DATA_V2 shorter than its head. */
bool wire_read_head(const void *datagram, size_t len, struct wire_head *out);
/* True for every opcode but the two data ones. */
bool wire_is_control(uint8_t opcode);
/* True for the three hard resets. */
bool wire_is_hard_reset(uint8_t opcode);
/* "CONTROL_V1"; "?" for others. Static text. */
const char *wire_opcode_name(uint8_t opcode);

/*  What stands behind opcode and sender, in the clear (the wrapping is off):
 *    0        1           1+4n                  ..4       ..
 *    | n acks | n ids     | acked session (n>0) | message | payload ...
 *  ACK_V1 ends before `message`. */
struct control_head {
	uint8_t ack_count;
	uint32_t acks[WIRE_MAX_ACKS];
	uint64_t acked; /* session id of the receiver; 0 without acks */
	uint32_t message;
	struct bytes payload; /* borrowed from the datagram */
};

/* Reads a body. False: it does not parse (more than 8 acks, too short). */
bool wire_read_control(uint8_t opcode, struct bytes body, struct control_head *out);
/* Writes a body (payload included) into `out`; its length, or 0 when there is no room. */
size_t wire_write_control(uint8_t opcode, const struct control_head *in, void *out, size_t room);
/* Bytes in front of the payload of a message with `ack_count` acks, body only (without opcode and sender). */
size_t wire_control_overhead(uint8_t ack_count);

/* Any datagram as one line of text ("CONTROL_V1 kid=0 len=114"), for logs and tests. Returns `out`. */
char *wire_describe(const void *datagram, size_t len, char *out, size_t room);

#endif
