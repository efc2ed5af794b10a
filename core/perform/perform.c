/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Starts, changes and stops: the phases of the daemon's life with its plugins, and the queue of changes. All
 * that calls a plugin begins at the top of the loop.
 */
#include "perform.h"

#include <stdlib.h>
#include <string.h>

#include <core/base/log.h>
#include <core/listen/listen.h>
#include <sdk/base/container_of.h>
#include <sdk/base/memory.h>

#include "crew.h"
#include "exchange.h"
#include "idle.h"
#include "order.h"
#include "wave.h"

/* How long starting plugins may keep the loop from I/O and signals. */
#define TURN_MAX_NS 5000000u

enum phase {
    PHASE_CREATED,
    PHASE_STARTING,
    PHASE_SETTLED,
    PHASE_SERVING,
    /* All has served that will. Changes are performed from here on. */
    PHASE_RUNNING,
    /* Stopping, from here on. Waits for pending steps. */
    PHASE_QUIESCING,
    PHASE_DRAINING,
    PHASE_CLOSING,
    PHASE_STOPPED,
};

TAILQ_HEAD(requests, perform_request);

struct perform {
    struct perform_options options;
    enum phase phase;
    bool is_ready;
    struct crew crew;
    /* Those that start with the daemon. */
    struct wave *wave;
    /* The queue; its first is the one at work, if `is_busy`. */
    struct requests requests;
    bool is_busy;
    /* The first still gathers what it needs; it has begun. */
    bool is_gathering, has_begun;
    struct perform_work work;
    /* The group at work, and the first that is not. */
    struct exchange *exchange;
    size_t next_group;
    struct perform_result *results;
    size_t result_count;
    /* Who would not take its settings in place. */
    const char **unwilling;
    size_t unwilling_count;
    /* An atomic change failed, with this result, and what was done of it is undone. */
    bool is_undoing;
    size_t failure;
    /* Active while there is work, so that all of it is done from the top of the loop. */
    uv_idle_t turn;
    /* While it stops: those that are still to be closed, the last first. */
    struct generation **closing;
    size_t closing_count;
    size_t open_handles;
};

static void on_turn(uv_idle_t *idle);

static void wake(struct perform *perform)
{
    if (perform->phase != PHASE_CREATED && perform->phase != PHASE_STOPPED)
        uv_idle_start(&perform->turn, on_turn);
}

static void on_wake(void *context)
{
    wake(context);
}

static struct registry *registry_of(const struct perform *perform)
{
    return perform->options.host.registry;
}

/* What generations say */

static struct perform *of_generation(const struct generation *generation)
{
    return generation->ground->context;
}

static void on_stand(struct generation *generation)
{
    struct perform *perform = of_generation(generation);

    if (perform->wave != NULL)
        wave_note(perform->wave, generation);
    if (perform->exchange != NULL)
        exchange_note(perform->exchange, generation);
}

static void on_generation_settled(struct generation *generation)
{
    struct perform *perform = of_generation(generation);

    if (perform->wave != NULL)
        wave_end(perform->wave, generation);
    if (perform->exchange != NULL)
        exchange_end_turn(perform->exchange, generation);
    wake(perform);
}

static void on_progress(struct generation *generation)
{
    wake(of_generation(generation));
}

static bool requires(const struct plan_entry *dependent, const struct plan_entry *provider)
{
    for (size_t i = 0; i < dependent->requirement_count; i++) {
        const struct plan_requirement *requirement = &dependent->requirements[i];

        if (requirement->binding && (strcmp(requirement->name, provider->plugin->uri) == 0 ||
                                     strcmp(requirement->name, provider->plugin->type) == 0))
            return true;
    }
    return false;
}

static void on_failed(struct generation *failed)
{
    const struct perform *perform = of_generation(failed);
    const struct generation *generation;
    struct log_names names = {0};

    TAILQ_FOREACH(generation, &perform->crew.all, link)
    if (generation != failed && generation_is_well(generation) &&
        requires(generation->source.entry, failed->source.entry))
        log_names_add(&names, "%s", generation_uri(generation));
    if (names.count > 0)
        log_line(BERTH_LOG_WARN, "still running although required plugin %s failed: %s",
                 generation_uri(failed), log_names_text(&names));
}

