/* SPDX-License-Identifier: Apache-2.0 */
/* A deadline on the loop. */
#ifndef CORE_LIFE_DEADLINE_H
#define CORE_LIFE_DEADLINE_H

#include <stdbool.h>
#include <stdint.h>

#include <uv.h>

struct deadline {
    uv_timer_t timer;
    bool is_last_look;
    void (*on_passed)(struct deadline *deadline);
};

void deadline_init(struct deadline *deadline, uv_loop_t *loop, void (*on_passed)(struct deadline *deadline));
/** `after_ns` from now; 0: never. Replaces one that runs. */
void deadline_start(struct deadline *deadline, uint64_t after_ns);
/** The same, unless one runs that passes earlier. */
void deadline_shorten(struct deadline *deadline, uint64_t after_ns);
void deadline_stop(struct deadline *deadline);
/** `on_closed` gets the timer; its `data` is the caller's. */
void deadline_close(struct deadline *deadline, uv_close_cb on_closed);

#endif
