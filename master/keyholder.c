/* SPDX-License-Identifier: MIT
 * The keyholder's own life, and the master's side of it. Its loop: take a channel from the master, take a
 * request from a worker, sign it or refuse it. A worker that asks too often waits; nobody else waits for it
 * longer than one signature. */
#include "master/keyholder.h"

#include "common/base/sanitizer.h"
#include "common/base/secret.h"
#include "common/tls/tls.h"
#include "master/clock.h"
#include "master/log.h"
#include "master/privilege.h"
#include "shm/segment.h"
#include "worker/keyholder_wire.h"

#include <errno.h>
#include <poll.h>
#include <seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
	START_DEADLINE_MS = 10000,
	REPORT_EVERY_MS = 60000,
	THROTTLED_MS = 10,
	ALONE_MS = 60000, /* without a master, or without a worker: a service manager may keep a dead master's end */
};

enum report_kind { REPORT_READY, REPORT_FAILED, REPORT_WARNING, REPORT_COUNTS };

/* Keyholder to master. */
struct report {
	uint32_t kind; /* enum report_kind */
	uint32_t reserved;
	uint64_t given, refused, delayed; /* since its start */
	char text[KEYHOLDER_ERROR_MAX];
};

/* Master to keyholder, with the channel's descriptor. */
struct command {
	uint32_t worker;
};

struct channel {
	int fd;
	uint32_t tokens; /* signatures it may ask for now */
};

struct holder {
	const struct tls_key *key;
	int control;
	struct channel channels[SHM_MAX_WORKERS];
	mono_ms filled_at; /* when tokens were last handed out */
	mono_ms reported_at, ends_at; /* ends_at: MONO_NEVER while there is a master and a worker */
	uint64_t given, refused, delayed, reported;
};

/* -- in the keyholder -- */

static void tell(int control, enum report_kind kind, const struct holder *h, const char *text)
{
	struct report r = { .kind = kind };
	if (h) {
		r.given = h->given;
		r.refused = h->refused;
		r.delayed = h->delayed;
	}
	snprintf(r.text, sizeof(r.text), "%s", text);
	send(control, &r, sizeof(r), MSG_DONTWAIT | MSG_NOSIGNAL);
}

/* All it may ever call again. Everything else ends it. */
static bool lock_in(void)
{
	if (UNDER_SANITIZER)
		return true;
	static const int allowed[] = { SCMP_SYS(read), SCMP_SYS(write), SCMP_SYS(recvmsg), SCMP_SYS(recvfrom),
		SCMP_SYS(sendto), SCMP_SYS(sendmsg), SCMP_SYS(poll), SCMP_SYS(ppoll), SCMP_SYS(close),
		SCMP_SYS(getrandom), SCMP_SYS(clock_gettime), SCMP_SYS(brk), SCMP_SYS(munmap),
		SCMP_SYS(mremap), SCMP_SYS(madvise), SCMP_SYS(futex), SCMP_SYS(restart_syscall),
		SCMP_SYS(rt_sigreturn), SCMP_SYS(rt_sigprocmask), SCMP_SYS(sigaltstack), SCMP_SYS(getpid),
		SCMP_SYS(gettid), SCMP_SYS(tgkill), SCMP_SYS(exit), SCMP_SYS(exit_group) };
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_KILL_PROCESS);
	if (!filter)
		return false;
	int error = 0;
	for (size_t i = 0; i < sizeof(allowed) / sizeof(allowed[0]); i++)
		error |= seccomp_rule_add(filter, SCMP_ACT_ALLOW, allowed[i], 0);
	/* memory yes, code no */
	error |= seccomp_rule_add(
		filter, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 1, SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
	error |= seccomp_rule_add(
		filter, SCMP_ACT_ALLOW, SCMP_SYS(mprotect), 1, SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
	if (!error)
		error = seccomp_load(filter);
	seccomp_release(filter);
	return error == 0;
}

/* A channel from the master. False: the master has let us go. */
static bool take_channel(struct holder *h)
{
	struct command c;
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
	if (n != sizeof(c) || c.worker >= SHM_MAX_WORKERS || fd < 0) {
		if (fd >= 0)
			close(fd);
		return n != 0;
	}
	struct channel *channel = &h->channels[c.worker];
	if (channel->fd >= 0)
		close(channel->fd);
	*channel = (struct channel){ .fd = fd, .tokens = KEYHOLDER_SIGNS_PER_SECOND };
	return true;
}

/* One request of one worker. */
static void serve(struct holder *h, struct channel *channel)
{
	struct keyholder_request request;
	ssize_t n = recv(channel->fd, &request, sizeof(request), MSG_DONTWAIT | MSG_TRUNC);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		close(channel->fd);
		channel->fd = -1;
		return;
	}
	channel->tokens--;
	uint16_t input_len = request.input_len; /* one load: checked and used from here */
	if (n < KEYHOLDER_HEAD || n > (ssize_t)sizeof(request) || n != KEYHOLDER_HEAD + input_len) {
		h->refused++;
		return;
	}
	struct keyholder_answer answer = { .id = request.id };
	size_t len = tls_key_sign(h->key, request.algorithm, request.input, input_len, answer.signature,
		sizeof(answer.signature));
	answer.signature_len = (uint16_t)len;
	if (len)
		h->given++;
	else
		h->refused++;
	send(channel->fd, &answer, KEYHOLDER_HEAD + len, MSG_DONTWAIT | MSG_NOSIGNAL);
	secret_wipe(&request, sizeof(request)); /* randoms of a handshake: nothing to keep */
}

