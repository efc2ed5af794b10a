/* SPDX-License-Identifier: Apache-2.0 */
/* Keeps the loop the daemon's: names a plugin that runs it or stops it, and undoes that. */
#ifndef CORE_LIFE_GUARD_H
#define CORE_LIFE_GUARD_H

#include <uv.h>

/** Embedded. Its handle does not keep the loop alive. */
struct guard {
    uv_prepare_t prepare;
};

void guard_init(struct guard *guard, uv_loop_t *loop);
void guard_close(struct guard *guard, uv_close_cb on_closed);

/** Before an entry into a plugin is left. */
void guard_leave(uv_loop_t *loop);

#endif
