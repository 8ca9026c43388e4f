/* SPDX-License-Identifier: MIT
 * The commands, one row each, for both doors. An answer is one line that begins with SUCCESS: or ERROR:, or lines
 * and then END; what reload and its like have to tell comes in lines before their SUCCESS: or ERROR:.
 *
 * Add one: a function, a row. Words were counted; those of `NEEDS_HUB` run only while clients are served. */
#include "master/manage_internal.h"

#include "common/base/text.h"
#include "master/log.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
	NEEDS_HUB = 1,
	ORDERS = 2, /* changes something: the flight recorder remembers who wanted it */
};

typedef void command_function(struct manage *g, struct manage_client *c, char **words, unsigned count);

struct command_row {
	const char *name;
	unsigned min, max; /* words behind the name */
	unsigned flags;
	command_function *run;
	const char *arguments, *help;
};

bool command_number(struct manage_client *c, const char *word, const char *what, long min, long max, long *out)
{
	char *end;

	errno = 0;
	*out = strtol(word, &end, 10);
	if (*word && !*end && !errno && *out >= min && *out <= max)
		return true;
	client_say(c, "ERROR: %s is a number from %ld to %ld", what, min, max);
	return false;
}

static void leave(struct manage *g, struct manage_client *c, char **words, unsigned count)
{
	(void)g, (void)words, (void)count;
	client_leave(c, "it left: it said so", true);
}

static void version(struct manage *g, struct manage_client *c, char **words, unsigned count)
{
	long number;

	(void)g;
	if (count == 1) {
		/* monitors take the second word for OpenVPN's number and choose columns by it */
		client_say(c, "OpenVPN Version: OpenVPN 2.6.0 compatible, vpnserverd %s", VPNSERVERD_VERSION);
		client_say(c, "Management Version: 5");
		client_say(c, "END");
	} else if (command_number(c, words[1], "the version", 1, 1000, &number) && number > 3) {
		/* clients of older versions do not expect an answer */
		client_say(c, "SUCCESS: Management client version set to %ld", number);
	}
}

static void pid(struct manage *g, struct manage_client *c, char **words, unsigned count)
{
	(void)g, (void)words, (void)count;
	client_say(c, "SUCCESS: pid=%ld", (long)getpid());
}

/* Lasts until the next reload, in workers born later too. */
static void verb(struct manage *g, struct manage_client *c, char **words, unsigned count)
{
	long level;

	if (count == 1) {
		client_say(c, "SUCCESS: verb=%d", log_verb());
		return;
	}
	if (!command_number(c, words[1], "verb", 0, 11, &level))
		return;
	g->verb = (int)level;
	log_set_verb(g->verb);
	supervise_order_all(g->master, ORDER_VERB, g->verb);
	log_line(LOG_LEVEL_NOTICE, "MANAGEMENT: verb is %ld now", level);
	client_say(c, "SUCCESS: verb level changed");
}

static void mute(struct manage *g, struct manage_client *c, char **words, unsigned count)
{
	long lines;

	(void)g;
	if (count == 1) {
		client_say(c, "SUCCESS: mute=%d", log_mute());
	} else if (command_number(c, words[1], "mute", 0, 1000000, &lines)) {
		log_set_mute((int)lines);
		client_say(c, "SUCCESS: mute level changed");
	}
}

/* Comes back through the descriptor of signals, in the loop's next turn. */
static void signal_command(struct manage *g, struct manage_client *c, char **words, unsigned count)
{
	static const struct {
		const char *name;
		int number;
	} known[] = { { "SIGHUP", SIGHUP }, { "SIGTERM", SIGTERM }, { "SIGUSR1", SIGUSR1 }, { "SIGUSR2", SIGUSR2 } };

	(void)g, (void)count;
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		if (strcmp(words[1], known[i].name) != 0)
			continue;
		log_line(LOG_LEVEL_NOTICE, "MANAGEMENT: %s is asked for by pid %ld", known[i].name, c->pid);
		client_say(c, "SUCCESS: signal %s thrown", known[i].name);
		kill(getpid(), known[i].number);
		return;
	}
	client_say(c, "ERROR: signal is one of SIGHUP, SIGTERM, SIGUSR1, SIGUSR2");
}

