/* SPDX-License-Identifier: MIT
 * Kept bytes are a stranger's: whatever stands in them, adoption refuses or works, and nothing else happens.
 */
#include "common/engine/session.h"
#include "tests/lib/suite.h"
#include "tests/pair/pair.h"

#include <string.h>

static struct pair *p;
static uint8_t good[8192];
static uint8_t static_key[VPN_STATIC_KEY];

static void set_up(void)
{
	p = malloc(sizeof(*p));
	pair_init(p, 11);
	for (unsigned i = 0; i < sizeof(static_key); i++)
		static_key[i] = (uint8_t)(i * 3 + 1);
	for (int side = CLIENT; side <= SERVER; side++) {
		p->settings[side].wrapping = VPN_WRAP_CRYPT;
		p->settings[side].static_key = static_key;
	}
	p->settings[SERVER].ping_ms = 10000;
	p->settings[SERVER].ping_restart_ms = 120000;
	pair_start(p);
	ck_assert(pair_connect(p, 20000));
	/* Three key sets, so that all of it is in use. */
	for (unsigned again = 1; again <= 2; again++) {
		struct kept *k = p->kept[SERVER];
		k->becomes_old = again == 2 ? 2 - k->current : 0;
		vpn_session_renegotiate(p->sessions[SERVER], p->now);
		pair_run(p, 5000);
		ck_assert_uint_eq(p->rekeyed[SERVER], again);
	}
	ck_assert_ptr_nonnull(p->sessions[SERVER]->keys[KEY_SET_OLD]);
	vpn_session_free(&p->sessions[SERVER], false);
	ck_assert_uint_le(vpn_kept_size(), sizeof(good));
	memcpy(good, p->kept[SERVER], vpn_kept_size());
}

static void tear_down(void)
{
	pair_clear(p);
	free(p);
}

/* A day in the life of whatever was adopted: packets both ways, control, time. Gives whether it was adopted.
 */
static bool use(void)
{
	vpn_endpoint_set_epoch(p->endpoints[SERVER], 9);
	p->sessions[SERVER] = vpn_session_adopt(p->endpoints[SERVER], p->kept[SERVER], p->now, p->now + 50);
	if (!p->sessions[SERVER])
		return false;
	for (uint32_t i = 0; i < 3 && p->sessions[SERVER] && p->sessions[CLIENT]; i++) {
		pair_send(p, SERVER, i, 100);
		pair_send(p, CLIENT, i, 100);
		pair_run(p, 20);
	}
	pair_run(p, 500);
	vpn_session_free(&p->sessions[SERVER], false);
	return true;
}

static void restore(void)
{
	memcpy(p->kept[SERVER], good, vpn_kept_size());
}

START_TEST(whole_bytes_are_adopted)
{
	ck_assert(use());
	ck_assert_uint_eq(p->arrived[SERVER], 3);
	ck_assert_uint_eq(p->arrived[CLIENT], 3);
}
END_TEST

START_TEST(zeros_and_ones_and_noise_are_refused_or_survived)
{
	uint8_t *kept = p->kept[SERVER];

	memset(kept, 0, vpn_kept_size());
	ck_assert(!use());
	memset(kept, 0xff, vpn_kept_size());
	ck_assert(!use());
	for (unsigned round = 0; round < 200; round++) {
		for (size_t i = 0; i < vpn_kept_size(); i++)
			kept[i] = (uint8_t)pair_chance(p);
		ck_assert(!use());
	}
}
END_TEST

/* One loop step each stretch of bytes, so that every field gets every kind of nonsense. */
START_TEST(a_spoilt_field_is_refused_or_survived)
{
	static const uint8_t values[] = { 0x00, 0x01, 0x7f, 0x80, 0xff };
	uint8_t *kept = p->kept[SERVER];
	size_t size = vpn_kept_size();

	for (size_t at = (size_t)_i * 8; at < size; at += 16 * 8)
		for (unsigned v = 0; v < sizeof(values); v++) {
			restore();
			memset(kept + at, values[v], size - at < 8 ? size - at : 8);
			use();
		}
}
END_TEST

