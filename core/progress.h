/* SPDX-License-Identifier: Apache-2.0 */
/* Tells the log and the service manager what a start or a stop is waiting for. */
#ifndef CORE_PROGRESS_H
#define CORE_PROGRESS_H

#include <core/life/life.h>

/** Embedded by its owner. */
struct progress {
    uv_timer_t timer;
    const char *what;
    const struct life *life;
    const struct router *router;
    /** The last line, so that it is not logged twice. */
    char told[1400];
};

void progress_init(struct progress *progress, uv_loop_t *loop);
/**
 * While steps of plugins are pending, each within its deadline, asks the service manager for more time and
 * names the plugins and steps.
 *
 * @param what  "starting", "shutting down"; borrowed.
 */
void progress_begin(struct progress *progress, const char *what, const struct life *life,
                    const struct router *router);
void progress_end(struct progress *progress);
/** Closes its handle. */
void progress_finish(struct progress *progress);

#endif
