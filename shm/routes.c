/* SPDX-License-Identifier: MIT
 * Inner prefixes as keys of the cells, and the note of which lengths there are. */
#include "shm/routes.h"
#include "shm/cells.h"

#include <string.h>

static struct cells table_of(const struct shm *shm)
{
	return (struct cells){ shm->route_words.at, shm->route_keys.at, (uint32_t)shm->route_words.entries };
}

/* | prefix, bits behind the length zero: 16 bytes | family << 8 | length: 8 bytes |. False: no such prefix.
 */
static bool key_of(unsigned family, const uint8_t *prefix, unsigned bits, uint64_t key[3])
{
	uint8_t ip[16] = { 0 };
	const unsigned all = family == 4 ? 32 : 128;

	if ((family != 4 && family != 6) || bits > all)
		return false;
	memcpy(ip, prefix, (bits + 7) / 8);
	if (bits % 8)
		ip[bits / 8] &= (uint8_t)(0xff00 >> bits % 8);
	memcpy(key, ip, 16);
	key[2] = family << 8 | bits;
	return true;
}

/* Before the entry itself, so that no lookup misses an entry that is there. */
static void note_length(struct shm *shm, unsigned family, unsigned bits)
{
	_Atomic uint64_t *word = family == 4 ? &shm->header->prefixes4 : &shm->header->prefixes6[bits / 64];
	const uint64_t bit = 1ull << bits % 64;

	if (!(atomic_load(word) & bit))
		atomic_fetch_or(word, bit);
}

enum route_answer routes_put(struct shm *shm, unsigned family, const uint8_t *prefix, unsigned bits,
	uint32_t slot, uint32_t generation, uint32_t *has_slot, uint32_t *has_generation)
{
	uint64_t key[3];
	if (!key_of(family, prefix, bits, key))
		return ROUTE_BAD;
	note_length(shm, family, bits);
	return (enum route_answer)cells_put(
		shm, table_of(shm), key, slot, generation, has_slot, has_generation);
}

enum route_answer routes_replace(struct shm *shm, unsigned family, const uint8_t *prefix, unsigned bits,
	uint32_t old_slot, uint32_t old_generation, uint32_t slot, uint32_t generation)
{
	uint64_t key[3];
	if (!key_of(family, prefix, bits, key))
		return ROUTE_BAD;
	note_length(shm, family, bits);
	return (enum route_answer)cells_replace(
		shm, table_of(shm), key, old_slot, old_generation, slot, generation);
}

bool routes_remove(struct shm *shm, unsigned family, const uint8_t *prefix, unsigned bits, uint32_t slot,
	uint32_t generation)
{
	uint64_t key[3];
	return key_of(family, prefix, bits, key) && cells_remove(shm, table_of(shm), key, slot, generation);
}

bool routes_find(
	const struct shm *shm, unsigned family, const uint8_t *address, uint32_t *slot, uint32_t *generation)
{
	const struct cells table = table_of(shm);
	const struct shm_header *h = shm->header;
	uint64_t key[3];

	if (family != 4 && family != 6)
		return false;
	for (int word = family == 4 ? 0 : 2; word >= 0; word--) {
		uint64_t lengths = atomic_load_explicit(
			family == 4 ? &h->prefixes4 : &h->prefixes6[word], memory_order_acquire);
		while (lengths) {
			unsigned top = 63 - (unsigned)__builtin_clzll(lengths);
			lengths &= ~(1ull << top);
			/* A length out of range, which only a worker gone mad can have noted, makes no key.
			 */
			if (key_of(family, address, (unsigned)word * 64 + top, key) &&
				cells_find(shm, table, key, slot, generation))
				return true;
		}
	}
	return false;
}
