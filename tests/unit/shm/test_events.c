/* SPDX-License-Identifier: MIT
 * The flight recorder: what is noted comes back whole and in order, over rings, restarts, deaths and
 * nonsense. */
#include "shm/events_map.h"
#include "tests/unit/shm/stats_fixture.h"

#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>

static char dir[64];

static void make_directory(void)
{
	new_directory(dir);
}

static void drop_directory(void)
{
	remove_directory(dir);
}

static const char *file(void)
{
	static char path[400];
	snprintf(path, sizeof(path), "%s/hub.events", dir);
	return path;
}

static struct events *open_for(unsigned workers)
{
	char error[400] = "";
	struct events *events = events_open(dir, "hub", workers, (gid_t)-1, error, sizeof(error));
	ck_assert_msg(events != NULL, "%s", error);
	return events;
}

static ssize_t all(struct event **out)
{
	char error[400] = "";
	struct event_reader *reader = event_reader_open(file(), error, sizeof(error));
	ck_assert_msg(reader != NULL, "%s", error);
	ssize_t count = event_reader_take(reader, 0, NULL, NULL, out);
	event_reader_close(&reader);
	ck_assert_ptr_null(reader);
	return count;
}

static void note(struct events *events, unsigned ring, unsigned number)
{
	char text[32];
	snprintf(text, sizeof(text), "text of %u", number);
	event_note(events, ring, EVENT_RENEGOTIATED, number, number + 1, number % 1000, "alice", text);
}

static bool is_note(const struct event *e)
{
	char text[32];
	snprintf(text, sizeof(text), "text of %u", e->slot);
	return e->kind == EVENT_RENEGOTIATED && e->generation == e->slot + 1 && e->cause == e->slot % 1000 &&
	       strcmp(e->name, "alice") == 0 && strcmp(e->text, text) == 0;
}

START_TEST(what_rings_have_is_read_in_the_order_of_happening)
{
	struct event *found;
	struct stat st;
	struct events *events = open_for(2);
	for (unsigned i = 0; i < 300; i++)
		note(events, i % 3, i);
	event_note(events, 3, EVENT_ENDED, 1, 1, 0, NULL, NULL); /* there is no such ring */
	event_note(NULL, 0, EVENT_ENDED, 1, 1, 0, NULL, NULL);
	ck_assert_int_eq(all(&found), 300);
	for (unsigned i = 0; i < 300; i++) {
		ck_assert(is_note(&found[i]));
		ck_assert_uint_eq(found[i].slot, i);
		ck_assert_uint_eq(found[i].ring, i % 3);
		ck_assert_uint_eq(found[i].order, i + 1);
		ck_assert_int_gt(found[i].unix_ms, 1600000000000);
	}
	free(found);
	events_close(&events);
	ck_assert_ptr_null(events);
	ck_assert_int_eq(stat(file(), &st), 0);
	ck_assert_uint_eq(st.st_mode & 07777, 0640);
	ck_assert_int_ge(st.st_blocks * 512, st.st_size);
}
END_TEST

START_TEST(a_full_ring_forgets_its_own_oldest)
{
	struct event *found;
	struct events *events = open_for(1);
	note(events, EVENT_RING_MASTER, 7);
	for (unsigned i = 0; i < EVENT_RECORDS + 100; i++)
		note(events, EVENT_RING_OF(0), 1000 + i);
	ck_assert_int_eq(all(&found), EVENT_RECORDS + 1);
	ck_assert_uint_eq(found[0].slot, 7);
	ck_assert_uint_eq(found[1].slot, 1100);
	ck_assert_uint_eq(found[EVENT_RECORDS].slot, 1000 + EVENT_RECORDS + 99);
	free(found);
	events_close(&events);
}
END_TEST

static bool slot_is_even(void *context, const struct event *e)
{
	++*(unsigned *)context;
	return e->slot % 2 == 0;
}

