/* SPDX-License-Identifier: MIT
 * What the files of a worker share: the worker itself and its own sessions. Nobody outside this room includes it.
 *
 *   worker.c    birth, the loop, orders, death          inbound.c   link to tunnel, one straight line
 *   sessions.c  our sessions: take, find, end, adopt    outbound.c  tunnel to link, the other one
 *   control.c   drives them: datagrams, events, timers  handover.c  what other workers give us, what we give them
 *   admit.c     who gets which address                  fan_out.c   one packet to many peers
 *   signing.c   the keyholder's answers                 publish.c   rows and counters for readers outside
 *   scripts.c   the helper's answers                moving.c    our sessions to other workers
 *   later.c     handshakes that stand aside in a crowd  trace.c    a line for each packet of a few sessions */
#ifndef WORKER_INTERNAL_H
#define WORKER_INTERNAL_H

#include "common/base/timer_wheel.h"
#include "common/engine/engine.h"
#include "common/inner/inner.h"
#include "conf/config.h"
#include "shm/counters.h"
#include "shm/events.h"
#include "shm/peers.h"
#include "shm/segment.h"
#include "worker/peer_flags.h"
#include "worker/batch.h"
#include "worker/inherited.h"
#include "worker/loop.h"

enum {
	SLOT_BITS = 20,           /* of a session table index; the rest of a signing id counts */
	SIGN_INPUT_MAX = 1024,
	STOP_LINGER_MS = 1500,    /* how long clients have to acknowledge that we stop */
};

struct order;

struct session {
	vpn_session *engine;
	struct peer_slot *shared; /* of `slot`; ours to write */
	uint32_t slot, generation;
	struct peer_identity identity; /* what was published last */
	struct timer timer;
	uint16_t mss4, mss6;      /* 0: leave alone */
	bool active, ending, forgiven;
	mono_ms since;
	uint32_t before_slot, before_generation; /* whose address we took over and must give back if we fail; PEER_NONE */
	struct session *half_next, **half_link;  /* among those that are not active yet, oldest first; link NULL: is not */
	struct {
		mono_ms at; /* 0: never */
		uint64_t bytes_in, bytes_out, rate_in, rate_out;
		vpn_ms round_trip;
	} told;                   /* what its row says */
	enum event_why why;       /* it ends, if whoever ends it said; NONE: its last text tells */
	mono_ms float_noted_at;   /* for one such event a second */
	mono_ms log_at;           /* lines about what the peer causes: the second they are counted in ... */
	unsigned log_lines, log_left_out;
	uint32_t sign_id;         /* of the request that waits; 0: none */
	uint16_t sign_algorithm;
	uint16_t sign_len;        /* > 0: the request could not be sent yet */
	uint8_t *sign_input;
	struct session *sign_next;
	uint32_t helper_id;       /* of the request that waits; 0: none */
	unsigned move_to;         /* with move_link: which worker gets it ... */
	mono_ms move_at, move_until; /* ... when (0: it is not at rest yet), and when we stop trying */
	struct session *move_next, **move_link; /* among those that go; link NULL: it stays */
	struct client_route *routes; /* networks behind it */
	unsigned route_count;
};

/* A message that found the helper's channel full. */
struct helper_message {
	struct helper_message *next;
	uint32_t id; /* of a connect, to take it back; 0 */
	size_t len;
	uint8_t bytes[];
};

/* What is sealed and sent in one go: packets of a batch, and segments of super packets. These get places in `area`, one
 * behind the other, each with just the room in front that sealing takes: a sealed train is one piece of memory. Until then
 * a place has the segment's head alone; the payload is sealed to there from where the kernel left it. */
struct walk {
	unsigned count, segments;
	struct packet *packets[BATCH_MAX];
	struct session *of[BATCH_MAX];
	uint8_t *payload[BATCH_MAX]; /* of a segment; NULL: the packet is whole */
	uint32_t head[BATCH_MAX];    /* of a segment, at its place */
	struct packet segment[BATCH_MAX];
	struct inner_cut cut;
	uint8_t *area;
	uint32_t area_len, used;
};

