/* SPDX-License-Identifier: MIT
 * The worker's loop: waits for links, the tunnel, other workers, master, keyholder and helper, and hands out
 * what came in batches. On an io_uring that may do nothing else than this; where the kernel has none, on
 * poll(2). */
#ifndef WORKER_LOOP_H
#define WORKER_LOOP_H

#include "common/base/time.h"
#include "worker/gather.h"
#include "worker/tun_queue.h"
#include "worker/udp_link.h"

#include <liburing.h>

enum loop_op {
	LOOP_NONE,
#define OP(name, text) LOOP_##name,
#include "worker/ops.def"
#undef OP
	LOOP_OP_COUNT
};

enum { LOOP_WORKERS_MAX = 1024 };

/* Called from loop_turn(). A batch holds 1 to BATCH_MAX packets: from one link, or from the tunnel. It and
 * its packets are the handler's until it returns; by then every buffer was given back (udp_link_give_back(),
 * tun_queue_give_back()) or will be by the handler's owner later. Some packets come with a fate already
 * (TOO_LONG). A `said` handler reads what is there, not necessarily all: it is called again while something
 * is left. It returns false to be called no more: the other end is gone. */
struct loop_handlers {
	void (*datagrams)(void *context, struct batch *);
	void (*packets)(void *context, struct batch *);
	void (*woken)(void *context); /* look into the handover rings */
	bool (*order_said)(void *context);
	bool (*keyholder_said)(void *context);
	void *context;
	bool (*helper_said)(void *context); /* NULL: there is none */
};

struct loop_params {
	struct udp_link *links; /* borrowed until loop_clear(), initialised */
	unsigned link_count;
	struct tun_queue *tun;	 /* borrowed too; NULL: no device */
	int orders_fd;		 /* -1: none */
	int keyholder_fd;	 /* -1: none */
	int helper_fd;		 /* -1: none (yet) */
	const int *wake_fds;	 /* eventfds, non-blocking; one per worker; borrowed; NULL: none */
	unsigned index, workers; /* [index] is ours to read */
	bool plain;		 /* poll(2) even where io_uring works: for tests and measurements */
	struct loop_handlers handlers;
};

/* Whether and why the ring or a part of it is not used; for one log line at start. */
struct loop_features {
	bool ring; /* io_uring; else poll(2) */
	bool defer_taskrun;
	bool multishot_links;
	int ring_error; /* negative errno why there is no ring; 0 */
};

struct loop_counts {
	uint64_t turns, completions, batches, wakes_sent, wakes_got;
};

struct pollfd;

struct loop {
	struct loop_params params;
	struct loop_features features;
	struct io_uring ring;
	bool watch_orders, watch_keyholder, watch_helper; /* until a handler returned false */
	bool armed_orders, armed_keyholder, armed_helper, armed_wake;
	bool wake_pending; /* some bit of wake_others is set */
	uint64_t wake_others[LOOP_WORKERS_MAX / 64];
	struct pollfd *polled; /* plain back end */
	struct gather gather;
	unsigned load; /* what this turn brought, and whether it may have left some: gather.h */
	bool more;
	struct loop_counts counts;
};

/* Makes the ring (disabled), lends it the buffers, restricts it to the operations of ops.def, enables it.
 * After the change of uid, before the sandbox is locked. Falls back step by step; loop->features says to
 * what. 0 or a negative errno. */
int loop_init(struct loop *, const struct loop_params *);
/* Closes the ring. Links and tunnel are then free to be cleared. */
void loop_clear(struct loop *);

/* One turn: tells the other workers noted by loop_wake(), waits until something happens or until `wake_at`
 * (MONO_NEVER: no limit; a moment in the past: looks only), then calls handlers for what was there by then.
 * When many packets come one by one it first waits up to GATHER_MAX_US for more of them, whatever `wake_at` is.
 * The work of a turn is bounded by the number of buffers. 0, or a negative errno when the ring itself is
 * broken (the worker should end). */
int loop_turn(struct loop *, mono_ms wake_at);

/* Notes that worker `other` has something in a handover ring of ours; written to its eventfd once, at the
 * start of the next turn (just before waiting). */
void loop_wake(struct loop *, unsigned other);

/* Another helper: its channel is watched in place of the former one, which has been closed by its other end. */
void loop_set_helper(struct loop *, int fd);

/* The clock that `wake_at` is compared with. */
mono_ms loop_now(void);

/* "DATAGRAMS"; "?" for others. */
const char *loop_op_name(enum loop_op op);

#endif
