/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The door of the room: the daemon's own settings, each plugin's section checked against its manifest,
 * sections of older versions, and the configuration as text.
 */
#ifndef CORE_SETTINGS_SETTINGS_H
#define CORE_SETTINGS_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <berth/inspect.h>
#include <berth/plugin.h>
#include <config/print/print.h>

#include <core/base/log.h>
#include <core/manifest/manifest.h>
#include <core/trust/trust.h>

/** How long each step may take, in nanoseconds. */
struct settings_timeouts {
    uint64_t prepare_ns, init_ns, serve_ns, drain_ns, close_ns;
};

/** How long plugins may block the loop, in nanoseconds; 0: without a limit. */
struct settings_loop {
    uint64_t warn_after_ns, stall_after_ns, abort_after_ns;
};

/** What replacing plugins of a running daemon may cost; 0: without a limit. */
struct settings_upgrade {
    uint64_t drain_ns, max_resident_bytes;
};

/** A plugin's URI and its place in the configuration. */
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

/** Sockets that an isolated plugin may open: each includes those before it. */
enum settings_network {
    SETTINGS_NETWORK_NONE,
    SETTINGS_NETWORK_UNIX,
    SETTINGS_NETWORK_TCP,
    SETTINGS_NETWORK_ALL,
};

/** When the process of an isolated plugin is started again. */
enum settings_restart {
    SETTINGS_RESTART_ON_FAILURE,
    SETTINGS_RESTART_ALWAYS,
    SETTINGS_RESTART_NO,
};

/** A plugin that runs in another process than the daemon's, and how. 0: unlimited, or never. */
struct settings_isolation {
    const char *uri;
    struct config_mark mark;
    /** Which process; NULL: that of the isolated plugins of its module. */
    const char *worker;
    /** NULL: the daemon's. */
    const char *user, *group;
    uint64_t memory_bytes;
    uint32_t tasks;
    /** Of one processor. */
    uint32_t cpu_percent;
    const char *const *read, *const *write;
    size_t read_count, write_count;
    enum settings_network network;
    const uint16_t *connect, *bind;
    size_t connect_count, bind_count;
    bool processes, required;
    /** Of system calls, without duplicates; sets of the configuration are replaced by what they list. */
    const char *const *system_calls;
    size_t system_call_count;
    enum settings_restart restart;
    uint64_t restart_delay_ns;
    uint32_t start_limit;
    uint64_t start_limit_interval_ns;
    uint64_t stall_after_ns;
};

/** When a plugin starts, where the configuration says so of it alone. */
struct settings_activation {
    const char *uri;
    struct config_mark mark;
    /** Its manifest and activation.default do not count. */
    bool is_decided;
    /** When it is called first, rather than with the daemon. */
    bool on_call;
    bool has_idle_after;
    uint64_t idle_after_ns;
};

/** What the configuration decides about the plan. */
struct settings_plan {
    /** Those of struct settings: they start with the daemon. */
    const struct settings_uri *required;
    size_t required_count;
    /** What may start when it is called first does so; and where that is said. */
    bool starts_on_call;
    struct config_mark starts_on_call_mark;
    /** By URI. */
    const struct settings_activation *activations;
    size_t activation_count;
    /** How long nothing may have called what was started by a call until it is stopped; 0: it is not. */
    uint64_t idle_after_ns;
    /** How many calls may wait for one plugin to start. */
    size_t max_waiting;
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
    const struct settings_isolation *isolation;
    size_t isolation_count;
    /** Plugins that an operator has stopped until further notice; owned by the caller. */
    const char *const *stopped;
    size_t stopped_count;
    /** Plugins that killed the daemon too often; owned by the caller. */
    const struct settings_quarantine {
        const char *uri;
        const char *reason;
    } * quarantined;
    size_t quarantined_count;
};

/** What happens to a plugin that kills the daemon. */
struct settings_on_crash {
    /** 0: nothing. */
    unsigned quarantine_after;
    uint64_t within_ns;
    /** Required plugins too. */
    bool required;
};

