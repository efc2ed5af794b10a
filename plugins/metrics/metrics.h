/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of this module share. */
#ifndef METRICS_H
#define METRICS_H

#include <berth/metrics_registry.h>

/** From the end of its init until its close begins. */
static inline bool metrics_is_running(enum berth_state state)
{
    return state >= BERTH_STATE_READY && state <= BERTH_STATE_DRAINING;
}

/** What the daemon and its plugins cost, and what the kernel says of the process. The context is the host. */
void daemon_write(void *host, struct berth_metrics_writer *writer);

#endif
