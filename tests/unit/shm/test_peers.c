/* SPDX-License-Identifier: MIT
 * The session table: who gets a slot, what others see, what a death leaves. */
#include "tests/unit/shm/fixture.h"

static struct peer_identity named(const char *name)
{
	struct peer_identity id = { .lease4 = LEASE_NONE, .lease6 = LEASE_NONE, .client_id = 7 };
	strcpy(id.common_name, name);
	strcpy(id.cipher, "AES-256-GCM");
	return id;
}

/* -- taking and releasing -- */

START_TEST(a_worker_takes_the_lowest_slot_of_its_own_part)
{
	struct shm *shm = small_segment();
	ck_assert_uint_eq(new_session(shm, 0).slot, 0);
	ck_assert_uint_eq(new_session(shm, 0).slot, 1);
	ck_assert_uint_eq(new_session(shm, 1).slot, 33);
	ck_assert_uint_eq(new_session(shm, 2).slot, 66);
	ck_assert_uint_eq(new_session(shm, 1).slot, 34);
	ck_assert_uint_eq(peers_count(shm), 5);
	shm_detach(&shm);
}
END_TEST

START_TEST(a_worker_borrows_when_its_part_is_full_and_is_refused_when_all_is)
{
	struct shm *shm = small_segment();
	bool seen[100] = { false };
	uint32_t generation;
	for (int i = 0; i < 100; i++) {
		struct session s = new_session(shm, 2);
		ck_assert(!seen[s.slot]);
		seen[s.slot] = true;
	}
	ck_assert_uint_eq(peers_take(shm, 2, &generation), PEER_NONE);
	ck_assert_uint_eq(peers_take(shm, 0, &generation), PEER_NONE);
	ck_assert(peers_release(shm, 50, 1));
	ck_assert_uint_eq(peers_take(shm, 0, &generation), 50);
	ck_assert_uint_eq(generation, 2);
	shm_detach(&shm);
}
END_TEST

START_TEST(a_worker_that_is_none_gets_no_slot)
{
	struct shm *shm = small_segment();
	uint32_t generation;
	ck_assert_uint_eq(peers_take(shm, 3, &generation), PEER_NONE);
	ck_assert_uint_eq(peers_take(shm, WORKER_NONE, &generation), PEER_NONE);
	shm_detach(&shm);
}
END_TEST

START_TEST(a_released_slot_is_wiped_and_has_another_generation)
{
	struct shm *shm = small_segment();
	struct session s = new_session(shm, 1);
	struct peer_identity id = named("alice");
	struct peer_slot *slot = peers_slot(shm, s.slot);
	static const uint8_t zeros[PEER_KEPT_LEN];
	struct peer_row row;

	ck_assert(peers_write(shm, s.slot, s.generation, &id));
	memset(slot->kept, 0xa5, sizeof(slot->kept));
	peers_count_in(slot, 1, 100, 5);
	ck_assert(peers_release(shm, s.slot, s.generation));
	ck_assert_mem_eq(slot->kept, zeros, sizeof(zeros));
	ck_assert_mem_eq((void *)slot->identity, zeros, sizeof(id));
	ck_assert(!peers_live(shm, s.slot, s.generation));
	ck_assert(!peers_read(shm, s.slot, &row));
	ck_assert_uint_eq(peers_find_name(shm, "alice", PEER_NONE, 0), PEER_NONE);
	ck_assert(!peers_release(shm, s.slot, s.generation));

	struct session next = new_session(shm, 1);
	ck_assert_uint_eq(next.slot, s.slot);
	ck_assert_uint_ne(next.generation, s.generation);
	ck_assert(!peers_release(shm, s.slot, s.generation));
	ck_assert(!peers_write(shm, s.slot, s.generation, &id));
	ck_assert(!peers_set_state(shm, s.slot, s.generation, PEER_ACTIVE));
	ck_assert(peers_read(shm, next.slot, &row));
	ck_assert_uint_eq(row.bytes_in, 0);
	shm_detach(&shm);
}
END_TEST

START_TEST(the_generation_after_the_last_is_one_and_not_zero)
{
	struct shm *shm = small_segment();
	struct session s = new_session(shm, 0);
	uint64_t word = atomic_load(&shm->peer_words.at[s.slot]);
	atomic_store(&shm->peer_words.at[s.slot], word | 0xffffffffull << 32);
	ck_assert(peers_release(shm, s.slot, UINT32_MAX));
	ck_assert_uint_eq(new_session(shm, 0).generation, 1);
	shm_detach(&shm);
}
END_TEST

