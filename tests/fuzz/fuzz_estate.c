/* SPDX-License-Identifier: MIT
 * What a master left to its successor, and what became of it on the way: read by name, over a configuration. */
#include "conf/config.h"
#include "master/estate.h"

#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static int fd = -1;
	static struct estate_hub hub;
	char error[200];
	struct estate e;
	struct estate_seat seat;
	struct config fresh = { 0 };
	struct born_memory *memory = NULL;

	if (fd < 0)
		fd = estate_memory();
	if (len > ESTATE_BODY_MAX || ftruncate(fd, 0) || estate_write(fd, 0, data, len) ||
		!estate_read(fd, &e, error, sizeof(error)))
		return 0;
	if (estate_hub_read(&e, &hub))
		for (unsigned w = 0; w < hub.workers; w++)
			estate_seat_read(&e, w, &seat);
	if (estate_born_read(estate_record(&e, ESTATE_BORN), &fresh, &memory))
		for (unsigned l = 0; l < fresh.listener_count; l++)
			if (!fresh.listeners[l].spelled || fresh.listeners[l].address_len > sizeof(fresh.listeners[l].address))
				abort();
	born_memory_free(&memory);
	for (unsigned i = 0; i < e.count; i++)
		e.fds[i].fd = -1; /* numbers of nobody's */
	estate_clear(&e);
	return 0;
}
