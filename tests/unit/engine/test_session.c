/* SPDX-License-Identifier: MIT
 * A session's corners: what it does with time, with a peer that misbehaves inside TLS, and at its end. */
#include "common/engine/session.h"
#include "common/data/data_key.h"
#include "tests/lib/suite.h"
#include "tests/pair/pair.h"

#include <stdio.h>
#include <string.h>

static struct pair *p;

static void set_up(void)
{
	p = malloc(sizeof(*p));
	pair_init(p, 7);
}

static void tear_down(void)
{
	pair_clear(p);
	free(p);
}

static void connect_both(void)
{
	pair_start(p);
	ck_assert(pair_connect(p, 20000));
	pair_run(p, 3000);
}

static unsigned drain(vpn_session *s)
{
	uint8_t out[VPN_DATAGRAM_MAX];
	unsigned count = 0;

	while (vpn_session_transmit(s, out, sizeof(out), p->now))
		count++;
	return count;
}

/* The client asks for the MTU in an OCC packet; the server has not answered yet. */
static void ask_for_mtu(void)
{
	static const uint8_t question[17] = { 0x28, 0x7f, 0x34, 0x6b, 0xd4, 0xef, 0x7a, 0x81, 0x2d, 0x56,
		0xb8, 0xd3, 0xaf, 0xc5, 0x45, 0x9c, 4 };
	uint8_t room[VPN_HEADROOM + 64];
	vpn_job job = {
		.session = p->sessions[CLIENT], .data = room + VPN_HEADROOM, .len = sizeof(question)
	};

	memcpy(job.data, question, sizeof(question));
	vpn_seal(&job, 1, p->now);
	job.session = p->sessions[SERVER];
	vpn_open(&job, 1, p->now);
	ck_assert_int_eq(job.fate, FATE_CONSUMED);
	ck_assert(job.attention);
}

/* OpenVPN 3 answers a server's soft reset with TLS as its message 0. */
START_TEST(a_client_without_a_soft_reset_of_its_own_is_renegotiated_with)
{
	connect_both();
	vpn_session_renegotiate(p->sessions[SERVER], p->now);
	ck_assert(negotiation_again(p->sessions[CLIENT], false, p->now));
	struct negotiation *n = p->sessions[CLIENT]->negotiation;
	send_window_clear(&n->out);
	ck_assert(send_window_init(&n->out, 0, 2000));
	pair_run(p, 5000);
	ck_assert_uint_eq(p->rekeyed[SERVER], 1);
	ck_assert_uint_eq(p->rekeyed[CLIENT], 1);
}
END_TEST

/* When the last thing before a death was a renegotiation and the client still sends with the key before it, that one is
 * still good a while later; what it hears does not move it. */
START_TEST(an_adopted_session_does_not_renegotiate_before_its_client_uses_the_newest_key)
{
	p->settings[SERVER].ping_restart_ms = p->settings[CLIENT].ping_restart_ms = 0;
	connect_both();
	vpn_session_renegotiate(p->sessions[SERVER], p->now);
	pair_run(p, 2000);
	ck_assert_uint_eq(p->rekeyed[SERVER], 1);
	vpn_ms made = p->now;
	pair_kill_and_adopt(p, SERVER, 100);
	for (unsigned i = 0; i < 200; i++) {
		p->sessions[CLIENT]->send_from = p->now + 1000;
		ck_assert_int_eq(pair_send(p, CLIENT, i, 100), FATE_NONE);
		pair_run(p, 100);
	}
	ck_assert_uint_eq(p->rekeyed[SERVER], 1);
	ck_assert_uint_eq(p->arrived[SERVER], 200);
	p->sessions[CLIENT]->send_from = p->now;
	while (p->now < made + 70000) {
		ck_assert_int_eq(pair_send(p, SERVER, 0, 100), FATE_NONE);
		pair_run(p, 1000);
	}
	ck_assert_uint_eq(p->rekeyed[SERVER], 2);
}
END_TEST

