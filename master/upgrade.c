/* SPDX-License-Identifier: MIT
 * The side that goes: asks the new program, lets it take over or says why not. Nothing here waits: the checker has its
 * deadline, and clients never notice one that fails. */
#include "common/engine/engine.h"
#include "master/findings.h"
#include "master/log.h"
#include "master/master.h"
#include "master/privilege.h"
#include "master/runtime.h"
#include "worker/helper_wire.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { BUSY_STEP_MS = 50 };

/* A checker says one line: a word and what for people. */
static const char SAME[] = "upgrade-same ", FRESH[] = "upgrade-fresh ", NO[] = "upgrade-no ";

/* -- the checker: in the new program -- */

static bool check_config(int count, char **rest)
{
	struct findings findings = { 0 };
	struct conf_report report = { .problem = findings_add, .context = &findings };
	struct config *config = config_read(count, rest, &report);
	const char *first = "no memory";
	for (unsigned i = findings.count; i-- > 0;)
		if (findings.list[i].severity == CONF_ERROR)
			first = findings.list[i].line;
	bool good = config && !findings.errors;
	if (!good)
		printf("%sit does not take the configuration: %.300s\n", NO, first);
	findings_clear(&findings);
	if (config)
		config_free(&config);
	return good;
}

/* What we think of it, said. */
static bool say_opinion(int count, char **rest, int estate_fd)
{
	static struct estate_hub hub;
	char error[200];
	struct estate estate;
	if (!estate_read(estate_fd, &estate, error, sizeof(error))) {
		printf("%s%s\n", NO, error);
		return false;
	}
	bool good = estate_hub_read(&estate, &hub);
	if (!good)
		printf("%sthe estate does not say what hub left it\n", NO);
	free(estate.body);
	free(estate.fds); /* numbers of the master's */
	if (!good || !check_config(count, rest))
		return false;
	if (hub.state_layout == shm_layout() && hub.kept_layout == vpn_kept_layout())
		printf("%sversion %s\n", SAME, VPNSERVERD_VERSION);
	else
		printf("%sversion %s lays out its shared memory otherwise\n", FRESH, VPNSERVERD_VERSION);
	return true;
}

int upgrade_check(int argc, char **argv, int at)
{
	char **rest = calloc((size_t)argc + 1, sizeof(*rest));
	int count = 0;
	prctl(PR_SET_DUMPABLE, 0);
	if (!rest || at + 1 >= argc) {
		free(rest);
		return 1;
	}
	for (int i = 0; i < argc; i++)
		if (i != at && i != at + 1)
			rest[count++] = argv[i];
	bool good = say_opinion(count, rest, atoi(argv[at + 1]));
	free(rest);
	return good ? 0 : 1;
}

/* -- the master -- */

static void told(struct master *m, enum event_kind kind, const char *text)
{
	char line[400];
	snprintf(line, sizeof(line), "upgrade %u %s", m->upgrade.count, text);
	runtime_note(m->lock_fd, line);
	master_note(m, kind, 0, text);
}

/* What came while it went on, and had to wait. */
static void go_on(struct master *m)
{
	m->upgrade.state = UPGRADE_NONE;
	m->upgrade.deadline = MONO_NEVER;
	if (!m->reload_again)
		return;
	m->reload_again = false;
	reload(m);
}

void upgrade_failed(struct master *m, const char *why)
{
	char text[330];
	snprintf(text, sizeof(text), "failed: %.300s", why);
	told(m, EVENT_UPGRADE_FAILED, text);
	log_line(LOG_LEVEL_ERROR, "Upgrade failed, this program (version %s) goes on: %s", VPNSERVERD_VERSION, why);
	notify_ready(&m->notify, "Running; the last upgrade failed, the log says why");
	go_on(m);
}

void upgrade_done(struct master *m)
{
	char text[100];
	snprintf(text, sizeof(text), "done: version %s", VPNSERVERD_VERSION);
	if (!m->upgrade.heir[0]) /* it failed, and that was told */
		told(m, EVENT_UPGRADE_DONE, text);
	m->upgrade.heir[0] = '\0';
	log_line(LOG_LEVEL_NOTICE, "%s done: all workers run version %s",
		m->upgrade.stored ? "Taking over" : "Upgrade", VPNSERVERD_VERSION);
	notify_ready(&m->notify, "Running");
	go_on(m);
}

__attribute__((format(printf, 2, 3))) static void failed(struct master *m, const char *format, ...)
{
	char why[300];
	va_list args;
	va_start(args, format);
	vsnprintf(why, sizeof(why), format, args);
	va_end(args);
	upgrade_failed(m, why);
}

/* Executes what is open at PROGRAM_FD. Whoever installed it may not have closed it yet, or a process forked meanwhile has it
 * open for writing until its own exec: both pass. */
static int execute_checker(char **argv)
{
	for (int waited = 0; waited <= BUSY_MS; waited += BUSY_STEP_MS) {
		syscall(SYS_execveat, PROGRAM_FD, "", argv, environ, AT_EMPTY_PATH);
		if (errno != ETXTBSY)
			break;
		nanosleep(&(struct timespec){ .tv_nsec = BUSY_STEP_MS * 1000000 }, NULL);
	}
	return -errno;
}

