/* SPDX-License-Identifier: MIT
 * Log lines to standard output, a file or syslog: "2026-11-22 15:43:40 text", or machine-readable. The only
 * state is the one log of this process. Workers have none: their lines come as answers. */
#include "master/log.h"

#include "common/base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <syslog.h>
#include <unistd.h>

static struct {
	struct log_settings settings;
	int fd; /* 0: not opened, lines go to standard output */
	bool opened_before;
	char syslog_name[64];
	unsigned last_kind;
	int in_a_row; /* lines of last_kind, shown or not */
} the_log = { .settings = { .verb = 1 } };

int log_open(const struct log_settings *settings)
{
	int fd = 0;
	if (settings->file) {
		int truncate = settings->append || the_log.opened_before ? 0 : O_TRUNC;
		fd = open(settings->file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY | truncate,
			0640);
		if (fd < 0)
			return -errno;
	}
	if (the_log.fd > 0)
		close(the_log.fd);
	if (the_log.settings.use_syslog)
		closelog();
	the_log.fd = fd;
	the_log.opened_before = the_log.opened_before || settings->file;
	the_log.settings = *settings;
	the_log.settings.use_syslog = settings->use_syslog && !settings->file;
	the_log.settings.file = NULL;
	if (the_log.settings.use_syslog) {
		/* syslog keeps the pointer */
		snprintf(the_log.syslog_name, sizeof(the_log.syslog_name), "%s",
			settings->syslog_name ? settings->syslog_name : "vpnserverd");
		openlog(the_log.syslog_name, LOG_PID, LOG_DAEMON);
	}
	the_log.settings.syslog_name = NULL;
	return 0;
}

static bool is_warning(const char *text)
{
	return strncmp(text, "WARNING", 7) == 0;
}

size_t log_format(char *out, size_t room, const struct log_settings *settings, struct timespec when,
	int level, const char *text)
{
	int n;
	if (settings->machine_readable) {
		/* stock's message flags: 0x20 an error, 0x40 a warning, else the level alone */
		unsigned flags = level <= 0 ? 0x20 : is_warning(text) ? 0x40 : (unsigned)level & 0x0f;
		n = snprintf(out, room, "%lld.%06ld %x %s\n", (long long)when.tv_sec, when.tv_nsec / 1000,
			flags, text);
	} else if (settings->suppress_timestamps) {
		n = snprintf(out, room, "%s\n", text);
	} else {
		char stamp[32];
		struct tm local;
		localtime_r(&when.tv_sec, &local);
		strftime(stamp, sizeof(stamp), "%Y-%m-%d %H:%M:%S", &local);
		n = snprintf(out, room, "%s %s\n", stamp, text);
	}
	if (n < 0)
		return 0;
	if ((size_t)n >= room) {
		n = (int)room - 1;
		out[n - 1] = '\n';
	}
	return (size_t)n;
}

unsigned log_kind(const char *text)
{
	uint32_t hash = 2166136261u;
	for (; *text; text++)
		if (*text < '0' || *text > '9')
			hash = (hash ^ (uint8_t)*text) * 16777619u;
	return hash;
}

static void write_all(int fd, const char *at, size_t left)
{
	while (left) {
		ssize_t n = write(fd, at, left);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return; /* nobody left to tell */
		at += n;
		left -= (size_t)n;
	}
}

static void emit(int level, const char *text)
{
	const struct log_settings *s = &the_log.settings;
	if (s->use_syslog)
		syslog(level <= 0	   ? LOG_ERR
			: is_warning(text) ? LOG_WARNING
			: level <= 1	   ? LOG_NOTICE
					   : LOG_INFO,
			"%s", text);
	char line[LOG_TEXT_MAX + 64];
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now);
	size_t len = log_format(line, sizeof(line), s, now, level, text);
	if (!s->use_syslog)
		write_all(the_log.fd > 0 ? the_log.fd : STDOUT_FILENO, line, len);
	if (level <= 0 && s->errors_to_stderr)
		write_all(STDERR_FILENO, line, len);
}

/* True when this line would be one too many of its kind; says how many were left out once another kind comes.
 */
static bool muted(const char *text)
{
	if (the_log.settings.mute <= 0)
		return false;
	unsigned kind = log_kind(text);
	if (kind == the_log.last_kind)
		return ++the_log.in_a_row > the_log.settings.mute;
	int left_out = the_log.in_a_row - the_log.settings.mute;
	the_log.last_kind = kind;
	the_log.in_a_row = 1;
	if (left_out > 0) {
		char note[80];
		snprintf(note, sizeof(note), "%d variation(s) on previous %d message(s) suppressed by --mute",
			left_out, the_log.settings.mute);
		emit(LOG_LEVEL_INFO, note);
	}
	return false;
}

void log_line(int level, const char *format, ...)
{
	if (level > the_log.settings.verb)
		return;
	char text[LOG_TEXT_MAX];
	va_list args;
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	for (char *c = text; *c; c++)
		if (*c == '\n' || *c == '\r')
			*c = ' '; /* one record is one line, always */
	if (level <= 0 || !muted(text))
		emit(level, text);
}

void log_foreign(int level, const char *text, size_t len)
{
	char clean[LOG_TEXT_MAX];
	text_escape(clean, sizeof(clean), text, len, NULL);
	if (level < 0)
		level = 0;
	if (level <= the_log.settings.verb && (level == 0 || !muted(clean)))
		emit(level, clean);
}
