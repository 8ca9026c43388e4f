/* SPDX-License-Identifier: MIT
 * The flight recorder: what the hub's processes did, told after the fact. A file NAME.events in the runtime
 * directory, mode 0640; it outlives worker, hub and restart. No packet, no secret.
 *
 *   | struct events_header, 4 KiB | ring of the master | ring of worker 0 | ring of worker 1 | ...
 *   ring: | written, 128 bytes | EVENT_RECORDS places of a version and a record |
 *
 * - Writes: a ring: its one process (after a death the successor of the same index). It counts `written` on
 * first, so a place that a death left half-written is passed over and stays unreadable until the ring comes
 * round. `order`: every writer, one atomic addition an event; numbers never come twice, and go on over
 * restarts.
 * - Reads: anyone who may open the file, read-only, without waiting: a record counts if its `version` was
 * even and did not change.
 * - Dies: nothing to repair. The next life of a hub of this name writes on in the same file. */
#ifndef SHM_EVENTS_H
#define SHM_EVENTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum event_kind {
#define EVENT(name, cause, sentence) EVENT_##name,
#include "shm/events.def"
	EVENT_COUNT
};

enum event_why {
#define WHY(name, sentence) EVENT_WHY_##name,
#include "shm/events.def"
	EVENT_WHY_COUNT
};

enum event_cause { EVENT_CAUSE_NONE, EVENT_CAUSE_WHY, EVENT_CAUSE_WORKER, EVENT_CAUSE_NUMBER };

/* "WORKER_DIED", its sentence, what its cause is; "?" and NONE for a number that this build does not know. */
const char *event_name(unsigned kind);
const char *event_sentence(unsigned kind);
enum event_cause event_cause(unsigned kind);
/* "REPLACED", and its sentence. */
const char *event_why_name(unsigned why);
const char *event_why_sentence(unsigned why);

enum {
	EVENT_RECORDS = 4096, /* per ring, a power of two */
	EVENT_NAME_ROOM = 56,
	EVENT_TEXT_ROOM = 64,
	EVENT_RING_MASTER = 0,
};
#define EVENT_RING_OF(worker) (1 + (unsigned)(worker))

/* -- writing -- */

struct events; /* a writer's view */

/* Opens DIR/NAME.events with at least a ring for each of `workers`: goes on in the one that is there, keeps
 * its records where rings are missing, replaces what is not ours. Complete before it has its name, its pages
 * allocated. NULL and a sentence. Only while no other process writes, but for the same hub's own after an
 * upgrade or its master's death. */
struct events *events_open(
	const char *dir, const char *name, unsigned workers, gid_t group, char *error, size_t room);
/* Unmaps, closes, empties the caller's pointer. The file stays. */
void events_close(struct events **events);

/* Notes one event, now. `ring`: the caller's own. slot PEER_NONE and generation 0: of no session. `name` (of
 * a client) and `text` raw and cut to their room; NULL: none. `events` NULL, or a ring that there is not:
 * nothing happens. */
void event_note(struct events *events, unsigned ring, enum event_kind kind, uint32_t slot,
	uint32_t generation, unsigned cause, const char *name, const char *text);

/* -- reading -- */

/* A whole record; texts terminated, raw. */
struct event {
	uint64_t order;
	int64_t unix_ms;
	uint32_t slot, generation; /* PEER_NONE: of no session */
	unsigned ring, kind, cause;
	char name[EVENT_NAME_ROOM], text[EVENT_TEXT_ROOM];
};

struct event_reader;

/* NULL and a sentence: cannot be opened, not such a file, of another version, cut short. */
struct event_reader *event_reader_open(const char *path, char *error, size_t room);
void event_reader_close(struct event_reader **reader);
unsigned event_reader_rings(const struct event_reader *reader);
/* The number that the next event will have: what is to be read later is `from` here. */
uint64_t event_reader_next(const struct event_reader *reader);
/* All whole records of order >= `from` that `wanted` likes (NULL: all), in order; the caller frees *out. How
 * many; -1: out of memory. */
typedef bool event_wanted(void *context, const struct event *event);
ssize_t event_reader_take(const struct event_reader *reader, uint64_t from, event_wanted *wanted,
	void *context, struct event **out);

#endif
