/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One plugin's section: the version it was written for, and its way to the plugin's own by declared renames
 * and the plugin's code.
 */
#include <stdlib.h>
#include <string.h>

#include "path.h"
#include "store.h"

void migration_warn_of_version(const struct manifest_plugin *plugin, const struct config_node *section,
                               const struct migration *migration, struct config_diagnostics *diagnostics)
{
    uint32_t current = plugin->config_version;

    if (migration->version == current || (migration->renamed > 0 && migration->is_said))
        return;
    if (migration->is_said)
        migration_deprecate(plugin, "config_version", &section->key_mark, diagnostics,
                            "is %u, but this module is made for version %u", migration->version, current);
    else
        migration_deprecate(
            plugin, "config_version", &section->key_mark, diagnostics,
            "is not set; the section fits version %u but not the current version %u, so it was migrated",
            migration->version, current);
}

/* @return false, with an error, for an invalid version or one newer than the plugin's. */
static bool take_version(const struct manifest_plugin *plugin, struct config_node *section,
                         struct migration *ret_migration, struct config_diagnostics *diagnostics)
{
    struct config_node *node = config_node_take(section, "config_version");
    char *end;
    unsigned long version;

    *ret_migration = (struct migration){.version = plugin->config_version, .is_said = node != NULL};
    if (node == NULL)
        return true;
    version = node->kind == CONFIG_SCALAR && node->plain ? strtoul(node->text, &end, 10) : 0;
    if (version == 0 || *end != '\0' || version > UINT32_MAX || node->text[0] == '-') {
        config_diagnostics_add(diagnostics, CONFIG_ERROR, &node->mark,
                               "%s: config_version: expected a number from 1 to %u, the version that this "
                               "section is written for",
                               plugin->uri, plugin->config_version);
        return false;
    }
    if (version > plugin->config_version) {
        config_diagnostics_add(diagnostics, CONFIG_ERROR, &node->mark,
                               "%s: config_version: this section has version %lu, but module %s %s supports "
                               "versions up to %u; install a newer module",
                               plugin->uri, version, plugin->manifest->module, plugin->manifest->version,
                               plugin->config_version);
        return false;
    }
    ret_migration->version = (uint32_t)version;
    return true;
}

/* The number of versions tried for a section without `config_version`. */
#define VERSIONS_TRIED_MAX 16

/* Settings of an older version that the plugin's `migrate` handles are unknown to the schema. */
static void remove_migrated(const struct manifest_plugin *plugin, struct config_node *section,
                            uint32_t version)
{
    for (size_t i = 0; i < plugin->rename_count; i++) {
        const struct manifest_rename *rename = &plugin->renames[i];

        if (rename->to == NULL && rename->before_version > version)
            path_walk(section, rename->from, true, NULL, NULL);
    }
}

/* Do the section's names and values fit this version? Missing settings say nothing about the version. */
static bool fits_version(struct config_tree *tree, const struct manifest_plugin *plugin,
                         const struct config_node *section, uint32_t version)
{
    struct config_check_options options = {.partial = true};
    struct config_diagnostics diagnostics = {0};
    struct config_node *copy = config_tree_copy_node(tree, section);
    struct config_values *values = NULL;
    const struct migration migration = {.version = version};

    migration_apply_renames(tree, plugin, copy, &migration, &diagnostics);
    remove_migrated(plugin, copy, version);
    if (diagnostics.error_count == 0)
        values = config_values_create(plugin->config, copy, &options, &diagnostics);
    config_diagnostics_finish(&diagnostics);
    config_values_destroy(values);
    return values != NULL;
}

static uint32_t oldest_tried(const struct manifest_plugin *plugin)
{
    return plugin->config_version > VERSIONS_TRIED_MAX ? plugin->config_version - VERSIONS_TRIED_MAX : 1;
}

/* Without `config_version`, a section has the newest version that it fits. */
static uint32_t guess_version(struct config_tree *tree, const struct manifest_plugin *plugin,
                              const struct config_node *section, struct config_diagnostics *diagnostics)
{
    for (uint32_t version = plugin->config_version; version >= oldest_tried(plugin); version--)
        if (fits_version(tree, plugin, section, version))
            return version;
    config_diagnostics_add(diagnostics, CONFIG_WARNING, &section->key_mark,
                           "%s: config_version is not set, so the section is checked as version %u, the "
                           "current one; if it was written for an older version, add config_version: %u",
                           plugin->uri, plugin->config_version, plugin->config_version - 1);
    return plugin->config_version;
}