static const struct generation_events events = {
    .on_stand = on_stand,
    .on_settled = on_generation_settled,
    .on_progress = on_progress,
    .on_failed = on_failed,
};

/* Start */

static void enter(struct perform *perform, enum phase phase, void (*on_event)(void *context))
{
    perform->phase = phase;
    if (on_event != NULL)
        on_event(perform->options.context);
}

static void start(struct perform *perform, struct generation *generation)
{
    wave_start(perform->wave, generation);
}

static void serve(struct perform *perform, struct generation *generation)
{
    generation_serve(generation);
}

/* Gives out turns until none can begin or TURN_MAX_NS is over. */
static void give_turns(struct perform *perform,
                       void (*begin)(struct perform *perform, struct generation *generation))
{
    uint64_t until_ns = uv_hrtime() + TURN_MAX_NS;
    enum phase phase = perform->phase;

    while (perform->phase == phase) {
        struct generation *generation = wave_next(perform->wave);

        if (generation == NULL) {
            uv_idle_stop(&perform->turn);
            return;
        }
        begin(perform, generation);
        if (uv_hrtime() >= until_ns) {
            wake(perform);
            return;
        }
    }
}

static void start_some(struct perform *perform)
{
    give_turns(perform, start);
    if (perform->phase == PHASE_STARTING && wave_is_over(perform->wave))
        enter(perform, PHASE_SETTLED, perform->options.events.on_settled);
}

static void serve_some(struct perform *perform)
{
    give_turns(perform, serve);
    if (perform->phase != PHASE_SERVING || !wave_is_over(perform->wave))
        return;
    wave_destroy(perform->wave);
    perform->wave = NULL;
    crew_sweep(&perform->crew);
    enter(perform, PHASE_RUNNING, perform->options.events.on_served);
    wake(perform);
}

static void look_for_ready(struct perform *perform)
{
    const struct generation *generation;

    if (perform->is_ready)
        return;
    TAILQ_FOREACH(generation, &perform->crew.all, link)
    if (generation->plugin->hold_count > 0)
        return;
    perform->is_ready = true;
    perform->options.events.on_ready(perform->options.context);
}

/* Changes */

static size_t order_of(void *context, const void *owner)
{
    const struct host *host = owner;

    return CONTAINER_OF(host, struct generation, host)->order;
}

static void adopt_plan(struct perform *perform, const struct plan *plan)
{
    struct generation *generation;

    if (plan == registry_plan(registry_of(perform)))
        return;
    registry_adopt_plan(registry_of(perform), plan);
    TAILQ_FOREACH(generation, &perform->crew.all, link)
    generation_find_place(generation);
    if (perform->options.host.router != NULL)
        idle_declare(perform->options.host.router, registry_of(perform));
    if (perform->options.host.router != NULL)
        router_order_interceptors(perform->options.host.router, order_of, NULL);
}

static void forget_results(struct perform *perform)
{
    for (size_t i = 0; i < perform->result_count; i++) {
        free(perform->results[i].message);
        free(perform->results[i].uri);
    }
    free(perform->results);
    perform->results = NULL;
    perform->result_count = 0;
    free(perform->unwilling);
    perform->unwilling = NULL;
    perform->unwilling_count = 0;
}

/* What the plan runs and no change has tried, such as the news on disk after an upgrade of something else. */
static void explain_waiting(struct perform *perform)
{
    struct registry *registry = registry_of(perform);

    for (size_t i = 0; i < registry_plan(registry)->run_count; i++) {
        struct registry_plugin *plugin = registry_get(registry, i);

        if (plugin->state == BERTH_STATE_WAITING && !plugin->is_taken)
            registry_blame(registry, plugin, BERTH_STATE_BLOCKED, BERTH_FAILED_PRECONDITION,
                           "the last change did not start it; start it, or run `berthctl reload`", NULL);
    }
}

