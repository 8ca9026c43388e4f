/* SPDX-License-Identifier: MIT
 * The door to what both sides tell each other inside TLS: the key message, peer info, the choice of the data cipher,
 * pushed settings and text messages. Text to struct and back, nothing kept. Formats: OpenVPN's src/openvpn/ssl.c
 * (key method 2), ssl_ncp.c, push.c. */
#ifndef COMMON_NEGOTIATE_NEGOTIATE_H
#define COMMON_NEGOTIATE_NEGOTIATE_H

#include "common/base/bytes.h"
#include "common/data/data.h"
#include "common/keys/keys.h"

enum {
	OPTIONS_TEXT_MAX = 512,   /* NUL included */
	CREDENTIAL_MAX = 4096,    /* NUL included: what peers with long passwords (PKCS#11 builds) send */
	PEER_INFO_MAX = 2048,
	CONTROL_TEXT_MAX = 2048,  /* one text message, NUL included */
	PUSH_BUNDLE = 1024,       /* one PUSH_REPLY, NUL included */
	PUSH_OPTION_MAX = 255,
	CIPHER_LIST_MAX = 128,
};

/* -- key_message.c: the first message both sides send -- */

struct key_message {
	uint8_t pre_master[PRE_MASTER_LEN]; /* the client's only */
	uint8_t random1[KEY_RANDOM_LEN], random2[KEY_RANDOM_LEN];
	char options[OPTIONS_TEXT_MAX];
	char username[CREDENTIAL_MAX], password[CREDENTIAL_MAX];
	char peer_info[PEER_INFO_MAX];
	bool credentials_too_long;
};

/* Reads a message from a client (`from_client`) or a server. False: it does not parse, or its options text is over-long;
 * *out is wiped then. Fields that are missing at the end are empty, over-long credentials and peer infos too. Bytes
 * behind the last field are ignored. Holds secrets: wipe it. */
bool key_message_read(struct bytes in, bool from_client, struct key_message *out);
/* Writes one; its length, or 0 when there is no room. A server's has no credentials and no peer info, whatever *in
 * holds. */
size_t key_message_write(const struct key_message *in, bool from_client, void *out, size_t room);

/* -- peer_info.c -- */

/* Bits of IV_PROTO. */
enum {
	PROTO_DATA_V2 = 1 << 1,
	PROTO_REQUEST_PUSH = 1 << 2,
	PROTO_TLS_KEY_EXPORT = 1 << 3,
	PROTO_AUTH_PENDING_KW = 1 << 4,
	PROTO_NCP_P2P = 1 << 5,
	PROTO_DNS_OPTION = 1 << 6,
	PROTO_CC_EXIT_NOTIFY = 1 << 7,
	PROTO_AUTH_FAIL_TEMP = 1 << 8,
	PROTO_DYN_TLS_CRYPT = 1 << 9,
	PROTO_DATA_EPOCH = 1 << 10,
	PROTO_DNS_OPTION_V2 = 1 << 11,
	PROTO_PUSH_UPDATE = 1 << 12,
};

struct peer_info {
	uint32_t proto;     /* IV_PROTO, 0 if absent */
	unsigned mtu;       /* IV_MTU, 0 if absent */
	unsigned ncp;       /* IV_NCP, 0 if absent */
	char ciphers[CIPHER_LIST_MAX + 256]; /* IV_CIPHERS, empty if absent */
	char version[32], platform[16];      /* IV_VER, IV_PLAT */
	bool comp_stub_v2;
};

/* Reads `KEY=value` lines. Over-long and ill-formed lines, keys that are not IV_*, UV_* or ID, numbers that are none and
 * repetitions are skipped and counted in the return value. Texts are cleaned as by peer_info_clean(). */
unsigned peer_info_read(const char *text, struct peer_info *out);
/* The client role's own lines (IV_VER, IV_PLAT, IV_TCPNL, IV_MTU, IV_NCP, IV_CIPHERS, IV_PROTO); length without the NUL,
 * or 0 when there is no room. `mtu` 0: no IV_MTU. IV_NCP is told when both AES-GCM ciphers of 2.4 are in the list. */
size_t peer_info_write(const char *version, uint32_t proto, unsigned mtu, const char *ciphers, char *out, size_t room);
/* True when `name` is an item of a colon list, as IV_CIPHERS is one. Compares exactly. */
bool cipher_list_has(const char *list, const char *name);
/* Makes a peer info text fit to be shown or exported: value characters that are not printable or are blank, '$', '(' or
 * '`' become '_'. In front of a line's first '=' all but letters, digits and '_' becomes '?', so that an ill-formed key stays
 * one. In place. */
