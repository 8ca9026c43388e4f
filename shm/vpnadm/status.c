/* SPDX-License-Identifier: MIT
 * vpnadm status: the hub at a glance. */
#include "shm/vpnadm/sessions.h"

#include <stdlib.h>
#include <string.h>

enum { MOST_CLIENTS = 20, MOST_FATES = 8 };

/* All workers together. */
struct sums {
	struct stats_rates rates;
	struct counter_values values;
};

static struct sums add_up(const struct view *view)
{
	struct sums sums = { 0 };
	struct reader_worker w;

	for (unsigned i = 0; reader_worker(view->reader, i, &w); i++) {
		sums.rates.cpu_permille += w.rates.cpu_permille;
		sums.rates.bytes_in += w.rates.bytes_in;
		sums.rates.bytes_out += w.rates.bytes_out;
		sums.rates.packets_in += w.rates.packets_in;
		sums.rates.packets_out += w.rates.packets_out;
	}
	reader_sum(view->reader, &sums.values);
	return sums;
}

/* Something was lost by it. */
static bool is_drop(enum fate fate)
{
	return fate != FATE_NONE && fate != FATE_DELIVERED && fate != FATE_CONSUMED &&
	       fate != FATE_HANDED_OVER && fate != FATE_ANSWERED;
}

static unsigned count_active(const struct session_line *lines, ssize_t count)
{
	unsigned active = 0;

	for (ssize_t i = 0; i < count; i++)
		active += lines[i].row.state == PEER_ACTIVE;
	return active;
}

/* -- as text -- */

static void print_end(const struct view *view, const char *what, unix_s ends)
{
	char moment[TEXT_ROOM], span[TEXT_ROOM];

	if (!ends)
		return;
	if (ends > view->now)
		fprintf(view->out, "%-12s until %s, for %s\n", what, show_moment(moment, ends),
			show_span(span, ends - view->now));
	else
		fprintf(view->out, "%-12s OUT OF DATE since %s, for %s\n", what, show_moment(moment, ends),
			show_span(span, view->now - ends));
}

static void print_drops(const struct view *view, const struct counter_values *values)
{
	enum fate fates[FATE_COUNT];
	unsigned count = 0;

	for (int i = 0; i < FATE_COUNT; i++) {
		unsigned at = count;
		if (!is_drop((enum fate)i) || !values->fates[i])
			continue;
		for (; at && values->fates[fates[at - 1]] < values->fates[i]; at--)
			fates[at] = fates[at - 1];
		fates[at] = (enum fate)i;
		count++;
	}
	for (unsigned i = 0; i < count && i < MOST_FATES; i++)
		fprintf(view->out, "%-12s %llu %s: %s\n", i ? "" : "drops",
			(unsigned long long)values->fates[fates[i]], fate_name(fates[i]),
			fate_sentence(fates[i]));
	if (count > MOST_FATES)
		fprintf(view->out, "%-12s ... and %u other reasons: vpnadm fates\n", "", count - MOST_FATES);
}

static void print_hub(const struct view *view, unsigned active, unsigned sessions)
{
	const struct reader_hub *hub = &view->hub;
	struct sums sums = add_up(view);
	char text[TEXT_ROOM], more[TEXT_ROOM];

	fprintf(view->out, "%-12s %s, %s", "hub", show_text(text, hub->name), show_life(view->life));
	fprintf(view->out, " (vpnserverd %s, pid %lld)\n", show_text(text, hub->program_version),
		(long long)hub->pid);
	if (view->life == HUB_ORPHANED)
		fprintf(view->out, "%-12s DEAD, %u workers go on serving without it; nobody takes orders\n", "master",
			reader_living_workers(view->reader));
	fprintf(view->out, "%-12s %s, %s ago\n", "started", show_moment(text, hub->started_unix),
		show_span(more, view->now - hub->started_unix));
	if (hub->reloads)
		fprintf(view->out, "%-12s %u times, last %s\n", "reloaded", hub->reloads,
			show_moment(text, hub->reloaded_unix));
	for (unsigned i = 0; i < hub->listener_count; i++)
		fprintf(view->out, "%-12s %s\n", "listener", show_text(text, hub->listeners[i]));
	fprintf(view->out, "%-12s %u of %u", "clients", active, hub->sizes.slots);
	if (sessions > active)
		fprintf(view->out, ", and %u handshakes", sessions - active);
	fprintf(view->out, "\n%-12s in %s, %llu datagrams/s; ", "rates", show_rate(text, sums.rates.bytes_in),
		(unsigned long long)sums.rates.packets_in);
	fprintf(view->out, "out %s, %llu datagrams/s\n", show_rate(text, sums.rates.bytes_out),
		(unsigned long long)sums.rates.packets_out);
	fprintf(view->out, "%-12s %.1f %%\n", "handed over", 100 * handover_share(&sums.values));
	print_end(view, "certificate", hub->certificate_ends_unix);
	print_end(view, "CRL", hub->crl_ends_unix);
	if (hub->crl_lost_unix)
		fprintf(view->out, "%-12s LOST since %s, for %s: nobody new is let in\n", "CRL",
			show_moment(text, hub->crl_lost_unix), show_span(more, view->now - hub->crl_lost_unix));
	print_drops(view, &sums.values);
}

