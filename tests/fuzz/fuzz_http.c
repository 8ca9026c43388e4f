/* SPDX-License-Identifier: MIT
 * What strangers send to the port of `vpnadm prometheus`. */
#include "shm/vpnadm/prometheus.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	char *copy = malloc(len ? len : 1); /* so that reading past it is seen */

	memcpy(copy, data, len);
	/* Once whole, it stays what it is, however much follows. */
	enum prometheus_question now = prometheus_question(copy, len);
	for (size_t cut = 0; cut < len && cut < 64; cut++) {
		enum prometheus_question before = prometheus_question(copy, cut);
		if (before != QUESTION_NOT_WHOLE && before != now)
			abort();
	}
	free(copy);
	return 0;
}
