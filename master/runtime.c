/* SPDX-License-Identifier: MIT
 * Directory, lock, pid file, background. */
#include "master/runtime.h"

#include "master/log.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* The umask is ours alone; others must be able to look inside. */
static int make_directory(const char *dir)
{
	if (mkdir(dir, 0755) == 0)
		return chmod(dir, 0755) < 0 ? -errno : 0;
	struct stat there;
	if (errno != EEXIST)
		return -errno;
	if (stat(dir, &there) < 0)
		return -errno;
	if (!S_ISDIR(there.st_mode))
		return -ENOTDIR;
	if ((there.st_mode & S_IWOTH) || (there.st_uid != 0 && there.st_uid != geteuid()))
		log_line(LOG_LEVEL_NOTICE,
			"WARNING: hub.runtime-dir %s: others may put files there: they can keep the hub from "
			"starting and deceive those who watch it",
			dir);
	return 0;
}

gid_t runtime_readers_group(void)
{
	const struct group *group = geteuid() == 0 ? getgrnam("vpnadm") : NULL;
	return group ? group->gr_gid : (gid_t)-1;
}

static long holder_of(int fd)
{
	char text[32] = "";
	ssize_t n = pread(fd, text, sizeof(text) - 1, 0);
	return n > 0 ? atol(text) : 0;
}

/* A file that was removed after we opened it locks nobody out. */
static bool still_there(int fd, const char *path)
{
	struct stat opened, named;
	return fstat(fd, &opened) == 0 && lstat(path, &named) == 0 && opened.st_ino == named.st_ino &&
	       opened.st_dev == named.st_dev;
}

int runtime_lock(const char *dir, const char *name, char *path, size_t room)
{
	int error = make_directory(dir);
	if (error) {
		log_line(LOG_LEVEL_ERROR, "hub.runtime-dir %s: %s", dir, strerror(-error));
		return error;
	}
	if ((size_t)snprintf(path, room, "%s/%s.lock", dir, name) >= room)
		return -ENAMETOOLONG;
	for (;;) {
		int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY, 0600);
		if (fd < 0) {
			error = -errno;
			log_line(LOG_LEVEL_ERROR, "%s: %s", path, strerror(-error));
			return error;
		}
		if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
			error = errno == EWOULDBLOCK ? -EBUSY : -errno;
			if (error == -EBUSY)
				log_line(LOG_LEVEL_ERROR,
					"A hub named %s is running already: pid %ld (another one needs its "
					"own hub.name)",
					name, holder_of(fd));
			else
				log_line(LOG_LEVEL_ERROR, "%s: %s", path, strerror(-error));
			close(fd);
			return error;
		}
		if (still_there(fd, path)) {
			fchmod(fd, 0600); /* who may open it may lock it, and us out */
			runtime_note(fd, "");
			return fd;
		}
		close(fd);
	}
}

void runtime_note(int fd, const char *line)
{
	char text[512];
	int len = snprintf(text, sizeof(text), "%ld\n%.400s%s", (long)getpid(), line, *line ? "\n" : "");
	if (ftruncate(fd, 0) == 0)
		(void)!pwrite(fd, text, (size_t)len, 0);
}

void runtime_unlock(int fd, const char *path)
{
	if (fd < 0)
		return;
	unlink(path); /* while we hold it: nobody else can have locked this very file */
	close(fd);
}

int runtime_daemonize(void)
{
	int ends[2];
	if (pipe2(ends, O_CLOEXEC) < 0)
		return -errno;
	pid_t child = fork();
	if (child < 0)
		return -errno;
	if (child > 0) {
		uint8_t status = 1;
		close(ends[1]);
		ssize_t n;
		while ((n = read(ends[0], &status, 1)) < 0 && errno == EINTR)
			;
		_exit(n == 1 ? status : 1); /* it died without a word */
	}
	close(ends[0]);
	setsid();
	return ends[1];
}

void runtime_tell(int fd, int status)
{
	if (fd < 0)
		return;
	uint8_t word = (uint8_t)status;
	if (status == 0) {
		int null = open("/dev/null", O_RDWR | O_CLOEXEC);
		for (int i = 0; null >= 0 && i < 3; i++)
			dup2(null, i);
		if (null > 2)
			close(null);
	}
	(void)!write(fd, &word, 1);
	close(fd);
}

int replacement_open(struct replacement *r, const char *path, mode_t mode)
{
	int len = snprintf(r->temporary, sizeof(r->temporary), "%s.%ld.tmp", path, (long)getpid());
	if (len < 0 || (size_t)len >= sizeof(r->temporary))
		return -ENAMETOOLONG;
	r->path = path;
	unlink(r->temporary); /* of a hub that had our pid and died */
	int fd = open(r->temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return -errno;
	if (fchmod(fd, mode) == 0 && (r->out = fdopen(fd, "w")))
		return 0;
	int error = -errno;
	close(fd);
	unlink(r->temporary);
	return error;
}

int replacement_close(struct replacement *r)
{
	bool failed = ferror(r->out) != 0;
	failed |= fclose(r->out) != 0;
	int error = failed ? -EIO : 0;
	if (!error && rename(r->temporary, r->path) < 0)
		error = -errno;
	if (error)
		unlink(r->temporary);
	return error;
}

int pid_file_write(const char *path)
{
	struct replacement r;
	int error = replacement_open(&r, path, 0644);
	if (error)
		return error;
	fprintf(r.out, "%ld\n", (long)getpid());
	return replacement_close(&r);
}

bool same_file(const struct stat *a, const struct stat *b)
{
	return a->st_ino == b->st_ino && a->st_dev == b->st_dev && a->st_size == b->st_size &&
	       a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}
