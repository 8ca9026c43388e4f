/* SPDX-License-Identifier: MIT
 * The flight recorder from outside. Sizes are taken from the header once, checked against the length of the
 * file, and kept; every record is copied before anybody looks at it. */
#include "shm/events_map.h"
#include "shm/public_file.h"
#include "shm/segment.h"
#include "shm/words.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

struct event_reader {
	const uint8_t *base;
	size_t size;
	unsigned count;
	const struct events_header *header;
	const struct event_ring *rings;
};

struct event_reader *event_reader_open(const char *path, char *error, size_t room)
{
	const char *what = "out of memory";
	struct events_header header;
	off_t len;
	int fd = -1;
	struct event_reader *reader = calloc(1, sizeof(*reader));

	if (!reader)
		goto failed;
	fd = public_file_look(path, &header, sizeof(header), &len);
	what = fd < 0 && errno != EBADMSG ? strerror(errno) : "not a flight recorder's file";
	if (fd < 0 || header.magic != EVENTS_MAGIC)
		goto failed;
	what = "written by another version of the hub, or cut short";
	if (!events_are_ours(&header, len))
		goto failed;
	what = "cannot be mapped";
	reader->base = public_file_show(fd, (size_t)len);
	fd = -1;
	if (!reader->base)
		goto failed;
	reader->size = (size_t)len;
	reader->count = header.rings;
	reader->header = (const struct events_header *)(const void *)reader->base;
	reader->rings = (const struct event_ring *)(const void *)(reader->base + EVENTS_HEADER_LEN);
	return reader;

failed:
	snprintf(error, room, "%s: %s", path, what);
	if (fd >= 0)
		close(fd);
	free(reader);
	return NULL;
}

void event_reader_close(struct event_reader **reader)
{
	if (!*reader)
		return;
	munmap((void *)(uintptr_t)(*reader)->base, (*reader)->size);
	free(*reader);
	*reader = NULL;
}

unsigned event_reader_rings(const struct event_reader *reader)
{
	return reader->count;
}

uint64_t event_reader_next(const struct event_reader *reader)
{
	return atomic_load(&reader->header->order);
}

/* One place. False: never written, being written, left half-written. */
static bool copy(const struct event_place *place, unsigned ring, struct event *out)
{
	struct event_record record;

	if (!sequence_read(&place->version, place->words, &record, sizeof(record) / 8) || !record.order)
		return false;
	*out = (struct event){ .order = record.order,
		.unix_ms = record.unix_ms,
		.slot = record.slot,
		.generation = record.generation,
		.ring = ring,
		.kind = record.kind,
		.cause = record.cause };
	memcpy(out->name, record.name, sizeof(out->name));
	memcpy(out->text, record.text, sizeof(out->text));
	out->name[sizeof(out->name) - 1] = 0;
	out->text[sizeof(out->text) - 1] = 0;
	return true;
}

static int by_order(const void *a, const void *b)
{
	const struct event *x = a, *y = b;
	return x->order < y->order ? -1 : x->order > y->order;
}

ssize_t event_reader_take(const struct event_reader *reader, uint64_t from, event_wanted *wanted,
	void *context, struct event **out)
{
	size_t count = 0, room = 0;
	struct event event;

	*out = NULL;
	for (unsigned ring = 0; ring < reader->count; ring++) {
		for (unsigned i = 0; i < EVENT_RECORDS; i++) {
			if (!copy(&reader->rings[ring].places[i], ring, &event) || event.order < from ||
				(wanted && !wanted(context, &event)))
				continue;
			if (count == room) {
				room = room ? 2 * room : 256;
				struct event *more = realloc(*out, room * sizeof(**out));
				if (!more) {
					free(*out);
					*out = NULL;
					return -1;
				}
				*out = more;
			}
			(*out)[count++] = event;
		}
	}
	if (count)
		qsort(*out, count, sizeof(**out), by_order);
	return (ssize_t)count;
}
