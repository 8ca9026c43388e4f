/* SPDX-License-Identifier: MIT
 * What other workers give us and what we give them: datagrams and packets for the session's owner. Steering makes it
 * rare; this makes it right. */
#include "worker/internal.h"

#include "shm/handover_ring.h"
#include "worker/orders.h"

#include <string.h>

enum { RUNS_MAX = 8 };

void handover_give(struct worker *w, struct packet *p, unsigned kind, unsigned owner)
{
	struct ring ring = ring_between(w->shm, w->born->index, owner);
	struct ring_item item;

	if (!ring.ends || !ring_reserve(ring, p->offload + p->len, &item)) {
		p->fate = FATE_RING_FULL;
		if (ring.ends)
			loop_wake(&w->loop, owner);
		return;
	}
	item.kind = (enum handover_kind)kind;
	item.slot = p->peer;
	item.generation = p->generation;
	item.link = p->link;
	item.local_interface = p->local_interface;
	item.peer_address = p->peer_address;
	item.local_address = p->local_address;
	memcpy(item.payload, p->at - p->offload, p->offload + p->len);
	ring_commit(ring, &item);
	loop_wake(&w->loop, owner);
	counter_add(w->counters, COUNTER_HANDED_OVER_OUT, 1);
	p->fate = FATE_HANDED_OVER;
}

void handover_end(struct worker *w, uint32_t slot, uint32_t generation, unsigned owner, unsigned reason,
	const char *text)
{
	struct ring ring = ring_between(w->shm, w->born->index, owner);
	struct ring_item item;
	size_t len = text ? strlen(text) : 0;
	bool room = ring.ends && ring_reserve(ring, (uint32_t)len, &item);

	/* Readers stop believing in it at once, unless its client is to be told; the owner tidies up when it hears of it, or at
	 * its next look. */
	if (!room || reason < END_SETTINGS)
		peers_set_state(w->shm, slot, generation, PEER_CLOSING);
	if (!room)
		return;
	if (len)
		memcpy(item.payload, text, len);
	item.kind = HANDOVER_END;
	item.slot = slot;
	item.generation = generation;
	item.reason = reason;
	ring_commit(ring, &item);
	loop_wake(&w->loop, owner);
}

void handover_moved(struct worker *w, uint32_t slot, uint32_t generation, unsigned owner)
{
	struct ring ring = ring_between(w->shm, w->born->index, owner);
	struct ring_item item;

	/* Without room for it the first packet tells, or the new owner's periodic look. */
	if (ring.ends && ring_reserve(ring, 0, &item)) {
		item.kind = HANDOVER_MOVED;
		item.slot = slot;
		item.generation = generation;
		ring_commit(ring, &item);
	}
	if (ring.ends)
		loop_wake(&w->loop, owner);
}

static void end_session(struct worker *w, const struct ring_item *item)
{
	char text[ORDER_TEXT_MAX + 1];
	size_t len = item->len < ORDER_TEXT_MAX ? item->len : ORDER_TEXT_MAX;
	struct session *s = session_find(w, item->slot, item->generation);

	if (item->reason >= END_SETTINGS) {
		memcpy(text, item->payload, len);
		text[len] = '\0';
		moving_end(w, item->slot, item->generation, item->reason, len ? text : NULL);
	} else if (s) {
		s->why = item->reason == END_REPLACED ? EVENT_WHY_REPLACED : EVENT_WHY_ADDRESS_TAKEN;
		session_end(w, s, item->reason == END_REPLACED ? "replaced by a new connection of the same name" :
								 "its address belongs to another session now");
	}
}

static struct packet packet_of(const struct ring_item *item)
{
	uint8_t offload = item->kind == HANDOVER_SUPER ? INNER_OFFLOAD_LEN : 0;

	return (struct packet){
		.at = item->payload + offload,
		.len = item->len - offload,
		.offload = offload,
		.start = item->payload - item->headroom,
		.room = item->headroom + item->len + item->tailroom,
		.peer = item->slot,
		.generation = item->generation,
		.link = (uint16_t)item->link,
		.source = FROM_HANDOVER,
		.peer_address = item->peer_address,
		.local_address = item->local_address,
		.local_interface = item->local_interface,
	};
}

/* A word from worker to worker, without a packet. */
static bool is_word(const struct ring_item *item)
{
	return item->kind == HANDOVER_END || item->kind == HANDOVER_MOVED;
}

static void take_word(struct worker *w, const struct ring_item *item)
{
	uint32_t generation;

	if (item->kind == HANDOVER_END)
		end_session(w, item);
	else if (peers_owner(w->shm, item->slot, &generation) == w->born->index && generation == item->generation)
		session_welcome(w, item->slot);
}

/* Of no use to anybody: says so in its head, or is too short to be what it says. */
static bool is_bad(const struct worker *w, const struct ring_item *item)
{
	uint32_t least = is_word(item) ? 0 : item->kind == HANDOVER_SUPER ? INNER_OFFLOAD_LEN + 1 : 1;

	return item->link >= w->link_count || item->len < least;
}

/* One run of records of one way becomes one batch; a change ends it. Others get their turn too: what is left
 * after some batches is taken in the next one. True: something is left. */
static bool take_from(struct worker *w, struct ring ring)
{
	struct ring_item item;
	enum ring_answer answer;
	bool datagrams = false;
	uint64_t at = ring_start(ring), taken;
	unsigned runs = 0;

	do {
		w->handed.count = 0;
		taken = at;
		while (w->handed.count < BATCH_MAX && (answer = ring_next(ring, &at, &item)) == RING_ITEM) {
			bool bad = is_bad(w, &item), inwards = item.kind == HANDOVER_DATAGRAM;
			if (is_word(&item) && w->handed.count) {
				at = taken; /* after the packets before it */
				break;
			}
			if (is_word(&item) || bad) {
				if (is_word(&item) && !bad)
					take_word(w, &item);
				else
					counter_add(w->counters, COUNTER_SHM_NONSENSE, 1);
				taken = at;
				continue;
			}
			if (w->handed.count && inwards != datagrams) {
				at = taken; /* seen again in the next run */
				break;
			}
			datagrams = inwards;
			w->handed.packets[w->handed.count++] = packet_of(&item);
			taken = at;
		}
		counter_add(w->counters, COUNTER_HANDED_OVER_IN, w->handed.count);
		if (w->handed.count && datagrams)
			inbound_handed(w, &w->handed);
		else if (w->handed.count)
			outbound_owned(w, &w->handed);
		ring_release(ring, at);
		if (answer == RING_BROKEN)
			counter_add(w->counters, COUNTER_HANDOVER_BROKEN, 1);
	} while (answer == RING_ITEM && ++runs < RUNS_MAX);
	return answer == RING_ITEM;
}

void handover_look(struct worker *w)
{
	for (unsigned from = 0; from < w->born->workers; from++) {
		struct ring ring = ring_between(w->shm, from, w->born->index);
		if (ring.ends && !ring_empty(ring) && take_from(w, ring))
			loop_wake(&w->loop, w->born->index);
	}
}

void handover_take(void *worker)
{
	struct worker *w = worker;

	w->now = loop_now();
	handover_look(w);
}
