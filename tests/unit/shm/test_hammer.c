/* SPDX-License-Identifier: MIT
 * Many at once: the same stories told by threads (for ThreadSanitizer) and by processes, and processes that
 * are killed at any instruction. What must never happen is counted where all can write and asserted at the
 * end. */
#include "shm/handover_ring.h"
#include "shm/leases.h"
#include "shm/limits.h"
#include "shm/links.h"
#include "shm/routes.h"
#include "tests/unit/shm/fixture.h"
#include "tests/unit/shm/usable.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { CREW = 4, SLOTS = 64, ADDRESSES = 6, POOL = 24 };

/* Beside the segment: who believes to have what, and what went wrong. */
struct notes {
	_Atomic uint32_t wrong[8];
	_Atomic uint32_t slot_holder[SLOTS];
	_Atomic uint64_t address_holder[ADDRESSES], route_holder[ADDRESSES], lease_holder[POOL];
	_Atomic uint32_t passed, stop;
};

struct job {
	struct shm *shm;
	struct notes *notes;
	unsigned index;
	uint64_t seed;
	int turns;
};

typedef void (*story)(struct job *);

static const struct shm_sizes sizes = { CREW, SLOTS, 32, POOL, 0, 16384 };

static struct notes *new_notes(void)
{
	void *at =
		mmap(NULL, sizeof(struct notes), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ck_assert_ptr_ne(at, MAP_FAILED);
	return at;
}

static void note_wrong(struct job *job, unsigned what)
{
	atomic_fetch_add(&job->notes->wrong[what], 1);
}

/* -- the crew -- */

struct member {
	struct job job;
	story tell;
	pthread_t thread;
	pid_t pid;
};

static void *thread_main(void *member)
{
	struct member *m = member;
	m->tell(&m->job);
	return NULL;
}

/* Gives how many operations the story counted. */
static uint32_t tell(story what, int turns, bool threads)
{
	struct shm *shm = segment_of(sizes);
	struct notes *notes = new_notes();
	struct member crew[CREW];

	for (unsigned i = 0; i < CREW; i++) {
		crew[i] = (struct member){ .tell = what,
			.job = { shm, notes, i, 0x9e3779b97f4a7c15u * (i + 1), turns } };
		if (threads) {
			ck_assert_int_eq(pthread_create(&crew[i].thread, NULL, thread_main, &crew[i]), 0);
		} else if ((crew[i].pid = fork()) == 0) {
			what(&crew[i].job);
			_exit(0);
		}
	}
	for (unsigned i = 0; i < CREW; i++) {
		int status = 0;
		if (threads)
			pthread_join(crew[i].thread, NULL);
		else
			ck_assert_int_eq(waitpid(crew[i].pid, &status, 0), crew[i].pid);
		ck_assert_int_eq(status, 0);
	}
	for (unsigned i = 0; i < 8; i++)
		ck_assert_msg(notes->wrong[i] == 0, "%u times wrong: %u", notes->wrong[i], i);
	check_usable(shm);
	uint32_t operations = notes->passed;
	munmap(notes, sizeof(*notes));
	shm_detach(&shm);
	return operations;
}

/* -- sessions come and go; rows are read while they change -- */

static struct peer_identity numbered(uint64_t number)
{
	struct peer_identity id = { .client_id = number,
		.connected_unix = (unix_s)number,
		.inner4 = (uint32_t)number,
		.connected_ms = (mono_ms)number };
	snprintf(id.common_name, sizeof(id.common_name), "%llu", (unsigned long long)number);
	return id;
}

static void check_row(struct job *job, const struct peer_row *row)
{
	const struct peer_identity *id = &row->identity;
	if (id->client_id &&
		(id->connected_unix != (unix_s)id->client_id || id->inner4 != (uint32_t)id->client_id ||
			id->connected_ms != (mono_ms)id->client_id ||
			strtoull(id->common_name, NULL, 10) != id->client_id))
		note_wrong(job, 0);
}

static void sessions(struct job *job)
{
	struct shm *shm = job->shm;
	struct session mine[SLOTS];
	unsigned count = 0;

	for (int i = 0; i < job->turns; i++) {
		struct peer_row row;
		uint64_t dice = chance(&job->seed);
		if (dice % 2 && count < SLOTS / 2) {
			struct session s;
			s.slot = peers_take(shm, job->index, &s.generation);
			if (s.slot == PEER_NONE)
				continue;
			uint8_t *kept = peers_slot(shm, s.slot)->kept;
			for (size_t k = 0; k < PEER_KEPT_LEN; k += 256)
				if (kept[k])
					note_wrong(job, 1);
			memset(kept, (int)job->index + 1, PEER_KEPT_LEN);
			mine[count++] = s;
		} else if (count) {
			unsigned k = (unsigned)(dice >> 8) % count;
			struct session s = mine[k];
			uint8_t *kept = peers_slot(shm, s.slot)->kept;
			for (size_t b = 0; b < PEER_KEPT_LEN; b += 64)
				if (kept[b] != job->index + 1)
					note_wrong(job, 2);
			struct peer_identity id = numbered(dice >> 16);
			if (!peers_live(shm, s.slot, s.generation) ||
				!peers_write(shm, s.slot, s.generation, &id))
				note_wrong(job, 3);
			if (dice % 3 == 0) {
				if (!peers_release(shm, s.slot, s.generation))
					note_wrong(job, 4);
				mine[k] = mine[--count];
			}
		}
		for (uint32_t k = 0; k < 4; k++)
			if (peers_read(shm, (uint32_t)chance(&job->seed) % SLOTS, &row))
				check_row(job, &row);
	}
	while (count--)
		if (!peers_release(shm, mine[count].slot, mine[count].generation))
			note_wrong(job, 4);
}

/* -- no address, prefix or lease has two holders -- */

static void hold(struct job *job, _Atomic uint64_t *holder, unsigned what)
{
	if (atomic_exchange(holder, job->index + 1) != 0)
		note_wrong(job, what);
}

static void let_go(struct job *job, _Atomic uint64_t *holder, unsigned what)
{
	if (atomic_exchange(holder, 0) != job->index + 1)
		note_wrong(job, what);
}

static void holders(struct job *job)
{
	struct shm *shm = job->shm;
	struct session s = new_session(shm, job->index);
	const uint8_t own[4] = { 172, 16, 0, (uint8_t)job->index };

	/* This one stays, whatever happens around it. */
	if (routes_put(shm, 4, own, 32, s.slot, s.generation, NULL, NULL) != ROUTE_PUT)
		note_wrong(job, 0);
	for (int i = 0; i < job->turns; i++) {
		uint64_t dice = chance(&job->seed);
		unsigned n = (unsigned)(dice >> 8) % ADDRESSES;
		struct link_address a = address4(n, 1194), noise = address4((uint32_t)(dice >> 20), 7);
		uint8_t prefix[4] = { 10, 8, (uint8_t)n, 0 };
		uint32_t slot, generation;

		if (links_put(shm, &a, s.slot, s.generation, NULL, NULL) == LINK_PUT) {
			hold(job, &job->notes->address_holder[n], 1);
			if (!links_find(shm, &a, &slot, &generation) || slot != s.slot)
				note_wrong(job, 2);
			let_go(job, &job->notes->address_holder[n], 1);
			/* Half of them end with the session, nobody removes them. */
			if (dice % 8 == 0) {
				routes_remove(shm, 4, own, 32, s.slot, s.generation);
				peers_release(shm, s.slot, s.generation);
				s = new_session(shm, job->index);
				routes_put(shm, 4, own, 32, s.slot, s.generation, NULL, NULL);
			} else if (!links_remove(shm, &a, s.slot, s.generation)) {
				note_wrong(job, 2);
			}
		}
		if (routes_put(shm, 4, prefix, 24, s.slot, s.generation, NULL, NULL) == ROUTE_PUT) {
			hold(job, &job->notes->route_holder[n], 3);
			prefix[3] = (uint8_t)dice;
			if (!routes_find(shm, 4, prefix, &slot, &generation) || slot != s.slot)
				note_wrong(job, 4);
			let_go(job, &job->notes->route_holder[n], 3);
			if (!routes_remove(shm, 4, prefix, 24, s.slot, s.generation))
				note_wrong(job, 4);
		}
		uint32_t lease = lease_take(shm, dice % 3 ? "some name" : NULL, s.slot, s.generation);
		if (lease != LEASE_NONE) {
			hold(job, &job->notes->lease_holder[lease], 5);
			let_go(job, &job->notes->lease_holder[lease], 5);
			if (!lease_release(shm, lease, s.slot, s.generation))
				note_wrong(job, 5);
		}
		links_put(shm, &noise, s.slot, s.generation, NULL, NULL);
		if (dice % 4)
			links_remove(shm, &noise, s.slot, s.generation);
		if (!routes_find(shm, 4, own, &slot, &generation) || slot != s.slot ||
			generation != s.generation)
			note_wrong(job, 6);
	}
	peers_release(shm, s.slot, s.generation);
}

/* -- rings: everybody sends to everybody -- */

static void ring_fill(struct ring_item *item, uint32_t number)
{
	item->kind = HANDOVER_PACKET;
	item->slot = number;
	memset(item->payload, (int)(number & 0xff), item->len);
}

static void rings(struct job *job)
{
	uint32_t sent[CREW] = { 0 }, got[CREW] = { 0 };
	const uint32_t all = (uint32_t)job->turns;
	struct timespec start, now;

	clock_gettime(CLOCK_MONOTONIC, &start);
	for (;;) {
		bool done = true, moved = false;
		for (unsigned other = 0; other < CREW; other++) {
			struct ring_item item;
			if (other == job->index)
				continue;
			struct ring out = ring_between(job->shm, job->index, other);
			uint32_t len = (uint32_t)chance(&job->seed) % 1500;
			if (sent[other] < all && ring_reserve(out, len, &item)) {
				ring_fill(&item, sent[other]++);
				ring_commit(out, &item);
				moved = true;
			}
			struct ring in = ring_between(job->shm, other, job->index);
			uint64_t at = ring_start(in);
			enum ring_answer answer;
			for (int n = 0; n < 8 && (answer = ring_next(in, &at, &item)) != RING_EMPTY; n++) {
				moved = true;
				if (answer == RING_BROKEN || item.slot != got[other]++ ||
					(item.len &&
						(item.payload[0] != (item.slot & 0xff) ||
							item.payload[item.len - 1] != (item.slot & 0xff))))
					note_wrong(job, 0);
			}
			ring_release(in, at);
			done = done && sent[other] == all && got[other] == all;
		}
		if (done)
			return;
		if (!moved) {
			sched_yield();
			clock_gettime(CLOCK_MONOTONIC, &now);
			if (now.tv_sec - start.tv_sec > 20) {
				note_wrong(job, 1);
				return;
			}
		}
	}
}

/* -- a shared budget -- */

static void budget(struct job *job)
{
	/* A take may be refused when many ask at the same instant, never allowed too often. */
	for (int i = 0; i < job->turns; i++)
		if (limit_take(shm_limit(job->shm, LIMIT_OPENERS), 1000, 10000, 500) &&
			atomic_fetch_add(&job->notes->passed, 1) >= 1000)
			note_wrong(job, 0);
}

/* -- sessions move about: each has one holder at any time, and none is lost -- */

struct held {
	struct session of[SLOTS];
	unsigned count;
	bool has[SLOTS];
};

static void keep(struct job *job, struct held *mine, struct session s)
{
	uint8_t *kept = peers_slot(job->shm, s.slot)->kept;
	if (atomic_exchange(&job->notes->slot_holder[s.slot], job->index + 1) != 0)
		note_wrong(job, 0);
	memset(kept, (int)job->index + 1, 64); /* as an owner writes, without a lock */
	mine->has[s.slot] = true;
	mine->of[mine->count++] = s;
}

static struct session drop(struct job *job, struct held *mine, unsigned k)
{
	struct session s = mine->of[k];
	uint8_t *kept = peers_slot(job->shm, s.slot)->kept;
	for (unsigned i = 0; i < 64; i++)
		if (kept[i] != job->index + 1)
			note_wrong(job, 1);
	if (atomic_exchange(&job->notes->slot_holder[s.slot], 0) != job->index + 1)
		note_wrong(job, 0);
	mine->has[s.slot] = false;
	mine->of[k] = mine->of[--mine->count];
	return s;
}

/* As worker/moving.c: the owner first, then the word. */
static void give_away(struct job *job, struct held *mine, unsigned k, unsigned to)
{
	struct session s = drop(job, mine, k);
	struct ring ring = ring_between(job->shm, job->index, to);
	struct ring_item item;

	if (!peers_move_owner(job->shm, s.slot, s.generation, job->index, to))
		note_wrong(job, 2);
	if (ring_reserve(ring, 0, &item)) {
		item.kind = HANDOVER_MOVED;
		item.slot = s.slot;
		item.generation = s.generation;
		ring_commit(ring, &item);
	}
}

static void welcome(struct job *job, struct held *mine, uint32_t slot)
{
	struct session s = { .slot = slot };
	if (mine->has[slot] || peers_owner(job->shm, slot, &s.generation) != job->index)
		return;
	if (peers_adopt(job->shm, slot, job->index, false, &s.generation) != PEER_ADOPTED)
		note_wrong(job, 3);
	keep(job, mine, s);
}

static void hear_of_moves(struct job *job, struct held *mine)
{
	for (unsigned from = 0; from < CREW; from++) {
		struct ring ring = ring_between(job->shm, from, job->index);
		struct ring_item item;
		if (!ring.ends)
			continue;
		uint64_t at = ring_start(ring);
		enum ring_answer answer;
		while ((answer = ring_next(ring, &at, &item)) == RING_ITEM)
			if (item.slot < SLOTS)
				welcome(job, mine, item.slot);
		if (answer == RING_BROKEN)
			note_wrong(job, 4);
		ring_release(ring, at);
	}
}

/* Those of which no record told, since the ring was full. */
static void look_around(struct job *job, struct held *mine)
{
	for (uint32_t slot = 0; slot < SLOTS; slot++)
		welcome(job, mine, slot);
}

static void end_all(struct job *job, struct held *mine)
{
	while (mine->count) {
		struct session s = drop(job, mine, 0);
		if (!peers_release(job->shm, s.slot, s.generation))
			note_wrong(job, 5);
	}
}

static void moves(struct job *job)
{
	struct shm *shm = job->shm;
	struct held mine = { 0 };
	uint32_t slot, generation;

	unsigned idle = 0;
	for (int i = 0; i < job->turns; i++) {
		uint64_t dice = chance(&job->seed);
		unsigned k = mine.count ? (unsigned)(dice >> 32) % mine.count : 0;
		hear_of_moves(job, &mine);
		if (i % 64 == 0)
			look_around(job, &mine);
		if (!mine.count && peers_count(shm) == SLOTS) {
			/* The others have them all, or gave us some without a word. */
			sched_yield();
			look_around(job, &mine);
			i--;
			if (++idle < 1000000)
				continue;
			note_wrong(job, 7);
			break;
		}
		if (dice % 4 == 0 && mine.count < SLOTS / CREW) {
			struct session s;
			s.slot = peers_take(shm, job->index, &s.generation);
			if (s.slot != PEER_NONE)
				keep(job, &mine, s);
		} else if (dice % 4 == 1 && mine.count) {
			struct session s = drop(job, &mine, k);
			if (!peers_release(shm, s.slot, s.generation))
				note_wrong(job, 5);
		} else if (dice % 4 == 2 && mine.count) {
			give_away(job, &mine, k, (job->index + 1 + (unsigned)(dice >> 8) % (CREW - 1)) % CREW);
		} else if (mine.count) {
			struct session s = mine.of[k];
			struct peer_identity id = numbered(dice >> 16);
			struct link_address a = address4(s.slot, 1);
			uint8_t prefix[4] = { 10, 8, 0, (uint8_t)s.slot };
			if (!peers_write(shm, s.slot, s.generation, &id) ||
				links_put(shm, &a, s.slot, s.generation, NULL, NULL) < 0 ||
				routes_put(shm, 4, prefix, 32, s.slot, s.generation, NULL, NULL) < 0 ||
				!links_find(shm, &a, &slot, &generation) || slot != s.slot)
				note_wrong(job, 6);
			uint32_t lease = lease_take(shm, id.common_name, s.slot, s.generation);
			if (lease != LEASE_NONE && !lease_release(shm, lease, s.slot, s.generation))
				note_wrong(job, 6);
			atomic_fetch_add(&job->notes->passed, 5);
		}
		atomic_fetch_add(&job->notes->passed, 1);
	}
	/* Until the last has given away the last. */
	atomic_fetch_add(&job->notes->stop, 1);
	for (bool last = false; !last;) {
		last = atomic_load(&job->notes->stop) == CREW;
		hear_of_moves(job, &mine);
		look_around(job, &mine);
		end_all(job, &mine);
		sched_yield();
	}
}

#define BOTH_WAYS(name, what, turns)                                                                         \
	START_TEST(name##_among_threads)                                                                     \
	{                                                                                                    \
		tell(what, turns, true);                                                                     \
	}                                                                                                    \
	END_TEST                                                                                             \
	START_TEST(name##_among_processes)                                                                   \
	{                                                                                                    \
		tell(what, turns, false);                                                                    \
	}                                                                                                    \
	END_TEST

BOTH_WAYS(sessions_come_and_go_and_no_row_is_torn, sessions, 20000)
BOTH_WAYS(nothing_has_two_holders, holders, 20000)
BOTH_WAYS(rings_keep_order_and_content, rings, 20000)
BOTH_WAYS(sessions_move_and_have_one_holder_each, moves, 20000)
BOTH_WAYS(a_budget_is_not_overdrawn, budget, 2000)

START_TEST(a_million_operations_by_several_processes_leave_everything_usable)
{
	uint32_t operations = tell(moves, 200000, false);
	printf("%u operations\n", operations);
	ck_assert_uint_gt(operations, 1000000);
}
END_TEST

/* -- killed at any instruction -- */

static void everything_for_ever(struct job *job)
{
	job->turns = 50;
	for (;;) {
		struct shm *shm = job->shm;
		struct session s;
		struct ring_item item;
		s.slot = peers_take(shm, job->index, &s.generation);
		if (s.slot == PEER_NONE)
			continue;
		uint32_t number = (uint32_t)chance(&job->seed);
		struct peer_identity id = numbered(number);
		struct link_address a = address4(number % 32, 1);
		uint8_t prefix[4] = { 10, 8, 0, (uint8_t)(number % 32) };
		memset(peers_slot(shm, s.slot)->kept, 0xff, PEER_KEPT_LEN);
		peers_write(shm, s.slot, s.generation, &id);
		links_put(shm, &a, s.slot, s.generation, NULL, NULL);
		routes_put(shm, 4, prefix, 32, s.slot, s.generation, NULL, NULL);
		uint32_t lease = lease_take(shm, id.common_name, s.slot, s.generation);
		struct ring ring = ring_between(shm, job->index, (job->index + 1) % CREW);
		if (ring_reserve(ring, number % 1500, &item)) {
			ring_fill(&item, number);
			ring_commit(ring, &item);
		}
		ring = ring_between(shm, (job->index + CREW - 1) % CREW, job->index);
		uint64_t at = ring_start(ring);
		for (int n = 0; n < 4; n++)
			if (ring_next(ring, &at, &item) == RING_BROKEN)
				note_wrong(job, 0);
		ring_release(ring, at);
		if (number % 2)
			lease_release(shm, lease, s.slot, s.generation);
		if (number % 3)
			links_remove(shm, &a, s.slot, s.generation);
		peers_release(shm, s.slot, s.generation);
	}
}

/* What a successor does with the slots of its dead predecessor. */
static void succeed(struct shm *shm, unsigned index)
{
	uint32_t slot = 0, generation;
	while ((slot = peers_next_owned(shm, index, slot)) != PEER_NONE) {
		struct peer_row row;
		enum peer_adoption what = peers_adopt(shm, slot, index, false, &generation);
		ck_assert_int_ne(what, PEER_NOT_OURS);
		ck_assert(peers_read(shm, slot, &row));
		ck_assert(peers_release(shm, slot, generation));
	}
}

START_TEST(after_any_number_of_kills_every_table_can_be_used_to_the_last_entry)
{
	struct shm *shm = segment_of(sizes);
	struct notes *notes = new_notes();
	uint64_t seed = 99;
	pid_t pids[CREW] = { 0 };

	for (int round = 0; round < 150; round++) {
		for (unsigned i = 0; i < CREW; i++) {
			if (pids[i])
				continue;
			succeed(shm, i); /* while the others go on */
			pids[i] = fork();
			if (pids[i] == 0) {
				struct job job = { shm, notes, i, chance(&seed) + i, 0 };
				everything_for_ever(&job);
			}
		}
		struct timespec nap = { .tv_nsec = (long)(chance(&seed) % 12000000) };
		nanosleep(&nap, NULL);
		unsigned dead = (unsigned)(chance(&seed) % CREW);
		kill(pids[dead], SIGKILL);
		waitpid(pids[dead], NULL, 0);
		pids[dead] = 0;
	}
	for (unsigned i = 0; i < CREW; i++) {
		if (pids[i]) {
			kill(pids[i], SIGKILL);
			waitpid(pids[i], NULL, 0);
		}
		succeed(shm, i);
	}
	ck_assert_uint_eq(notes->wrong[0], 0);
	check_usable(shm);
	munmap(notes, sizeof(*notes));
	shm_detach(&shm);
}
END_TEST

int main(void)
{
	TCase *t = tcase_create("hammer");
	tcase_set_timeout(t, 120);
	tcase_add_test(t, sessions_come_and_go_and_no_row_is_torn_among_threads);
	tcase_add_test(t, nothing_has_two_holders_among_threads);
	tcase_add_test(t, rings_keep_order_and_content_among_threads);
	tcase_add_test(t, sessions_move_and_have_one_holder_each_among_threads);
	tcase_add_test(t, sessions_move_and_have_one_holder_each_among_processes);
	tcase_add_test(t, a_million_operations_by_several_processes_leave_everything_usable);
	tcase_add_test(t, a_budget_is_not_overdrawn_among_threads);
	tcase_add_test(t, sessions_come_and_go_and_no_row_is_torn_among_processes);
	tcase_add_test(t, nothing_has_two_holders_among_processes);
	tcase_add_test(t, rings_keep_order_and_content_among_processes);
	tcase_add_test(t, a_budget_is_not_overdrawn_among_processes);
	tcase_add_test(t, after_any_number_of_kills_every_table_can_be_used_to_the_last_entry);
	return run_suite(t, "shm hammer");
}
