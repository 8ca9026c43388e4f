/* SPDX-License-Identifier: MIT
 * inbound.c and outbound.c, step by step between a socket that stands for the link and one that stands for the tunnel:
 * what goes in comes out, in trains or alone, and what must not come out has a fate, counted once. */
#include "tests/lib/suite.h"
#include "tests/unit/inner/recorded.h"
#include "tests/unit/inner/trains.h"

#include "tests/unit/worker/inside.h"

enum { OFFLOAD = INNER_OFFLOAD_LEN, AT_ONCE = 16, SUPER_AT = PACKET_HEADROOM, SUPER_ROOM = SUPER_AT + 65536 };

static int tunnel = -1; /* the device's other side */
static struct run sent, back, other;
static uint8_t super[SUPER_ROOM];
static struct batch out;

static void make_tunnel(void)
{
	int pair[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, pair), 0);
	ck_assert_int_eq(tun_queue_init(&w.tun, &(struct tun_queue_params){ .fd = pair[0],
						.header_len = OFFLOAD,
						.buffers = 4,
						.payload = 65535 }),
		0);
	tunnel = pair[1];
	w.has_tun = w.joins = w.joins_udp = true;
	ck_assert(outbound_init(&w, 1800));
}

static void set_up_lines(void)
{
	set_up();
	make_tunnel();
	connect_client(&clients[0]);
	ck_assert_uint_eq(session_at(&clients[0])->identity.inner4, 0x0a080002); /* whose packets packet4() makes */
	run_clear(&sent);
	run_clear(&back);
}

static void tear_down_lines(void)
{
	close(tunnel);
	close(w.tun.fd);
	tun_queue_clear(&w.tun);
	free(w.walk.area);
	tear_down();
}

static uint64_t fate(enum fate f)
{
	return counters.fates[f];
}

/* -- client to tunnel -- */

static void client_sends(const uint8_t *packet, uint32_t len)
{
	uint8_t space[VPN_HEADROOM + RUN_PACKET + 64];
	vpn_job job = { .session = clients[0].session, .data = space + VPN_HEADROOM, .len = len };

	memcpy(job.data, packet, len);
	vpn_seal(&job, 1, w.now);
	ck_assert_int_eq(job.fate, FATE_NONE);
	add(&clients[0].at, job.data, job.len);
}

/* What the device was given, cut into the packets it stands for. */
static unsigned tunnel_takes(struct run *into)
{
	static uint8_t written[OFFLOAD + 65536];
	unsigned writes = 0;
	ssize_t got;

	for (; (got = recv(tunnel, written, sizeof(written), 0)) > 0; writes++) {
		struct inner_offload offload;
		struct inner_cut cut;
		uint8_t *packet = written + OFFLOAD;
		size_t len = (size_t)got - OFFLOAD;

		memcpy(&offload, written, sizeof(offload));
		if (!offload.train) {
			memcpy(into->packets[into->count].bytes, packet, len);
			into->packets[into->count++].len = (uint32_t)len;
			continue;
		}
		ck_assert_int_eq(inner_cut_begin(&cut, &offload, packet, len), FATE_NONE);
		while (cut.count) {
			uint8_t *to = into->packets[into->count].bytes;
			into->packets[into->count++].len = (uint32_t)inner_cut_next(&cut, to);
		}
	}
	return writes;
}

/* The run through the inbound line, AT_ONCE packets a batch. Returns how many writes that took. */
static unsigned through(const struct run *r, struct run *into)
{
	unsigned writes = 0;

	run_clear(into);
	for (unsigned i = 0; i < r->count; i++) {
		client_sends(r->packets[i].bytes, r->packets[i].len);
		if (batch.count == AT_ONCE || i + 1 == r->count) {
			deliver();
			writes += tunnel_takes(into);
		}
	}
	return writes;
}

