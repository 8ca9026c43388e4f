/* SPDX-License-Identifier: MIT
 * Making the ring: flags as far as the kernel knows them, buffers lent, everything else forbidden.
 * liburing 2.3 as packaged exports no calls for restrictions: io_uring_register() is used directly. */
#include "worker/ring.h"

#include <errno.h>

enum {
	SUBMIT_AT_LEAST = 64,
	CONTROL_COMPLETIONS = 64, /* beside those that hold a buffer */
	COMPLETIONS_MAX = 65536,
};

static unsigned completions_wanted(const struct loop *l)
{
	unsigned wanted = CONTROL_COMPLETIONS + 4 * l->params.link_count;

	for (unsigned i = 0; i < l->params.link_count; i++)
		wanted += l->params.links[i].buffers.count;
	return wanted < COMPLETIONS_MAX ? wanted : COMPLETIONS_MAX;
}

/* All that one turn can arm, so that the queue never fills up, also when the kernel takes nothing for a
 * while. */
static unsigned submissions_wanted(const struct loop *l)
{
	unsigned wanted = 16 + 2 * l->params.link_count;

	return wanted > SUBMIT_AT_LEAST ? wanted : SUBMIT_AT_LEAST;
}

/* Never SQPOLL: its thread keeps the rights of whoever made the ring. */
static int make_ring(struct loop *l)
{
	static const unsigned flags[] = {
		IORING_SETUP_SUBMIT_ALL | IORING_SETUP_COOP_TASKRUN | IORING_SETUP_SINGLE_ISSUER |
			IORING_SETUP_DEFER_TASKRUN,		     /* 6.1 */
		IORING_SETUP_SUBMIT_ALL | IORING_SETUP_COOP_TASKRUN, /* 5.19 */
		0,
	};
	int error = -ENOSYS;

	for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
		struct io_uring_params p = {
			.flags =
				flags[i] | IORING_SETUP_R_DISABLED | IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP,
			.cq_entries = completions_wanted(l),
		};

		error = io_uring_queue_init_params(submissions_wanted(l), &l->ring, &p);
		if (error == 0) {
			l->features.defer_taskrun = flags[i] & IORING_SETUP_DEFER_TASKRUN;
			/* Without it waiting with a limit would need an operation more. */
			if (p.features & IORING_FEAT_EXT_ARG && p.features & IORING_FEAT_NODROP)
				return 0;
			io_uring_queue_exit(&l->ring);
			return -EOPNOTSUPP;
		}
		if (error != -EINVAL)
			break;
	}
	return error;
}

/* Lends all slots to the kernel as one buffer group. False: this kernel has no such rings (before 5.19). */
static bool lend(struct loop *l, struct buffers *b, uint16_t group)
{
	struct io_uring_buf_reg reg = { .ring_entries = b->count, .bgid = group };

	if (buffers_make_ring(b) < 0)
		return false;
	reg.ring_addr = (uint64_t)(uintptr_t)b->ring;
	if (io_uring_register_buf_ring(&l->ring, &reg, 0) == 0)
		return true;
	buffers_drop_ring(b);
	return false;
}

/* From here on the ring refuses with EACCES whatever stands not here: seccomp does not see what a ring does.
 */
static int restrict_ring(struct loop *l)
{
	static const uint8_t ops[] = { IORING_OP_RECVMSG, IORING_OP_POLL_ADD };
	enum { OPS = sizeof(ops) / sizeof(ops[0]) };
	struct io_uring_restriction rows[OPS + 1] = { 0 };
	unsigned n = 0;

	for (unsigned i = 0; i < OPS; i++) {
		rows[n].opcode = IORING_RESTRICTION_SQE_OP;
		rows[n++].sqe_op = ops[i];
	}
	rows[n].opcode = IORING_RESTRICTION_SQE_FLAGS_ALLOWED;
	rows[n++].sqe_flags = IOSQE_BUFFER_SELECT;
	/* Rows of register operations: none, so none is allowed. */
	return io_uring_register((unsigned)l->ring.ring_fd, IORING_REGISTER_RESTRICTIONS, rows, n);
}

int ring_set_up(struct loop *l)
{
	int error = make_ring(l);

	if (error)
		return error;
	l->features.multishot_links = l->params.link_count > 0;
	for (unsigned i = 0; i < l->params.link_count; i++) {
		struct udp_link *link = &l->params.links[i];

		link->multishot = lend(l, &link->buffers, (uint16_t)(GROUP_LINKS + i));
		l->features.multishot_links = l->features.multishot_links && link->multishot;
	}
	error = restrict_ring(l);
	if (!error)
		error = io_uring_register((unsigned)l->ring.ring_fd, IORING_REGISTER_ENABLE_RINGS, NULL, 0);
	if (!error)
		return 0;
	/* An unrestricted ring would be a hole in the sandbox. */
	io_uring_queue_exit(&l->ring);
	return error < 0 ? error : -EIO;
}