START_TEST(spoilt_bits_are_refused_or_survived)
{
	uint8_t *kept = p->kept[SERVER];

	for (unsigned round = 0; round < 300; round++) {
		restore();
		for (unsigned flips = 1 + pair_chance(p) % 16; flips; flips--)
			kept[pair_chance(p) % vpn_kept_size()] ^= (uint8_t)(1u << pair_chance(p) % 8);
		use();
	}
}
END_TEST

START_TEST(bytes_that_change_under_a_living_session_do_no_harm)
{
	uint8_t *kept = p->kept[SERVER];

	for (unsigned round = 0; round < 100; round++) {
		restore();
		p->sessions[SERVER] = vpn_session_adopt(p->endpoints[SERVER], kept, p->now, p->now + 5);
		ck_assert_ptr_nonnull(p->sessions[SERVER]);
		for (unsigned i = 0; i < 20 && p->sessions[SERVER]; i++) {
			kept[pair_chance(p) % sizeof(struct kept)] = (uint8_t)pair_chance(p);
			kept[offsetof(struct kept, current)] = (uint8_t)pair_chance(p);
			kept[offsetof(struct kept, key_id)] = (uint8_t)pair_chance(p);
			pair_send(p, SERVER, i, 60);
			pair_run(p, 3);
		}
		vpn_session_free(&p->sessions[SERVER], false);
	}
}
END_TEST

START_TEST(keys_of_another_role_or_layout_are_refused)
{
	struct kept *k = p->kept[SERVER];

	k->server = 0;
	ck_assert(!use());
	restore();
	k->layout++;
	ck_assert(!use());
	restore();
	k->open = 0;
	ck_assert(!use());
	restore();
	k->keys[0].cipher = k->keys[1].cipher = CIPHER_UNKNOWN;
	ck_assert(!use());
	restore();
	memset(k->name, 'x', sizeof(k->name));
	ck_assert(!use());
}
END_TEST

/* Workers that die one after the other must not keep a peer waiting that hears nothing but pings. */
START_TEST(the_peer_hears_of_a_successor_at_once)
{
	for (unsigned death = 0; death < 10; death++) {
		vpn_ms began = p->now;
		p->sessions[SERVER] = vpn_session_adopt(p->endpoints[SERVER], p->kept[SERVER], p->now, INT64_MAX);
		ck_assert_ptr_nonnull(p->sessions[SERVER]);
		pair_run(p, 1200);
		ck_assert_int_gt(p->sessions[CLIENT]->last_in, began);
		vpn_session_free(&p->sessions[SERVER], false);
	}
}
END_TEST

/* Died between the two lines that make a new set count. */
START_TEST(a_half_written_key_set_leaves_the_other_one)
{
	struct kept *k = p->kept[SERVER];

	k->keys[k->current].cipher = CIPHER_UNKNOWN;
	k->expires[1 - k->current] = INT64_MAX;
	ck_assert(use());
	/* The client has finished what we lost: it begins the next one, for which it drops the key that we have. */
	ck_assert_uint_ge(p->arrived[CLIENT], 2);
	ck_assert_uint_eq(p->rekeyed[SERVER], 3);
}
END_TEST

/* Died while a set was wiped: its cipher still stood there, its numbers were gone already. With them from 1 on it
 * would seal again with numbers that were used. */
START_TEST(a_half_wiped_key_set_is_not_taken_up_again)
{
	struct kept *k = p->kept[SERVER];

	for (unsigned i = 0; i < 2; i++)
		k->keys[i].ids.word = 0;
	ck_assert(!use());
	restore();
	k->keys[k->current].ids.word &= 0xffffffffffff;
	p->sessions[SERVER] = vpn_session_adopt(p->endpoints[SERVER], k, p->now, INT64_MAX);
	ck_assert_ptr_nonnull(p->sessions[SERVER]);
	ck_assert_uint_eq(!p->sessions[SERVER]->keys[0] + !p->sessions[SERVER]->keys[1], 1);
}
END_TEST

