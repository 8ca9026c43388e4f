/* SPDX-License-Identifier: MIT
 * Sessions that go to another worker, or ought to and cannot, or whose worker is to be emptied. */
#include "tests/unit/worker/inside.h"

#include "shm/crew.h"
#include "shm/handover_ring.h"
#include "worker/orders.h"

/* We are that one from here on: its own life, its own endpoint's epoch. */
static void become(unsigned index, uint16_t epoch)
{
	ck_assert_uint_eq(w.session_count, 0);
	born.index = index;
	born.epoch = epoch;
	vpn_endpoint_set_epoch(w.endpoint, epoch);
}

static void order_move(const struct session *s, unsigned to)
{
	struct order order = { .kind = ORDER_MOVE, .value = (int)to, .len = sizeof(struct order_session) };
	struct order_session one = { .slot = s->slot, .generation = s->generation };

	memcpy(order.text, &one, sizeof(one));
	moving_begin(&w, to, &order);
}

static void work(unsigned ms)
{
	for (mono_ms end = w.now + ms; w.now < end; w.now += 5)
		if (w.now >= w.move_look_at)
			moving_go_on(&w);
}

/* Data from the client arrives, and data to it. */
static void serves(struct client *c, const struct session *s)
{
	uint64_t before = counters.fates[FATE_TUNNEL_ERROR]; /* there is no tunnel here */

	add_data(c, &c->at, s->identity.inner4, config.local4);
	deliver();
	ck_assert_uint_eq(counters.fates[FATE_TUNNEL_ERROR], before + 1);
}

START_TEST(a_session_moves_and_the_new_owner_hears_of_it)
{
	connect_client(&clients[0]);
	run(&clients[0], 1000);
	struct session *s = session_at(&clients[0]);
	uint32_t slot = s->slot, generation = s->generation, found;
	uint16_t ids = w.born->epoch;

	order_move(s, 1);
	work(5);
	ck_assert_uint_eq(w.session_count, 1); /* steered, and still ours */
	ck_assert_uint_eq(born_steer[slot], 1);
	serves(&clients[0], s);
	work(50);
	ck_assert_uint_eq(w.session_count, 0);
	ck_assert_ptr_null(w.move_first);
	ck_assert_int_eq(w.move_look_at, MONO_NEVER);
	ck_assert_uint_eq(peers_owner(w.shm, slot, &found), 1);
	ck_assert_uint_eq(found, generation);

	become(1, ids + 1);
	handover_look(&w);
	ck_assert_uint_eq(w.session_count, 1);
	ck_assert_uint_eq(counters.named[COUNTER_MOVED_IN], 1);
	s = session_find(&w, slot, generation);
	ck_assert_ptr_nonnull(s);
	serves(&clients[0], s);
	/* Its TLS did not come along: it gets another, without a word from the client. */
	run(&clients[0], 3000);
	ck_assert_uint_eq(counters.named[COUNTER_RENEGOTIATIONS], 1);
	ck_assert(vpn_session_is_open(clients[0].session));
	serves(&clients[0], s);
}
END_TEST

START_TEST(the_first_packet_tells_the_new_owner_if_nothing_else_does)
{
	connect_client(&clients[0]);
	run(&clients[0], 1000);
	struct session *s = session_at(&clients[0]);
	uint32_t slot = s->slot, generation = s->generation, four = s->identity.inner4;

	sessions_free(&w, true);
	ck_assert(peers_move_owner(w.shm, slot, generation, 0, 1));
	become(1, 2);
	uint64_t before = counters.fates[FATE_TUNNEL_ERROR];
	add_data(&clients[0], &clients[0].at, four, config.local4);
	deliver();
	ck_assert_uint_eq(counters.fates[FATE_TUNNEL_ERROR], before + 1);
	ck_assert_uint_eq(w.session_count, 1);
}
END_TEST

START_TEST(the_periodic_look_finds_what_nobody_told_of)
{
	connect_client(&clients[0]);
	run(&clients[0], 1000);
	struct session *s = session_at(&clients[0]);
	uint32_t slot = s->slot, generation = s->generation;

	sessions_free(&w, true);
	ck_assert(peers_move_owner(w.shm, slot, generation, 0, 1));
	sessions_tidy(&w); /* not ours: left alone */
	ck_assert_uint_eq(w.session_count, 0);
	become(1, 2);
	sessions_tidy(&w);
	ck_assert_uint_eq(w.session_count, 1);
	ck_assert_ptr_nonnull(session_find(&w, slot, generation));
}
END_TEST

