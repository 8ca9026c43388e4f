/* SPDX-License-Identifier: MIT
 * The master's clock, also for the processes that it forks without a worker's loop. */
#ifndef MASTER_CLOCK_H
#define MASTER_CLOCK_H

#include "common/base/time.h"

#include <time.h>

static inline mono_ms master_now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (mono_ms)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

#endif
