/* SPDX-License-Identifier: MIT
 * Packet ids are given once, whoever asks; each is taken once. */
#include "tests/unit/data/fixture.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

/* -- going out -- */

START_TEST(ids_start_at_one_and_follow_each_other_across_blocks)
{
	struct packet_id_source source = { 0 };
	struct packet_id_block block = { 0 };
	packet_id_adopt(&source, 7);
	for (uint32_t want = 1; want < 3 * PACKET_ID_BLOCK; want++) {
		ck_assert(packet_id_reserve(&source, 7, &block));
		ck_assert_uint_eq(block.next++, want);
	}
}
END_TEST

START_TEST(a_block_costs_one_change_of_the_source)
{
	struct packet_id_source source = { 0 };
	struct packet_id_block block = { 0 };
	packet_id_adopt(&source, 7);
	ck_assert(packet_id_reserve(&source, 7, &block));
	uint64_t word = atomic_load(&source.word);
	ck_assert_uint_eq(block.end - block.next, PACKET_ID_BLOCK);
	while (++block.next < block.end)
		ck_assert(packet_id_reserve(&source, 7, &block));
	ck_assert_uint_eq(atomic_load(&source.word), word);
}
END_TEST

START_TEST(another_epoch_gets_nothing_even_with_ids_in_hand)
{
	struct packet_id_source source = { 0 };
	struct packet_id_block old = { 0 }, fresh = { 0 };
	ck_assert(!packet_id_reserve(&source, 7, &old));
	packet_id_adopt(&source, 7);
	ck_assert(packet_id_reserve(&source, 7, &old));
	packet_id_adopt(&source, 8);
	ck_assert(!packet_id_reserve(&source, 7, &old));
	ck_assert(packet_id_reserve(&source, 8, &fresh));
	ck_assert_uint_eq(fresh.next, old.end);
	packet_id_adopt(&source, 0);
	ck_assert(!packet_id_reserve(&source, 8, &fresh));
	packet_id_adopt(&source, UINT16_MAX);
	fresh.next = fresh.end;
	ck_assert(packet_id_reserve(&source, UINT16_MAX, &fresh));
	ck_assert_uint_eq(fresh.next, old.end + PACKET_ID_BLOCK);
}
END_TEST

START_TEST(ids_end_before_they_could_start_again)
{
	struct packet_id_source source = { (uint64_t)7 << 48 | 0xfffffff0 };
	struct packet_id_block block = { 0 };
	for (uint32_t want = 0xfffffff0; want < UINT32_MAX; want++) {
		ck_assert(packet_id_reserve(&source, 7, &block));
		ck_assert_uint_eq(block.next++, want);
	}
	for (int i = 0; i < 3000; i++)
		ck_assert(!packet_id_reserve(&source, 7, &block));
	packet_id_adopt(&source, 8);
	ck_assert(!packet_id_reserve(&source, 8, &block));
	ck_assert_uint_eq(atomic_load(&source.word), (uint64_t)8 << 48 | UINT32_MAX);
}
END_TEST

START_TEST(a_source_beyond_32_bits_gives_nothing)
{
	for (uint64_t id = UINT32_MAX; id < UINT64_C(1) << 48; id = id * 3 + 1) {
		struct packet_id_source source = { (uint64_t)7 << 48 | id };
		struct packet_id_block block = { 0 };
		ck_assert(!packet_id_reserve(&source, 7, &block));
	}
}
END_TEST

/* Who takes blocks of ids from whom, and where each block is marked. Blocks are thrown away at once, so that
 * the takers meet at the source as often as they can. */
struct market {
	struct packet_id_source source;
	_Atomic uint32_t twice;
	_Atomic uint32_t refused;
	_Atomic uint8_t given[1 << 20];
};

enum { MANY = 100000 }; /* blocks */

/* Takes up to `blocks` blocks; ends at the first refusal. */
static void market_take(struct market *market, uint16_t epoch, int blocks)
{
	for (int i = 0; i < blocks; i++) {
		struct packet_id_block block = { 0 };
		if (!packet_id_reserve(&market->source, epoch, &block)) {
			atomic_fetch_add(&market->refused, 1);
			return;
		}
		bool whole = block.next % PACKET_ID_BLOCK == 1 && block.end - block.next == PACKET_ID_BLOCK;
		if (!whole || atomic_exchange(&market->given[block.next / PACKET_ID_BLOCK], 1))
			atomic_fetch_add(&market->twice, 1);
	}
}