static void hold(struct manage *g, struct manage_client *c, char **words, unsigned count)
{
	if (count == 1) {
		client_say(c, "SUCCESS: hold=%d", g->hold_flag);
	} else if (strcmp(words[1], "on") == 0 || strcmp(words[1], "off") == 0) {
		g->hold_flag = words[1][1] == 'n';
		client_say(c, "SUCCESS: hold flag set to %s", g->hold_flag ? "ON" : "OFF");
	} else if (strcmp(words[1], "release") == 0) {
		g->released = true;
		client_say(c, "SUCCESS: hold release succeeded");
	} else {
		client_say(c, "ERROR: hold takes on, off or release");
	}
}

/* What a reload would do, line by line; nothing is changed. */
static void dry_run(struct manage *g, struct manage_client *c)
{
	char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);
	int status = out ? reload_plan(g->master, out) : 1;

	if (out && fclose(out) == 0)
		client_say_text(c, text, len);
	free(text);
	client_say(c, status ? "ERROR: a reload would fail" : "SUCCESS: a reload would go through");
}

static void reload_command(struct manage *g, struct manage_client *c, char **words, unsigned count)
{
	struct master *m = g->master;
	uint64_t asker = c->id;

	if (count > 1 && strcmp(words[1], "dry-run") == 0) {
		dry_run(g, c);
		return;
	}
	if (count > 1) {
		client_say(c, "ERROR: reload takes dry-run or nothing");
		return;
	}
	g->relay_to = asker; /* what the log is told meanwhile is the answer's first part */
	bool good = reload(m);
	g->relay_to = 0;
	if (!(c = client_by_id(g, asker)))
		return;
	if (!good)
		client_say(c, "ERROR: the reload failed, everything stays as it was");
	else if (m->reload_again)
		client_say(c, "SUCCESS: another reload is going on, this one follows");
	else if (m->before.config)
		client_say(c, "SUCCESS: the configuration is read, workers are replaced one after another");
	else
		client_say(c, "SUCCESS: the configuration is read and in force");
}

static void drain(struct manage *g, struct manage_client *c, char **words, unsigned count)
{
	char error[160];
	long worker;
	bool on = strcmp(words[0], "drain") == 0;

	(void)count;
	if (!command_number(c, words[1], "the worker", 0, (long)g->master->workers - 1, &worker))
		return;
	if (drain_worker(g->master, (unsigned)worker, on, error, sizeof(error)))
		client_say(c, "ERROR: %s", error);
	else
		client_say(c, "SUCCESS: worker %ld %s", worker,
			on ? "gives its sessions to the others" : "takes new sessions again");
}

static void upgrade_command(struct manage *g, struct manage_client *c, char **words, unsigned count)
{
	char error[300];

	(void)words, (void)count;
	if (upgrade(g->master, error, sizeof(error)))
		client_say(c, "ERROR: %s", error);
	else
		client_say(c, "SUCCESS: %s is asked whether it can take over; log and events tell how it goes",
			g->master->upgrade.program);
}

static command_function help;