START_TEST(segments_of_one_batch_are_one_write)
{
	struct flow flow = flow_of(FLOW_TCP4, 1000);

	for (unsigned i = 0; i < AT_ONCE; i++)
		run_add(&sent, &flow, 1200, TCP_ACK);
	uint64_t before = fate(FATE_DELIVERED);
	ck_assert_uint_eq(through(&sent, &back), 1);
	runs_equal(&sent, &back);
	ck_assert_uint_eq(fate(FATE_DELIVERED) - before, AT_ONCE);
	ck_assert_uint_eq(counters.named[COUNTER_PACKETS_TUN_IN], AT_ONCE);
	ck_assert_uint_eq(counters.named[COUNTER_TUN_CALLS_IN], 1);
}
END_TEST

START_TEST(a_push_a_gap_and_another_flow_are_not_joined_and_nothing_overtakes)
{
	struct flow one = flow_of(FLOW_TCP4, 1000), two = flow_of(FLOW_UDP4, 2000);

	run_add(&sent, &one, 1000, TCP_ACK);
	run_add(&sent, &one, 1000, TCP_ACK | TCP_PSH); /* ends the train */
	run_add(&sent, &two, 500, 0);
	run_add(&sent, &one, 1000, TCP_ACK);
	one.number += 1000; /* lost on the way */
	run_add(&sent, &one, 1000, TCP_ACK);
	run_add(&sent, &two, 500, 0);
	ck_assert_uint_eq(through(&sent, &back), 4);
	runs_equal(&sent, &back);
}
END_TEST

/* What is no IPv4 is left out, and what has another address at that place of its head (0: any will do). */
static void keep_ip4(struct run *r, unsigned address_at, uint32_t address)
{
	unsigned kept = 0;

	for (unsigned i = 0; i < r->count; i++) {
		const uint8_t *p = r->packets[i].bytes;
		if (r->packets[i].len < 20 || p[0] >> 4 != 4)
			continue;
		struct bytes in = bytes_of(p + address_at, 4);
		if (address && read_u32(&in) != address)
			continue;
		if (kept != i)
			memcpy(&r->packets[kept], &r->packets[i], sizeof(r->packets[i]));
		kept++;
	}
	r->count = kept;
}

/* `sent` into the tunnel, in trains and not: the same packets, of each flow in the same order. */
static void both_ways_in(void)
{
	uint64_t bad = fate(FATE_BAD_PACKET), foreign = fate(FATE_BAD_SOURCE);

	w.joins = true;
	unsigned together = through(&sent, &back);
	bad = fate(FATE_BAD_PACKET) - bad;
	foreign = fate(FATE_BAD_SOURCE) - foreign;
	uint64_t bad_before = fate(FATE_BAD_PACKET), foreign_before = fate(FATE_BAD_SOURCE);
	w.joins = false;
	unsigned alone = through(&sent, &other);
	ck_assert_uint_eq(fate(FATE_BAD_PACKET) - bad_before, bad);
	ck_assert_uint_eq(fate(FATE_BAD_SOURCE) - foreign_before, foreign);
	ck_assert_uint_eq(alone, other.count);
	ck_assert_uint_le(together, alone);
	runs_equal(&other, &back);
}

START_TEST(with_and_without_trains_the_same_packets_reach_the_tunnel)
{
	uint64_t random = (uint64_t)_i + 1;

	run_random(&sent, &random);
	keep_ip4(&sent, 12, 0);
	both_ways_in();
}
END_TEST

START_TEST(what_linux_sent_reaches_the_tunnel_with_and_without_trains)
{
	FILE *file = recorded_open();
	unsigned packets = 0;
	uint64_t before = counters.named[COUNTER_TUN_CALLS_IN];

	while (recorded_next(file, &sent, RUN_MAX)) {
		keep_ip4(&sent, 12, 0x0a080002);
		packets += sent.count;
		both_ways_in();
		runs_equal(&sent, &back);
	}
	fclose(file);
	ck_assert_uint_gt(packets, 300);
	uint64_t calls = counters.named[COUNTER_TUN_CALLS_IN] - before;
	ck_assert_uint_lt(calls, 2 * packets - 60); /* some were joined */
}
END_TEST

