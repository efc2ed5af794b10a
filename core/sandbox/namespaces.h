/* SPDX-License-Identifier: Apache-2.0 */
/* Namespaces of a worker: a file system in which only the listed paths exist, and its own IPC and network. */
#ifndef CORE_SANDBOX_NAMESPACES_H
#define CORE_SANDBOX_NAMESPACES_H

#include "sandbox.h"

/** What every worker can read. Paths that do not exist are left out. Ends with NULL. */
extern const char *const sandbox_read_always[];

/**
 * Tries, in a child that ends at once, whether namespaces can be made and mounted in.
 * @param with_user  in a user namespace, for a process without CAP_SYS_ADMIN.
 */
bool namespaces_probe(bool with_user);

/**
 * Moves the calling process, which has one thread, into namespaces of its own: its root directory then has
 * the system's libraries and what is listed, and the rest of the file system is gone. Paths are opened with
 * the rights that the process has.
 *
 * @return BERTH_OK; BERTH_FAILED_PRECONDITION with the listed path that cannot be reached; BERTH_INTERNAL.
 */
enum berth_code namespaces_enter(const struct sandbox_wanted *wanted, const struct sandbox_kernel *kernel,
                                 struct berth_error *err);

#endif
