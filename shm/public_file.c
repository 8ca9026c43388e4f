/* SPDX-License-Identifier: MIT
 * Files for readers outside. */
#include "shm/public_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

bool public_file_name(struct public_file *file, const char *dir, const char *name, const char *ending)
{
	*file = (struct public_file){ .fd = -1 };
	errno = ENAMETOOLONG;
	return snprintf(file->path, sizeof(file->path), "%s/%s%s", dir, name, ending) <
	       (int)sizeof(file->path);
}

bool public_file_begin(struct public_file *file, size_t size)
{
	const char *slash = file->path;
	int dir_len;

	for (const char *at = file->path; *at; at++)
		if (*at == '/')
			slash = at;
	dir_len = (int)(slash - file->path);
	if (snprintf(file->temporary, sizeof(file->temporary), "%.*s/.%s.%ld", dir_len, file->path, slash + 1,
		    (long)getpid()) >= (int)sizeof(file->temporary)) {
		file->temporary[0] = 0;
		errno = ENAMETOOLONG;
		return false;
	}
	unlink(file->temporary);
	file->fd = open(file->temporary, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (file->fd < 0) {
		file->temporary[0] = 0;
		return false;
	}
	/* Every page now: a full file system is an error here, not a SIGBUS in a worker later. */
	errno = posix_fallocate(file->fd, 0, (off_t)size);
	if (errno)
		return false;
	void *base = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, file->fd, 0);
	if (base == MAP_FAILED)
		return false;
	file->base = base;
	file->size = size;
	return true;
}

bool public_file_publish(struct public_file *file, gid_t group)
{
	if (group != (gid_t)-1 && fchown(file->fd, (uid_t)-1, group) != 0)
		return false;
	if (fchmod(file->fd, 0640) != 0 || rename(file->temporary, file->path) != 0)
		return false;
	file->temporary[0] = 0;
	return true;
}

void public_file_drop(struct public_file *file)
{
	int error = errno;

	if (file->temporary[0])
		unlink(file->temporary);
	if (file->base)
		munmap(file->base, file->size);
	if (file->fd >= 0)
		close(file->fd);
	*file = (struct public_file){ .fd = -1 };
	errno = error;
}

int public_file_look(const char *path, void *header, size_t header_len, off_t *len)
{
	struct stat st;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

	if (fd < 0)
		return -1;
	if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) ||
		pread(fd, header, header_len, 0) != (ssize_t)header_len) {
		close(fd);
		errno = EBADMSG;
		return -1;
	}
	*len = st.st_size;
	return fd;
}

const void *public_file_show(int fd, size_t len)
{
	const void *base = mmap(NULL, len, PROT_READ, MAP_SHARED, fd, 0);

	close(fd);
	return base == MAP_FAILED ? NULL : base;
}
