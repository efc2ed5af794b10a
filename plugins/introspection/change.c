/* SPDX-License-Identifier: Apache-2.0 */
/* Changes to the daemon that clients ask for, and their reports. */
#include "introspection-plugin.h"

#include <stdlib.h>
#include <unistd.h>

#include "introspection.h"

/* Each holds a call until its change is done. */
#define WAITS_MAX 64

/* A call that waits for a report. */
struct introspection_change {
    LIST_ENTRY(introspection_change) link;
    struct introspection *instance;
    struct berth_call *call;
    const struct berth_inspect *inspect;
    /** NULL once the report has come. */
    struct berth_change_wait *wait;
};

struct answer {
    Berth__Change__V1__ChangeAnswer message;
    Berth__Change__V1__Report report;
    Berth__Change__V1__Step *steps;
    Berth__Change__V1__Step **step_pointers;
};

static void fill_step(Berth__Change__V1__Step *message, const struct berth_change_step *step)
{
    berth__change__v1__step__init(message);
    message->uri = introspection_text(step->uri);
    message->action = introspection_text(step->action);
    message->reason = introspection_text(step->reason);
    message->cause = introspection_text(step->cause);
    message->from_version = introspection_text(step->from_version);
    message->to_version = introspection_text(step->to_version);
    message->group = step->group;
    message->mode = introspection_text(step->mode);
    message->expected_pause_ns = step->expected_pause_ns;
    message->pause_ns = step->pause_ns;
    message->code = (int32_t)step->code;
    message->message = introspection_text(step->message);
    message->generation = step->generation;
}

/* Borrows from the report, except for the steps. @return false without memory. */
static bool fill_answer(struct answer *answer, const struct berth_change_report *report)
{
    answer->steps = calloc(report->step_count + 1, sizeof(*answer->steps));
    answer->step_pointers = calloc(report->step_count + 1, sizeof(*answer->step_pointers));
    if (answer->steps == NULL || answer->step_pointers == NULL)
        return false;
    for (size_t i = 0; i < report->step_count; i++) {
        fill_step(&answer->steps[i], &report->steps[i]);
        answer->step_pointers[i] = &answer->steps[i];
    }
    berth__change__v1__report__init(&answer->report);
    answer->report.dry_run = report->is_dry_run;
    answer->report.code = (int32_t)report->code;
    answer->report.message = introspection_text(report->message);
    answer->report.n_steps = report->step_count;
    answer->report.steps = answer->step_pointers;
    answer->report.plugins = report->plugin_count;
    answer->report.n_applied = report->applied.count;
    answer->report.applied = (char **)(uintptr_t)report->applied.items;
    answer->report.n_warnings = report->warnings.count;
    answer->report.warnings = (char **)(uintptr_t)report->warnings.items;
    answer->report.n_problems = report->problems.count;
    answer->report.problems = (char **)(uintptr_t)report->problems.items;
    berth__change__v1__change_answer__init(&answer->message);
    answer->message.number = report->number;
    answer->message.report = &answer->report;
    return true;
}

static void on_report(void *context, const struct berth_change_report *report)
{
    struct introspection_change *change = context;
    struct answer answer = {.steps = NULL};
    enum berth_code code = BERTH_RESOURCE_EXHAUSTED;

    change->wait = NULL;
    if (report == NULL) {
        berth_call_finish(change->call, BERTH_OK, NULL);
        return;
    }
    if (fill_answer(&answer, report))
        code = berth_call_send_message(change->call, &answer.message.base);
    free(answer.steps);
    free(answer.step_pointers);
    if (code == BERTH_OK)
        berth_call_finish(change->call, BERTH_OK, NULL);
    else
        berth_call_finish_sent(change->call, code);
}

static void on_end(struct berth_call *call, enum berth_code code)
{
    struct introspection_change *change = call->state;

    if (change == NULL)
        return;
    if (change->wait != NULL)
        change->inspect->leave_change(change->inspect, change->wait);
    LIST_REMOVE(change, link);
    change->instance->change_count--;
    free(change);
}

void introspection_change_end(struct introspection *introspection)
{
    struct introspection_change *change = LIST_FIRST(&introspection->changes);

    while (change != NULL) {
        struct introspection_change *next = LIST_NEXT(change, link);

        berth_call_finish(change->call, BERTH_UNAVAILABLE,
                          berth_ending_of(introspection->host) == BERTH_ENDING_STOPPING
                              ? "the daemon is shutting down"
                              : "the plugin that answers this call is itself being replaced; the change "
                                "continues: follow it by its number");
        change = next;
    }
}

