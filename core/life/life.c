/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Takes the plugins of a plan through their lives: the table of the steps, what follows each, and the phases
 * of the whole. All that calls a plugin begins at the top of the loop.
 */
#include "life.h"

#include <stdlib.h>
#include <string.h>

#include <config/tree/units.h>

#include <core/base/log.h>
#include <core/plan/plan.h>
#include <sdk/base/container_of.h>
#include <sdk/base/memory.h>

#include "mailbox.h"
#include "prepare.h"
#include "step.h"
#include "turns.h"

/* How long starting plugins may keep the loop from I/O and signals. */
#define TURN_MAX_NS 5000000u

/* One plugin of the plan that runs. */
struct instance {
    struct life *life;
    struct registry_plugin *plugin;
    /* NULL if the module is not loaded. */
    const struct berth_plugin *table;
    struct host host;
    struct steps steps;
    /* While its prepare runs, even after it was abandoned; else NULL. */
    struct prepare_job *job;
    /* The result of prepare, on its way to init. */
    void *prepared;
    /* Init has returned an instance, and close has not been called for it. */
    bool is_open;
    /* Init completed after its deadline; to be closed from the top of the loop. */
    bool is_late;
};

enum life_phase {
    LIFE_CREATED,
    LIFE_STARTING,
    LIFE_SETTLED,
    LIFE_SERVING,
    LIFE_SERVED,
    LIFE_READY,
    /* Stopping, from here on. Waits for pending steps. */
    LIFE_QUIESCING,
    LIFE_DRAINING,
    LIFE_CLOSING,
    LIFE_STOPPED,
};

struct life {
    struct life_options options;
    const struct plan *plan;
    struct registry *registry;
    /* NULL in tests. */
    struct router *router;
    enum life_phase phase;
    /* `plan->run_count` of them. */
    struct instance *instances;
    /* Each entry's state, as its dependents see it. */
    struct verdicts *verdicts;
    struct turns *turns;
    struct deadlines deadlines;
    struct mailroom mailroom;
    struct outgoings outgoings;
    /* NULL until the first prepare. */
    struct prepare_pool *pool;
    /* Active while there is work, so that all of it is done from the top of the loop. */
    uv_idle_t turn;
    uv_idle_cb on_turn;
    /* Steps that have begun and not ended, and instances to be closed because they came too late. */
    size_t in_flight, late;
    /* Instances below it are not closed yet. */
    size_t close_before;
    size_t open_handles;
};

static void wake(struct life *life)
{
    if (life->phase != LIFE_CREATED && life->phase != LIFE_STOPPED)
        uv_idle_start(&life->turn, life->on_turn);
}

static bool is_stopping(const struct instance *instance)
{
    return instance->life->phase >= LIFE_QUIESCING;
}

static const char *uri_of(const struct instance *instance)
{
    return instance->plugin->entry->plugin->uri;
}

static bool is_well(const struct instance *instance)
{
    return instance->is_open && registry_plugin_is_ready(instance->plugin);
}

static struct instance *of_steps(struct steps *steps)
{
    return CONTAINER_OF(steps, struct instance, steps);
}

/* Its services answer UNAVAILABLE with its reason. */
static void close_services(struct instance *instance)
{
    const struct registry_plugin *plugin = instance->plugin;
    char reason[BERTH_ERROR_MAX];

    if (instance->life->router == NULL)
        return;
    snprintf(reason, sizeof(reason), "%s is %s%s%s", uri_of(instance), berth_state_name(plugin->state),
             plugin->reason != NULL ? ": " : "", plugin->reason != NULL ? plugin->reason : "");
    service_routes_close(instance->life->router, plugin->entry->plugin, reason);
}

static void show_dependents(struct instance *instance)
{
    const struct registry_plugin *plugin = instance->plugin;

    verdicts_set(instance->life->verdicts, plugin->index, plugin->state, plugin->reason, plugin->cause);
}

/* A skip is not a failure. A plugin that falls with another is logged at debug: the other's line says why. */
static enum berth_log_level level_of(enum berth_state state, size_t cause)
{
    if (cause != PLAN_NONE)
        return BERTH_LOG_DEBUG;
    if (state == BERTH_STATE_SKIPPED)
        return BERTH_LOG_INFO;
    return state == BERTH_STATE_BLOCKED ? BERTH_LOG_WARN : BERTH_LOG_ERROR;
}

