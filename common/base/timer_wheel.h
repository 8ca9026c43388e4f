/* SPDX-License-Identifier: MIT
 * Many timeouts, one "wake me at". A hashed wheel of 4,096 slots of 16 ms: setting, moving and cancelling one
 * cost the same however many there are. Timers further away than one turn stay in their slot and are passed
 * over. A timer never fires early; it fires at most one slot late. Knows no clock. */
#ifndef COMMON_BASE_TIMER_WHEEL_H
#define COMMON_BASE_TIMER_WHEEL_H

#include "common/base/time.h"

#include <stdbool.h>
#include <stddef.h>

/* Embedded in whatever it times. All zero: not set. */
struct timer {
	struct timer *next, **link;
	mono_ms at;
};

struct timer_wheel; /* about 32 KiB */

/* NULL when out of memory. The wheel starts at `now`. */
struct timer_wheel *timer_wheel_new(mono_ms now);
/* Frees the wheel, not the timers; empties the caller's pointer. */
void timer_wheel_free(struct timer_wheel **wheel);

/* Sets or moves `timer` to `at`; MONO_NEVER cancels. */
void timer_set(struct timer_wheel *wheel, struct timer *timer, mono_ms at);
void timer_cancel(struct timer_wheel *wheel, struct timer *timer);

/* Takes one timer that is due at `now`, unset, or NULL when none is left. The order inside a slot is free. */
struct timer *timer_wheel_due(struct timer_wheel *wheel, mono_ms now);

/* A moment not after the earliest timer (never more than one turn away), or MONO_NEVER when empty. */
mono_ms timer_wheel_wake_at(const struct timer_wheel *wheel);

#endif
