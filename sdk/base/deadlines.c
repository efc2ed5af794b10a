/* SPDX-License-Identifier: Apache-2.0 */
/* A heap of deadlines on one timer, so that a call with a deadline needs no handle. */
#include "deadlines.h"

#include <stdlib.h>

#define NANOSECONDS_PER_MILLISECOND 1000000u
#define LONGEST_SLEEP_MS (24u * 3600 * 1000)

static void put(struct deadlines *deadlines, size_t place, struct deadline *deadline)
{
    deadlines->heap[place - 1] = deadline;
    deadline->place = place;
}

static struct deadline *at(const struct deadlines *deadlines, size_t place)
{
    return deadlines->heap[place - 1];
}

static void sift_up(struct deadlines *deadlines, size_t place, struct deadline *deadline)
{
    while (place > 1 && at(deadlines, place / 2)->due_ns > deadline->due_ns) {
        put(deadlines, place, at(deadlines, place / 2));
        place /= 2;
    }
    put(deadlines, place, deadline);
}

static void sift_down(struct deadlines *deadlines, size_t place, struct deadline *deadline)
{
    for (;;) {
        size_t child = place * 2;

        if (child < deadlines->count && at(deadlines, child + 1)->due_ns < at(deadlines, child)->due_ns)
            child++;
        if (child > deadlines->count || at(deadlines, child)->due_ns >= deadline->due_ns)
            break;
        put(deadlines, place, at(deadlines, child));
        place = child;
    }
    put(deadlines, place, deadline);
}

static void on_timer(uv_timer_t *timer);

/* A timer that is early only looks and sleeps again, so one that is armed for less is left alone. */
static void arm(struct deadlines *deadlines)
{
    uint64_t now = uv_hrtime();
    uint64_t due;
    uint64_t sleep_ms;

    if (deadlines->count == 0 || uv_is_closing((uv_handle_t *)&deadlines->timer))
        return;
    due = at(deadlines, 1)->due_ns;
    if (uv_is_active((uv_handle_t *)&deadlines->timer) && deadlines->armed_ns <= due)
        return;
    sleep_ms = due <= now ? 0 : (due - now - 1) / NANOSECONDS_PER_MILLISECOND + 1;
    deadlines->armed_ns = due;
    uv_timer_start(&deadlines->timer, on_timer, sleep_ms < LONGEST_SLEEP_MS ? sleep_ms : LONGEST_SLEEP_MS, 0);
}

static void on_timer(uv_timer_t *timer)
{
    struct deadlines *deadlines = timer->data;
    uint64_t now = uv_hrtime();

    while (deadlines->count > 0 && at(deadlines, 1)->due_ns <= now) {
        struct deadline *deadline = at(deadlines, 1);

        deadlines_stop(deadlines, deadline);
        deadline->on_due(deadline);
    }
    arm(deadlines);
}

void deadlines_init(struct deadlines *deadlines, uv_loop_t *loop)
{
    *deadlines = (struct deadlines){0};
    uv_timer_init(loop, &deadlines->timer);
    /* Its function says whose it is, for whoever looks at the loop's handles before a module is unloaded. */
    uv_timer_start(&deadlines->timer, on_timer, 0, 0);
    uv_timer_stop(&deadlines->timer);
    deadlines->timer.data = deadlines;
}

void deadlines_finish(struct deadlines *deadlines)
{
    free(deadlines->heap);
    deadlines->heap = NULL;
    deadlines->count = 0;
}

static bool reserve(struct deadlines *deadlines)
{
    size_t capacity = deadlines->capacity == 0 ? 16 : deadlines->capacity * 2;
    struct deadline **heap;

    if (deadlines->count < deadlines->capacity)
        return true;
    heap = realloc(deadlines->heap, capacity * sizeof(*heap));
    if (heap == NULL)
        return false;
    deadlines->heap = heap;
    deadlines->capacity = capacity;
    return true;
}

bool deadlines_start(struct deadlines *deadlines, struct deadline *deadline, uint64_t due_ns,
                     void (*on_due)(struct deadline *deadline))
{
    deadlines_stop(deadlines, deadline);
    if (!reserve(deadlines))
        return false;
    deadline->due_ns = due_ns;
    deadline->on_due = on_due;
    deadlines->count++;
    sift_up(deadlines, deadlines->count, deadline);
    arm(deadlines);
    return true;
}

void deadlines_stop(struct deadlines *deadlines, struct deadline *deadline)
{
    size_t place = deadline->place;
    struct deadline *last;

    if (place == 0)
        return;
    last = at(deadlines, deadlines->count);
    deadlines->count--;
    deadline->place = 0;
    if (last == deadline)
        return;
    sift_up(deadlines, place, last);
    sift_down(deadlines, last->place, last);
}