START_TEST(each_datagram_that_is_refused_has_its_fate_once)
{
	struct flow flow = flow_of(FLOW_UDP4, 1000);
	uint64_t before = fates();

	for (unsigned i = 0; i < 5; i++)
		run_add(&sent, &flow, 100, 0);
	client_sends(sent.packets[0].bytes, sent.packets[0].len);
	add(&clients[0].at, batch.packets[0].at, batch.packets[0].len); /* again */
	client_sends(sent.packets[1].bytes, sent.packets[1].len);
	batch.packets[2].at[30] ^= 1;
	sent.packets[2].bytes[15] = 99; /* another's address */
	client_sends(sent.packets[2].bytes, sent.packets[2].len);
	client_sends(sent.packets[3].bytes, 19); /* no packet */
	client_sends(sent.packets[4].bytes, sent.packets[4].len);
	deliver();
	ck_assert_uint_eq(tunnel_takes(&back), 2);
	ck_assert_uint_eq(back.count, 2);
	ck_assert_mem_eq(back.packets[1].bytes, sent.packets[4].bytes, sent.packets[4].len);
	ck_assert_uint_eq(fate(FATE_REPLAYED), 1);
	ck_assert_uint_eq(fate(FATE_FORGED), 1);
	ck_assert_uint_eq(fate(FATE_BAD_SOURCE), 1);
	ck_assert_uint_eq(fate(FATE_BAD_PACKET), 1);
	ck_assert_uint_eq(fates() - before, 6);
}
END_TEST

START_TEST(datagrams_that_say_nothing_or_are_nobodys_are_told_apart)
{
	static const uint8_t no_opcode[40] = { 0 }, short_data[] = { 9 << 3, 0 },
			     nobodys[40] = { 9 << 3, 0, 0, 3 };

	add(&clients[0].at, no_opcode, sizeof(no_opcode));
	add(&clients[0].at, short_data, sizeof(short_data));
	add(&clients[0].at, nobodys, sizeof(nobodys));
	inbound(&w, &batch);
	batch.count = 0;
	ck_assert_uint_eq(fate(FATE_BAD_OPCODE), 1);
	ck_assert_uint_eq(fate(FATE_TOO_SHORT), 1);
	ck_assert_uint_eq(fate(FATE_UNKNOWN_PEER), 1);
}
END_TEST

/* A train to a device that is gone or full is lost like its packets would be, each of them. */
START_TEST(a_full_tunnel_and_one_that_is_gone_cost_only_what_was_for_them)
{
	struct flow flow = flow_of(FLOW_TCP4, 1000);
	unsigned full = 0;

	for (unsigned i = 0; i < AT_ONCE; i++)
		run_add(&sent, &flow, 1200, TCP_ACK);
	for (; full == 0; full = (unsigned)fate(FATE_TUNNEL_FULL)) {
		for (unsigned i = 0; i < AT_ONCE; i++)
			client_sends(sent.packets[i].bytes, sent.packets[i].len);
		deliver();
	}
	ck_assert_uint_eq(full, AT_ONCE);
	close(tunnel);
	tunnel = -1;
	through(&sent, &back);
	ck_assert_uint_eq(fate(FATE_TUNNEL_ERROR), AT_ONCE);
}
END_TEST

/* -- handshakes in a crowd -- */

/* `count` strangers' openers in the batch. */
static void strangers_knock(unsigned count)
{
	uint8_t opener[VPN_DATAGRAM_MAX];
	vpn_session *stranger = vpn_session_connect(client_endpoint, NULL, w.now);
	size_t len = vpn_session_transmit(stranger, opener, sizeof(opener), w.now);

	ck_assert_uint_gt(len, 0);
	for (unsigned i = 0; i < count; i++) {
		struct link_address from = clients[1].at;
		from.port = (uint16_t)(40000 + i);
		add(&from, opener, len);
	}
	vpn_session_free(&stranger, true);
}

