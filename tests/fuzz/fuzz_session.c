/* SPDX-License-Identifier: MIT
 * The whole engine in the server's role, and a true client that the input leads astray: each byte is a step
 * of a story - what crosses the link and how it is spoilt, time, the host's verdict, death and adoption.
 * Whatever it is: nothing opens without the verdict, no packet id goes out twice, queues stay small, and a
 * session that was served sleeps. */
#include "common/base/check.h"
#include "common/engine/session.h"
#include "tests/lib/test_pki.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

enum { MEMORY = 32, ROUNDS_MAX = 200, STEPS_MAX = 400 };

struct letter {
	size_t len;
	uint8_t bytes[VPN_DATAGRAM_MAX];
};

struct story {
	struct bytes in;
	vpn_endpoint *endpoints[2]; /* 0 client, 1 server */
	vpn_session *sessions[2];
	void *kept;
	vpn_ms now;
	uint16_t epoch;
	bool asked, admitted;
	uint32_t last_id[8]; /* of the server, by key id */
	struct letter letters[MEMORY];
	unsigned letter_count;
};

static const uint8_t static_key[VPN_STATIC_KEY] = { 1, 2, 3, [64] = 4, [128] = 5, [192] = 6 };

static vpn_endpoint *endpoint(bool server, unsigned kind)
{
	static vpn_endpoint *made[2][4];
	char error[VPN_ERROR_TEXT], warning[VPN_ERROR_TEXT];
	const struct test_pki *pki = test_pki();
	vpn_settings s;

	if (!made[server][kind]) {
		vpn_settings_default(&s, server);
		s.ca_pem = pki->ca_cert;
		s.cert_pem = server ? pki->server_cert : pki->client_cert;
		s.key_pem = server ? pki->server_key : pki->client_key;
		s.wrapping = kind & 1 ? VPN_WRAP_CRYPT : VPN_WRAP_NONE;
		s.static_key = static_key;
		s.proto_mask = kind & 2 && !server ? UINT32_MAX : 0;
		s.ping_ms = 10000;
		s.ping_restart_ms = 120000;
		s.inactive_ms = server ? 900000 : 0;
		s.session_timeout_ms = server ? 7200000 : 0;
		s.reneg_packets = server ? 50 : 0;
		made[server][kind] = vpn_endpoint_new(&s, error, warning);
		CHECK(made[server][kind] != NULL);
	}
	return made[server][kind];
}

static void keep(struct story *t, const void *bytes, size_t len)
{
	struct letter *l = &t->letters[t->letter_count++ % MEMORY];
	l->len = len;
	memcpy(l->bytes, bytes, len);
}

static void to_server(struct story *t, const uint8_t *bytes, size_t len);

static void hear(struct story *t, int side)
{
	vpn_event event;

	while (t->sessions[side] && vpn_session_next_event(t->sessions[side], &event)) {
		CHECK(event.text != NULL && t->sessions[side]->event_count <= EVENTS_MAX + 8);
		if (event.kind == VPN_EVENT_CLOSED) {
			vpn_session_free(&t->sessions[side], true);
		} else if (side == 1 && event.kind == VPN_EVENT_IDENTIFIED) {
			t->asked = true;
		} else if (side == 1 && event.kind == VPN_EVENT_OPEN) {
			CHECK(t->admitted);
			memset(t->last_id, 0, sizeof(t->last_id));
		} else if (side == 1 && event.kind == VPN_EVENT_REKEYED) {
			t->last_id[event.number & 7] = 0;
		}
	}
}

/* The number of a datagram that the server sealed. */
static void note_id(struct story *t, const uint8_t *bytes, size_t len)
{
	size_t at = bytes[0] >> 3 == OP_DATA_V2 ? 4 : 1;

	if (wire_is_control(bytes[0] >> 3))
		return;
	CHECK(t->admitted && len > at + 4);
	struct bytes in = bytes_of(bytes + at, 4);
	uint32_t id = read_u32(&in), *last = &t->last_id[bytes[0] & 7];
	CHECK(id > *last);
	*last = id;
}

