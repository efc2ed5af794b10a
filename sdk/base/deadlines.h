/* SPDX-License-Identifier: Apache-2.0 */
/* One moment each for any number of waiters, on one timer of the loop. */
#ifndef SDK_BASE_DEADLINES_H
#define SDK_BASE_DEADLINES_H

#include <uv.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** One moment to wait for; embedded in what waits. All zero is one that is not waiting. */
struct deadline {
    /** On the clock of uv_hrtime(). */
    uint64_t due_ns;
    /** Its place in the heap, counted from 1; 0: not waiting. */
    size_t place;
    void (*on_due)(struct deadline *deadline);
};

/** Any number of moments on one timer. */
struct deadlines {
    uv_timer_t timer;
    struct deadline **heap;
    size_t count;
    size_t capacity;
    uint64_t armed_ns;
};

void deadlines_init(struct deadlines *deadlines, uv_loop_t *loop);

/** Frees what is not a handle; the owner closes `timer` himself, before or after. */
void deadlines_finish(struct deadlines *deadlines);

/** Waits until `due_ns`, then calls `on_due` from the loop, once. Moves one that waits already. @return false
 * without memory. */
bool deadlines_start(struct deadlines *deadlines, struct deadline *deadline, uint64_t due_ns,
                     void (*on_due)(struct deadline *deadline));

/** Does nothing where it does not wait. */
void deadlines_stop(struct deadlines *deadlines, struct deadline *deadline);

#endif
