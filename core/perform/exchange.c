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
#include "exchange.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <core/base/log.h>
#include <sdk/base/container_of.h>
#include <sdk/base/memory.h>

struct member {
    size_t step;
    const struct change_step *of;
    /* What runs, and what takes its place; either may be NULL. */
    struct generation *before, *after;
    /* What ran, once it is gone: to start it again. */
    struct generation_source source;
    bool has_source, was_ready;
    struct generation_state state;
    uint32_t state_version;
    enum berth_code code;
    char *message;
    uint64_t generation, held_ns, pause_ns;
};

enum stage {
    STAGE_LOAD,
    STAGE_INIT_BESIDE,
    STAGE_HOLD,
    STAGE_DRAIN,
    STAGE_SAVE,
    STAGE_CLOSE,
    STAGE_INIT,
    STAGE_RESTORE,
    STAGE_SERVE,
    STAGE_SWITCH,
    STAGE_LEAVE,
    /* Undoes what was begun. */
    STAGE_UNDO,
    STAGE_RETURN,
    STAGE_RETURN_INIT,
    STAGE_RETURN_RESTORE,
    STAGE_RETURN_SERVE,
    STAGE_RETURN_SWITCH,
    STAGE_OVER,
};

struct exchange {
    struct crew *crew;
    const struct perform_work *work;
    void (*on_wake)(void *context);
    void *context;
    /* In the order in which they begin; those that only end come last. */
    struct member *members;
    size_t count;
    /* Indices of members, in the order in which they end. */
    size_t *ends;
    size_t end_count, ended;
    enum manifest_upgrade mode;
    /* Nothing ends: each becomes live when it is ready, and one that fails is no failure of others. */
    bool only_starts;
    enum stage stage;
    bool stage_has_begun;
    /* How many had been retired before. */
    uint64_t retirements;
    struct wave *wave;
    /* Until when calls may delay it. */
    struct deadline deadline;
    bool is_overdue, is_held, is_gated;
};

/* Members */

BERTH_PRINTF(3, 4)
static void say(struct member *member, enum berth_code code, const char *format, ...)
{
    char text[BERTH_ERROR_MAX];
    va_list arguments;

    if (member->message != NULL && member->message[0] != '\0' && member->code != BERTH_OK)
        return;
    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    free(member->message);
    member->message = memory_copy(text);
    member->code = code;
}

static const char *reason_of(const struct generation *generation)
{
    return generation->plugin->reason != NULL ? generation->plugin->reason : "no reason given";
}

static struct router *router_of(const struct exchange *exchange)
{
    return exchange->crew->ground.host.router;
}

static bool restarts(const struct member *member)
{
    return member->of->action == CHANGE_RESTART || member->of->action == CHANGE_UPGRADE;
}

/* The first that did not do its part; NULL: all did. */
static struct member *find_fault(const struct exchange *exchange)
{
    for (size_t i = 0; i < exchange->count; i++)
        if (exchange->members[i].code != BERTH_OK)
            return &exchange->members[i];
    return NULL;
}

/* One fails, and all others with it. */
static void fail_others(struct exchange *exchange, const struct member *fault)
{
    for (size_t i = 0; i < exchange->count; i++)
        if (exchange->members[i].code == BERTH_OK)
            say(&exchange->members[i], BERTH_ABORTED, "abandoned because of %s", fault->of->uri);
}

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

/* Calls */

static void let_calls_go(struct exchange *exchange)
{
    struct router *router = router_of(exchange);

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

        if (member->before != NULL && router_of(exchange) != NULL && !member->before->is_leaving)
            router_when_idle(router_of(exchange), &member->before->host, NULL, NULL);
        if (member->has_source && exchange->crew->options->drop != NULL)
            exchange->crew->options->drop(exchange->crew->options->context, &member->source);
        generation_state_finish(&member->state);
        free(member->message);
    }
    let_calls_go(exchange);
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

static void limit(struct exchange *exchange)
{
    exchange->is_overdue = false;
    if (exchange->work->drain_ns > 0 &&
        !deadlines_start(&exchange->crew->ground.deadlines, &exchange->deadline,
                         uv_hrtime() + exchange->work->drain_ns, on_overdue))
        abort();
}

static void go_to(struct exchange *exchange, enum stage stage)
{
    exchange->stage = stage;
    exchange->stage_has_begun = false;
}

