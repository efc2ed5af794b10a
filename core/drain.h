/* SPDX-License-Identifier: Apache-2.0 */
/* Runs a loop to its end once all who used it should be gone. */
#ifndef CORE_DRAIN_H
#define CORE_DRAIN_H

#include <stdbool.h>
#include <stddef.h>

#include <uv.h>

/** Says whose code or data an address is, or false. */
struct drain_owners {
    bool (*name)(const void *context, const void *address, char *text, size_t size);
    const void *context;
};

/**
 * Runs what is closing to its end, within `limit_ms`, and closes the loop.
 * @return false where handles or requests were left open, which are logged with their owners; the loop is not
 *         closed then.
 */
bool drain_loop(uv_loop_t *loop, unsigned limit_ms, const struct drain_owners *owners);

#endif
