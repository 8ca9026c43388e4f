/* SPDX-License-Identifier: MIT
 * libvpncore: the OpenVPN protocol engine, both roles. Bytes and the time go in; bytes, events and the next deadline
 * come out. It opens no socket, asks no clock, starts no thread, keeps no global state; no call blocks and none calls
 * back (one exception, named at vpn_settings.sign). One session must not be used by two threads at a time; different
 * sessions of one endpoint may, as long as nobody changes the endpoint. */
#ifndef COMMON_ENGINE_ENGINE_H
#define COMMON_ENGINE_ENGINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef int64_t vpn_ms; /* milliseconds of the host's monotonic clock */

typedef struct vpn_endpoint vpn_endpoint; /* what all sessions of one configuration share */
typedef struct vpn_session vpn_session;   /* one peer */

enum {
	VPN_ERROR_TEXT = 256,
	VPN_DATAGRAM_MAX = 2048,   /* room that vpn_session_transmit() wants */
	VPN_HEADROOM = 64,         /* room to leave in front of a packet that is sealed, where it costs nothing */
	VPN_OVERHEAD = 24,         /* bytes that sealing writes in front of a packet, at most; nothing behind it */
	VPN_BATCH = 128,           /* most jobs in one call */
	VPN_STATIC_KEY = 256,
	VPN_SERVER_KEY = 128,
	VPN_SECRET = 32,
	VPN_KEPT_ALIGN = 64,
	VPN_NO_PEER_ID = 0xffffff,
	VPN_PROTO_PUSH_UPDATE = 1 << 12, /* in vpn_peer.proto: it takes changes of what it was pushed */
};

enum vpn_wrapping { VPN_WRAP_NONE, VPN_WRAP_AUTH, VPN_WRAP_CRYPT };
enum vpn_name_check { VPN_NAME_ANY, VPN_NAME_SUBJECT, VPN_NAME_EXACT, VPN_NAME_PREFIX };
enum vpn_profile { VPN_PROFILE_INSECURE, VPN_PROFILE_LEGACY, VPN_PROFILE_PREFERRED, VPN_PROFILE_SUITEB };

/* Start from vpn_settings_default(). Texts and arrays are borrowed during vpn_endpoint_new() only. */
typedef struct vpn_settings {
	bool server;

	/* certificates, as PEM text; NULL where not used */
	const char *ca_pem, *cert_pem, *extra_certs_pem, *crl_pem;
	const char *key_pem; /* NULL on a server: signatures come from the host (VPN_EVENT_SIGN) */
	unsigned tls_min, tls_max; /* 0x0301..0x0304; tls_max 0: the highest there is */
	const char *tls_cipher, *tls_groups;
	int profile;    /* enum vpn_profile */
	int name_check; /* enum vpn_name_check */
	const char *name_wanted, *username_field;
	bool want_client_usage, want_server_usage, want_key_usage;
	const unsigned *key_usages;
	unsigned key_usage_count;
	const char *extended_usage;
	const uint8_t (*fingerprints)[32];
	unsigned fingerprint_count;
	/* With a TLS library that cannot wait for a signature: called inside vpn_session_*(), returns the signature's
	 * length or 0. NULL where VPN_EVENT_SIGN serves. */
	size_t (*sign)(void *context, uint16_t algorithm, const uint8_t *input, size_t input_len, uint8_t *signature,
		size_t room);
	void *sign_context;

	/* wrapping of control packets */
	int wrapping;              /* enum vpn_wrapping: for peers without a client key */
	const uint8_t *static_key; /* VPN_STATIC_KEY bytes, with VPN_WRAP_AUTH and VPN_WRAP_CRYPT */
	int key_direction;         /* tls-auth: -1, 0, 1 */
	const char *auth;          /* digest of tls-auth, also announced; "SHA1" */
	const uint8_t *server_key; /* server: tls-crypt-v2 key of VPN_SERVER_KEY bytes, or NULL */
	bool force_cookie;
	const uint8_t *client_key; /* client: tls-crypt-v2 key of VPN_STATIC_KEY bytes, or NULL */
	const uint8_t *client_key_wrapped;
	size_t client_key_wrapped_len;

	/* data channel */
	const char *data_ciphers, *data_ciphers_fallback; /* colon lists; fallback may be NULL */
	unsigned replay_window, replay_window_s;
	unsigned tun_mtu, tun_mtu_max;
	unsigned told_mtu; /* what the options text that old peers compare says in place of tun_mtu; 0: tun_mtu */

	/* times and limits */
	unsigned tls_timeout_ms, hand_window_ms, tran_window_ms;
	unsigned reneg_ms, reneg_min_ms; /* 0: never; the moment is picked between the two */
	uint64_t reneg_bytes, reneg_packets;
	unsigned ping_ms, ping_restart_ms, session_timeout_ms; /* 0: off */
	unsigned inactive_ms;
	uint64_t inactive_bytes;
	unsigned max_packet_size; /* control datagrams, outer headers included */

	/* the client role */
	const char *version; /* IV_VER */
	const char *username, *password; /* NULL: none */
	uint32_t proto_mask; /* IV_PROTO bits that the client role does not announce (to play an older client) */
	uint32_t proto_more; /* and bits that it announces beside its own (to play a newer one) */
} vpn_settings;

