/* SPDX-License-Identifier: MIT
 * Signatures come from the keyholder, one request per session at a time. Nothing waits for one but its own handshake;
 * requests that find the channel full stand in line here, at most one per session. */
#include "worker/internal.h"

#include "common/base/secret.h"
#include "worker/keyholder_wire.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

/* sendmsg and recvmsg: the only socket calls that the sandbox leaves. */
static ssize_t put(int fd, void *bytes, size_t len)
{
	struct iovec piece = { .iov_base = bytes, .iov_len = len };
	struct msghdr message = { .msg_iov = &piece, .msg_iovlen = 1 };
	return sendmsg(fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static ssize_t get(int fd, void *bytes, size_t room)
{
	struct iovec piece = { .iov_base = bytes, .iov_len = room };
	struct msghdr message = { .msg_iov = &piece, .msg_iovlen = 1 };
	return recvmsg(fd, &message, MSG_DONTWAIT);
}

/* 1 sent, 0 no room now, -1 cannot be sent. */
static int send_request(struct worker *w, uint32_t id, uint16_t algorithm, const uint8_t *input, size_t len)
{
	struct keyholder_request request = { .id = id, .algorithm = algorithm, .input_len = (uint16_t)len };

	memcpy(request.input, input, len);
	ssize_t sent = put(w->born->keyholder_fd, &request, KEYHOLDER_HEAD + len);
	if (sent >= 0)
		return 1;
	return errno == EAGAIN || errno == EWOULDBLOCK || errno == ENOBUFS ? 0 : -1;
}

static void leave_line(struct worker *w, struct session *s)
{
	struct session **at = &w->sign_first;

	if (!s->sign_input)
		return;
	while (*at && *at != s)
		at = &(*at)->sign_next;
	if (*at) {
		*at = s->sign_next;
		if (!*at)
			w->sign_last = at;
	}
	s->sign_next = NULL;
	free(s->sign_input);
	s->sign_input = NULL;
}

void signing_ask(struct worker *w, struct session *s, const vpn_event *event)
{
	int sent = -1;

	leave_line(w, s); /* what an earlier negotiation waited for, in vain */
	counter_add(w->counters, COUNTER_SIGNATURES, 1);
	s->sign_id = (++w->sign_count << SLOT_BITS) | s->slot;
	if (!s->sign_id)
		s->sign_id = 1u << SLOT_BITS | s->slot;
	if (event->len <= KEYHOLDER_INPUT_MAX && !w->keyholder_gone)
		sent = w->sign_first ? 0 : send_request(w, s->sign_id, (uint16_t)event->number, event->data, event->len);
	if (sent == 0 && (s->sign_input = malloc(event->len))) {
		memcpy(s->sign_input, event->data, event->len);
		s->sign_len = (uint16_t)event->len;
		s->sign_algorithm = (uint16_t)event->number;
		*w->sign_last = s;
		w->sign_last = &s->sign_next;
	} else if (sent <= 0) {
		s->sign_id = 0;
		session_log(w, s, 1, "the keyholder cannot be asked for a signature");
		note_session(w, s, EVENT_SIGNING_FAILED, 0, "it cannot be asked");
		vpn_session_signed(s->engine, NULL, 0, w->now);
	}
}

void signing_forget(struct worker *w, struct session *s)
{
	leave_line(w, s);
	s->sign_id = 0;
}

static void send_waiting(struct worker *w)
{
	struct session *s;

	while ((s = w->sign_first)) {
		int sent = send_request(w, s->sign_id, s->sign_algorithm, s->sign_input, s->sign_len);
		if (sent == 0)
			return;
		leave_line(w, s);
		if (sent < 0) {
			s->sign_id = 0;
			vpn_session_signed(s->engine, NULL, 0, w->now);
			control_serve(w, s);
		}
	}
}

static void answer(struct worker *w, const struct keyholder_answer *a)
{
	uint32_t slot = a->id & ((1u << SLOT_BITS) - 1);
	struct session *s = slot < w->config->max_clients ? w->sessions[slot] : NULL;

	if (!s || !a->id || s->sign_id != a->id)
		return; /* its session ended meanwhile */
	s->sign_id = 0;
	if (!a->signature_len) {
		session_log(w, s, 1, "the keyholder refused a signature");
		note_session(w, s, EVENT_SIGNING_FAILED, 0, "it refused");
	}
	vpn_session_signed(s->engine, a->signature, a->signature_len, w->now);
	control_serve(w, s);
}

bool signing_answers(void *context)
{
	struct worker *w = context;
	struct keyholder_answer a;

	w->now = loop_now();
	for (unsigned i = 0; i < HANDSHAKES_A_TURN; i++) { /* the rest is for the next turn */
		ssize_t got = get(w->born->keyholder_fd, &a, sizeof(a));
		if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR)) {
			w->keyholder_gone = true;
			worker_log(w, 1, "the keyholder is gone: no new handshakes until it is back");
			return false;
		}
		if (got < 0)
			break;
		if (got >= KEYHOLDER_HEAD && got == KEYHOLDER_HEAD + a.signature_len)
			answer(w, &a);
	}
	send_waiting(w);
	return true;
}

size_t signing_now(void *context, uint16_t algorithm, const uint8_t *input, size_t input_len, uint8_t *signature,
	size_t room)
{
	struct worker *w = context;
	struct keyholder_answer a;
	uint32_t id = ++w->sign_count << SLOT_BITS;

	counter_add(w->counters, COUNTER_SIGNATURES, 1);
	if (input_len > KEYHOLDER_INPUT_MAX || send_request(w, id, algorithm, input, input_len) <= 0)
		return 0;
	/* This library cannot be resumed with a signature, so here the worker waits, for a bounded time. */
	for (mono_ms until = loop_now() + 250, now; (now = loop_now()) < until;) {
		struct pollfd readable = { .fd = w->born->keyholder_fd, .events = POLLIN };
		if (poll(&readable, 1, (int)(until - now)) <= 0)
			continue;
		ssize_t got = get(w->born->keyholder_fd, &a, sizeof(a));
		if (got == 0)
			return 0;
		if (got >= KEYHOLDER_HEAD && got == KEYHOLDER_HEAD + a.signature_len && a.id == id &&
			a.signature_len <= room) {
			memcpy(signature, a.signature, a.signature_len);
			return a.signature_len;
		}
	}
	return 0;
}
