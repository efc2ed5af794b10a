/* SPDX-License-Identifier: Apache-2.0 */
/* Loads the modules of a plan's plugins. From here on third-party code runs in the daemon. */
#include "loading.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <core/worker/isolated.h>
#include <core/worker/launched.h>
#include <sdk/base/memory.h>

/* What a generation's source keeps: a file, or what stands in for a plugin in a process of its own. */
struct kept {
    struct survey *survey;
    struct loaded_module *file;
    struct isolated *isolated;
    /* Of one in a process of its own, and from which copy of it, or NULL. */
    struct original *original;
    struct module_copy *copy;
    /* The sandbox of the program that it starts, or NULL. */
    struct launched *launched;
    struct confined *sharers;
};

/* Only root can give folders away. Looking once costs less than opening each plugin's two; what a plugin that
 * was isolated until now does with its folders is not known in advance. */
static bool may_be_given_away(const struct loading *loading, const struct settings *settings)
{
    return geteuid() == 0 && (loading->has_isolated || !ownership_is_uniform(settings->root, 0, 0) ||
                              !ownership_is_uniform(settings->state, 0, 0));
}

/* What could not be loaded is tried once for each survey. */
static void use_survey(struct loading *loading, struct survey *survey)
{
    if (loading->newest == survey)
        return;
    survey_drop(loading->newest);
    loading->newest = survey_hold(survey);
    modules_forget_failures(&loading->modules);
    loading->is_given_away = may_be_given_away(loading, survey->settings);
}

