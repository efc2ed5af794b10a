/* SPDX-License-Identifier: Apache-2.0 */
/* berthd config migrate: rewrites sections of older versions for the installed modules. */
#include "command.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <config/load.h>

#include <core/module/module.h>
#include <core/notify.h>
#include <core/survey.h>
#include <tools/cli/text_file.h>

/* Changes that a manifest cannot declare are made by code of the module. */
static enum berth_code run_migrate(void *context, const struct manifest_plugin *plugin,
                                   const struct berth_migration *migration, struct berth_error *err)
{
    const struct berth_plugin *table;
    struct module *module;
    enum berth_code code;

    notify_hide();
    code = module_load(plugin->manifest, &module, err);
    if (code != BERTH_OK)
        return code;
    table = module_find(module, plugin->type, plugin->id);
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

static int write_text(const struct command_options *options, const char *path, const char *text,
                      size_t changed)
{
    const char *output = cli_value(options->line, "output");
    struct berth_error err;
    enum berth_code code = BERTH_OK;

    if (output != NULL)
        code = text_file_create(output, mode_of(path), text, &err);
    else if (!cli_has(options->line, "in-place"))
        fputs(text, stdout);
    else if (changed > 0)
        code = text_file_replace(path, text, &err);
    if (code != BERTH_OK) {
        fprintf(stderr, "berthd: %s\n", err.message);
        return DAEMON_EXIT_FAILED;
    }
    fprintf(stderr, "%s: %zu section%s migrated\n", path, changed, changed == 1 ? "" : "s");
    return DAEMON_EXIT_OK;
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
        code = write_text(options, path, text, changed);
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
    if (survey_take(&options->settings, &survey) && survey_is_good(&survey))
        code = migrate(&survey, options, path);
    else
        survey_print_diagnostics(&survey);
    survey_finish(&survey);
    free(default_path);
    return code;
}
