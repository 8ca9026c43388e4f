/* SPDX-License-Identifier: MIT
 * Directives about logs, status, accounts and the hub itself. */
#include "conf/conf.h"

#include <stdlib.h>

void read_verb(struct parse *p, const struct line *line)
{
	unsigned level;
	if (value_unsigned(p, line, 1, 0, 11, &level))
		p->config->verb = (int)level;
}

void read_mute(struct parse *p, const struct line *line)
{
	unsigned n;
	if (value_unsigned(p, line, 1, 0, 1000000, &n))
		p->config->mute = (int)n;
}

/* A word that must not be empty. */
static void read_word(struct parse *p, const struct line *line, const char **out)
{
	if (*line->words[1])
		*out = line->words[1];
	else
		line_error(p, line, NULL, "the word is empty");
}

void read_log(struct parse *p, const struct line *line)
{
	const char *path = NULL;
	read_word(p, line, &path);
	/* Counts from here on, so it is the working directory of this line. */
	p->config->log = value_path(p, path);
	p->config->log_append = strcmp(line->words[0], "log-append") == 0;
}

void read_syslog(struct parse *p, const struct line *line)
{
	p->config->use_syslog = true;
	if (line->count > 1)
		read_word(p, line, &p->config->syslog_name);
}

void read_daemon(struct parse *p, const struct line *line)
{
	struct config *c = p->config;
	if (c->daemonize && line->count > 1)
		line_warning(p, line, NULL, "stands here a second time; this name counts");
	c->daemonize = true;
	if (line->count > 1)
		read_word(p, line, &c->syslog_name);
}

void read_suppress_timestamps(struct parse *p, const struct line *line)
{
	(void)line;
	p->config->suppress_timestamps = true;
}

void read_machine_readable_output(struct parse *p, const struct line *line)
{
	(void)line;
	p->config->machine_readable = true;
}

void read_errors_to_stderr(struct parse *p, const struct line *line)
{
	(void)line;
	p->config->errors_to_stderr = true;
}

void read_status(struct parse *p, const struct line *line)
{
	unsigned seconds = 60;
	if (line->count > 2 && !value_unsigned(p, line, 2, 0, 86400 * 365, &seconds))
		return;
	read_word(p, line, &p->config->status_file);
	p->config->status_s = seconds;
}

void read_status_version(struct parse *p, const struct line *line)
{
	value_unsigned(p, line, 1, 1, 3, &p->config->status_version);
}

void read_writepid(struct parse *p, const struct line *line)
{
	read_word(p, line, &p->config->writepid);
}

void read_user(struct parse *p, const struct line *line)
{
	read_word(p, line, &p->config->user);
}

void read_group(struct parse *p, const struct line *line)
{
	read_word(p, line, &p->config->group);
}

void read_nice(struct parse *p, const struct line *line)
{
	const char *word = line->words[1];
	size_t sign = *word == '-';
	size_t digits = strspn(word + sign, "0123456789");
	int value = digits >= 1 && digits <= 2 && !word[sign + digits] ? atoi(word) : 100;
	if (value < -20 || value > 19)
		line_error(p, line, NULL, "'%.60s' is not between -20 and 19", word);
	else
		p->config->nice = value;
}

void read_mlock(struct parse *p, const struct line *line)
{
	(void)line;
	p->config->mlock = true;
}

void read_hub_workers(struct parse *p, const struct line *line)
{
	if (strcmp(line->words[1], "auto") == 0)
		p->config->workers = 0;
	else
		value_unsigned(p, line, 1, 1, 256, &p->config->workers);
}

void read_hub_name(struct parse *p, const struct line *line)
{
	const char *name = line->words[1];
	size_t len = strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.");
	if (!len || name[len] || len >= 64 || name[0] == '.')
		line_error(
			p, line, "letters, digits, - and _", "'%.60s' cannot be part of a file name", name);
	else
		p->config->name = name;
}

void read_hub_runtime_dir(struct parse *p, const struct line *line)
{
	if (line->words[1][0] == '/')
		p->config->runtime_dir = line->words[1];
	else
		line_error(p, line, "/run/vpnserverd", "the directory must be absolute");
}

void read_hub_live_revoke(struct parse *p, const struct line *line)
{
	static const char *const words[] = { "off", "on", NULL };
	int choice = value_choice(p, line, 1, words);
	if (choice >= 0)
		p->config->live_revoke = choice == 1;
}

void read_hub_steering(struct parse *p, const struct line *line)
{
	static const char *const words[] = { "off", "on", NULL };
	int choice = value_choice(p, line, 1, words);
	if (choice >= 0)
		p->config->steering = choice == 1;
}

void read_hub_rebalance(struct parse *p, const struct line *line)
{
	const char *word = line->words[1];
	if (strcmp(word, "off") == 0)
		p->config->rebalance = 0;
	else if (strcmp(word, "on") == 0)
		p->config->rebalance = CONFIG_REBALANCE;
	else
		value_unsigned(p, line, 1, 1, 100, &p->config->rebalance);
}

void read_hub_offload(struct parse *p, const struct line *line)
{
	static const char *const words[] = { "off", "on", NULL };
	int choice = value_choice(p, line, 1, words);
	if (choice >= 0)
		p->config->offload = choice == 1;
}
