/* SPDX-License-Identifier: Apache-2.0 */
/* Takes the plugins of a plan through their lives. All that calls a plugin begins at the top of the loop. */
#include "lifecycle.h"

#include <stdlib.h>

#include "life.h"
#include <core/base/log.h>
#include <sdk/base/container_of.h>
#include "serving.h"
#include "starting.h"
#include "step.h"
#include "stopping.h"

/* How long the loop may be kept from its I/O, and from signals, while plugins start one after the other. */
#define TURN_MAX_NS 5000000u

void lifecycle_on_step_ended(struct life *life, enum berth_step step, const struct step_outcome *outcome)
{
    switch (step) {
    case BERTH_STEP_INIT:
        starting_on_init_ended(life, outcome);
        return;
    case BERTH_STEP_SERVE:
        serving_on_serve_ended(life, outcome);
        return;
    case BERTH_STEP_DRAIN:
        stopping_on_drain_ended(life, outcome);
        return;
    case BERTH_STEP_CLOSE:
        stopping_on_close_ended(life, outcome);
        return;
    }
}

void lifecycle_on_step_late(struct life *life, enum berth_step step, const struct step_outcome *outcome)
{
    if (step == BERTH_STEP_INIT)
        starting_on_init_late(life, outcome);
}

static void on_deadline(struct deadline *deadline)
{
    struct life *life = CONTAINER_OF(deadline, struct life, deadline);

    if (life->job != NULL && !life->job->is_abandoned)
        starting_on_prepare_overdue(life);
    else
        step_time_out(life);
}

static struct life *of_host(struct host *host)
{
    return CONTAINER_OF(host, struct life, host);
}

static void on_complete(struct host *host, enum berth_step step, enum berth_code code, void *instance,
                        const char *message)
{
    step_complete(of_host(host), step, code, instance, message);
}

static void on_fail(struct host *host, enum berth_code code, const char *message)
{
    serving_on_fail(of_host(host), code, message);
}

static void on_report(struct host *host, enum berth_code code, const char *message)
{
    serving_on_report(of_host(host), code, message);
}

static void on_released(struct host *host)
{
    serving_on_released(of_host(host));
}

static void enter(struct lifecycle *lifecycle, enum lifecycle_phase phase, void (*on_event)(void *context))
{
    lifecycle->phase = phase;
    if (on_event != NULL)
        on_event(lifecycle->options.context);
}

/* Gives out turns until none can begin or the loop has been kept long enough. */
static void give_turns(struct lifecycle *lifecycle, void (*begin)(struct life *life))
{
    uint64_t until_ns = uv_hrtime() + TURN_MAX_NS;
    enum lifecycle_phase phase = lifecycle->phase;

    while (lifecycle->phase == phase) {
        size_t entry = turns_next(lifecycle->turns);

        if (entry == PLAN_NONE) {
            uv_idle_stop(&lifecycle->turn);
            return;
        }
        begin(&lifecycle->lives[entry]);
        if (uv_hrtime() >= until_ns) {
            life_wake(lifecycle);
            return;
        }
    }
}

static void start_some(struct lifecycle *lifecycle)
{
    give_turns(lifecycle, starting_begin);
    if (lifecycle->phase == LIFECYCLE_STARTING && turns_are_over(lifecycle->turns))
        enter(lifecycle, LIFECYCLE_SETTLED, lifecycle->options.events.on_settled);
}

static void serve_some(struct lifecycle *lifecycle)
{
    give_turns(lifecycle, serving_begin);
    if (lifecycle->phase != LIFECYCLE_SERVING || !turns_are_over(lifecycle->turns))
        return;
    enter(lifecycle, LIFECYCLE_SERVED, lifecycle->options.events.on_served);
    life_wake(lifecycle);
}

static void look_for_ready(struct lifecycle *lifecycle)
{
    uv_idle_stop(&lifecycle->turn);
    if (serving_is_all_ready(lifecycle))
        enter(lifecycle, LIFECYCLE_READY, lifecycle->options.events.on_ready);
}

