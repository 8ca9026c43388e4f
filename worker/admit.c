/* SPDX-License-Identifier: MIT
 * Who gets which address: what happens between a client that proved who it is and a client that is reachable. All of it
 * in shared tables, so that it does not matter which worker it meets. */
#include "worker/internal.h"

#include "common/topology/topology.h"
#include "shm/handover_ring.h"
#include "shm/leases.h"
#include "shm/routes.h"
#include "worker/orders.h"
#include "worker/tunnel_facts.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

enum { OWN_OPTIONS = 2, CONFIG_PUSH_MAX = 1024 };

static void big_endian(uint8_t out[4], uint32_t v)
{
	out[0] = (uint8_t)(v >> 24);
	out[1] = (uint8_t)(v >> 16);
	out[2] = (uint8_t)(v >> 8);
	out[3] = (uint8_t)v;
}

/* Without duplicate-cn a name has one session: the newest. Its address goes to the newcomer at once, and its owner is
 * told to tidy up. False: another one is newer. Each publishes its name before it looks, so of two at least one sees
 * the other, and both come to the same decision. */
static bool replace_older(struct worker *w, struct session *s, uint32_t *lease)
{
	struct peer_row row;
	struct peer_word word;

	for (uint32_t other = peers_find_name(w->shm, s->identity.common_name, s->slot, 0); other != PEER_NONE;
		other = peers_find_name(w->shm, s->identity.common_name, s->slot, other + 1)) {
		if (!peers_read(w->shm, other, &row)) {
			/* Being written. A handshake looks for us next; one that is active looked long ago. */
			if (peers_word(w->shm, other, &word) && word.state == PEER_ACTIVE)
				handover_end(w, other, word.generation, word.owner, END_REPLACED);
			continue;
		}
		if (row.identity.client_id > s->identity.client_id)
			return false;
		if (row.identity.lease4 != LEASE_NONE && lease_release(w->shm, row.identity.lease4, other, row.generation))
			*lease = row.identity.lease4;
		struct session *mine = session_find(w, other, row.generation);
		if (mine)
			session_end(w, mine, "replaced by a new connection of the same name");
		else
			handover_end(w, other, row.generation, row.owner, END_REPLACED);
	}
	return true;
}

static bool take_lease(struct worker *w, struct session *s, uint32_t wish)
{
	const char *name = w->config->duplicate_cn ? NULL : s->identity.common_name;

	if (!lease_count(w->shm))
		return true; /* no pool at all: connected without an address, as OpenVPN does */
	if (wish != LEASE_NONE && lease_take_exact(w->shm, wish, name, s->slot, s->generation))
		s->identity.lease4 = wish;
	else
		s->identity.lease4 = lease_take(w->shm, name, s->slot, s->generation);
	s->identity.lease6 = s->identity.lease4;
	return s->identity.lease4 != LEASE_NONE;
}

/* Writes the options that are this client's own. Returns how many. */
static unsigned own_options(struct worker *w, struct session *s, char text[OWN_OPTIONS][160])
{
	const struct topology *topology = topology_by_name("subnet");
	struct tunnel4 four = tunnel_facts4(w->config);
	struct tunnel6 six = tunnel_facts6(w->config);
	struct in6_addr address6;
	unsigned count = 0;

	if (s->identity.lease6 != LEASE_NONE && tunnel6_pool_address(&six, s->identity.lease6, &address6)) {
		memcpy(s->identity.inner6, &address6, sizeof(s->identity.inner6));
		tunnel6_ifconfig(&six, &address6, text[count++], sizeof(text[0]));
	}
	if (s->identity.lease4 != LEASE_NONE &&
		topology->pool_address(&four, s->identity.lease4, &s->identity.inner4))
		topology->ifconfig(&four, s->identity.inner4, text[count++], sizeof(text[0]));
	return count;
}

static void log_peer(struct worker *w, struct session *s, const vpn_peer *peer)
{
	session_log(w, s, 2, "is '%s' (%s), serial %s, %s", peer->common_name, peer->subject, peer->serial, peer->tls);
	session_log(w, s, 3, "peer info: IV_VER=%s IV_PLAT=%s IV_PROTO=%u", peer->version, peer->platform, peer->proto);
}

