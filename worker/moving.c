/* SPDX-License-Identifier: MIT
 * Our sessions to other workers, on the master's order; and orders to end one, which follow it there.
 *
 *   marked ──at rest──> steered ──MOVE_SETTLE_MS──> given: engine closed, owner changed, new owner told
 *      ^ └──MOVE_PATIENCE_MS──> stays      │ not at rest any more
 *      └───────────────────────────────────┘
 *
 * Steered: the kernel brings its packets to the next owner already, who hands them to us; what waits in our own socket
 * is served meanwhile. So when the owner changes next to nothing is on the way, and a packet is overtaken by few others:
 * fewer than a peer's replay window has places. A session in the middle of a negotiation would lose it with its TLS: it
 * waits. */
#include "worker/internal.h"

#include "worker/orders.h"

#include <string.h>

enum {
	MOVE_RETRY_MS = 20,
	MOVE_SETTLE_MS = 10,
	MOVE_PATIENCE_MS = 5000, /* the master orders again what it still wants then */
};

void moving_forget(struct session *s, struct worker *w)
{
	if (!s->move_link)
		return;
	*s->move_link = s->move_next;
	if (s->move_next)
		s->move_next->move_link = s->move_link;
	else
		w->move_last = s->move_link;
	s->move_next = NULL;
	s->move_link = NULL;
}

static void stay(struct worker *w, struct session *s)
{
	moving_forget(s, w);
	session_steer(w, s, w->born->index);
}

static void begin(struct worker *w, struct session *s, unsigned to)
{
	if (s->move_link && s->move_to == to) {
		s->move_until = w->now + MOVE_PATIENCE_MS;
		return;
	}
	if (s->move_link)
		stay(w, s);
	s->move_to = to;
	s->move_at = 0;
	s->move_until = w->now + MOVE_PATIENCE_MS;
	s->move_link = w->move_last;
	*w->move_last = s;
	w->move_last = &s->move_next;
	w->move_look_at = w->now;
}

void moving_begin(struct worker *w, unsigned to, const struct order *order)
{
	struct order_session list[ORDER_SESSIONS_MAX];
	unsigned count = order->len / sizeof(list[0]);

	memcpy(list, order->text, count * sizeof(list[0]));
	if (to >= w->born->workers || to == w->born->index || w->stopping)
		return;
	for (unsigned i = 0; i < count; i++) {
		struct session *s = session_find(w, list[i].slot, list[i].generation);
		if (s)
			begin(w, s, to);
	}
}

static bool at_rest(const struct worker *w, const struct session *s)
{
	return s->active && !s->ending && !s->helper_id && !s->sign_id && vpn_session_at_rest(s->engine, w->now);
}

/* The order matters: what the engine holds is in the slot before anybody else may look at it, and from the change of
 * the owner on nothing of it is ours. Dying on any of these lines leaves it to one of the two: to our successor before
 * it, to the new owner after it, who finds it even if it was not told. */
static void give(struct worker *w, struct session *s)
{
	const uint32_t slot = s->slot, generation = s->generation;
	const unsigned to = s->move_to;

	worker_touch(slot);
	note_session(w, s, EVENT_MOVED_OUT, to, NULL);
	session_leave(w, s);
	if (peers_move_owner(w->shm, slot, generation, w->born->index, to)) {
		handover_moved(w, slot, generation, to);
		counter_add(w->counters, COUNTER_MOVED_OUT, 1);
	}
	worker_touch(PEER_NONE);
}

/* True: it is gone, or will not go. */
static bool step(struct worker *w, struct session *s)
{
	bool rests = at_rest(w, s);

	if (rests && s->move_at && s->move_at <= w->now) {
		give(w, s);
		return true;
	}
	if (w->now >= s->move_until || w->stopping) {
		stay(w, s);
		return true;
	}
	if (!rests && s->move_at) {
		s->move_at = 0;
		session_steer(w, s, w->born->index);
	} else if (rests && !s->move_at) {
		s->move_at = w->now + MOVE_SETTLE_MS;
		session_steer(w, s, s->move_to);
	}
	return false;
}

void moving_go_on(struct worker *w)
{
	if (w->move_first)
		handover_look(w); /* what came for them by others: then their packets are in order */
	mono_ms next = MONO_NEVER;
	for (struct session *s = w->move_first, *after; s; s = after) {
		after = s->move_next;
		if (!step(w, s))
			next = mono_earlier(next, s->move_at ? s->move_at : w->now + MOVE_RETRY_MS);
	}
	w->move_look_at = next;
}

/* -- orders to end one -- */

void moving_end(struct worker *w, uint32_t slot, uint32_t generation, unsigned how, const char *text)
{
	static const struct {
		unsigned why;
		const char *text, *reason;
	} endings[END_REASONS] = {
		[END_SETTINGS] = { EVENT_WHY_SETTINGS, "RESTART", "its settings changed" },
		[END_REVOKED] = { EVENT_WHY_REVOKED, "AUTH_FAILED", "its certificate is revoked, or not listed any more" },
		[END_KILLED] = { EVENT_WHY_KILLED, "RESTART", "ended by an administrator" },
	};
	uint32_t now = 0;
	unsigned owner = peers_owner(w->shm, slot, &now);

	if (owner == WORKER_NONE || now != generation || how >= END_REASONS || !endings[how].text)
		return;
	if (owner == w->born->index)
		session_welcome(w, slot); /* it may be ours for a moment only */
	struct session *s = session_find(w, slot, generation);
	if (s) {
		s->why = endings[how].why;
		vpn_session_close(s->engine, text ? text : endings[how].text, endings[how].reason, STOP_LINGER_MS, w->now);
		control_serve(w, s);
	} else if (owner != w->born->index) {
		handover_end(w, slot, generation, owner, how, text); /* it moved since the master looked */
	}
}