/* All that a side has to say; `deliver` false: it is lost. */
static void speak(struct story *t, int side, bool deliver)
{
	uint8_t out[VPN_DATAGRAM_MAX];
	size_t len;

	hear(t, side);
	while (t->sessions[side] &&
		(len = vpn_session_transmit(t->sessions[side], out, sizeof(out), t->now))) {
		CHECK(len <= sizeof(out));
		if (side == 1)
			note_id(t, out, len);
		else
			keep(t, out, len);
		if (!deliver)
			continue;
		if (side == 0) {
			to_server(t, out, len);
		} else if (t->sessions[0] && wire_is_control(out[0] >> 3)) {
			vpn_session_receive(t->sessions[0], out, len, t->now);
		} else if (t->sessions[0]) {
			vpn_job job = { .session = t->sessions[0], .data = out, .len = (uint32_t)len };
			vpn_open(&job, 1, t->now);
		}
	}
	hear(t, side);
}

static void open_data(struct story *t, uint8_t *bytes, size_t len)
{
	vpn_job job = { .session = t->sessions[1], .data = bytes, .len = (uint32_t)len };

	if (!t->sessions[1])
		return;
	vpn_open(&job, 1, t->now);
	CHECK(job.fate != FATE_NONE || t->admitted);
}

static void to_server(struct story *t, const uint8_t *bytes, size_t len)
{
	static vpn_contact contact;
	uint8_t *copy = malloc(len + 1), *again = malloc(len + 1);

	memcpy(copy, bytes, len);
	memcpy(again, bytes, len);
	if (len && !wire_is_control(bytes[0] >> 3)) {
		open_data(t, copy, len);
	} else if (!t->sessions[1] ||
		   vpn_session_receive(t->sessions[1], copy, len, t->now) == FATE_WRONG_SESSION) {
		vpn_first_contact(t->endpoints[1], "client", 6, again, len, t->now, &contact);
		if (contact.verdict == VPN_CONTACT_REPLY) {
			CHECK(contact.reply_len <= 2 * len);
			if (t->sessions[0])
				vpn_session_receive(t->sessions[0], contact.reply, contact.reply_len, t->now);
		} else if (contact.verdict == VPN_CONTACT_OPEN) {
			vpn_session_free(&t->sessions[1], true);
			t->asked = t->admitted = false;
			t->sessions[1] = vpn_session_accept(t->endpoints[1], &contact, t->kept, t->now);
			CHECK(t->sessions[1] != NULL);
			vpn_session_receive(t->sessions[1], again, len, t->now);
		}
	}
	free(copy);
	free(again);
	hear(t, 1);
}

/* What a host does until its session sleeps; it must. */
static void settle(struct story *t)
{
	for (int side = 0; side < 2; side++) {
		unsigned rounds = 0;
		hear(t, side);
		while (t->sessions[side] && vpn_session_wake_at(t->sessions[side]) <= t->now) {
			CHECK(++rounds < ROUNDS_MAX);
			vpn_session_tick(t->sessions[side], t->now);
			speak(t, side, true);
		}
	}
	CHECK(!t->sessions[1] || !vpn_session_is_open(t->sessions[1]) || t->admitted);
}

static void seal_data(struct story *t, int side)
{
	uint8_t room[VPN_HEADROOM + 256] = { 0 };
	vpn_job job = {
		.session = t->sessions[side], .data = room + VPN_HEADROOM, .len = 20u + read_u8(&t->in) % 200
	};

	if (!t->sessions[side])
		return;
	memset(job.data, read_u8(&t->in), job.len);
	vpn_seal(&job, 1, t->now);
	if (job.fate != FATE_NONE)
		return;
	if (side == 1) {
		note_id(t, job.data, job.len);
		return;
	}
	keep(t, job.data, job.len);
	open_data(t, job.data, job.len);
}

static void spoilt_letter(struct story *t)
{
	struct letter l = t->letters[read_u8(&t->in) % MEMORY];
	size_t at = read_u16(&t->in);

	if (!l.len)
		return;
	l.bytes[at % l.len] ^= read_u8(&t->in);
	to_server(t, l.bytes, l.len - read_u8(&t->in) % l.len);
}

static void die(struct story *t)
{
	if (!t->sessions[1])
		return;
	vpn_session_free(&t->sessions[1], false);
	vpn_endpoint_set_epoch(t->endpoints[1], ++t->epoch);
	t->sessions[1] = vpn_session_adopt(t->endpoints[1], t->kept, t->now, t->now + 1000);
	CHECK(!t->sessions[1] || t->admitted);
}