void vpn_settings_default(vpn_settings *settings, bool server);

/* NULL: `error` names the setting and says what is wrong. `warning` is empty or names what was skipped. */
vpn_endpoint *vpn_endpoint_new(const vpn_settings *settings, char error[VPN_ERROR_TEXT],
	char warning[VPN_ERROR_TEXT]);
/* After its last session. Empties the pointer. */
void vpn_endpoint_free(vpn_endpoint **endpoint);
/* A new CRL for negotiations that begin from now on. */
bool vpn_endpoint_set_crl(vpn_endpoint *endpoint, const char *crl_pem, char error[VPN_ERROR_TEXT]);
/* There is none any more, although there should be one: new sessions fail until there is another. The old one holds for
 * those that are there. */
void vpn_endpoint_lose_crl(vpn_endpoint *endpoint);
/* Is the certificate of this issuer and serial number (vpn_peer) on the present CRL? For sessions that are there already. */
bool vpn_endpoint_revoked(const vpn_endpoint *endpoint, const uint8_t issuer[32], const char *serial);
/* How the clock given to all calls stands to Unix time; call it at start and now and then. */
void vpn_endpoint_set_clock(vpn_endpoint *endpoint, vpn_ms now, int64_t unix_s);
/* Server: the secret behind stateless answers. Without a call it is random; processes that share a port share it. The
 * one before it goes on to be accepted. */
void vpn_endpoint_set_secret(vpn_endpoint *endpoint, const uint8_t secret[VPN_SECRET]);
/* Which life of which process this is: stands in the packet id counters, so that a process that lost a session to its
 * successor cannot seal for it any more. Default 1. */
void vpn_endpoint_set_epoch(vpn_endpoint *endpoint, uint16_t epoch);

/* -- server: a datagram from an unknown sender -- */

enum vpn_verdict { VPN_CONTACT_DROP, VPN_CONTACT_REPLY, VPN_CONTACT_OPEN };

typedef struct vpn_contact {
	int verdict; /* enum vpn_verdict */
	int fate;    /* enum fate: why it was dropped */
	uint8_t reply[160];
	size_t reply_len;
	/* for VPN_CONTACT_OPEN: what vpn_session_accept() needs; secret */
	uint64_t local_session, remote_session;
	bool proven, has_client_key;
	uint8_t client_key[VPN_STATIC_KEY];
	uint8_t metadata[736];
	size_t metadata_len;
} vpn_contact;

/* Looks at it, keeps nothing, allocates nothing. `address` is anything that stands for the sender's address and port.
 * The datagram is not changed. Wipe the result after use. */
void vpn_first_contact(const vpn_endpoint *endpoint, const void *address, size_t address_len, const void *datagram,
	size_t len, vpn_ms now, vpn_contact *out);

/* -- sessions -- */

/* What of a session must outlive its process: plain bytes, no pointers, secret. The host gives vpn_kept_size() bytes,
 * VPN_KEPT_ALIGN aligned and zeroed, for example in shared memory, and they live as long as the session; NULL: the
 * session keeps them itself. */
