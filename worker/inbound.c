/* SPDX-License-Identifier: MIT
 * Link to tunnel, step by step. A step sets a fate and goes on; later steps skip packets that have one. */
#include "worker/internal.h"

#include "common/wire/wire.h"
#include "shm/handover_ring.h"
#include "shm/routes.h"

/* Kind of datagram and whose it is. */
static void inbound_owners(struct worker *w, struct batch *b)
{
	for (unsigned i = 0; i < b->count; i++) {
		struct packet *p = &b->packets[i];
		struct wire_head head;
		unsigned owner = WORKER_NONE;

		p->peer = PEER_NONE;
		if (p->fate != FATE_NONE)
			continue;
		if (!wire_read_head(p->at, p->len, &head)) {
			p->fate = p->len && (p->at[0] >> 3 < OP_SOFT_RESET_V1 || p->at[0] >> 3 > OP_CONTROL_WKC_V1) ?
				FATE_BAD_OPCODE :
				FATE_TOO_SHORT;
			continue;
		}
		if (head.opcode == OP_DATA_V2 && head.peer_id != WIRE_PEER_ID_NONE) {
			p->peer = head.peer_id;
			owner = peers_owner(w->shm, p->peer, &p->generation);
		} else {
			session_by_address(w, &p->peer_address, &p->peer, &p->generation, &owner);
		}
		if (owner == WORKER_NONE) {
			p->peer = PEER_NONE;
			if (!wire_is_control(head.opcode))
				p->fate = FATE_UNKNOWN_PEER;
		} else if (owner != w->born->index) {
			handover_give(w, p, HANDOVER_DATAGRAM, owner);
		}
	}
}

static void inbound_control(struct worker *w, struct batch *b)
{
	for (unsigned i = 0; i < b->count; i++) {
		struct packet *p = &b->packets[i];
		struct session *s;

		if (p->fate != FATE_NONE || !wire_is_control(p->at[0] >> 3))
			continue;
		s = p->peer == PEER_NONE ? NULL : session_find(w, p->peer, p->generation);
		if (s)
			control_receive(w, s, p);
		else if (p->peer == PEER_NONE)
			control_first_contact(w, p);
		else
			p->fate = FATE_STALE;
	}
}

/* Decrypts; what has a new address and the right tag has floated. */
static void inbound_open(struct worker *w, struct batch *b)
{
	vpn_job jobs[BATCH_MAX];
	struct session *of[BATCH_MAX];

	_Static_assert((int)BATCH_MAX == (int)VPN_BATCH, "one batch is one call");
	for (unsigned i = 0; i < b->count; i++) {
		struct packet *p = &b->packets[i];
		of[i] = p->fate == FATE_NONE ? session_find(w, p->peer, p->generation) : NULL;
		if (p->fate == FATE_NONE && !of[i])
			p->fate = FATE_STALE;
		jobs[i] = (vpn_job){ .session = of[i] ? of[i]->engine : NULL, .data = p->at, .len = p->len, .fate = p->fate };
	}
	vpn_open(jobs, b->count, w->now);
	for (unsigned i = 0; i < b->count; i++) {
		struct packet *p = &b->packets[i];
		if (!of[i])
			continue;
		p->fate = (enum fate)jobs[i].fate;
		/* Asked again: a float earlier in this batch may have ended the session whose address it took. */
		struct session *s = session_find(w, p->peer, p->generation);
		if (!s) {
			p->fate = p->fate == FATE_NONE ? FATE_STALE : p->fate;
			continue;
		}
		if ((p->fate == FATE_NONE || p->fate == FATE_CONSUMED) &&
			!link_address_equal(&p->peer_address, &s->identity.peer_address) && !session_float(w, s, p))
			p->fate = FATE_FLOAT_REFUSED;
		if (p->fate == FATE_NONE) {
			p->at = jobs[i].data;
			p->len = jobs[i].len;
			peers_count_in(s->shared, 1, p->len, w->now);
		} else if (p->fate == FATE_CONSUMED) {
			peers_count_in(s->shared, 0, 0, w->now); /* heard of, though nothing for the tunnel */
		}
		if (jobs[i].attention)
			timer_set(w->wheel, &s->timer, w->now);
	}
}

