/* SPDX-License-Identifier: MIT
 * Outer addresses as keys of the cells. */
#include "shm/links.h"
#include "shm/cells.h"

#include <string.h>

static struct cells table_of(const struct shm *shm)
{
	return (struct cells){ shm->link_words.at, shm->link_keys.at, (uint32_t)shm->link_words.entries };
}

static void key_of(const struct link_address *address, uint64_t key[3])
{
	_Static_assert(sizeof(*address) == 24, "the whole address is the key");
	memcpy(key, address, 24);
}

bool links_find(
	const struct shm *shm, const struct link_address *address, uint32_t *slot, uint32_t *generation)
{
	uint64_t key[3];
	key_of(address, key);
	return cells_find(shm, table_of(shm), key, slot, generation);
}

enum link_answer links_put(struct shm *shm, const struct link_address *address, uint32_t slot,
	uint32_t generation, uint32_t *has_slot, uint32_t *has_generation)
{
	uint64_t key[3];
	key_of(address, key);
	return (enum link_answer)cells_put(
		shm, table_of(shm), key, slot, generation, has_slot, has_generation);
}

enum link_answer links_replace(struct shm *shm, const struct link_address *address, uint32_t old_slot,
	uint32_t old_generation, uint32_t slot, uint32_t generation)
{
	uint64_t key[3];
	key_of(address, key);
	return (enum link_answer)cells_replace(
		shm, table_of(shm), key, old_slot, old_generation, slot, generation);
}

bool links_remove(struct shm *shm, const struct link_address *address, uint32_t slot, uint32_t generation)
{
	uint64_t key[3];
	key_of(address, key);
	return cells_remove(shm, table_of(shm), key, slot, generation);
}
