/* SPDX-License-Identifier: MIT
 * Directives about the configuration itself: files, the working directory, what may be unknown, the
 * environment of scripts, and commands that are no settings. */
#include "conf/conf.h"

#include <errno.h>
#include <limits.h>

void read_config(struct parse *p, const struct line *line)
{
	conf_read_file(p, line->words[1], line);
}

void read_cd(struct parse *p, const struct line *line)
{
	char absolute[PATH_MAX];
	const char *path = value_path(p, line->words[1]);
	int error = path ? p->outside->directory(p->outside, path, absolute, sizeof(absolute)) : -ENOMEM;
	if (error)
		line_error(p, line, NULL, "cannot go to %.200s: %s", line->words[1], strerror(-error));
	else
		p->config->cd = arena_copy(p->arena, absolute);
}

void read_setenv(struct parse *p, const struct line *line)
{
	const char *name = line->words[1];

	if (strcmp(name, "opt") == 0) {
		if (line->count < 3) {
			line_error(p, line, "setenv opt DIRECTIVE...", "a directive is missing");
			return;
		}
		struct line inner = { .place = line->place, .count = line->count - 2, .cut = line->cut };
		for (unsigned i = 0; i < inner.count; i++)
			inner.words[i] = line->words[i + 2];
		if (strncmp(inner.words[0], "--", 2) == 0)
			inner.words[0] += 2;
		/* A chain of `setenv opt setenv opt ...` is at most as long as a line. */
		bool before = p->unknown_is_warning;
		p->unknown_is_warning = true;
		option_apply(p, &inner);
		p->unknown_is_warning = before;
		return;
	}
	if (line->count > 3) {
		line_error(p, line, "quotes keep words together", "takes a name and one value");
		return;
	}
	if (strcmp(name, "FORWARD_COMPATIBLE") == 0) {
		if (line->words[2] && strcmp(line->words[2], "1") == 0)
			p->forward_compatible = true;
	} else if (strcmp(name, "GENERIC_CONFIG") == 0) {
		line_error(p, line, "ask your provider for a configuration of this server",
			"this is a generic configuration that cannot be used by itself");
	}
	script_environment_add(p, "", name, line->words[2]);
}

void read_ignore_unknown_option(struct parse *p, const struct line *line)
{
	struct draft *d = &p->draft;
	for (unsigned i = 1; i < line->count; i++) {
		const char **grown = arena_grow(p->arena, d->ignored, d->ignored_count, sizeof(*grown));
		if (!grown)
			return;
		d->ignored = grown;
		const char *name = line->words[i];
		grown[d->ignored_count++] = strncmp(name, "--", 2) == 0 ? name + 2 : name;
	}
}

void read_command(struct parse *p, const struct line *line)
{
	line_error(p, line, arena_format(p->arena, "vpnserverd --%s", line->words[0]),
		"is a command of its own, not a setting");
}

void read_dhcp_option(struct parse *p, const struct line *line)
{
	if (line->count > 3)
		line_error(p, line, NULL, "takes a type and one value");
	else
		no_effect(p, line);
}

void read_key_method(struct parse *p, const struct line *line)
{
	if (line->count == 2 && strcmp(line->words[1], "2") == 0)
		line_warning(p, line, "delete the line", "method 2 is the only one there is");
	else
		refused(p, line);
}
