/* SPDX-License-Identifier: MIT
 * What happens to sessions when others come, go, move and fill the table. */
#include "tests/unit/worker/inside.h"

#include "common/tls/tls.h"
#include "shm/crew.h"
#include "shm/events.h"
#include "shm/handover_ring.h"
#include "shm/leases.h"
#include "shm/links.h"
#include "shm/routes.h"
#include "worker/keyholder_wire.h"
#include "worker/orders.h"

#include <fcntl.h>

/* -- the tests -- */

START_TEST(a_float_ends_a_session_whose_packets_are_in_the_same_batch)
{
	config.duplicate_cn = true; /* one certificate for all here */
	connect_client(&clients[0]);
	connect_client(&clients[1]);
	ck_assert_uint_eq(w.session_count, 2);
	struct session *a = session_at(&clients[0]), *b = session_at(&clients[1]);
	uint32_t four_a = a->identity.inner4, four_b = b->identity.inner4;

	add_data(&clients[0], &clients[1].at, four_a, config.local4);
	add_data(&clients[1], &clients[1].at, four_b, config.local4);
	add_data(&clients[1], &clients[1].at, four_b, config.local4);
	deliver();
	ck_assert_uint_eq(w.session_count, 1);
	ck_assert_ptr_eq(session_at(&clients[1]), a);
	ck_assert_ptr_null(session_at(&clients[0]));
	ck_assert_uint_eq(counters.fates[FATE_STALE], 2);
}
END_TEST

/* Behind one NAT two clients may share address and port, where they come to different listeners. */
START_TEST(one_address_at_two_listeners_is_two_clients)
{
	config.duplicate_cn = true;
	connect_client(&clients[0]);
	close(clients[1].fd);
	clients[1].fd = dup(clients[0].fd);
	clients[1].at = clients[0].at;
	clients[1].at.listener = 1;
	connect_client(&clients[1]);
	ck_assert_uint_eq(w.session_count, 2);
	for (unsigned i = 0; i < 2; i++) {
		ck_assert_ptr_nonnull(session_at(&clients[i]));
		vpn_session_renegotiate(clients[i].session, w.now);
		run(&clients[i], 2500);
		ck_assert_uint_eq(counters.named[COUNTER_RENEGOTIATIONS], i + 1);
	}
	ck_assert_ptr_ne(session_at(&clients[0]), session_at(&clients[1]));
}
END_TEST

/* A hello with a post-quantum key share takes two datagrams, which arrive together: the first opens the session that the
 * second belongs to. */
START_TEST(a_hello_in_several_datagrams_of_one_batch_opens_a_session)
{
	struct client *c = &clients[0];
	uint64_t before;

	vpn_session_free(&c->session, true);
	vpn_endpoint_free(&client_endpoint);
	client_endpoint = endpoint(false, 250);
	c->session = vpn_session_connect(client_endpoint, NULL, w.now);
	client_speaks(c);
	client_hears(c);
	before = counters.fates[FATE_CONSUMED];
	client_speaks(c);
	ck_assert_ptr_nonnull(session_at(c));
	ck_assert_uint_ge(counters.fates[FATE_CONSUMED], before + 2);
	ck_assert_uint_eq(counters.fates[FATE_COOKIE_BAD], 0);
}
END_TEST

/* Whoever was judged by the old list and is not active yet when the master looks would come in by it. */
START_TEST(a_new_crl_ends_whom_it_lists_and_who_is_not_in_yet)
{
	const struct test_pki *pki = test_pki();
	char *crl, error[VPN_ERROR_TEXT];

	connect_client(&clients[1]); /* in for long when the list comes */
	config.scripts.client_connect = (const char *const[]){ "/bin/true", NULL };
	config.duplicate_cn = true;
	int ends[2];
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends), 0);
	w.helper_fd = ends[0];
	w.helper_last = &w.helper_first;
	run(&clients[0], 1000);
	struct session *s = session_at(&clients[0]);
	ck_assert(s && !s->active && s->helper_id);
	ck_assert(pki_make_crl(pki->ca_cert, pki->ca_key, NULL, 0, 9, &crl, error));
	ck_assert(vpn_endpoint_set_crl(w.endpoint, crl, error));
	sessions_check_revoked(&w);
	ck_assert_uint_eq(w.session_count, 2);
	free(crl);
	const char *listed[] = { pki->client_cert };
	ck_assert(pki_make_crl(pki->ca_cert, pki->ca_key, listed, 1, 9, &crl, error));
	ck_assert(vpn_endpoint_set_crl(w.endpoint, crl, error));
	sessions_check_revoked(&w);
	run(&clients[0], 2500);
	ck_assert_ptr_null(session_at(&clients[0]));
	ck_assert(!vpn_session_is_open(clients[0].session));
	ck_assert_ptr_nonnull(session_at(&clients[1]));
	free(crl);
	close(ends[0]);
	close(ends[1]);
	w.helper_fd = -1;
}
END_TEST

