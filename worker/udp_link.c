/* SPDX-License-Identifier: MIT
 * A UDP listener's socket. Receiving: one buffer of a slot holds what a multishot recvmsg leaves there; once
 * the names are read, all bytes in front of the payload are the packet's headroom.
 *
 *   slot     0          20                36        64          128
 *            | not lent | io_uring_recvmsg_out | name | control | datagram ... | tailroom |
 *
 * Sending: what was queued is sorted into trains, each one message of a single sendmmsg(2). */
#include "worker/udp_link.h"

#include "common/base/check.h"
#include "worker/link_names.h"

#include <errno.h>
#include <liburing.h>
#include <netinet/udp.h>
#include <stdlib.h>

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif
#ifndef UDP_GRO
#define UDP_GRO 104
#endif

enum {
	GRO_PAYLOAD = 65536,	 /* the kernel merges up to this */
	TRAIN_SEGMENTS_MAX = 64, /* UDP_MAX_SEGMENTS of older kernels */
	/* Of UDP payload: with the heads of IPv6, UDP, Ethernet and a VLAN it stays below gso_max_size (65,536), or the kernel cuts
	 * it up in front of the device. */
	TRAIN_BYTES_MAX = 65535 - 40 - 8 - 18,
	TRAIN_LIMIT_FOR = 4096,	 /* datagrams sent alone before a size is tried as a train again */
	TRAINS_LOOKED_AT = 16,	 /* newest open trains a datagram is compared with */
	RECEIVE_HEAD = sizeof(struct io_uring_recvmsg_out) + sizeof(struct sockaddr_in6) + LINK_CONTROL_ROOM,
	LEND_AT = (int)PACKET_HEADROOM - (int)RECEIVE_HEAD,
	PLAIN_MESSAGES = 64,
};
_Static_assert((int)RECEIVE_HEAD <= (int)PACKET_HEADROOM,
	"what recvmsg leaves in front of the payload is headroom later");
_Static_assert((LEND_AT + sizeof(struct io_uring_recvmsg_out) + sizeof(struct sockaddr_in6)) %
			       __alignof__(struct cmsghdr) ==
		       0,
	"control messages are aligned, as slots are");

struct train {
	uint16_t first, last, count; /* of the queue, linked by next[] */
	uint32_t size, total;	     /* bytes of each datagram but the last, of all */
	bool closed;
};

struct udp_link_scratch {
	struct train trains[BATCH_MAX];
	uint16_t next[BATCH_MAX];
	struct mmsghdr messages[BATCH_MAX];
	struct iovec pieces[BATCH_MAX];
	union link_name names[BATCH_MAX + 1]; /* the last: for a datagram sent alone */
	uint16_t ids[PLAIN_MESSAGES];
	_Alignas(struct cmsghdr) uint8_t control[BATCH_MAX + 1][LINK_CONTROL_ROOM];
};

static bool set_option(int fd, int level, int option)
{
	int on = 1;

	return setsockopt(fd, level, option, &on, sizeof(on)) == 0;
}

static bool has_trains(int fd)
{
	int value;
	socklen_t len = sizeof(value);

	return getsockopt(fd, IPPROTO_UDP, UDP_SEGMENT, &value, &len) == 0;
}

int udp_link_init(struct udp_link *link, const struct udp_link_params *params)
{
	union link_name name;
	socklen_t len = sizeof(name);
	int error;

	memset(link, 0, sizeof(*link));
	link->fd = params->fd;
	link->index = params->index;
	if (getsockname(params->fd, &name.any, &len) < 0)
		return -errno;
	link->family = name.any.sa_family;
	if (link->family == AF_INET) {
		if (!set_option(link->fd, IPPROTO_IP, IP_PKTINFO))
			return -errno;
	} else if (link->family == AF_INET6) {
		/* A dual-stack socket names the local IPv4 address here too, mapped. */
		if (!set_option(link->fd, IPPROTO_IPV6, IPV6_RECVPKTINFO))
			return -errno;
	} else {
		return -EAFNOSUPPORT;
	}
	link->gro = params->gro && set_option(link->fd, IPPROTO_UDP, UDP_GRO);
	link->trains = !params->no_trains && has_trains(link->fd);
	link->payload = link->gro && params->payload < GRO_PAYLOAD ? GRO_PAYLOAD : params->payload;
	link->receive_shape.msg_namelen = sizeof(struct sockaddr_in6);
	link->receive_shape.msg_controllen = LINK_CONTROL_ROOM;
	error = buffers_init(&link->buffers, params->buffers, LEND_AT, RECEIVE_HEAD + link->payload);
	if (error)
		return error;
	link->scratch = calloc(1, sizeof(*link->scratch));
	if (!link->scratch) {
		buffers_clear(&link->buffers);
		return -ENOMEM;
	}
	return 0;
}

