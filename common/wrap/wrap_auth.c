/* SPDX-License-Identifier: MIT
 * tls-auth: an HMAC over the whole datagram, nothing hidden. As OpenVPN's src/openvpn/ssl_pkt.c lays it out.
 *
 *   0        1        9        9+n         13+n       17+n
 *   | op|key | sender | HMAC n | packet id | net time | body ...
 *
 * What is signed stands in another order: packet id, net time, op|key, sender, body. */
#include "common/base/secret.h"
#include "common/wrap/method.h"

static size_t overhead(enum digest digest)
{
	return digest_len(digest) + STAMP_LEN;
}

/* The HMAC of a datagram that is laid out as above. */
static bool sign(enum digest digest, const uint8_t *key, const uint8_t *datagram, size_t len, uint8_t *hmac)
{
	size_t n = digest_len(digest);
	const uint8_t *stamp = datagram + HEAD_LEN + n, *body = stamp + STAMP_LEN;
	const struct piece pieces[] = {
		{ stamp, STAMP_LEN },
		{ datagram, HEAD_LEN },
		{ body, len - (size_t)(body - datagram) },
	};

	return crypto_hmac(digest, key, n, pieces, 3, hmac);
}

static enum fate open_auth(
	const struct wrap *wrap, enum digest digest, uint8_t *datagram, size_t len, struct wrap_opened *out)
{
	uint8_t expected[DIGEST_MAX_LEN];
	size_t n = digest_len(digest);
	struct bytes in = bytes_of(datagram + HEAD_LEN, len - HEAD_LEN);
	const uint8_t *hmac = read_view(&in, n);

	bool genuine =
		sign(digest, wrap->receive_hmac, datagram, len, expected) && secret_equal(hmac, expected, n);
	secret_wipe(expected, sizeof(expected));
	if (!genuine)
		return FATE_WRAP_FORGED;
	out->packet_id = read_u32(&in);
	out->net_time = read_u32(&in);
	out->body = read_rest(&in);
	return FATE_NONE;
}

static bool seal_auth(const struct wrap *wrap, enum digest digest, uint32_t packet_id, uint32_t net_time,
	const void *body, size_t body_len, uint8_t *out)
{
	struct bytes_out rest = bytes_into(out + HEAD_LEN, overhead(digest) + body_len);
	uint8_t *hmac = write_space(&rest, digest_len(digest));

	write_u32(&rest, packet_id);
	write_u32(&rest, net_time);
	write_data(&rest, body, body_len);
	return sign(digest, wrap->send_hmac, out, HEAD_LEN + rest.len, hmac);
}

const struct wrap_method wrap_auth = {
	.counts = true,
	.overhead = overhead,
	.open = open_auth,
	.seal = seal_auth,
};
