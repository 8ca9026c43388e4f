/* SPDX-License-Identifier: MIT
 * Two ends over a bad link on a virtual clock: datagrams are lost, doubled, delayed past each other. Whatever
 * the seed, everything arrives in order, exactly once, within the hand-window's order of time. */
#include "common/reliable/reliable.h"

#include <check.h>
#include <stdlib.h>

enum {
	MESSAGES = 40,
	IN_FLIGHT_MAX = 512,
	SEEDS = 1000,
	LOSS_PERCENT = 20,
	DOUBLE_PERCENT = 10,
	DELAY_MAX_MS = 300,
	LIMIT_MS = 600 * 1000,
};

struct end {
	struct send_window send;
	struct receive_window receive;
	uint32_t queued, delivered;
};

struct datagram {
	mono_ms at; /* 0: free place */
	unsigned to;
	uint8_t opcode;
	uint16_t len;
	uint8_t body[128];
};

struct link {
	uint64_t random;
	struct end ends[2];
	struct datagram in_flight[IN_FLIGHT_MAX];
};

/* SplitMix64 (Steele, Lea, Flood 2014): the same story for the same seed everywhere. */
static uint64_t random_below(struct link *l, uint64_t limit)
{
	uint64_t z = l->random += 0x9e3779b97f4a7c15;
	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
	z = (z ^ z >> 27) * 0x94d049bb133111eb;
	return (z ^ z >> 31) % limit;
}

static void put_on_link(
	struct link *l, unsigned to, uint8_t opcode, const struct control_head *head, mono_ms now)
{
	unsigned copies = random_below(l, 100) < LOSS_PERCENT	  ? 0
			  : random_below(l, 100) < DOUBLE_PERCENT ? 2
								  : 1;
	for (unsigned i = 0; i < IN_FLIGHT_MAX && copies; i++) {
		struct datagram *d = &l->in_flight[i];
		if (d->at)
			continue;
		d->at = now + 1 + (mono_ms)random_below(l, DELAY_MAX_MS);
		d->to = to;
		d->opcode = opcode;
		d->len = (uint16_t)wire_write_control(opcode, head, d->body, sizeof(d->body));
		ck_assert_uint_gt(d->len, 0);
		copies--;
	}
	ck_assert_uint_eq(copies, 0);
}

static void transmit(struct link *l, unsigned from, mono_ms now)
{
	struct end *e = &l->ends[from];
	while (e->queued < MESSAGES && send_window_room(&e->send)) {
		uint32_t number = e->queued++;
		ck_assert(send_window_push(&e->send, OP_CONTROL_V1, &number, sizeof(number), now));
	}
	const struct message *m;
	while ((m = send_window_due(&e->send, now))) {
		struct control_head head = { .message = m->id, .payload = bytes_of(m->payload, m->len) };
		head.ack_count = receive_window_take_acks(&e->receive, head.acks, WIRE_MAX_ACKS_PAYLOAD);
		put_on_link(l, !from, m->opcode, &head, now);
	}
	while (receive_window_owes(&e->receive)) {
		struct control_head head = { 0 };
		head.ack_count = receive_window_take_acks(&e->receive, head.acks, WIRE_MAX_ACKS);
		put_on_link(l, !from, OP_ACK_V1, &head, now);
	}
}

static void receive(struct link *l, struct datagram *d, mono_ms now)
{
	struct end *e = &l->ends[d->to];
	struct control_head head;
	ck_assert(wire_read_control(d->opcode, bytes_of(d->body, d->len), &head));
	send_window_acked(&e->send, head.acks, head.ack_count, now);
	if (d->opcode == OP_ACK_V1)
		return;
	receive_window_put(&e->receive, d->opcode, head.message, head.payload);
	const struct message *m;
	while ((m = receive_window_next(&e->receive))) {
		uint32_t number;
		ck_assert_uint_eq(m->len, sizeof(number));
		memcpy(&number, m->payload, sizeof(number));
		ck_assert_uint_eq(number, e->delivered);
		ck_assert_uint_eq(m->id, e->delivered);
		e->delivered++;
		receive_window_drop(&e->receive);
	}
}

static mono_ms next_moment(const struct link *l)
{
	mono_ms at =
		mono_earlier(send_window_wake_at(&l->ends[0].send), send_window_wake_at(&l->ends[1].send));
	for (unsigned i = 0; i < IN_FLIGHT_MAX; i++)
		if (l->in_flight[i].at)
			at = mono_earlier(at, l->in_flight[i].at);
	return at;
}

static bool done(const struct link *l)
{
	for (unsigned i = 0; i < 2; i++)
		if (l->ends[i].delivered < MESSAGES || !send_window_idle(&l->ends[i].send))
			return false;
	return true;
}

static void run(struct link *l, uint64_t seed)
{
	*l = (struct link){ .random = seed };
	for (unsigned i = 0; i < 2; i++) {
		ck_assert(send_window_init(&l->ends[i].send, 0, 2000));
		ck_assert(receive_window_init(&l->ends[i].receive, 0));
	}
	mono_ms now = 1;
	while (!done(l)) {
		transmit(l, 0, now);
		transmit(l, 1, now);
		now = next_moment(l);
		ck_assert_msg(
			now < LIMIT_MS, "seed %lu is not through after %d ms", (unsigned long)seed, LIMIT_MS);
		for (unsigned i = 0; i < IN_FLIGHT_MAX; i++) {
			struct datagram *d = &l->in_flight[i];
			if (d->at && d->at <= now) {
				receive(l, d, now);
				d->at = 0;
			}
		}
	}
	for (unsigned i = 0; i < 2; i++) {
		ck_assert_uint_eq(l->ends[i].delivered, MESSAGES);
		send_window_clear(&l->ends[i].send);
		receive_window_clear(&l->ends[i].receive);
	}
}

START_TEST(everything_arrives_in_order_and_once_over_a_bad_link)
{
	static struct link l;
	for (uint64_t seed = 0; seed < SEEDS; seed++)
		run(&l, seed);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("reliable/windows");
	TCase *tcase = tcase_create("windows");
	tcase_set_timeout(tcase, 60);
	tcase_add_test(tcase, everything_arrives_in_order_and_once_over_a_bad_link);
	suite_add_tcase(suite, tcase);
	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