/* Does the section hold a setting that is left to the plugin's `migrate`? */
static bool holds_listed(const struct manifest_plugin *plugin, struct config_node *section,
                         const struct migration *migration)
{
    for (size_t i = 0; i < plugin->rename_count; i++) {
        const struct manifest_rename *rename = &plugin->renames[i];

        if (rename->to == NULL && rename->before_version > migration->version &&
            path_walk(section, rename->from, false, NULL, NULL) > 0)
            return true;
    }
    return false;
}

bool migration_begin(struct config_tree *tree, const struct manifest_plugin *plugin,
                     struct config_node *section, struct migration *ret_migration,
                     struct config_diagnostics *diagnostics)
{
    if (!take_version(plugin, section, ret_migration, diagnostics))
        return false;
    if (!ret_migration->is_said && plugin->config_version > 1)
        ret_migration->version = guess_version(tree, plugin, section, diagnostics);
    ret_migration->needs_plugin = ret_migration->version < plugin->config_version &&
                                  (plugin->callbacks & MANIFEST_CALLBACK_MIGRATE) != 0 &&
                                  (!plugin->migrates_listed || holds_listed(plugin, section, ret_migration));
    return true;
}

enum berth_code migration_run(struct config_tree *tree, const struct manifest_plugin *plugin,
                              struct config_node *section, struct migration *migration,
                              migration_callback *on_migrate, void *context,
                              struct config_diagnostics *diagnostics)
{
    size_t errors = diagnostics->error_count;
    enum berth_code code = BERTH_OK;

    if (!migration->is_renamed)
        migration->renamed = migration_apply_renames(tree, plugin, section, migration, diagnostics);
    migration->is_renamed = true;
    if (diagnostics->error_count > errors)
        return BERTH_INVALID_ARGUMENT;
    if (!migration->needs_plugin || on_migrate == NULL)
        return BERTH_OK;
    code = migration_call(tree, plugin, section, migration->version, on_migrate, context, diagnostics);
    migration->needs_plugin = code != BERTH_OK;
    return code;
}

bool migration_begin_all(struct config_tree *tree, struct settings_section *section,
                         struct config_diagnostics *diagnostics)
{
    bool is_good = migration_begin(tree, section->plugin, section->node, &section->migration, diagnostics);

    for (size_t i = 0; i < section->part_count; i++)
        is_good = migration_begin(tree, section->plugin, section->parts[i].node, &section->parts[i].migration,
                                  diagnostics) &&
                  is_good;
    return is_good;
}

bool migration_needs_plugin(const struct settings_section *section)
{
    bool needs = section->migration.needs_plugin;

    for (size_t i = 0; i < section->part_count; i++)
        needs = needs || section->parts[i].migration.needs_plugin;
    return needs;
}

struct joining {
    const struct settings_section *section;
    const struct former_part *part;
    struct config_diagnostics *diagnostics;
};

/* A part without `config_version` may have the section's version: then one of the two values is a mistake.
 */
static void report_loser(void *context, const char *path, const struct config_node *kept,
                         const struct config_node *dropped)
{
    const struct joining *joining = context;
    bool is_said = joining->part->migration.is_said;

    config_diagnostics_add(
        joining->diagnostics, is_said ? CONFIG_WARNING : CONFIG_ERROR, &dropped->key_mark,
        "%s: %s comes from section \"%.200s\", and is also set at %s:%u:%u%s; remove this one",
        joining->section->plugin->uri, path, joining->part->node->was, kept->mark.file, kept->mark.line,
        kept->mark.column, is_said ? ", which wins" : "");
}

enum berth_code migration_run_all(struct config_tree *tree, struct settings_section *section,
                                  migration_callback *on_migrate, void *context,
                                  struct config_diagnostics *diagnostics)
{
    size_t errors = diagnostics->error_count;
    enum berth_code code = migration_run(tree, section->plugin, section->node, &section->migration,
                                         on_migrate, context, diagnostics);

    for (size_t i = 0; i < section->part_count && code == BERTH_OK; i++)
        code = migration_run(tree, section->plugin, section->parts[i].node, &section->parts[i].migration,
                             on_migrate, context, diagnostics);
    if (code != BERTH_OK || migration_needs_plugin(section))
        return code;
    for (size_t i = 0; i < section->part_count; i++) {
        struct joining joining = {section, &section->parts[i], diagnostics};

        config_tree_fill(tree, section->node, section->parts[i].node, report_loser, &joining);
    }
    section->part_count = 0;
    return diagnostics->error_count > errors ? BERTH_INVALID_ARGUMENT : BERTH_OK;
}
