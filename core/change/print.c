/* SPDX-License-Identifier: Apache-2.0 */
/* A change as text for people and as JSON for programs. */
#include "change.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <config/print/json.h>
#include <config/text/utf8.h>

static const struct change_step *step_at(const struct change *change, size_t i)
{
    return &change->steps[i];
}

static void print_step(FILE *out, const struct change_step *step)
{
    fprintf(out, "%-11s %s", change_action_name(step->action), step->uri);
    if (step->reason != NULL) {
        fputs(": ", out);
        utf8_write_line(out, step->reason);
    }
    fputc('\n', out);
}

/* "0.4 s", "12 ms" */
static void print_duration(FILE *out, uint64_t duration_ns)
{
    if (duration_ns >= 100000000)
        fprintf(out, "%.1f s", (double)duration_ns / 1e9);
    else
        fprintf(out, "%" PRIu64 " ms", (duration_ns + 999999) / 1000000);
}

static bool replaces(const struct change *change, const struct change_group *group)
{
    for (size_t i = 0; i < group->begin_count; i++)
        if (step_at(change, group->begins[i])->action == CHANGE_RESTART ||
            step_at(change, group->begins[i])->action == CHANGE_UPGRADE)
            return true;
    return false;
}

/* What it means for callers. */
static void print_mode(FILE *out, const struct change *change, const struct change_group *group)
{
    if (group->code != BERTH_OK) {
        fputs("            not possible: ", out);
        utf8_write_line(out, group->reason);
        fputc('\n', out);
        return;
    }
    if (!replaces(change, group))
        return;
    fprintf(out, "            %s: ", manifest_upgrade_name(group->mode));
    if (group->mode == MANIFEST_UPGRADE_BESIDE)
        fputs("no call waits", out);
    else if (group->mode == MANIFEST_UPGRADE_HANDOVER)
        fputs("calls wait while the old one drains", out);
    else
        fputs("calls wait", out);
    if (group->expected_pause_ns > 0) {
        fputs("; expected pause: ", out);
        print_duration(out, group->expected_pause_ns);
    }
    fputc('\n', out);
}

static void print_group(FILE *out, const struct change *change, const struct change_group *group)
{
    for (size_t i = 0; i < group->end_count; i++)
        if (step_at(change, group->ends[i])->action == CHANGE_STOP)
            print_step(out, step_at(change, group->ends[i]));
    for (size_t i = 0; i < group->begin_count; i++)
        print_step(out, step_at(change, group->begins[i]));
    print_mode(out, change, group);
}

static void print_daemon(FILE *out, const struct change *change)
{
    for (size_t i = 0; i < change->daemon_count; i++) {
        char *line = settings_difference_explain(&change->daemon[i]);

        if (!change->daemon[i].needs_restart) {
            fputs("apply       ", out);
            utf8_write_line(out, line);
            fputc('\n', out);
        }
        free(line);
    }
}

void change_print_text(FILE *out, const struct change *change)
{
    if (change->code != BERTH_OK) {
        fputs("refused: ", out);
        utf8_write_line(out, change->refusal);
        fputc('\n', out);
        return;
    }
    print_daemon(out, change);
    for (size_t i = 0; i < change->group_count; i++)
        print_group(out, change, &change->groups[i]);
    for (size_t i = 0; i < change->warning_count; i++) {
        fputs("warning: ", out);
        utf8_write_line(out, change->warnings[i]);
        fputc('\n', out);
    }
    fprintf(out, "%zu of %zu plugin%s would change\n", change->work_count, change->step_count,
            change->step_count == 1 ? "" : "s");
}

static void add_differences(struct config_json *json, const struct settings_difference *differences,
                            size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct config_mark *mark = &differences[i].mark;

        config_json_open(json, NULL, '{');
        config_json_string(json, "path", differences[i].path);
        config_json_string(json, "file", mark->file);
        config_json_integer(json, "line", mark->line);
        config_json_integer(json, "column", mark->column);
        config_json_string(json, "changed_file", differences[i].changed_file);
        config_json_bool(json, "removed", differences[i].is_removed);
        config_json_bool(json, "needs_restart_of_daemon", differences[i].needs_restart);
        config_json_close(json, '}');
    }
}

static void add_step(struct config_json *json, const struct change *change, const struct change_step *step)
{
    config_json_open(json, NULL, '{');
    config_json_string(json, "uri", step->uri);
    config_json_string(json, "action", change_action_name(step->action));
    config_json_string(json, "reason", step->reason);
    config_json_string(json, "cause", step->cause == CHANGE_NONE ? NULL : step_at(change, step->cause)->uri);
    config_json_string(json, "from", step->from == NULL ? NULL : step->from->plugin->manifest->version);
    config_json_string(json, "to", step->to == NULL ? NULL : step->to->plugin->manifest->version);
    config_json_integer(json, "expected_pause_ns", (int64_t)step->expected_pause_ns);
    config_json_open(json, "settings", '[');
    add_differences(json, step->differences, step->difference_count);
    config_json_close(json, ']');
    config_json_close(json, '}');
}

static void add_group(struct config_json *json, const struct change *change, const struct change_group *group)
{
    config_json_open(json, NULL, '{');
    config_json_string(json, "mode", manifest_upgrade_name(group->mode));
    config_json_string(json, "code", berth_code_name(group->code));
    config_json_string(json, "reason", group->reason);
    config_json_integer(json, "expected_pause_ns", (int64_t)group->expected_pause_ns);
    config_json_open(json, "steps", '[');
    for (size_t i = 0; i < group->end_count; i++)
        if (step_at(change, group->ends[i])->action == CHANGE_STOP)
            add_step(json, change, step_at(change, group->ends[i]));
    for (size_t i = 0; i < group->begin_count; i++)
        add_step(json, change, step_at(change, group->begins[i]));
    config_json_close(json, ']');
    config_json_close(json, '}');
}

void change_print_json(FILE *out, const struct change *change)
{
    struct config_json json = {.out = out};

    config_json_open(&json, NULL, '{');
    config_json_string(&json, "code", berth_code_name(change->code));
    config_json_string(&json, "refusal", change->refusal);
    config_json_integer(&json, "changed", (int64_t)change->work_count);
    config_json_integer(&json, "plugins", (int64_t)change->step_count);
    config_json_open(&json, "daemon", '[');
    add_differences(&json, change->daemon, change->daemon_count);
    config_json_close(&json, ']');
    config_json_open(&json, "groups", '[');
    for (size_t i = 0; i < change->group_count; i++)
        add_group(&json, change, &change->groups[i]);
    config_json_close(&json, ']');
    config_json_open(&json, "warnings", '[');
    for (size_t i = 0; i < change->warning_count; i++)
        config_json_string(&json, NULL, change->warnings[i]);
    config_json_close(&json, ']');
    config_json_close(&json, '}');
}
