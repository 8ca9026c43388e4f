/* SPDX-License-Identifier: MIT
 * The pair: see pair.h. */
#include "tests/pair/pair.h"
#include "tests/lib/test_pki.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { EPOCH_START = 1000000, UNIX_START = 1790000000 };

uint32_t pair_chance(struct pair *p)
{
	/* xorshift64*: a seed gives a run. */
	p->seed ^= p->seed >> 12;
	p->seed ^= p->seed << 25;
	p->seed ^= p->seed >> 27;
	return (uint32_t)((p->seed * 0x2545f4914f6cdd1dull) >> 32);
}

void pair_init(struct pair *p, uint64_t seed)
{
	const struct test_pki *pki = test_pki();

	memset(p, 0, sizeof(*p));
	p->seed = seed * 0x9e3779b97f4a7c15ull + 1;
	p->now = EPOCH_START;
	p->peer_id = 7;
	p->quality.delay = 5;
	for (int side = CLIENT; side <= SERVER; side++) {
		vpn_settings_default(&p->settings[side], side == SERVER);
		p->settings[side].ca_pem = pki->ca_cert;
		p->settings[side].cert_pem = side == SERVER ? pki->server_cert : pki->client_cert;
		p->settings[side].key_pem = side == SERVER ? pki->server_key : pki->client_key;
		p->kept[side] = aligned_alloc(VPN_KEPT_ALIGN, vpn_kept_size());
		memset(p->kept[side], 0, vpn_kept_size());
	}
	p->settings[SERVER].want_client_usage = true;
	p->settings[CLIENT].want_server_usage = true;
	p->options[0] = "ping 10";
	p->options[1] = "ping-restart 60";
	p->options[2] = "ifconfig 10.8.0.2 255.255.255.0";
	p->option_count = 3;
	p->flights = calloc(FLIGHT_MAX, sizeof(*p->flights));
}

void pair_start(struct pair *p)
{
	char error[VPN_ERROR_TEXT], warning[VPN_ERROR_TEXT];

	for (int side = CLIENT; side <= SERVER; side++) {
		p->endpoints[side] = vpn_endpoint_new(&p->settings[side], error, warning);
		if (!p->endpoints[side]) {
			fprintf(stderr, "endpoint %d: %s\n", side, error);
			abort();
		}
		vpn_endpoint_set_clock(p->endpoints[side], p->now, UNIX_START);
	}
	p->sessions[CLIENT] = vpn_session_connect(p->endpoints[CLIENT], p->kept[CLIENT], p->now);
}

void pair_clear(struct pair *p)
{
	for (int side = CLIENT; side <= SERVER; side++) {
		vpn_session_free(&p->sessions[side], true);
		vpn_endpoint_free(&p->endpoints[side]);
		free(p->kept[side]);
	}
	free(p->flights);
}

/* -- the link -- */

static void post_once(struct pair *p, enum side to, const uint8_t *bytes, uint32_t len, vpn_ms at)
{
	for (unsigned i = 0; i < FLIGHT_MAX; i++) {
		if (p->flights[i].used)
			continue;
		p->flights[i] = (struct flight){ .used = true, .to = to, .at = at, .len = len };
		memcpy(p->flights[i].bytes, bytes, len);
		if (i >= p->flight_high)
			p->flight_high = i + 1;
		return;
	}
}

static void post(struct pair *p, enum side to, const uint8_t *bytes, uint32_t len)
{
	const struct link_quality *q = &p->quality;
	vpn_ms at = p->now + q->delay;

	if (pair_chance(p) % 100 < q->loss)
		return;
	if (pair_chance(p) % 100 < q->reorder)
		at += 1 + pair_chance(p) % (2 * (unsigned)q->delay + 1);
	post_once(p, to, bytes, len, at);
	if (pair_chance(p) % 100 < q->duplicate)
		post_once(p, to, bytes, len, at + pair_chance(p) % 20);
}

static void transmit(struct pair *p, enum side from)
{
	uint8_t out[VPN_DATAGRAM_MAX];
	size_t len;

	while (p->sessions[from] && (len = vpn_session_transmit(p->sessions[from], out, sizeof(out), p->now)))
		post(p, !from, out, (uint32_t)len);
}

/* -- a host, as small as can be -- */

static void admit(struct pair *p)
{
	vpn_grant grant = { .options = p->options, .option_count = p->option_count, .peer_id = p->peer_id };

	if (p->refuse)
		vpn_session_refuse(p->sessions[SERVER], "not today", p->now);
	else if (!p->hold_admission)
		vpn_session_admit(p->sessions[SERVER], &grant, p->now);
}

static void serve(struct pair *p, enum side side)
{
	vpn_event event;

	for (;;) {
		transmit(p, side);
		if (!p->sessions[side] || !vpn_session_next_event(p->sessions[side], &event))
			return;
		switch (event.kind) {
		case VPN_EVENT_IDENTIFIED:
			admit(p);
			break;
		case VPN_EVENT_OPEN:
			p->opened[side]++;
			break;
		case VPN_EVENT_REKEYED:
			p->rekeyed[side]++;
			break;
		case VPN_EVENT_PUSHED:
			p->pushed++;
			strncat(p->pushed_text, event.text, sizeof(p->pushed_text) - strlen(p->pushed_text) - 1);
			break;
		case VPN_EVENT_NOTE:
			snprintf(p->last_note[side], PAIR_TEXT, "%s", event.text);
			break;
		case VPN_EVENT_CLOSED:
			p->closed[side]++;
			snprintf(p->close_reason[side], PAIR_TEXT, "%s", event.text);
			vpn_session_free(&p->sessions[side], false);
			break;
		default:
			break;
		}
	}
}

