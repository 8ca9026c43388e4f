/* SPDX-License-Identifier: MIT
 * Names and sums of the counters. */
#include "shm/counters.h"

static const struct {
	const char *name, *text;
} rows[] = {
#define COUNTER(name, text) { #name, text },
#include "shm/counters.def"
#undef COUNTER
};

void counters_sum(const struct counters *c, struct counter_values *sum)
{
	for (int i = 0; i < FATE_COUNT; i++)
		sum->fates[i] += atomic_load_explicit(&c->fates[i], memory_order_relaxed);
	for (int i = 0; i < COUNTER_COUNT; i++)
		sum->named[i] += atomic_load_explicit(&c->named[i], memory_order_relaxed);
}

const char *counter_name(enum counter which)
{
	return (unsigned)which < COUNTER_COUNT ? rows[which].name : "?";
}

const char *counter_text(enum counter which)
{
	return (unsigned)which < COUNTER_COUNT ? rows[which].text : "?";
}
