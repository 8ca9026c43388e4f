/* SPDX-License-Identifier: MIT
 * The session table: slot index = peer id. Who owns each session, what others may know about it, and the
 * bytes that must outlive its owner.
 *
 *   one word per slot (dense, read per packet)     one 4 KiB slot per session
 *   | generation 32 | spare 8 | deaths 4 |         | version, identity (seldom)     960 |
 *   | state 4 | owner 16 |                         | counters (per packet)           64 |
 *                                                  | kept: the engine's own bytes  3072 |
 *
 * The word is the authority, and every change of it one compare-and-swap:
 *   FREE ──take──> HANDSHAKE ──> ACTIVE ──> CLOSING ──release──> FREE with the next generation
 * The bitmap of free slots only says where to look first.
 *
 * - Writes: the owning worker alone: identity, counters and kept; after its death its successor of the same
 *   index. Words by compare-and-swap against the generation the writer knows. Only the owner releases.
 * - Reads: every process, any time, without waiting: the word by one load; the identity by a copy that counts
 *   if `version` was even and did not change. Kept bytes: the owner alone.
 * - Dies: between two lines of a write, `version` stays odd: "no such row" to others until the successor
 *   adopts the slot. In take: the slot is the dead one's, in HANDSHAKE; in release: CLOSING (found by
 *   peers_next_owned(), to be released again), or FREE without its bit (found by the slow search of take). */
#ifndef SHM_PEERS_H
#define SHM_PEERS_H

#include "common/base/address.h"
#include "common/base/packet.h"
#include "common/base/time.h"
#include "shm/segment.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum peer_state { PEER_FREE, PEER_HANDSHAKE, PEER_ACTIVE, PEER_CLOSING };
enum { PEER_NAME_ROOM = 128, PEER_KEPT_LEN = 3072, PEER_MAX_DEATHS = 2, LEASE_NONE = 0xffffffff };

enum peer_wrap { PEER_WRAP_NONE, PEER_WRAP_AUTH, PEER_WRAP_CRYPT, PEER_WRAP_CRYPT_V2, PEER_WRAP_COUNT };

/* What others may know about a session. Written and read whole, as 64-bit words. Unused bytes are zero. */
struct peer_identity {
	char common_name[PEER_NAME_ROOM]; /* terminated; at most PEER_NAME_ROOM - 1 bytes, raw: escape before
					     printing */
	char cipher[32];		  /* data cipher's name, "" until agreed */
	struct link_address peer_address;
	struct link_address local_address; /* family 0: not known */
	uint32_t local_interface;	   /* 0: not known */
	uint32_t link;			   /* index of the listener */
	uint32_t lease4, lease6;	   /* pool indices, LEASE_NONE */
	uint32_t inner4;		   /* host order, 0 none */
	uint32_t flags;			   /* the workers' own */
	uint8_t inner6[16];		   /* network order, all zero: none */
	uint64_t client_id;
	unix_s connected_unix;
	mono_ms connected_ms;
	uint32_t cipher_number; /* the workers' own */
	uint32_t renegotiations;
	unix_s keyed_unix;	     /* when the newest keys were agreed; 0: none yet */
	uint32_t wrap;		     /* of the control channel, enum peer_wrap */
	uint32_t networks;	     /* behind it, as many as the statistics show */
	char tls[48];		     /* "TLSv1.3 TLS_AES_256_GCM_SHA384" */
	char version[24], platform[16]; /* the peer's own words: IV_VER, IV_PLAT */
	char serial[64];	/* its certificate's, decimal, terminated; "": none */
	uint8_t fingerprint[32], issuer[32]; /* SHA-256 of its certificate; of its issuer's name */
};
_Static_assert(sizeof(struct peer_identity) % 8 == 0, "copied as words");

/* Written per packet by the owner only; relaxed, so others may see them a little late. */
struct peer_counters {
	_Atomic uint64_t bytes_in, bytes_out, packets_in, packets_out;
	_Atomic mono_ms last_in_ms, last_out_ms;
};

struct peer_slot {
	_Alignas(64) _Atomic uint32_t version; /* odd: being written */
	uint32_t spare;
	_Atomic uint64_t identity[sizeof(struct peer_identity) / 8];
	uint8_t room_to_grow[960 - 8 - sizeof(struct peer_identity)];
	_Alignas(64) struct peer_counters counters;
	_Alignas(64) uint8_t kept[PEER_KEPT_LEN]; /* zero when taken */
};
_Static_assert(sizeof(struct peer_slot) == 4096, "one page a session");

/* A copy of all that others may know. */
struct peer_row {
	uint32_t slot, generation;
	enum peer_state state;
	unsigned owner, deaths;
	struct peer_identity identity;
	uint64_t bytes_in, bytes_out, packets_in, packets_out;
	mono_ms last_in_ms, last_out_ms;
};

/* The word of a slot, taken apart. */
struct peer_word {
	uint32_t generation; /* never 0 */
	enum peer_state state;
	unsigned owner; /* WORKER_NONE when free */
	unsigned deaths;
};

