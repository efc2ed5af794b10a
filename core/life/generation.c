/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One run of one plugin: the table of its steps, what follows each, and what it says through its host table.
 * Whatever calls the plugin is begun by its owner, from the top of the loop.
 */
#include "generation.h"

#include <stdlib.h>
#include <string.h>

#include <config/tree/units.h>

#include <core/base/log.h>
#include <sdk/base/container_of.h>
#include <sdk/base/memory.h>

#include "handover.h"
#include "service_routes.h"

const char *generation_uri(const struct generation *generation)
{
    return generation->source.entry->plugin->uri;
}

bool generation_is_well(const struct generation *generation)
{
    return generation->is_open && registry_plugin_is_ready(generation->plugin);
}

bool generation_is_busy(const struct generation *generation)
{
    return generation->job != NULL || generation->is_open || steps_are_late(&generation->steps);
}

static struct registry *registry_of(const struct generation *generation)
{
    return generation->ground->host.registry;
}

static struct router *router_of(const struct generation *generation)
{
    return generation->ground->host.router;
}

static struct generation *of_steps(struct steps *steps)
{
    return CONTAINER_OF(steps, struct generation, steps);
}

/* Its services answer UNAVAILABLE with its reason, unless another generation has them. */
static void close_services(struct generation *generation)
{
    const struct registry_plugin *plugin = generation->plugin;
    char reason[BERTH_ERROR_MAX];

    if (router_of(generation) == NULL || generation->is_staged)
        return;
    snprintf(reason, sizeof(reason), "%s is %s%s%s", generation_uri(generation),
             berth_state_name(plugin->state), plugin->reason != NULL ? ": " : "",
             plugin->reason != NULL ? plugin->reason : "");
    service_routes_close(router_of(generation), generation->source.entry->plugin, &generation->host, reason);
}

static void show_dependents(struct generation *generation)
{
    generation->ground->events->on_stand(generation);
}

static void wake(struct generation *generation)
{
    generation->ground->events->on_progress(generation);
}

/* A skip is not a failure. A plugin that falls with another is logged at debug: the other's line says why. */
static enum berth_log_level level_of(enum berth_state state, const struct registry_plugin *cause)
{
    if (cause != NULL)
        return BERTH_LOG_DEBUG;
    if (state == BERTH_STATE_SKIPPED)
        return BERTH_LOG_INFO;
    return state == BERTH_STATE_BLOCKED ? BERTH_LOG_WARN : BERTH_LOG_ERROR;
}

/* Records a state with its reason, logs it once, and closes the services. `cause` may be NULL. */
static void fall(struct generation *generation, enum berth_state state, enum berth_code code,
                 const char *reason, const struct registry_plugin *cause)
{
    registry_blame(registry_of(generation), generation->plugin, state, code, reason, cause);
    show_dependents(generation);
    close_services(generation);
    if ((int)code == BERTH_SKIP || state == BERTH_STATE_BLOCKED)
        log_plugin(level_of(state, cause), generation_uri(generation), "%s: %s", berth_state_name(state),
                   reason);
    else
        log_plugin(level_of(state, cause), generation_uri(generation), "%s: %s: %s", berth_state_name(state),
                   berth_code_name(code), reason);
}

/* The same for a step that did not end well. `step` is NULL for a failure at run time. */
static void fall_in(struct generation *generation, const char *step, const struct step_outcome *outcome)
{
    enum berth_state state = (int)outcome->code == BERTH_SKIP ? BERTH_STATE_SKIPPED : BERTH_STATE_FAILED;
    char unsaid[64];

    snprintf(unsaid, sizeof(unsaid), "%s%s", step != NULL ? step : "",
             step != NULL ? " gave no reason" : "no reason given");
    fall(generation, outcome->is_timeout ? BERTH_STATE_TIMED_OUT : state, outcome->code,
         outcome->message[0] != '\0' ? outcome->message : unsaid, NULL);
}

/* Its owner may decide what comes next, and those that waited for it may start. */
static void settle(struct generation *generation)
{
    show_dependents(generation);
    generation->ground->events->on_settled(generation);
}