START_TEST(states_go_forward_only)
{
	struct shm *shm = small_segment();
	struct session s = new_session(shm, 0);
	struct peer_word w;
	ck_assert(peers_word(shm, s.slot, &w) && w.state == PEER_HANDSHAKE);
	ck_assert(peers_set_state(shm, s.slot, s.generation, PEER_ACTIVE));
	ck_assert(!peers_set_state(shm, s.slot, s.generation, PEER_HANDSHAKE));
	ck_assert(!peers_set_state(shm, s.slot, s.generation, PEER_FREE));
	ck_assert(peers_set_state(shm, s.slot, s.generation, PEER_CLOSING));
	ck_assert(!peers_set_state(shm, s.slot, s.generation, PEER_ACTIVE));
	ck_assert(peers_word(shm, s.slot, &w) && w.state == PEER_CLOSING);
	ck_assert(!peers_set_state(shm, 100, 1, PEER_ACTIVE));
	shm_detach(&shm);
}
END_TEST

/* -- what others see -- */

START_TEST(a_row_is_read_as_it_was_written)
{
	struct shm *shm = small_segment();
	struct session s = new_session(shm, 2);
	struct peer_identity id = named("alice");
	struct peer_row row;

	id.peer_address = address4(0xc0000201, 40000);
	id.inner4 = 0x0a080002;
	ck_assert(peers_set_state(shm, s.slot, s.generation, PEER_ACTIVE));
	ck_assert(peers_write(shm, s.slot, s.generation, &id));
	peers_count_in(peers_slot(shm, s.slot), 2, 300, 11);
	peers_count_out(peers_slot(shm, s.slot), 3, 400, 12);
	peers_count_out(peers_slot(shm, s.slot), 1, 1, 13);
	ck_assert(peers_read(shm, s.slot, &row));
	ck_assert_mem_eq(&row.identity, &id, sizeof(id));
	ck_assert_uint_eq(row.owner, 2);
	ck_assert_uint_eq(row.state, PEER_ACTIVE);
	ck_assert_uint_eq(row.packets_in, 2);
	ck_assert_uint_eq(row.bytes_in, 300);
	ck_assert_uint_eq(row.packets_out, 4);
	ck_assert_uint_eq(row.bytes_out, 401);
	ck_assert_int_eq(row.last_in_ms, 11);
	ck_assert_int_eq(row.last_out_ms, 13);
	shm_detach(&shm);
}
END_TEST

START_TEST(a_name_that_does_not_end_is_ended)
{
	struct shm *shm = small_segment();
	struct session s = new_session(shm, 0);
	struct peer_identity id;
	struct peer_row row;
	memset(&id, 'x', sizeof(id));
	ck_assert(peers_write(shm, s.slot, s.generation, &id));
	ck_assert(peers_read(shm, s.slot, &row));
	ck_assert_uint_eq(strlen(row.identity.common_name), PEER_NAME_ROOM - 1);
	ck_assert_uint_lt(strlen(row.identity.cipher), sizeof(row.identity.cipher));
	shm_detach(&shm);
}
END_TEST

START_TEST(owner_and_generation_come_in_one_load)
{
	struct shm *shm = small_segment();
	struct session s = new_session(shm, 2);
	uint32_t generation = 0;
	ck_assert_uint_eq(peers_owner(shm, s.slot, &generation), 2);
	ck_assert_uint_eq(generation, s.generation);
	ck_assert_uint_eq(peers_owner(shm, 5, &generation), WORKER_NONE);
	ck_assert_uint_eq(peers_owner(shm, 100, &generation), WORKER_NONE);
	ck_assert_uint_eq(peers_owner(shm, PEER_NONE, &generation), WORKER_NONE);
	ck_assert_ptr_null(peers_slot(shm, 100));
	ck_assert_ptr_null(peers_slot(shm, PEER_NONE));
	shm_detach(&shm);
}
END_TEST

START_TEST(an_owner_or_state_that_cannot_be_is_no_session)
{
	struct shm *shm = small_segment();
	struct session s = new_session(shm, 2);
	uint64_t word = atomic_load(&shm->peer_words.at[s.slot]);
	struct peer_word w;
	struct peer_row row;
	uint32_t generation;
	const uint64_t bad[] = { word | 0xff << 8, word | 0xf, word & 0xffffffff };
	for (int i = 0; i < 3; i++) {
		atomic_store(&shm->peer_words.at[s.slot], bad[i]);
		ck_assert(!peers_word(shm, s.slot, &w));
		ck_assert_uint_eq(peers_owner(shm, s.slot, &generation), WORKER_NONE);
		ck_assert(!peers_read(shm, s.slot, &row));
		ck_assert(!peers_set_state(shm, s.slot, s.generation, PEER_CLOSING));
	}
	shm_detach(&shm);
}
END_TEST

