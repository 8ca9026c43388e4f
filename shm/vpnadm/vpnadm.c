/* SPDX-License-Identifier: MIT
 * vpnadm: what a hub is doing, read from its statistics file without asking it. Changes nothing.
 * Exit status: 0 it runs, 1 an error, 3 it does not run (what it left is printed all the same). */
#include "shm/vpnadm/view.h"

#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { MOST_HUBS = 64 };

static const struct command *const commands[] = { &command_status, &command_clients, &command_workers,
	&command_fates };

static void usage(FILE *out)
{
	fprintf(out, "usage: vpnadm [--name NAME] [--dir DIR] COMMAND [--json]\n\n");
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		fprintf(out, "  %-10s %s\n", commands[i]->name, commands[i]->help);
	fprintf(out, "\n  --name NAME  which hub, when several run\n"
		     "  --dir DIR    where its statistics are (/run/vpnserverd)\n"
		     "  --json       the same as JSON\n");
}

static const struct command *command_named(const char *name)
{
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		if (strcmp(commands[i]->name, name) == 0)
			return commands[i];
	return NULL;
}

/* The only hub there is. False, and said why: none, or several. */
static bool find_only(const char *dir, char name[STATS_NAME_ROOM])
{
	static char names[MOST_HUBS][STATS_NAME_ROOM];
	char text[TEXT_ROOM];
	int count = reader_names(dir, names, MOST_HUBS);

	if (count == 1) {
		memcpy(name, names[0], STATS_NAME_ROOM);
		return true;
	}
	if (count < 0) {
		fprintf(stderr, "vpnadm: %s: %s\n", dir, strerror(-count));
		return false;
	}
	if (!count) {
		fprintf(stderr, "vpnadm: no hub has statistics in %s\n", dir);
		return false;
	}
	fprintf(stderr, "vpnadm: several hubs, say --name with one of:");
	for (int i = 0; i < count; i++)
		fprintf(stderr, " %s", show_text(text, names[i]));
	fprintf(stderr, "\n");
	return false;
}

static int run(const struct command *command, const char *path, bool as_json)
{
	struct view view = { .out = stdout, .now = (unix_s)time(NULL) };
	char error[256];
	struct reader *reader = reader_open(path, error, sizeof(error));
	int status = VPNADM_FAILED;

	if (!reader) {
		fprintf(stderr, "vpnadm: %s\n", error);
		return VPNADM_FAILED;
	}
	view.reader = reader;
	view.life = reader_life(reader);
	reader_hub(reader, &view.hub);
	status = view.life == HUB_ALIVE ? VPNADM_OK : VPNADM_NOT_RUNNING;
	if (as_json) {
		json_t *json = command->json(&view);
		if (!json || json_dumpf(json, stdout, JSON_INDENT(2)) != 0 || fputc('\n', stdout) == EOF)
			status = VPNADM_FAILED;
		json_decref(json);
	} else {
		if (view.life != HUB_ALIVE)
			fprintf(stderr, "vpnadm: this hub is %s; what follows is what it left\n",
				show_life(view.life));
		command->print(&view);
	}
	if (fflush(stdout) != 0 || ferror(stdout))
		status = VPNADM_FAILED;
	reader_close(&reader);
	return status;
}

int main(int argc, char **argv)
{
	static const struct option options[] = { { "name", required_argument, NULL, 'n' },
		{ "dir", required_argument, NULL, 'd' }, { "json", no_argument, NULL, 'j' },
		{ "help", no_argument, NULL, 'h' }, { 0 } };
	const char *dir = "/run/vpnserverd";
	char name[STATS_NAME_ROOM] = "", path[4096];
	const struct command *command = NULL;
	bool as_json = false;
	int option;

	while ((option = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		switch (option) {
		case 'n':
			if (!optarg[0] || strlen(optarg) >= sizeof(name) || strchr(optarg, '/')) {
				fprintf(stderr, "vpnadm: '%s' is no name for a hub\n", optarg);
				return VPNADM_FAILED;
			}
			strcpy(name, optarg);
			break;
		case 'd':
			dir = optarg;
			break;
		case 'j':
			as_json = true;
			break;
		case 'h':
			usage(stdout);
			return VPNADM_OK;
		default:
			usage(stderr);
			return VPNADM_FAILED;
		}
	}
	if (optind + 1 == argc)
		command = command_named(argv[optind]);
	if (!command) {
		usage(stderr);
		return VPNADM_FAILED;
	}
	if (!name[0] && !find_only(dir, name))
		return VPNADM_FAILED;
	if (snprintf(path, sizeof(path), "%s/%s.stats", dir, name) >= (int)sizeof(path)) {
		fprintf(stderr, "vpnadm: --dir is too long\n");
		return VPNADM_FAILED;
	}
	return run(command, path, as_json);
}