/* A proof holds for a while and is not used up: who brings it again and again begins handshakes without asking first. */
START_TEST(a_proof_does_not_open_sessions_without_end)
{
	struct client *c = &clients[0];
	uint8_t second[VPN_DATAGRAM_MAX];
	unsigned opened = 0;

	config.connect_freq_initial = 100;
	client_speaks(c);
	client_hears(c);
	size_t len = vpn_session_transmit(c->session, second, sizeof(second), w.now);
	ck_assert_uint_gt(len, 0);
	for (unsigned i = 0; i < 3000; i++) {
		add(&c->at, second, len);
		deliver();
		struct session *s = session_at(c);
		opened += s != NULL;
		if (s)
			session_end(&w, s, "test");
	}
	ck_assert_uint_ge(opened, 500);
	ck_assert_uint_le(opened, 1000);
	ck_assert_uint_eq(counters.fates[FATE_CONNECT_LIMITED], 3000 - opened);
	connect_client(&clients[1]); /* openers count by themselves */
}
END_TEST

/* Who only proves its address may begin as many handshakes as it likes; its lines in the log are counted by the second. */
START_TEST(strangers_do_not_fill_the_log)
{
	struct client *c = &clients[0];

	w.verb = 4;
	for (unsigned i = 0; i < 200; i++) {
		vpn_session_free(&c->session, true);
		c->session = vpn_session_connect(client_endpoint, NULL, w.now);
		client_speaks(c);
		client_hears(c);
		client_speaks(c);
		struct session *s = session_at(c);
		ck_assert_ptr_nonnull(s);
		session_end(&w, s, "test");
	}
	/* the master is gone here: what would be a line is counted as lost */
	uint64_t lines = counters.named[COUNTER_LOG_DROPPED];
	ck_assert_uint_ge(lines, 20);
	ck_assert_uint_le(lines, 100);
	w.now += 1000;
	connect_client(&clients[1]);
	session_log(&w, session_at(&clients[1]), 1, "is known");
	ck_assert_uint_gt(counters.named[COUNTER_LOG_DROPPED], lines + 1);
}
END_TEST

/* Not that of another certificate either, where many bear one name. */
START_TEST(an_address_of_another_client_is_not_taken_by_floating)
{
	config.duplicate_cn = true;
	connect_client(&clients[0]);
	connect_client(&clients[1]);
	struct session *a = session_at(&clients[0]), *b = session_at(&clients[1]);

	if (_i)
		b->identity.fingerprint[31] ^= 1;
	else
		strcpy(b->identity.common_name, "somebody else");
	session_publish(&w, b);
	add_data(&clients[0], &clients[1].at, a->identity.inner4, config.local4);
	deliver();
	ck_assert_ptr_eq(session_at(&clients[0]), a);
	ck_assert_ptr_eq(session_at(&clients[1]), b);
	ck_assert_uint_eq(counters.fates[FATE_FLOAT_REFUSED], 1);
}
END_TEST

START_TEST(the_newest_of_a_name_replaces_the_older_and_gets_its_address)
{
	connect_client(&clients[0]);
	uint32_t four = session_at(&clients[0])->identity.inner4;
	ck_assert_uint_ne(four, 0);
	connect_client(&clients[1]);
	ck_assert_uint_eq(w.session_count, 1);
	ck_assert_ptr_null(session_at(&clients[0]));
	struct session *s = session_at(&clients[1]);
	ck_assert_ptr_nonnull(s);
	ck_assert_uint_eq(s->identity.inner4, four);
	uint32_t slot, generation;
	uint8_t address[4] = { 10, 8, 0, (uint8_t)four };
	ck_assert(routes_find(w.shm, 4, address, &slot, &generation));
	ck_assert_uint_eq(slot, s->slot);
}
END_TEST

