/* SPDX-License-Identifier: MIT
 * Text messages over TLS: cut out of records, checked, told apart. */
#include "common/negotiate/negotiate.h"

bool control_text_next(struct bytes *record, char out[CONTROL_TEXT_MAX], bool *bad)
{
	out[0] = '\0';
	*bad = false;
	if (!record->left)
		return false;
	const uint8_t *end = memchr(record->at, '\0', record->left);
	size_t len = end ? (size_t)(end - record->at) : record->left;
	const uint8_t *text = read_view(record, end ? len + 1 : len);
	while (len && (text[len - 1] == '\r' || text[len - 1] == '\n'))
		len--;
	*bad = !end || len >= CONTROL_TEXT_MAX;
	for (size_t i = 0; i < len && !*bad; i++)
		*bad = text[i] < ' ' || text[i] > '~';
	if (!*bad) {
		memcpy(out, text, len);
		out[len] = '\0';
	}
	return true;
}

enum control_kind control_text_kind(const char *text, const char **rest)
{
	static const struct {
		const char *word;
		enum control_kind kind;
	} words[] = {
		{ "AUTH_FAILED", TEXT_AUTH_FAILED },
		{ "PUSH_REQUEST", TEXT_PUSH_REQUEST },
		{ "PUSH_REPLY", TEXT_PUSH_REPLY },
		{ "RESTART", TEXT_RESTART },
		{ "HALT", TEXT_HALT },
		{ "INFO_PRE", TEXT_INFO_PRE },
		{ "INFO", TEXT_INFO },
		{ "CR_RESPONSE", TEXT_CR_RESPONSE },
		{ "AUTH_PENDING", TEXT_AUTH_PENDING },
		{ "EXIT", TEXT_EXIT },
	};
	size_t len = strcspn(text, ",");
	*rest = text + len + (text[len] == ',');
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (strlen(words[i].word) == len && !strncmp(text, words[i].word, len))
			return words[i].kind;
	return strncmp(text, "PUSH_", 5) ? TEXT_UNKNOWN : TEXT_PUSH_OTHER;
}