/* The first request is answered and leaves the queue. */
static void answer(struct perform *perform, enum berth_code code, const char *message)
{
    struct perform_request *request = TAILQ_FIRST(&perform->requests);
    struct perform_report report = {
        .code = code, .message = message, .results = perform->results, .result_count = perform->result_count};

    for (size_t i = perform->is_undoing ? perform->failure : 0;
         i < perform->result_count && report.code == BERTH_OK; i++) {
        report.code = perform->results[i].code;
        report.message = perform->results[i].message;
    }
    perform->is_undoing = false;
    TAILQ_REMOVE(&perform->requests, request, link);
    perform->is_busy = perform->is_gathering = perform->has_begun = false;
    exchange_destroy(perform->exchange);
    perform->exchange = NULL;
    if (perform->options.host.listeners != NULL)
        (report.code == BERTH_OK ? listeners_sweep : listeners_give_up)(perform->options.host.listeners);
    if (perform->phase == PHASE_RUNNING) {
        crew_forget_attempts(&perform->crew);
        explain_waiting(perform);
    }
    request->on_done(request, &report);
    forget_results(perform);
    wake(perform);
}

/* A step has one result, also if it was tried in two ways. */
static struct perform_result *result_of(struct perform *perform, const char *uri)
{
    struct perform_result *result;

    for (size_t i = 0; i < perform->result_count; i++)
        if (strcmp(perform->results[i].uri, uri) == 0)
            return &perform->results[i];
    perform->results = memory_grow(perform->results, perform->result_count, sizeof(*perform->results));
    result = &perform->results[perform->result_count++];
    *result = (struct perform_result){.uri = memory_copy(uri)};
    return result;
}

static void tell(const struct perform_result *result)
{
    if (result->code == BERTH_OK)
        log_plugin(BERTH_LOG_INFO, result->uri, "%s done%s%s pause_ms=%.1f",
                   change_action_name(result->action), result->message[0] != '\0' ? ": " : "",
                   result->message, (double)result->pause_ns / 1e6);
    else
        log_plugin(BERTH_LOG_WARN, result->uri, "%s not done: %s: %s", change_action_name(result->action),
                   berth_code_name(result->code), result->message);
}

/* What was done before has its result already, which says from here on that it was undone, or not. */
static void note_undone(struct perform *perform, const struct exchange_outcome *outcome, const char *uri)
{
    struct perform_result *result = result_of(perform, uri);
    const struct perform_result *failure = &perform->results[perform->failure];

    if (result == failure || (result->message != NULL && result->code != BERTH_OK))
        return;
    free(result->message);
    if (outcome->code == BERTH_OK) {
        result->code = BERTH_ABORTED;
        result->message = memory_format("undone, because %s failed", failure->uri);
    } else {
        result->code = BERTH_INTERNAL;
        result->message = memory_format("done, and could not be undone: %s",
                                        (int)outcome->code == BERTH_RESTART
                                            ? "its previous settings require a restart; restart it"
                                            : outcome->message);
    }
    result->generation = outcome->generation;
    log_plugin(BERTH_LOG_WARN, uri, "%s", result->message);
}

static void note_outcomes(struct perform *perform)
{
    for (size_t i = 0; i < exchange_outcome_count(perform->exchange) && perform->is_undoing; i++) {
        const struct exchange_outcome outcome = exchange_outcome(perform->exchange, i);

        note_undone(perform, &outcome, perform->work.change->steps[outcome.step].uri);
    }
    if (perform->is_undoing)
        return;
    for (size_t i = 0; i < exchange_outcome_count(perform->exchange); i++) {
        const struct exchange_outcome outcome = exchange_outcome(perform->exchange, i);
        const struct change_step *step = &perform->work.change->steps[outcome.step];
        struct perform_result *result = result_of(perform, step->uri);

        free(result->message);
        *result = (struct perform_result){.uri = result->uri,
                                          .action = step->action,
                                          .code = outcome.code,
                                          .message = memory_copy(outcome.message),
                                          .generation = outcome.generation,
                                          .pause_ns = outcome.pause_ns};
        if ((int)outcome.code == BERTH_RESTART) {
            perform->unwilling =
                memory_grow(perform->unwilling, perform->unwilling_count, sizeof(*perform->unwilling));
            perform->unwilling[perform->unwilling_count++] = result->uri;
        } else {
            tell(result);
        }
    }
}

/* NULL: none. */
static const struct perform_result *find_failure(const struct perform *perform)
{
    for (size_t i = 0; i < perform->result_count; i++)
        if (perform->results[i].code != BERTH_OK && (int)perform->results[i].code != BERTH_RESTART)
            return &perform->results[i];
    return NULL;
}

/* Groups that only start plugins are done at once, so that they start beside each other. */
static size_t count_groups(const struct change *change, size_t first)
{
    size_t count = 1;

    while (first + count < change->group_count && change->groups[first].end_count == 0 &&
           change->groups[first + count].end_count == 0 && change->groups[first + count].code == BERTH_OK)
        count++;
    return count;
}