size_t vpn_kept_size(void);
/* Equal in two builds: what one kept the other can adopt. */
unsigned vpn_kept_layout(void);

/* A server's session for an opened contact; give it the datagram next, with vpn_session_receive(). NULL: no memory. */
vpn_session *vpn_session_accept(vpn_endpoint *endpoint, const vpn_contact *contact, void *kept, vpn_ms now);
/* A client's session; transmit gives the opener. */
vpn_session *vpn_session_connect(vpn_endpoint *endpoint, void *kept, vpn_ms now);
/* A session rebuilt from what its dead process kept: data goes on at once, control by a renegotiation that starts at
 * `renegotiate_at` or as soon as the peer says something. NULL: it had no data keys yet, or no memory. */
vpn_session *vpn_session_adopt(vpn_endpoint *endpoint, void *kept, vpn_ms now, vpn_ms renegotiate_at);
/* True if another process could adopt it now and the peer would notice nothing: open, no negotiation under way, no
 * key that is very new, nothing said that is not acknowledged. It need not stay so. */
bool vpn_session_at_rest(const vpn_session *session, vpn_ms now);
/* A server's open session whose control channel is lost (after an adoption in the middle of a renegotiation, or one that
 * failed): its peer began anew from the same address, and proved with a cookie that it is there. The session goes on with
 * a new TLS handshake, of the same peer only; keys, peer id and addresses stay. VPN_EVENT_IDENTIFIED comes again, then
 * VPN_EVENT_REKEYED. True: give it the datagram next. False: not such a case, the contact is a stranger's. */
bool vpn_session_renew(vpn_session *session, const vpn_contact *contact, vpn_ms now);
/* Frees it, empties the pointer. `wipe_kept` false leaves the kept bytes for an adopter. */
void vpn_session_free(vpn_session **session, bool wipe_kept);

/* A control datagram; changed in place. Returns its fate (enum fate; FATE_CONSUMED when taken). With FATE_WRONG_SESSION
 * for another sender's session id the datagram is unchanged: a server may ask vpn_first_contact() about it. */
int vpn_session_receive(vpn_session *session, void *datagram, size_t len, vpn_ms now);
/* The next datagram to send: its length, or 0: nothing left. `room` at least VPN_DATAGRAM_MAX. */
size_t vpn_session_transmit(vpn_session *session, void *out, size_t room, vpn_ms now);
/* Does what time demands; call it when vpn_session_wake_at() has come, then transmit. */
void vpn_session_tick(vpn_session *session, vpn_ms now);
/* When to call next. Moves only later by data packets, so it need not be asked after each. INT64_MAX: never. */
vpn_ms vpn_session_wake_at(const vpn_session *session);

enum vpn_event_kind {
	VPN_EVENT_SIGN = 1,   /* sign `data` by `number` (TLS SignatureScheme), answer vpn_session_signed() */
	VPN_EVENT_IDENTIFIED, /* server: the peer is known (vpn_session_peer); answer vpn_session_admit() or _refuse() */
	VPN_EVENT_OPEN,       /* data keys are in use for the first time */
	VPN_EVENT_REKEYED,    /* a renegotiation is done; `number`: its key id */
	VPN_EVENT_PUSHED,     /* client: one PUSH_REPLY, `text` */
	VPN_EVENT_TEXT,       /* a text message that the engine does not handle */
	VPN_EVENT_NOTE,       /* something for the log, `text`; `number`: verbosity 1..4 */
	VPN_EVENT_CLOSED,     /* the session is over, `text` says why; only vpn_session_free() may follow */
};

typedef struct vpn_event {
	int kind; /* enum vpn_event_kind */
	int number;
	const char *text; /* never NULL; borrowed until the next call for this session, as `data` */
	const uint8_t *data;
	size_t len;
} vpn_event;

/* Takes the oldest event; false: there is none. */
bool vpn_session_next_event(vpn_session *session, vpn_event *out);