START_TEST(all_with_a_name_are_found_but_oneself_and_those_closing)
{
	struct shm *shm = small_segment();
	struct peer_identity alice = named("alice"), bob = named("bob");
	struct session a = new_session(shm, 0), b = new_session(shm, 1), c = new_session(shm, 2),
		       d = new_session(shm, 2);
	peers_write(shm, a.slot, a.generation, &alice);
	peers_write(shm, b.slot, b.generation, &bob);
	peers_write(shm, c.slot, c.generation, &alice);
	peers_write(shm, d.slot, d.generation, &alice);
	peers_set_state(shm, d.slot, d.generation, PEER_CLOSING);
	ck_assert_uint_eq(peers_find_name(shm, "alice", c.slot, 0), a.slot);
	ck_assert_uint_eq(peers_find_name(shm, "alice", c.slot, a.slot + 1), PEER_NONE);
	ck_assert_uint_eq(peers_find_name(shm, "alice", a.slot, 0), c.slot);
	ck_assert_uint_eq(peers_find_name(shm, "carol", PEER_NONE, 0), PEER_NONE);
	ck_assert_uint_eq(peers_find_name(shm, "", PEER_NONE, 0), PEER_NONE);
	ck_assert_uint_eq(peers_find_name(shm, "alice", PEER_NONE, 1000), PEER_NONE);
	shm_detach(&shm);
}
END_TEST

START_TEST(a_session_moves_from_its_owner_only)
{
	struct shm *shm = small_segment();
	struct session s = new_session(shm, 0);
	uint32_t generation;
	ck_assert(!peers_move_owner(shm, s.slot, s.generation, 1, 2));
	ck_assert(!peers_move_owner(shm, s.slot, s.generation + 1, 0, 2));
	ck_assert(!peers_move_owner(shm, s.slot, s.generation, 0, 3));
	ck_assert(!peers_move_owner(shm, 100, s.generation, 0, 1));
	ck_assert(peers_move_owner(shm, s.slot, s.generation, 0, 2));
	ck_assert_uint_eq(peers_owner(shm, s.slot, &generation), 2);
	ck_assert_uint_eq(peers_next_owned(shm, 0, 0), PEER_NONE);
	ck_assert_uint_eq(peers_next_owned(shm, 2, 0), s.slot);
	ck_assert_uint_eq(peers_next(shm, 0), s.slot);
	ck_assert_uint_eq(peers_next(shm, s.slot + 1), PEER_NONE);
	shm_detach(&shm);
}
END_TEST

/* -- after a death -- */

START_TEST(a_half_written_row_is_unreadable_until_it_is_adopted)
{
	struct shm *shm = small_segment();
	struct session s = new_session(shm, 1);
	struct peer_identity id = named("alice");
	struct peer_row row;
	uint32_t generation;

	peers_write(shm, s.slot, s.generation, &id);
	atomic_fetch_add(&peers_slot(shm, s.slot)->version, 1); /* died while writing */
	ck_assert(!peers_read(shm, s.slot, &row));
	ck_assert_int_eq(peers_adopt(shm, s.slot, 1, false, &generation), PEER_TORN);
	ck_assert_uint_eq(generation, s.generation);
	ck_assert(peers_read(shm, s.slot, &row));
	ck_assert_str_eq(row.identity.common_name, "");
	ck_assert(peers_write(shm, s.slot, s.generation, &id));
	ck_assert(peers_read(shm, s.slot, &row));
	ck_assert_str_eq(row.identity.common_name, "alice");
	ck_assert_int_eq(peers_adopt(shm, s.slot, 1, false, &generation), PEER_ADOPTED);
	shm_detach(&shm);
}
END_TEST

START_TEST(a_session_that_killed_its_owner_twice_is_given_up)
{
	struct shm *shm = small_segment();
	struct session s = new_session(shm, 1), other = new_session(shm, 1);
	uint32_t generation;
	ck_assert_int_eq(peers_adopt(shm, s.slot, 1, true, &generation), PEER_ADOPTED);
	ck_assert_int_eq(peers_adopt(shm, other.slot, 1, false, &generation), PEER_ADOPTED);
	ck_assert_int_eq(peers_adopt(shm, s.slot, 1, true, &generation), PEER_GIVE_UP);
	ck_assert_int_eq(peers_adopt(shm, other.slot, 1, false, &generation), PEER_ADOPTED);
	ck_assert(peers_release(shm, s.slot, s.generation));
	shm_detach(&shm);
}
END_TEST