/* The master ordered it of the owner that it saw. Round 0: the new owner has taken it up already; 1: not yet; 2: it is with
 * a third by then, here the first again; 3: there is no room in the ring, and it ends without a word. */
START_TEST(an_order_to_end_a_session_follows_it_to_its_new_owner)
{
	config.duplicate_cn = true;
	connect_client(&clients[0]);
	connect_client(&clients[1]);
	run(&clients[0], 1000);
	struct session *s = session_at(&clients[0]);
	uint32_t slot = s->slot, generation = s->generation;
	struct ring ring = ring_between(w.shm, 0, 1);
	struct ring_item item;

	sessions_free(&w, true);
	ck_assert(peers_move_owner(w.shm, slot, generation, 0, 1));
	moving_end(&w, slot, generation + 1, END_REVOKED, NULL); /* another tenant's */
	moving_end(&w, SLOTS + 7, generation, END_REVOKED, NULL);
	moving_end(&w, slot, generation, END_REASONS, NULL);
	moving_end(&w, slot, generation, END_FLOATED, NULL); /* no order's business */
	ck_assert(ring_empty(ring));
	while (_i == 3 && ring_reserve(ring, 0, &item)) {
		item.kind = HANDOVER_MOVED;
		ring_commit(ring, &item);
	}
	moving_end(&w, slot, generation, END_REVOKED, _i == 1 ? "AUTH_FAILED,as said" : NULL);
	ck_assert_uint_eq(w.session_count, 0);
	ck_assert(!ring_empty(ring));
	if (_i == 2) {
		ck_assert(peers_move_owner(w.shm, slot, generation, 1, 0));
		become(1, 2);
		handover_look(&w);
		ck_assert_uint_eq(w.session_count, 0);
		become(0, 3);
	} else {
		become(1, 2);
		if (_i == 0)
			session_welcome(&w, slot);
		ck_assert_uint_eq(w.session_count, _i == 0);
	}
	handover_look(&w);
	sessions_tidy(&w);
	ck_assert_uint_eq(w.session_count, _i == 3 ? 0 : _i == 2 ? 2 : 1); /* 2: the other client's was there all the time */
	run(&clients[0], 4000);
	ck_assert_ptr_null(session_find(&w, slot, generation));
	ck_assert(!peers_live(w.shm, slot, generation));
	if (_i != 3)
		ck_assert(!vpn_session_is_open(clients[0].session));
	ck_assert(vpn_session_is_open(clients[1].session));
}
END_TEST

/* A renegotiation that the client does not answer: it would lose it. */
START_TEST(in_the_middle_of_a_negotiation_nobody_moves)
{
	connect_client(&clients[0]);
	run(&clients[0], 1000);
	struct session *s = session_at(&clients[0]);

	vpn_session_renegotiate(s->engine, w.now);
	control_serve(&w, s);
	ck_assert(!vpn_session_at_rest(s->engine, w.now));
	order_move(s, 1);
	work(1000);
	ck_assert_uint_eq(w.session_count, 1);
	ck_assert_uint_eq(born_steer[s->slot], 0);
	/* Done with it, it goes. */
	run(&clients[0], 1000);
	ck_assert_uint_eq(counters.named[COUNTER_RENEGOTIATIONS], 1);
	work(1000);
	ck_assert_uint_eq(w.session_count, 0);
}
END_TEST

START_TEST(who_does_not_come_to_rest_stays_in_the_end)
{
	connect_client(&clients[0]);
	run(&clients[0], 1000);
	struct session *s = session_at(&clients[0]);

	vpn_session_renegotiate(s->engine, w.now);
	control_serve(&w, s);
	order_move(s, 1);
	work(6000);
	ck_assert_ptr_null(w.move_first);
	ck_assert_ptr_eq(w.move_last, &w.move_first);
	ck_assert_uint_eq(w.session_count, 1);
	uint32_t generation;
	ck_assert_uint_eq(peers_owner(w.shm, s->slot, &generation), 0);
	/* A handshake stays, too, and one that ends meanwhile leaves nothing behind. */
	enum fate fate;
	struct session *half = half_open(1, true, &fate);
	order_move(half, 1);
	order_move(s, 1);
	work(100);
	session_end(&w, half, "test");
	ck_assert_ptr_eq(w.move_first, s);
	ck_assert_ptr_eq(w.move_last, &s->move_next);
}
END_TEST

