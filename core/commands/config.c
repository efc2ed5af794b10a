/* SPDX-License-Identifier: Apache-2.0 */
/*
 * berthd config: prints the defaults or the effective configuration, reports every error in it, and migrates
 * sections of older versions.
 */
#include "command.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <config/print/json.h>
#include <config/tree/load.h>
#include <config/text/utf8.h>
#include <core/loading.h>
#include <core/module/module.h>
#include <core/listen/listen.h>
#include <core/notify.h>
#include <core/survey/survey.h>
#include <core/worker/isolated.h>
#include <sdk/base/text_file.h>

/* NULL: to standard output. */
static int write_text(const char *output, mode_t mode, const char *text)
{
    struct berth_error err;

    if (output == NULL) {
        fputs(text, stdout);
        return DAEMON_EXIT_OK;
    }
    if (text_file_create(output, mode, text, &err) == BERTH_OK)
        return DAEMON_EXIT_OK;
    fprintf(stderr, "berthd: %s\n", err.message);
    return DAEMON_EXIT_FAILED;
}

int command_config_default(const struct command_options *options)
{
    struct survey survey;
    int code = DAEMON_EXIT_CONFIG;
    bool good = survey_take(&options->settings, NULL, &survey) && survey_is_good(&survey);

    survey_print_diagnostics(&survey);
    if (good) {
        char *text = settings_print_default(&options->settings, &survey.catalog);

        code = write_text(cli_value(options->line, "output"), 0644, text);
        free(text);
    }
    survey_finish(&survey);
    return code;
}

int command_config_dump(const struct command_options *options)
{
    struct survey survey;
    bool good = survey_take(&options->settings, NULL, &survey) && survey_check(&survey);

    survey_print_diagnostics(&survey);
    if (good) {
        const struct config_print_options print = {.origins = cli_has(options->line, "origin"),
                                                   .secrets = cli_has(options->line, "show-secrets")};
        char *text = cli_has(options->line, "json") ? settings_print_json(survey.settings, &print)
                                                    : settings_print(survey.settings, &print);

        fputs(text, stdout);
        free(text);
    }
    survey_finish(&survey);
    return good ? DAEMON_EXIT_OK : DAEMON_EXIT_CONFIG;
}

static void print_line(void *context, enum berth_log_level level, const char *uri, enum berth_code code,
                       const char *text)
{
    if (level == BERTH_LOG_INFO)
        fprintf(stderr, "%s: ", uri);
    else if (level == BERTH_LOG_WARN)
        fputs("warning: ", stderr);
    utf8_write_line(stderr, text);
    fputc('\n', stderr);
}

static void keep_line(void *context, enum berth_log_level level, const char *uri, enum berth_code code,
                      const char *text)
{
    if (level == BERTH_LOG_ERROR || level == BERTH_LOG_WARN)
        config_diagnostics_add(context, level == BERTH_LOG_ERROR ? CONFIG_ERROR : CONFIG_WARNING, NULL, "%s",
                               text);
}

/* Loads the plugins that would run and lets them check their settings; prepares and starts nothing. Failures
 * are printed, or kept for JSON. @return the number of failed plugins. */
static size_t load(struct survey *survey, bool json)
{
    struct registry *registry = registry_create(survey->plan, uv_hrtime());
    struct notices notices = {0};
    struct loading loading = {
        .registry = registry,
        .notices = &notices,
        .on_line = json ? keep_line : print_line,
        .context = &survey->diagnostics,
    };
    size_t failed = 0;

    notify_hide();
    listeners_hide();
    survey_hold(survey);
    for (size_t i = 0; i < survey->plan->run_count; i++) {
        struct registry_plugin *plugin = registry_get(registry, i);
        struct generation_source source;

        if (loading_load(&loading, survey, plugin->entry, plugin, &source) == BERTH_OK)
            loading_drop(&loading, &source);
        failed += plugin->state == BERTH_STATE_FAILED;
    }
    loading_finish(&loading);
    notices_finish(&notices);
    registry_destroy(registry);
    return failed;
}

struct outcome {
    bool is_valid;
    bool would_start;
    /* The number of plugins that could not be loaded. */
    size_t failed;
};

static int exit_code(const struct outcome *outcome)
{
    if (!outcome->is_valid || outcome->failed > 0)
        return DAEMON_EXIT_CONFIG;
    return outcome->would_start ? DAEMON_EXIT_OK : DAEMON_EXIT_FAILED;
}

