/* SPDX-License-Identifier: Apache-2.0 */
/* The inside of `struct settings`, and what the files of this room share. */
#ifndef CORE_SETTINGS_STORE_H
#define CORE_SETTINGS_STORE_H

#include <sys/stat.h>

#include <config/tree/arena.h>
#include <config/schema/value.h>

#include <sdk/base/memory.h>

#include "settings.h"

/** Settings of a plugin from another section, for a plugin that also has a section of its own. */
struct former_part {
    const struct manifest_plugin *plugin;
    /** With the other section's `config_version`, until the migration begins. */
    struct config_node *node;
    /** The place of the other section's name among the plugin's former ones. */
    size_t rank;
    bool is_section;
    struct migration migration;
};

struct former_parts {
    struct former_part *items;
    size_t count;
};

/** A file that a setting names, as it was when the configuration was read. */
struct settings_file {
    /** "tls_cert" or "servers[2].key". */
    const char *setting;
    const char *path;
    bool exists;
    struct stat status;
};

/** One plugin and what the configuration says about it. */
struct settings_section {
    const struct manifest_plugin *plugin;
    /** NULL if the files have none. Its `config_version` has been taken out. */
    struct config_node *node;
    struct migration migration;
    /** Each migrated separately, because each has its own version, and then merged into `node`. */
    struct former_part *parts;
    size_t part_count;
    bool disabled;
    /** The condition of skip_unless that is not met, so the plugin is skipped; or NULL. */
    const char *unset;
    /** The plugin's own `migrate` must run first; until then there are no values. */
    bool waits;
    /** The hash of a section that waits, as it was written. */
    uint64_t written;
    /** When its check started, on the clock of uv_hrtime(), and how long it took. */
    uint64_t check_start_ns, check_ns;
    struct config_values *values;
    /** Of a plugin that takes changes in place. */
    struct settings_file *files;
    size_t file_count;
};

struct settings_store {
    struct berth_arena arena;
    struct config_tree *tree;
    /** The daemon's own values. */
    struct config_values *values;
    /** The map under `plugins`, taken out of the tree's root; or NULL. */
    struct config_node *plugins;
    /** The map under SETTINGS_MADE, as well; or NULL. */
    struct config_node *made;
    bool lenient, look_at_files;
    /** A file could not be read, so other plugin directories may be meant. */
    bool is_incomplete;
    /** Settings of other plugins that sections contain. */
    struct former_parts parts;
    /** Sorted by URI. */
    struct settings_section *sections;
    size_t section_count;
};

/**
 * The daemon's own settings. `root`, `state` and `plugin_dirs` have no default here, since it depends on the
 * user; settings_create adds it. The last field is `plugins`, a map of anything: sections have schemas of
 * their own.
 */
extern const struct schema settings_schema;
/** One entry under `isolation`. */
extern const struct schema settings_isolation_schema;
/** Fills settings->plan.isolation from the checked values. */
void settings_fill_isolation(struct settings *settings);
/** Reports names under system_calls and system_call_sets that neither this system nor the configuration has.
 */
void settings_check_calls(const struct settings *settings, struct config_diagnostics *diagnostics);

/** Lists the section's files, in the store's memory, if its plugin can take changes in place. */
void settings_find_files(struct settings_store *store, struct settings_section *section);
/**
 * The next file that both name and that has changed meanwhile, symlinks followed; NULL: none.
 * @param place  where to go on; starts as 0.
 */
const struct settings_file *settings_next_changed_file(const struct settings_section *before,
                                                       const struct settings_section *after, size_t *place);
/** The section `activation`. */
extern const struct schema settings_activation_schema;
/** Gives entries under activation.plugins that are written as one word their full form. */
void settings_expand_activation(struct config_tree *tree);
/** Fills in what settings->plan has of it, from the checked values. */
void settings_fill_activation(struct settings *settings);

/** NULL for a plugin that was not found. */
struct settings_section *settings_find_section(const struct settings *settings, const char *uri);

/** The same as settings_load, for a tree, which it takes over. */
struct settings *settings_create(struct config_tree *tree, const struct settings_options *options,
                                 struct config_diagnostics *diagnostics);

/**
 * Applies the renames between the section's version and the plugin's version, with a warning for each. A
 * section of the plugin's own version may still use an old name that the schema does not know. If both names
 * are set, the newer one wins in a section that says it is of an older version, with a warning; in any other
 * this is an error.
 *
 * @return the number of renames applied; errors are in `diagnostics`.
 */
size_t migration_apply_renames(struct config_tree *tree, const struct manifest_plugin *plugin,
                               struct config_node *section, const struct migration *migration,
                               struct config_diagnostics *diagnostics);

/** Warns about a section of an older version, unless the warnings about its renames have said so. */
void migration_warn_of_version(const struct manifest_plugin *plugin, const struct config_node *section,
                               const struct migration *migration, struct config_diagnostics *diagnostics);

/** A deprecation that `config migrate` fixes: an old name of a setting, or an old version of the section. */
BERTH_PRINTF(5, 6)
void migration_deprecate(const struct manifest_plugin *plugin, const char *name,
                         const struct config_mark *mark, struct config_diagnostics *diagnostics,
                         const char *format, ...);
/** Records the origin of a node and of all nodes below it. */
void migration_set_origin(struct config_node *node, const char *was);
/** "sandbox_image of io.example.v1.old", in the tree's memory. */
const char *migration_name_origin(struct config_tree *tree, const char *setting, const char *section);

/** Lets the plugin migrate its section. A failure is also an error in `diagnostics`. */
enum berth_code migration_call(struct config_tree *tree, const struct manifest_plugin *plugin,
                               struct config_node *section, uint32_t version, migration_callback *on_migrate,
                               void *context, struct config_diagnostics *diagnostics);

/** As migration_begin, for a section and the parts of it that other sections held. */
bool migration_begin_all(struct config_tree *tree, struct settings_section *section,
                         struct config_diagnostics *diagnostics);
/**
 * As migration_run, for all of them. Once none needs the plugin, merges the parts into the section: its
 * values take precedence, then those of parts with newer names, with a warning for each value that is not
 * used.
 */
enum berth_code migration_run_all(struct config_tree *tree, struct settings_section *section,
                                  migration_callback *on_migrate, void *context,
                                  struct config_diagnostics *diagnostics);
/** Does any of them still need the plugin's `migrate`? */
bool migration_needs_plugin(const struct settings_section *section);

/**
 * Renames sections whose name plugins list under `formerly`. If several plugins list it, or it is also the
 * URI of one, the section is split: each plugin gets the settings it declares, including their old names.
 * Settings that no plugin declares stay with the plugin whose URI is the name, else with the first. Each move
 * is a deprecation. Out of the section of a plugin that was found, only plugins of its module may take
 * settings, and those that it lists under `gives_to`. Every section is divided as it was read, so nothing is
 * moved twice.
 *
 * @param sections  the map under `plugins`; may be NULL. A plugin without a section of its own gets one.
 * @param ret_parts  what plugins with a section get beside it; by URI and rank. To be finished.
 */
void former_apply(struct config_tree *tree, struct config_node *sections, const struct catalog *catalog,
                  struct former_parts *ret_parts, struct config_diagnostics *diagnostics);
void former_finish(struct former_parts *parts);
/** Hands the parts to the sections they belong to. */
void former_give(const struct former_parts *parts, struct settings_section *section);

#endif
