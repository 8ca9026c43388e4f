/* SPDX-License-Identifier: MIT
 * What the system sees of a running hub: its directory, its lock, its pid file, its life in the background.
 */
#ifndef MASTER_RUNTIME_H
#define MASTER_RUNTIME_H

#include <stddef.h>

/* Makes `dir` (0755) if it is not there and takes DIR/NAME.lock; the lock lives as long as the descriptor.
 * Returns it, or a negative errno after a log line: -EBUSY names the process that holds it. `path` (room 256)
 * gets the lock's name. */
int runtime_lock(const char *dir, const char *name, char *path, size_t room);
/* Removes the lock file, then lets go of the lock. */
void runtime_unlock(int fd, const char *path);

/* Goes to the background: the calling process waits for the child's word and exits with it; returns in the
 * child. Gives the descriptor for runtime_tell(), or a negative errno. */
int runtime_daemonize(void);
/* The child's word: started (0) or the exit status. After a good start standard
 * input, output and error are closed off. */
void runtime_tell(int fd, int status);

/* Writes our pid into `path`. 0 or a negative errno. */
int pid_file_write(const char *path);

#endif