/* Who the peer is; filled from VPN_EVENT_IDENTIFIED (server) or VPN_EVENT_OPEN (client) on. Borrowed. */
typedef struct vpn_peer {
	const char *common_name, *subject, *serial;
	const uint8_t *fingerprint, *issuer; /* SHA-256 of its certificate and of its issuer's name, 32 bytes each */
	const char *username, *password; /* empty without; wiped once admitted or refused */
	const char *peer_info;           /* cleaned lines */
	const char *version, *platform;
	const char *cipher;              /* data cipher, "" before it is chosen */
	const char *tls;                 /* "TLSv1.3 ..." */
	uint32_t proto;
	unsigned mtu;
} vpn_peer;
void vpn_session_peer(const vpn_session *session, vpn_peer *out);
/* From sending a control message to its acknowledgement, smoothed as TCP does; -1: none was acknowledged yet. */
vpn_ms vpn_session_round_trip(const vpn_session *session);

/* The host's answers. `options` are pushed in order and copied; the engine adds peer-id, cipher, flags and MTU. */
typedef struct vpn_grant {
	const char *const *options;
	size_t option_count;
	uint32_t peer_id;
} vpn_grant;
bool vpn_session_admit(vpn_session *session, const vpn_grant *grant, vpn_ms now);
void vpn_session_refuse(vpn_session *session, const char *reason, vpn_ms now);
/* len 0: refused; the handshake fails. */
void vpn_session_signed(vpn_session *session, const uint8_t *signature, size_t len, vpn_ms now);

/* Sends a text message ("RESTART,[N]"); kept until the control channel can carry it. False: too long or too many. */
bool vpn_session_say(vpn_session *session, const char *text, vpn_ms now);
/* Ends it: says `text` first (NULL: silently, for a client EXIT where agreed on) and closes `linger` ms later. */
void vpn_session_close(vpn_session *session, const char *text, const char *reason, vpn_ms linger, vpn_ms now);
/* Starts a renegotiation now, unless one is going on. */
void vpn_session_renegotiate(vpn_session *session, vpn_ms now);
/* True once data keys are in use. */
bool vpn_session_is_open(const vpn_session *session);
/* Who the data keys belong to even after an adoption: the locked common name. */
const char *vpn_session_name(const vpn_session *session);
/* Bytes and packets of tunnel payload, since birth or adoption. */
void vpn_session_traffic(const vpn_session *session, uint64_t *bytes_in, uint64_t *bytes_out);

/* -- the data way -- */

typedef struct vpn_job {
	vpn_session *session;
	uint8_t *data; /* in: datagram or packet; out: packet or datagram, in the same memory */
	uint32_t len;
	uint32_t head;    /* vpn_seal: with a payload apart, the bytes of the packet that are at `data` */
	uint8_t *payload; /* vpn_seal: where the packet's other bytes are; NULL: at `data` too */
	int fate;       /* enum fate. In: FATE_NONE, others are skipped. Out: FATE_NONE: go on with it */
	bool attention; /* out: the session has events or something to transmit */
} vpn_job;

/* Datagrams (DATA_V1, DATA_V2) to inner packets. FATE_CONSUMED: a ping or the like. n <= VPN_BATCH. Datagrams of one
 * session keep their order. */
void vpn_open(vpn_job *jobs, size_t n, vpn_ms now);
/* Inner packets to datagrams; VPN_OVERHEAD bytes in front of `data` are free. n <= VPN_BATCH. A packet whose payload lies
 * apart is sealed to `data`, with room for `len` bytes there, without being put together first: as segments of one long
 * packet are. It overwrites the `head` bytes in front of `payload`, when all jobs before it are done. */
void vpn_seal(vpn_job *jobs, size_t n, vpn_ms now);

/* -- for clients and tests -- */

/* What a server pushed to this client: "10.8.0.2 255.255.255.0", "fd00::2/64 fd00::1"; "" if nothing. */
const char *vpn_session_ifconfig(const vpn_session *session, bool ip6);
/* Name and sentence of a fate ("REPLAYED"). Static. */
const char *vpn_fate_name(int fate);
const char *vpn_fate_sentence(int fate);
int vpn_fate_count(void);
const char *vpn_version(void);

#ifdef __cplusplus
}
#endif

#endif
