/* SPDX-License-Identifier: MIT
 * Inside the management interface only; manage.h says which file does what. */
#ifndef MASTER_MANAGE_INTERNAL_H
#define MASTER_MANAGE_INTERNAL_H

#include "conf/config.h"
#include "master/manage.h"
#include "master/master.h"
#include "master/status.h"
#include "shm/peers.h"

#include <stddef.h>
#include <sys/un.h>
#include <time.h>

enum {
	MANAGE_CLIENTS_MAX = 32,
	MANAGE_LINE_MAX = 1024,
	MANAGE_INPUT_MAX = 4096,
	MANAGE_CHUNK = 64 << 10,      /* while more than that waits to be read, nothing else is answered */
	MANAGE_QUEUE_MAX = 512 << 10, /* with what comes unasked; a client with more is dropped */
	MANAGE_TRACES_MAX = 8,
	MANAGE_TRACE_S = 60, MANAGE_TRACE_S_MAX = 3600,
	TRACE_LAST_MS = 300, /* what was said before the end of a trace may still be on its way */
	MANAGE_TELL_MAX = 256, /* text to a client that is killed */
	PASSWORD_TRIES = 3,
	PASSWORD_MS = 30000, /* for the password to come */
	PASSWORD_PAUSE_MS = 1000,
	STALL_MS = 30000, /* for a client to read something */
	STATES_KEPT = 100,
	ECHOES_KEPT = 100,
	NOTED_MS = 3600000,
};

/* The last lines of one kind, as clients get them without their ">LOG:". */
struct history {
	char **lines;	/* `room` places, a ring */
	unsigned room;
	uint64_t count; /* lines so far, kept or not */
};

enum door_kind { DOOR_CONTROL, DOOR_DIRECTIVE, DOORS };

struct door {
	int fd; /* -1: not there */
	char path[sizeof(((struct sockaddr_un *)NULL)->sun_path)]; /* "": TCP */
	mono_ms closed_until; /* no descriptors were left; 0 */
	bool checks_user, checks_group;
	uid_t user;
	gid_t group;
	size_t password_len; /* 0: none wanted */
	char password[CONFIG_PASSWORD_MAX + 1];
	int left; /* the socket of a master before us, listening already; -1 */
};

/* An answer that is longer than what a queue takes at once: goes on as the client reads. */
struct answer {
	enum { LONG_NONE, LONG_STATUS, LONG_HISTORY } kind;
	struct status_facts facts;
	struct status_place at;
	const struct history *history;
	uint64_t next, end; /* lines of it */
};

struct manage_client {
	int fd; /* -1: a free place */
	enum door_kind door;
	uint64_t id; /* never given twice */
	long pid, uid; /* -1: TCP */
	bool known;    /* needs no password any more */
	unsigned tries;
	mono_ms known_by; /* deadline for the password */
	mono_ms held_until; /* after a wrong one nothing is read for a moment; 0 */
	mono_ms moved_at;   /* when the queue last became shorter, or was empty */
	const char *leaving; /* why it is let go; NULL: it stays. Static text */
	bool last_words;     /* ... once it has read what is queued */
	uint32_t watched;    /* events asked of epoll */

	size_t in_len;
	bool in_skipping; /* to the end of a line that is too long */
	char in[MANAGE_INPUT_MAX];
	char *out;
	size_t out_at, out_len, out_room; /* `out_len` bytes wait at out + out_at */

	bool log_on, state_on, echo_on;
	unsigned bytecount_s;
	mono_ms bytecount_at;
	uint32_t bytecount_slot; /* of a round that is going on; PEER_NONE */
	struct answer answer;
};

struct trace {
	bool on;
	uint32_t slot, generation;
	uint64_t cid, asker; /* client id of the session; who asked */
	unsigned owner;	     /* the worker that was told; WORKER_NONE */
	mono_ms until;
	char name[4 * PEER_NAME_ROOM + 64]; /* escaped, with the address */
};

struct manage {
	struct master *master;
	struct door doors[DOORS];
	struct manage_client clients[MANAGE_CLIENTS_MAX];
	uint64_t ids;
	struct history log, states, echoes;
	char state_now[32];
	struct trace traces[MANAGE_TRACES_MAX];
	bool holding, hold_flag, released;
	uint64_t relay_to; /* the client whose answer has the log's lines in it; 0 */
	mono_ms refused_at;
	struct {
		enum event_kind kind;
		char text[EVENT_TEXT_ROOM];
		mono_ms at;
	} noted[4]; /* the last events of callers, so that the same one does not fill the recorder */
	int verb; /* asked for, for workers that are born later; -1 */
	struct {
		uint64_t accepted, full, slow, silent, wrong_password, refused, long_lines;
	} counts;
};

