/* SPDX-License-Identifier: MIT
 * The outside reader. Sizes are taken from the header once, checked against the length of the file, and kept;
 * everything else is copied before anybody looks at it. */
#include "shm/reader.h"
#include "shm/public_file.h"
#include "shm/stats_map.h"
#include "shm/words.h"

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { PULSE_S = 10 }; /* a worker says once a second that it lives */

struct reader {
	const uint8_t *base;
	size_t size;
	struct stats_sizes sizes;
	const struct stats_header *header;
	const struct stats_worker *workers;
	const struct stats_place *rows;
	const struct stats_network_place *networks;
};

struct reader *reader_open(const char *path, char *error, size_t room)
{
	const char *what = "out of memory";
	struct stats_header header;
	struct stats_offsets o;
	off_t len;
	int fd = -1;
	struct reader *reader = calloc(1, sizeof(*reader));

	if (!reader)
		goto failed;
	fd = public_file_look(path, &header, sizeof(header), &len);
	what = fd < 0 && errno != EBADMSG ? strerror(errno) : "not a statistics file of a hub";
	if (fd < 0 || header.magic != STATS_MAGIC)
		goto failed;
	what = "written by another version of the hub";
	if (!stats_is_ours(&header))
		goto failed;
	what = "cut short, or its sizes are wrong";
	if (!stats_places(&header.sizes, &o) || header.size != o.total || len != (off_t)o.total)
		goto failed;
	what = "cannot be mapped";
	reader->base = public_file_show(fd, o.total);
	fd = -1;
	if (!reader->base)
		goto failed;
	reader->size = o.total;
	reader->sizes = header.sizes;
	reader->header = (const struct stats_header *)(const void *)reader->base;
	reader->workers = (const struct stats_worker *)(const void *)(reader->base + o.workers);
	reader->rows = (const struct stats_place *)(const void *)(reader->base + o.rows);
	reader->networks = (const struct stats_network_place *)(const void *)(reader->base + o.networks);
	return reader;

failed:
	snprintf(error, room, "%s: %s", path, what);
	if (fd >= 0)
		close(fd);
	free(reader);
	return NULL;
}

void reader_close(struct reader **reader)
{
	if (!*reader)
		return;
	munmap((void *)(uintptr_t)(*reader)->base, (*reader)->size);
	free(*reader);
	*reader = NULL;
}

/* *start: when, in the kernel's ticks; 0: it does not tell us. */
static bool process_lives(int64_t pid, uint64_t *start)
{
	*start = 0;
	if (pid <= 0 || pid > INT32_MAX)
		return false;
	if ((*start = stats_process_start(pid)))
		return true;
	/* Seen, and yet no start: dead, only its parent has not looked yet. */
	char path[64];
	snprintf(path, sizeof(path), "/proc/%lld/stat", (long long)pid);
	if (access(path, R_OK) == 0)
		return false;
	/* Where /proc hides other users' processes, the pid alone must do. */
	return kill((pid_t)pid, 0) == 0 || errno == EPERM;
}

unsigned reader_living_workers(const struct reader *reader)
{
	struct reader_worker worker;
	unix_s now = (unix_s)time(NULL);
	uint64_t start;
	unsigned living = 0;

	for (unsigned i = 0; reader_worker(reader, i, &worker); i++) {
		unix_s sign = worker.heartbeat_unix > worker.born_unix ? worker.heartbeat_unix : worker.born_unix;
		/* its pid may be another's by now */
		living += sign >= now - PULSE_S && process_lives(worker.pid, &start);
	}
	return living;
}

enum reader_life reader_life(const struct reader *reader)
{
	const struct stats_header *h = reader->header;
	int64_t pid = atomic_load(&h->pid);
	uint64_t start = atomic_load(&h->pid_start);

	if (atomic_load(&h->stopped))
		return HUB_STOPPED;
	uint64_t found;
	if (process_lives(pid, &found) && (!found || found == start))
		return HUB_ALIVE;
	return reader_living_workers(reader) ? HUB_ORPHANED : HUB_DEAD;
}

static void copy_text(char *to, const char *from, size_t room)
{
	memcpy(to, from, room);
	to[room - 1] = 0;
}

void reader_hub(const struct reader *reader, struct reader_hub *out)
{
	const struct stats_header *h = reader->header;
	volatile const uint32_t *listeners = &h->listener_count;

	memset(out, 0, sizeof(*out));
	out->sizes = reader->sizes;
	out->pool = h->pool;
	out->certificate_ends_unix = atomic_load(&h->certificate_ends_unix);
	out->crl_ends_unix = atomic_load(&h->crl_ends_unix);
	out->crl_lost_unix = atomic_load(&h->crl_lost_unix);
	out->pid = atomic_load(&h->pid);
	out->started_unix = h->started_unix;
	out->reloaded_unix = atomic_load(&h->reloaded_unix);
	out->reloads = atomic_load(&h->reloads);
	out->rebalanced = atomic_load(&h->rebalanced);
	copy_text(out->name, h->name, sizeof(out->name));
	copy_text(out->program_version, h->program_version, sizeof(out->program_version));
	out->listener_count = *listeners;
	if (out->listener_count > STATS_MAX_LISTENERS)
		out->listener_count = STATS_MAX_LISTENERS;
	for (unsigned i = 0; i < out->listener_count; i++)
		copy_text(out->listeners[i], h->listeners[i], STATS_LISTENER_ROOM);
}

