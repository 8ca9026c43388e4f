/* SPDX-License-Identifier: MIT
 * The description of an estate: what one master writes another reads, whatever happened in between. */
#include "master/estate.h"
#include "master/master.h"

#include "tests/lib/suite.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static uint8_t body[ESTATE_BODY_MAX];
static char error[200];

/* -- two places -- */

static size_t body_saying(const char *what)
{
	struct bytes_out out = bytes_into(body, sizeof(body));
	size_t begun = estate_begin(&out, ESTATE_DESCRIPTORS);
	write_u32(&out, 0);
	estate_end(&out, begun);
	begun = estate_begin(&out, ESTATE_HUB);
	estate_field_text(&out, "version", what);
	estate_end(&out, begun);
	ck_assert(!out.failed);
	return out.len;
}

static void expect_said(int fd, const char *what)
{
	struct estate e;
	char said[64] = "";
	ck_assert_msg(estate_read(fd, &e, error, sizeof(error)), "%s", error);
	ck_assert(estate_find_text(estate_record(&e, ESTATE_HUB), "version", said, sizeof(said)));
	ck_assert_str_eq(said, what);
	estate_clear(&e);
}

static void expect_nothing(int fd, const char *why)
{
	struct estate e;
	ck_assert(!estate_read(fd, &e, error, sizeof(error)));
	ck_assert_msg(strstr(error, why) != NULL, "%s", error);
}

START_TEST(the_newest_whole_description_counts)
{
	int fd = estate_memory();
	ck_assert_int_ge(fd, 0);
	expect_nothing(fd, "no whole estate");
	ck_assert_int_eq(estate_write(fd, 1, body, body_saying("one")), 0);
	expect_said(fd, "one");
	ck_assert_int_eq(estate_write(fd, 2, body, body_saying("two")), 0);
	expect_said(fd, "two");
	ck_assert_int_eq(estate_write(fd, 3, body, body_saying("three")), 0);
	expect_said(fd, "three");
	/* the counter comes round */
	ck_assert_int_eq(estate_write(fd, UINT32_MAX, body, body_saying("last")), 0);
	ck_assert_int_eq(estate_write(fd, 0, body, body_saying("first")), 0);
	expect_said(fd, "first");
	close(fd);
}
END_TEST

/* Dead at any byte of the second one: the first is still there. */
START_TEST(a_death_in_the_middle_leaves_the_one_before)
{
	enum { PLACE = 32 + ESTATE_BODY_MAX };
	int fd = estate_memory(), other = estate_memory();
	ck_assert_int_eq(estate_write(other, 1, body, body_saying("torn")), 0);
	size_t len = body_saying("torn");
	uint8_t whole[512];
	ck_assert_uint_lt(32 + len, sizeof(whole));
	ck_assert_int_eq(pread(other, whole, 32 + len, PLACE), (ssize_t)(32 + len));
	for (size_t written = 0; written <= len; written++) {
		ck_assert_int_eq(ftruncate(fd, 0), 0);
		ck_assert_int_eq(estate_write(fd, 0, body, body_saying("before")), 0);
		/* the body comes first, then the head; or the other way round, if a kernel liked that */
		ck_assert_int_eq(pwrite(fd, whole + 32, written, PLACE + 32), (ssize_t)written);
		if (written < len)
			ck_assert_int_eq(pwrite(fd, whole, 32, PLACE), 32);
		expect_said(fd, "before");
	}
	ck_assert_int_eq(pwrite(fd, whole, 32 + len, PLACE), (ssize_t)(32 + len));
	expect_said(fd, "torn");
	close(fd);
	close(other);
}
END_TEST

START_TEST(another_format_is_named)
{
	int fd = estate_memory();
	size_t len = body_saying("one");
	ck_assert_int_eq(estate_write(fd, 0, body, len), 0);
	ck_assert_int_eq(pwrite(fd, "\0\0\0\x09", 4, 8), 4);
	expect_nothing(fd, "another version's format");
	ck_assert_int_eq(estate_write(fd, 0, body, ESTATE_BODY_MAX + 1), -7); /* E2BIG */
	close(fd);
}
END_TEST

/* -- records and fields -- */

