/* SPDX-License-Identifier: Apache-2.0 */
/* Closes the loop once nobody should use it any more. */
#ifndef CORE_DRAIN_H
#define CORE_DRAIN_H

#include <stdbool.h>
#include <stddef.h>

#include <uv.h>

/**
 * Lets closing handles finish, within `limit_ms`, and closes the loop.
 * @return false if handles or requests are left open; they are logged with their owners, and the loop stays
 * open.
 */
bool drain_loop(uv_loop_t *loop, unsigned limit_ms);

#endif
