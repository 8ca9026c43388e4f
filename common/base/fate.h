/* SPDX-License-Identifier: MIT
 * The fates of fate.def as an enum, with their names and sentences. A step gives a fate; one place counts. */
#ifndef COMMON_BASE_FATE_H
#define COMMON_BASE_FATE_H

enum fate {
#define FATE(name, sentence) FATE_##name,
#include "common/base/fate.def"
#undef FATE
	FATE_COUNT
};

/* The row's name ("REPLAYED") and sentence; "?" for a number outside the list. Static text. */
const char *fate_name(enum fate fate);
const char *fate_sentence(enum fate fate);

#endif
