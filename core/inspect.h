/* SPDX-License-Identifier: Apache-2.0 */
/* Tells of the daemon and of all that it found, for services that show it. */
#ifndef CORE_INSPECT_H
#define CORE_INSPECT_H

#include "registry.h"
#include "scan.h"

/** Embedded by the owner, who keeps `daemon` up to date. */
struct inspect {
    struct berth_inspect table;
    struct berth_daemon_info daemon;
    const struct registry *registry;
    /** For the files that were refused; may be NULL. */
    const struct scan *scan;
};

/** All borrowed. */
void inspect_init(struct inspect *inspect, const struct registry *registry, const struct scan *scan,
                  const char *root, const char *state);

#endif
