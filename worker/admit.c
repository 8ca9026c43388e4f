/* SPDX-License-Identifier: MIT
 * Who gets which address: what happens between a client that proved who it is and a client that is reachable. All of it
 * in shared tables, so that it does not matter which worker it meets. */
#include "worker/internal.h"

#include "common/topology/topology.h"
#include "conf/client_file.h"
#include "shm/handover_ring.h"
#include "shm/leases.h"
#include "shm/routes.h"
#include "shm/stats.h"
#include "worker/tunnel_facts.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

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
				handover_end(w, other, word.generation, word.owner, END_REPLACED, NULL);
			continue;
		}
		if (row.identity.client_id > s->identity.client_id)
			return false;
		if (row.identity.lease4 != LEASE_NONE && lease_release(w->shm, row.identity.lease4, other, row.generation))
			*lease = row.identity.lease4;
		struct session *mine = session_find(w, other, row.generation);
		if (mine) {
			mine->why = EVENT_WHY_REPLACED;
			session_end(w, mine, "replaced by a new connection of the same name");
		} else {
			handover_end(w, other, row.generation, row.owner, END_REPLACED, NULL);
		}
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

/* What it gets of the pool, as far as it has no address of its own. */
static void pool_addresses(struct worker *w, struct session *s)
{
	const struct topology *topology = topology_by_name("subnet");
	struct tunnel4 four = tunnel_facts4(w->config);
	struct tunnel6 six = tunnel_facts6(w->config);
	struct in6_addr address6;

	if (s->identity.lease6 != LEASE_NONE && tunnel6_pool_address(&six, s->identity.lease6, &address6))
		memcpy(s->identity.inner6, &address6, sizeof(s->identity.inner6));
	if (s->identity.lease4 != LEASE_NONE)
		topology->pool_address(&four, s->identity.lease4, &s->identity.inner4);
}

/* ifconfig-push: the pool's place goes back, unless the other family still uses it. An address inside the pool is taken
 * there too, so that nobody else gets it while this client is here. */
static void own_address4(struct worker *w, struct session *s, const struct client_settings *own)
{
	const struct topology *topology = topology_by_name("subnet");
	struct tunnel4 four = tunnel_facts4(w->config);
	uint32_t held = s->identity.lease4, index;

	s->identity.inner4 = own->address4;
	s->identity.lease4 = LEASE_NONE;
	if (topology->pool_index(&four, own->address4, &index)) {
		if (index == held || lease_take_exact(w->shm, index, w->config->duplicate_cn ? NULL :
								     s->identity.common_name, s->slot, s->generation))
			s->identity.lease4 = index;
		else
			session_log(w, s, 1, "ifconfig-push: another client has this address of the pool; it loses it");
	}
	if (held != LEASE_NONE && held != s->identity.lease4 && held != s->identity.lease6)
		lease_release(w->shm, held, s->slot, s->generation);
	uint32_t network = w->config->push_netmask4 ? w->config->push_network4 : four.network;
	uint32_t netmask = w->config->push_netmask4 ? w->config->push_netmask4 : four.netmask;
	if ((own->address4 & netmask) != network)
		session_log(w, s, 1, "WARNING: ifconfig-push: its address lies outside of the hub's network");
}

static void own_address6(struct worker *w, struct session *s, const struct client_settings *own)
{
	uint32_t held = s->identity.lease6;

	memcpy(s->identity.inner6, &own->address6, sizeof(s->identity.inner6));
	s->identity.lease6 = LEASE_NONE;
	if (held != LEASE_NONE && held != s->identity.lease4)
		lease_release(w->shm, held, s->slot, s->generation);
}

/* Writes the options that are this client's own. Returns how many. */
static unsigned own_options(struct worker *w, const struct session *s, const struct client_settings *own,
	char text[OWN_OPTIONS][160])
{
	static const uint8_t none[16];
	const struct topology *topology = topology_by_name("subnet");
	struct tunnel4 four = tunnel_facts4(w->config);
	struct tunnel6 six = tunnel_facts6(w->config);
	struct in6_addr address6;
	char address[INET6_ADDRSTRLEN], other[INET6_ADDRSTRLEN];
	unsigned count = 0;

	memcpy(&address6, s->identity.inner6, sizeof(address6));
	if (own && own->has6 && !own->block6) {
		inet_ntop(AF_INET6, &own->address6, address, sizeof(address));
		inet_ntop(AF_INET6, own->has_remote6 ? &own->remote6 : &w->config->local6, other, sizeof(other));
		snprintf(text[count++], sizeof(text[0]), "ifconfig-ipv6 %s/%u %s", address, own->bits6, other);
	} else if (memcmp(s->identity.inner6, none, 16) != 0 && !(own && own->block6)) {
		tunnel6_ifconfig(&six, &address6, text[count++], sizeof(text[0]));
	}
	if (own && own->has4 && !own->block4) {
		struct in_addr told = { htonl(own->told4 ? own->told4 : own->address4) }, second = { htonl(own->second4) };
		inet_ntop(AF_INET, &told, address, sizeof(address));
		inet_ntop(AF_INET, &second, other, sizeof(other));
		snprintf(text[count++], sizeof(text[0]), "ifconfig %s %s", address, other);
	} else if (s->identity.inner4 && !(own && own->block4)) {
		topology->ifconfig(&four, s->identity.inner4, text[count++], sizeof(text[0]));
	}
	return count;
}

