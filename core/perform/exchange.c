/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One group of a change. The stages of a group by its mode, each a function that says whether it is done:
 *
 *     beside     load  init               serve  switch                              leave
 *     handover   load  init  hold  drain  save   restore  serve  switch               leave
 *     exclusive  load        hold  drain  save   close  init  restore  serve  switch
 *
 * A failure up to the close of what ran undoes the rest: what is new is closed, and calls go on where they
 * were. After it, what ran before starts again from its own module and settings (the stages below `return`).
 */
#include "group.h"

#include <stdlib.h>

#include <sdk/base/container_of.h>
#include <sdk/base/memory.h>

static void add_member(struct exchange *exchange, size_t step)
{
    const struct change_step *of = &exchange->work->change->steps[step];
    struct member *member = &exchange->members[exchange->count++];

    *member = (struct member){.step = step, .of = of, .message = memory_copy("")};
    member->before = crew_find(exchange->crew, of->uri);
    member->was_ready = member->before != NULL && registry_plugin_is_ready(member->before->plugin);
}

static size_t place_of(const struct exchange *exchange, size_t step)
{
    size_t i = 0;

    while (i < exchange->count && exchange->members[i].step != step)
        i++;
    return i;
}

struct exchange *exchange_create(struct crew *crew, const struct perform_work *work, size_t first,
                                 size_t count, void (*on_wake)(void *context), void *context)
{
    struct exchange *exchange = memory_allocate(1, sizeof(*exchange));
    size_t most = 0;

    exchange->crew = crew;
    exchange->work = work;
    exchange->on_wake = on_wake;
    exchange->context = context;
    exchange->mode = work->change->groups[first].mode;
    exchange->only_starts = true;
    for (size_t i = first; i < first + count; i++)
        most += work->change->groups[i].begin_count + work->change->groups[i].end_count;
    exchange->members = memory_allocate(most + 1, sizeof(*exchange->members));
    exchange->ends = memory_allocate(most + 1, sizeof(*exchange->ends));
    for (size_t i = first; i < first + count; i++) {
        const struct change_group *group = &work->change->groups[i];

        for (size_t k = 0; k < group->begin_count; k++)
            add_member(exchange, group->begins[k]);
        for (size_t k = 0; k < group->end_count; k++) {
            exchange->only_starts = false;
            /* What ends for good is closed like what cannot live twice. */
            if (work->change->steps[group->ends[k]].action == CHANGE_STOP)
                exchange->mode = MANIFEST_UPGRADE_EXCLUSIVE;
            if (place_of(exchange, group->ends[k]) == exchange->count)
                add_member(exchange, group->ends[k]);
            exchange->ends[exchange->end_count++] = place_of(exchange, group->ends[k]);
        }
    }
    return exchange;
}

void exchange_release_calls(struct exchange *exchange)
{
    struct router *router = exchange_router(exchange);

    for (size_t i = 0; router != NULL && exchange->is_held && i < exchange->count; i++) {
        const struct generation *before = exchange->members[i].before;

        for (size_t k = 0; before != NULL && k < before->source.entry->plugin->service_count; k++)
            router_release(router, before->source.entry->plugin->services[k].name);
    }
    exchange->is_held = false;
    if (exchange->is_gated)
        router_open_gate(router);
    exchange->is_gated = false;
}

void exchange_destroy(struct exchange *exchange)
{
    if (exchange == NULL)
        return;
    deadlines_stop(&exchange->crew->ground.deadlines, &exchange->deadline);
    for (size_t i = 0; i < exchange->count; i++) {
        struct member *member = &exchange->members[i];

        if (member->before != NULL && exchange_router(exchange) != NULL && !member->before->is_leaving)
            router_when_idle(exchange_router(exchange), &member->before->host, NULL, NULL);
        if (member->has_source && exchange->crew->options->drop != NULL)
            exchange->crew->options->drop(exchange->crew->options->context, &member->source);
        generation_state_finish(&member->state);
        free(member->message);
    }
    exchange_release_calls(exchange);
    wave_destroy(exchange->wave);
    free(exchange->members);
    free(exchange->ends);
    free(exchange);
}

static void on_overdue(struct deadline *deadline)
{
    struct exchange *exchange = CONTAINER_OF(deadline, struct exchange, deadline);

    exchange->is_overdue = true;
    exchange->on_wake(exchange->context);
}

void exchange_limit(struct exchange *exchange)
{
    exchange->is_overdue = false;
    if (exchange->work->drain_ns > 0 &&
        !deadlines_start(&exchange->crew->ground.deadlines, &exchange->deadline,
                         uv_hrtime() + exchange->work->drain_ns, on_overdue))
        abort();
}

void exchange_go_to(struct exchange *exchange, enum stage stage)
{
    exchange->stage = stage;
    exchange->stage_has_begun = false;
}

static bool is_in_place(const struct exchange *exchange)
{
    return exchange->end_count == 0;
}

/* What follows a stage that is done. */
static enum stage next_stage(struct exchange *exchange)
{
    bool is_exclusive = exchange->mode == MANIFEST_UPGRADE_EXCLUSIVE;

