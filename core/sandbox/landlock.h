/* SPDX-License-Identifier: Apache-2.0 */
/* Landlock: which files, ports and processes a process can reach. Declared here, as headers may be older than
 * the kernel. */
#ifndef CORE_SANDBOX_LANDLOCK_H
#define CORE_SANDBOX_LANDLOCK_H

#include "sandbox.h"

/** @return the ABI of the running kernel; 0: none. */
int landlock_abi(void);

/**
 * Makes a ruleset that holds just what is wanted, and what every program needs. Paths are opened with the
 * rights that the process has.
 *
 * @param abi      at least 1.
 * @param ret_fd   to be closed, or given to landlock_restrict.
 * @return BERTH_OK; BERTH_FAILED_PRECONDITION with the path that cannot be opened; BERTH_INTERNAL.
 */
enum berth_code landlock_create(const struct sandbox_wanted *wanted, int abi, int *ret_fd,
                                struct berth_error *err);

/** Restricts the calling thread and closes the ruleset. It has no_new_privs. @return BERTH_OK or
 * BERTH_INTERNAL. */
enum berth_code landlock_restrict(int fd, struct berth_error *err);

#endif
