/* SPDX-License-Identifier: Apache-2.0 */
/* Reads a built module's manifest as a host does, and reports everything wrong with it. */
#include <stdlib.h>
#include <string.h>

#include <core/manifest/note.h>
#include <tools/protoc-gen-berth/names.h>

#include "check_rules.h"

static const char check[] = "manifest";

static void keep_names(const struct manifest *manifest, struct check_report *report)
{
    report->module = names_format("%s %s", manifest->module, manifest->version);
    report->plugins = calloc(manifest->plugin_count + 1, sizeof(*report->plugins));
    if (report->plugins == NULL)
        abort();
    for (size_t i = 0; i < manifest->plugin_count; i++)
        report->plugins[report->plugin_count++] = names_format("%s", manifest->plugins[i].uri);
}

static void keep_diagnostics(struct config_diagnostics *diagnostics, struct check_report *report)
{
    config_diagnostics_sort(diagnostics);
    for (size_t i = 0; i < diagnostics->count; i++) {
        const struct config_diagnostic *item = &diagnostics->items[i];
        enum check_severity severity = item->severity == CONFIG_ERROR ? CHECK_ERROR : CHECK_WARNING;

        if (item->mark.line == 0)
            check_report_add(report, severity, check, "%s", item->message);
        else
            check_report_add(report, severity, check, "line %u, column %u of the note: %s", item->mark.line,
                             item->mark.column, item->message);
    }
    config_diagnostics_finish(diagnostics);
}

/* Requirements that every host's plan rejects. */
static void check_requirements(const struct manifest_plugin *plugin, struct check_report *report)
{
    for (size_t i = 0; i < plugin->requirement_count; i++) {
        const char *name = plugin->requirements[i].name;

        if (strcmp(name, "*") == 0 && plugin->requirement_count > 1)
            check_report_add(report, CHECK_ERROR, check, "%s: requires \"*\" and others; use \"*\" alone",
                             plugin->uri);
        if (strcmp(name, plugin->uri) == 0 || strcmp(name, plugin->type) == 0)
            check_report_add(report, CHECK_ERROR, check, "%s: requires itself, as %s", plugin->uri, name);
    }
}

struct manifest *check_manifest(const void *bytes, size_t length, const char *path,
                                struct check_report *report)
{
    struct config_diagnostics diagnostics = {0};
    struct manifest *manifest;
    struct berth_error err;
    size_t text_length;
    char *text;

    if (note_find(bytes, length, path, &text, &text_length, &err) != BERTH_OK) {
        check_report_add(report, CHECK_ERROR, check, "%s", check_report_strip(report, err.message));
        return NULL;
    }
    manifest = manifest_parse(path, text, text_length, &diagnostics);
    free(text);
    keep_diagnostics(&diagnostics, report);
    if (manifest == NULL)
        return NULL;
    keep_names(manifest, report);
    for (size_t i = 0; i < manifest->plugin_count; i++)
        check_requirements(&manifest->plugins[i], report);
    return manifest;
}
