/* SPDX-License-Identifier: MIT
 * Tunnel to link, step by step: whose it is, cut, seal, send. A super packet is asked about once and cut only at its
 * owner's; its payload is copied by the cipher alone. */
#include "worker/internal.h"

#include "shm/handover_ring.h"
#include "shm/routes.h"

#include <stdlib.h>
#include <string.h>

enum { AREA_SEGMENTS = 64, AREA_MIN = 192 * 1024 };

bool outbound_init(struct worker *w, uint32_t segment_max)
{
	uint32_t len = AREA_SEGMENTS * (segment_max + VPN_OVERHEAD);

	w->walk.area_len = len < AREA_MIN ? AREA_MIN : len;
	w->walk.area = malloc(w->walk.area_len);
	return w->walk.area != NULL;
}

static struct inner_offload offload_of(const struct packet *p)
{
	struct inner_offload offload;

	memcpy(&offload, p->at - p->offload, sizeof(offload));
	return offload;
}

/* Checksums that the kernel left to us. A super packet's are made as it is cut. */
static void outbound_sums(struct batch *b)
{
	for (unsigned i = 0; i < b->count; i++) {
		struct packet *p = &b->packets[i];

		if (!p->offload || p->fate != FATE_NONE)
			continue;
		struct inner_offload offload = offload_of(p);
		if (offload.train != INNER_TRAIN_NONE)
			continue;
		p->fate = inner_finish_sum(&offload, p->at, p->len);
		p->offload = 0;
	}
}

/* A multicast super packet: each segment a copy for each peer. */
static void fan_out_super(struct worker *w, struct packet *p)
{
	struct walk *walk = &w->walk;
	struct inner_offload offload = offload_of(p);

	p->fate = inner_cut_begin(&walk->cut, &offload, p->at, p->len);
	if (p->fate == FATE_NONE && walk->cut.first_len > walk->area_len)
		p->fate = FATE_TOO_LONG;
	if (p->fate != FATE_NONE)
		return;
	struct packet one = { .at = walk->area, .start = walk->area, .room = walk->area_len };
	while ((one.len = (uint32_t)inner_cut_next(&walk->cut, one.at)))
		fan_out(w, &one, PEER_NONE);
	p->fate = FATE_DELIVERED;
}

/* The last answer: neighbours in a batch tend to go the same way. */
struct asked {
	struct inner_address destination;
	uint32_t peer, generation;
	bool found;
};

/* Which peer has the destination. */
static void outbound_routes(struct worker *w, struct batch *b)
{
	struct asked last = { 0 };

	for (unsigned i = 0; i < b->count; i++) {
		struct packet *p = &b->packets[i];
		struct inner_view view;

		p->peer = PEER_NONE;
		if (p->fate != FATE_NONE)
			continue;
		p->fate = inner_look(p->at, p->len, &view);
		if (p->fate != FATE_NONE)
			continue;
		p->len = view.length;
		if (view.multicast) {
			if (p->offload)
				fan_out_super(w, p);
			else
				fan_out(w, p, PEER_NONE);
			if (p->fate == FATE_NONE)
				p->fate = FATE_DELIVERED;
			continue;
		}
		if (!inner_address_equal(&last.destination, &view.destination)) {
			last.destination = view.destination;
			last.found = routes_find(w->shm, view.destination.family == INNER_IP4 ? 4 : 6,
				view.destination.bytes, &last.peer, &last.generation);
		}
		if (last.found) {
			p->peer = last.peer;
			p->generation = last.generation;
		} else {
			p->fate = FATE_NO_ROUTE;
		}
	}
}

/* A super packet goes to its owner whole. Many workers have small rings, and a ring may have room for less than all: then
 * as many segments as it takes. */
static void give_super(struct worker *w, struct packet *p, unsigned owner)
{
	struct walk *walk = &w->walk;
	struct inner_offload offload = offload_of(p);
	struct packet one = *p;

	handover_give(w, p, HANDOVER_SUPER, owner);
	if (p->fate != FATE_RING_FULL || inner_cut_begin(&walk->cut, &offload, p->at, p->len) != FATE_NONE ||
		walk->cut.first_len > walk->area_len)
		return;
	one.at = walk->area;
	one.offload = 0;
	while ((one.len = (uint32_t)inner_cut_next(&walk->cut, one.at))) {
		handover_give(w, &one, HANDOVER_PACKET, owner);
		if (one.fate != FATE_HANDED_OVER)
			return;
		p->fate = FATE_HANDED_OVER;
	}
}

