/* SPDX-License-Identifier: MIT
 * Inside shm/ only: the bytes of NAME.events, for its writers (events.c) and its reader (event_reader.c). */
#ifndef SHM_EVENTS_MAP_H
#define SHM_EVENTS_MAP_H

#include "shm/events.h"

#include <stdatomic.h>

#define EVENTS_MAGIC 0x315354454e70766eu
enum { EVENTS_VERSION = 1, EVENTS_HEADER_LEN = 4096 };

struct events_header {
	/* Constant once the file has its name. */
	uint64_t magic;
	uint32_t version, header_len;
	uint64_t layout, size;
	uint32_t rings, records;
	_Alignas(64) _Atomic uint64_t order; /* of the next event; the first is 1 */
};

struct event_record {
	uint64_t order; /* 0: never written */
	int64_t unix_ms;
	uint32_t slot, generation;
	uint16_t kind, cause, spare[2];
	char name[EVENT_NAME_ROOM], text[EVENT_TEXT_ROOM]; /* terminated, the rest zero */
};
_Static_assert(sizeof(struct event_record) % 8 == 0, "copied as words");

struct event_place {
	_Atomic uint32_t version; /* odd: being written */
	uint32_t spare;
	_Atomic uint64_t words[sizeof(struct event_record) / 8];
};

struct event_ring {
	_Alignas(128) _Atomic uint64_t written; /* events begun */
	_Alignas(128) struct event_place places[EVENT_RECORDS];
};

uint64_t events_layout(void);
/* The size of a file of so many rings; 0: out of range. */
size_t events_size(uint32_t rings);
/* Magic, version and layout are those of this build, and sizes agree with a file of `len` bytes. */
bool events_are_ours(const struct events_header *header, off_t len);

#endif
