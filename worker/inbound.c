/* SPDX-License-Identifier: MIT
 * Link to tunnel, step by step. A step sets a fate and goes on; later steps skip packets that have one. */
#include "worker/internal.h"

#include "common/wire/wire.h"
#include "shm/crew.h"
#include "shm/handover_ring.h"
#include "shm/routes.h"

/* Ours stays: perhaps it was given to us, and this is the first we hear of it. What is another's goes there. */
static void inbound_settle(struct worker *w, struct packet *p, unsigned owner)
{
	if (owner != w->born->index)
		handover_give(w, p, HANDOVER_DATAGRAM, owner);
	else if (!session_find(w, p->peer, p->generation))
		session_welcome(w, p->peer);
}

/* The session of a control packet. A stranger's may have been opened by a datagram before it in the same batch: a client
 * whose first message takes several sends them all at once. */
static struct session *inbound_session(struct worker *w, struct packet *p)
{
	uint32_t slot, generation;
	unsigned owner;

	if (p->peer != PEER_NONE)
		return session_find(w, p->peer, p->generation);
	struct session *s = session_by_address(w, &p->peer_address, &slot, &generation, &owner);
	if (s) {
		p->peer = slot;
		p->generation = generation;
	}
	return s;
}

/* A stranger. Who is drained opens no session, but knows who does. */
static void inbound_stranger(struct worker *w, struct packet *p)
{
	p->peer = PEER_NONE;
	if (!wire_is_control(p->at[0] >> 3)) {
		p->fate = FATE_UNKNOWN_PEER;
		return;
	}
	if (crew_is_active(w->shm, w->born->index))
		return;
	unsigned other = crew_pick(w->shm, &p->peer_address, sizeof(p->peer_address));
	if (other != WORKER_NONE && other != w->born->index)
		handover_give(w, p, HANDOVER_DATAGRAM, other);
}

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
		if (owner == WORKER_NONE)
			inbound_stranger(w, p);
		else
			inbound_settle(w, p, owner);
	}
}

/* The session may have moved on while the datagram was on its way to us. A stranger's goes no further. */
static void inbound_owners_again(struct worker *w, struct batch *b)
{
	for (unsigned i = 0; i < b->count; i++) {
		struct packet *p = &b->packets[i];
		uint32_t generation = p->generation;
		unsigned owner;

		if (p->peer == PEER_NONE) {
			session_by_address(w, &p->peer_address, &p->peer, &p->generation, &owner);
			if (owner == WORKER_NONE)
				p->peer = PEER_NONE;
		} else {
			owner = peers_owner(w->shm, p->peer, &generation);
			if (owner == WORKER_NONE || generation != p->generation)
				p->fate = FATE_STALE;
		}
		if (p->fate == FATE_NONE && owner != WORKER_NONE)
			inbound_settle(w, p, owner);
	}
}

