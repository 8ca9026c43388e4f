/* SPDX-License-Identifier: MIT
 * What the system sees of a running hub: its directory, its lock, its pid file, its life in the background.
 */
#ifndef MASTER_RUNTIME_H
#define MASTER_RUNTIME_H

#include <stdbool.h>
#include <limits.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/types.h>

/* Makes `dir` (0755) if it is not there and takes DIR/NAME.lock; the lock lives as long as the descriptor.
 * Returns it, or a negative errno after a log line: -EBUSY names the process that holds it. `path` (room 256)
 * gets the lock's name. */
int runtime_lock(const char *dir, const char *name, char *path, size_t room);
/* Who may read the statistics and use the control socket without being root: the group vpnadm, where there is one and we
 * may give it something; (gid_t)-1. */
gid_t runtime_readers_group(void);
/* Writes our pid into the lock file, and behind it a line that scripts read: how the last upgrade went ("": none). */
void runtime_note(int fd, const char *line);
/* Removes the lock file, then lets go of the lock. */
void runtime_unlock(int fd, const char *path);

/* Goes to the background: the calling process waits for the child's word and exits with it; returns in the
 * child. Gives the descriptor for runtime_tell(), or a negative errno. */
int runtime_daemonize(void);
/* The child's word: started (0) or the exit status. After a good start standard
 * input, output and error are closed off. */
void runtime_tell(int fd, int status);

/* A file that others read while we write it: they see the old one or the new one, whole. It is put in place
 * by name, so whatever stands there (a link, a FIFO) is never opened. Not synced to disk: after a crash of
 * the machine nobody wants it. */
struct replacement {
	FILE *out; /* to write to */
	const char *path;
	char temporary[PATH_MAX];
};

/* `path` lives on until the close. 0 or a negative errno, then there is nothing to close. */
int replacement_open(struct replacement *r, const char *path, mode_t mode);
/* Puts it in place. 0 or a negative errno: then the old one stays. */
int replacement_close(struct replacement *r);

/* Writes our pid into `path`, readable by all. 0 or a negative errno. */
int pid_file_write(const char *path);

/* The same file with the same content, as far as one can see without reading. */
struct stat;
bool same_file(const struct stat *a, const struct stat *b);

#endif
