/* SPDX-License-Identifier: MIT
 * What scripts and files of clients say comes from the helper: one request per session, and one word when it
 * is over. Nothing waits for an answer but its own session; without one it is not admitted. Messages that
 * find the channel full stand in line here. */
#include "worker/internal.h"

#include "worker/helper_wire.h"
#include "worker/tunnel_facts.h"

#include "common/base/text.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

bool scripts_wanted(const struct worker *w)
{
	const struct config *c = w->config;
	return c->scripts.client_connect || c->scripts.client_disconnect || c->client_config_dir;
}

/* -- sending -- */

/* 1 sent, 0 no room now, -1 cannot be sent. */
static int put(struct worker *w, const void *bytes, size_t len, int flags)
{
	struct iovec piece = { .iov_base = (void *)(uintptr_t)bytes, .iov_len = len };
	struct msghdr message = { .msg_iov = &piece, .msg_iovlen = 1 };

	if (w->helper_fd < 0)
		return -1;
	if (sendmsg(w->helper_fd, &message, flags | MSG_NOSIGNAL) >= 0)
		return 1;
	return errno == EAGAIN || errno == EWOULDBLOCK || errno == ENOBUFS || errno == EINTR ? 0 : -1;
}

static void drop_first(struct worker *w)
{
	struct helper_message *m = w->helper_first;
	w->helper_first = m->next;
	if (!w->helper_first)
		w->helper_last = &w->helper_first;
	w->helper_waiting--;
	free(m);
}

void scripts_flush(struct worker *w, bool last)
{
	while (w->helper_first) {
		if (put(w, w->helper_first->bytes, w->helper_first->len, last ? 0 : MSG_DONTWAIT) == 0)
			break;
		drop_first(w);
	}
	while (last && w->helper_first)
		drop_first(w);
}

/* False: it goes nowhere. */
static bool send_or_line_up(struct worker *w, const struct helper_request *r, size_t len, uint32_t id)
{
	int sent = w->helper_first ? 0 : put(w, r, len, MSG_DONTWAIT);

	/* at most one connect per session; goodbyes beyond that are the helper's to find out */
	if (sent != 0 || w->helper_waiting > 2 * w->config->max_clients + 64)
		return sent > 0;
	struct helper_message *m = malloc(sizeof(*m) + len);
	if (!m)
		return false;
	*m = (struct helper_message){ .id = id, .len = len };
	memcpy(m->bytes, r, len);
	*w->helper_last = m;
	w->helper_last = &m->next;
	w->helper_waiting++;
	return true;
}

/* True if the request had not left yet. */
static bool take_back(struct worker *w, uint32_t id)
{
	for (struct helper_message **at = &w->helper_first; *at; at = &(*at)->next) {
		struct helper_message *m = *at;
		if (m->id != id)
			continue;
		*at = m->next;
		if (!*at)
			w->helper_last = at;
		w->helper_waiting--;
		free(m);
		return true;
	}
	return false;
}

/* What is the same in both requests. */
static void fill(const struct worker *w, const struct peer_identity *identity, struct helper_request *r)
{
	const struct config *c = w->config;

	r->connected_unix = (uint64_t)identity->connected_unix;
	r->inner4 = identity->inner4;
	r->netmask4 = c->netmask4;
	memcpy(r->inner6, identity->inner6, sizeof(r->inner6));
	if (c->ifconfig6_on) {
		memcpy(r->own6, &c->local6, sizeof(r->own6));
		r->bits6 = c->bits6;
	}
	r->peer = identity->peer_address;
}

void scripts_ask(struct worker *w, struct session *s)
{
	struct helper_request r = { .slot = s->slot, .generation = s->generation, .kind = HELPER_CONNECT };
	vpn_peer peer;

	vpn_session_peer(s->engine, &peer);
	fill(w, &s->identity, &r);
	const char *texts[HELPER_TEXTS] = {
		[HELPER_COMMON_NAME] = peer.common_name,
		[HELPER_USERNAME] = peer.username,
		[HELPER_SUBJECT] = peer.subject,
		[HELPER_SERIAL] = peer.serial,
		[HELPER_PEER_INFO] = peer.peer_info,
	};
	size_t len = helper_request_texts(&r, texts);
	if (!++w->helper_count)
		w->helper_count = 1;
	r.id = s->helper_id = w->helper_count;
	/* Published first: should we die now, our successor says goodbye to whom the helper may have let in.
	 */
	s->identity.flags |= PEER_FLAG_ASKED;
	session_publish(w, s);
	if (send_or_line_up(w, &r, len, r.id))
		return;
	s->helper_id = 0;
	session_log(w, s, 1, "refused: the helper cannot be asked");
	s->why = EVENT_WHY_SCRIPT;
	note_session(w, s, EVENT_REFUSED, s->why, "the helper cannot be asked");
	vpn_session_refuse(s->engine, NULL, w->now);
}

/* -- the end of a session -- */

