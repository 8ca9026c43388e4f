/* SPDX-License-Identifier: MIT
 * The stats segment's writers: the master makes the file, workers keep their block and rows. */
#include "shm/stats.h"
#include "shm/public_file.h"
#include "shm/stats_map.h"
#include "shm/words.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

bool stats_name_good(const char *name)
{
	size_t len = strlen(name);
	if (!len || len >= STATS_NAME_ROOM || name[0] == '.')
		return false;
	for (; *name; name++)
		if (*name == '/' || !isgraph((unsigned char)*name))
			return false;
	return true;
}

bool stats_places(const struct stats_sizes *s, struct stats_offsets *out)
{
	size_t at = STATS_HEADER_LEN;

	if (!s->workers || s->workers > SHM_MAX_WORKERS || !s->slots || s->slots > SHM_MAX_CLIENTS ||
		s->networks > STATS_MAX_NETWORKS)
		return false;
#define TABLE(name, type, count, what)                                                                       \
	out->name = at;                                                                                      \
	at += ((count) * sizeof(type) + 127) & -(size_t)128;
#include "shm/stats.def"
#undef TABLE
	out->total = (at + 4095) & -(size_t)4096;
	return true;
}

uint64_t stats_layout(void)
{
	uint64_t hash = layout_add(LAYOUT_START, "header", sizeof(struct stats_header));

#define TABLE(name, type, count, what) hash = layout_add(hash, #name, sizeof(type));
#include "shm/stats.def"
#undef TABLE
	hash = layout_add(hash, "row", sizeof(struct stats_row));
	hash = layout_add(hash, "network", sizeof(struct stats_network));
	for (int i = 0; i < FATE_COUNT; i++)
		hash = layout_add(hash, fate_name((enum fate)i), (size_t)i);
	for (int i = 0; i < COUNTER_COUNT; i++)
		hash = layout_add(hash, counter_name((enum counter)i), (size_t)i);
	return hash;
}

uint64_t stats_process_start(int64_t pid)
{
	char path[64], text[1024];
	unsigned long long start = 0;

	snprintf(path, sizeof(path), "/proc/%lld/stat", (long long)pid);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	ssize_t n = read(fd, text, sizeof(text) - 1);
	close(fd);
	if (n <= 0)
		return 0;
	text[n] = 0;
	/* The second field is the program's name in brackets and may contain anything, so count from the last
	 * one. */
	const char *at = strrchr(text, ')');
	if (at && (strncmp(at, ") Z", 3) == 0 || strncmp(at, ") X", 3) == 0))
		return 0; /* dead; its parent has not looked yet, and may take its time */
	for (int field = 2; at && field < 22; field++)
		at = strchr(at + 1, ' ');
	if (!at || sscanf(at, " %llu", &start) != 1)
		return 0;
	return start;
}

bool stats_is_ours(const struct stats_header *h)
{
	return h->magic == STATS_MAGIC && h->version == STATS_VERSION && h->header_len == sizeof(*h) &&
	       h->layout == stats_layout();
}

/* A hub that lives made the file of this name. */
static bool in_use(const char *path)
{
	struct stats_header header;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0)
		return false;
	ssize_t n = pread(fd, &header, sizeof(header), 0);
	close(fd);
	if (n != (ssize_t)sizeof(header) || !stats_is_ours(&header) || header.stopped || header.pid <= 0)
		return false;
	return header.pid_start && stats_process_start(header.pid) == header.pid_start;
}

static void copy_text(char *to, size_t room, const char *from)
{
	if (from)
		snprintf(to, room, "%s", from);
}

static void fill_header(struct stats *stats, const struct stats_about *about)
{
	struct stats_header *h = stats->header;

	h->version = STATS_VERSION;
	h->header_len = sizeof(*h);
	h->layout = stats_layout();
	h->size = stats->size;
	h->sizes = stats->sizes;
	h->pool = about->pool;
	h->started_unix = about->started_unix;
	copy_text(h->name, sizeof(h->name), about->name);
	copy_text(h->program_version, sizeof(h->program_version), about->program_version);
	while (h->listener_count < about->listener_count && h->listener_count < STATS_MAX_LISTENERS) {
		copy_text(h->listeners[h->listener_count], STATS_LISTENER_ROOM,
			about->listeners[h->listener_count]);
		h->listener_count++;
	}
	stats_mark_master(stats);
	h->magic = STATS_MAGIC;
}

static void place(struct stats *stats, void *base, const struct stats_offsets *o)
{
	stats->base = base;
	stats->header = (struct stats_header *)base;
	stats->workers = (struct stats_worker *)(void *)(stats->base + o->workers);
	stats->rows = (struct stats_place *)(void *)(stats->base + o->rows);
	stats->networks = (struct stats_network_place *)(void *)(stats->base + o->networks);
}