static void refuse_group(struct perform *perform, const struct change_group *group, enum berth_code code,
                         const char *reason)
{
    for (size_t i = 0; i < group->begin_count + group->end_count; i++) {
        size_t index = i < group->begin_count ? group->begins[i] : group->ends[i - group->begin_count];
        const struct change_step *step = &perform->work.change->steps[index];
        struct perform_result *result = result_of(perform, step->uri);

        struct registry_plugin *plugin = registry_find(registry_of(perform), step->uri);

        if (plugin != NULL && !plugin->is_taken && plugin->state == BERTH_STATE_WAITING)
            registry_blame(registry_of(perform), plugin, BERTH_STATE_BLOCKED, code, reason, NULL);
        if (result->message != NULL)
            continue;
        *result = (struct perform_result){.uri = result->uri,
                                          .action = step->action,
                                          .code = code,
                                          .message = memory_copy(reason != NULL ? reason : "")};
        tell(result);
    }
}

/* What an atomic change does not try any more, because of one that failed. */
static void refuse_rest(struct perform *perform, const struct perform_result *failure)
{
    const struct change *change = perform->work.change;
    char reason[BERTH_ERROR_MAX];

    snprintf(reason, sizeof(reason), "not tried, because %s failed in an atomic change", failure->uri);
    for (; perform->next_group < change->group_count; perform->next_group++)
        refuse_group(perform, &change->groups[perform->next_group], BERTH_CANCELLED, reason);
}

/* @return is the change over? */
static bool begin_next_group(struct perform *perform)
{
    const struct change *change = perform->work.change;

    while (perform->next_group < change->group_count) {
        size_t first = perform->next_group, count;

        if (perform->work.is_atomic && find_failure(perform) != NULL) {
            refuse_rest(perform, find_failure(perform));
            return true;
        }
        if (change->groups[first].code != BERTH_OK) {
            refuse_group(perform, &change->groups[first], change->groups[first].code,
                         change->groups[first].reason);
            perform->next_group++;
            continue;
        }
        count = count_groups(change, first);
        perform->next_group += count;
        perform->exchange = exchange_create(&perform->crew, &perform->work, first, count, on_wake, perform);
        return false;
    }
    return true;
}

/* A request has its turn, and may need time to gather what it begins with. */
static void give_turn(struct perform *perform)
{
    struct perform_request *request = TAILQ_FIRST(&perform->requests);

    perform->is_busy = true;
    perform->is_gathering = request->gather != NULL && request->gather(request);
}

/* Asks what is to be done. @return is there anything? Otherwise the request is answered. */
static bool begin_request(struct perform *perform)
{
    struct perform_request *request = TAILQ_FIRST(&perform->requests);
    struct berth_error error = {.message = ""};
    enum berth_code code;

    perform->work = (struct perform_work){0};
    perform->has_begun = true;
    perform->next_group = 0;
    code = request->begin(request, perform->unwilling, perform->unwilling_count, &perform->work, &error);
    perform->unwilling_count = 0;
    if (code != BERTH_OK) {
        answer(perform, code, error.message);
        return false;
    }
    if (perform->work.change->code != BERTH_OK) {
        answer(perform, perform->work.change->code, perform->work.change->refusal);
        return false;
    }
    if (perform->work.plan != NULL)
        adopt_plan(perform, perform->work.plan);
    return true;
}

/* What of an atomic change was done is brought back once another part has failed. @return has it begun? */
static bool begin_undo(struct perform *perform)
{
    struct perform_request *request = TAILQ_FIRST(&perform->requests);
    const struct perform_result *failure = perform->is_undoing ? NULL : find_failure(perform);
    struct perform_work work = {0};
    const char **done;
    struct berth_error error;
    enum berth_code code;
    size_t count = 0;

    if (failure == NULL || !perform->work.is_atomic || request->undo == NULL)
        return false;
    done = memory_allocate(perform->result_count, sizeof(*done));
    for (size_t i = 0; i < perform->result_count; i++)
        if (perform->results[i].code == BERTH_OK)
            done[count++] = perform->results[i].uri;
    perform->failure = (size_t)(failure - perform->results);
    perform->is_undoing = true;
    perform->unwilling_count = 0;
    code = request->undo(request, done, count, &work, &error);
    for (size_t i = 0; i < count && code != BERTH_OK; i++)
        note_undone(perform, &(struct exchange_outcome){.code = code, .message = error.message}, done[i]);
    free(done);
    if (code != BERTH_OK)
        return false;
    perform->work = work;
    perform->work.is_atomic = false;
    perform->next_group = 0;
    adopt_plan(perform, work.plan);
    return true;
}

