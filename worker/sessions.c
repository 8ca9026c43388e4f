/* SPDX-License-Identifier: MIT
 * This worker's own sessions: taken, found, moved, ended, adopted. */
#include "worker/internal.h"

#include "shm/handover_ring.h"
#include "shm/leases.h"
#include "shm/links.h"
#include "shm/stats.h"

#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
	JUST_ACTIVE_MS = 1000, /* the master may have looked at the active ones before */
	HALF_OPEN_MS = 3000, /* a handshake gets this long even when its place is wanted by others */
	CROWD = 500,         /* sessions that left before memory is given back ... */
	TRIM_KEEP = 1 << 20, /* ... but so much, for the next ones */
	HEARD_MS = 20000,    /* a session heard from within this time is alive: nobody unproven gets its address */
	LOOK_MAX = 65536,    /* slots that the search for given sessions looks at in one go: a fraction of a millisecond */
};

struct session *session_find(const struct worker *w, uint32_t slot, uint32_t generation)
{
	struct session *s = slot < w->config->max_clients ? w->sessions[slot] : NULL;
	return s && s->generation == generation ? s : NULL;
}

struct session *session_by_address(const struct worker *w, const struct link_address *address, uint32_t *slot,
	uint32_t *generation, unsigned *owner)
{
	uint32_t now_generation = 0;

	*owner = WORKER_NONE;
	if (!links_find(w->shm, address, slot, generation))
		return NULL;
	*owner = peers_owner(w->shm, *slot, &now_generation);
	if (now_generation != *generation)
		*owner = WORKER_NONE;
	return *owner == w->born->index ? session_find(w, *slot, *generation) : NULL;
}

void session_steer(const struct worker *w, const struct session *s, unsigned owner)
{
	if (!w->born->steer_peers)
		return;
	w->born->steer_peers[s->slot] = owner;
	if (w->born->steer_pool4 && s->identity.inner4 >= w->born->steer_pool4_first &&
		s->identity.inner4 - w->born->steer_pool4_first < w->born->steer_pool4_count)
		w->born->steer_pool4[s->identity.inner4 - w->born->steer_pool4_first] = owner;
}

bool session_publish(struct worker *w, struct session *s)
{
	session_steer(w, s, w->born->index);
	bool done = peers_write(w->shm, s->slot, s->generation, &s->identity);
	publish_session(w, s);
	return done;
}

static struct session *session_new(struct worker *w, uint32_t slot, uint32_t generation)
{
	struct session *s = calloc(1, sizeof(*s));
	if (!s)
		return NULL;
	s->slot = slot;
	s->generation = generation;
	s->shared = peers_slot(w->shm, slot);
	s->before_slot = PEER_NONE;
	s->since = w->now;
	s->told.round_trip = -1;
	w->sessions[slot] = s;
	counter_set(w->counters, COUNTER_SESSIONS, ++w->session_count);
	if (w->session_count > w->session_peak)
		w->session_peak = w->session_count;
	return s;
}

/* -- handshakes, oldest first -- */

static void half_open(struct worker *w, struct session *s)
{
	s->half_link = w->half_last;
	*w->half_last = s;
	w->half_last = &s->half_next;
}

void session_settled(struct worker *w, struct session *s)
{
	if (!s->half_link)
		return;
	*s->half_link = s->half_next;
	if (s->half_next)
		s->half_next->half_link = s->half_link;
	else
		w->half_last = s->half_link;
	s->half_next = NULL;
	s->half_link = NULL;
}

/* A slot; if there is none, that of our oldest handshake: whoever fills the table with them must not lock others out,
 * and whoever is connected keeps its place. */
static uint32_t take_slot(struct worker *w, uint32_t *generation)
{
	uint32_t slot = peers_take(w->shm, w->born->index, generation);

	if (slot != PEER_NONE || !w->half_first || w->now - w->half_first->since < HALF_OPEN_MS)
		return slot;
	w->half_first->why = EVENT_WHY_PLACE_NEEDED;
	session_end(w, w->half_first, "its place is needed, and it is the oldest handshake");
	return peers_take(w->shm, w->born->index, generation);
}

/* True if a session that is alive has this address. An opener that proved nothing may come from anywhere. */
static bool address_in_use(const struct worker *w, const struct link_address *address)
{
	struct peer_row row;
	uint32_t slot, generation;

	return links_find(w->shm, address, &slot, &generation) && peers_read(w->shm, slot, &row) &&
		row.generation == generation && w->now - row.last_in_ms < HEARD_MS;
}

