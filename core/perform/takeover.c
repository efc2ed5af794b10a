/* SPDX-License-Identifier: Apache-2.0 */
/* What ran gives way: it is closed first, or one switch of the router puts another in its place. */
#include "group.h"

#include <stdlib.h>
#include <string.h>

#include <sdk/base/memory.h>

static void close_gate(struct exchange *exchange)
{
    for (size_t i = 0; i < exchange->end_count && !exchange->is_gated; i++) {
        const struct member *member = &exchange->members[exchange->ends[i]];

        if (member->before != NULL && member->before->host.hook_count > 0 && member_restarts(member) &&
            exchange_router(exchange) != NULL) {
            router_close_gate(exchange_router(exchange));
            exchange->is_gated = true;
        }
    }
}

/* What was replaced is gone, and its record with it, unless a step of it never completed. */
static void let_go(struct exchange *exchange, struct member *member)
{
    struct registry *registry = exchange->crew->ground.host.registry;
    struct generation *before = member->before;
    struct registry_plugin *plugin = before->plugin;

    member->before = NULL;
    if (plugin->next != NULL)
        registry_promote(registry, plugin);
    if (generation_is_busy(before)) {
        before->is_leaving = true;
        return;
    }
    member->source = before->source;
    member->has_source = member->source.table != NULL;
    before->source.table = NULL;
    crew_remove(exchange->crew, before);
}

static void remove_routes(struct exchange *exchange, const struct manifest_plugin *plugin)
{
    for (size_t i = 0; exchange_router(exchange) != NULL && i < plugin->service_count; i++) {
        const char *exporter = router_find_exporter(exchange_router(exchange), plugin->services[i].name);

        if (exporter != NULL && strcmp(exporter, plugin->uri) == 0)
            router_remove(exchange_router(exchange), plugin->services[i].name);
    }
}

static void become_idle(struct exchange *exchange, const char *uri)
{
    struct registry *registry = exchange->crew->ground.host.registry;
    struct registry_plugin *plugin = registry_find(registry, uri);

    if (plugin != NULL && !plugin->is_taken)
        registry_move(registry, plugin, BERTH_STATE_IDLE);
}

static void end_stopped(struct exchange *exchange, struct member *member)
{
    const struct registry_plugin *plugin = member->before->plugin;

    if (generation_is_busy(member->before))
        member_say(member, BERTH_DEADLINE_EXCEEDED,
                   "stopped, but its close did not complete in time: its code may still be running");
    if (plugin->planned == NULL)
        remove_routes(exchange, member->before->source.entry->plugin);
    crew_dismiss(exchange->crew, member->before);
    member->before = NULL;
    if (change_rests(member->of))
        become_idle(exchange, member->of->uri);
}

static void begin_close(struct exchange *exchange)
{
    close_gate(exchange);
    for (size_t i = 0; i < exchange->end_count; i++)
        if (exchange->members[exchange->ends[i]].before != NULL)
            exchange->members[exchange->ends[i]].before->plugin->is_closing = true;
}

enum progress exchange_close(struct exchange *exchange)
{
    if (!exchange->stage_has_begun)
        begin_close(exchange);
    exchange->stage_has_begun = true;
    while (exchange->ended < exchange->end_count) {
        struct member *member = &exchange->members[exchange->ends[exchange->ended]];

        if (member->before != NULL) {
            if (member->before->is_open)
                generation_close(member->before, member_ending(member));
            if (steps_are_pending(&member->before->steps))
                return PROGRESS_WAITS;
            if (member->of->action == CHANGE_STOP)
                end_stopped(exchange, member);
            else
                let_go(exchange, member);
        }
        exchange->ended++;
    }
    return PROGRESS_DONE;
}

