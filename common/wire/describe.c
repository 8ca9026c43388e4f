/* SPDX-License-Identifier: MIT
 * Any datagram as one line, the same in logs, tests and traces. Shows only what is readable without a key. */
#include "common/wire/wire.h"

#include <stdio.h>

char *wire_describe(const void *datagram, size_t len, char *out, size_t room)
{
	struct wire_head head;
	if (!len)
		snprintf(out, room, "empty");
	else if (!wire_read_head(datagram, len, &head))
		snprintf(out, room, "malformed op=%u len=%zu", head.opcode, len);
	else if (head.opcode == OP_DATA_V2)
		snprintf(out, room, "%s kid=%u peer=%u len=%zu", wire_opcode_name(head.opcode), head.key_id,
			head.peer_id, len);
	else
		snprintf(out, room, "%s kid=%u len=%zu", wire_opcode_name(head.opcode), head.key_id, len);
	return out;
}
