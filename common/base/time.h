/* SPDX-License-Identifier: MIT
 * Kinds of time, each its own name. The engine is given all of them; nothing here asks a clock. */
#ifndef COMMON_BASE_TIME_H
#define COMMON_BASE_TIME_H

#include <stdint.h>

typedef int64_t mono_ms; /* a moment: milliseconds of the host's monotonic clock */
typedef int64_t span_ms; /* a length of time in milliseconds */
typedef int64_t unix_s;  /* a moment: seconds since 1970 */

#define MONO_NEVER INT64_MAX

static inline mono_ms mono_earlier(mono_ms a, mono_ms b)
{
	return a < b ? a : b;
}

#endif
