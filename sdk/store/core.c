/* SPDX-License-Identifier: Apache-2.0 */
/* One store's part that no engine need know: its turns of the loop, its close, and the table. */
#include "core.h"

#include <stdlib.h>
#include <string.h>

#include "batch.h"

#define CLOSING "the store closes"

static void stay_awake(uv_idle_t *awake)
{
}

static void on_awake_closed(uv_handle_t *handle)
{
    struct berth_store_core *core = handle->data;
    void (*on_closed)(void *self) = core->on_closed;
    void *self = core->self;

    while (core->waiting.count > 0)
        store_batch_fail_waiting(core, BERTH_UNAVAILABLE, CLOSING);
    store_watch_finish(&core->watches);
    store_overlay_finish(&core->overlay);
    free(core);
    on_closed(self);
}

static void on_turn_closed(uv_handle_t *handle)
{
    struct berth_store_core *core = handle->data;

    uv_close((uv_handle_t *)&core->awake, on_awake_closed);
}

static void end_waiting(struct berth_store_core *core)
{
    store_batch_fail_waiting(core, BERTH_UNAVAILABLE, CLOSING);
    if (core->waiting.count > 0) {
        store_core_wake(core);
        return;
    }
    core->is_ending = true;
    uv_close((uv_handle_t *)&core->turn, on_turn_closed);
}

static void on_turn(uv_check_t *turn)
{
    struct berth_store_core *core = turn->data;

    uv_check_stop(&core->turn);
    uv_idle_stop(&core->awake);
    if (core->is_committing)
        return;
    if (core->is_closing)
        end_waiting(core);
    else if (core->waiting.count > 0)
        store_batch_run(core);
}

void store_core_wake(struct berth_store_core *core)
{
    if (core->is_ending || core->is_committing)
        return;
    uv_check_start(&core->turn, on_turn);
    uv_idle_start(&core->awake, stay_awake);
}

void store_core_end_batch(struct berth_store_core *core, enum berth_code code, const char *message)
{
    store_batch_end(core, code, message != NULL ? message : "the store gave no reason");
}

struct berth_store_core *berth_store_core_create(uv_loop_t *loop, const struct berth_store_engine *engine,
                                                 void *self, const struct berth_store_limits *limits)
{
    struct berth_store_core *core = calloc(1, sizeof(*core));

    if (core == NULL)
        return NULL;
    core->engine = engine;
    core->self = self;
    core->limits = *limits;
    core->on_committed = store_core_end_batch;
    uv_check_init(loop, &core->turn);
    uv_idle_init(loop, &core->awake);
    core->turn.data = core;
    core->awake.data = core;
    return core;
}

void berth_store_core_close(struct berth_store_core *core, void (*on_closed)(void *self))
{
    core->is_closing = true;
    core->on_closed = on_closed;
    store_core_wake(core);
}

void berth_store_committed(struct berth_store_core *core, enum berth_code code, const char *message)
{
    core->on_committed(core, code, message);
}

void berth_store_core_tell(struct berth_store_core *core, const struct berth_store_change *change)
{
    store_watch_tell(&core->watches, change);
}

size_t berth_store_core_waiting(const struct berth_store_core *core)
{
    return core->waiting.count + core->running.count;
}

static struct berth_store_core *core_of(void *instance)
{
    return *(struct berth_store_core **)instance;
}

void berth_store_core_update(void *instance, struct berth_store_update *update)
{
    struct berth_store_core *core = core_of(instance);

    store_queue_add(&core->waiting, update);
    store_core_wake(core);
}

struct berth_store_watch *berth_store_core_watch(void *instance, const char *prefix,
                                                 void (*on_change)(void *context,
                                                                   const struct berth_store_change *change),
                                                 void *context)
{
    return store_watch_add(&core_of(instance)->watches, prefix, on_change, context);
}

void berth_store_core_unwatch(void *instance, struct berth_store_watch *watch)
{
    store_watch_remove(&core_of(instance)->watches, watch);
}

const struct berth_store_limits *berth_store_core_limits(void *instance)
{
    return &core_of(instance)->limits;
}

const struct berth_store berth_store_interface = BERTH_STORE_INTERFACE;
