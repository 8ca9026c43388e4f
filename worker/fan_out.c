/* SPDX-License-Identifier: MIT
 * One packet to many peers: multicast and broadcast. A copy each, sent at once; never more than the table has. */
#include "worker/internal.h"

#include "shm/handover_ring.h"

#include <string.h>

static void copy_to(struct worker *w, struct session *s, const struct packet *p)
{
	uint8_t room[VPN_HEADROOM + 2048];
	vpn_job job = { .session = s->engine, .data = room + VPN_HEADROOM, .len = p->len };

	if (p->len > sizeof(room) - VPN_HEADROOM) {
		counter_fate(w->counters, FATE_TOO_LONG, 1);
		return;
	}
	memcpy(job.data, p->at, p->len);
	vpn_seal(&job, 1, w->now);
	if (job.fate == FATE_NONE) {
		peers_count_out(s->shared, 1, p->len, w->now);
		job.fate = (int)udp_link_send_now(&w->links[s->identity.link], &s->identity.peer_address,
			&s->identity.local_address,
			w->config->multihome_same_interface ? s->identity.local_interface : 0, job.data, job.len);
		counter_add(w->counters, COUNTER_DATAGRAMS_OUT, 1);
		counter_add(w->counters, COUNTER_LINK_BYTES_OUT, job.len);
	}
	if (w->tracing)
		trace_copied(w, s, p, job.data, job.len, (enum fate)job.fate);
	if (job.attention)
		timer_set(w->wheel, &s->timer, w->now);
	counter_fate(w->counters, (enum fate)job.fate, 1);
}

void fan_out(struct worker *w, const struct packet *p, uint32_t except)
{
	struct peer_word word;

	for (uint32_t slot = peers_next(w->shm, 0); slot != PEER_NONE; slot = peers_next(w->shm, slot + 1)) {
		if (slot == except || !peers_word(w->shm, slot, &word) || word.state != PEER_ACTIVE)
			continue;
		if (word.owner == w->born->index) {
			struct session *s = session_find(w, slot, word.generation);
			if (s && s->active)
				copy_to(w, s, p);
		} else {
			struct packet copy = *p;
			copy.peer = slot;
			copy.generation = word.generation;
			copy.fate = FATE_NONE;
			handover_give(w, &copy, HANDOVER_PACKET, word.owner);
			counter_fate(w->counters, copy.fate, 1);
		}
	}
}
