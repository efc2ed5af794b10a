/* SPDX-License-Identifier: Apache-2.0 */
/* The holds that keep the daemon from saying that it is ready. */
#ifndef CORE_STATE_READINESS_H
#define CORE_STATE_READINESS_H

#include <stdbool.h>
#include <stddef.h>

/** One thing that a plugin still waits for; plugins see it as an opaque pointer. */
struct berth_hold {
    struct berth_hold *next;
    char what[];
};

/** The holds of one plugin, the oldest first. Zero-initialise. */
struct readiness {
    struct berth_hold *holds;
    size_t count;
};

/** @param what  copied, made one line. @return NULL where memory is out. */
struct berth_hold *readiness_add(struct readiness *readiness, const char *what);
/** @return false where it is none of these: released already, or made up. */
bool readiness_remove(struct readiness *readiness, struct berth_hold *hold);
void readiness_finish(struct readiness *readiness);

#endif
