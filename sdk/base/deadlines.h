/* SPDX-License-Identifier: Apache-2.0 */
/* Any number of deadlines on one timer of the loop. */
#ifndef SDK_BASE_DEADLINES_H
#define SDK_BASE_DEADLINES_H

#include <uv.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** One deadline; embedded in what waits for it. Zero-initialised: not waiting. */
struct deadline {
    /** On the clock of uv_hrtime(). */
    uint64_t due_ns;
    /** Its position in the heap, from 1; 0: not waiting. */
    size_t place;
    void (*on_due)(struct deadline *deadline);
};

/** Any number of deadlines on one timer. */
struct deadlines {
    uv_timer_t timer;
    struct deadline **heap;
    size_t count;
    size_t capacity;
    uint64_t armed_ns;
};

void deadlines_init(struct deadlines *deadlines, uv_loop_t *loop);

/** Frees memory only; the owner closes `timer`, before or after. */
void deadlines_finish(struct deadlines *deadlines);

/**
 * Calls `on_due` from the loop, once, at `due_ns`. Moves a deadline that is already waiting. @return false
 * without memory.
 */
bool deadlines_start(struct deadlines *deadlines, struct deadline *deadline, uint64_t due_ns,
                     void (*on_due)(struct deadline *deadline));

/** No-op if it is not waiting. */
void deadlines_stop(struct deadlines *deadlines, struct deadline *deadline);

#endif
