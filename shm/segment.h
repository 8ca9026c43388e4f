/* SPDX-License-Identifier: MIT
 * The state segment: create, map, check, seal. Everything two processes share lives in it, as offsets and
 * indices, never as pointers. `struct shm` is a process's own handle: where each table stands and how long
 * it is, computed from sizes that were checked once, so nothing written into the segment later moves a bound.
 *
 * - Writes: the header once, by the creator before anybody else maps it; afterwards only its atomic words.
 * - Reads: everybody, any time.
 * - Dies: the header has no change of several steps: a secret is written to an unused place, then named by
 *   one store. */
#ifndef SHM_SEGMENT_H
#define SHM_SEGMENT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	SHM_MAX_WORKERS = 256,
	SHM_MAX_CLIENTS = 1 << 20, /* slot numbers have 20 bits in the words of links, routes and leases */
	SHM_MAX_POOL = 1 << 22,
	SHM_MIN_RING = 1 << 12,
	SHM_MAX_RING = 1 << 26,
	SHM_SECRET_LEN = 32,
	WORKER_NONE = 0xffff, /* no worker */
};

struct shm_sizes {
	uint32_t workers;
	uint32_t max_clients; /* slots of the session table */
	uint32_t max_routes;  /* routed subnets of all clients together; host routes are counted apart */
	uint32_t pool4_count; /* addresses of each pool; 0: no such pool */
	uint32_t pool6_count;
	uint32_t ring_bytes; /* of each handover ring, rounded up to a power of two; there are workers *
				(workers - 1) */
};

struct peer_slot;
struct cell_key;
struct lease_text;
struct last_words;
struct ring_ends;

/* A budget that all workers share; see shm/limits.h. */
struct limit {
	_Alignas(64) _Atomic uint64_t word;
};
enum shm_limit { LIMIT_OPENERS, LIMIT_CONNECTS, SHM_LIMITS };

struct shm_header {
	/* Constant once created. */
	uint64_t magic;
	uint32_t version;
	uint32_t header_len;
	uint64_t layout; /* shm_layout() of the build that made it */
	uint64_t size;	 /* of the segment */
	struct shm_sizes sizes;
	uint64_t hash_key[2]; /* of every hash table in here */
	/* Seldom changed, each on one's own. */
	_Alignas(64) _Atomic uint32_t
		secret_now;	       /* secrets[secret_now % 4] counts, the one before it still does */
	_Atomic uint32_t worker_epoch; /* the last one given out */
	_Atomic uint64_t client_id;    /* the last one given out */
	_Atomic uint64_t lease_tick;   /* order of takes and releases */
	_Alignas(64) _Atomic uint64_t secrets[4][SHM_SECRET_LEN / 8];
	_Alignas(64) _Atomic uint64_t prefixes4; /* bit n: a /n route was made; bit 32 is the top */
	_Atomic uint64_t prefixes6[3];		 /* the same for IPv6, bits 0 to 128 */
	struct limit limits[SHM_LIMITS];
	_Alignas(64) _Atomic uint64_t crew[SHM_MAX_WORKERS / 64]; /* shm/crew.h */
};

enum shm_warning {
	SHM_NOT_LOCKED = 1, /* mlock failed: keys may be swapped out; raise RLIMIT_MEMLOCK */
	SHM_IN_DUMPS = 2,   /* MADV_DONTDUMP failed */
	SHM_NOT_SEALED = 4, /* the segment could be resized by a worker */
};

/* One process's view. Only shm/ looks inside, apart from `sizes`, `fd` and `warnings`. */
struct shm {
	uint8_t *base;
	size_t size;
	int fd;
	unsigned warnings;	/* enum shm_warning, or-ed: for the caller to log */
	struct shm_sizes sizes; /* checked; ring_bytes as rounded */
	uint64_t hash_key[2];	/* our own copy */
	struct shm_header *header;
	/* The tables, typed: `count` entries at `at`. */
#define TABLE(name, type, count, what)                                                                       \
	struct {                                                                                             \
		type *at;                                                                                    \
		size_t entries;                                                                              \
	} name;
#include "shm/tables.def"
#undef TABLE
};

/* Makes the segment (memfd, size sealed, outside core dumps, locked), fills in seeds and secrets from
 * getrandom(). NULL and a sentence in `error` when it cannot be had or a size is out of range. The fd is
 * close-on-exec: clear that on the way to an upgrade. */
struct shm *shm_create(const struct shm_sizes *sizes, char *error, size_t room);
/* Maps an existing one, as the successor of an upgrade does; takes over `fd` on success. Refused (NULL, a
 * sentence): not a segment of ours, other layout, other length than its sizes ask for. */
struct shm *shm_attach(int fd, char *error, size_t room);
/* Unmaps, closes the fd, frees the handle, empties the caller's pointer. A forked child may use its parent's
 * handle without attaching again. */
void shm_detach(struct shm **shm);

/* What a segment of these sizes takes, in bytes; 0 when a size is out of range. For RLIMIT_MEMLOCK. */
size_t shm_bytes(const struct shm_sizes *sizes);
/* Number over names and sizes of all tables of this build; equal means that sessions survive an upgrade. */
uint64_t shm_layout(void);

/* The two address-proof secrets that count now: the newest and the one before it. Wipe the copies. */
void shm_secrets(const struct shm *shm, uint8_t now[SHM_SECRET_LEN], uint8_t before[SHM_SECRET_LEN]);
/* Makes a new one; what was the newest becomes the one before it. Master alone. False: no random bytes to be
 * had. */
bool shm_rotate_secrets(struct shm *shm);

/* Each call gives another number, across all processes. Epochs start at 1 and fit 16 bits: 0 is skipped on
 * wrapping. */
uint16_t shm_next_epoch(struct shm *shm);
/* Client ids (CID of the management interface) start at 0. */
uint64_t shm_next_client_id(struct shm *shm);

/* Keyed hash of a name, never 0; 0 for NULL or an empty one. */
uint64_t shm_name_hash(const struct shm *shm, const char *name);

#endif
