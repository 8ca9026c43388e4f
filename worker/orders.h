/* SPDX-License-Identifier: MIT
 * Messages between master and worker, both ways, over a SOCK_SEQPACKET pair. Neither side ever blocks on it: the sender
 * counts what does not fit, the receiver takes what is there. */
#ifndef WORKER_ORDERS_H
#define WORKER_ORDERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Orders and answers are numbered apart, so that a row at the end of its kind moves no other: after an upgrade a new
 * master speaks with workers of the program before it. */
enum order_kind {
	ORDER_NONE,
#define ORDER(name, text) ORDER_##name,
#define ANSWER(name, text)
#include "worker/orders.def"
#undef ORDER
#undef ANSWER
	ANSWER_NONE = 64,
#define ORDER(name, text)
#define ANSWER(name, text) ANSWER_##name,
#include "worker/orders.def"
#undef ORDER
#undef ANSWER
	ORDER_COUNT
};

enum { ORDER_TEXT_MAX = 1024 };

struct order {
	uint32_t kind; /* enum order_kind */
	int32_t value;
	uint32_t len;
	char text[ORDER_TEXT_MAX]; /* `len` bytes, not terminated */
};

enum order_end {
	ORDER_END_RESTART = 1, /* the client may come back */
	ORDER_END_REFUSED,     /* AUTH_FAILED */
};

/* A list in the text of MOVE and ADOPT; one in front of the text of orders and answers about one session. */
struct order_session {
	uint32_t slot, generation;
};
enum { ORDER_SESSIONS_MAX = ORDER_TEXT_MAX / sizeof(struct order_session) };

/* Sends one; `fd` -1 or a descriptor to pass along. False: it did not fit or the other end is gone. */
bool order_send(int channel, enum order_kind kind, int32_t value, const void *text, size_t len, int fd);
/* Receives one. 1: got one (a passed descriptor in *fd, else -1; close it), 0: nothing there, -1: the other end is gone.
 * Ill-formed messages are skipped. */
int order_receive(int channel, struct order *out, int *fd);
/* Takes the session off the front of a message: what is left of its text (not terminated), *len bytes. NULL: too short. */
const char *order_session_read(const struct order *order, struct order_session *session, size_t *len);
/* "STOP"; "?" for others. */
const char *order_name(enum order_kind kind);

#endif