/* The address may still be an older session's: the newcomer proved that it is there, so it gets the control
 * datagrams; the old one goes on by peer id until the newcomer is known. */
static bool take_address(struct worker *w, struct session *s)
{
	switch (links_put(w->shm, &s->identity.peer_address, s->slot, s->generation, &s->before_slot,
		&s->before_generation)) {
	case LINK_PUT:
	case LINK_SAME:
		s->before_slot = PEER_NONE;
		return true;
	case LINK_TAKEN:
		return links_replace(w->shm, &s->identity.peer_address, s->before_slot, s->before_generation, s->slot,
			       s->generation) == LINK_PUT;
	case LINK_FULL:
		break;
	}
	s->before_slot = PEER_NONE;
	return false;
}

static enum peer_wrap wrap_of(const struct config *config, const vpn_contact *contact)
{
	if (contact->has_client_key)
		return PEER_WRAP_CRYPT_V2;
	return config->wrap == WRAP_CHOICE_CRYPT ? PEER_WRAP_CRYPT :
		config->wrap == WRAP_CHOICE_AUTH ? PEER_WRAP_AUTH :
		PEER_WRAP_NONE;
}

struct session *session_open(struct worker *w, const struct packet *p, const vpn_contact *contact, enum fate *fate)
{
	uint32_t generation, slot;
	char from[64];

	*fate = FATE_FLOAT_REFUSED;
	if (!contact->proven && address_in_use(w, &p->peer_address))
		return NULL;
	*fate = FATE_TABLE_FULL;
	slot = take_slot(w, &generation);
	if (slot == PEER_NONE)
		return NULL;
	struct session *s = session_new(w, slot, generation);
	if (!s) {
		peers_release(w->shm, slot, generation);
		return NULL;
	}
	s->identity = (struct peer_identity){
		.peer_address = p->peer_address,
		.local_address = p->local_address,
		.local_interface = p->local_interface,
		.link = p->link,
		.wrap = wrap_of(w->config, contact),
		.lease4 = LEASE_NONE,
		.lease6 = LEASE_NONE,
		.client_id = shm_next_client_id(w->shm),
		.connected_ms = w->now,
		.connected_unix = time(NULL),
	};
	half_open(w, s);
	s->engine = vpn_session_accept(w->endpoint, contact, s->shared->kept, w->now);
	if (!s->engine || !take_address(w, s)) {
		s->why = EVENT_WHY_NO_ROOM;
		session_end(w, s, "no room for it");
		return NULL;
	}
	session_publish(w, s);
	counter_add(w->counters, COUNTER_HANDSHAKES_STARTED, 1);
	note_session(w, s, EVENT_SESSION_OPENED, 0,
		link_address_text(&s->identity.peer_address, from, sizeof(from)));
	*fate = FATE_NONE;
	return s;
}

void session_end(struct worker *w, struct session *s, const char *why)
{
	if (s->ending)
		return;
	s->ending = true;
	session_settled(w, s);
	moving_forget(s, w);
	session_log(w, s, s->active || s->identity.common_name[0] ? 1 : 2, "session over: %s", why);
	counter_add(w->counters, s->active ? COUNTER_SESSIONS_ENDED : COUNTER_HANDSHAKES_FAILED, 1);
	note_session(w, s, s->active ? EVENT_ENDED : EVENT_HANDSHAKE_FAILED, s->why ? s->why : EVENT_WHY_SAID, why);
	peers_set_state(w->shm, s->slot, s->generation, PEER_CLOSING);
	scripts_session_over(w, s);
	admit_withdraw(w, s);
	if (s->before_slot == PEER_NONE ||
		links_replace(w->shm, &s->identity.peer_address, s->slot, s->generation, s->before_slot,
			s->before_generation) != LINK_PUT)
		links_remove(w->shm, &s->identity.peer_address, s->slot, s->generation);
	timer_cancel(w->wheel, &s->timer);
	signing_forget(w, s);
	vpn_session_free(&s->engine, true);
	if (s->identity.networks)
		stats_networks_clear(w->stats, s->slot, s->generation);
	publish_gone(w, s->slot);
	peers_release(w->shm, s->slot, s->generation);
	w->sessions[s->slot] = NULL;
	counter_set(w->counters, COUNTER_SESSIONS, --w->session_count);
	free(s->routes);
	free(s);
}

/* Who gave us a session may have died before it could tell us. */
static void look_for_given(struct worker *w)
{
	uint32_t generation, slots = w->config->max_clients;

	for (uint32_t n = slots < LOOK_MAX ? slots : LOOK_MAX; n; n--) {
		uint32_t slot = w->look_at++ % slots;
		if (!w->sessions[slot] && peers_owner(w->shm, slot, &generation) == w->born->index)
			session_welcome(w, slot);
	}
	w->look_at %= slots;
}

