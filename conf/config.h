/* SPDX-License-Identifier: MIT
 * The door to the configuration: what we believe once everything was checked. Made by conf/, constant from then
 * on; workers get it by fork. All strings and arrays live in the config's own arena until config_free(). */
#ifndef CONF_CONFIG_H
#define CONF_CONFIG_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/socket.h>

enum {
	CONFIG_CRL_MAX = 32 << 20,     /* a CRL has fewer bytes, at the start and when it changes */
	CONFIG_REBALANCE = 60, /* percent of a CPU, unless hub.rebalance says another number */
	CONFIG_CLIENTS_MAX = 1 << 20,  /* what the session table numbers */
	CONFIG_PASSWORD_MAX = 128,     /* of the management interface */
};

/* The bytes of a file or of an inline block, read by the parser (in the master, as root). */
struct file_text {
	const char *path; /* NULL: not configured; "[inline]" for a block */
	const char *bytes; /* terminated behind `len`; NULL when only the path is kept (keys) */
	size_t len;
};

enum proto { PROTO_UDP, PROTO_TCP };

/* One socket address to listen on, resolved. One `local` (or none) and one `proto` give one listener. */
struct listener {
	enum proto proto;
	struct sockaddr_storage address;
	socklen_t address_len;
	bool v6only;
	const char *spelled; /* for logs: "udp4 0.0.0.0:1194" */
};

enum topology_kind { TOPOLOGY_SUBNET, TOPOLOGY_NET30, TOPOLOGY_P2P };

struct pool4 {
	bool on;
	uint32_t first, last, netmask; /* host order, both ends included */
};

struct pool6 {
	bool on;
	struct in6_addr base; /* of index 0 */
	uint8_t bits;         /* of the network, for the pushed ifconfig-ipv6 */
};

struct route4 {
	uint32_t network, netmask, gateway; /* host order; gateway 0: the tunnel */
	int metric;                         /* -1: none given */
};

struct route6 {
	struct in6_addr network, gateway;
	uint8_t bits;
	bool has_gateway;
	int metric;
};

enum wrap_choice { WRAP_CHOICE_NONE, WRAP_CHOICE_AUTH, WRAP_CHOICE_CRYPT };
enum name_check { NAME_CHECK_NONE, NAME_CHECK_SUBJECT, NAME_CHECK_NAME, NAME_CHECK_PREFIX };
enum cert_profile { PROFILE_INSECURE, PROFILE_LEGACY, PROFILE_PREFERRED, PROFILE_SUITEB };
enum mssfix_kind { MSSFIX_OFF, MSSFIX_PLAIN, MSSFIX_MTU, MSSFIX_FIXED };

/* Scripts: each an argument vector that ends with NULL; NULL: none. The program's name is absolute. */
struct scripts {
	unsigned security; /* script-security: 0, 1: no script runs; 2: they do; 3: with passwords in their environment */
	const char *const *up, *const *down, *const *route_up, *const *route_pre_down;
	const char *const *client_connect, *const *client_disconnect, *const *learn_address;
	bool down_pre, up_restart;
	bool sudo; /* hub.script-sudo: programs with the setuid bit work for them */
	const char **environment; /* setenv, setenv-safe: "NAME=value", in file order */
	unsigned environment_count;
	const char *tmp_dir; /* NULL: the environment's TMPDIR, or /tmp */
};

/* Where management clients may connect beside the control socket: a UNIX socket, a TCP address, or nowhere. */
struct management {
	const char *path; /* NULL: not UNIX */
	const char *host; /* as written; NULL: not TCP */
	unsigned port;
	struct sockaddr_storage address; /* of TCP, port included */
	socklen_t address_len;
	struct file_text password; /* path "stdin": asked for on the terminal; bytes wiped by the master once it has them */
	const char *client_user, *client_group; /* NULL: not restricted */
	bool hold;
	unsigned log_cache;
	const char **echoes; /* texts of `echo` lines */
	unsigned echo_count;
};

struct config {
	const char *file; /* as given, for messages */

