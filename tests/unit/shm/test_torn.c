/* SPDX-License-Identifier: MIT
 * Readers never see a torn row: every byte of a row follows from its number, writers publish as fast as they
 * can and are killed at any instruction, and ten readers, each a process with a map of its own, hold each row
 * against its number. */
#include "tests/unit/shm/stats_fixture.h"

#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>

enum { READERS = 10, WRITERS = 2, SLOTS_EACH = 2, DEATHS = 30 };

/* Shared by all processes of the test. */
struct tally {
	_Atomic uint64_t whole, torn, published;
	_Atomic uint32_t readers_ready, stop;
};

static struct tally *new_tally(void)
{
	void *at =
		mmap(NULL, sizeof(struct tally), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ck_assert_ptr_ne(at, MAP_FAILED);
	return at;
}

/* All bytes, padding too, say the number; those that a reader itself sets are as it sets them. */
static void pattern(struct stats_row *row, uint64_t number)
{
	uint64_t seed = number * 0x9e3779b97f4a7c15u + 1;
	uint8_t *bytes = (uint8_t *)row;

	for (size_t at = 0; at < sizeof(*row); at += 8) {
		uint64_t word = chance(&seed);
		memcpy(bytes + at, &word, 8);
	}
	row->client_id = number;
	row->state = (uint8_t)(PEER_HANDSHAKE + number % 3);
	row->common_name[sizeof(row->common_name) - 1] = 0;
	row->cipher[sizeof(row->cipher) - 1] = 0;
	row->tls[sizeof(row->tls) - 1] = 0;
	row->version[sizeof(row->version) - 1] = 0;
	row->platform[sizeof(row->platform) - 1] = 0;
}

static bool is_whole(const struct stats_row *row)
{
	struct stats_row expected;

	pattern(&expected, row->client_id);
	return memcmp(&expected, row, sizeof(expected)) == 0;
}

static pid_t child_of_the_test(void)
{
	pid_t pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0)
		alarm(60); /* whatever happens to the parent */
	return pid;
}

static pid_t start_writer(struct stats *stats, struct tally *tally, unsigned index)
{
	pid_t pid = child_of_the_test();
	if (pid)
		return pid;
	for (uint64_t number = (uint64_t)getpid() << 32; !atomic_load(&tally->stop); number++) {
		struct stats_row row;
		pattern(&row, number);
		stats_publish(stats, (uint32_t)(index * SLOTS_EACH + number % SLOTS_EACH), &row);
		if (number % 64 == 0)
			stats_clear(stats, (uint32_t)(index * SLOTS_EACH));
		atomic_fetch_add(&tally->published, 1);
	}
	_exit(0);
}

static pid_t start_reader(const char *path, struct tally *tally)
{
	char error[300];
	pid_t pid = child_of_the_test();
	if (pid)
		return pid;
	struct reader *reader = reader_open(path, error, sizeof(error));
	if (!reader)
		_exit(1);
	atomic_fetch_add(&tally->readers_ready, 1);
	while (!atomic_load(&tally->stop)) {
		struct stats_row row;
		uint32_t slot;
		for (uint32_t from = 0; reader_next_row(reader, from, &slot, &row); from = slot + 1)
			atomic_fetch_add(is_whole(&row) ? &tally->whole : &tally->torn, 1);
	}
	reader_close(&reader);
	_exit(0);
}

static void wait_for_word(_Atomic uint64_t *word, uint64_t value)
{
	while (atomic_load(word) < value)
		sched_yield();
}

static void end_well(pid_t pid)
{
	int status = -1;
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
}

START_TEST(ten_readers_of_rows_whose_writers_die_see_whole_ones_only)
{
	char dir[64];
	pid_t readers[READERS], writers[WRITERS];
	uint64_t seed = 4711;
	new_directory(dir);
	struct stats *stats = new_stats(dir, "hub");
	struct tally *tally = new_tally();

	for (int i = 0; i < READERS; i++)
		readers[i] = start_reader(stats->path, tally);
	for (unsigned i = 0; i < WRITERS; i++)
		writers[i] = start_writer(stats, tally, i);
	while (atomic_load(&tally->readers_ready) < READERS)
		sched_yield();
	for (unsigned death = 0; death < DEATHS; death++) {
		unsigned which = death % WRITERS;
		struct timespec span = { 0, (long)(chance(&seed) % 20000000) };
		nanosleep(&span, NULL);
		kill(writers[which], SIGKILL);
		ck_assert_int_eq(waitpid(writers[which], NULL, 0), writers[which]);
		writers[which] = start_writer(stats, tally, which);
	}
	wait_for_word(&tally->published, atomic_load(&tally->published) + 10000);
	wait_for_word(&tally->whole, 100000);
	atomic_store(&tally->stop, 1);
	for (int i = 0; i < READERS; i++)
		end_well(readers[i]);
	for (int i = 0; i < WRITERS; i++)
		end_well(writers[i]);
	printf("%llu rows published, %llu read whole, %llu torn\n", (unsigned long long)tally->published,
		(unsigned long long)tally->whole, (unsigned long long)tally->torn);
	ck_assert_uint_eq(tally->torn, 0);
	munmap(tally, sizeof(*tally));
	stats_remove(stats);
	stats_detach(&stats);
	rmdir(dir);
}
END_TEST

START_TEST(the_pattern_shows_a_row_that_was_not_written_by_the_rule)
{
	char dir[64], error[300];
	struct stats_row before, after, found;
	new_directory(dir);
	struct stats *stats = new_stats(dir, "hub");
	struct reader *reader = reader_open(stats->path, error, sizeof(error));
	ck_assert_ptr_nonnull(reader);

	pattern(&before, 1);
	pattern(&after, 4); /* of the same state */
	stats_publish(stats, 0, &before);
	ck_assert(reader_row(reader, 0, &found) && is_whole(&found));
	for (size_t cut = 1; cut < sizeof(after) / 8; cut++) {
		for (size_t i = 0; i < cut; i++) {
			uint64_t word;
			memcpy(&word, (const uint8_t *)&after + i * 8, 8);
			atomic_store(&stats->rows[0].words[i], word); /* and the version as it was */
		}
		ck_assert(reader_row(reader, 0, &found));
		ck_assert(!is_whole(&found));
	}
	stats_publish(stats, 0, &after);
	ck_assert(reader_row(reader, 0, &found) && is_whole(&found));
	reader_close(&reader);
	stats_remove(stats);
	stats_detach(&stats);
	rmdir(dir);
}
END_TEST

int main(void)
{
	TCase *t = tcase_create("torn");
	tcase_set_timeout(t, 60);
	tcase_add_test(t, ten_readers_of_rows_whose_writers_die_see_whole_ones_only);
	tcase_add_test(t, the_pattern_shows_a_row_that_was_not_written_by_the_rule);
	return run_suite(t, "shm torn");
}
