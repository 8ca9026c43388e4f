/* SPDX-License-Identifier: MIT
 * What we give up, in which order, for whom. Calls that fail here end the process that called: running with
 * more rights than promised is not an option. */
#ifndef MASTER_PRIVILEGE_H
#define MASTER_PRIVILEGE_H

#include "conf/config.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* Who the unprivileged processes are. As root: `user` and `group`, where uid 0 is refused. Not as root: who
 * we are. 0 or a negative errno after a log line. */
int privilege_account(const struct config *config, uid_t *uid, gid_t *gid);

/* For the master, first of all: files private by default, no core dumps, not dumpable, as many descriptors as
 * `fds` and `locked` bytes of locked memory. What the system refuses is a warning that says what it will
 * cost; but locked memory that `mlock` asks for and cannot have is an error: 0, or a negative errno after a
 * log line. */
int privilege_prepare(size_t fds, size_t locked, const struct config *config);
/* For the master, once everything stands: keeps only the capabilities that births, reload and the end need,
 * in the bounding set too. `programs`: may still start other programs, directly or through a later helper;
 * `gain`: and those may gain rights (hub.script-sudo). As another than root: the same, of what a supervisor
 * gave. Programs: always the one at PROGRAM_FD (upgrade.h). `confined`: the filters are in force already, since an
 * exec keeps them. 0 or a negative errno. */
int privilege_reduce_master(bool programs, bool gain, bool confined);
/* For the moment of an exec of ourselves: what we have is to outlive it; or no more. 0 or a negative errno. */
int privilege_keep_through_exec(bool keep);

/* For every child, first of all: signals as a new process has them, every descriptor above 2 closed but the
 * `count` listed ones (-1 among them is nothing), standard input and output closed off. Standard error stays
 * unless `silent`: a crash may still speak, but a daemon's must not hold a terminal or a pipe. */
void privilege_child_begin(const int *keep, size_t count, bool silent);
/* For a child that needs no right at all: becomes uid and gid with no other group and no way back, empties
 * the bounding set, no new privileges, not dumpable. It may outlive its parent. 0 or a negative errno. */
int privilege_drop_all(uid_t uid, gid_t gid);
/* The same for one whose scripts are meant to gain rights through setuid programs (hub.script-sudo): no
 * capability of its own either, but the bounding set stays and new privileges are possible. */
int privilege_drop_ids(uid_t uid, gid_t gid);

#endif
