/* SPDX-License-Identifier: MIT
 * peer_identity.flags: what others must know of a session, its successor's worker or the master. */
#ifndef WORKER_PEER_FLAGS_H
#define WORKER_PEER_FLAGS_H

enum {
	PEER_FLAG_ASKED = 1,     /* the helper was asked about it */
	PEER_FLAG_CONNECTED = 2, /* and its connect step had success: client-disconnect is due */
	PEER_FLAG_UPDATES = 4,   /* its client takes PUSH_UPDATE */
	PEER_FLAG_OWN = 8,       /* it has settings of its own: what it was pushed is not the common list */
};

#endif