START_TEST(data_does_not_wait_for_a_crowd_of_handshakes)
{
	struct flow flow = flow_of(FLOW_UDP4, 1000);
	uint64_t before = fates(), answered = fate(FATE_ANSWERED);

	strangers_knock(30);
	run_add(&sent, &flow, 100, 0);
	client_sends(sent.packets[0].bytes, sent.packets[0].len);
	inbound(&w, &batch);
	batch.count = 0;
	ck_assert_uint_eq(tunnel_takes(&back), 1);
	runs_equal(&sent, &back);
	ck_assert_uint_eq(fate(FATE_POSTPONED), 30 - HANDSHAKES_A_TURN);
	ck_assert_uint_eq(fate(FATE_ANSWERED) - answered, HANDSHAKES_A_TURN);
	for (unsigned left = 30 - HANDSHAKES_A_TURN; left;) {
		ck_assert_uint_eq(w.later.count, left);
		later_go_on(&w);
		left -= left < HANDSHAKES_A_TURN ? left : HANDSHAKES_A_TURN;
		ck_assert_uint_eq(fate(FATE_ANSWERED) - answered, 30 - left);
	}
	/* Each of them, its answer, the data, and once more those that stood aside. */
	ck_assert_uint_eq(fates() - before, 30 + 30 + 1 + 30 - HANDSHAKES_A_TURN);
	later_go_on(&w);
	ck_assert_uint_eq(fate(FATE_ANSWERED) - answered, 30);
}
END_TEST

START_TEST(nobody_overtakes_who_stands_aside_and_who_is_one_too_many_is_lost)
{
	uint64_t answered = fate(FATE_ANSWERED) + HANDSHAKES_A_TURN + 1;

	strangers_knock(HANDSHAKES_A_TURN + 1);
	inbound(&w, &batch);
	batch.count = 0;
	later_go_on(&w);
	ck_assert_uint_eq(w.later.count, 0);
	for (unsigned i = 0; i < 6; i++) {
		strangers_knock(100);
		inbound(&w, &batch);
		batch.count = 0;
	}
	ck_assert_uint_eq(w.later.count, 512);
	ck_assert_uint_gt(fate(FATE_CROWDED), 0);
	ck_assert_uint_eq(fate(FATE_CROWDED) + 512 + fate(FATE_ANSWERED) - answered, 600);
}
END_TEST

START_TEST(control_of_a_connected_client_does_not_stand_aside)
{
	uint8_t out_[VPN_DATAGRAM_MAX];
	size_t len;
	unsigned sent_now = 0;

	strangers_knock(50);
	vpn_session_renegotiate(clients[0].session, w.now);
	while ((len = vpn_session_transmit(clients[0].session, out_, sizeof(out_), w.now))) {
		add(&clients[0].at, out_, len);
		sent_now++;
	}
	ck_assert_uint_gt(sent_now, 0);
	inbound(&w, &batch);
	batch.count = 0;
	ck_assert_uint_eq(fate(FATE_POSTPONED), 50 - HANDSHAKES_A_TURN);
	ck_assert_uint_eq(w.later.count, 50 - HANDSHAKES_A_TURN);
}
END_TEST

/* -- tunnel to client -- */

/* What arrived at the client, opened. */
static void client_takes(struct run *into)
{
	uint8_t bytes[65536];
	ssize_t len;

	while ((len = recv(clients[0].fd, bytes, sizeof(bytes), MSG_DONTWAIT)) > 0) {
		vpn_job job = { .session = clients[0].session, .data = bytes, .len = (uint32_t)len };

		vpn_open(&job, 1, w.now);
		ck_assert_int_eq(job.fate, FATE_NONE);
		ck_assert_uint_lt(into->count, RUN_MAX);
		ck_assert_uint_le(job.len, RUN_PACKET);
		memcpy(into->packets[into->count].bytes, job.data, job.len);
		into->packets[into->count++].len = job.len;
	}
}