/* Datagrams of handshakes that wait for a later turn: later.c. */
struct later {
	struct later_datagram *datagrams; /* a ring; NULL until it is needed */
	unsigned first, count;
	unsigned done; /* in this turn */
	bool again;    /* they are at it now */
};

struct worker {
	const struct inherited *born;
	const struct config *config;
	struct shm *shm;
	struct stats *stats;
	struct counters *counters;
	vpn_endpoint *endpoint;
	struct loop loop;
	struct udp_link *links;
	unsigned link_count;
	struct tun_queue tun;
	bool has_tun;
	mono_ms now;

	struct session **sessions; /* by slot; NULL where it is not ours */
	unsigned session_count, session_peak; /* now, and the most since memory was last given back */
	struct session *half_first, **half_last; /* handshakes in the order they began */
	struct timer_wheel *wheel;

	uint32_t sign_count;
	struct session *sign_first, **sign_last; /* requests that found the keyholder's queue full */
	bool keyholder_gone;

	int helper_fd; /* -1: none, or gone */
	uint32_t helper_count;
	struct helper_message *helper_first, **helper_last;
	unsigned helper_waiting;

	struct session *move_first, **move_last; /* sessions that other workers shall get */
	mono_ms move_look_at;                    /* when to look at them next; MONO_NEVER: there are none */
	uint32_t look_at;                        /* where the search for sessions given to us goes on */

	uint32_t blamed; /* the session our predecessor was at work on when it died; PEER_NONE */
	int verb;
	bool stopping, leaving, master_gone;
	bool changed;          /* who is connected: the master is told, not for each one in a crowd */
	mono_ms changed_at;    /* not before */
	mono_ms stop_at;       /* when a stop ends at the latest */
	mono_ms alone_at;      /* a master that is silent until then is gone; MONO_NEVER */
	mono_ms publish_at, secret_at;
	mono_ms strangers_until; /* the second in which their events are counted ... */
	unsigned strangers, strangers_left_out;
	uint32_t publish_from;  /* the slot that the walk goes on at */
	struct {
		mono_ms at;
		uint64_t cpu_us, bytes_in, bytes_out, packets_in, packets_out;
	} told;                 /* with the last heartbeat */
	mono_ms limited_log_at; /* one line per kind and second about what is over a limit */
	unsigned limited_count;
	mono_ms stranger_log_at; /* lines about handshakes: the second they are counted in */
	unsigned stranger_lines, stranger_left_out;
	struct walk walk;       /* outbound */
	struct inner_join join; /* inbound: what goes to the tunnel */
	struct packet *joined[BATCH_MAX];
	bool joins, joins_udp;  /* the tunnel takes super packets */
	struct later later;
	struct batch handed;    /* what a handover ring gave */
	struct tracing *tracing; /* NULL: nobody is traced */
	struct batch arrived;   /* inner packets that walk on to other peers ... */
	uint8_t arrived_from[BATCH_MAX]; /* ... and where in the inbound batch each came from */
};

/* -- worker.c -- */
/* One line to the master's log; `level` as `verb` counts (1 important, 3 usual, 4 detail). Cut at 1,000 bytes. */
__attribute__((format(printf, 3, 4))) void worker_log(struct worker *w, int level, const char *format, ...);
/* The same with the client's name and address in front; where there is no name yet, a bounded number a second of all. */
__attribute__((format(printf, 4, 5))) void session_log(struct worker *w, const struct session *s, int level,
	const char *format, ...);
/* For what the peer can cause at will: a bounded number of lines a second, then their count. */
__attribute__((format(printf, 4, 5))) void session_log_limited(struct worker *w, struct session *s, int level,
	const char *format, ...);
/* The session that is being worked on, for the last words; PEER_NONE for none. */
void worker_touch(uint32_t slot);
void worker_stop(struct worker *w, int how, const char *why);

/* -- sessions.c -- */
/* Our session of this slot and generation, or NULL. */
struct session *session_find(const struct worker *w, uint32_t slot, uint32_t generation);
/* Our session that holds this outer address, or NULL; *slot and *owner say who has it otherwise. */
struct session *session_by_address(const struct worker *w, const struct link_address *address, uint32_t *slot,
	uint32_t *generation, unsigned *owner);