static void begin_draining(struct lifecycle *lifecycle)
{
    uv_idle_stop(&lifecycle->turn);
    if (lifecycle->in_flight > 0)
        return;
    lifecycle->phase = LIFECYCLE_DRAINING;
    for (size_t i = lifecycle->plan->run_count; i-- > 0;)
        if (lifecycle->lives[i].table != NULL)
            stopping_drain(&lifecycle->lives[i]);
    life_wake(lifecycle);
}

static void begin_closing(struct lifecycle *lifecycle)
{
    uv_idle_stop(&lifecycle->turn);
    if (lifecycle->in_flight > 0)
        return;
    lifecycle->phase = LIFECYCLE_CLOSING;
    lifecycle->close_before = lifecycle->plan->run_count;
    life_wake(lifecycle);
}

static void on_one_closed(struct lifecycle *lifecycle)
{
    if (--lifecycle->open_handles == 0)
        enter(lifecycle, LIFECYCLE_STOPPED, lifecycle->options.events.on_stopped);
}

static void on_handle_closed(uv_handle_t *handle)
{
    on_one_closed(handle->data);
}

static void on_idle_closed(uv_handle_t *handle)
{
    on_one_closed(CONTAINER_OF(handle, struct lifecycle, turn));
}

static void on_pool_closed(void *context)
{
    on_one_closed(context);
}

/* A pool with a prepare that never returned keeps its threads and its handle. */
static void close_handles(struct lifecycle *lifecycle)
{
    lifecycle->phase = LIFECYCLE_STOPPED;
    uv_idle_stop(&lifecycle->turn);
    lifecycle->open_handles = lifecycle->plan->run_count + 1;
    if (lifecycle->pool != NULL && prepare_pool_close(lifecycle->pool, on_pool_closed, lifecycle))
        lifecycle->open_handles++;
    for (size_t i = 0; i < lifecycle->plan->run_count; i++) {
        lifecycle->lives[i].deadline.timer.data = lifecycle;
        deadline_close(&lifecycle->lives[i].deadline, on_handle_closed);
    }
    uv_close((uv_handle_t *)&lifecycle->turn, on_idle_closed);
}

/* One at a time, the last of the plan first, so that what a plugin uses outlives it. */
static void close_some(struct lifecycle *lifecycle)
{
    while (lifecycle->in_flight == 0 && lifecycle->close_before > 0)
        stopping_close(&lifecycle->lives[--lifecycle->close_before]);
    if (lifecycle->in_flight == 0)
        close_handles(lifecycle);
    else
        uv_idle_stop(&lifecycle->turn);
}

static void close_late(struct lifecycle *lifecycle)
{
    for (size_t i = 0; lifecycle->late > 0 && i < lifecycle->plan->run_count; i++)
        if (lifecycle->lives[i].is_late) {
            lifecycle->lives[i].is_late = false;
            lifecycle->late--;
            stopping_close(&lifecycle->lives[i]);
        }
}

static void on_turn(uv_idle_t *idle)
{
    struct lifecycle *lifecycle = CONTAINER_OF(idle, struct lifecycle, turn);

    close_late(lifecycle);
    switch (lifecycle->phase) {
    case LIFECYCLE_STARTING:
        start_some(lifecycle);
        return;
    case LIFECYCLE_SERVING:
        serve_some(lifecycle);
        return;
    case LIFECYCLE_SERVED:
        look_for_ready(lifecycle);
        return;
    case LIFECYCLE_QUIESCING:
        begin_draining(lifecycle);
        return;
    case LIFECYCLE_DRAINING:
        begin_closing(lifecycle);
        return;
    case LIFECYCLE_CLOSING:
        close_some(lifecycle);
        return;
    case LIFECYCLE_CREATED:
    case LIFECYCLE_SETTLED:
    case LIFECYCLE_READY:
    case LIFECYCLE_STOPPED:
        uv_idle_stop(idle);
        return;
    }
}

static void init_life(struct lifecycle *lifecycle, size_t index)
{
    const struct lifecycle_part *part = &lifecycle->options.parts[index];
    struct life *life = &lifecycle->lives[index];

    life->lifecycle = lifecycle;
    life->plugin = registry_get(lifecycle->registry, index);
    life->table = part->table;
    life->plugin->table = part->table;
    life->timeouts = part->timeouts;
    host_init(&life->host, life->plugin, &lifecycle->options.host, part->settings);
    life->host.on_complete = on_complete;
    life->host.on_fail = on_fail;
    life->host.on_report = on_report;
    life->host.on_released = on_released;
    deadline_init(&life->deadline, lifecycle->options.host.loop, on_deadline);
}

