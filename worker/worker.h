/* SPDX-License-Identifier: MIT
 * The door to the worker process. */
#ifndef WORKER_WORKER_H
#define WORKER_WORKER_H

#include "common/engine/engine.h"
#include "worker/inherited.h"

/* Runs a worker in this (forked) process: gives up rights, builds its ring, reports READY, moves packets until an order
 * or the loss of the master ends it. Returns the exit status. */
int worker_run(const struct inherited *inherited);

/* What the engine makes of a configuration, in a worker or in a master that wants to know whether workers would start
 * with it. NULL: `error` says why not; `warning` is empty or names what was skipped. */
typedef size_t worker_signs(void *context, uint16_t algorithm, const uint8_t *input, size_t input_len, uint8_t *signature,
	size_t room);
vpn_endpoint *worker_endpoint(const struct config *config, worker_signs *sign, void *context, char error[VPN_ERROR_TEXT],
	char warning[VPN_ERROR_TEXT]);

#endif