/* The other worker has a session of the same name that began later. */
START_TEST(who_finds_a_newer_one_of_its_name_gives_way)
{
	uint32_t generation, slot = peers_take(w.shm, 1, &generation);
	struct peer_identity other = {
		.common_name = "client", .client_id = 1000, .lease4 = LEASE_NONE, .lease6 = LEASE_NONE
	};

	ck_assert(peers_write(w.shm, slot, generation, &other));
	run(&clients[0], 2500);
	ck_assert(!vpn_session_is_open(clients[0].session));
	ck_assert_uint_eq(w.session_count, 0);
	ck_assert(peers_live(w.shm, slot, generation));
}
END_TEST

START_TEST(a_session_that_another_worker_closed_is_tidied_up)
{
	connect_client(&clients[0]);
	struct session *s = session_at(&clients[0]);
	uint32_t slot = s->slot, generation = s->generation;

	sessions_tidy(&w);
	ck_assert_uint_eq(w.session_count, 1);
	ck_assert(peers_set_state(w.shm, slot, generation, PEER_CLOSING));
	sessions_tidy(&w);
	ck_assert_uint_eq(w.session_count, 0);
	ck_assert(!peers_live(w.shm, slot, generation));
	ck_assert_uint_eq(peers_count(w.shm), 0);
}
END_TEST

static struct session *half_open(uint16_t port, bool proven, enum fate *fate)
{
	struct packet p = { .peer_address = { .family = 4, .port = port, .ip = { 192, 0, 2, 1 } } };
	vpn_contact contact = { .local_session = 5, .remote_session = port, .proven = proven };

	return session_open(&w, &p, &contact, fate);
}

START_TEST(a_full_table_takes_the_place_of_the_oldest_handshake_and_of_no_client)
{
	enum fate fate;

	connect_client(&clients[0]);
	struct session *connected = session_at(&clients[0]);
	uint32_t oldest_slot = half_open(1, true, &fate)->slot, oldest = w.half_first->generation;
	ck_assert_ptr_nonnull(half_open(2, true, &fate));
	ck_assert_ptr_nonnull(half_open(3, true, &fate));
	ck_assert_ptr_null(half_open(4, true, &fate));
	ck_assert_int_eq(fate, FATE_TABLE_FULL);
	w.now += 3500;
	ck_assert_ptr_nonnull(half_open(4, true, &fate));
	ck_assert_ptr_null(session_find(&w, oldest_slot, oldest));
	ck_assert_ptr_nonnull(half_open(5, true, &fate));
	ck_assert_ptr_nonnull(half_open(6, true, &fate));
	ck_assert_ptr_null(half_open(7, true, &fate));
	ck_assert_ptr_eq(session_at(&clients[0]), connected);
	ck_assert_uint_eq(w.session_count, SLOTS);
}
END_TEST

START_TEST(who_proved_nothing_does_not_get_the_address_of_a_live_session)
{
	vpn_contact contact = { .local_session = 5, .remote_session = 6 };
	struct packet p = { .peer_address = clients[0].at };
	enum fate fate;

	connect_client(&clients[0]);
	struct session *s = session_at(&clients[0]);
	add_data(&clients[0], &clients[0].at, s->identity.inner4, config.local4);
	deliver();
	ck_assert_ptr_null(session_open(&w, &p, &contact, &fate));
	ck_assert_int_eq(fate, FATE_FLOAT_REFUSED);
	ck_assert_ptr_eq(session_at(&clients[0]), s);
	/* Once it has been silent for long it may be a client that began anew. */
	w.now += 21000;
	ck_assert_ptr_nonnull(session_open(&w, &p, &contact, &fate));
	/* And if that comes to nothing, the address goes back. */
	session_end(&w, session_at(&clients[0]), "test");
	ck_assert_ptr_eq(session_at(&clients[0]), s);
}
END_TEST

START_TEST(a_stranger_at_an_address_that_its_session_left_is_let_in)
{
	connect_client(&clients[0]);
	struct session *s = session_at(&clients[0]);
	s->identity.peer_address.port ^= 1; /* the table still names the old one */
	connect_client(&clients[1]);
	vpn_session_free(&clients[0].session, true);
	clients[0].session = vpn_session_connect(client_endpoint, NULL, w.now);
	connect_client(&clients[0]);
}
END_TEST

