/* SPDX-License-Identifier: MIT
 * Makes keys: the standalone commands --genkey and --genpki. */
#ifndef MASTER_KEYGEN_H
#define MASTER_KEYGEN_H

/* One key of `type` (secret, tls-auth, tls-crypt, tls-crypt-v2-server, tls-crypt-v2-client, auth-token) into
 * `file` (mode 0600), or standard output when that is NULL. A client key needs `server_key_file`, and carries
 * `metadata` (base64, NULL: the time of now). The exit status; what went wrong is said on standard error. */
int keygen(const char *type, const char *file, const char *metadata, const char *server_key_file);
/* A small PKI in `directory`, made if it is not there: ca, server and client, as .crt and .key files.
 * Existing files are never overwritten. The exit status. */
int pkigen(const char *directory);

#endif
