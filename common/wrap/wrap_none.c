/* SPDX-License-Identifier: MIT
 * No wrapping: the body stands right behind the head. */
#include "common/wrap/method.h"

static size_t overhead(enum digest digest)
{
	(void)digest;
	return 0;
}

static enum fate open_none(
	const struct wrap *wrap, enum digest digest, uint8_t *datagram, size_t len, struct wrap_opened *out)
{
	(void)digest;
	(void)wrap;
	out->body = bytes_of(datagram + HEAD_LEN, len - HEAD_LEN);
	return FATE_NONE;
}

static bool seal_none(const struct wrap *wrap, enum digest digest, uint32_t packet_id, uint32_t net_time,
	const void *body, size_t body_len, uint8_t *out)
{
	(void)digest;
	(void)net_time;
	(void)packet_id;
	(void)wrap;
	if (body_len)
		memcpy(out + HEAD_LEN, body, body_len);
	return true;
}

const struct wrap_method wrap_none = {
	.overhead = overhead,
	.open = open_none,
	.seal = seal_none,
};