START_TEST(a_forgiven_death_does_not_count)
{
	struct shm *shm = small_segment();
	struct session s = new_session(shm, 1);
	uint32_t generation;
	for (int i = 0; i < 5; i++) {
		ck_assert_int_eq(peers_adopt(shm, s.slot, 1, true, &generation), PEER_ADOPTED);
		peers_forgive(shm, s.slot, s.generation);
	}
	peers_forgive(shm, s.slot, s.generation + 1);
	peers_forgive(shm, 100, 1);
	shm_detach(&shm);
}
END_TEST

START_TEST(only_ones_own_slots_are_adopted)
{
	struct shm *shm = small_segment();
	struct session s = new_session(shm, 1);
	uint32_t generation;
	ck_assert_int_eq(peers_adopt(shm, s.slot, 0, true, &generation), PEER_NOT_OURS);
	ck_assert_int_eq(peers_adopt(shm, s.slot + 1, 1, true, &generation), PEER_NOT_OURS);
	ck_assert_int_eq(peers_adopt(shm, 100, 1, true, &generation), PEER_NOT_OURS);
	shm_detach(&shm);
}
END_TEST

START_TEST(a_slot_that_was_being_released_is_released_again)
{
	struct shm *shm = small_segment();
	struct session s = new_session(shm, 1);
	uint32_t generation;
	peers_set_state(shm, s.slot, s.generation, PEER_CLOSING); /* died right here */
	ck_assert_int_eq(peers_adopt(shm, s.slot, 1, false, &generation), PEER_GIVE_UP);
	ck_assert(peers_release(shm, s.slot, generation));
	shm_detach(&shm);
}
END_TEST

START_TEST(a_free_slot_without_its_hint_is_found_when_nothing_else_is_left)
{
	struct shm *shm = small_segment();
	for (int i = 0; i < 99; i++)
		new_session(shm, 0);
	atomic_store(&shm->peer_hints.at[1], UINT64_MAX); /* a releaser died before its last line */
	ck_assert_uint_eq(new_session(shm, 0).slot, 99);
	shm_detach(&shm);
}
END_TEST

START_TEST(a_hint_too_many_is_passed_over)
{
	struct shm *shm = small_segment();
	new_session(shm, 0);
	atomic_store(&shm->peer_hints.at[0], 0); /* a taker died before it wrote the hint */
	ck_assert_uint_eq(new_session(shm, 0).slot, 1);
	shm_detach(&shm);
}
END_TEST

int main(void)
{
	TCase *t = tcase_create("peers");
	tcase_add_test(t, a_worker_takes_the_lowest_slot_of_its_own_part);
	tcase_add_test(t, a_worker_borrows_when_its_part_is_full_and_is_refused_when_all_is);
	tcase_add_test(t, a_worker_that_is_none_gets_no_slot);
	tcase_add_test(t, a_released_slot_is_wiped_and_has_another_generation);
	tcase_add_test(t, the_generation_after_the_last_is_one_and_not_zero);
	tcase_add_test(t, states_go_forward_only);
	tcase_add_test(t, a_row_is_read_as_it_was_written);
	tcase_add_test(t, a_name_that_does_not_end_is_ended);
	tcase_add_test(t, owner_and_generation_come_in_one_load);
	tcase_add_test(t, an_owner_or_state_that_cannot_be_is_no_session);
	tcase_add_test(t, all_with_a_name_are_found_but_oneself_and_those_closing);
	tcase_add_test(t, a_session_moves_from_its_owner_only);
	tcase_add_test(t, a_half_written_row_is_unreadable_until_it_is_adopted);
	tcase_add_test(t, a_session_that_killed_its_owner_twice_is_given_up);
	tcase_add_test(t, a_forgiven_death_does_not_count);
	tcase_add_test(t, only_ones_own_slots_are_adopted);
	tcase_add_test(t, a_slot_that_was_being_released_is_released_again);
	tcase_add_test(t, a_free_slot_without_its_hint_is_found_when_nothing_else_is_left);
	tcase_add_test(t, a_hint_too_many_is_passed_over);
	return run_suite(t, "shm peers");
}
