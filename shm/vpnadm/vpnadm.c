/* SPDX-License-Identifier: MIT
 * vpnadm: what a hub is doing, read from its files without asking it; and what it is to do, by its control socket.
 * Exit status: 0 it runs, 1 an error, 3 it does not run (what it left is printed all the same). */
#include "shm/vpnadm/view.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { MOST_HUBS = 64, MOST_OPTIONS = 32 };
enum { OPTION_NAME = 1, OPTION_DIR, OPTION_JSON };

static const struct command *const commands[] = {
#define COMMAND(name) &command_##name,
#include "shm/vpnadm/commands.def"
#undef COMMAND
};

static void usage(FILE *out)
{
	fprintf(out, "usage: vpnadm [--name NAME] [--dir DIR] COMMAND [--json]\n\n");
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		fprintf(out, "  %-10s %s\n", commands[i]->name, commands[i]->help);
		if (commands[i]->usage)
			fprintf(out, "             %s\n", commands[i]->usage);
	}
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
static bool find_only(const char *dir, const char *ending, char name[STATS_NAME_ROOM])
{
	static char names[MOST_HUBS][STATS_NAME_ROOM];
	char text[TEXT_ROOM];
	int count = reader_names_ending(dir, ending, names, MOST_HUBS);

	if (count == 1) {
		memcpy(name, names[0], STATS_NAME_ROOM);
		return true;
	}
	if (count < 0) {
		fprintf(stderr, "vpnadm: %s: %s\n", dir, strerror(-count));
		return false;
	}
	if (!count) {
		fprintf(stderr, "vpnadm: no hub has a file NAME%s in %s\n", ending, dir);
		return false;
	}
	fprintf(stderr, "vpnadm: several hubs, say --name with one of:");
	for (int i = 0; i < count; i++)
		fprintf(stderr, " %s", show_text(text, names[i]));
	fprintf(stderr, "\n");
	return false;
}

static int show(const struct command *command, const struct place *place, bool as_json)
{
	struct view view;
	struct reader *reader = view_open(&view, place);

	if (!reader)
		return VPNADM_FAILED;
	int status = view_status(&view, as_json);
	if (!as_json)
		command->print(&view);
	else if (view_dump(command->json(&view)) != VPNADM_OK)
		status = VPNADM_FAILED;
	if (fflush(stdout) != 0 || ferror(stdout))
		status = VPNADM_FAILED;
	reader_close(&reader);
	return status;
}

/* What was asked for. */
struct request {
	struct place place;
	const struct command *command;
	bool as_json, help;
};

static bool take_common(struct request *request, int option, const char *value)
{
	switch (option) {
	case OPTION_NAME:
		if (!value[0] || strlen(value) >= sizeof(request->place.name) || strchr(value, '/')) {
			fprintf(stderr, "vpnadm: '%s' is no name for a hub\n", value);
			return false;
		}
		strcpy(request->place.name, value);
		return true;
	case OPTION_DIR:
		request->place.dir = value;
		return true;
	case OPTION_JSON:
		request->as_json = true;
		return true;
	case 'h':
		request->help = true;
		return true;
	default:
		usage(stderr);
		return false;
	}
}

/* Common options may stand before the command or behind it, its own ones behind it. */
static bool parse(struct request *request, int argc, char **argv)
{
	struct option options[MOST_OPTIONS] = { { "name", required_argument, NULL, OPTION_NAME },
		{ "dir", required_argument, NULL, OPTION_DIR }, { "json", no_argument, NULL, OPTION_JSON },
		{ "help", no_argument, NULL, 'h' } };
	size_t count = 4;
	char letters[MOST_OPTIONS];
	int option;

	while ((option = getopt_long(argc, argv, "+h", options, NULL)) != -1)
		if (!take_common(request, option, optarg))
			return false;
	if (request->help)
		return true;
	request->command = optind < argc ? command_named(argv[optind]) : NULL;
	if (!request->command) {
		usage(stderr);
		return false;
	}
	for (const struct option *own = request->command->options; own && own->name; own++)
		if (count + 1 < MOST_OPTIONS)
			options[count++] = *own;
	argv[optind] = argv[0]; /* getopt's own complaints begin with it */
	argv += optind;
	argc -= optind;
	optind = 0;
	const char *own_letters = request->command->letters ? request->command->letters : "";
	snprintf(letters, sizeof(letters), "h%s", own_letters);
	while ((option = getopt_long(argc, argv, letters, options, NULL)) != -1) {
		bool own = option >= 256 || (option != ':' && option > 0 && strchr(own_letters, option));
		if (own ? !request->command->take_option(option, optarg)
			: !take_common(request, option, optarg))
			return false;
	}
	if (!request->help && (argc - optind < request->command->least_words ||
				      argc - optind > request->command->most_words)) {
		usage(stderr);
		return false;
	}
	request->place.words = (const char *const *)(argv + optind);
	return true;
}

int main(int argc, char **argv)
{
	struct request request = { .place = { .dir = "/run/vpnserverd" } };
	struct place *place = &request.place;

	if (!parse(&request, argc, argv))
		return VPNADM_FAILED;
	if (request.help) {
		usage(stdout);
		return VPNADM_OK;
	}
	const char *ending = request.command->ending ? request.command->ending : ".stats";
	if (!place->name[0] && !find_only(place->dir, ending, place->name))
		return VPNADM_FAILED;
	if (snprintf(place->path, sizeof(place->path), "%s/%s%s", place->dir, place->name, ending) >=
		(int)sizeof(place->path)) {
		fprintf(stderr, "vpnadm: --dir is too long\n");
		return VPNADM_FAILED;
	}
	if (request.command->run)
		return request.command->run(place, request.as_json);
	return show(request.command, place, request.as_json);
}