START_TEST(what_nobody_knows_is_passed_over_and_what_is_missing_stays)
{
	struct bytes_out out = bytes_into(body, sizeof(body));
	size_t begun = estate_begin(&out, (enum estate_tag)77);
	write_data(&out, "from the future", 15);
	estate_end(&out, begun);
	begun = estate_begin(&out, ESTATE_DESCRIPTORS);
	write_u32(&out, 0);
	estate_end(&out, begun);
	begun = estate_begin(&out, ESTATE_HUB);
	estate_field(&out, "new", "?", 1);
	estate_field_number(&out, "workers", 3);
	estate_field_text(&out, "long", "longer than there is room");
	estate_field(&out, "zero", "a\0b", 3);
	estate_end(&out, begun);
	int fd = estate_memory();
	ck_assert_int_eq(estate_write(fd, 5, body, out.len), 0);
	struct estate e;
	ck_assert(estate_read(fd, &e, error, sizeof(error)));
	struct bytes fields = estate_record(&e, ESTATE_HUB);
	uint64_t number = 9;
	char text[8] = "as was";
	ck_assert(!estate_find_number(fields, "births", &number));
	ck_assert_uint_eq(number, 9);
	ck_assert(!estate_find_number(fields, "new", &number)); /* not eight bytes */
	ck_assert(estate_find_number(fields, "workers", &number));
	ck_assert_uint_eq(number, 3);
	ck_assert(!estate_find_text(fields, "long", text, sizeof(text)));
	ck_assert(!estate_find_text(fields, "zero", text, sizeof(text)));
	ck_assert_str_eq(text, "as was");
	ck_assert_uint_eq(estate_record(&e, ESTATE_BORN).left, 0);
	estate_clear(&e);
	close(fd);
}
END_TEST

/* -- a whole hub -- */

static struct config born;
static struct seat seats[4];
static struct master hub;
static bool added[2] = { true, false };

static void make_hub(void)
{
	static struct listener listeners[2];
	static struct route4 routes[1] = { { .network = 0x0a090000, .netmask = 0xffff0000, .metric = -1 } };
	static struct route6 routes6[1] = { { .bits = 48, .has_gateway = true, .metric = 7 } };
	static const char *push[] = { "route 1.2.3.0 255.255.255.0", "" };
	static int links[4] = { 40, 41, 42, 43 }, queues[2] = { 50, 51 };
	static int wakers[4] = { 60, 61, 62, 63 };
	struct sockaddr_in *four = (struct sockaddr_in *)&listeners[0].address;
	four->sin_family = AF_INET;
	four->sin_port = htons(1194);
	listeners[0].address_len = sizeof(*four);
	listeners[0].spelled = "udp4 0.0.0.0:1194";
	listeners[1] = (struct listener){ .proto = PROTO_TCP, .v6only = true, .address_len = sizeof(struct sockaddr_in6),
		.spelled = "" };
	born = (struct config){ .listeners = listeners, .listener_count = 2, .dev = "tun7", .tun_mtu = 1400,
		.routes4 = routes, .route4_count = 1, .routes6 = routes6, .route6_count = 1, .max_clients = 77,
		.push = push, .push_count = 2, .user = "nobody", .name = "test", .runtime_dir = "/run",
		.server_network4 = 0x0a4d0000, .pool4 = { .on = true, .first = 5, .last = 9 } };
	seats[0] = (struct seat){ .pid = 1000, .orders_fd = 70, .pid_fd = -1, .serial = 11, .generation = 3, .ready = true };
	seats[1] = (struct seat){ .pid = -1, .orders_fd = -1, .pid_fd = -1, .drained = true,
		.shunned = true, .quick_deaths = 5 };
	hub = (struct master){ .born = &born, .start_directory = 30, .lock_fd = 31, .workers = 2, .workers_wanted = 2,
		.seat_count = 4, .seats = seats, .wake_fds = wakers, .routes_added = added, .generations = 4,
		.now = { .number = 4, .key = { .key_fd = 32, .passphrase_fd = -1 }, .keyholder = { .pid = 900, .control = 33 } },
		.before = { .keyholder = { .pid = -1, .control = -1 } },
		.listeners = { .workers = 2, .count = 2, .fds = links },
		.tunnel = { .workers = 2, .queues = queues, .multi_queue = true, .name = "tun7", .index = 5 },
		.steering = STEERING_NONE, .helper = { .pid = -1, .control = -1, .pid_fd = -1 },
		.upgrade = { .known = true, .own_program = 34, .old_program = -1, .guardian_fd = -1, .estate_fd = estate_memory(), .births = 12,
			.program = "/usr/sbin/vpnserverd" } };
}

