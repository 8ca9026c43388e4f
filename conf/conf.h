/* SPDX-License-Identifier: MIT
 * What the files of conf/ share: the memory of one configuration, lines of words, the parser's state,
 * problems and values. The way of a line: grammar.c cuts it, options.c finds its row, a reader in read_*.c
 * stores it; after the last line expand.c applies the helpers, load.c opens files and resolves names, check.c
 * asks what must hold. */
#ifndef CONF_CONF_H
#define CONF_CONF_H

#include "conf/config.h"

#include <string.h>

enum {
	MAX_WORDS = 16,		    /* of a line, its name included */
	MAX_LINE = 4096,	    /* bytes, outside of inline blocks */
	MAX_LEVELS = 10,	    /* of `config` inside `config` */
	MAX_FILES = 1000,	    /* config files in all */
	MAX_FILE_BYTES = 1 << 20,   /* of a config file, a certificate file, a key file */
	MAX_TOTAL_BYTES = 16 << 20, /* of all config files */
	MAX_PROBLEMS = 200,	    /* reported */
	MAX_PUSHED = 255,	    /* bytes of a pushed option: clients cut longer ones */
};

/* -- arena.c: memory that lives as long as the configuration and is wiped with it -- */

struct arena;
struct arena *arena_new(void);
/* Wipes and frees everything; empties the pointer. */
void arena_free(struct arena **arena);
/* Zeroed, aligned for anything. NULL: out of memory (arena_failed() then stays true). */
void *arena_take(struct arena *arena, size_t size);
bool arena_failed(const struct arena *arena);
char *arena_copy(struct arena *arena, const char *text);
char *arena_format(struct arena *arena, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Room for one more element behind `count` elements at *array, zeroed; NULL: out of memory. Does not count
 * it. */
void *arena_grow(struct arena *arena, void *array, unsigned count, size_t size);

/* -- outside.c: everything the parser asks the system for, so that tests and fuzzers can answer in its place
 * -- */

struct outside {
	/* A whole file of at most `limit` bytes, terminated, in `arena`. 0 or a negative errno (-EFBIG: too
	 * long). */
	int (*read)(const struct outside *outside, struct arena *arena, const char *path, size_t limit,
		char **bytes, size_t *len, unsigned *mode);
	/* Can it be opened for reading? 0 or a negative errno; its permission bits. */
	int (*look)(const struct outside *outside, const char *path, unsigned *mode);
	/* The absolute name of a directory. 0 or a negative errno. */
	int (*directory)(const struct outside *outside, const char *path, char *absolute, size_t room);
	/* The first address of `host` in `family` (AF_UNSPEC: any), port 0. False: there is none. */
	bool (*resolve)(
		const struct outside *outside, const char *host, int family, struct sockaddr_storage *out);
	/* The port of a service. 0: unknown. */
	unsigned (*service)(const struct outside *outside, const char *name);
	void *context;
};

extern const struct outside outside_system;

/* -- grammar.c: bytes to lines of words; knows no option -- */

/* Where something stands; `order` grows from line to line over all files. */
struct place {
	const char *file;
	int line;
	unsigned order; /* 0: nowhere */
};

struct line {
	struct place place;
	char *words[MAX_WORDS + 1]; /* words[0] is the name, NULL behind the last */
	unsigned count;
	bool cut;	/* there were more words */
	bool has_block; /* words[0] is the tag, without < > */
	char *block;	/* verbatim, terminated */
	size_t block_len;
};

/* Cuts a text in place: words are terminated inside it, so it must be writable and terminated behind `left`.
 */
struct grammar {
	char *at;
	size_t left;
	int line; /* of the next line */
};

enum grammar_result { GRAMMAR_LINE, GRAMMAR_EMPTY, GRAMMAR_END, GRAMMAR_BAD };

/* Skips a byte order mark and starts at line 1. */
struct grammar grammar_of(char *text, size_t len);
/* The next line. GRAMMAR_BAD: `why` and `hint` (may be NULL) say what is wrong with it; the next call goes on
 * behind it. Fills in place.line only. */
enum grammar_result grammar_next(
	struct grammar *grammar, struct line *out, const char **why, const char **hint);

/* -- the parser's state -- */

/* A problem that waits for its turn: they are reported in file order. */
struct problem {
	enum conf_severity severity;
	struct place place;
	const char *directive, *what, *hint;
};

/* One `local` line. */
struct local_wish {
	struct place place;
	const char *host, *port, *proto; /* NULL: the common one; host "*": any */
};

/* What lines ask for and expand.c or load.c turn into settings. */
struct draft {
	bool mode_server, tls_server;
	bool server, server_nopool, server6;
	uint32_t server_network, server_netmask;
	struct in6_addr server6_network;
	uint8_t server6_bits;
	bool ifconfig, ifconfig6; /* by lines of their own */
	bool pool4, pool6;
	uint32_t route_gateway; /* 0: none */
	bool route_gateway6_on;
	struct in6_addr route_gateway6;
	int route_metric; /* -1: none */
	bool keepalive;
	unsigned keepalive_interval, keepalive_timeout;
	bool tcp_nodelay;
	bool mssfix, tun_mtu_max, max_clients; /* given, not the default */
	const char *dev_type;
	const char *cipher; /* as written */
	bool data_ciphers;
	struct local_wish *locals;
	unsigned local_count;
	const char *port, *proto;
	bool v6only;
	struct file_text dh, tls_auth, tls_crypt, tls_crypt_v2;
	int key_direction;    /* of the directive; -1: none */
	const char **ignored; /* ignore-unknown-option */
	unsigned ignored_count;
};

struct client_settings;

struct parse {
	struct config *config;
	struct draft draft;
	struct arena *arena;
	const struct outside *outside;
	const struct conf_report *report;
	struct problem *problems; /* sorted by place.order */
	unsigned problem_count, errors, warnings;
	unsigned order;
	unsigned level, files; /* of config files */
	size_t bytes;
	bool stdin_used, stopped; /* stopped: enough is wrong, no further line is read */
	bool incomplete;	  /* a config file is missing: what should stand in it is not asked for */
	bool command_line;	  /* this line comes from there */
	bool forward_compatible;
	bool unknown_is_warning; /* inside `setenv opt` */
	struct client_settings *client; /* set: these lines are a client's own (client_file.c) */
	struct place *seen;	 /* by row: where it stood last; order 0: nowhere */
};

/* The whole way; `outside` answers. NULL on errors. */
struct config *conf_read(
	int argc, char *const *argv, const struct conf_report *report, const struct outside *outside);
/* The lines of one text, as if a file of this name had been read. */
void conf_read_text(struct parse *p, const char *file, char *text, size_t len);
/* Opens a config file and reads its lines. `by` is the line that asked for it; borrowed. */
void conf_read_file(struct parse *p, const char *path, const struct line *by);

/* -- problems.c -- */

void conf_error(struct parse *p, const struct place *place, const char *directive, const char *hint,
	const char *format, ...) __attribute__((format(printf, 5, 6)));
void conf_warning(struct parse *p, const struct place *place, const char *directive, const char *hint,
	const char *format, ...) __attribute__((format(printf, 5, 6)));
/* Short forms for readers: at this line, about its directive. */
#define line_error(p, line, hint, ...) conf_error(p, &(line)->place, (line)->words[0], hint, __VA_ARGS__)
#define line_warning(p, line, hint, ...) conf_warning(p, &(line)->place, (line)->words[0], hint, __VA_ARGS__)
/* "'WHAT' is not supported yet" as an error. */
void line_not_yet(struct parse *p, const struct line *line, const char *what);
/* Hands everything over to the report, in order. */
void conf_problems_report(struct parse *p);
/* The order of a problem that belongs to no line: behind all others. */
struct place place_at_end(const struct parse *p);

/* -- options.c -- */

enum { MAIN = 1, BLOCK = 2, CLIENT = 4, PUSH = 8, CONN = 16, ANYWHERE = 31 & ~BLOCK };
enum verdict { MUST, SHOULD, ACCEPT, REFUSE };

typedef void option_reader(struct parse *p, const struct line *line);

struct option_row {
	const char *section; /* set: a heading, nothing else is */
	const char *name;
	unsigned min, max, places;
	enum verdict verdict;
	enum conf_effect effect; /* of a change at a reload */
	option_reader *read;
	const char *arguments, *help;
};

extern const struct option_row option_rows[];
extern const unsigned option_row_count;

/* NULL: no such directive. */
const struct option_row *option_find(const char *name);
/* The name that differs least from `name`, or NULL when none is near. */
const char *option_nearest(const char *name);
/* What help says before the sentence of a row that does not do it: "refused: ", or nothing. explain.c */
const char *option_remark(const struct option_row *row);
/* Reads one line. */
void option_apply(struct parse *p, const struct line *line);
/* Where this directive stood last; NULL when it did not. */
const struct place *option_place(const struct parse *p, const char *name);

/* changes.c: what is read for a directive counts into its digest, for config_changes(). */
void digest_line(struct parse *p, const struct option_row *row, const struct line *line);
void digest_file(struct parse *p, const char *directive, const char *bytes, size_t len);

/* client_file.c: a line that may stand in a client's file. */
void client_push_add(struct parse *p, const char *option);
void client_line(struct parse *p, const struct line *line, const struct option_row *row);

option_reader not_yet, accepted, no_effect, refused;
#define SECTION(title)
#define OPTION(name, min, max, places, verdict, change, reader, arguments, help) option_reader reader;
#include "conf/options.def"
#undef OPTION
#undef SECTION

/* -- values.c: each reports what is wrong with word `i` and returns false -- */

bool value_number(
	struct parse *p, const struct line *line, unsigned i, uint64_t min, uint64_t max, uint64_t *out);
bool value_unsigned(
	struct parse *p, const struct line *line, unsigned i, unsigned min, unsigned max, unsigned *out);
/* Host order. */
bool value_ipv4(struct parse *p, const struct line *line, unsigned i, uint32_t *out);
/* An address or a name that is resolved now. */
bool value_ipv4_host(struct parse *p, const struct line *line, unsigned i, uint32_t *out);
/* Ones, then zeros; host order. */
bool value_netmask(struct parse *p, const struct line *line, unsigned i, uint32_t *out);
bool value_ipv6(struct parse *p, const struct line *line, unsigned i, struct in6_addr *out);
/* ADDRESS/BITS; without `/BITS`: max_bits when `bare` is true, else an error. */
bool value_prefix6(struct parse *p, const struct line *line, unsigned i, unsigned min_bits, unsigned max_bits,
	bool bare, struct in6_addr *out, uint8_t *bits);
/* Which of the words of a NULL-terminated list; -1 when none. */
int value_choice(struct parse *p, const struct line *line, unsigned i, const char *const *choices);
unsigned mask_bits(uint32_t netmask);
/* Zeros behind the first `bits`. */
struct in6_addr prefix6_of(struct in6_addr address, unsigned bits);
struct in6_addr add6(struct in6_addr address, uint32_t number);
const char *print4(struct parse *p, uint32_t address);
const char *print6(struct parse *p, const struct in6_addr *address);
/* A file name as seen from `cd`. */
const char *value_path(struct parse *p, const char *path);
/* A file that load.c will open, or the block that is its content. */
void read_file_text(struct parse *p, const struct line *line, struct file_text *out);
/* Which transport: 4, 6, or 0 for both; false when it is reported as wrong, or not there yet. */
bool value_proto(
	struct parse *p, const struct place *place, const char *directive, const char *proto, int *family);

/* -- expand.c, load.c, listeners.c, check.c: in this order, after the last line -- */

void conf_expand(struct parse *p);
void conf_load(struct parse *p);
/* Part of conf_load(): do the programs and directories of scripts exist? */
void conf_find_scripts(struct parse *p);
void conf_make_listeners(struct parse *p);
void conf_check(struct parse *p);

/* Adds `NAME=value` to what scripts find in their environment; value NULL is an empty one. */
void script_environment_add(struct parse *p, const char *prefix, const char *name, const char *value);

/* Adds to the push list, a client's own if the lines are its. */
void push_add(struct parse *p, const char *option);

#endif
