/* SPDX-License-Identifier: MIT
 * What a worker and the helper tell each other over their private SOCK_SEQPACKET channel: one datagram a
 * message, host byte order (both ends are this program), cut behind the last byte used. Neither side trusts
 * the other: what does not fit its own lengths is dropped, and texts are outside bytes to whoever reads them.
 *
 *   request   head | common name | user name | subject | serial | peer info       no zero bytes between them
 *   answer    head | reason | lines of client settings, each with its line feed */
#ifndef WORKER_HELPER_WIRE_H
#define WORKER_HELPER_WIRE_H

#include "common/base/address.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum helper_kind {
	HELPER_CONNECT = 1, /* may this client come, and with which settings? */
	HELPER_DISCONNECT,  /* it went, or nobody waits for the answer to its HELPER_CONNECT any more; no
			       answer */
};

enum helper_verdict { HELPER_ALLOW = 1, HELPER_DENY };

enum helper_text {
	HELPER_COMMON_NAME,
	HELPER_USERNAME,
	HELPER_SUBJECT,
	HELPER_SERIAL,
	HELPER_PEER_INFO, /* lines NAME=value */
	HELPER_TEXTS,
};

enum {
	HELPER_ADMITTED = 1, /* of a HELPER_DISCONNECT: its connect step had success, whether the helper
				remembers or not */

	HELPER_TEXT_MAX = 8192,
	HELPER_REASON_MAX = 200,
	HELPER_LINES_MAX = 49152,
};

struct helper_request {
	uint32_t id;		   /* the worker's own; comes back with the answer */
	uint32_t slot, generation; /* of the session; come back too */
	uint16_t kind, flags;
	uint64_t connected_unix;
	uint64_t duration_s, bytes_in, bytes_out; /* HELPER_DISCONNECT */
	uint32_t inner4, netmask4;		  /* host order; 0: none */
	uint8_t inner6[16], own6[16];		  /* the client's and the hub's; zeros: none */
	struct link_address peer;
	uint32_t bits6;
	uint16_t lens[HELPER_TEXTS];
	uint16_t zero;
	char text[HELPER_TEXT_MAX];
};

struct helper_answer {
	uint32_t id, slot, generation;
	uint16_t verdict; /* enum helper_verdict */
	uint16_t reason_len;
	uint32_t lines_len;
	char text[HELPER_REASON_MAX + HELPER_LINES_MAX];
};

enum {
	HELPER_REQUEST_HEAD = offsetof(struct helper_request, text),
	HELPER_ANSWER_HEAD = offsetof(struct helper_answer, text),
};

/* The same number in two programs: the helper of one serves the workers of the other (an upgrade lets it live on).
 * Raise the version when a message or a plan (master/helper_plan.c) changes its meaning. */
enum { HELPER_WIRE_VERSION = 1 };
uint64_t helper_wire_layout(void);

/* Of a datagram of `got` bytes: does it hold together? */
bool helper_request_ok(const struct helper_request *request, size_t got);
bool helper_answer_ok(const struct helper_answer *answer, size_t got);

/* Puts the texts behind the head: in order of enum helper_text, NULL is empty, what is too long is cut.
 * Returns the length of the whole message. */
size_t helper_request_texts(struct helper_request *request, const char *const texts[HELPER_TEXTS]);
/* One text of a request that is ok, copied and terminated, cut to `room`. Returns `out`. */
char *helper_request_text(
	const struct helper_request *request, enum helper_text which, char *out, size_t room);

#endif
