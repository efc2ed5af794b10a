/* SPDX-License-Identifier: Apache-2.0 */
/* What begins: loaded with its settings, started, handed the state of what ran before it. */
#include "group.h"

#include <stdlib.h>
#include <string.h>

#include <sdk/base/memory.h>

/* An earlier generation that never came to run gives way at once. */
static void clear_failed(struct exchange *exchange, struct member *member)
{
    struct generation *before = member->before;

    if (before == NULL || before->is_open || member_restarts(member) ||
        member->of->action == CHANGE_RECONFIGURE)
        return;
    member->before = NULL;
    crew_dismiss(exchange->crew, before);
}

static enum berth_code load_settings(struct exchange *exchange, struct member *member)
{
    struct registry *registry = exchange->crew->ground.host.registry;
    struct registry_plugin *stage = registry_stage(registry, member->before->plugin);
    enum berth_code code;

    member->source = (struct generation_source){.entry = member->of->to};
    registry_take(registry, stage, member->of->to);
    code = exchange->crew->options->load(exchange->crew->options->context, member->of->to, stage,
                                         &member->source);
    member->has_source = code == BERTH_OK;
    if (code != BERTH_OK)
        member_say(member, code, "%s", stage->reason != NULL ? stage->reason : "no reason given");
    registry_leave(registry, stage);
    registry_forget(registry, stage);
    return code;
}

/* @return is that done, well or badly? */
static bool reconfigure(struct exchange *exchange, struct member *member)
{
    const struct perform_options *options = exchange->crew->options;
    struct generation_source before;
    struct berth_error error;
    enum berth_code code;

    if (member->before == NULL || (!member->has_source && load_settings(exchange, member) != BERTH_OK))
        return true;
    code = generation_reconfigure(member->before, &member->source, &error);
    if ((int)code == BERTH_PENDING)
        return false;
    if (code != BERTH_OK) {
        member_say(member, code, "%s", error.message);
        return true;
    }
    before = member->before->source;
    if (options->adopt != NULL)
        options->adopt(options->context, &before, &member->source);
    member->before->source = member->source;
    member->before->plugin->entry = member->source.entry;
    member->before->steps.timeouts = member->source.timeouts;
    /* The settings until now are what is to be dropped. */
    member->source = before;
    member->generation = member->before->plugin->generation;
    return true;
}

/* A service belongs to whom the newest plan gives it, once the plugin that had it does not run any more. */
void exchange_declare_services(struct exchange *exchange, const struct generation *generation)
{
    const struct plan_entry *entry = generation->source.entry;
    struct router *router = exchange_router(exchange);

    for (size_t i = 0; router != NULL && i < entry->plugin->service_count; i++) {
        const char *service = entry->plugin->services[i].name;
        const char *exporter = router_find_exporter(router, service);

        if (exporter != NULL && strcmp(exporter, entry->plugin->uri) != 0 &&
            router_find_owner(router, service) == NULL) {
            router_remove(router, service);
            exporter = NULL;
        }
        if (exporter == NULL)
            service_routes_declare(router, entry->plugin, &entry->services[i], NULL);
    }
}

/*
 * One that failed while it ran is closed before another starts, unless others still have its interface: then
 * it leaves once they have gone. @return is that done?
 */
static bool close_failed(struct exchange *exchange, struct member *member)
{
    struct generation *before = member->before;

    if (before == NULL || member->of->action != CHANGE_START)
        return true;
    if (before->is_open &&
        ledger_is_used(registry_ledger(exchange->crew->ground.host.registry), &before->host)) {
        crew_leave_record(exchange->crew, before);
        crew_retire(exchange->crew, before);
        member->before = NULL;
        return true;
    }
    generation_close(before, BERTH_ENDING_REMOVED);
    return !steps_are_pending(&before->steps);
}

static bool close_all_failed(struct exchange *exchange)
{
    for (size_t i = 0; i < exchange->count; i++)
        if (!close_failed(exchange, &exchange->members[i]))
            return false;
    return true;
}

