/* SPDX-License-Identifier: Apache-2.0 */
/* The system calls of a worker. The only user of libseccomp, which is linked by berth-worker and its tests
 * alone. */
#ifndef CORE_SANDBOX_FILTER_H
#define CORE_SANDBOX_FILTER_H

#include "sandbox.h"

/**
 * Allows the calling process what an ordinary library needs, on itself alone, and what `wanted` names.
 * Everything else fails with EPERM, as the kernel or whoever has its descriptor answers, and calls of another
 * architecture end the process. It has no_new_privs.
 *
 * @param report  a socket on which that descriptor is sent, where the kernel has one to give; -1: none.
 * @param allows_modes  may it change modes of files by their paths?
 * @return BERTH_OK; BERTH_INTERNAL with the rule that could not be made.
 */
enum berth_code filter_apply(const struct sandbox_wanted *wanted, bool allows_modes, int report,
                             struct berth_error *err);

#endif