static void end_unstarted(struct generation *generation)
{
    registry_blame(registry_of(generation), generation->plugin, BERTH_STATE_STOPPED, BERTH_CANCELLED,
                   "the daemon shut down before this plugin was started", NULL);
    settle(generation);
}

/* A failed plugin stays listed as failed while it is closed. */
static void move(struct generation *generation, enum berth_state state)
{
    enum berth_state now = generation->plugin->state;

    if (now != state && now != BERTH_STATE_FAILED && now != BERTH_STATE_TIMED_OUT)
        registry_move(registry_of(generation), generation->plugin, state);
}

static void begin(struct generation *generation, enum step step)
{
    move(generation, generation->steps.kinds[step].state_during);
    generation->ground->in_flight++;
    steps_begin(&generation->steps, step);
}

/* Common to the ends of all steps. */
static void take_end(struct generation *generation, enum step step, enum berth_code code)
{
    generation->ground->in_flight--;
    if (code == BERTH_OK)
        move(generation, generation->steps.kinds[step].state_after);
    wake(generation);
}

static void note_time(const struct generation *generation, enum step step, uint64_t *ret_start_ns,
                      uint64_t *ret_took_ns)
{
    const struct step_record *record = &generation->steps.records[step];

    *ret_start_ns = registry_time_of(registry_of(generation), record->begun_ns);
    *ret_took_ns = record->ended_ns - record->begun_ns;
}

/* Prepare */

static void on_job_begun(struct prepare_job *job)
{
    struct generation *generation = job->owner;
    enum step limit = generation->is_cancelled ? STEP_CLOSE : STEP_PREPARE;

    if (!job->is_abandoned)
        steps_set_deadline(&generation->steps, steps_timeout_of(&generation->steps, limit));
}

static void on_job_ended(struct prepare_job *job)
{
    struct generation *generation = job->owner;
    struct berth_times *times = &generation->plugin->times;

    generation->job = NULL;
    if (!job->is_abandoned) {
        times->prepare_start_ns = registry_time_of(registry_of(generation), job->begun_ns);
        times->prepare_ns = job->ended_ns - job->begun_ns;
    }
    steps_complete(&generation->steps, STEP_PREPARE, job->code, job->prepared, job->error.message);
    free(job);
}

static bool has_pool(struct generation_ground *ground)
{
    if (ground->pool == NULL)
        ground->pool = prepare_pool_create(ground->host.loop, ground->prepare_threads);
    return ground->pool != NULL;
}

static enum berth_code call_prepare(struct steps *steps, void **ret_prepared, struct berth_error *err)
{
    struct generation *generation = of_steps(steps);
    struct generation_ground *ground = generation->ground;
    struct prepare_job *job = calloc(1, sizeof(*job));

    if (job == NULL || !has_pool(ground)) {
        free(job);
        return berth_error_set(err, BERTH_RESOURCE_EXHAUSTED, "out of memory for its prepare");
    }
    job->table = generation->source.table;
    job->uri = generation->host.uri;
    job->settings = generation->host.table.settings;
    job->running = generation->plugin->running;
    job->root = (struct folder){.base = ground->host.root, .name = job->uri};
    job->state = (struct folder){.base = ground->host.state, .name = job->uri};
    job->on_begun = on_job_begun;
    job->on_ended = on_job_ended;
    job->owner = generation;
    generation->job = job;
    prepare_submit(ground->pool, job);
    return BERTH_PENDING;
}

/* Its thread has returned at last and discarded what it made: the generation is not busy any more. */
static void on_prepare_late(struct steps *steps, const struct step_outcome *outcome)
{
    wake(of_steps(steps));
}

static void discard(struct generation *generation, void *prepared)
{
    if (prepared == NULL || !BERTH_HAS(generation->source.table, discard))
        return;
    running_enter(generation->plugin->running, RUNNING_DISCARD, NULL);
    generation->source.table->discard(prepared);
    running_leave();
}