/* Services that only the version before had. */
static void remove_vanished(struct exchange *exchange, const struct manifest_plugin *before,
                            const struct manifest_plugin *after)
{
    for (size_t i = 0; i < before->service_count; i++) {
        bool is_there = false;
        const char *exporter = router_find_exporter(exchange_router(exchange), before->services[i].name);

        for (size_t k = 0; k < after->service_count; k++)
            is_there = is_there || strcmp(before->services[i].name, after->services[k].name) == 0;
        if (!is_there && exporter != NULL && strcmp(exporter, before->uri) == 0)
            router_remove(exchange_router(exchange), before->services[i].name);
    }
}

static enum berth_code switch_routes(struct exchange *exchange, struct berth_error *err)
{
    const void **retired = memory_allocate(exchange->count + 1, sizeof(*retired));
    struct service_targets targets = {0};
    struct router_hook *hooks = NULL;
    struct router_switch change = {.retired = retired};
    enum berth_code code = BERTH_OK;

    for (size_t i = 0; i < exchange->count && code == BERTH_OK; i++) {
        struct member *member = &exchange->members[i];

        if (member->before != NULL && member->after != NULL)
            retired[change.retired_count++] = &member->before->host;
        if (member->after == NULL || !generation_is_well(member->after))
            continue;
        exchange_declare_services(exchange, member->after);
        code = generation_collect(member->after, &targets, &hooks, &change.hook_count, err);
    }
    change.targets = targets.items;
    change.target_count = targets.count;
    change.hooks = hooks;
    if (code == BERTH_OK)
        code = router_switch(exchange_router(exchange), &change, err);
    service_targets_finish(&targets);
    free(hooks);
    free(retired);
    return code;
}

/* It gets the plugin's own record, unless it has that already. */
static void promote(struct exchange *exchange, const struct generation *generation)
{
    struct registry *registry = exchange->crew->ground.host.registry;
    struct registry_plugin *own = registry_find(registry, generation_uri(generation));

    if (own != NULL && own->next != NULL && own->next == generation->plugin)
        registry_promote(registry, own);
}

static void take_places(struct exchange *exchange)
{
    exchange->retirements = exchange->crew->retirements;
    for (size_t i = 0; i < exchange->count; i++) {
        struct member *member = &exchange->members[i];

        if (member->after == NULL)
            continue;
        generation_join(member->after);
        member->generation = member->after->plugin->generation;
        member->pause_ns = member->held_ns > 0 ? uv_hrtime() - member->held_ns : 0;
        promote(exchange, member->after);
        if (member->before == NULL)
            continue;
        if (exchange_router(exchange) != NULL)
            remove_vanished(exchange, member->before->source.entry->plugin,
                            member->after->source.entry->plugin);
        crew_retire(exchange->crew, member->before);
        member->before = NULL;
    }
}

/* What only starts has its services and interceptors already. */
enum progress exchange_join(struct exchange *exchange)
{
    take_places(exchange);
    exchange_refuse_calls(exchange);
    return PROGRESS_DONE;
}

enum progress exchange_switch(struct exchange *exchange)
{
    struct berth_error error;
    enum berth_code code;

    if (!exchange_check_outsiders(exchange))
        return PROGRESS_FAILED;
    code = exchange_router(exchange) != NULL ? switch_routes(exchange, &error) : BERTH_OK;
    if (code != BERTH_OK) {
        struct member *fault = &exchange->members[0];

        member_say(fault, code, "%s", error.message);
        exchange_fail_others(exchange, fault);
        return PROGRESS_FAILED;
    }
    take_places(exchange);
    exchange_release_calls(exchange);
    exchange_refuse_calls(exchange);
    return PROGRESS_DONE;
}

/*
 * Those that were replaced have some time to leave before the change is reported. Others may take longer: a
 * server of ttrpc leaves when its last peer does.
 */
enum progress exchange_leave(struct exchange *exchange)
{
    if (!exchange->stage_has_begun)
        exchange_limit(exchange);
    exchange->stage_has_begun = true;
    if (!crew_has_retired(exchange->crew, exchange->retirements))
        return PROGRESS_DONE;
    if (exchange->is_overdue)
        crew_hurry(exchange->crew, exchange->work->is_forced);
    return exchange->is_overdue ? PROGRESS_DONE : PROGRESS_WAITS;
}
