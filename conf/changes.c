/* SPDX-License-Identifier: MIT
 * What differs between two configurations, in the administrator's words: by directive. Each line is counted
 * into a digest of its directive as it is read, files too, so that no directive can be forgotten. What a
 * change means stands in the directive's row. */
#include "conf/conf.h"

#include "common/base/siphash.h"

/* Order counts: of a repeated directive the last line wins, or they add up. Never 0, which says: no line. */
static void count_in(uint64_t *digest, const void *bytes, size_t len)
{
	const uint64_t key[2] = { *digest, len };
	*digest = siphash13(key, bytes, len) | 1;
}

void digest_line(struct parse *p, const struct option_row *row, const struct line *line)
{
	uint64_t *digest = &p->config->digests[row - option_rows];

	for (unsigned i = 0; i < line->count; i++)
		count_in(digest, line->words[i], strlen(line->words[i]));
	if (line->has_block)
		count_in(digest, line->block, line->block_len);
}

void digest_file(struct parse *p, const char *directive, const char *bytes, size_t len)
{
	const struct option_row *row = option_find(directive);

	if (row)
		count_in(&p->config->digests[row - option_rows], bytes, len);
}

void config_changes(const struct config *before, const struct config *after, conf_change_told *told, void *context)
{
	for (unsigned i = 0; i < option_row_count; i++) {
		uint64_t was = before->digests[i], is = after->digests[i];
		if (was != is)
			told(context, option_rows[i].name, option_rows[i].effect,
				!was ? "new" : !is ? "gone" : "changed");
	}
}

const char *config_effect_text(enum conf_effect effect)
{
	switch (effect) {
	case EFFECT_NOTHING:
		return "changes nothing";
	case EFFECT_AT_ONCE:
		return "at once";
	case EFFECT_BY_WORKERS:
		return "at once, with new workers";
	case EFFECT_NEW_CLIENTS:
		return "for clients that connect from now on";
	case EFFECT_RENEGOTIATION:
		return "at each client's next renegotiation";
	case EFFECT_BY_PUSH:
		return "pushed to the clients that can take an update, to others when they connect";
	case EFFECT_RECONNECT:
		return "every client must connect anew";
	case EFFECT_RESTART:
		return "takes a restart, stays as it is until then";
	}
	return "?";
}
