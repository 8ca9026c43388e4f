/* SPDX-License-Identifier: MIT
 * What happens to sessions when others come, go and fill the table. */
#include "tests/unit/worker/inside.h"

#include "common/tls/tls.h"
#include "shm/leases.h"
#include "shm/links.h"
#include "shm/routes.h"
#include "worker/keyholder_wire.h"

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
	suite_add_tcase(suite, t);
	return run_suite(suite);
}