/* May this peer speak for that address, and where does it go: another peer, or the tunnel. */
static void inbound_inner(struct worker *w, struct batch *b)
{
	for (unsigned i = 0; i < b->count; i++) {
		struct packet *p = &b->packets[i];
		struct inner_view view;
		uint32_t slot, generation;
		unsigned family;

		if (p->fate != FATE_NONE)
			continue;
		p->fate = inner_look(p->at, p->len, &view);
		if (p->fate != FATE_NONE)
			continue;
		p->len = view.length;
		family = view.source.family == INNER_IP4 ? 4 : 6;
		if (!routes_find(w->shm, family, view.source.bytes, &slot, &generation) || slot != p->peer ||
			generation != p->generation) {
			p->fate = FATE_BAD_SOURCE;
			continue;
		}
		const struct session *s = session_find(w, p->peer, p->generation);
		if (!s) {
			p->fate = FATE_STALE;
			continue;
		}
		inner_clamp_mss(p->at, &view, s->mss4, s->mss6);
		if (!w->config->client_to_client)
			continue;
		if (view.multicast) {
			fan_out(w, p, p->peer);
		} else if (routes_find(w->shm, family, view.destination.bytes, &slot, &generation)) {
			/* To another peer: it walks on with the outbound line, in memory that this batch still holds. */
			w->arrived_from[w->arrived.count] = (uint8_t)i;
			struct packet *copy = &w->arrived.packets[w->arrived.count++];
			*copy = *p;
			copy->peer = slot;
			copy->generation = generation;
			copy->source = FROM_US;
			p->fate = FATE_NOT_READY; /* until its copy has one */
			counter_add(w->counters, COUNTER_PEER_TO_PEER, 1);
		}
	}
}

static void inbound_deliver(struct worker *w, struct batch *b)
{
	if (w->arrived.count) {
		outbound_owned(w, &w->arrived);
		for (unsigned i = 0; i < w->arrived.count; i++)
			b->packets[w->arrived_from[i]].fate = w->arrived.packets[i].fate;
		w->arrived.count = 0;
	}
	for (unsigned i = 0; i < b->count; i++) {
		struct packet *p = &b->packets[i];
		if (p->fate != FATE_NONE)
			continue;
		if (!w->has_tun) {
			p->fate = FATE_TUNNEL_ERROR;
			continue;
		}
		tun_queue_write(&w->tun, p);
		if (p->fate == FATE_DELIVERED) {
			counter_add(w->counters, COUNTER_PACKETS_TUN_IN, 1);
			counter_add(w->counters, COUNTER_TUN_BYTES_IN, p->len);
		}
	}
}

void inbound_owned(struct worker *w, struct batch *b)
{
	inbound_control(w, b);
	inbound_open(w, b);
	inbound_inner(w, b);
	inbound_deliver(w, b);
	batch_end(w, b);
}

void inbound(void *worker, struct batch *b)
{
	struct worker *w = worker;
	uint64_t bytes = 0;

	w->now = loop_now();
	for (unsigned i = 0; i < b->count; i++)
		bytes += b->packets[i].len;
	counter_add(w->counters, COUNTER_DATAGRAMS_IN, b->count);
	counter_add(w->counters, COUNTER_LINK_BYTES_IN, bytes);
	counter_add(w->counters, COUNTER_LINK_CALLS_IN, 1);
	inbound_owners(w, b);
	inbound_owned(w, b);
}

void batch_end(struct worker *w, struct batch *b)
{
	for (unsigned i = 0; i < b->count; i++) {
		struct packet *p = &b->packets[i];
		if (p->source == FROM_US)
			continue; /* a copy: its original is counted, with the copy's fate */
		counter_fate(w->counters, p->fate, 1);
		if (p->source == FROM_LINK)
			udp_link_give_back(&w->links[p->link], p);
		else if (p->source == FROM_TUNNEL)
			tun_queue_give_back(&w->tun, p);
	}
}
