/* SPDX-License-Identifier: MIT
 * Inside shm/ only: a file of the runtime directory that others may read. It is complete before it has its
 * name. */
#ifndef SHM_PUBLIC_FILE_H
#define SHM_PUBLIC_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct public_file {
	int fd;	    /* -1: none */
	void *base; /* mapped for reading and writing; NULL: not */
	size_t size;
	char path[256];
	char temporary[256]; /* "": none any more */
};

/* Sets DIR/NAMEENDING as its path. False (errno): too long. */
bool public_file_name(struct public_file *file, const char *dir, const char *name, const char *ending);
/* Makes it under a temporary name, zeros, every page allocated, mapped. False: errno; public_file_drop() it.
 */
bool public_file_begin(struct public_file *file, size_t size);
/* Gives it group ((gid_t)-1: as created), mode 0640 and its name. False: errno; public_file_drop() it. */
bool public_file_publish(struct public_file *file, gid_t group);
/* Removes what has no name yet; unmaps, closes. A published file stays. */
void public_file_drop(struct public_file *file);

/* A reader's side, which needs no rights but to open it. Copies its first bytes and its length. The
 * descriptor, or -1: errno, EBADMSG for what is no regular file or shorter than that. */
int public_file_look(const char *path, void *header, size_t header_len, off_t *len);
/* Maps it read-only and closes the descriptor. NULL: errno. */
const void *public_file_show(int fd, size_t len);

#endif