/* Died while a set moved, between the copy and the end of the first: two windows would let a packet in twice. */
START_TEST(a_key_set_that_is_there_twice_is_taken_once)
{
	struct kept *k = p->kept[SERVER];

	k->keys[KEY_SET_OLD] = k->keys[1 - k->current];
	p->sessions[SERVER] = vpn_session_adopt(p->endpoints[SERVER], k, p->now, INT64_MAX);
	ck_assert_ptr_nonnull(p->sessions[SERVER]);
	ck_assert_ptr_nonnull(p->sessions[SERVER]->keys[1 - k->current]);
	ck_assert_ptr_null(p->sessions[SERVER]->keys[KEY_SET_OLD]);
	restore();
	vpn_session_free(&p->sessions[SERVER], false);
	p->sessions[SERVER] = vpn_session_adopt(p->endpoints[SERVER], k, p->now, INT64_MAX);
	ck_assert_ptr_nonnull(p->sessions[SERVER]->keys[KEY_SET_OLD]);
}
END_TEST

START_TEST(no_packet_id_is_used_twice_whoever_seals)
{
	struct kept *k = p->kept[SERVER];
	uint32_t last = 0;

	for (uint16_t epoch = 20; epoch < 60; epoch++) {
		vpn_endpoint_set_epoch(p->endpoints[SERVER], epoch);
		p->sessions[SERVER] = vpn_session_adopt(p->endpoints[SERVER], k, p->now, INT64_MAX);
		ck_assert_ptr_nonnull(p->sessions[SERVER]);
		for (unsigned i = 0; i < 3; i++) {
			uint8_t room[VPN_HEADROOM + 64] = { 0 };
			vpn_job job = {
				.session = p->sessions[SERVER], .data = room + VPN_HEADROOM, .len = 40
			};
			vpn_seal(&job, 1, p->now);
			ck_assert_int_eq(job.fate, FATE_NONE);
			uint32_t id = (uint32_t)job.data[4] << 24 | (uint32_t)job.data[5] << 16 |
				      (uint32_t)job.data[6] << 8 | job.data[7];
			ck_assert_uint_gt(id, last);
			last = id;
		}
		/* A former owner that wakes up again. */
		vpn_session *old = p->sessions[SERVER];
		vpn_endpoint_set_epoch(p->endpoints[SERVER], ++epoch);
		p->sessions[SERVER] = vpn_session_adopt(p->endpoints[SERVER], k, p->now, INT64_MAX);
		uint8_t room[VPN_HEADROOM + 64] = { 0 };
		vpn_job job = { .session = old, .data = room + VPN_HEADROOM, .len = 40 };
		vpn_seal(&job, 1, p->now);
		ck_assert_int_eq(job.fate, FATE_KEY_EXHAUSTED);
		vpn_session_free(&old, false);
		vpn_session_free(&p->sessions[SERVER], false);
	}
}
END_TEST

static void add(TCase *t)
{
	tcase_set_timeout(t, 100);
	tcase_add_checked_fixture(t, set_up, tear_down);
	tcase_add_test(t, whole_bytes_are_adopted);
	tcase_add_test(t, zeros_and_ones_and_noise_are_refused_or_survived);
	tcase_add_loop_test(t, a_spoilt_field_is_refused_or_survived, 0, 16);
	tcase_add_test(t, spoilt_bits_are_refused_or_survived);
	tcase_add_test(t, bytes_that_change_under_a_living_session_do_no_harm);
	tcase_add_test(t, keys_of_another_role_or_layout_are_refused);
	tcase_add_test(t, the_peer_hears_of_a_successor_at_once);
	tcase_add_test(t, a_half_written_key_set_leaves_the_other_one);
	tcase_add_test(t, a_half_wiped_key_set_is_not_taken_up_again);
	tcase_add_test(t, a_key_set_that_is_there_twice_is_taken_once);
	tcase_add_test(t, no_packet_id_is_used_twice_whoever_seals);
}

int main(void)
{
	return suite_run("adopt", add);
}
