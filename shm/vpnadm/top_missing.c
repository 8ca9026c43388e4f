/* SPDX-License-Identifier: MIT
 * vpnadm top where there was no ncurses at build time. */
#include "shm/vpnadm/view.h"

static int run(const struct place *place, bool as_json)
{
	(void)place;
	(void)as_json;
	fprintf(stderr,
		"vpnadm: built without ncurses, so there is no top; `vpnadm watch` says what changes\n");
	return VPNADM_FAILED;
}

const struct command command_top = { .name = "top", .help = "live view (built without)", .run = run };