/* -- manage_client.c -- */
/* A fresh client in a free place; greets it, or asks for the password. */
void client_begin(struct manage *g, struct manage_client *c, enum door_kind door, mono_ms now);
/* Frees what it holds; the place is free. */
void client_end(struct manage_client *c);
/* It is to go: at once, or once it has read what waits. */
void client_leave(struct manage_client *c, const char *why, bool last_words);
/* Room for bytes that it sent: `*room` of them; 0: it has to wait. */
char *client_room(struct manage_client *c, size_t *room);
/* `len` bytes came there; runs what is complete. */
void client_took(struct manage *g, struct manage_client *c, size_t len, mono_ms now);
/* Runs lines that waited. */
void client_go_on(struct manage *g, struct manage_client *c, mono_ms now);
/* True while no further command is looked at. */
bool client_held(const struct manage_client *c, mono_ms now);
/* `len` bytes of the queue are gone. */
void client_gave(struct manage_client *c, size_t len, mono_ms now);
/* A line of an answer. */
void client_say(struct manage_client *c, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* A line that it did not ask for just now; too many unread, and it is dropped. */
void client_notice(struct manage *g, struct manage_client *c, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
/* Bytes of an answer with plain line feeds. */
void client_say_text(struct manage_client *c, const char *text, size_t len);
/* Into the flight recorder, the same text once an hour: a monitor comes every few seconds. */
void client_note(struct manage *g, enum event_kind kind, enum door_kind door, long uid, const char *why);
struct manage_client *client_by_id(struct manage *g, uint64_t id);
#define EACH_CLIENT(g, c)                                                                                    \
	for (struct manage_client *c = (g)->clients; c < (g)->clients + MANAGE_CLIENTS_MAX; c++)             \
		if (c->fd >= 0)

/* -- manage_commands.c -- */
/* One command line, cut in place; answers. */
void command_run(struct manage *g, struct manage_client *c, char *line, size_t len);
/* A whole number from `min` to `max`; else false and the client is told. */
bool command_number(struct manage_client *c, const char *word, const char *what, long min, long max, long *out);

/* -- manage_status.c -- */
void status_command(struct manage *g, struct manage_client *c, char **words, unsigned count);
void load_stats_command(struct manage *g, struct manage_client *c, char **words, unsigned count);
void bytecount_command(struct manage *g, struct manage_client *c, char **words, unsigned count);
/* The next part of a long answer, or of a round of byte counts. */
void answer_go_on(struct manage *g, struct manage_client *c);
void bytecount_go_on(struct manage *g, struct manage_client *c, mono_ms now);

/* -- manage_sessions.c -- */
void kill_command(struct manage *g, struct manage_client *c, char **words, unsigned count);
void client_kill_command(struct manage *g, struct manage_client *c, char **words, unsigned count);
/* What sessions are asked for: one of these counts. */
struct wanted {
	const char *name; /* or NULL */
	bool by_cid;
	uint64_t cid;
	struct link_address address;
};
/* The next session that is meant, from slot `*at` on. */
bool sessions_next(const struct shm *shm, const struct wanted *w, uint32_t *at, struct peer_row *row);
/* "1.2.3.4:5", "[fd00::1]:5", with "udp:", "tcp:", or what a status file writes, in front. */
bool sessions_read_address(const char *text, struct link_address *out);
/* An order to the session's owner, with `text` behind it. False: it does not listen. */
bool sessions_order(struct master *m, enum order_kind kind, const struct peer_row *row, int32_t value,
	const char *text);

/* -- manage_trace.c -- */
void trace_command(struct manage *g, struct manage_client *c, char **words, unsigned count);
/* Tells new owners, ends what is over. */
void traces_tidy(struct manage *g, mono_ms now);

/* -- manage_history.c -- */
bool history_init(struct history *h, unsigned room);
void history_clear(struct history *h);
void history_add(struct history *h, const char *line);
/* NULL: not kept (any more). */
const char *history_line(const struct history *h, uint64_t number);
void log_command(struct manage *g, struct manage_client *c, char **words, unsigned count);
void state_command(struct manage *g, struct manage_client *c, char **words, unsigned count);
void echo_command(struct manage *g, struct manage_client *c, char **words, unsigned count);

/* -- manage_doors.c -- */
int doors_open(struct manage *g, const struct config *config);
void doors_close(struct manage *g);
/* Another password. */
void doors_reloaded(struct manage *g, const struct config *config);
/* A new connection of that door, or a negative errno: -EACCES: it was not welcome. `*pid`, `*uid`: the caller's, -1 over TCP. */
int door_accept(struct manage *g, enum door_kind door, long *pid, long *uid);

#endif
