/* SPDX-License-Identifier: MIT
 * Everything a worker is born with: one struct, filled in by the master before the fork. All fds are open in the
 * worker and listed here; every other fd is closed in it. */
#ifndef WORKER_INHERITED_H
#define WORKER_INHERITED_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct config;
struct events;
struct shm;
struct stats;

struct inherited {
	unsigned index, workers; /* this one of how many there may be: the crew changes, the room for it does not */
	int cpu;                 /* to be pinned to; -1: not */
	uint16_t epoch;          /* grows with every birth of any worker: stands in packet id words */
	bool successor;          /* an earlier worker of this index existed: adopt its sessions */

	int orders_fd;    /* SOCK_SEQPACKET to the master */
	int keyholder_fd; /* SOCK_SEQPACKET to the keyholder */
	int helper_fd;    /* SOCK_SEQPACKET to the helper, blocking; -1: none is needed, or none is there just now */
	int tun_fd;       /* our queue, IFF_VNET_HDR, non-blocking; -1: no device (dev null) */
	bool tun_trains, tun_udp_trains; /* it gives and takes super packets: of TCP, of UDP */
	const int *link_fds; /* our socket of each listener, in the order of config->listeners */
	unsigned link_count;
	const int *wake_fds; /* one eventfd per worker that may be; [index] is ours to read, the others ours to write */

	struct shm *shm;     /* the state segment, mapped for reading and writing */
	struct stats *stats; /* the stats segment, the same */
	struct events *events; /* the flight recorder; NULL: none */
	/* What the kernel's steering programs read: owner worker by peer id, and by offset in the IPv4 pool. Cost speed only
	 * when wrong. NULL: no steering. */
	volatile uint64_t *steer_peers, *steer_pool4;
	uint32_t steer_pool4_first, steer_pool4_count; /* the pool's first address (host order) and size */

	const struct config *config;
	bool crl_lost; /* the CRL's file is of no use: nobody new is let in */
	uid_t uid;
	gid_t gid;
};

#endif
