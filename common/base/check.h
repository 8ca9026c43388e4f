/* SPDX-License-Identifier: MIT
 * Assertions that stay on, for our own mistakes only: nothing that a packet, a file, a script, a clock or
 * another process can cause. A failed one aborts; the host's signal handler writes the last words. */
#ifndef COMMON_BASE_CHECK_H
#define COMMON_BASE_CHECK_H

/* Never returns. The text stays reachable in `check_failed_text` for the handler of SIGABRT. */
_Noreturn void check_failed(const char *condition, const char *function, const char *file, int line);

/* What the last failed CHECK said, or an empty string. */
extern char check_failed_text[160];

#define CHECK(condition)                                                                                     \
	do {                                                                                                 \
		if (__builtin_expect(!(condition), 0))                                                       \
			check_failed(#condition, __func__, __FILE__, __LINE__);                              \
	} while (0)

#endif
