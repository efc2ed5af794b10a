/* SPDX-License-Identifier: Apache-2.0 */
/* One step of a life. A plugin that breaks the contract here costs a line in the log, nothing else. */
#include "step.h"

#include <stdlib.h>
#include <string.h>

#include <config/units.h>

#include <core/base/log.h>

const char *step_name(enum berth_step step)
{
    static const char *const names[LIFE_STEPS] = {"init", "serve", "drain", "close"};

    return names[step];
}

static bool has_status(const struct life *life, enum step_status status)
{
    for (size_t i = 0; i < LIFE_STEPS; i++)
        if (life->steps[i].status == status)
            return true;
    return false;
}

bool step_is_pending(const struct life *life)
{
    return has_status(life, STEP_PENDING);
}

/* What has closed has nothing under way, also where its drain never said so. */
bool step_is_late(const struct life *life)
{
    if (life->steps[BERTH_STEP_CLOSE].status == STEP_ENDED)
        return false;
    return has_status(life, STEP_LATE);
}

enum berth_code step_sane_code(enum berth_code code)
{
    bool is_known = ((int)code >= 0 && (int)code <= BERTH_UNAUTHENTICATED) || (int)code == BERTH_SKIP;

    return is_known ? code : BERTH_UNKNOWN;
}

static uint64_t deadline_of(const struct life *life, enum berth_step step)
{
    switch (step) {
    case BERTH_STEP_INIT:
        return life->timeouts.init_ns;
    case BERTH_STEP_SERVE:
        return life->timeouts.serve_ns;
    case BERTH_STEP_DRAIN:
        return life->timeouts.drain_ns;
    case BERTH_STEP_CLOSE:
        return life->timeouts.close_ns;
    }
    return 0;
}

static enum berth_code call(struct life *life, enum berth_step step, void **ret_instance,
                            struct berth_error *err)
{
    const struct berth_plugin *table = life->table;
    const struct berth_host *host = &life->host.table;
    void *prepared = life->prepared;

    switch (step) {
    case BERTH_STEP_INIT:
        life->prepared = NULL;
        return BERTH_HAS(table, init) ? table->init(host, prepared, ret_instance, err) : BERTH_OK;
    case BERTH_STEP_SERVE:
        return BERTH_HAS(table, serve) ? table->serve(host, life->plugin->instance, err) : BERTH_OK;
    case BERTH_STEP_DRAIN:
        return BERTH_HAS(table, drain) ? table->drain(host, life->plugin->instance, err) : BERTH_OK;
    case BERTH_STEP_CLOSE:
        return BERTH_HAS(table, close) ? table->close(host, life->plugin->instance, err) : BERTH_OK;
    }
    return BERTH_INTERNAL;
}

static void note_time(struct life *life, enum berth_step step)
{
    struct berth_times *times = &life->plugin->times;
    uint64_t took = registry_since_start(life->lifecycle->registry) - life->steps[step].begun_ns;

    if (step == BERTH_STEP_INIT) {
        times->init_start_ns = life->steps[step].begun_ns;
        times->init_ns = took;
    } else if (step == BERTH_STEP_SERVE) {
        times->serve_start_ns = life->steps[step].begun_ns;
        times->serve_ns = took;
    }
}

static void end(struct life *life, enum berth_step step, struct step_outcome outcome)
{
    deadline_stop(&life->deadline);
    life->steps[step].status = outcome.is_timeout ? STEP_LATE : STEP_ENDED;
    life->steps[step].code = outcome.code;
    note_time(life, step);
    life->lifecycle->in_flight--;
    lifecycle_on_step_ended(life, step, &outcome);
    life_wake(life->lifecycle);
}

static bool take_early(struct life *life, struct step_outcome *ret_outcome)
{
    if (!life->early.is_set)
        return false;
    *ret_outcome = (struct step_outcome){
        .code = life->early.code,
        .instance = life->early.instance,
        .message = life->early.message != NULL ? life->early.message : "",
    };
    life->early.is_set = false;
    return true;
}

/* What the callback returned decides, unless that is "later" and the completion has come already. */
static void answer(struct life *life, enum berth_step step, struct step_outcome outcome)
{
    struct step_outcome early;
    bool is_early = take_early(life, &early);

    if ((int)outcome.code == BERTH_PENDING && is_early)
        outcome = early;
    else if (is_early)
        log_plugin(BERTH_LOG_WARN, life_uri(life),
                   "completed %s with %s and then returned %s from it: only what it returned counts",
                   step_name(step), berth_code_name(early.code), berth_code_name(outcome.code));
    if ((int)outcome.code == BERTH_PENDING) {
        life->steps[step].status = STEP_PENDING;
        deadline_start(&life->deadline, deadline_of(life, step));
    } else {
        outcome.code = step_sane_code(outcome.code);
        end(life, step, outcome);
    }
    if (is_early)
        free(life->early.message);
}

