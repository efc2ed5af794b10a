/* SPDX-License-Identifier: Apache-2.0 */
/* Writes reports: what is planned, what is wrong with what was read, and what came of it. */
#include "answer.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <core/base/log.h>
#include <sdk/base/memory.h>

static const char *version_of(const struct plan_entry *entry)
{
    return entry == NULL ? NULL : entry->plugin->manifest->version;
}

static bool is_replacement(enum change_action action)
{
    return action == CHANGE_RESTART || action == CHANGE_UPGRADE;
}

static void copy_step(struct asked *asked, const struct change *change, size_t i,
                      struct berth_change_step *ret_step)
{
    const struct change_step *step = &change->steps[i];
    const struct change_group *group = &change->groups[step->group];

    *ret_step = (struct berth_change_step){
        .size = sizeof(*ret_step),
        .uri = asked_copy_text(asked, step->uri),
        .action = change_action_name(step->action),
        .reason = asked_copy_text(asked, step->reason),
        .cause = step->cause == CHANGE_NONE ? NULL : asked_copy_text(asked, change->steps[step->cause].uri),
        .from_version = asked_copy_text(asked, version_of(step->from)),
        .to_version = asked_copy_text(asked, version_of(step->to)),
        .group = step->group + 1,
        .mode = is_replacement(step->action) ? manifest_upgrade_name(group->mode) : NULL,
        .expected_pause_ns = step->expected_pause_ns,
        .code = group->code,
        .message = asked_copy_text(asked, group->reason),
    };
}

static void copy_steps(struct asked *asked, const struct change *change)
{
    struct berth_change_step *steps =
        config_arena_allocate(&asked->arena, change->work_count * sizeof(*steps));
    size_t count = 0;

    for (size_t g = 0; g < change->group_count; g++) {
        const struct change_group *group = &change->groups[g];

        for (size_t i = 0; i < group->end_count; i++)
            if (change->steps[group->ends[i]].action == CHANGE_STOP)
                copy_step(asked, change, group->ends[i], &steps[count++]);
        for (size_t i = 0; i < group->begin_count; i++)
            copy_step(asked, change, group->begins[i], &steps[count++]);
    }
    asked->report.steps = steps;
    asked->report.step_count = count;
    asked->report.plugin_count = change->step_count;
}

/* Becomes one idle that was not, or is one new? */
static bool will_newly_wait_for_a_call(const struct asked *asked, const struct plan_entry *entry)
{
    const struct plan *before = asked->before->plan;
    size_t place = plan_find(before, entry->plugin->uri);

    return entry->starts_on_call && (place == PLAN_NONE || !before->entries[place].starts_on_call);
}

static bool is_one_of(const struct berth_strings *strings, const char *string)
{
    for (size_t i = 0; i < strings->count; i++)
        if (strcmp(strings->items[i], string) == 0)
            return true;
    return false;
}

/* One that is idle has no generation that could stop, but its calls are refused from here on. */
static bool stops_idle(const struct asked *asked, const struct change_step *step)
{
    const struct plan *before = asked->before->plan;
    size_t place = plan_find(before, step->uri);

    return asked->request.kind == BERTH_CHANGE_STOP && step->action == CHANGE_KEEP && step->from == NULL &&
           place != PLAN_NONE && before->entries[place].starts_on_call &&
           is_one_of(&asked->stopped, step->uri) && !is_one_of(&asked->stopped_before, step->uri);
}

static void copy_applied(struct asked *asked, const struct change *change)
{
    const struct plan *plan = asked->survey->plan;
    const char **lines = config_arena_allocate(
        &asked->arena, (change->daemon_count + change->step_count + plan->run_count) * sizeof(*lines));
    size_t count = 0;

    for (size_t i = 0; i < change->step_count; i++) {
        char *line;

        if (!stops_idle(asked, &change->steps[i]))
            continue;
        line = memory_format("%s was idle; its calls are refused until `berthctl plugins start %s`",
                             change->steps[i].uri, change->steps[i].uri);
        lines[count++] = asked_copy_text(asked, line);
        free(line);
    }

    for (size_t i = 0; i < plan->run_count; i++) {
        const struct plan_entry *entry = &plan->entries[i];
        char *line;

        if (!will_newly_wait_for_a_call(asked, entry))
            continue;
        line = memory_format("%s %s", entry->plugin->uri, entry->activation);
        lines[count++] = asked_copy_text(asked, line);
        free(line);
    }

    for (size_t i = 0; i < change->daemon_count; i++) {
        char *line = settings_difference_explain(&change->daemon[i]);

        if (!change->daemon[i].needs_restart)
            lines[count++] = asked_copy_text(asked, line);
        free(line);
    }
    asked->report.applied = (struct berth_strings){lines, count};
}

/* Also of what was asked for although it is so already. */
static void copy_warnings(struct asked *asked, const struct change *change)
{
    const char **lines =
        config_arena_allocate(&asked->arena, (change->warning_count + change->step_count) * sizeof(*lines));
    bool is_simple = asked->request.kind == BERTH_CHANGE_START || asked->request.kind == BERTH_CHANGE_STOP;
    size_t count = 0;

    for (size_t i = 0; i < change->warning_count; i++)
        lines[count++] = asked_copy_text(asked, change->warnings[i]);
    for (size_t i = 0; i < change->step_count && is_simple && change->code == BERTH_OK; i++) {
        const struct change_step *step = &change->steps[i];
        char *line;

        if (step->action != CHANGE_KEEP || step->reason == NULL || stops_idle(asked, step) ||
            !asked_has_subject(asked, step->uri))
            continue;
        line = memory_format("%s: %s", step->uri, step->reason);
        lines[count++] = asked_copy_text(asked, line);
        free(line);
    }
    asked->report.warnings = (struct berth_strings){lines, count};
}

