/* SPDX-License-Identifier: MIT
 * vpnadm workers: one line per worker. */
#include "shm/vpnadm/sessions.h"
#include "shm/vpnadm/table.h"

double handover_share(const struct counter_values *values)
{
	uint64_t arrived = values->named[COUNTER_DATAGRAMS_IN] + values->named[COUNTER_PACKETS_TUN_OUT];
	return arrived ? (double)values->named[COUNTER_HANDED_OVER_OUT] / (double)arrived : 0;
}

static const struct column columns[] = { { "WORKER", true, 0 }, { "PID", true, 6 }, { "STATE", false, 0 },
	{ "CPU", true, 4 }, { "LOAD", true, 0 }, { "CPU TIME", true, 8 }, { "SESSIONS", true, 0 },
	{ "IN/S", true, 1 }, { "OUT/S", true, 1 }, { "DATAGRAMS IN/S", true, 9 }, { "OUT/S", true, 9 },
	{ "HANDED OVER", true, 2 }, { "BIRTHS", true, 3 }, { "AGE", true, 5 }, { "HEARTBEAT", true, 7 } };

static void print_line(
	struct table *t, const struct view *view, unsigned index, const struct reader_worker *w)
{
	char text[TEXT_ROOM];

#define CELL(...)                                                                                            \
	do {                                                                                                 \
		snprintf(text, sizeof(text), __VA_ARGS__);                                                   \
		table_cell(t, text);                                                                         \
	} while (0)
	CELL("%u", index);
	CELL("%lld", (long long)w->pid);
	CELL("%s%s", show_worker_state(w->state), w->closed ? ", closed" : "");
	if (w->cpu == UINT32_MAX)
		table_cell(t, "any");
	else
		CELL("%u", w->cpu);
	CELL("%.1f %%", w->rates.cpu_permille / 10.0);
	CELL("%.1f s", ((double)w->cpu_user_us + (double)w->cpu_system_us) / 1e6);
	CELL("%llu", (unsigned long long)w->values.named[COUNTER_SESSIONS]);
	table_cell(t, show_rate(text, w->rates.bytes_in));
	table_cell(t, show_rate(text, w->rates.bytes_out));
	CELL("%llu", (unsigned long long)w->rates.packets_in);
	CELL("%llu", (unsigned long long)w->rates.packets_out);
	CELL("%.1f %%", 100 * handover_share(&w->values));
	CELL("%u", w->births);
	table_cell(t, w->born_unix ? show_span(text, view->now - w->born_unix) : "-");
	table_cell(t, w->heartbeat_unix ? show_span(text, view->now - w->heartbeat_unix) : "-");
#undef CELL
}

static void print(const struct view *view)
{
	struct table *t = table_new(columns, sizeof(columns) / sizeof(columns[0]));
	struct reader_worker w;

	for (unsigned i = 0; reader_worker(view->reader, i, &w); i++)
		print_line(t, view, i, &w);
	table_print(view->out, &t, table_width(view->out));
}

static json_t *counters_json(const struct counter_values *values)
{
	json_t *object = json_object();

	for (int i = 0; object && i < COUNTER_COUNT; i++)
		json_object_set_new(
			object, counter_name((enum counter)i), json_integer((json_int_t)values->named[i]));
	return object;
}

static json_t *as_json(const struct view *view)
{
	json_t *list = json_array();
	struct reader_worker w;

	for (unsigned i = 0; list && reader_worker(view->reader, i, &w); i++) {
		json_t *cpu = w.cpu == UINT32_MAX ? json_null() : json_integer(w.cpu);
		if (json_array_append_new(list,
			    json_pack(
				    "{s:i, s:b, s:I, s:s, s:o, s:I, s:I, s:I, s:I, s:I, s:f, s:I, s:I, s:I, "
				    "s:I, s:f, s:o}",
				    "worker", (int)i, "closed", (int)w.closed, "pid", (json_int_t)w.pid,
				    "state", show_worker_state(w.state), "cpu", cpu, "births",
				    (json_int_t)w.births, "born", (json_int_t)w.born_unix, "heartbeat",
				    (json_int_t)w.heartbeat_unix, "cpu_user_us", (json_int_t)w.cpu_user_us,
				    "cpu_system_us", (json_int_t)w.cpu_system_us, "cpu_share",
				    w.rates.cpu_permille / 1000.0, "rate_in", (json_int_t)w.rates.bytes_in,
				    "rate_out", (json_int_t)w.rates.bytes_out, "datagrams_in_s",
				    (json_int_t)w.rates.packets_in, "datagrams_out_s",
				    (json_int_t)w.rates.packets_out, "handover_share",
				    handover_share(&w.values), "counters", counters_json(&w.values))) != 0)
			break;
	}
	return list;
}

const struct command command_workers = {
	.name = "workers", .help = "one line per worker", .print = print, .json = as_json
};
