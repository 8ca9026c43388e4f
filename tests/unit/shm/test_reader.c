/* SPDX-License-Identifier: MIT
 * The stats segment as an outsider sees it, whatever is in the file. */
#include "tests/unit/shm/stats_fixture.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>

static struct reader *open_hub(const char *dir, const char *name)
{
	char path[400], error[500] = "";
	snprintf(path, sizeof(path), "%s/%s.stats", dir, name);
	struct reader *reader = reader_open(path, error, sizeof(error));
	ck_assert_msg(reader != NULL, "%s", error);
	return reader;
}

static bool refused(const char *dir, const char *name)
{
	char path[400], error[500] = "";
	snprintf(path, sizeof(path), "%s/%s", dir, name);
	struct reader *reader = reader_open(path, error, sizeof(error));
	bool said_why = !reader && strlen(error) > strlen(path);
	if (reader)
		reader_close(&reader);
	return said_why;
}

START_TEST(what_was_written_is_read)
{
	char dir[64];
	struct reader_hub hub;
	struct reader_worker worker;
	struct counter_values sum;
	struct stats_row row, found;
	uint32_t slot = 0;
	new_directory(dir);
	struct stats *stats = new_stats(dir, "hub");
	struct reader *reader = open_hub(dir, "hub");

	reader_hub(reader, &hub);
	ck_assert_str_eq(hub.name, "hub");
	ck_assert_str_eq(hub.program_version, "0.1.0");
	ck_assert_uint_eq(hub.listener_count, 2);
	ck_assert_str_eq(hub.listeners[1], "tcp4 0.0.0.0:443");
	ck_assert_int_eq(hub.pid, getpid());

	stats_worker_born(stats_worker(stats, 1), 4711, 2000, 3);
	stats_worker_state(stats_worker(stats, 1), STATS_WORKER_READY);
	stats_heartbeat(stats_worker(stats, 1), 2010, 15, 25);
	counter_add(&stats_worker(stats, 0)->counters, COUNTER_DATAGRAMS_IN, 5);
	counter_add(&stats_worker(stats, 1)->counters, COUNTER_DATAGRAMS_IN, 6);
	counter_set(&stats_worker(stats, 1)->counters, COUNTER_SESSIONS, 2);
	counter_fate(&stats_worker(stats, 1)->counters, FATE_REPLAYED, 7);
	ck_assert(reader_worker(reader, 1, &worker));
	ck_assert_int_eq(worker.pid, 4711);
	ck_assert_int_eq(worker.state, STATS_WORKER_READY);
	ck_assert_uint_eq(worker.births, 1);
	ck_assert_uint_eq(worker.cpu, 3);
	ck_assert_uint_eq(worker.cpu_system_us, 25);
	ck_assert_uint_eq(worker.values.named[COUNTER_SESSIONS], 2);
	ck_assert(!reader_worker(reader, 2, &worker));
	reader_sum(reader, &sum);
	ck_assert_uint_eq(sum.named[COUNTER_DATAGRAMS_IN], 11);
	ck_assert_uint_eq(sum.fates[FATE_REPLAYED], 7);

	ck_assert(!reader_next_row(reader, 0, &slot, &found));
	row = row_of("alice", 77);
	stats_publish(stats, 49, &row);
	ck_assert(reader_next_row(reader, 0, &slot, &found));
	ck_assert_uint_eq(slot, 49);
	ck_assert_mem_eq(&found, &row, sizeof(row));
	ck_assert(!reader_next_row(reader, 50, &slot, &found));
	ck_assert(!reader_row(reader, 50, &found));
	stats_clear(stats, 49);
	ck_assert(!reader_next_row(reader, 0, &slot, &found));

	reader_close(&reader);
	ck_assert_ptr_null(reader);
	stats_remove(stats);
	stats_detach(&stats);
	rmdir(dir);
}
END_TEST

