/* SPDX-License-Identifier: Apache-2.0 */
/* What stands behind `struct settings`, and what the files of this room share. */
#ifndef CORE_SETTINGS_STORE_H
#define CORE_SETTINGS_STORE_H

#include <config/arena.h>
#include <config/value.h>

#include <sdk/base/memory.h>

#include "settings.h"

/** One plugin and what the configuration says about it. */
struct settings_section {
    const struct manifest_plugin *plugin;
    /** NULL if the files have none. Its `config_version` has been taken out. */
    struct config_node *node;
    struct migration migration;
    bool disabled;
    /** The condition of skip_unless that is not met, so the plugin is skipped; or NULL. */
    const char *unset;
    /** The plugin's own `migrate` must run first; until then there are no values. */
    bool waits;
    /** When its check started, on the clock of uv_hrtime(), and how long it took. */
    uint64_t check_start_ns, check_ns;
    struct config_values *values;
};

struct settings_store {
    struct berth_arena arena;
    struct config_tree *tree;
    /** The daemon's own values. */
    struct config_values *values;
    /** The map under `plugins`, taken out of the tree's root; or NULL. */
    struct config_node *plugins;
    bool lenient, look_at_files;
    /** A file could not be read, so other plugin directories may be meant. */
    bool is_incomplete;
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

/** As settings_load, for a tree, which it takes over. */
struct settings *settings_create(struct config_tree *tree, const struct settings_options *options,
                                 struct config_diagnostics *diagnostics);

/**
 * Applies the renames between `version` and the plugin's version, with a warning for each. A section of the
 * plugin's own version may still use an old name that the schema does not know.
 *
 * @return the number of renames applied; errors are in `diagnostics`.
 */
size_t migration_apply_renames(struct config_tree *tree, const struct manifest_plugin *plugin,
                               struct config_node *section, uint32_t version,
                               struct config_diagnostics *diagnostics);

/** Warns about a section of an older version, unless the warnings about its renames have said so. */
void migration_warn_of_version(const struct manifest_plugin *plugin, const struct config_node *section,
                               const struct migration *migration, struct config_diagnostics *diagnostics);

/** The setting at a dotted path of a section, or NULL. */
struct config_node *migration_find_setting(struct config_node *section, const char *path);

/**
 * Renames sections whose name plugins list under `formerly`. If several plugins list it, or it is also the
 * URI of one, the section is split: each plugin without a section of its own gets the settings it declares,
 * including their old names. Settings that no plugin declares stay with the plugin whose URI is the name,
 * else with the first. Each move is a deprecation.
 *
 * @param sections  the map under `plugins`; may be NULL.
 */
void former_apply(struct config_tree *tree, struct config_node *sections, const struct catalog *catalog,
                  struct config_diagnostics *diagnostics);

#endif
