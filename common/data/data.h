/* SPDX-License-Identifier: MIT
 * The door to the data channel: seal and open n packets. Packet formats: OpenVPN's src/openvpn/crypto.c.
 *
 *   DATA_V2   0        1          4            8         24
 *             | op|key | peer id  | packet id  | tag     | sealed packet ...
 *             |<- authenticated, not hidden -->|
 *   DATA_V1   0        1            5         21
 *             | op|key | packet id  | tag     | sealed packet ...     (only the packet id is authenticated)
 *
 * What must outlive a worker is `struct data_kept`: plain data that the caller may place in shared memory.
 * What can be made again from it (expanded key schedules) is `struct data_key`, private memory. */
#ifndef COMMON_DATA_DATA_H
#define COMMON_DATA_DATA_H

#include "common/base/fate.h"
#include "common/base/time.h"
#include "common/keys/keys.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	DATA_OVERHEAD_V1 = 1 + 4 + 16,
	DATA_OVERHEAD_V2 = 4 + 4 + 16,
	DATA_HEADROOM = 64,       /* room to leave in front of a packet; seal() writes DATA_OVERHEAD_V2 of it at most */
	DATA_BATCH = 128,         /* most jobs in one call */
	REPLAY_BITS = 2048,       /* widest replay window */
	PACKET_ID_BLOCK = 1024,   /* ids reserved at once */
};

/* -- ciphers: aead.c -- */

enum cipher { CIPHER_UNKNOWN, CIPHER_AES_128_GCM, CIPHER_AES_192_GCM, CIPHER_AES_256_GCM, CIPHER_CHACHA20_POLY1305, CIPHER_COUNT };

/* By name as the config spells it, any case; CIPHER_UNKNOWN if it is none of ours. */
enum cipher cipher_by_name(const char *name, size_t len);
/* "AES-256-GCM"; "?" for CIPHER_UNKNOWN. */
const char *cipher_name(enum cipher cipher);
size_t cipher_key_len(enum cipher cipher);

/* -- packet ids: packet_id.c -- */

/* Numbers going out. `word` holds the owner's epoch (upper 16 bits) and the next free id (lower 48), so that one
 * compare-and-swap both takes a block and proves that the taker still owns the session: a worker that was
 * stopped, replaced and resumed finds another epoch and cannot seal. Shared memory, several writers. */
struct packet_id_source {
	_Atomic uint64_t word;
};

/* What one owner has taken and not yet used up. Private memory. */
struct packet_id_block {
	uint32_t next, end;
};

/* Reserves ids until the block holds at least one. False: the epoch is not ours any more, or the 32-bit id
 * space is used up. Ids start at 1 and end before 0xffffffff. No two processes may use one block: a forked
 * child must not seal with the keys of its parent. */
bool packet_id_reserve(struct packet_id_source *source, uint16_t epoch, struct packet_id_block *block);
/* Every owner's first deed: puts its epoch into the word, whatever stands there. Ids go on where they are. */
void packet_id_adopt(struct packet_id_source *source, uint16_t epoch);
/* False: no owner of an epoch above 0 ever took it over. Beside a key that was in use it then was wiped, and its ids
 * would begin again. */
bool packet_id_was_owned(const struct packet_id_source *source);

/* Numbers coming in: accepted once each, within the window. One writer. */
struct replay_window {
	uint32_t highest;
	uint32_t width;   /* 1..REPLAY_BITS; 0: strictly one after the other */
	uint32_t limit_s; /* ids older than this many seconds count as received; 0: no time rule */
	uint32_t floor;   /* ids up to this one count as received, by the time rule */
	mono_ms checked;  /* when the time rule was last applied */
	uint32_t highest_at_check;
	uint64_t seen[REPLAY_BITS / 64]; /* a ring of bits: id % REPLAY_BITS */
};

/* Whether `id` would be taken. 0 never is; into an empty window any other id is. */
bool replay_window_accepts(const struct replay_window *window, uint32_t id);
/* Takes an accepted `id`; applies the time rule first. */
void replay_window_note(struct replay_window *window, uint32_t id, mono_ms now);
/* The time rule by itself, for use before replay_window_accepts(), which knows no time. Looks at most once in
 * `limit_s`: an id is refused for its age somewhere between one and two times `limit_s` after its successors. */
void replay_window_age(struct replay_window *window, mono_ms now);

/* -- keys -- */

/* One key set as it must survive: no pointers, 8-byte aligned. Secret: wipe it. */
struct data_kept {
	uint8_t cipher;  /* enum cipher; CIPHER_UNKNOWN: no key set here */
	uint8_t key_id;
	uint8_t send_half; /* which half of the material this side sends with */
	uint8_t flags;
	uint32_t peer_id; /* written into DATA_V2; WIRE_PEER_ID_NONE: this side sends DATA_V1 */
	uint8_t material[KEY_MATERIAL_LEN];
	struct packet_id_source ids;
	struct replay_window window;
};

struct data_key; /* expanded schedules of both directions; private memory */

/* Expands a key set for its owner of this epoch. NULL: out of memory, unknown cipher, or a key of only zeros. */
struct data_key *data_key_new(struct data_kept *kept, uint16_t epoch);
/* Wipes and frees; empties the caller's pointer. Does not touch the kept part. */
void data_key_free(struct data_key **key);
/* Packets sealed plus opened under this key since data_key_new(), and the bytes of their datagrams. */
uint64_t data_key_packets(const struct data_key *key);
uint64_t data_key_bytes(const struct data_key *key);
/* True when a renegotiation should start for the key's own sake: ids from 0xff000000 on in either direction; 7/8
 * of the packets and blocks that AES-GCM bears (2^36 - 1, counted per direction, forged ones included); more than
 * 2^35 failed tags (after twice as many, nothing is opened any more). */
bool data_key_worn(const struct data_key *key);

/* One packet on its way. `at`/`len` change in place. Of a packet to be sealed the payload may lie apart: at `at` is room
 * for all `len` bytes, of which the first `head` are there, at `payload` are the rest. `head` bytes in front of `payload` get
 * overwritten when the job's turn comes; by then the jobs before it are sealed, so these bytes may have been theirs. */
struct data_job {
	struct data_key *key; /* borrowed */
	uint8_t *at;
	uint8_t *payload; /* NULL: behind the head, as usual */
	uint32_t len, head;
	enum fate fate; /* in: FATE_NONE, others are skipped; out: FATE_NONE or why it ended */
};

/* Inner packets to datagrams: needs DATA_OVERHEAD_V2 bytes in front of `at`; the tag goes in front, nothing is
 * appended. Fates: FATE_KEY_EXHAUSTED (also: another owner has the session now), FATE_EMPTY. n <= DATA_BATCH.
 * Jobs of one key keep their order. After a fate the job's bytes have no meaning. */
void data_seal(struct data_job *jobs, size_t n);
/* Datagrams (whole, from byte 0) to inner packets. Takes DATA_V1 and DATA_V2, whatever this side sends. Fates:
 * FATE_TOO_SHORT, FATE_FORGED (also: the head is not of this key), FATE_REPLAYED, FATE_EMPTY, FATE_STALE (it
 * verified, but another owner has the session now). Only what verified touches the replay window, and it has done
 * so when this returns. The tag is judged first: what is forged is FORGED even if its id is old. After a fate the
 * job's bytes have no meaning. n <= DATA_BATCH. */
void data_open(struct data_job *jobs, size_t n, mono_ms now);

/* Which backend serves a cipher in this process ("ipsecmb", "boringssl", "openssl"). */
const char *data_backend_name(enum cipher cipher);

#endif