START_TEST(packets_between_clients_are_counted_once)
{
	config.duplicate_cn = config.client_to_client = true;
	connect_client(&clients[0]);
	connect_client(&clients[1]);
	uint32_t a = session_at(&clients[0])->identity.inner4, b = session_at(&clients[1])->identity.inner4;
	uint64_t before = fates();

	add_data(&clients[0], &clients[0].at, a, b);
	add_data(&clients[0], &clients[0].at, b, a); /* not its own address */
	deliver();
	client_hears(&clients[1]);
	ck_assert_uint_eq(clients[1].arrived, 1);
	ck_assert_uint_eq(fates() - before, 2);
	ck_assert_uint_eq(counters.fates[FATE_BAD_SOURCE], 1);
	ck_assert_uint_eq(counters.named[COUNTER_PEER_TO_PEER], 1);
}
END_TEST

START_TEST(a_session_stands_once_in_the_line_for_signatures)
{
	static const uint8_t input[100];
	struct keyholder_request request;
	vpn_event event = {
		.kind = VPN_EVENT_SIGN, .number = 0x403, .text = "", .data = input, .len = sizeof(input)
	};
	int pair[2];
	enum fate fate;

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair), 0);
	born.keyholder_fd = pair[0];
	while (send(pair[0], input, sizeof(input), MSG_DONTWAIT) > 0)
		;
	struct session *a = half_open(1, true, &fate), *b = half_open(2, true, &fate);
	signing_ask(&w, a, &event);
	signing_ask(&w, b, &event);
	signing_ask(&w, b, &event);
	signing_ask(&w, a, &event);
	ck_assert_ptr_eq(w.sign_first, b);
	ck_assert_ptr_eq(b->sign_next, a);
	ck_assert_ptr_null(a->sign_next);
	session_end(&w, b, "test");
	ck_assert_ptr_eq(w.sign_first, a);
	/* Room again: what waited goes out with the newest number. */
	while (recv(pair[1], &request, sizeof(request), MSG_DONTWAIT) > 0)
		;
	ck_assert(signing_answers(&w));
	ck_assert_ptr_null(w.sign_first);
	ck_assert_int_eq(
		recv(pair[1], &request, sizeof(request), MSG_DONTWAIT), KEYHOLDER_HEAD + sizeof(input));
	ck_assert_uint_eq(request.id, a->sign_id);
	close(pair[0]);
	close(pair[1]);
}
END_TEST

START_TEST(nothing_is_left_behind_by_a_session_that_ended_in_any_state)
{
	enum fate fate;

	for (unsigned i = 0; i < 10; i++) {
		vpn_session_free(&clients[0].session, true);
		clients[0].session = vpn_session_connect(client_endpoint, NULL, w.now);
		/* From the first packet on to the open session. */
		run(&clients[0], i * 20);
		for (uint32_t slot = 0; slot < SLOTS; slot++)
			if (w.sessions[slot])
				session_end(&w, w.sessions[slot], "test");
	}
	half_open(1, true, &fate);
	session_end(&w, w.half_first, "test");
	ck_assert_uint_eq(w.session_count, 0);
	ck_assert_uint_eq(peers_count(w.shm), 0);
	ck_assert_ptr_null(w.half_first);
	ck_assert_ptr_eq(w.half_last, &w.half_first);
	for (uint32_t i = 0; i < lease_count(w.shm); i++) {
		struct lease_row row;
		ck_assert(lease_read(w.shm, i, &row) && !row.taken);
	}
	for (uint32_t slot = 0; slot < SLOTS; slot++) {
		static const uint8_t zeros[PEER_KEPT_LEN];
		ck_assert_mem_eq(peers_slot(w.shm, slot)->kept, zeros, sizeof(zeros));
	}
	ck_assert_int_eq(timer_wheel_wake_at(w.wheel), MONO_NEVER);
}
END_TEST

START_TEST(a_successor_goes_on_with_what_a_broken_worker_left)
{
	connect_client(&clients[0]);
	sessions_free(&w, true);
	born.epoch = 2;
	vpn_endpoint_set_epoch(w.endpoint, 2);
	w.blamed = PEER_NONE;
	sessions_adopt(&w);
	ck_assert_uint_eq(w.session_count, 1);
	struct session *s = session_at(&clients[0]);
	ck_assert_ptr_nonnull(s);
	ck_assert(s->active);
	uint64_t before = counters.fates[FATE_TUNNEL_ERROR]; /* there is no tunnel here */
	add_data(&clients[0], &clients[0].at, s->identity.inner4, config.local4);
	deliver();
	ck_assert_uint_eq(counters.fates[FATE_TUNNEL_ERROR], before + 1);
}
END_TEST