void udp_link_clear(struct udp_link *link)
{
	buffers_clear(&link->buffers);
	free(link->scratch);
	memset(link, 0, sizeof(*link));
	link->fd = -1;
}

void udp_link_give_back(struct udp_link *link, const struct packet *p)
{
	CHECK(p->source == FROM_LINK && p->link == link->index);
	buffers_give_back(&link->buffers, p->buffer);
}

/* ---- receiving ---- */

/* Moves datagrams of link->split into the batch as far as they fit. True: some are left. */
static bool take_split(struct udp_link *link)
{
	struct packet *rest = &link->split;
	bool first = rest->at == rest->start + PACKET_HEADROOM;

	while (link->split_left && link->arriving.count < BATCH_MAX) {
		struct packet *p = &link->arriving.packets[link->arriving.count++];

		*p = *rest;
		p->len = link->split_left < link->split_size ? link->split_left : link->split_size;
		if (!first) {
			/* The bytes in front are the neighbour's. */
			p->start = p->at;
			p->room = (uint32_t)(rest->start + rest->room - p->at);
		}
		if (link->split_left > p->len)
			p->room = (uint32_t)(p->at + p->len - p->start);
		link->split_left -= p->len;
		rest->at += p->len;
		first = false;
	}
	return link->split_left > 0;
}

/* One received buffer: a datagram, or by GRO several. True: the batch is full and some are left. */
static bool take_buffer(struct udp_link *link, uint16_t id, const struct link_address *peer,
	const void *control, size_t control_len, uint32_t len, int flags)
{
	struct link_control said;
	struct packet *p = &link->split;
	uint8_t *slot = buffers_slot(&link->buffers, id);
	unsigned packets = 1;

	link_control_read(control, control_len, &said);
	*p = (struct packet){
		.at = slot + PACKET_HEADROOM,
		.start = slot,
		.room = link->buffers.slot_len,
		.peer = PEER_NONE,
		.link = link->index,
		.buffer = id,
		.source = FROM_LINK,
		.peer_address = *peer,
		.local_address = said.local,
		.local_interface = said.interface,
	};
	p->peer_address.listener = link->index & 127;
	link->errors_in_row = 0;
	if (len > link->payload || flags & MSG_TRUNC) {
		len = len < link->payload ? len : link->payload;
		p->fate = FATE_TOO_LONG;
		said.segment = 0;
	}
	if (said.segment && said.segment < len)
		packets = (len + said.segment - 1) / said.segment;
	if (packets > BUFFERS_USES_MAX) {
		/* More than any kernel merges. */
		p->fate = FATE_TOO_LONG;
		packets = 1;
	}
	buffers_share(&link->buffers, id, packets);
	if (len == 0) {
		/* An empty datagram is a packet too: its fate is counted, its buffer given back. */
		link->arriving.packets[link->arriving.count++] = *p;
		return false;
	}
	link->split_left = len;
	link->split_size = packets > 1 ? said.segment : len;
	return take_split(link);
}

void udp_link_prepare(struct udp_link *link, struct io_uring_sqe *sqe, uint16_t group)
{
	io_uring_prep_recvmsg_multishot(sqe, link->fd, &link->receive_shape, 0);
	sqe->flags |= IOSQE_BUFFER_SELECT;
	sqe->buf_group = group;
}

/* The ring stopped, or says that something went wrong once. */
static void note_error(struct udp_link *link, int error)
{
	if (error == -ECANCELED || error == -EINTR)
		return;
	if (error == -ENOBUFS) {
		link->counts.out_of_buffers++;
		return;
	}
	/* At the very first: a kernel that has buffer rings, but not this (before 6.0). */
	if (error == -EINVAL && link->multishot && !link->armed && link->counts.receive_errors == 0 &&
		link->buffers.free == link->buffers.count)
		link->multishot = false;
	link->counts.receive_errors++;
	link->errors_in_row++;
}