void peer_info_clean(char *text);

/* -- cipher_choice.c -- */

/* The data cipher for a client: first of `ours` (colon list; a '?' in front of a name and names that are none of ours are
 * passed over) that the client can use. `options` is the client's options text ("V4,...,cipher X"), `fallback` is for
 * clients that name no cipher at all (NULL: none). *push_it tells whether the client must be told. CIPHER_UNKNOWN: none
 * fits. Rules: OpenVPN's src/openvpn/ssl_ncp.c. */
enum cipher cipher_choose(const char *ours, const char *fallback, const struct peer_info *peer, const char *options,
	bool *push_it);
/* The value of the first item of that name in an options text ("cipher", "auth"; empty for a bare "comp-lzo"); false when
 * it is not there or longer than `room` - 1. */
bool options_item(const char *options, const char *item, char *value, size_t room);

/* What both sides announce in the options text. */
struct options_facts {
	bool server, tls_auth, tcp, udp6; /* udp6 is announced as UDPv4 too */
	unsigned tun_mtu, told_mtu; /* told_mtu: announced in its place; 0: tun_mtu */
	int key_direction; /* -1: none */
	/* cipher: NULL when it is none of the data ciphers; the sizes are then those of BF-CBC, the default that old
	 * peers assume. auth: the digest of the data channel ("SHA1"), announced only for ciphers that need one. */
	const char *cipher, *auth;
};
/* Writes the text; its length without the NUL, or 0 when there is no room. `link-mtu` is what old peers compute, which is
 * more than what is ever sent (OpenVPN's src/openvpn/mtu.c). */
size_t options_text(const struct options_facts *facts, char *out, size_t room);

/* -- push.c: settings to PUSH_REPLY messages and back -- */

/* Cuts a list of options into messages. Call with *at = 0; each call writes one message (terminated, the NUL counted in
 * the length) and moves *at; returns its length, 0 when all is said or when `room` is below PUSH_BUNDLE. With nothing to
 * say there is one message with "ping-restart 0", never a bare PUSH_REPLY, which OpenVPN 3 refuses. Options that are
 * empty, have a comma or a byte outside printable ASCII, or are over PUSH_OPTION_MAX are left out. */
size_t push_reply_write(const char *const *options, size_t count, size_t *at, char *out, size_t room);
/* The same for PUSH_UPDATE; nothing to say: no message. */
size_t push_update_write(const char *const *options, size_t count, size_t *at, char *out, size_t room);
/* What to say in updates so that a client that was pushed `before` has `after`: each kind of option that differs, anew
 * (or "-route": gone). `out` has room for before_count + after_count; borrowed. *all: nothing that cannot be updated
 * differs. */
size_t push_update_options(const char *const *before, size_t before_count, const char *const *after, size_t after_count,
	const char **out, bool *all);

/* What the client role makes of the pushed options it knows. Others stay in `text` for the host. */
struct pushed {
	uint32_t peer_id;           /* WIRE_PEER_ID_NONE: none pushed */
	enum cipher cipher;         /* CIPHER_UNKNOWN: none pushed */
	bool tls_ekm, cc_exit, dyn_tls_crypt;
	unsigned ping_s, ping_restart_s, tun_mtu;
	bool more;                  /* push-continuation 2: further messages follow */
	bool unusable;              /* a cipher, protocol flag, framing or peer id that we cannot obey */
	char ifconfig[64], ifconfig6[128];
};
/* Adds one PUSH_REPLY message to what earlier ones said (start with pushed_init). False: not a PUSH_REPLY. */
void pushed_init(struct pushed *p);
bool pushed_read(struct pushed *p, const char *message);

/* -- control_text.c -- */

enum control_kind {
	TEXT_UNKNOWN, TEXT_PUSH_REQUEST, TEXT_PUSH_REPLY, TEXT_PUSH_OTHER, TEXT_AUTH_FAILED, TEXT_RESTART, TEXT_HALT,
	TEXT_INFO, TEXT_INFO_PRE, TEXT_CR_RESPONSE, TEXT_AUTH_PENDING, TEXT_EXIT,
};

/* Takes the next NUL-terminated message out of a record: copies it (CR and LF at its end stripped) and moves the
 * cursor. False when nothing is left. *bad tells that what was there is unterminated, over-long or has a byte outside
 * printable ASCII: it is skipped, `out` is empty. */
bool control_text_next(struct bytes *record, char out[CONTROL_TEXT_MAX], bool *bad);
/* Which message, by the word in front of the first comma; *rest points behind that comma (or to an empty string). */
enum control_kind control_text_kind(const char *text, const char **rest);

#endif