/* -- to another worker -- */

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

static struct stats_row row_told(uint32_t slot)
{
	struct stats_row row;
	for (size_t i = 0; i < sizeof(row) / 8; i++) {
		uint64_t word = atomic_load(&stats.rows[slot].words[i]);
		memcpy((uint8_t *)&row + 8 * i, &word, 8);
	}
	return row;
}

/* A second goes by; true if the row was written. */
static bool a_second_later(uint32_t slot)
{
	uint32_t before = atomic_load(&stats.rows[slot].version);
	w.now += 1000;
	publish(&w);
	return atomic_load(&stats.rows[slot].version) != before;
}

START_TEST(a_flood_of_strangers_does_not_wash_the_flight_recorder)
{
	char dir[] = "/tmp/worker-events-XXXXXX", path[64], error[400];
	unsigned opened = 0, left_out = 0, connected = 0;
	struct event *found;
	ck_assert_ptr_nonnull(mkdtemp(dir));
	born.events = events_open(dir, "hub", 2, (gid_t)-1, error, sizeof(error));
	ck_assert_msg(born.events != NULL, "%s", error);
	connect_client(&clients[0]);
	w.now += 1000;
	struct session stranger = { .slot = 1 };
	for (unsigned i = 0; i < 5000; i++)
		note_session(&w, &stranger, i % 2 ? EVENT_SESSION_OPENED : EVENT_HANDSHAKE_FAILED, 0, NULL);
	note_session(&w, session_at(&clients[0]), EVENT_RENEGOTIATED, 1, NULL); /* one we know is always told of */
	w.now += 1000;
	note_session(&w, &stranger, EVENT_SESSION_OPENED, 0, NULL);
	events_close(&born.events);

	snprintf(path, sizeof(path), "%s/hub.events", dir);
	struct event_reader *reader = event_reader_open(path, error, sizeof(error));
	ssize_t count = event_reader_take(reader, 0, NULL, NULL, &found);
	for (ssize_t i = 0; i < count; i++) {
		opened += found[i].slot == 1 && found[i].kind != EVENT_STRANGERS;
		connected += found[i].kind == EVENT_CONNECTED || found[i].kind == EVENT_RENEGOTIATED;
		if (found[i].kind == EVENT_STRANGERS)
			left_out += found[i].cause;
	}
	ck_assert_uint_eq(connected, 2);
	ck_assert_uint_le(opened, 21);
	ck_assert_uint_eq(opened + left_out, 5001);
	free(found);
	event_reader_close(&reader);
	unlink(path);
	rmdir(dir);
}
END_TEST

START_TEST(a_row_is_written_when_it_has_news_and_now_and_then)
{
	connect_client(&clients[0]);
	struct session *s = session_at(&clients[0]);
	struct stats_row row = row_told(s->slot);
	ck_assert_str_eq(row.common_name, "client");
	ck_assert_uint_eq(row.state, PEER_ACTIVE);
	ck_assert_ptr_nonnull(strstr(row.tls, "TLSv1."));
	ck_assert_int_ge(row.round_trip_ms, 0);
	ck_assert_uint_eq(row.wrap, PEER_WRAP_NONE);
	ck_assert_int_gt(row.keyed_unix, 0);
	for (int i = 0; i < 30; i++)
		a_second_later(s->slot); /* what it moved while connecting is forgotten */
	unsigned written = 0;
	for (int i = 0; i < 100; i++)
		written += a_second_later(s->slot);
	ck_assert_uint_ge(written, 9);
	ck_assert_uint_le(written, 11);

	peers_count_in(s->shared, 10, 64000, w.now);
	ck_assert(a_second_later(s->slot));
	row = row_told(s->slot);
	ck_assert_uint_ge(row.rate_in, 3000); /* depends on when the row was written last */
	ck_assert_uint_le(row.rate_in, 32000);
	ck_assert_uint_eq(row.rate_out, 0);
	uint64_t rate = row.rate_in;
	ck_assert(a_second_later(s->slot)); /* half of it: that is news as well */
	ck_assert_uint_eq(row_told(s->slot).rate_in, rate / 2);
	for (int i = 0; i < 20; i++)
		a_second_later(s->slot);
	ck_assert_uint_eq(row_told(s->slot).rate_in, 0);
	ck_assert_uint_gt(atomic_load(&stats.workers[0].heartbeats), 100);
}
END_TEST

