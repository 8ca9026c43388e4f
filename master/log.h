/* SPDX-License-Identifier: MIT
 * Log lines, in OpenVPN's form. Levels are those of `verb`: 0 errors, 1 what every administrator should see,
 * 3 the usual detail, 4 and more for finding faults. */
#ifndef MASTER_LOG_H
#define MASTER_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <time.h>

enum log_level { LOG_LEVEL_ERROR = 0, LOG_LEVEL_NOTICE = 1, LOG_LEVEL_INFO = 3, LOG_LEVEL_DETAIL = 4 };
enum { LOG_TEXT_MAX = 1024 };

/* How lines look and where they go; strings are borrowed during log_open() only. */
struct log_settings {
	const char *file; /* NULL: standard output, or syslog */
	bool append, use_syslog, suppress_timestamps, machine_readable, errors_to_stderr;
	const char *syslog_name;
	const char *syslog_socket; /* NULL: /dev/log */
	int verb;		   /* lines of a higher level are left out */
	int mute;		   /* at most so many lines of one kind in a row; 0: all */
};

/* Begins to write as the settings say, and never waits for a reader: lines that a full pipe, a stopped
 * terminal or a slow syslog daemon does not take at once are lost (and counted, but for syslog). Before the
 * first call lines go to standard output with time stamps. Called again (reload) it opens the file anew,
 * never truncating it a second time. 0 or a negative errno (the old way stays). */
int log_open(const struct log_settings *settings);
/* The file is one that the program before us wrote to: log_open() does not truncate it. */
void log_go_on(void);
/* Writes one line. */
void log_line(int level, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Writes one line that another process wrote: everything unprintable is escaped. */
void log_foreign(int level, const char *text, size_t len);

/* Who hears of every line that is written, as it is written: one, or NULL. It must not log itself. */
typedef void log_listener(void *context, time_t when, int level, const char *text);
void log_listen(log_listener *listener, void *context);
/* `verb` and `mute` as they are now; a change lasts until the next log_open(). */
int log_verb(void);
void log_set_verb(int verb);
int log_mute(void);
void log_set_mute(int mute);
/* Lines that begin with WARNING are. */
bool log_is_warning(const char *text);

/* One line as it goes to a file, with its line feed: into `out`, returns its length (cut when too long). */
size_t log_format(char *out, size_t room, const struct log_settings *settings, struct timespec when,
	int level, const char *text);
/* Two texts of one kind differ in numbers only: a hash of the rest, for `mute`. */
unsigned log_kind(const char *text);

#endif
