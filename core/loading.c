/* SPDX-License-Identifier: Apache-2.0 */
/* Loads the modules of a plan's plugins. From here on third-party code runs in the daemon. */
#include "loading.h"

#include <stdlib.h>
#include <string.h>

#include <core/watch/watch.h>
#include <sdk/base/memory.h>

/* One file, as it was when it was loaded or tried. */
struct loaded {
    struct loaded *next;
    char *path;
    struct stat status;
    /* NULL: it could not be loaded, for this survey. */
    struct module *module;
    const struct survey *failed_in;
    enum berth_code code;
    char *reason;
    uint64_t start_ns, took_ns;
    /* Generations that run it. */
    size_t users;
};

/* What a generation's source keeps. */
struct kept {
    struct survey *survey;
    struct loaded *file;
};

static bool is_same_file(const struct loaded *loaded, const struct scan_file *file)
{
    const struct stat *left = &loaded->status, *right = &file->status;

    return strcmp(loaded->path, file->path) == 0 && left->st_dev == right->st_dev &&
           left->st_ino == right->st_ino && left->st_size == right->st_size &&
           left->st_mtim.tv_sec == right->st_mtim.tv_sec && left->st_mtim.tv_nsec == right->st_mtim.tv_nsec &&
           left->st_ctim.tv_sec == right->st_ctim.tv_sec && left->st_ctim.tv_nsec == right->st_ctim.tv_nsec;
}

static struct loaded *find_file(const struct loading *loading, const struct survey *survey,
                                const struct scan_file *file)
{
    struct loaded *loaded = loading->files;

    while (loaded != NULL &&
           !(is_same_file(loaded, file) && (loaded->module != NULL || loaded->failed_in == survey)))
        loaded = loaded->next;
    return loaded;
}

static struct loaded *load_file(struct loading *loading, const struct survey *survey,
                                const struct registry_plugin *plugin, const struct manifest *manifest)
{
    struct loaded *loaded = memory_allocate(1, sizeof(*loaded));
    struct berth_error error;

    loaded->path = memory_copy(manifest->file->path);
    loaded->status = manifest->file->status;
    loaded->start_ns = registry_since_start(loading->registry);
    running_enter(plugin->running, RUNNING_LOAD, NULL);
    loaded->code = module_load(manifest, &loaded->module, &error);
    if (loaded->code == BERTH_OK && !module_ran_code(loaded->module))
        tampering_note_nothing_ran();
    running_leave();
    loaded->took_ns = registry_since_start(loading->registry) - loaded->start_ns;
    if (loaded->code != BERTH_OK) {
        loaded->reason = memory_copy(error.message);
        loaded->failed_in = survey;
    }
    loaded->next = loading->files;
    loading->files = loaded;
    return loaded;
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

enum berth_code loading_load(struct loading *loading, struct survey *survey, const struct plan_entry *entry,
                             struct registry_plugin *plugin, struct generation_source *ret_source)
{
    const struct manifest_plugin *manifest = entry->plugin;
    struct loaded *file = find_file(loading, survey, manifest->manifest->file);
    const struct berth_plugin *table;
    const struct berth_settings *settings;
    struct kept *kept;

    if (file == NULL)
        file = load_file(loading, survey, plugin, manifest->manifest);
    plugin->times.load_start_ns = file->start_ns;
    plugin->times.load_ns = file->took_ns;
    if (file->module == NULL) {
        fail(loading, plugin, file->code, file->reason);
        return file->code;
    }
    table = module_find(file->module, manifest->type, manifest->id);
    settings = settings_for(loading, survey->settings, plugin, table);
    if (settings == NULL)
        return plugin->code != BERTH_OK ? plugin->code : BERTH_INVALID_ARGUMENT;
    kept = memory_allocate(1, sizeof(*kept));
    *kept = (struct kept){survey_hold(survey), file};
    file->users++;
    *ret_source = (struct generation_source){
        .entry = entry,
        .table = table,
        .settings = settings,
        .timeouts = settings_timeouts_of(survey->settings, manifest->uri),
        .keep = kept,
    };
    return BERTH_OK;
}

void loading_drop(struct loading *loading, const struct generation_source *source)
{
    struct kept *kept = source->keep;

    kept->file->users--;
    survey_drop(kept->survey);
    free(kept);
}

void loading_finish(struct loading *loading)
{
    struct loaded *loaded;

    while ((loaded = loading->files) != NULL) {
        loading->files = loaded->next;
        module_destroy(loaded->module);
        free(loaded->path);
        free(loaded->reason);
        free(loaded);
    }
}