static uint32_t market_given(struct market *market)
{
	uint32_t given = 0;
	for (size_t i = 0; i < sizeof(market->given); i++)
		given += atomic_load(&market->given[i]);
	return given;
}

static void *market_first_owner(void *market)
{
	market_take(market, 1, MANY);
	return NULL;
}

/* Takes what it can get, and goes on asking when it gets nothing. */
static void *market_old_owner(void *at)
{
	struct market *market = at;
	struct packet_id_block block = { 0 };
	market_take(market, 1, 3 * MANY);
	while (atomic_load(&market->source.word) >> 48 == 1)
		sched_yield();
	for (int i = 0; i < 20000; i++)
		if (packet_id_reserve(&market->source, 1, &block))
			atomic_fetch_add(&market->twice, 1);
	return NULL;
}

static void *market_new_owner(void *market)
{
	market_take(market, 2, MANY);
	return NULL;
}

START_TEST(threads_that_share_an_epoch_never_get_the_same_id)
{
	struct market *market = calloc(1, sizeof(*market));
	pthread_t threads[4];
	packet_id_adopt(&market->source, 1);
	for (int i = 0; i < 4; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, market_first_owner, market), 0);
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	ck_assert_uint_eq(market->twice, 0);
	ck_assert_uint_eq(market->refused, 0);
	ck_assert_uint_eq(market_given(market), 4 * MANY);
	free(market);
}
END_TEST

START_TEST(a_successor_and_an_owner_that_keeps_trying_never_get_the_same_id)
{
	struct market *market = calloc(1, sizeof(*market));
	pthread_t old[2], fresh[2];
	packet_id_adopt(&market->source, 1);
	for (int i = 0; i < 2; i++)
		ck_assert_int_eq(pthread_create(&old[i], NULL, market_old_owner, market), 0);
	while ((atomic_load(&market->source.word) & UINT32_MAX) < 50 * PACKET_ID_BLOCK)
		;
	packet_id_adopt(&market->source, 2);
	for (int i = 0; i < 2; i++)
		ck_assert_int_eq(pthread_create(&fresh[i], NULL, market_new_owner, market), 0);
	for (int i = 0; i < 2; i++) {
		pthread_join(old[i], NULL);
		pthread_join(fresh[i], NULL);
	}
	ck_assert_uint_eq(market->twice, 0);
	ck_assert_uint_le(market->refused, 2); /* old ones at most: both new ones got all they wanted */
	ck_assert_uint_ge(market_given(market), 2 * MANY + 50);
	free(market);
}
END_TEST

static void *market_adopter(void *at)
{
	struct market *market = at;
	for (int i = 0; i < MANY; i++) {
		packet_id_adopt(&market->source, 1);
		market_take(market, 1, 1);
	}
	return NULL;
}

START_TEST(adopting_while_others_take_gives_nothing_back)
{
	struct market *market = calloc(1, sizeof(*market));
	pthread_t threads[4];
	packet_id_adopt(&market->source, 1);
	for (int i = 0; i < 4; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL,
					 i % 2 ? market_adopter : market_first_owner, market),
			0);
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	ck_assert_uint_eq(market->twice, 0);
	ck_assert_uint_eq(market_given(market), 4 * MANY);
	free(market);
}
END_TEST