/* Records a state with its reason, logs it once, and closes the services. `cause` may be PLAN_NONE. */
static void fall(struct instance *instance, enum berth_state state, enum berth_code code, const char *reason,
                 size_t cause)
{
    registry_blame(instance->life->registry, instance->plugin, state, code, reason, cause);
    show_dependents(instance);
    close_services(instance);
    if ((int)code == BERTH_SKIP || state == BERTH_STATE_BLOCKED)
        log_plugin(level_of(state, cause), uri_of(instance), "%s: %s", berth_state_name(state), reason);
    else
        log_plugin(level_of(state, cause), uri_of(instance), "%s: %s: %s", berth_state_name(state),
                   berth_code_name(code), reason);
}

/* The same for a step that did not end well. `step` is NULL for a failure at run time. */
static void fall_in(struct instance *instance, const char *step, const struct step_outcome *outcome)
{
    enum berth_state state = (int)outcome->code == BERTH_SKIP ? BERTH_STATE_SKIPPED : BERTH_STATE_FAILED;
    char unsaid[64];

    snprintf(unsaid, sizeof(unsaid), "%s%s", step != NULL ? step : "",
             step != NULL ? " gave no reason" : "no reason given");
    fall(instance, outcome->is_timeout ? BERTH_STATE_TIMED_OUT : state, outcome->code,
         outcome->message[0] != '\0' ? outcome->message : unsaid, PLAN_NONE);
}

/* Dependents see its state from here on, and those that waited for it may start. */
static void settle(struct instance *instance)
{
    show_dependents(instance);
    turns_end(instance->life->turns, instance->plugin->index);
    wake(instance->life);
}

static void end_unstarted(struct instance *instance)
{
    registry_blame(instance->life->registry, instance->plugin, BERTH_STATE_STOPPED, BERTH_CANCELLED,
                   "the daemon shut down before this plugin was started", PLAN_NONE);
    settle(instance);
}

/* A failed plugin stays listed as failed while it is closed. */
static void move(struct instance *instance, enum berth_state state)
{
    enum berth_state now = instance->plugin->state;

    if (now != state && now != BERTH_STATE_FAILED && now != BERTH_STATE_TIMED_OUT)
        registry_move(instance->life->registry, instance->plugin, state);
}

static void begin(struct instance *instance, enum step step)
{
    move(instance, instance->steps.kinds[step].state_during);
    instance->life->in_flight++;
    steps_begin(&instance->steps, step);
}

/* Common to the ends of all steps. */
static void take_end(struct instance *instance, enum step step, enum berth_code code)
{
    instance->life->in_flight--;
    if (code == BERTH_OK)
        move(instance, instance->steps.kinds[step].state_after);
    wake(instance->life);
}

static void note_time(const struct instance *instance, enum step step, uint64_t *ret_start_ns,
                      uint64_t *ret_took_ns)
{
    const struct step_record *record = &instance->steps.records[step];

    *ret_start_ns = registry_time_of(instance->life->registry, record->begun_ns);
    *ret_took_ns = record->ended_ns - record->begun_ns;
}

/* Prepare */

static void on_job_begun(struct prepare_job *job)
{
    struct instance *instance = job->owner;
    enum step limit = is_stopping(instance) ? STEP_CLOSE : STEP_PREPARE;

    if (!job->is_abandoned)
        steps_set_deadline(&instance->steps, steps_timeout_of(&instance->steps, limit));
}

static void on_job_ended(struct prepare_job *job)
{
    struct instance *instance = job->owner;
    struct berth_times *times = &instance->plugin->times;

    instance->job = NULL;
    if (!job->is_abandoned) {
        times->prepare_start_ns = registry_time_of(instance->life->registry, job->begun_ns);
        times->prepare_ns = job->ended_ns - job->begun_ns;
    }
    steps_complete(&instance->steps, STEP_PREPARE, job->code, job->prepared, job->error.message);
    free(job);
}

static bool has_pool(struct life *life)
{
    if (life->pool == NULL)
        life->pool = prepare_pool_create(life->options.host.loop, life->options.prepare_threads);
    return life->pool != NULL;
}

static enum berth_code call_prepare(struct steps *steps, void **ret_prepared, struct berth_error *err)
{
    struct instance *instance = of_steps(steps);
    struct life *life = instance->life;
    struct prepare_job *job = calloc(1, sizeof(*job));

