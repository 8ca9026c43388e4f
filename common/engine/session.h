/* SPDX-License-Identifier: MIT
 * What the files of the engine share. Nobody outside this room includes it.
 *
 *   negotiation (one per key id)                         session
 *
 *   RESET ──peer's reset, own acked──> HANDSHAKE         GREETING ──admitted, keys──> OPEN ──rekeyed──> OPEN
 *     │                                   │ TLS done        │ refused, 60 s             │ silence, exit, limit
 *     │                                AGREEING             └──────────> LEAVING <──────┘
 *     │                                   │ key messages                   │ lingered
 *     └──hand-window──> (dropped)      ACTIVE                            GONE
 *
 *   RESET      own reset queued as message 0. A server that answered without state starts in HANDSHAKE.
 *   HANDSHAKE  TLS records flow.
 *   AGREEING   one key message each way.
 *   ACTIVE     all our messages acknowledged; text may flow.
 *   GREETING   nobody known yet; holds no address. Only control datagrams leave.
 *   OPEN       data keys exist.
 *   LEAVING    last words are on their way, in the data channel where there is no TLS; no data any more.
 *   GONE       VPN_EVENT_CLOSED is the last event; only freeing is left.  */
#ifndef COMMON_ENGINE_SESSION_H
#define COMMON_ENGINE_SESSION_H

#include "common/base/fate.h"
#include "common/base/time.h"
#include "common/data/data.h"
#include "common/engine/engine.h"
#include "common/keys/keys.h"
#include "common/negotiate/negotiate.h"
#include "common/reliable/reliable.h"
#include "common/tls/tls.h"
#include "common/wrap/wrap.h"

enum {
	KEPT_NAME_MAX = 128,
	KEPT_LAYOUT = 2,
	KEY_SETS = 3,
	KEY_SET_OLD = 2, /* from before the peer began anew: it may still send with it, we do not */
	TEXTS_MAX = 16,
	EVENTS_MAX = 64,
	LINGER_MS = 5000,
	FAREWELLS = 3, /* a datagram may be lost */
	FAREWELL_EVERY_MS = 300,
	AGAIN_MIN_MS = 1000, /* from one negotiation to the next: each costs a server a signature */
};

struct vpn_endpoint {
	bool server;
	struct tls_context *tls;
	struct wrap wrap;
	bool has_shared_wrap; /* openers without a client key are taken */
	struct static_key shared_key; /* for dynamic tls-crypt: what D is XORed with */
	bool has_shared_key;
	bool has_server_key, force_cookie;
	struct server_key server_key;
	bool has_client_key;
	struct static_key client_key;
	uint8_t client_key_wrapped[CLIENT_KEY_WRAPPED_MAX];
	size_t client_key_wrapped_len;
	enum digest auth;
	int key_direction;
	char ciphers[CIPHER_LIST_MAX + 64], fallback[32];
	unsigned replay_window, replay_window_s, tun_mtu, tun_mtu_max, told_mtu;
	span_ms tls_timeout, hand_window, tran_window, reneg, reneg_min, ping, ping_restart, session_timeout, inactive;
	uint64_t inactive_bytes, reneg_bytes, reneg_packets;
	unsigned max_packet_size;
	char version[32];
	char *username, *password;
	uint32_t proto_mask, proto_more;
	struct address_secret secret, secret_before; /* both serve: openers are under way while it changes */
	int64_t unix_offset; /* Unix seconds at moment 0 of the clock */
	uint16_t epoch;
};

/* The part of a session that its process may die without. Plain data in shared memory: a successor reads it as it
 * would read a file, with every number checked. Secret. */
struct kept {
	uint32_t layout;
	uint8_t server, open, current, dynamic; /* current: index of the newest key set; dynamic: D is in use */
	uint8_t key_id;                         /* of the newest negotiation begun */
	uint8_t cipher, tls_ekm, cc_exit;
	uint8_t becomes_old; /* 1 + index of the set that moves to KEY_SET_OLD when its place is needed; 0: none */
	uint32_t peer_id, proto;
	uint64_t local_session, remote_session;
	struct wrap wrap, dynamic_wrap;
	struct wrap_counter counter, dynamic_counter;
	struct wrap_window window, dynamic_window;
	mono_ms opened; /* when data keys were in use first: the clock outlives a process */
	uint8_t fingerprint[TLS_FINGERPRINT_LEN];
	char name[KEPT_NAME_MAX];
	mono_ms expires[KEY_SETS]; /* of each key set; of the current one not before another is negotiated */
	struct data_kept keys[KEY_SETS]; /* the current and the previous one, and KEY_SET_OLD */
};