static void load(struct exchange *exchange, struct member *member)
{
    enum berth_code code;

    clear_failed(exchange, member);
    member->after = crew_add(exchange->crew, member->of->to, !exchange->only_starts);
    if (exchange->only_starts)
        exchange_declare_services(exchange, member->after);
    code = crew_load(exchange->crew, member->after);
    if (code != BERTH_OK)
        member_say(member, code, "%s", exchange_reason_of(member->after));
}

enum progress exchange_load(struct exchange *exchange)
{
    if (!exchange->stage_has_begun && !close_all_failed(exchange))
        return PROGRESS_WAITS;
    exchange->stage_has_begun = true;
    for (; exchange->done < exchange->count; exchange->done++) {
        struct member *member = &exchange->members[exchange->done];

        if (member->of->action == CHANGE_RECONFIGURE && !reconfigure(exchange, member))
            return PROGRESS_WAITS;
        if (member->of->action != CHANGE_RECONFIGURE && member->of->action != CHANGE_STOP)
            load(exchange, member);
    }
    for (size_t i = 0; i < exchange->count; i++) {
        const struct member *member = &exchange->members[i];

        if (member->after == NULL || member->code == BERTH_OK || !member_restarts(member) ||
            !member->was_ready)
            continue;
        exchange_fail_others(exchange, member);
        return PROGRESS_FAILED;
    }
    return PROGRESS_DONE;
}

static void begin_wave(struct exchange *exchange)
{
    struct generation **starting = memory_allocate(exchange->count + 1, sizeof(*starting));
    size_t count = 0;

    for (size_t i = 0; i < exchange->count; i++)
        if (exchange->members[i].after != NULL)
            starting[count++] = exchange->members[i].after;
    wave_destroy(exchange->wave);
    exchange->wave = wave_create(exchange->crew->ground.host.registry, starting, count);
    for (size_t i = 0; i < count; i++)
        if (starting[i]->plugin->state != BERTH_STATE_WAITING)
            wave_end(exchange->wave, starting[i]);
    free(starting);
}

static enum progress judge_wave(struct exchange *exchange)
{
    return exchange_goes_back(exchange) || exchange_check_after(exchange) ? PROGRESS_DONE : PROGRESS_FAILED;
}

/* Those that only start are judged once they have served: none of them is a failure of others. */
enum progress exchange_init(struct exchange *exchange)
{
    struct generation *generation;

    if (!exchange->stage_has_begun)
        begin_wave(exchange);
    exchange->stage_has_begun = true;
    while ((generation = wave_next(exchange->wave)) != NULL)
        wave_start(exchange->wave, generation);
    if (!wave_is_over(exchange->wave))
        return PROGRESS_WAITS;
    return exchange->only_starts ? PROGRESS_DONE : judge_wave(exchange);
}

enum progress exchange_serve(struct exchange *exchange)
{
    struct generation *generation;

    if (!exchange->stage_has_begun && exchange->wave != NULL)
        wave_again(exchange->wave);
    exchange->stage_has_begun = true;
    while (exchange->wave != NULL && (generation = wave_next(exchange->wave)) != NULL)
        generation_serve(generation);
    return exchange->wave == NULL || wave_is_over(exchange->wave) ? judge_wave(exchange) : PROGRESS_WAITS;
}

static bool reads(const struct manifest_state *state, uint32_t version)
{
    for (size_t i = 0; i < state->read_count; i++)
        if (state->reads[i] == version)
            return true;
    return false;
}

enum progress exchange_restore(struct exchange *exchange)
{
    for (; exchange->done < exchange->count; exchange->done++) {
        struct member *member = &exchange->members[exchange->done];
        struct berth_error error;
        enum berth_code code;

        if (member->after == NULL || member->state_version == 0 ||
            !reads(&member->after->source.entry->plugin->state, member->state_version))
            continue;
        code = generation_load(member->after, member->state_version, &member->state, &error);
        if ((int)code == BERTH_PENDING)
            return PROGRESS_WAITS;
        if (code == BERTH_OK)
            continue;
        if (exchange_goes_back(exchange)) {
            free(member->lost_state);
            member->lost_state = memory_copy(error.message);
            continue;
        }
        member_say(member, code, "the state of the old generation could not be loaded: %s", error.message);
        exchange_fail_others(exchange, member);
        return PROGRESS_FAILED;
    }
    return PROGRESS_DONE;
}
