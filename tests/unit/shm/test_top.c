/* SPDX-License-Identifier: MIT
 * What `vpnadm top` shows, without a terminal: pictures, order, filter, and a selection that stays with its
 * client. */
#include "shm/vpnadm/top.h"
#include "tests/unit/shm/stats_fixture.h"

#include <time.h>

struct hub {
	char dir[64];
	struct stats *stats;
	struct reader *reader;
	struct top_model model;
};

static struct hub *new_hub(uint32_t slots)
{
	struct hub *hub = calloc(1, sizeof(*hub));
	struct stats_about about = about_hub("hub");
	char error[300];

	ck_assert_ptr_nonnull(hub);
	new_directory(hub->dir);
	about.sizes.slots = slots;
	hub->stats = stats_create(hub->dir, &about, error, sizeof(error));
	ck_assert_ptr_nonnull(hub->stats);
	hub->reader = reader_open(hub->stats->path, error, sizeof(error));
	ck_assert_ptr_nonnull(hub->reader);
	hub->model.selected_id = UINT64_MAX;
	return hub;
}

static void end_hub(struct hub *hub)
{
	top_clear(&hub->model);
	reader_close(&hub->reader);
	stats_remove(hub->stats);
	stats_detach(&hub->stats);
	rmdir(hub->dir);
	free(hub);
}

static void put(struct hub *hub, uint32_t slot, const char *name, uint64_t id, uint64_t rate)
{
	struct stats_row row = row_of(name, id);
	row.rate_in = rate;
	row.rate_out = rate / 2;
	stats_publish(hub->stats, slot, &row);
}

/* The names in the order of the screen. */
static const char *order(struct hub *hub)
{
	static char text[1000];
	text[0] = 0;
	for (size_t i = 0; i < hub->model.shown_count; i++) {
		strcat(text, i ? " " : "");
		strcat(text, hub->model.clients[hub->model.shown[i]].row.common_name);
	}
	return text;
}

static const char *selected(struct hub *hub)
{
	const struct top_client *client = top_selected(&hub->model);
	return client ? client->row.common_name : "nobody";
}

START_TEST(a_client_keeps_its_history_and_another_in_its_place_begins_anew)
{
	struct hub *hub = new_hub(50);
	put(hub, 3, "alice", 7, 100);
	put(hub, 9, "bob", 8, 10);
	ck_assert(top_picture(&hub->model, hub->reader));
	put(hub, 3, "alice", 7, 200);
	put(hub, 1, "early", 9, 1);
	ck_assert(top_picture(&hub->model, hub->reader));
	ck_assert_uint_eq(hub->model.count, 3);
	const struct top_flow *flow = &hub->model.clients[1].flow;
	ck_assert_uint_eq(flow->rate_in, 200);
	ck_assert_uint_eq(flow->history[TOP_HISTORY - 1], 300);
	ck_assert_uint_eq(flow->history[TOP_HISTORY - 2], 150);
	ck_assert_uint_eq(flow->history[TOP_HISTORY - 3], 0);
	put(hub, 3, "carol", 10, 5);
	ck_assert(top_picture(&hub->model, hub->reader));
	ck_assert_uint_eq(hub->model.clients[1].flow.history[TOP_HISTORY - 2], 0);
	ck_assert_uint_eq(hub->model.clients[2].flow.history[TOP_HISTORY - 3], 15);
	end_hub(hub);
}
END_TEST

START_TEST(workers_are_added_up)
{
	struct hub *hub = new_hub(50);
	for (unsigned w = 0; w < 2; w++) {
		stats_worker_born(stats_worker(hub->stats, w), 4711, 2000, w);
		stats_rates(
			stats_worker(hub->stats, w), &(struct stats_rates){ 250, 1000 * (w + 1), 10, 3, 4 });
	}
	for (int i = 0; i < 3; i++)
		ck_assert(top_picture(&hub->model, hub->reader));
	ck_assert_uint_eq(hub->model.worker_count, 2);
	ck_assert_uint_eq(hub->model.workers[1].flow.rate_in, 2000);
	ck_assert_uint_eq(hub->model.total.rate_in, 3000);
	ck_assert_uint_eq(hub->model.total.rate_out, 20);
	ck_assert_uint_eq(hub->model.total.history[TOP_HISTORY - 3], 3020);
	end_hub(hub);
}
END_TEST