static void on_prepare_ended(struct steps *steps, const struct step_outcome *outcome)
{
    struct generation *generation = of_steps(steps);

    take_end(generation, STEP_PREPARE, outcome->code);
    if (outcome->is_timeout)
        prepare_abandon(generation->job);
    if (outcome->code == BERTH_OK && !generation->is_cancelled) {
        generation->prepared = outcome->result;
        begin(generation, STEP_INIT);
        return;
    }
    discard(generation, outcome->result);
    if (generation->is_cancelled) {
        end_unstarted(generation);
        return;
    }
    fall_in(generation, "prepare", outcome);
    settle(generation);
}

/* Init */

static enum berth_code call_init(struct steps *steps, void **ret_instance, struct berth_error *err)
{
    struct generation *generation = of_steps(steps);
    void *prepared = generation->prepared;

    generation->prepared = NULL;
    registry_number(registry_of(generation), generation->plugin);
    generation->host.table.generation = generation->plugin->generation;
    generation->host.table.mailbox = mailbox_create(&generation->ground->mailroom, generation);
    generation->host.takes_holds = true;
    generation->host.takes_interceptors = true;
    return BERTH_HAS(generation->source.table, init)
               ? generation->source.table->init(&generation->host.table, prepared, ret_instance, err)
               : BERTH_OK;
}

enum berth_code generation_collect(const struct generation *generation, struct service_targets *targets,
                                   struct router_hook **hooks, size_t *hook_count, struct berth_error *err)
{
    const struct host *host = &generation->host;
    enum berth_code code =
        service_targets_add(targets, router_of(generation), generation->source.entry,
                            generation->source.table, generation->plugin->instance, host, err);

    for (size_t i = 0; i < host->hook_count && code == BERTH_OK; i++) {
        struct router_hook hook = host->hooks[i];

        hook.order = generation->order;
        *hooks = memory_grow(*hooks, *hook_count, sizeof(**hooks));
        (*hooks)[(*hook_count)++] = hook;
    }
    return code;
}

void generation_join(struct generation *generation)
{
    generation->is_staged = false;
}

/* Its services and its interceptors, for calls that begin from here on. */
static void go_live(struct generation *generation)
{
    struct service_targets targets = {0};
    struct router_hook *hooks = NULL;
    size_t hook_count = 0;
    struct berth_error error;
    enum berth_code code = BERTH_OK;

    if (router_of(generation) != NULL)
        code = generation_collect(generation, &targets, &hooks, &hook_count, &error);
    if (code == BERTH_OK && targets.count + hook_count > 0)
        code = router_switch(router_of(generation),
                             &(struct router_switch){.targets = targets.items,
                                                     .target_count = targets.count,
                                                     .hooks = hooks,
                                                     .hook_count = hook_count},
                             &error);
    service_targets_finish(&targets);
    free(hooks);
    if (code == BERTH_OK)
        generation_join(generation);
    else
        fall(generation, BERTH_STATE_FAILED, code, error.message, NULL);
}

static void become_ready(struct generation *generation, void *result)
{
    struct registry_plugin *plugin = generation->plugin;

    generation->is_open = true;
    plugin->instance = result;
    if (!BERTH_HAS(generation->source.table, serve))
        generation->host.takes_holds = false;
    if (plugin->hold_count == 0)
        plugin->times.ready_at_ns = registry_since_start(registry_of(generation));
    log_plugin(BERTH_LOG_DEBUG, generation_uri(generation), "ready init_ms=%.1f",
               (double)plugin->times.init_ns / 1e6);
    if (!generation->is_cancelled && !generation->is_staged)
        go_live(generation);
}

/* There is no instance for posted functions, watches and other callbacks to work on. */
static void undo_init(struct generation *generation)
{
    size_t dropped = mailbox_close(generation->host.table.mailbox, false), revoked;

    host_end_calls(&generation->host, false);
    revoked = host_undo(&generation->host);
    if (revoked > 0)
        log_plugin(
            BERTH_LOG_WARN, generation_uri(generation),
            "released %zu resource%s that a failed init left behind, such as watches and subscriptions; "
            "init must undo its own work when it fails",
            revoked, revoked == 1 ? "" : "s");
    if (dropped > 0)
        log_plugin(BERTH_LOG_WARN, generation_uri(generation),
                   "dropped %zu posted function%s because init failed", dropped, dropped == 1 ? "" : "s");
}