    if (job == NULL || !has_pool(life)) {
        free(job);
        return berth_error_set(err, BERTH_RESOURCE_EXHAUSTED, "out of memory for its prepare");
    }
    job->table = instance->table;
    job->uri = uri_of(instance);
    job->settings = instance->host.table.settings;
    job->running = instance->plugin->running;
    job->root = (struct folder){.base = life->options.host.root, .name = job->uri};
    job->state = (struct folder){.base = life->options.host.state, .name = job->uri};
    job->on_begun = on_job_begun;
    job->on_ended = on_job_ended;
    job->owner = instance;
    instance->job = job;
    prepare_submit(life->pool, job);
    return BERTH_PENDING;
}

static void discard(struct instance *instance, void *prepared)
{
    if (prepared == NULL || !BERTH_HAS(instance->table, discard))
        return;
    running_enter(instance->plugin->running, RUNNING_DISCARD, NULL);
    instance->table->discard(prepared);
    running_leave();
}

static void on_prepare_ended(struct steps *steps, const struct step_outcome *outcome)
{
    struct instance *instance = of_steps(steps);

    take_end(instance, STEP_PREPARE, outcome->code);
    if (outcome->is_timeout)
        prepare_abandon(instance->job);
    if (outcome->code == BERTH_OK && !is_stopping(instance)) {
        instance->prepared = outcome->result;
        begin(instance, STEP_INIT);
        return;
    }
    discard(instance, outcome->result);
    if (is_stopping(instance)) {
        end_unstarted(instance);
        return;
    }
    fall_in(instance, "prepare", outcome);
    settle(instance);
}

/* Init */

static enum berth_code call_init(struct steps *steps, void **ret_instance, struct berth_error *err)
{
    struct instance *instance = of_steps(steps);
    void *prepared = instance->prepared;

    instance->prepared = NULL;
    instance->plugin->generation++;
    instance->host.table.generation = instance->plugin->generation;
    instance->host.table.mailbox = mailbox_create(&instance->life->mailroom, instance);
    instance->host.takes_holds = true;
    instance->host.takes_interceptors = true;
    return BERTH_HAS(instance->table, init)
               ? instance->table->init(&instance->host.table, prepared, ret_instance, err)
               : BERTH_OK;
}

static void open_services(struct instance *instance)
{
    const struct service_routes_target target = {
        .table = instance->table,
        .instance = instance->plugin->instance,
        .owner = &instance->host,
    };
    struct berth_error error;
    enum berth_code code = BERTH_OK;

    if (instance->life->router != NULL)
        code = service_routes_open(instance->life->router, instance->plugin->entry->plugin, &target, &error);
    if (code != BERTH_OK)
        fall(instance, BERTH_STATE_FAILED, code, error.message, PLAN_NONE);
}

static void become_ready(struct instance *instance, void *result)
{
    struct registry_plugin *plugin = instance->plugin;

    instance->is_open = true;
    plugin->instance = result;
    if (!BERTH_HAS(instance->table, serve))
        instance->host.takes_holds = false;
    if (plugin->hold_count == 0)
        plugin->times.ready_at_ns = registry_since_start(instance->life->registry);
    log_plugin(BERTH_LOG_DEBUG, uri_of(instance), "ready init_ms=%.1f", (double)plugin->times.init_ns / 1e6);
    if (!is_stopping(instance))
        open_services(instance);
}

/* There is no instance for the posted functions to work on. */
static void drop_posts(struct instance *instance)
{
    size_t dropped = mailbox_close(instance->host.table.mailbox, false);

    outgoing_caller_close(&instance->host.caller, false);

    if (dropped > 0)
        log_plugin(BERTH_LOG_WARN, uri_of(instance), "dropped %zu posted function%s because init failed",
                   dropped, dropped == 1 ? "" : "s");
}

static void on_init_ended(struct steps *steps, const struct step_outcome *outcome)
{
    struct instance *instance = of_steps(steps);
    struct life *life = instance->life;

    note_time(instance, STEP_INIT, &instance->plugin->times.init_start_ns, &instance->plugin->times.init_ns);
    take_end(instance, STEP_INIT, outcome->code);
    instance->host.takes_interceptors = false;
    if (outcome->code == BERTH_OK) {
        become_ready(instance, outcome->result);
    } else {
        /* No code of a plugin without an instance may be called: no hooks, no holds. */
        instance->host.takes_holds = false;
        if (life->router != NULL)
            router_remove_interceptors(life->router, &instance->host);
        /* One that comes late is closed, and may post until then. */
        if (!outcome->is_timeout)
            drop_posts(instance);
        fall_in(instance, "init", outcome);
    }
    settle(instance);
}

