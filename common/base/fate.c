/* SPDX-License-Identifier: MIT
 * Texts of the fates, from the same rows as the enum. */
#include "common/base/fate.h"

static const struct {
	const char *name, *sentence;
} rows[] = {
#define FATE(name, sentence) { #name, sentence },
#include "common/base/fate.def"
#undef FATE
};

const char *fate_name(enum fate fate)
{
	return (unsigned)fate < FATE_COUNT ? rows[fate].name : "?";
}

const char *fate_sentence(enum fate fate)
{
	return (unsigned)fate < FATE_COUNT ? rows[fate].sentence : "?";
}