static void change_some(struct perform *perform)
{
    if (TAILQ_EMPTY(&perform->requests))
        return;
    if (!perform->is_busy)
        give_turn(perform);
    if (perform->is_gathering || (!perform->has_begun && !begin_request(perform)))
        return;
    for (;;) {
        if (perform->exchange != NULL) {
            if (!exchange_advance(perform->exchange))
                return;
            note_outcomes(perform);
            exchange_destroy(perform->exchange);
            perform->exchange = NULL;
            crew_sweep(&perform->crew);
        }
        if (!begin_next_group(perform) || begin_undo(perform))
            continue;
        if (perform->unwilling_count == 0) {
            answer(perform, BERTH_OK, "");
            return;
        }
        if (!begin_request(perform))
            return;
    }
}

void perform_ask(struct perform *perform, struct perform_request *request)
{
    static const struct perform_report stopping = {.code = BERTH_UNAVAILABLE,
                                                   .message = "the daemon is stopping"};

    if (perform->phase >= PHASE_QUIESCING) {
        request->on_done(request, &stopping);
        return;
    }
    TAILQ_INSERT_TAIL(&perform->requests, request, link);
    wake(perform);
}

void perform_go_on(struct perform *perform)
{
    perform->is_gathering = false;
    wake(perform);
}

/* What is under way is left as it is: whatever lives is stopped next. */
static void give_up_changes(struct perform *perform)
{
    while (!TAILQ_EMPTY(&perform->requests))
        answer(perform, BERTH_UNAVAILABLE, "the daemon is stopping");
}

/* Stop */

static void begin_draining(struct perform *perform)
{
    struct generation *generation;

    uv_idle_stop(&perform->turn);
    if (perform->crew.ground.in_flight > 0)
        return;
    perform->phase = PHASE_DRAINING;
    for (size_t i = perform->closing_count; i-- > 0;)
        generation_drain(perform->closing[i], BERTH_ENDING_STOPPING);
    /* Those that leave anyway have been drained already. */
    TAILQ_FOREACH(generation, &perform->crew.all, link)
    generation->host.table.ending = BERTH_ENDING_STOPPING;
    wake(perform);
}

static void begin_closing(struct perform *perform)
{
    uv_idle_stop(&perform->turn);
    if (perform->crew.ground.in_flight > 0)
        return;
    perform->phase = PHASE_CLOSING;
    wake(perform);
}

static void on_one_closed(struct perform *perform)
{
    if (--perform->open_handles == 0)
        enter(perform, PHASE_STOPPED, perform->options.events.on_stopped);
}

static void on_deadlines_closed(uv_handle_t *handle)
{
    on_one_closed(CONTAINER_OF((uv_timer_t *)handle, struct perform, crew.ground.deadlines.timer));
}

static void on_idle_closed(uv_handle_t *handle)
{
    on_one_closed(CONTAINER_OF((uv_idle_t *)handle, struct perform, turn));
}

static void on_mailroom_closed(uv_handle_t *handle)
{
    on_one_closed(CONTAINER_OF((uv_async_t *)handle, struct perform, crew.ground.mailroom.async));
}

static void on_part_closed(void *context)
{
    on_one_closed(context);
}

/* A pool with a prepare that never returned keeps its threads and its handle. */
static void close_handles(struct perform *perform)
{
    struct generation_ground *ground = &perform->crew.ground;
    struct generation *generation;

    perform->phase = PHASE_STOPPED;
    uv_idle_stop(&perform->turn);
    perform->open_handles = 3;
    /* The mailbox of an init that never ended is still open. */
    TAILQ_FOREACH(generation, &perform->crew.all, link)
    generation_cut_off(generation);
    if (ground->pool != NULL && prepare_pool_close(ground->pool, on_part_closed, perform))
        perform->open_handles++;
    uv_close((uv_handle_t *)&ground->deadlines.timer, on_deadlines_closed);
    uv_close((uv_handle_t *)&perform->turn, on_idle_closed);
    mailroom_close(&ground->mailroom, on_mailroom_closed);
    if (ground->host.router != NULL) {
        perform->open_handles++;
        outgoings_close(&ground->outgoings, on_part_closed, perform);
    }
}

