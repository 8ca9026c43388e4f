/* SPDX-License-Identifier: MIT
 * Messages that arrived: put in order, each given out once, and what must be acknowledged for them. */
#include "common/reliable/message.h"

enum { FIRST_ID_MAX = 1 };

bool receive_window_init(struct receive_window *w, uint32_t first_id)
{
	*w = (struct receive_window){ 0 };
	if (first_id > FIRST_ID_MAX)
		return false;
	w->next_id = first_id;
	w->open = true;
	return true;
}

void receive_window_clear(struct receive_window *w)
{
	for (unsigned i = 0; i < RECEIVE_SLOTS; i++)
		message_free(&w->slots[i]);
	*w = (struct receive_window){ 0 };
}

/* Puts an id on the list of owed acks; false when the list is full. */
static bool owe(struct receive_window *w, uint32_t id)
{
	for (unsigned i = 0; i < w->owed_count; i++)
		if (w->owed[i] == id)
			return true;
	if (w->owed_count == ACK_MEMORY)
		return false;
	w->owed[w->owed_count++] = id;
	return true;
}

enum received receive_window_put(struct receive_window *w, uint8_t opcode, uint32_t id, struct bytes payload)
{
	/* The last id is refused so that next_id never wraps. */
	if (!w->open || id == UINT32_MAX)
		return RECEIVED_OUTSIDE;
	if (id < w->next_id)
		return owe(w, id) ? RECEIVED_AGAIN : RECEIVED_OUTSIDE;
	if (id - w->next_id >= RECEIVE_SLOTS)
		return RECEIVED_OUTSIDE;
	struct message **slot = &w->slots[id % RECEIVE_SLOTS];
	if (*slot)
		return owe(w, id) ? RECEIVED_AGAIN : RECEIVED_OUTSIDE;
	*slot = message_new(opcode, id, payload.at, payload.left);
	if (!*slot)
		return RECEIVED_OUTSIDE;
	if (!owe(w, id)) {
		/* Taking it without an ack would be legal; refusing it keeps "stored" and "acknowledged" one
		 * thing. */
		message_free(slot);
		return RECEIVED_OUTSIDE;
	}
	return RECEIVED_NEW;
}

const struct message *receive_window_next(const struct receive_window *w)
{
	return w->slots[w->next_id % RECEIVE_SLOTS];
}

void receive_window_drop(struct receive_window *w)
{
	struct message **slot = &w->slots[w->next_id % RECEIVE_SLOTS];
	if (!*slot)
		return;
	message_free(slot);
	w->next_id++;
}

void receive_window_skip(struct receive_window *w)
{
	message_free(&w->slots[w->next_id % RECEIVE_SLOTS]);
	w->next_id++;
}

bool receive_window_owes(const struct receive_window *w)
{
	return w->owed_count > 0;
}

/* Moves an id to the front of the sent list; the oldest falls off its end. */
static void remember(struct receive_window *w, uint32_t id)
{
	unsigned at = 0;
	while (at < w->sent_count && w->sent[at] != id)
		at++;
	if (at == w->sent_count) {
		if (w->sent_count < ACK_MEMORY)
			w->sent_count++;
		else
			at--;
	}
	memmove(w->sent + 1, w->sent, at * sizeof(w->sent[0]));
	w->sent[0] = id;
}

uint8_t receive_window_take_acks(struct receive_window *w, uint32_t *acks, uint8_t room)
{
	uint8_t taken = w->owed_count < room ? w->owed_count : room;
	for (unsigned i = 0; i < taken; i++) {
		acks[i] = w->owed[i];
		remember(w, w->owed[i]);
	}
	w->owed_count = (uint8_t)(w->owed_count - taken);
	memmove(w->owed, w->owed + taken, w->owed_count * sizeof(w->owed[0]));

	/* Those just taken are the first ones of the list now: repeats begin behind them. */
	uint8_t count = taken;
	for (unsigned i = taken; i < w->sent_count && count < room; i++)
		acks[count++] = w->sent[i];
	return count;
}