static void log_peer(struct worker *w, struct session *s, const vpn_peer *peer)
{
	session_log(w, s, 2, "is '%s' (%s), serial %s, %s", peer->common_name, peer->subject, peer->serial, peer->tls);
	session_log(w, s, 3, "peer info: IV_VER=%s IV_PLAT=%s IV_PROTO=%u", peer->version, peer->platform, peer->proto);
}

/* `reason`: for the client; NULL: none. */
static void refuse(struct worker *w, struct session *s, enum event_why why, const char *reason)
{
	s->why = why;
	counter_add(w->counters, COUNTER_AUTH_REFUSED, 1);
	note_session(w, s, EVENT_REFUSED, why, reason);
	vpn_session_refuse(s->engine, reason, w->now);
}

static void let_in(struct worker *w, struct session *s, const struct client_settings *own)
{
	const char *options[CONFIG_PUSH_MAX + OWN_OPTIONS];
	char text[OWN_OPTIONS][160];
	const char *const *push = own ? own->push : w->config->push;
	unsigned count = own ? own->push_count : w->config->push_count;

	if (count > CONFIG_PUSH_MAX) {
		session_log(w, s, 1, "only the first %d of its %u options are pushed", CONFIG_PUSH_MAX, count);
		count = CONFIG_PUSH_MAX;
	}
	if (count)
		memcpy(options, push, count * sizeof(*options));
	unsigned mine = own_options(w, s, own, text);
	for (unsigned i = 0; i < mine; i++)
		options[count++] = text[i];
	vpn_grant grant = { .options = options, .option_count = count, .peer_id = s->slot };
	note_session(w, s, EVENT_ADMITTED, 0, NULL);
	if (!vpn_session_admit(s->engine, &grant, w->now))
		refuse(w, s, EVENT_WHY_BAD_SETTINGS, NULL);
}

void admit(struct worker *w, struct session *s)
{
	const struct config *c = w->config;
	vpn_peer peer;

	vpn_session_peer(s->engine, &peer);
	/* Raw: whoever prints it escapes it, for what it prints into (the log, where lines of workers arrive). */
	snprintf(s->identity.common_name, sizeof(s->identity.common_name), "%s", peer.common_name);
	snprintf(s->identity.tls, sizeof(s->identity.tls), "%.47s", peer.tls);
	snprintf(s->identity.version, sizeof(s->identity.version), "%.23s", peer.version);
	snprintf(s->identity.platform, sizeof(s->identity.platform), "%.15s", peer.platform);
	snprintf(s->identity.serial, sizeof(s->identity.serial), "%s", peer.serial);
	memcpy(s->identity.fingerprint, peer.fingerprint, sizeof(s->identity.fingerprint));
	memcpy(s->identity.issuer, peer.issuer, sizeof(s->identity.issuer));
	if (peer.proto & VPN_PROTO_PUSH_UPDATE)
		s->identity.flags |= PEER_FLAG_UPDATES;
	log_peer(w, s, &peer);
	if (strlen(peer.common_name) >= sizeof(s->identity.common_name)) {
		/* Cut, it might be another client's: leases and replacement go by the name. */
		session_log(w, s, 1, "refused: its name is longer than %zu bytes", sizeof(s->identity.common_name) - 1);
		refuse(w, s, EVENT_WHY_NAME_TOO_LONG, "name too long");
		return;
	}
	/* Published first, asked second: of two newcomers of one name at least one sees the other. */
	session_publish(w, s);
	uint32_t wish = LEASE_NONE;
	if (!c->duplicate_cn && !replace_older(w, s, &wish)) {
		s->why = EVENT_WHY_NEWER_THERE;
		vpn_session_close(s->engine, NULL, "a newer connection of the same name is there", 0, w->now);
		return;
	}
	if (!take_lease(w, s, wish)) {
		session_log(w, s, 1, "refused: the address pool is used up");
		refuse(w, s, EVENT_WHY_NO_ADDRESS, "no address left");
		return;
	}
	pool_addresses(w, s);
	if (scripts_wanted(w))
		scripts_ask(w, s);
	else
		let_in(w, s, NULL);
}

void admit_again(struct worker *w, struct session *s)
{
	let_in(w, s, NULL);
}

