/* SPDX-License-Identifier: MIT
 * Inside vpnadm only: networks behind clients. */
#ifndef SHM_VPNADM_NETWORKS_H
#define SHM_VPNADM_NETWORKS_H

#include "shm/vpnadm/view.h"

/* "192.168.5.0/24", into TEXT_ROOM bytes. */
char *show_network(char *out, const struct stats_network *network);

#endif
