/* SPDX-License-Identifier: MIT
 * One line per topology; topology.c lists them. */
#ifndef COMMON_TOPOLOGY_LIST_H
#define COMMON_TOPOLOGY_LIST_H

#include "common/topology/topology.h"

extern const struct topology topology_subnet;

#endif