/* Every channel earns its rate, up to one second's worth. */
static void fill_tokens(struct holder *h, mono_ms now)
{
	span_ms passed = now - h->filled_at;
	uint32_t earned = passed > 1000 ? KEYHOLDER_SIGNS_PER_SECOND
					: (uint32_t)passed * KEYHOLDER_SIGNS_PER_SECOND / 1000;
	if (!earned)
		return;
	h->filled_at = now;
	for (unsigned w = 0; w < SHM_MAX_WORKERS; w++) {
		struct channel *c = &h->channels[w];
		c->tokens = c->tokens + earned > KEYHOLDER_SIGNS_PER_SECOND ? KEYHOLDER_SIGNS_PER_SECOND
									    : c->tokens + earned;
	}
}

static void serve_all(struct holder *h)
{
	bool had_channels = false;
	for (;;) {
		struct pollfd polls[1 + SHM_MAX_WORKERS];
		unsigned open_channels = 0, throttled = 0;
		fill_tokens(h, master_now());
		polls[0] = (struct pollfd){ .fd = h->control, .events = POLLIN };
		for (unsigned w = 0; w < SHM_MAX_WORKERS; w++) {
			const struct channel *c = &h->channels[w];
			open_channels += c->fd >= 0;
			throttled += c->fd >= 0 && !c->tokens;
			polls[1 + w] = (struct pollfd){ .fd = c->tokens ? c->fd : -1, .events = POLLIN };
		}
		had_channels |= open_channels > 0;
		if (open_channels && h->control >= 0)
			h->ends_at = MONO_NEVER;
		else if (h->ends_at == MONO_NEVER && had_channels)
			h->ends_at = master_now() + ALONE_MS;
		if ((h->control < 0 && !open_channels) || master_now() >= h->ends_at)
			return;
		h->delayed += throttled;
		if (poll(polls, 1 + SHM_MAX_WORKERS, throttled			       ? THROTTLED_MS
				: h->ends_at != MONO_NEVER ? ALONE_MS / 10
							   : REPORT_EVERY_MS) < 0 &&
			errno != EINTR)
			return;
		for (unsigned w = 0; w < SHM_MAX_WORKERS; w++)
			if (polls[1 + w].fd >= 0 && polls[1 + w].revents)
				serve(h, &h->channels[w]);
		/* after the requests: a worker's new channel must not be taken for its old one's events */
		if (polls[0].revents && !take_channel(h)) {
			close(h->control);
			h->control = -1;
		}
		uint64_t trouble = h->refused + h->delayed;
		if (h->control >= 0 && trouble != h->reported &&
			master_now() - h->reported_at >= REPORT_EVERY_MS) {
			tell(h->control, REPORT_COUNTS, h, "");
			h->reported = trouble;
			h->reported_at = master_now();
		}
	}
}

_Noreturn static void keyholder_run(const struct keyholder_birth *birth, int control)
{
	char error[KEYHOLDER_ERROR_MAX] = "";
	/* A Ctrl-C on the terminal reaches all of the process group; when we end is the master's word. */
	int not_for_us[] = { SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGUSR2 };
	for (size_t i = 0; i < sizeof(not_for_us) / sizeof(not_for_us[0]); i++)
		signal(not_for_us[i], SIG_IGN);
	char *cert_pem = strdup(birth->cert_pem); /* it may be part of what is forgotten */
	struct keyholder_birth b = *birth;
	if (b.forget)
		b.forget(b.context);
	struct tls_key *key = cert_pem ? key_source_read(&b.source, error) : NULL;
	if (key && !tls_key_matches(key, cert_pem)) {
		snprintf(error, sizeof(error), "key: does not belong to the certificate of `cert`");
		tls_key_free(&key);
	}
	if (!key) {
		tell(control, REPORT_FAILED, NULL, error);
		_exit(1);
	}
	tls_key_quicken(key);
	/* Pages that are in use, and others from the moment they are: the libraries' are many. Without
	 * `mlock` only what is mapped now: memory locked in advance would fail to grow once the right to lock
	 * is gone. */
	if (mlockall(MCL_CURRENT | MCL_ONFAULT | (b.must_lock ? MCL_FUTURE : 0)) < 0) {
		snprintf(error, sizeof(error),
			"the private key cannot be locked in memory: %s (raise RLIMIT_MEMLOCK)",
			strerror(errno));
		if (b.must_lock) {
			tell(control, REPORT_FAILED, NULL, error);
			_exit(1);
		}
		tell(control, REPORT_WARNING, NULL, error);
	}
	struct holder h = {
		.key = key, .control = control, .filled_at = master_now(), .reported_at = master_now(), .ends_at = MONO_NEVER
	};
	for (unsigned w = 0; w < SHM_MAX_WORKERS; w++)
		h.channels[w].fd = -1;
	key_source_close(&b.source);
	int dropped = privilege_drop_all(b.uid, b.gid);
	if (dropped < 0 || !lock_in()) {
		snprintf(error, sizeof(error), "the keyholder cannot give up its rights: %s",
			dropped < 0 ? strerror(-dropped) : "seccomp refused");
		tell(control, REPORT_FAILED, NULL, error);
		_exit(1);
	}
	tell(control, REPORT_READY, NULL, "");
	serve_all(&h);
	tls_key_free(&key);
	_exit(0);
}

