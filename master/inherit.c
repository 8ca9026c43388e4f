/* SPDX-License-Identifier: MIT
 * Is there an estate for us? Executed by our predecessor, its description's number stands in VPNSERVERD_ESTATE; started
 * by a service manager, what that kept stands from descriptor 3 on (sd_listen_fds(3)). */
#include "master/log.h"
#include "master/master.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/close_range.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LISTEN_FIRST = 3 };

/* A variable's text, and it is no more: no script shall find it. False: there is none. */
static bool take_variable(const char *name, char *out, size_t room)
{
	const char *text = getenv(name);
	if (text)
		snprintf(out, room, "%s", text);
	unsetenv(name);
	return text != NULL;
}

/* -1: no number. */
static long number_of(const char *text)
{
	char *end;
	errno = 0;
	long number = strtol(text, &end, 10);
	return errno || end == text || *end || number < 0 || number > INT_MAX ? -1 : number;
}

static bool find_executed(struct upgrade *u)
{
	char number[16], error[200];
	bool there = take_variable("VPNSERVERD_ESTATE", number, sizeof(number));
	take_variable("VPNSERVERD_BACK", u->back, sizeof(u->back));
	take_variable("VPNSERVERD_HEIR", u->heir, sizeof(u->heir));
	if (!there)
		return false;
	if (estate_read((int)number_of(number), &u->found, error, sizeof(error)))
		return true;
	log_line(LOG_LEVEL_ERROR, "%s", error);
	return false;
}

/* The descriptor of that name among the `count` kept ones, or -1. Each name once. */
static int kept_fd(const struct estate_fd *kept, long count, const char *name)
{
	for (long i = 0; i < count; i++)
		if (strcmp(kept[i].name, name) == 0)
			return kept[i].fd;
	return -1;
}

static struct estate_fd *read_kept(char *names, long count)
{
	struct estate_fd *kept = calloc((size_t)count + 1, sizeof(*kept));
	char *rest = names;
	for (long i = 0; kept && i < count; i++) {
		const char *name = rest ? strsep(&rest, ":") : "";
		kept[i].fd = LISTEN_FIRST + (int)i;
		snprintf(kept[i].name, ESTATE_NAME_ROOM, "%s", name);
		if (kept[i].fd == PROGRAM_FD) {
			kept[i].fd = fcntl(PROGRAM_FD, F_DUPFD_CLOEXEC, LISTEN_FIRST + (int)count);
			close(PROGRAM_FD);
		}
	}
	return kept;
}

/* Numbers in the description are those of a process that is gone: names count. */
static void match(struct upgrade *u, const struct estate_fd *kept, long count)
{
	for (unsigned i = 0; i < u->found.count; i++)
		u->found.fds[i].fd = kept_fd(kept, count, u->found.fds[i].name);
	for (long k = 0; k < count; k++) {
		bool wanted = kept[k].fd == u->found.memory;
		for (unsigned i = 0; i < u->found.count && !wanted; i++)
			wanted = u->found.fds[i].fd == kept[k].fd;
		if (!wanted)
			close(kept[k].fd);
		estate_store_found(&u->store, kept[k].name);
	}
}

static bool find_kept(struct upgrade *u)
{
	char pid[16], number[16], error[200] = "";
	bool for_us = take_variable("LISTEN_PID", pid, sizeof(pid));
	bool any = take_variable("LISTEN_FDS", number, sizeof(number));
	char *names = strdup(getenv("LISTEN_FDNAMES") ? getenv("LISTEN_FDNAMES") : "");
	unsetenv("LISTEN_FDNAMES");
	long count = for_us && any && names && number_of(pid) == (long)getpid() ? number_of(number) : 0;
	if (count <= 0 || count > ESTATE_FDS_MAX) {
		free(names);
		return false;
	}
	struct estate_fd *kept = read_kept(names, count);
	int memory = kept ? kept_fd(kept, count, ESTATE_NAME) : -1;
	bool good = memory >= 0 && estate_read(memory, &u->found, error, sizeof(error));
	if (good)
		match(u, kept, count);
	else if (memory >= 0)
		log_line(LOG_LEVEL_ERROR, "%s", error);
	free(kept);
	free(names);
	return good;
}

static void find_program(struct upgrade *u, bool executed)
{
	char path[PATH_MAX];
	ssize_t len = readlink("/proc/self/exe", path, sizeof(path) - 1);
	u->own_program = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	if (u->hub && executed)
		memcpy(u->program, u->hub->program, sizeof(u->program)); /* the link's end may say "(deleted)" */
	else if (len > 0)
		snprintf(u->program, sizeof(u->program), "%.*s", (int)len, path);
	/* the place is taken before anything else is given this number */
	if (u->own_program >= 0)
		dup3(u->own_program, PROGRAM_FD, O_CLOEXEC);
}

void upgrade_inherit(struct master *m)
{
	struct upgrade *u = &m->upgrade;
	*u = (struct upgrade){ .known = true,
		.own_program = -1,
		.old_program = -1,
		.guardian_fd = -1,
		.estate_fd = -1,
		.found.memory = -1,
		.store.again_at = MONO_NEVER,
		.checker = -1,
		.answer_fd = -1,
		.deadline = MONO_NEVER };
	bool executed = find_executed(u);
	u->stored = executed ? u->heir[0] != '\0' : find_kept(u);
	struct estate_hub *hub = executed || u->stored ? calloc(1, sizeof(*hub)) : NULL;
	if (hub && estate_hub_read(&u->found, hub)) {
		close_range(LISTEN_FIRST, ~0u, CLOSE_RANGE_CLOEXEC);
		u->hub = hub;
		u->estate_fd = u->found.memory;
		u->estate_serial = u->found.serial;
		u->count = (unsigned)hub->upgrades;
		u->births = (uint32_t)hub->births;
		u->confined = executed && hub->confined;
		m->start_directory = estate_take(&u->found, "directory");
		if (m->start_directory >= 0 && fchdir(m->start_directory) < 0)
			log_line(LOG_LEVEL_NOTICE, "WARNING: the directory we were started in is gone");
		u->guardian_fd = estate_take(&u->found, "guardian");
		if (!u->back[0] && !u->heir[0]) /* else that is us */
			u->old_program = estate_take(&u->found, "program");
	} else {
		free(hub);
		u->estate_fd = estate_memory();
	}
	find_program(u, executed);
	if (u->old_program >= 0)
		upgrade_guard(m);
}