START_TEST(a_hub_is_seen_alive_stopped_or_dead)
{
	char dir[64], error[300];
	new_directory(dir);
	struct stats *stats = new_stats(dir, "hub");
	struct reader *reader = open_hub(dir, "hub");
	ck_assert_int_eq(reader_life(reader), HUB_ALIVE);
	atomic_fetch_add(&stats->header->pid_start, 1); /* another process has our pid now */
	ck_assert_int_eq(reader_life(reader), HUB_DEAD);
	stats_mark_master(stats);
	ck_assert_int_eq(reader_life(reader), HUB_ALIVE);
	const int64_t nobody[] = { 0, -1, INT64_MAX, INT64_MIN, INT32_MAX };
	for (int i = 0; i < 5; i++) {
		atomic_store(&stats->header->pid, nobody[i]);
		ck_assert_int_eq(reader_life(reader), HUB_DEAD);
	}
	/* its workers go on: one that lives and whose heart was felt */
	unix_s now = time(NULL);
	ck_assert_uint_eq(reader_living_workers(reader), 0);
	stats_worker_born(stats_worker(stats, 0), getpid(), now - 100, 0);
	ck_assert_int_eq(reader_life(reader), HUB_DEAD); /* its pid may be another's */
	stats_worker_born(stats_worker(stats, 0), INT32_MAX, now, 0);
	stats_heartbeat(stats_worker(stats, 0), now, 0, 0);
	ck_assert_int_eq(reader_life(reader), HUB_DEAD);
	stats_worker_born(stats_worker(stats, 0), getpid(), now - 100, 0);
	ck_assert_int_eq(reader_life(reader), HUB_ORPHANED);
	stats_heartbeat(stats_worker(stats, 0), now - 60, 0, 0);
	ck_assert_int_eq(reader_life(reader), HUB_DEAD);
	stats_worker_born(stats_worker(stats, 1), getpid(), now, 0); /* no heartbeat yet */
	ck_assert_int_eq(reader_life(reader), HUB_ORPHANED);
	ck_assert_uint_eq(reader_living_workers(reader), 1);
	stats_mark_master(stats);
	ck_assert_int_eq(reader_life(reader), HUB_ALIVE);
	stats_remove(stats);
	ck_assert_int_eq(reader_life(reader), HUB_STOPPED);
	reader_close(&reader);
	stats_detach(&stats);

	struct stats_about about = about_hub("gone");
	pid_t child = fork();
	if (child == 0)
		_exit(stats_create(dir, &about, error, sizeof(error)) ? 0 : 1);
	siginfo_t info;
	ck_assert_int_eq(waitid(P_PID, (id_t)child, &info, WEXITED | WNOWAIT), 0);
	reader = open_hub(dir, "gone");
	ck_assert_int_eq(reader_life(reader), HUB_DEAD); /* before its parent looked, too */
	waitpid(child, NULL, 0);
	ck_assert_int_eq(reader_life(reader), HUB_DEAD);
	reader_close(&reader);
	remove_directory(dir);
}
END_TEST

START_TEST(files_that_are_not_ours_are_refused)
{
	char dir[64], path[400];
	uint8_t bytes[20000] = { 0 };
	new_directory(dir);
	ck_assert(refused(dir, "missing"));
	ck_assert(refused(dir, ".")); /* a directory */
	write_file(dir, "empty", bytes, 0);
	ck_assert(refused(dir, "empty"));
	write_file(dir, "zeros", bytes, sizeof(bytes));
	ck_assert(refused(dir, "zeros"));
	snprintf(path, sizeof(path), "%s/fifo", dir);
	ck_assert_int_eq(mkfifo(path, 0600), 0);
	ck_assert(refused(dir, "fifo"));
	ck_assert(refused("/dev", "zero"));
	remove_directory(dir);
}
END_TEST