static void print(const struct view *view)
{
	struct session_line *lines;
	ssize_t count = sessions_take(view, NULL, &lines);

	if (count < 0)
		return;
	print_hub(view, count_active(lines, count), (unsigned)count);
	fprintf(view->out, "\n");
	command_workers.print(view);
	fprintf(view->out, "\n");
	if (count > MOST_CLIENTS)
		sessions_sort(lines, count, session_order_named("rate"));
	sessions_print(view, lines, count, MOST_CLIENTS);
	free(lines);
}

/* -- as JSON -- */

static json_t *drops_json(const struct counter_values *values)
{
	json_t *drops = json_object();

	for (int i = 0; drops && i < FATE_COUNT; i++)
		if (is_drop((enum fate)i) && values->fates[i])
			json_object_set_new(
				drops, fate_name((enum fate)i), json_integer((json_int_t)values->fates[i]));
	return drops;
}

static json_t *end_json(unix_s ends)
{
	return ends ? json_integer((json_int_t)ends) : json_null();
}

static json_t *hub_json(const struct view *view, unsigned active)
{
	const struct reader_hub *hub = &view->hub;
	struct sums sums = add_up(view);
	json_t *listeners = json_array();

	for (unsigned i = 0; listeners && i < hub->listener_count; i++)
		json_array_append_new(listeners, json_text(hub->listeners[i]));
	return json_pack("{s:o, s:s, s:o, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:o, s:I, s:I, s:I, s:I, s:f, "
			 "s:f, s:o, s:o, s:o, s:o}",
		"name", json_text(hub->name), "state", show_life(view->life), "version",
		json_text(hub->program_version), "pid", (json_int_t)hub->pid, "started",
		(json_int_t)hub->started_unix, "uptime", (json_int_t)(view->now - hub->started_unix),
		"reloads", (json_int_t)hub->reloads, "rebalanced", (json_int_t)hub->rebalanced, "reloaded", (json_int_t)hub->reloaded_unix, "clients",
		(json_int_t)active, "max_clients", (json_int_t)hub->sizes.slots, "listeners", listeners,
		"rate_in", (json_int_t)sums.rates.bytes_in, "rate_out", (json_int_t)sums.rates.bytes_out,
		"datagrams_in_s", (json_int_t)sums.rates.packets_in, "datagrams_out_s",
		(json_int_t)sums.rates.packets_out, "cpu_share", sums.rates.cpu_permille / 1000.0,
		"handover_share", handover_share(&sums.values), "certificate_ends",
		end_json(hub->certificate_ends_unix), "crl_ends", end_json(hub->crl_ends_unix), "crl_lost",
		end_json(hub->crl_lost_unix), "drops",
		drops_json(&sums.values));
}

static json_t *as_json(const struct view *view)
{
	struct session_line *lines;
	ssize_t count = sessions_take(view, NULL, &lines);
	json_t *all =
		count < 0 ? NULL
			  : json_pack("{s:o, s:o, s:o}", "hub", hub_json(view, count_active(lines, count)),
				    "workers", command_workers.json(view), "clients",
				    sessions_json(view, lines, count));

	free(lines);
	return all;
}

const struct command command_status = { .name = "status",
	.help = "the hub at a glance, its workers and its clients",
	.print = print,
	.json = as_json };
