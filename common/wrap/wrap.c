/* SPDX-License-Identifier: MIT
 * The methods by their kind, what they share (head, counter, window), and how keys get their directions. */
#include "common/wrap/wrap.h"
#include "common/base/check.h"
#include "common/wrap/method.h"

static const struct wrap_method *const methods[] = {
	[WRAP_NONE] = &wrap_none,
	[WRAP_AUTH] = &wrap_auth,
	[WRAP_CRYPT] = &wrap_crypt,
};

/* Kind and digest, loaded once: a wrap may lie in shared memory, where anybody could spoil it at any time.
 * NULL: no such kind. */
static const struct wrap_method *method_of(const struct wrap *wrap, enum digest *digest)
{
	const volatile uint8_t *kind_at = &wrap->kind, *digest_at = &wrap->digest;
	size_t kind = *kind_at;

	*digest = (enum digest)(*digest_at);
	return kind < sizeof(methods) / sizeof(methods[0]) ? methods[kind] : NULL;
}

/* Halves of a static key. */
static const uint8_t *cipher_half(const struct static_key *key, int half)
{
	return key->bytes + 128 * half;
}

static const uint8_t *hmac_half(const struct static_key *key, int half)
{
	return key->bytes + 128 * half + 64;
}

void wrap_init_auth(struct wrap *wrap, const struct static_key *key, enum digest digest, int direction)
{
	CHECK(digest_len(digest) > 0);
	CHECK(direction >= -1 && direction <= 1);
	int send = direction == 1, receive = direction == 0;

	*wrap = (struct wrap){ .kind = WRAP_AUTH, .digest = (uint8_t)digest };
	memcpy(wrap->send_hmac, hmac_half(key, send), digest_len(digest));
	memcpy(wrap->receive_hmac, hmac_half(key, receive), digest_len(digest));
}

void wrap_init_crypt(struct wrap *wrap, const struct static_key *key, bool server)
{
	int send = !server, receive = server;

	*wrap = (struct wrap){ .kind = WRAP_CRYPT, .digest = DIGEST_SHA256 };
	memcpy(wrap->send_cipher, cipher_half(key, send), sizeof(wrap->send_cipher));
	memcpy(wrap->receive_cipher, cipher_half(key, receive), sizeof(wrap->receive_cipher));
	memcpy(wrap->send_hmac, hmac_half(key, send), digest_len(DIGEST_SHA256));
	memcpy(wrap->receive_hmac, hmac_half(key, receive), digest_len(DIGEST_SHA256));
}

size_t wrap_overhead(const struct wrap *wrap)
{
	enum digest digest;
	const struct wrap_method *method = method_of(wrap, &digest);

	return method ? method->overhead(digest) : 0;
}

enum fate wrap_open(const struct wrap *wrap, uint8_t *datagram, size_t len, struct wrap_opened *out)
{
	enum digest digest;
	const struct wrap_method *method = method_of(wrap, &digest);

	*out = (struct wrap_opened){ 0 };
	if (!method)
		return FATE_WRAP_FORGED;
	if (len < HEAD_LEN + method->overhead(digest))
		return FATE_TOO_SHORT;

	struct bytes in = bytes_of(datagram, len);
	uint8_t first = read_u8(&in);
	out->opcode = first >> 3;
	out->key_id = first & 7;
	out->sender = read_u64(&in);
	return method->open(wrap, digest, datagram, len, out);
}

/* The id and time that come next, or false: 2^32 - 1 ids went out within this second. */
static bool counter_next(const struct wrap_counter *counter, unix_s now, uint32_t *id, uint32_t *time)
{
	if (counter->next) {
		*id = counter->next;
		/* Without a time yet: `next` was set to start elsewhere than at 1. */
		*time = counter->time ? counter->time : (uint32_t)now;
		return true;
	}
	*id = 1;
	*time = (uint32_t)now;
	return !counter->time || *time > counter->time;
}

size_t wrap_seal(const struct wrap *wrap, struct wrap_counter *counter, unix_s now, uint8_t opcode,
	uint8_t key_id, uint64_t sender, const void *body, size_t body_len, void *out, size_t room)
{
	enum digest digest;
	const struct wrap_method *method = method_of(wrap, &digest);
	uint32_t id = 0, time = 0;

	if (!method)
		return 0;
	size_t front = HEAD_LEN + method->overhead(digest);
	if (room < front || room - front < body_len)
		return 0;
	if (method->counts && !counter_next(counter, now, &id, &time))
		return 0;

	struct bytes_out head = bytes_into(out, HEAD_LEN);
	write_u8(&head, (uint8_t)(opcode << 3 | (key_id & 7)));
	write_u64(&head, sender);
	if (!method->seal(wrap, digest, id, time, body, body_len, out))
		return 0;

	/* 0 after the last id: used up, which counter_next() tells from "never used" by the time. */
	if (method->counts)
		*counter = (struct wrap_counter){ .next = id + 1, .time = time };
	return front + body_len;
}

/* Stands the window at nothing yet? Ids are never 0, so a highest of 0 was never noted. */
static bool is_fresh(const struct wrap_window *window)
{
	return !window->highest;
}

bool wrap_window_accepts(const struct wrap_window *window, uint32_t packet_id, uint32_t net_time)
{
	if (!packet_id)
		return false;
	if (is_fresh(window))
		return true;
	if (net_time < window->time)
		return false;
	if (!window->width)
		return packet_id == (net_time > window->time ? 1 : (uint64_t)window->highest + 1);
	if (net_time > window->time || packet_id > window->highest)
		return true;
	uint32_t back = window->highest - packet_id;
	return back < 64 && back < window->width && !(window->seen >> back & 1);
}

void wrap_window_note(struct wrap_window *window, uint32_t packet_id, uint32_t net_time)
{
	struct wrap_window next = *window;

	if (!wrap_window_accepts(&next, packet_id, net_time))
		return;
	if (is_fresh(&next) || net_time > next.time) {
		next.time = net_time;
		next.highest = packet_id;
		next.seen = 1;
	} else if (packet_id > next.highest) {
		uint32_t step = packet_id - next.highest;
		next.seen = (step < 64 ? next.seen << step : 0) | 1;
		next.highest = packet_id;
	} else {
		next.seen |= 1ull << (next.highest - packet_id);
	}
	*window = next;
}