static void outbound_owners(struct worker *w, struct batch *b)
{
	for (unsigned i = 0; i < b->count; i++) {
		struct packet *p = &b->packets[i];
		uint32_t generation;
		unsigned owner;

		if (p->fate != FATE_NONE)
			continue;
		owner = peers_owner(w->shm, p->peer, &generation);
		if (owner == WORKER_NONE || generation != p->generation)
			p->fate = FATE_STALE;
		else if (owner != w->born->index && p->offload)
			give_super(w, p, owner);
		else if (owner != w->born->index)
			handover_give(w, p, HANDOVER_PACKET, owner);
		else if (!session_find(w, p->peer, generation))
			session_welcome(w, p->peer);
	}
}

static void walk_seal(struct worker *w, struct walk *walk)
{
	vpn_job jobs[VPN_BATCH] __attribute__((uninitialized));

	for (unsigned i = 0; i < walk->count; i++) {
		struct packet *p = walk->packets[i];
		jobs[i] = (vpn_job){ .session = walk->of[i]->engine, .data = p->at, .len = p->len,
			.payload = walk->payload[i], .head = walk->head[i], .fate = p->fate };
	}
	vpn_seal(jobs, walk->count, w->now);
	for (unsigned i = 0; i < walk->count; i++) {
		struct packet *p = walk->packets[i];
		p->fate = (enum fate)jobs[i].fate;
		if (p->fate == FATE_NONE) {
			peers_count_out(walk->of[i]->shared, 1, p->len, w->now);
			p->at = jobs[i].data;
			p->len = jobs[i].len;
		}
		if (jobs[i].attention)
			timer_set(w->wheel, &walk->of[i]->timer, w->now);
	}
}

static void walk_send(struct worker *w, struct walk *walk)
{
	uint64_t bytes = 0, count = 0;
	uint64_t used = 0;

	for (unsigned i = 0; i < walk->count; i++) {
		struct packet *p = walk->packets[i];
		if (p->fate != FATE_NONE)
			continue;
		const struct peer_identity *to = &walk->of[i]->identity;
		p->peer_address = to->peer_address;
		p->local_address = to->local_address;
		p->local_interface = w->config->multihome_same_interface ? to->local_interface : 0;
		count++;
		bytes += p->len;
		udp_link_queue(&w->links[to->link], p);
		used |= 1ull << (to->link % 64);
	}
	for (unsigned i = 0; i < w->link_count; i++)
		if (used & 1ull << (i % 64))
			udp_link_flush(&w->links[i]);
	counter_add(w->counters, COUNTER_DATAGRAMS_OUT, count);
	counter_add(w->counters, COUNTER_LINK_BYTES_OUT, bytes);
}

/* Seals and sends what was collected. Segments end here; packets of a batch have their fate now. */
static void walk_end(struct worker *w, struct walk *walk)
{
	if (w->tracing)
		trace_walk(w, walk);
	walk_seal(w, walk);
	walk_send(w, walk);
	if (w->tracing)
		trace_walk_end(w, walk);
	for (unsigned i = 0; i < walk->segments; i++)
		counter_fate(w->counters, walk->segment[i].fate, 1);
	walk->count = walk->segments = walk->used = 0;
}

/* `payload`: of a segment that has only its first `head` bytes; else NULL. */
static void walk_add(struct worker *w, struct packet *p, struct session *s, uint8_t *payload, uint32_t head)
{
	struct walk *walk = &w->walk;

	if (walk->count == BATCH_MAX)
		walk_end(w, walk);
	walk->packets[walk->count] = p;
	walk->payload[walk->count] = payload;
	walk->head[walk->count] = head;
	walk->of[walk->count++] = s;
}

/* Room for `len` bytes with those of sealing in front; what was collected is sent first if it must. */
static uint8_t *walk_room(struct worker *w, uint32_t len)
{
	struct walk *walk = &w->walk;

	if (walk->count == BATCH_MAX || walk->used + VPN_OVERHEAD + len > walk->area_len)
		walk_end(w, walk);
	return walk->area + walk->used + VPN_OVERHEAD;
}