/* One at a time, in reverse order, so that what a plugin uses outlives it. */
static void close_some(struct perform *perform)
{
    struct generation_ground *ground = &perform->crew.ground;

    while (ground->in_flight == 0 && perform->closing_count > 0)
        generation_close(perform->closing[--perform->closing_count], BERTH_ENDING_STOPPING);
    if (ground->in_flight == 0)
        close_handles(perform);
    else
        uv_idle_stop(&perform->turn);
}

static void close_late(struct perform *perform)
{
    struct generation *generation;

    TAILQ_FOREACH(generation, &perform->crew.all, link)
    if (generation->is_late)
        generation_close(generation, BERTH_ENDING_REMOVED);
}

static void on_turn(uv_idle_t *idle)
{
    struct perform *perform = CONTAINER_OF(idle, struct perform, turn);

    close_late(perform);
    switch (perform->phase) {
    case PHASE_STARTING:
        start_some(perform);
        return;
    case PHASE_SERVING:
        serve_some(perform);
        return;
    case PHASE_RUNNING:
        uv_idle_stop(idle);
        crew_tend(&perform->crew);
        look_for_ready(perform);
        if (perform->phase == PHASE_RUNNING)
            change_some(perform);
        return;
    case PHASE_QUIESCING:
        begin_draining(perform);
        return;
    case PHASE_DRAINING:
        begin_closing(perform);
        return;
    case PHASE_CLOSING:
        close_some(perform);
        return;
    case PHASE_CREATED:
    case PHASE_SETTLED:
    case PHASE_STOPPED:
        uv_idle_stop(idle);
        return;
    }
}

/* From outside */

struct perform *perform_create(const struct perform_options *options)
{
    struct perform *perform = memory_allocate(1, sizeof(*perform));

    perform->options = *options;
    perform->crew.options = &perform->options;
    perform->crew.ground.host = options->host;
    perform->crew.ground.prepare_threads = options->prepare_threads;
    perform->crew.ground.events = &events;
    perform->crew.ground.context = perform;
    TAILQ_INIT(&perform->crew.all);
    TAILQ_INIT(&perform->requests);
    generation_ground_init(&perform->crew.ground);
    uv_idle_init(options->host.loop, &perform->turn);
    /* Its function says whose it is, for whoever looks at the loop's handles before a module is unloaded. */
    uv_idle_start(&perform->turn, on_turn);
    uv_idle_stop(&perform->turn);
    return perform;
}

void perform_load(struct perform *perform, bool (*is_over)(void))
{
    const struct plan *plan = registry_plan(registry_of(perform));
    struct generation *generation;

    /* All first: small objects that live as long as the daemon then lie close together, and not between what
     * the loader keeps of each module. */
    for (size_t i = 0; i < plan->run_count; i++)
        if (plan_entry_starts(&plan->entries[i]))
            crew_add(&perform->crew, &plan->entries[i], false);
    generation = TAILQ_FIRST(&perform->crew.all);
    while (generation != NULL && (is_over == NULL || !is_over())) {
        crew_load(&perform->crew, generation);
        generation = TAILQ_NEXT(generation, link);
    }
}

void perform_start(struct perform *perform)
{
    const struct plan *plan = registry_plan(registry_of(perform));
    struct generation **all = memory_allocate(plan->run_count + 1, sizeof(*all));
    struct generation *generation;
    size_t count = 0;

    TAILQ_FOREACH(generation, &perform->crew.all, link)
    all[count++] = generation;
    perform->wave = wave_create(registry_of(perform), all, count);
    perform->phase = PHASE_STARTING;
    for (size_t i = 0; i < count; i++)
        if (all[i]->plugin->state != BERTH_STATE_WAITING)
            on_generation_settled(all[i]);
    free(all);
    wake(perform);
}

void perform_serve(struct perform *perform)
{
    if (perform->phase != PHASE_SETTLED)
        return;
    wave_again(perform->wave);
    perform->phase = PHASE_SERVING;
    wake(perform);
}