static void on_init_late(struct steps *steps, const struct step_outcome *outcome)
{
    struct instance *instance = of_steps(steps);

    if (outcome->code != BERTH_OK) {
        drop_posts(instance);
        return;
    }
    instance->plugin->instance = outcome->result;
    instance->is_open = true;
    instance->is_late = true;
    instance->life->late++;
    wake(instance->life);
}

/* Serve */

static enum berth_code call_serve(struct steps *steps, void **ret_result, struct berth_error *err)
{
    struct instance *instance = of_steps(steps);

    return instance->table->serve(&instance->host.table, instance->plugin->instance, err);
}

static void on_serve_ended(struct steps *steps, const struct step_outcome *outcome)
{
    struct instance *instance = of_steps(steps);
    bool is_ready = instance->plugin->state == BERTH_STATE_READY;

    note_time(instance, STEP_SERVE, &instance->plugin->times.serve_start_ns,
              &instance->plugin->times.serve_ns);
    take_end(instance, STEP_SERVE, outcome->code);
    instance->host.takes_holds = false;
    if (is_ready && (int)outcome->code == BERTH_SKIP)
        log_plugin(BERTH_LOG_INFO, uri_of(instance), "not serving: %s", outcome->message);
    else if (is_ready && outcome->code != BERTH_OK)
        fall_in(instance, "serve", outcome);
    settle(instance);
}

/* Drain and close */

static void warn_of_end(const struct instance *instance, enum step step, const struct step_outcome *outcome,
                        const char *consequence)
{
    if (outcome->code == BERTH_OK || (int)outcome->code == BERTH_SKIP)
        return;
    if (outcome->is_timeout)
        log_plugin(BERTH_LOG_WARN, uri_of(instance), "%s; %s", outcome->message, consequence);
    else
        log_plugin(BERTH_LOG_WARN, uri_of(instance), "%s failed: %s%s%s; %s",
                   instance->steps.kinds[step].name, berth_code_name(outcome->code),
                   outcome->message[0] != '\0' ? ": " : "", outcome->message, consequence);
}

static enum berth_code call_drain(struct steps *steps, void **ret_result, struct berth_error *err)
{
    struct instance *instance = of_steps(steps);

    return instance->table->drain(&instance->host.table, instance->plugin->instance, err);
}

static void on_drain_ended(struct steps *steps, const struct step_outcome *outcome)
{
    take_end(of_steps(steps), STEP_DRAIN, outcome->code);
    warn_of_end(of_steps(steps), STEP_DRAIN, outcome, "closing anyway");
}

/* Calls first, whose handlers use the instance; then the hooks, which the instance owns. */
static void cut_off(struct instance *instance)
{
    struct router *router = instance->life->router;

    if (router == NULL)
        return;
    close_services(instance);
    if (instance->plugin->entry->plugin->service_count > 0)
        router_end_calls(router, &instance->host, "the daemon is shutting down");
    router_remove_interceptors(router, &instance->host);
}

static enum berth_code call_close(struct steps *steps, void **ret_result, struct berth_error *err)
{
    struct instance *instance = of_steps(steps);

    /* Posted functions may answer calls, so they run before the calls are ended. */
    mailbox_close(instance->host.table.mailbox, true);
    outgoing_caller_close(&instance->host.caller, true);
    cut_off(instance);
    return BERTH_HAS(instance->table, close)
               ? instance->table->close(&instance->host.table, instance->plugin->instance, err)
               : BERTH_OK;
}

static void on_close_ended(struct steps *steps, const struct step_outcome *outcome)
{
    take_end(of_steps(steps), STEP_CLOSE, outcome->code);
    warn_of_end(of_steps(steps), STEP_CLOSE, outcome, "continuing without it");
    of_steps(steps)->plugin->instance = NULL;
}

#define TIMEOUT(member) offsetof(struct settings_timeouts, member)

