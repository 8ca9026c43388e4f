/* SPDX-License-Identifier: MIT
 * Last words: written on the way down, read by the master as if a client had written them. */
#include "shm/last_words.h"
#include "common/base/packet.h"
#include "common/base/text.h"

#include <string.h>

struct last_words *last_words_of(const struct shm *shm, unsigned worker)
{
	return worker < shm->sizes.workers ? &shm->last_words.at[worker] : NULL;
}

void last_words_say(struct last_words *place, int signal, uint32_t slot, uint64_t address, const char *text)
{
	uint32_t len = 0;

	if (atomic_load_explicit(&place->said, memory_order_acquire))
		return;
	place->signal = signal;
	place->slot = slot;
	place->address = address;
	/* By hand: a signal handler may call next to nothing. */
	for (; text && text[len] && len < LAST_WORDS_TEXT; len++)
		place->text[len] = text[len];
	place->len = len;
	atomic_store_explicit(&place->said, 1, memory_order_release);
}

bool last_words_take(struct shm *shm, unsigned worker, struct last_words_copy *out)
{
	struct last_words *place = last_words_of(shm, worker);
	char text[LAST_WORDS_TEXT];

	if (!place || !atomic_load_explicit(&place->said, memory_order_acquire))
		return false;
	volatile const uint32_t *shared_len = &place->len;
	uint32_t len = *shared_len;
	if (len > LAST_WORDS_TEXT)
		len = LAST_WORDS_TEXT;
	out->signal = place->signal;
	volatile const uint32_t *shared_slot = &place->slot;
	uint32_t slot = *shared_slot;
	out->slot = slot < shm->sizes.max_clients ? slot : PEER_NONE;
	out->address = place->address;
	memcpy(text, place->text, len);
	text_escape(out->text, sizeof(out->text), text, strnlen(text, len), NULL);
	atomic_store_explicit(&place->said, 0, memory_order_release);
	return true;
}