enum negotiation_state { NEGOTIATION_RESET, NEGOTIATION_HANDSHAKE, NEGOTIATION_AGREEING, NEGOTIATION_ACTIVE };

struct negotiation {
	enum negotiation_state state;
	uint8_t key_id;
	bool at_once; /* its keys are sent with as soon as they are there */
	bool fed;   /* TLS got bytes of the peer's */
	bool again; /* its key id had one before, in a process that died */
	uint8_t spoilt; /* messages that say nothing but: give up */
	bool first, started_by_us, reset_seen, message_sent, message_read, keyed, signing;
	struct tls *tls;
	struct send_window out;
	struct receive_window in;
	mono_ms deadline, keyed_at;
	struct key_sources sources;
};

enum session_state { SESSION_GREETING, SESSION_OPEN, SESSION_LEAVING, SESSION_GONE };
enum admission { ADMISSION_UNASKED, ADMISSION_ASKED, ADMISSION_GRANTED, ADMISSION_REFUSED };

struct event {
	struct event *next;
	int kind, number;
	size_t len;
	char text[]; /* terminated */
};

struct vpn_session {
	struct vpn_endpoint *endpoint;
	struct kept *kept;
	bool owns_kept;
	enum session_state state;
	enum admission admission;

	struct negotiation *negotiation; /* the newest; NULL after an adoption or a failed renegotiation */
	struct data_key *keys[KEY_SETS]; /* expanded, beside kept->keys */
	mono_ms send_from;               /* when the current key is used for sending; before it the previous one */
	mono_ms renegotiate_at, push_at, pushed_at, linger_until, born, open_since;
	mono_ms again_from;              /* server: before it no other negotiation begins, whoever wants it */
	mono_ms moved_at;                /* before it the peer may still send with a key that another negotiation would drop */
	mono_ms renegotiate_by;          /* when ours begins though the peer acknowledges nothing; 0: none waits */
	mono_ms last_in, last_out, ping_restart_from;
	span_ms round_trip8; /* smoothed, in eighths of a millisecond; -1: not known yet */
	span_ms ping, ping_restart;
	uint64_t bytes_in, bytes_out, inactive_mark;
	mono_ms inactive_since;
	uint64_t keyed_bytes, keyed_packets;
	mono_ms spoil_at;                /* when a peer that is caught in a lost negotiation is told to give up */
	bool lost_keys;                  /* the peer may have dropped the key that we send with */
	bool renewing;                   /* a first negotiation within an open session: renew.c */
	bool push_wanted, push_done, resend_client_key, renegotiate_now, peer_left;
	bool event_lost;  /* one that the host needs found no memory: the session ends */
	bool closed_told; /* VPN_EVENT_CLOSED was given out */
	bool said_last;   /* LEAVING by our own word: over as soon as the peer has acknowledged it */
	uint8_t farewells;    /* LEAVING without a control channel: how often the data channel says so yet ... */
	mono_ms farewell_at;  /* ... and when next */
	uint8_t occ_reply;        /* 1 + type of an OCC answer that waits to be sent, 0: none */
	uint16_t occ_load;        /* size that an OCC load answer shall have */
	uint16_t occ_in, occ_out; /* largest datagram seen each way */
	struct static_key control_key; /* what dynamic tls-crypt mixes in; wiped once that is made */
	bool has_control_key;

	/* what is known about the peer, until it is open */
	struct peer_info peer_info;
	struct tls_peer peer;
	char *username, *password, *peer_info_text, *peer_options;
	char tls_text[64];
	char **options; /* the grant's, owned */
	size_t option_count;
	char *texts[TEXTS_MAX]; /* waiting to be written into TLS */
	unsigned text_count;
	char close_reason[256];
	struct pushed *pushed; /* client */

	struct event *events, **events_end, *given; /* given: the one lent by the last next_event */
	unsigned event_count;
};

