/* SPDX-License-Identifier: MIT
 * Drives sessions: control datagrams in, datagrams out, events, timers. Beside the packets' straight lines. */
#include "worker/internal.h"

#include "common/base/fate.h"
#include "common/base/secret.h"
#include "common/base/text.h"
#include "shm/limits.h"

#include <stddef.h>
#include <string.h>
#include <time.h>

enum { OPENERS, PROOFS }; /* kinds of first packets: who proves an address asked for the proof before */

/* -- what a session wants -- */

static enum fate send_alone(struct worker *w, uint32_t link, const struct link_address *to, const struct link_address *from,
	uint32_t interface, const void *datagram, size_t len)
{
	enum fate fate = udp_link_send_now(&w->links[link], to, from,
		w->config->multihome_same_interface ? interface : 0, datagram, len);
	counter_fate(w->counters, fate, 1);
	counter_add(w->counters, COUNTER_DATAGRAMS_OUT, 1);
	counter_add(w->counters, COUNTER_LINK_BYTES_OUT, len);
	return fate;
}

static void transmit(struct worker *w, struct session *s)
{
	uint8_t datagram[VPN_DATAGRAM_MAX];
	size_t len;

	while ((len = vpn_session_transmit(s->engine, datagram, sizeof(datagram), w->now))) {
		enum fate fate = send_alone(w, s->identity.link, &s->identity.peer_address,
			&s->identity.local_address, s->identity.local_interface, datagram, len);
		if (w->tracing)
			trace_sent(w, s, datagram, len, fate);
	}
}

/* False: the session is gone. */
static bool handle_event(struct worker *w, struct session *s, const vpn_event *event)
{
	char shown[512];

	switch (event->kind) {
	case VPN_EVENT_SIGN:
		signing_ask(w, s, event);
		return true;
	case VPN_EVENT_IDENTIFIED:
		if (s->active)
			admit_again(w, s);
		else
			admit(w, s);
		return true;
	case VPN_EVENT_OPEN:
		return admit_activate(w, s);
	case VPN_EVENT_REKEYED:
		session_log(w, s, 3, "renegotiated, key id %d", event->number);
		counter_add(w->counters, COUNTER_RENEGOTIATIONS, 1);
		s->identity.renegotiations++;
		s->identity.keyed_unix = time(NULL);
		session_publish(w, s);
		note_session(w, s, EVENT_RENEGOTIATED, (unsigned)event->number, NULL);
		return true;
	case VPN_EVENT_TEXT:
		session_log_limited(w, s, 3, "says: %s", text_escape(shown, sizeof(shown), event->text, event->len, NULL));
		return true;
	case VPN_EVENT_NOTE:
		if (strncmp(event->text, "TLS:", 4) == 0)
			counter_add(w->counters, COUNTER_TLS_ERRORS, 1);
		session_log_limited(w, s, event->number, "%s", text_escape(shown, sizeof(shown), event->text, event->len, NULL));
		return true;
	case VPN_EVENT_CLOSED:
		session_end(w, s, text_escape(shown, sizeof(shown), event->text, event->len, NULL));
		return false;
	default:
		return true;
	}
}

void control_serve(struct worker *w, struct session *s)
{
	vpn_event event;

	worker_touch(s->slot);
	/* Sending may raise events and events may give something to send; both end, since each turn consumes. */
	for (;;) {
		transmit(w, s);
		if (!vpn_session_next_event(s->engine, &event))
			break;
		if (!handle_event(w, s, &event)) {
			worker_touch(PEER_NONE);
			return;
		}
	}
	timer_set(w->wheel, &s->timer, vpn_session_wake_at(s->engine));
	worker_touch(PEER_NONE);
}

void control_receive(struct worker *w, struct session *s, struct packet *p)
{
	worker_touch(s->slot);
	/* Control does not float: only an authenticated data packet moves a session (protocol: floating). Who comes from
	 * an address that the session has left is a stranger. */
	if (!link_address_equal(&p->peer_address, &s->identity.peer_address)) {
		control_first_contact(w, p);
		worker_touch(PEER_NONE);
		return;
	}
	p->fate = (enum fate)vpn_session_receive(s->engine, p->at, p->len, w->now);
	if (p->fate == FATE_WRONG_SESSION || p->fate == FATE_BAD_OPCODE)
		control_first_contact(w, p); /* a client that began anew from the same port */
	else
		control_serve(w, s);
	worker_touch(PEER_NONE);
}

/* -- strangers -- */

static void log_dropped(struct worker *w, const char *what, const struct packet *p)
{
	char from[64];

	w->limited_count++;
	if (w->now < w->limited_log_at)
		return;
	worker_log(w, 1, "%s: %s (%u in the last second)", what, link_address_text(&p->peer_address, from, sizeof(from)),
		w->limited_count);
	w->limited_log_at = w->now + 1000;
	w->limited_count = 0;
}

/* First packets that one source may send: enough for a large office behind one address, and for whoever raised
 * connect-freq-initial. A proof of address serves again and again for a while, so those are counted as well. */