/* A super packet ends as its segments do: it has no fate of its own, unless it is a bad one. One in a ring stays as it is:
 * our successor may see the record again, and heads over its payload would get right checksums there. */
static void walk_cut(struct worker *w, struct packet *p, struct session *s)
{
	struct walk *walk = &w->walk;
	struct inner_offload offload = offload_of(p);

	p->fate = inner_cut_begin(&walk->cut, &offload, p->at, p->len);
	if (p->fate == FATE_NONE && walk->cut.first_len > walk->area_len - VPN_OVERHEAD)
		p->fate = FATE_TOO_LONG;
	if (p->fate != FATE_NONE) {
		if (w->tracing)
			trace_dropped(w, s, p);
		return;
	}
	counter_add(w->counters, COUNTER_PACKETS_TUN_OUT, walk->cut.count - 1);
	while (walk->cut.count) {
		uint8_t *at = walk_room(w, walk->cut.first_len), *payload = NULL;
		struct packet *segment = &walk->segment[walk->segments++];
		uint32_t len = (uint32_t)(p->source == FROM_HANDOVER ? inner_cut_next(&walk->cut, at) :
								       inner_cut_head(&walk->cut, at, &payload));

		*segment = (struct packet){ .at = at, .len = len, .start = at - VPN_OVERHEAD, .room = VPN_OVERHEAD + len,
			.peer = p->peer, .generation = p->generation, .source = FROM_US };
		walk->used += VPN_OVERHEAD + len;
		walk_add(w, segment, s, payload, walk->cut.head_len);
	}
}

/* A packet alone. One without room in front (its neighbour in a receive buffer is there) moves. What is no packet in a ring
 * was one until our predecessor sealed it there. */
static void walk_packet(struct worker *w, struct packet *p, struct session *s)
{
	struct inner_view view;

	if (s->mss4 || s->mss6 || p->source == FROM_HANDOVER) {
		enum fate fate = inner_look(p->at, p->len, &view);
		if (fate == FATE_NONE)
			inner_clamp_mss(p->at, &view, s->mss4, s->mss6);
		else if (p->source == FROM_HANDOVER)
			p->fate = fate;
	}
	if (p->len > w->walk.area_len - VPN_OVERHEAD)
		p->fate = FATE_TOO_LONG;
	if (p->fate != FATE_NONE) {
		if (w->tracing)
			trace_dropped(w, s, p);
		return;
	}
	if (packet_headroom(p) < VPN_OVERHEAD) {
		uint8_t *at = walk_room(w, p->len);

		memcpy(at, p->at, p->len);
		p->at = at;
		p->start = at - VPN_OVERHEAD;
		p->room = VPN_OVERHEAD + p->len;
		w->walk.used += p->room;
	}
	walk_add(w, p, s, NULL, 0);
}

static void outbound_walk(struct worker *w, struct batch *b)
{
	for (unsigned i = 0; i < b->count; i++) {
		struct packet *p = &b->packets[i];
		struct session *s;

		if (p->fate != FATE_NONE)
			continue;
		s = session_find(w, p->peer, p->generation);
		if (!s)
			p->fate = FATE_STALE;
		else if (p->offload)
			walk_cut(w, p, s);
		else
			walk_packet(w, p, s);
	}
	if (w->walk.count)
		walk_end(w, &w->walk);
}

void outbound_owned(struct worker *w, struct batch *b)
{
	outbound_owners(w, b);
	outbound_walk(w, b);
	batch_end(w, b);
}

void outbound(void *worker, struct batch *b)
{
	struct worker *w = worker;
	uint64_t bytes = 0;

	w->now = loop_now();
	for (unsigned i = 0; i < b->count; i++)
		bytes += b->packets[i].len;
	counter_add(w->counters, COUNTER_PACKETS_TUN_OUT, b->count);
	counter_add(w->counters, COUNTER_TUN_BYTES_OUT, bytes);
	counter_add(w->counters, COUNTER_TUN_CALLS_OUT, b->count);
	outbound_sums(b);
	outbound_routes(w, b);
	outbound_owned(w, b);
}