START_TEST(processes_that_adopt_from_each_other_never_get_the_same_id)
{
	struct market *market =
		mmap(NULL, sizeof(*market), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ck_assert_ptr_ne(market, MAP_FAILED);
	packet_id_adopt(&market->source, 1);
	/* Each child adopts in its turn, while those before it are still taking. */
	for (uint16_t epoch = 1; epoch <= 4; epoch++) {
		pid_t child = fork();
		ck_assert_int_ge(child, 0);
		if (child == 0) {
			packet_id_adopt(&market->source, epoch);
			market_take(market, epoch, MANY);
			_exit(0);
		}
	}
	for (int i = 0; i < 4; i++) {
		int status = -1;
		ck_assert_int_gt(wait(&status), 0);
		ck_assert_int_eq(status, 0);
	}
	ck_assert_uint_eq(market->twice, 0);
	ck_assert_uint_ge(market_given(market), MANY); /* the last to adopt got all it wanted */
	munmap(market, sizeof(*market));
}
END_TEST

/* -- coming in -- */

static bool window_take(struct replay_window *window, uint32_t id, mono_ms now)
{
	replay_window_age(window, now);
	bool accepted = replay_window_accepts(window, id);
	if (accepted)
		replay_window_note(window, id, now);
	return accepted;
}

START_TEST(the_first_id_may_be_any_but_zero)
{
	for (uint32_t width = 0; width <= 64; width += 64) {
		struct replay_window window = { .width = width };
		ck_assert(!replay_window_accepts(&window, 0));
		ck_assert(replay_window_accepts(&window, 1));
		ck_assert(replay_window_accepts(&window, UINT32_MAX));
	}
}
END_TEST

START_TEST(an_id_is_taken_once_and_only_within_the_width)
{
	struct replay_window window = { .width = 64 };
	ck_assert(window_take(&window, 1000, 0));
	ck_assert(!window_take(&window, 1000, 0));
	ck_assert(window_take(&window, 1000 - 63, 0));
	ck_assert(!window_take(&window, 1000 - 63, 0));
	ck_assert(!window_take(&window, 1000 - 64, 0));
	ck_assert(!window_take(&window, 0, 0));
	ck_assert(window_take(&window, UINT32_MAX, 0));
	ck_assert(!window_take(&window, UINT32_MAX, 0));
	ck_assert(window_take(&window, UINT32_MAX - 63, 0));
	ck_assert(!window_take(&window, UINT32_MAX - 64, 0));
	ck_assert(!window_take(&window, 1, 0));
}
END_TEST

START_TEST(a_width_beyond_the_ring_is_the_ring)
{
	struct replay_window window = { .width = UINT32_MAX };
	ck_assert(window_take(&window, 5000, 0));
	ck_assert(window_take(&window, 5000 - REPLAY_BITS + 1, 0));
	ck_assert(!window_take(&window, 5000 - REPLAY_BITS, 0));
}
END_TEST

START_TEST(without_a_width_ids_come_strictly_in_order)
{
	struct replay_window window = { .width = 0 };
	ck_assert(window_take(&window, 10, 0));
	ck_assert(!window_take(&window, 10, 0));
	ck_assert(!window_take(&window, 9, 0));
	ck_assert(!window_take(&window, 12, 0));
	ck_assert(window_take(&window, 11, 0));
	window.highest = UINT32_MAX;
	ck_assert(!replay_window_accepts(&window, 0));
	ck_assert(!replay_window_accepts(&window, 1));
}
END_TEST

/* The same rules without a ring: every id ever taken, in one array. */
struct model {
	uint32_t highest, width;
	bool taken[1 << 18];
};

static bool model_take(struct model *model, uint32_t id)
{
	if (id == 0 || model->taken[id] || (model->highest && id + (uint64_t)model->width <= model->highest))
		return false;
	model->taken[id] = true;
	if (id > model->highest)
		model->highest = id;
	return true;
}

START_TEST(random_sequences_end_as_in_a_simple_model)
{
	static const uint32_t widths[] = { 1, 2, 63, 64, 65, 128, 1000, REPLAY_BITS - 1, REPLAY_BITS };
	uint64_t random = 20240607;
	for (size_t w = 0; w < sizeof(widths) / sizeof(widths[0]); w++) {
		struct model *model = calloc(1, sizeof(*model));
		struct replay_window window = { .width = widths[w] };
		model->width = widths[w];
		for (int i = 0; i < 60000; i++) {
			uint64_t r = fixture_random(&random);
			uint32_t id = model->highest;
			if (r % 8 < 4)
				id += 1 + (r >> 8) % 3; /* the usual: forward, few gaps */
			else if (r % 8 < 7)
				id -= (r >> 8) % (widths[w] + 70); /* late, repeated, too late */
			else if (r % 256 == 7)
				id += (r >> 8) % (2 * REPLAY_BITS + 130); /* a jump */
			if (id >= sizeof(model->taken))
				id = id > UINT32_MAX / 2 ? 0 : (uint32_t)(r >> 8) % 300;
			ck_assert_int_eq(window_take(&window, id, 0), model_take(model, id));
			ck_assert_uint_eq(window.highest, model->highest);
		}
		free(model);
	}
}
END_TEST

START_TEST(ids_behind_an_old_one_are_too_old)
{
	struct replay_window window = { .width = 64, .limit_s = 15 };
	ck_assert(window_take(&window, 100, 1000000));
	ck_assert(window_take(&window, 110, 1001000));
	ck_assert(window_take(&window, 99, 1015000));  /* 15 s is not more than 15 s */
	ck_assert(window_take(&window, 120, 1015001)); /* 100 is too old now */
	ck_assert(!window_take(&window, 98, 1015001));
	ck_assert(window_take(&window, 105, 1015002));
	ck_assert(window_take(&window, 111, 1030001));
	ck_assert(!window_take(&window, 112, 1030002)); /* and now 120 is */
	ck_assert(window_take(&window, 121, 1030002));
}
END_TEST

START_TEST(without_a_limit_time_takes_nothing_away)
{
	struct replay_window window = { .width = 64, .limit_s = 0 };
	ck_assert(window_take(&window, 100, 0));
	ck_assert(window_take(&window, 110, 1000000));
	ck_assert(window_take(&window, 99, 2000000));
	ck_assert(window_take(&window, 98, 3000000000));
}
END_TEST

START_TEST(the_time_rule_refuses_between_one_and_two_limits_and_never_what_is_fresh)
{
	enum { LIMIT = 15000, IDS = 60000 };
	uint64_t random = 42;
	struct replay_window window = { .width = REPLAY_BITS, .limit_s = LIMIT / 1000 };
	static mono_ms came[IDS]; /* when an id was taken; 0: not yet */
	mono_ms now = 5000000;
	for (int step = 0; step < 40000 && window.highest < IDS - 4; step++) {
		now += (mono_ms)(fixture_random(&random) % 40);
		uint64_t r = fixture_random(&random);
		uint32_t id = window.highest + 1 + r % 3;
		if (r % 5 == 0 && window.highest > 0)
			id = window.highest -
			     (uint32_t)(r >> 8) % (window.highest < 3000 ? window.highest : 3000);
		bool repeated = came[id] != 0;
		bool behind = window.highest >= id && window.highest - id >= REPLAY_BITS;
		mono_ms oldest_above = now; /* the earliest arrival of a higher id, over the ring's reach */
		for (uint32_t above = id + 1; above <= window.highest; above++)
			if (came[above] && came[above] < oldest_above)
				oldest_above = came[above];
		bool accepted = window_take(&window, id, now);
		if (repeated || behind)
			ck_assert(!accepted);
		else if (now - oldest_above <= LIMIT)
			ck_assert(accepted);
		else if (now - oldest_above > 2 * LIMIT + 100)
			ck_assert(!accepted);
		if (accepted)
			came[id] = now;
	}
}
END_TEST

FIXTURE_MAIN("packet_id", ids_start_at_one_and_follow_each_other_across_blocks,
	a_block_costs_one_change_of_the_source, another_epoch_gets_nothing_even_with_ids_in_hand,
	ids_end_before_they_could_start_again, a_source_beyond_32_bits_gives_nothing,
	threads_that_share_an_epoch_never_get_the_same_id,
	a_successor_and_an_owner_that_keeps_trying_never_get_the_same_id,
	adopting_while_others_take_gives_nothing_back,
	processes_that_adopt_from_each_other_never_get_the_same_id, the_first_id_may_be_any_but_zero,
	an_id_is_taken_once_and_only_within_the_width, a_width_beyond_the_ring_is_the_ring,
	without_a_width_ids_come_strictly_in_order, random_sequences_end_as_in_a_simple_model,
	ids_behind_an_old_one_are_too_old, without_a_limit_time_takes_nothing_away,
	the_time_rule_refuses_between_one_and_two_limits_and_never_what_is_fresh)
