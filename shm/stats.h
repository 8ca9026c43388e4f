/* SPDX-License-Identifier: MIT
 * The stats segment: a file NAME.stats in the runtime directory, mode 0640, for readers outside
 * (shm/reader.h). Never a secret in it. The master makes it; master and workers write.
 *
 *   | struct stats_header, 8 KiB | struct stats_worker per worker | struct stats_place per slot |
 *   | struct stats_network_place per network behind a client |
 *
 * - Writes: the header: the master, before the file has its name, later only its atomic words. A worker
 *   block: that worker; its first line the master. A row: the owner of the slot, now and then, not per
 *   packet. A network: the owner of its slot, once it holds the place.
 * - Reads: anyone who may open the file, without waiting: a row counts if `version` was even and did not
 *   change.
 * - Dies: a row left odd is unreadable until its slot is published or cleared again, by the successor. A
 *   master that died leaves the file: a reader sees it by `pid` and `pid_start`. */
#ifndef SHM_STATS_H
#define SHM_STATS_H

#include "common/base/address.h"
#include "common/base/time.h"
#include "shm/counters.h"
#include "shm/peers.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum {
	STATS_NAME_ROOM = 64,
	STATS_MAX_LISTENERS = 32,
	STATS_LISTENER_ROOM = 128,
	STATS_HEADER_LEN = 8192,
	STATS_MAX_NETWORKS = 1 << 20,
};

struct stats_sizes {
	uint32_t workers, slots;
	uint32_t networks; /* behind clients, of all together; 0: none are shown */
	uint32_t spare;
};

/* The tunnel address pool. A lease is an index into both families. */
struct stats_pool {
	uint32_t first4, count4; /* host order; count 0: there is none */
	uint8_t base6[16];
	uint32_t count6, size; /* size: of leases */
};

struct stats_header {
	/* Constant once the file has its name. Texts are terminated. */
	uint64_t magic;
	uint32_t version, header_len;
	uint64_t layout; /* of this file; readers of another build refuse */
	uint64_t size;
	struct stats_sizes sizes;
	struct stats_pool pool;
	unix_s started_unix;
	char name[STATS_NAME_ROOM]; /* hub.name */
	char program_version[STATS_NAME_ROOM];
	uint32_t listener_count, spare;
	char listeners[STATS_MAX_LISTENERS][STATS_LISTENER_ROOM]; /* "udp4 0.0.0.0:1194" */
	/* Changing, the master's. */
	_Alignas(64) _Atomic int64_t pid; /* its own */
	_Atomic uint64_t
		pid_start; /* when the kernel started it, in its own ticks (field 22 of /proc/PID/stat) */
	_Atomic uint32_t stopped; /* 1: ended in good order */
	_Atomic uint32_t reloads;
	_Atomic unix_s reloaded_unix;
	_Atomic uint64_t rebalanced; /* sessions that moved because their worker was busy */
	_Atomic unix_s certificate_ends_unix, crl_ends_unix; /* 0: there is none, or it does not say */
	_Atomic unix_s crl_lost_unix; /* since when its file is of no use and nobody new is let in; 0: it is */
};
_Static_assert(sizeof(struct stats_header) <= STATS_HEADER_LEN, "the header's own pages");

enum stats_worker_state { STATS_WORKER_NONE, STATS_WORKER_STARTING, STATS_WORKER_READY, STATS_WORKER_DEAD };

struct stats_worker {
	_Alignas(128) _Atomic int64_t pid; /* these five: the master's */
	_Atomic uint32_t state;		   /* enum stats_worker_state */
	_Atomic uint32_t births;	   /* 1: the first still lives */
	_Atomic unix_s born_unix;
	_Atomic uint32_t closed;		   /* takes no new sessions: drained, or not trusted yet */
	_Alignas(128) _Atomic uint64_t heartbeats; /* from here on the worker's */
	_Atomic unix_s heartbeat_unix;
	_Atomic uint64_t cpu_user_us, cpu_system_us;
	_Atomic uint32_t cpu;	       /* it is pinned to, or 0xffffffff */
	_Atomic uint32_t cpu_permille; /* of that CPU, in the last period; so are the rates, a second */
	_Atomic uint64_t rate_bytes_in, rate_bytes_out, rate_packets_in, rate_packets_out;
	struct counters counters;
};

/* One session, as the public may see it. Texts raw (escape before printing), unused bytes zero. */
struct stats_row {
	uint64_t client_id;
	uint32_t generation;
	uint16_t owner;
	uint8_t state; /* enum peer_state; PEER_FREE: no session */
	uint8_t wrap;  /* enum peer_wrap */
	char common_name[PEER_NAME_ROOM];
	char cipher[32];
	struct link_address peer_address;
	uint32_t inner4; /* host order, 0 none */
	uint32_t link;	 /* index of the listener */
	uint8_t inner6[16];
	unix_s connected_unix, last_in_unix;
	uint64_t bytes_in, bytes_out, packets_in, packets_out;
	uint64_t rate_in, rate_out; /* bytes a second, over the last few */
	uint32_t lease;		    /* index in the pool, LEASE_NONE */
	int32_t round_trip_ms;	    /* of the control channel; -1: not known */
	uint32_t renegotiations, networks;
	unix_s keyed_unix;     /* when the newest keys were agreed */
	unix_s published_unix; /* a row that does not change is published seldom */
	char tls[48], version[24], platform[16];
};
_Static_assert(sizeof(struct stats_row) % 8 == 0, "copied as words");