static void print_files(const struct survey *survey)
{
    if (survey->settings == NULL)
        return;
    for (size_t i = 0; i < survey->settings->file_count; i++) {
        fputs("read ", stdout);
        utf8_write_line(stdout, survey->settings->files[i]);
        putchar('\n');
    }
    if (survey->settings->file_count == 0) {
        char *path = settings_default_path();

        fputs("read no file; not found: ", stdout);
        utf8_write_line(stdout, path);
        putchar('\n');
        free(path);
    }
}

/* Why a file of the plugin directories was rejected; NULL if it was not, or is an ordinary library. */
static const char *rejection(const struct scan_file *file)
{
    return file->code != BERTH_NOT_FOUND ? file->reason : NULL;
}

static void print_rejections(const struct survey *survey)
{
    for (size_t i = 0; i < survey->scan.count; i++) {
        if (rejection(&survey->scan.files[i]) != NULL)
            print_line(NULL, BERTH_LOG_WARN, NULL, BERTH_OK, rejection(&survey->scan.files[i]));
    }
}

static void print_text(const struct survey *survey, const struct outcome *outcome)
{
    if (outcome->failed > 0)
        fprintf(stderr, "berthd: %zu plugin%s could not be loaded with this configuration\n", outcome->failed,
                outcome->failed == 1 ? "" : "s");
    else if (outcome->would_start)
        printf("the configuration is valid; found %zu module%s\n", survey->catalog.manifest_count,
               survey->catalog.manifest_count == 1 ? "" : "s");
    else if (outcome->is_valid)
        fputs("berthd: the configuration is valid, but the daemon would not start\n", stderr);
    else
        fprintf(stderr, "berthd: the configuration has %zu error%s\n", survey->diagnostics.error_count,
                survey->diagnostics.error_count == 1 ? "" : "s");
}

static void json_diagnostic(struct config_json *json, enum config_severity severity,
                            const struct config_mark *mark, const char *message)
{
    config_json_open(json, NULL, '{');
    config_json_string(json, "severity", severity == CONFIG_ERROR ? "error" : "warning");
    config_json_string(json, "file", mark->file);
    config_json_integer(json, "line", mark->line);
    config_json_integer(json, "column", mark->column);
    config_json_string(json, "message", message);
    config_json_close(json, '}');
}

static void print_json(struct survey *survey, const struct outcome *outcome)
{
    const struct config_diagnostics *diagnostics = &survey->diagnostics;
    const struct config_mark nowhere = {0};
    struct config_json json = {.out = stdout};

    config_diagnostics_sort(&survey->diagnostics);
    config_json_open(&json, NULL, '{');
    config_json_bool(&json, "ok", exit_code(outcome) == DAEMON_EXIT_OK);
    config_json_bool(&json, "valid", outcome->is_valid && outcome->failed == 0);
    config_json_integer(&json, "modules", (int64_t)survey->catalog.manifest_count);
    config_json_open(&json, "files", '[');
    for (size_t i = 0; survey->settings != NULL && i < survey->settings->file_count; i++)
        config_json_string(&json, NULL, survey->settings->files[i]);
    config_json_close(&json, ']');
    config_json_open(&json, "diagnostics", '[');
    for (size_t i = 0; i < diagnostics->count; i++)
        json_diagnostic(&json, diagnostics->items[i].severity, &diagnostics->items[i].mark,
                        diagnostics->items[i].message);
    for (size_t i = 0; i < survey->scan.warning_count; i++)
        json_diagnostic(&json, CONFIG_WARNING, &nowhere, survey->scan.warnings[i]);
    for (size_t i = 0; i < survey->scan.count; i++) {
        const struct scan_file *file = &survey->scan.files[i];

        if (rejection(file) != NULL)
            json_diagnostic(&json, CONFIG_WARNING, &(struct config_mark){.file = file->shown},
                            rejection(file));
    }
    for (size_t i = 0; survey->plan != NULL && i < survey->plan->warning_count; i++)
        json_diagnostic(&json, CONFIG_WARNING, &nowhere, survey->plan->warnings[i]);
    config_json_close(&json, ']');
    config_json_integer(&json, "diagnostics_dropped", (int64_t)diagnostics->dropped);
    config_json_close(&json, '}');
}

