/* SPDX-License-Identifier: MIT
 * The inner head of a control packet: acks, message id, payload. What stands in front (opcode, session id,
 * wrapping) belongs to common/wrap. */
#include "common/wire/wire.h"

bool wire_read_control(uint8_t opcode, struct bytes body, struct control_head *out)
{
	*out = (struct control_head){ 0 };
	if (!wire_is_control(opcode))
		return false;
	out->ack_count = read_u8(&body);
	if (out->ack_count > WIRE_MAX_ACKS) {
		out->ack_count = 0;
		return false;
	}
	for (unsigned i = 0; i < out->ack_count; i++)
		out->acks[i] = read_u32(&body);
	out->acked = out->ack_count ? read_u64(&body) : 0;
	if (opcode != OP_ACK_V1) {
		out->message = read_u32(&body);
		out->payload = read_rest(&body);
	}
	/* Bytes behind an ACK_V1 have no meaning; every implementation ignores them, so do we. */
	return bytes_ok(&body);
}

size_t wire_write_control(uint8_t opcode, const struct control_head *in, void *out, size_t room)
{
	if (!wire_is_control(opcode) || in->ack_count > WIRE_MAX_ACKS)
		return 0;
	struct bytes_out to = bytes_into(out, room);
	write_u8(&to, in->ack_count);
	for (unsigned i = 0; i < in->ack_count; i++)
		write_u32(&to, in->acks[i]);
	if (in->ack_count)
		write_u64(&to, in->acked);
	if (opcode != OP_ACK_V1) {
		write_u32(&to, in->message);
		write_data(&to, in->payload.at, in->payload.left);
	}
	return to.failed ? 0 : to.len;
}

size_t wire_control_overhead(uint8_t ack_count)
{
	return 1 + (ack_count ? 4 * (size_t)ack_count + 8 : 0) + 4;
}
