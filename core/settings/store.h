/* SPDX-License-Identifier: Apache-2.0 */
/* What stands behind `struct settings`: for the files that share it, settings*.c. */
#ifndef CORE_SETTINGS_STORE_H
#define CORE_SETTINGS_STORE_H

#include <config/arena.h>
#include <config/value.h>

#include "settings.h"
#include "migration.h"

/** One plugin and what the configuration says of it. */
struct settings_section {
    const struct manifest_plugin *plugin;
    /** NULL where the files have none. Its `config_version` has been taken out. */
    struct config_node *node;
    /** The version that `node` is written for. */
    struct migration_version version;
    bool disabled;
    /** What it lacks of skip_unless in its manifest, so that its plugin is skipped; or NULL. */
    const char *unset;
    /** Its older version is for the plugin's own `migrate`; until then there are no values. */
    bool waits;
    /** When its check began, on the clock of uv_hrtime(), and how long it took. */
    uint64_t check_start_ns, check_ns;
    struct config_values *values;
};

struct settings_store {
    struct config_arena arena;
    struct config_tree *schema_tree;
    struct schema *schema;
    struct config_tree *tree;
    /** The daemon's own values. */
    struct config_values *values;
    /** The map under `plugins`, taken out of the tree's root; or NULL. */
    struct config_node *plugins;
    bool lenient, look_at_files;
    /** A file could not be read, so another plugin directory may be meant. */
    bool is_incomplete;
    /** By URI; each URI once. */
    struct settings_section *sections;
    size_t section_count;
};

/** As settings_load, with a tree that it takes over. */
struct settings *settings_create(struct config_tree *tree, const struct settings_options *options,
                                 struct config_diagnostics *diagnostics);

/** NULL where no such plugin was found. */
struct settings_section *settings_find_section(const struct settings *settings, const char *uri);

#endif
