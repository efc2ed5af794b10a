/* SPDX-License-Identifier: Apache-2.0 */
/* Closes the loop once nobody should use it any more. */
#ifndef CORE_DRAIN_H
#define CORE_DRAIN_H

#include <stdbool.h>
#include <stddef.h>

#include <uv.h>

/** Names the owner of an address, or returns false. */
struct drain_owners {
    bool (*name)(const void *context, const void *address, char *text, size_t size);
    const void *context;
};

/**
 * Lets closing handles finish, within `limit_ms`, and closes the loop.
 * @return false if handles or requests are left open; they are logged with their owners, and the loop stays
 * open.
 */
bool drain_loop(uv_loop_t *loop, unsigned limit_ms, const struct drain_owners *owners);

#endif
