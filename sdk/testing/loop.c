/* SPDX-License-Identifier: Apache-2.0 */
/* Runs the loop while the clock stands still, and moves the clock from one thing that falls due to the next.
 */
#include <poll.h>

#include "clock.h"
#include "fake.h"

#define WAIT_NS (2000 * MILLISECOND_NS)

/* How often the loop is turned for what one callback leaves to the next: closing, then its callback, … */
#define TURNS 16

static void turn(struct berth_testing *testing)
{
    for (int i = 0; i < TURNS; i++) {
        uv_update_time(testing->loop);
        uv_run(testing->loop, UV_RUN_NOWAIT);
    }
    fake_steps_expire(testing);
    fake_calls_expire(testing);
    fake_steps_settle(testing);
}

static void find_waiter(uv_handle_t *handle, void *context)
{
    bool *found = context;

    if (uv_is_active(handle) && uv_has_ref(handle) && handle->type != UV_TIMER)
        *found = true;
}

/* Could anything but the clock bring the loop an event? Work on other threads, or a descriptor. */
static bool waits_for_the_world(struct berth_testing *testing)
{
    bool found = testing->loop->active_reqs.count > 0;

    uv_walk(testing->loop, find_waiter, &found);
    return found;
}

bool fake_wait(struct berth_testing *testing, bool (*is_done)(void *context), void *context,
               bool stop_when_idle)
{
    uint64_t begun = clock_real();
    struct pollfd backend = {.fd = uv_backend_fd(testing->loop), .events = POLLIN};

    turn(testing);
    while (!is_done(context) && clock_real() - begun < WAIT_NS) {
        if (stop_when_idle && !waits_for_the_world(testing))
            break;
        poll(&backend, 1, 10);
        turn(testing);
    }
    return is_done(context);
}

void berth_testing_run(struct berth_testing *testing)
{
    turn(testing);
}

bool berth_testing_run_until(struct berth_testing *testing, bool (*is_done)(void *context), void *context)
{
    return fake_wait(testing, is_done, context, false);
}

/* When the next thing falls due, at most `end`. A timer counts whole milliseconds of the loop's own time. */
static uint64_t next_due(struct berth_testing *testing, uint64_t end)
{
    uint64_t steps = fake_steps_due_ns(testing);
    uint64_t calls = fake_calls_due_ns(testing);
    uint64_t due = steps < calls ? steps : calls;
    int timer_ms;

    uv_update_time(testing->loop);
    timer_ms = uv_backend_timeout(testing->loop);
    if (timer_ms > 0 && (uv_now(testing->loop) + (uint64_t)timer_ms) * MILLISECOND_NS < due)
        due = (uv_now(testing->loop) + (uint64_t)timer_ms) * MILLISECOND_NS;
    return due < end ? due : end;
}

void berth_testing_advance(struct berth_testing *testing, uint64_t milliseconds)
{
    uint64_t end = uv_hrtime() + milliseconds * MILLISECOND_NS;

    turn(testing);
    while (uv_hrtime() < end) {
        uint64_t now = uv_hrtime();
        uint64_t due = next_due(testing, end);

        clock_advance(due > now ? due - now : 1);
        turn(testing);
    }
}
