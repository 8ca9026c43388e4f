/* SPDX-License-Identifier: MIT
 * What the three wrappings have in common, for wrap.c and the wrap_*.c files alone. */
#ifndef COMMON_WRAP_METHOD_H
#define COMMON_WRAP_METHOD_H

#include "common/wrap/wrap.h"

enum {
	HEAD_LEN = 1 + 8,  /* opcode and key id, sender: in front of every wrapping */
	STAMP_LEN = 4 + 4, /* packet id and net time */
};

/* One wrapping. `open` and `seal` are called with what wrap.c has checked: the whole datagram has at least
 * HEAD_LEN + overhead bytes, and `out` has room for HEAD_LEN + overhead + body_len, with the head in place.
 * `digest` is the one of `wrap`, which may lie in shared memory and change under our feet: lengths come from
 * this copy. */
struct wrap_method {
	bool counts; /* packets are numbered */
	size_t (*overhead)(enum digest digest);
	/* Verifies, and fills packet_id, net_time and body. */
	enum fate (*open)(const struct wrap *wrap, enum digest digest, uint8_t *datagram, size_t len,
		struct wrap_opened *out);
	/* Writes everything behind the head. False: the crypto library failed. */
	bool (*seal)(const struct wrap *wrap, enum digest digest, uint32_t packet_id, uint32_t net_time,
		const void *body, size_t body_len, uint8_t *out);
};

extern const struct wrap_method wrap_none, wrap_auth, wrap_crypt;

#endif
