/* SPDX-License-Identifier: Apache-2.0 */
/* The daemon's configuration: its own settings, and each plugin's section checked against its manifest. */
#ifndef CORE_SETTINGS_SETTINGS_H
#define CORE_SETTINGS_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <berth/plugin.h>
#include <config/diagnostics.h>

#include <core/base/log.h>
#include <core/manifest/catalog.h>

/** How long each step may take, in nanoseconds. */
struct settings_timeouts {
    uint64_t prepare_ns, init_ns, serve_ns, drain_ns, close_ns;
};

/** A plugin's URI and where it was written. */
struct settings_uri {
    const char *uri;
    struct config_mark mark;
};

/** A plugin to skip because a setting or an environment variable is not set. */
struct settings_unset {
    const char *uri;
    /** As under skip_unless in its manifest. */
    const char *condition;
};

/** What the configuration decides about the plan. */
struct settings_plan {
    const struct settings_uri *disabled;
    size_t disabled_count;
    /** Service -> URI of the plugin that exports it, where several could. */
    const struct settings_choice {
        const char *service;
        const char *uri;
    } * choices;
    size_t choice_count;
    /** Transports that may carry a service in addition to those its plugin names. */
    const struct settings_transports {
        const char *service;
        const char *const *names;
        size_t count;
    } * transports;
    size_t transport_count;
    const struct settings_unset *unset;
    size_t unset_count;
};

struct settings {
    /** The files that were read, the main file first. */
    const char *const *files;
    size_t file_count;
    uint32_t version;
    const char *root;
    const char *state;
    const char *const *plugin_dirs;
    size_t plugin_dir_count;
    /** Where each of them is named; no file for a built-in default. */
    const struct config_mark *plugin_dir_marks;
    const struct settings_uri *required;
    size_t required_count;
    /** Disabled plugins and chosen exporters. */
    struct settings_plan plan;
    enum berth_log_level log_level;
    enum log_format log_format;
    struct settings_timeouts timeouts;
    unsigned prepare_threads;
    /** The trees, values and sections behind all of it. */
    struct settings_store *store;
};

struct settings_options {
    /** The main file, NULL for the default place; there a missing file is fine. */
    const char *path;
    /** Override what the files say; NULL or 0: do not. */
    const char *root;
    const char *state;
    const char *const *plugin_dirs;
    size_t plugin_dir_count;
    /** Unknown names are warnings. */
    bool lenient;
    /**
     * Hand settings out in spite of errors, where it is known which plugin directories are meant, so that
     * settings_check_plugins can say the rest. Look at the diagnostics' error_count before use.
     */
    bool keep_going;
    /** Files and directories that plugins' settings name have to be there. */
    bool look_at_files;
};

/** Where the main file is looked for where nobody names one; malloced. */
char *settings_default_path(void);

/**
 * Reads the main file and what it imports, and checks all but the plugins' sections.
 *
 * @return to be destroyed; NULL with errors in `diagnostics`, but see `keep_going`.
 */
struct settings *settings_load(const struct settings_options *options,
                               struct config_diagnostics *diagnostics);
void settings_destroy(struct settings *settings);

/**
 * Checks what the configuration says of plugins against what was found: sections, URIs under required,
 * disabled, timeouts and services. Declared renames are applied to sections of an older version, with a
 * warning. Where a section's older version needs the plugin's own `migrate`, its check waits for
 * settings_migrate_plugin. A plugin that is disabled may lack what is required.
 *
 * @param catalog        to outlive the settings.
 * @param files_refused  some files could not be read, so an unknown URI may be one of theirs; the message
 *                       says so.
 * @return false with errors in `diagnostics`.
 */
bool settings_check_plugins(struct settings *settings, const struct catalog *catalog, bool files_refused,
                            struct config_diagnostics *diagnostics);

/** Does the section wait for the plugin's own `migrate`? Then settings_of_plugin is NULL until it was run. */
bool settings_needs_migration(const struct settings *settings, const char *uri);

/**
 * Lets a plugin bring its section up to date, and checks the outcome.
 *
 * @param migrate  of the loaded module's table.
 * @return BERTH_OK, also where there was nothing to do; what `migrate` answered; BERTH_INVALID_ARGUMENT where
 *         the outcome breaks the schema. Errors are in `diagnostics`.
 */
enum berth_code settings_migrate_plugin(struct settings *settings, const struct manifest_plugin *plugin,
                                        enum berth_code (*migrate)(const struct berth_migration *migration,
                                                                   struct berth_error *err),
                                        struct config_diagnostics *diagnostics);

/**
 * Lets a plugin judge its section, which has to be complete by then.
 *
 * @param table  of the loaded module; without `check` nothing is wrong.
 * @return false with errors in `diagnostics`.
 */
bool settings_check_plugin(const struct settings *settings, const char *uri, const struct berth_plugin *table,
                           struct config_diagnostics *diagnostics);

/** A plugin's section, complete; after settings_check_plugins. NULL for a plugin that was not checked. */
const struct berth_settings *settings_of_plugin(const struct settings *settings, const char *uri);
/** What a section lacks of its plugin's skip_unless, once it was migrated; NULL: nothing. */
const char *settings_find_unset(const struct settings *settings, const char *uri);
/** When the check of its section began, on the clock of uv_hrtime(), and how long it took; 0 for one not
 * checked. */
void settings_get_check_time(const struct settings *settings, const char *uri, uint64_t *ret_start_ns,
                             uint64_t *ret_took_ns);
/** The deadlines of one plugin: its own where `timeouts.plugins` has some, else the general ones. */
struct settings_timeouts settings_timeouts_of(const struct settings *settings, const char *uri);

#endif
