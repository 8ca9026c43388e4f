/* SPDX-License-Identifier: MIT
 * The stats segment as its writers see it. */
#include "tests/unit/shm/stats_fixture.h"

#include <signal.h>
#include <sys/wait.h>
#include <time.h>

START_TEST(the_file_is_complete_readable_by_its_group_and_alone_in_the_directory)
{
	char dir[64], names[4][STATS_NAME_ROOM];
	struct stat st;
	new_directory(dir);
	struct stats *stats = new_stats(dir, "hub");
	ck_assert_int_eq(stat(stats->path, &st), 0);
	ck_assert_uint_eq(st.st_mode & 07777, 0640);
	ck_assert_uint_eq((size_t)st.st_size, stats->size);
	ck_assert_int_ge(st.st_blocks * 512, st.st_size);
	ck_assert_int_eq(reader_names(dir, names, 4), 1);
	stats_remove(stats);
	ck_assert_int_ne(stat(stats->path, &st), 0);
	ck_assert_int_eq(rmdir(dir), 0);
	stats_detach(&stats);
	ck_assert_ptr_null(stats);
}
END_TEST

START_TEST(names_and_sizes_that_cannot_be_are_refused)
{
	char dir[64], error[300];
	const char *const bad[] = { "", ".hidden", "a/b", "../x", "with space", "new\nline",
		"0123456789012345678901234567890123456789012345678901234567890123" };
	new_directory(dir);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct stats_about about = about_hub(bad[i]);
		error[0] = 0;
		ck_assert_ptr_null(stats_create(dir, &about, error, sizeof(error)));
		ck_assert_uint_ne(strlen(error), 0);
	}
	struct stats_about about = about_hub("hub");
	about.sizes.workers = 0;
	ck_assert_ptr_null(stats_create(dir, &about, error, sizeof(error)));
	about.sizes = (struct stats_sizes){ .workers = 2, .slots = SHM_MAX_CLIENTS + 1 };
	ck_assert_ptr_null(stats_create(dir, &about, error, sizeof(error)));
	about = about_hub("hub");
	ck_assert_ptr_null(stats_create("/nonexistent/directory", &about, error, sizeof(error)));
	ck_assert_int_eq(rmdir(dir), 0); /* nothing was left behind */
}
END_TEST

START_TEST(a_name_in_use_is_refused_and_that_of_a_dead_hub_is_taken_over)
{
	char dir[64], error[300];
	struct stats_about about = about_hub("hub");
	new_directory(dir);
	pid_t child = fork();
	if (child == 0) { /* a hub that dies without a word */
		_exit(stats_create(dir, &about, error, sizeof(error)) ? 0 : 1);
	}
	int status;
	waitpid(child, &status, 0);
	ck_assert_int_eq(status, 0);
	struct stats *stats = new_stats(dir, "hub");
	ck_assert_ptr_null(stats_create(dir, &about, error, sizeof(error)));
	ck_assert_ptr_nonnull(strstr(error, "running"));
	struct stats *other = new_stats(dir, "other");
	stats_remove(stats);
	stats_detach(&stats);
	stats = new_stats(dir, "hub");
	stats_remove(stats);
	stats_remove(other);
	stats_detach(&stats);
	stats_detach(&other);
	ck_assert_int_eq(rmdir(dir), 0);
}
END_TEST

START_TEST(a_foreign_file_of_the_name_is_replaced_and_not_believed)
{
	char dir[64];
	new_directory(dir);
	write_file(dir, "hub.stats", "hello", 5);
	struct stats *stats = new_stats(dir, "hub");
	stats_remove(stats);
	stats_detach(&stats);
	ck_assert_int_eq(rmdir(dir), 0);
}
END_TEST

START_TEST(one_does_not_remove_the_file_of_ones_successor)
{
	char dir[64];
	struct stat st;
	new_directory(dir);
	struct stats *old = new_stats(dir, "hub");
	atomic_store(&old->header->stopped, 1);
	struct stats *now = new_stats(dir, "hub");
	stats_remove(old);
	ck_assert_int_eq(stat(now->path, &st), 0);
	stats_remove(now);
	stats_detach(&old);
	stats_detach(&now);
	rmdir(dir);
}
END_TEST