static void fail(struct loading *loading, struct registry_plugin *plugin, enum berth_code code,
                 const char *reason)
{
    registry_blame(loading->registry, plugin, BERTH_STATE_FAILED, code, reason, NULL);
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

static bool migrate(struct loading *loading, struct settings *settings, struct registry_plugin *plugin,
                    const struct berth_plugin *table)
{
    struct config_diagnostics diagnostics = {0};
    enum berth_code code;

    running_enter(plugin->running, RUNNING_MIGRATE, NULL);
    code = settings_migrate_plugin(settings, plugin->entry->plugin,
                                   BERTH_HAS(table, migrate) ? table->migrate : NULL, &diagnostics);
    running_leave();
    return settle_section(loading, plugin, code, &diagnostics);
}

static bool check(struct loading *loading, struct settings *settings, struct registry_plugin *plugin,
                  const struct berth_plugin *table)
{
    struct config_diagnostics diagnostics = {0};
    bool is_fine;

    running_enter(BERTH_HAS(table, check) ? plugin->running : NULL, RUNNING_CHECK, NULL);
    is_fine = settings_check_plugin(settings, plugin->entry->plugin->uri, table, &diagnostics);
    running_leave();
    return settle_section(loading, plugin, is_fine ? BERTH_OK : BERTH_INVALID_ARGUMENT, &diagnostics);
}

/* Skips a plugin whose missing settings showed only after its own code had migrated the section. */
static void skip(struct loading *loading, struct registry_plugin *plugin, const char *condition)
{
    struct berth_error reason;
    char line[BERTH_ERROR_MAX + 16];

    manifest_explain_unset(condition, &reason);
    registry_blame(loading->registry, plugin, BERTH_STATE_SKIPPED, BERTH_SKIP, reason.message, NULL);
    snprintf(line, sizeof(line), "skipped: %s", reason.message);
    loading->on_line(loading->context, BERTH_LOG_INFO, plugin->entry->plugin->uri, BERTH_OK, line);
}

static const struct berth_settings *settings_for(struct loading *loading, struct settings *settings,
                                                 struct registry_plugin *plugin,
                                                 const struct berth_plugin *table)
{
    const char *uri = plugin->entry->plugin->uri;
    const char *unset;
    uint64_t own_start_ns = uv_hrtime(), start_ns;

    if (settings_needs_migration(settings, uri) && !migrate(loading, settings, plugin, table))
        return NULL;
    unset = settings_find_unset(settings, uri);
    if (unset != NULL) {
        skip(loading, plugin, unset);
        return NULL;
    }
    if (!check(loading, settings, plugin, table))
        return NULL;
    settings_get_check_time(settings, uri, &start_ns, &plugin->times.config_ns);
    plugin->times.config_start_ns = registry_time_of(loading->registry, start_ns);
    plugin->times.config_ns += uv_hrtime() - own_start_ns;
    return settings_of_plugin(settings, uri);
}

/* What this kernel cannot enforce is said, never assumed. */
static void warn_of_missing(struct loading *loading, const struct isolated_options *options)
{
    struct sandbox_report report;
    struct berth_error error;
    char line[256];

    if (confinement_judge(options->sharers, options->sharer_count, options->root, options->state, &report,
                          &error) != BERTH_OK)
        return;
    for (size_t i = 0; i < SANDBOX_PROMISES; i++) {
        if (report.items[i].verdict != SANDBOX_MISSING)
            continue;
        snprintf(line, sizeof(line), "isolation: %s: %s", report.items[i].name, report.items[i].text);
        loading->on_line(loading->context, BERTH_LOG_WARN, options->plugin->uri, BERTH_OK, line);
    }
}

static enum berth_code isolate(struct loading *loading, const struct survey *survey,
                               const struct isolated_options *options, struct isolated **ret_isolated,
                               struct berth_error *err)
{
    enum berth_code code;

    if (settings_needs_migration(survey->settings, options->plugin->uri))
        return berth_error_set(err, BERTH_FAILED_PRECONDITION,
                               "its settings are of an older version, and an isolated plugin cannot migrate "
                               "them; run `berthd config migrate`");
    if (options->settings == NULL)
        return berth_error_set(err, BERTH_FAILED_PRECONDITION, "its settings were not checked");
    code = isolated_create(options, ret_isolated, err);
    if (code == BERTH_OK)
        warn_of_missing(loading, options);
    return code;
}

/* For a worker, which may have another user. */
static enum berth_code copy_replaced(struct loading *loading, const struct manifest *manifest,
                                     struct module_copy **ret_copy, struct berth_error *err)
{
    enum berth_code code = modules_copy_replaced(&loading->modules, manifest, ret_copy, err);

    return code == BERTH_OK && *ret_copy != NULL ? module_copy_show(*ret_copy, manifest, err) : code;
}

/* Those who share its worker, of which it alone is known to be loaded from a copy. */
static struct confined *find_sharers(const struct survey *survey, struct isolated_options *options)
{
    struct confined *sharers = confinement_find_sharers(survey->plan, survey->settings, options->plugin->uri,
                                                        &options->sharer_count);

    for (size_t i = 0; i < options->sharer_count; i++)
        if (sharers[i].plugin == options->plugin)
            sharers[i].copy = options->copy;
    options->sharers = sharers;
    return sharers;
}

/* Its module is not mapped here, and its own check of its settings runs in its worker. */
static enum berth_code load_isolated(struct loading *loading, struct survey *survey,
                                     const struct plan_entry *entry, struct registry_plugin *plugin,
                                     struct generation_source *ret_source)
{
    struct isolated_options options = {
        .plugin = entry->plugin,
        .settings = settings_of_plugin(survey->settings, entry->plugin->uri),
        .timeouts = settings_timeouts_of(survey->settings, entry->plugin->uri),
        .root = survey->settings->root,
        .state = survey->settings->state,
    };
    struct confined *sharers = NULL;
    struct module_copy *copy;
    struct isolated *isolated;
    struct original *original;
    struct berth_error error;
    enum berth_code code;
    struct kept *kept;

    /* Its init is the start of a process, and prepare too. */
    if (options.timeouts.prepare_ns > 0 && options.timeouts.init_ns > 0)
        options.timeouts.init_ns += options.timeouts.prepare_ns;
    loading->has_isolated = true;
    code = copy_replaced(loading, entry->plugin->manifest, &copy, &error);
    if (copy != NULL) {
        options.copy = module_copy_path(copy);
        options.copy_status = module_copy_status(copy);
    }
    if (code == BERTH_OK) {
        sharers = find_sharers(survey, &options);
        code = isolate(loading, survey, &options, &isolated, &error);
    }
    if (code != BERTH_OK) {
        free(sharers);
        module_copy_destroy(copy);
        fail(loading, plugin, code, error.message);
        return code;
    }
    original = originals_find(&loading->modules.originals, entry->plugin->manifest);
    kept = memory_allocate(1, sizeof(*kept));
    *kept = (struct kept){
        .survey = survey_hold(survey),
        .isolated = isolated,
        .copy = copy,
        .sharers = sharers,
        .original = original != NULL ? original_hold(original)
                                     : originals_keep(&loading->modules.originals, entry->plugin->manifest,
                                                      entry->plugin->manifest->file->path),
    };
    *ret_source = (struct generation_source){
        .entry = entry,
        .table = isolated_table(isolated),
        .settings = options.settings,
        .timeouts = options.timeouts,
        .is_isolated = true,
        .keep = kept,
    };
    return BERTH_OK;
}

/* The folders of a plugin that was isolated belong to the user of its worker. */
static void take_back(const struct loading *loading, const struct settings *settings, const char *uri)
{
    const char *const bases[] = {settings->root, settings->state};

    for (size_t i = 0; i < 2 && loading->is_given_away; i++) {
        char *path = memory_format("%s/%s", bases[i], uri);
        struct berth_error error;

        if (ownership_give(path, 0, 0, false, &error) != BERTH_OK)
            loading->on_line(loading->context, BERTH_LOG_WARN, uri, BERTH_OK, error.message);
        free(path);
    }
}

/* The plugin itself runs in the daemon: its program is what the configuration confines. */
static enum berth_code confine_program(struct loading *loading, const struct survey *survey,
                                       const struct manifest_plugin *plugin,
                                       const struct settings_isolation *isolation,
                                       struct launched **ret_launched, struct berth_error *err)
{
    const struct confined alone = {.plugin = plugin,
                                   .settings = settings_of_plugin(survey->settings, plugin->uri),
                                   .isolation = isolation};
    const struct isolated_options options = {
        .plugin = plugin,
        .settings = alone.settings,
        .sharers = &alone,
        .sharer_count = 1,
        .root = survey->settings->root,
        .state = survey->settings->state,
    };
    enum berth_code code;

    *ret_launched = NULL;
    if (isolation == NULL)
        return BERTH_OK;
    loading->has_isolated = true;
    code = launched_create(&options, ret_launched, err);
    if (code == BERTH_OK)
        warn_of_missing(loading, &options);
    return code;
}

enum berth_code loading_load(struct loading *loading, struct survey *survey, const struct plan_entry *entry,
                             struct registry_plugin *plugin, struct generation_source *ret_source)
{
    const struct manifest_plugin *manifest = entry->plugin;
    const struct berth_plugin *table;
    const struct berth_settings *settings;
    struct loaded_module *file;
    const struct settings_isolation *isolation = settings_find_isolation(survey->settings, manifest->uri);
    struct launched *launched;
    struct berth_error error;
    enum berth_code code;
    struct kept *kept;

    use_survey(loading, survey);
    if (isolation != NULL && manifest->made_by == NULL)
        return load_isolated(loading, survey, entry, plugin, ret_source);
    if (isolation == NULL)
        take_back(loading, survey->settings, manifest->uri);
    file = modules_load(&loading->modules, manifest->manifest, plugin->running);
    plugin->times.load_start_ns = registry_time_of(loading->registry, file->begun_ns);
    plugin->times.load_ns = file->took_ns;
    if (file->module == NULL) {
        fail(loading, plugin, file->code, file->reason);
        return file->code;
    }
    modules_hold(file);
    table = module_find(file->module, manifest_tabled(manifest)->type, manifest_tabled(manifest)->id);
    settings = settings_for(loading, survey->settings, plugin, table);
    if (settings == NULL) {
        modules_release(&loading->modules, file);
        return plugin->code != BERTH_OK ? plugin->code : BERTH_INVALID_ARGUMENT;
    }
    code = confine_program(loading, survey, manifest, isolation, &launched, &error);
    if (code != BERTH_OK) {
        modules_release(&loading->modules, file);
        fail(loading, plugin, code, error.message);
        return code;
    }
    kept = memory_allocate(1, sizeof(*kept));
    *kept = (struct kept){.survey = survey_hold(survey), .file = file, .launched = launched};
    *ret_source = (struct generation_source){
        .entry = entry,
        .table = table,
        .settings = settings,
        .timeouts = settings_timeouts_of(survey->settings, manifest->uri),
        .has_folder_owner = launched != NULL,
        .folder_owner = launched != NULL ? launched_user(launched) : 0,
        .keep = kept,
    };
    return BERTH_OK;
}

struct original *loading_original(const struct generation_source *source)
{
    const struct kept *kept = source->keep;

    return kept == NULL ? NULL : kept->file != NULL ? kept->file->original : kept->original;
}

void loading_adopt(struct generation_source *before, struct generation_source *after)
{
    struct kept *old = before->keep, *now = after->keep;
    const struct berth_plugin *table = before->table;
    struct loaded_module *file = old->file;
    struct isolated *isolated = old->isolated;
    struct launched *launched = old->launched, *next = now->launched;

    if (isolated != NULL && now->isolated != NULL)
        isolated_exchange(isolated, now->isolated);
    old->isolated = now->isolated;
    now->isolated = isolated;
    /* The program that runs goes on as it was confined. */
    now->launched = launched;
    old->launched = next;
    /* The same module may have been loaded once more, from a file that was only linked or given other modes.
     */
    old->file = now->file;
    now->file = file;
    before->table = after->table;
    after->table = table;
}

void loading_drop(struct loading *loading, const struct generation_source *source)
{
    struct kept *kept = source->keep;

    if (kept->file != NULL)
        modules_release(&loading->modules, kept->file);
    isolated_destroy(kept->isolated);
    launched_destroy(kept->launched);
    original_drop(kept->original);
    free(kept->sharers);
    module_copy_destroy(kept->copy);
    survey_drop(kept->survey);
    free(kept);
}

void loading_stop(struct loading *loading)
{
    modules_stop(&loading->modules);
}

void loading_finish(struct loading *loading)
{
    modules_finish(&loading->modules);
    survey_drop(loading->newest);
    loading->newest = NULL;
}
