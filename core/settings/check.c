/* SPDX-License-Identifier: Apache-2.0 */
/* Turns the problems a plugin reports about its settings into diagnostics with file, line and column. */
#include "settings.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The longest dotted path that a problem may name. */
enum { PATH_MAX_BYTES = 512 };

struct check {
    struct berth_check table;
    const struct config_mark *section;
    struct config_diagnostics *diagnostics;
    bool failed;
};

static const struct berth_value *step_into(const struct berth_settings *settings,
                                           const struct berth_value *value, const char *step)
{
    char *end;
    size_t index;

    if (settings->kind(value) != BERTH_VALUE_LIST)
        return settings->find(value, step);
    index = strtoul(step, &end, 10);
    return *end == '\0' && step[0] >= '0' && step[0] <= '9' ? settings->at(value, index, NULL) : NULL;
}

/* The mark of the innermost value on the way to `path` that is set. */
static const struct config_mark *find_mark(const struct check *check, const char *path)
{
    const struct berth_settings *settings = check->table.settings;
    const struct berth_value *value = settings->root;
    const struct config_mark *mark = check->section;
    char text[PATH_MAX_BYTES];
    char *rest = text;

    snprintf(text, sizeof(text), "%s", path);
    while (rest != NULL && value != NULL) {
        value = step_into(settings, value, strsep(&rest, "."));
        if (value != NULL && value->mark.file != NULL)
            mark = &value->mark;
    }
    return mark->file != NULL ? mark : NULL;
}

static void on_problem(const struct berth_check *table, enum berth_log_level level, const char *path,
                       const char *text)
{
    struct check *check = (struct check *)table;
    enum config_severity severity = level == BERTH_LOG_ERROR ? CONFIG_ERROR : CONFIG_WARNING;

    check->failed = check->failed || severity == CONFIG_ERROR;
    config_diagnostics_add(check->diagnostics, severity, find_mark(check, path == NULL ? "" : path),
                           "%s: %.200s%s%.2000s", table->uri, path == NULL ? "" : path,
                           path == NULL ? "" : ": ", text);
}

bool settings_check_run(const char *uri, void (*on_check)(const struct berth_check *check),
                        const struct config_values *values, const struct config_mark *section,
                        struct config_diagnostics *diagnostics)
{
    struct check check = {
        .table = {.size = sizeof(check.table),
                  .uri = uri,
                  .settings = config_values_settings(values),
                  .problem = on_problem},
        .section = section,
        .diagnostics = diagnostics,
    };

    on_check(&check.table);
    return !check.failed;
}
