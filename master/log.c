/* SPDX-License-Identifier: MIT
 * Log lines to standard output, a file or syslog: "2026-11-22 15:43:40 text", or machine-readable. Never
 * waits for whoever reads them. The only state is the one log of this process. Workers have none: their lines
 * come as answers. */
#include "master/log.h"

#include "common/base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <syslog.h>
#include <unistd.h>

/* Where lines go. Whoever reads them may be slow, stopped or gone: what does not fit at once is lost and
 * counted, because the master waits for nobody. */
struct sink {
	int fd;
	bool ours;     /* to be closed; never blocks */
	bool torn;     /* the last line is there in part */
	unsigned lost; /* lines since the last one that went through */
};

static struct {
	struct log_settings settings;
	struct sink out, err;
	bool opened_before;
	char syslog_name[64], syslog_socket[108];
	unsigned last_kind;
	int in_a_row; /* lines of last_kind, shown or not */
	log_listener *listener;
	void *context;
} the_log = { .settings = { .verb = 1 }, .out = { .fd = STDOUT_FILENO }, .err = { .fd = STDERR_FILENO } };

/* -- opening -- */

/* Standard output may be a pipe or a terminal whose flags belong to others as well: a way of our own to the
 * same place does not wait. Where there is none (a socket, a file), the shared one. */