/* -- in the master -- */

/* Waits for the word that it is ready. */
static int await_ready(int control, char error[KEYHOLDER_ERROR_MAX])
{
	mono_ms deadline = master_now() + START_DEADLINE_MS;
	for (;;) {
		struct pollfd p = { .fd = control, .events = POLLIN };
		span_ms left = deadline - master_now();
		struct report r;
		if (left <= 0 || poll(&p, 1, (int)left) == 0) {
			snprintf(error, KEYHOLDER_ERROR_MAX, "the keyholder does not answer");
			return -ETIMEDOUT;
		}
		ssize_t n = recv(control, &r, sizeof(r), MSG_DONTWAIT);
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			continue;
		if (n != sizeof(r)) {
			snprintf(error, KEYHOLDER_ERROR_MAX, "the keyholder died at its start");
			return -ECHILD;
		}
		r.text[sizeof(r.text) - 1] = '\0';
		if (r.kind == REPORT_READY)
			return 0;
		if (r.kind == REPORT_FAILED) {
			memcpy(error, r.text, KEYHOLDER_ERROR_MAX);
			return -EINVAL;
		}
		log_line(LOG_LEVEL_NOTICE, "WARNING: %s", r.text);
	}
}

int keyholder_start(
	const struct keyholder_birth *birth, struct keyholder *out, char error[KEYHOLDER_ERROR_MAX])
{
	*out = (struct keyholder){ .pid = -1, .control = -1 };
	int result, ends[2];
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) < 0) {
		result = -errno;
		snprintf(
			error, KEYHOLDER_ERROR_MAX, "the keyholder cannot be started: %s", strerror(-result));
		return result;
	}
	out->control = ends[0];
	out->pid = fork();
	if (out->pid == 0) {
		int keep[] = { ends[1], birth->source.key_fd, birth->source.passphrase_fd };
		prctl(PR_SET_NAME, "vpn-keyholder");
		privilege_child_begin(keep, sizeof(keep) / sizeof(keep[0]), birth->silent);
		keyholder_run(birth, ends[1]);
	}
	if (out->pid < 0)
		snprintf(error, KEYHOLDER_ERROR_MAX, "the keyholder cannot be started: %s", strerror(errno));
	close(ends[1]);
	result = out->pid < 0 ? -EAGAIN : await_ready(out->control, error);
	if (result && out->pid > 0)
		kill(out->pid, SIGKILL); /* it is ours and not reaped yet, so the number is still its own */
	if (result)
		keyholder_let_go(out);
	return result;
}

int keyholder_channel(struct keyholder *keyholder, unsigned worker)
{
	int ends[2];
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) < 0)
		return -errno;
	struct command c = { .worker = worker };
	union {
		struct cmsghdr head;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = { .head = { .cmsg_len = CMSG_LEN(sizeof(int)),
			      .cmsg_level = SOL_SOCKET,
			      .cmsg_type = SCM_RIGHTS } };
	memcpy(CMSG_DATA(&control.head), &ends[1], sizeof(int));
	struct iovec part = { .iov_base = &c, .iov_len = sizeof(c) };
	struct msghdr m = {
		.msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)
	};
	/* It may have many to take at once, at start and after a reload: wait for it a little. */
	ssize_t n;
	struct pollfd p = { .fd = keyholder->control, .events = POLLOUT };
	while ((n = sendmsg(keyholder->control, &m, MSG_DONTWAIT | MSG_NOSIGNAL)) < 0 && errno == EAGAIN)
		if (poll(&p, 1, 1000) <= 0)
			break;
	int error = n < 0 ? -errno : 0;
	close(ends[1]);
	if (!error)
		return ends[0];
	close(ends[0]);
	return error;
}

bool keyholder_listen(struct keyholder *keyholder)
{
	for (;;) {
		struct report r;
		ssize_t n = recv(keyholder->control, &r, sizeof(r), MSG_DONTWAIT);
		if (n < 0)
			return errno == EAGAIN || errno == EINTR;
		if (n != sizeof(r))
			return false;
		if (r.kind == REPORT_COUNTS)
			log_line(LOG_LEVEL_NOTICE,
				"keyholder: %llu signatures given, %llu requests refused, workers held back "
				"%llu times",
				(unsigned long long)r.given, (unsigned long long)r.refused,
				(unsigned long long)r.delayed);
	}
}

void keyholder_let_go(struct keyholder *keyholder)
{
	if (keyholder->control >= 0)
		close(keyholder->control);
	*keyholder = (struct keyholder){ .pid = -1, .control = -1 };
}
