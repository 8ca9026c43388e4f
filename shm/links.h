/* SPDX-License-Identifier: MIT
 * Outer address to session: for datagrams without a peer id, for control packets, for roaming.
 * The key is the whole peer address. The rules of the table are in shm/cells.h: any worker writes, nobody
 * waits, an address belongs to one live session at most, and an entry dies with its session whether or not it
 * was removed. */
#ifndef SHM_LINKS_H
#define SHM_LINKS_H

#include "common/base/address.h"
#include "shm/segment.h"

#include <stdbool.h>
#include <stdint.h>

enum link_answer {
	LINK_PUT = 0,	 /* the address is this session's now */
	LINK_SAME = 1,	 /* it was already */
	LINK_TAKEN = -1, /* another live session has it */
	LINK_FULL = -2, /* no room near its place, or several wanted it at once: nothing changed, try with the
			   next datagram */
};

/* Which session has this peer address. False: none that lives. */
bool links_find(
	const struct shm *shm, const struct link_address *address, uint32_t *slot, uint32_t *generation);
/* Gives it to a session, unless another live one has it; then *has_slot and *has_generation say which (may be
 * NULL). */
enum link_answer links_put(struct shm *shm, const struct link_address *address, uint32_t slot,
	uint32_t generation, uint32_t *has_slot, uint32_t *has_generation);
/* Takes it from one session for another, in one step; LINK_TAKEN when it is no longer the old one's. */
enum link_answer links_replace(struct shm *shm, const struct link_address *address, uint32_t old_slot,
	uint32_t old_generation, uint32_t slot, uint32_t generation);
/* True: it was this session's and is nobody's now. To float: links_put() the new address, then remove the old
 * one. */
bool links_remove(struct shm *shm, const struct link_address *address, uint32_t slot, uint32_t generation);

#endif
