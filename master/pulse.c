/* SPDX-License-Identifier: MIT
 * Is each worker alive? A heart that stands still is not enough to end one: who is runnable and gets no CPU does not hang,
 * and its successor on the same CPU would fare no better while its clients had lost a moment more. */
#include "master/log.h"
#include "master/master.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { STARVED_PART = 50 }; /* who wants to run and ran for less than that part of a tick has no CPU */

/* A file of /proc/PID, which the kernel makes when it is asked: no disk, no wait. False: it is gone. */
static bool read_file(pid_t pid, const char *name, char *text, size_t room)
{
	char path[64];
	snprintf(path, sizeof(path), "/proc/%ld/%s", (long)pid, name);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	ssize_t n = read(fd, text, room - 1);
	close(fd);
	text[n > 0 ? n : 0] = '\0';
	return n > 0;
}

/* What the kernel says of a process: its state ('R' runs or wants to, 'T' stopped, ...; 0: unknown) and how long it ran. */
static bool look(pid_t pid, char *state, uint64_t *ran_us)
{
	char text[512];
	unsigned long long ran;
	const char *name_end = read_file(pid, "stat", text, sizeof(text)) ? strrchr(text, ')') : NULL;
	*state = name_end && name_end[1] == ' ' ? name_end[2] : '\0';
	if (!*state || !read_file(pid, "schedstat", text, sizeof(text)) || sscanf(text, "%llu", &ran) != 1)
		return false;
	*ran_us = ran / 1000;
	return true;
}

/* Since the last tick it wanted to run and could not. The first tick of a silence gives no answer yet. */
static bool starved(const struct master *m, struct seat *seat, char *state)
{
	uint64_t before = seat->ran_us, now;
	if (!look(seat->pid, state, &now))
		return false;
	seat->ran_us = now;
	return seat->silent_ticks && *state == 'R' && now - before < (uint64_t)m->tick * 1000 / STARVED_PART;
}

static void end_it(struct master *m, unsigned index, char state, mono_ms now)
{
	struct seat *seat = &m->seats[index];
	log_line(LOG_LEVEL_ERROR, "worker %u (pid %ld) hangs: ended (its state was %c, it ran for %llu ms in all)", index,
		(long)seat->pid, state ? state : '?', (unsigned long long)seat->ran_us / 1000);
	master_note(m, EVENT_WORKER_HUNG, index, NULL);
	supervise_signal(seat, SIGABRT); /* a moment for its last words */
	seat->kill_at = now + LEAVE_DEADLINE_MS;
}

/* Counted in our own ticks, so that a pause of the whole machine is nobody's fault. */
static void feel(struct master *m, unsigned index, mono_ms now)
{
	struct seat *seat = &m->seats[index];
	uint64_t heartbeats = atomic_load(&stats_worker(m->stats, index)->heartbeats);
	bool beat = heartbeats != seat->heartbeats;
	char state;
	seat->heartbeats = heartbeats;
	if (beat || !seat->ready || seat->leaving || heartbeats == seat->born_with) {
		seat->silent_ticks = seat->starved_ticks = 0;
		return;
	}
	if (starved(m, seat, &state)) {
		if (++seat->starved_ticks == STARVED_TICKS_TOLD)
			log_line(LOG_LEVEL_NOTICE,
				"WARNING: worker %u (pid %ld) gets no time on CPU %d: others take it, its clients wait",
				index, (long)seat->pid, seat->cpu);
	} else if (++seat->silent_ticks == SILENT_TICKS_MAX) {
		end_it(m, index, state, now);
	}
}

void pulse_feel(struct master *m, mono_ms now)
{
	for (unsigned w = 0; w < m->workers; w++)
		feel(m, w, now);
}
