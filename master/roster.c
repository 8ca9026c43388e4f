/* SPDX-License-Identifier: MIT
 * Who of the workers takes new sessions, told to those who have to know: the kernel (steering) and the workers (shm/crew.h).
 */
#include "master/master.h"

#include "shm/crew.h"

bool roster_is_active(const struct master *m, unsigned index)
{
	return index < m->workers && !m->seats[index].drained;
}

unsigned roster_active(const struct master *m)
{
	unsigned count = 0;
	for (unsigned w = 0; w < m->workers; w++)
		count += roster_is_active(m, w);
	return count;
}

void roster_apply(struct master *m)
{
	unsigned chosen[SHM_MAX_WORKERS], count = 0;
	for (unsigned w = 0; w < m->workers; w++) {
		bool active = roster_is_active(m, w);
		crew_set(m->shm, w, active);
		if (active)
			chosen[count++] = w;
	}
	/* when it is all of them the kernel's own hash does */
	steering_choose(&m->steering, chosen, count == m->workers ? 0 : count);
}
