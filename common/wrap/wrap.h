/* SPDX-License-Identifier: MIT
 * The door to the wrapping of control packets: none, tls-auth, tls-crypt, and tls-crypt-v2's client keys.
 * Everything here is plain data without pointers, so that a session's wrap survives its worker in shared
 * memory. Formats: OpenVPN's src/openvpn/tls_crypt.h and ssl_pkt.c. */
#ifndef COMMON_WRAP_WRAP_H
#define COMMON_WRAP_WRAP_H

#include "common/base/bytes.h"
#include "common/base/fate.h"
#include "common/base/time.h"
#include "common/crypto/crypto.h"
#include "common/wire/wire.h"

enum {
	STATIC_KEY_LEN = 256,
	WRAP_MAX_OVERHEAD = 8 + DIGEST_MAX_LEN, /* beyond opcode and sender */
	CLIENT_KEY_WRAPPED_MIN = 32 + STATIC_KEY_LEN + 2,
	CLIENT_KEY_WRAPPED_MAX = 1024,
	CLIENT_KEY_METADATA_MAX = CLIENT_KEY_WRAPPED_MAX - 32 - STATIC_KEY_LEN - 2,
	SERVER_KEY_LEN = 128,
};

/* Two cipher keys and two HMAC keys: | cipher 0 (64) | hmac 0 (64) | cipher 1 (64) | hmac 1 (64) | */
struct static_key {
	uint8_t bytes[STATIC_KEY_LEN];
};

enum wrap_kind { WRAP_NONE, WRAP_AUTH, WRAP_CRYPT };

/* One wrapping with its directional keys. All zero: WRAP_NONE. Holds secrets: wipe it. */
struct wrap {
	uint8_t kind;   /* enum wrap_kind */
	uint8_t digest; /* enum digest, WRAP_AUTH */
	uint8_t send_cipher[32], receive_cipher[32];
	uint8_t send_hmac[DIGEST_MAX_LEN], receive_hmac[DIGEST_MAX_LEN];
};

/* key-direction of tls-auth: -1 both sides use the first half, 0 "normal", 1 "inverse". */
void wrap_init_auth(struct wrap *wrap, const struct static_key *key, enum digest digest, int direction);
/* tls-crypt: the server sends with the first half, the client with the second. */
void wrap_init_crypt(struct wrap *wrap, const struct static_key *key, bool server);

/* Bytes that the wrapping adds between sender and body. */
size_t wrap_overhead(const struct wrap *wrap);

/* The sender's counter of one session: starts at 1 with the time of first use, grows with every packet. To start
 * elsewhere (an early negotiation's 0x0f000001), set `next` and leave `time` 0. */
struct wrap_counter {
	uint32_t next; /* 0: never used, or with a time: used up */
	uint32_t time;
};

/* The receiver's window over (time, id); `width` packets, at most 64 and 0 meaning strictly in order. */
struct wrap_window {
	uint64_t seen; /* bit i: highest - i */
	uint32_t highest, time;
	uint8_t width;
};

/* What a datagram says once its wrapping is off. `body` borrows the datagram, which is changed in place. */
struct wrap_opened {
	uint8_t opcode, key_id;
	uint64_t sender;
	uint32_t packet_id, net_time; /* 0, 0 for WRAP_NONE */
	struct bytes body;
};

/* Takes the wrapping off, in place. FATE_NONE when it verified (for WRAP_NONE: when it parses),
 * FATE_TOO_SHORT or FATE_WRAP_FORGED otherwise; after a forgery the datagram's bytes are undefined. */
enum fate wrap_open(const struct wrap *wrap, uint8_t *datagram, size_t len, struct wrap_opened *out);
/* Writes opcode, sender, wrapping and body into `out` and moves the counter. The datagram's length, or 0: no
 * room, or the counter cannot go on (id space used up within one second). */
size_t wrap_seal(const struct wrap *wrap, struct wrap_counter *counter, unix_s now, uint8_t opcode, uint8_t key_id,
	uint64_t sender, const void *body, size_t body_len, void *out, size_t room);

/* A question: would this id be new? Always true for WRAP_NONE (the caller does not ask). */
bool wrap_window_accepts(const struct wrap_window *window, uint32_t packet_id, uint32_t net_time);
/* The deed: after the packet has verified. */
void wrap_window_note(struct wrap_window *window, uint32_t packet_id, uint32_t net_time);

/* -- client_key.c: tls-crypt-v2 -- */

struct server_key {
	uint8_t bytes[SERVER_KEY_LEN]; /* cipher key at 0, HMAC key at 64 */
};

struct client_key {
	struct static_key key;
	uint16_t metadata_len;
	uint8_t metadata[CLIENT_KEY_METADATA_MAX]; /* first byte: type, 0 user, 1 time stamp */
};

/* Cuts the wrapped client key off the end of `datagram` (shortening *len) and unwraps it. FATE_NONE,
 * FATE_TOO_SHORT or FATE_CLIENT_KEY_BAD; then *len stays as it was. With `out` NULL it is only cut off: for a
 * session that has its key already and must not take another (`server` is not used then). */
enum fate client_key_cut(const struct server_key *server, const uint8_t *datagram, size_t *len,
	struct client_key *out);
/* Makes the wrapped form for a client file; its length, or 0 when there is no room. */
size_t client_key_wrap(const struct server_key *server, const struct client_key *key, void *out, size_t room);
/* True when an opener's wrapping id announces that the client can resend its key (2.6 and later). */
bool client_key_early(uint32_t packet_id);

/* -- key_files.c: the PEM-like files, to and from bytes -- */

/* Each reads one block out of `text` (anything around it is ignored). False: no block, or a wrong size. */
bool static_key_read(const char *text, size_t len, struct static_key *out);
bool server_key_read(const char *text, size_t len, struct server_key *out);
/* A client's file: its key, and the wrapped form that it appends to its first packet. */
bool client_key_file_read(const char *text, size_t len, struct static_key *key, uint8_t *wrapped,
	size_t *wrapped_len /* in: room, out: length */);
/* Each writes one block, terminated; its length, or 0 when there is no room. */
size_t static_key_write(const struct static_key *key, char *out, size_t room);
size_t server_key_write(const struct server_key *key, char *out, size_t room);
size_t client_key_file_write(const struct static_key *key, const uint8_t *wrapped, size_t wrapped_len, char *out,
	size_t room);

/* -- address_proof.c: a stateless proof that an address is real -- */

struct address_secret {
	uint8_t bytes[32];
};

/* The server's session id for an opener: a MAC over address (`address_len` bytes as the host likes: family,
 * address, port), the client's session id and the half hand-window that `now` lies in. Never 0. */
uint64_t address_proof_make(const struct address_secret *secret, const void *address, size_t address_len,
	uint64_t client_session, mono_ms now, span_ms hand_window);
/* True when `proof` was made in this slot of time or one of the two before it. Constant time. */
bool address_proof_verify(const struct address_secret *secret, const void *address, size_t address_len,
	uint64_t client_session, uint64_t proof, mono_ms now, span_ms hand_window);

#endif
