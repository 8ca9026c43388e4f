/* SPDX-License-Identifier: MIT
 * Orders and answers over a SOCK_SEQPACKET pair, with at most one descriptor passed along (unix(7),
 * SCM_RIGHTS). The receiver trusts neither length nor kind nor the number of descriptors.
 *
 *   0      4       8     12
 *   | kind | value | len | len bytes ... |      in this machine's byte order */
#include "worker/orders.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

enum {
	HEAD_LEN = offsetof(struct order, text),
	SKIP_MAX = 64, /* ill-formed messages skipped in one call */
	FDS_MAX = 4,   /* room for more than one, to close the others */
};

bool order_send(int channel, enum order_kind kind, int32_t value, const void *text, size_t len, int fd)
{
	struct order head = { .kind = kind, .value = value, .len = (uint32_t)len };
	struct iovec pieces[2] = { { &head, HEAD_LEN }, { (void *)(uintptr_t)text, len } };
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))] = { 0 };
	struct msghdr message = { .msg_iov = pieces, .msg_iovlen = len ? 2 : 1 };
	ssize_t sent;

	if (len > ORDER_TEXT_MAX)
		return false;
	if (fd >= 0) {
		struct cmsghdr *c;

		message.msg_control = control;
		message.msg_controllen = sizeof(control);
		c = CMSG_FIRSTHDR(&message);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(fd));
		memcpy(CMSG_DATA(c), &fd, sizeof(fd));
	}
	do
		sent = sendmsg(channel, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
	while (sent < 0 && errno == EINTR);
	return sent == (ssize_t)(HEAD_LEN + len);
}

/* The first descriptor that came along, or -1; closes all others. */
static int take_fd(struct msghdr *message)
{
	int first = -1;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c; c = CMSG_NXTHDR(message, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t at = 0; at + sizeof(int) <= c->cmsg_len - CMSG_LEN(0); at += sizeof(int)) {
			int fd;

			memcpy(&fd, CMSG_DATA(c) + at, sizeof(fd));
			if (first < 0)
				first = fd;
			else
				close(fd);
		}
	}
	return first;
}

static bool well_formed(const struct order *o, ssize_t got, int flags)
{
	return !(flags & MSG_TRUNC) && got >= HEAD_LEN && o->len == (size_t)got - HEAD_LEN &&
	       o->kind > ORDER_NONE && o->kind < ORDER_COUNT;
}

int order_receive(int channel, struct order *out, int *fd)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(FDS_MAX * sizeof(int))];

	*fd = -1;
	for (unsigned skipped = 0; skipped < SKIP_MAX;) {
		struct iovec piece = { out, sizeof(*out) };
		struct msghdr message = {
			.msg_iov = &piece,
			.msg_iovlen = 1,
			.msg_control = control,
			.msg_controllen = sizeof(control),
		};
		ssize_t got = recvmsg(channel, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return errno == EAGAIN ? 0 : -1;
		*fd = take_fd(&message);
		if (got > 0 && well_formed(out, got, message.msg_flags))
			return 1;
		if (*fd >= 0)
			close(*fd);
		*fd = -1;
		if (got == 0)
			return -1;
		skipped++;
	}
	return 0;
}

const char *order_session_read(const struct order *order, struct order_session *session, size_t *len)
{
	if (order->len < sizeof(*session) || order->len > ORDER_TEXT_MAX)
		return NULL;
	memcpy(session, order->text, sizeof(*session));
	*len = order->len - sizeof(*session);
	return order->text + sizeof(*session);
}

const char *order_name(enum order_kind kind)
{
	static const char *const names[ORDER_COUNT] = {
		[ORDER_NONE] = "NONE",
#define ORDER(name, text) [ORDER_##name] = #name,
#define ANSWER(name, text) [ANSWER_##name] = #name,
#include "worker/orders.def"
#undef ORDER
#undef ANSWER
	};

	return (unsigned)kind < ORDER_COUNT ? names[kind] : "?";
}