/* -- traces -- */

static int master_end = -1;

/* From here on the master hears what we say. */
static void master_listens(void)
{
	int ends[2];
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, ends), 0);
	born.orders_fd = ends[0];
	master_end = ends[1];
	w.master_gone = false;
}

/* The next line of a trace, static; NULL: none. */
static const char *traced(const struct session *s)
{
	static char line[ORDER_TEXT_MAX + 1];
	struct order order;
	struct order_session of;
	size_t len;
	int fd;

	while (order_receive(master_end, &order, &fd) == 1) {
		if (order.kind != ANSWER_TRACE)
			continue;
		const char *text = order_session_read(&order, &of, &len);
		ck_assert_ptr_nonnull(text);
		ck_assert_uint_eq(of.slot, s->slot);
		ck_assert_uint_eq(of.generation, s->generation);
		memcpy(line, text, len);
		line[len] = '\0';
		return line;
	}
	return NULL;
}

static bool begins_and_ends(const char *line, const char *beginning, const char *end)
{
	size_t len = line ? strlen(line) : 0, end_len = strlen(end);
	return len >= end_len && strncmp(line, beginning, strlen(beginning)) == 0 &&
	       strcmp(line + len - end_len, end) == 0;
}

START_TEST(a_traced_session_says_what_became_of_each_packet_and_another_says_nothing)
{
	config.duplicate_cn = config.client_to_client = true;
	connect_client(&clients[0]);
	connect_client(&clients[1]);
	struct session *a = session_at(&clients[0]), *b = session_at(&clients[1]);
	master_listens();
	ck_assert_ptr_null(w.tracing);
	trace_session(&w, a->slot, a->generation, 60);
	ck_assert_ptr_nonnull(w.tracing);

	add_data(&clients[0], &clients[0].at, a->identity.inner4, config.local4);
	add_data(&clients[1], &clients[1].at, b->identity.inner4, config.local4); /* not traced */
	add_data(&clients[0], &clients[0].at, b->identity.inner4, config.local4); /* not its own address */
	batch.packets[2].at[20] ^= 1;						   /* ... and nobody will know */
	add_data(&clients[0], &clients[0].at, b->identity.inner4, config.local4);
	add_data(&clients[1], &clients[1].at, b->identity.inner4, a->identity.inner4);
	deliver();
	const char *line = traced(a);
	ck_assert_msg(begins_and_ends(line, "out UDP 10.8.0.3 0 > 10.8.0.2 0 len 28 | DATA_V2 kid=0 peer=0 len=52", ": DELIVERED"),
		"%s", line); /* it is sent while the batch still goes on */
	line = traced(a);
	ck_assert_msg(begins_and_ends(line, "in 127.0.0.1:", " DATA_V2 kid=0 peer=0 len=52 | UDP 10.8.0.2 0 > 10.8.0.1 0 len 28: "
		"TUNNEL_ERROR"), "%s", line);
	line = traced(a);
	ck_assert_msg(begins_and_ends(line, "in 127.0.0.1:", " DATA_V2 kid=0 peer=0 len=52: FORGED"), "%s", line);
	line = traced(a);
	ck_assert_msg(begins_and_ends(line, "in 127.0.0.1:", " | UDP 10.8.0.3 0 > 10.8.0.1 0 len 28: BAD_SOURCE"), "%s", line);
	ck_assert_ptr_null(traced(a));

	trace_session(&w, a->slot, a->generation, 0);
	ck_assert_ptr_null(w.tracing);
	add_data(&clients[0], &clients[0].at, a->identity.inner4, config.local4);
	deliver();
	ck_assert_ptr_null(traced(a));
}
END_TEST

