/* SPDX-License-Identifier: MIT
 * The flight recorder's writers: the master makes or continues the file, every process has a ring of its own.
 */
#include "shm/events_map.h"
#include "shm/public_file.h"
#include "shm/segment.h"
#include "shm/stats_map.h"
#include "shm/words.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

struct events {
	struct public_file file;
	struct events_header *header;
	struct event_ring *rings;
	unsigned count; /* of rings: checked, and never read from the file again */
};

static const struct {
	const char *name, *sentence;
	enum event_cause cause;
} kinds[] = {
#define EVENT(name, cause, sentence) { #name, sentence, EVENT_CAUSE_##cause },
#include "shm/events.def"
}, whys[] = {
#define WHY(name, sentence) { #name, sentence, EVENT_CAUSE_NONE },
#include "shm/events.def"
};

const char *event_name(unsigned kind)
{
	return kind < EVENT_COUNT ? kinds[kind].name : "?";
}

const char *event_sentence(unsigned kind)
{
	return kind < EVENT_COUNT ? kinds[kind].sentence : "?";
}

enum event_cause event_cause(unsigned kind)
{
	return kind < EVENT_COUNT ? kinds[kind].cause : EVENT_CAUSE_NONE;
}

const char *event_why_name(unsigned why)
{
	return why < EVENT_WHY_COUNT ? whys[why].name : "?";
}

const char *event_why_sentence(unsigned why)
{
	return why < EVENT_WHY_COUNT ? whys[why].sentence : "?";
}

uint64_t events_layout(void)
{
	uint64_t hash = layout_add(LAYOUT_START, "header", sizeof(struct events_header));

	hash = layout_add(hash, "record", sizeof(struct event_record));
	return layout_add(hash, "ring", sizeof(struct event_ring));
}

size_t events_size(uint32_t rings)
{
	return rings < 2 || rings > SHM_MAX_WORKERS + 1
		       ? 0
		       : EVENTS_HEADER_LEN + rings * sizeof(struct event_ring);
}

bool events_are_ours(const struct events_header *h, off_t len)
{
	return h->magic == EVENTS_MAGIC && h->version == EVENTS_VERSION && h->header_len == sizeof(*h) &&
	       h->layout == events_layout() && h->records == EVENT_RECORDS && events_size(h->rings) &&
	       h->size == events_size(h->rings) && len == (off_t)h->size;
}

static void places(struct events *events, unsigned rings)
{
	events->header = (struct events_header *)events->file.base;
	events->rings = (struct event_ring *)(void *)((uint8_t *)events->file.base + EVENTS_HEADER_LEN);
	events->count = rings;
}

/* Maps the file that is there, whatever number of rings it has. False: there is none, or it is not ours to go
 * on in. */
static bool map_old(struct public_file *file, uint32_t *rings)
{
	struct events_header header;
	struct stat st;
	void *base;
	int fd = open(file->path, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);

	if (fd < 0)
		return false;
	if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || st.st_nlink != 1 || st.st_uid != geteuid() ||
		pread(fd, &header, sizeof(header), 0) != (ssize_t)sizeof(header) ||
		!events_are_ours(&header, st.st_size) || posix_fallocate(fd, 0, st.st_size) != 0 ||
		(base = mmap(NULL, (size_t)st.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)) ==
			MAP_FAILED) {
		close(fd);
		return false;
	}
	file->fd = fd;
	file->base = base;
	file->size = (size_t)st.st_size;
	*rings = header.rings;
	return true;
}

/* A file of `rings` rings, with the records of an older one of fewer. */
static bool make(struct events *events, unsigned rings, const struct public_file *old, gid_t group)
{
	if (!public_file_begin(&events->file, events_size(rings)))
		return false;
	if (old->base)
		memcpy(events->file.base, old->base, old->size);
	places(events, rings);
	struct events_header *h = events->header;
	h->magic = EVENTS_MAGIC;
	h->version = EVENTS_VERSION;
	h->header_len = sizeof(*h);
	h->layout = events_layout();
	h->size = events->file.size;
	h->rings = rings;
	h->records = EVENT_RECORDS;
	if (!old->base)
		atomic_store(&h->order, 1);
	return public_file_publish(&events->file, group);
}

struct events *events_open(
	const char *dir, const char *name, unsigned workers, gid_t group, char *error, size_t room)
{
	struct public_file old = { .fd = -1 };
	uint32_t rings = 0;
	struct events *events = calloc(1, sizeof(*events));

	if (!events || !stats_name_good(name) || !events_size(workers + 1)) {
		snprintf(error, room, "flight recorder: '%s' is no name for a hub, or out of memory", name);
		free(events);
		return NULL;
	}
	events->file.fd = -1;
	if (!public_file_name(&events->file, dir, name, ".events"))
		goto failed;
	if (map_old(&events->file, &rings) && rings > workers) {
		places(events, rings);
		if (group != (gid_t)-1 && fchown(events->file.fd, (uid_t)-1, group) != 0)
			goto failed;
		if (fchmod(events->file.fd, 0640) != 0)
			goto failed;
		return events;
	}
	old = events->file; /* too few rings, or nothing */
	events->file.fd = -1;
	events->file.base = NULL;
	if (!make(events, workers + 1, &old, group))
		goto failed;
	public_file_drop(&old);
	return events;

failed:
	snprintf(error, room, "flight recorder: %s/%s.events: %s", dir, name, strerror(errno));
	public_file_drop(&old);
	events_close(&events);
	return NULL;
}

void events_close(struct events **events)
{
	if (!*events)
		return;
	public_file_drop(&(*events)->file);
	free(*events);
	*events = NULL;
}

/* memcpy of a text's beginning; not in the middle of a UTF-8 character. */
static void cut(char *to, size_t room, const char *from)
{
	size_t len = from ? strnlen(from, room) : 0;

	if (len == room)
		for (len = room - 1; len && ((unsigned char)from[len] & 0xc0) == 0x80;)
			len--;
	if (len)
		memcpy(to, from, len);
}

void event_note(struct events *events, unsigned ring, enum event_kind kind, uint32_t slot,
	uint32_t generation, unsigned cause, const char *name, const char *text)
{
	struct timespec now;

	if (!events || ring >= events->count)
		return;
	struct event_ring *r = &events->rings[ring];
	uint64_t index = atomic_load_explicit(&r->written, memory_order_relaxed);
	struct event_place *place = &r->places[index % EVENT_RECORDS];
	struct event_record record = { .slot = slot,
		.generation = generation,
		.kind = (uint16_t)kind,
		.cause = (uint16_t)(cause < UINT16_MAX ? cause : UINT16_MAX) };
	clock_gettime(CLOCK_REALTIME, &now);
	record.unix_ms = (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
	record.order = atomic_fetch_add_explicit(&events->header->order, 1, memory_order_relaxed);
	cut(record.name, sizeof(record.name), name);
	cut(record.text, sizeof(record.text), text);
	atomic_store_explicit(&r->written, index + 1, memory_order_relaxed);
	sequence_write(&place->version, place->words, &record, sizeof(record) / 8);
}