/* To the client instead of from it; no checksum changes by that. */
static void turn_round(uint8_t *packet)
{
	uint8_t source[4];

	memcpy(source, packet + 12, 4);
	memcpy(packet + 12, packet + 16, 4);
	memcpy(packet + 16, source, 4);
}

/* One packet out of the tunnel; the caller wrote it to super + SUPER_AT, with what the kernel says of it in front. It
 * may come by another worker's ring, where a super packet must stay as it is. */
static bool by_ring = true;

static void tunnel_gives(uint32_t len, bool offload)
{
	static uint8_t before[sizeof(super)];
	mono_ms now = w.now;

	memcpy(before, super, sizeof(super));
	out.count = 1;
	out.packets[0] = (struct packet){ .at = super + SUPER_AT,
		.len = len,
		.start = super,
		.room = sizeof(super),
		.peer = PEER_NONE,
		.offload = offload ? OFFLOAD : 0,
		.source = by_ring ? FROM_HANDOVER : FROM_US };
	outbound(&w, &out);
	if (offload && by_ring && before[SUPER_AT - OFFLOAD + offsetof(struct inner_offload, train)] != INNER_TRAIN_NONE)
		ck_assert_mem_eq(super, before, sizeof(super));
	w.now = now;
}

static struct inner_join join;

/* Packets of `sent` that were joined, as the device gives them. */
static uint32_t lay_out(const struct inner_unit *unit)
{
	uint32_t len = 0;
	unsigned index = unit->first;

	for (unsigned n = 0; n < unit->count; n++, index = join.next[index]) {
		uint32_t skip = n ? unit->head_len : 0;
		memcpy(super + SUPER_AT + len, join.at[index] + skip, sent.packets[index].len - skip);
		len += sent.packets[index].len - skip;
	}
	memcpy(super + SUPER_AT - OFFLOAD, &unit->offload, OFFLOAD);
	return len;
}

/* All packets of `sent` as the one super packet they make. */
static uint32_t lay_out_super(void)
{
	run_join(&sent, &join, true);
	ck_assert_uint_eq(join.units, 1);
	return lay_out(&join.unit[0]);
}

static void make_sent(unsigned kind, unsigned count, uint32_t size)
{
	struct flow flow = flow_of(kind, 1000);

	run_clear(&sent);
	for (unsigned i = 0; i < count; i++)
		run_add(&sent, &flow, size, TCP_ACK);
	for (unsigned i = 0; i < count; i++)
		turn_round(sent.packets[i].bytes);
}

START_TEST(a_packet_reaches_the_client_as_it_was)
{
	make_sent(FLOW_UDP4, 1, 700);
	memcpy(super + SUPER_AT, sent.packets[0].bytes, sent.packets[0].len);
	uint64_t before = counters.named[COUNTER_DATAGRAMS_OUT];
	tunnel_gives(sent.packets[0].len, false);
	client_takes(&back);
	runs_equal(&sent, &back);
	ck_assert_uint_eq(counters.named[COUNTER_DATAGRAMS_OUT] - before, 1);
}
END_TEST

START_TEST(a_super_packet_reaches_the_client_as_its_segments)
{
	static const struct {
		unsigned kind, count;
		uint32_t size;
	} rows[] = { { FLOW_TCP4, 44, 1400 }, { FLOW_TCP4, 3, 1 }, { FLOW_UDP4, 40, 1300 }, { FLOW_TCP4, 120, 100 } };

	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		make_sent(rows[i].kind, rows[i].count, rows[i].size);
		uint64_t before = fates();
		for (by_ring = false;; by_ring = true) {
			tunnel_gives(lay_out_super(), true);
			run_clear(&back);
			client_takes(&back);
			runs_equal(&sent, &back);
			if (by_ring)
				break;
		}
		ck_assert_uint_eq(fates() - before, 2 * rows[i].count);
	}
}
END_TEST

/* `sent` out of the tunnel, in super packets and one by one: the same packets, of each flow in the same order. Returns
 * how many super packets there were. */
