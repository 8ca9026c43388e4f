/* SPDX-License-Identifier: MIT
 * Files of single clients on disk: those in client-config-dir, and the ones through which scripts answer. For
 * the helper. No name that a client chose leads out of its directory. */
#ifndef MASTER_CLIENT_FILES_H
#define MASTER_CLIENT_FILES_H

#include <stdbool.h>
#include <stddef.h>

enum { CLIENT_FILE_MAX = 1 << 20, CLIENT_PATH_MAX = 4096 };

/* The file name for a common name: not printable and `/` become `_`. False: it has none ("", ".", "..", too
 * long). */
bool client_file_name(const char *common_name, char *out, size_t room);
/* Opens DIRECTORY/NAME below the directory, whatever links there say. 0 with the text in memory of its own
 * (free it), -ENOENT: there is none; another negative errno. */
int client_file_read(const char *directory, const char *name, char **text, size_t *len);

/* Was it written (or put there) after that second? 1, 0; -ENOENT: there is none; another negative errno. */
int client_file_newer(const char *directory, const char *name, long long unix_s);

/* An empty file of our own in `tmp_dir`, mode 0600; its path in `path`. 0 or a negative errno. */
int answer_file_make(const char *tmp_dir, const char *stem, char path[CLIENT_PATH_MAX]);
/* What it holds, at most `limit` bytes, terminated; free it. 0, -EFBIG, or another negative errno. */
int answer_file_read(const char *path, size_t limit, char **text, size_t *len);

#endif
