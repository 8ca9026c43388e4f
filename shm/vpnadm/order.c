/* SPDX-License-Identifier: MIT
 * vpnadm's commands that ask the running hub to do something, through its control socket: with that socket's
 * permissions, and the hub's own words for an answer. */
#include "common/base/text.h"
#include "shm/vpnadm/control.h"
#include "shm/vpnadm/view.h"

#include <stdlib.h>
#include <string.h>

enum { OPTION_DRY_RUN = 256, MOST_WORDS = 4, TRACE_GRACE_MS = 10000 };

/* Outside text made printable; static. */
static const char *printable(const char *text)
{
	static char out[4 * CONTROL_LINE_MAX + 1];
	return text_escape(out, sizeof(out), text, strlen(text), NULL);
}

static void print_line(void *context, const char *line)
{
	(void)context;
	printf("%s\n", printable(line));
}

static void add_line(void *list, const char *line)
{
	json_array_append_new(list, json_text(line));
}

static struct control *connect_to(const struct place *place)
{
	char error[512], stats[sizeof(place->path)];
	struct reader *reader = NULL;
	unsigned orphans = 0;

	/* What a service manager keeps of a dead master would take the call and never answer. */
	if (snprintf(stats, sizeof(stats), "%s/%s.stats", place->dir, place->name) < (int)sizeof(stats))
		reader = reader_open(stats, error, sizeof(error));
	if (reader && reader_life(reader) == HUB_ORPHANED)
		orphans = reader_living_workers(reader);
	reader_close(&reader);
	if (orphans) {
		fprintf(stderr, "vpnadm: " ORPHANED_TEXT "\n", orphans);
		return NULL;
	}
	struct control *control = control_open(place->path, error, sizeof(error));

	if (!control)
		fprintf(stderr, "vpnadm: %s\n", printable(error));
	return control;
}

/* Says it to the hub and prints what it answers. */
static int order(const struct place *place, bool as_json, const char *name, const char *more)
{
	const char *words[MOST_WORDS + 1] = { name };
	char answer[CONTROL_LINE_MAX];
	struct control *control = connect_to(place);
	json_t *lines = as_json ? json_array() : NULL;
	unsigned count = 1;

	if (!control)
		return VPNADM_FAILED;
	for (const char *const *word = place->words; *word && count < MOST_WORDS; word++)
		words[count++] = *word;
	if (more)
		words[count] = more;
	enum control_answer result = control_command(
		control, words, as_json ? add_line : print_line, lines, answer, sizeof(answer));
	control_close(&control);
	if (as_json)
		return view_dump(json_pack("{s:b, s:o, s:o}", "done", result == CONTROL_DONE, "answer",
			       json_text(answer), "lines", lines)) == VPNADM_OK &&
				       result == CONTROL_DONE
			       ? VPNADM_OK
			       : VPNADM_FAILED;
	if (result != CONTROL_DONE)
		fprintf(stderr, "vpnadm: %s\n", printable(answer));
	else if (answer[0])
		printf("%s\n", printable(answer));
	return result == CONTROL_DONE && fflush(stdout) == 0 ? VPNADM_OK : VPNADM_FAILED;
}

/* -- kill, drain, log-level, upgrade -- */

static int run_kill(const struct place *place, bool as_json)
{
	return order(place, as_json, "kill", NULL);
}

static int run_drain(const struct place *place, bool as_json)
{
	return order(place, as_json, "drain", NULL);
}

static int run_undrain(const struct place *place, bool as_json)
{
	return order(place, as_json, "undrain", NULL);
}

static int run_log_level(const struct place *place, bool as_json)
{
	return order(place, as_json, "log-level", NULL);
}

static int run_upgrade(const struct place *place, bool as_json)
{
	return order(place, as_json, "upgrade", NULL);
}

/* -- reload -- */

static bool dry_run;

static bool take_reload_option(int option, const char *value)
{
	(void)option, (void)value;
	dry_run = true;
	return true;
}

static int run_reload(const struct place *place, bool as_json)
{
	return order(place, as_json, "reload", dry_run ? "dry-run" : NULL);
}

/* -- trace -- */