START_TEST(an_occ_question_is_answered_once)
{
	connect_both();
	ask_for_mtu();
	ck_assert_int_le(vpn_session_wake_at(p->sessions[SERVER]), p->now);
	ck_assert_uint_eq(drain(p->sessions[SERVER]), 1);
	ck_assert_int_gt(vpn_session_wake_at(p->sessions[SERVER]), p->now);
}
END_TEST

START_TEST(an_unanswered_question_does_not_keep_a_leaving_session_awake)
{
	connect_both();
	ask_for_mtu();
	vpn_session_close(p->sessions[SERVER], "RESTART", "test", 5000, p->now);
	vpn_session_tick(p->sessions[SERVER], p->now);
	drain(p->sessions[SERVER]);
	ck_assert_int_gt(vpn_session_wake_at(p->sessions[SERVER]), p->now);
}
END_TEST

START_TEST(a_wanted_renegotiation_does_not_keep_a_leaving_session_awake)
{
	connect_both();
	p->sessions[SERVER]->renegotiate_now = true;
	vpn_session_close(p->sessions[SERVER], "RESTART", "test", 5000, p->now);
	vpn_session_tick(p->sessions[SERVER], p->now);
	drain(p->sessions[SERVER]);
	ck_assert_int_gt(vpn_session_wake_at(p->sessions[SERVER]), p->now);
}
END_TEST

START_TEST(garbage_inside_tls_ends_the_session)
{
	vpn_event event;
	connect_both();
	vpn_session *s = p->sessions[SERVER];
	tls_feed(s->negotiation->tls, "\x17\x03\x03\x00\x20 no record that anybody sealed here", 37);
	negotiation_advance(s, p->now);
	while (vpn_session_next_event(s, &event) && event.kind != VPN_EVENT_CLOSED)
		;
	ck_assert_int_eq(event.kind, VPN_EVENT_CLOSED);
	ck_assert_ptr_nonnull(strstr(event.text, "TLS"));
	ck_assert(!vpn_session_next_event(s, &event));
	ck_assert_int_eq(vpn_session_wake_at(s), INT64_MAX);
}
END_TEST

/* The client is gone; every attempt to renegotiate fails. */
START_TEST(failed_renegotiations_do_not_lengthen_the_life_of_a_key)
{
	p->settings[SERVER].tran_window_ms = 300000;
	connect_both();
	vpn_session_free(&p->sessions[CLIENT], true);
	for (unsigned attempt = 0; attempt < 4; attempt++) {
		vpn_session_renegotiate(p->sessions[SERVER], p->now);
		pair_run(p, 70000);
		ck_assert_ptr_nonnull(p->sessions[SERVER]);
	}
	vpn_session_renegotiate(p->sessions[SERVER], p->now);
	pair_run(p, 30000);
	ck_assert_uint_eq(p->closed[SERVER], 1);
	ck_assert_ptr_nonnull(strstr(p->close_reason[SERVER], "tran-window"));
}
END_TEST

START_TEST(a_session_time_limit_outlives_its_process)
{
	p->settings[SERVER].session_timeout_ms = 100000;
	connect_both();
	pair_run(p, 60000);
	pair_kill_and_adopt(p, SERVER, 1000);
	pair_run(p, 45000);
	ck_assert_uint_eq(p->closed[SERVER], 1);
	ck_assert_ptr_nonnull(strstr(p->close_reason[SERVER], "session-timeout"));
}
END_TEST

/* What a client may cost: it starts one negotiation after the other. */
START_TEST(a_client_cannot_renegotiate_as_often_as_it_likes)
{
	connect_both();
	for (unsigned i = 0; i < 3000; i++) {
		vpn_session_renegotiate(p->sessions[CLIENT], p->now);
		pair_run(p, 1);
	}
	ck_assert_uint_ge(p->rekeyed[SERVER], 2);
	ck_assert_uint_le(p->rekeyed[SERVER], 5);
}
END_TEST

