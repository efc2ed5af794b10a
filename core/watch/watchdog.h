/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names who blocks the loop: when an entry into a plugin returns late, and, from a thread of its own, while
 * the loop is still stuck. While the loop waits, the thread wakes once every `stall_after`.
 */
#ifndef CORE_WATCH_WATCHDOG_H
#define CORE_WATCH_WATCHDOG_H

#include <core/base/running.h>

#include "clock.h"

struct watchdog;

struct watchdog_options {
    /** Started; outlives the watchdog. */
    struct watch_clock *clock;
    /** The word of the loop's thread. */
    struct running_thread *running;
    /** As in the settings `loop`; 0: off. */
    uint64_t warn_after_ns, stall_after_ns, abort_after_ns;
    /**
     * The service manager wants a sign of life every so often; 0: never. It comes from the loop, and while
     * the loop is stuck from the watchdog's thread, if a step has it that is within its own deadline.
     */
    uint64_t alive_us;
    void (*on_alive)(void);
};

/** From the loop's thread, which is the one that is watched. One at a time. */
struct watchdog *watchdog_start(const struct watchdog_options *options);
/** Closes its handle on the loop, which must run once more before watchdog_destroy. NULL: does nothing. */
void watchdog_stop(struct watchdog *watchdog);
void watchdog_destroy(struct watchdog *watchdog);

#endif
