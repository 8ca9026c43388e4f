/* SPDX-License-Identifier: MIT
 * The hashed timer wheel; a bitmap of used slots makes both questions ("due?", "wake at?") cheap. */
#include "common/base/timer_wheel.h"
#include "common/base/check.h"

#include <stdint.h>
#include <stdlib.h>

enum { SLOT_MS = 16, SLOTS = 4096 };

struct timer_wheel {
	struct timer *slots[SLOTS];
	uint64_t used[SLOTS / 64];
	int64_t tick; /* everything due before this tick has been given out */
	struct timer *passed; /* where the walk through the current slot goes on */
	bool walking;
	size_t count;
};

static int64_t tick_of(mono_ms at)
{
	return at / SLOT_MS + (at % SLOT_MS > 0); /* upwards: never early */
}

struct timer_wheel *timer_wheel_new(mono_ms now)
{
	struct timer_wheel *wheel = calloc(1, sizeof(*wheel));
	if (wheel)
		wheel->tick = now / SLOT_MS;
	return wheel;
}

void timer_wheel_free(struct timer_wheel **wheel)
{
	free(*wheel);
	*wheel = NULL;
}

void timer_cancel(struct timer_wheel *wheel, struct timer *timer)
{
	if (!timer->link)
		return;
	if (wheel->passed == timer)
		wheel->passed = timer->next;
	if (timer->next)
		timer->next->link = timer->link;
	*timer->link = timer->next;
	size_t slot = (size_t)(tick_of(timer->at) % SLOTS);
	if (!wheel->slots[slot])
		wheel->used[slot / 64] &= ~(1ull << slot % 64);
	timer->next = NULL;
	timer->link = NULL;
	wheel->count--;
}

void timer_set(struct timer_wheel *wheel, struct timer *timer, mono_ms at)
{
	timer_cancel(wheel, timer);
	if (at == MONO_NEVER)
		return;
	/* Already due: the slot that is looked at next. One that is being walked through is not looked at again. */
	int64_t first = wheel->tick + wheel->walking;
	if (tick_of(at) < first)
		at = first * SLOT_MS;
	size_t slot = (size_t)(tick_of(at) % SLOTS);
	timer->at = at;
	timer->next = wheel->slots[slot];
	timer->link = &wheel->slots[slot];
	if (timer->next)
		timer->next->link = &timer->next;
	wheel->slots[slot] = timer;
	wheel->used[slot / 64] |= 1ull << slot % 64;
	wheel->count++;
}

/* The first used slot at or after `tick`, as a distance, or SLOTS. */
static int64_t distance_to_used(const struct timer_wheel *wheel, int64_t tick)
{
	for (int64_t d = 0; d < SLOTS;) {
		size_t slot = (size_t)((tick + d) % SLOTS);
		uint64_t word = wheel->used[slot / 64] >> slot % 64;
		if (word)
			return d + __builtin_ctzll(word);
		d += 64 - (int64_t)(slot % 64);
	}
	return SLOTS;
}

struct timer *timer_wheel_due(struct timer_wheel *wheel, mono_ms now)
{
	int64_t last = now / SLOT_MS;

	while (wheel->tick <= last) {
		if (!wheel->walking) {
			int64_t d = wheel->count ? distance_to_used(wheel, wheel->tick) : SLOTS;
			if (d > last - wheel->tick) {
				wheel->tick = last; /* stay on the current slot: timers may still be set into it */
				if (!wheel->slots[last % SLOTS])
					return NULL;
			} else {
				wheel->tick += d;
			}
			wheel->passed = wheel->slots[wheel->tick % SLOTS];
			wheel->walking = true;
		}
		while (wheel->passed) {
			struct timer *timer = wheel->passed;
			wheel->passed = timer->next;
			if (timer->at <= now) {
				timer_cancel(wheel, timer);
				return timer;
			}
		}
		wheel->walking = false;
		if (wheel->tick == last)
			return NULL;
		wheel->tick++;
	}
	return NULL;
}

mono_ms timer_wheel_wake_at(const struct timer_wheel *wheel)
{
	if (!wheel->count)
		return MONO_NEVER;
	/* What is left in the current slot may be due in a later turn: that must not keep us awake now. */
	for (const struct timer *t = wheel->slots[wheel->tick % SLOTS]; t; t = t->next)
		if (t->at <= wheel->tick * SLOT_MS)
			return wheel->tick * SLOT_MS;
	return (wheel->tick + 1 + distance_to_used(wheel, wheel->tick + 1)) * SLOT_MS;
}
