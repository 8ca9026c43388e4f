/* SPDX-License-Identifier: MIT
 * What the kernel's objects were made with, as part of an estate: born.def, and the arrays that are no rows of it. Each
 * member is a field of its own, so that a successor that knows more of them goes by its own reading for those. */
#include "conf/config.h"
#include "master/estate.h"

#include <stdlib.h>
#include <string.h>

enum { ENTRIES_MAX = 65536 };

struct born_memory {
	struct born_memory *next;
	_Alignas(max_align_t) uint8_t bytes[];
};

static void *keep(struct born_memory **memory, size_t len)
{
	struct born_memory *piece = calloc(1, sizeof(*piece) + len);
	if (!piece)
		return NULL;
	piece->next = *memory;
	*memory = piece;
	return piece->bytes;
}

void born_memory_free(struct born_memory **memory)
{
	while (*memory) {
		struct born_memory *piece = *memory;
		*memory = piece->next;
		free(piece);
	}
}

/* -- texts: one byte says whether there is any -- */

static void write_text(struct bytes_out *out, const char *text)
{
	write_u32(out, text ? (uint32_t)strlen(text) : UINT32_MAX);
	if (text)
		write_data(out, text, strlen(text));
}

/* False: broken, or no memory. */
static bool read_text(struct bytes *b, struct born_memory **memory, const char **out)
{
	uint32_t len = read_u32(b);
	*out = NULL;
	if (len == UINT32_MAX)
		return bytes_ok(b);
	const uint8_t *at = read_view(b, len);
	char *text = at && !memchr(at, 0, len) ? keep(memory, (size_t)len + 1) : NULL;
	if (!text)
		return false;
	memcpy(text, at, len);
	*out = text;
	return true;
}

static void text_field(struct bytes_out *out, const char *name, const char *text)
{
	write_u16(out, (uint16_t)strlen(name));
	write_data(out, name, strlen(name));
	write_u32(out, (uint32_t)(4 + (text ? strlen(text) : 0)));
	write_text(out, text);
}

static bool find_text(struct bytes fields, const char *name, struct born_memory **memory, const char **out)
{
	struct bytes value;
	return !estate_find(fields, name, &value) || read_text(&value, memory, out);
}

/* A field whose length is known at its end. */
static size_t begin_field(struct bytes_out *out, const char *name)
{
	write_u16(out, (uint16_t)strlen(name));
	write_data(out, name, strlen(name));
	write_u32(out, 0);
	return out->len;
}

/* -- arrays -- */

static void write_listeners(struct bytes_out *out, const struct config *c)
{
	size_t begun = begin_field(out, "listeners");
	write_u32(out, c->listener_count);
	for (unsigned l = 0; l < c->listener_count; l++) {
		const struct listener *x = &c->listeners[l];
		write_u8(out, x->proto == PROTO_TCP);
		write_u8(out, x->v6only);
		write_u32(out, (uint32_t)x->address_len);
		write_data(out, &x->address, x->address_len);
		write_text(out, x->spelled);
	}
	estate_end(out, begun);
}

static bool read_listeners(struct bytes fields, struct config *c, struct born_memory **memory)
{
	struct bytes b;
	if (!estate_find(fields, "listeners", &b))
		return true;
	uint32_t count = read_u32(&b);
	if (!bytes_ok(&b) || count > ENTRIES_MAX)
		return false;
	struct listener *listeners = keep(memory, (count ? count : 1) * sizeof(*listeners));
	if (!listeners)
		return false;
	for (uint32_t l = 0; l < count; l++) {
		struct listener *x = &listeners[l];
		x->proto = read_u8(&b) ? PROTO_TCP : PROTO_UDP;
		x->v6only = read_u8(&b) != 0;
		uint32_t len = read_u32(&b);
		if (len > sizeof(x->address))
			return false;
		x->address_len = (socklen_t)len;
		read_data(&b, &x->address, len);
		if (!read_text(&b, memory, &x->spelled) || !x->spelled)
			return false;
	}
	c->listeners = listeners;
	c->listener_count = count;
	return bytes_ok(&b);
}

