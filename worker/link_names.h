/* SPDX-License-Identifier: MIT
 * Outer addresses as the kernel spells them: socket addresses and control messages (packet info, train
 * sizes), to and from struct link_address. Bytes only, no system call. */
#ifndef WORKER_LINK_NAMES_H
#define WORKER_LINK_NAMES_H

#include "common/base/address.h"

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

union link_name {
	struct sockaddr any;
	struct sockaddr_in in4;
	struct sockaddr_in6 in6;
};

/* Bytes of control room that hold all we ask for and send: packet info of either family and one UDP_GRO or
 * UDP_SEGMENT. */
#define LINK_CONTROL_ROOM (CMSG_SPACE(sizeof(struct in6_pktinfo)) + CMSG_SPACE(sizeof(int)))

/* Reads a socket address of `len` bytes; IPv4-mapped IPv6 becomes family 4 with mapped 1. False (and family
 * 0): another family, or too short. */
bool link_name_read(const void *name, size_t len, struct link_address *out);
/* Spells an address for a socket of `family`. Its length, or 0: such a socket cannot reach it. */
socklen_t link_name_write(const struct link_address *address, sa_family_t family, union link_name *out);

/* What control messages said; family 0, 0 and 0 where they did not. */
struct link_control {
	struct link_address local; /* our address that the datagram was sent to, port 0 */
	uint32_t interface;	   /* it came by */
	unsigned segment;	   /* UDP_GRO: bytes of each datagram but the last; 0: one datagram */
};

void link_control_read(const void *control, size_t len, struct link_control *out);
/* Writes those that are known, for a socket of `family`; `segment` as UDP_SEGMENT. `room` is
 * LINK_CONTROL_ROOM bytes, aligned for struct cmsghdr. Returns the length, 0: nothing to say. */
size_t link_control_write(void *room, sa_family_t family, const struct link_control *);

#endif