static void add_warning(void *context, const char *text)
{
    config_diagnostics_add(context, CONFIG_WARNING, NULL, "%s", text);
}

int command_config_check(const struct command_options *options)
{
    bool json = cli_has(options->line, "json");
    struct settings_options settings = options->settings;
    struct outcome outcome = {0};
    struct survey survey;

    settings.look_at_files = true;
    outcome.is_valid = survey_take(&settings, NULL, &survey) && survey_check(&survey);
    if (outcome.is_valid) {
        survey_plan(&survey);
        isolated_find_problems(survey.plan, survey.settings, add_warning, &survey.diagnostics);
        outcome.would_start = survey_would_start(&survey);
    }
    if (!json) {
        print_files(&survey);
        survey_print_diagnostics(&survey);
        print_rejections(&survey);
    }
    if (outcome.is_valid && cli_has(options->line, "load"))
        outcome.failed = load(&survey, json);
    if (json)
        print_json(&survey, &outcome);
    else
        print_text(&survey, &outcome);
    survey_finish(&survey);
    return exit_code(&outcome);
}

/* Changes that a manifest cannot declare are made by code of the module. */
static enum berth_code run_migrate(void *context, const struct manifest_plugin *plugin,
                                   const struct berth_migration *migration, struct berth_error *err)
{
    const struct berth_plugin *table;
    struct module *module;
    enum berth_code code;

    notify_hide();
    listeners_hide();
    code = module_load(plugin->manifest, &module, err);
    if (code != BERTH_OK)
        return code;
    table = module_find(module, manifest_tabled(plugin)->type, manifest_tabled(plugin)->id);
    if (table == NULL || !BERTH_HAS(table, migrate))
        code = berth_error_set(err, BERTH_FAILED_PRECONDITION,
                               "%s: %s has no migrate, although its manifest lists it", plugin->uri,
                               plugin->manifest->path);
    else
        code = table->migrate(migration, err);
    module_destroy(module);
    return code;
}

/* The copy holds the secrets of the original, so no more people may read it. */
static mode_t mode_of(const char *path)
{
    struct stat status;

    return stat(path, &status) == 0 ? status.st_mode & 0666 : 0600;
}

static int write_migrated(const struct command_options *options, const char *path, const char *text,
                          size_t changed)
{
    const char *output = cli_value(options->line, "output");
    struct berth_error err;
    int code = DAEMON_EXIT_OK;

    if (output != NULL || !cli_has(options->line, "in-place")) {
        code = write_text(output, mode_of(path), text);
    } else if (changed > 0 && text_file_replace(path, text, &err) != BERTH_OK) {
        fprintf(stderr, "berthd: %s\n", err.message);
        code = DAEMON_EXIT_FAILED;
    }
    if (code == DAEMON_EXIT_OK)
        fprintf(stderr, "%s: %zu section%s migrated\n", path, changed, changed == 1 ? "" : "s");
    return code;
}

static int migrate(struct survey *survey, const struct command_options *options, const char *path)
{
    const struct settings_migration migration = {
        .catalog = &survey->catalog,
        .on_migrate = run_migrate,
        .context = survey,
    };
    char *text;
    size_t changed;
    bool good = settings_migrate_file(path, &migration, &text, &changed, &survey->diagnostics);
    int code = DAEMON_EXIT_CONFIG;

    survey_print_diagnostics(survey);
    if (good) {
        code = write_migrated(options, path, text, changed);
        free(text);
    }
    return code;
}

int command_config_migrate(const struct command_options *options)
{
    char *default_path = options->settings.path == NULL ? settings_default_path() : NULL;
    const char *path = default_path == NULL ? options->settings.path : default_path;
    struct survey survey;
    int code = DAEMON_EXIT_CONFIG;

    if (config_load_is_stream(path)) {
        fputs("berthd: config migrate reads its file twice, so it cannot read a stream; name a file with "
              "--config\n",
              stderr);
        free(default_path);
        return DAEMON_EXIT_USAGE;
    }
    if (survey_take(&options->settings, NULL, &survey) && survey_is_good(&survey))
        code = migrate(&survey, options, path);
    else
        survey_print_diagnostics(&survey);
    survey_finish(&survey);
    free(default_path);
    return code;
}
