/* SPDX-License-Identifier: MIT
 * Scripts from the master's side: its own four, which run as root before the loop and after it, and the
 * helper, which runs all that clients set off. */
#ifndef MASTER_SCRIPTS_H
#define MASTER_SCRIPTS_H

#include "master/master.h"

/* Will this hub ever start another program? As its first configuration says: without scripts the master locks
 * itself against exec, so a reload that brings some is refused. */
bool scripts_wanted_ever(const struct config *born);

/* `up` and `route-up`, after the device is set up. Whatever goes wrong with `up` is fatal: a negative errno
 * after a log line. */
int scripts_up(struct master *m);
/* `route-pre-down`, and `down` with down-pre: while the device is there. */
void scripts_before_down(struct master *m);
/* `down` otherwise. */
void scripts_after_down(struct master *m);
/* SIGUSR1 with up-restart: both, in a process of their own that the loop does not wait for. */
void scripts_restart(struct master *m);

/* -- the helper -- */

/* Early at start, while there is no shared memory and no socket that its copy of us would contain. */
int scripts_start_helper(struct master *m);
/* It gets to know the present configuration; a negative errno after a log line. */
int scripts_tell_helper(struct master *m);
/* It died: another one, and channels to it for the workers. */
void scripts_helper_died(struct master *m);
/* The next attempt, when m->helper_at has come. */
void scripts_helper_again(struct master *m);

#endif