static struct sink standard_output(void)
{
	struct stat is;
	int fd = -1;
	if (fstat(STDOUT_FILENO, &is) == 0 && (S_ISFIFO(is.st_mode) || S_ISCHR(is.st_mode)))
		fd = open("/proc/self/fd/1", O_WRONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
	return (struct sink){ .fd = fd >= 0 ? fd : STDOUT_FILENO, .ours = fd >= 0 };
}

/* -1 where nobody listens: then lines are lost until somebody does. */
static int syslog_connect(void)
{
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	memcpy(to.sun_path, the_log.syslog_socket, sizeof(to.sun_path));
	if (fd >= 0 && connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0) {
		close(fd);
		fd = -1;
	}
	return fd;
}

int log_open(const struct log_settings *settings)
{
	struct sink out = { .fd = -1, .ours = true };
	bool use_syslog = settings->use_syslog && !settings->file;
	if (settings->file) {
		int truncate = settings->append || the_log.opened_before ? 0 : O_TRUNC;
		/* not waiting: it may be a FIFO that nobody reads */
		out.fd = open(settings->file,
			O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY | O_NONBLOCK | truncate, 0640);
		if (out.fd < 0)
			return -errno;
	}
	if (the_log.out.ours && the_log.out.fd >= 0)
		close(the_log.out.fd);
	the_log.opened_before = the_log.opened_before || settings->file;
	the_log.settings = *settings;
	the_log.settings.use_syslog = use_syslog;
	the_log.settings.file = NULL;
	the_log.settings.syslog_name = the_log.settings.syslog_socket = NULL;
	if (use_syslog) {
		snprintf(the_log.syslog_name, sizeof(the_log.syslog_name), "%s",
			settings->syslog_name ? settings->syslog_name : "vpnserverd");
		snprintf(the_log.syslog_socket, sizeof(the_log.syslog_socket), "%s",
			settings->syslog_socket ? settings->syslog_socket : "/dev/log");
		out.fd = syslog_connect();
	} else if (!settings->file) {
		out = standard_output();
	}
	the_log.out = out;
	return 0;
}

void log_listen(log_listener *listener, void *context)
{
	the_log.listener = listener;
	the_log.context = context;
}

int log_verb(void)
{
	return the_log.settings.verb;
}

void log_set_verb(int verb)
{
	the_log.settings.verb = verb;
}

int log_mute(void)
{
	return the_log.settings.mute;
}

void log_set_mute(int mute)
{
	the_log.settings.mute = mute;
}

void log_go_on(void)
{
	the_log.opened_before = true;
}

/* -- lines -- */

bool log_is_warning(const char *text)
{
	return strncmp(text, "WARNING", 7) == 0;
}

size_t log_format(char *out, size_t room, const struct log_settings *settings, struct timespec when,
	int level, const char *text)
{
	int n;
	if (settings->machine_readable) {
		/* stock's message flags: 0x20 an error, 0x40 a warning, else the level alone */
		unsigned flags = level <= 0 ? 0x20 : log_is_warning(text) ? 0x40 : (unsigned)level & 0x0f;
		n = snprintf(out, room, "%lld.%06ld %x %s\n", (long long)when.tv_sec, when.tv_nsec / 1000,
			flags, text);
	} else if (settings->suppress_timestamps) {
		n = snprintf(out, room, "%s\n", text);
	} else {
		char stamp[32];
		struct tm local = { 0 };
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

/* Would a write wait? A line is shorter than what a pipe takes at once. */
static bool has_room(const struct sink *sink)
{
	struct pollfd p = { .fd = sink->fd, .events = POLLOUT };
	return sink->ours || poll(&p, 1, 0) > 0;
}

/* Bytes that went, as far as they went without waiting. */
static size_t push(const struct sink *sink, const char *at, size_t len)
{
	size_t gone = 0;
	while (gone < len && has_room(sink)) {
		ssize_t n = write(sink->fd, at + gone, len - gone);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		gone += (size_t)n;
	}
	return gone;
}

static void write_line(struct sink *sink, struct timespec now, const char *line, size_t len)
{
	char note[160], text[80];
	if (sink->torn && push(sink, "\n", 1) == 1)
		sink->torn = false;
	if (!sink->torn && sink->lost) {
		snprintf(text, sizeof(text), "WARNING: %u lines of the log were lost: nobody took them",
			sink->lost);
		size_t noted = log_format(note, sizeof(note), &the_log.settings, now, LOG_LEVEL_NOTICE, text);
		size_t went = push(sink, note, noted);
		if (went == noted)
			sink->lost = 0;
		sink->torn = went && went < noted;
	}
	size_t gone = sink->torn || sink->lost ? 0 : push(sink, line, len);
	if (gone < len)
		sink->lost++;
	sink->torn |= gone && gone < len;
}

/* As syslog(3) would, which waits for a daemon that does not read. */
static void send_syslog(int level, const char *text, struct timespec now)
{
	static const char months[12][4] = { "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep",
		"Oct", "Nov", "Dec" };
	int priority = level <= 0	  ? LOG_ERR
		       : log_is_warning(text) ? LOG_WARNING
		       : level <= 1	  ? LOG_NOTICE
					  : LOG_INFO;
	char line[LOG_TEXT_MAX + 160];
	struct tm local = { 0 };
	localtime_r(&now.tv_sec, &local);
	int len = snprintf(line, sizeof(line), "<%d>%s %2d %02d:%02d:%02d %s[%ld]: %s", LOG_DAEMON | priority,
		months[local.tm_mon], local.tm_mday, local.tm_hour, local.tm_min, local.tm_sec,
		the_log.syslog_name, (long)getpid(), text);
	struct sink *sink = &the_log.out;
	/* twice: the daemon may have been started anew */
	for (int try = 0; try < 2; try++) {
		if (sink->fd >= 0 && send(sink->fd, line, (size_t)len, MSG_DONTWAIT | MSG_NOSIGNAL) == len)
			return;
		if (sink->fd >= 0 && errno == EAGAIN)
			return; /* it is there and slow */
		if (sink->fd >= 0)
			close(sink->fd);
		sink->fd = syslog_connect();
	}
}

static void emit(int level, const char *text)
{
	const struct log_settings *s = &the_log.settings;
	char line[LOG_TEXT_MAX + 64];
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now);
	size_t len = log_format(line, sizeof(line), s, now, level, text);
	if (the_log.listener)
		the_log.listener(the_log.context, now.tv_sec, level, text);
	if (s->use_syslog)
		send_syslog(level, text, now);
	else
		write_line(&the_log.out, now, line, len);
	if (level <= 0 && s->errors_to_stderr)
		write_line(&the_log.err, now, line, len);
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
