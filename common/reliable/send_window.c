/* SPDX-License-Identifier: MIT
 * Messages that left and are not acknowledged yet: which one is due, and when. Gives up nothing by itself:
 * the negotiation's own deadline does. */
#include "common/reliable/message.h"

enum {
	FIRST_ID_MAX = 1,
	ACKS_FOR_RESEND = 3,
	TIMEOUT_MAX_MS = 1 << 24, /* hours; only keeps the doubling from overflowing */
};

bool send_window_init(struct send_window *w, uint32_t first_id, span_ms first_timeout)
{
	*w = (struct send_window){ 0 };
	if (first_id > FIRST_ID_MAX || first_timeout < 1)
		return false;
	w->next_id = first_id;
	w->first_timeout = first_timeout;
	return true;
}

void send_window_clear(struct send_window *w)
{
	for (unsigned i = 0; i < SEND_SLOTS; i++)
		message_free(&w->slots[i]);
	*w = (struct send_window){ 0 };
}

/* The lowest unacknowledged id, or the next one when all are acknowledged. */
static uint32_t lowest_id(const struct send_window *w)
{
	uint32_t lowest = w->next_id;
	for (unsigned i = 0; i < SEND_SLOTS; i++)
		if (w->slots[i] && w->slots[i]->id < lowest)
			lowest = w->slots[i]->id;
	return lowest;
}

unsigned send_window_room(const struct send_window *w)
{
	if (!w->first_timeout || w->next_id >= UINT32_MAX - SEND_SLOTS)
		return 0;
	return SEND_SLOTS - (w->next_id - lowest_id(w));
}

bool send_window_idle(const struct send_window *w)
{
	for (unsigned i = 0; i < SEND_SLOTS; i++)
		if (w->slots[i])
			return false;
	return true;
}

bool send_window_push(struct send_window *w, uint8_t opcode, const void *payload, size_t len, mono_ms now)
{
	if (!send_window_room(w))
		return false;
	struct message *m = message_new(opcode, w->next_id, payload, len);
	if (!m)
		return false;
	m->due = now;
	m->timeout = w->first_timeout;
	w->slots[w->next_id++ % SEND_SLOTS] = m;
	return true;
}

static void one_acked(struct send_window *w, uint32_t id, mono_ms now)
{
	struct message **slot = &w->slots[id % SEND_SLOTS];
	if (!*slot || (*slot)->id != id || !(*slot)->sent)
		return;
	if (!(*slot)->resent && now >= (*slot)->sent_at &&
		(w->round_trip < 0 || now - (*slot)->sent_at < w->round_trip))
		w->round_trip = now - (*slot)->sent_at;
	message_free(slot);
	/* Only a first ack counts as a sign of loss below it: peers repeat their acks wherever there is room.
	 */
	for (unsigned i = 0; i < SEND_SLOTS; i++) {
		struct message *m = w->slots[i];
		if (m && m->sent && m->id < id && ++m->acks_above >= ACKS_FOR_RESEND) {
			m->acks_above = 0;
			m->due = mono_earlier(m->due, now);
		}
	}
}

void send_window_acked(struct send_window *w, const uint32_t *ids, unsigned count, mono_ms now)
{
	w->round_trip = -1;
	for (unsigned i = 0; i < count; i++)
		one_acked(w, ids[i], now);
}

const struct message *send_window_due(struct send_window *w, mono_ms now)
{
	struct message *due = NULL;
	for (unsigned i = 0; i < SEND_SLOTS; i++) {
		struct message *m = w->slots[i];
		if (m && m->due <= now && (!due || m->id < due->id))
			due = m;
	}
	if (!due)
		return NULL;
	due->resent = due->sent;
	due->sent = true;
	due->sent_at = now;
	due->acks_above = 0;
	due->due = now + due->timeout;
	if (due->timeout < TIMEOUT_MAX_MS)
		due->timeout *= 2;
	return due;
}

void send_window_resend_all(struct send_window *w, mono_ms now)
{
	for (unsigned i = 0; i < SEND_SLOTS; i++) {
		struct message *m = w->slots[i];
		if (!m)
			continue;
		m->acks_above = 0;
		m->due = now;
		m->timeout = w->first_timeout;
	}
}

mono_ms send_window_wake_at(const struct send_window *w)
{
	mono_ms at = MONO_NEVER;
	for (unsigned i = 0; i < SEND_SLOTS; i++)
		if (w->slots[i])
			at = mono_earlier(at, w->slots[i]->due);
	return at;
}
