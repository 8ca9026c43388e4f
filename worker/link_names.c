/* SPDX-License-Identifier: MIT
 * Socket addresses and control messages, to and from struct link_address. ip(7), ipv6(7), udp(7). */
#include "worker/link_names.h"

#include <arpa/inet.h>
#include <netinet/udp.h>
#include <string.h>

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif
#ifndef UDP_GRO
#define UDP_GRO 104
#endif

static const uint8_t mapped_prefix[12] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff };

static void read_in6(const struct in6_addr *ip, struct link_address *out)
{
	if (memcmp(ip, mapped_prefix, sizeof(mapped_prefix)) == 0) {
		out->family = 4;
		out->mapped = 1;
		memcpy(out->ip, ip->s6_addr + sizeof(mapped_prefix), 4);
	} else {
		out->family = 6;
		memcpy(out->ip, ip, 16);
	}
}

static void write_in6(const struct link_address *address, struct in6_addr *out)
{
	if (address->family == 4) {
		memcpy(out, mapped_prefix, sizeof(mapped_prefix));
		memcpy(out->s6_addr + sizeof(mapped_prefix), address->ip, 4);
	} else {
		memcpy(out, address->ip, 16);
	}
}

bool link_name_read(const void *name, size_t len, struct link_address *out)
{
	union link_name n = { 0 };

	memset(out, 0, sizeof(*out));
	if (len > sizeof(n))
		return false;
	memcpy(&n, name, len);
	if (len >= sizeof(n.in4) && n.any.sa_family == AF_INET) {
		out->family = 4;
		out->port = ntohs(n.in4.sin_port);
		memcpy(out->ip, &n.in4.sin_addr, 4);
		return true;
	}
	if (len >= sizeof(n.in6) && n.any.sa_family == AF_INET6) {
		read_in6(&n.in6.sin6_addr, out);
		out->port = ntohs(n.in6.sin6_port);
		out->scope = out->family == 6 ? n.in6.sin6_scope_id : 0;
		return true;
	}
	return false;
}

socklen_t link_name_write(const struct link_address *address, sa_family_t family, union link_name *out)
{
	memset(out, 0, sizeof(*out));
	if (family == AF_INET && address->family == 4) {
		out->in4.sin_family = AF_INET;
		out->in4.sin_port = htons(address->port);
		memcpy(&out->in4.sin_addr, address->ip, 4);
		return sizeof(out->in4);
	}
	if (family == AF_INET6 && address->family != 0) {
		out->in6.sin6_family = AF_INET6;
		out->in6.sin6_port = htons(address->port);
		out->in6.sin6_scope_id = address->scope;
		write_in6(address, &out->in6.sin6_addr);
		return sizeof(out->in6);
	}
	return 0;
}

void link_control_read(const void *control, size_t len, struct link_control *out)
{
	/* CMSG_NXTHDR wants a message; it only reads through the pointer. */
	struct msghdr message = { .msg_control = (void *)(uintptr_t)control, .msg_controllen = len };

	memset(out, 0, sizeof(*out));
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&message); c; c = CMSG_NXTHDR(&message, c)) {
		size_t data_len = c->cmsg_len - CMSG_LEN(0);

		if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO &&
			data_len >= sizeof(struct in_pktinfo)) {
			struct in_pktinfo info;

			memcpy(&info, CMSG_DATA(c), sizeof(info));
			out->local.family = 4;
			/* Not ipi_addr: that is the broadcast address for a broadcast. */
			memcpy(out->local.ip, &info.ipi_spec_dst, 4);
			out->interface = (uint32_t)info.ipi_ifindex;
		} else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO &&
			   data_len >= sizeof(struct in6_pktinfo)) {
			struct in6_pktinfo info;

			memcpy(&info, CMSG_DATA(c), sizeof(info));
			read_in6(&info.ipi6_addr, &out->local);
			out->interface = info.ipi6_ifindex;
		} else if (c->cmsg_level == IPPROTO_UDP && c->cmsg_type == UDP_GRO &&
			   data_len >= sizeof(int)) {
			int segment;

			memcpy(&segment, CMSG_DATA(c), sizeof(segment));
			out->segment = segment > 0 ? (unsigned)segment : 0;
		}
	}
}

/* Appends one message behind `at` bytes. Returns the new length. */
static size_t put(uint8_t *room, size_t at, int level, int type, const void *data, size_t len)
{
	struct cmsghdr head = { .cmsg_level = level, .cmsg_type = type, .cmsg_len = CMSG_LEN(len) };

	memset(room + at, 0, CMSG_SPACE(len));
	memcpy(room + at, &head, sizeof(head));
	memcpy(room + at + CMSG_LEN(0), data, len);
	return at + CMSG_SPACE(len);
}

size_t link_control_write(void *room, sa_family_t family, const struct link_control *control)
{
	const struct link_address *local = &control->local;
	size_t len = 0;

	if (family == AF_INET && (local->family == 4 || (local->family == 0 && control->interface))) {
		struct in_pktinfo info = { .ipi_ifindex = (int)control->interface };

		memcpy(&info.ipi_spec_dst, local->ip, 4);
		len = put(room, len, IPPROTO_IP, IP_PKTINFO, &info, sizeof(info));
	} else if (family == AF_INET6 && (local->family || control->interface)) {
		struct in6_pktinfo info = { .ipi6_ifindex = control->interface };

		if (local->family)
			write_in6(local, &info.ipi6_addr);
		len = put(room, len, IPPROTO_IPV6, IPV6_PKTINFO, &info, sizeof(info));
	}
	if (control->segment) {
		uint16_t segment = (uint16_t)control->segment;

		len = put(room, len, IPPROTO_UDP, UDP_SEGMENT, &segment, sizeof(segment));
	}
	return len;
}