/* ">TRACE:CID,TIME,TEXT" as a row, or as one object a line. True: the last one of a session. */
static bool print_trace(const char *line, bool as_json)
{
	char *end, when[TEXT_ROOM];
	long long cid = strtoll(line, &end, 10), at = *end == ',' ? strtoll(end + 1, &end, 10) : 0;
	const char *text = *end == ',' ? end + 1 : end;

	if (as_json) {
		json_t *object = json_pack("{s:I, s:I, s:o}", "client_id", (json_int_t)cid, "time", (json_int_t)at,
			"text", json_text(text));
		if (object)
			json_dumpf(object, stdout, JSON_COMPACT);
		json_decref(object);
		printf("\n");
	} else {
		printf("%s  %s\n", show_moment(when, at), printable(text));
	}
	fflush(stdout);
	return strncmp(text, "END ", 4) == 0;
}

/* Lines as they come, until every session's trace has ended. */
static int follow(struct control *control, unsigned sessions, int wait_ms, bool as_json)
{
	char line[CONTROL_LINE_MAX];
	int got = 1;

	while (sessions && !ferror(stdout) && (got = control_notice(control, line, wait_ms)) == 1)
		if (strncmp(line, ">TRACE:", 7) == 0 && print_trace(line + 7, as_json))
			sessions--;
	if (got == 1)
		return ferror(stdout) ? VPNADM_FAILED : VPNADM_OK;
	fprintf(stderr, "vpnadm: the hub %s before the trace was over\n", got ? "ended the connection" : "fell silent");
	return VPNADM_FAILED;
}

static int run_trace(const struct place *place, bool as_json)
{
	const char *words[] = { "trace", place->words[0], place->words[1], NULL };
	char answer[CONTROL_LINE_MAX];
	long long seconds = 60;

	if (place->words[1] && !view_number("SECONDS", place->words[1], 0, 3600, &seconds))
		return VPNADM_FAILED;
	struct control *control = connect_to(place);
	if (!control)
		return VPNADM_FAILED;
	int status = VPNADM_FAILED;
	if (control_command(control, words, NULL, NULL, answer, sizeof(answer)) != CONTROL_DONE) {
		fprintf(stderr, "vpnadm: %s\n", printable(answer));
	} else {
		fprintf(stderr, "%s\n", printable(answer));
		status = seconds ? follow(control, (unsigned)strtoul(answer, NULL, 10),
					   (int)seconds * 1000 + TRACE_GRACE_MS, as_json)
				 : VPNADM_OK;
	}
	control_close(&control);
	return status;
}

/* -- what there is -- */

static const struct option reload_options[] = { { "dry-run", no_argument, NULL, OPTION_DRY_RUN }, { 0 } };

#define ORDER_COMMAND(id, word, least, most, how, text)                                                      \
	const struct command command_##id = { .name = word,                                                  \
		.help = text,                                                                                \
		.run = run_##id,                                                                             \
		.usage = how,                                                                                \
		.least_words = least,                                                                        \
		.most_words = most,                                                                          \
		.ending = ".control" }
ORDER_COMMAND(kill, "kill", 1, 2, "NAME|ADDRESS:PORT [TEXT]",
	"ends the sessions of a client; it is told TEXT (RESTART: come again)");
ORDER_COMMAND(drain, "drain", 1, 1, "WORKER", "a worker's sessions go to the others, and no new ones to it");
ORDER_COMMAND(undrain, "undrain", 1, 1, "WORKER", "it takes new sessions again");
ORDER_COMMAND(log_level, "log-level", 0, 1, "[N]", "how much is logged, until the next reload; shows it");
ORDER_COMMAND(trace, "trace", 1, 2, "NAME|ADDRESS:PORT [SECONDS]",
	"a line for each packet of a client, for 60 seconds; 0: no more");
ORDER_COMMAND(upgrade, "upgrade", 0, 0, NULL, "the program as it is installed now takes over, clients stay");
const struct command command_reload = { .name = "reload",
	.help = "reads the configuration again, clients stay",
	.run = run_reload,
	.options = reload_options,
	.take_option = take_reload_option,
	.usage = "[--dry-run]",
	.ending = ".control" };