_Noreturn static void check_there(struct master *m, int out)
{
	char number[16];
	int keep[] = { PROGRAM_FD, m->upgrade.estate_fd, out };
	char option[] = "--check-upgrade", **argv = calloc((size_t)m->argc + 3, sizeof(*argv));
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	bool ready = argv && (m->start_directory < 0 || fchdir(m->start_directory) == 0);
	privilege_child_begin(keep, 3, false);
	if (!ready || dup2(out, STDOUT_FILENO) < 0)
		_exit(1);
	snprintf(number, sizeof(number), "%d", m->upgrade.estate_fd);
	fcntl(m->upgrade.estate_fd, F_SETFD, 0);
	argv[0] = m->argv[0];
	argv[1] = option;
	argv[2] = number;
	memcpy(&argv[3], &m->argv[1], (size_t)(m->argc - 1) * sizeof(*argv));
	int error = execute_checker(argv);
	dprintf(STDOUT_FILENO, "%s%s: cannot be executed: %s\n", NO, m->upgrade.program, strerror(-error));
	_exit(1);
}

/* What this program cannot read it could not go back to. */
static bool config_is_good(struct master *m)
{
	struct findings findings = { 0 };
	struct conf_report report = { .problem = findings_add, .context = &findings };
	if (m->start_directory >= 0 && fchdir(m->start_directory) < 0)
		return false;
	struct config *config = config_read(m->argc, m->argv, &report);
	bool good = config != NULL;
	if (!good)
		findings_log(&findings);
	findings_clear(&findings);
	if (config)
		config_free(&config);
	if (m->now.config->cd && chdir(m->now.config->cd) < 0)
		log_line(LOG_LEVEL_NOTICE, "WARNING: cd %s: %s", m->now.config->cd, strerror(errno));
	return good;
}

static int open_program(struct master *m)
{
	struct stat is;
	int fd = m->upgrade.program[0] ? open(m->upgrade.program, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK) : -1;
	int error = fd < 0 ? -errno : 0;
	if (!error && (fstat(fd, &is) < 0 || !S_ISREG(is.st_mode)))
		error = -EACCES;
	if (!error && dup3(fd, PROGRAM_FD, O_CLOEXEC) < 0)
		error = -errno;
	if (fd >= 0)
		close(fd);
	return error;
}

static int start_checker(struct master *m)
{
	struct upgrade *u = &m->upgrade;
	int ends[2];
	if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0)
		return -errno;
	u->checker = fork();
	if (u->checker == 0)
		check_there(m, ends[1]);
	int error = u->checker < 0 ? -errno : 0;
	close(ends[1]);
	u->answer_fd = ends[0];
	u->answer_len = 0;
	if (error) {
		close(ends[0]);
		u->answer_fd = -1;
		return error;
	}
	supervise_watch_checker(m, true);
	return 0;
}

int upgrade(struct master *m, char *error, size_t room)
{
	struct upgrade *u = &m->upgrade;
	const char *why = NULL;
	int result = -EBUSY;
	if (m->phase != PHASE_RUNNING)
		why = "the hub is starting or ending";
	else if (u->state != UPGRADE_NONE)
		why = "an upgrade is going on already";
	if (!why && m->before.config) {
		u->wanted = true;
		log_line(LOG_LEVEL_NOTICE, "Upgrade: the reload that is going on comes first");
		return 0;
	}
	if (why) {
		snprintf(error, room, "%s", why);
		log_line(LOG_LEVEL_ERROR, "No upgrade: %s", error);
		return result;
	}
	u->count++;
	notify_reloading(&m->notify, "Upgrade");
	if (!config_is_good(m)) {
		result = -EINVAL;
		why = "errors in the configuration: this program could not go back to it";
	} else if ((result = open_program(m))) {
		snprintf(error, room, "%.200s: %s", u->program, strerror(-result));
	} else if ((result = estate_save(m))) {
		snprintf(error, room, "the estate cannot be written: %s", strerror(-result));
	} else if ((result = start_checker(m))) {
		snprintf(error, room, "no process to ask the new program: %s", strerror(-result));
	}
	if (why)
		snprintf(error, room, "%s", why);
	if (result) {
		failed(m, "%s", error);
		return result;
	}
	u->state = UPGRADE_CHECKING;
	u->ticks_left = CHECK_TICKS + 1; /* the first may be over at once */
	told(m, EVENT_UPGRADE_BEGUN, "begun");
	log_line(LOG_LEVEL_NOTICE, "Upgrade: asking %s whether it can take over", u->program);
	return 0;
}

static bool hear(struct master *m)
{
	struct upgrade *u = &m->upgrade;
	ssize_t n;
	if (u->answer_fd < 0)
		return false;
	while ((n = read(u->answer_fd, u->answer + u->answer_len, sizeof(u->answer) - 1 - u->answer_len)) > 0)
		u->answer_len += (size_t)n;
	bool more = n < 0 && (errno == EAGAIN || errno == EINTR);
	u->answer[u->answer_len] = '\0';
	return more;
}

