/* SPDX-License-Identifier: MIT
 * Inside shm/ only: what the writer (stats.c) and the reader (reader.c) of the stats segment must agree on.
 */
#ifndef SHM_STATS_MAP_H
#define SHM_STATS_MAP_H

#include "shm/stats.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define STATS_MAGIC 0x3154415453706e76u /* "vnpSTAT1" */
#ifndef STATS_VERSION /* a test has a program of another one */
#define STATS_VERSION 1
#endif

/* Where each table of stats.def starts in the file. */
struct stats_offsets {
#define TABLE(name, type, count, what) size_t name;
#include "shm/stats.def"
#undef TABLE
	size_t total;
};

/* False: a size is out of range. */
bool stats_places(const struct stats_sizes *sizes, struct stats_offsets *out);
/* Magic, version and layout are those of this build. */
bool stats_is_ours(const struct stats_header *header);
/* Fit for a file name: no '/', no dot in front, printable, at most STATS_NAME_ROOM - 1 bytes. */
bool stats_name_good(const char *name);

#endif
