/* SPDX-License-Identifier: MIT
 * Addresses, MTU, queue length and routes of the tunnel device, through rtnetlink. */
#ifndef MASTER_NETLINK_H
#define MASTER_NETLINK_H

#include "conf/config.h"

/* Sets MTU and queue length, brings the device up, gives it its addresses (unless ifconfig-noexec), adds the
 * routes (unless route-noexec). `index`: of the interface; 0 does nothing. A route that exists already or
 * that the kernel refuses is a warning, everything else an error: 0 or a negative errno after a log line.
 * `added` has a place for each route, IPv4 first: which of them are ours from now on. */
int netlink_set_up(const struct config *config, unsigned index, bool *added);
/* Takes away again, last ones first, the routes that were added (NULL: none) and the addresses that a
 * persistent device would keep. Errors are not worth a line: most of it vanishes with the device. */
void netlink_undo(const struct config *config, unsigned index, bool persistent, const bool *added);

#endif
