/* SPDX-License-Identifier: MIT
 * What must become of sessions when settings or the CRL change, told to the workers that own them. */
#include "common/base/text.h"
#include "common/negotiate/negotiate.h"
#include "master/log.h"
#include "master/master.h"
#include "master/reload_plan.h"
#include "worker/orders.h"

#include <string.h>

enum { LIST_MAX = ORDER_SESSIONS_MAX };

/* One list each of those who may come back and of those who may not. */
struct endings {
	struct master *m;
	unsigned owner;
	struct order_session list[LIST_MAX];
	size_t count;
	int how; /* enum order_end */
};

static void send_endings(struct endings *e)
{
	struct master *m = e->m;
	if (!e->count)
		return;
	if (m->seats[e->owner].orders_fd < 0 ||
		!order_send(m->seats[e->owner].orders_fd, ORDER_END, e->how, e->list,
			e->count * sizeof(e->list[0]), -1)) {
		log_line(LOG_LEVEL_NOTICE, "WARNING: worker %u could not be told yet to end %zu sessions", e->owner,
			e->count);
		m->check_sessions = true;
	}
	e->count = 0;
}

void sessions_end(struct master *m, const struct reload_plan *plan, int at_least)
{
	char why[PLAN_WHY_MAX], name[4 * PEER_NAME_ROOM];
	struct peer_row row;
	struct endings e = { .m = m };

	for (uint32_t slot = 0; plan_next(m->shm, &slot, &row);) {
		enum plan_fate fate = plan_of(plan, &row, why);
		int how = fate == PLAN_REFUSED ? ORDER_END_REFUSED : ORDER_END_RESTART;
		if ((int)fate < at_least || row.owner >= m->workers)
			continue;
		text_escape(name, sizeof(name), row.identity.common_name, strlen(row.identity.common_name), NULL);
		log_line(LOG_LEVEL_NOTICE, "session %u of '%s' ends: %s", row.slot, name, why);
		if (e.count == LIST_MAX || (e.count && (e.owner != row.owner || e.how != how)))
			send_endings(&e);
		e.owner = row.owner;
		e.how = how;
		e.list[e.count++] = (struct order_session){ .slot = row.slot, .generation = row.generation };
	}
	send_endings(&e);
}

void sessions_update(struct master *m, const struct reload_plan *plan)
{
	char text[PUSH_BUNDLE];
	size_t at = 0, len;

	_Static_assert(sizeof(text) <= ORDER_TEXT_MAX, "an order carries one message");
	while ((len = push_update_write(plan->update, plan->update_count, &at, text, sizeof(text))))
		for (unsigned w = 0; w < m->workers; w++)
			if (m->seats[w].orders_fd >= 0 &&
				!order_send(m->seats[w].orders_fd, ORDER_SAY, 0, text, len - 1, -1))
				log_line(LOG_LEVEL_NOTICE, "WARNING: the clients of worker %u get no update", w);
}

void sessions_check(struct master *m)
{
	struct reload_plan plan = { 0 };

	m->check_sessions = false;
	if (plan_make(&plan, m->now.config, m->now.config))
		sessions_end(m, &plan, PLAN_REFUSED);
	plan_clear(&plan);
}
