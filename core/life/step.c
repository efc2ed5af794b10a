/* SPDX-License-Identifier: Apache-2.0 */
/* The steps of one instance. A plugin that breaks the contract here costs a line in the log, nothing else. */
#include "step.h"

#include <stdlib.h>
#include <string.h>

#include <config/tree/units.h>

#include <core/base/log.h>
#include <sdk/base/container_of.h>

static const char *name_of(const struct steps *steps, enum step step)
{
    return steps->kinds[step].name;
}

static bool is_any(const struct steps *steps, enum step_status status)
{
    for (size_t i = 0; i < STEP_COUNT; i++)
        if (steps->records[i].status == status)
            return true;
    return false;
}

bool steps_are_pending(const struct steps *steps)
{
    return is_any(steps, STEP_PENDING);
}

/* After close nothing is pending, even if drain never completed. */
bool steps_are_late(const struct steps *steps)
{
    return steps->records[STEP_CLOSE].status != STEP_ENDED && is_any(steps, STEP_LATE);
}

enum berth_code step_sane_code(enum berth_code code)
{
    bool is_known = ((int)code >= 0 && (int)code <= BERTH_UNAUTHENTICATED) || (int)code == BERTH_SKIP;

    return is_known ? code : BERTH_UNKNOWN;
}

static enum berth_code sane_code_of(enum step step, enum berth_code code)
{
    return step == STEP_RECONFIGURE && (int)code == BERTH_RESTART ? code : step_sane_code(code);
}

uint64_t steps_timeout_of(const struct steps *steps, enum step step)
{
    return *(const uint64_t *)((const char *)&steps->timeouts + steps->kinds[step].timeout);
}

static void start_deadline(struct steps *steps, uint64_t due_ns);

/*
 * Another plugin that kept the loop busy past this deadline must not be charged to this one. Timers run
 * before I/O, so I/O gets one turn before the deadline counts.
 */
static void on_due(struct deadline *deadline)
{
    struct steps *steps = CONTAINER_OF(deadline, struct steps, deadline);

    if (!steps->is_last_look) {
        steps->is_last_look = true;
        start_deadline(steps, uv_hrtime());
        return;
    }
    for (int step = 0; step < STEP_COUNT; step++)
        if (steps->records[step].status == STEP_PENDING) {
            steps->on_overdue(steps, (enum step)step);
            return;
        }
}

static void start_deadline(struct steps *steps, uint64_t due_ns)
{
    if (!deadlines_start(steps->deadlines, &steps->deadline, due_ns, on_due))
        abort();
}

void steps_set_deadline(struct steps *steps, uint64_t after_ns)
{
    steps->is_last_look = false;
    if (after_ns > 0)
        start_deadline(steps, uv_hrtime() + after_ns);
    else
        deadlines_stop(steps->deadlines, &steps->deadline);
}

void steps_shorten_deadline(struct steps *steps, uint64_t after_ns)
{
    if (steps->deadline.place == 0 || steps->deadline.due_ns > uv_hrtime() + after_ns)
        steps_set_deadline(steps, after_ns);
}

static void end(struct steps *steps, enum step step, const struct step_outcome *outcome)
{
    struct step_record *record = &steps->records[step];

    deadlines_stop(steps->deadlines, &steps->deadline);
    record->status = outcome->is_timeout ? STEP_LATE : STEP_ENDED;
    record->code = outcome->code;
    record->ended_ns = uv_hrtime();
    steps->kinds[step].on_ended(steps, outcome);
}

static bool take_early(struct steps *steps, struct step_outcome *ret_outcome)
{
    if (!steps->early.is_set)
        return false;
    *ret_outcome = (struct step_outcome){
        .code = steps->early.code,
        .result = steps->early.result,
        .message = steps->early.message != NULL ? steps->early.message : "",
    };
    steps->early.is_set = false;
    return true;
}