    switch (exchange->stage) {
    case STAGE_LOAD:
        if (is_in_place(exchange))
            return STAGE_INIT;
        return is_exclusive ? STAGE_HOLD : STAGE_INIT_BESIDE;
    case STAGE_INIT_BESIDE:
        if (!exchange_check_after(exchange))
            return STAGE_UNDO;
        return exchange->mode == MANIFEST_UPGRADE_BESIDE ? STAGE_SERVE : STAGE_HOLD;
    case STAGE_HOLD:
        return STAGE_DRAIN;
    case STAGE_DRAIN:
        return STAGE_SAVE;
    case STAGE_SAVE:
        return is_exclusive ? STAGE_CLOSE : STAGE_RESTORE;
    case STAGE_CLOSE:
        return STAGE_INIT;
    case STAGE_INIT:
        if (exchange->only_starts)
            return STAGE_SERVE;
        return exchange_check_after(exchange) ? STAGE_RESTORE : STAGE_RETURN;
    case STAGE_RESTORE:
        return STAGE_SERVE;
    case STAGE_SERVE:
        if (exchange->only_starts) {
            exchange_check_after(exchange);
            exchange_take_places(exchange);
            exchange_refuse_calls(exchange);
            return STAGE_OVER;
        }
        if (!exchange_check_after(exchange))
            return is_exclusive ? STAGE_RETURN : STAGE_UNDO;
        return STAGE_SWITCH;
    case STAGE_SWITCH:
        exchange_refuse_calls(exchange);
        return STAGE_LEAVE;
    case STAGE_RETURN:
        return STAGE_RETURN_INIT;
    case STAGE_RETURN_INIT:
        return STAGE_RETURN_RESTORE;
    case STAGE_RETURN_RESTORE:
        return STAGE_RETURN_SERVE;
    case STAGE_RETURN_SERVE:
        return STAGE_RETURN_SWITCH;
    case STAGE_RETURN_SWITCH:
        exchange_report_return(exchange);
        exchange_refuse_calls(exchange);
        return STAGE_OVER;
    case STAGE_UNDO:
    case STAGE_LEAVE:
    case STAGE_OVER:
        return STAGE_OVER;
    }
    return STAGE_OVER;
}

/* @return is the stage done? It may have gone to another itself. */
static bool run_stage(struct exchange *exchange)
{
    bool is_exclusive = exchange->mode == MANIFEST_UPGRADE_EXCLUSIVE;

    switch (exchange->stage) {
    case STAGE_LOAD:
        return exchange_load(exchange);
    case STAGE_INIT_BESIDE:
    case STAGE_INIT:
    case STAGE_RETURN_INIT:
        return exchange_init(exchange);
    case STAGE_HOLD:
        exchange_hold(exchange);
        return true;
    case STAGE_DRAIN:
        return exchange_drain(exchange);
    case STAGE_SAVE:
        return exchange_save(exchange);
    case STAGE_CLOSE:
        return exchange_close(exchange);
    case STAGE_RESTORE:
        if (exchange_restore(exchange))
            return true;
        exchange_fail_others(exchange, exchange_find_fault(exchange));
        exchange_go_to(exchange, is_exclusive ? STAGE_RETURN : STAGE_UNDO);
        return false;
    case STAGE_RETURN_RESTORE:
        exchange_restore(exchange);
        return true;
    case STAGE_SERVE:
    case STAGE_RETURN_SERVE:
        return exchange_serve(exchange);
    case STAGE_SWITCH:
        if (exchange_switch(exchange))
            return true;
        exchange_go_to(exchange, is_exclusive ? STAGE_RETURN : STAGE_UNDO);
        return false;
    case STAGE_RETURN_SWITCH:
        exchange_switch(exchange);
        return true;
    case STAGE_LEAVE:
        return exchange_leave(exchange);
    case STAGE_UNDO:
        return exchange_undo(exchange);
    case STAGE_RETURN:
        return exchange_return(exchange);
    case STAGE_OVER:
        return true;
    }
    return true;
}

bool exchange_advance(struct exchange *exchange)
{
    while (exchange->stage != STAGE_OVER) {
        enum stage before = exchange->stage;

        if (run_stage(exchange))
            exchange_go_to(exchange, next_stage(exchange));
        else if (exchange->stage == before)
            return false;
    }
    return true;
}

void exchange_note(struct exchange *exchange, const struct generation *generation)
{
    if (exchange->wave != NULL)
        wave_note(exchange->wave, generation);
}

void exchange_end_turn(struct exchange *exchange, const struct generation *generation)
{
    if (exchange->wave != NULL)
        wave_end(exchange->wave, generation);
}

size_t exchange_outcome_count(const struct exchange *exchange)
{
    return exchange->count;
}

struct exchange_outcome exchange_outcome(const struct exchange *exchange, size_t i)
{
    const struct member *member = &exchange->members[i];

    return (struct exchange_outcome){.step = member->step,
                                     .code = member->code,
                                     .message = member->message,
                                     .generation = member->generation,
                                     .pause_ns = member->pause_ns};
}
