/* SPDX-License-Identifier: MIT
 * Opens what a keyholder will read: key file and pass phrase, as descriptors. */
#include "common/base/secret.h"
#include "common/tls/tls.h"
#include "master/keyholder.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <termios.h>
#include <unistd.h>

enum { PASSPHRASE_MAX = 1024, KEY_FILE_MAX = 64 << 10 };

/* A descriptor to bytes that exist in no file. */
static int memory_file(const char *name, const void *bytes, size_t len)
{
	int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0)
		return -errno;
	if (write(fd, bytes, len) != (ssize_t)len ||
		fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL) < 0) {
		close(fd);
		return -EIO;
	}
	return fd;
}

static int open_file(const char *path, const char *directive, char error[KEYHOLDER_ERROR_MAX])
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK); /* a FIFO must not hold us up */
	if (fd >= 0)
		return fd;
	fd = -errno;
	snprintf(error, KEYHOLDER_ERROR_MAX, "%s: %s: %s", directive, path, strerror(errno));
	return fd;
}

int key_source_ask(const char *directive, const char *prompt, char error[KEYHOLDER_ERROR_MAX])
{
	int tty = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
	if (tty < 0) {
		snprintf(error, KEYHOLDER_ERROR_MAX, "%s: there is no terminal to ask on (name a file)", directive);
		return -ENXIO;
	}
	struct termios before, silent;
	char line[PASSPHRASE_MAX];
	ssize_t n = -1;
	int fd = -EIO;
	if (tcgetattr(tty, &before) == 0) {
		silent = before;
		silent.c_lflag &= ~(tcflag_t)ECHO;
		tcsetattr(tty, TCSAFLUSH, &silent);
		if (write(tty, prompt, strlen(prompt)) > 0)
			n = read(tty, line, sizeof(line));
		tcsetattr(tty, TCSAFLUSH, &before);
		(void)!write(tty, "\n", 1);
	}
	if (n > 0)
		fd = memory_file("passphrase", line, (size_t)n);
	else
		snprintf(error, KEYHOLDER_ERROR_MAX, "%s: no answer on the terminal", directive);
	secret_wipe(line, sizeof(line));
	close(tty);
	return fd;
}

int key_source_open(struct config *config, const struct key_source *earlier, struct key_source *out,
	char error[KEYHOLDER_ERROR_MAX])
{
	*out = (struct key_source){ .key_fd = -1, .passphrase_fd = -1 };
	error[0] = '\0';
	if (config->key.bytes) {
		out->key_fd = memory_file("key", config->key.bytes, config->key.len);
		/* the parser's arena is ours; constant only for those who read settings */
		secret_wipe((char *)(uintptr_t)config->key.bytes, config->key.len);
	} else {
		out->key_fd = open_file(config->key.path, "key", error);
	}
	if (out->key_fd < 0)
		goto failed;
	if (config->askpass && config->askpass[0])
		out->passphrase_fd = open_file(config->askpass, "askpass", error);
	else if (config->askpass && earlier && earlier->passphrase_fd >= 0)
		out->passphrase_fd = fcntl(earlier->passphrase_fd, F_DUPFD_CLOEXEC, 3);
	else if (config->askpass)
		out->passphrase_fd = key_source_ask("askpass", "Enter Private Key Password: ", error);
	if (!config->askpass || out->passphrase_fd >= 0)
		return 0;
failed:;
	int result = out->key_fd < 0 ? out->key_fd : out->passphrase_fd;
	if (!error[0])
		snprintf(error, KEYHOLDER_ERROR_MAX, "key: %s", strerror(-result));
	key_source_close(out);
	return result;
}

void key_source_close(struct key_source *source)
{
	if (source->key_fd >= 0)
		close(source->key_fd);
	if (source->passphrase_fd >= 0)
		close(source->passphrase_fd);
	*source = (struct key_source){ .key_fd = -1, .passphrase_fd = -1 };
}

/* From the start, wherever others who share the descriptor have read to. The length, or -1. */
static ssize_t read_whole(int fd, char *out, size_t room)
{
	size_t have = 0;
	while (have < room) {
		ssize_t n = pread(fd, out + have, room - have, (off_t)have);
		if (n < 0)
			return -1;
		if (n == 0)
			break;
		have += (size_t)n;
	}
	return (ssize_t)have;
}

struct tls_key *key_source_read(const struct key_source *source, char error[KEYHOLDER_ERROR_MAX])
{
	struct tls_key *key = NULL;
	char reason[TLS_REASON_MAX] = "", passphrase[PASSPHRASE_MAX] = "";
	char *pem = malloc(KEY_FILE_MAX);
	ssize_t len = pem ? read_whole(source->key_fd, pem, KEY_FILE_MAX) : -1, phrase_len = 0;
	if (source->passphrase_fd >= 0)
		phrase_len = read_whole(source->passphrase_fd, passphrase, sizeof(passphrase) - 1);
	if (len < 0 || phrase_len < 0) {
		snprintf(error, KEYHOLDER_ERROR_MAX, "key: cannot be read: %s", strerror(errno));
	} else {
		passphrase[phrase_len] = '\0';
		passphrase[strcspn(passphrase, "\r\n")] = '\0';
		key = tls_key_read(pem, (size_t)len, source->passphrase_fd >= 0 ? passphrase : NULL, reason);
		if (!key)
			snprintf(error, KEYHOLDER_ERROR_MAX, "key: %s", reason);
	}
	secret_wipe(passphrase, sizeof(passphrase));
	if (pem)
		secret_wipe(pem, KEY_FILE_MAX);
	free(pem);
	return key;
}

bool key_source_check(const struct key_source *source, const char *cert_pem, char error[KEYHOLDER_ERROR_MAX])
{
	struct tls_key *key = key_source_read(source, error);
	bool good = key && tls_key_matches(key, cert_pem);
	if (key && !good)
		snprintf(error, KEYHOLDER_ERROR_MAX, "key: does not belong to the certificate of `cert`");
	tls_key_free(&key);
	return good;
}
