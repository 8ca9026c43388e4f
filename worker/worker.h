/* SPDX-License-Identifier: MIT
 * The door to the worker process. */
#ifndef WORKER_WORKER_H
#define WORKER_WORKER_H

#include "worker/inherited.h"

/* Runs a worker in this (forked) process: gives up rights, builds its ring, reports READY, moves packets until an order
 * or the loss of the master ends it. Returns the exit status. */
int worker_run(const struct inherited *inherited);

#endif