/* When a crowd has left, the heap gives its pages back: some milliseconds, so not for a few, and not while they go. */
static void give_memory_back(struct worker *w)
{
	if (w->session_peak - w->session_count < CROWD || w->session_count > w->session_peak / 2)
		return;
	malloc_trim(TRIM_KEEP);
	w->session_peak = w->session_count;
}

void sessions_tidy(struct worker *w)
{
	struct peer_word word;

	for (uint32_t slot = 0; slot < w->config->max_clients; slot++) {
		struct session *s = w->sessions[slot];
		/* Its END may have found our ring full. */
		if (s && peers_word(w->shm, slot, &word) && word.generation == s->generation &&
			word.state == PEER_CLOSING) {
			s->why = EVENT_WHY_CLOSED_BY_OTHER;
			session_end(w, s, "another worker closed it");
		}
	}
	look_for_given(w);
	give_memory_back(w);
}

void sessions_check_revoked(struct worker *w)
{
	for (uint32_t slot = 0; slot < w->config->max_clients; slot++) {
		struct session *s = w->sessions[slot];
		if (!s || !s->identity.serial[0] || (s->active && w->now - s->since >= JUST_ACTIVE_MS) ||
			!vpn_endpoint_revoked(w->endpoint, s->identity.issuer, s->identity.serial))
			continue;
		s->why = EVENT_WHY_REVOKED;
		vpn_session_close(s->engine, "AUTH_FAILED", "its certificate is revoked", STOP_LINGER_MS, w->now);
		control_serve(w, s);
	}
}

/* -- floating -- */

/* An address that another live session has is only given up for a session of the same name and certificate. */
static bool take_from_other(struct worker *w, struct session *s, const struct link_address *address, uint32_t other,
	uint32_t other_generation)
{
	struct peer_row row;

	if (!peers_read(w->shm, other, &row) || row.generation != other_generation ||
		strcmp(row.identity.common_name, s->identity.common_name) != 0 || !s->identity.common_name[0] ||
		memcmp(row.identity.fingerprint, s->identity.fingerprint, sizeof(s->identity.fingerprint)) != 0)
		return false;
	if (links_replace(w->shm, address, other, other_generation, s->slot, s->generation) != LINK_PUT)
		return false;
	struct session *mine = session_find(w, other, other_generation);
	if (mine) {
		mine->why = EVENT_WHY_ADDRESS_TAKEN;
		session_end(w, mine, "its address belongs to another session now");
	} else {
		handover_end(w, other, other_generation, row.owner, END_FLOATED, NULL);
	}
	return true;
}

/* A client may change its address with every packet: one event a second tells enough. */
static void note_float(struct worker *w, struct session *s, enum event_kind kind, const char *address)
{
	if (s->float_noted_at && w->now - s->float_noted_at < 1000)
		return;
	s->float_noted_at = w->now;
	note_session(w, s, kind, 0, address);
}

bool session_float(struct worker *w, struct session *s, const struct packet *p)
{
	char from[64], to[64];
	uint32_t other, other_generation;
	enum link_answer answer = links_put(w->shm, &p->peer_address, s->slot, s->generation, &other, &other_generation);

	if (answer == LINK_FULL ||
		(answer == LINK_TAKEN && !take_from_other(w, s, &p->peer_address, other, other_generation))) {
		session_log_limited(w, s, 3, "does not float to %s: another session has that address",
			link_address_text(&p->peer_address, to, sizeof(to)));
		note_float(w, s, EVENT_FLOAT_REFUSED, to);
		return false;
	}
	session_log_limited(w, s, 3, "floats from %s to %s", link_address_text(&s->identity.peer_address, from, sizeof(from)),
		link_address_text(&p->peer_address, to, sizeof(to)));
	links_remove(w->shm, &s->identity.peer_address, s->slot, s->generation);
	s->identity.peer_address = p->peer_address;
	s->identity.local_address = p->local_address;
	s->identity.local_interface = p->local_interface;
	s->identity.link = p->link;
	session_set_mss(w, s);
	session_publish(w, s);
	counter_add(w->counters, COUNTER_FLOATS, 1);
	note_float(w, s, EVENT_FLOATED, link_address_text(&s->identity.peer_address, to, sizeof(to)));
	return true;
}