void admit(struct worker *w, struct session *s)
{
	const struct config *c = w->config;
	const char *options[CONFIG_PUSH_MAX + OWN_OPTIONS];
	char own[OWN_OPTIONS][160];
	vpn_peer peer;

	vpn_session_peer(s->engine, &peer);
	/* Raw: whoever prints it escapes it, for what it prints into (the log, where lines of workers arrive). */
	snprintf(s->identity.common_name, sizeof(s->identity.common_name), "%s", peer.common_name);
	log_peer(w, s, &peer);
	/* Published first, asked second: of two newcomers of one name at least one sees the other. */
	session_publish(w, s);
	uint32_t wish = LEASE_NONE;
	if (!c->duplicate_cn && !replace_older(w, s, &wish)) {
		vpn_session_close(s->engine, NULL, "a newer connection of the same name is there", 0, w->now);
		return;
	}
	if (!take_lease(w, s, wish)) {
		session_log(w, s, 1, "refused: the address pool is used up");
		counter_add(w->counters, COUNTER_AUTH_REFUSED, 1);
		vpn_session_refuse(s->engine, "no address left", w->now);
		return;
	}
	unsigned count = c->push_count < CONFIG_PUSH_MAX ? c->push_count : CONFIG_PUSH_MAX;
	if (count)
		memcpy(options, c->push, count * sizeof(*options));
	unsigned mine = own_options(w, s, own);
	for (unsigned i = 0; i < mine; i++)
		options[count++] = own[i];
	vpn_grant grant = { .options = options, .option_count = count, .peer_id = s->slot };
	if (!vpn_session_admit(s->engine, &grant, w->now))
		vpn_session_refuse(s->engine, NULL, w->now);
}

/* An address that a session ended without taking its route along is the lease's holder's. */
static bool put_route(struct worker *w, struct session *s, unsigned family, const uint8_t *address)
{
	uint32_t other, other_generation;
	unsigned bits = family == 4 ? 32 : 128;
	enum route_answer answer =
		routes_put(w->shm, family, address, bits, s->slot, s->generation, &other, &other_generation);

	if (answer == ROUTE_TAKEN)
		answer = routes_replace(w->shm, family, address, bits, other, other_generation, s->slot, s->generation);
	return answer == ROUTE_PUT || answer == ROUTE_SAME;
}

bool admit_activate(struct worker *w, struct session *s)
{
	static const uint8_t none[16];
	char inner[64] = "no address", six[INET6_ADDRSTRLEN + 8] = "";
	uint8_t four[4];
	vpn_peer peer;

	vpn_session_peer(s->engine, &peer);
	snprintf(s->identity.cipher, sizeof(s->identity.cipher), "%s", peer.cipher);
	big_endian(four, s->identity.inner4);
	bool reachable = peers_set_state(w->shm, s->slot, s->generation, PEER_ACTIVE) &&
		(!s->identity.inner4 || put_route(w, s, 4, four)) &&
		(!memcmp(s->identity.inner6, none, 16) || put_route(w, s, 6, s->identity.inner6));
	if (!reachable) {
		session_end(w, s, "its address could not be routed");
		return false;
	}
	s->active = true;
	s->since = w->now;
	s->before_slot = PEER_NONE; /* the address is its own now: it is not given back any more */
	session_settled(w, s);
	session_set_mss(w, s);
	session_publish(w, s);
	counter_add(w->counters, COUNTER_HANDSHAKES_DONE, 1);
	if (s->identity.inner4)
		snprintf(inner, sizeof(inner), "%u.%u.%u.%u", four[0], four[1], four[2], four[3]);
	if (memcmp(s->identity.inner6, none, 16)) {
		six[0] = ' ';
		inet_ntop(AF_INET6, s->identity.inner6, six + 1, INET6_ADDRSTRLEN);
	}
	session_log(w, s, 1, "connected: %s%s, %s, peer-id %u, worker %u", inner, six, s->identity.cipher, s->slot,
		w->born->index);
	order_send(w->born->orders_fd, ANSWER_CHANGED, 0, NULL, 0, -1);
	return true;
}

void admit_withdraw(struct worker *w, struct session *s)
{
	uint8_t four[4];

	big_endian(four, s->identity.inner4);
	if (s->identity.inner4)
		routes_remove(w->shm, 4, four, 32, s->slot, s->generation);
	routes_remove(w->shm, 6, s->identity.inner6, 128, s->slot, s->generation);
	if (s->identity.lease4 != LEASE_NONE)
		lease_release(w->shm, s->identity.lease4, s->slot, s->generation);
	if (s->active)
		order_send(w->born->orders_fd, ANSWER_CHANGED, 0, NULL, 0, -1);
}
