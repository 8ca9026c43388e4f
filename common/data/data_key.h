/* SPDX-License-Identifier: MIT
 * The inside of a data key, shared by the files that make, seal, open and count. */
#ifndef COMMON_DATA_DATA_KEY_H
#define COMMON_DATA_DATA_KEY_H

#include "common/data/aead.h"

#include <string.h>

enum { IMPLICIT_IV_LEN = AEAD_NONCE_LEN - 4 };

/* What one direction has been used for. */
struct data_usage {
	uint64_t packets, bytes; /* sealed, or opened with success */
	uint64_t load;		 /* packets plus AEAD blocks of 16 bytes, forged ones included */
};

struct data_key {
	struct data_kept *kept; /* borrowed; lives longer */
	uint16_t epoch;
	struct packet_id_block block;
	struct aead_schedule *send, *receive;
	uint8_t send_iv[IMPLICIT_IV_LEN], receive_iv[IMPLICIT_IV_LEN];
	struct data_usage sealed, opened;
	uint64_t forged; /* tags that did not verify */
};

/* More failed tags than this and nothing is opened under the key any more. */
static const uint64_t data_key_forged_max = UINT64_C(1) << 36;

/* Whether the source still carries this key's epoch. */
bool data_key_owns(const struct data_key *key);

/* nonce  0        4                12
 *        | id     | implicit iv    |  */
static inline void data_nonce(uint8_t nonce[AEAD_NONCE_LEN], uint32_t id, const uint8_t iv[IMPLICIT_IV_LEN])
{
	nonce[0] = (uint8_t)(id >> 24);
	nonce[1] = (uint8_t)(id >> 16);
	nonce[2] = (uint8_t)(id >> 8);
	nonce[3] = (uint8_t)id;
	memcpy(nonce + 4, iv, IMPLICIT_IV_LEN);
}

/* What one packet adds to the load of its key. */
static inline uint64_t data_load(const struct aead_job *job)
{
	return 1 + (job->aad_len + 15) / 16 + ((uint64_t)job->len + 15) / 16;
}

#endif