static void *allocate(size_t count, size_t size)
{
    void *memory = calloc(count > 0 ? count : 1, size);

    if (memory == NULL)
        abort();
    return memory;
}

/* Who could not be loaded has fallen already. */
static void init_verdicts(struct lifecycle *lifecycle)
{
    lifecycle->verdicts = verdicts_create(lifecycle->plan);
    for (size_t i = 0; i < lifecycle->plan->run_count; i++) {
        const struct registry_plugin *plugin = registry_get(lifecycle->registry, i);

        verdicts_set(lifecycle->verdicts, i, plugin->state, plugin->reason, plugin->cause);
    }
}

struct lifecycle *lifecycle_create(const struct lifecycle_options *options)
{
    struct lifecycle *lifecycle = allocate(1, sizeof(*lifecycle));

    lifecycle->options = *options;
    lifecycle->registry = options->host.registry;
    lifecycle->plan = registry_plan(lifecycle->registry);
    lifecycle->router = options->host.router;
    lifecycle->lives = allocate(lifecycle->plan->run_count, sizeof(*lifecycle->lives));
    lifecycle->turns = turns_create(lifecycle->plan);
    uv_idle_init(options->host.loop, &lifecycle->turn);
    lifecycle->on_turn = on_turn;
    for (size_t i = 0; i < lifecycle->plan->run_count; i++)
        init_life(lifecycle, i);
    init_verdicts(lifecycle);
    return lifecycle;
}

void lifecycle_start(struct lifecycle *lifecycle)
{
    lifecycle->phase = LIFECYCLE_STARTING;
    for (size_t i = 0; i < lifecycle->plan->run_count; i++)
        if (lifecycle->lives[i].plugin->state != BERTH_STATE_WAITING)
            life_settle(&lifecycle->lives[i]);
    life_wake(lifecycle);
}

void lifecycle_serve(struct lifecycle *lifecycle)
{
    if (lifecycle->phase != LIFECYCLE_SETTLED)
        return;
    turns_destroy(lifecycle->turns);
    lifecycle->turns = turns_create(lifecycle->plan);
    lifecycle->phase = LIFECYCLE_SERVING;
    life_wake(lifecycle);
}

void lifecycle_stop(struct lifecycle *lifecycle)
{
    if (lifecycle->phase >= LIFECYCLE_QUIESCING)
        return;
    lifecycle->phase = LIFECYCLE_QUIESCING;
    for (size_t i = 0; i < lifecycle->plan->run_count; i++)
        starting_cancel(&lifecycle->lives[i]);
    life_wake(lifecycle);
}

void lifecycle_each_pending(const struct lifecycle *lifecycle,
                            void (*on_pending)(void *context, const char *uri, const char *step),
                            void *context)
{
    for (size_t i = 0; i < lifecycle->plan->run_count; i++) {
        const struct life *life = &lifecycle->lives[i];

        if (life->job != NULL && !life->job->is_abandoned)
            on_pending(context, life_uri(life), "prepare");
        for (int step = 0; step < LIFE_STEPS; step++)
            if (life->steps[step].status == STEP_PENDING)
                on_pending(context, life_uri(life), step_name((enum berth_step)step));
    }
}

bool lifecycle_is_busy(const struct lifecycle *lifecycle, size_t index)
{
    const struct life *life = &lifecycle->lives[index];

    return life->job != NULL || life->has_instance || step_is_late(life);
}

bool lifecycle_is_any_busy(const struct lifecycle *lifecycle)
{
    for (size_t i = 0; i < lifecycle->plan->run_count; i++)
        if (lifecycle_is_busy(lifecycle, i))
            return true;
    return false;
}

void lifecycle_destroy(struct lifecycle *lifecycle)
{
    if (lifecycle == NULL)
        return;
    for (size_t i = 0; i < lifecycle->plan->run_count; i++)
        host_finish(&lifecycle->lives[i].host);
    turns_destroy(lifecycle->turns);
    verdicts_destroy(lifecycle->verdicts);
    free(lifecycle->lives);
    free(lifecycle);
}
