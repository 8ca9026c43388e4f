/* SPDX-License-Identifier: MIT
 * The helper's life: takes requests of workers, runs what they lead to, some at a time and one per slot.
 * Workers are not trusted: what they say is checked here, and what a worker may not know it does not learn.
 */
#include "master/helper_internal.h"

#include "common/base/text.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { SLOTS_MAX = 1 << 24, SERVE_MAX = 64 /* requests of one worker in one turn */ };

void helper_log(struct helper_state *h, int level, const char *format, ...)
{
	struct helper_report r = { .kind = HELPER_REPORT_LOG, .level = level };
	va_list args;

	va_start(args, format);
	int len = vsnprintf(r.text, sizeof(r.text), format, args);
	va_end(args);
	r.len = len < 0 ? 0 : (size_t)len < sizeof(r.text) ? (uint32_t)len : (uint32_t)sizeof(r.text) - 1;
	if (send(h->control, &r, offsetof(struct helper_report, text) + r.len, MSG_DONTWAIT | MSG_NOSIGNAL) <
		0)
		h->log_dropped++;
}

void helper_answer(
	struct helper_state *h, const struct job *job, enum helper_verdict verdict, const char *reason)
{
	const struct worker_channel *channel = &h->channels[job->worker];
	static struct helper_answer answer; /* one process, one thread; too large for a stack */
	size_t reason_len = strlen(reason);

