/* SPDX-License-Identifier: MIT
 * Traces: the owner of a session says a line for each of its packets (worker/trace.c); here it is told which, and the
 * lines go to the log and to who asked. A trace follows its session to another owner, and ends by itself. */
#include "master/manage_internal.h"

#include "common/base/packet.h"
#include "common/base/text.h"
#include "master/log.h"
#include "worker/orders.h"

#include <string.h>
#include <time.h>

static struct trace *trace_of(struct manage *g, uint32_t slot, uint32_t generation)
{
	for (unsigned i = 0; i < MANAGE_TRACES_MAX; i++)
		if (g->traces[i].on && g->traces[i].slot == slot && g->traces[i].generation == generation)
			return &g->traces[i];
	return NULL;
}

static void tell(struct manage *g, const struct trace *t, const char *text)
{
	struct manage_client *asker = client_by_id(g, t->asker);

	log_line(LOG_LEVEL_NOTICE, "TRACE %s %s", t->name, text);
	if (asker)
		client_notice(g, asker, ">TRACE:%llu,%lld,%s", (unsigned long long)t->cid, (long long)time(NULL), text);
}

static void end(struct manage *g, struct trace *t, const char *why)
{
	char text[80];

	snprintf(text, sizeof(text), "END %s", why);
	t->on = false;
	tell(g, t, text);
}

static struct trace *begin(struct manage *g, const struct peer_row *row)
{
	struct trace *t = trace_of(g, row->slot, row->generation);
	char name[4 * PEER_NAME_ROOM + 1], address[64];

	for (unsigned i = 0; !t && i < MANAGE_TRACES_MAX; i++)
		if (!g->traces[i].on)
			t = &g->traces[i];
	if (!t)
		return NULL;
	*t = (struct trace){ .on = true,
		.slot = row->slot,
		.generation = row->generation,
		.cid = row->identity.client_id,
		.owner = WORKER_NONE };
	text_escape(name, sizeof(name), row->identity.common_name, strnlen(row->identity.common_name, PEER_NAME_ROOM),
		NULL);
	snprintf(t->name, sizeof(t->name), "%s/%s", name,
		link_address_text(&row->identity.peer_address, address, sizeof(address)));
	return t;
}

void trace_command(struct manage *g, struct manage_client *c, char **words, unsigned count)
{
	struct wanted w = { 0 };
	struct peer_row row;
	long seconds = MANAGE_TRACE_S;
	unsigned found = 0, traced = 0;

	if (count > 2 && !command_number(c, words[2], "the time", 0, MANAGE_TRACE_S_MAX, &seconds))
		return;
	if (!sessions_read_address(words[1], &w.address))
		w.name = words[1];
	for (uint32_t at = 0; *words[1] && sessions_next(g->master->shm, &w, &at, &row); found++) {
		struct trace *t = seconds ? begin(g, &row) : trace_of(g, row.slot, row.generation);
		if (t && seconds) {
			t->asker = c->id;
			t->until = master_now() + seconds * 1000;
		} else if (t) {
			sessions_order(g->master, ORDER_TRACE, &row, 0, "");
			end(g, t, "it was asked for");
		}
		traced += t != NULL;
	}
	if (!found)
		client_say(c, "ERROR: no client of that name or address");
	else if (traced < found && seconds)
		client_say(c, "ERROR: %u session(s) of %u: no more than %d are traced at a time", traced, found,
			MANAGE_TRACES_MAX);
	else if (seconds)
		client_say(c, "SUCCESS: %u session(s) traced for %ld seconds", traced, seconds);
	else
		client_say(c, "SUCCESS: %u trace(s) ended", traced);
}

/* To its owner, for the time that is left; again where that one is another, or was born anew. */
static void tell_owner(struct manage *g, struct trace *t, mono_ms now)
{
	struct peer_row row = { .slot = t->slot, .generation = t->generation };
	uint32_t generation;

	row.owner = peers_owner(g->master->shm, t->slot, &generation);
	if (row.owner == WORKER_NONE || generation != t->generation) {
		end(g, t, "the session is over");
		return;
	}
	if (row.owner == t->owner || row.owner >= g->master->workers || !g->master->seats[row.owner].ready)
		return;
	if (sessions_order(g->master, ORDER_TRACE, &row, (int32_t)((t->until - now + 999) / 1000), ""))
		t->owner = row.owner;
}

void traces_tidy(struct manage *g, mono_ms now)
{
	for (unsigned i = 0; i < MANAGE_TRACES_MAX; i++) {
		struct trace *t = &g->traces[i];
		if (t->on && now < t->until && g->master->shm)
			tell_owner(g, t, now);
		else if (t->on && now >= t->until + TRACE_LAST_MS)
			end(g, t, "its time is over");
	}
}

void manage_trace_line(struct master *m, const struct order *answer)
{
	struct manage *g = m->manage;
	char text[ORDER_TEXT_MAX];
	struct order_session session;
	size_t len;
	const char *said = order_session_read(answer, &session, &len);
	struct trace *t = g && said ? trace_of(g, session.slot, session.generation) : NULL;

	if (t)
		tell(g, t, text_escape(text, sizeof(text), said, len, NULL));
}
