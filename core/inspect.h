/* SPDX-License-Identifier: Apache-2.0 */
/* Tells of the daemon and of all that it found, for services that show it. */
#ifndef CORE_INSPECT_H
#define CORE_INSPECT_H

#include "registry.h"
#include "scan.h"

/** Embedded by the owner, who keeps the last members up to date. */
struct inspect {
    struct berth_inspect table;
    const struct registry *registry;
    /** For the files that were refused; may be NULL. */
    const struct scan *scan;
    const char *root;
    const char *state;
    bool is_ready, is_draining;
    uint64_t ready_ns;
};

/** All borrowed. */
void inspect_init(struct inspect *inspect, const struct registry *registry, const struct scan *scan,
                  const char *root, const char *state);

#endif