START_TEST(the_successor_of_an_upgrade_attaches_and_others_do_not)
{
	char dir[64], error[300];
	new_directory(dir);
	struct stats *stats = new_stats(dir, "hub");
	struct stats_row row = row_of("alice", 5);
	stats_publish(stats, 3, &row);
	struct stats *next = stats_attach(dup(stats->fd), stats->path, error, sizeof(error));
	ck_assert_ptr_nonnull(next);
	ck_assert_uint_eq(atomic_load(&next->rows[3].words[0]), 5);
	int fd = dup(stats->fd);
	stats->header->layout++;
	ck_assert_ptr_null(stats_attach(fd, stats->path, error, sizeof(error)));
	stats->header->layout--;
	stats->header->sizes.slots += 5000;
	ck_assert_ptr_null(stats_attach(fd, stats->path, error, sizeof(error)));
	ck_assert_ptr_null(stats_attach(-1, stats->path, error, sizeof(error)));
	stats_remove(next);
	stats_detach(&next);
	stats_detach(&stats);
	rmdir(dir);
}
END_TEST

START_TEST(a_dead_process_whose_parent_does_not_look_is_no_process)
{
	siginfo_t info;
	pid_t pid = fork();
	if (pid == 0)
		_exit(0);
	ck_assert_int_eq(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
	ck_assert_uint_eq(stats_process_start(pid), 0);
	ck_assert_uint_ne(stats_process_start(getpid()), 0);
	ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
	ck_assert_uint_eq(stats_process_start(pid), 0);
}
END_TEST

START_TEST(indices_out_of_range_are_ignored)
{
	char dir[64];
	new_directory(dir);
	struct stats *stats = new_stats(dir, "hub");
	struct stats_row row = row_of("alice", 5);
	ck_assert_ptr_nonnull(stats_worker(stats, 1));
	ck_assert_ptr_null(stats_worker(stats, 2));
	stats_publish(stats, 50, &row);
	stats_publish(stats, UINT32_MAX, &row);
	stats_clear(stats, 50);
	counter_fate(&stats_worker(stats, 0)->counters, FATE_COUNT, 1);
	ck_assert_str_eq(counter_name((enum counter)10000), "?");
	ck_assert_str_eq(counter_text((enum counter)10000), "?");
	stats_remove(stats);
	stats_detach(&stats);
	rmdir(dir);
}
END_TEST

START_TEST(a_row_is_made_from_what_the_session_table_says)
{
	struct shm *shm = small_segment();
	struct session s = new_session(shm, 2);
	struct peer_identity id = { .client_id = 9, .inner4 = 0x0a080002, .link = 1, .connected_unix = 5000 };
	struct peer_row peer;
	struct stats_row row;
	strcpy(id.common_name, "alice");
	strcpy(id.tls, "TLSv1.3 X");
	strcpy(id.version, "2.6.14");
	strcpy(id.platform, "linux");
	id.wrap = PEER_WRAP_CRYPT;
	id.renegotiations = 4;
	id.lease4 = LEASE_NONE;
	id.lease6 = 17;
	id.peer_address = address4(1, 2);
	peers_write(shm, s.slot, s.generation, &id);
	peers_count_in(peers_slot(shm, s.slot), 2, 200, 70000);
	ck_assert(peers_read(shm, s.slot, &peer));
	stats_row_from_peer(&row, &peer, 75000, 9000);
	ck_assert_str_eq(row.common_name, "alice");
	ck_assert_uint_eq(row.owner, 2);
	ck_assert_uint_eq(row.client_id, 9);
	ck_assert_uint_eq(row.bytes_in, 200);
	ck_assert_int_eq(row.last_in_unix, 8995);
	ck_assert_uint_eq(row.state, PEER_HANDSHAKE);
	peer.last_in_ms = INT64_MAX; /* a clock gone mad in shared memory */
	stats_row_from_peer(&row, &peer, 75000, 9000);
	ck_assert_int_eq(row.last_in_unix, 0);
	ck_assert_str_eq(row.tls, "TLSv1.3 X");
	ck_assert_str_eq(row.version, "2.6.14");
	ck_assert_str_eq(row.platform, "linux");
	ck_assert_uint_eq(row.wrap, PEER_WRAP_CRYPT);
	ck_assert_uint_eq(row.renegotiations, 4);
	ck_assert_uint_eq(row.lease, 17);
	ck_assert_int_eq(row.round_trip_ms, -1);
	shm_detach(&shm);
}
END_TEST

static unsigned networks_of(const char *dir, uint32_t slot)
{
	char path[400], error[300];
	struct stats_network network;
	unsigned count = 0;
	uint32_t index;
	snprintf(path, sizeof(path), "%s/hub.stats", dir);
	struct reader *reader = reader_open(path, error, sizeof(error));
	ck_assert_msg(reader != NULL, "%s", error);
	for (uint32_t from = 0; reader_next_network(reader, from, &index, &network); from = index + 1) {
		ck_assert_uint_eq(network.prefix[1], network.slot);
		count += network.slot == slot;
	}
	reader_close(&reader);
	return count;
}

static bool put_network(struct stats *stats, const struct shm *shm, struct session s, unsigned number)
{
	struct stats_network network = { .slot = s.slot,
		.generation = s.generation,
		.family = 4,
		.bits = 24,
		.prefix = { 10, (uint8_t)s.slot, (uint8_t)number } };
	return stats_network_put(stats, shm, &network);
}

static void publish_of(struct stats *stats, struct session s)
{
	struct stats_row row = row_of("x", 1);
	row.generation = s.generation;
	stats_publish(stats, s.slot, &row);
}

START_TEST(networks_are_shown_while_their_session_lives_and_make_room_then)
{
	char dir[64];
	new_directory(dir);
	struct stats *stats = new_stats(dir, "hub"); /* with room for ten */
	struct shm *shm = small_segment();
	struct session a = new_session(shm, 0), b = new_session(shm, 0);
	for (unsigned i = 0; i < 6; i++)
		ck_assert(put_network(stats, shm, a, i));
	for (unsigned i = 0; i < 4; i++)
		ck_assert(put_network(stats, shm, b, i));
	ck_assert(!put_network(stats, shm, b, 5));	/* full */
	ck_assert_uint_eq(networks_of(dir, a.slot), 0); /* a session without a row is no session */
	publish_of(stats, a);
	publish_of(stats, b);
	ck_assert_uint_eq(networks_of(dir, a.slot), 6);
	ck_assert_uint_eq(networks_of(dir, b.slot), 4);
	/* one ends as it should, the other's worker dies with it */
	stats_networks_clear(stats, a.slot, a.generation + 1);
	ck_assert_uint_eq(networks_of(dir, a.slot), 6);
	stats_networks_clear(stats, a.slot, a.generation);
	ck_assert_uint_eq(networks_of(dir, a.slot), 0);
	ck_assert(peers_release(shm, b.slot, b.generation));
	struct session next = { .slot = b.slot, .generation = b.generation + 1 };
	publish_of(stats, next); /* the next tenant of the slot has nothing to do with them */
	ck_assert_uint_eq(networks_of(dir, b.slot), 0);
	for (unsigned i = 0; i < 10; i++)
		ck_assert(put_network(stats, shm, a, i));
	ck_assert(!put_network(stats, shm, a, 10));
	stats_detach(&stats);
	shm_detach(&shm);
	remove_directory(dir);
}
END_TEST

/* Killed at any instruction of putting and clearing, again and again. */
START_TEST(owners_that_die_leave_places_for_networks_that_can_be_used_to_the_last)
{
	char dir[64];
	uint64_t seed = 77;
	new_directory(dir);
	struct stats *stats = new_stats(dir, "hub");
	struct shm *shm = small_segment(); /* shared with the children */
	for (int death = 0; death < 40; death++) {
		struct session s = new_session(shm, 0);
		publish_of(stats, s);
		pid_t pid = fork();
		ck_assert_int_ge(pid, 0);
		if (pid == 0) {
			alarm(20);
			for (;;) {
				for (unsigned i = 0; i < 7; i++)
					put_network(stats, shm, s, i);
				stats_networks_clear(stats, s.slot, s.generation);
			}
		}
		struct timespec span = { 0, 200000 + (long)(chance(&seed) % 3000000) };
		nanosleep(&span, NULL);
		kill(pid, SIGKILL);
		ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
		ck_assert_uint_le(networks_of(dir, s.slot), 10); /* each of them whole: see there */
		ck_assert(peers_release(shm, s.slot, s.generation));
	}
	struct session last = new_session(shm, 0);
	publish_of(stats, last);
	for (unsigned i = 0; i < 10; i++)
		ck_assert(put_network(stats, shm, last, i));
	ck_assert_uint_eq(networks_of(dir, last.slot), 10);
	stats_detach(&stats);
	shm_detach(&shm);
	remove_directory(dir);
}
END_TEST

START_TEST(the_next_owner_of_a_slot_reads_what_was_told_of_its_session)
{
	char dir[64];
	struct stats_row row = row_of("alice", 7), found;
	new_directory(dir);
	struct stats *stats = new_stats(dir, "hub");
	ck_assert(!stats_row_read(stats, 3, 1, &found)); /* free */
	stats_publish(stats, 3, &row);
	ck_assert(stats_row_read(stats, 3, 1, &found));
	ck_assert_mem_eq(&found, &row, sizeof(row));
	ck_assert(!stats_row_read(stats, 3, 2, &found));
	ck_assert(!stats_row_read(stats, 50, 1, &found));
	atomic_fetch_add(&stats->rows[3].version, 1);
	ck_assert(!stats_row_read(stats, 3, 1, &found));
	stats_detach(&stats);
	remove_directory(dir);
}
END_TEST

START_TEST(a_worker_says_what_it_does_a_second)
{
	char dir[64], path[400], error[300];
	struct reader_worker w;
	new_directory(dir);
	struct stats *stats = new_stats(dir, "hub");
	struct stats_rates rates = {
		.cpu_permille = 421, .bytes_in = 1, .bytes_out = 2, .packets_in = 3, .packets_out = 4
	};
	stats_worker_born(stats_worker(stats, 0), 4711, 2000, 3);
	stats_worker_born(stats_worker(stats, 1), 4712, 2000, 4);
	stats_rates(stats_worker(stats, 1), &rates);
	snprintf(path, sizeof(path), "%s/hub.stats", dir);
	struct reader *reader = reader_open(path, error, sizeof(error));
	ck_assert(reader_worker(reader, 1, &w));
	ck_assert_mem_eq(&w.rates, &rates, sizeof(rates));
	ck_assert(reader_worker(reader, 0, &w));
	ck_assert_uint_eq(w.rates.cpu_permille, 0);
	ck_assert(!w.closed);
	stats_worker_open(stats_worker(stats, 0), false);
	ck_assert(reader_worker(reader, 0, &w) && w.closed);
	reader_close(&reader);
	stats_detach(&stats);
	remove_directory(dir);
}
END_TEST

int main(void)
{
	TCase *t = tcase_create("stats");
	tcase_add_test(t, the_file_is_complete_readable_by_its_group_and_alone_in_the_directory);
	tcase_add_test(t, names_and_sizes_that_cannot_be_are_refused);
	tcase_add_test(t, a_name_in_use_is_refused_and_that_of_a_dead_hub_is_taken_over);
	tcase_add_test(t, a_foreign_file_of_the_name_is_replaced_and_not_believed);
	tcase_add_test(t, one_does_not_remove_the_file_of_ones_successor);
	tcase_add_test(t, the_successor_of_an_upgrade_attaches_and_others_do_not);
	tcase_add_test(t, a_dead_process_whose_parent_does_not_look_is_no_process);
	tcase_add_test(t, indices_out_of_range_are_ignored);
	tcase_add_test(t, a_row_is_made_from_what_the_session_table_says);
	tcase_add_test(t, networks_are_shown_while_their_session_lives_and_make_room_then);
	tcase_add_test(t, owners_that_die_leave_places_for_networks_that_can_be_used_to_the_last);
	tcase_add_test(t, the_next_owner_of_a_slot_reads_what_was_told_of_its_session);
	tcase_add_test(t, a_worker_says_what_it_does_a_second);
	return run_suite(t, "shm stats");
}