/* The largest TCP segments that fit: OpenVPN's manual, mssfix. */
void session_set_mss(struct worker *w, struct session *s)
{
	const struct config *c = w->config;
	int outer = s->identity.peer_address.family == 6 || s->identity.peer_address.mapped ? 48 : 28;
	int room = (int)c->mssfix_size;

	s->mss4 = s->mss6 = 0;
	if (s->identity.peer_address.family == 4)
		outer = 28;
	switch (c->mssfix) {
	case MSSFIX_OFF:
		return;
	case MSSFIX_FIXED:
		break;
	case MSSFIX_PLAIN:
		room -= 24;
		break;
	case MSSFIX_MTU:
		room -= 24 + outer;
		break;
	}
	s->mss4 = (uint16_t)(room > 40 + 88 ? room - 40 : 88);
	s->mss6 = (uint16_t)(room > 60 + 88 ? room - 60 : 88);
}

/* -- from another worker, dead or alive -- */

/* False: it cannot go on and was ended, or is not ours. */
static bool adopt(struct worker *w, uint32_t slot, bool at_fault)
{
	struct peer_row row;
	uint32_t generation;
	enum peer_adoption found = peers_adopt(w->shm, slot, w->born->index, at_fault, &generation);

	if (found == PEER_NOT_OURS)
		return false;
	struct session *s = found == PEER_ADOPTED ? session_new(w, slot, generation) : NULL;
	if (s && peers_read(w->shm, slot, &row)) {
		s->identity = row.identity;
		s->active = row.state == PEER_ACTIVE;
	}
	/* A fresh TLS handshake for each, but not for all at once: a core does about two thousand a second. */
	mono_ms later = w->now + 500 + (mono_ms)(slot % 1000) * (1 + (mono_ms)w->config->max_clients / 1000) * 4;
	if (s && s->active && s->identity.link < w->link_count)
		s->engine = vpn_session_adopt(w->endpoint, s->shared->kept, w->now, later);
	if (!s || !s->engine) {
		/* A handshake without its TLS cannot go on; the client begins anew. */
		counter_add(w->counters, COUNTER_GIVEN_UP, 1);
		if (s) {
			s->why = EVENT_WHY_NOT_ADOPTED;
			session_end(w, s, "its worker died and it cannot be adopted");
		} else {
			event_note(w->born->events, EVENT_RING_OF(w->born->index), EVENT_GIVEN_UP, slot, generation, 0, NULL,
				NULL);
			scripts_row_over(w, slot, generation);
			publish_gone(w, slot);
			peers_release(w->shm, slot, generation);
		}
		return false;
	}
	session_set_mss(w, s);
	publish_taken_over(w, s);
	session_publish(w, s);
	timer_set(w->wheel, &s->timer, vpn_session_wake_at(s->engine));
	return true;
}

void sessions_adopt(struct worker *w)
{
	unsigned found = 0;

	for (uint32_t slot = peers_next_owned(w->shm, w->born->index, 0); slot != PEER_NONE;
		slot = peers_next_owned(w->shm, w->born->index, slot + 1)) {
		found++;
		if (!adopt(w, slot, slot == w->blamed))
			continue;
		counter_add(w->counters, COUNTER_ADOPTED, 1);
		note_session(w, w->sessions[slot], EVENT_ADOPTED, 0, NULL);
	}
	if (found)
		worker_log(w, 1, "worker %u adopted %u of %u sessions of its predecessor", w->born->index,
			w->session_count, found);
}

void session_welcome(struct worker *w, uint32_t slot)
{
	if (slot >= w->config->max_clients || w->sessions[slot])
		return;
	worker_touch(slot);
	if (adopt(w, slot, false)) {
		counter_add(w->counters, COUNTER_MOVED_IN, 1);
		note_session(w, w->sessions[slot], EVENT_MOVED_IN, 0, NULL);
	}
	worker_touch(PEER_NONE);
}

void session_leave(struct worker *w, struct session *s)
{
	session_settled(w, s);
	moving_forget(s, w);
	timer_cancel(w->wheel, &s->timer);
	signing_forget(w, s);
	vpn_session_free(&s->engine, false);
	w->sessions[s->slot] = NULL;
	counter_set(w->counters, COUNTER_SESSIONS, --w->session_count);
	free(s->routes);
	free(s);
}

void sessions_free(struct worker *w, bool for_successor)
{
	for (uint32_t slot = 0; slot < w->config->max_clients; slot++) {
		struct session *s = w->sessions[slot];
		if (s && for_successor) {
			session_leave(w, s);
		} else if (s) {
			s->why = EVENT_WHY_HUB_STOPS;
			session_end(w, s, "the hub stops");
		}
	}
}
