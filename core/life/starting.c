/* SPDX-License-Identifier: Apache-2.0 */
/* The first part of a life: the verdict on what it requires, prepare, init. */
#include "starting.h"

#include <stdlib.h>

#include <config/units.h>

#include <core/base/log.h>

static bool is_stopping(const struct life *life)
{
    return life->lifecycle->phase >= LIFECYCLE_QUIESCING;
}

static void discard(struct life *life)
{
    if (life->prepared != NULL && BERTH_HAS(life->table, discard))
        life->table->discard(life->prepared);
    life->prepared = NULL;
}

static void give_up_for_stop(struct life *life)
{
    registry_blame(life->lifecycle->registry, life->plugin, BERTH_STATE_STOPPED, BERTH_CANCELLED,
                   "the daemon stopped before it had started", PLAN_NONE);
    life_settle(life);
}

static void begin_init(struct life *life)
{
    registry_move(life->lifecycle->registry, life->plugin, BERTH_STATE_STARTING);
    life->plugin->generation++;
    life->host.table.generation = life->plugin->generation;
    life->host.takes_holds = true;
    life->host.takes_interceptors = true;
    step_begin(life, BERTH_STEP_INIT);
}

static void on_prepare_begun(struct prepare_job *job)
{
    struct life *life = job->owner;

    if (!job->is_abandoned)
        deadline_start(&life->deadline,
                       is_stopping(life) ? life->timeouts.close_ns : life->timeouts.prepare_ns);
}

static void note_prepare_time(struct life *life, const struct prepare_job *job)
{
    struct lifecycle *lifecycle = life->lifecycle;
    uint64_t started_ns = uv_hrtime() - registry_since_start(lifecycle->registry);

    life->plugin->times.prepare_start_ns = job->begun_ns > started_ns ? job->begun_ns - started_ns : 0;
    life->plugin->times.prepare_ns = job->ended_ns - job->begun_ns;
}

static void answer_prepare(struct life *life, struct prepare_job *job)
{
    struct step_outcome outcome = {.code = step_sane_code(job->code), .message = job->error.message};

    deadline_stop(&life->deadline);
    note_prepare_time(life, job);
    life->lifecycle->in_flight--;
    if (outcome.code == BERTH_OK && !is_stopping(life)) {
        life->prepared = job->prepared;
        begin_init(life);
        return;
    }
    life->prepared = job->prepared;
    discard(life);
    if (is_stopping(life)) {
        give_up_for_stop(life);
        return;
    }
    if (outcome.code == BERTH_UNKNOWN && outcome.message[0] == '\0')
        outcome.message = "prepare answered with what is no code of prepare's";
    life_fall_in(life, "prepare", &outcome);
    life_settle(life);
}

static void on_prepare_ended(struct prepare_job *job)
{
    struct life *life = job->owner;

    life->job = NULL;
    if (job->is_abandoned) {
        log_plugin(BERTH_LOG_WARN, life_uri(life),
                   "its prepare returned past its deadline: the result is "
                   "discarded");
        life_wake(life->lifecycle);
    } else {
        answer_prepare(life, job);
    }
    free(job);
}

static bool has_pool(struct lifecycle *lifecycle)
{
    if (lifecycle->pool == NULL)
        lifecycle->pool =
            prepare_pool_create(lifecycle->options.host.loop, lifecycle->options.prepare_threads);
    return lifecycle->pool != NULL;
}

static void begin_prepare(struct life *life)
{
    struct lifecycle *lifecycle = life->lifecycle;
    struct prepare_job *job = calloc(1, sizeof(*job));

    if (job == NULL || !has_pool(lifecycle)) {
        free(job);
        life_fall(life, BERTH_STATE_FAILED, BERTH_RESOURCE_EXHAUSTED, "no memory for its prepare", PLAN_NONE);
        life_settle(life);
        return;
    }
    job->table = life->table;
    job->uri = life_uri(life);
    job->settings = life->host.table.settings;
    job->root = (struct folder){.base = lifecycle->options.host.root, .name = job->uri};
    job->state = (struct folder){.base = lifecycle->options.host.state, .name = job->uri};
    job->on_begun = on_prepare_begun;
    job->on_ended = on_prepare_ended;
    job->owner = life;
    life->job = job;
    lifecycle->in_flight++;
    registry_move(life->lifecycle->registry, life->plugin, BERTH_STATE_PREPARING);
    prepare_submit(lifecycle->pool, job);
}

