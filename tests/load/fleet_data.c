/* SPDX-License-Identifier: MIT
 * The data way of many clients: datagrams read with recvmmsg() and opened in batches, packets sealed in
 * batches and sent with sendmmsg(), or as trains with UDP_SEGMENT. All memory is made at start. */
#include "tests/load/fleet_inside.h"

#include "common/base/fate.h"

#include <netinet/in.h>
#include <netinet/udp.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/uio.h>
#include <time.h>

void fleet_data_init(struct fleet *f)
{
	for (unsigned i = 0; i < FLEET_READS; i++) {
		f->in.places[i] = (struct iovec){ f->in.buffers[i], sizeof(f->in.buffers[i]) };
		f->in.reads[i].msg_hdr = (struct msghdr){
			.msg_iov = &f->in.places[i], .msg_iovlen = 1, .msg_control = f->in.controls[i]
		};
	}
}

/* -- in -- */

static void open_all(struct fleet *f)
{
	struct fleet_in *in = &f->in;
	size_t count = in->count;
	uint64_t now_ns = fleet_ns();
	vpn_ms now = (vpn_ms)(now_ns / 1000000);

	in->count = 0;
	in->used = 0;
	if (!count)
		return;
	vpn_open(in->jobs, count, now);
	f->counts.datagrams_in += count;
	for (size_t i = 0; i < count; i++)
		if (in->jobs[i].fate != FATE_NONE && in->jobs[i].fate != FATE_CONSUMED)
			f->counts.unopened++;
	f->ears.packets(f->context, in->members, in->jobs, count, now_ns);
	for (size_t i = 0; i < count; i++) {
		struct fleet_member *m = in->members[i];
		if (in->jobs[i].attention && m->session) {
			vpn_session_tick(m->session, now);
			fleet_serve(f, m, now);
		}
	}
}

static bool is_data(const uint8_t *datagram, size_t len)
{
	uint8_t opcode = len ? datagram[0] >> 3 : 0;
	return opcode == 6 || opcode == 9; /* P_DATA_V1, P_DATA_V2 */
}

/* How long each datagram of a read is; the last may be shorter. */
static size_t segment_size(struct msghdr *head, size_t whole)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(head); c; c = CMSG_NXTHDR(head, c))
		if (c->cmsg_level == SOL_UDP && c->cmsg_type == UDP_GRO) {
			int size;
			memcpy(&size, CMSG_DATA(c), sizeof(size));
			return size > 0 ? (size_t)size : whole;
		}
	return whole;
}

/* One read, cut into its datagrams. Control is rare: what waits is opened first, since a session may end by
 * it. */
static void take(struct fleet *f, struct fleet_member *m, uint8_t *data, size_t len, size_t segment)
{
	struct fleet_in *in = &f->in;
	for (; len && m->session; data += segment, len -= segment) {
		if (segment > len)
			segment = len;
		if (is_data(data, segment)) {
			in->members[in->count] = m;
			in->jobs[in->count++] =
				(vpn_job){ .session = m->session, .data = data, .len = (uint32_t)segment };
			continue;
		}
		open_all(f);
		if (!m->session)
			return;
		vpn_ms now = fleet_ms();
		vpn_session_receive(m->session, data, segment, now);
		fleet_serve(f, m, now);
	}
}

static void read_socket(struct fleet *f, struct fleet_member *m)
{
	struct fleet_in *in = &f->in;
	if (in->used == FLEET_READS)
		open_all(f);
	unsigned from = in->used;
	for (unsigned i = from; i < FLEET_READS; i++)
		in->reads[i].msg_hdr.msg_controllen = sizeof(in->controls[i]);
	int got = recvmmsg(m->fd, in->reads + from, FLEET_READS - from, MSG_DONTWAIT, NULL);
	f->counts.calls_in++;
	if (got <= 0)
		return;
	for (unsigned i = from; i < from + (unsigned)got; i++) {
		size_t len = in->reads[i].msg_len;
		if (in->count + FLEET_TRAIN > FLEET_JOBS)
			open_all(f);
		take(f, m, in->buffers[i], len, segment_size(&in->reads[i].msg_hdr, len));
	}
	/* buffers of this read still in use are those whose datagrams wait; opening early only makes more
	 * room */
	in->used = in->count ? from + (unsigned)got : 0;
}