static struct estate left_by_hub(void)
{
	struct estate e;
	make_hub();
	ck_assert_int_eq(estate_save(&hub), 0);
	ck_assert_msg(estate_read(hub.upgrade.estate_fd, &e, error, sizeof(error)), "%s", error);
	return e;
}

/* Its descriptors are none of ours. */
static void forget(struct estate *e)
{
	for (unsigned i = 0; i < e->count; i++)
		e->fds[i].fd = -1;
	estate_clear(e);
	close(hub.upgrade.estate_fd);
}

START_TEST(a_hub_is_found_as_it_was_left)
{
	struct estate e = left_by_hub();
	static struct estate_hub h;
	struct estate_seat s;
	ck_assert(estate_hub_read(&e, &h));
	ck_assert_uint_eq(h.workers, 2);
	ck_assert_uint_eq(h.seats, 4);
	ck_assert_uint_eq(h.births, 12);
	ck_assert_uint_eq(h.generations, 4);
	ck_assert_uint_eq(h.keyholder_pid, 900);
	ck_assert_uint_eq(h.helper_pid, 0);
	ck_assert_uint_eq(h.fresh, 1); /* there is no segment */
	ck_assert_str_eq(h.device, "tun7");
	ck_assert_str_eq(h.program, "/usr/sbin/vpnserverd");
	ck_assert_int_eq(estate_take(&e, "link-1-0"), 42);
	ck_assert_int_eq(estate_take(&e, "link-1-0"), -1); /* once */
	ck_assert_int_eq(estate_take(&e, "tun-1"), 51);
	ck_assert_int_eq(estate_take(&e, "wake-3"), 63);
	ck_assert_int_eq(estate_take(&e, "orders-11"), 70);
	ck_assert_int_eq(estate_take(&e, "keyholder-900"), 33);
	ck_assert_int_eq(estate_take(&e, "key"), 32);
	ck_assert_int_eq(estate_take(&e, "passphrase"), -1);
	ck_assert_int_eq(estate_take(&e, "program"), 34);
	ck_assert_int_eq(estate_take(&e, "state"), -1);
	ck_assert(estate_seat_read(&e, 0, &s));
	ck_assert(s.pid == 1000 && s.serial == 11 && s.generation == 3 && s.ready && !s.drained && !s.shunned && !s.quick_deaths);
	ck_assert(estate_seat_read(&e, 1, &s));
	ck_assert(s.pid == -1 && !s.ready && s.drained && s.shunned && s.quick_deaths == 5);
	ck_assert(!estate_seat_read(&e, 2, &s));
	struct bytes routes = estate_record(&e, ESTATE_ROUTES);
	ck_assert_uint_eq(routes.left, 2);
	ck_assert_uint_eq(read_u8(&routes), 1);
	forget(&e);
}
END_TEST

START_TEST(until_all_workers_are_new_the_keyholder_before_is_left)
{
	make_hub();
	hub.upgrade.state = UPGRADE_SETTLING;
	hub.before = (struct generation){ .number = 3, .keyholder = { .pid = 800, .control = 35 } };
	ck_assert_int_eq(estate_save(&hub), 0);
	struct estate e;
	static struct estate_hub h;
	ck_assert(estate_read(hub.upgrade.estate_fd, &e, error, sizeof(error)));
	ck_assert(estate_hub_read(&e, &h));
	ck_assert_uint_eq(h.number, 3);
	ck_assert_uint_eq(h.keyholder_pid, 800);
	ck_assert_int_eq(estate_take(&e, "keyholder-800"), 35);
	ck_assert_int_eq(estate_take(&e, "keyholder-900"), -1);
	forget(&e);
}
END_TEST

