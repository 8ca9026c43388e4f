/* SPDX-License-Identifier: MIT
 * vpnadm fates: how datagrams and packets ended, all workers together, and the other counters. */
#include "shm/vpnadm/view.h"

static void print(const struct view *view)
{
	struct counter_values sum;

	reader_sum(view->reader, &sum);
	for (int i = FATE_NONE + 1; i < FATE_COUNT; i++)
		if (sum.fates[i])
			fprintf(view->out, "%20llu  %-16s %s\n", (unsigned long long)sum.fates[i],
				fate_name((enum fate)i), fate_sentence((enum fate)i));
	fprintf(view->out, "\n");
	for (int i = 0; i < COUNTER_COUNT; i++)
		if (sum.named[i])
			fprintf(view->out, "%20llu  %s\n", (unsigned long long)sum.named[i],
				counter_text((enum counter)i));
}

static json_t *as_json(const struct view *view)
{
	struct counter_values sum;
	json_t *fates = json_object(), *counters = json_object();

	reader_sum(view->reader, &sum);
	for (int i = FATE_NONE + 1; fates && i < FATE_COUNT; i++)
		json_object_set_new(fates, fate_name((enum fate)i), json_integer((json_int_t)sum.fates[i]));
	for (int i = 0; counters && i < COUNTER_COUNT; i++)
		json_object_set_new(
			counters, counter_name((enum counter)i), json_integer((json_int_t)sum.named[i]));
	return json_pack("{s:o, s:o}", "fates", fates, "counters", counters);
}

const struct command command_fates = { .name = "fates",
	.help = "how datagrams and packets ended, and all counters",
	.print = print,
	.json = as_json };
