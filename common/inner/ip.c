/* SPDX-License-Identifier: MIT
 * Whose packet is this, for whom, how long, and where does the upper layer begin. */
#include "common/base/bytes.h"
#include "common/inner/inner.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>

enum {
	IP4_HEAD = 20,
	IP6_HEAD = 40,
	IP4_MORE_FRAGMENTS = 0x2000,
	IP4_OFFSET_MASK = 0x1fff,
	IP6_OFFSET_MASK = 0xfff8,
	EXTENSIONS_MAX = 8,
	HOP_BY_HOP = 0,
	ROUTING = 43,
	FRAGMENT = 44,
	AUTHENTICATION = 51,
	DESTINATION_OPTIONS = 60,
	MOBILITY = 135,
	HIP = 139,
	SHIM6 = 140,
};

/*  0              4              8              12          16             20
 *  | v|ihl tos len| id  flags|off| ttl proto sum| source    | destination  | options ... */
static enum fate look4(struct bytes in, struct inner_view *out)
{
	size_t len = in.left;
	size_t head = (size_t)(read_u8(&in) & 15) * 4;
	read_u8(&in);
	size_t total = read_u16(&in);
	read_u16(&in);
	uint16_t fragment = read_u16(&in);
	read_u8(&in);
	out->protocol = read_u8(&in);
	read_u16(&in);
	out->source.family = out->destination.family = INNER_IP4;
	read_data(&in, out->source.bytes, 4);
	read_data(&in, out->destination.bytes, 4);
	if (!bytes_ok(&in) || head < IP4_HEAD || total < head || total > len)
		return FATE_BAD_PACKET;

	const uint8_t *to = out->destination.bytes;
	out->multicast = (to[0] & 0xf0) == 0xe0 || (to[0] & to[1] & to[2] & to[3]) == 0xff;
	out->length = (uint16_t)total;
	out->fragment = (fragment & (IP4_MORE_FRAGMENTS | IP4_OFFSET_MASK)) != 0;
	out->upper_offset = fragment & IP4_OFFSET_MASK ? 0 : (uint16_t)head;
	return FATE_NONE;
}

/* Unit of a header's length field and what is not counted in it, both as the RFCs define them; 0: no
 * extension header. */
static size_t extension_unit(uint8_t protocol, size_t *uncounted)
{
	switch (protocol) {
	case HOP_BY_HOP:
	case ROUTING:
	case DESTINATION_OPTIONS:
	case MOBILITY:
	case HIP:
	case SHIM6:
	case FRAGMENT: /* its length field is reserved: 0 */
		*uncounted = 8;
		return 8;
	case AUTHENTICATION:
		*uncounted = 8;
		return 4;
	default:
		return 0;
	}
}

/* Follows the extension headers in `in`, which ends where the packet ends. False when one of them is cut. */
static bool follow(struct bytes in, uint8_t next, struct inner_view *out)
{
	const uint8_t *start = in.at;
	size_t unit, len = 0;
	out->protocol = next;
	for (unsigned i = 0; (unit = extension_unit(out->protocol, &len)); i++) {
		if (i == EXTENSIONS_MAX)
			return true;
		struct bytes head = in;
		uint8_t following = read_u8(&head);
		uint8_t units = read_u8(&head);
		uint16_t offset = read_u16(&head);
		if (out->protocol == FRAGMENT)
			out->fragment = true;
		else
			len += units * unit, offset = 0;
		if (!read_view(&in, len))
			return false;
		out->protocol = following;
		if (offset & IP6_OFFSET_MASK)
			return true;
	}
	out->upper_offset = (uint16_t)(IP6_HEAD + (in.at - start));
	return true;
}

/*  0              4              8         24            40
 *  | v class flow | len next hops| source  | destination | ... */
static enum fate look6(struct bytes in, struct inner_view *out)
{
	read_u32(&in);
	size_t payload = read_u16(&in);
	uint8_t next = read_u8(&in);
	read_u8(&in);
	out->source.family = out->destination.family = INNER_IP6;
	read_data(&in, out->source.bytes, 16);
	read_data(&in, out->destination.bytes, 16);
	if (!bytes_ok(&in) || payload > in.left || payload > UINT16_MAX - IP6_HEAD)
		return FATE_BAD_PACKET;
	out->multicast = out->destination.bytes[0] == 0xff;
	out->length = (uint16_t)(IP6_HEAD + payload);
	return follow(read_part(&in, payload), next, out) ? FATE_NONE : FATE_BAD_PACKET;
}

enum fate inner_look(const void *packet, size_t len, struct inner_view *out)
{
	*out = (struct inner_view){ 0 };
	struct bytes in = bytes_of(packet, len);
	uint8_t version = len ? in.at[0] >> 4 : 0;
	return version == 4 ? look4(in, out) : version == 6 ? look6(in, out) : FATE_BAD_PACKET;
}

bool inner_address_equal(const struct inner_address *a, const struct inner_address *b)
{
	return a->family == b->family && !memcmp(a->bytes, b->bytes, sizeof(a->bytes));
}

char *inner_address_text(const struct inner_address *address, char *out, size_t room)
{
	int family = address->family == INNER_IP4 ? AF_INET : AF_INET6;
	if (address->family == INNER_NONE)
		snprintf(out, room, "none");
	else if (!inet_ntop(family, address->bytes, out, (socklen_t)room) && room)
		out[0] = '\0';
	return out;
}
