/* SPDX-License-Identifier: MIT
 * The estate in the hands of a service manager (FDSTORE of sd_notify(3)), which gives it to whom it starts after our
 * death. New descriptors go there first, then the description that names them, then the old ones are taken back: a
 * death at any point leaves something whole. */
#include "master/log.h"
#include "master/master.h"

#include <stdlib.h>
#include <string.h>

enum { STORE_AGAIN_MS = 10000 };

static bool keep_name(struct estate_store *s, const char *name)
{
	if (s->count == s->room) {
		unsigned room = s->room ? 2 * s->room : 64;
		struct estate_fd *more = realloc(s->kept, room * sizeof(*more));
		if (!more)
			return false;
		s->kept = more;
		s->room = room;
	}
	s->kept[s->count] = (struct estate_fd){ .fd = 0 };
	strncpy(s->kept[s->count].name, name, ESTATE_NAME_ROOM - 1);
	s->count++;
	return true;
}

bool estate_store_found(struct estate_store *store, const char *name)
{
	return keep_name(store, name);
}

static struct estate_fd *find(struct estate_store *s, const char *name)
{
	for (unsigned i = 0; i < s->count; i++)
		if (strcmp(s->kept[i].name, name) == 0)
			return &s->kept[i];
	return NULL;
}

struct round {
	struct master *m;
	bool failed;
};

/* In this round `fd` 1 marks what is still wanted. */
static void want(void *context, const char *name, int fd, bool lasting)
{
	struct round *round = context;
	struct estate_store *s = &round->m->upgrade.store;
	if (!lasting || round->failed)
		return;
	struct estate_fd *known = find(s, name);
	if (!known && (!notify_keep(&round->m->notify, name, fd) || !keep_name(s, name)))
		round->failed = true;
	else
		find(s, name)->fd = 1;
}

void estate_keep(struct master *m)
{
	struct estate_store *s = &m->upgrade.store;
	struct round round = { .m = m };
	if (!s->on || m->phase != PHASE_RUNNING)
		return;
	for (unsigned i = 0; i < s->count; i++)
		s->kept[i].fd = 0;
	want(&round, ESTATE_NAME, m->upgrade.estate_fd, true);
	estate_list(m, want, &round);
	if (round.failed || estate_save(m)) {
		if (s->again_at == MONO_NEVER)
			log_line(LOG_LEVEL_NOTICE, "WARNING: the service manager does not hear us: should this process "
						   "die now, clients begin anew");
		s->again_at = master_now() + STORE_AGAIN_MS;
		return;
	}
	s->again_at = MONO_NEVER;
	for (unsigned i = 0; i < s->count;) {
		if (s->kept[i].fd) {
			i++;
			continue;
		}
		notify_keep_no_more(&m->notify, s->kept[i].name);
		s->kept[i] = s->kept[--s->count];
	}
}

void estate_forget(struct master *m)
{
	struct estate_store *s = &m->upgrade.store;
	for (unsigned i = 0; i < s->count; i++)
		if (!notify_keep_no_more(&m->notify, s->kept[i].name))
			break; /* each would wait a second for who does not hear */
	s->count = 0;
	s->on = false;
}

void estate_store_clear(struct estate_store *s)
{
	free(s->kept);
	*s = (struct estate_store){ 0 };
}