static void on_init_ended(struct steps *steps, const struct step_outcome *outcome)
{
    struct generation *generation = of_steps(steps);

    note_time(generation, STEP_INIT, &generation->plugin->times.init_start_ns,
              &generation->plugin->times.init_ns);
    take_end(generation, STEP_INIT, outcome->code);
    generation->host.takes_interceptors = false;
    if (outcome->code == BERTH_OK) {
        become_ready(generation, outcome->result);
    } else {
        /* No code of a plugin without an instance may be called: no hooks, no holds. */
        generation->host.takes_holds = false;
        host_forget_interceptors(&generation->host);
        /* One that comes late is closed, and may post and use others until then. */
        if (!outcome->is_timeout)
            undo_init(generation);
        fall_in(generation, "init", outcome);
    }
    settle(generation);
}

static void on_init_late(struct steps *steps, const struct step_outcome *outcome)
{
    struct generation *generation = of_steps(steps);

    if (outcome->code != BERTH_OK) {
        undo_init(generation);
        return;
    }
    generation->plugin->instance = outcome->result;
    generation->is_open = true;
    generation->is_late = true;
    wake(generation);
}

/* Serve */

static enum berth_code call_serve(struct steps *steps, void **ret_result, struct berth_error *err)
{
    struct generation *generation = of_steps(steps);

    return generation->source.table->serve(&generation->host.table, generation->plugin->instance, err);
}

static void on_serve_ended(struct steps *steps, const struct step_outcome *outcome)
{
    struct generation *generation = of_steps(steps);
    bool is_ready = generation->plugin->state == BERTH_STATE_READY;

    note_time(generation, STEP_SERVE, &generation->plugin->times.serve_start_ns,
              &generation->plugin->times.serve_ns);
    take_end(generation, STEP_SERVE, outcome->code);
    generation->host.takes_holds = false;
    if (is_ready && (int)outcome->code == BERTH_SKIP)
        log_plugin(BERTH_LOG_INFO, generation_uri(generation), "not serving: %s", outcome->message);
    else if (is_ready && outcome->code != BERTH_OK)
        fall_in(generation, "serve", outcome);
    settle(generation);
}

/* Drain and close */

static void warn_of_end(const struct generation *generation, enum step step,
                        const struct step_outcome *outcome, const char *consequence)
{
    if (outcome->code == BERTH_OK || (int)outcome->code == BERTH_SKIP)
        return;
    if (outcome->is_timeout)
        log_plugin(BERTH_LOG_WARN, generation_uri(generation), "%s; %s", outcome->message, consequence);
    else
        log_plugin(BERTH_LOG_WARN, generation_uri(generation), "%s failed: %s%s%s; %s",
                   generation->steps.kinds[step].name, berth_code_name(outcome->code),
                   outcome->message[0] != '\0' ? ": " : "", outcome->message, consequence);
}

static enum berth_code call_drain(struct steps *steps, void **ret_result, struct berth_error *err)
{
    struct generation *generation = of_steps(steps);

    return generation->source.table->drain(&generation->host.table, generation->plugin->instance, err);
}

static void on_drain_ended(struct steps *steps, const struct step_outcome *outcome)
{
    take_end(of_steps(steps), STEP_DRAIN, outcome->code);
    warn_of_end(of_steps(steps), STEP_DRAIN, outcome, "closing anyway");
}

/* One that goes on, because the change was abandoned meanwhile, drains anew in the next. */
static void on_drain_late(struct steps *steps, const struct step_outcome *outcome)
{
    if (of_steps(steps)->plugin->state != BERTH_STATE_DRAINING)
        steps->records[STEP_DRAIN].status = STEP_NONE;
    wake(of_steps(steps));
}

