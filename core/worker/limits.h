/* SPDX-License-Identifier: Apache-2.0 */
/* What limits a worker from outside: its control group, where one was delegated to the daemon. */
#ifndef CORE_WORKER_LIMITS_H
#define CORE_WORKER_LIMITS_H

#include <core/sandbox/sandbox.h>

/** Of one worker. Zeroed: none. */
struct limits {
    /** NULL: it has no group of its own. */
    char *group;
    /** Counted by the group; without one, by the system, since the worker was started. */
    bool counts_memory;
    uint64_t system_kills;
};

/** Makes the daemon's group ready for workers, once: what sandbox_kernel_ask says afterwards is so. */
void limits_prepare(void);
/**
 * Before the worker is started.
 * @return BERTH_OK; BERTH_UNAVAILABLE if a limit is wanted and should be possible, but is refused.
 */
enum berth_code limits_begin(struct limits *limits, const struct sandbox_wanted *wanted,
                             struct berth_error *err);
/** The worker, before it is told anything. @return as above. */
enum berth_code limits_enter(struct limits *limits, pid_t process, struct berth_error *err);
/** Of a worker that SIGKILL ended: was that the kernel, because memory ran out? */
bool limits_killed(const struct limits *limits);
/** The worker is gone; what it left behind goes with it. */
void limits_end(struct limits *limits);

#endif