static bool source_may(struct worker *w, const struct packet *p, uint8_t kind)
{
	enum { HOST_PER_S = 200, HOST_BURST = 1000 };
	const uint32_t most = w->config->connect_freq_initial, period_s = w->config->connect_freq_initial_s;
	const uint32_t per_s = period_s ? most / period_s : 0;
	struct source_rates rates = {
		.host_per_s = per_s > HOST_PER_S ? per_s : HOST_PER_S,
		.host_burst = most > HOST_BURST ? most : HOST_BURST,
		.kind = kind,
	};

	rates.network_per_s = rates.host_per_s < UINT32_MAX / 5 ? 5 * rates.host_per_s : UINT32_MAX;
	rates.network_burst = rates.host_burst < UINT32_MAX / 4 ? 4 * rates.host_burst : UINT32_MAX;
	return source_take(w->shm, &rates, &p->peer_address, w->now);
}

/* The session of that address, if it may begin anew in its place. One with settings of its own may not: they are known
 * to the helper alone. */
static struct session *renewed(struct worker *w, const struct packet *p, const vpn_contact *contact)
{
	uint32_t slot, generation;
	unsigned owner;
	struct session *s = session_by_address(w, &p->peer_address, &slot, &generation, &owner);

	if (!s || !s->active || s->ending || (s->identity.flags & PEER_FLAG_OWN) ||
		!vpn_session_renew(s->engine, contact, w->now))
		return NULL;
	return s;
}

static void let_in(struct worker *w, struct packet *p, const vpn_contact *contact)
{
	const struct config *c = w->config;
	struct session *s;

	if (contact->proven && !source_may(w, p, PROOFS)) {
		p->fate = FATE_CONNECT_LIMITED;
		log_dropped(w, "too many new connections from one place: one is dropped", p);
		return;
	}
	if (c->connect_freq &&
		!limit_take(shm_limit(w->shm, LIMIT_CONNECTS), c->connect_freq, c->connect_freq_s * 1000, w->now)) {
		p->fate = FATE_CONNECT_LIMITED;
		log_dropped(w, "connect-freq: a new connection is dropped", p);
		return;
	}
	if (contact->proven)
		limit_give_back(shm_limit(w->shm, LIMIT_OPENERS), c->connect_freq_initial_s * 1000, w->now);
	if ((s = renewed(w, p, contact))) {
		session_log(w, s, 2, "begins anew; its keys go on meanwhile");
		p->fate = (enum fate)vpn_session_receive(s->engine, p->at, p->len, w->now);
		control_serve(w, s);
		return;
	}
	s = session_open(w, p, contact, &p->fate);
	if (!s) {
		log_dropped(w, p->fate == FATE_FLOAT_REFUSED ? "an opener from the address of a live session is dropped" :
								  "max-clients: a new connection is dropped", p);
		return;
	}
	session_log(w, s, 3, "new connection");
	p->fate = (enum fate)vpn_session_receive(s->engine, p->at, p->len, w->now);
	control_serve(w, s);
}

void control_first_contact(struct worker *w, struct packet *p)
{
	const struct config *c = w->config;
	vpn_contact contact;

	vpn_first_contact(w->endpoint, &p->peer_address, sizeof(p->peer_address), p->at, p->len, w->now, &contact);
	p->fate = (enum fate)contact.fate;
	switch (contact.verdict) {
	case VPN_CONTACT_REPLY:
		/* whoever comes after us may not take our proof, and the client would insist on it for its hand-window */
		if (w->stopping) {
			p->fate = FATE_UNKNOWN_PEER;
			break;
		}
		if (!source_may(w, p, OPENERS) ||
			!limit_take(shm_limit(w->shm, LIMIT_OPENERS), c->connect_freq_initial,
				c->connect_freq_initial_s * 1000, w->now)) {
			p->fate = FATE_OPENER_LIMITED;
			log_dropped(w, "connect-freq-initial: an opener is dropped", p);
			break;
		}
		send_alone(w, p->link, &p->peer_address, &p->local_address, p->local_interface, contact.reply,
			contact.reply_len);
		break;
	case VPN_CONTACT_OPEN:
		if (!contact.proven && !source_may(w, p, OPENERS))
			p->fate = FATE_OPENER_LIMITED;
		else if (w->stopping)
			p->fate = FATE_UNKNOWN_PEER;
		else
			let_in(w, p, &contact);
		break;
	default:
		/* A client with another key would otherwise look for its mistake in vain. */
		if (p->fate == FATE_WRAP_FORGED || p->fate == FATE_CLIENT_KEY_BAD)
			log_dropped(w, fate_sentence(p->fate), p);
		break;
	}
	secret_wipe(&contact, sizeof(contact));
}

/* -- time -- */

void control_timers(struct worker *w)
{
	struct timer *timer;

	while ((timer = timer_wheel_due(w->wheel, w->now))) {
		struct session *s = (struct session *)((char *)timer - offsetof(struct session, timer));
		worker_touch(s->slot);
		vpn_session_tick(s->engine, w->now);
		if (s->active && !s->forgiven && w->now - s->since > 60000) {
			peers_forgive(w->shm, s->slot, s->generation);
			s->forgiven = true;
		}
		control_serve(w, s);
	}
}