START_TEST(a_reader_takes_what_it_wants_from_where_it_was)
{
	char error[400];
	struct event *found;
	unsigned asked = 0;
	struct events *events = open_for(1);
	struct event_reader *reader = event_reader_open(file(), error, sizeof(error));
	ck_assert_uint_eq(event_reader_rings(reader), 2);
	ck_assert_uint_eq(event_reader_next(reader), 1);
	ck_assert_int_eq(event_reader_take(reader, 0, NULL, NULL, &found), 0);
	ck_assert_ptr_null(found);
	for (unsigned i = 0; i < 10; i++)
		note(events, 0, i);
	ck_assert_uint_eq(event_reader_next(reader), 11);
	ck_assert_int_eq(event_reader_take(reader, 7, slot_is_even, &asked, &found), 2);
	ck_assert_uint_eq(asked, 4);
	ck_assert_uint_eq(found[0].slot, 6);
	ck_assert_uint_eq(found[1].slot, 8);
	free(found);
	event_reader_close(&reader);
	events_close(&events);
}
END_TEST

START_TEST(the_next_life_writes_on_in_the_same_file)
{
	struct event *found;
	struct stat before, after;
	struct events *events = open_for(2);
	note(events, 1, 1);
	events_close(&events);
	ck_assert_int_eq(stat(file(), &before), 0);
	events = open_for(2);
	note(events, 2, 2);
	events_close(&events);
	events = open_for(1); /* fewer workers: what the others did is not lost */
	note(events, 1, 3);
	events_close(&events);
	ck_assert_int_eq(stat(file(), &after), 0);
	ck_assert_uint_eq(before.st_ino, after.st_ino);
	ck_assert_int_eq(all(&found), 3);
	for (unsigned i = 0; i < 3; i++)
		ck_assert_uint_eq(found[i].order, i + 1);
	free(found);
}
END_TEST

START_TEST(more_workers_than_before_keep_what_was_there)
{
	struct event *found;
	struct events *events = open_for(1);
	note(events, 1, 1);
	events_close(&events);
	events = open_for(9);
	note(events, EVENT_RING_OF(8), 2);
	events_close(&events);
	ck_assert_int_eq(all(&found), 2);
	ck_assert_uint_eq(found[1].slot, 2);
	ck_assert_uint_eq(found[1].order, 2);
	ck_assert_uint_eq(found[1].ring, 9);
	free(found);
}
END_TEST

/* Writes `header` over the file's own. */
static void put_header(const struct events_header *header)
{
	int fd = open(file(), O_WRONLY);
	ck_assert_int_eq(pwrite(fd, header, sizeof(*header), 0), (ssize_t)sizeof(*header));
	close(fd);
}

static void expect_replaced(const char *what)
{
	struct event *found;
	char error[400];
	struct event_reader *reader = event_reader_open(file(), error, sizeof(error));
	ck_assert_msg(reader == NULL, "a reader takes %s", what);
	ck_assert_ptr_nonnull(strstr(error, "hub.events"));
	struct events *events = open_for(1);
	note(events, 0, 5);
	events_close(&events);
	ck_assert_msg(all(&found) == 1, "%s is not replaced", what);
	free(found);
}

START_TEST(files_of_another_kind_are_told_from_ours_and_replaced)
{
	struct events_header header, good;
	char other[400];
	struct events *events = open_for(1);
	int fd = open(file(), O_RDONLY);
	ck_assert_int_eq(pread(fd, &good, sizeof(good), 0), (ssize_t)sizeof(good));
	close(fd);
	events_close(&events);

	header = good;
	header.magic++;
	put_header(&header);
	expect_replaced("another magic");
	header = good;
	header.version++;
	put_header(&header);
	expect_replaced("another version");
	header = good;
	header.layout++;
	put_header(&header);
	expect_replaced("another layout");
	header = good;
	header.rings = 3; /* the file is shorter */
	header.size = events_size(3);
	put_header(&header);
	expect_replaced("too many rings");
	header = good;
	header.rings = 0xffffffff;
	put_header(&header);
	expect_replaced("far too many rings");
	ck_assert_int_eq(truncate(file(), 10000), 0);
	expect_replaced("a file that is cut short");
	ck_assert_int_eq(truncate(file(), 10), 0);
	expect_replaced("a file that is cut in its header");
	write_file(dir, "hub.events", "hello", 5);
	expect_replaced("a text");
	unlink(file());
	ck_assert_int_eq(mkfifo(file(), 0600), 0);
	expect_replaced("a fifo");
	/* a link to a file elsewhere is never written to */
	snprintf(other, sizeof(other), "%s/other", dir);
	ck_assert_int_eq(rename(file(), other), 0);
	ck_assert_int_eq(symlink(other, file()), 0);
	events = open_for(1);
	note(events, 0, 6);
	events_close(&events);
	ck_assert_int_eq(unlink(file()), 0);
	ck_assert_int_eq(rename(other, file()), 0);
	struct event *found;
	ck_assert_int_eq(all(&found), 1);
	free(found);
}
END_TEST

