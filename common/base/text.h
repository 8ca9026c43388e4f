/* SPDX-License-Identifier: MIT
 * Text from outside on its way to a log line, a status file or a terminal: one escape function for all. */
#ifndef COMMON_BASE_TEXT_H
#define COMMON_BASE_TEXT_H

#include <stddef.h>

/* Copies `len` bytes of `from` into `out` (`room` bytes, always terminated; cut when too long). Bytes outside
 * printable ASCII, the backslash and every character of `also` (may be NULL) become \xNN. Returns `out`. */
char *text_escape(char *out, size_t room, const char *from, size_t len, const char *also);

/* Lower-case hex of `len` bytes into `out` (2 * len + 1 bytes, or cut). Returns `out`. */
char *text_hex(char *out, size_t room, const void *bytes, size_t len);

#endif