struct settings {
    /** The files read, the main file first. */
    const char *const *files;
    size_t file_count;
    uint32_t version;
    const char *root;
    const char *state;
    const char *const *plugin_dirs;
    size_t plugin_dir_count;
    /** Where each is named; no file for a built-in default. */
    const struct config_mark *plugin_dir_marks;
    const struct settings_uri *required;
    size_t required_count;
    struct settings_plan plan;
    enum berth_log_level log_level;
    enum log_format log_format;
    struct settings_timeouts timeouts;
    struct settings_on_crash on_crash;
    unsigned prepare_threads;
    struct settings_loop loop;
    struct settings_upgrade upgrade;
    /** Directories in which a change of a file asks for a reload; none unless `watch` is set. */
    const char *const *watched;
    size_t watched_count;
    struct trust_options trust;
    /** The trees, values and sections it is made of. */
    struct settings_store *store;
};

struct settings_options {
    /** The main file; NULL: the default one, which may be missing. */
    const char *path;
    /** Override the files; NULL or 0: do not. */
    const char *root;
    const char *state;
    /** "error", "warn", "info" or "debug". */
    const char *log_level;
    const char *const *plugin_dirs;
    size_t plugin_dir_count;
    /** Unknown names are warnings. */
    bool lenient;
    /**
     * Return settings despite errors if the plugin directories are known, so that settings_check_plugins can
     * report the rest. Check the diagnostics' error_count before use.
     */
    bool keep_going;
    /** Files and directories named by plugins' settings must exist. */
    bool look_at_files;
    /** As trust_options.is_locking. */
    bool is_locking;
};

/** The default path of the main file; malloced. */
char *settings_default_path(void);

/**
 * Reads the main file and its imports, and checks everything except the plugins' sections.
 *
 * @return settings to be destroyed; NULL with errors in `diagnostics`, but see `keep_going`.
 */
struct settings *settings_load(const struct settings_options *options,
                               struct config_diagnostics *diagnostics);
void settings_destroy(struct settings *settings);

/** The section whose entries become plugins, if a module says so in its manifest. */
#define SETTINGS_MADE "proxy_plugins"

/** Adds the plugins that the configuration declares to those found; see catalog_make. Before the check. */
void settings_make_plugins(const struct settings *settings, struct catalog *catalog, bool files_rejected,
                           struct config_diagnostics *diagnostics);

/**
 * Checks what the configuration says about plugins against the plugins found: sections, required and disabled
 * URIs, timeouts, services and transports. Applies declared renames to sections of older versions, with a
 * warning. If a section needs the plugin's own `migrate`, its check waits for settings_migrate_plugin. A
 * disabled plugin may lack required settings.
 *
 * @param catalog        must outlive the settings.
 * @param files_rejected  some files were rejected, so an unknown URI may be in one of them; the message says
 * so.
 * @return false with errors in `diagnostics`.
 */
bool settings_check_plugins(struct settings *settings, const struct catalog *catalog, bool files_rejected,
                            struct config_diagnostics *diagnostics);

/** Does the section wait for the plugin's own `migrate`? settings_of_plugin is NULL until it has run. */
bool settings_needs_migration(const struct settings *settings, const char *uri);

/**
 * Lets a plugin migrate its section, and checks the result.
 *
 * @param migrate  of the loaded module's table.
 * @return BERTH_OK, also if there was nothing to do; the code of `migrate`; BERTH_INVALID_ARGUMENT if the
 * result does not fit the schema. Errors are in `diagnostics`.
 */
enum berth_code settings_migrate_plugin(struct settings *settings, const struct manifest_plugin *plugin,
                                        enum berth_code (*migrate)(const struct berth_migration *migration,
                                                                   struct berth_error *err),
                                        struct config_diagnostics *diagnostics);

/**
 * Lets a plugin check its section, which must be complete.
 *
 * @param table  of the loaded module; its `check` may be missing.
 * @return false with errors in `diagnostics`.
 */