/* Is something of the group in the middle of a step? */
static bool is_pending(const struct exchange *exchange)
{
    for (size_t i = 0; i < exchange->count; i++) {
        const struct member *member = &exchange->members[i];

        if ((member->before != NULL && steps_are_pending(&member->before->steps)) ||
            (member->after != NULL && steps_are_pending(&member->after->steps)))
            return true;
    }
    return false;
}

/* Load: what will run, with its settings. Nothing that runs has noticed. */

/* An earlier generation that never came to run gives way at once. */
static void clear_failed(struct exchange *exchange, struct member *member)
{
    struct generation *before = member->before;

    if (before == NULL || before->is_open || restarts(member) || member->of->action == CHANGE_RECONFIGURE)
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
        say(member, code, "%s", stage->reason != NULL ? stage->reason : "no reason given");
    registry_leave(registry, stage);
    registry_forget(registry, stage);
    return code;
}

static void reconfigure(struct exchange *exchange, struct member *member)
{
    struct generation_source before;
    struct berth_error error;
    enum berth_code code;

    if (member->before == NULL || load_settings(exchange, member) != BERTH_OK)
        return;
    code = generation_reconfigure(member->before, &member->source, &error);
    if (code != BERTH_OK) {
        say(member, code, "%s", error.message);
        return;
    }
    before = member->before->source;
    member->before->source = member->source;
    member->before->plugin->entry = member->source.entry;
    member->before->steps.timeouts = member->source.timeouts;
    /* The settings until now are what is to be dropped. */
    member->source = before;
    member->generation = member->before->plugin->generation;
}