START_TEST(what_cannot_be_made_is_said)
{
	char error[400];
	ck_assert_ptr_null(events_open("/nowhere/at/all", "hub", 1, (gid_t)-1, error, sizeof(error)));
	ck_assert_ptr_nonnull(strstr(error, "/nowhere/at/all/hub.events"));
	ck_assert_ptr_null(events_open(dir, "../hub", 1, (gid_t)-1, error, sizeof(error)));
	ck_assert_ptr_null(events_open(dir, "hub", 0, (gid_t)-1, error, sizeof(error)));
	ck_assert_ptr_null(events_open(dir, "hub", SHM_MAX_WORKERS + 1, (gid_t)-1, error, sizeof(error)));
	ck_assert_ptr_null(event_reader_open(file(), error, sizeof(error)));
}
END_TEST

START_TEST(long_names_are_cut_between_characters)
{
	char name[100];
	struct event *found;
	struct events *events = open_for(1);
	memset(name, 'x', sizeof(name));
	memcpy(name + EVENT_NAME_ROOM - 2, "\xc3\xa9", 3); /* its second byte has no room */
	event_note(events, 0, EVENT_ENDED, 0, 1, 0, name, name);
	memset(name, 0x80, sizeof(name)); /* no character at all begins here */
	name[99] = 0;
	event_note(events, 0, EVENT_ENDED, 0, 1, 100000, name, NULL);
	ck_assert_int_eq(all(&found), 2);
	ck_assert_uint_eq(strlen(found[0].name), EVENT_NAME_ROOM - 2);
	ck_assert_uint_eq(strlen(found[0].text), EVENT_NAME_ROOM);
	ck_assert_uint_eq(strlen(found[1].name), 0);
	ck_assert_uint_eq(found[1].cause, UINT16_MAX);
	free(found);
	events_close(&events);
}
END_TEST

START_TEST(all_numbers_have_names_and_others_none)
{
	for (unsigned kind = 0; kind < EVENT_COUNT; kind++) {
		ck_assert_str_ne(event_name(kind), "?");
		ck_assert_uint_gt(strlen(event_sentence(kind)), 10);
	}
	ck_assert_str_eq(event_name(EVENT_WORKER_DIED), "WORKER_DIED");
	ck_assert_int_eq(event_cause(EVENT_ENDED), EVENT_CAUSE_WHY);
	ck_assert_str_eq(event_name(EVENT_COUNT), "?");
	ck_assert_str_eq(event_sentence(0xffff), "?");
	ck_assert_int_eq(event_cause(0xffff), EVENT_CAUSE_NONE);
	ck_assert_str_eq(event_why_name(EVENT_WHY_REPLACED), "REPLACED");
	ck_assert_str_eq(event_why_sentence(EVENT_WHY_COUNT), "?");
}
END_TEST

/* One process writes a ring as fast as it can and is killed, again and again; its successors write on;
 * readers beside it see whole records only. */
START_TEST(writers_that_die_leave_whole_records)
{
	char error[400];
	uint64_t seed = 99, last = 0;
	struct events *events = open_for(1);
	struct event_reader *reader = event_reader_open(file(), error, sizeof(error));
	ck_assert_ptr_nonnull(reader);
	_Atomic uint64_t *done = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	size_t whole = 0;
	for (int death = 0; death < 40; death++) {
		pid_t pid = fork();
		ck_assert_int_ge(pid, 0);
		if (pid == 0) {
			alarm(60);
			for (;;) {
				note(events, EVENT_RING_OF(0), (unsigned)atomic_load(done));
				atomic_fetch_add(done, 1);
			}
		}
		uint64_t until = atomic_load(done) + 100 + chance(&seed) % 2000;
		while (atomic_load(done) < until) {
			struct event *found;
			ssize_t count =
				event_reader_take(reader, last > 500 ? last - 500 : 0, NULL, NULL, &found);
			ck_assert_int_ge(count, 0);
			for (ssize_t i = 0; i < count; i++)
				ck_assert(is_note(&found[i]));
			whole += (size_t)count;
			last = count ? found[count - 1].order : last;
			free(found);
		}
		kill(pid, SIGKILL);
		ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
	}
	struct event *found;
	ssize_t count = event_reader_take(reader, 0, NULL, NULL, &found);
	/* a death costs one place at most, until the ring comes round */
	ck_assert_int_ge(count, EVENT_RECORDS - 40);
	for (ssize_t i = 0; i + 1 < count; i++)
		ck_assert_uint_lt(found[i].order, found[i + 1].order);
	ck_assert_uint_gt(whole, 1000);
	free(found);
	munmap((void *)done, 4096);
	event_reader_close(&reader);
	events_close(&events);
}
END_TEST