bool udp_link_complete(struct udp_link *link, const struct io_uring_cqe *cqe, bool *again)
{
	struct io_uring_recvmsg_out head;
	const uint8_t *slot, *at;
	struct link_address peer;
	uint16_t id;

	*again = false;
	if (link->split_left) {
		*again = take_split(link);
		return true;
	}
	if (!(cqe->flags & IORING_CQE_F_MORE))
		link->armed = false;
	if (cqe->res < 0)
		note_error(link, cqe->res);
	if (!(cqe->flags & IORING_CQE_F_BUFFER))
		return false;
	id = (uint16_t)(cqe->flags >> IORING_CQE_BUFFER_SHIFT);
	buffers_note_filled(&link->buffers, id);
	if (cqe->res < RECEIVE_HEAD) {
		buffers_share(&link->buffers, id, 1);
		buffers_give_back(&link->buffers, id);
		return false;
	}
	slot = buffers_slot(&link->buffers, id);
	at = slot + LEND_AT;
	memcpy(&head, at, sizeof(head));
	at += sizeof(head);
	link_name_read(at,
		head.namelen < sizeof(struct sockaddr_in6) ? head.namelen : sizeof(struct sockaddr_in6),
		&peer);
	at += sizeof(struct sockaddr_in6);
	*again = take_buffer(link, id, &peer, at,
		head.controllen < LINK_CONTROL_ROOM ? head.controllen : LINK_CONTROL_ROOM, head.payloadlen,
		(int)head.flags);
	return true;
}

unsigned udp_link_receive(struct udp_link *link)
{
	struct udp_link_scratch *s = link->scratch;
	/* A GRO buffer may hold a whole batch: one at a time, then. */
	unsigned limit = link->gro ? 1 : PLAIN_MESSAGES;
	unsigned before = link->arriving.count, wanted = 0, left_over;
	int got;

	if (link->split_left && take_split(link))
		return link->arriving.count - before;
	while (wanted < limit && wanted < BATCH_MAX - link->arriving.count &&
		buffers_take(&link->buffers, &s->ids[wanted])) {
		s->pieces[wanted] =
			(struct iovec){ buffers_slot(&link->buffers, s->ids[wanted]) + PACKET_HEADROOM,
				link->payload };
		s->messages[wanted].msg_hdr = (struct msghdr){
			.msg_name = &s->names[wanted],
			.msg_namelen = sizeof(s->names[wanted]),
			.msg_iov = &s->pieces[wanted],
			.msg_iovlen = 1,
			.msg_control = s->control[wanted],
			.msg_controllen = LINK_CONTROL_ROOM,
		};
		wanted++;
	}
	if (wanted == 0)
		return link->arriving.count - before;
	got = recvmmsg(link->fd, s->messages, wanted, MSG_DONTWAIT, NULL);
	if (got < 0) {
		if (errno != EAGAIN && errno != EINTR)
			note_error(link, -errno);
		got = 0;
	}
	for (unsigned i = 0; i < (unsigned)got; i++) {
		struct msghdr *m = &s->messages[i].msg_hdr;
		struct link_address peer;

		link_name_read(m->msg_name, m->msg_namelen, &peer);
		take_buffer(link, s->ids[i], &peer, m->msg_control, m->msg_controllen, s->messages[i].msg_len,
			m->msg_flags);
	}
	left_over = wanted - (unsigned)got;
	for (unsigned i = 0; i < left_over; i++) {
		buffers_share(&link->buffers, s->ids[(unsigned)got + i], 1);
		buffers_give_back(&link->buffers, s->ids[(unsigned)got + i]);
	}
	return link->arriving.count - before;
}

/* ---- sending ---- */

void udp_link_queue(struct udp_link *link, struct packet *p)
{
	if (link->queued == BATCH_MAX)
		udp_link_flush(link);
	link->queue[link->queued++] = p;
}

static bool same_way(const struct packet *a, const struct packet *b)
{
	return link_address_equal(&a->peer_address, &b->peer_address) &&
	       link_address_equal(&a->local_address, &b->local_address) &&
	       a->local_interface == b->local_interface;
}

static bool may_train(const struct udp_link *link, uint32_t len)
{
	return link->trains && len > 0 && (!link->train_limit_for || len <= link->train_limit);
}

