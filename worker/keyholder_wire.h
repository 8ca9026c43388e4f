/* SPDX-License-Identifier: MIT
 * What a worker and the keyholder tell each other over their private SOCK_SEQPACKET channel: one datagram a
 * message, host byte order (both ends are this program). A message is cut behind the last byte used. Neither
 * side trusts the other's lengths: a datagram whose size does not fit its length field is dropped.
 *
 *   request   0        4           6           8
 *             | id     | algorithm | input_len | input ...
 *   answer    0        4               6         8
 *             | id     | signature_len | zero    | signature ...
 */
#ifndef WORKER_KEYHOLDER_WIRE_H
#define WORKER_KEYHOLDER_WIRE_H

#include <stdint.h>

enum {
	/* a TLS 1.2 key exchange on P-521 is about 200 bytes, a TLS 1.3 input about 160 */
	KEYHOLDER_INPUT_MAX = 1024,
	KEYHOLDER_SIGNATURE_MAX = 1024, /* RSA of 8192 bits */
	KEYHOLDER_HEAD = 8,		/* bytes before input or signature */
};

struct keyholder_request {
	uint32_t id;	    /* the worker's own; comes back with the answer */
	uint16_t algorithm; /* TLS SignatureScheme */
	uint16_t input_len;
	uint8_t input[KEYHOLDER_INPUT_MAX];
} __attribute__((packed));

struct keyholder_answer {
	uint32_t id;
	uint16_t signature_len; /* 0: refused */
	uint16_t zero;
	uint8_t signature[KEYHOLDER_SIGNATURE_MAX];
} __attribute__((packed));

_Static_assert(sizeof(struct keyholder_request) == KEYHOLDER_HEAD + KEYHOLDER_INPUT_MAX, "no padding");
_Static_assert(sizeof(struct keyholder_answer) == KEYHOLDER_HEAD + KEYHOLDER_SIGNATURE_MAX, "no padding");

#endif