static void say_goodbye(struct worker *w, uint32_t slot, uint32_t generation,
	const struct peer_identity *identity, uint64_t bytes_in, uint64_t bytes_out)
{
	struct helper_request r = { .slot = slot,
		.generation = generation,
		.kind = HELPER_DISCONNECT,
		.flags = identity->flags & PEER_FLAG_CONNECTED ? HELPER_ADMITTED : 0,
		.bytes_in = bytes_in,
		.bytes_out = bytes_out,
		.duration_s = w->now > identity->connected_ms
				      ? (uint64_t)(w->now - identity->connected_ms) / 1000
				      : 0 };
	const char *texts[HELPER_TEXTS] = { [HELPER_COMMON_NAME] = identity->common_name };

	fill(w, identity, &r);
	send_or_line_up(w, &r, helper_request_texts(&r, texts), 0);
}

void scripts_session_over(struct worker *w, struct session *s)
{
	const struct peer_counters *c = &s->shared->counters;
	bool never_left = s->helper_id && take_back(w, s->helper_id);

	s->helper_id = 0;
	if ((s->identity.flags & PEER_FLAG_ASKED) && !never_left)
		say_goodbye(w, s->slot, s->generation, &s->identity,
			atomic_load_explicit(&c->bytes_in, memory_order_relaxed),
			atomic_load_explicit(&c->bytes_out, memory_order_relaxed));
	s->identity.flags &= ~(uint32_t)(PEER_FLAG_ASKED | PEER_FLAG_CONNECTED);
}

void scripts_row_over(struct worker *w, uint32_t slot, uint32_t generation)
{
	struct peer_row row;

	if (!peers_read(w->shm, slot, &row) || row.generation != generation ||
		!(row.identity.flags & PEER_FLAG_ASKED))
		return;
	row.identity.common_name[sizeof(row.identity.common_name) - 1] = '\0';
	say_goodbye(w, slot, generation, &row.identity, row.bytes_in, row.bytes_out);
}

/* -- answers -- */

static void refuse(struct worker *w, struct session *s, const char *reason)
{
	counter_add(w->counters, COUNTER_AUTH_REFUSED, 1);
	s->why = EVENT_WHY_SCRIPT;
	note_session(w, s, EVENT_REFUSED, s->why, reason);
	/* a helper that says no has undone everything itself */
	s->identity.flags &= ~(uint32_t)PEER_FLAG_ASKED;
	session_publish(w, s);
	vpn_session_refuse(s->engine, reason && *reason ? reason : NULL, w->now);
	control_serve(w, s);
}

static void take_answer(struct worker *w, const struct helper_answer *a)
{
	char reason[HELPER_REASON_MAX + 1], clean[HELPER_REASON_MAX + 1];
	struct session *s = session_find(w, a->slot, a->generation);

	if (!s || !a->id || s->helper_id != a->id)
		return; /* its session ended meanwhile: the next tenant of the slot has nothing to do with it
			 */
	s->helper_id = 0;
	if (a->verdict != HELPER_ALLOW) {
		memcpy(reason, a->text, a->reason_len);
		reason[a->reason_len] = '\0';
		session_log(w, s, 1, "refused by its files or scripts");
		refuse(w, s, text_escape(clean, sizeof(clean), reason, strlen(reason), NULL));
		return;
	}
	s->identity.flags |= PEER_FLAG_CONNECTED;
	session_publish(w, s);
	admit_with(w, s, a->text + a->reason_len, a->lines_len);
	control_serve(w, s);
}

static void helper_gone(struct worker *w)
{
	if (w->helper_fd >= 0)
		close(w->helper_fd);
	w->helper_fd = -1;
	while (w->helper_first)
		drop_first(w);
	for (uint32_t slot = 0; slot < w->config->max_clients; slot++) {
		struct session *s = w->sessions[slot];
		if (!s || !s->helper_id)
			continue;
		s->helper_id = 0;
		session_log(w, s, 1, "refused: the helper is gone");
		refuse(w, s, NULL);
	}
}

bool scripts_answers(void *context)
{
	struct worker *w = context;
	static struct helper_answer a; /* too large for a stack */

	w->now = loop_now();
	for (unsigned i = 0; i < BATCH_MAX && w->helper_fd >= 0; i++) {
		struct iovec piece = { .iov_base = &a, .iov_len = sizeof(a) };
		struct msghdr message = { .msg_iov = &piece, .msg_iovlen = 1 };
		ssize_t got = recvmsg(w->helper_fd, &message, MSG_DONTWAIT);
		if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR))
			break;
		if (got <= 0) {
			worker_log(w, 1, "the helper is gone: no new clients until it is back");
			helper_gone(w);
			return false;
		}
		if (!(message.msg_flags & MSG_TRUNC) && helper_answer_ok(&a, (size_t)got))
			take_answer(w, &a);
		else
			worker_log(w, 1, "the helper's answer does not parse: its client waits in vain");
	}
	scripts_flush(w, false);
	return w->helper_fd >= 0;
}

void scripts_set_helper(struct worker *w, int fd)
{
	if (fd < 0)
		return;
	helper_gone(w);
	w->helper_fd = fd;
	loop_set_helper(&w->loop, fd);
}