bool settings_check_plugin(const struct settings *settings, const char *uri, const struct berth_plugin *table,
                           struct config_diagnostics *diagnostics);

/** A plugin's complete section, after settings_check_plugins. NULL for a plugin that was not checked. */
const struct berth_settings *settings_of_plugin(const struct settings *settings, const char *uri);
/** Visits them as berth_inspect does. @return false for a plugin that was not checked. */
bool settings_each(const struct settings *settings, const char *uri,
                   bool (*on_setting)(void *context, const struct berth_setting *setting), void *context);
/** The condition of skip_unless that a migrated section does not meet; NULL: none. */
const char *settings_find_unset(const struct settings *settings, const char *uri);
/** When the check of its section started, on the clock of uv_hrtime(), and how long it took; 0 if not
 * checked. */
void settings_get_check_time(const struct settings *settings, const char *uri, uint64_t *ret_start_ns,
                             uint64_t *ret_took_ns);
/** The deadlines of one plugin: its own from `timeouts.plugins`, else the general ones. */
struct settings_timeouts settings_timeouts_of(const struct settings *settings, const char *uri);

/** A setting that differs between two configurations. */
struct settings_difference {
    /** "limits.burst", as in struct berth_setting; "" for a section that only its plugin's `migrate` can
     * read. */
    char *path;
    /** Where it is set; if it was reset to its default, where it was set before. No file: neither. */
    struct config_mark mark;
    /** The setting is the same, but what the file that it names holds is not; else NULL. */
    char *changed_file;
    bool is_removed;
    /** Of the daemon's own settings: the old value stays in effect until berthd starts again. */
    bool needs_restart;
};

/** The most that are kept of one section; the rest are only counted. */
#define SETTINGS_DIFFERENCES_MAX 32

struct settings_differences {
    struct settings_difference *items;
    size_t count;
    size_t dropped;
};

/**
 * What differs in one plugin's section, after settings_check_plugins of both: values, and for a plugin that
 * takes changes in place also files that they name. None for a plugin that one of them does not know. Two
 * sections that await the plugin's own migration are compared as written.
 *
 * @param ret_found  to be finished. Independent of both.
 */
void settings_compare_plugin(const struct settings *before, const struct settings *after, const char *uri,
                             struct settings_differences *ret_found);
/** Does a plugin run in another process than before, or otherwise confined? */
bool settings_isolation_differs(const struct settings *before, const struct settings *after, const char *uri);
/** The same for the daemon's own settings, without the plugins' sections. */
void settings_compare_daemon(const struct settings *before, const struct settings *after,
                             struct settings_differences *ret_found);
/** "limits.burst changed at conf.d/20.yaml:7:3", or "tls_key: /etc/x/key.pem changed"; malloced. */
char *settings_difference_explain(const struct settings_difference *difference);
void settings_differences_finish(struct settings_differences *differences);

/** What is said of one plugin under activation.plugins; NULL: nothing. */
const struct settings_activation *settings_find_activation(const struct settings_plan *plan, const char *uri);

/** How a plugin is isolated; NULL: it runs in the daemon. */
const struct settings_isolation *settings_find_isolation(const struct settings *settings, const char *uri);
/** Do two isolated plugins run in one process? @param one_module, other_module  the names of their modules.
 */
bool settings_share_worker(const struct settings_isolation *one, const char *one_module,
                           const struct settings_isolation *other, const char *other_module);
/** As they are configured: "tcp", "on-failure". */
const char *settings_network_name(enum settings_network network);
const char *settings_restart_name(enum settings_restart restart);
/**
 * What two isolated plugins cannot share a process with: a setting that confines or restarts it as a whole,
 * and that is not the same for both.
 * @return "user differs: nobody here, unset there", malloced; NULL: they can.
 */
char *settings_find_disagreement(const struct settings_isolation *here,
                                 const struct settings_isolation *there);