void answer_change(struct asked *asked, const struct change *change)
{
    asked->report.code = change->code;
    asked->report.message = asked_copy_text(asked, change->refusal);
    asked->report.plugin_count = change->step_count;
    copy_warnings(asked, change);
    if (change->code != BERTH_OK)
        return;
    copy_steps(asked, change);
    copy_applied(asked, change);
}

/* Neither an ordinary library, nor rejected for the same reason before, nor of a module that stays in use. */
static bool is_newly_rejected(const struct survey *before, const struct scan *scan,
                              const struct scan_file *file)
{
    if (file->reason == NULL || file->code == BERTH_NOT_FOUND)
        return false;
    for (size_t i = 0; i < scan->warning_count; i++)
        if (strncmp(scan->warnings[i], file->reason, strlen(file->reason)) == 0)
            return false;
    for (size_t i = 0; before != NULL && i < before->scan.count; i++)
        if (before->scan.files[i].reason != NULL && strcmp(before->scan.files[i].reason, file->reason) == 0)
            return false;
    return true;
}

void answer_problems(struct asked *asked, struct survey *survey)
{
    const struct config_diagnostics *diagnostics = &survey->diagnostics;
    size_t total = diagnostics->count + survey->scan.warning_count + survey->scan.count, count = 0;
    const char **lines = config_arena_allocate(&asked->arena, total * sizeof(*lines));

    config_diagnostics_sort(&survey->diagnostics);
    for (size_t i = 0; i < diagnostics->count; i++) {
        char *line = config_diagnostic_format(&diagnostics->items[i]);

        lines[count++] = asked_copy_text(asked, line);
        free(line);
    }
    for (size_t i = 0; i < survey->scan.warning_count; i++)
        lines[count++] = asked_copy_text(asked, survey->scan.warnings[i]);
    for (size_t i = 0; i < survey->scan.count; i++)
        if (is_newly_rejected(asked->before, &survey->scan, &survey->scan.files[i]))
            lines[count++] = asked_copy_text(asked, survey->scan.files[i].reason);
    asked->report.problems = (struct berth_strings){lines, count};
}

static const struct perform_result *find_result(const struct perform_report *report, const char *uri)
{
    for (size_t i = 0; i < report->result_count; i++)
        if (strcmp(report->results[i].uri, uri) == 0)
            return &report->results[i];
    return NULL;
}

/* @return how many steps have been done. */
static size_t copy_results(struct asked *asked, const struct perform_report *report)
{
    struct berth_change_step *steps = (struct berth_change_step *)(uintptr_t)asked->report.steps;
    size_t done = 0;

    for (size_t i = 0; i < asked->report.step_count; i++) {
        const struct perform_result *result = find_result(report, steps[i].uri);

        if (result == NULL && steps[i].code != BERTH_OK)
            continue;
        if (result == NULL) {
            steps[i].code = BERTH_CANCELLED;
            steps[i].message = "not tried";
            continue;
        }
        steps[i].code = result->code;
        steps[i].message = asked_copy_text(asked, result->message);
        steps[i].generation = result->generation;
        steps[i].pause_ns = result->pause_ns;
        done += result->code == BERTH_OK;
    }
    return done;
}

void answer_outcome(struct asked *asked, const struct perform_report *report, size_t *ret_done)
{
    asked->report.code = report->code;
    asked->report.message = report->code == BERTH_OK ? NULL : asked_copy_text(asked, report->message);
    *ret_done = 0;
    if (asked->request.is_dry_run && report->code == BERTH_CANCELLED) {
        asked->report.code = BERTH_OK;
        asked->report.message = NULL;
        return;
    }
    if (asked->request.is_dry_run || asked->change == NULL || asked->change->code != BERTH_OK)
        return;
    *ret_done = copy_results(asked, report);
    if (report->code == BERTH_OK)
        return;
    asked->report.code = report->result_count == 0 && (report->code == BERTH_UNAVAILABLE ||
                                                       report->code == BERTH_FAILED_PRECONDITION)
                             ? report->code
                             : BERTH_ABORTED;
    asked->report.message = asked_copy_text(asked, report->message);
}

static const char *name_of(enum berth_change_kind kind)
{
    static const char *const names[] = {"reload", "start", "stop", "restart", "upgrade", "rollback"};

    return names[kind];
}

static void log_problems(const struct asked *asked)
{
    for (size_t i = 0; i < asked->report.problems.count; i++)
        log_line(asked->report.code == BERTH_INVALID_ARGUMENT ? BERTH_LOG_ERROR : BERTH_LOG_WARN, "%s",
                 asked->report.problems.items[i]);
}

void answer_log(const struct asked *asked, size_t done)
{
    const struct berth_change_report *report = &asked->report;

    if (report->is_dry_run)
        return;
    log_problems(asked);
    for (size_t i = 0; i < report->applied.count; i++)
        log_line(BERTH_LOG_INFO, "%s", report->applied.items[i]);
    for (size_t i = 0; i < report->warnings.count; i++)
        log_line(BERTH_LOG_WARN, "%s", report->warnings.items[i]);
    if (report->code == BERTH_OK)
        log_line(BERTH_LOG_INFO, "%s done change=%" PRIu64 " plugins=%zu took_ms=%.1f",
                 name_of(asked->request.kind), report->number, done,
                 (double)(uv_hrtime() - asked->begun_ns) / 1e6);
    else
        log_line(BERTH_LOG_ERROR, "%s not done change=%" PRIu64 ": %s", name_of(asked->request.kind),
                 report->number, report->message);
}