/* A service belongs to whom the newest plan gives it, once the plugin that had it does not run any more. */
static void declare_services(struct exchange *exchange, const struct generation *generation)
{
    const struct plan_entry *entry = generation->source.entry;
    struct router *router = router_of(exchange);

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

/* Whoever does not run tells why to those whose calls have waited. */
static void refuse_calls(struct exchange *exchange)
{
    for (size_t i = 0; i < exchange->count && router_of(exchange) != NULL; i++) {
        const struct member *member = &exchange->members[i];
        char reason[BERTH_ERROR_MAX];

        if (member->after == NULL || registry_plugin_is_ready(member->after->plugin))
            continue;
        snprintf(reason, sizeof(reason), "%s is %s: %.1500s", member->of->uri,
                 berth_state_name(member->after->plugin->state), reason_of(member->after));
        service_routes_close(router_of(exchange), member->after->source.entry->plugin, &member->after->host,
                             reason);
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

static bool load(struct exchange *exchange)
{
    struct member *fault;

    for (size_t i = 0; i < exchange->count; i++)
        if (!close_failed(exchange, &exchange->members[i]))
            return false;

    for (size_t i = 0; i < exchange->count; i++) {
        struct member *member = &exchange->members[i];
        enum berth_code code;

        if (member->of->action == CHANGE_RECONFIGURE) {
            reconfigure(exchange, member);
            continue;
        }
        if (member->of->action == CHANGE_STOP)
            continue;
        clear_failed(exchange, member);
        member->after = crew_add(exchange->crew, member->of->to, !exchange->only_starts);
        if (exchange->only_starts)
            declare_services(exchange, member->after);
        code = crew_load(exchange->crew, member->after);
        if (code != BERTH_OK)
            say(member, code, "%s", reason_of(member->after));
    }
    fault = find_fault(exchange);
    if (fault != NULL && !exchange->only_starts && restarts(fault)) {
        fail_others(exchange, fault);
        go_to(exchange, STAGE_UNDO);
        return false;
    }
    return true;
}

/* Init and serve */

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

/* @return BERTH_OK, or why one that has to run does not. */
static bool check_after(struct exchange *exchange)
{
    struct member *fault = NULL;

    for (size_t i = 0; i < exchange->count; i++) {
        struct member *member = &exchange->members[i];
        const struct registry_plugin *plugin = member->after != NULL ? member->after->plugin : NULL;

        if (plugin == NULL || registry_plugin_is_ready(plugin))
            continue;
        /* Whoever prints this has already said "failed". */
        say(member, plugin->code != BERTH_OK ? plugin->code : BERTH_UNAVAILABLE, "%s%s%s",
            plugin->state == BERTH_STATE_FAILED ? "" : berth_state_name(plugin->state),
            plugin->state == BERTH_STATE_FAILED ? "" : ": ", reason_of(member->after));
        if (fault == NULL && restarts(member) && member->was_ready)
            fault = member;
    }
    if (fault == NULL)
        return true;
    fail_others(exchange, fault);
    return false;
}

static bool init(struct exchange *exchange)
{
    struct generation *generation;

    if (!exchange->stage_has_begun)
        begin_wave(exchange);
    exchange->stage_has_begun = true;
    while ((generation = wave_next(exchange->wave)) != NULL)
        wave_start(exchange->wave, generation);
    return wave_is_over(exchange->wave);
}

static bool serve(struct exchange *exchange)
{
    struct generation *generation;

    if (!exchange->stage_has_begun && exchange->wave != NULL)
        wave_again(exchange->wave);
    exchange->stage_has_begun = true;
    while (exchange->wave != NULL && (generation = wave_next(exchange->wave)) != NULL)
        generation_serve(generation);
    return exchange->wave == NULL || wave_is_over(exchange->wave);
}

/* Hold, drain, save: calls wait, and what runs comes to rest. It can still go on. */

static void hold(struct exchange *exchange)
{
    struct router *router = router_of(exchange);

    for (size_t i = 0; router != NULL && i < exchange->end_count; i++) {
        struct member *member = &exchange->members[exchange->ends[i]];
        const struct generation *before = member->before;

        member->held_ns = uv_hrtime();
        for (size_t k = 0; before != NULL && k < before->source.entry->plugin->service_count; k++) {
            const char *service = before->source.entry->plugin->services[k].name;

            if (router_find_owner(router, service) == &before->host)
                router_hold(router, service, SIZE_MAX);
        }
    }
    exchange->is_held = true;
}

static void on_idle(void *context)
{
    struct exchange *exchange = context;

    exchange->on_wake(exchange->context);
}

/* Its drain had all the time there was, and did not end. */
static bool has_drained_in_vain(const struct generation *generation)
{
    return generation->steps.records[STEP_DRAIN].status == STEP_LATE;
}

static bool is_at_rest(const struct exchange *exchange, const struct member *member)
{
    return member->before == NULL ||
           (!steps_are_pending(&member->before->steps) && !has_drained_in_vain(member->before) &&
            (router_of(exchange) == NULL ||
             router_owner_calls(router_of(exchange), &member->before->host) == 0));
}

static bool is_of_group(const void *context, const void *owner)
{
    const struct exchange *exchange = context;

    for (size_t i = 0; i < exchange->count; i++) {
        const struct member *member = &exchange->members[i];

        if ((member->before != NULL && owner == &member->before->host) ||
            (member->after != NULL && owner == &member->after->host))
            return true;
    }
    return false;
}

/* Has a generation outside the group the interface of what ends? @return the member whose it is, or NULL. */
static struct member *find_outsider(const struct exchange *exchange, bool leaves,
                                    const struct berth_holding **ret_holding)
{
    for (size_t i = 0; i < exchange->end_count; i++) {
        struct member *member = &exchange->members[exchange->ends[i]];

        if (member->before != NULL)
            *ret_holding = crew_find_holder(exchange->crew, member->before, leaves, is_of_group, exchange);
        if (member->before != NULL && *ret_holding != NULL)
            return member;
    }
    return NULL;
}

/* Nobody outside the group may keep what ends. @return may the group go on? */
static bool check_outsiders(struct exchange *exchange)
{
    const struct berth_holding *holding;
    struct member *member = find_outsider(exchange, false, &holding);

    if (member == NULL)
        return true;
    say(member, BERTH_ABORTED, "given up, because %s was handed its interface meanwhile; ask again",
        holding->holder.name);
    fail_others(exchange, member);
    return false;
}

static enum berth_ending ending_of(const struct member *member)
{
    return member->of->action == CHANGE_STOP ? BERTH_ENDING_REMOVED : BERTH_ENDING_REPLACED;
}

/* A stop waits as long as the plugin's own drain may take; a change of what goes on, for upgrade.drain. */
static void begin_drain(struct exchange *exchange)
{
    limit(exchange);
    for (size_t i = 0; i < exchange->end_count; i++) {
        struct member *member = &exchange->members[exchange->ends[i]];

        if (member->before == NULL)
            continue;
        if (member->of->action != CHANGE_STOP)
            member->before->steps.timeouts.drain_ns = exchange->work->drain_ns;
        generation_drain(member->before, ending_of(member));
        member->before->steps.timeouts.drain_ns = member->before->source.timeouts.drain_ns;
        if (router_of(exchange) != NULL)
            router_when_idle(router_of(exchange), &member->before->host, on_idle, exchange);
    }
}

/* What was replaced and still has calls may use what is to be closed. Past the deadline the change is given
 * up. */
static bool waits_for_outsider(struct exchange *exchange)
{
    const struct berth_holding *holding;
    struct member *member =
        exchange->mode == MANIFEST_UPGRADE_EXCLUSIVE ? find_outsider(exchange, true, &holding) : NULL;

    if (member == NULL || !exchange->is_overdue)
        return member != NULL;
    say(member, BERTH_DEADLINE_EXCEEDED,
        "given up, because generation %llu of %s, which was replaced, did not let go of its interface within "
        "upgrade.drain",
        (unsigned long long)holding->holder.generation, holding->holder.name);
    fail_others(exchange, member);
    return true;
}

static bool drain(struct exchange *exchange)
{
    struct member *busy = NULL;
    char calls[512];

    if (!exchange->stage_has_begun)
        begin_drain(exchange);
    exchange->stage_has_begun = true;
    for (size_t i = 0; i < exchange->end_count; i++)
        if (!is_at_rest(exchange, &exchange->members[exchange->ends[i]]))
            busy = &exchange->members[exchange->ends[i]];
    if (!check_outsiders(exchange)) {
        go_to(exchange, STAGE_UNDO);
        return false;
    }
    if (busy == NULL && !waits_for_outsider(exchange))
        return true;
    if (!exchange->is_overdue)
        return false;
    if (busy == NULL) {
        go_to(exchange, STAGE_UNDO);
        return false;
    }
    if (exchange->work->is_forced || busy->of->action == CHANGE_STOP) {
        if (is_pending(exchange))
            return false;
        for (size_t i = 0; i < exchange->end_count && router_of(exchange) != NULL; i++)
            if (exchange->members[exchange->ends[i]].before != NULL)
                router_end_calls(router_of(exchange), &exchange->members[exchange->ends[i]].before->host,
                                 "its plugin is being replaced; try again");
        if (!waits_for_outsider(exchange))
            return true;
        go_to(exchange, STAGE_UNDO);
        return false;
    }
    calls[0] = '\0';
    if (router_of(exchange) != NULL)
        router_describe_calls(router_of(exchange), &busy->before->host, calls, sizeof(calls));
    say(busy, BERTH_DEADLINE_EXCEEDED, "abandoned: its calls did not end within upgrade.drain%s%s",
        calls[0] != '\0' ? "; " : "", calls);
    fail_others(exchange, busy);
    go_to(exchange, STAGE_UNDO);
    return false;
}

static bool reads(const struct manifest_state *state, uint32_t version)
{
    for (size_t i = 0; i < state->read_count; i++)
        if (state->reads[i] == version)
            return true;
    return false;
}

static bool save(struct exchange *exchange)
{
    for (size_t i = 0; i < exchange->end_count; i++) {
        struct member *member = &exchange->members[exchange->ends[i]];
        const struct manifest_state *state =
            member->before != NULL ? &member->before->source.entry->plugin->state : NULL;
        struct berth_error error;
        enum berth_code code;

        if (state == NULL || state->writes == 0 || member->of->action == CHANGE_STOP)
            continue;
        code = generation_save(member->before, &member->state, &error);
        member->state_version = state->writes;
        if (code == BERTH_OK)
            continue;
        say(member, code, "its state could not be saved: %s", error.message);
        fail_others(exchange, member);
        go_to(exchange, STAGE_UNDO);
        return false;
    }
    return true;
}

/* Close: from here on, what ran can only be started again. */

static void close_gate(struct exchange *exchange)
{
    for (size_t i = 0; i < exchange->end_count && !exchange->is_gated; i++) {
        const struct member *member = &exchange->members[exchange->ends[i]];

        if (member->before != NULL && member->before->host.hook_count > 0 && restarts(member) &&
            router_of(exchange) != NULL) {
            router_close_gate(router_of(exchange));
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
    for (size_t i = 0; router_of(exchange) != NULL && i < plugin->service_count; i++) {
        const char *exporter = router_find_exporter(router_of(exchange), plugin->services[i].name);

        if (exporter != NULL && strcmp(exporter, plugin->uri) == 0)
            router_remove(router_of(exchange), plugin->services[i].name);
    }
}

static void end_stopped(struct exchange *exchange, struct member *member)
{
    const struct registry_plugin *plugin = member->before->plugin;

    if (plugin->planned == NULL)
        remove_routes(exchange, member->before->source.entry->plugin);
    crew_dismiss(exchange->crew, member->before);
    member->before = NULL;
}

static void begin_close(struct exchange *exchange)
{
    close_gate(exchange);
    for (size_t i = 0; i < exchange->end_count; i++)
        if (exchange->members[exchange->ends[i]].before != NULL)
            exchange->members[exchange->ends[i]].before->plugin->is_closing = true;
}

static bool close_before(struct exchange *exchange)
{
    if (!exchange->stage_has_begun)
        begin_close(exchange);
    exchange->stage_has_begun = true;
    while (exchange->ended < exchange->end_count) {
        struct member *member = &exchange->members[exchange->ends[exchange->ended]];

        if (member->before != NULL) {
            if (member->before->is_open)
                generation_close(member->before, ending_of(member));
            if (steps_are_pending(&member->before->steps))
                return false;
            if (member->of->action == CHANGE_STOP)
                end_stopped(exchange, member);
            else
                let_go(exchange, member);
        }
        exchange->ended++;
    }
    return true;
}

/* Restore, switch */

static bool restore(struct exchange *exchange)
{
    for (size_t i = 0; i < exchange->count; i++) {
        struct member *member = &exchange->members[i];
        struct berth_error error;
        enum berth_code code;

        if (member->after == NULL || member->state_version == 0 ||
            !reads(&member->after->source.entry->plugin->state, member->state_version))
            continue;
        code = generation_load(member->after, member->state_version, &member->state, &error);
        if (code == BERTH_OK)
            continue;
        say(member, code, "the state of the old generation could not be loaded: %s", error.message);
        return false;
    }
    return true;
}

/* Services that only the version before had. */
static void remove_vanished(struct exchange *exchange, const struct manifest_plugin *before,
                            const struct manifest_plugin *after)
{
    for (size_t i = 0; i < before->service_count; i++) {
        bool is_there = false;
        const char *exporter = router_find_exporter(router_of(exchange), before->services[i].name);

        for (size_t k = 0; k < after->service_count; k++)
            is_there = is_there || strcmp(before->services[i].name, after->services[k].name) == 0;
        if (!is_there && exporter != NULL && strcmp(exporter, before->uri) == 0)
            router_remove(router_of(exchange), before->services[i].name);
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
        declare_services(exchange, member->after);
        code = generation_collect(member->after, &targets, &hooks, &change.hook_count, err);
    }
    change.targets = targets.items;
    change.target_count = targets.count;
    change.hooks = hooks;
    if (code == BERTH_OK)
        code = router_switch(router_of(exchange), &change, err);
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
        if (router_of(exchange) != NULL)
            remove_vanished(exchange, member->before->source.entry->plugin,
                            member->after->source.entry->plugin);
        crew_retire(exchange->crew, member->before);
        member->before = NULL;
    }
}

static bool make_switch(struct exchange *exchange)
{
    struct berth_error error;
    enum berth_code code;

    if (!check_outsiders(exchange))
        return false;
    code = router_of(exchange) != NULL ? switch_routes(exchange, &error) : BERTH_OK;
    if (code != BERTH_OK) {
        struct member *fault = &exchange->members[0];

        say(fault, code, "%s", error.message);
        fail_others(exchange, fault);
        return false;
    }
    take_places(exchange);
    let_calls_go(exchange);
    return true;
}

/*
 * Those that were replaced have some time to leave before the change is reported. Others may take longer: a
 * server of ttrpc leaves when its last peer does.
 */
static bool leave(struct exchange *exchange)
{
    if (!exchange->stage_has_begun)
        limit(exchange);
    exchange->stage_has_begun = true;
    if (!crew_has_retired(exchange->crew, exchange->retirements))
        return true;
    if (exchange->is_overdue)
        crew_hurry(exchange->crew, exchange->work->is_forced);
    return exchange->is_overdue;
}

/* Undo, return */

/* What is new is closed, the last first. @return is it all gone? */
static bool close_after(struct exchange *exchange)
{
    for (size_t i = exchange->count; i-- > 0;) {
        struct member *member = &exchange->members[i];

        if (member->after == NULL)
            continue;
        if (member->after->is_open)
            generation_close(member->after, BERTH_ENDING_REMOVED);
        if (steps_are_pending(&member->after->steps))
            return false;
        crew_dismiss(exchange->crew, member->after);
        member->after = NULL;
    }
    return true;
}

static bool undo(struct exchange *exchange)
{
    if (!close_after(exchange))
        return false;
    for (size_t i = 0; i < exchange->count; i++)
        if (exchange->members[i].before != NULL)
            generation_undrain(exchange->members[i].before);
    let_calls_go(exchange);
    return true;
}

/* A step of what ran never completed: its code may still run, so it is not started once more. */
static void note_lost(struct exchange *exchange, const struct member *member)
{
    struct registry *registry = exchange->crew->ground.host.registry;
    struct registry_plugin *own = registry_find(registry, member->of->uri);

    if (own != NULL && !own->is_taken)
        registry_blame(registry, own, BERTH_STATE_FAILED, BERTH_ABORTED,
                       "not started again, because its close never completed", NULL);
}

static bool begin_return(struct exchange *exchange)
{
    if (!close_after(exchange))
        return false;
    for (size_t i = 0; i < exchange->count; i++) {
        struct member *member = &exchange->members[i];

        if (restarts(member) && !member->has_source && member->before == NULL)
            note_lost(exchange, member);
        if (!member->has_source || !restarts(member))
            continue;
        member->after = crew_add(exchange->crew, member->source.entry, true);
        generation_set_source(member->after, &member->source);
        member->has_source = false;
    }
    return true;
}

static void report_return(struct exchange *exchange)
{
    for (size_t i = 0; i < exchange->count; i++) {
        struct member *member = &exchange->members[i];
        char *before = member->message;

        if (member->after == NULL || !restarts(member))
            continue;
        if (registry_plugin_is_ready(member->after->plugin))
            member->message = memory_format("%s; version %s runs again", before,
                                            member->after->source.entry->plugin->manifest->version);
        else
            member->message = memory_format("%s; and version %s did not start again: %s", before,
                                            member->after->source.entry->plugin->manifest->version,
                                            reason_of(member->after));
        member->generation =
            registry_plugin_is_ready(member->after->plugin) ? member->after->plugin->generation : 0;
        free(before);
    }
}

/* The stages */

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
        if (!check_after(exchange))
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
        return check_after(exchange) ? STAGE_RESTORE : STAGE_RETURN;
    case STAGE_RESTORE:
        return STAGE_SERVE;
    case STAGE_SERVE:
        if (exchange->only_starts) {
            check_after(exchange);
            take_places(exchange);
            refuse_calls(exchange);
            return STAGE_OVER;
        }
        if (!check_after(exchange))
            return is_exclusive ? STAGE_RETURN : STAGE_UNDO;
        return STAGE_SWITCH;
    case STAGE_SWITCH:
        refuse_calls(exchange);
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
        report_return(exchange);
        refuse_calls(exchange);
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
        return load(exchange);
    case STAGE_INIT_BESIDE:
    case STAGE_INIT:
    case STAGE_RETURN_INIT:
        return init(exchange);
    case STAGE_HOLD:
        hold(exchange);
        return true;
    case STAGE_DRAIN:
        return drain(exchange);
    case STAGE_SAVE:
        return save(exchange);
    case STAGE_CLOSE:
        return close_before(exchange);
    case STAGE_RESTORE:
        if (restore(exchange))
            return true;
        fail_others(exchange, find_fault(exchange));
        go_to(exchange, is_exclusive ? STAGE_RETURN : STAGE_UNDO);
        return false;
    case STAGE_RETURN_RESTORE:
        restore(exchange);
        return true;
    case STAGE_SERVE:
    case STAGE_RETURN_SERVE:
        return serve(exchange);
    case STAGE_SWITCH:
        if (make_switch(exchange))
            return true;
        go_to(exchange, is_exclusive ? STAGE_RETURN : STAGE_UNDO);
        return false;
    case STAGE_RETURN_SWITCH:
        make_switch(exchange);
        return true;
    case STAGE_LEAVE:
        return leave(exchange);
    case STAGE_UNDO:
        return undo(exchange);
    case STAGE_RETURN:
        return begin_return(exchange);
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
            go_to(exchange, next_stage(exchange));
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
