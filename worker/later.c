/* SPDX-License-Identifier: MIT
 * Handshakes in a crowd: each turn does so many of their datagrams, the rest waits here, in order. Data behind them in the
 * socket's queue is read meanwhile, and what is too much is lost here, not there. */
#include "worker/internal.h"

#include <stdlib.h>
#include <string.h>

enum { LATER_MAX = 512, LATER_BYTES = 2048 };

struct later_datagram {
	struct link_address peer_address, local_address;
	uint32_t local_interface;
	uint16_t link, len;
	uint8_t bytes[LATER_BYTES];
};

bool later_takes(struct worker *w, struct packet *p)
{
	struct later *l = &w->later;

	if (l->again)
		return false;
	if (!l->count && l->done < HANDSHAKES_A_TURN) {
		l->done++;
		return false;
	}
	if (!l->datagrams)
		l->datagrams = malloc(LATER_MAX * sizeof(*l->datagrams)); /* pages count when they are used */
	if (!l->datagrams || l->count == LATER_MAX || p->len > LATER_BYTES) {
		p->fate = FATE_CROWDED;
		return true;
	}
	struct later_datagram *d = &l->datagrams[(l->first + l->count++) % LATER_MAX];
	d->peer_address = p->peer_address;
	d->local_address = p->local_address;
	d->local_interface = p->local_interface;
	d->link = p->link;
	d->len = (uint16_t)p->len;
	memcpy(d->bytes, p->at, p->len);
	p->fate = FATE_POSTPONED;
	return true;
}

void later_go_on(struct worker *w)
{
	struct later *l = &w->later;
	struct batch *b = &w->handed;

	l->done = 0;
	if (!l->count)
		return;
	for (b->count = 0; b->count < HANDSHAKES_A_TURN && l->count; b->count++, l->count--) {
		struct later_datagram *d = &l->datagrams[l->first];

		b->packets[b->count] = (struct packet){
			.at = d->bytes,
			.len = d->len,
			.start = d->bytes,
			.room = LATER_BYTES,
			.peer = PEER_NONE,
			.link = d->link,
			.source = FROM_HANDOVER, /* nothing to give back */
			.peer_address = d->peer_address,
			.local_address = d->local_address,
			.local_interface = d->local_interface,
		};
		l->first = (l->first + 1) % LATER_MAX;
	}
	l->done = b->count;
	l->again = true;
	inbound_again(w, b);
	l->again = false;
	b->count = 0;
}

void later_clear(struct worker *w)
{
	free(w->later.datagrams);
	w->later = (struct later){ 0 };
}
