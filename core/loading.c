/* SPDX-License-Identifier: Apache-2.0 */
/* Loads the modules of a plan's plugins. From here on third-party code runs in the daemon. */
#include "loading.h"

#include <stdlib.h>
#include <string.h>

#include <core/watch/watch.h>
#include <sdk/base/memory.h>

#include "process.h"

/* The result of loading one file, for its plugins that come later in the plan. */
struct outcome {
    bool is_tried;
    enum berth_code code;
    char *reason;
    uint64_t start_ns, took_ns;
};

struct work {
    struct loading *loading;
    struct outcome *outcomes;
};

static void load_file(struct work *work, const struct registry_plugin *plugin, size_t file)
{
    struct loading *loading = work->loading;
    struct outcome *outcome = &work->outcomes[file];
    const struct manifest *manifest = plugin->entry->plugin->manifest;
    struct berth_error error;

    outcome->is_tried = true;
    outcome->start_ns = registry_since_start(loading->registry);
    running_enter(plugin->running, RUNNING_LOAD, NULL);
    outcome->code = module_load(manifest, &loading->modules[file], &error);
    if (outcome->code == BERTH_OK && !module_ran_code(loading->modules[file]))
        tampering_note_nothing_ran();
    running_leave();
    outcome->took_ns = registry_since_start(loading->registry) - outcome->start_ns;
    if (outcome->code != BERTH_OK)
        outcome->reason = strdup(error.message);
}

static void fail(struct loading *loading, struct registry_plugin *plugin, enum berth_code code,
                 const char *reason)
{
    registry_blame(loading->registry, plugin, BERTH_STATE_FAILED, code, reason, PLAN_NONE);
    loading->on_line(loading->context, BERTH_LOG_ERROR, plugin->entry->plugin->uri, code, reason);
}

static const struct config_diagnostic *first_error(const struct config_diagnostics *diagnostics)
{
    for (size_t i = 0; i < diagnostics->count; i++)
        if (diagnostics->items[i].severity == CONFIG_ERROR)
            return &diagnostics->items[i];
    return NULL;
}

/* The first error is the reason why the plugin fails. */
static bool settle_section(struct loading *loading, struct registry_plugin *plugin, enum berth_code code,
                           struct config_diagnostics *diagnostics)
{
    const struct config_diagnostic *reason = first_error(diagnostics);

    for (size_t i = 0; i < diagnostics->count; i++) {
        const struct config_diagnostic *diagnostic = &diagnostics->items[i];
        bool is_error = diagnostic->severity == CONFIG_ERROR;
        char *line = config_diagnostic_format(diagnostic);

        if (diagnostic == reason)
            fail(loading, plugin, code, line);
        else
            loading->on_line(loading->context, is_error ? BERTH_LOG_ERROR : BERTH_LOG_WARN,
                             plugin->entry->plugin->uri, BERTH_OK, line);
        free(line);
    }
    if (code != BERTH_OK && reason == NULL)
        fail(loading, plugin, code, "cannot migrate its configuration");
    notices_take(loading->notices, diagnostics);
    config_diagnostics_finish(diagnostics);
    return code == BERTH_OK;
}

static bool migrate(struct loading *loading, struct registry_plugin *plugin, const struct berth_plugin *table)
{
    struct config_diagnostics diagnostics = {0};
    enum berth_code code;

    running_enter(plugin->running, RUNNING_MIGRATE, NULL);
    code = settings_migrate_plugin(loading->settings, plugin->entry->plugin,
                                   BERTH_HAS(table, migrate) ? table->migrate : NULL, &diagnostics);
    running_leave();
    return settle_section(loading, plugin, code, &diagnostics);
}

static bool check(struct loading *loading, struct registry_plugin *plugin, const struct berth_plugin *table)
{
    struct config_diagnostics diagnostics = {0};
    bool is_fine;

    running_enter(BERTH_HAS(table, check) ? plugin->running : NULL, RUNNING_CHECK, NULL);
    is_fine = settings_check_plugin(loading->settings, plugin->entry->plugin->uri, table, &diagnostics);
    running_leave();
    return settle_section(loading, plugin, is_fine ? BERTH_OK : BERTH_INVALID_ARGUMENT, &diagnostics);
}

/* Skips a plugin whose missing settings showed only after its own code had migrated the section. */
static void skip(struct loading *loading, struct registry_plugin *plugin, const char *condition)
{
    struct berth_error reason;
    char line[BERTH_ERROR_MAX + 16];

    manifest_explain_unset(condition, &reason);
    registry_blame(loading->registry, plugin, BERTH_STATE_SKIPPED, BERTH_SKIP, reason.message, PLAN_NONE);
    snprintf(line, sizeof(line), "skipped: %s", reason.message);
    loading->on_line(loading->context, BERTH_LOG_INFO, plugin->entry->plugin->uri, BERTH_OK, line);
}

static const struct berth_settings *settings_for(struct loading *loading, struct registry_plugin *plugin,
                                                 const struct berth_plugin *table)
{
    const char *uri = plugin->entry->plugin->uri;
    const char *unset;
    uint64_t own_start_ns = uv_hrtime(), start_ns;

    if (settings_needs_migration(loading->settings, uri) && !migrate(loading, plugin, table))
        return NULL;
    unset = settings_find_unset(loading->settings, uri);
    if (unset != NULL) {
        skip(loading, plugin, unset);
        return NULL;
    }
    if (!check(loading, plugin, table))
        return NULL;
    settings_get_check_time(loading->settings, uri, &start_ns, &plugin->times.config_ns);
    plugin->times.config_start_ns = registry_time_of(loading->registry, start_ns);
    plugin->times.config_ns += uv_hrtime() - own_start_ns;
    return settings_of_plugin(loading->settings, uri);
}

static void load_plugin(struct work *work, size_t entry)
{
    struct loading *loading = work->loading;
    struct registry_plugin *plugin = registry_get(loading->registry, entry);
    const struct manifest_plugin *manifest = plugin->entry->plugin;
    struct life_part *part = &loading->parts[entry];
    size_t file = (size_t)(manifest->manifest->file - loading->scan->files);
    const struct outcome *outcome = &work->outcomes[file];

    if (!outcome->is_tried)
        load_file(work, plugin, file);
    plugin->times.load_start_ns = outcome->start_ns;
    plugin->times.load_ns = outcome->took_ns;
    part->timeouts = settings_timeouts_of(loading->settings, manifest->uri);
    if (loading->modules[file] == NULL) {
        fail(loading, plugin, outcome->code, outcome->reason != NULL ? outcome->reason : "");
        return;
    }
    part->table = module_find(loading->modules[file], manifest->type, manifest->id);
    part->settings = settings_for(loading, plugin, part->table);
}

void loading_run(struct loading *loading)
{
    const struct plan *plan = registry_plan(loading->registry);
    struct work work = {.loading = loading};

    loading->modules = memory_allocate(loading->scan->count, sizeof(struct module *));
    loading->parts = memory_allocate(plan->run_count, sizeof(*loading->parts));
    work.outcomes = memory_allocate(loading->scan->count, sizeof(*work.outcomes));
    for (size_t i = 0; i < plan->run_count && !process_is_to_stop(); i++)
        load_plugin(&work, i);
    for (size_t i = 0; i < loading->scan->count; i++)
        free(work.outcomes[i].reason);
    free(work.outcomes);
}

void loading_finish(struct loading *loading)
{
    for (size_t i = 0; loading->modules != NULL && i < loading->scan->count; i++)
        module_destroy(loading->modules[i]);
    free(loading->modules);
    free(loading->parts);
    loading->modules = NULL;
    loading->parts = NULL;
}
