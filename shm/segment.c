/* SPDX-License-Identifier: MIT
 * Making, mapping and checking the state segment. All offsets follow from the rows of tables.def and from the
 * sizes; they are computed once per process and never read from the segment. */
#include "shm/segment.h"
#include "common/base/secret.h"
#include "common/base/siphash.h"
#include "shm/cells.h"
#include "shm/handover_ring.h"
#include "shm/last_words.h"
#include "shm/leases.h"
#include "shm/limits.h"
#include "shm/peers.h"
#include "shm/words.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

/* Raised when a table changes its meaning but not its size. */
#ifndef SHM_VERSION
#define SHM_VERSION 2
#endif

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U
#endif

enum { ALIGNMENT = 128, SHM_MAX_ROUTES = 1 << 22 };
static const uint64_t shm_magic = 0x314d48536e70762eu; /* ".vpnSHM1" */

enum table {
#define TABLE(name, type, count, what) TABLE_##name,
#include "shm/tables.def"
#undef TABLE
	TABLE_COUNT
};

struct places {
	size_t offset[TABLE_COUNT], entries[TABLE_COUNT];
	size_t total;
};

static uint32_t power_of_two(uint64_t at_least)
{
	uint32_t n = CELL_WINDOW;
	while (n < at_least)
		n *= 2;
	return n;
}

/* Four cells for each entry that can be: then a window of CELL_WINDOW cells practically never fills up. */
static size_t shm_link_cells(const struct shm_sizes *s)
{
	return power_of_two(4ull * s->max_clients);
}

static size_t shm_route_cells(const struct shm_sizes *s)
{
	return power_of_two(4ull * (2ull * s->max_clients + s->max_routes));
}

static size_t shm_lease_count(const struct shm_sizes *s)
{
	if (s->pool4_count && s->pool6_count)
		return s->pool4_count < s->pool6_count ? s->pool4_count : s->pool6_count;
	return s->pool4_count + s->pool6_count;
}

static size_t shm_rings(const struct shm_sizes *s)
{
	return (size_t)s->workers * (s->workers - 1);
}

static bool sizes_good(const struct shm_sizes *s)
{
	return s->workers && s->workers <= SHM_MAX_WORKERS && s->max_clients &&
	       s->max_clients <= SHM_MAX_CLIENTS && s->max_routes <= SHM_MAX_ROUTES &&
	       s->pool4_count <= SHM_MAX_POOL && s->pool6_count <= SHM_MAX_POOL &&
	       s->ring_bytes >= SHM_MIN_RING && s->ring_bytes <= SHM_MAX_RING;
}

static struct shm_sizes sizes_rounded(const struct shm_sizes *sizes)
{
	struct shm_sizes s = *sizes;
	s.ring_bytes = power_of_two(s.ring_bytes);
	return s;
}

