/* SPDX-License-Identifier: MIT
 * A datagram of the bare control format: what is read can be written again, byte for byte. */
#include "common/base/check.h"
#include "common/wire/wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct wire_head head;
	char line[48];
	bool known = wire_read_head(data, len, &head);
	wire_describe(data, len, line, sizeof(line));
	CHECK(memchr(line, '\0', sizeof(line)));
	CHECK(!known || strcmp(wire_opcode_name(head.opcode), "?"));
	CHECK(!known || head.key_id < 8);

	enum { OPCODE_AND_SESSION = 9 };
	if (!known || !wire_is_control(head.opcode) || len < OPCODE_AND_SESSION)
		return 0;
	struct control_head control;
	const uint8_t *body = data + OPCODE_AND_SESSION;
	size_t body_len = len - OPCODE_AND_SESSION;
	if (!wire_read_control(head.opcode, bytes_of(body, body_len), &control))
		return 0;
	static uint8_t out[1 << 16];
	size_t written = wire_write_control(head.opcode, &control, out, sizeof(out));
	if (body_len > sizeof(out))
		return 0;
	CHECK(written && written <= body_len);
	CHECK(head.opcode == OP_ACK_V1 || written == body_len);
	CHECK(head.opcode == OP_ACK_V1 ||
		written == wire_control_overhead(control.ack_count) + control.payload.left);
	CHECK(!memcmp(out, body, written));
	return 0;
}
