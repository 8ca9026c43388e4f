/* SPDX-License-Identifier: MIT
 * Opening and reading, with no trust in names or in who wrote. */
#include "master/client_files.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

bool client_file_name(const char *common_name, char *out, size_t room)
{
	size_t len = strlen(common_name);

	if (!len || len >= room || len > 255 || strcmp(common_name, ".") == 0 ||
		strcmp(common_name, "..") == 0)
		return false;
	for (size_t i = 0; i <= len; i++) {
		char c = common_name[i];
		out[i] = c == '\0' || (c >= ' ' && c <= '~' && c != '/') ? c : '_';
	}
	return true;
}

/* Takes the descriptor. */
static int read_all(int fd, size_t limit, char **text, size_t *len)
{
	struct stat about;
	int error = 0;
	ssize_t got;

	*text = NULL;
	*len = 0;
	if (fstat(fd, &about) < 0)
		error = -errno;
	else if (!S_ISREG(about.st_mode))
		error = -EINVAL;
	else if (about.st_size < 0 || (size_t)about.st_size > limit)
		error = -EFBIG;
	else if (!(*text = malloc((size_t)about.st_size + 1)))
		error = -ENOMEM;
	while (!error && *len < (size_t)about.st_size &&
		(got = read(fd, *text + *len, (size_t)about.st_size - *len)) != 0) {
		if (got < 0)
			error = -errno;
		else
			*len += (size_t)got;
	}
	close(fd);
	if (*text)
		(*text)[*len] = '\0';
	if (error) {
		free(*text);
		*text = NULL;
	}
	return error;
}

int client_file_read(const char *directory, const char *name, char **text, size_t *len)
{
	struct open_how how = { .flags = O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS };
	int dir = open(directory, O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (dir < 0)
		return errno == ENOENT ? -ENOTDIR
				       : -errno; /* a directory that is gone is no "no such client" */
	int fd = (int)syscall(SYS_openat2, dir, name, &how, sizeof(how));
	int error = -errno;
	close(dir);
	return fd < 0 ? error : read_all(fd, CLIENT_FILE_MAX, text, len);
}

int client_file_newer(const char *directory, const char *name, long long unix_s)
{
	struct open_how how = { .flags = O_PATH | O_CLOEXEC, .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS };
	struct stat about;
	int dir = open(directory, O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (dir < 0)
		return errno == ENOENT ? -ENOTDIR : -errno;
	int fd = (int)syscall(SYS_openat2, dir, name, &how, sizeof(how));
	int error = fd < 0 || fstat(fd, &about) < 0 ? -errno : 0;
	close(dir);
	if (fd >= 0)
		close(fd);
	return error ? error : about.st_ctim.tv_sec > unix_s || about.st_mtim.tv_sec > unix_s;
}

int answer_file_make(const char *tmp_dir, const char *stem, char path[CLIENT_PATH_MAX])
{
	int written = snprintf(path, CLIENT_PATH_MAX, "%s/%s_XXXXXX.tmp", tmp_dir, stem);

	if (written < 0 || written >= CLIENT_PATH_MAX)
		return -ENAMETOOLONG;
	int fd = mkostemps(path, 4, O_CLOEXEC); /* O_EXCL, 0600 */
	if (fd < 0)
		return -errno;
	close(fd);
	return 0;
}

int answer_file_read(const char *path, size_t limit, char **text, size_t *len)
{
	int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	*text = NULL;
	*len = 0;
	return fd < 0 ? -errno : read_all(fd, limit, text, len);
}
