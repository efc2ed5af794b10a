/* SPDX-License-Identifier: Apache-2.0 */
/* Rewrites a configuration file for the versions of the sections that the plugins have. */
#include "print.h"

#include <stdlib.h>
#include <string.h>

#include <config/load.h>
#include <config/print.h>

#include "former.h"
#include "migration.h"
#include "store.h"

/* `config_version` comes first in a section. */
static void put_version(struct config_tree *tree, struct config_node *section, uint32_t version)
{
    struct config_node *node = config_tree_add_node(tree, CONFIG_SCALAR, section->mark);
    char text[16];

    node->key = "config_version";
    node->key_mark = section->mark;
    node->length = (size_t)snprintf(text, sizeof(text), "%u", version);
    node->text = config_tree_add_text(tree, text, node->length);
    node->plain = true;
    config_node_append(tree, section, node);
    memmove(section->items + 1, section->items, (section->count - 1) * sizeof(struct config_node *));
    section->items[0] = node;
}

static bool leave_to_hand(const struct manifest_plugin *plugin, const struct config_node *section,
                          uint32_t version, struct config_diagnostics *diagnostics)
{
    config_diagnostics_add(
        diagnostics, CONFIG_WARNING, &section->key_mark,
        "%s: its section is of version %u and left as it is: only its module can migrate it to version %u",
        plugin->uri, version, plugin->config_version);
    return false;
}

/* True where the section was changed. One of the current version that does not say so stays without a
 * version. */
static bool migrate_section(const struct settings_migration *migration, struct config_tree *tree,
                            const struct manifest_plugin *plugin, struct config_node *section,
                            struct config_diagnostics *diagnostics)
{
    struct migration_version version;
    bool is_old;
    size_t renamed;

    if (!migration_find_version(tree, plugin, section, &version, diagnostics))
        return false;
    is_old = version.number < plugin->config_version;
    if (migration_needs_plugin(plugin, version.number) && migration->on_migrate == NULL) {
        if (version.is_said)
            put_version(tree, section, version.number);
        return leave_to_hand(plugin, section, version.number, diagnostics);
    }
    renamed = migration_apply_renames(tree, plugin, section, version.number, diagnostics);
    if (migration_needs_plugin(plugin, version.number) &&
        migration_run(tree, plugin, section, version.number, migration->on_migrate, migration->context,
                      diagnostics) != BERTH_OK)
        return false;
    if (version.is_said || is_old)
        put_version(tree, section, plugin->config_version);
    return renamed > 0 || is_old;
}

static size_t migrate_tree(const struct settings_migration *migration, struct config_tree *tree,
                           struct config_diagnostics *diagnostics)
{
    struct config_node *sections = config_node_find(config_tree_root(tree), "plugins");
    size_t changed = 0;

    if (sections == NULL || sections->kind != CONFIG_MAP)
        return 0;
    changed = former_apply(tree, sections, migration->catalog, diagnostics);
    for (size_t i = 0; i < sections->count; i++) {
        struct config_node *section = sections->items[i];
        const struct manifest_plugin *plugin = catalog_find(migration->catalog, section->key);

        if (plugin != NULL && section->kind == CONFIG_MAP)
            changed += migrate_section(migration, tree, plugin, section, diagnostics);
    }
    return changed;
}

static char *print_whole(const struct config_tree *tree)
{
    struct config_text out = {0};

    config_print_tree(&out, config_tree_root(tree), 0);
    return config_text_take(&out);
}

bool settings_migrate_file(const char *path, const struct settings_migration *migration, char **ret_text,
                           size_t *ret_changed, struct config_diagnostics *diagnostics)
{
    size_t errors = diagnostics->error_count;
    size_t changed = 0;
    size_t length;
    char *text = config_load_bytes(path, config_limits_file.max_bytes, diagnostics, &length);
    struct config_tree *tree = NULL;

    if (text != NULL)
        tree = config_yaml_read(path, text, length, &config_limits_file, diagnostics);
    if (tree != NULL)
        changed = migrate_tree(migration, tree, diagnostics);
    if (tree == NULL || diagnostics->error_count > errors) {
        free(text);
        config_tree_destroy(tree);
        return false;
    }
    if (changed > 0) {
        struct config_mark whole = {.file = path};

        free(text);
        text = print_whole(tree);
        config_diagnostics_add(diagnostics, CONFIG_WARNING, &whole,
                               "the rewritten text has neither the comments nor the layout of the file");
    }
    config_tree_destroy(tree);
    *ret_text = text;
    *ret_changed = changed;
    return true;
}
