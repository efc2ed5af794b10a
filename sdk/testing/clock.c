/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Time in a test: stopped, and advanced from one due timer to the next while the loop runs. Replaces the C
 * library's clock_gettime: a definition in the program takes precedence over those in its libraries, for the
 * libraries too. So libuv in a test program calls this one.
 */
#include <poll.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "fake.h"

#define SECOND_NS UINT64_C(1000000000)
#define WAIT_NS (2000 * MILLISECOND_NS)

/* Turns of the loop for chains of callbacks: closing, then the close callback, … */
#define TURNS 16

/* The clock belongs to the process, and so does this. */
static atomic_uint stops;
static _Atomic uint64_t stopped_at;

static int read_real(clockid_t id, struct timespec *ret)
{
    return (int)syscall(SYS_clock_gettime, id, ret);
}

__attribute__((visibility("default"))) int clock_gettime(clockid_t id, struct timespec *ret)
{
    uint64_t now;

    if (atomic_load(&stops) == 0 || (id != CLOCK_MONOTONIC && id != CLOCK_MONOTONIC_COARSE &&
                                     id != CLOCK_MONOTONIC_RAW && id != CLOCK_BOOTTIME))
        return read_real(id, ret);
    now = atomic_load(&stopped_at);
    ret->tv_sec = (time_t)(now / SECOND_NS);
    ret->tv_nsec = (long)(now % SECOND_NS);
    return 0;
}

void fake_clock_stop(void)
{
    uint64_t now = fake_real_ns();

    /* Never goes back, even if an earlier test had moved it ahead. */
    if (atomic_load(&stops) == 0 && now > atomic_load(&stopped_at))
        atomic_store(&stopped_at, now);
    atomic_fetch_add(&stops, 1);
}

void fake_clock_let_go(void)
{
    atomic_fetch_sub(&stops, 1);
}

static void clock_advance(uint64_t nanoseconds)
{
    atomic_fetch_add(&stopped_at, nanoseconds);
}

void fake_deadline_set(struct berth_testing *testing, struct fake_deadline *deadline, uint64_t due_ns,
                       void (*on_due)(struct berth_testing *testing, struct fake_deadline *deadline))
{
    fake_deadline_clear(deadline);
    deadline->is_set = true;
    deadline->due_ns = due_ns;
    deadline->on_due = on_due;
    LIST_INSERT_HEAD(&testing->deadlines, deadline, link);
}

void fake_deadline_clear(struct fake_deadline *deadline)
{
    if (deadline->is_set)
        LIST_REMOVE(deadline, link);
    deadline->is_set = false;
}

static struct fake_deadline *first_deadline(const struct berth_testing *testing)
{
    struct fake_deadline *first = NULL;
    struct fake_deadline *deadline;

    LIST_FOREACH(deadline, &testing->deadlines, link)
    if (first == NULL || deadline->due_ns < first->due_ns)
        first = deadline;
    return first;
}

static void turn(struct berth_testing *testing)
{
    struct fake_deadline *due;

    for (int i = 0; i < TURNS; i++)
        fake_turn(testing);
    while ((due = first_deadline(testing)) != NULL && due->due_ns <= uv_hrtime()) {
        fake_deadline_clear(due);
        due->on_due(testing, due);
    }
}

struct waiter {
    const struct berth_testing *testing;
    bool is_found;
};

static void find_waiter(uv_handle_t *handle, void *context)
{
    struct waiter *waiter = context;

    if (uv_is_active(handle) && uv_has_ref(handle) && handle->type != UV_TIMER &&
        handle != (const uv_handle_t *)&waiter->testing->mailroom.async)
        waiter->is_found = true;
}

/* Could anything but the clock wake the loop: work on other threads, which may post, or a descriptor? */
static bool waits_for_the_world(struct berth_testing *testing)
{
    struct waiter waiter = {.testing = testing,
                            .is_found = testing->loop->active_reqs.count > 0 || fake_has_threads(testing)};

    uv_walk(testing->loop, find_waiter, &waiter);
    return waiter.is_found;
}

bool fake_wait(struct berth_testing *testing, bool (*is_done)(void *context), void *context,
               bool stop_when_idle)
{
    uint64_t begun = fake_real_ns();
    struct pollfd backend = {.fd = uv_backend_fd(testing->loop), .events = POLLIN};

    turn(testing);
    while (!is_done(context) && fake_real_ns() - begun < WAIT_NS) {
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

/* The time of the next due event, at most `end`. Timers count whole milliseconds of the loop's own time. */
static uint64_t next_due(struct berth_testing *testing, uint64_t end)
{
    const struct fake_deadline *deadline = first_deadline(testing);
    uint64_t due = deadline != NULL && deadline->due_ns < end ? deadline->due_ns : end;
    int timer_ms;

    uv_update_time(testing->loop);
    timer_ms = uv_backend_timeout(testing->loop);
    if (timer_ms > 0 && (uv_now(testing->loop) + (uint64_t)timer_ms) * MILLISECOND_NS < due)
        due = (uv_now(testing->loop) + (uint64_t)timer_ms) * MILLISECOND_NS;
    return due;
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