/* For calls that are ended. */
static const char *const ending_reasons[] = {
    [BERTH_ENDING_STOPPING] = "the daemon is shutting down",
    [BERTH_ENDING_REPLACED] = "its plugin was replaced; try again",
    [BERTH_ENDING_REMOVED] = "its plugin was stopped",
};

/* Calls first, whose handlers use the generation; then the hooks, which the instance owns. */
static void cut_off(struct generation *generation)
{
    struct router *router = router_of(generation);

    if (router == NULL)
        return;
    /* Calls of one that is replaced wait for its successor. */
    if (generation->host.table.ending == BERTH_ENDING_REPLACED)
        router_detach(router, &generation->host);
    else
        close_services(generation);
    if (generation->source.entry->plugin->service_count > 0)
        router_end_calls(router, &generation->host, ending_reasons[generation->host.table.ending]);
    router_remove_interceptors(router, &generation->host);
}

static enum berth_code call_close(struct steps *steps, void **ret_result, struct berth_error *err)
{
    struct generation *generation = of_steps(steps);

    /* Posted functions may answer calls, so they run before the calls are ended. */
    mailbox_close(generation->host.table.mailbox, true);
    host_end_calls(&generation->host, true);
    cut_off(generation);
    return BERTH_HAS(generation->source.table, close)
               ? generation->source.table->close(&generation->host.table, generation->plugin->instance, err)
               : BERTH_OK;
}

static void on_close_ended(struct steps *steps, const struct step_outcome *outcome)
{
    take_end(of_steps(steps), STEP_CLOSE, outcome->code);
    warn_of_end(of_steps(steps), STEP_CLOSE, outcome, "continuing without it");
    of_steps(steps)->plugin->instance = NULL;
    if (!outcome->is_timeout)
        ledger_forget(registry_ledger(registry_of(of_steps(steps))), &of_steps(steps)->host);
}

static void on_close_late(struct steps *steps, const struct step_outcome *outcome)
{
    ledger_forget(registry_ledger(registry_of(of_steps(steps))), &of_steps(steps)->host);
    wake(of_steps(steps));
}

#define TIMEOUT(member) offsetof(struct settings_timeouts, member)

/* A life, from top to bottom. */
static const struct step_kind kinds[STEP_COUNT] = {
    [STEP_PREPARE] = {"prepare", RUNNING_NOTHING, TIMEOUT(prepare_ns), BERTH_STATE_PREPARING,
                      BERTH_STATE_PREPARING, "discarding its result", call_prepare, on_prepare_ended,
                      on_prepare_late},
    [STEP_INIT] = {"init", RUNNING_INIT, TIMEOUT(init_ns), BERTH_STATE_STARTING, BERTH_STATE_READY,
                   "closing its instance", call_init, on_init_ended, on_init_late},
    [STEP_SERVE] = {"serve", RUNNING_SERVE, TIMEOUT(serve_ns), BERTH_STATE_READY, BERTH_STATE_SERVING, NULL,
                    call_serve, on_serve_ended, NULL},
    [STEP_DRAIN] = {"drain", RUNNING_DRAIN, TIMEOUT(drain_ns), BERTH_STATE_DRAINING, BERTH_STATE_DRAINING,
                    NULL, call_drain, on_drain_ended, on_drain_late},
    [STEP_CLOSE] = {"close", RUNNING_CLOSE, TIMEOUT(close_ns), BERTH_STATE_STOPPED, BERTH_STATE_STOPPED, NULL,
                    call_close, on_close_ended, on_close_late},
    [STEP_RECONFIGURE] = {.name = "reconfigure",
                          .doing = RUNNING_RECONFIGURE,
                          .timeout = TIMEOUT(init_ns),
                          .call = handover_reconfigure,
                          .on_ended = handover_on_ended,
                          .on_late = handover_on_late},
    [STEP_SAVE] = {.name = "save_state",
                   .doing = RUNNING_SAVE,
                   .timeout = TIMEOUT(drain_ns),
                   .call = handover_save,
                   .on_ended = handover_on_ended,
                   .on_late = handover_on_late},
    [STEP_LOAD] = {.name = "load_state",
                   .doing = RUNNING_RESTORE,
                   .timeout = TIMEOUT(init_ns),
                   .call = handover_load,
                   .on_ended = handover_on_ended,
                   .on_late = handover_on_late},
};

