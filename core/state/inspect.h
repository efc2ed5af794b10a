/* SPDX-License-Identifier: Apache-2.0 */
/* Tells of the daemon and of all that it found, for services that show it. */
#ifndef CORE_STATE_INSPECT_H
#define CORE_STATE_INSPECT_H

#include "changes.h"
#include "registry.h"
#include <core/scan/scan.h>

/** Embedded by the owner, who keeps `daemon` up to date and notes in `changes` when it does. */
struct inspect {
    struct berth_inspect table;
    struct berth_daemon_info daemon;
    struct changes changes;
    const struct registry *registry;
    /** For the files that were refused; may be NULL. */
    const struct scan *scan;
};

/** All borrowed. From here on the registry's changes are told; the router's are where its owner says so. */
void inspect_init(struct inspect *inspect, uv_loop_t *loop, struct registry *registry,
                  const struct scan *scan, const char *root, const char *state);
/** Its handle is closed once the loop has come round. */
void inspect_finish(struct inspect *inspect);

#endif
