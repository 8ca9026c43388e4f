/* SPDX-License-Identifier: MIT
 * Directives about scripts and about files of clients. A command is one word of a line; inside it the words
 * of the argument vector are cut by the same grammar. Never a shell. */
#include "conf/conf.h"

#include <errno.h>
#include <stddef.h>

/* The words of `command` as a vector that ends with NULL; NULL with a problem reported. */
static const char *const *cut_command(struct parse *p, const struct line *line, const char *command)
{
	char *text = arena_copy(p->arena, command);
	const char **words = arena_take(p->arena, (MAX_WORDS + 1) * sizeof(*words));
	const char *why, *hint;
	struct line cut;

	if (!text || !words)
		return NULL;
	struct grammar grammar = grammar_of(text, strlen(text));
	enum grammar_result result =
		strpbrk(text, "\r\n") ? GRAMMAR_EMPTY : grammar_next(&grammar, &cut, &why, &hint);
	if (result == GRAMMAR_BAD) {
		line_error(p, line, hint, "%s", why);
		return NULL;
	}
	if (result != GRAMMAR_LINE || cut.has_block) {
		line_error(p, line, NULL, "names no program");
		return NULL;
	}
	if (cut.cut) {
		line_error(p, line, NULL, "more than %d words", MAX_WORDS);
		return NULL;
	}
	for (unsigned i = 0; i < cut.count; i++)
		words[i] = cut.words[i];
	return words;
}

struct script_place {
	const char *directive;
	size_t offset; /* in struct scripts */
};

static const struct script_place places[] = {
	{ "up", offsetof(struct scripts, up) },
	{ "down", offsetof(struct scripts, down) },
	{ "route-up", offsetof(struct scripts, route_up) },
	{ "route-pre-down", offsetof(struct scripts, route_pre_down) },
	{ "client-connect", offsetof(struct scripts, client_connect) },
	{ "client-disconnect", offsetof(struct scripts, client_disconnect) },
};

static const char *const **script_of(struct scripts *scripts, const struct script_place *place)
{
	return (const char *const **)((char *)scripts + place->offset);
}

void read_script(struct parse *p, const struct line *line)
{
	for (unsigned i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		if (strcmp(places[i].directive, line->words[0]) != 0)
			continue;
		const char *const **script = script_of(&p->config->scripts, &places[i]);
		if (*script)
			line_warning(
				p, line, NULL, "stands here a second time; this script replaces the first");
		*script = cut_command(p, line, line->words[1]);
	}
}

/* Relative names start where `cd` says. What cannot be found now would fail at each client. */
static void find_program(struct parse *p, const struct script_place *which)
{
	const char *const **script = script_of(&p->config->scripts, which);
	const struct place *place = option_place(p, which->directive);
	unsigned mode = 0;

	if (!*script || !place)
		return;
	const char **words = (const char **)(uintptr_t)*script;
	words[0] = value_path(p, words[0]);
	int error = words[0] ? p->outside->look(p->outside, words[0], &mode) : 0;
	if (error && error != -EACCES)
		conf_error(p, place, which->directive, NULL, "cannot find %.200s: %s", words[0],
			strerror(-error));
	else if (!error && !(mode & 0111))
		conf_error(p, place, which->directive, arena_format(p->arena, "chmod +x %.200s", words[0]),
			"%.200s is not executable", words[0]);
	if (p->config->scripts.security < 2)
		conf_warning(p, place, which->directive, "script-security 2",
			"script-security does not allow it to run: its step will fail");
}

void conf_find_scripts(struct parse *p)
{
	struct config *c = p->config;
	for (unsigned i = 0; i < sizeof(places) / sizeof(places[0]); i++)
		find_program(p, &places[i]);
	c->scripts.tmp_dir = value_path(p, c->scripts.tmp_dir);
	c->client_config_dir = value_path(p, c->client_config_dir);
	char absolute[4096];
	const struct place *place = option_place(p, "client-config-dir");
	int error = place && c->client_config_dir ? p->outside->directory(p->outside, c->client_config_dir,
							    absolute, sizeof(absolute))
						  : 0;
	if (error)
		conf_error(p, place, "client-config-dir", NULL, "%.200s: %s", c->client_config_dir,
			strerror(-error));
	place = option_place(p, "tmp-dir");
	error = place && c->scripts.tmp_dir
			? p->outside->directory(p->outside, c->scripts.tmp_dir, absolute, sizeof(absolute))
			: 0;
	if (error)
		conf_error(p, place, "tmp-dir", NULL, "%.200s: %s", c->scripts.tmp_dir, strerror(-error));
}

void read_script_security(struct parse *p, const struct line *line)
{
	value_unsigned(p, line, 1, 0, 3, &p->config->scripts.security);
}

void read_down_pre(struct parse *p, const struct line *line)
{
	(void)line;
	p->config->scripts.down_pre = true;
}

void read_up_restart(struct parse *p, const struct line *line)
{
	(void)line;
	p->config->scripts.up_restart = true;
}

void read_hub_script_sudo(struct parse *p, const struct line *line)
{
	static const char *const words[] = { "off", "on", NULL };
	int choice = value_choice(p, line, 1, words);
	if (choice >= 0)
		p->config->scripts.sudo = choice == 1;
}

void read_tmp_dir(struct parse *p, const struct line *line)
{
	if (*line->words[1])
		p->config->scripts.tmp_dir = line->words[1];
	else
		line_error(p, line, NULL, "the word is empty");
}

void script_environment_add(struct parse *p, const char *prefix, const char *name, const char *value)
{
	struct scripts *s = &p->config->scripts;
	const char **grown = arena_grow(p->arena, s->environment, s->environment_count, sizeof(*grown));
	const char *entry = arena_format(p->arena, "%s%s=%s", prefix, name, value ? value : "");
	if (!grown || !entry)
		return;
	s->environment = grown;
	grown[s->environment_count++] = entry;
}

void read_setenv_safe(struct parse *p, const struct line *line)
{
	script_environment_add(p, "OPENVPN_", line->words[1], line->words[2]);
}

void read_client_config_dir(struct parse *p, const struct line *line)
{
	if (*line->words[1])
		p->config->client_config_dir = line->words[1];
	else
		line_error(p, line, NULL, "the word is empty");
}

void read_ccd_exclusive(struct parse *p, const struct line *line)
{
	(void)line;
	p->config->ccd_exclusive = true;
}

void read_ifconfig_push_constraint(struct parse *p, const struct line *line)
{
	uint32_t network, netmask;
	if (!value_ipv4(p, line, 1, &network) || !value_netmask(p, line, 2, &netmask))
		return;
	p->config->push_network4 = network & netmask;
	p->config->push_netmask4 = netmask;
}
