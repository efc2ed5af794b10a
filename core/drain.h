/* SPDX-License-Identifier: Apache-2.0 */
/* Closes the loop once it should not be used any more. */
#ifndef CORE_DRAIN_H
#define CORE_DRAIN_H

#include <stdbool.h>
#include <stddef.h>

#include <uv.h>

/** Lets the plugins' closing handles finish, within `limit_ms`, while the loop is still watched. */
void drain_run(uv_loop_t *loop, unsigned limit_ms);
/**
 * Closes the loop, once the last handles of the host have been closed.
 * @return false if handles or requests are left open; they are logged with their owners, and the loop stays
 * open.
 */
bool drain_loop(uv_loop_t *loop);

#endif
