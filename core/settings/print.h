/* SPDX-License-Identifier: Apache-2.0 */
/* The configuration as text: what `berthd config default`, `dump` and `migrate` print. */
#ifndef CORE_SETTINGS_PRINT_H
#define CORE_SETTINGS_PRINT_H

#include <stdbool.h>
#include <stddef.h>

#include <berth/plugin.h>
#include <config/diagnostics.h>
#include <config/print.h>

#include "settings.h"

/**
 * Every setting of the daemon and of each plugin with its doc as a comment and its default, as YAML that
 * loads back and changes nothing.
 *
 * @param options    `root`, `state` and `plugin_dirs` stand in it where they are given; may be NULL.
 * @return malloced.
 */
char *settings_print_default(const struct settings_options *options, const struct catalog *catalog);

/**
 * The effective configuration, the daemon's and every checked section by URI, after settings_check_plugins.
 * It loads back as the same, but for the secrets that are left out: `imports` are merged. Malloced.
 */
char *settings_print(const struct settings *settings, const struct config_print_options *options);
/** The same as one JSON object. */
char *settings_print_json(const struct settings *settings, const struct config_print_options *options);

/** How one file is brought up to date. */
struct settings_migration {
    const struct catalog *catalog;
    /**
     * Runs a plugin's own `migrate`, for those that name it under `callbacks`: loads the module. NULL: such
     * sections only get the declared renames, with a warning.
     */
    enum berth_code (*on_migrate)(void *context, const struct manifest_plugin *plugin,
                                  const struct berth_migration *migration, struct berth_error *err);
    void *context;
};

/**
 * Rewrites one file, without its imports, for the manifests' versions of the sections. Comments and the
 * layout are lost where anything changed; otherwise the text is the file's own.
 *
 * @param ret_text  malloced.
 * @param ret_changed  how many sections were brought up to date.
 * @return false with errors in `diagnostics`; each change is a warning there.
 */
bool settings_migrate_file(const char *path, const struct settings_migration *migration, char **ret_text,
                           size_t *ret_changed, struct config_diagnostics *diagnostics);

#endif