struct stats_place {
	_Alignas(64) _Atomic uint32_t version; /* odd: being written */
	uint32_t spare;
	_Atomic uint64_t words[sizeof(struct stats_row) / 8];
};

/* A network behind a client. It counts while the session of this slot and generation lives. */
struct stats_network {
	uint32_t slot, generation;
	uint8_t family, bits; /* 4 or 6 */
	uint8_t spare[6];
	uint8_t prefix[16]; /* network order */
};
_Static_assert(sizeof(struct stats_network) % 8 == 0, "copied as words");

struct stats_network_place {
	_Alignas(64) _Atomic uint64_t
		holder;		  /* slot << 32 | generation; 0: free. Changed by compare-and-swap */
	_Atomic uint32_t version; /* odd: being written */
	uint32_t spare;
	_Atomic uint64_t words[sizeof(struct stats_network) / 8];
};

/* A writer's view of the segment. */
struct stats {
	uint8_t *base;
	size_t size;
	int fd;
	struct stats_sizes sizes; /* checked */
	struct stats_header *header;
	struct stats_worker *workers;
	struct stats_place *rows;
	struct stats_network_place *networks;
	char path[256];
};

/* What the master says about the hub; texts are cut to their room. */
struct stats_about {
	const char *name, *program_version;
	const char *const *listeners;
	unsigned listener_count;
	unix_s started_unix;
	struct stats_sizes sizes;
	struct stats_pool pool;
	gid_t group; /* may read; (gid_t)-1: leave as created */
};

/* Makes DIR/NAME.stats, complete before it has that name, its pages allocated, mode 0640, and replaces one
 * that a dead hub left. NULL and a sentence: the name has a '/' or starts with a dot, the directory is not
 * ours to write, a hub of this name is alive. */
struct stats *stats_create(const char *dir, const struct stats_about *about, char *error, size_t room);
/* The successor of an upgrade: maps what `fd` is; takes it over on success. `path` as stats_create() had it.
 * Call stats_mark_master() afterwards. */
struct stats *stats_attach(int fd, const char *path, char *error, size_t room);
/* Unmaps, closes, empties the caller's pointer. The file stays. */
void stats_detach(struct stats **stats);
/* Removes the file and marks it as ended in good order, for those that have it mapped. */
void stats_remove(struct stats *stats);
/* This process is the master now (after a fork to the background; after an upgrade). */
void stats_mark_master(struct stats *stats);
/* It is of another version now, after an upgrade. */
void stats_mark_version(struct stats *stats, const char *program_version);
/* Size and offsets of all, and names of all counters and fates. */
uint64_t stats_layout(void);
/* When the kernel started a process, in its own ticks; 0: no such process, a dead one whose parent has not
 * looked yet, or /proc cannot be read. */
uint64_t stats_process_start(int64_t pid);

/* A worker's block; NULL for an unknown index. */
struct stats_worker *stats_worker(const struct stats *stats, unsigned worker);
/* The worker's heartbeat, about once a second: also its CPU time. */
void stats_heartbeat(struct stats_worker *worker, unix_s now, uint64_t cpu_user_us, uint64_t cpu_system_us);
/* What a worker did since it said so last, a second. */
struct stats_rates {
	uint32_t cpu_permille;
	uint64_t bytes_in, bytes_out, packets_in, packets_out;
};
void stats_rates(struct stats_worker *worker, const struct stats_rates *rates);
/* The master's: a worker was born, is ready, died. `pid` 0 when dead. */
void stats_worker_born(struct stats_worker *worker, int64_t pid, unix_s now, uint32_t cpu);
void stats_worker_state(struct stats_worker *worker, enum stats_worker_state state);

/* The master's: whether it takes new sessions. */
void stats_worker_open(struct stats_worker *worker, bool open);

/* The row as it is told, for the next owner of its slot. False: it is not of this generation, or
 * half-written. */
bool stats_row_read(const struct stats *stats, uint32_t slot, uint32_t generation, struct stats_row *out);
/* Publishes one row, whole. The slot's owner alone; an index out of range is ignored. */
void stats_publish(struct stats *stats, uint32_t slot, const struct stats_row *row);
/* The row of a session that ended. */
void stats_clear(struct stats *stats, uint32_t slot);
/* Shows a network behind a client; the owner of its slot. False: no room for it (it is routed all the same).
 * A place of a session that lives no more is free. */
bool stats_network_put(struct stats *stats, const struct shm *shm, const struct stats_network *network);
/* Those of a session that ends. */
void stats_networks_clear(struct stats *stats, uint32_t slot, uint32_t generation);
/* Fills a row from what the session table says of a slot; `now_ms` and `now_unix` are the same moment. */
void stats_row_from_peer(struct stats_row *out, const struct peer_row *peer, mono_ms now_ms, unix_s now_unix);

#endif