/* As it stands now: whatever is made from here on is nothing. */
static void list_closing(struct perform *perform)
{
    struct generation *generation;
    size_t count = 0;

    TAILQ_FOREACH(generation, &perform->crew.all, link)
    count++;
    perform->closing = memory_allocate(count + 1, sizeof(*perform->closing));
    TAILQ_FOREACH(generation, &perform->crew.all, link)
    perform->closing[perform->closing_count++] = generation;
    order_by_use((const struct generation **)perform->closing, count, registry_ledger(registry_of(perform)));
}

const struct generation **perform_list(const struct perform *perform, size_t *ret_count)
{
    const struct generation *generation, **list;
    size_t most = 0;

    *ret_count = 0;
    TAILQ_FOREACH(generation, &perform->crew.all, link)
    most++;
    list = memory_allocate(most + 1, sizeof(*list));
    TAILQ_FOREACH(generation, &perform->crew.all, link)
    if (!generation->is_leaving)
        list[(*ret_count)++] = generation;
    order_by_use(list, *ret_count, registry_ledger(registry_of(perform)));
    return list;
}

void perform_stop(struct perform *perform)
{
    struct generation *generation;

    if (perform->phase >= PHASE_QUIESCING)
        return;
    perform->phase = PHASE_QUIESCING;
    give_up_changes(perform);
    TAILQ_FOREACH(generation, &perform->crew.all, link)
    generation_cancel(generation);
    list_closing(perform);
    wake(perform);
}

bool perform_is_changing(const struct perform *perform)
{
    return perform->is_busy;
}

void perform_hold_calls(struct perform *perform, const struct plan_entry *entry)
{
    idle_hold(perform->options.host.router, registry_plan(registry_of(perform)), entry);
}

void perform_refuse_calls(struct perform *perform, const struct plan_entry *entry, const char *reason)
{
    idle_refuse(perform->options.host.router, entry, reason);
}

void perform_each(const struct perform *perform,
                  bool (*on_generation)(void *context, const struct generation *generation), void *context)
{
    const struct generation *generation;

    TAILQ_FOREACH(generation, &perform->crew.all, link)
    if (!generation->is_leaving && !on_generation(context, generation))
        return;
}

void perform_each_living(const struct perform *perform,
                         bool (*on_generation)(void *context, const struct generation *generation),
                         void *context)
{
    const struct generation *generation;

    TAILQ_FOREACH(generation, &perform->crew.all, link)
    if (!on_generation(context, generation))
        return;
}

void perform_set_prepare_threads(struct perform *perform, unsigned threads)
{
    struct generation_ground *ground = &perform->crew.ground;

    ground->prepare_threads = threads;
    if (ground->pool != NULL)
        prepare_pool_limit(ground->pool, threads);
}

void perform_set_timeouts(struct perform *perform,
                          struct settings_timeouts (*find)(void *context, const char *uri), void *context)
{
    struct generation *generation;

    TAILQ_FOREACH(generation, &perform->crew.all, link)
    {
        if (generation->is_leaving || generation->source.table == NULL)
            continue;
        generation->source.timeouts = find(context, generation_uri(generation));
        generation->steps.timeouts = generation->source.timeouts;
    }
}

void perform_each_pending(const struct perform *perform,
                          void (*on_pending)(void *context, const char *uri, const char *step), void *context)
{
    const struct generation *generation;

    TAILQ_FOREACH(generation, &perform->crew.all, link)
    generation_each_pending(generation, on_pending, context);
}

bool perform_is_any_busy(const struct perform *perform, void (*on_busy)(void *context, const char *uri),
                         void *context)
{
    const struct generation *generation;
    bool is_any = false;

    TAILQ_FOREACH(generation, &perform->crew.all, link)
    {
        if (!generation_is_busy(generation))
            continue;
        is_any = true;
        if (on_busy != NULL)
            on_busy(context, generation_uri(generation));
    }
    return is_any;
}

void perform_destroy(struct perform *perform)
{
    struct generation *generation;

    if (perform == NULL)
        return;
    while ((generation = TAILQ_FIRST(&perform->crew.all)) != NULL)
        crew_remove(&perform->crew, generation);
    wave_destroy(perform->wave);
    deadlines_finish(&perform->crew.ground.deadlines);
    free(perform->closing);
    free(perform);
}