/* A life, from top to bottom. */
static const struct step_kind kinds[STEP_COUNT] = {
    [STEP_PREPARE] = {"prepare", RUNNING_NOTHING, TIMEOUT(prepare_ns), BERTH_STATE_PREPARING,
                      BERTH_STATE_PREPARING, "discarding its result", call_prepare, on_prepare_ended, NULL},
    [STEP_INIT] = {"init", RUNNING_INIT, TIMEOUT(init_ns), BERTH_STATE_STARTING, BERTH_STATE_READY,
                   "closing its instance", call_init, on_init_ended, on_init_late},
    [STEP_SERVE] = {"serve", RUNNING_SERVE, TIMEOUT(serve_ns), BERTH_STATE_READY, BERTH_STATE_SERVING, NULL,
                    call_serve, on_serve_ended, NULL},
    [STEP_DRAIN] = {"drain", RUNNING_DRAIN, TIMEOUT(drain_ns), BERTH_STATE_DRAINING, BERTH_STATE_DRAINING,
                    NULL, call_drain, on_drain_ended, NULL},
    [STEP_CLOSE] = {"close", RUNNING_CLOSE, TIMEOUT(close_ns), BERTH_STATE_STOPPED, BERTH_STATE_STOPPED, NULL,
                    call_close, on_close_ended, NULL},
};

/* A server waits for all calls, which it carries for others; other plugins for calls of their own. */
static void describe_calls(const struct instance *instance, enum step step, char *text, size_t size)
{
    bool is_server = BERTH_HAS(instance->table, serve);

    text[0] = '\0';
    if (step == STEP_DRAIN && instance->life->router != NULL)
        router_describe_calls(instance->life->router, is_server ? NULL : &instance->host, text, size);
}

static void on_overdue(struct steps *steps, enum step step)
{
    const struct instance *instance = of_steps(steps);
    bool is_cut_short = instance->life->phase == LIFE_QUIESCING;
    char message[768], limit[CONFIG_UNITS_MAX], calls[512];

    describe_calls(instance, step, calls, sizeof(calls));
    config_format_duration((int64_t)steps_timeout_of(steps, is_cut_short ? STEP_CLOSE : step), limit);
    if (is_cut_short)
        snprintf(message, sizeof(message),
                 "%s did not complete within %s after shutdown began (timeouts.close)", kinds[step].name,
                 limit);
    else
        snprintf(message, sizeof(message), "%s did not complete within %s (timeouts.%s)%s%s",
                 kinds[step].name, limit, kinds[step].name, calls[0] != '\0' ? "; " : "", calls);
    steps_time_out(steps, step, message);
}

/* All that it requires and wants has settled. */
static void start(struct instance *instance)
{
    struct life *life = instance->life;
    const struct verdict verdict = verdicts_decide(life->verdicts, instance->plugin->index);
    char *reason = verdicts_explain(life->verdicts, &verdict);

    if (verdict.code != BERTH_OK) {
        fall(instance, verdict.state, verdict.code, reason, verdict.cause);
        settle(instance);
    } else {
        /* The providers that it starts without have log lines of their own. */
        if (reason != NULL)
            log_plugin(BERTH_LOG_DEBUG, uri_of(instance), "%s", reason);
        begin(instance, BERTH_HAS(instance->table, prepare) ? STEP_PREPARE : STEP_INIT);
    }
    free(reason);
}

/* All that it requires and wants has served, or does not serve. */
static void serve(struct instance *instance)
{
    if (instance->plugin->state == BERTH_STATE_READY && BERTH_HAS(instance->table, serve))
        begin(instance, STEP_SERVE);
    else
        settle(instance);
}

/* A server that never served has no work to finish. */
static void drain(struct instance *instance)
{
    if (instance->table == NULL || !is_well(instance) || !BERTH_HAS(instance->table, drain))
        return;
    if (!BERTH_HAS(instance->table, serve) || instance->plugin->state == BERTH_STATE_SERVING)
        begin(instance, STEP_DRAIN);
}

static void close_instance(struct instance *instance)
{
    if (!instance->is_open)
        return;
    instance->is_open = false;
    instance->host.takes_holds = false;
    begin(instance, STEP_CLOSE);
}

static void cancel_prepare(struct instance *instance)
{
    if (prepare_withdraw(instance->job)) {
        free(instance->job);
        instance->job = NULL;
        steps_complete(&instance->steps, STEP_PREPARE, BERTH_CANCELLED, NULL, NULL);
        return;
    }
    prepare_cancel(instance->job);
    steps_shorten_deadline(&instance->steps, instance->steps.timeouts.close_ns);
}

