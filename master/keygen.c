/* SPDX-License-Identifier: MIT
 * --genkey with the output of OpenVPN's, and --genpki. Formats are wrap/'s and tls/'s; here are files, names
 * and the clock. */
#include "master/keygen.h"

#include "common/base/secret.h"
#include "common/crypto/crypto.h"
#include "common/tls/tls.h"
#include "common/wrap/wrap.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { KEY_TEXT_MAX = 4096, METADATA_USER = 0, METADATA_TIME = 1, CA_DAYS = 3650, CERT_DAYS = 825 };

static bool write_whole(int fd, const char *text, size_t len)
{
	while (len) {
		ssize_t n = write(fd, text, len);
		if (n <= 0)
			return false;
		text += n;
		len -= (size_t)n;
	}
	return true;
}

/* Into `file` or to standard output. `exclusive`: never over an existing one. */
static bool deliver(const char *file, const char *text, size_t len, mode_t mode, bool exclusive)
{
	int fd = STDOUT_FILENO;
	if (file)
		fd = open(file, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOCTTY | (exclusive ? O_EXCL : O_TRUNC),
			mode);
	bool good = fd >= 0 && write_whole(fd, text, len);
	if (!good)
		fprintf(stderr, "%s: %s\n", file ? file : "standard output", strerror(errno));
	if (file && fd >= 0 && close(fd) < 0)
		good = false;
	return good;
}

static int digit_value(char c)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const char *at = c ? strchr(digits, c) : NULL;
	return at ? (int)(at - digits) : -1;
}

/* Base64 without blanks. Its length, or -1: not base64, or no room. */
static int decode_base64(const char *text, uint8_t *out, size_t room)
{
	size_t len = strlen(text), have = 0;
	size_t pad = len >= 2 && text[len - 2] == '=' ? 2 : len >= 1 && text[len - 1] == '=' ? 1 : 0;
	if (len % 4)
		return -1;
	for (size_t i = 0; i < len; i += 4) {
		uint32_t four = 0;
		size_t good = i + 4 == len ? 4 - pad : 4;
		for (size_t j = 0; j < 4; j++) {
			int value = j < good ? digit_value(text[i + j]) : 0;
			if (value < 0)
				return -1;
			four = four << 6 | (uint32_t)value;
		}
		for (size_t j = 0; j + 1 < good; j++) {
			if (have == room)
				return -1;
			out[have++] = (uint8_t)(four >> (16 - 8 * j));
		}
	}
	return (int)have;
}

/* The type byte, then the user's bytes or the time. False: said why. */
static bool set_metadata(struct client_key *key, const char *metadata)
{
	if (!metadata) {
		struct bytes_out out = bytes_into(key->metadata, sizeof(key->metadata));
		write_u8(&out, METADATA_TIME);
		write_u64(&out, (uint64_t)time(NULL));
		key->metadata_len = (uint16_t)out.len;
		return true;
	}
	int len = decode_base64(metadata, key->metadata + 1, sizeof(key->metadata) - 1);
	if (len < 0) {
		fprintf(stderr, "metadata: not base64, or more than %zu bytes\n", sizeof(key->metadata) - 1);
		return false;
	}
	key->metadata[0] = METADATA_USER;
	key->metadata_len = (uint16_t)(len + 1);
	return true;
}