static void write_routes(struct bytes_out *out, const struct config *c)
{
	size_t begun = begin_field(out, "routes4");
	write_u32(out, c->route4_count);
	for (unsigned i = 0; i < c->route4_count; i++) {
		const struct route4 *x = &c->routes4[i];
		write_u32(out, x->network);
		write_u32(out, x->netmask);
		write_u32(out, x->gateway);
		write_u32(out, (uint32_t)x->metric);
	}
	estate_end(out, begun);
	begun = begin_field(out, "routes6");
	write_u32(out, c->route6_count);
	for (unsigned i = 0; i < c->route6_count; i++) {
		const struct route6 *x = &c->routes6[i];
		write_data(out, &x->network, sizeof(x->network));
		write_data(out, &x->gateway, sizeof(x->gateway));
		write_u8(out, x->bits);
		write_u8(out, x->has_gateway);
		write_u32(out, (uint32_t)x->metric);
	}
	estate_end(out, begun);
}

static bool read_routes(struct bytes fields, struct config *c, struct born_memory **memory)
{
	struct bytes b;
	if (estate_find(fields, "routes4", &b)) {
		uint32_t count = read_u32(&b);
		struct route4 *routes = count <= ENTRIES_MAX ? keep(memory, (count + 1) * sizeof(*routes)) : NULL;
		for (uint32_t i = 0; routes && i < count; i++) {
			routes[i].network = read_u32(&b);
			routes[i].netmask = read_u32(&b);
			routes[i].gateway = read_u32(&b);
			routes[i].metric = (int)read_u32(&b);
		}
		if (!routes || !bytes_ok(&b))
			return false;
		c->routes4 = routes;
		c->route4_count = count;
	}
	if (estate_find(fields, "routes6", &b)) {
		uint32_t count = read_u32(&b);
		struct route6 *routes = count <= ENTRIES_MAX ? keep(memory, (count + 1) * sizeof(*routes)) : NULL;
		for (uint32_t i = 0; routes && i < count; i++) {
			read_data(&b, &routes[i].network, sizeof(routes[i].network));
			read_data(&b, &routes[i].gateway, sizeof(routes[i].gateway));
			routes[i].bits = read_u8(&b);
			routes[i].has_gateway = read_u8(&b) != 0;
			routes[i].metric = (int)read_u32(&b);
		}
		if (!routes || !bytes_ok(&b))
			return false;
		c->routes6 = routes;
		c->route6_count = count;
	}
	return true;
}

/* What is pushed goes with the network when that is another one now (reload.c). */
static void write_push(struct bytes_out *out, const struct config *c)
{
	size_t begun = begin_field(out, "push");
	write_u32(out, c->push_count);
	for (unsigned i = 0; i < c->push_count; i++)
		write_text(out, c->push[i]);
	estate_end(out, begun);
}

static bool read_push(struct bytes fields, struct config *c, struct born_memory **memory)
{
	struct bytes b;
	if (!estate_find(fields, "push", &b))
		return true;
	uint32_t count = read_u32(&b);
	const char **push = count <= ENTRIES_MAX ? keep(memory, (count + 1) * sizeof(*push)) : NULL;
	for (uint32_t i = 0; push && i < count; i++)
		if (!read_text(&b, memory, &push[i]) || !push[i])
			return false;
	if (!push || !bytes_ok(&b))
		return false;
	c->push = push;
	c->push_count = count;
	return true;
}

/* -- all -- */

void estate_born_write(struct bytes_out *out, const struct config *born)
{
	size_t begun = estate_begin(out, ESTATE_BORN);
#define BORN(directive, member) estate_field(out, #member, &born->member, sizeof(born->member));
#define BORN_TEXT(directive, member) text_field(out, #member, born->member);
#include "master/born.def"
#undef BORN
#undef BORN_TEXT
	write_listeners(out, born);
	write_routes(out, born);
	write_push(out, born);
	estate_end(out, begun);
}

bool estate_born_read(struct bytes fields, struct config *born, struct born_memory **memory)
{
	struct bytes value;
#define BORN(directive, member)                                                                              \
	if (estate_find(fields, #member, &value) && value.left == sizeof(born->member)) {                    \
		if (_Generic(born->member, bool: value.at[0] > 1, default: false))                           \
			return false;                                                                        \
		memcpy(&born->member, value.at, value.left);                                                 \
	}
#define BORN_TEXT(directive, member)                                                                         \
	if (!find_text(fields, #member, memory, &born->member))                                              \
		return false;
#include "master/born.def"
#undef BORN
#undef BORN_TEXT
	return read_listeners(fields, born, memory) && read_routes(fields, born, memory) &&
	       read_push(fields, born, memory);
}