/* The newest train this datagram may join, so that a peer's datagrams keep their order; or NULL. */
static struct train *find_train(struct udp_link *link, unsigned count, const struct packet *p)
{
	struct train *trains = link->scratch->trains;
	unsigned oldest = count > TRAINS_LOOKED_AT ? count - TRAINS_LOOKED_AT : 0;

	if (!may_train(link, p->len))
		return NULL;
	for (unsigned i = count; i > oldest; i--) {
		struct train *t = &trains[i - 1];

		if (!same_way(link->queue[t->first], p))
			continue;
		if (t->closed || p->len > t->size || t->count == TRAIN_SEGMENTS_MAX ||
			t->total + p->len > TRAIN_BYTES_MAX)
			return NULL;
		return t;
	}
	return NULL;
}

static unsigned make_trains(struct udp_link *link)
{
	struct udp_link_scratch *s = link->scratch;
	unsigned count = 0;

	for (unsigned i = 0; i < link->queued; i++) {
		const struct packet *p = link->queue[i];
		struct train *t = find_train(link, count, p);

		if (t) {
			s->next[t->last] = (uint16_t)i;
			t->last = (uint16_t)i;
			t->count++;
			t->total += p->len;
			t->closed = p->len < t->size;
			continue;
		}
		s->trains[count++] = (struct train){
			.first = (uint16_t)i,
			.last = (uint16_t)i,
			.count = 1,
			.size = p->len,
			.total = p->len,
			.closed = !may_train(link, p->len),
		};
		if (link->train_limit_for)
			link->train_limit_for--;
	}
	return count;
}

/* Fills in name and control bytes of message `slot`. False: such a socket cannot reach that address. */
static bool address_message(struct udp_link *link, struct msghdr *m, unsigned slot,
	const struct link_address *peer, const struct link_control *control)
{
	struct udp_link_scratch *s = link->scratch;

	m->msg_name = &s->names[slot];
	m->msg_namelen = link_name_write(peer, link->family, &s->names[slot]);
	m->msg_controllen = link_control_write(s->control[slot], link->family, control);
	m->msg_control = m->msg_controllen ? s->control[slot] : NULL;
	return m->msg_namelen > 0;
}

static bool queue_is_full(int error)
{
	return error == EAGAIN || error == ENOBUFS || error == ENOMEM;
}

/* Errors that a local address or interface causes which this host no longer has. */
static bool may_be_local(int error)
{
	return error == EINVAL || error == EADDRNOTAVAIL || error == ENODEV || error == ENXIO ||
	       error == ENETUNREACH;
}

static int send_message(struct udp_link *link, struct msghdr *m)
{
	ssize_t sent;

	do {
		link->counts.send_calls++;
		sent = sendmsg(link->fd, m, MSG_DONTWAIT | MSG_NOSIGNAL);
	} while (sent < 0 && errno == EINTR);
	return sent < 0 ? errno : 0;
}

/* One datagram, by a call of its own; may happen in the middle of a flush. */
static enum fate send_alone(struct udp_link *link, struct iovec *piece, const struct link_address *peer,
	struct link_control control)
{
	struct msghdr m = { .msg_iov = piece, .msg_iovlen = 1 };
	int error;

	control.segment = 0;
	if (!address_message(link, &m, BATCH_MAX, peer, &control))
		return FATE_LINK_ERROR;
	error = send_message(link, &m);
	if (error && m.msg_control && may_be_local(error)) {
		m.msg_control = NULL;
		m.msg_controllen = 0;
		error = send_message(link, &m);
	}
	link->counts.sends++;
	if (error == EAGAIN)
		link->full = true;
	if (error)
		return queue_is_full(error) ? FATE_LINK_FULL : FATE_LINK_ERROR;
	return FATE_DELIVERED;
}

/* Gives a fate to all datagrams of a train. */
static void end_train(struct udp_link *link, const struct train *t, enum fate fate)
{
	unsigned i = t->first;

	for (unsigned n = 0; n < t->count; n++, i = link->scratch->next[i])
		link->queue[i]->fate = fate;
}

static struct link_control control_of(const struct packet *p, unsigned segment)
{
	return (struct link_control){
		.local = p->local_address, .interface = p->local_interface, .segment = segment
	};
}

