/* SPDX-License-Identifier: MIT
 * Makes inner packets by the thousand, paces them, counts those that arrive. The far end answers in between:
 * farend.c. */
#include "tests/load/traffic.h"

#include "common/base/fate.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

enum { HEADS = 28, PORT = 7000, TRIES_NS = 50000000, DRAIN_NS = 150000000, HELLO_BATCH = 200 };

struct traffic {
	struct traffic_options options;
	uint32_t run;
	unsigned *flows; /* indices of members that are open, flow i is member flows[i] */
	unsigned flow_count, next;
	uint64_t *sequences;
	uint16_t *ids;
	bool *greeted;
	unsigned greeted_count;
	uint64_t counted;
	bool reported;
	struct probe_report far;
	struct tally tally;
	struct pace pace;
};

struct traffic *traffic_new(const struct traffic_options *options)
{
	struct traffic *t = calloc(1, sizeof(*t));
	if (!t)
		fleet_die("traffic", "out of memory");
	t->options = *options;
	t->run = (uint32_t)fleet_ns() | 1;
	return t;
}

void traffic_free(struct traffic **traffic)
{
	struct traffic *t = *traffic;
	if (!t)
		return;
	free(t->flows);
	free(t->sequences);
	free(t->ids);
	free(t->greeted);
	free(t);
	*traffic = NULL;
}

/* -- packets out -- */

static uint64_t sum16(const uint8_t *at, size_t len)
{
	uint64_t sum = 0;
	for (size_t i = 0; i < len; i += 2)
		sum += (uint64_t)at[i] << 8 | at[i + 1];
	return sum;
}

static void store16(uint8_t *at, uint32_t value)
{
	at[0] = (uint8_t)(value >> 8);
	at[1] = (uint8_t)value;
}

