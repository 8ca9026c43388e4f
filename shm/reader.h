/* SPDX-License-Identifier: MIT
 * Reading the stats segment from outside: mapped read-only from a descriptor opened read-only, its version
 * and sizes checked, everything copied before it is looked at. The file is untrusted: whatever it says,
 * reading it stays inside it and ends; every text that comes out is terminated. Needs neither the hub nor its
 * rights, only to be allowed to open the file. */
#ifndef SHM_READER_H
#define SHM_READER_H

#include "shm/stats.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct reader; /* one mapped file */

/* What the header says. */
struct reader_hub {
	struct stats_sizes sizes;
	struct stats_pool pool;
	unix_s certificate_ends_unix, crl_ends_unix; /* 0: there is none, or it does not say */
	unix_s crl_lost_unix;			     /* since when the CRL's file is of no use; 0: it is */
	int64_t pid;
	unix_s started_unix, reloaded_unix;
	uint32_t reloads;
	uint64_t rebalanced; /* sessions that moved because their worker was busy */
	char name[STATS_NAME_ROOM];
	char program_version[STATS_NAME_ROOM];
	unsigned listener_count;
	char listeners[STATS_MAX_LISTENERS][STATS_LISTENER_ROOM];
};

struct reader_worker {
	int64_t pid;
	enum stats_worker_state state;
	uint32_t births;
	bool closed; /* takes no new sessions */
	unix_s born_unix, heartbeat_unix;
	uint64_t heartbeats, cpu_user_us, cpu_system_us;
	uint32_t cpu;
	struct stats_rates rates;
	struct counter_values values;
};

/* NULL and a sentence: cannot be opened, not a stats file, of another version or build, cut short. */
struct reader *reader_open(const char *path, char *error, size_t room);
void reader_close(struct reader **reader);

enum reader_life { HUB_ALIVE, HUB_STOPPED, HUB_DEAD, HUB_ORPHANED };
/* ALIVE: the master process is the one that made the file; STOPPED: it said goodbye; DEAD: it is gone
 * without, and so are its workers; ORPHANED: they go on serving, for a while or until another master comes. */
enum reader_life reader_life(const struct reader *reader);
void reader_hub(const struct reader *reader, struct reader_hub *out);
/* False: there is no such worker (any more). Those that there are come first. */
bool reader_worker(const struct reader *reader, unsigned worker, struct reader_worker *out);
/* How many of them live: their process is there, and a heart that was felt a moment ago. */
unsigned reader_living_workers(const struct reader *reader);
/* The counters of all workers together. */
void reader_sum(const struct reader *reader, struct counter_values *out);
/* The next slot at or after `from` with a session whose row could be copied whole; false: no more. *slot is
 * its index. */
bool reader_next_row(const struct reader *reader, uint32_t from, uint32_t *slot, struct stats_row *out);
/* One slot's row; false: out of range, being written all the time, or nonsense. A free one is PEER_FREE. */
bool reader_row(const struct reader *reader, uint32_t slot, struct stats_row *out);

/* The next network behind a client whose session has a row, at or after `from`; false: no more. *index is its
 * own. */
bool reader_next_network(
	const struct reader *reader, uint32_t from, uint32_t *index, struct stats_network *out);

/* Names of the hubs that have a stats file in `dir`, at most `max`, sorted; how many there are, or a negative
 * errno. */
int reader_names(const char *dir, char names[][STATS_NAME_ROOM], int max);
/* The same of files with another ending. */
int reader_names_ending(const char *dir, const char *ending, char names[][STATS_NAME_ROOM], int max);

#endif
