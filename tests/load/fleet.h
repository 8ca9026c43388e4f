/* SPDX-License-Identifier: MIT
 * Many VPN clients in one process, on the engine's client role: sessions, one UDP socket each, timers, and
 * the data way in batches. No tun device: packets go to a function and come from one. Used by clients.c and
 * vpnload.c. One thread. What cannot work ends the program with a sentence: this is a test tool. */
#ifndef TESTS_LOAD_FLEET_H
#define TESTS_LOAD_FLEET_H

#include "common/base/timer_wheel.h"
#include "common/engine/engine.h"

#include <sys/socket.h>

/* Who to connect to, and as whom. Start from fleet_options_default(). Texts are borrowed for good. */
struct fleet_options {
	const char *remote;						   /* IP:PORT */
	const char *ca, *cert, *key, *tls_auth, *tls_crypt, *tls_crypt_v2; /* files */
	const char *auth, *ciphers;
	int direction; /* of tls_auth */
	unsigned clients;
	unsigned reneg_s;    /* 0: never by us */
	uint32_t proto_mask, proto_more; /* as in vpn_settings */
	bool trains; /* equal-sized datagrams of one client leave together (UDP_SEGMENT) and come together
			(UDP_GRO) */
	unsigned socket_buffer; /* bytes asked for each way; 0: the system's */
};

struct fleet_member {
	unsigned index;
	int fd;		      /* -1: not started */
	vpn_session *session; /* NULL once it is over */
	struct timer timer;
	vpn_ms started, opened;
	uint64_t started_ns;
	uint32_t address; /* in the tunnel, host order */
	bool open, closed;
	char why[96]; /* closed: the engine's words */
	const char *text; /* TEXT: what the server says; borrowed while the event is told */
};

struct fleet;

/* What the owner of a fleet wants to hear. `context` is fleet.context. */
struct fleet_ears {
	/* OPEN, REKEYED, TEXT and CLOSED (its session is gone then). */
	void (*event)(void *context, struct fleet_member *member, int kind);
	/* Opened packets, `n` at most VPN_BATCH, borrowed until it returns; those with a fate are nothing.
	 * `now_ns`: when their datagrams were read. */
	void (*packets)(void *context, struct fleet_member *const *members, const vpn_job *jobs, size_t n,
		uint64_t now_ns);
};

struct fleet_counts {
	uint64_t datagrams_out, calls_out, refused_out; /* data; refused: the socket was full */
	uint64_t datagrams_in, calls_in, unopened; /* data; unopened: those with a fate that is a fault */
};

/* A moment of CLOCK_MONOTONIC. */
uint64_t fleet_ns(void);
vpn_ms fleet_ms(void);
/* Says it on standard error and exits with 2. */
_Noreturn void fleet_die(const char *what, const char *detail);

void fleet_options_default(struct fleet_options *options);
/* Takes argv[*at] and its values if it is one of ours, moving *at to the last word taken. --expect is not
 * ours. */
bool fleet_option(struct fleet_options *options, int argc, char **argv, int *at);
/* The words, for a usage text. */
extern const char fleet_usage[];
/* The value behind argv[*at], moving *at. */
const char *fleet_value(int argc, char **argv, int *at);
/* "IP:PORT" to an address; its length. */
socklen_t fleet_address(const char *text, struct sockaddr_storage *out);

struct fleet *fleet_new(const struct fleet_options *options, const struct fleet_ears *ears, void *context);
/* Ends nothing properly: see fleet_leave(). Empties the pointer. */
void fleet_free(struct fleet **fleet);
struct fleet_member *fleet_member(struct fleet *fleet, unsigned index);
const struct fleet_counts *fleet_counts(const struct fleet *fleet);

/* Opens the socket and sends the opener. A member that was used before gets a new socket and a new session.
 */
void fleet_start(struct fleet *fleet, struct fleet_member *member);
/* Tells the server and forgets the session at once; the socket stays, so that late answers find somebody. */
void fleet_leave(struct fleet *fleet, struct fleet_member *member);
/* Waits at most `wait_ns` for datagrams, takes them, does what time demands. */
void fleet_turn(struct fleet *fleet, uint64_t wait_ns);

/* A place for an inner packet of `member`, VPN_DATAGRAM_MAX bytes; fleet_put() says how long it became.
 * Packets wait until VPN_BATCH are there or fleet_flush(). */
uint8_t *fleet_place(struct fleet *fleet);
void fleet_put(struct fleet *fleet, struct fleet_member *member, size_t len);
void fleet_flush(struct fleet *fleet);

#endif