/* The member of `timeouts` that limits a step. */
static const char *limit_name(enum step step)
{
    return step == STEP_SAVE                               ? kinds[STEP_DRAIN].name
           : step == STEP_RECONFIGURE || step == STEP_LOAD ? kinds[STEP_INIT].name
                                                           : kinds[step].name;
}

/* A server waits for all calls, which it carries for others; other plugins for calls of their own. */
static void describe_calls(const struct generation *generation, enum step step, char *text, size_t size)
{
    bool is_server = BERTH_HAS(generation->source.table, serve);

    text[0] = '\0';
    if (step == STEP_DRAIN && router_of(generation) != NULL)
        router_describe_calls(router_of(generation), is_server ? NULL : &generation->host, text, size);
}

static void on_overdue(struct steps *steps, enum step step)
{
    const struct generation *generation = of_steps(steps);
    bool is_cut_short = generation->is_cut_short;
    char message[768], limit[CONFIG_UNITS_MAX], calls[512];

    describe_calls(generation, step, calls, sizeof(calls));
    config_format_duration((int64_t)steps_timeout_of(steps, is_cut_short ? STEP_CLOSE : step), limit);
    if (is_cut_short)
        snprintf(message, sizeof(message),
                 "%s did not complete within %s after shutdown began (timeouts.close)", kinds[step].name,
                 limit);
    else
        snprintf(message, sizeof(message), "%s did not complete within %s (timeouts.%s)%s%s",
                 kinds[step].name, limit, limit_name(step), calls[0] != '\0' ? "; " : "", calls);
    steps_time_out(steps, step, message);
}

void generation_block(struct generation *generation, enum berth_state state, enum berth_code code,
                      const char *reason, const struct registry_plugin *cause)
{
    fall(generation, state, code, reason, cause);
    settle(generation);
}

void generation_start(struct generation *generation)
{
    begin(generation, BERTH_HAS(generation->source.table, prepare) ? STEP_PREPARE : STEP_INIT);
}

void generation_serve(struct generation *generation)
{
    if (generation->plugin->state == BERTH_STATE_READY && BERTH_HAS(generation->source.table, serve))
        begin(generation, STEP_SERVE);
    else
        settle(generation);
}

/* A server that never served has no work to finish. */
bool generation_drain(struct generation *generation, enum berth_ending ending)
{
    const struct berth_plugin *table = generation->source.table;

    if (table == NULL || !generation_is_well(generation) || !BERTH_HAS(table, drain) ||
        generation->steps.records[STEP_DRAIN].status != STEP_NONE)
        return false;
    if (BERTH_HAS(table, serve) && generation->plugin->state != BERTH_STATE_SERVING)
        return false;
    generation->host.table.ending = ending;
    begin(generation, STEP_DRAIN);
    return true;
}

bool generation_close(struct generation *generation, enum berth_ending ending)
{
    generation->is_late = false;
    if (!generation->is_open)
        return false;
    generation->is_open = false;
    generation->host.takes_holds = false;
    generation->host.table.ending = ending;
    begin(generation, STEP_CLOSE);
    return true;
}

static void cancel_prepare(struct generation *generation)
{
    if (prepare_withdraw(generation->job)) {
        free(generation->job);
        generation->job = NULL;
        steps_complete(&generation->steps, STEP_PREPARE, BERTH_CANCELLED, NULL, NULL);
        return;
    }
    prepare_cancel(generation->job);
    steps_shorten_deadline(&generation->steps, generation->steps.timeouts.close_ns);
}

