/* SPDX-License-Identifier: MIT
 * What the parser asks the system for: files, directories, names. Nothing is created or changed. */
#include "conf/conf.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netdb.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static int read_all(int fd, struct arena *arena, size_t limit, char **bytes, size_t *len)
{
	size_t room = 16 * 1024, used = 0;
	char *buffer = arena_take(arena, room + 1);

	while (buffer) {
		if (used == room) {
			if (room > limit)
				return -EFBIG;
			char *larger = arena_take(arena, 4 * room + 1);
			if (!larger)
				break;
			memcpy(larger, buffer, used);
			explicit_bzero(buffer, used);
			buffer = larger;
			room *= 4;
		}
		ssize_t n = read(fd, buffer + used, room - used);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0) {
			if (used > limit)
				return -EFBIG;
			*bytes = buffer;
			*len = used;
			return 0;
		}
		used += (size_t)n;
	}
	return -ENOMEM;
}

/* Does not wait: a FIFO or a device where a file is expected must not hang the start. */
static int open_file(const char *path, unsigned *mode)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (fd < 0)
		return -errno;
	struct stat st;
	if (fstat(fd, &st) < 0) {
		int error = -errno;
		close(fd);
		return error;
	}
	if (S_ISDIR(st.st_mode)) {
		close(fd);
		return -EISDIR;
	}
	*mode = S_ISREG(st.st_mode) ? st.st_mode & 07777 : 0;
	fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK);
	return fd;
}

static int system_read(const struct outside *outside, struct arena *arena, const char *path, size_t limit,
	char **bytes, size_t *len, unsigned *mode)
{
	(void)outside;
	if (strcmp(path, "stdin") == 0) {
		*mode = 0;
		return read_all(STDIN_FILENO, arena, limit, bytes, len);
	}
	int fd = open_file(path, mode);
	if (fd < 0)
		return fd;
	int result = read_all(fd, arena, limit, bytes, len);
	close(fd);
	return result;
}

static int system_look(const struct outside *outside, const char *path, unsigned *mode)
{
	(void)outside;
	int fd = open_file(path, mode);
	if (fd < 0)
		return fd;
	close(fd);
	return 0;
}

static int system_directory(const struct outside *outside, const char *path, char *absolute, size_t room)
{
	(void)outside;
	struct stat st;
	char real[PATH_MAX];
	if (!realpath(path, real) || stat(real, &st) < 0)
		return -errno;
	if (!S_ISDIR(st.st_mode))
		return -ENOTDIR;
	if (strlen(real) >= room)
		return -ENAMETOOLONG;
	strcpy(absolute, real);
	return 0;
}

static bool system_resolve(
	const struct outside *outside, const char *host, int family, struct sockaddr_storage *out)
{
	(void)outside;
	struct addrinfo hints = { .ai_family = family, .ai_socktype = SOCK_DGRAM }, *found = NULL;
	if (getaddrinfo(host, NULL, &hints, &found) != 0)
		return false;
	bool ok = found->ai_addrlen <= sizeof(*out);
	if (ok)
		memcpy(out, found->ai_addr, found->ai_addrlen);
	freeaddrinfo(found);
	return ok;
}

static unsigned system_service(const struct outside *outside, const char *name)
{
	(void)outside;
	struct addrinfo hints = { .ai_family = AF_INET, .ai_socktype = SOCK_DGRAM }, *found = NULL;
	if (getaddrinfo(NULL, name, &hints, &found) != 0)
		return 0;
	unsigned port = ntohs(((struct sockaddr_in *)found->ai_addr)->sin_port);
	freeaddrinfo(found);
	return port;
}

const struct outside outside_system = {
	.read = system_read,
	.look = system_look,
	.directory = system_directory,
	.resolve = system_resolve,
	.service = system_service,
};
