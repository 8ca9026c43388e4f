/* SPDX-License-Identifier: MIT
 * Tells the kernel which worker owns whom, so that it delivers straight to the owner. Two tables of owners
 * are BPF arrays mapped into our memory: who writes the table steers the kernel, no call needed. A wrong
 * entry costs a handover, never correctness. */
#ifndef MASTER_STEERING_H
#define MASTER_STEERING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { STEERING_WORKERS_MAX = 256 };
/* What has no descriptors. */
#define STEERING_NONE                                                                                        \
	((struct steering){ .link_program = -1, .tunnel_program = -1, .peers_map = -1, .pool_map = -1, .chosen_map = -1 })
#define STEERING_NOBODY UINT64_MAX /* an entry without owner: the kernel goes by its own hash */

struct steering {
	/* Owner by peer id, and by offset in the address pool. NULL: no steering. Children inherit the maps.
	 */
	volatile uint64_t *peers, *pool;
	volatile uint64_t *chosen; /* how many, then which: steering_choose(); the master's alone */
	uint32_t pool4_first, pool_count, peer_count;
	int link_program, tunnel_program, peers_map, pool_map, chosen_map; /* fds */
	bool attached; /* said by who attached them */
	size_t peers_size, pool_size, chosen_size; /* of the mappings */
};

struct steering_sizes {
	uint32_t peers;	      /* entries by peer id */
	uint32_t pool_count;  /* entries by pool offset; 0: no pool */
	uint32_t pool4_first; /* the address of offset 0, host order */
	const uint8_t
		*pool6_first; /* the same for IPv6: one offset serves both families. NULL: no IPv6 pool */
};

/* Makes both tables, every entry STEERING_NOBODY, and loads both programs. 0 or a negative errno (-EPERM
 * where bpf() is refused); nothing is left then. */
int steering_open(const struct steering_sizes *sizes, struct steering *out);
/* The same from the descriptors of a predecessor (link_program, tunnel_program, and the maps) and its sizes
 * (peer_count, pool_count, pool4_first), all set in `steering`. 0, or a negative errno: nothing is left then. */
int steering_adopt(struct steering *steering);
/* Every entry STEERING_NOBODY again. */
void steering_reset(const struct steering *steering);
void steering_close(struct steering *steering);
/* Only these workers get what has no owner; count 0: all, as the kernel spreads it. No call into the kernel. */
void steering_choose(struct steering *steering, const unsigned *workers, unsigned count);
/* A SO_REUSEPORT group of UDP sockets, through any one of them: data packets of format 2 go to the socket
 * whose index is peers[peer id], everything else and unknown owners by the kernel's address hash, or
 * by ours among those chosen. 0 or a
 * negative errno. */
int steering_attach_link(const struct steering *steering, int udp_fd);
/* A multi-queue tun device, through any queue: packets into the pool go to the queue pool[offset], all others
 * to one chosen by their destination. 0 or a negative errno. */
int steering_attach_tunnel(const struct steering *steering, int tun_fd);
/* Takes it off again: from a device that is persistent, which would keep it for whoever opens it next. */
void steering_detach_tunnel(int tun_fd);

#endif
