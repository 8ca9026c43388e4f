/* SPDX-License-Identifier: MIT
 * vpnadm workers: one line per worker. */
#include "shm/vpnadm/view.h"

static void print(const struct view *view)
{
	struct reader_worker w;
	char age[TEXT_ROOM], beat[TEXT_ROOM], cpu[32];

	fprintf(view->out, "%6s %9s %-9s %4s %7s %10s %9s %14s %14s %12s  %-12s %s\n", "WORKER", "PID",
		"STATE", "CPU", "BIRTHS", "CPU TIME", "SESSIONS", "PACKETS IN", "PACKETS OUT", "HANDED OVER",
		"AGE", "HEARTBEAT");
	for (unsigned i = 0; reader_worker(view->reader, i, &w); i++) {
		if (w.cpu == UINT32_MAX)
			snprintf(cpu, sizeof(cpu), "any");
		else
			snprintf(cpu, sizeof(cpu), "%u", w.cpu);
		fprintf(view->out, "%6u %9lld %-9s %4s %7u %8.1f s %9llu %14llu %14llu %12llu  %-12s %s\n", i,
			(long long)w.pid, show_worker_state(w.state), cpu, w.births,
			((double)w.cpu_user_us + (double)w.cpu_system_us) / 1e6,
			(unsigned long long)w.values.named[COUNTER_SESSIONS],
			(unsigned long long)w.values.named[COUNTER_PACKETS_TUN_IN],
			(unsigned long long)w.values.named[COUNTER_PACKETS_TUN_OUT],
			(unsigned long long)w.values.named[COUNTER_HANDED_OVER_OUT],
			w.born_unix ? show_span(age, view->now - w.born_unix) : "-",
			w.heartbeat_unix ? show_span(beat, view->now - w.heartbeat_unix) : "-");
	}
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
			    json_pack("{s:i, s:I, s:s, s:o, s:I, s:I, s:I, s:I, s:I, s:o}", "worker", (int)i,
				    "pid", (json_int_t)w.pid, "state", show_worker_state(w.state), "cpu", cpu,
				    "births", (json_int_t)w.births, "born", (json_int_t)w.born_unix,
				    "heartbeat", (json_int_t)w.heartbeat_unix, "cpu_user_us",
				    (json_int_t)w.cpu_user_us, "cpu_system_us", (json_int_t)w.cpu_system_us,
				    "counters", counters_json(&w.values))) != 0)
			break;
	}
	return list;
}

const struct command command_workers = { .name = "workers",
	.help = "one line per worker",
	.print = print,
	.json = as_json };