/* Too late for the change itself, which is only followed. */
static void await(struct berth_call *call, struct introspection *introspection, uint64_t number)
{
    const struct berth_inspect *inspect = introspection->host->inspect;
    Berth__Change__V1__ChangeAnswer first = BERTH__CHANGE__V1__CHANGE_ANSWER__INIT;
    struct introspection_change *change = calloc(1, sizeof(*change));

    if (change == NULL) {
        berth_call_finish(call, BERTH_RESOURCE_EXHAUSTED, "no memory to wait for the change");
        return;
    }
    *change = (struct introspection_change){.instance = introspection, .call = call, .inspect = inspect};
    LIST_INSERT_HEAD(&introspection->changes, change, link);
    introspection->change_count++;
    call->state = change;
    change->wait = inspect->await_change(inspect, number, on_report, change);
    if (change->wait == NULL) {
        berth_call_finish(call, BERTH_NOT_FOUND, "no such change, or it was done too long ago");
        return;
    }
    first.number = number;
    if (berth_call_send_message(call, &first.base) != BERTH_OK)
        berth_call_finish_sent(call, BERTH_RESOURCE_EXHAUSTED);
}

/* @return has it ended the call? */
static bool refuses(struct berth_call *call, const struct introspection *introspection)
{
    if (introspection_refuses_remote(call))
        return true;
    if (!BERTH_HAS(introspection->host->inspect, request_change)) {
        introspection_refuse_unknown(call);
        return true;
    }
    if (introspection->is_draining)
        berth_call_finish(call, BERTH_UNAVAILABLE, "the plugin that answers this is stopping");
    else if (introspection->change_count == WAITS_MAX)
        berth_call_finish(call, BERTH_RESOURCE_EXHAUSTED,
                          "too many calls are waiting for changes; try again later");
    return introspection->is_draining || introspection->change_count == WAITS_MAX;
}

static const char *text_or_null(const char *text)
{
    return *text != '\0' ? text : NULL;
}

/* Borrows from the message. */
static struct berth_change_start read_start(const Berth__Change__V1__Start *message)
{
    return (struct berth_change_start){
        .size = sizeof(struct berth_change_start),
        .config = text_or_null(message->config),
        .root = text_or_null(message->root),
        .state = text_or_null(message->state),
        .plugin_dirs = {(const char *const *)message->plugin_dirs, message->n_plugin_dirs},
        .is_lenient = message->lenient,
    };
}

/* Wrong values are quoted from files that the caller may not be able to read. */
static bool refuses_start(struct berth_call *call)
{
    if (call->peer->uid == 0 || call->peer->uid == (int64_t)geteuid())
        return false;
    berth_call_finish(call, BERTH_PERMISSION_DENIED,
                      "the daemon reads another configuration with its own rights, so only root and the "
                      "daemon's user may ask for that");
    return true;
}

static void request_change(struct berth_call *call, const Berth__Change__V1__ChangeRequest *request)
{
    struct introspection *introspection = call->instance;
    const struct berth_inspect *inspect = introspection->host->inspect;
    const struct berth_change_start start =
        request->start != NULL ? read_start(request->start) : (struct berth_change_start){0};
    const struct berth_change_request wish = {
        .size = sizeof(wish),
        .kind = (enum berth_change_kind)request->kind,
        .subjects = {(const char *const *)request->subjects, request->n_subjects},
        .is_dry_run = request->dry_run,
        .is_atomic = request->atomic,
        .cascades = request->cascade,
        .is_forced = request->force,
        .keeps = request->keep,
        .start = request->start != NULL ? &start : NULL,
    };
    struct berth_error err;
    enum berth_code code;
    uint64_t number;

    if (refuses(call, introspection) || (wish.start != NULL && refuses_start(call)))
        return;
    number = inspect->request_change(inspect, &wish, &code, &err);
    if (number == 0) {
        berth_call_finish(call, code, err.message);
        return;
    }
    await(call, introspection, number);
}

static void follow(struct berth_call *call, const Berth__Change__V1__FollowRequest *request)
{
    if (!refuses(call, call->instance))
        await(call, call->instance, request->number);
}

const struct berth_change_v1_changes_handlers introspection_changes_handlers = {
    .request = {.on_message = request_change, .on_end = on_end},
    .follow = {.on_message = follow, .on_end = on_end},
};
