/* SPDX-License-Identifier: MIT
 * tls-crypt: the body is hidden, everything is authenticated. OpenVPN's src/openvpn/tls_crypt.h describes it.
 *
 *   0        1        9           13         17       49
 *   | op|key | sender | packet id | net time | tag 32 | hidden body ...
 *
 * tag = HMAC-SHA256(packet up to the tag, plain body); its first 16 bytes are the first counter block. */
#include "common/base/secret.h"
#include "common/wrap/method.h"

enum { TAG_LEN = 32, SIGNED_LEN = HEAD_LEN + STAMP_LEN, FRONT_LEN = SIGNED_LEN + TAG_LEN };

static size_t overhead(enum digest digest)
{
	(void)digest;
	return STAMP_LEN + TAG_LEN;
}

static bool sign(
	const uint8_t *key, const uint8_t *front, const void *body, size_t body_len, uint8_t tag[TAG_LEN])
{
	const struct piece pieces[] = { { front, SIGNED_LEN }, { body, body_len } };

	return crypto_hmac(DIGEST_SHA256, key, 32, pieces, 2, tag);
}

static enum fate open_crypt(
	const struct wrap *wrap, enum digest digest, uint8_t *datagram, size_t len, struct wrap_opened *out)
{
	(void)digest;
	uint8_t expected[TAG_LEN];
	uint8_t *tag = datagram + SIGNED_LEN, *body = datagram + FRONT_LEN;
	size_t body_len = len - FRONT_LEN;

	bool genuine = crypto_aes256_ctr(wrap->receive_cipher, tag, body, body, body_len) &&
		       sign(wrap->receive_hmac, datagram, body, body_len, expected) &&
		       secret_equal(tag, expected, TAG_LEN);
	secret_wipe(expected, sizeof(expected));
	if (!genuine)
		return FATE_WRAP_FORGED;

	struct bytes stamp = bytes_of(datagram + HEAD_LEN, STAMP_LEN);
	out->packet_id = read_u32(&stamp);
	out->net_time = read_u32(&stamp);
	out->body = bytes_of(body, body_len);
	return FATE_NONE;
}

static bool seal_crypt(const struct wrap *wrap, enum digest digest, uint32_t packet_id, uint32_t net_time,
	const void *body, size_t body_len, uint8_t *out)
{
	(void)digest;
	struct bytes_out stamp = bytes_into(out + HEAD_LEN, STAMP_LEN);
	uint8_t *tag = out + SIGNED_LEN;

	write_u32(&stamp, packet_id);
	write_u32(&stamp, net_time);
	return sign(wrap->send_hmac, out, body, body_len, tag) &&
	       crypto_aes256_ctr(wrap->send_cipher, tag, body, out + FRONT_LEN, body_len);
}

const struct wrap_method wrap_crypt = {
	.counts = true,
	.overhead = overhead,
	.open = open_crypt,
	.seal = seal_crypt,
};