START_TEST(a_place_left_half_written_is_passed_over_until_the_ring_comes_round)
{
	char error[400];
	struct event *found;
	struct events *events = open_for(1);
	for (unsigned i = 0; i < 10; i++)
		note(events, 0, i);
	struct event_reader *reader = event_reader_open(file(), error, sizeof(error));
	int fd = open(file(), O_RDWR);
	struct event_ring *ring =
		mmap(NULL, sizeof(*ring), PROT_READ | PROT_WRITE, MAP_SHARED, fd, EVENTS_HEADER_LEN);
	ck_assert_ptr_ne(ring, MAP_FAILED);
	atomic_store(&ring->places[4].version, 7);
	ck_assert_int_eq(event_reader_take(reader, 0, NULL, NULL, &found), 9);
	ck_assert_uint_eq(found[4].slot, 5);
	free(found);
	for (unsigned i = 10; i < 4 + EVENT_RECORDS + 1; i++)
		note(events, 0, i);
	ck_assert_int_eq(event_reader_take(reader, 0, NULL, NULL, &found), EVENT_RECORDS);
	free(found);
	munmap(ring, sizeof(*ring));
	close(fd);
	event_reader_close(&reader);
	events_close(&events);
}
END_TEST

START_TEST(nonsense_crashes_neither_reader_nor_writer)
{
	char error[400];
	uint64_t seed = 5;
	struct events *events = open_for(1);
	struct event_reader *reader = event_reader_open(file(), error, sizeof(error));
	int fd = open(file(), O_RDWR);
	size_t size = events_size(2);
	uint8_t *bytes = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	ck_assert_ptr_ne(bytes, MAP_FAILED);
	for (int turn = 0; turn < 20; turn++) {
		struct event *found;
		for (size_t at = 0; at < size; at += 8) {
			uint64_t word = chance(&seed) & (turn % 2 ? UINT64_MAX : 0x00ff00fefffffffe);
			memcpy(bytes + at, &word, 8);
		}
		ssize_t count = event_reader_take(reader, 0, NULL, NULL, &found);
		ck_assert_int_ge(count, 0);
		for (ssize_t i = 0; i < count; i++) {
			ck_assert_uint_lt(strlen(found[i].name), EVENT_NAME_ROOM);
			ck_assert_uint_lt(strlen(found[i].text), EVENT_TEXT_ROOM);
			ck_assert_ptr_nonnull(event_name(found[i].kind));
			ck_assert_ptr_nonnull(event_why_sentence(found[i].cause));
		}
		free(found);
		for (unsigned i = 0; i < 100; i++)
			note(events, i % 2, i);
	}
	munmap(bytes, size);
	close(fd);
	event_reader_close(&reader);
	events_close(&events);
	expect_replaced("nonsense");
}
END_TEST

int main(void)
{
	TCase *t = tcase_create("events");
	tcase_set_timeout(t, 60);
	tcase_add_checked_fixture(t, make_directory, drop_directory);
	tcase_add_test(t, what_rings_have_is_read_in_the_order_of_happening);
	tcase_add_test(t, a_full_ring_forgets_its_own_oldest);
	tcase_add_test(t, a_reader_takes_what_it_wants_from_where_it_was);
	tcase_add_test(t, the_next_life_writes_on_in_the_same_file);
	tcase_add_test(t, more_workers_than_before_keep_what_was_there);
	tcase_add_test(t, files_of_another_kind_are_told_from_ours_and_replaced);
	tcase_add_test(t, what_cannot_be_made_is_said);
	tcase_add_test(t, long_names_are_cut_between_characters);
	tcase_add_test(t, all_numbers_have_names_and_others_none);
	tcase_add_test(t, writers_that_die_leave_whole_records);
	tcase_add_test(t, a_place_left_half_written_is_passed_over_until_the_ring_comes_round);
	tcase_add_test(t, nonsense_crashes_neither_reader_nor_writer);
	return run_suite(t, "shm events");
}