void fleet_turn(struct fleet *f, uint64_t wait_ns)
{
	struct epoll_event ready[256];
	struct timespec wait = { (time_t)(wait_ns / 1000000000u), (long)(wait_ns % 1000000000u) };
	int count = epoll_pwait2(f->watcher, ready, 256, &wait, NULL);

	for (int i = 0; i < count; i++)
		read_socket(f, ready[i].data.ptr);
	open_all(f);
	fleet_timers(f, fleet_ms());
}

/* -- out -- */

uint8_t *fleet_place(struct fleet *f)
{
	return f->out.slots[f->out.count] + VPN_HEADROOM;
}

void fleet_put(struct fleet *f, struct fleet_member *m, size_t len)
{
	struct fleet_out *out = &f->out;
	out->members[out->count] = m;
	out->jobs[out->count] =
		(vpn_job){ .session = m->session, .data = fleet_place(f), .len = (uint32_t)len };
	if (++out->count == FLEET_JOBS)
		fleet_flush(f);
}

/* Pieces [from, to) of one member as one train. */
static bool send_train(struct fleet *f, size_t from, size_t to)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(uint16_t))] = { 0 };
	struct msghdr head = { .msg_iov = f->out.pieces + from,
		.msg_iovlen = to - from,
		.msg_control = control,
		.msg_controllen = sizeof(control) };
	struct cmsghdr *c = CMSG_FIRSTHDR(&head);
	uint16_t size = (uint16_t)f->out.pieces[from].iov_len;

	c->cmsg_level = SOL_UDP;
	c->cmsg_type = UDP_SEGMENT;
	c->cmsg_len = CMSG_LEN(sizeof(size));
	memcpy(CMSG_DATA(c), &size, sizeof(size));
	return sendmsg(f->out.owners[from]->fd, &head, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0;
}

/* How far a train that starts at `from` reaches: one member, one size but for the last, within the kernel's
 * limits. */
static size_t train_end(const struct fleet_out *out, size_t from, size_t n)
{
	size_t to = from + 1, bytes = out->pieces[from].iov_len;
	while (to < n && to - from < FLEET_TRAIN && out->owners[to] == out->owners[from] &&
		out->pieces[to].iov_len <= out->pieces[from].iov_len &&
		out->pieces[to - 1].iov_len == out->pieces[from].iov_len &&
		bytes + out->pieces[to].iov_len <= FLEET_TRAIN_BYTES)
		bytes += out->pieces[to++].iov_len;
	return to;
}

/* Pieces [from, to) of one member, each by itself. */
static void send_each(struct fleet *f, size_t from, size_t to)
{
	for (size_t i = from; i < to; i++)
		f->out.sends[i].msg_hdr = (struct msghdr){ .msg_iov = &f->out.pieces[i], .msg_iovlen = 1 };
	int sent = sendmmsg(f->out.owners[from]->fd, f->out.sends + from, (unsigned)(to - from),
		MSG_DONTWAIT | MSG_NOSIGNAL);
	f->counts.calls_out++;
	f->counts.refused_out += to - from - (sent > 0 ? (size_t)sent : 0);
}

static void send_trains(struct fleet *f, size_t n)
{
	for (size_t from = 0, to; from < n; from = to) {
		to = train_end(&f->out, from, n);
		if (to - from == 1) {
			send_each(f, from, to);
			continue;
		}
		f->counts.calls_out++;
		if (!send_train(f, from, to))
			f->counts.refused_out += to - from;
	}
}

static void send_singles(struct fleet *f, size_t n)
{
	for (size_t from = 0, to; from < n; from = to) {
		for (to = from + 1; to < n && f->out.owners[to] == f->out.owners[from]; to++)
			;
		send_each(f, from, to);
	}
}

void fleet_flush(struct fleet *f)
{
	struct fleet_out *out = &f->out;
	size_t n = 0;
	vpn_ms now = fleet_ms();

	if (!out->count)
		return;
	vpn_seal(out->jobs, out->count, now);
	for (size_t i = 0; i < out->count; i++) {
		if (out->jobs[i].fate != FATE_NONE)
			continue;
		out->owners[n] = out->members[i];
		out->pieces[n++] = (struct iovec){ out->jobs[i].data, out->jobs[i].len };
	}
	f->counts.datagrams_out += n;
	f->counts.refused_out += out->count - n;
	if (f->options.trains)
		send_trains(f, n);
	else
		send_singles(f, n);
	n = out->count;
	out->count = 0;
	for (size_t i = 0; i < n; i++) {
		struct fleet_member *m = out->members[i];
		if (out->jobs[i].attention && m->session) {
			vpn_session_tick(m->session, now);
			fleet_serve(f, m, now);
		}
	}
}
