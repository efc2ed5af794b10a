/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One group of a change: its stages by its mode, in the order of time.
 *
 *     start      load  init                               serve  join
 *     beside     load  init                               serve  switch  leave
 *     handover   load  init  hold  drain  save  restore   serve  switch  leave
 *     exclusive  load  hold  drain  save  close  init  restore  serve  switch  leave
 *
 * A failure up to the close of what ran undoes the rest: what is new is closed, and calls go on where they
 * were. After it, what ran before starts again from its own module, settings and state: the stages from
 * `return` on.
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

void exchange_destroy(struct exchange *exchange)
{
    if (exchange == NULL)
        return;
    deadlines_stop(&exchange->crew->ground.deadlines, &exchange->deadline);
    for (size_t i = 0; i < exchange->count; i++) {
        struct member *member = &exchange->members[i];

        if (member->before != NULL && exchange_router(exchange) != NULL && !member->before->is_leaving)
            router_when_idle(exchange_router(exchange), &member->before->host, NULL, NULL);
        if (member->before != NULL && member->of->action == CHANGE_RECONFIGURE)
            generation_keep_settings(member->before);
        if (member->has_source && exchange->crew->options->drop != NULL)
            exchange->crew->options->drop(exchange->crew->options->context, &member->source);
        generation_state_finish(&member->state);
        free(member->lost_state);
        free(member->message);
    }
    exchange_release_calls(exchange);
    wave_destroy(exchange->wave);
    free(exchange->members);
    free(exchange->ends);
    free(exchange);
}

static void go_to(struct exchange *exchange, enum stage stage)
{
    exchange->stage = stage;
    exchange->stage_has_begun = false;
    exchange->done = 0;
}

/* What follows a stage that is done. */
static enum stage next_stage(const struct exchange *exchange)
{
    bool is_exclusive = exchange->mode == MANIFEST_UPGRADE_EXCLUSIVE;
    bool is_beside = exchange->mode == MANIFEST_UPGRADE_BESIDE;

    switch (exchange->stage) {
    case STAGE_LOAD:
        /* Nothing ends: all that is to be done happens in place. */
        if (exchange->end_count == 0)
            return STAGE_INIT;
        return is_exclusive ? STAGE_HOLD : STAGE_INIT_BESIDE;
    case STAGE_INIT_BESIDE:
        return is_beside ? STAGE_SERVE : STAGE_HOLD;
    case STAGE_HOLD:
        return STAGE_DRAIN;
    case STAGE_DRAIN:
        return STAGE_SAVE;
    case STAGE_SAVE:
        return is_exclusive ? STAGE_CLOSE : STAGE_RESTORE;
    case STAGE_CLOSE:
        return STAGE_INIT;
    case STAGE_INIT:
        return exchange->only_starts ? STAGE_SERVE : STAGE_RESTORE;
    case STAGE_RESTORE:
        return STAGE_SERVE;
    case STAGE_SERVE:
        return exchange->only_starts ? STAGE_JOIN : STAGE_SWITCH;
    case STAGE_SWITCH:
        return STAGE_LEAVE;
    case STAGE_RETURN:
        return STAGE_RETURN_INIT;
    case STAGE_RETURN_INIT:
        return STAGE_RETURN_RESTORE;
    case STAGE_RETURN_RESTORE:
        return STAGE_RETURN_SERVE;
    case STAGE_RETURN_SERVE:
        return STAGE_RETURN_SWITCH;
    case STAGE_JOIN:
    case STAGE_LEAVE:
    case STAGE_UNDO:
    case STAGE_RETURN_SWITCH:
    case STAGE_OVER:
        return STAGE_OVER;
    }
    return STAGE_OVER;
}

static enum progress run_stage(struct exchange *exchange)
{
    switch (exchange->stage) {
    case STAGE_LOAD:
        return exchange_load(exchange);
    case STAGE_INIT_BESIDE:
    case STAGE_INIT:
    case STAGE_RETURN_INIT:
        return exchange_init(exchange);
    case STAGE_HOLD:
        return exchange_hold(exchange);
    case STAGE_DRAIN:
        return exchange_drain(exchange);
    case STAGE_SAVE:
        return exchange_save(exchange);
    case STAGE_CLOSE:
        return exchange_close(exchange);
    case STAGE_RESTORE:
    case STAGE_RETURN_RESTORE:
        return exchange_restore(exchange);
    case STAGE_SERVE:
    case STAGE_RETURN_SERVE:
        return exchange_serve(exchange);
    case STAGE_JOIN:
        return exchange_join(exchange);
    case STAGE_SWITCH:
        return exchange_switch(exchange);
    case STAGE_LEAVE:
        return exchange_leave(exchange);
    case STAGE_UNDO:
        return exchange_undo(exchange);
    case STAGE_RETURN:
        return exchange_return(exchange);
    case STAGE_RETURN_SWITCH:
        return exchange_return_switch(exchange);
    case STAGE_OVER:
        return PROGRESS_DONE;
    }
    return PROGRESS_DONE;
}

/* A failure up to the close of what ran undoes the rest; after it, what ran starts again. */
static enum stage find_way_back(const struct exchange *exchange)
{
    bool is_closed = exchange->mode == MANIFEST_UPGRADE_EXCLUSIVE && exchange->stage > STAGE_CLOSE;

    return is_closed ? STAGE_RETURN : STAGE_UNDO;
}

/* On the way back there is no other way: what fails there is reported, and the rest goes on. */
bool exchange_advance(struct exchange *exchange)
{
    while (exchange->stage != STAGE_OVER) {
        enum progress progress = run_stage(exchange);

        if (progress == PROGRESS_WAITS)
            return false;
        if (progress == PROGRESS_FAILED && !exchange_goes_back(exchange))
            go_to(exchange, find_way_back(exchange));
        else
            go_to(exchange, next_stage(exchange));
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
