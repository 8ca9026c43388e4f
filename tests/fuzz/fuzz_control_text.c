/* SPDX-License-Identifier: MIT
 * A record of text messages, as either role reads it; and the same bytes, cut at line feeds, as options to be
 * pushed. */
#include "common/base/check.h"
#include "common/negotiate/negotiate.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static bool printable(const char *text)
{
	for (; *text; text++)
		if (*text < ' ' || *text > '~')
			return false;
	return true;
}

static void read_texts(const uint8_t *data, size_t len)
{
	struct bytes record = bytes_of(data, len);
	static char text[CONTROL_TEXT_MAX];
	struct pushed pushed;
	size_t left = len;
	bool bad;
	pushed_init(&pushed);
	while (control_text_next(&record, text, &bad)) {
		CHECK(record.left < left);
		left = record.left;
		CHECK(strlen(text) < CONTROL_TEXT_MAX && printable(text));
		CHECK(!bad || !text[0]);
		const char *rest;
		enum control_kind kind = control_text_kind(text, &rest);
		CHECK(rest >= text && rest <= text + strlen(text));
		CHECK(pushed_read(&pushed, text) == (kind == TEXT_PUSH_REPLY));
		CHECK(memchr(pushed.ifconfig, '\0', sizeof(pushed.ifconfig)));
		CHECK(memchr(pushed.ifconfig6, '\0', sizeof(pushed.ifconfig6)));
		CHECK((unsigned)pushed.cipher < CIPHER_COUNT);
	}
	CHECK(!record.left);
}

enum { OPTIONS_MAX = 64 };

static void write_pushes(char *lines)
{
	const char *options[OPTIONS_MAX];
	size_t count = 0, at = 0, written, messages = 0;
	for (char *line = lines; line && count < OPTIONS_MAX;) {
		char *end = strchr(line, '\n');
		if (end)
			*end++ = '\0';
		options[count++] = line;
		line = end;
	}
	static char out[PUSH_BUNDLE];
	struct pushed pushed;
	pushed_init(&pushed);
	while ((written = push_reply_write(options, count, &at, out, sizeof(out)))) {
		CHECK(written <= PUSH_BUNDLE && strlen(out) + 1 == written && printable(out));
		CHECK(written > sizeof("PUSH_REPLY"));
		CHECK(pushed_read(&pushed, out));
		CHECK(at <= count);
		CHECK(++messages <= count);
	}
	CHECK(messages);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	read_texts(data, len);
	char *lines = malloc(len + 1);
	if (!lines)
		return 0;
	memcpy(lines, data, len);
	lines[len] = '\0';
	write_pushes(lines);
	free(lines);
	return 0;
}