static void verdict(struct story *t, bool admit)
{
	static const char *const options[] = { "ping 10", "ifconfig 10.8.0.2 255.255.255.0",
		"ping-restart 60" };
	vpn_grant grant = { .options = options, .option_count = 3, .peer_id = 5 };

	if (!t->sessions[1] || !t->asked)
		return;
	if (!admit)
		vpn_session_refuse(t->sessions[1], "no", t->now);
	else
		t->admitted |= vpn_session_admit(t->sessions[1], &grant, t->now);
}

static void raw_datagram(struct story *t)
{
	struct bytes raw = read_part(&t->in, read_u8(&t->in));
	uint8_t copy[256] = { 0 };

	if (!raw.left)
		return;
	memcpy(copy, raw.at, raw.left);
	/* With the live session's id, so that it gets further. */
	if (raw.left > 9 && t->sessions[1] && copy[0] & 0x80) {
		uint64_t sender = t->sessions[1]->kept->remote_session;
		copy[0] &= 0x7f;
		for (unsigned i = 0; i < 8; i++)
			copy[1 + i] = (uint8_t)(sender >> (56 - 8 * i));
	}
	to_server(t, copy, raw.left);
}

/* Anything at all, as one TLS record of the client: an authenticated peer that breaks the protocol. */
static void raw_record(struct story *t)
{
	struct bytes raw = read_part(&t->in, read_u8(&t->in));
	vpn_session *s = t->sessions[0];

	if (!raw.left || !s || !s->negotiation)
		return;
	tls_write(s->negotiation->tls, raw.at, raw.left);
	negotiation_advance(s, t->now);
}

static void step(struct story *t)
{
	vpn_session **client = &t->sessions[0], **server = &t->sessions[1];
	uint8_t what = read_u8(&t->in);
	span_ms time;

	switch (what % 18) {
	case 0:
		speak(t, 0, true);
		break;
	case 1:
		speak(t, 1, true);
		break;
	case 2:
		speak(t, what / 18 % 2, false);
		break;
	case 3:
		time = read_u8(&t->in);
		t->now += time * time * (what & 64 ? 16 : 1);
		break;
	case 4:
		spoilt_letter(t);
		break;
	case 5:
		raw_datagram(t);
		break;
	case 6:
		verdict(t, true);
		break;
	case 7:
		verdict(t, false);
		break;
	case 8:
		die(t);
		break;
	case 9:
		seal_data(t, 0);
		break;
	case 10:
		seal_data(t, 1);
		break;
	case 11:
		if (*client)
			vpn_session_renegotiate(*client, t->now);
		break;
	case 12:
		if (*server)
			vpn_session_renegotiate(*server, t->now);
		break;
	case 13:
		raw_record(t);
		break;
	case 14:
		if (*client)
			vpn_session_close(*client, NULL, "enough", 1000, t->now);
		break;
	case 15:
		if (*server)
			vpn_session_close(*server, "RESTART", "enough", 1000, t->now);
		break;
	case 16:
		vpn_session_free(client, true);
		*client = vpn_session_connect(t->endpoints[0], NULL, t->now);
		break;
	default:
		if (*server)
			vpn_session_say(*server, "INFO,hello", t->now);
		break;
	}
	settle(t);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static struct story t;

	t = (struct story){ .in = bytes_of(data, len), .now = 1000000, .epoch = 1 };
	unsigned kind = read_u8(&t.in) % 4;
	for (int side = 0; side < 2; side++) {
		t.endpoints[side] = endpoint(side == 1, kind);
		vpn_endpoint_set_clock(t.endpoints[side], t.now, 1790000000);
		vpn_endpoint_set_epoch(t.endpoints[side], t.epoch);
	}
	t.kept = aligned_alloc(VPN_KEPT_ALIGN, vpn_kept_size());
	memset(t.kept, 0, vpn_kept_size());
	t.sessions[0] = vpn_session_connect(t.endpoints[0], NULL, t.now);
	for (unsigned steps = 0; t.in.left && steps < STEPS_MAX; steps++)
		step(&t);
	vpn_session_free(&t.sessions[0], true);
	vpn_session_free(&t.sessions[1], true);
	free(t.kept);
	return 0;
}
