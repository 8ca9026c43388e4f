/* SPDX-License-Identifier: MIT
 * What a master leaves to its successor: descriptors with names, and one description of the rest. The successor is the
 * same process after an upgrade (it finds the descriptors under their numbers) or another one that a service manager
 * started after our death (it finds them by their names). The description lies in a memfd of two places that are
 * written in turn, so that a death in the middle of a line leaves the one before.
 *
 *   place   0       8        12       16      24    32
 *           | magic | format | serial | check | len | body ...
 *   body    records: | tag | len, 4 bytes | ... |     a tag that nobody knows is passed over
 *   fields  | len, 2 bytes | name | len, 4 bytes | value |     found by name; one that is missing keeps what is there
 */
#ifndef MASTER_ESTATE_H
#define MASTER_ESTATE_H

#include "common/base/bytes.h"
#include "common/base/time.h"

#include <limits.h>
#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct config;
struct master;

enum {
	ESTATE_NAME_ROOM = 32,
	ESTATE_BODY_MAX = (1 << 20) - 32,
	ESTATE_FDS_MAX = 65536,
};

enum estate_tag {
	ESTATE_DESCRIPTORS = 1,
	ESTATE_HUB,   /* fields: estate_hub.def */
	ESTATE_BORN,  /* fields: born.def and the arrays */
	ESTATE_SEATS, /* one part each */
	ESTATE_ROUTES,
};

/* The name under which a service manager keeps the description. */
#define ESTATE_NAME "vpnserverd"

/* -- estate.c: bytes -- */

/* A memfd for descriptions, or a negative errno. */
int estate_memory(void);
/* Writes one, as the newest: `serial` is one more than that of the last. 0 or a negative errno. */
int estate_write(int fd, uint32_t serial, const void *body, size_t len);

struct estate_fd {
	char name[ESTATE_NAME_ROOM];
	int fd;	    /* -1: taken, or not there */
	int number; /* as written, whether taken or not */
};

/* An estate as it was found. */
struct estate {
	int memory; /* where the description lies */
	uint32_t serial;
	uint8_t *body;
	size_t len;
	struct estate_fd *fds;
	unsigned count;
};

/* Reads the newest whole description in `fd`, which stays the caller's. False: `error` says what is wrong; there is
 * nothing to clear then. */
bool estate_read(int fd, struct estate *out, char *error, size_t room);
/* Closes what nobody took. */
void estate_clear(struct estate *estate);
/* The record of a tag, or an empty one. */
struct bytes estate_record(const struct estate *estate, enum estate_tag tag);
/* The descriptor of that name, the caller's from now on; -1: there is none. */
int estate_take(struct estate *estate, const char *name);

/* Writing: a record or a field is open from its begin to its end. */
size_t estate_begin(struct bytes_out *out, enum estate_tag tag);
void estate_end(struct bytes_out *out, size_t begun);
void estate_field(struct bytes_out *out, const char *name, const void *value, size_t len);
void estate_field_number(struct bytes_out *out, const char *name, uint64_t value);
/* NULL is another text than the empty one. */
void estate_field_text(struct bytes_out *out, const char *name, const char *text);
/* Reading. False: there is no such field, or it has another form; what is there stays. */
bool estate_find(struct bytes fields, const char *name, struct bytes *value);
bool estate_find_number(struct bytes fields, const char *name, uint64_t *value);
bool estate_find_text(struct bytes fields, const char *name, char *out, size_t room);

/* -- estate_born.c: what the kernel's objects were made with -- */

struct born_memory;
void estate_born_write(struct bytes_out *out, const struct config *born);
/* Puts it over a configuration that was just read. What it points to lives in `memory`, which is freed behind the
 * configuration. False: it is broken, or there is no memory. */
bool estate_born_read(struct bytes fields, struct config *born, struct born_memory **memory);
void born_memory_free(struct born_memory **memory);

/* -- estate_master.c: the master's state -- */

/* Plain facts; a row each in estate_hub.def. */
struct estate_hub {
#define HUB_NUMBER(name, what) uint64_t name;
#define HUB_TEXT(name, room, what) char name[room];
#include "master/estate_hub.def"
#undef HUB_NUMBER
#undef HUB_TEXT
};

struct estate_seat {
	int64_t pid; /* -1: nobody */
	uint32_t serial, generation, cpu;
	bool ready, drained, shunned;
	uint8_t quick_deaths; /* in a row, up to the last one */
};

/* Writes all of it. False: it does not fit. */
bool estate_describe(const struct master *m, struct bytes_out *out);
/* Describes us in m->upgrade.estate_fd. 0 or a negative errno. */
int estate_save(struct master *m);
/* False: no hub left this. */
bool estate_hub_read(const struct estate *estate, struct estate_hub *out);
/* The seat of that number. False: there is none. */
bool estate_seat_read(const struct estate *estate, unsigned index, struct estate_seat *out);

/* Every descriptor of the estate. `lasting`: it outlives our process, else only our program. */
typedef void estate_each(void *context, const char *name, int fd, bool lasting);
void estate_list(const struct master *m, estate_each *each, void *context);

/* -- estate_store.c: a service manager keeps it -- */

/* What is kept by now. */
struct estate_store {
	bool on;
	mono_ms again_at; /* it did not hear all of it: told again then; MONO_NEVER */
	struct estate_fd *kept;
	unsigned count, room;
};

/* Brings what is kept up to date; called after every change. Nothing happens where nobody keeps anything. */
void estate_keep(struct master *m);
/* We end in good order: nothing is left to anybody. */
void estate_forget(struct master *m);
/* A name that was kept when we came. False: no memory. */
bool estate_store_found(struct estate_store *store, const char *name);
void estate_store_clear(struct estate_store *store);

#endif
