/* SPDX-License-Identifier: MIT
 * Commands about one client: end its session, follow its packets. The owner of the session does it; here it is found
 * and its owner told. */
#include "master/manage_internal.h"

#include "common/base/packet.h"
#include "common/base/text.h"
#include "master/log.h"
#include "shm/peers.h"
#include "worker/orders.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NAME_MAX_TEXT = 4 * PEER_NAME_ROOM + 1 };

/* -- who is meant -- */

bool sessions_read_address(const char *text, struct link_address *out)
{
	static const char *const prefixes[] = { "udp:", "udp4:", "udp6:", "tcp:", "tcp4-server:", "tcp6-server:" };
	char host[64];

	for (size_t i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++)
		if (strncmp(text, prefixes[i], strlen(prefixes[i])) == 0) {
			text += strlen(prefixes[i]);
			break;
		}
	const char *colon = strrchr(text, ':');
	char *end;
	long port = colon ? strtol(colon + 1, &end, 10) : 0;
	if (!colon || !colon[1] || *end || port < 1 || port > 65535 || (size_t)(colon - text) >= sizeof(host))
		return false;
	memcpy(host, text, (size_t)(colon - text));
	host[colon - text] = '\0';
	size_t len = strlen(host);
	bool six = len > 2 && host[0] == '[' && host[len - 1] == ']';
	if (six)
		host[len - 1] = '\0';
	*out = (struct link_address){ .family = six ? 6 : 4, .port = (uint16_t)port };
	return inet_pton(six ? AF_INET6 : AF_INET, six ? host + 1 : host, out->ip) == 1;
}

static bool is_wanted(const struct wanted *w, const struct peer_row *row)
{
	const struct peer_identity *id = &row->identity;
	if (row->state != PEER_ACTIVE && row->state != PEER_HANDSHAKE)
		return false;
	if (w->name)
		return strncmp(id->common_name, w->name, sizeof(id->common_name)) == 0;
	if (w->by_cid)
		return id->client_id == w->cid;
	return id->peer_address.family == w->address.family && id->peer_address.port == w->address.port &&
	       memcmp(id->peer_address.ip, w->address.ip, sizeof(w->address.ip)) == 0;
}

bool sessions_next(const struct shm *shm, const struct wanted *w, uint32_t *at, struct peer_row *row)
{
	for (;;) {
		uint32_t slot = w->name ? peers_find_name(shm, w->name, PEER_NONE, *at) : peers_next(shm, *at);
		if (slot == PEER_NONE)
			return false;
		*at = slot + 1;
		if (peers_read(shm, slot, row) && is_wanted(w, row))
			return true;
	}
}

/* -- orders to owners -- */

bool sessions_order(struct master *m, enum order_kind kind, const struct peer_row *row, int32_t value,
	const char *text)
{
	char message[sizeof(struct order_session) + MANAGE_TELL_MAX];
	struct order_session head = { .slot = row->slot, .generation = row->generation };
	size_t len = strlen(text);

	if (row->owner >= m->workers || m->seats[row->owner].orders_fd < 0 || len > MANAGE_TELL_MAX)
		return false;
	memcpy(message, &head, sizeof(head));
	memcpy(message + sizeof(head), text, len);
	return order_send(m->seats[row->owner].orders_fd, kind, value, message, sizeof(head) + len, -1);
}

/* -- kill -- */

struct killed {
	unsigned told, untold;
};

static struct killed kill_all(struct manage *g, const struct wanted *w, const char *text)
{
	struct killed killed = { 0 };
	struct peer_row row;
	char name[NAME_MAX_TEXT], address[64];

	for (uint32_t at = 0; sessions_next(g->master->shm, w, &at, &row);) {
		bool told = sessions_order(g->master, ORDER_KILL, &row, 0, text);
		killed.told += told;
		killed.untold += !told;
		log_line(LOG_LEVEL_NOTICE, "MANAGEMENT: session %u (%s at %s) %s", row.slot,
			text_escape(name, sizeof(name), row.identity.common_name,
				strnlen(row.identity.common_name, PEER_NAME_ROOM), NULL),
			link_address_text(&row.identity.peer_address, address, sizeof(address)),
			told ? "is to end" : "cannot be ended: its worker does not listen");
	}
	return killed;
}

/* What the client is told; RESTART unless something else is asked for. False: and said why. */
static bool read_text(struct manage_client *c, char **words, unsigned count, const char **text)
{
	*text = count > 2 ? words[2] : "RESTART";
	size_t len = strlen(*text);
	for (size_t i = 0; i < len; i++)
		if ((*text)[i] < ' ' || (*text)[i] > '~')
			len = 0;
	if (len && len <= MANAGE_TELL_MAX)
		return true;
	client_say(c, "ERROR: the message has 1 to %d bytes of printable ASCII", MANAGE_TELL_MAX);
	return false;
}

/* In part done is not done. */
static bool some_untold(struct manage_client *c, const struct killed *killed)
{
	if (!killed->untold)
		return false;
	client_say(c, "ERROR: %u of %u client(s) could not be ended: try again in a moment", killed->untold,
		killed->told + killed->untold);
	return true;
}

void kill_command(struct manage *g, struct manage_client *c, char **words, unsigned count)
{
	struct wanted by_address = { 0 }, by_name = { .name = words[1] };
	char shown[4 * MANAGE_LINE_MAX + 1];
	struct killed killed = { 0 };
	const char *text;
	bool is_address = sessions_read_address(words[1], &by_address.address);

	if (!read_text(c, words, count, &text))
		return;
	text_escape(shown, sizeof(shown), words[1], strlen(words[1]), NULL);
	if (is_address)
		killed = kill_all(g, &by_address, text);
	if (some_untold(c, &killed))
		return;
	if (killed.told) {
		client_say(c, "SUCCESS: %u client(s) at address %s killed", killed.told, shown);
		return;
	}
	if (*words[1] && strlen(words[1]) < PEER_NAME_ROOM)
		killed = kill_all(g, &by_name, text);
	if (some_untold(c, &killed))
		return;
	if (killed.told)
		client_say(c, "SUCCESS: common name '%s' found, %u client(s) killed", shown, killed.told);
	else if (is_address)
		client_say(c, "ERROR: client at address %s not found", shown);
	else
		client_say(c, "ERROR: common name '%s' not found", shown);
}

void client_kill_command(struct manage *g, struct manage_client *c, char **words, unsigned count)
{
	char *end;
	struct wanted w = { .by_cid = true, .cid = strtoull(words[1], &end, 10) };
	const char *text;

	if (!*words[1] || *end || words[1][0] == '-') {
		client_say(c, "ERROR: '%.40s' is no client id", words[1]);
		return;
	}
	if (!read_text(c, words, count, &text))
		return;
	struct killed killed = kill_all(g, &w, text);
	if (some_untold(c, &killed))
		return;
	client_say(c, killed.told ? "SUCCESS: client-kill command succeeded" : "ERROR: client-kill command failed: no such client");
}
