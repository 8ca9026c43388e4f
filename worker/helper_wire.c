/* SPDX-License-Identifier: MIT
 * Checks of the messages between worker and helper; used on both sides. */
#include "worker/helper_wire.h"

#include <string.h>

_Static_assert(sizeof(struct helper_request) == HELPER_REQUEST_HEAD + HELPER_TEXT_MAX + 4 ||
		       sizeof(struct helper_request) == HELPER_REQUEST_HEAD + HELPER_TEXT_MAX,
	"no padding but at the end");

static size_t texts_len(const struct helper_request *r)
{
	size_t len = 0;
	for (unsigned i = 0; i < HELPER_TEXTS; i++)
		len += r->lens[i];
	return len;
}

uint64_t helper_wire_layout(void)
{
	return (uint64_t)HELPER_WIRE_VERSION << 48 | (uint64_t)sizeof(struct helper_request) << 24 |
	       sizeof(struct helper_answer);
}

bool helper_request_ok(const struct helper_request *r, size_t got)
{
	if (got < HELPER_REQUEST_HEAD || got > HELPER_REQUEST_HEAD + HELPER_TEXT_MAX)
		return false;
	return (r->kind == HELPER_CONNECT || r->kind == HELPER_DISCONNECT) && r->bits6 <= 128 &&
	       texts_len(r) == got - HELPER_REQUEST_HEAD;
}

bool helper_answer_ok(const struct helper_answer *a, size_t got)
{
	if (got < HELPER_ANSWER_HEAD || got > sizeof(*a))
		return false;
	return (a->verdict == HELPER_ALLOW || a->verdict == HELPER_DENY) &&
	       a->reason_len <= HELPER_REASON_MAX && a->lines_len <= HELPER_LINES_MAX &&
	       (size_t)a->reason_len + a->lines_len == got - HELPER_ANSWER_HEAD;
}

size_t helper_request_texts(struct helper_request *r, const char *const texts[HELPER_TEXTS])
{
	size_t at = 0;

	for (unsigned i = 0; i < HELPER_TEXTS; i++) {
		size_t len = texts[i] ? strlen(texts[i]) : 0;
		if (len > HELPER_TEXT_MAX - at)
			len = HELPER_TEXT_MAX - at;
		if (len)
			memcpy(r->text + at, texts[i], len);
		r->lens[i] = (uint16_t)len;
		at += len;
	}
	return HELPER_REQUEST_HEAD + at;
}

char *helper_request_text(const struct helper_request *r, enum helper_text which, char *out, size_t room)
{
	size_t at = 0, len = r->lens[which];

	for (unsigned i = 0; i < (unsigned)which; i++)
		at += r->lens[i];
	if (len >= room)
		len = room - 1;
	memcpy(out, r->text + at, len);
	out[len] = '\0';
	return out;
}