/** How far a section of an older version has come. */
struct migration {
    /** The version that it is written for. */
    uint32_t version;
    /** It comes from the section's `config_version`. */
    bool is_said;
    bool is_renamed;
    /** The number of settings that were renamed. */
    size_t renamed;
    /** The plugin's own `migrate` is still to run. */
    bool needs_plugin;
};

typedef enum berth_code migration_callback(void *context, const struct manifest_plugin *plugin,
                                           const struct berth_migration *migration, struct berth_error *err);

/**
 * Takes `config_version` out of a section and finds the version it is written for. Without one, that is the
 * newest version that it fits: the plugin's own, or an older one as the manifest declares it under `renames`.
 * A section that fits none counts as the plugin's own, with a warning that names `config_version`.
 *
 * @return false, with an error in `diagnostics`, for an invalid version or one newer than the plugin's.
 */
bool migration_begin(struct config_tree *tree, const struct manifest_plugin *plugin,
                     struct config_node *section, struct migration *ret_migration,
                     struct config_diagnostics *diagnostics);

/**
 * Brings a section to the plugin's version: applies the renames since its own, once, with a warning for each,
 * and then lets the plugin migrate it where needed.
 *
 * @param on_migrate  NULL: not yet; call again with the plugin's.
 * @return BERTH_OK; the code of `on_migrate`; BERTH_INVALID_ARGUMENT if a rename conflicts, or if the plugin
 * read a setting as the wrong type. A failure is also an error in `diagnostics`.
 */
enum berth_code migration_run(struct config_tree *tree, const struct manifest_plugin *plugin,
                              struct config_node *section, struct migration *migration,
                              migration_callback *on_migrate, void *context,
                              struct config_diagnostics *diagnostics);

/**
 * Runs a plugin's `check`. Each problem becomes a diagnostic at the setting it names, or at `section` if that
 * setting has its default.
 *
 * @param section  where the plugin's section starts; its file is NULL if there is none.
 * @return false if it reported an error.
 */
bool settings_check_run(const char *uri, void (*on_check)(const struct berth_check *check),
                        const struct config_values *values, const struct config_mark *section,
                        struct config_diagnostics *diagnostics);

/**
 * Every setting of the daemon and of each plugin with its doc as a comment and its default, as YAML that
 * loads back as the defaults.
 *
 * @param options  overrides the defaults of `root`, `state` and `plugin_dirs`; may be NULL.
 * @return malloced.
 */
char *settings_print_default(const struct settings_options *options, const struct catalog *catalog);

/**
 * The effective configuration: the daemon's settings and every checked section by URI, after
 * settings_check_plugins. It loads back as the same configuration, except for omitted secrets; `imports` are
 * merged. Malloced.
 */
char *settings_print(const struct settings *settings, const struct config_print_options *options);
/** The same as a JSON object. */
char *settings_print_json(const struct settings *settings, const struct config_print_options *options);

/** How to migrate one file. */
struct settings_migration {
    const struct catalog *catalog;
    /**
     * Runs the `migrate` of a plugin whose manifest lists it under `callbacks`: loads the module. NULL: such
     * sections are left unchanged, with a warning.
     */
    migration_callback *on_migrate;
    void *context;
};

/**
 * Migrates the sections under `plugins` of a file that has been read. Each change is a warning.
 *
 * @return the number of sections migrated; errors are in `diagnostics`.
 */
size_t settings_migrate_tree(const struct settings_migration *migration, struct config_tree *tree,
                             struct config_diagnostics *diagnostics);

/**
 * Rewrites one file, without its imports, for the versions of the sections in the manifests. If anything
 * changed, comments and layout are lost; otherwise the text is the file's own.
 *
 * @param ret_text  malloced.
 * @param ret_changed  the number of sections migrated.
 * @return false with errors in `diagnostics`; each change is a warning there.
 */
bool settings_migrate_file(const char *path, const struct settings_migration *migration, char **ret_text,
                           size_t *ret_changed, struct config_diagnostics *diagnostics);

#endif