static void stranger(struct pair *p, const struct flight *f)
{
	vpn_contact contact;

	vpn_first_contact(p->endpoints[SERVER], "10.0.0.1:1000", 13, f->bytes, f->len, p->now, &contact);
	p->contacts[contact.verdict]++;
	p->fates[SERVER][contact.fate]++;
	if (contact.verdict == VPN_CONTACT_REPLY) {
		if (contact.reply_len > f->len && contact.reply_len - f->len > p->longest_reply_excess)
			p->longest_reply_excess = contact.reply_len - f->len;
		post(p, CLIENT, contact.reply, (uint32_t)contact.reply_len);
	} else if (contact.verdict == VPN_CONTACT_OPEN) {
		uint8_t copy[FLIGHT_BYTES];
		memcpy(copy, f->bytes, f->len);
		if (!p->renew || !p->sessions[SERVER] || !vpn_session_renew(p->sessions[SERVER], &contact, p->now)) {
			vpn_session_free(&p->sessions[SERVER], true);
			p->sessions[SERVER] = vpn_session_accept(p->endpoints[SERVER], &contact, p->kept[SERVER], p->now);
		}
		vpn_session_receive(p->sessions[SERVER], copy, f->len, p->now);
		serve(p, SERVER);
	}
}

static void arrived(struct pair *p, enum side side, const uint8_t *packet, uint32_t len)
{
	uint32_t number;

	if (len < 24 || memcmp(packet, "pair", 4) != 0)
		return;
	memcpy(&number, packet + 4, 4);
	p->arrived[side]++;
	p->last_seen[side] = number;
	if (number < sizeof(p->seen[side]))
		p->seen[side][number]++;
}

static void deliver(struct pair *p, struct flight *f)
{
	vpn_session *s = p->sessions[f->to];
	uint8_t opcode = f->len ? f->bytes[0] >> 3 : 0;

	if (opcode == 6 || opcode == 9) {
		vpn_job job = { .session = s, .data = f->bytes, .len = f->len };
		if (!s)
			return;
		vpn_open(&job, 1, p->now);
		p->fates[f->to][job.fate ? job.fate : FATE_DELIVERED]++;
		if (job.fate == 0)
			arrived(p, f->to, job.data, job.len);
		if (job.attention)
			vpn_session_tick(s, p->now);
		serve(p, f->to);
		return;
	}
	if (p->deaf && f->to == SERVER)
		return;
	int fate = s ? vpn_session_receive(s, f->bytes, f->len, p->now) : FATE_WRONG_SESSION;
	p->fates[f->to][fate]++;
	if (fate == FATE_WRONG_SESSION && f->to == SERVER)
		stranger(p, f);
	serve(p, f->to);
}

static vpn_ms next_moment(const struct pair *p)
{
	vpn_ms at = INT64_MAX;

	for (unsigned i = 0; i < p->flight_high; i++)
		if (p->flights[i].used && p->flights[i].at < at)
			at = p->flights[i].at;
	for (int side = CLIENT; side <= SERVER; side++)
		if (p->sessions[side] && vpn_session_wake_at(p->sessions[side]) < at)
			at = vpn_session_wake_at(p->sessions[side]);
	return at;
}

void pair_run(struct pair *p, vpn_ms ms)
{
	vpn_ms end = p->now + ms;

	for (unsigned stuck = 0;;) {
		vpn_ms at = next_moment(p);
		if (at > end)
			break;
		if (at > p->now) {
			p->now = at;
			stuck = 0;
		} else if (++stuck > 10000) {
			fprintf(stderr, "time stands still at %lld\n", (long long)p->now);
			abort();
		}
		for (unsigned i = 0; i < p->flight_high; i++) {
			if (!p->flights[i].used || p->flights[i].at > p->now)
				continue;
			deliver(p, &p->flights[i]);
			p->flights[i].used = false;
		}
		for (int side = CLIENT; side <= SERVER; side++) {
			if (!p->sessions[side] || vpn_session_wake_at(p->sessions[side]) > p->now)
				continue;
			vpn_session_tick(p->sessions[side], p->now);
			serve(p, side);
		}
	}
	p->now = end;
}

bool pair_connect(struct pair *p, vpn_ms ms)
{
	for (vpn_ms end = p->now + ms; p->now < end;) {
		pair_run(p, 10);
		if ((p->opened[CLIENT] && p->opened[SERVER]) || p->closed[CLIENT])
			break;
	}
	return p->opened[CLIENT] && p->opened[SERVER];
}

int pair_send(struct pair *p, enum side from, uint32_t number, unsigned len)
{
	uint8_t room[VPN_HEADROOM + 2048] = { 0 };
	vpn_job job = { .session = p->sessions[from], .data = room + VPN_HEADROOM, .len = len };

	if (!p->sessions[from])
		return FATE_NOT_READY;
	memcpy(job.data, "pair", 4);
	memcpy(job.data + 4, &number, 4);
	vpn_seal(&job, 1, p->now);
	if (job.fate == 0) {
		p->sent[from]++;
		post(p, !from, job.data, job.len);
	}
	if (job.attention) {
		vpn_session_tick(p->sessions[from], p->now);
		serve(p, from);
	}
	return job.fate;
}

void pair_kill_and_adopt(struct pair *p, enum side side, vpn_ms renegotiate_in)
{
	static uint16_t epoch = 1;

	vpn_session_free(&p->sessions[side], false);
	vpn_endpoint_set_epoch(p->endpoints[side], ++epoch);
	p->sessions[side] = vpn_session_adopt(p->endpoints[side], p->kept[side], p->now, p->now + renegotiate_in);
}