/* Its handshakes fail as soon as they cost us a signature; the old key goes on serving it. */
START_TEST(nor_where_each_of_them_fails)
{
	connect_both();
	vpn_session *s = p->sessions[SERVER];
	unsigned begun = 0;
	for (unsigned i = 0; i < 3000; i++) {
		uint8_t key_id = s->kept->key_id;
		vpn_session_renegotiate(p->sessions[CLIENT], p->now);
		p->sessions[CLIENT]->kept->key_id = key_id;
		negotiation_again(p->sessions[CLIENT], true, p->now);
		vpn_session_tick(p->sessions[CLIENT], p->now);
		pair_run(p, 12);
		ck_assert_ptr_nonnull(p->sessions[SERVER]);
		begun += s->kept->key_id != key_id;
		if (s->negotiation && !s->negotiation->keyed)
			negotiation_failed(s, "test", p->now);
	}
	ck_assert_uint_ge(begun, 10);
	ck_assert_uint_le(begun, 40);
}
END_TEST

/* It numbers its packets as it likes: near the end of the numbers a key is worn at once. */
START_TEST(nor_by_wearing_each_key_out_at_once)
{
	connect_both();
	for (unsigned i = 0; i < 3000; i++) {
		for (unsigned k = 0; k < 2; k++)
			if (p->sessions[CLIENT]->keys[k] && p->sessions[CLIENT]->keys[k]->block.next < 0xff000000)
				p->sessions[CLIENT]->keys[k]->block = (struct packet_id_block){ 0xff000001, 0xffff0000 };
		p->sessions[CLIENT]->send_from = p->now;
		pair_send(p, CLIENT, i, 100);
		pair_run(p, 1);
	}
	ck_assert_uint_ge(p->rekeyed[SERVER], 2);
	ck_assert_uint_le(p->rekeyed[SERVER], 5);
}
END_TEST

/* A revoked client would stay for ever if it could keep us from asking for its certificate again. */
START_TEST(a_client_that_acknowledges_nothing_is_asked_to_renegotiate_all_the_same)
{
	p->settings[SERVER].reneg_ms = p->settings[SERVER].reneg_min_ms = 100000;
	p->settings[SERVER].tran_window_ms = 200000;
	p->settings[SERVER].ping_restart_ms = 60000;
	connect_both();
	vpn_session *s = p->sessions[SERVER];
	ck_assert(vpn_session_say(s, "INFO,never acknowledged", p->now));
	for (uint32_t second = 0; second < 1000 && p->sessions[SERVER]; second++) {
		uint8_t nowhere[VPN_DATAGRAM_MAX];
		uint8_t room[VPN_HEADROOM + 64] = { 0 };
		vpn_job job = { .session = p->sessions[CLIENT], .data = room + VPN_HEADROOM, .len = 40 };
		vpn_event event;
		vpn_seal(&job, 1, p->now);
		job.session = s;
		vpn_open(&job, 1, p->now);
		ck_assert_int_eq(job.fate, FATE_NONE);
		p->now += 1000;
		vpn_session_tick(s, p->now);
		while (vpn_session_transmit(s, nowhere, sizeof(nowhere), p->now))
			;
		while (s && vpn_session_next_event(s, &event))
			if (event.kind == VPN_EVENT_CLOSED) {
				snprintf(p->close_reason[SERVER], PAIR_TEXT, "%s", event.text);
				vpn_session_free(&p->sessions[SERVER], true);
				s = NULL;
			}
	}
	ck_assert_ptr_null(s);
	ck_assert_ptr_nonnull(strstr(p->close_reason[SERVER], "tran-window"));
}
END_TEST

START_TEST(a_refused_clients_password_is_wiped_and_the_pushed_options_forgotten)
{
	p->settings[CLIENT].username = "me";
	p->settings[CLIENT].password = "secret";
	p->refuse = true;
	pair_start(p);
	for (unsigned i = 0; i < 1000 && !(p->sessions[SERVER] && p->sessions[SERVER]->username); i++)
		pair_run(p, 1);
	ck_assert_ptr_nonnull(p->sessions[SERVER]);
	ck_assert_str_eq(p->sessions[SERVER]->username, "me");
	ck_assert_str_eq(p->sessions[SERVER]->password, "");
}
END_TEST