/*
 * The daemon stops: whatever has not begun never will, a running prepare is asked to return, and a pending
 * step gets no more time than a close.
 */
static void cancel(struct instance *instance)
{
    if (instance->plugin->state == BERTH_STATE_WAITING)
        end_unstarted(instance);
    else if (instance->plugin->state == BERTH_STATE_PREPARING)
        cancel_prepare(instance);
    else if (steps_are_pending(&instance->steps))
        steps_shorten_deadline(&instance->steps, instance->steps.timeouts.close_ns);
}

/* What a plugin says through its host table */

static struct instance *of_host(struct host *host)
{
    return CONTAINER_OF(host, struct instance, host);
}

static void on_complete(struct host *host, enum berth_step step, enum berth_code code, void *instance,
                        const char *message)
{
    if ((int)step < 0 || (int)step > BERTH_STEP_CLOSE)
        log_plugin(BERTH_LOG_WARN, host->table.uri,
                   "ignoring the completion of step %d, which does not exist", (int)step);
    else
        steps_complete(&of_host(host)->steps, (enum step)((int)step + STEP_INIT), code, instance, message);
}

static bool requires(const struct plan *plan, size_t entry, size_t provider)
{
    const struct plan_entry *dependent = &plan->entries[entry];
    const char *type = plan->entries[provider].plugin->type;

    for (size_t i = 0; i < dependent->requirement_count; i++) {
        const struct plan_requirement *requirement = &dependent->requirements[i];

        if (requirement->binding &&
            ((requirement->target == PLAN_TARGET_PLUGIN && requirement->index == provider) ||
             (requirement->target == PLAN_TARGET_TYPE && strcmp(requirement->name, type) == 0)))
            return true;
    }
    return false;
}

static void warn_of_dependents(const struct instance *failed)
{
    const struct life *life = failed->life;
    struct log_names names = {0};

    for (size_t i = 0; i < life->plan->run_count; i++)
        if (i != failed->plugin->index && is_well(&life->instances[i]) &&
            requires(life->plan, i, failed->plugin->index))
            log_names_add(&names, "%s", uri_of(&life->instances[i]));
    if (names.count > 0)
        log_line(BERTH_LOG_WARN, "still running although required plugin %s failed: %s", uri_of(failed),
                 log_names_text(&names));
}

static void on_fail(struct host *host, enum berth_code code, const char *message)
{
    struct instance *instance = of_host(host);
    enum berth_state state = instance->plugin->state;
    struct step_outcome outcome = {.code = step_sane_code(code), .message = message != NULL ? message : ""};

    if (outcome.code == BERTH_OK || (int)outcome.code == BERTH_SKIP)
        outcome.code = BERTH_UNKNOWN;
    if (state != BERTH_STATE_READY && state != BERTH_STATE_SERVING) {
        log_plugin(BERTH_LOG_WARN, uri_of(instance), "ignoring a failure reported while %s: %s",
                   berth_state_name(state), outcome.message);
        return;
    }
    host->takes_holds = false;
    fall_in(instance, NULL, &outcome);
    warn_of_dependents(instance);
    wake(instance->life);
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
    if (host->plugin->hold_count == 0 && is_well(of_host(host)))
        host->plugin->times.ready_at_ns = registry_since_start(host->registry);
    wake(of_host(host)->life);
}

/* The phases of the whole */

static void enter(struct life *life, enum life_phase phase, void (*on_event)(void *context))
{
    life->phase = phase;
    if (on_event != NULL)
        on_event(life->options.context);
}

/* Gives out turns until none can begin or TURN_MAX_NS is over. */
static void give_turns(struct life *life, void (*begin_turn)(struct instance *instance))
{
    uint64_t until_ns = uv_hrtime() + TURN_MAX_NS;
    enum life_phase phase = life->phase;

    while (life->phase == phase) {
        size_t entry = turns_next(life->turns);

        if (entry == PLAN_NONE) {
            uv_idle_stop(&life->turn);
            return;
        }
        begin_turn(&life->instances[entry]);
        if (uv_hrtime() >= until_ns) {
            wake(life);
            return;
        }
    }
}

