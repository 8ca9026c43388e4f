/* SPDX-License-Identifier: MIT
 * Escapes for outside text. */
#include "common/base/text.h"

#include <stdint.h>
#include <string.h>

static const char digits[] = "0123456789abcdef";

char *text_escape(char *out, size_t room, const char *from, size_t len, const char *also)
{
	size_t at = 0;

	for (size_t i = 0; room && i < len; i++) {
		uint8_t c = (uint8_t)from[i];
		if (c >= 0x20 && c < 0x7f && c != '\\' && !(also && strchr(also, c))) {
			if (at + 1 >= room)
				break;
			out[at++] = (char)c;
		} else {
			if (at + 4 >= room)
				break;
			out[at++] = '\\';
			out[at++] = 'x';
			out[at++] = digits[c >> 4];
			out[at++] = digits[c & 15];
		}
	}
	if (room)
		out[at] = 0;
	return out;
}

char *text_hex(char *out, size_t room, const void *bytes, size_t len)
{
	const uint8_t *b = bytes;
	size_t at = 0;

	for (size_t i = 0; i < len && at + 2 < room; i++) {
		out[at++] = digits[b[i] >> 4];
		out[at++] = digits[b[i] & 15];
	}
	if (room)
		out[at] = 0;
	return out;
}