static void note_bad_line(void *context, const char *file, int line, const char *directive, const char *what,
	const char *hint)
{
	(void)file;
	(void)line;
	(void)directive;
	(void)what;
	(void)hint;
	bool *bad = context;
	*bad = true;
}

/* The networks behind it, as many as it may have. */
static void keep_routes(struct worker *w, struct session *s, const struct client_settings *own)
{
	unsigned most = own->max_routes ? own->max_routes : w->config->max_routes_per_client;
	unsigned count = own->route_count < most ? own->route_count : most;

	if (own->route_count > most)
		session_log(w, s, 1, "max-routes-per-client: %u of its %u networks are left out", own->route_count - most,
			own->route_count);
	s->routes = count ? calloc(count, sizeof(*s->routes)) : NULL;
	if (!s->routes)
		return;
	memcpy(s->routes, own->routes, count * sizeof(*s->routes));
	s->route_count = count;
}

void admit_with(struct worker *w, struct session *s, const char *lines, size_t len)
{
	bool bad = false;
	if (len)
		s->identity.flags |= PEER_FLAG_OWN;
	struct client_reading reading = { .problem = note_bad_line, .context = &bad };
	struct client_settings *own = client_settings_new(w->config->push, w->config->push_count);

	/* the helper sends nothing but lines that it could read itself */
	if (!own || client_settings_read(own, "helper", lines, len, &reading)) {
		session_log(w, s, 1, "refused: its settings do not parse");
		refuse(w, s, EVENT_WHY_BAD_SETTINGS, NULL);
	} else if (own->disable) {
		session_log(w, s, 1, "refused: it is disabled");
		refuse(w, s, EVENT_WHY_DISABLED, NULL);
	} else {
		client_settings_finish(own);
		if (own->has6)
			own_address6(w, s, own);
		if (own->has4)
			own_address4(w, s, own);
		keep_routes(w, s, own);
		let_in(w, s, own);
	}
	client_settings_free(&own);
}

/* An address that a session ended without taking its route along is the lease's holder's. */
static bool put_route(struct worker *w, struct session *s, unsigned family, const uint8_t *address, unsigned bits)
{
	uint32_t other, other_generation;
	enum route_answer answer =
		routes_put(w->shm, family, address, bits, s->slot, s->generation, &other, &other_generation);

	if (answer == ROUTE_TAKEN)
		answer = routes_replace(w->shm, family, address, bits, other, other_generation, s->slot, s->generation);
	return answer == ROUTE_PUT || answer == ROUTE_SAME;
}

static void show_network(struct worker *w, struct session *s, const struct client_route *route)
{
	struct stats_network network = { .slot = s->slot, .generation = s->generation,
		.family = (uint8_t)route->family, .bits = (uint8_t)route->bits };

	memcpy(network.prefix, route->prefix, route->family == 4 ? 4 : 16);
	s->identity.networks += stats_network_put(w->stats, w->shm, &network);
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
		(!s->identity.inner4 || put_route(w, s, 4, four, 32)) &&
		(!memcmp(s->identity.inner6, none, 16) || put_route(w, s, 6, s->identity.inner6, 128));
	if (!reachable) {
		s->why = EVENT_WHY_NO_ROUTE;
		session_end(w, s, "its address could not be routed");
		return false;
	}
	for (unsigned i = 0; i < s->route_count; i++) {
		if (put_route(w, s, s->routes[i].family, s->routes[i].prefix, s->routes[i].bits))
			show_network(w, s, &s->routes[i]);
		else
			session_log(w, s, 1, "iroute: no room for one of its networks");
	}
	s->identity.keyed_unix = time(NULL);
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
	note_session(w, s, EVENT_CONNECTED, 0, inner);
	session_log(w, s, 1, "connected: %s%s, %s, peer-id %u, worker %u", inner, six, s->identity.cipher, s->slot,
		w->born->index);
	w->changed = true;
	return true;
}

void admit_withdraw(struct worker *w, struct session *s)
{
	uint8_t four[4];

	big_endian(four, s->identity.inner4);
	if (s->identity.inner4)
		routes_remove(w->shm, 4, four, 32, s->slot, s->generation);
	routes_remove(w->shm, 6, s->identity.inner6, 128, s->slot, s->generation);
	for (unsigned i = 0; i < s->route_count; i++)
		routes_remove(w->shm, s->routes[i].family, s->routes[i].prefix, s->routes[i].bits, s->slot, s->generation);
	if (s->identity.lease4 != LEASE_NONE)
		lease_release(w->shm, s->identity.lease4, s->slot, s->generation);
	if (s->identity.lease6 != LEASE_NONE && s->identity.lease6 != s->identity.lease4)
		lease_release(w->shm, s->identity.lease6, s->slot, s->generation);
	if (s->active)
		w->changed = true;
}