/* Takes a slot and opens a session for a contact that proved itself. NULL: no room (*fate). */
struct session *session_open(struct worker *w, const struct packet *p, const vpn_contact *contact, enum fate *fate);
/* Ends it for good: frees slot, lease, routes, address. Say s->why before where a number knows it. */
void session_end(struct worker *w, struct session *s, const char *why);
/* No handshake any more: it became active. */
void session_settled(struct worker *w, struct session *s);
/* Ends those of ours that another worker closed. */
void sessions_tidy(struct worker *w);
/* Ends those of ours that the present CRL lists and an older one let in a moment ago, or whose script has not answered
 * yet. Those that are active for longer are the master's (hub.live-revoke). */
void sessions_check_revoked(struct worker *w);
/* Takes over what the predecessor of our index left. */
void sessions_adopt(struct worker *w);
/* One that another worker gave us, if it is that: whatever tells of it first (its record, its first packet, an order, the
 * periodic look) makes us adopt it. */
void session_welcome(struct worker *w, uint32_t slot);
/* The steering programs' view of the owner: speed only. */
void session_steer(const struct worker *w, const struct session *s, unsigned owner);
/* Lets go of it as it is, for whoever goes on with it: its bytes stay in its slot. */
void session_leave(struct worker *w, struct session *s);
void sessions_free(struct worker *w, bool for_successor);
bool session_publish(struct worker *w, struct session *s);
/* Address, owner and everything that depends on it. False: another live session has that address. */
bool session_float(struct worker *w, struct session *s, const struct packet *p);
void session_set_mss(struct worker *w, struct session *s);

/* -- control.c -- */
/* A control datagram of a session, or from nobody we know. Gives the packet its fate. */
void control_receive(struct worker *w, struct session *s, struct packet *p);
void control_first_contact(struct worker *w, struct packet *p);
/* Events, datagrams to send, next deadline. `s` may be gone afterwards. */
void control_serve(struct worker *w, struct session *s);
void control_timers(struct worker *w);

/* -- admit.c -- */
/* It proved who it is: an address, then either the helper's word or at once in. */
void admit(struct worker *w, struct session *s);
/* The same client began anew within its session: it is pushed what it has. */
void admit_again(struct worker *w, struct session *s);
/* With the settings of its own that it has (lines; see conf/client_file.h). */
void admit_with(struct worker *w, struct session *s, const char *lines, size_t len);
/* Makes it reachable: routes, state. False: it was ended. */
bool admit_activate(struct worker *w, struct session *s);
void admit_withdraw(struct worker *w, struct session *s);

/* -- moving.c -- */
/* The master's list of sessions that worker `to` shall have; what is not ours any more is passed over. */
void moving_begin(struct worker *w, unsigned to, const struct order *order);
/* Those whose time has come; sets w->move_look_at. */
void moving_go_on(struct worker *w);
/* Ends a session by order, of ours or by now of another worker; `text`: what its client is told, NULL: what goes with `how`
 * (enum end_reason). */
void moving_end(struct worker *w, uint32_t slot, uint32_t generation, unsigned how, const char *text);
/* The session ends, or stays. */
void moving_forget(struct session *s, struct worker *w);

/* -- signing.c -- */
void signing_ask(struct worker *w, struct session *s, const vpn_event *event);
bool signing_answers(void *context);
void signing_forget(struct worker *w, struct session *s);
/* For a TLS library that cannot wait. */
size_t signing_now(void *context, uint16_t algorithm, const uint8_t *input, size_t input_len, uint8_t *signature,
	size_t room);

/* -- scripts.c -- */
/* Does the helper have a say? */
bool scripts_wanted(const struct worker *w);
/* Asks it about a session that has its addresses; the answer admits or refuses. */
void scripts_ask(struct worker *w, struct session *s);
bool scripts_answers(void *context);
/* The session ends: nobody waits for an answer any more, and client-disconnect may be due. */
void scripts_session_over(struct worker *w, struct session *s);
/* The same for one that its dead owner left and that nobody adopts. */
void scripts_row_over(struct worker *w, uint32_t slot, uint32_t generation);
/* Another helper; takes the descriptor. */
void scripts_set_helper(struct worker *w, int fd);
/* Sends what waits. `last`: waits for room, for a bounded time. */
void scripts_flush(struct worker *w, bool last);

