/* SPDX-License-Identifier: MIT
 * What a client may still ask for although it is over: the last lines of the log, of states, of echoes. */
#include "master/manage_internal.h"

#include <stdlib.h>
#include <string.h>

bool history_init(struct history *h, unsigned room)
{
	*h = (struct history){ .room = room, .lines = calloc(room, sizeof(*h->lines)) };
	return h->lines != NULL;
}

void history_clear(struct history *h)
{
	for (unsigned i = 0; h->lines && i < h->room; i++)
		free(h->lines[i]);
	free(h->lines);
	*h = (struct history){ 0 };
}

void history_add(struct history *h, const char *line)
{
	char *copy = h->lines ? strdup(line) : NULL;

	if (!copy)
		return;
	char **place = &h->lines[h->count++ % h->room];
	free(*place);
	*place = copy;
}

const char *history_line(const struct history *h, uint64_t number)
{
	return number < h->count && h->count - number <= h->room ? h->lines[number % h->room] : NULL;
}

/* `on`, `off`, `all` or a number. */
static void history_word(struct manage_client *c, const char *word, const char *what, const struct history *h, bool *on)
{
	long lines = (long)h->room;

	if (strcmp(word, "on") == 0 || strcmp(word, "off") == 0) {
		*on = word[1] == 'n';
		client_say(c, "SUCCESS: real-time %s notification set to %s", what, *on ? "ON" : "OFF");
		return;
	}
	if (strcmp(word, "all") != 0) {
		char *end;
		lines = strtol(word, &end, 10);
		if (*end || lines < 1) {
			client_say(c, "ERROR: '%s' takes on, off, all or a number of lines", what);
			return;
		}
	}
	c->answer = (struct answer){ .kind = LONG_HISTORY, .history = h, .end = h->count };
	uint64_t kept = h->count < h->room ? h->count : h->room;
	c->answer.next = h->count - ((uint64_t)lines < kept ? (uint64_t)lines : kept);
}

/* The second of two words has the lines, if any: `log on all`. */
static void history_command(
	struct manage_client *c, char **words, unsigned count, const struct history *h, bool *on)
{
	for (unsigned i = 1; i < count; i++)
		if (c->answer.kind == LONG_NONE)
			history_word(c, words[i], words[0], h, on);
		else
			client_say(c, "ERROR: '%s' shows lines once", words[0]);
}

void log_command(struct manage *g, struct manage_client *c, char **words, unsigned count)
{
	history_command(c, words, count, &g->log, &c->log_on);
}

void state_command(struct manage *g, struct manage_client *c, char **words, unsigned count)
{
	static char one[] = "1", *last[] = { NULL, one, NULL };
	last[0] = words[0];
	history_command(c, count > 1 ? words : last, count > 1 ? count : 2, &g->states, &c->state_on);
}

void echo_command(struct manage *g, struct manage_client *c, char **words, unsigned count)
{
	history_command(c, words, count, &g->echoes, &c->echo_on);
}