bool reader_worker(const struct reader *reader, unsigned worker, struct reader_worker *out)
{
	if (worker >= reader->sizes.workers)
		return false;
	const struct stats_worker *w = &reader->workers[worker];
	uint32_t state = atomic_load(&w->state);

	if (state == STATS_WORKER_NONE)
		return false;
	memset(out, 0, sizeof(*out));
	out->pid = atomic_load(&w->pid);
	out->state = state <= STATS_WORKER_DEAD ? (enum stats_worker_state)state : STATS_WORKER_NONE;
	out->births = atomic_load(&w->births);
	out->closed = atomic_load(&w->closed);
	out->born_unix = atomic_load(&w->born_unix);
	out->heartbeats = atomic_load(&w->heartbeats);
	out->heartbeat_unix = atomic_load(&w->heartbeat_unix);
	out->cpu_user_us = atomic_load(&w->cpu_user_us);
	out->cpu_system_us = atomic_load(&w->cpu_system_us);
	out->cpu = atomic_load(&w->cpu);
	out->rates.cpu_permille = atomic_load(&w->cpu_permille);
	out->rates.bytes_in = atomic_load(&w->rate_bytes_in);
	out->rates.bytes_out = atomic_load(&w->rate_bytes_out);
	out->rates.packets_in = atomic_load(&w->rate_packets_in);
	out->rates.packets_out = atomic_load(&w->rate_packets_out);
	counters_sum(&w->counters, &out->values);
	return true;
}

void reader_sum(const struct reader *reader, struct counter_values *out)
{
	memset(out, 0, sizeof(*out));
	for (unsigned i = 0; i < reader->sizes.workers; i++)
		counters_sum(&reader->workers[i].counters, out);
}

bool reader_row(const struct reader *reader, uint32_t slot, struct stats_row *out)
{
	if (slot >= reader->sizes.slots)
		return false;
	const struct stats_place *place = &reader->rows[slot];
	if (!sequence_read(&place->version, place->words, out, sizeof(*out) / 8))
		return false;
	out->common_name[sizeof(out->common_name) - 1] = 0;
	out->cipher[sizeof(out->cipher) - 1] = 0;
	out->tls[sizeof(out->tls) - 1] = 0;
	out->version[sizeof(out->version) - 1] = 0;
	out->platform[sizeof(out->platform) - 1] = 0;
	return out->state <= PEER_CLOSING;
}

/* Most places are free: one line of memory says so, the other eight are not fetched. */
static bool is_free(const struct stats_place *place)
{
	uint8_t bytes[8];
	enum { WORD = offsetof(struct stats_row, state) / 8, BYTE = offsetof(struct stats_row, state) % 8 };
	uint64_t word = atomic_load_explicit(&place->words[WORD], memory_order_relaxed);

	memcpy(bytes, &word, 8);
	return bytes[BYTE] == PEER_FREE;
}

bool reader_next_row(const struct reader *reader, uint32_t from, uint32_t *slot, struct stats_row *out)
{
	for (uint32_t i = from; i < reader->sizes.slots; i++) {
		if (!is_free(&reader->rows[i]) && reader_row(reader, i, out) && out->state != PEER_FREE) {
			*slot = i;
			return true;
		}
	}
	return false;
}

bool reader_next_network(
	const struct reader *reader, uint32_t from, uint32_t *index, struct stats_network *out)
{
	struct stats_row row;

	for (uint32_t i = from; i < reader->sizes.networks; i++) {
		const struct stats_network_place *place = &reader->networks[i];
		uint64_t holder = atomic_load(&place->holder);
		if (!holder || !sequence_read(&place->version, place->words, out, sizeof(*out) / 8) ||
			holder != ((uint64_t)out->slot << 32 | out->generation) ||
			(out->family == 4 ? out->bits > 32 : out->family != 6 || out->bits > 128) ||
			!reader_row(reader, out->slot, &row) || row.state == PEER_FREE ||
			row.generation != out->generation)
			continue;
		*index = i;
		return true;
	}
	return false;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(a, b);
}

int reader_names(const char *dir, char names[][STATS_NAME_ROOM], int max)
{
	return reader_names_ending(dir, ".stats", names, max);
}

int reader_names_ending(const char *dir, const char *ending, char names[][STATS_NAME_ROOM], int max)
{
	size_t ending_len = strlen(ending);
	struct dirent *entry;
	int count = 0;
	DIR *d = opendir(dir);

	if (!d)
		return -errno;
	while (count < max && (entry = readdir(d))) {
		size_t len = strlen(entry->d_name);
		if (len <= ending_len || len - ending_len >= STATS_NAME_ROOM)
			continue;
		len -= ending_len;
		if (strcmp(entry->d_name + len, ending) != 0)
			continue;
		memcpy(names[count], entry->d_name, len);
		names[count][len] = 0;
		if (stats_name_good(names[count]))
			count++;
	}
	closedir(d);
	if (count)
		qsort(names, (size_t)count, STATS_NAME_ROOM, by_name);
	return count;
}
