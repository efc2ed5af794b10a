/* SPDX-License-Identifier: Apache-2.0 */
/* Work deferred to the end of a turn of the loop, so that everything from one turn leaves in one write. */
#include "turn.h"

static void on_prepare(uv_prepare_t *prepare);

static void on_idle(uv_idle_t *idle)
{
    (void)idle;
}

/* The idle handle only keeps the loop from sleeping over tasks that came while tasks ran. */
static void settle(struct turn *turn, bool is_running)
{
    if (uv_is_closing((uv_handle_t *)&turn->prepare))
        return;
    if (TAILQ_EMPTY(&turn->tasks)) {
        uv_prepare_stop(&turn->prepare);
        uv_idle_stop(&turn->idle);
        return;
    }
    uv_prepare_start(&turn->prepare, on_prepare);
    if (is_running)
        uv_idle_start(&turn->idle, on_idle);
    else
        uv_idle_stop(&turn->idle);
}

static struct turn_task *pop(struct turn *turn)
{
    struct turn_task *task = TAILQ_FIRST(&turn->tasks);

    TAILQ_REMOVE(&turn->tasks, task, link);
    task->is_queued = false;
    return task;
}

static void mark_end(struct turn_task *task)
{
    (void)task;
}

static void on_prepare(uv_prepare_t *prepare)
{
    struct turn *turn = prepare->data;
    struct turn_task mark = {.run = mark_end};

    turn_add(turn, &mark);
    while (mark.is_queued) {
        struct turn_task *task = pop(turn);

        task->run(task);
    }
    settle(turn, true);
}

void turn_init(struct turn *turn, uv_loop_t *loop)
{
    *turn = (struct turn){0};
    TAILQ_INIT(&turn->tasks);
    uv_prepare_init(loop, &turn->prepare);
    uv_idle_init(loop, &turn->idle);
    /* Their functions say whose they are, for whoever looks at the loop's handles before a module is
     * unloaded. */
    uv_prepare_start(&turn->prepare, on_prepare);
    uv_prepare_stop(&turn->prepare);
    uv_idle_start(&turn->idle, on_idle);
    uv_idle_stop(&turn->idle);
    turn->prepare.data = turn;
    turn->idle.data = turn;
}

void turn_add(struct turn *turn, struct turn_task *task)
{
    bool was_empty = TAILQ_EMPTY(&turn->tasks);

    if (task->is_queued)
        return;
    task->is_queued = true;
    TAILQ_INSERT_TAIL(&turn->tasks, task, link);
    if (was_empty)
        settle(turn, false);
}

void turn_remove(struct turn *turn, struct turn_task *task)
{
    if (task->is_queued)
        TAILQ_REMOVE(&turn->tasks, task, link);
    task->is_queued = false;
}

static void on_handle_closed(uv_handle_t *handle)
{
    struct turn *turn = handle->data;

    if (++turn->closed == 2)
        turn->on_closed(turn);
}

void turn_close(struct turn *turn, void (*on_closed)(struct turn *turn))
{
    turn->on_closed = on_closed;
    uv_close((uv_handle_t *)&turn->prepare, on_handle_closed);
    uv_close((uv_handle_t *)&turn->idle, on_handle_closed);
}