	/* listening */
	struct listener *listeners;
	unsigned listener_count;
	int sndbuf, rcvbuf; /* 0: our own choice */
	bool multihome_same_interface;
	int mtu_discover; /* -1: leave alone; else IP_PMTUDISC_* */

	/* device and own addresses */
	const char *dev; /* "tun", "tun7", "vpn0" */
	bool tap;
	int txqueuelen; /* 0: leave alone */
	unsigned tun_mtu, tun_mtu_max;
	unsigned occ_mtu; /* what the options string says in place of tun_mtu; 0: tun_mtu */
	bool ifconfig_on, ifconfig6_on, ifconfig_noexec, route_noexec;
	uint32_t local4, netmask4, remote4; /* host order; remote4 for net30 and p2p */
	struct in6_addr local6, remote6;
	uint8_t bits6;
	struct route4 *routes4;
	unsigned route4_count;
	struct route6 *routes6;
	unsigned route6_count;
	uint32_t server_network4, server_netmask4; /* of `server`; 0 without */
	enum topology_kind topology;

	/* clients */
	struct pool4 pool4;
	struct pool6 pool6;
	unsigned max_clients, max_routes_per_client;
	bool client_to_client, duplicate_cn;
	const char **push; /* in final order: configured lines, then what helpers add */
	unsigned push_count;
	unsigned ping_s, ping_restart_s; /* own values; 0 off */
	unsigned inactive_s;
	uint64_t inactive_bytes;
	unsigned session_timeout_s;
	const char *client_config_dir; /* NULL: none */
	bool ccd_exclusive;
	uint32_t push_network4, push_netmask4; /* where ifconfig-push should lie; netmask 0: anywhere */
	struct scripts scripts;
	unsigned connect_freq, connect_freq_s; /* 0: off */
	unsigned connect_freq_initial, connect_freq_initial_s;
	unsigned explicit_exit_notify; /* 0 off, 1 RESTART, 2 RESTART,[N] */
	enum mssfix_kind mssfix;
	unsigned mssfix_size;

	/* TLS */
	struct file_text ca, cert, extra_certs, crl;
	struct file_text key; /* .path always; .bytes only when inline (wiped by the master once handed on) */
	const char *askpass; /* NULL: not given; "": ask on the terminal */
	bool crl_is_dir;
	unsigned tls_min, tls_max; /* 0x0301..0x0304; max 0: the library's highest */
	const char *tls_cipher, *tls_groups; /* NULL: default */
	enum cert_profile profile;
	enum name_check name_check;
	const char *name_wanted;
	const char *username_field; /* "CN" */
	bool remote_cert_client;    /* remote-cert-tls client */
	bool remote_cert_server;    /* remote-cert-tls server */
	unsigned *remote_ku;        /* remote-cert-ku values; count 0 and remote_ku_any: extension must be there */
	unsigned remote_ku_count;
	bool remote_ku_any;
	const char *remote_eku;     /* remote-cert-eku; NULL without */
	uint8_t (*fingerprints)[32]; /* peer-fingerprint, SHA-256 */
	unsigned fingerprint_count;

	/* control channel */
	enum wrap_choice wrap;      /* for openers without a client key */
	const char *wrap_path;      /* of the static key's file, for messages; NULL without */
	uint8_t static_key[256];    /* tls-auth or tls-crypt */
	int key_direction;          /* -1, 0, 1 */
	bool crypt_v2;
	const char *crypt_v2_path;
	uint8_t crypt_v2_key[128];
	bool force_cookie;
	const char *auth; /* digest name as OpenVPN prints it, "SHA1" */
	unsigned tls_timeout_s, hand_window_s, tran_window_s;
	unsigned reneg_s, reneg_min_s; /* 0: never; the session picks between min and max */
	uint64_t reneg_bytes, reneg_packets;
	unsigned max_packet_size; /* control datagrams, outer headers included */

	/* data channel */
	const char *data_ciphers; /* colon list, canonical names, only what this build has */
	const char *data_ciphers_fallback; /* NULL: none */
	unsigned replay_window, replay_window_s;
	bool mute_replay_warnings;

