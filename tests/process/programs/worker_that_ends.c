/* SPDX-License-Identifier: MIT
 * In place of worker/worker.c: a program that looks good until its first worker is born. */
#include "worker/worker.h"

int worker_run(const struct inherited *inherited)
{
	(void)inherited;
	return 7;
}
