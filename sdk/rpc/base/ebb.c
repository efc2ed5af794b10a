/* SPDX-License-Identifier: Apache-2.0 */
/* Returns free memory to the kernel once much less of it is in use than at the peak. */
#include "ebb.h"

#include <malloc.h>

#include <sdk/base/container_of.h>

/* One burst may be followed by the next. */
#define QUIET_NS UINT64_C(1000000000)

/* The share of all time that may be spent on it: one part in this many. */
#define SHARE 100

/* About 0.2 ms for each MiB that is free: not on the loop. */
static void give_back(uv_work_t *work)
{
    struct ebb *ebb = CONTAINER_OF(work, struct ebb, work);
    uint64_t begin = uv_hrtime();

    malloc_trim(0);
    ebb->took_ns = uv_hrtime() - begin;
}

static void on_given_back(uv_work_t *work, int status)
{
    struct ebb *ebb = CONTAINER_OF(work, struct ebb, work);

    ebb->is_working = false;
    ebb->next_ns = uv_hrtime() + ebb->took_ns * SHARE;
    ebb->count += status == 0;
    if (ebb->is_stopped)
        ebb->on_stopped(ebb);
}

static bool is_low(const struct budget *budget)
{
    return budget->used <= budget->height / 4;
}

static void on_due(struct deadline *deadline)
{
    struct ebb *ebb = CONTAINER_OF(deadline, struct ebb, deadline);

    if (!is_low(ebb->budget))
        return;
    ebb->budget->height = ebb->budget->used;
    ebb->drop(ebb);
    ebb->is_working = uv_queue_work(ebb->loop, &ebb->work, give_back, on_given_back) == 0;
}

static void on_fallen(struct budget *budget)
{
    struct ebb *ebb = budget->watcher;
    uint64_t now_ns = uv_hrtime();
    uint64_t due_ns = now_ns + QUIET_NS;

    if (ebb->is_working || ebb->deadline.place != 0)
        return;
    deadlines_start(ebb->deadlines, &ebb->deadline, due_ns > ebb->next_ns ? due_ns : ebb->next_ns, on_due);
}

void ebb_watch(struct ebb *ebb, struct budget *budget, uv_loop_t *loop, struct deadlines *deadlines,
               void (*drop)(struct ebb *ebb))
{
    *ebb = (struct ebb){.budget = budget, .loop = loop, .deadlines = deadlines, .drop = drop};
    budget->watcher = ebb;
    budget->height_min = EBB_HEIGHT_MIN;
    budget->on_fallen = on_fallen;
}

bool ebb_stop(struct ebb *ebb, void (*on_stopped)(struct ebb *ebb))
{
    if (ebb->budget == NULL)
        return true;
    ebb->budget->on_fallen = NULL;
    deadlines_stop(ebb->deadlines, &ebb->deadline);
    ebb->is_stopped = true;
    ebb->on_stopped = on_stopped;
    if (ebb->is_working)
        uv_cancel((uv_req_t *)&ebb->work);
    return !ebb->is_working;
}
