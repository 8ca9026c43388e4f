/* SPDX-License-Identifier: MIT
 * A client's own settings: the lines of its file in client-config-dir and of what client-connect wrote, in
 * the grammar of the configuration. Text in, struct out; no file is opened here. A bad line is told and
 * skipped, as in OpenVPN. */
#ifndef CONF_CLIENT_FILE_H
#define CONF_CLIENT_FILE_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { CLIENT_LINES_MAX = 4096, CLIENT_INCLUDES_MAX = 10 };

/* A network behind the client. */
struct client_route {
	unsigned family, bits; /* 4 or 6 */
	uint8_t prefix[16];    /* network order, zeros behind the bits */
};

struct client_settings {
	const char **push; /* what it is sent, in order: the common list as far as it is left, then its own */
	unsigned push_count;
	bool disable;
	bool has4, has6;	    /* addresses of its own */
	bool block4, block6;	    /* push-remove ifconfig, ifconfig-ipv6: it is not told its address */
	uint32_t address4, second4; /* host order; second: netmask, or the other end */
	uint32_t told4;		    /* what it is told instead; 0: the same */
	struct in6_addr address6, remote6;
	uint8_t bits6;
	bool has_remote6;
	struct client_route *routes;
	unsigned route_count;
	unsigned max_routes; /* max-routes-per-client; 0: as for all */

	unsigned lines, level;
	void *arena; /* conf/'s own: everything above lives in it */
};

struct client_reading {
	/* Each problem, once; may be NULL. */
	void (*problem)(void *context, const char *file, int line, const char *directive, const char *what,
		const char *hint);
	/* Each good line but `config`, written anew so that it can be read again: a text without a line feed.
	 * May be NULL. */
	void (*kept)(void *context, const char *line, size_t len);
	/* `config NAME`: read it and call client_settings_read() for it, or return false. NULL: not allowed.
	 */
	bool (*include)(void *context, struct client_settings *settings, const char *name);
	void *context;
};

/* Settings without any line: the common push list (borrowed). NULL: no memory. */
struct client_settings *client_settings_new(const char *const *push, unsigned push_count);
void client_settings_free(struct client_settings **settings);
/* Reads these lines behind those read before; `file` is their name in messages. Returns how many were bad. */
unsigned client_settings_read(struct client_settings *settings, const char *file, const char *text,
	size_t len, const struct client_reading *reading);
/* After the last line: routes to its own networks are not pushed to it. */
void client_settings_finish(struct client_settings *settings);

#endif