static void inbound_control(struct worker *w, struct batch *b)
{
	for (unsigned i = 0; i < b->count; i++) {
		struct packet *p = &b->packets[i];
		struct session *s;

		if (p->fate != FATE_NONE || !wire_is_control(p->at[0] >> 3))
			continue;
		s = inbound_session(w, p);
		if (!s && p->peer != PEER_NONE)
			p->fate = FATE_STALE;
		else if (s && s->active)
			control_receive(w, s, p);
		else if (later_takes(w, p))
			continue;
		else if (s)
			control_receive(w, s, p);
		else
			control_first_contact(w, p);
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

/* The last answers of a batch: neighbours tend to come from the same address and to go to the same one. */
struct asked {
	struct inner_address address;
	uint32_t slot, generation;
	bool found;
};

static bool ask(const struct worker *w, struct asked *last, const struct inner_address *address)
{
	if (!inner_address_equal(&last->address, address)) {
		last->address = *address;
		last->found = routes_find(w->shm, address->family == INNER_IP4 ? 4 : 6, address->bytes, &last->slot,
			&last->generation);
	}
	return last->found;
}

/* To another peer: it walks on with the outbound line, in memory that this batch still holds. */
static void inbound_onwards(struct worker *w, struct packet *p, unsigned index, const struct asked *to)
{
	w->arrived_from[w->arrived.count] = (uint8_t)index;
	struct packet *copy = &w->arrived.packets[w->arrived.count++];
	*copy = *p;
	copy->peer = to->slot;
	copy->generation = to->generation;
	copy->source = FROM_US;
	p->fate = FATE_NOT_READY; /* until its copy has one */
	counter_add(w->counters, COUNTER_PEER_TO_PEER, 1);
}

/* May this peer speak for that address, and where does it go: another peer, or the tunnel. */
static void inbound_inner(struct worker *w, struct batch *b)
{
	struct asked from = { 0 }, to = { 0 };

	if (w->joins)
		inner_join_begin(&w->join, w->joins_udp);
	for (unsigned i = 0; i < b->count; i++) {
		struct packet *p = &b->packets[i];
		struct inner_view view;

		if (p->fate != FATE_NONE)
			continue;
		p->fate = inner_look(p->at, p->len, &view);
		if (p->fate != FATE_NONE)
			continue;
		p->len = view.length;
		if (!ask(w, &from, &view.source) || from.slot != p->peer || from.generation != p->generation) {
			p->fate = FATE_BAD_SOURCE;
			continue;
		}
		const struct session *s = session_find(w, p->peer, p->generation);
		if (!s) {
			p->fate = FATE_STALE;
			continue;
		}
		inner_clamp_mss(p->at, &view, s->mss4, s->mss6);
		if (w->config->client_to_client && view.multicast)
			fan_out(w, p, p->peer);
		else if (w->config->client_to_client && ask(w, &to, &view.destination))
			inbound_onwards(w, p, i, &to);
		if (p->fate == FATE_NONE && w->joins) {
			w->joined[w->join.packets] = p;
			inner_join_add(&w->join, p->at, &view);
		}
	}
}

static void count_write(struct worker *w, enum fate fate, uint64_t packets, uint64_t bytes)
{
	counter_add(w->counters, COUNTER_TUN_CALLS_IN, 1);
	if (fate != FATE_DELIVERED)
		return;
	counter_add(w->counters, COUNTER_PACKETS_TUN_IN, packets);
	counter_add(w->counters, COUNTER_TUN_BYTES_IN, bytes);
}

static void write_one(struct worker *w, struct packet *p)
{
	tun_queue_write(&w->tun, p);
	count_write(w, p->fate, 1, p->len);
}

static void write_unit(struct worker *w, struct inner_unit *unit)
{
	struct packet *packets[BATCH_MAX] __attribute__((uninitialized));
	unsigned index = unit->first;

	if (unit->count == 1) {
		write_one(w, w->joined[index]);
		return;
	}
	for (unsigned n = 0; n < unit->count; n++, index = w->join.next[index])
		packets[n] = w->joined[index];
	if (tun_queue_write_train(&w->tun, &unit->offload, sizeof(unit->offload), packets, unit->count, unit->head_len)) {
		count_write(w, packets[0]->fate, unit->count, unit->len);
		return;
	}
	/* This kernel knows no such trains. These packets are lost, as packets may be; there will be no more trains. */
	if (unit->offload.train == INNER_TRAIN_UDP)
		w->joins_udp = false;
	else
		w->joins = false;
	worker_log(w, 1, "worker %u: the tunnel takes no super packets of %s: one packet at a time from now on",
		w->born->index, unit->offload.train == INNER_TRAIN_UDP ? "UDP" : "TCP");
	for (unsigned n = 0; n < unit->count; n++)
		packets[n]->fate = FATE_TUNNEL_ERROR;
}

static void inbound_write(struct worker *w, struct batch *b)
{
	if (w->joins) {
		inner_join_end(&w->join);
		for (unsigned i = 0; i < w->join.units; i++)
			write_unit(w, &w->join.unit[i]);
		return;
	}
	for (unsigned i = 0; i < b->count; i++)
		if (b->packets[i].fate == FATE_NONE)
			write_one(w, &b->packets[i]);
}

static void inbound_deliver(struct worker *w, struct batch *b)
{
	if (w->arrived.count) {
		outbound_owned(w, &w->arrived);
		for (unsigned i = 0; i < w->arrived.count; i++)
			b->packets[w->arrived_from[i]].fate = w->arrived.packets[i].fate;
		w->arrived.count = 0;
	}
	if (w->has_tun) {
		inbound_write(w, b);
		return;
	}
	for (unsigned i = 0; i < b->count; i++)
		if (b->packets[i].fate == FATE_NONE)
			b->packets[i].fate = FATE_TUNNEL_ERROR;
}

/* The session that all of a batch belongs to, or PEER_NONE: whom to blame if we die of it. */
static uint32_t sole_peer(const struct batch *b)
{
	for (unsigned i = 1; i < b->count; i++)
		if (b->packets[i].peer != b->packets[0].peer)
			return PEER_NONE;
	return b->count ? b->packets[0].peer : PEER_NONE;
}

static void inbound_owned(struct worker *w, struct batch *b)
{
	if (w->tracing)
		trace_datagrams(w, b);
	inbound_control(w, b);
	worker_touch(sole_peer(b));
	inbound_open(w, b);
	if (w->tracing)
		trace_opened(w, b);
	inbound_inner(w, b);
	inbound_deliver(w, b);
	if (w->tracing)
		trace_inbound_end(w, b);
	batch_end(w, b);
	worker_touch(PEER_NONE);
}

void inbound_handed(struct worker *w, struct batch *b)
{
	inbound_owners_again(w, b);
	inbound_owned(w, b);
}

void inbound_again(struct worker *w, struct batch *b)
{
	inbound_owners(w, b);
	inbound_owned(w, b);
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
	inbound_again(w, b);
}

void batch_end(struct worker *w, struct batch *b)
{
	for (unsigned i = 0; i < b->count; i++) {
		struct packet *p = &b->packets[i];
		if (p->source == FROM_US)
			continue; /* a copy: its original is counted, with the copy's fate */
		if (p->fate != FATE_NONE || !p->offload) /* of a super packet the segments are counted */
			counter_fate(w->counters, p->fate, 1);
		if (p->source == FROM_LINK)
			udp_link_give_back(&w->links[p->link], p);
		else if (p->source == FROM_TUNNEL)
			tun_queue_give_back(&w->tun, p);
	}
}