START_TEST(nonsense_in_an_order_moves_nobody)
{
	connect_client(&clients[0]);
	run(&clients[0], 1000);
	struct session *s = session_at(&clients[0]);
	struct order order = { .kind = ORDER_MOVE, .len = 4 };

	moving_begin(&w, 1, &order); /* not even one */
	order_move(s, 0);	     /* to ourselves */
	order_move(s, 2);	     /* to nobody */
	order_move(s, UINT16_MAX);
	struct session other = *s;
	other.generation++;
	order_move(&other, 1);
	other.slot = SLOTS;
	order_move(&other, 1);
	ck_assert_ptr_null(w.move_first);
	work(100);
	ck_assert_uint_eq(w.session_count, 1);
}
END_TEST

/* Handed to us for a session that has moved on meanwhile. */
START_TEST(what_comes_late_goes_after_its_session)
{
	connect_client(&clients[0]);
	run(&clients[0], 1000);
	struct session *s = session_at(&clients[0]);
	uint32_t slot = s->slot, generation = s->generation, four = s->identity.inner4;
	uint64_t before = counters.fates[FATE_TUNNEL_ERROR];

	order_move(s, 1);
	work(50);
	ck_assert_uint_eq(w.session_count, 0);
	add_data(&clients[0], &clients[0].at, four, config.local4);
	deliver();
	ck_assert_uint_eq(counters.fates[FATE_HANDED_OVER], 1);
	become(1, 2);
	handover_look(&w); /* first the word that it is ours, then its datagram */
	ck_assert_ptr_nonnull(session_find(&w, slot, generation));
	ck_assert_uint_eq(counters.fates[FATE_TUNNEL_ERROR], before + 1);
}
END_TEST

START_TEST(who_is_drained_lets_others_meet_strangers)
{
	uint8_t out[VPN_DATAGRAM_MAX];

	crew_set(w.shm, 1, true);
	w.has_tun = false;
	size_t len = vpn_session_transmit(clients[0].session, out, sizeof(out), w.now);
	add(&clients[0].at, out, len);
	inbound(&w, &batch);
	ck_assert_uint_eq(counters.fates[FATE_HANDED_OVER], 1);
	ck_assert_uint_eq(w.session_count, 0);
	batch.count = 0;
	/* The other one answers. */
	become(1, 2);
	handover_look(&w);
	uint8_t bytes[BYTES];
	ck_assert_int_gt(recv(clients[0].fd, bytes, sizeof(bytes), MSG_DONTWAIT), 0);
	/* With nobody to give it to, we do it ourselves. */
	crew_set(w.shm, 1, false);
	add(&clients[0].at, out, len);
	inbound(&w, &batch);
	batch.count = 0;
	ck_assert_uint_eq(counters.fates[FATE_HANDED_OVER], 1);
	ck_assert_int_gt(recv(clients[0].fd, bytes, sizeof(bytes), MSG_DONTWAIT), 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("worker move");
	TCase *t = tcase_create("move");

	tcase_set_timeout(t, 30);
	tcase_add_checked_fixture(t, set_up, tear_down);
	tcase_add_test(t, a_session_moves_and_the_new_owner_hears_of_it);
	tcase_add_test(t, the_first_packet_tells_the_new_owner_if_nothing_else_does);
	tcase_add_test(t, the_periodic_look_finds_what_nobody_told_of);
	tcase_add_loop_test(t, an_order_to_end_a_session_follows_it_to_its_new_owner, 0, 4);
	tcase_add_test(t, in_the_middle_of_a_negotiation_nobody_moves);
	tcase_add_test(t, who_does_not_come_to_rest_stays_in_the_end);
	tcase_add_test(t, nonsense_in_an_order_moves_nobody);
	tcase_add_test(t, what_comes_late_goes_after_its_session);
	tcase_add_test(t, who_is_drained_lets_others_meet_strangers);
	suite_add_tcase(suite, t);
	return run_suite(suite);
}