static unsigned both_ways_out(void)
{
	unsigned supers = 0;

	run_join(&sent, &join, true);
	run_clear(&back);
	run_clear(&other);
	for (unsigned i = 0; i < join.units; i++) {
		bool is_super = join.unit[i].count > 1;
		supers += is_super;
		by_ring = !is_super || supers % 2 == 0;
		tunnel_gives(lay_out(&join.unit[i]), is_super);
		client_takes(&back);
	}
	for (unsigned i = 0; i < sent.count; i++) {
		memcpy(super + SUPER_AT, sent.packets[i].bytes, sent.packets[i].len);
		tunnel_gives(sent.packets[i].len, false);
		client_takes(&other);
	}
	runs_equal(&other, &back);
	return supers;
}

START_TEST(with_and_without_super_packets_the_client_gets_the_same)
{
	uint64_t random = (uint64_t)_i + 1;
	unsigned supers = 0;

	for (unsigned round = 0; round < 10; round++) {
		run_random(&sent, &random);
		keep_ip4(&sent, 12, 0);
		for (unsigned i = 0; i < sent.count; i++)
			turn_round(sent.packets[i].bytes);
		supers += both_ways_out();
	}
	ck_assert_uint_gt(supers, 10);
}
END_TEST

START_TEST(what_linux_sent_reaches_the_client_with_and_without_super_packets)
{
	FILE *file = recorded_open();
	unsigned packets = 0, supers = 0;

	while (recorded_next(file, &sent, RUN_MAX)) {
		keep_ip4(&sent, 16, 0x0a080002);
		packets += sent.count;
		supers += both_ways_out();
		runs_equal(&sent, &back);
		for (unsigned i = 0; i < back.count; i++)
			ck_assert(sums_right(back.packets[i].bytes, back.packets[i].len));
	}
	fclose(file);
	ck_assert_uint_gt(packets, 200);
	ck_assert_uint_gt(supers, 5);
}
END_TEST

START_TEST(more_segments_than_a_walk_holds_go_in_several)
{
	enum { SIZE = 40, SEGMENTS = 200 };
	uint32_t head = 52;

	make_sent(FLOW_TCP4, 2, SIZE);
	lay_out_super();
	memset(super + SUPER_AT + head, 7, SIZE * SEGMENTS);
	uint32_t len = head + SIZE * SEGMENTS;
	super[SUPER_AT + 2] = (uint8_t)(len >> 8);
	super[SUPER_AT + 3] = (uint8_t)len;
	uint64_t before = fate(FATE_DELIVERED);
	tunnel_gives(len, true);
	ck_assert_uint_eq(fate(FATE_DELIVERED) - before, SEGMENTS);
	unsigned arrived = 0;
	uint8_t bytes[BYTES];
	while (recv(clients[0].fd, bytes, sizeof(bytes), MSG_DONTWAIT) > 0)
		arrived++;
	ck_assert_uint_eq(arrived, SEGMENTS);
}
END_TEST

START_TEST(a_checksum_left_to_the_device_is_made)
{
	struct inner_offload offload = { .flags = INNER_SUM_MISSING, .sum_start = 20, .sum_offset = 6 };
	uint8_t *packet = super + SUPER_AT;
	uint32_t sum = 0;

	make_sent(FLOW_UDP4, 1, 333);
	uint32_t len = sent.packets[0].len;
	memcpy(packet, sent.packets[0].bytes, len);
	/* As the kernel leaves it: the pseudo header's sum alone. */
	for (unsigned i = 12; i < 20; i += 2)
		sum += (uint32_t)(packet[i] << 8 | packet[i + 1]);
	sum += 17 + (len - 20);
	sum = (sum & 0xffff) + (sum >> 16);
	packet[26] = (uint8_t)(sum >> 8);
	packet[27] = (uint8_t)sum;
	memcpy(packet - OFFLOAD, &offload, OFFLOAD);
	tunnel_gives(len, true);
	client_takes(&back);
	runs_equal(&sent, &back);
	ck_assert(inner_checksums_right(back.packets[0].bytes, back.packets[0].len));
}
END_TEST

