/* SPDX-License-Identifier: MIT
 * Bytes written as hex in tests: blanks between the digits are for the eye. */
#ifndef TESTS_LIB_HEX_H
#define TESTS_LIB_HEX_H

#include <check.h>
#include <ctype.h>
#include <stdint.h>
#include <string.h>

/* The bytes of `text` into `out`, which takes `room`; how many. */
static inline size_t unhex(const char *text, void *out, size_t room)
{
	static const char digits[] = "0123456789abcdef";
	uint8_t *bytes = out;
	size_t count = 0;

	for (; *text; text++) {
		if (isspace((unsigned char)*text))
			continue;
		const char *digit = strchr(digits, *text);
		ck_assert_ptr_nonnull(digit);
		ck_assert_uint_lt(count / 2, room);
		if (count % 2)
			bytes[count / 2] = (uint8_t)(bytes[count / 2] | (digit - digits));
		else
			bytes[count / 2] = (uint8_t)((digit - digits) << 4);
		count++;
	}
	ck_assert_uint_eq(count % 2, 0);
	return count / 2;
}

/* Asserts that `bytes` are those of `text`, all of them. */
#define assert_hex(bytes, len, text)                                                                         \
	do {                                                                                                 \
		uint8_t expected_[2048];                                                                     \
		size_t expected_len_ = unhex(text, expected_, sizeof(expected_));                            \
		ck_assert_uint_eq(len, expected_len_);                                                       \
		ck_assert_mem_eq(bytes, expected_, expected_len_);                                           \
	} while (0)

#endif