/* Takes a free slot for `worker`: the lowest of its own partition, else of another's. The slot is HANDSHAKE,
 * its kept bytes and identity zero. PEER_NONE: the table is full. */
uint32_t peers_take(struct shm *shm, unsigned worker, uint32_t *generation);
/* Ends the session of this generation: wipes kept bytes, identity and counters, changes the generation, gives
 * the slot back. Owner (or its successor) only; again after a death half-way is fine. False: it was not this
 * generation. Links, routes and leases of the generation count for nothing from then on, whether or not they
 * were removed before. */
bool peers_release(struct shm *shm, uint32_t slot, uint32_t generation);

/* HANDSHAKE to ACTIVE, any to CLOSING. False: the slot has another generation, or is free. */
bool peers_set_state(struct shm *shm, uint32_t slot, uint32_t generation, enum peer_state state);

/* The slot, range-checked: NULL for an index outside the table. The pointer is for the owner: kept and
 * counters. */
struct peer_slot *peers_slot(const struct shm *shm, uint32_t slot);

/* One load. False: an index outside the table, a free slot, or nonsense. */
bool peers_word(const struct shm *shm, uint32_t slot, struct peer_word *out);
/* The data path's question, one load: the owner and *generation, or WORKER_NONE. */
unsigned peers_owner(const struct shm *shm, uint32_t slot, uint32_t *generation);
/* True if `slot` is in use by this very generation. */
bool peers_live(const struct shm *shm, uint32_t slot, uint32_t generation);
/* How many slots are not free. Walks the words. */
uint32_t peers_count(const struct shm *shm);

/* Publishes a new identity, name hash included; the owner alone. False: not this generation (nothing was
 * written). */
bool peers_write(struct shm *shm, uint32_t slot, uint32_t generation, const struct peer_identity *identity);
/* A whole copy. False: free, being written all the time, or left half-written by a dead owner. Never waits.
 */
bool peers_read(const struct shm *shm, uint32_t slot, struct peer_row *copy);

/* Counts on the owner's own line. `slot` from peers_slot(). */
static inline void peers_count_in(struct peer_slot *slot, uint64_t packets, uint64_t bytes, mono_ms now)
{
	struct peer_counters *c = &slot->counters;
	atomic_store_explicit(&c->packets_in,
		atomic_load_explicit(&c->packets_in, memory_order_relaxed) + packets, memory_order_relaxed);
	atomic_store_explicit(&c->bytes_in, atomic_load_explicit(&c->bytes_in, memory_order_relaxed) + bytes,
		memory_order_relaxed);
	atomic_store_explicit(&c->last_in_ms, now, memory_order_relaxed);
}

static inline void peers_count_out(struct peer_slot *slot, uint64_t packets, uint64_t bytes, mono_ms now)
{
	struct peer_counters *c = &slot->counters;
	atomic_store_explicit(&c->packets_out,
		atomic_load_explicit(&c->packets_out, memory_order_relaxed) + packets, memory_order_relaxed);
	atomic_store_explicit(&c->bytes_out,
		atomic_load_explicit(&c->bytes_out, memory_order_relaxed) + bytes, memory_order_relaxed);
	atomic_store_explicit(&c->last_out_ms, now, memory_order_relaxed);
}

/* The next slot at or after `from` that has this common name, is ACTIVE or HANDSHAKE and is not `except`;
 * PEER_NONE. Of two sessions that publish one name at the same time and then ask, at least one sees the
 * other. */
uint32_t peers_find_name(const struct shm *shm, const char *name, uint32_t except, uint32_t from);
/* The next slot at or after `from` that is not free; PEER_NONE. */
uint32_t peers_next(const struct shm *shm, uint32_t from);
/* The next slot at or after `from` that `owner` holds, in any state; PEER_NONE. */
uint32_t peers_next_owned(const struct shm *shm, unsigned owner, uint32_t from);

/* Gives a session to another owner, by one compare-and-swap. False: it is not `from`'s, or not this
 * generation. */
bool peers_move_owner(struct shm *shm, uint32_t slot, uint32_t generation, unsigned from, unsigned to);

/* What a successor finds in a slot of its dead predecessor. */
enum peer_adoption {
	PEER_NOT_OURS, /* free, or another's: leave it */
	PEER_ADOPTED,  /* go on with it (a HANDSHAKE without keys in kept: release it) */
	PEER_TORN, /* the same, but the identity was half-written and is empty now: peers_write() it again */
	PEER_GIVE_UP, /* its owner died PEER_MAX_DEATHS times on it, or it was CLOSING: peers_release() it */
};
/* Repairs `slot` after its owner's death, version even again. Call it once per birth and slot, before
 * anything else is done with it. `at_fault`: the dead owner was at work on this very session
 * (last_words_at_work()), so the death is counted; sessions that were merely there are not blamed. */
enum peer_adoption peers_adopt(
	struct shm *shm, uint32_t slot, unsigned owner, bool at_fault, uint32_t *generation);
/* Forgets the deaths: the session was served long enough not to be their cause. */
void peers_forgive(struct shm *shm, uint32_t slot, uint32_t generation);

#endif
