/* SPDX-License-Identifier: Apache-2.0 */
/* A deadline on the loop, which forgives a plugin that had its answer in time but not its turn. */
#include "deadline.h"

#include <sdk/base/container_of.h>

#define NANOSECONDS_PER_MILLISECOND 1000000u

static struct deadline *of_timer(uv_timer_t *timer)
{
    return CONTAINER_OF(timer, struct deadline, timer);
}

/*
 * A neighbour that kept the loop busy past this deadline must not be charged to us: timers run ahead of I/O,
 * so what has come meanwhile gets one look before the deadline counts.
 */
static void on_timer(uv_timer_t *timer)
{
    struct deadline *deadline = of_timer(timer);

    if (!deadline->is_last_look) {
        deadline->is_last_look = true;
        uv_timer_start(timer, on_timer, 0, 0);
        return;
    }
    deadline->on_passed(deadline);
}

void deadline_init(struct deadline *deadline, uv_loop_t *loop, void (*on_passed)(struct deadline *deadline))
{
    uv_timer_init(loop, &deadline->timer);
    deadline->on_passed = on_passed;
}

void deadline_start(struct deadline *deadline, uint64_t after_ns)
{
    uint64_t milliseconds =
        after_ns / NANOSECONDS_PER_MILLISECOND + (after_ns % NANOSECONDS_PER_MILLISECOND > 0);

    uv_timer_stop(&deadline->timer);
    deadline->is_last_look = false;
    if (after_ns == 0)
        return;
    uv_update_time(deadline->timer.loop);
    uv_timer_start(&deadline->timer, on_timer, milliseconds, 0);
}

void deadline_shorten(struct deadline *deadline, uint64_t after_ns)
{
    if (!uv_is_active((uv_handle_t *)&deadline->timer) ||
        uv_timer_get_due_in(&deadline->timer) > after_ns / NANOSECONDS_PER_MILLISECOND)
        deadline_start(deadline, after_ns);
}

void deadline_stop(struct deadline *deadline)
{
    uv_timer_stop(&deadline->timer);
}

void deadline_close(struct deadline *deadline, uv_close_cb on_closed)
{
    uv_close((uv_handle_t *)&deadline->timer, on_closed);
}