START_TEST(what_objects_were_made_with_is_put_over_a_later_reading)
{
	struct estate e = left_by_hub();
	struct born_memory *memory = NULL;
	struct config fresh = { .dev = "other", .tun_mtu = 1500, .max_clients = 5, .user = "somebody", .group = "them",
		.verb = 9 };
	ck_assert(estate_born_read(estate_record(&e, ESTATE_BORN), &fresh, &memory));
	ck_assert_str_eq(fresh.dev, "tun7");
	ck_assert_uint_eq(fresh.tun_mtu, 1400);
	ck_assert_uint_eq(fresh.max_clients, 77);
	ck_assert_str_eq(fresh.user, "nobody");
	ck_assert_ptr_null(fresh.group); /* none was named */
	ck_assert_int_eq(fresh.verb, 9); /* that may change */
	ck_assert_uint_eq(fresh.listener_count, 2);
	ck_assert_mem_eq(&fresh.listeners[0].address, &born.listeners[0].address, fresh.listeners[0].address_len);
	ck_assert_str_eq(fresh.listeners[0].spelled, "udp4 0.0.0.0:1194");
	ck_assert(fresh.listeners[1].proto == PROTO_TCP && fresh.listeners[1].v6only);
	ck_assert_uint_eq(fresh.route4_count, 1);
	ck_assert(fresh.routes4[0].network == 0x0a090000 && fresh.routes4[0].metric == -1);
	ck_assert(fresh.route6_count == 1 && fresh.routes6[0].bits == 48 && fresh.routes6[0].has_gateway &&
		fresh.routes6[0].metric == 7);
	ck_assert_uint_eq(fresh.push_count, 2);
	ck_assert_str_eq(fresh.push[1], "");
	char changed[512];
	reload_keep_born(&fresh, &born, changed, sizeof(changed));
	ck_assert_str_eq(changed, "");
	born_memory_free(&memory);
	forget(&e);
}
END_TEST

/* Any byte of it changed, the check sum made right again: nothing is read past its end, nothing crashes. */
START_TEST(nonsense_is_refused_or_harmless)
{
	struct estate e = left_by_hub();
	static struct estate_hub h;
	size_t len = e.len;
	uint8_t *copy = malloc(len);
	ck_assert_ptr_nonnull(copy);
	memcpy(copy, e.body, len);
	forget(&e);
	int fd = estate_memory();
	for (size_t at = 0; at < len; at++) {
		uint8_t before = copy[at];
		for (unsigned turn = 0; turn < 3; turn++) {
			copy[at] = (uint8_t[]){ 0xff, (uint8_t)(before ^ 1), 0 }[turn];
			struct born_memory *memory = NULL;
			struct config fresh = { 0 };
			struct estate_seat s;
			ck_assert_int_eq(estate_write(fd, 0, copy, len), 0);
			if (!estate_read(fd, &e, error, sizeof(error)))
				continue;
			estate_hub_read(&e, &h);
			for (unsigned w = 0; w < 5; w++)
				estate_seat_read(&e, w, &s);
			estate_born_read(estate_record(&e, ESTATE_BORN), &fresh, &memory);
			born_memory_free(&memory);
			for (unsigned i = 0; i < e.count; i++)
				e.fds[i].fd = -1;
			estate_clear(&e);
		}
		copy[at] = before;
	}
	free(copy);
	close(fd);
}
END_TEST

static void add_tests(TCase *t)
{
	tcase_add_test(t, the_newest_whole_description_counts);
	tcase_add_test(t, a_death_in_the_middle_leaves_the_one_before);
	tcase_add_test(t, another_format_is_named);
	tcase_add_test(t, what_nobody_knows_is_passed_over_and_what_is_missing_stays);
	tcase_add_test(t, a_hub_is_found_as_it_was_left);
	tcase_add_test(t, until_all_workers_are_new_the_keyholder_before_is_left);
	tcase_add_test(t, what_objects_were_made_with_is_put_over_a_later_reading);
	tcase_add_test(t, nonsense_is_refused_or_harmless);
	tcase_set_timeout(t, 60);
}

int main(void)
{
	return suite_run("estate", add_tests);
}