START_TEST(what_the_device_gives_wrong_goes_nowhere_and_is_counted_once)
{
	struct inner_offload offload;

	make_sent(FLOW_TCP4, 10, 1000);
	uint32_t len = lay_out_super();
	uint64_t before = fates();

	memcpy(&offload, super + SUPER_AT - OFFLOAD, OFFLOAD);
	offload.size = 0;
	memcpy(super + SUPER_AT - OFFLOAD, &offload, OFFLOAD);
	tunnel_gives(len, true);
	ck_assert_uint_eq(fate(FATE_BAD_PACKET), 1);
	super[SUPER_AT + 19] = 77; /* nobody has that address */
	tunnel_gives(len, true);
	ck_assert_uint_eq(fate(FATE_NO_ROUTE), 1);
	tunnel_gives(10, false);
	ck_assert_uint_eq(fate(FATE_BAD_PACKET), 2);
	ck_assert_uint_eq(fates() - before, 3);
	client_takes(&back);
	ck_assert_uint_eq(back.count, 0);
}
END_TEST

/* A segment as large as the area that segments are sealed in goes; one larger, which no tun-mtu allows, does not, and
 * writes nowhere. */
START_TEST(segments_larger_than_any_mtu_are_refused)
{
	struct inner_offload offload;

	make_sent(FLOW_TCP4, 2, 1400);
	lay_out_super();
	memcpy(&offload, super + SUPER_AT - OFFLOAD, OFFLOAD);
	w.walk.area_len = 4000;
	offload.size = 9000;
	memcpy(super + SUPER_AT - OFFLOAD, &offload, OFFLOAD);
	uint32_t len = 52 + 18000;
	super[SUPER_AT + 2] = (uint8_t)(len >> 8);
	super[SUPER_AT + 3] = (uint8_t)len;
	tunnel_gives(len, true);
	ck_assert_uint_eq(fate(FATE_TOO_LONG), 1);
	client_takes(&back);
	ck_assert_uint_eq(back.count, 0);
}
END_TEST

START_TEST(jumbo_segments_are_cut_sealed_and_sent)
{
	struct inner_offload offload;
	uint8_t bytes[16384];
	ssize_t len;
	unsigned arrived = 0;

	make_sent(FLOW_TCP4, 2, 1400);
	lay_out_super();
	memcpy(&offload, super + SUPER_AT - OFFLOAD, OFFLOAD);
	offload.size = 8948; /* tun-mtu 9000 */
	memcpy(super + SUPER_AT - OFFLOAD, &offload, OFFLOAD);
	uint32_t all = 52 + 5 * 8948 + 100;
	super[SUPER_AT + 2] = (uint8_t)(all >> 8);
	super[SUPER_AT + 3] = (uint8_t)all;
	tunnel_gives(all, true);
	for (; (len = recv(clients[0].fd, bytes, sizeof(bytes), MSG_DONTWAIT)) > 0; arrived++) {
		vpn_job job = { .session = clients[0].session, .data = bytes, .len = (uint32_t)len };

		vpn_open(&job, 1, w.now);
		ck_assert_int_eq(job.fate, FATE_NONE);
		ck_assert_uint_eq(job.len, arrived < 5 ? 9000 : 152);
		ck_assert(inner_checksums_right(job.data, job.len));
	}
	ck_assert_uint_eq(arrived, 6);
}
END_TEST

/* A packet whose neighbour in the buffer begins right in front of it. */
START_TEST(a_packet_without_room_in_front_is_moved)
{
	make_sent(FLOW_UDP4, 1, 900);
	memcpy(super + SUPER_AT, sent.packets[0].bytes, sent.packets[0].len);
	memset(super, 0xaa, SUPER_AT);
	out.count = 1;
	out.packets[0] = (struct packet){ .at = super + SUPER_AT,
		.len = sent.packets[0].len,
		.start = super + SUPER_AT,
		.room = sent.packets[0].len,
		.source = FROM_HANDOVER };
	mono_ms now = w.now;
	outbound(&w, &out);
	w.now = now;
	client_takes(&back);
	runs_equal(&sent, &back);
	for (unsigned i = 0; i < SUPER_AT; i++)
		ck_assert_uint_eq(super[i], 0xaa);
}
END_TEST