static struct places places_of(const struct shm_sizes *s)
{
	struct places p = { .total = (sizeof(struct shm_header) + ALIGNMENT - 1) & -(size_t)ALIGNMENT };

#define TABLE(name, type, count, what)                                                                       \
	p.entries[TABLE_##name] = count;                                                                     \
	p.total = sizeof(type) >= 4096 ? (p.total + 4095) & -(size_t)4096 : p.total;                         \
	p.offset[TABLE_##name] = p.total;                                                                    \
	p.total += (p.entries[TABLE_##name] * sizeof(type) + ALIGNMENT - 1) & -(size_t)ALIGNMENT;
#include "shm/tables.def"
#undef TABLE
	p.total = (p.total + 4095) & -(size_t)4096;
	return p;
}

size_t shm_bytes(const struct shm_sizes *sizes)
{
	if (!sizes_good(sizes))
		return 0;
	struct shm_sizes s = sizes_rounded(sizes);
	return places_of(&s).total;
}

uint64_t shm_layout(void)
{
	uint64_t hash = layout_add(LAYOUT_START, "version", SHM_VERSION);
	hash = layout_add(hash, "header", sizeof(struct shm_header));

#define TABLE(name, type, count, what) hash = layout_add(hash, #name, sizeof(type));
#include "shm/tables.def"
#undef TABLE
	hash = layout_add(hash, "identity", sizeof(struct peer_identity));
	hash = layout_add(hash, "counters", offsetof(struct peer_slot, counters));
	hash = layout_add(hash, "kept", offsetof(struct peer_slot, kept));
	return hash;
}

/* Points every table of a mapped segment; `shm->sizes` must be good. */
static void point_tables(struct shm *shm)
{
	struct places p = places_of(&shm->sizes);

	shm->header = (struct shm_header *)shm->base;
#define TABLE(name, type, count, what)                                                                       \
	shm->name.at = (type *)(void *)(shm->base + p.offset[TABLE_##name]);                                 \
	shm->name.entries = p.entries[TABLE_##name];
#include "shm/tables.def"
#undef TABLE
}

static void protect(struct shm *shm)
{
	if (madvise(shm->base, shm->size, MADV_DONTDUMP) != 0)
		shm->warnings |= SHM_IN_DUMPS;
	/* The rings are large, and most are never used where there is room for more workers than there are: their pages
	 * come, locked, with the first touch. */
	size_t rings = (size_t)(shm->ring_data.at - shm->base);
	if (mlock(shm->base, rings) != 0 || (mlock2(shm->base + rings, shm->size - rings, MLOCK_ONFAULT) != 0 &&
						    mlock(shm->base + rings, shm->size - rings) != 0))
		shm->warnings |= SHM_NOT_LOCKED;
}

static bool random_fill(void *out, size_t len)
{
	uint8_t *at = out;
	while (len) {
		ssize_t n = getrandom(at, len < 256 ? len : 256, 0);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		at += n;
		len -= (size_t)n;
	}
	return true;
}

static bool fill_header(struct shm *shm)
{
	struct shm_header *h = shm->header;
	uint8_t secrets[2][SHM_SECRET_LEN];

	if (!random_fill(h->hash_key, sizeof(h->hash_key)) || !random_fill(secrets, sizeof(secrets)))
		return false;
	words_store(h->secrets[0], secrets[0], SHM_SECRET_LEN / 8);
	words_store(h->secrets[1], secrets[1], SHM_SECRET_LEN / 8);
	secret_wipe(secrets, sizeof(secrets));
	atomic_store(&h->secret_now, 1);
	memcpy(shm->hash_key, h->hash_key, sizeof(shm->hash_key));
	h->version = SHM_VERSION;
	h->header_len = sizeof(*h);
	h->layout = shm_layout();
	h->size = shm->size;
	h->sizes = shm->sizes;
	h->magic = shm_magic;
	return true;
}

struct shm *shm_create(const struct shm_sizes *sizes, char *error, size_t room)
{
	const char *what = "out of memory";
	struct shm *shm = NULL;
	void *base;

	if (!sizes_good(sizes)) {
		snprintf(error, room, "shared memory: a size is out of range");
		return NULL;
	}
	shm = calloc(1, sizeof(*shm));
	if (!shm)
		goto failed;
	shm->fd = -1;
	shm->sizes = sizes_rounded(sizes);
	shm->size = places_of(&shm->sizes).total;

	what = "memfd_create";
	shm->fd = memfd_create("vpnserverd-state", MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL);
	if (shm->fd < 0 && errno == EINVAL) /* before Linux 6.3 */
		shm->fd = memfd_create("vpnserverd-state", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (shm->fd < 0)
		goto failed;
	what = "ftruncate";
	if (ftruncate(shm->fd, (off_t)shm->size) != 0)
		goto failed;
	if (fcntl(shm->fd, F_ADD_SEALS, F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL) != 0)
		shm->warnings |= SHM_NOT_SEALED;
	what = "mmap";
	base = mmap(NULL, shm->size, PROT_READ | PROT_WRITE, MAP_SHARED, shm->fd, 0);
	if (base == MAP_FAILED)
		goto failed;
	shm->base = base;
	point_tables(shm);
	protect(shm);
	what = "getrandom";
	if (!fill_header(shm))
		goto failed;
	return shm;

failed:
	snprintf(error, room, "shared memory: %s: %s", what, strerror(errno));
	if (shm)
		shm_detach(&shm);
	return NULL;
}

struct shm *shm_attach(int fd, char *error, size_t room)
{
	const char *what = "out of memory";
	struct stat st;
	struct shm_header header;
	struct shm *shm = calloc(1, sizeof(*shm));
	void *base;
	int seals;

	if (!shm)
		goto failed;
	shm->fd = -1;
	what = "not a segment of ours";
	if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || st.st_size < (off_t)sizeof(header) ||
		pread(fd, &header, sizeof(header), 0) != (ssize_t)sizeof(header) || header.magic != shm_magic)
		goto failed;
	what = "its layout is that of another version";
	if (header.version != SHM_VERSION || header.header_len != sizeof(header) ||
		header.layout != shm_layout())
		goto failed;
	what = "its sizes are not those of its length";
	shm->sizes = header.sizes;
	shm->size = shm_bytes(&header.sizes);
	if (!shm->size || header.size != shm->size || st.st_size != (off_t)shm->size ||
		header.sizes.ring_bytes != sizes_rounded(&header.sizes).ring_bytes)
		goto failed;
	what = "cannot be mapped";
	base = mmap(NULL, shm->size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (base == MAP_FAILED)
		goto failed;
	shm->base = base;
	shm->fd = fd;
	seals = fcntl(fd, F_GET_SEALS);
	if (seals < 0 || (seals & (F_SEAL_GROW | F_SEAL_SHRINK)) != (F_SEAL_GROW | F_SEAL_SHRINK))
		shm->warnings |= SHM_NOT_SEALED;
	memcpy(shm->hash_key, header.hash_key, sizeof(shm->hash_key));
	secret_wipe(&header, sizeof(header));
	point_tables(shm);
	protect(shm);
	return shm;

failed:
	snprintf(error, room, "shared memory: %s", what);
	secret_wipe(&header, sizeof(header));
	free(shm);
	return NULL;
}

void shm_detach(struct shm **shm)
{
	struct shm *s = *shm;

	if (!s)
		return;
	if (s->base)
		munmap(s->base, s->size);
	if (s->fd >= 0)
		close(s->fd);
	secret_wipe(s, sizeof(*s));
	free(s);
	*shm = NULL;
}

void shm_secrets(const struct shm *shm, uint8_t now[SHM_SECRET_LEN], uint8_t before[SHM_SECRET_LEN])
{
	uint32_t at = atomic_load_explicit(&shm->header->secret_now, memory_order_acquire);

	words_load(now, shm->header->secrets[at % 4], SHM_SECRET_LEN / 8);
	words_load(before, shm->header->secrets[(at - 1) % 4], SHM_SECRET_LEN / 8);
}

bool shm_rotate_secrets(struct shm *shm)
{
	uint32_t at = atomic_load_explicit(&shm->header->secret_now, memory_order_relaxed) + 1;
	uint8_t secret[SHM_SECRET_LEN];

	/* Nobody reads this place: it is neither the newest nor the one before it. */
	bool filled = random_fill(secret, sizeof(secret));
	if (filled) {
		words_store(shm->header->secrets[at % 4], secret, SHM_SECRET_LEN / 8);
		atomic_store_explicit(&shm->header->secret_now, at, memory_order_release);
	}
	secret_wipe(secret, sizeof(secret));
	return filled;
}

uint16_t shm_next_epoch(struct shm *shm)
{
	uint16_t epoch;
	do {
		epoch = (uint16_t)(atomic_fetch_add(&shm->header->worker_epoch, 1) + 1);
	} while (epoch == 0);
	return epoch;
}

uint64_t shm_next_client_id(struct shm *shm)
{
	return atomic_fetch_add(&shm->header->client_id, 1);
}

uint64_t shm_name_hash(const struct shm *shm, const char *name)
{
	if (!name || !*name)
		return 0;
	uint64_t hash = siphash13(shm->hash_key, name, strnlen(name, PEER_NAME_ROOM - 1));
	return hash ? hash : 1;
}
