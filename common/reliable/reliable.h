/* SPDX-License-Identifier: MIT
 * The door to the reliability layer of one key negotiation: messages with ids, acknowledged, in order.
 * Rules: OpenVPN's src/openvpn/reliable.h; ids start at 0 and never wrap. No clock: the moment is an
 * argument. A message is on the heap while it waits (at most SEND_SLOTS + RECEIVE_SLOTS of them, none in a
 * quiet session), the windows themselves are small structs. All zero: a cleared window, which takes nothing.
 */
#ifndef COMMON_RELIABLE_RELIABLE_H
#define COMMON_RELIABLE_RELIABLE_H

#include "common/base/time.h"
#include "common/wire/wire.h"

enum {
	SEND_SLOTS = 6, /* never more unacknowledged: old peers have 8 receive slots */
	RECEIVE_SLOTS = 8,
	MESSAGE_MAX = 1250, /* payload bytes of one message that we send */
	ACK_MEMORY = 8,
};

struct message {
	uint8_t opcode;
	bool sent, resent;  /* at least once, twice */
	uint8_t acks_above; /* later ids acknowledged since the last sending */
	uint16_t len;
	uint32_t id;
	mono_ms due, sent_at;
	span_ms timeout; /* from the next sending to the one after it */
	uint8_t payload[];
};

/* -- send_window.c: unacknowledged messages, when to resend, when to give up -- */

struct send_window {
	struct message *slots[SEND_SLOTS]; /* by id % SEND_SLOTS; NULL: free */
	uint32_t next_id;
	span_ms first_timeout; /* 0: cleared */
	span_ms round_trip;    /* shown by the last send_window_acked(); -1: it showed none */
};

/* `first_id` is 0, or 1 when the reset was answered without state. Forgets what the window held without
 * freeing it: a used one is cleared first. False: a time-out below 1 ms, or an id that is no first one. */
bool send_window_init(struct send_window *w, uint32_t first_id, span_ms first_timeout);
/* Wipes and frees the messages. A cleared window is idle and full. */
void send_window_clear(struct send_window *w);
/* Places left for new messages, 0..SEND_SLOTS. Counts from the lowest unacknowledged id, not the number of
 * messages: ids beyond that would fall outside a peer's receive slots. */
unsigned send_window_room(const struct send_window *w);
/* True when nothing is unacknowledged. */
bool send_window_idle(const struct send_window *w);
/* Queues a message, due at once. False: no room, longer than WIRE_CONTROL_MAX, or out of memory. */
bool send_window_push(struct send_window *w, uint8_t opcode, const void *payload, size_t len, mono_ms now);
/* Notes acknowledged ids, and the time from sending to acknowledging of one that was sent once (of several the
 * shortest): of one sent again nobody knows which sending was acknowledged. Three later acks make an older message due at once (fast retransmit). Ids that
 * are not there, or were never sent, are ignored. */
void send_window_acked(struct send_window *w, const uint32_t *ids, unsigned count, mono_ms now);
/* The due message with the lowest id, its time-out doubled and set anew, or NULL. Borrowed until the next
 * call. */
const struct message *send_window_due(struct send_window *w, mono_ms now);
/* Makes all unacknowledged messages due now, time-outs back to the first (the peer's reset has arrived). */
void send_window_resend_all(struct send_window *w, mono_ms now);
/* When the next message is due, or MONO_NEVER. */
mono_ms send_window_wake_at(const struct send_window *w);

/* -- receive_window.c: order restored, duplicates dropped, acks owed -- */

struct receive_window {
	struct message *slots[RECEIVE_SLOTS]; /* by id % RECEIVE_SLOTS; NULL: free */
	uint32_t next_id;
	bool open; /* false: cleared */
	uint8_t owed_count, sent_count;
	uint32_t owed[ACK_MEMORY]; /* acks to send, oldest first */
	uint32_t sent[ACK_MEMORY]; /* acks sent, newest first: repeated where there is room */
};

/* Forgets what the window held without freeing it. False: an id that is no first one (0, 1). */
bool receive_window_init(struct receive_window *w, uint32_t first_id);
/* Wipes and frees the messages. */
void receive_window_clear(struct receive_window *w);

enum received { RECEIVED_NEW, RECEIVED_AGAIN, RECEIVED_OUTSIDE };

/* Takes one message in. NEW: stored. AGAIN: seen before, acknowledged once more, payload ignored. OUTSIDE:
 * beyond the window (or too long, the ack list is full, or out of memory): not acknowledged, ignored. */
enum received receive_window_put(struct receive_window *w, uint8_t opcode, uint32_t id, struct bytes payload);
/* The next message in order, or NULL. It stays valid, and stays, until receive_window_drop(). */
const struct message *receive_window_next(const struct receive_window *w);
void receive_window_drop(struct receive_window *w);
/* Waits for the next message no longer. */
void receive_window_skip(struct receive_window *w);
/* True when something must be acknowledged. */
bool receive_window_owes(const struct receive_window *w);
/* Takes up to `room` acks for a packet that leaves: owed ones first, then recently sent ones again. Returns
 * their number. */
uint8_t receive_window_take_acks(struct receive_window *w, uint32_t *acks, uint8_t room);

#endif
