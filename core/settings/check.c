/* SPDX-License-Identifier: Apache-2.0 */
/* Lets a plugin check its section. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "path.h"
#include "store.h"

struct check {
    struct berth_check table;
    const struct config_mark *section;
    struct config_diagnostics *diagnostics;
    bool failed;
};

/* The length of `key` at the start of a dotted path; 0 if something else is there. */
static size_t match_key(const char *path, const char *key)
{
    size_t length = strlen(key);

    return strncmp(path, key, length) == 0 && (path[length] == '.' || path[length] == '\0') ? length : 0;
}

/* The first item of a path; moves the path behind it. Keys of maps may contain dots. */
static const struct berth_value *step_into(const struct berth_settings *settings,
                                           const struct berth_value *value, const char **path)
{
    const struct berth_value *found = NULL;
    size_t longest = 0;

    for (size_t i = 0; i < settings->count(value); i++) {
        char number[24];
        const char *key = number;
        const struct berth_value *item;
        size_t length;

        snprintf(number, sizeof(number), "%zu", i);
        item = settings->at(value, i, settings->kind(value) == BERTH_VALUE_MAP ? &key : NULL);
        length = match_key(*path, key);
        if (length > longest) {
            longest = length;
            found = item;
        }
    }
    *path += longest + ((*path)[longest] == '.');
    return found;
}

/* The mark of the innermost value on the way to `path` that is set. */
static const struct config_mark *find_mark(const struct check *check, const char *path)
{
    const struct berth_settings *settings = check->table.settings;
    const struct berth_value *value = settings->root;
    const struct config_mark *mark = check->section;

    while (*path != '\0' && value != NULL) {
        value = step_into(settings, value, &path);
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
