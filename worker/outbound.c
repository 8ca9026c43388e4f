/* SPDX-License-Identifier: MIT
 * Tunnel to link, step by step: whose it is, seal, send. */
#include "worker/internal.h"

#include "shm/handover_ring.h"
#include "shm/routes.h"

/* Which peer has the destination. */
static void outbound_routes(struct worker *w, struct batch *b)
{
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
			fan_out(w, p, PEER_NONE);
			p->fate = FATE_DELIVERED;
		} else if (!routes_find(w->shm, view.destination.family == INNER_IP4 ? 4 : 6, view.destination.bytes,
				   &p->peer, &p->generation)) {
			p->fate = FATE_NO_ROUTE;
		}
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
		else if (owner != w->born->index)
			handover_give(w, p, HANDOVER_PACKET, owner);
	}
}

static void outbound_seal(struct worker *w, struct batch *b, struct session **of)
{
	vpn_job jobs[BATCH_MAX];

	for (unsigned i = 0; i < b->count; i++) {
		struct packet *p = &b->packets[i];
		struct inner_view view;

		of[i] = p->fate == FATE_NONE ? session_find(w, p->peer, p->generation) : NULL;
		if (p->fate == FATE_NONE && !of[i])
			p->fate = FATE_STALE;
		if (p->fate == FATE_NONE && packet_headroom(p) < VPN_HEADROOM)
			p->fate = FATE_TOO_LONG;
		if (p->fate == FATE_NONE && (of[i]->mss4 || of[i]->mss6) &&
			inner_look(p->at, p->len, &view) == FATE_NONE)
			inner_clamp_mss(p->at, &view, of[i]->mss4, of[i]->mss6);
		jobs[i] = (vpn_job){ .session = of[i] ? of[i]->engine : NULL, .data = p->at, .len = p->len, .fate = p->fate };
	}
	vpn_seal(jobs, b->count, w->now);
	for (unsigned i = 0; i < b->count; i++) {
		struct packet *p = &b->packets[i];
		if (!of[i])
			continue;
		p->fate = (enum fate)jobs[i].fate;
		if (p->fate == FATE_NONE) {
			peers_count_out(of[i]->shared, 1, p->len, w->now);
			p->at = jobs[i].data;
			p->len = jobs[i].len;
		}
		if (jobs[i].attention)
			timer_set(w->wheel, &of[i]->timer, w->now);
	}
}

static void outbound_send(struct worker *w, struct batch *b, struct session **of)
{
	uint64_t bytes = 0, count = 0;
	uint64_t used = 0;

	for (unsigned i = 0; i < b->count; i++) {
		struct packet *p = &b->packets[i];
		if (p->fate != FATE_NONE)
			continue;
		const struct peer_identity *to = &of[i]->identity;
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

/* Packets whose peer is known: from the tunnel, from another worker, or from one client to another. */
void outbound_owned(struct worker *w, struct batch *b)
{
	struct session *of[BATCH_MAX];

	if (b != &w->handed)
		outbound_owners(w, b);
	outbound_seal(w, b, of);
	outbound_send(w, b, of);
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
	outbound_routes(w, b);
	outbound_owned(w, b);
}
