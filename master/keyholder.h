/* SPDX-License-Identifier: MIT
 * The process that holds the private key. It gets the key file's descriptor and reads it itself, so the key
 * never enters the master; it answers "sign this" on one private channel per worker
 * (worker/keyholder_wire.h), only for what has the form of a TLS server's handshake, and can do nothing else.
 */
#ifndef MASTER_KEYHOLDER_H
#define MASTER_KEYHOLDER_H

#include "conf/config.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct tls_key;

enum { KEYHOLDER_ERROR_MAX = 320, KEYHOLDER_SIGNS_PER_SECOND = 2000 };

/* Where the key and its pass phrase come from. Only descriptors: they stay open so that a keyholder that died
 * can have a successor. */
struct key_source {
	int key_fd;
	int passphrase_fd; /* -1: none */
};

/* Opens both files; what the configuration has inline goes into a memfd and is wiped there. With askpass and
 * no file the terminal is asked: call it before the process leaves its terminal. `earlier` (may be NULL):
 * where to take the pass phrase from when the terminal cannot be asked again. 0 or a negative errno, `error`
 * says which file. */
int key_source_open(struct config *config, const struct key_source *earlier, struct key_source *out,
	char error[KEYHOLDER_ERROR_MAX]);
/* Asks on the terminal, without echo. A descriptor to the answer, or a negative errno and `error`, which names the
 * directive. */
int key_source_ask(const char *directive, const char *prompt, char error[KEYHOLDER_ERROR_MAX]);
void key_source_close(struct key_source *source);
/* Reads the key, decrypts it: for the keyholder itself. NULL: `error` says why. */
struct tls_key *key_source_read(const struct key_source *source, char error[KEYHOLDER_ERROR_MAX]);
/* For --test-config: reads the key here and now and compares it with the certificate. False: `error` says
 * what is wrong. */
bool key_source_check(const struct key_source *source, const char *cert_pem, char error[KEYHOLDER_ERROR_MAX]);

struct keyholder {
	pid_t pid;
	int control; /* our end: channels go out, reports come in */
};

struct keyholder_birth {
	struct key_source source;
	const char *cert_pem;
	uid_t uid;
	gid_t gid;
	bool must_lock;		       /* fail when its memory cannot be locked */
	bool silent;		       /* close off standard error too */
	void (*forget)(void *context); /* called in the child: lets go of what the fork copied; may be NULL */
	void *context;
};

/* Forks one and waits until it has read the key, found it to belong to the certificate, given up every right
 * and locked itself in. 0 or a negative errno, `error` says why. The child is reaped by whoever reaps all
 * children. */
int keyholder_start(
	const struct keyholder_birth *birth, struct keyholder *out, char error[KEYHOLDER_ERROR_MAX]);
/* A new private channel for a worker, replacing its earlier one. Returns the worker's end, or a negative
 * errno. */
int keyholder_channel(struct keyholder *keyholder, unsigned worker);
/* Takes the reports that are there and logs those worth it. False: the keyholder is gone. */
bool keyholder_listen(struct keyholder *keyholder);
/* It ends by itself once the last worker that has a channel to it is gone. */
void keyholder_let_go(struct keyholder *keyholder);

#endif