START_TEST(every_column_sorts_both_ways_and_equals_do_not_dance)
{
	struct hub *hub = new_hub(50);
	const char *const names[] = { "b", "d", "a", "c" };
	for (uint32_t i = 0; i < 4; i++) {
		struct stats_row row = row_of(names[i], 10 + i);
		row.rate_in = row.rate_out = row.bytes_out = 100 * i;
		row.owner = (uint16_t)i;
		row.last_in_unix = row.connected_unix = 1000 - i;
		row.round_trip_ms = (int32_t)i - 1;
		row.peer_address = address4(0x0a000000 + i, 1);
		stats_publish(hub->stats, i, &row);
	}
	for (int c = 0; c < TOP_COLUMNS; c++) {
		hub->model.by = (enum top_column)c;
		hub->model.descending = false;
		ck_assert(top_picture(&hub->model, hub->reader));
		ck_assert_msg(strcmp(order(hub), c == TOP_NAME ? "a b c d" : "b d a c") == 0, "%d: %s", c,
			order(hub));
		hub->model.descending = true;
		top_arrange(&hub->model);
		ck_assert_msg(strcmp(order(hub), c == TOP_NAME	  ? "d c b a"
						 : c == TOP_GRAPH ? "b d a c"
								  : "c a d b") == 0,
			"%d down: %s", c, order(hub));
	}
	enum top_column at = TOP_NAME;
	for (int i = 0; i < TOP_COLUMNS - 1; i++) {
		at = top_next_column(at, 1);
		ck_assert_int_ne(at, TOP_GRAPH);
	}
	ck_assert_int_eq(at, TOP_NAME);
	ck_assert_int_eq(top_next_column(TOP_NAME, -1), TOP_SEEN);
	end_hub(hub);
}
END_TEST

START_TEST(the_filter_looks_at_names_addresses_and_ciphers)
{
	struct hub *hub = new_hub(50);
	put(hub, 0, "alice", 0x0a080002, 3);
	put(hub, 1, "bob", 0x0a080103, 2);
	put(hub, 2, "evil\x1b[2J", 0x0a080204, 1);
	hub->model.by = TOP_RATE_IN;
	hub->model.descending = true;
	ck_assert(top_picture(&hub->model, hub->reader));
	static const struct {
		const char *filter, *shown;
	} cases[] = { { "", "alice bob evil\x1b[2J" }, { "ALI", "alice" }, { "10.8.1.3", "bob" },
		{ "192.0.2.1:40000", "alice bob evil\x1b[2J" }, { "aes-256", "alice bob evil\x1b[2J" },
		{ "\\x1b", "evil\x1b[2J" }, { "zebra", "" } };
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		strcpy(hub->model.filter, cases[i].filter);
		top_arrange(&hub->model);
		ck_assert_str_eq(order(hub), cases[i].shown);
	}
	ck_assert_str_eq(selected(hub), "nobody");
	end_hub(hub);
}
END_TEST

START_TEST(the_selection_goes_with_its_client)
{
	struct hub *hub = new_hub(50);
	put(hub, 0, "a", 1, 300);
	put(hub, 1, "b", 2, 200);
	put(hub, 2, "c", 3, 100);
	hub->model.by = TOP_RATE_IN;
	hub->model.descending = true;
	ck_assert(top_picture(&hub->model, hub->reader));
	ck_assert_str_eq(selected(hub), "a"); /* nobody chose: the first line, whoever has it */
	put(hub, 2, "c", 3, 1000);
	ck_assert(top_picture(&hub->model, hub->reader));
	ck_assert_str_eq(selected(hub), "c");
	top_select(&hub->model, 2);
	ck_assert_str_eq(selected(hub), "b");
	put(hub, 1, "b", 2, 5000);
	ck_assert(top_picture(&hub->model, hub->reader));
	ck_assert_str_eq(order(hub), "b c a");
	ck_assert_str_eq(selected(hub), "b");
	top_select(&hub->model, 100);
	ck_assert_str_eq(selected(hub), "a");
	top_select(&hub->model, -100);
	ck_assert_str_eq(selected(hub), "b");
	stats_clear(hub->stats, 1);
	ck_assert(top_picture(&hub->model, hub->reader));
	ck_assert_str_eq(selected(hub), "c");
	top_nothing(&hub->model, "gone");
	ck_assert_str_eq(selected(hub), "nobody");
	top_select(&hub->model, 1);
	top_arrange(&hub->model);
	ck_assert_str_eq(selected(hub), "nobody");
	end_hub(hub);
}
END_TEST

START_TEST(ten_thousand_clients_take_no_time)
{
	struct hub *hub = new_hub(10000);
	struct timespec from, to;
	char name[32];
	for (uint32_t i = 0; i < 10000; i++) {
		snprintf(name, sizeof(name), "client-%u", i * 7919 % 10000);
		put(hub, i, name, i + 1, i * 2654435761u % 1000000);
	}
	ck_assert(top_picture(&hub->model, hub->reader));
	hub->model.by = TOP_NAME;
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &from);
	for (int i = 0; i < 10; i++)
		ck_assert(top_picture(&hub->model, hub->reader));
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &to);
	double ms = ((double)(to.tv_sec - from.tv_sec) * 1e9 + (double)(to.tv_nsec - from.tv_nsec)) / 1e7;
	printf("10,000 clients: a picture takes %.2f ms of CPU\n", ms);
	ck_assert(ms < 500);
	end_hub(hub);
}
END_TEST

int main(void)
{
	TCase *t = tcase_create("top");
	tcase_set_timeout(t, 30);
	tcase_add_test(t, a_client_keeps_its_history_and_another_in_its_place_begins_anew);
	tcase_add_test(t, workers_are_added_up);
	tcase_add_test(t, every_column_sorts_both_ways_and_equals_do_not_dance);
	tcase_add_test(t, the_filter_looks_at_names_addresses_and_ciphers);
	tcase_add_test(t, the_selection_goes_with_its_client);
	tcase_add_test(t, ten_thousand_clients_take_no_time);
	return run_suite(t, "shm top");
}