/* A running prepare is asked to return. */
void generation_cancel(struct generation *generation)
{
    generation->is_cancelled = true;
    if (generation->plugin->state == BERTH_STATE_WAITING) {
        end_unstarted(generation);
    } else if (generation->plugin->state == BERTH_STATE_PREPARING) {
        generation->is_cut_short = true;
        cancel_prepare(generation);
    } else if (steps_are_pending(&generation->steps)) {
        generation->is_cut_short = true;
        steps_shorten_deadline(&generation->steps, generation->steps.timeouts.close_ns);
    }
}

void generation_undrain(struct generation *generation)
{
    bool has_served = generation->steps.records[STEP_SERVE].status == STEP_ENDED &&
                      generation->steps.records[STEP_SERVE].code == BERTH_OK;

    generation->host.table.ending = BERTH_ENDING_STOPPING;
    if (generation->steps.records[STEP_DRAIN].status == STEP_ENDED)
        generation->steps.records[STEP_DRAIN].status = STEP_NONE;
    if (generation->plugin->state == BERTH_STATE_DRAINING)
        registry_move(registry_of(generation), generation->plugin,
                      has_served ? BERTH_STATE_SERVING : BERTH_STATE_READY);
}

void generation_find_place(struct generation *generation)
{
    const struct registry_plugin *plugin = registry_find(registry_of(generation), generation_uri(generation));

    generation->entry = plugin != NULL ? plugin->index : PLAN_NONE;
    if (generation->entry != PLAN_NONE)
        generation->order = generation->entry;
}

/* What a plugin says through its host table */

static struct generation *of_host(struct host *host)
{
    return CONTAINER_OF(host, struct generation, host);
}

static void on_complete(struct host *host, enum berth_step step, enum berth_code code, void *instance,
                        const char *message)
{
    int last = of_host(host)->source.is_isolated ? HANDOVER_LOAD : BERTH_STEP_CLOSE;

    if ((int)step < 0 || (int)step > last)
        log_plugin(BERTH_LOG_WARN, host->table.uri,
                   "ignoring the completion of step %d, which does not exist", (int)step);
    else
        steps_complete(&of_host(host)->steps, (enum step)((int)step + STEP_INIT), code, instance, message);
}

static void on_fail(struct host *host, enum berth_code code, const char *message)
{
    struct generation *generation = of_host(host);
    enum berth_state state = generation->plugin->state;
    struct step_outcome outcome = {.code = step_sane_code(code), .message = message != NULL ? message : ""};

    if (outcome.code == BERTH_OK || (int)outcome.code == BERTH_SKIP)
        outcome.code = BERTH_UNKNOWN;
    if (state != BERTH_STATE_READY && state != BERTH_STATE_SERVING) {
        log_plugin(BERTH_LOG_WARN, generation_uri(generation), "ignoring a failure reported while %s: %s",
                   berth_state_name(state), outcome.message);
        return;
    }
    host->takes_holds = false;
    fall_in(generation, NULL, &outcome);
    generation->ground->events->on_failed(generation);
    wake(generation);
}

/* In whole milliseconds. */
static const char *time_since(uint64_t start_ns, char *text)
{
    uint64_t took = uv_hrtime() - start_ns;

    config_format_duration((int64_t)(took - took % 1000000), text);
    return text;
}

static void on_report(struct host *host, enum berth_code code, const char *message)
{
    struct registry_plugin *plugin = host->plugin;
    enum berth_code condition = (int)code == BERTH_SKIP ? BERTH_UNKNOWN : step_sane_code(code);
    const char *reason = message != NULL && message[0] != '\0' ? message : "no reason given";
    char time[CONFIG_UNITS_MAX];

    if (plugin->state != BERTH_STATE_STARTING && !registry_plugin_is_ready(plugin)) {
        log_plugin(BERTH_LOG_DEBUG, host->table.uri, "ignoring a report of %s while %s",
                   berth_code_name(condition), berth_state_name(plugin->state));
        return;
    }
    if (!registry_set_condition(host->registry, plugin, condition, reason))
        return;
    if (condition == BERTH_OK)
        log_plugin(BERTH_LOG_INFO, host->table.uri, "recovered after %s",
                   time_since(plugin->condition_start_ns, time));
    else
        log_plugin(BERTH_LOG_WARN, host->table.uri, "degraded: %s: %s", berth_code_name(condition), reason);
}

