/* SPDX-License-Identifier: Apache-2.0 */
/* Describes the daemon and all that it found, for services that show it. */
#ifndef CORE_STATE_INSPECT_H
#define CORE_STATE_INSPECT_H

#include "changes.h"
#include "registry.h"
#include <core/scan/scan.h>

/** Embedded by the owner, who keeps `daemon` up to date and notes each update in `changes`. */
struct inspect {
    struct berth_inspect table;
    struct berth_daemon_info daemon;
    struct changes changes;
    const struct registry *registry;
    /** For rejected files; may be NULL. */
    const struct scan *scan;
};

/** All borrowed. Subscribes to the registry's changes; the owner forwards the router's. */
void inspect_init(struct inspect *inspect, uv_loop_t *loop, struct registry *registry,
                  const struct scan *scan, const char *root, const char *state);
/** Closes its handle, which takes one more turn of the loop. */
void inspect_finish(struct inspect *inspect);

#endif