static uint16_t folded(uint64_t sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

/* An IPv4 UDP packet around `lead`, filled up with zeros to `size` bytes: zeros add nothing to a checksum. */
static void write_packet(uint8_t *p, uint32_t from, uint32_t to, uint16_t port, uint16_t id, const void *lead,
	size_t lead_len, size_t size)
{
	uint32_t ends[2] = { htonl(from), htonl(to) };
	memset(p, 0, size);
	p[0] = 0x45;
	store16(p + 2, (uint32_t)size);
	store16(p + 4, id);
	p[6] = 0x40; /* not to be fragmented */
	p[8] = 64;
	p[9] = IPPROTO_UDP;
	memcpy(p + 12, ends, sizeof(ends));
	store16(p + 10, folded(sum16(p, 20)));
	store16(p + 20, PORT);
	store16(p + 22, port);
	store16(p + 24, (uint32_t)size - 20);
	memcpy(p + HEADS, lead, lead_len);
	uint16_t sum = folded(sum16(p + 12, 8) + IPPROTO_UDP + size - 20 + sum16(p + 20, 8 + lead_len));
	store16(p + 26, sum ? sum : 0xffff);
}

static void say(struct traffic *t, struct fleet *f, unsigned flow, int kind, uint64_t number,
	const void *more, size_t more_len)
{
	uint8_t lead[sizeof(struct probe) + sizeof(struct probe_order)];
	struct probe p = { PROBE_MAGIC, (uint32_t)kind, t->run, flow, number, fleet_ns() };
	struct fleet_member *m = fleet_member(f, t->flows[flow]);
	if (!m->open)
		return;
	memcpy(lead, &p, sizeof(p));
	if (more)
		memcpy(lead + sizeof(p), more, more_len);
	write_packet(fleet_place(f), m->address, t->options.far_address, t->options.far_port, t->ids[flow]++,
		lead, sizeof(p) + more_len, HEADS + sizeof(p) + more_len);
	fleet_put(f, m, HEADS + sizeof(p) + more_len);
}

static void send_packet(
	struct traffic *t, struct fleet *f, unsigned flow, struct fleet_member *m, uint64_t now)
{
	bool pairs = t->options.mode == TRAFFIC_PAIRS;
	struct probe p = { PROBE_MAGIC, t->options.mode == TRAFFIC_ECHO ? PROBE_ECHO : PROBE_SINK, t->run,
		flow, t->sequences[flow]++, now };
	uint32_t to = pairs ? fleet_member(f, t->flows[flow ^ 1])->address : t->options.far_address;
	write_packet(fleet_place(f), m->address, to, pairs ? PORT : t->options.far_port, t->ids[flow]++, &p,
		sizeof(p), t->options.size);
	fleet_put(f, m, t->options.size);
}

static void send_due(struct traffic *t, struct fleet *f)
{
	size_t burst = t->options.burst;
	size_t leave = pace_leave(&t->pace, fleet_ns(), 4 * VPN_BATCH);
	leave -= leave % burst;
	for (; leave; leave -= burst) {
		struct fleet_member *m = fleet_member(f, t->flows[t->next]);
		uint64_t now = fleet_ns();
		t->pace.sent += burst;
		for (size_t i = 0; i < burst && m->open; i++)
			send_packet(t, f, t->next, m, now);
		t->next = (t->next + 1) % t->flow_count;
	}
	fleet_flush(f);
}

/* -- packets in -- */

static void control_in(
	struct traffic *t, const struct probe *p, const uint8_t *payload, size_t len, uint64_t now)
{
	if (p->kind == PROBE_HELLO && p->flow < t->flow_count && !t->greeted[p->flow]) {
		t->greeted[p->flow] = true;
		t->greeted_count++;
	} else if (p->kind == PROBE_COUNT) {
		pace_arrived(&t->pace, p->sequence, now);
	} else if (p->kind == PROBE_REPORT && len >= sizeof(*p) + sizeof(t->far)) {
		memcpy(&t->far, payload + sizeof(*p), sizeof(t->far));
		t->reported = true;
	}
}

void traffic_packets(struct traffic *t, struct fleet *f, const vpn_job *jobs, size_t n, uint64_t now_ns)
{
	struct probe p;
	for (size_t i = 0; i < n; i++) {
		const uint8_t *packet = jobs[i].data;
		if (jobs[i].fate != FATE_NONE || jobs[i].len < HEADS + sizeof(p) || packet[0] != 0x45 ||
			packet[9] != IPPROTO_UDP)
			continue;
		memcpy(&p, packet + HEADS, sizeof(p));
		if (p.magic != PROBE_MAGIC || p.run != t->run)
			continue;
		if (p.kind == PROBE_SINK)
			tally_note(&t->tally, &p, jobs[i].len, now_ns);
		else
			control_in(t, &p, packet + HEADS, jobs[i].len - HEADS, now_ns);
	}
	if (t->options.mode == TRAFFIC_ECHO || t->options.mode == TRAFFIC_PAIRS)
		pace_arrived(&t->pace, t->tally.packets, now_ns);
	else if (t->options.window && t->tally.packets - t->counted >= PROBE_COUNT_EVERY) {
		t->counted = t->tally.packets;
		say(t, f, 0, PROBE_COUNT, t->counted, NULL, 0);
		fleet_flush(f);
	}
}

/* -- a run -- */

static void choose_flows(struct traffic *t, struct fleet *f, unsigned clients)
{
	t->flows = calloc(clients, sizeof(*t->flows));
	for (unsigned i = 0; t->flows && i < clients && t->flow_count < PROBE_FLOWS; i++)
		if (fleet_member(f, i)->open)
			t->flows[t->flow_count++] = i;
	if (t->options.mode == TRAFFIC_PAIRS)
		t->flow_count &= ~1u;
	t->sequences = calloc(t->flow_count + 1u, sizeof(*t->sequences));
	t->ids = calloc(t->flow_count + 1u, sizeof(*t->ids));
	t->greeted = calloc(t->flow_count + 1u, sizeof(*t->greeted));
	if (!t->flows || !t->sequences || !t->ids || !t->greeted)
		fleet_die("traffic", "out of memory");
}

/* Every flow makes itself known; some at a time, so that nothing overflows. */
static bool greet(struct traffic *t, struct fleet *f)
{
	uint64_t end = fleet_ns() + 3000000000u + t->flow_count * 1000000ull;
	while (t->greeted_count < t->flow_count && fleet_ns() < end) {
		unsigned said = 0;
		for (unsigned i = 0; i < t->flow_count && said < HELLO_BATCH; i++) {
			unsigned flow = (t->next + i) % t->flow_count;
			if (t->greeted[flow])
				continue;
			say(t, f, flow, PROBE_HELLO, 0, NULL, 0);
			if (++said == HELLO_BATCH)
				t->next = flow + 1;
		}
		fleet_flush(f);
		for (uint64_t until = fleet_ns() + 20000000;
			t->greeted_count < t->flow_count && fleet_ns() < until;)
			fleet_turn(f, 5000000);
	}
	t->next = 0;
	return t->greeted_count == t->flow_count;
}

static void flow(struct traffic *t, struct fleet *f, bool up, bool down)
{
	const struct traffic_options *o = &t->options;
	struct probe_order order = { o->rate, o->window, o->size, o->burst, o->trains, 0, o->duration_ns };
	uint64_t end = fleet_ns() + o->duration_ns, told = 0;

	for (uint64_t now; (now = fleet_ns()) < end;) {
		if (down && !t->tally.packets && now - told > TRIES_NS) {
			told = now;
			say(t, f, 0, PROBE_GO, 0, &order, sizeof(order));
			fleet_flush(f);
		}
		if (up)
			send_due(t, f);
		fleet_turn(f, up ? pace_wait_ns(&t->pace, fleet_ns(), o->burst) : 1000000);
	}
	for (end = fleet_ns() + DRAIN_NS; fleet_ns() < end;)
		fleet_turn(f, 5000000);
}

static bool ask_report(struct traffic *t, struct fleet *f)
{
	for (int i = 0; i < 40 && !t->reported; i++) {
		say(t, f, 0, PROBE_REPORT, 0, NULL, 0);
		fleet_flush(f);
		for (uint64_t until = fleet_ns() + TRIES_NS; !t->reported && fleet_ns() < until;)
			fleet_turn(f, 5000000);
	}
	return t->reported;
}

bool traffic_run(struct traffic *t, struct fleet *f, unsigned clients, struct traffic_result *out)
{
	bool far = t->options.mode != TRAFFIC_PAIRS;
	bool up = t->options.mode != TRAFFIC_DOWN;
	bool down = t->options.mode == TRAFFIC_DOWN || t->options.mode == TRAFFIC_BOTH;

	memset(out, 0, sizeof(*out));
	choose_flows(t, f, clients);
	if (!t->flow_count || (far && !greet(t, f)))
		return false;
	t->pace = (struct pace){ .rate = t->options.rate, .window = t->options.window };
	out->began_ns = fleet_ns();
	out->spent_ns = t->options.spent();
	flow(t, f, up, down);
	out->spent_ns = t->options.spent() - out->spent_ns;
	out->ended_ns = fleet_ns();
	if (far && !ask_report(t, f))
		return false;
	out->up_sent = t->pace.sent;
	out->up = t->options.mode == TRAFFIC_UP || t->options.mode == TRAFFIC_BOTH;
	out->down = t->options.mode != TRAFFIC_UP;
	out->up_report = t->far;
	tally_report(&t->tally, &out->down_report);
	out->down_report.sent = down ? t->far.sent : t->pace.sent;
	return true;
}