struct stats *stats_create(const char *dir, const struct stats_about *about, char *error, size_t room)
{
	struct public_file file = { .fd = -1 };
	struct stats_offsets o;
	struct stats *stats = NULL;

	if (!stats_name_good(about->name) || !stats_places(&about->sizes, &o)) {
		snprintf(error, room, "statistics: '%s' is no name for a hub, or a size is out of range",
			about->name);
		return NULL;
	}
	stats = calloc(1, sizeof(*stats));
	if (!stats || !public_file_name(&file, dir, about->name, ".stats"))
		goto failed;
	if (in_use(file.path)) {
		errno = EBUSY; /* a hub of this name is running */
		goto failed;
	}
	if (!public_file_begin(&file, o.total))
		goto failed;
	stats->fd = file.fd;
	stats->sizes = about->sizes;
	stats->size = o.total;
	memcpy(stats->path, file.path, sizeof(stats->path));
	place(stats, file.base, &o);
	fill_header(stats, about);
	if (!public_file_publish(&file, about->group))
		goto failed;
	return stats;

failed:
	snprintf(error, room, "statistics: %s/%s.stats: %s", dir, about->name,
		errno == EBUSY ? "a hub of this name is running" : strerror(errno));
	public_file_drop(&file);
	free(stats);
	return NULL;
}

struct stats *stats_attach(int fd, const char *path, char *error, size_t room)
{
	struct stats_header header;
	struct stats_offsets o;
	struct stat st;
	struct stats *stats = calloc(1, sizeof(*stats));

	if (!stats)
		goto failed;
	stats->fd = -1;
	if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) ||
		pread(fd, &header, sizeof(header), 0) != (ssize_t)sizeof(header) || !stats_is_ours(&header) ||
		!stats_places(&header.sizes, &o) || header.size != o.total || st.st_size != (off_t)o.total ||
		strlen(path) >= sizeof(stats->path))
		goto failed;
	stats->sizes = header.sizes;
	stats->size = o.total;
	void *base = mmap(NULL, stats->size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (base == MAP_FAILED)
		goto failed;
	stats->fd = fd;
	place(stats, base, &o);
	copy_text(stats->path, sizeof(stats->path), path);
	return stats;

failed:
	snprintf(error, room, "statistics: %s: not a segment of this version", path);
	stats_detach(&stats);
	return NULL;
}

void stats_detach(struct stats **stats)
{
	struct stats *s = *stats;

	if (!s)
		return;
	if (s->base)
		munmap(s->base, s->size);
	if (s->fd >= 0)
		close(s->fd);
	free(s);
	*stats = NULL;
}

void stats_remove(struct stats *stats)
{
	struct stat ours, there;

	atomic_store(&stats->header->stopped, 1);
	/* Not the file of a hub that took the name meanwhile. */
	if (fstat(stats->fd, &ours) == 0 && lstat(stats->path, &there) == 0 && ours.st_dev == there.st_dev &&
		ours.st_ino == there.st_ino)
		unlink(stats->path);
}

void stats_mark_master(struct stats *stats)
{
	int64_t pid = getpid();
	atomic_store(&stats->header->pid_start, stats_process_start(pid));
	atomic_store(&stats->header->pid, pid);
}

/* A reader in this very moment may see a mixture of both. */
void stats_mark_version(struct stats *stats, const char *program_version)
{
	memset(stats->header->program_version, 0, sizeof(stats->header->program_version));
	copy_text(stats->header->program_version, sizeof(stats->header->program_version), program_version);
}

/* -- workers' blocks -- */

struct stats_worker *stats_worker(const struct stats *stats, unsigned worker)
{
	return worker < stats->sizes.workers ? &stats->workers[worker] : NULL;
}

void stats_heartbeat(struct stats_worker *worker, unix_s now, uint64_t cpu_user_us, uint64_t cpu_system_us)
{
	counter_word_add(&worker->heartbeats, 1);
	atomic_store_explicit(&worker->heartbeat_unix, now, memory_order_relaxed);
	atomic_store_explicit(&worker->cpu_user_us, cpu_user_us, memory_order_relaxed);
	atomic_store_explicit(&worker->cpu_system_us, cpu_system_us, memory_order_relaxed);
}

void stats_rates(struct stats_worker *worker, const struct stats_rates *rates)
{
	atomic_store_explicit(&worker->cpu_permille, rates->cpu_permille, memory_order_relaxed);
	atomic_store_explicit(&worker->rate_bytes_in, rates->bytes_in, memory_order_relaxed);
	atomic_store_explicit(&worker->rate_bytes_out, rates->bytes_out, memory_order_relaxed);
	atomic_store_explicit(&worker->rate_packets_in, rates->packets_in, memory_order_relaxed);
	atomic_store_explicit(&worker->rate_packets_out, rates->packets_out, memory_order_relaxed);
}

