/* SPDX-License-Identifier: Apache-2.0 */
/* The duties of a container's first process. */
#ifndef CORE_ORPHANS_H
#define CORE_ORPHANS_H

#include <stdbool.h>

/**
 * As process 1 starts the daemon as a child and reaps whatever becomes an orphan; else does nothing. Before
 * any thread is started.
 *
 * @param ret_exit_code  the daemon's; 128 and the signal's number where one killed it.
 * @return true in process 1, once the daemon has ended; false in who is to be the daemon.
 */
bool orphans_reap(int *ret_exit_code);

#endif
