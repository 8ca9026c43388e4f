/* SPDX-License-Identifier: MIT
 * tls-crypt-v2: each client has a key of its own, which it carries along wrapped by the server's key.
 * OpenVPN's src/openvpn/tls_crypt.h describes it.
 *
 *   0        32                 288                    32+256+m
 *   | tag 32 | hidden key (256) | hidden metadata (m) | length of all (2) |
 *
 * tag = HMAC-SHA256(length | key | metadata); its first 16 bytes are the first counter block. In a datagram
 * it stands at the very end, so that the length is found first. */
#include "common/base/secret.h"
#include "common/wrap/wrap.h"

enum { TAG_LEN = 32, LENGTH_LEN = 2 };

static bool sign(const struct server_key *server, const uint8_t length[LENGTH_LEN], const void *plain,
	size_t plain_len, uint8_t tag[TAG_LEN])
{
	const struct piece pieces[] = { { length, LENGTH_LEN }, { plain, plain_len } };

	return crypto_hmac(DIGEST_SHA256, server->bytes + 64, 32, pieces, 2, tag);
}

static bool unwrap(
	const struct server_key *server, const uint8_t *wrapped, size_t len, struct client_key *out)
{
	uint8_t plain[STATIC_KEY_LEN + CLIENT_KEY_METADATA_MAX], expected[TAG_LEN];
	struct bytes in = bytes_of(wrapped, len);
	const uint8_t *tag = read_view(&in, TAG_LEN);
	size_t plain_len = len - TAG_LEN - LENGTH_LEN;
	const uint8_t *hidden = read_view(&in, plain_len), *length = read_view(&in, LENGTH_LEN);

	bool ok = crypto_aes256_ctr(server->bytes, tag, hidden, plain, plain_len) &&
		  sign(server, length, plain, plain_len, expected) && secret_equal(tag, expected, TAG_LEN);
	if (ok) {
		struct bytes parts = bytes_of(plain, plain_len);
		read_data(&parts, out->key.bytes, STATIC_KEY_LEN);
		out->metadata_len = (uint16_t)parts.left;
		read_data(&parts, out->metadata, parts.left);
	}
	secret_wipe(plain, sizeof(plain));
	secret_wipe(expected, sizeof(expected));
	return ok;
}

enum fate client_key_cut(
	const struct server_key *server, const uint8_t *datagram, size_t *len, struct client_key *out)
{
	if (out)
		secret_wipe(out, sizeof(*out));
	/* Not even an opcode and a length. */
	if (*len < 1 + LENGTH_LEN)
		return FATE_TOO_SHORT;
	struct bytes tail = bytes_of(datagram + *len - LENGTH_LEN, LENGTH_LEN);
	size_t wrapped_len = read_u16(&tail);
	if (wrapped_len < CLIENT_KEY_WRAPPED_MIN || wrapped_len > CLIENT_KEY_WRAPPED_MAX)
		return FATE_CLIENT_KEY_BAD;
	if (wrapped_len > *len - 1)
		return FATE_TOO_SHORT;
	if (out && !unwrap(server, datagram + *len - wrapped_len, wrapped_len, out))
		return FATE_CLIENT_KEY_BAD;
	*len -= wrapped_len;
	return FATE_NONE;
}

size_t client_key_wrap(const struct server_key *server, const struct client_key *key, void *out, size_t room)
{
	uint8_t plain[STATIC_KEY_LEN + CLIENT_KEY_METADATA_MAX];
	struct bytes_out parts = bytes_into(plain, sizeof(plain)), whole = bytes_into(out, room);

	if (key->metadata_len > CLIENT_KEY_METADATA_MAX)
		return 0;
	write_data(&parts, key->key.bytes, STATIC_KEY_LEN);
	write_data(&parts, key->metadata, key->metadata_len);

	uint8_t *tag = write_space(&whole, TAG_LEN), *hidden = write_space(&whole, parts.len);
	write_u16(&whole, (uint16_t)(TAG_LEN + parts.len + LENGTH_LEN));
	bool ok = !whole.failed &&
		  sign(server, whole.start + whole.len - LENGTH_LEN, plain, parts.len, tag) &&
		  crypto_aes256_ctr(server->bytes, tag, plain, hidden, parts.len);
	secret_wipe(plain, sizeof(plain));
	return ok ? whole.len : 0;
}

bool client_key_early(uint32_t packet_id)
{
	return packet_id >> 24 == 0x0f;
}
