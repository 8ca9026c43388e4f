/* SPDX-License-Identifier: MIT
 * The first line of an HTTP request, and whether its head has ended. Bytes from anybody; reads within their
 * length. */
#include "shm/vpnadm/prometheus.h"

#include <string.h>

/* What stands up to the next blank or `end`; *at moves behind the blank. */
static const char *next_word(const char **at, const char *end, size_t *len)
{
	const char *word = *at;

	while (*at < end && **at != ' ')
		(*at)++;
	*len = (size_t)(*at - word);
	if (*at < end)
		(*at)++;
	return word;
}

static bool is(const char *word, size_t len, const char *text)
{
	return len == strlen(text) && memcmp(word, text, len) == 0;
}

enum prometheus_question prometheus_question(const char *request, size_t len)
{
	const char *line_end = memmem(request, len, "\r\n", 2), *at = request;
	size_t method_len, target_len, version_len;

	if (!line_end || !memmem(request, len, "\r\n\r\n", 4))
		return QUESTION_NOT_WHOLE;
	const char *method = next_word(&at, line_end, &method_len);
	const char *target = next_word(&at, line_end, &target_len);
	const char *version = next_word(&at, line_end, &version_len);
	if (at != line_end || !method_len || !target_len ||
		(!is(version, version_len, "HTTP/1.1") && !is(version, version_len, "HTTP/1.0")))
		return QUESTION_NONSENSE;
	const char *query = memchr(target, '?', target_len);
	if (query)
		target_len = (size_t)(query - target);
	if (!is(target, target_len, "/metrics"))
		return QUESTION_ELSEWHERE;
	return is(method, method_len, "GET") ? QUESTION_PAGE : QUESTION_OTHER_METHOD;
}
