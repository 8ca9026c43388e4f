/* SPDX-License-Identifier: MIT
 * From a command line to a configuration: the order of the whole. What a directive means is in the readers,
 * how a line is cut in grammar.c. */
#include "conf/conf.h"

#include <errno.h>

static void config_defaults(struct config *c)
{
	c->mtu_discover = -1;
	c->dev = "tun";
	c->tun_mtu = 1500;
	c->tun_mtu_max = 1600;
	c->max_clients = 1024;
	c->max_routes_per_client = 256;
	c->connect_freq_initial = 100;
	c->connect_freq_initial_s = 10;
	c->management.log_cache = 250;
	c->tls_min = 0x0303;
	c->profile = PROFILE_LEGACY;
	c->username_field = "CN";
	c->key_direction = -1;
	c->auth = "SHA1";
	c->tls_timeout_s = 2;
	c->hand_window_s = 60;
	c->tran_window_s = 3600;
	c->reneg_s = 3600;
	c->max_packet_size = 1250;
	c->replay_window = 64;
	c->replay_window_s = 15;
	c->user = "nobody";
	c->group = "nogroup";
	c->runtime_dir = "/run/vpnserverd";
	c->live_revoke = true;
	c->steering = true;
	c->offload = true;
	c->rebalance = CONFIG_REBALANCE;
	c->verb = 1;
	c->status_s = 60;
	c->status_version = 1;
	c->scripts.security = 1;
}

void conf_read_text(struct parse *p, const char *file, char *text, size_t len)
{
	struct grammar grammar = grammar_of(text, len);
	struct line line;
	const char *why, *hint;

	const char *nul = memchr(text, '\0', len);
	if (nul) {
		struct place place = { .file = file, .line = 1, .order = ++p->order };
		for (const char *c = text; c < nul; c++)
			place.line += *c == '\n';
		conf_error(p, &place, NULL, "is it text in UTF-8?", "the file holds a byte of zero");
		return;
	}
	while (!p->stopped && !arena_failed(p->arena)) {
		enum grammar_result result = grammar_next(&grammar, &line, &why, &hint);
		if (result == GRAMMAR_END)
			return;
		line.place.file = file;
		line.place.order = ++p->order;
		if (result == GRAMMAR_BAD)
			conf_error(p, &line.place, NULL, hint, "%s", why);
		else if (result == GRAMMAR_LINE)
			option_apply(p, &line);
	}
}

/* Why a file is not read, or NULL. */
static const char *too_much(struct parse *p, const char *path)
{
	if (strcmp(path, "stdin") == 0 && p->stdin_used)
		return "stdin can be read once";
	if (p->level == MAX_LEVELS)
		return "config files nest too deep; does one include itself?";
	if (p->files == MAX_FILES || p->bytes > MAX_TOTAL_BYTES)
		return "too many config files";
	return NULL;
}

void conf_read_file(struct parse *p, const char *path, const struct line *by)
{
	const char *why = too_much(p, path);
	if (why) {
		/* Nothing good comes of going on: a loop would end here again and again. */
		p->stopped = true;
		line_error(p, by, NULL, "%.200s: %s", path, why);
		return;
	}
	bool standard_input = strcmp(path, "stdin") == 0;
	const char *from = standard_input ? path : value_path(p, path);
	char *text;
	size_t len;
	unsigned mode;
	int error = from ? p->outside->read(p->outside, p->arena, from, MAX_FILE_BYTES, &text, &len, &mode)
			 : -ENOMEM;
	if (error) {
		p->incomplete = true;
		line_error(p, by, NULL, "cannot read %.200s: %s", from ? from : path, strerror(-error));
		return;
	}
	p->stdin_used |= standard_input;
	p->files++;
	p->bytes += len;
	if (!p->config->file)
		p->config->file = from;
	bool command_line = p->command_line;
	p->command_line = false;
	p->level++;
	conf_read_text(p, path, text, len);
	p->level--;
	p->command_line = command_line;
}

static bool is_option(const char *word)
{
	return strncmp(word, "--", 2) == 0;
}

static void read_command_line(struct parse *p, int argc, char *const *argv)
{
	p->command_line = true;
	for (int i = 1; i < argc && !p->stopped;) {
		struct line line = { .place = { "[CMD-LINE]", 1, ++p->order } };
		if (argc == 2 && !is_option(argv[i])) {
			line.words[line.count++] = arena_copy(p->arena, "config");
			line.words[line.count++] = arena_copy(p->arena, argv[i++]);
		} else if (is_option(argv[i]) && argv[i][2]) {
			line.words[line.count++] = arena_copy(p->arena, argv[i++] + 2);
			for (; i < argc && !is_option(argv[i]); i++) {
				if (line.count < MAX_WORDS)
					line.words[line.count++] = arena_copy(p->arena, argv[i]);
				else
					line.cut = true;
			}
		} else {
			conf_error(p, &line.place, NULL,
				"vpnserverd FILE, or vpnserverd --NAME WORDS... --NAME WORDS...",
				"'%.60s' is not an option: no leading --", argv[i++]);
			continue;
		}
		if (!arena_failed(p->arena))
			option_apply(p, &line);
	}
	p->command_line = false;
}

/* The config file's name without directory and ending, if it can be part of a file name. */
static void default_name(struct parse *p)
{
	struct config *c = p->config;
	const char *base = c->file ? strrchr(c->file, '/') : NULL;
	base = base ? base + 1 : c->file ? c->file : "";
	size_t len = strcspn(base, ".");
	bool fits = len > 0 && len < 64; /* as hub.name */
	for (size_t i = 0; i < len && fits; i++)
		fits = strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_", base[i]) !=
		       NULL;
	c->name = fits ? arena_format(p->arena, "%.*s", (int)len, base) : "vpnserverd";
}

struct config *conf_read(
	int argc, char *const *argv, const struct conf_report *report, const struct outside *outside)
{
	struct parse p = { .report = report, .outside = outside, .arena = arena_new() };

	if (!p.arena)
		return NULL;
	struct config *config = p.config = arena_take(p.arena, sizeof(*config));
	p.seen = arena_take(p.arena, option_row_count * sizeof(*p.seen));
	if (config)
		config->digests = arena_take(p.arena, option_row_count * sizeof(*config->digests));
	if (!config || !p.seen || !config->digests) {
		arena_free(&p.arena);
		return NULL;
	}
	config->arena = p.arena;
	config_defaults(config);
	p.draft.key_direction = p.draft.route_metric = -1;

	if (argc <= 1) {
		struct place nowhere = place_at_end(&p);
		conf_error(&p, &nowhere, NULL, "vpnserverd FILE", "no configuration is given");
		p.incomplete = true;
	}
	read_command_line(&p, argc, argv);
	if (!p.stopped && !p.incomplete && !arena_failed(p.arena)) {
		if (!config->name)
			default_name(&p);
		conf_expand(&p);
		conf_load(&p);
		conf_make_listeners(&p);
		conf_check(&p);
	}
	if (arena_failed(p.arena)) {
		struct place nowhere = place_at_end(&p);
		p.errors++;
		if (report && report->problem)
			report->problem(
				report->context, CONF_ERROR, nowhere.file, 0, NULL, "out of memory", NULL);
	} else {
		conf_problems_report(&p);
	}
	if (p.errors)
		config_free(&config);
	return config;
}

struct config *config_read(int argc, char *const *argv, const struct conf_report *report)
{
	return conf_read(argc, argv, report, &outside_system);
}

void config_free(struct config **config)
{
	if (!*config)
		return;
	struct arena *arena = (*config)->arena;
	*config = NULL;
	arena_free(&arena);
}