START_TEST(utf8_credentials_arrive_whole)
{
	p->settings[CLIENT].username = "J\xc3\xbcrgen\n";
	p->settings[CLIENT].password = "p\xc3\xa4ss";
	p->hold_admission = true;
	pair_start(p);
	pair_run(p, 5000);
	ck_assert_ptr_nonnull(p->sessions[SERVER]);
	ck_assert_str_eq(p->sessions[SERVER]->username, "J\xc3\xbcrgen_");
	ck_assert_str_eq(p->sessions[SERVER]->password, "p\xc3\xa4ss");
}
END_TEST

START_TEST(nothing_opens_without_an_answer_of_the_host)
{
	p->hold_admission = true;
	pair_start(p);
	pair_run(p, 30000);
	ck_assert_ptr_nonnull(p->sessions[SERVER]);
	ck_assert(!vpn_session_is_open(p->sessions[SERVER]));
	ck_assert(!vpn_session_is_open(p->sessions[CLIENT]));
	ck_assert_int_eq(pair_send(p, SERVER, 1, 100), FATE_NOT_READY);
	pair_run(p, 40000);
	ck_assert_uint_eq(p->closed[SERVER], 1);
}
END_TEST

START_TEST(settings_that_would_stop_every_handshake_are_refused)
{
	char error[VPN_ERROR_TEXT], warning[VPN_ERROR_TEXT];
	vpn_settings s = p->settings[SERVER];

	s.hand_window_ms = 0;
	ck_assert_ptr_null(vpn_endpoint_new(&s, error, warning));
	ck_assert_ptr_nonnull(strstr(error, "hand-window"));
	s = p->settings[SERVER];
	s.tls_timeout_ms = 0;
	ck_assert_ptr_null(vpn_endpoint_new(&s, error, warning));
	ck_assert_ptr_nonnull(strstr(error, "tls-timeout"));
	s = p->settings[SERVER];
	s.wrapping = VPN_WRAP_CRYPT;
	ck_assert_ptr_null(vpn_endpoint_new(&s, error, warning));
	ck_assert_ptr_nonnull(strstr(error, "tls-crypt"));
}
END_TEST

static void add(TCase *t)
{
	tcase_set_timeout(t, 60);
	tcase_add_checked_fixture(t, set_up, tear_down);
	tcase_add_test(t, a_client_without_a_soft_reset_of_its_own_is_renegotiated_with);
	tcase_add_test(t, an_adopted_session_does_not_renegotiate_before_its_client_uses_the_newest_key);
	tcase_add_test(t, an_occ_question_is_answered_once);
	tcase_add_test(t, an_unanswered_question_does_not_keep_a_leaving_session_awake);
	tcase_add_test(t, a_wanted_renegotiation_does_not_keep_a_leaving_session_awake);
	tcase_add_test(t, garbage_inside_tls_ends_the_session);
	tcase_add_test(t, failed_renegotiations_do_not_lengthen_the_life_of_a_key);
	tcase_add_test(t, a_session_time_limit_outlives_its_process);
	tcase_add_test(t, a_client_cannot_renegotiate_as_often_as_it_likes);
	tcase_add_test(t, nor_where_each_of_them_fails);
	tcase_add_test(t, nor_by_wearing_each_key_out_at_once);
	tcase_add_test(t, a_client_that_acknowledges_nothing_is_asked_to_renegotiate_all_the_same);
	tcase_add_test(t, a_refused_clients_password_is_wiped_and_the_pushed_options_forgotten);
	tcase_add_test(t, utf8_credentials_arrive_whole);
	tcase_add_test(t, nothing_opens_without_an_answer_of_the_host);
	tcase_add_test(t, settings_that_would_stop_every_handshake_are_refused);
}

int main(void)
{
	return suite_run("session", add);
}
