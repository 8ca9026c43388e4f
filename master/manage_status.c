/* SPDX-License-Identifier: MIT
 * Answers about all clients. A table of any size goes out in parts, as the client reads. */
#include "master/manage_internal.h"

#include "common/base/packet.h"
#include "shm/counters.h"
#include "shm/peers.h"

#include <stdlib.h>

enum { ROWS_AT_ONCE = 64, BYTECOUNT_S_MAX = 86400 };

void status_command(struct manage *g, struct manage_client *c, char **words, unsigned count)
{
	struct master *m = g->master;
	long version = (long)m->now.config->status_version;

	if (count > 1 && !command_number(c, words[1], "status version", 1, 3, &version))
		return;
	c->answer = (struct answer){ .kind = LONG_STATUS, .facts = status_facts_now(m->now.config) };
	c->answer.facts.version = (unsigned)version;
}

static bool status_go_on(struct manage *g, struct manage_client *c)
{
	struct answer *a = &c->answer;
	char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);
	bool more = out && status_print_some(out, &a->at, &a->facts, g->master->shm, ROWS_AT_ONCE);

	if (!out || fclose(out) != 0) {
		client_leave(c, "there is no memory for its answer", false);
		more = false;
	} else {
		client_say_text(c, text, len);
	}
	free(text);
	return more;
}

static bool history_go_on(struct manage_client *c)
{
	struct answer *a = &c->answer;

	for (unsigned i = 0; i < ROWS_AT_ONCE && a->next < a->end; i++) {
		const char *line = history_line(a->history, a->next++);
		if (line)
			client_say(c, "%s", line);
	}
	if (a->next < a->end)
		return true;
	client_say(c, "END");
	return false;
}

void answer_go_on(struct manage *g, struct manage_client *c)
{
	while (c->answer.kind != LONG_NONE && c->out_len < MANAGE_CHUNK && (!c->leaving || c->last_words))
		if (!(c->answer.kind == LONG_STATUS ? status_go_on(g, c) : history_go_on(c)))
			c->answer.kind = LONG_NONE;
}

void load_stats_command(struct manage *g, struct manage_client *c, char **words, unsigned count)
{
	const struct master *m = g->master;
	uint64_t in = 0, out = 0, clients = 0;
	struct peer_word word;

	(void)words, (void)count;
	for (unsigned w = 0; w < m->workers; w++) {
		const struct counters *counters = &stats_worker(m->stats, w)->counters;
		in += atomic_load_explicit(&counters->named[COUNTER_LINK_BYTES_IN], memory_order_relaxed);
		out += atomic_load_explicit(&counters->named[COUNTER_LINK_BYTES_OUT], memory_order_relaxed);
	}
	for (uint32_t at = 0; (at = peers_next(m->shm, at)) != PEER_NONE; at++)
		clients += peers_word(m->shm, at, &word) && word.state == PEER_ACTIVE;
	client_say(c, "SUCCESS: nclients=%llu,bytesin=%llu,bytesout=%llu", (unsigned long long)clients,
		(unsigned long long)in, (unsigned long long)out);
}

/* -- every few seconds, a line for each client -- */

void bytecount_command(struct manage *g, struct manage_client *c, char **words, unsigned count)
{
	long seconds;

	(void)g, (void)count;
	if (!command_number(c, words[1], "interval", 0, BYTECOUNT_S_MAX, &seconds))
		return;
	c->bytecount_s = (unsigned)seconds;
	c->bytecount_at = seconds ? master_now() + seconds * 1000 : MONO_NEVER;
	c->bytecount_slot = PEER_NONE;
	client_say(c, "SUCCESS: bytecount interval changed");
}

void bytecount_go_on(struct manage *g, struct manage_client *c, mono_ms now)
{
	const struct shm *shm = g->master->shm;
	struct peer_row row;

	if (c->bytecount_s && now >= c->bytecount_at) {
		c->bytecount_at = now + (mono_ms)c->bytecount_s * 1000;
		if (c->bytecount_slot == PEER_NONE && shm) /* else it still reads the round before */
			c->bytecount_slot = 0;
	}
	while (shm && c->bytecount_slot != PEER_NONE && c->out_len < MANAGE_CHUNK && !c->leaving) {
		uint32_t slot = peers_next(shm, c->bytecount_slot);
		c->bytecount_slot = slot == PEER_NONE ? PEER_NONE : slot + 1;
		if (slot != PEER_NONE && peers_read(shm, slot, &row) && row.state == PEER_ACTIVE)
			client_notice(g, c, ">BYTECOUNT_CLI:%llu,%llu,%llu",
				(unsigned long long)row.identity.client_id, (unsigned long long)row.bytes_in,
				(unsigned long long)row.bytes_out);
	}
}
