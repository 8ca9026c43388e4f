/* SPDX-License-Identifier: MIT
 * The first bytes of a datagram: all it takes to find out whose it is. */
#include "common/wire/wire.h"

bool wire_read_head(const void *datagram, size_t len, struct wire_head *out)
{
	struct bytes in = bytes_of(datagram, len);
	uint8_t first = read_u8(&in);
	out->opcode = first >> 3;
	out->key_id = first & 7;
	out->peer_id = WIRE_PEER_ID_NONE;
	if (out->opcode == OP_DATA_V2) {
		uint32_t high = read_u8(&in);
		out->peer_id = high << 16 | read_u16(&in);
	}
	/* 1 and 2 were the resets of key method 1, which nobody speaks any more. */
	return bytes_ok(&in) && out->opcode >= OP_SOFT_RESET_V1 && out->opcode <= OP_CONTROL_WKC_V1;
}

bool wire_is_control(uint8_t opcode)
{
	return opcode >= OP_SOFT_RESET_V1 && opcode <= OP_CONTROL_WKC_V1 && opcode != OP_DATA_V1 &&
	       opcode != OP_DATA_V2;
}

bool wire_is_hard_reset(uint8_t opcode)
{
	return opcode == OP_HARD_RESET_CLIENT_V2 || opcode == OP_HARD_RESET_SERVER_V2 ||
	       opcode == OP_HARD_RESET_CLIENT_V3;
}

const char *wire_opcode_name(uint8_t opcode)
{
	static const char *const names[] = {
		[OP_SOFT_RESET_V1] = "SOFT_RESET_V1",
		[OP_CONTROL_V1] = "CONTROL_V1",
		[OP_ACK_V1] = "ACK_V1",
		[OP_DATA_V1] = "DATA_V1",
		[OP_HARD_RESET_CLIENT_V2] = "HARD_RESET_CLIENT_V2",
		[OP_HARD_RESET_SERVER_V2] = "HARD_RESET_SERVER_V2",
		[OP_DATA_V2] = "DATA_V2",
		[OP_HARD_RESET_CLIENT_V3] = "HARD_RESET_CLIENT_V3",
		[OP_CONTROL_WKC_V1] = "CONTROL_WKC_V1",
	};
	const char *name = opcode < sizeof(names) / sizeof(names[0]) ? names[opcode] : NULL;
	return name ? name : "?";
}
