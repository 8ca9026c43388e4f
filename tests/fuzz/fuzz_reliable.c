/* SPDX-License-Identifier: MIT
 * The input is a story of two ends and what happens on the link between them. Whatever it is: messages are
 * given out in order, once, and no message is sent that is further ahead of what the receiver lacks than it
 * has slots. */
#include "common/base/check.h"
#include "common/reliable/reliable.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

enum { LINK_PLACES = 16 };

struct link {
	struct send_window send;
	struct receive_window receive;
	mono_ms now;
	uint32_t delivered;
	/* The last datagrams of each way, to be delivered never, once or often. */
	uint32_t messages[LINK_PLACES];
	uint32_t acks[LINK_PLACES][WIRE_MAX_ACKS];
	uint8_t ack_counts[LINK_PLACES];
	unsigned message_count, ack_count;
};

/* The lowest id that the receiver does not have; what it has and nobody took out yet is acknowledged all the
 * same. */
static uint32_t lowest_missing(const struct receive_window *w)
{
	uint32_t id = w->next_id;
	while (id - w->next_id < RECEIVE_SLOTS && w->slots[id % RECEIVE_SLOTS])
		id++;
	return id;
}

static void transmit(struct link *l)
{
	const struct message *m = send_window_due(&l->send, l->now);
	if (!m)
		return;
	uint32_t missing = lowest_missing(&l->receive);
	CHECK(m->id < missing || m->id - missing < SEND_SLOTS);
	CHECK(m->len == sizeof(m->id) && !memcmp(m->payload, &m->id, sizeof(m->id)));
	l->messages[l->message_count++ % LINK_PLACES] = m->id;
}

static void deliver(struct link *l, unsigned place)
{
	if (place >= l->message_count)
		return;
	uint32_t id = l->messages[place], next = l->receive.next_id;
	enum received received =
		receive_window_put(&l->receive, OP_CONTROL_V1, id, bytes_of(&id, sizeof(id)));
	CHECK(received != RECEIVED_NEW || id >= next);
	CHECK(received == RECEIVED_OUTSIDE || receive_window_owes(&l->receive));
}

static void give_out(struct link *l)
{
	const struct message *m = receive_window_next(&l->receive);
	if (!m)
		return;
	uint32_t text;
	CHECK(m->len == sizeof(text));
	memcpy(&text, m->payload, sizeof(text));
	CHECK(text == l->delivered && m->id == l->delivered);
	l->delivered++;
	receive_window_drop(&l->receive);
}

static void acknowledge(struct link *l, uint8_t room)
{
	unsigned place = l->ack_count++ % LINK_PLACES;
	uint8_t count = receive_window_take_acks(&l->receive, l->acks[place], room);
	CHECK(count <= room);
	for (unsigned i = 0; i < count; i++)
		for (unsigned j = 0; j < i; j++)
			CHECK(l->acks[place][i] != l->acks[place][j]);
	l->ack_counts[place] = count;
}

static void step(struct link *l, uint8_t what, uint8_t how)
{
	uint32_t next = l->send.next_id, strange[] = { next, next + how, UINT32_MAX - how };
	switch (what % 9) {
	case 0:
		CHECK(send_window_push(&l->send, OP_CONTROL_V1, &next, sizeof(next), l->now) ==
			(l->send.next_id != next));
		break;
	case 1:
		transmit(l);
		break;
	case 2:
		deliver(l, how % LINK_PLACES);
		break;
	case 3:
		give_out(l);
		break;
	case 4:
		acknowledge(l, how % (WIRE_MAX_ACKS + 1));
		break;
	case 5:
		if (how % LINK_PLACES < l->ack_count)
			send_window_acked(&l->send, l->acks[how % LINK_PLACES],
				l->ack_counts[how % LINK_PLACES], l->now);
		break;
	case 6:
		l->now += (mono_ms)how * how;
		break;
	case 7:
		send_window_resend_all(&l->send, l->now);
		break;
	default: /* a peer that acknowledges what was never sent, and sends far beyond the window */
		send_window_acked(&l->send, strange, 3, l->now);
		CHECK(receive_window_put(&l->receive, OP_CONTROL_V1, l->receive.next_id + RECEIVE_SLOTS + how,
			      bytes_of("x", 1)) == RECEIVED_OUTSIDE);
		break;
	}
	CHECK(send_window_room(&l->send) <= SEND_SLOTS);
	CHECK(send_window_idle(&l->send) == (send_window_wake_at(&l->send) == MONO_NEVER));
	CHECK(!send_window_idle(&l->send) || send_window_room(&l->send) == SEND_SLOTS);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct link l = { 0 };
	CHECK(send_window_init(&l.send, 0, 2000) && receive_window_init(&l.receive, 0));
	for (size_t i = 0; i + 1 < len; i += 2)
		step(&l, data[i], data[i + 1]);

	/* The link gets well: now everything arrives. */
	for (unsigned turn = 0; turn < 4 * SEND_SLOTS; turn++) {
		uint32_t acks[WIRE_MAX_ACKS];
		send_window_resend_all(&l.send, l.now);
		const struct message *m;
		while ((m = send_window_due(&l.send, l.now))) {
			receive_window_put(&l.receive, m->opcode, m->id, bytes_of(m->payload, m->len));
			uint8_t count = receive_window_take_acks(&l.receive, acks, WIRE_MAX_ACKS);
			send_window_acked(&l.send, acks, count, l.now);
			while (receive_window_next(&l.receive))
				give_out(&l);
		}
	}
	while (receive_window_next(&l.receive))
		give_out(&l); /* the last one may have been acknowledged and not yet read */
	CHECK(send_window_idle(&l.send) && l.delivered == l.send.next_id);
	send_window_clear(&l.send);
	receive_window_clear(&l.receive);
	return 0;
}