	if (!job->channel || channel->fd < 0 || channel->serial != job->channel)
		return; /* who asked is gone */
	answer.id = job->request->id;
	answer.slot = job->request->slot;
	answer.generation = job->request->generation;
	answer.verdict = (uint16_t)verdict;
	answer.reason_len = (uint16_t)(reason_len < HELPER_REASON_MAX ? reason_len : HELPER_REASON_MAX);
	answer.lines_len = verdict == HELPER_ALLOW ? (uint32_t)job->lines_len : 0;
	memcpy(answer.text, reason, answer.reason_len);
	if (answer.lines_len)
		memcpy(answer.text + answer.reason_len, job->lines, answer.lines_len);
	/* No room: the worker does not read. Its client waits until its hand-window ends, and is not
	 * admitted. */
	if (send(channel->fd, &answer, HELPER_ANSWER_HEAD + answer.reason_len + answer.lines_len,
		    MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
		helper_log(h, 0, "worker %u does not take its answers", job->worker);
}

/* -- the queue -- */

static void enqueue(struct helper_state *h, struct job *job)
{
	*h->waiting_end = job;
	h->waiting_end = &job->next;
	h->waiting_count++;
}

static struct job *dequeue(struct helper_state *h, struct job **at)
{
	struct job *job = *at;
	*at = job->next;
	if (!*at)
		h->waiting_end = at;
	job->next = NULL;
	h->waiting_count--;
	return job;
}

/* Nobody waits for this connect any more, and it has not begun: then it never happens. */
static bool cancel_waiting(struct helper_state *h, const struct helper_request *r)
{
	for (struct job **at = &h->waiting; *at; at = &(*at)->next) {
		const struct helper_request *other = (*at)->request;
		if (other->kind != HELPER_CONNECT || other->slot != r->slot ||
			other->generation != r->generation)
			continue;
		struct job *job = dequeue(h, at);
		job_free(&job);
		return true;
	}
	return false;
}

static struct job *job_of(const struct helper_request *r, size_t len)
{
	struct job *job = calloc(1, sizeof(*job));
	if (!job)
		return NULL;
	/* allocated whole: what lies behind the texts is never written, so it costs nothing */
	job->request = malloc(sizeof(*r));
	if (!job->request) {
		free(job);
		return NULL;
	}
	memcpy(job->request, r, len);
	job->script = (struct script){ .pid = -1, .pid_fd = -1, .output_fd = -1 };
	char name[140];
	helper_request_text(job->request, HELPER_COMMON_NAME, name, sizeof(name));
	text_escape(job->name, sizeof(job->name), name, strlen(name), NULL);
	return job;
}

/* For a client that nobody said goodbye for: its worker died at the wrong moment. NULL: no memory. */
static struct job *farewell(const struct client *client, unsigned slot)
{
	struct helper_request r = { .slot = slot,
		.generation = client->generation,
		.kind = HELPER_DISCONNECT,
		.connected_unix = client->connected_unix };
	const char *texts[HELPER_TEXTS] = { [HELPER_COMMON_NAME] =
						    environment_get(&client->facts, "common_name") };
	uint64_t now = (uint64_t)time(NULL);

	r.duration_s = now > r.connected_unix ? now - r.connected_unix : 0;
	return job_of(&r, helper_request_texts(&r, texts));
}

static void take_request(struct helper_state *h, unsigned worker, const struct helper_request *r, size_t len)
{
	if (!h->has_plan || r->slot >= h->slot_count)
		return;
	if (r->kind == HELPER_DISCONNECT && cancel_waiting(h, r))
		return;
	struct job *job = job_of(r, len);
	if (!job)
		return; /* no answer: refused by its hand-window */
	job->worker = worker;
	job->channel = h->channels[worker].serial;
	enqueue(h, job);
}

static void close_channel(struct worker_channel *channel)
{
	close(channel->fd);
	channel->fd = -1;
}

static void serve(struct helper_state *h, unsigned worker)
{
	struct worker_channel *channel = &h->channels[worker];
	static struct helper_request request;

	for (unsigned i = 0; i < SERVE_MAX && h->waiting_count < HELPER_QUEUE_MAX; i++) {
		ssize_t got = recv(channel->fd, &request, sizeof(request), MSG_DONTWAIT | MSG_TRUNC);
		if (got < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (got <= 0) {
			close_channel(channel);
			return;
		}
		if (helper_request_ok(&request, (size_t)got))
			take_request(h, worker, &request, (size_t)got);
	}
}

/* -- what runs -- */

/* Begins it. True: it runs on, and its slot is busy. */
static bool begin(struct helper_state *h, struct job *job)
{
	struct client_slot *slot = &h->slots[job->request->slot];

	if (job_begin(h, job)) {
		job_free(&job);
		return false;
	}
	slot->busy = true;
	job->next = h->running;
	h->running = job;
	h->running_count++;
	return true;
}

/* The slot's former client is gone, or it could not have a new one. True: its script runs now. */
static bool end_former(struct helper_state *h, unsigned index)
{
	struct client_slot *slot = &h->slots[index];
	struct job *job = slot->client->succeeded ? farewell(slot->client, index) : NULL;

	if (job && begin(h, job))
		return true;
	client_forget(slot);
	return false;
}

static void begin_waiting(struct helper_state *h)
{
	struct job **at = &h->waiting;

	while (*at && h->running_count < HELPER_SCRIPTS_MAX) {
		const struct helper_request *r = (*at)->request;
		const struct client_slot *slot = &h->slots[r->slot];
		if (slot->busy || (r->kind == HELPER_CONNECT && slot->client && end_former(h, r->slot)))
			at = &(*at)->next;
		else
			begin(h, dequeue(h, at));
	}
}

static void continue_running(struct helper_state *h, mono_ms now)
{
	for (struct job **at = &h->running; *at;) {
		struct job *job = *at;
		bool was_deferred = job->deferred;
		if (!job_continue(h, job, now)) {
			if (job->deferred && !was_deferred) {
				h->running_count--;
				h->deferred_count++;
			}
			at = &job->next;
			continue;
		}
		*at = job->next;
		if (was_deferred)
			h->deferred_count--;
		else
			h->running_count--;
		h->slots[job->request->slot].busy = false;
		job_free(&job);
	}
}

/* -- the master's word -- */

static void take_plan(struct helper_state *h, int fd)
{
	struct helper_plan plan;

	if (!helper_plan_read(fd, &plan)) {
		helper_log(h, 0, "the helper cannot read its plan: it goes on as before");
		return;
	}
	if (plan.slots > h->slot_count && plan.slots <= SLOTS_MAX) {
		struct client_slot *grown = calloc(plan.slots, sizeof(*grown));
		if (grown && h->slot_count)
			memcpy(grown, h->slots, h->slot_count * sizeof(*grown));
		if (grown) {
			free(h->slots);
			h->slots = grown;
			h->slot_count = plan.slots;
		}
	}
	helper_plan_clear(&h->plan);
	h->plan = plan;
	h->has_plan = true;
	if (plan.directory && access(plan.directory, R_OK | X_OK) < 0)
		helper_log(h, 1,
			"WARNING: client-config-dir %s: %s (the account of `user` must be able to read it)",
			plan.directory, strerror(errno));
	if (plan.connect && access(plan.tmp_dir, W_OK | X_OK) < 0)
		helper_log(h, 1,
			"WARNING: tmp-dir %s: %s (the account of `user` must be able to write there)",
			plan.tmp_dir, strerror(errno));
}

static void take_channel(struct helper_state *h, unsigned worker, int *fd)
{
	if (worker >= SHM_MAX_WORKERS)
		return;
	struct worker_channel *channel = &h->channels[worker];
	/* what its predecessor sent last is still in the old one */
	while (channel->fd >= 0 && h->waiting_count < HELPER_QUEUE_MAX) {
		unsigned before = h->waiting_count;
		serve(h, worker);
		if (h->waiting_count == before)
			break;
	}
	if (channel->fd >= 0)
		close_channel(channel);
	if (!++h->serial)
		h->serial = 1;
	*channel = (struct worker_channel){ .fd = *fd, .serial = h->serial };
	*fd = -1;
}

/* False: the master is gone. */
static bool take_command(struct helper_state *h)
{
	struct helper_command c;
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control;
	struct iovec part = { .iov_base = &c, .iov_len = sizeof(c) };
	struct msghdr m = {
		.msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)
	};
	ssize_t n = recvmsg(h->control, &m, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

	if (n < 0)
		return errno == EAGAIN || errno == EINTR;
	int fd = -1;
	const struct cmsghdr *head = CMSG_FIRSTHDR(&m);
	if (head && head->cmsg_level == SOL_SOCKET && head->cmsg_type == SCM_RIGHTS &&
		head->cmsg_len == CMSG_LEN(sizeof(int)))
		memcpy(&fd, CMSG_DATA(head), sizeof(fd));
	if (n == sizeof(c) && c.kind == HELPER_COMMAND_PLAN && fd >= 0)
		take_plan(h, fd);
	else if (n == sizeof(c) && c.kind == HELPER_COMMAND_CHANNEL && fd >= 0)
		take_channel(h, c.worker, &fd);
	else if (n == sizeof(c) && c.kind == HELPER_COMMAND_FINISH)
		h->finishing = true;
	if (fd >= 0)
		close(fd);
	return n != 0;
}

/* -- the loop -- */

/* One place for the master, one per worker, two per job. */
static nfds_t fill(struct helper_state *h, struct pollfd *polls, mono_ms now, int *wait_ms)
{
	nfds_t count = 0;
	mono_ms wake_at = h->ends_at;

	polls[count++] = (struct pollfd){ .fd = h->control, .events = POLLIN };
	for (unsigned w = 0; w < SHM_MAX_WORKERS; w++)
		polls[count++] =
			(struct pollfd){ .fd = h->waiting_count < HELPER_QUEUE_MAX ? h->channels[w].fd : -1,
				.events = POLLIN };
	for (const struct job *job = h->running; job; job = job->next) {
		polls[count++] =
			(struct pollfd){ .fd = job->deferred ? -1 : job->script.pid_fd, .events = POLLIN };
		polls[count++] = (struct pollfd){ .fd = job->script.output_fd, .events = POLLIN };
		wake_at = mono_earlier(wake_at, job->deferred ? job->look_at : job->script.kill_at);
	}
	if (h->idle_since != MONO_NEVER)
		wake_at = mono_earlier(wake_at, h->idle_since + IDLE_MS);
	span_ms left = wake_at == MONO_NEVER ? 60000 : wake_at - now;
	*wait_ms = left <= 0 ? 0 : left > 60000 ? 60000 : (int)left + 1;
	return count;
}

/* True when nothing is left to do. */
static bool finish(struct helper_state *h)
{
	for (unsigned w = 0; w < SHM_MAX_WORKERS; w++)
		if (h->channels[w].fd >= 0)
			return false;
	if (h->waiting_count || h->running)
		return false;
	for (unsigned s = 0; s < h->slot_count && h->running_count < HELPER_SCRIPTS_MAX; s++)
		if (h->slots[s].client)
			end_former(h, s);
	return !h->running;
}

/* Workers go on for a little while and tell us whose session is over: that is done, then we end. */
static void master_gone(struct helper_state *h)
{
	if (h->control >= 0)
		close(h->control);
	h->control = -1;
	h->finishing = true;
	h->ends_at = master_now() + ALONE_MS;
}

/* A service manager may keep our master's end after its death; then it is the workers' end that counts. */
static void look_for_workers(struct helper_state *h)
{
	bool any = false;
	for (unsigned w = 0; w < SHM_MAX_WORKERS; w++)
		any |= h->channels[w].fd >= 0;
	h->had_workers |= any;
	if (any || !h->had_workers || h->finishing)
		h->idle_since = MONO_NEVER;
	else if (h->idle_since == MONO_NEVER)
		h->idle_since = master_now();
	else if (master_now() - h->idle_since >= IDLE_MS)
		master_gone(h);
}

_Noreturn void helper_live(int control)
{
	struct helper_state *h = calloc(1, sizeof(*h));
	struct pollfd *polls =
		calloc(1 + SHM_MAX_WORKERS + 2 * (HELPER_SCRIPTS_MAX + DEFERRED_MAX), sizeof(*polls));

	if (!h || !polls)
		_exit(1);
	h->control = control;
	h->ends_at = h->idle_since = MONO_NEVER;
	h->waiting_end = &h->waiting;
	for (unsigned w = 0; w < SHM_MAX_WORKERS; w++)
		h->channels[w].fd = -1;
	for (;;) {
		int wait_ms;
		begin_waiting(h);
		if (h->finishing && finish(h))
			break;
		nfds_t count = fill(h, polls, master_now(), &wait_ms);
		if (poll(polls, count, wait_ms) < 0 && errno != EINTR)
			_exit(1);
		continue_running(h, master_now());
		for (unsigned w = 0; w < SHM_MAX_WORKERS; w++)
			if (polls[1 + w].fd >= 0 && polls[1 + w].revents)
				serve(h, w);
		if (polls[0].revents && !take_command(h))
			master_gone(h);
		look_for_workers(h);
		if (master_now() >= h->ends_at)
			break;
	}
	while (h->running) {
		struct job *job = h->running;
		h->running = job->next;
		job_free(&job);
	}
	_exit(0);
}