	/* process */
	const char *user, *group; /* defaults "nobody", "nogroup" */
	unsigned workers;         /* hub.workers; 0: one per CPU */
	const char *name;         /* hub.name: of this hub, default from the config file's name */
	const char *runtime_dir;  /* hub.runtime-dir, default /run/vpnserverd */
	bool live_revoke;         /* hub.live-revoke on|off: who is revoked goes at once, default on */
	bool steering;            /* hub.steering on|off: bpf() steering, default on */
	unsigned rebalance;	  /* hub.rebalance: workers above so many percent of a CPU give sessions to idle ones; 0: off */
	bool offload;             /* hub.offload on|off: super packets to and from kernel and network, default on */
	int verb, mute;
	const char *log;          /* NULL: standard output */
	bool log_append, use_syslog, daemonize, suppress_timestamps, machine_readable, errors_to_stderr;
	const char *syslog_name;
	const char *status_file; /* NULL: none */
	unsigned status_s, status_version;
	const char *writepid, *cd; /* cd: absolute; every other file name above is already joined with it */
	int nice;
	bool mlock;
	struct management management;

	uint64_t *digests; /* of what each directive's lines and files say, by its row; 0: no line */
	void *arena; /* conf/'s own */
};

/* Where problems go: called once per problem, in file order. `hint` may be NULL. */
enum conf_severity { CONF_ERROR, CONF_WARNING };
struct conf_report {
	void (*problem)(void *context, enum conf_severity severity, const char *file, int line, const char *directive,
		const char *what, const char *hint);
	void *context;
};

/* Writes one problem as the line that logs and standard error show, `FILE:LINE: DIRECTIVE: WHAT (hint: HINT)`; the
 * parts that are NULL, or line 0, are left out. Outside bytes are escaped. Returns `out`, always terminated. */
char *config_problem_line(char *out, size_t room, const char *file, int line, const char *directive, const char *what,
	const char *hint);

/* Parses OpenVPN's command line (argv[0] is the program): `FILE`, or `--name args ...` where `--config FILE` may
 * stand anywhere; what no option of OpenVPN is (--test-config) the caller takes out before. Reads all
 * files, checks everything that needs no root, reports every problem. NULL when there was an error or no memory;
 * the caller frees the result with config_free(), which wipes keys and every byte that came from a file. */
struct config *config_read(int argc, char *const *argv, const struct conf_report *report);
void config_free(struct config **config);

/* What the change of a directive means for a hub that runs. Stands in each directive's row (options.def). */
enum conf_effect {
	EFFECT_NOTHING,
	EFFECT_AT_ONCE,       /* the master does it, nobody is replaced */
	EFFECT_BY_WORKERS,    /* at once, once the workers are replaced; clients are told nothing */
	EFFECT_NEW_CLIENTS,   /* for those who connect from now on */
	EFFECT_RENEGOTIATION, /* at a client's next renegotiation, and for those who connect from now on */
	EFFECT_BY_PUSH,       /* what clients are pushed: those who can take it get it at once */
	EFFECT_RECONNECT,     /* every client must connect anew */
	EFFECT_RESTART,       /* only a restart of the hub brings it; until then it stays as it is */
};

/* Tells of each directive whose lines, blocks or files say something else than before, in the order of the rows;
 * `how` is "new", "gone" or "changed". A CRL's content does not count here: it may change without a reload. */
typedef void conf_change_told(void *context, const char *directive, enum conf_effect effect, const char *how);
void config_changes(const struct config *before, const struct config *after, conf_change_told *told, void *context);
/* "at once", as half a sentence. */
const char *config_effect_text(enum conf_effect effect);

/* Cuts a line of `len` bytes, terminated behind them, into words in place, by the rules of the file (quotes, backslashes;
 * '#' and ';' begin a comment). Their number, or -1: `*why` says what is wrong. words[] ends with NULL. */
enum { CONFIG_WORDS_MAX = 16 };
int config_words(char *line, size_t len, char *words[CONFIG_WORDS_MAX + 1], const char **why);

/* Prints the option chapter (name, arguments, one line of help) of all options, or those whose name contains
 * `part`. */
void config_explain(FILE *out, const char *part);
/* Prints the configuration in effect, one directive a line; no secret. */
void config_print(FILE *out, const struct config *config);

#endif
