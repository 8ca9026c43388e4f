/* SPDX-License-Identifier: MIT
 * Bytes to lines of words, by the rules of OpenVPN's config files. Knows no option, opens no file, allocates
 * nothing: words are unescaped and terminated where they stand, which works because no word grows. */
#include "conf/conf.h"

static bool blank(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

struct grammar grammar_of(char *text, size_t len)
{
	if (len >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) {
		text += 3;
		len -= 3;
	}
	return (struct grammar){ .at = text, .left = len, .line = 1 };
}

/* Cuts the next line off: its start and length without line end. */
static char *take_line(struct grammar *g, size_t *len)
{
	char *start = g->at;
	char *end = memchr(start, '\n', g->left);
	*len = end ? (size_t)(end - start) : g->left;
	size_t taken = end ? *len + 1 : *len;
	g->at += taken;
	g->left -= taken;
	g->line++;
	return start;
}

/* Words start at `from` and are written at `to`, which never overtakes it. */
struct cutter {
	char *from, *end, *to;
	const char *why, *hint;
};

/* One character that a backslash precedes: only \, " and a blank may follow. */
static bool escaped(struct cutter *c)
{
	if (c->from + 1 < c->end && (c->from[1] == '\\' || c->from[1] == '"' || blank(c->from[1]))) {
		c->from++;
		return true;
	}
	c->why = "a backslash may only stand before a backslash, a double quote or a blank";
	c->hint = "two backslashes make one";
	return false;
}

static char *cut_quoted(struct cutter *c, char quote)
{
	char *word = c->to;
	for (c->from++; c->from < c->end; c->from++) {
		if (*c->from == quote) {
			c->from++;
			*c->to++ = '\0';
			return word;
		}
		if (quote == '"' && *c->from == '\\' && !escaped(c))
			return NULL;
		*c->to++ = *c->from;
	}
	c->why = quote == '"' ? "no closing quotation mark (\")" : "no closing quotation mark (')";
	return NULL;
}

static char *cut_plain(struct cutter *c)
{
	char *word = c->to;
	for (; c->from < c->end && !blank(*c->from); c->from++) {
		if (*c->from == '\\' && !escaped(c))
			return NULL;
		*c->to++ = *c->from;
	}
	/* `from` stands at the blank or at the line end: there is a byte to overwrite. */
	if (c->from < c->end)
		c->from++;
	*c->to++ = '\0';
	return word;
}

/* To the next word: false at the end of the line or at a comment. A blank behind a backslash begins no word.
 */
static bool skip_to_word(struct cutter *c)
{
	while (c->from < c->end) {
		if (blank(*c->from))
			c->from++;
		else if (*c->from == '\\' && c->from + 1 < c->end && blank(c->from[1]))
			c->from += 2;
		else
			break;
	}
	return c->from < c->end && *c->from != '#' && *c->from != ';';
}

static bool cut_words(char *text, size_t len, struct line *out, const char **why, const char **hint)
{
	struct cutter c = { .from = text, .end = text + len, .to = text };

	while (skip_to_word(&c)) {
		if (out->count == MAX_WORDS) {
			out->cut = true;
			break;
		}
		char *word = *c.from == '"' || *c.from == '\'' ? cut_quoted(&c, *c.from) : cut_plain(&c);
		if (!word) {
			*why = c.why;
			*hint = c.hint;
			return false;
		}
		out->words[out->count++] = word;
	}
	return true;
}

int config_words(char *text, size_t len, char *words[CONFIG_WORDS_MAX + 1], const char **why)
{
	struct line line = { .count = 0 };
	const char *hint;

	_Static_assert((int)CONFIG_WORDS_MAX == (int)MAX_WORDS, "as many as a line of the file may have");
	if (!cut_words(text, len, &line, why, &hint))
		return -1;
	if (line.cut) {
		*why = "too many words";
		return -1;
	}
	memcpy(words, line.words, sizeof(line.words));
	return (int)line.count;
}

/* The verbatim lines up to the one that begins with </tag>. */
static bool take_block(struct grammar *g, struct line *out)
{
	size_t tag_len = strlen(out->words[0]);
	char *block = g->at;

	while (g->left) {
		size_t len;
		char *line = take_line(g, &len), *at = line;
		while (len && blank(*at)) {
			at++;
			len--;
		}
		if (len >= tag_len + 3 && at[0] == '<' && at[1] == '/' && at[tag_len + 2] == '>' &&
			memcmp(at + 2, out->words[0], tag_len) == 0) {
			out->has_block = true;
			out->block = block;
			out->block_len = (size_t)(line - block);
			*line = '\0';
			return true;
		}
	}
	return false;
}

enum grammar_result grammar_next(struct grammar *g, struct line *out, const char **why, const char **hint)
{
	*out = (struct line){ .place.line = g->line };
	*why = *hint = NULL;
	if (!g->left)
		return GRAMMAR_END;

	size_t len;
	char *text = take_line(g, &len);
	while (len && text[len - 1] == '\r')
		len--;
	if (len > MAX_LINE) {
		*why = "the line is too long";
		*hint = "at most 4096 bytes";
		return GRAMMAR_BAD;
	}
	if (!cut_words(text, len, out, why, hint))
		return GRAMMAR_BAD;
	if (!out->count)
		return GRAMMAR_EMPTY;

	char *name = out->words[0];
	if (strlen(name) >= 3 && strncmp(name, "--", 2) == 0)
		out->words[0] = name = name + 2;
	size_t name_len = strlen(name);
	if (out->count == 1 && name_len > 2 && name[0] == '<' && name[name_len - 1] == '>') {
		name[name_len - 1] = '\0';
		out->words[0] = name + 1;
		if (!take_block(g, out)) {
			*why = "this block has no end";
			*hint = "it ends with a line that begins with </NAME>";
			return GRAMMAR_BAD;
		}
	}
	return GRAMMAR_LINE;
}