START_TEST(a_trace_has_a_bounded_number_of_lines_a_second_and_ends)
{
	connect_client(&clients[0]);
	struct session *a = session_at(&clients[0]);
	unsigned lines = 0;
	master_listens();
	trace_session(&w, a->slot, a->generation, 3);
	for (unsigned i = 0; i < 5; i++) {
		for (unsigned n = 0; n < 100; n++)
			add_data(&clients[0], &clients[0].at, a->identity.inner4, config.local4);
		deliver();
		while (traced(a))
			lines++;
	}
	ck_assert_uint_eq(lines, 200);
	w.now += 1000;
	add_data(&clients[0], &clients[0].at, a->identity.inner4, config.local4);
	deliver();
	ck_assert_str_eq(traced(a), "300 more were left out");
	ck_assert(begins_and_ends(traced(a), "in ", ": TUNNEL_ERROR"));
	w.now += 1999;
	trace_tidy(&w);
	ck_assert_ptr_nonnull(w.tracing);
	w.now += 1;
	trace_tidy(&w);
	ck_assert_ptr_null(w.tracing);
}
END_TEST

START_TEST(who_is_not_there_or_not_ours_is_not_traced)
{
	connect_client(&clients[0]);
	struct session *a = session_at(&clients[0]);
	master_listens();
	trace_session(&w, a->slot, a->generation + 1, 60);
	trace_session(&w, SLOTS, a->generation, 60);
	trace_session(&w, UINT32_MAX, a->generation, 60);
	trace_session(&w, a->slot, a->generation, -1);
	ck_assert_ptr_null(w.tracing);
	trace_session(&w, a->slot, a->generation, 60);
	session_end(&w, a, "it goes");
	trace_tidy(&w);
	ck_assert_ptr_null(w.tracing);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("worker sessions");
	TCase *t = tcase_create("sessions");

	tcase_set_timeout(t, 30);
	tcase_add_checked_fixture(t, set_up, tear_down);
	tcase_add_test(t, a_float_ends_a_session_whose_packets_are_in_the_same_batch);
	tcase_add_test(t, one_address_at_two_listeners_is_two_clients);
	tcase_add_test(t, a_hello_in_several_datagrams_of_one_batch_opens_a_session);
	tcase_add_test(t, a_new_crl_ends_whom_it_lists_and_who_is_not_in_yet);
	tcase_add_test(t, a_proof_does_not_open_sessions_without_end);
	tcase_add_test(t, strangers_do_not_fill_the_log);
	tcase_add_loop_test(t, an_address_of_another_client_is_not_taken_by_floating, 0, 2);
	tcase_add_test(t, the_newest_of_a_name_replaces_the_older_and_gets_its_address);
	tcase_add_test(t, who_finds_a_newer_one_of_its_name_gives_way);
	tcase_add_test(t, a_session_that_another_worker_closed_is_tidied_up);
	tcase_add_test(t, a_full_table_takes_the_place_of_the_oldest_handshake_and_of_no_client);
	tcase_add_test(t, who_proved_nothing_does_not_get_the_address_of_a_live_session);
	tcase_add_test(t, a_stranger_at_an_address_that_its_session_left_is_let_in);
	tcase_add_test(t, packets_between_clients_are_counted_once);
	tcase_add_test(t, a_session_stands_once_in_the_line_for_signatures);
	tcase_add_test(t, nothing_is_left_behind_by_a_session_that_ended_in_any_state);
	tcase_add_test(t, a_successor_goes_on_with_what_a_broken_worker_left);
	tcase_add_test(t, a_session_moves_and_the_new_owner_hears_of_it);
	tcase_add_test(t, the_first_packet_tells_the_new_owner_if_nothing_else_does);
	tcase_add_test(t, the_periodic_look_finds_what_nobody_told_of);
	tcase_add_loop_test(t, an_order_to_end_a_session_follows_it_to_its_new_owner, 0, 4);
	tcase_add_test(t, in_the_middle_of_a_negotiation_nobody_moves);
	tcase_add_test(t, who_does_not_come_to_rest_stays_in_the_end);
	tcase_add_test(t, nonsense_in_an_order_moves_nobody);
	tcase_add_test(t, what_comes_late_goes_after_its_session);
	tcase_add_test(t, who_is_drained_lets_others_meet_strangers);
	tcase_add_test(t, a_flood_of_strangers_does_not_wash_the_flight_recorder);
	tcase_add_test(t, a_row_is_written_when_it_has_news_and_now_and_then);
	tcase_add_test(t, a_traced_session_says_what_became_of_each_packet_and_another_says_nothing);
	tcase_add_test(t, a_trace_has_a_bounded_number_of_lines_a_second_and_ends);
	tcase_add_test(t, who_is_not_there_or_not_ours_is_not_traced);
	suite_add_tcase(suite, t);
	return run_suite(suite);
}