/* A message that the kernel refused, again one by one: it tells which datagrams were at fault, if any. */
static void send_one_by_one(struct udp_link *link, const struct train *t, int error)
{
	bool went = false;
	unsigned i = t->first;

	for (unsigned n = 0; n < t->count; n++, i = link->scratch->next[i]) {
		struct packet *p = link->queue[i];
		struct iovec piece = { p->at, p->len };

		p->fate = send_alone(link, &piece, &p->peer_address, control_of(p, 0));
		went = went || p->fate == FATE_DELIVERED;
	}
	if (t->count == 1)
		return;
	link->counts.trains_refused++;
	if (!went)
		return;
	if (error == EIO) {
		link->trains = false; /* this device or route cannot: no checksum offload, IPsec */
	} else {
		/* Most likely longer than the path's MTU: alone, IP may fragment them. */
		link->train_limit = t->size - 1;
		link->train_limit_for = TRAIN_LIMIT_FOR;
	}
}

/* The train's bytes as pieces; what lies one behind the other in memory is one piece. Returns how many. */
static unsigned gather(const struct udp_link *link, const struct train *t, struct iovec *pieces)
{
	unsigned count = 0, i = t->first;
	const uint8_t *end = NULL;

	for (unsigned n = 0; n < t->count; n++, i = link->scratch->next[i]) {
		const struct packet *p = link->queue[i];

		if (p->at == end)
			pieces[count - 1].iov_len += p->len;
		else
			pieces[count++] = (struct iovec){ p->at, p->len };
		end = p->at + p->len;
	}
	return count;
}

/* Fills in one message per train, in order. A train whose peer cannot be spelled ends here and is left out:
 * `*kept` says which train each message is. Returns how many messages. */
static unsigned make_messages(struct udp_link *link, unsigned trains, uint16_t *kept)
{
	struct udp_link_scratch *s = link->scratch;
	unsigned messages = 0, pieces = 0;

	for (unsigned k = 0; k < trains; k++) {
		const struct train *t = &s->trains[k];
		const struct packet *first = link->queue[t->first];
		struct link_control control = control_of(first, t->count > 1 ? t->size : 0);
		struct msghdr *m = &s->messages[messages].msg_hdr;

		*m = (struct msghdr){ .msg_iov = &s->pieces[pieces] };
		if (!address_message(link, m, messages, &first->peer_address, &control)) {
			end_train(link, t, FATE_LINK_ERROR);
			continue;
		}
		m->msg_iovlen = gather(link, t, m->msg_iov);
		pieces += (unsigned)m->msg_iovlen;
		kept[messages++] = (uint16_t)k;
	}
	return messages;
}

static void note_delivered(struct udp_link *link, const struct train *t)
{
	end_train(link, t, FATE_DELIVERED);
	link->counts.sends += t->count;
	if (t->count > 1) {
		link->counts.trains++;
		link->counts.trained += t->count;
	}
}

void udp_link_flush(struct udp_link *link)
{
	struct udp_link_scratch *s = link->scratch;
	uint16_t kept[BATCH_MAX];
	unsigned messages = make_messages(link, make_trains(link), kept), sent = 0;

	while (sent < messages) {
		int got =
			sendmmsg(link->fd, s->messages + sent, messages - sent, MSG_DONTWAIT | MSG_NOSIGNAL);
		int error = errno;

		link->counts.send_calls++;
		if (got > 0) {
			for (int n = 0; n < got; n++)
				note_delivered(link, &s->trains[kept[sent++]]);
		} else if (got < 0 && error == EINTR) {
			continue;
		} else if (got < 0 && queue_is_full(error)) {
			link->full = link->full || error == EAGAIN;
			for (; sent < messages; sent++)
				end_train(link, &s->trains[kept[sent]], FATE_LINK_FULL);
		} else {
			/* This one is at fault, not those behind it. */
			send_one_by_one(link, &s->trains[kept[sent++]], error);
		}
	}
	link->queued = 0;
}

enum fate udp_link_send_now(struct udp_link *link, const struct link_address *peer,
	const struct link_address *local, uint32_t interface, const void *data, size_t len)
{
	struct iovec piece = { (void *)(uintptr_t)data, len };
	struct link_control control = { .interface = interface };

	if (local)
		control.local = *local;
	return send_alone(link, &piece, peer, control);
}