static void start_some(struct life *life)
{
    give_turns(life, start);
    if (life->phase == LIFE_STARTING && turns_are_over(life->turns))
        enter(life, LIFE_SETTLED, life->options.events.on_settled);
}

static void serve_some(struct life *life)
{
    give_turns(life, serve);
    if (life->phase != LIFE_SERVING || !turns_are_over(life->turns))
        return;
    enter(life, LIFE_SERVED, life->options.events.on_served);
    wake(life);
}

static void look_for_ready(struct life *life)
{
    uv_idle_stop(&life->turn);
    for (size_t i = 0; i < life->plan->run_count; i++)
        if (life->instances[i].plugin->hold_count > 0)
            return;
    enter(life, LIFE_READY, life->options.events.on_ready);
}

static void begin_draining(struct life *life)
{
    uv_idle_stop(&life->turn);
    if (life->in_flight > 0)
        return;
    life->phase = LIFE_DRAINING;
    for (size_t i = life->plan->run_count; i-- > 0;)
        drain(&life->instances[i]);
    wake(life);
}

static void begin_closing(struct life *life)
{
    uv_idle_stop(&life->turn);
    if (life->in_flight > 0)
        return;
    life->phase = LIFE_CLOSING;
    life->close_before = life->plan->run_count;
    wake(life);
}

static void on_one_closed(struct life *life)
{
    if (--life->open_handles == 0)
        enter(life, LIFE_STOPPED, life->options.events.on_stopped);
}

static void on_deadlines_closed(uv_handle_t *handle)
{
    on_one_closed(CONTAINER_OF(handle, struct life, deadlines.timer));
}

static void on_idle_closed(uv_handle_t *handle)
{
    on_one_closed(CONTAINER_OF(handle, struct life, turn));
}

static void on_mailroom_closed(uv_handle_t *handle)
{
    on_one_closed(CONTAINER_OF((uv_async_t *)handle, struct life, mailroom.async));
}

static void on_outgoings_closed(void *context)
{
    on_one_closed(context);
}

static void on_pool_closed(void *context)
{
    on_one_closed(context);
}

/* A pool with a prepare that never returned keeps its threads and its handle. */
static void close_handles(struct life *life)
{
    life->phase = LIFE_STOPPED;
    uv_idle_stop(&life->turn);
    life->open_handles = 3;
    /* The mailbox of an init that never ended is still open. */
    for (size_t i = 0; i < life->plan->run_count; i++)
        if (life->instances[i].host.table.mailbox != NULL) {
            mailbox_close(life->instances[i].host.table.mailbox, false);
            outgoing_caller_close(&life->instances[i].host.caller, false);
        }
    if (life->pool != NULL && prepare_pool_close(life->pool, on_pool_closed, life))
        life->open_handles++;
    uv_close((uv_handle_t *)&life->deadlines.timer, on_deadlines_closed);
    uv_close((uv_handle_t *)&life->turn, on_idle_closed);
    mailroom_close(&life->mailroom, on_mailroom_closed);
    if (life->router != NULL) {
        life->open_handles++;
        outgoings_close(&life->outgoings, on_outgoings_closed, life);
    }
}

/* One at a time, in reverse order, so that what a plugin uses outlives it. */
static void close_some(struct life *life)
{
    while (life->in_flight == 0 && life->close_before > 0)
        close_instance(&life->instances[--life->close_before]);
    if (life->in_flight == 0)
        close_handles(life);
    else
        uv_idle_stop(&life->turn);
}

static void close_late(struct life *life)
{
    for (size_t i = 0; life->late > 0 && i < life->plan->run_count; i++)
        if (life->instances[i].is_late) {
            life->instances[i].is_late = false;
            life->late--;
            close_instance(&life->instances[i]);
        }
}

static void on_turn(uv_idle_t *idle)
{
    struct life *life = CONTAINER_OF(idle, struct life, turn);

    close_late(life);
    switch (life->phase) {
    case LIFE_STARTING:
        start_some(life);
        return;
    case LIFE_SERVING:
        serve_some(life);
        return;
    case LIFE_SERVED:
        look_for_ready(life);
        return;
    case LIFE_QUIESCING:
        begin_draining(life);
        return;
    case LIFE_DRAINING:
        begin_closing(life);
        return;
    case LIFE_CLOSING:
        close_some(life);
        return;
    case LIFE_CREATED:
    case LIFE_SETTLED:
    case LIFE_READY:
    case LIFE_STOPPED:
        uv_idle_stop(idle);
        return;
    }
}