static void stop_hearing(struct master *m)
{
	if (m->upgrade.answer_fd < 0)
		return;
	supervise_watch_checker(m, false);
	close(m->upgrade.answer_fd);
	m->upgrade.answer_fd = -1;
}

void upgrade_heard(struct master *m)
{
	if (!hear(m))
		stop_hearing(m); /* its death is told by SIGCHLD */
}

static void go(struct master *m)
{
	log_line(LOG_LEVEL_NOTICE, "Upgrade: %s takes over", m->upgrade.program);
	failed(m, "%s: cannot be executed: %s", m->upgrade.program, strerror(-upgrade_exec(m, NULL)));
}

/* The segment is of no use to it: a hub without sessions, but with the same sockets, device and addresses. */
static void go_fresh(struct master *m)
{
	stats_remove(m->stats);
	stats_detach(&m->stats);
	shm_detach(&m->shm);
	steering_reset(&m->steering);
	int error = upgrade_exec(m, NULL);
	m->upgrade.state = UPGRADE_NONE;
	if (start_segments(m)) {
		supervise_stop(m, 1);
		return;
	}
	roster_apply(m);
	for (unsigned w = 0; w < m->workers; w++)
		m->seats[w].respawn_at = master_now();
	failed(m, "%s: cannot be executed: %s", m->upgrade.program, strerror(-error));
}

bool upgrade_worker_gone(struct master *m)
{
	if (m->upgrade.state != UPGRADE_EMPTYING)
		return false;
	if (!supervise_anybody_left(m))
		go_fresh(m);
	return true;
}

static void empty(struct master *m, const char *why)
{
	log_line(LOG_LEVEL_ERROR, "Upgrade: sessions cannot live on, clients are told RESTART: %s", why);
	m->upgrade.state = UPGRADE_EMPTYING;
	m->upgrade.deadline = MONO_NEVER;
	supervise_empty(m);
	if (!supervise_anybody_left(m))
		go_fresh(m);
}

/* What it said behind that word, one line of it; NULL: it said something else. */
static const char *answer_of(struct upgrade *u, const char *word)
{
	size_t len = strlen(word);
	u->answer[strcspn(u->answer, "\r\n")] = '\0';
	for (char *c = u->answer; *c; c++)
		if (*c < ' ' || *c > '~')
			*c = '?';
	return strncmp(u->answer, word, len) == 0 ? u->answer + len : NULL;
}

bool upgrade_reaped(struct master *m, pid_t pid, int status)
{
	struct upgrade *u = &m->upgrade;
	const char *why;
	if (pid != u->checker)
		return false;
	hear(m);
	stop_hearing(m);
	u->checker = -1;
	if (u->state != UPGRADE_CHECKING || m->phase != PHASE_RUNNING)
		return true;
	bool well = WIFEXITED(status) && WEXITSTATUS(status) == 0;
	if (!u->ticks_left)
		failed(m, "%s does not say within %d s whether it can take over", u->program, CHECK_TICKS);
	else if (well && answer_of(u, SAME))
		go(m);
	else if (well && (why = answer_of(u, FRESH)))
		empty(m, why);
	else if ((why = answer_of(u, NO)))
		failed(m, "%s", why);
	else
		failed(m, "%s is no program of this hub's kind: it %s %d", u->program,
			WIFSIGNALED(status) ? "died by signal" : "ended with status",
			WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
	return true;
}

void upgrade_on_time(struct master *m, mono_ms now)
{
	struct upgrade *u = &m->upgrade;
	char error[300];
	if (u->wanted && u->state == UPGRADE_NONE && !m->before.config) {
		u->wanted = false;
		upgrade(m, error, sizeof(error));
	}
	if (u->deadline > now)
		return;
	u->deadline = MONO_NEVER;
	if (u->state == UPGRADE_SETTLING)
		upgrade_go_back(m, "its workers are not ready in time");
}

void upgrade_on_tick(struct master *m)
{
	struct upgrade *u = &m->upgrade;
	if (u->state == UPGRADE_CHECKING && u->checker > 0 && u->ticks_left && --u->ticks_left == 0)
		kill(u->checker, SIGKILL); /* ours and not reaped yet */
}

void upgrade_end(struct master *m)
{
	struct upgrade *u = &m->upgrade;
	if (u->checker > 0) {
		kill(u->checker, SIGKILL);
		waitpid(u->checker, NULL, 0);
	}
	int *fds[] = { &u->answer_fd, &u->own_program, &u->old_program, &u->estate_fd };
	for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++) {
		if (*fds[i] >= 0)
			close(*fds[i]);
		*fds[i] = -1;
	}
	estate_clear(&u->found);
	free(u->hub);
	u->hub = NULL;
	born_memory_free(&u->born);
	estate_store_clear(&u->store);
}
