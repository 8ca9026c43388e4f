/* SPDX-License-Identifier: MIT
 * The end of a failed CHECK. The one global of common/: it is only written on the way down. */
#include "common/base/check.h"

#include <stdio.h>
#include <stdlib.h>

char check_failed_text[160];

_Noreturn void check_failed(const char *condition, const char *function, const char *file, int line)
{
	snprintf(check_failed_text, sizeof(check_failed_text), "%s:%d: %s: %s does not hold", file, line, function,
		condition);
	abort();
}