static bool read_server_key(const char *file, struct server_key *out)
{
	char text[KEY_TEXT_MAX];
	int fd = open(file, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	ssize_t n = fd >= 0 ? read(fd, text, sizeof(text)) : -1;
	if (n < 0)
		fprintf(stderr, "%s: %s\n", file, strerror(errno));
	bool good = n >= 0 && server_key_read(text, (size_t)n, out);
	if (n >= 0 && !good)
		fprintf(stderr, "%s: no tls-crypt-v2 server key in it\n", file);
	if (fd >= 0)
		close(fd);
	secret_wipe(text, sizeof(text));
	return good;
}

static size_t make_client_key(const char *server_key_file, const char *metadata, char *text, size_t room)
{
	struct server_key server = { 0 };
	struct client_key client = { 0 };
	uint8_t wrapped[CLIENT_KEY_WRAPPED_MAX];
	size_t len = 0, wrapped_len;
	if (!server_key_file) {
		fprintf(stderr,
			"--genkey tls-crypt-v2-client requires a server key to be set via --tls-crypt-v2\n");
		return 0;
	}
	if (read_server_key(server_key_file, &server) && set_metadata(&client, metadata)) {
		crypto_random(client.key.bytes, sizeof(client.key.bytes));
		wrapped_len = client_key_wrap(&server, &client, wrapped, sizeof(wrapped));
		if (wrapped_len)
			len = client_key_file_write(&client.key, wrapped, wrapped_len, text, room);
	}
	secret_wipe(&server, sizeof(server));
	secret_wipe(&client, sizeof(client));
	return len;
}

static size_t make_static_key(char *text, size_t room)
{
	struct static_key key;
	crypto_random(key.bytes, sizeof(key.bytes));
	size_t len = static_key_write(&key, text, room);
	secret_wipe(&key, sizeof(key));
	return len;
}

static size_t make_server_key(char *text, size_t room)
{
	struct server_key key;
	crypto_random(key.bytes, sizeof(key.bytes));
	size_t len = server_key_write(&key, text, room);
	secret_wipe(&key, sizeof(key));
	return len;
}

/* Of the same size and form as a server key of tls-crypt-v2, under a title of the same length. */
static size_t make_token_key(char *text, size_t room)
{
	static const char from[] = "tls-crypt-v2", to[] = "auth-token";
	size_t len = make_server_key(text, room);
	for (char *at; len && (at = strstr(text, from));) {
		memcpy(at, to, sizeof(to) - 1);
		memmove(at + sizeof(to) - 1, at + sizeof(from) - 1, strlen(at + sizeof(from) - 1) + 1);
		len -= sizeof(from) - sizeof(to);
	}
	return len;
}

int keygen(const char *type, const char *file, const char *metadata, const char *server_key_file)
{
	char text[KEY_TEXT_MAX];
	size_t len = 0;
	if (strcmp(type, "secret") == 0 || strcmp(type, "tls-auth") == 0 || strcmp(type, "tls-crypt") == 0) {
		len = make_static_key(text, sizeof(text));
	} else if (strcmp(type, "tls-crypt-v2-server") == 0) {
		len = make_server_key(text, sizeof(text));
	} else if (strcmp(type, "tls-crypt-v2-client") == 0) {
		len = make_client_key(server_key_file, metadata, text, sizeof(text));
	} else if (strcmp(type, "auth-token") == 0) {
		len = make_token_key(text, sizeof(text));
	} else {
		fprintf(stderr,
			"unknown --genkey type: %s (known: secret, tls-auth, tls-crypt, tls-crypt-v2-server, "
			"tls-crypt-v2-client, auth-token)\n",
			type);
	}
	bool good = len && deliver(file, text, len, 0600, false);
	secret_wipe(text, sizeof(text));
	return good ? 0 : 1;
}

/* -- a small PKI -- */

static bool save(const char *directory, const char *name, const char *text, mode_t mode)
{
	char path[4096];
	if ((size_t)snprintf(path, sizeof(path), "%s/%s", directory, name) >= sizeof(path)) {
		fprintf(stderr, "%s: the name is too long\n", directory);
		return false;
	}
	return deliver(path, text, strlen(text), mode, true);
}

struct pair {
	char *cert, *key;
};

static void pair_clear(struct pair *pair)
{
	if (pair->key)
		secret_wipe(pair->key, strlen(pair->key));
	free(pair->key);
	free(pair->cert);
}

/* Makes one and saves it as NAME.crt and NAME.key. */
static bool make_pair(const char *directory, const char *name, struct pki_request request, struct pair *out)
{
	char error[TLS_REASON_MAX], cert_name[64], key_name[64];
	snprintf(cert_name, sizeof(cert_name), "%s.crt", name);
	snprintf(key_name, sizeof(key_name), "%s.key", name);
	if (!pki_make(&request, &out->cert, &out->key, error)) {
		fprintf(stderr, "%s: %s\n", name, error);
		return false;
	}
	return save(directory, key_name, out->key, 0600) && save(directory, cert_name, out->cert, 0644);
}

int pkigen(const char *directory)
{
	if (mkdir(directory, 0700) < 0 && errno != EEXIST) {
		fprintf(stderr, "%s: %s\n", directory, strerror(errno));
		return 1;
	}
	struct pair ca = { 0 }, server = { 0 }, client = { 0 };
	struct pki_request request = { .common_name = "vpnserverd CA", .days = CA_DAYS, .is_ca = true };
	bool good = make_pair(directory, "ca", request, &ca);
	request = (struct pki_request){ .common_name = "server",
		.days = CERT_DAYS,
		.is_server = true,
		.issuer_cert_pem = ca.cert,
		.issuer_key_pem = ca.key };
	good = good && make_pair(directory, "server", request, &server);
	request.common_name = "client";
	request.is_server = false;
	good = good && make_pair(directory, "client", request, &client);
	pair_clear(&ca);
	pair_clear(&server);
	pair_clear(&client);
	return good ? 0 : 1;
}