void step_begin(struct life *life, enum berth_step step)
{
    struct berth_error error = {.message = ""};
    struct step_outcome outcome = {.message = error.message};

    life->steps[step].status = STEP_CALLING;
    life->steps[step].begun_ns = registry_since_start(life->lifecycle->registry);
    life->lifecycle->in_flight++;
    log_plugin(BERTH_LOG_DEBUG, life_uri(life), "calling %s", step_name(step));
    outcome.code = call(life, step, &outcome.instance, &error);
    error.message[sizeof(error.message) - 1] = '\0';
    answer(life, step, outcome);
}

static void complete_early(struct life *life, enum berth_step step, const struct step_outcome *outcome)
{
    if (life->early.is_set) {
        log_plugin(BERTH_LOG_WARN, life_uri(life), "completed %s twice: the second, %s, is ignored",
                   step_name(step), berth_code_name(outcome->code));
        return;
    }
    life->early.is_set = true;
    life->early.code = outcome->code;
    life->early.instance = outcome->instance;
    life->early.message = strdup(outcome->message);
}

static void complete_late(struct life *life, enum berth_step step, const struct step_outcome *outcome)
{
    uint64_t after = registry_since_start(life->lifecycle->registry) - life->steps[step].begun_ns;
    char text[CONFIG_UNITS_MAX];

    config_format_duration((int64_t)(after - after % 1000000), text);
    log_plugin(BERTH_LOG_WARN, life_uri(life), "completed %s late, with %s after %s, past its deadline%s",
               step_name(step), berth_code_name(outcome->code), text,
               step == BERTH_STEP_INIT && outcome->code == BERTH_OK ? ": the instance is closed" : "");
    life->steps[step].status = STEP_ENDED;
    lifecycle_on_step_late(life, step, outcome);
    life_wake(life->lifecycle);
}

void step_complete(struct life *life, enum berth_step step, enum berth_code code, void *instance,
                   const char *message)
{
    struct step_outcome outcome = {step_sane_code(code), instance, message != NULL ? message : "", false};

    if ((int)step < 0 || (int)step >= LIFE_STEPS) {
        log_plugin(BERTH_LOG_WARN, life_uri(life), "completed step %d, which does not exist: ignored",
                   (int)step);
        return;
    }
    switch (life->steps[step].status) {
    case STEP_NONE:
        log_plugin(BERTH_LOG_WARN, life_uri(life), "completed %s, which has not begun: ignored",
                   step_name(step));
        return;
    case STEP_CALLING:
        complete_early(life, step, &outcome);
        return;
    case STEP_PENDING:
        end(life, step, outcome);
        return;
    case STEP_LATE:
        complete_late(life, step, &outcome);
        return;
    case STEP_ENDED:
        log_plugin(BERTH_LOG_WARN, life_uri(life),
                   "completed %s with %s although it had ended with %s: ignored", step_name(step),
                   berth_code_name(outcome.code), berth_code_name(life->steps[step].code));
        return;
    }
}

/* A server waits for the calls it carries, which are other plugins'; anybody else for calls of its own. */
static void describe_calls(const struct life *life, enum berth_step step, char *text, size_t size)
{
    bool is_server = BERTH_HAS(life->table, serve);

    text[0] = '\0';
    if (step == BERTH_STEP_DRAIN && life->lifecycle->router != NULL)
        router_describe_calls(life->lifecycle->router, is_server ? NULL : life->plugin->instance, text, size);
}

static void describe_timeout(const struct life *life, enum berth_step step, char *text, size_t size)
{
    bool is_cut_short = life->lifecycle->phase == LIFECYCLE_QUIESCING;
    char limit[CONFIG_UNITS_MAX], calls[512];

    describe_calls(life, step, calls, sizeof(calls));
    config_format_duration((int64_t)deadline_of(life, is_cut_short ? BERTH_STEP_CLOSE : step), limit);
    if (is_cut_short)
        snprintf(text, size,
                 "%s did not complete within %s after the daemon was told to stop (timeouts.close)",
                 step_name(step), limit);
    else
        snprintf(text, size, "%s did not complete within %s (timeouts.%s)%s%s", step_name(step), limit,
                 step_name(step), calls[0] != '\0' ? "; " : "", calls);
}

void step_time_out(struct life *life)
{
    char message[768];

    for (int step = 0; step < LIFE_STEPS; step++) {
        if (life->steps[step].status != STEP_PENDING)
            continue;
        describe_timeout(life, (enum berth_step)step, message, sizeof(message));
        end(life, (enum berth_step)step, (struct step_outcome){BERTH_DEADLINE_EXCEEDED, NULL, message, true});
        return;
    }
}