/* Its owner died between sealing it and giving the record back, so its successor sees it once more. */
START_TEST(what_was_sealed_in_a_ring_already_is_not_sealed_again)
{
	const struct session *s = session_at(&clients[0]);
	uint64_t sent_before = counters.named[COUNTER_DATAGRAMS_OUT], bad = fate(FATE_BAD_PACKET);

	make_sent(FLOW_UDP4, 1, 900);
	memcpy(super + SUPER_AT, sent.packets[0].bytes, sent.packets[0].len);
	for (unsigned i = 0; i < 2; i++) {
		out.count = 1;
		out.packets[0] = (struct packet){ .at = super + SUPER_AT,
			.len = sent.packets[0].len,
			.start = super,
			.room = sizeof(super),
			.peer = s->slot,
			.generation = s->generation,
			.source = FROM_HANDOVER };
		if (i)
			super[SUPER_AT] = 0xa5; /* no version of IP, as the cipher leaves it fifteen times of sixteen */
		outbound_owned(&w, &out);
	}
	ck_assert_uint_eq(counters.named[COUNTER_DATAGRAMS_OUT] - sent_before, 1);
	ck_assert_uint_eq(fate(FATE_BAD_PACKET) - bad, 1);
	client_takes(&back);
	runs_equal(&sent, &back);
}
END_TEST

static void add_tests(TCase *tcase)
{
	tcase_add_checked_fixture(tcase, set_up_lines, tear_down_lines);
	tcase_add_test(tcase, segments_of_one_batch_are_one_write);
	tcase_add_test(tcase, a_push_a_gap_and_another_flow_are_not_joined_and_nothing_overtakes);
	tcase_add_loop_test(tcase, with_and_without_trains_the_same_packets_reach_the_tunnel, 0, 40);
	tcase_add_test(tcase, what_linux_sent_reaches_the_tunnel_with_and_without_trains);
	tcase_add_test(tcase, each_datagram_that_is_refused_has_its_fate_once);
	tcase_add_test(tcase, datagrams_that_say_nothing_or_are_nobodys_are_told_apart);
	tcase_add_test(tcase, a_full_tunnel_and_one_that_is_gone_cost_only_what_was_for_them);
	tcase_add_test(tcase, data_does_not_wait_for_a_crowd_of_handshakes);
	tcase_add_test(tcase, nobody_overtakes_who_stands_aside_and_who_is_one_too_many_is_lost);
	tcase_add_test(tcase, control_of_a_connected_client_does_not_stand_aside);
	tcase_add_test(tcase, a_packet_reaches_the_client_as_it_was);
	tcase_add_test(tcase, a_super_packet_reaches_the_client_as_its_segments);
	tcase_add_loop_test(tcase, with_and_without_super_packets_the_client_gets_the_same, 0, 40);
	tcase_add_test(tcase, what_linux_sent_reaches_the_client_with_and_without_super_packets);
	tcase_add_test(tcase, more_segments_than_a_walk_holds_go_in_several);
	tcase_add_test(tcase, a_checksum_left_to_the_device_is_made);
	tcase_add_test(tcase, what_the_device_gives_wrong_goes_nowhere_and_is_counted_once);
	tcase_add_test(tcase, segments_larger_than_any_mtu_are_refused);
	tcase_add_test(tcase, jumbo_segments_are_cut_sealed_and_sent);
	tcase_add_test(tcase, a_packet_without_room_in_front_is_moved);
	tcase_add_test(tcase, what_was_sealed_in_a_ring_already_is_not_sealed_again);
}

int main(void)
{
	return suite_run("worker lines", add_tests);
}