static const struct command_row rows[] = {
	{ "bytecount", 1, 1, 0, bytecount_command, "N", "bytes of every client every N seconds; 0: no more" },
	{ "client-kill", 1, 2, NEEDS_HUB | ORDERS, client_kill_command, "CID [TEXT]", "ends the session of that client id; its client is told TEXT, RESTART if not given" },
	{ "drain", 1, 1, NEEDS_HUB | ORDERS, drain, "WORKER", "its sessions go to the other workers, and no new ones to it" },
	{ "echo", 1, 2, 0, echo_command, "on|off|N|all", "messages of `echo` directives" },
	{ "exit", 0, 0, 0, leave, "", "ends this connection" },
	{ "help", 0, 0, 0, help, "", "these lines" },
	{ "hold", 0, 1, 0, hold, "[on|off|release]", "shows or sets the hold flag; release: the hub may start" },
	{ "kill", 1, 2, NEEDS_HUB | ORDERS, kill_command, "NAME|ADDRESS:PORT [TEXT]", "ends the sessions of that common name or address" },
	{ "load-stats", 0, 0, NEEDS_HUB, load_stats_command, "", "number of clients, bytes in and out" },
	{ "log", 1, 2, 0, log_command, "[on|off] [N|all]", "log lines as they come, and the last ones" },
	{ "log-level", 0, 1, ORDERS, verb, "[N]", "the same as verb" },
	{ "mute", 0, 1, ORDERS, mute, "[N]", "at most N log lines of a kind in a row; shows it if not given" },
	{ "pid", 0, 0, 0, pid, "", "process id of the hub" },
	{ "quit", 0, 0, 0, leave, "", "the same as exit" },
	{ "reload", 0, 1, NEEDS_HUB | ORDERS, reload_command, "[dry-run]", "reads the configuration again; clients stay; dry-run: only says what would happen" },
	{ "signal", 1, 1, ORDERS, signal_command, "SIGNAL", "SIGHUP, SIGTERM, SIGUSR1 or SIGUSR2" },
	{ "state", 0, 2, 0, state_command, "[on|off] [N|all]", "states of the hub, like log; the present one if not given" },
	{ "status", 0, 1, NEEDS_HUB, status_command, "[1|2|3]", "clients and routes in the form of that status-version" },
	{ "trace", 1, 2, NEEDS_HUB | ORDERS, trace_command, "NAME|ADDRESS:PORT [SECONDS]", "a line for each of its packets; 60 seconds if not given, 0: no more" },
	{ "undrain", 1, 1, NEEDS_HUB | ORDERS, drain, "WORKER", "it takes new sessions again" },
	{ "upgrade", 0, 0, NEEDS_HUB | ORDERS, upgrade_command, "", "the program's file, if it is another one by now, takes over; clients stay" },
	{ "verb", 0, 1, ORDERS, verb, "[N]", "log verbosity; shows it if not given" },
	{ "version", 0, 1, 0, version, "[N]", "our versions; N: the protocol version that you know" },
};

static void help(struct manage *g, struct manage_client *c, char **words, unsigned count)
{
	(void)g, (void)words, (void)count;
	client_say(c, "Management Interface for vpnserverd %s", VPNSERVERD_VERSION);
	client_say(c, "Commands:");
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char form[64];
		snprintf(form, sizeof(form), "%s %s", rows[i].name, rows[i].arguments);
		client_say(c, "%-36s : %s", form, rows[i].help);
	}
	client_say(c, "END");
}

/* "kill alice (uid 0)"; a mere question (`verb`) is no order. */
static void note(struct manage *g, const struct manage_client *c, char **words, unsigned count)
{
	char text[EVENT_TEXT_ROOM];
	size_t len = 0;

	for (unsigned i = 0; i < count && len < sizeof(text); i++)
		len += (size_t)snprintf(text + len, sizeof(text) - len, "%s%s", i ? " " : "", words[i]);
	if (len < sizeof(text) && c->uid >= 0)
		snprintf(text + len, sizeof(text) - len, " (uid %ld)", c->uid);
	master_note(g->master, EVENT_COMMAND, 0, text);
}

static const struct command_row *row_of(const char *name)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (strcmp(rows[i].name, name) == 0)
			return &rows[i];
	return NULL;
}

void command_run(struct manage *g, struct manage_client *c, char *line, size_t len)
{
	const struct master *m = g->master;
	char *words[CONFIG_WORDS_MAX + 1], shown[256];
	const char *why;
	int count = config_words(line, len, words, &why);

	if (count < 0) {
		client_say(c, "ERROR: %s", why);
		return;
	}
	if (count == 0)
		return;
	const struct command_row *row = row_of(words[0]);
	unsigned given = (unsigned)count - 1;
	if (!row)
		client_say(c, "ERROR: unknown command [%s], enter 'help' for more options",
			text_escape(shown, sizeof(shown), words[0], strlen(words[0]), NULL));
	else if (given < row->min)
		client_say(c, "ERROR: '%s' needs %s%u word%s: %s", row->name, row->min < row->max ? "at least " : "",
			row->min, row->min == 1 ? "" : "s", row->arguments);
	else if (given > row->max)
		client_say(c, "ERROR: '%s' takes %s%s", row->name, row->max ? "no more than: " : "no word",
			row->max ? row->arguments : "");
	else if ((row->flags & NEEDS_HUB) && (m->phase != PHASE_RUNNING || !m->shm || !m->stats))
		client_say(c, "ERROR: '%s' needs a hub that serves: this one %s", row->name,
			m->phase == PHASE_STOPPING ? "is ending" : "has not started yet");
	else {
		if ((row->flags & ORDERS) && (given || row->max == 0))
			note(g, c, words, (unsigned)count);
		row->run(g, c, words, (unsigned)count);
	}
}
