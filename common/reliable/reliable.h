/* SPDX-License-Identifier: MIT
 * The door to the reliability layer of one key negotiation: messages with ids, acknowledged, in order.
 * Rules: OpenVPN's src/openvpn/reliable.h; ids start at 0 and never wrap. Fixed size, no allocation, no clock:
 * the moment is an argument. Both windows are plain structs that may be copied and are cleared with memset. */
#ifndef COMMON_RELIABLE_RELIABLE_H
#define COMMON_RELIABLE_RELIABLE_H

#include "common/base/time.h"
#include "common/wire/wire.h"

enum {
	SEND_SLOTS = 6,     /* never more unacknowledged: old peers have 8 receive slots */
	RECEIVE_SLOTS = 8,
	MESSAGE_MAX = 1250, /* payload bytes of one message that we send */
	ACK_MEMORY = 8,
};

struct message {
	uint8_t opcode;
	bool used;
	uint32_t id;
	uint16_t len;
	uint8_t acks_above; /* later ids acknowledged since the last sending */
	mono_ms due;
	span_ms timeout;
	uint8_t payload[WIRE_CONTROL_MAX];
};

/* -- send_window.c: unacknowledged messages, when to resend, when to give up -- */

struct send_window {
	struct message *slots; /* SEND_SLOTS of them, allocated: a quiet session gives them back */
	uint32_t next_id;
	span_ms first_timeout;
};

/* `first_id` is 0, or 1 when the reset was answered without state. False when out of memory. */
bool send_window_init(struct send_window *w, uint32_t first_id, span_ms first_timeout);
/* Wipes and frees the slots. A cleared window is idle and full. */
void send_window_clear(struct send_window *w);
/* Places left for new messages, 0..SEND_SLOTS. */
unsigned send_window_room(const struct send_window *w);
/* True when nothing is unacknowledged. */
bool send_window_idle(const struct send_window *w);
/* Queues a message, due at once. False: no room, or longer than WIRE_CONTROL_MAX. */
bool send_window_push(struct send_window *w, uint8_t opcode, const void *payload, size_t len, mono_ms now);
/* Notes acknowledged ids; three later acks make an older message due at once (fast retransmit). Ids that
 * are not there are ignored. */
void send_window_acked(struct send_window *w, const uint32_t *ids, unsigned count, mono_ms now);
/* The due message with the lowest id, its time-out doubled and set anew, or NULL. Borrowed until the next call. */
const struct message *send_window_due(struct send_window *w, mono_ms now);
/* Makes all unacknowledged messages due now, time-outs back to the first (the peer's reset has arrived). */
void send_window_resend_all(struct send_window *w, mono_ms now);
/* When the next message is due, or MONO_NEVER. */
mono_ms send_window_wake_at(const struct send_window *w);

/* -- receive_window.c: order restored, duplicates dropped, acks owed -- */

struct receive_window {
	struct message *slots; /* RECEIVE_SLOTS, allocated */
	uint32_t next_id;
	uint8_t owed_count, sent_count;
	uint32_t owed[ACK_MEMORY]; /* acks to send, oldest first */
	uint32_t sent[ACK_MEMORY]; /* acks sent, newest first: repeated where there is room */
};

bool receive_window_init(struct receive_window *w, uint32_t first_id);
void receive_window_clear(struct receive_window *w);

enum received { RECEIVED_NEW, RECEIVED_AGAIN, RECEIVED_OUTSIDE };

/* Takes one message in. NEW: stored. AGAIN: seen before, acknowledged once more, payload ignored. OUTSIDE: beyond
 * the window (or too long, or the ack list is full): not acknowledged, ignored. */
enum received receive_window_put(struct receive_window *w, uint8_t opcode, uint32_t id, struct bytes payload);
/* The next message in order, or NULL. It stays valid, and stays, until receive_window_drop(). */
const struct message *receive_window_next(const struct receive_window *w);
void receive_window_drop(struct receive_window *w);
/* True when something must be acknowledged. */
bool receive_window_owes(const struct receive_window *w);
/* Takes up to `room` acks for a packet that leaves: owed ones first, then recently sent ones again. Returns
 * their number. */
uint8_t receive_window_take_acks(struct receive_window *w, uint32_t *acks, uint8_t room);

#endif