void stats_worker_born(struct stats_worker *worker, int64_t pid, unix_s now, uint32_t cpu)
{
	atomic_store_explicit(&worker->cpu, cpu, memory_order_relaxed);
	atomic_store_explicit(&worker->pid, pid, memory_order_relaxed);
	atomic_store_explicit(&worker->born_unix, now, memory_order_relaxed);
	atomic_store_explicit(&worker->births,
		atomic_load_explicit(&worker->births, memory_order_relaxed) + 1, memory_order_relaxed);
	atomic_store_explicit(&worker->state, STATS_WORKER_STARTING, memory_order_relaxed);
}

void stats_worker_state(struct stats_worker *worker, enum stats_worker_state state)
{
	atomic_store_explicit(&worker->state, state, memory_order_relaxed);
	if (state == STATS_WORKER_DEAD)
		atomic_store_explicit(&worker->pid, 0, memory_order_relaxed);
}

void stats_worker_open(struct stats_worker *worker, bool open)
{
	atomic_store_explicit(&worker->closed, !open, memory_order_relaxed);
}

/* -- rows -- */

bool stats_row_read(const struct stats *stats, uint32_t slot, uint32_t generation, struct stats_row *out)
{
	if (slot >= stats->sizes.slots)
		return false;
	const struct stats_place *place = &stats->rows[slot];
	return sequence_read(&place->version, place->words, out, sizeof(*out) / 8) &&
	       out->state != PEER_FREE && out->generation == generation;
}

void stats_publish(struct stats *stats, uint32_t slot, const struct stats_row *row)
{
	if (slot < stats->sizes.slots)
		sequence_write(&stats->rows[slot].version, stats->rows[slot].words, row, sizeof(*row) / 8);
}

void stats_clear(struct stats *stats, uint32_t slot)
{
	if (slot < stats->sizes.slots)
		sequence_write(&stats->rows[slot].version, stats->rows[slot].words, NULL,
			sizeof(struct stats_row) / 8);
}

void stats_row_from_peer(struct stats_row *out, const struct peer_row *peer, mono_ms now_ms, unix_s now_unix)
{
	const struct peer_identity *id = &peer->identity;

	memset(out, 0, sizeof(*out));
	out->client_id = id->client_id;
	out->generation = peer->generation;
	out->owner = (uint16_t)peer->owner;
	out->state = (uint8_t)peer->state;
	memcpy(out->common_name, id->common_name, sizeof(out->common_name));
	memcpy(out->cipher, id->cipher, sizeof(out->cipher));
	out->peer_address = id->peer_address;
	out->inner4 = id->inner4;
	out->link = id->link;
	memcpy(out->inner6, id->inner6, sizeof(out->inner6));
	out->connected_unix = id->connected_unix;
	if (peer->last_in_ms && peer->last_in_ms <= now_ms)
		out->last_in_unix = now_unix - (now_ms - peer->last_in_ms) / 1000;
	out->bytes_in = peer->bytes_in;
	out->bytes_out = peer->bytes_out;
	out->packets_in = peer->packets_in;
	out->packets_out = peer->packets_out;
	out->lease = id->lease4 != LEASE_NONE ? id->lease4 : id->lease6;
	out->round_trip_ms = -1;
	out->renegotiations = id->renegotiations;
	out->networks = id->networks;
	out->keyed_unix = id->keyed_unix;
	out->published_unix = now_unix;
	out->wrap = (uint8_t)id->wrap;
	memcpy(out->tls, id->tls, sizeof(out->tls));
	memcpy(out->version, id->version, sizeof(out->version));
	memcpy(out->platform, id->platform, sizeof(out->platform));
}

/* -- networks -- */

static uint64_t holder_of(uint32_t slot, uint32_t generation)
{
	return (uint64_t)slot << 32 | generation;
}

bool stats_network_put(struct stats *stats, const struct shm *shm, const struct stats_network *network)
{
	uint32_t count = stats->sizes.networks;
	uint64_t mine = holder_of(network->slot, network->generation);

	for (uint32_t i = 0; i < count; i++) {
		struct stats_network_place *place = &stats->networks[(network->slot + i) % count];
		uint64_t holder = atomic_load_explicit(&place->holder, memory_order_relaxed);
		if (holder && peers_live(shm, (uint32_t)(holder >> 32), (uint32_t)holder))
			continue;
		if (!atomic_compare_exchange_strong(&place->holder, &holder, mine))
			continue;
		sequence_write(&place->version, place->words, network, sizeof(*network) / 8);
		return true;
	}
	return false;
}

void stats_networks_clear(struct stats *stats, uint32_t slot, uint32_t generation)
{
	for (uint32_t i = 0; i < stats->sizes.networks; i++) {
		uint64_t holder = holder_of(slot, generation);
		if (atomic_load_explicit(&stats->networks[i].holder, memory_order_relaxed) == holder)
			atomic_compare_exchange_strong(&stats->networks[i].holder, &holder, 0);
	}
}