void starting_begin(struct life *life)
{
    struct verdict_decision decision;
    char *reason;

    verdicts_decide(life->lifecycle->verdicts, life->plugin->index, &decision);
    reason = verdicts_explain(life->lifecycle->verdicts, &decision);
    if (decision.answer == VERDICT_GIVE_UP) {
        life_fall(life, decision.state, decision.code, reason, decision.cause);
        free(reason);
        life_settle(life);
        return;
    }
    /* Those that it starts without have lines of their own. */
    if (reason != NULL)
        log_plugin(BERTH_LOG_DEBUG, life_uri(life), "%s", reason);
    free(reason);
    if (BERTH_HAS(life->table, prepare))
        begin_prepare(life);
    else
        begin_init(life);
}

static void become_ready(struct life *life, void *instance)
{
    life->has_instance = true;
    life->plugin->instance = instance;
    registry_move(life->lifecycle->registry, life->plugin, BERTH_STATE_READY);
    if (!BERTH_HAS(life->table, serve))
        life->host.takes_holds = false;
    if (life->plugin->readiness.count == 0)
        life->plugin->times.ready_at_ns = registry_since_start(life->lifecycle->registry);
    log_plugin(BERTH_LOG_DEBUG, life_uri(life), "ready init_ms=%.1f",
               (double)life->plugin->times.init_ns / 1e6);
    if (!is_stopping(life))
        life_open_routes(life);
}

/* Nothing of a plugin without an instance may be called, neither a hook nor a hold. */
static void take_back(struct life *life)
{
    life->host.takes_holds = false;
    if (life->lifecycle->router != NULL)
        router_remove_interceptors(life->lifecycle->router, &life->host);
}

void starting_on_init_ended(struct life *life, const struct step_outcome *outcome)
{
    life->host.takes_interceptors = false;
    if (outcome->code == BERTH_OK) {
        become_ready(life, outcome->instance);
    } else {
        take_back(life);
        life_fall_in(life, "init", outcome);
    }
    life_settle(life);
}

void starting_on_init_late(struct life *life, const struct step_outcome *outcome)
{
    if (outcome->code != BERTH_OK)
        return;
    life->plugin->instance = outcome->instance;
    life->has_instance = true;
    life->is_late = true;
    life->lifecycle->late++;
}

void starting_on_prepare_overdue(struct life *life)
{
    char text[CONFIG_UNITS_MAX], message[160];
    struct step_outcome outcome = {.code = BERTH_DEADLINE_EXCEEDED, .message = message, .is_timeout = true};

    config_format_duration((int64_t)life->timeouts.prepare_ns, text);
    snprintf(message, sizeof(message), "prepare did not return within %s (timeouts.prepare)", text);
    life->lifecycle->in_flight--;
    prepare_abandon(life->job);
    if (is_stopping(life))
        give_up_for_stop(life);
    else {
        life_fall_in(life, "prepare", &outcome);
        life_settle(life);
    }
}

static void cancel_prepare(struct life *life)
{
    if (prepare_withdraw(life->job)) {
        free(life->job);
        life->job = NULL;
        life->lifecycle->in_flight--;
        give_up_for_stop(life);
        return;
    }
    prepare_cancel(life->job);
    deadline_shorten(&life->deadline, life->timeouts.close_ns);
}

void starting_cancel(struct life *life)
{
    if (life->plugin->state == BERTH_STATE_WAITING)
        give_up_for_stop(life);
    else if (life->plugin->state == BERTH_STATE_PREPARING)
        cancel_prepare(life);
    else if (step_is_pending(life))
        deadline_shorten(&life->deadline, life->timeouts.close_ns);
}