/* -- trace.c: for sessions that somebody wants to follow; `w->tracing` is NULL where there are none, and nothing of this is
 * called then -- */
/* Follows a session of ours for so many seconds; 0: no more. */
void trace_session(struct worker *w, uint32_t slot, uint32_t generation, int32_t seconds);
/* A batch of datagrams as they came; what is inside once they are open; their fate. */
void trace_datagrams(struct worker *w, const struct batch *b);
void trace_opened(struct worker *w, const struct batch *b);
void trace_inbound_end(struct worker *w, const struct batch *b);
/* Packets before they are sealed, and their fate as datagrams. */
void trace_walk(struct worker *w, const struct walk *walk);
void trace_walk_end(struct worker *w, const struct walk *walk);
/* A packet that does not get that far. */
void trace_dropped(struct worker *w, const struct session *s, const struct packet *p);
/* A copy of a packet that many get. */
void trace_copied(struct worker *w, const struct session *s, const struct packet *p, const void *datagram, size_t len,
	enum fate fate);
/* A datagram that the engine made. */
void trace_sent(struct worker *w, const struct session *s, const void *datagram, size_t len, enum fate fate);
/* Forgets those whose time is over. */
void trace_tidy(struct worker *w);

/* -- the lines -- */
void inbound(void *worker, struct batch *b);
void outbound(void *worker, struct batch *b);
/* Datagrams that stood aside: from the first step on, uncounted. */
void inbound_again(struct worker *w, struct batch *b);
/* What another worker gave us: datagrams for sessions that were ours then. */
void inbound_handed(struct worker *w, struct batch *b);
/* Packets whose peer is known: from the tunnel, from another worker, or from one client to another. */
void outbound_owned(struct worker *w, struct batch *b);
/* Memory for cutting super packets whose segments are up to `segment_max` bytes. False: there is none. */
bool outbound_init(struct worker *w, uint32_t segment_max);
/* Counts each fate and gives each buffer back, here and nowhere else. */
void batch_end(struct worker *w, struct batch *b);
/* Copies one packet to every active client but `except`. */
void fan_out(struct worker *w, const struct packet *p, uint32_t except);

/* -- later.c -- */
enum { HANDSHAKES_A_TURN = 8 }; /* datagrams: a few milliseconds' work */
/* True: a datagram of a stranger or of a handshake that stood aside, or is one too many (its fate). */
bool later_takes(struct worker *w, struct packet *p);
/* Each turn: those that waited, as many as a turn does. */
void later_go_on(struct worker *w);
void later_clear(struct worker *w);

/* -- handover.c -- */
void handover_give(struct worker *w, struct packet *p, unsigned kind, unsigned owner);
/* Asks another worker to end a session; `text` may be NULL. */
void handover_end(struct worker *w, uint32_t slot, uint32_t generation, unsigned owner, unsigned reason,
	const char *text);
/* What the others gave us so far. */
void handover_look(struct worker *w);
void handover_take(void *worker);
/* Tells another worker of a session that it has from now on. */
void handover_moved(struct worker *w, uint32_t slot, uint32_t generation, unsigned owner);
/* From END_SETTINGS on by order: the client is told, and has a moment to answer. */
enum end_reason { END_REPLACED = 1, END_FLOATED, END_SETTINGS, END_REVOKED, END_KILLED, END_REASONS };

/* -- publish.c -- */
/* Into the flight recorder; `text` may be NULL. */
void note_worker(struct worker *w, enum event_kind kind, unsigned cause, const char *text);
void note_session(struct worker *w, const struct session *s, enum event_kind kind, unsigned cause, const char *text);
/* When due: a part of the rows, and once a second the heartbeat. Sets w->publish_at. */
void publish(struct worker *w);
void publish_session(struct worker *w, struct session *s);
/* Before the first: what the owner before us told of it goes on. */
void publish_taken_over(struct worker *w, struct session *s);
void publish_gone(struct worker *w, uint32_t slot);

#endif