START_TEST(files_of_another_version_or_cut_short_are_refused)
{
	char dir[64];
	new_directory(dir);
	struct stats *stats = new_stats(dir, "hub");
	uint8_t *bytes = malloc(stats->size + 4096);
	struct stats_header *h = (struct stats_header *)bytes;
	size_t size = stats->size;
	ck_assert_int_eq(pread(stats->fd, bytes, size, 0), (ssize_t)size);
	write_file(dir, "copy", bytes, size);
	ck_assert(!refused(dir, "copy"));
	const size_t cuts[] = { 1, 100, sizeof(*h) - 1, sizeof(*h), STATS_HEADER_LEN, size - 1 };
	for (int i = 0; i < 6; i++) {
		write_file(dir, "copy", bytes, cuts[i]);
		ck_assert(refused(dir, "copy"));
	}
	write_file(dir, "copy", bytes, size + 4096);
	ck_assert(refused(dir, "copy"));
#define CHANGED(field, value)                                                                                \
	do {                                                                                                 \
		struct stats_header was;                                                                     \
		memcpy((void *)&was, h, sizeof(was));                                                        \
		h->field = value;                                                                            \
		write_file(dir, "copy", bytes, size);                                                        \
		ck_assert_msg(refused(dir, "copy"), #field);                                                 \
		memcpy((void *)h, (void *)&was, sizeof(was));                                                \
	} while (0)
	CHANGED(magic, 0);
	CHANGED(version, 2);
	CHANGED(header_len, 7);
	CHANGED(layout, 1);
	CHANGED(size, size + 1);
	CHANGED(sizes.workers, 0);
	CHANGED(sizes.workers, UINT32_MAX);
	CHANGED(sizes.slots, 0);
	CHANGED(sizes.slots, 5000);
	CHANGED(sizes.slots, UINT32_MAX);
	free(bytes);
	stats_detach(&stats);
	remove_directory(dir);
}
END_TEST

START_TEST(random_content_behind_a_good_header_is_read_without_harm)
{
	char dir[64];
	uint64_t seed = 1;
	new_directory(dir);
	struct stats *stats = new_stats(dir, "hub");
	struct reader *reader = open_hub(dir, "hub");
	for (int turn = 0; turn < 200; turn++) {
		struct reader_hub hub;
		struct reader_worker worker;
		struct counter_values sum;
		struct stats_row row;
		uint32_t slot;
		for (size_t at = turn % 2 ? 0 : STATS_HEADER_LEN; at < stats->size; at += 8) {
			uint64_t word = chance(&seed) & (turn % 3 ? UINT64_MAX : 0x0000000300000002);
			memcpy(stats->base + at, &word, 8);
		}
		reader_hub(reader, &hub);
		ck_assert_uint_le(hub.listener_count, STATS_MAX_LISTENERS);
		for (unsigned i = 0; i < hub.listener_count; i++)
			ck_assert_uint_lt(strlen(hub.listeners[i]), STATS_LISTENER_ROOM);
		ck_assert_uint_lt(strlen(hub.name), STATS_NAME_ROOM);
		ck_assert_uint_eq(hub.sizes.slots, 50);
		reader_life(reader);
		reader_sum(reader, &sum);
		for (unsigned i = 0; reader_worker(reader, i, &worker); i++)
			ck_assert_uint_le((unsigned)worker.state, STATS_WORKER_DEAD);
		for (uint32_t from = 0; reader_next_row(reader, from, &slot, &row); from = slot + 1) {
			ck_assert_uint_lt(slot, 50);
			ck_assert_uint_lt(strlen(row.common_name), PEER_NAME_ROOM);
			ck_assert_uint_lt(strlen(row.cipher), sizeof(row.cipher));
			ck_assert_uint_lt(strlen(row.tls), sizeof(row.tls));
			ck_assert_uint_lt(strlen(row.version), sizeof(row.version));
			ck_assert_uint_lt(strlen(row.platform), sizeof(row.platform));
		}
		struct stats_network network;
		for (uint32_t from = 0; reader_next_network(reader, from, &slot, &network); from = slot + 1) {
			ck_assert_uint_lt(slot, 10);
			ck_assert_uint_le(network.bits, network.family == 4 ? 32 : 128);
		}
	}
	reader_close(&reader);
	stats_detach(&stats);
	remove_directory(dir);
}
END_TEST

START_TEST(a_row_that_a_dead_worker_left_half_written_is_passed_over)
{
	char dir[64];
	struct stats_row row = row_of("alice", 1), found;
	uint32_t slot;
	new_directory(dir);
	struct stats *stats = new_stats(dir, "hub");
	struct reader *reader = open_hub(dir, "hub");
	stats_publish(stats, 3, &row);
	stats_publish(stats, 4, &row);
	atomic_fetch_add(&stats->rows[3].version, 1);
	ck_assert(!reader_row(reader, 3, &found));
	ck_assert(reader_next_row(reader, 0, &slot, &found) && slot == 4);
	stats_publish(stats, 3, &row); /* the successor */
	ck_assert(reader_next_row(reader, 0, &slot, &found) && slot == 3);
	reader_close(&reader);
	stats_remove(stats);
	stats_detach(&stats);
	rmdir(dir);
}
END_TEST

START_TEST(the_reader_cannot_write)
{
	char dir[64];
	new_directory(dir);
	struct stats *stats = new_stats(dir, "hub");
	struct reader *reader = open_hub(dir, "hub");
	/* Every map of the file but the writer's refuses to become writable. */
	FILE *maps = fopen("/proc/self/maps", "r");
	char line[1000];
	int tried = 0;
	while (fgets(line, sizeof(line), maps)) {
		unsigned long from, to;
		if (strstr(line, dir) && strstr(line, " r--s ") && sscanf(line, "%lx-%lx", &from, &to) == 2) {
			tried++;
			ck_assert_int_ne(mprotect((void *)from, to - from, PROT_READ | PROT_WRITE), 0);
		}
	}
	fclose(maps);
	ck_assert_int_eq(tried, 1);
	reader_close(&reader);
	stats_remove(stats);
	stats_detach(&stats);
	rmdir(dir);
}
END_TEST

START_TEST(hubs_are_listed_by_name_and_other_files_are_not)
{
	char dir[64], names[4][STATS_NAME_ROOM];
	new_directory(dir);
	ck_assert_int_eq(reader_names(dir, names, 4), 0);
	write_file(dir, "zeta.stats", "", 0);
	write_file(dir, "alpha.stats", "", 0);
	write_file(dir, ".hidden.stats", "", 0);
	write_file(dir, "notes.txt", "", 0);
	write_file(dir, ".stats", "", 0);
	write_file(dir, "a b.stats", "", 0);
	ck_assert_int_eq(reader_names(dir, names, 4), 2);
	ck_assert_str_eq(names[0], "alpha");
	ck_assert_str_eq(names[1], "zeta");
	ck_assert_int_eq(reader_names(dir, names, 1), 1);
	remove_directory(dir);
	ck_assert_int_lt(reader_names(dir, names, 4), 0);
}
END_TEST

int main(void)
{
	TCase *t = tcase_create("reader");
	tcase_set_timeout(t, 30);
	tcase_add_test(t, what_was_written_is_read);
	tcase_add_test(t, a_hub_is_seen_alive_stopped_or_dead);
	tcase_add_test(t, files_that_are_not_ours_are_refused);
	tcase_add_test(t, files_of_another_version_or_cut_short_are_refused);
	tcase_add_test(t, random_content_behind_a_good_header_is_read_without_harm);
	tcase_add_test(t, a_row_that_a_dead_worker_left_half_written_is_passed_over);
	tcase_add_test(t, the_reader_cannot_write);
	tcase_add_test(t, hubs_are_listed_by_name_and_other_files_are_not);
	return run_suite(t, "shm reader");
}