static void on_released(struct host *host)
{
    if (host->plugin->hold_count == 0 && generation_is_well(of_host(host)))
        host->plugin->times.ready_at_ns = registry_since_start(host->registry);
    wake(of_host(host));
}

/* Its beginning and its end */

static void on_post_begins(void *owner)
{
    const struct generation *generation = owner;

    running_enter(generation->plugin->running, RUNNING_POST, NULL);
}

static void on_post_ends(void *owner)
{
    running_leave();
}

/* Ended calls of plugins whose late use is still noticed. */
#define OUTGOING_REST 256

void generation_ground_init(struct generation_ground *ground)
{
    if (ground->host.router != NULL) {
        outgoings_init(&ground->outgoings, ground->host.router, ground->host.loop, OUTGOING_REST);
        ground->host.outgoings = &ground->outgoings;
    }
    deadlines_init(&ground->deadlines, ground->host.loop);
    mailroom_init(&ground->mailroom, ground->host.loop);
    ground->mailroom.on_enter = on_post_begins;
    ground->mailroom.on_leave = on_post_ends;
}

struct generation *generation_create(struct generation_ground *ground, const struct plan_entry *entry,
                                     bool is_staged)
{
    struct registry *registry = ground->host.registry;
    struct registry_plugin *plugin = registry_find(registry, entry->plugin->uri);
    struct generation *generation = memory_allocate(1, sizeof(*generation));

    generation->ground = ground;
    generation->source.entry = entry;
    generation->is_staged = is_staged;
    generation->plugin = plugin->is_taken ? registry_stage(registry, plugin) : plugin;
    registry_take(registry, generation->plugin, entry);
    generation_find_place(generation);
    generation->steps.kinds = kinds;
    generation->steps.uri = entry->plugin->uri;
    generation->steps.running = generation->plugin->running;
    generation->steps.deadlines = &ground->deadlines;
    generation->steps.on_overdue = on_overdue;
    return generation;
}

void generation_set_source(struct generation *generation, const struct generation_source *source)
{
    generation->source = *source;
    generation->plugin->table = source->table;
    generation->steps.timeouts = source->timeouts;
    host_init(&generation->host, generation->plugin, &generation->ground->host, source->settings);
    generation->host.root.has_owner = generation->host.state.has_owner = source->has_folder_owner;
    generation->host.root.owner = generation->host.state.owner = source->folder_owner;
    generation->steps.uri = generation->host.uri;
    generation->host.on_complete = on_complete;
    generation->host.on_fail = on_fail;
    generation->host.on_report = on_report;
    generation->host.on_released = on_released;
}

void generation_cut_off(struct generation *generation)
{
    if (generation->host.table.mailbox == NULL)
        return;
    mailbox_close(generation->host.table.mailbox, false);
    host_end_calls(&generation->host, false);
}

void generation_destroy(struct generation *generation)
{
    struct registry *registry;
    bool is_own;

    if (generation == NULL)
        return;
    registry = registry_of(generation);
    is_own = registry_find(registry, generation_uri(generation)) == generation->plugin;
    generation_cut_off(generation);
    deadlines_stop(generation->steps.deadlines, &generation->steps.deadline);
    if (generation->host.table.size > 0)
        host_finish(&generation->host);
    handover_finish(generation);
    registry_leave(registry, generation->plugin);
    if (!is_own)
        registry_forget(registry, generation->plugin);
    free(generation);
}

void generation_each_pending(const struct generation *generation,
                             void (*on_pending)(void *context, const char *uri, const char *step),
                             void *context)
{
    for (int step = 0; step < STEP_COUNT; step++)
        if (generation->steps.records[step].status == STEP_PENDING)
            on_pending(context, generation_uri(generation), kinds[step].name);
}
