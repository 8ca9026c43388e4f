/* SPDX-License-Identifier: MIT
 * The memory of one configuration: chunks that only grow and are wiped and freed together. Words,
 * certificates and inline keys all lie here, so that freeing a configuration leaves no secret behind. */
#include "conf/conf.h"

#include "common/base/secret.h"

#include <stdarg.h>
#include <stdlib.h>

enum { CHUNK = 64 * 1024, ALIGNMENT = 16 };

struct chunk {
	struct chunk *next;
	size_t size, used;
	_Alignas(ALIGNMENT) char bytes[];
};

struct arena {
	struct chunk *chunks;
	bool failed;
};

struct arena *arena_new(void)
{
	return calloc(1, sizeof(struct arena));
}

void arena_free(struct arena **arena)
{
	if (!*arena)
		return;
	for (struct chunk *chunk = (*arena)->chunks; chunk;) {
		struct chunk *next = chunk->next;
		secret_wipe(chunk->bytes, chunk->used);
		free(chunk);
		chunk = next;
	}
	free(*arena);
	*arena = NULL;
}

void *arena_take(struct arena *arena, size_t size)
{
	size = (size + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1);
	struct chunk *chunk = arena->chunks;
	if (!chunk || chunk->size - chunk->used < size) {
		size_t room = size > CHUNK ? size : CHUNK;
		chunk = calloc(1, sizeof(*chunk) + room);
		if (!chunk) {
			arena->failed = true;
			return NULL;
		}
		chunk->size = room;
		chunk->next = arena->chunks;
		arena->chunks = chunk;
	}
	void *taken = chunk->bytes + chunk->used;
	chunk->used += size;
	return taken;
}

bool arena_failed(const struct arena *arena)
{
	return arena->failed;
}

char *arena_copy(struct arena *arena, const char *text)
{
	size_t len = strlen(text);
	char *copy = arena_take(arena, len + 1);
	if (copy)
		memcpy(copy, text, len);
	return copy;
}

char *arena_format(struct arena *arena, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	int len = vsnprintf(NULL, 0, format, args);
	va_end(args);
	char *text = len < 0 ? NULL : arena_take(arena, (size_t)len + 1);
	if (text) {
		va_start(args, format);
		vsnprintf(text, (size_t)len + 1, format, args);
		va_end(args);
	}
	return text;
}

void *arena_grow(struct arena *arena, void *array, unsigned count, size_t size)
{
	/* Capacity is the next power of two, so a new copy is only made when the count reaches one. */
	if (array && (count & (count - 1)) != 0)
		return array;
	if (array && count == 0)
		return array;
	unsigned capacity = count ? count * 2 : 1;
	void *grown = arena_take(arena, capacity * size);
	if (grown && count)
		memcpy(grown, array, count * size);
	return grown;
}
