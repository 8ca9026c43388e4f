/* SPDX-License-Identifier: MIT
 * One message of a window on the heap, its payload behind it. Shared by the two windows only. */
#ifndef COMMON_RELIABLE_MESSAGE_H
#define COMMON_RELIABLE_MESSAGE_H

#include "common/base/secret.h"
#include "common/reliable/reliable.h"

#include <stdlib.h>

/* NULL: longer than WIRE_CONTROL_MAX, or out of memory. */
static inline struct message *message_new(uint8_t opcode, uint32_t id, const void *payload, size_t len)
{
	struct message *m = len > WIRE_CONTROL_MAX ? NULL : malloc(sizeof(*m) + len);
	if (!m)
		return NULL;
	*m = (struct message){ .opcode = opcode, .id = id, .len = (uint16_t)len };
	if (len)
		memcpy(m->payload, payload, len);
	return m;
}

/* Wipes and frees; empties the slot; accepts NULL. */
static inline void message_free(struct message **slot)
{
	if (*slot)
		secret_wipe(*slot, sizeof(**slot) + (*slot)->len);
	free(*slot);
	*slot = NULL;
}

#endif