static void init_instance(struct life *life, size_t index)
{
    const struct life_part *part = &life->options.parts[index];
    struct instance *instance = &life->instances[index];

    instance->life = life;
    instance->plugin = registry_get(life->registry, index);
    instance->table = part->table;
    instance->plugin->table = part->table;
    host_init(&instance->host, instance->plugin, &life->options.host, part->settings);
    instance->host.on_complete = on_complete;
    instance->host.on_fail = on_fail;
    instance->host.on_report = on_report;
    instance->host.on_released = on_released;
    instance->steps.kinds = kinds;
    instance->steps.uri = uri_of(instance);
    instance->steps.running = instance->plugin->running;
    instance->steps.deadlines = &life->deadlines;
    instance->steps.timeouts = part->timeouts;
    instance->steps.on_overdue = on_overdue;
}

static void on_post_begins(void *owner)
{
    const struct instance *instance = owner;

    running_enter(instance->plugin->running, RUNNING_POST, NULL);
}

static void on_post_ends(void *owner)
{
    running_leave();
}

/* Ended calls of plugins whose late use is still noticed. */
#define OUTGOING_REST 256

struct life *life_create(const struct life_options *options)
{
    struct life *life = memory_allocate(1, sizeof(*life));

    life->options = *options;
    life->registry = options->host.registry;
    life->plan = registry_plan(life->registry);
    life->router = options->host.router;
    life->instances = memory_allocate(life->plan->run_count, sizeof(*life->instances));
    life->turns = turns_create(life->plan);
    life->verdicts = verdicts_create(life->plan);
    deadlines_init(&life->deadlines, options->host.loop);
    uv_idle_init(options->host.loop, &life->turn);
    mailroom_init(&life->mailroom, options->host.loop);
    if (life->router != NULL) {
        outgoings_init(&life->outgoings, life->router, options->host.loop, OUTGOING_REST);
        life->options.host.outgoings = &life->outgoings;
    }
    life->mailroom.on_enter = on_post_begins;
    life->mailroom.on_leave = on_post_ends;
    life->on_turn = on_turn;
    for (size_t i = 0; i < life->plan->run_count; i++) {
        init_instance(life, i);
        /* A plugin that could not be loaded has failed already. */
        show_dependents(&life->instances[i]);
    }
    return life;
}

void life_start(struct life *life)
{
    life->phase = LIFE_STARTING;
    for (size_t i = 0; i < life->plan->run_count; i++)
        if (life->instances[i].plugin->state != BERTH_STATE_WAITING)
            settle(&life->instances[i]);
    wake(life);
}

void life_serve(struct life *life)
{
    if (life->phase != LIFE_SETTLED)
        return;
    turns_destroy(life->turns);
    life->turns = turns_create(life->plan);
    life->phase = LIFE_SERVING;
    wake(life);
}

void life_stop(struct life *life)
{
    if (life->phase >= LIFE_QUIESCING)
        return;
    life->phase = LIFE_QUIESCING;
    for (size_t i = 0; i < life->plan->run_count; i++)
        cancel(&life->instances[i]);
    wake(life);
}

void life_each_pending(const struct life *life,
                       void (*on_pending)(void *context, const char *uri, const char *step), void *context)
{
    for (size_t i = 0; i < life->plan->run_count; i++)
        for (int step = 0; step < STEP_COUNT; step++)
            if (life->instances[i].steps.records[step].status == STEP_PENDING)
                on_pending(context, uri_of(&life->instances[i]), kinds[step].name);
}

bool life_is_busy(const struct life *life, size_t index)
{
    const struct instance *instance = &life->instances[index];

    return instance->job != NULL || instance->is_open || steps_are_late(&instance->steps);
}

bool life_is_any_busy(const struct life *life)
{
    for (size_t i = 0; i < life->plan->run_count; i++)
        if (life_is_busy(life, i))
            return true;
    return false;
}

void life_destroy(struct life *life)
{
    if (life == NULL)
        return;
    for (size_t i = 0; i < life->plan->run_count; i++)
        host_finish(&life->instances[i].host);
    turns_destroy(life->turns);
    verdicts_destroy(life->verdicts);
    deadlines_finish(&life->deadlines);
    free(life->instances);
    free(life);
}