/* The return value decides, unless it is BERTH_PENDING and the completion has come already. */
static void answer(struct steps *steps, enum step step, struct step_outcome outcome)
{
    struct step_outcome early;
    bool is_early = take_early(steps, &early);
    char *early_message = is_early ? steps->early.message : NULL;

    if ((int)outcome.code == BERTH_PENDING && is_early)
        outcome = early;
    else if (is_early)
        log_plugin(BERTH_LOG_WARN, steps->uri,
                   "completed %s with %s, then returned %s; using the returned code", name_of(steps, step),
                   berth_code_name(early.code), berth_code_name(outcome.code));
    if ((int)outcome.code == BERTH_PENDING) {
        steps->records[step].status = STEP_PENDING;
        /* A prepare waits for a thread first; that time is not charged to it. */
        if (step != STEP_PREPARE)
            steps_set_deadline(steps, steps_timeout_of(steps, step));
    } else {
        outcome.code = sane_code_of(step, outcome.code);
        end(steps, step, &outcome);
    }
    free(early_message);
}

void steps_begin(struct steps *steps, enum step step)
{
    struct berth_error error = {.message = ""};
    struct step_outcome outcome = {.message = error.message};
    enum running_doing doing = steps->kinds[step].doing;

    steps->records[step].status = STEP_CALLING;
    steps->records[step].begun_ns = uv_hrtime();
    log_plugin(BERTH_LOG_DEBUG, steps->uri, "calling %s", name_of(steps, step));
    running_enter(doing != RUNNING_NOTHING ? steps->running : NULL, doing, NULL);
    running_allow(steps_timeout_of(steps, step));
    outcome.code = steps->kinds[step].call(steps, &outcome.result, &error);
    running_leave();
    error.message[sizeof(error.message) - 1] = '\0';
    answer(steps, step, outcome);
}

static void complete_early(struct steps *steps, enum step step, const struct step_outcome *outcome)
{
    if (steps->early.is_set) {
        log_plugin(BERTH_LOG_WARN, steps->uri, "completed %s twice; ignoring the second completion (%s)",
                   name_of(steps, step), berth_code_name(outcome->code));
        return;
    }
    steps->early.is_set = true;
    steps->early.code = outcome->code;
    steps->early.result = outcome->result;
    steps->early.message = strdup(outcome->message);
}

static void complete_late(struct steps *steps, enum step step, const struct step_outcome *outcome)
{
    const struct step_kind *kind = &steps->kinds[step];
    uint64_t after = uv_hrtime() - steps->records[step].begun_ns;
    bool has_result = kind->if_late != NULL && outcome->code == BERTH_OK;
    char text[CONFIG_UNITS_MAX];

    config_format_duration((int64_t)(after - after % 1000000), text);
    log_plugin(BERTH_LOG_WARN, steps->uri, "completed %s late, with %s after %s%s%s", kind->name,
               berth_code_name(outcome->code), text, has_result ? "; " : "", has_result ? kind->if_late : "");
    steps->records[step].status = STEP_ENDED;
    if (kind->on_late != NULL)
        kind->on_late(steps, outcome);
}

void steps_complete(struct steps *steps, enum step step, enum berth_code code, void *result,
                    const char *message)
{
    const struct step_outcome outcome = {sane_code_of(step, code), result, message != NULL ? message : "",
                                         false};

    switch (steps->records[step].status) {
    case STEP_NONE:
        log_plugin(BERTH_LOG_WARN, steps->uri, "ignoring the completion of %s, which has not begun",
                   name_of(steps, step));
        return;
    case STEP_CALLING:
        complete_early(steps, step, &outcome);
        return;
    case STEP_PENDING:
        end(steps, step, &outcome);
        return;
    case STEP_LATE:
        complete_late(steps, step, &outcome);
        return;
    case STEP_ENDED:
        log_plugin(BERTH_LOG_WARN, steps->uri,
                   "ignoring the completion of %s with %s: it already ended with %s", name_of(steps, step),
                   berth_code_name(outcome.code), berth_code_name(steps->records[step].code));
        return;
    }
}

void steps_time_out(struct steps *steps, enum step step, const char *message)
{
    end(steps, step, &(struct step_outcome){BERTH_DEADLINE_EXCEEDED, NULL, message, true});
}