/* Index of the current key set. Kept bytes may be spoilt at any time, so an index out of them is masked at each use. */
static inline unsigned session_current(const struct vpn_session *s)
{
	return s->kept->current & 1;
}

/* -- session.c -- */
struct vpn_session *session_new(struct vpn_endpoint *endpoint, void *kept, mono_ms now);
/* The grant's options, of no use once they were pushed. */
void forget_options(struct vpn_session *s);
unix_s session_unix(const struct vpn_session *s, mono_ms now);
/* Queues an event; notes are dropped when too many wait. */
void session_event(struct vpn_session *s, int kind, int number, const void *data, size_t len);
/* A time from sending to acknowledging; -1: none. */
void session_note_round_trip(struct vpn_session *s, span_ms sample);
__attribute__((format(printf, 3, 4))) void session_note(struct vpn_session *s, int verbosity, const char *format, ...);
/* The end: what was queued and then VPN_EVENT_CLOSED is all that the host hears. Needs no memory. */
__attribute__((format(printf, 2, 3))) void session_gone(struct vpn_session *s, const char *format, ...);

/* The wrapping of control packets as a contact brings it, counters at their beginning. */
void session_wrap(struct vpn_session *s, const vpn_contact *contact, mono_ms now);

/* -- renew.c: a control channel that was lost -- */
/* Of an adopted session that was being renegotiated. */
void renew_after_death(struct vpn_session *s, mono_ms now);
/* One that begins again, and the peer has not said anything in it yet. */
bool renew_is_new(const struct negotiation *n);
void renew_tick(struct vpn_session *s, mono_ms now);
mono_ms renew_wake_at(const struct vpn_session *s);
/* True: it goes on in TLS that we do not have. Not to be acknowledged, which might end it as if we had. */
bool renew_is_late(struct vpn_session *s, uint32_t message, mono_ms now);
/* A message was stored. */
void renew_received(struct negotiation *n, uint32_t message);
/* The keys of a renewed session are made. */
void renew_done(struct vpn_session *s, mono_ms now);

/* -- negotiation.c -- */
/* Begins one; NULL: no memory. `stateless`: our reset went out without state. */
struct negotiation *negotiation_new(struct vpn_session *s, uint8_t key_id, bool stateless, mono_ms now);
void negotiation_free(struct negotiation **n);
/* Does all work that is possible: feeds TLS, exchanges messages, fills the send window. */
void negotiation_advance(struct vpn_session *s, mono_ms now);
/* Starts the next key id. `by_us`: we queue the first reset. */
bool negotiation_again(struct vpn_session *s, bool by_us, mono_ms now);
/* This one failed: a first one ends the session, a later one leaves the data keys until they expire. */
void negotiation_failed(struct vpn_session *s, const char *why, mono_ms now);
uint8_t next_key_id(uint8_t key_id);

/* -- agree.c: what is said inside TLS -- */
bool agree_write_key_message(struct vpn_session *s, mono_ms now);
bool agree_read_key_message(struct vpn_session *s, struct bytes record, mono_ms now);
/* When ACTIVE and admitted: makes data keys, sends the push reply. */
void agree_finish(struct vpn_session *s, mono_ms now);
/* The peer sends with keys of this negotiation already: it had our last message, though its acknowledgement is late or
 * lost. Makes them, if all is there that they take. */
void agree_early(struct vpn_session *s, uint8_t key_id, mono_ms now);
void agree_text(struct vpn_session *s, struct bytes record, mono_ms now);
void agree_flush_texts(struct vpn_session *s, mono_ms now);

/* -- session_keys.c -- */
/* Makes the data keys of the negotiation that just became complete. */
bool session_make_keys(struct vpn_session *s, mono_ms now);
void session_drop_key(struct vpn_session *s, unsigned index);
/* The key in use is about to become the previous one, and so has an end; further attempts do not move it. */
void session_limit_key(struct vpn_session *s, mono_ms now);
/* Which key to send with, or NULL. */
struct data_key *session_send_key(struct vpn_session *s, mono_ms now);
void session_plan_renegotiation(struct vpn_session *s, mono_ms now);

/* -- session_data.c -- */
/* A datagram of our own in the data channel (ping, OCC answer); its length or 0. */
size_t session_own_data(struct vpn_session *s, void *out, size_t room, mono_ms now);

#endif
