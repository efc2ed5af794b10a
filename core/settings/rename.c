/* SPDX-License-Identifier: Apache-2.0 */
/* Settings that were renamed, as the manifest declares. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "path.h"
#include "store.h"

void migration_deprecate(const struct manifest_plugin *plugin, const char *name,
                         const struct config_mark *mark, struct config_diagnostics *diagnostics,
                         const char *format, ...)
{
    char setting[1024], text[1024];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    snprintf(setting, sizeof(setting), "%s/%s", plugin->uri, name);
    config_diagnostics_add_deprecation(diagnostics, setting, mark,
                                       "%s: %s %s; run `berthd config migrate` to update the file",
                                       plugin->uri, name, text);
}

/*
 * One rename in progress: what it takes out is collected in a separate tree and then merged into the section.
 */
struct renaming {
    struct config_tree *tree;
    const struct manifest_plugin *plugin;
    const struct manifest_rename *rename;
    struct path to;
    /* The steps of `to`, in the tree's memory. */
    const char *names[PATH_MAX_STEPS];
    struct config_node *moved;
    /* "sandbox_image of io.example.v1.old" */
    const char *was;
    const struct config_mark *first;
    /* The section says that it is of an older version, so both names may be set: the later one wins. */
    bool is_old;
    struct config_diagnostics *diagnostics;
};

void migration_set_origin(struct config_node *node, const char *was)
{
    node->was = was;
    for (size_t i = 0; i < node->count; i++)
        migration_set_origin(node->items[i], was);
}

static struct config_node *wrap(struct config_tree *tree, struct config_node *node)
{
    struct config_node *list = config_tree_add_node(tree, CONFIG_LIST, node->mark);

    list->key_mark = node->key_mark;
    list->was = node->was;
    config_node_append(tree, list, node);
    return list;
}

/* Matches come in the order of their keys, so the map to put one into is the last one made, or does not
 * exist. */
static void place_match(struct path_walk *walk, struct config_node *node)
{
    struct renaming *renaming = walk->context;
    struct config_node *map = renaming->moved;
    struct config_mark key_mark = node->key_mark;
    size_t key = 0;

    if (renaming->first == NULL)
        renaming->first = &node->key_mark;
    migration_set_origin(node, renaming->was);
    if (renaming->rename->is_wrapped && node->kind != CONFIG_LIST)
        node = wrap(renaming->tree, node);
    for (size_t i = 0; i < renaming->to.count; i++) {
        const char *step = renaming->names[i] != NULL ? renaming->names[i] : walk->keys[key++];
        struct config_node *last = map->count == 0 ? NULL : map->items[map->count - 1];
        bool is_last = i + 1 == renaming->to.count;

        if (!is_last && last != NULL && strcmp(last->key, step) == 0) {
            map = last;
            continue;
        }
        last = is_last ? node : config_tree_add_node(renaming->tree, CONFIG_MAP, node->mark);
        last->key = step;
        last->key_mark = key_mark;
        config_node_append(renaming->tree, map, last);
        map = last;
    }
}

/* Keys that stars stand for are texts of the tree already. */
static void keep_names(struct renaming *renaming)
{
    for (size_t i = 0; i < renaming->to.count; i++) {
        const char *step = renaming->to.steps[i];

        if (!path_is_star(step))
            renaming->names[i] = config_tree_add_text(renaming->tree, step, strlen(step));
    }
}

/* The same keys of two maps: `kept` is under the new name. */
static void report_both(void *context, const char *path, const struct config_node *kept,
                        const struct config_node *dropped)
{
    const struct renaming *renaming = context;
    const char *uri = renaming->plugin->uri, *from = renaming->rename->from;

    if (renaming->is_old)
        config_diagnostics_add(
            renaming->diagnostics, CONFIG_WARNING, &dropped->key_mark,
            "%s: %s is the old name of %s, which is also set (%s:%u:%u) and wins; remove this one", uri, from,
            path, kept->mark.file, kept->mark.line, kept->mark.column);
    else if (strlen(path) < strlen(renaming->rename->to) &&
             strncmp(path, renaming->rename->to, strlen(path)) == 0)
        config_diagnostics_add(
            renaming->diagnostics, CONFIG_ERROR, &dropped->key_mark,
            "%s: %s is now called %s, which conflicts with another setting; rename it by hand", uri, from,
            renaming->rename->to);
    else
        config_diagnostics_add(renaming->diagnostics, CONFIG_ERROR, &dropped->key_mark,
                               "%s: %s is the old name of %s, and both are set; remove this one", uri, from,
                               renaming->rename->to);
}

const char *migration_name_origin(struct config_tree *tree, const char *setting, const char *section)
{
    char text[512];

    snprintf(text, sizeof(text), "%s of %s", setting, section);
    return config_tree_add_text(tree, text, strlen(text));
}

/* True if it was applied. */
static bool apply_rename(struct config_tree *tree, const struct manifest_plugin *plugin,
                         struct config_node *section, const struct manifest_rename *rename,
                         const struct migration *migration, struct config_diagnostics *diagnostics)
{
    struct renaming renaming = {
        .tree = tree,
        .plugin = plugin,
        .rename = rename,
        .is_old = migration->is_said && migration->version < plugin->config_version,
        .diagnostics = diagnostics,
    };
    size_t errors = diagnostics->error_count;
    struct path from;

    if (rename->to == NULL || !path_split(rename->from, &from) || !path_split(rename->to, &renaming.to))
        return false;
    if (rename->before_version <= migration->version && path_is_declared(plugin->config, &from))
        return false;
    if (path_walk(section, rename->from, false, NULL, NULL) == 0)
        return false;
    renaming.moved = config_tree_add_node(tree, CONFIG_MAP, section->mark);
    renaming.was = migration_name_origin(tree, rename->from,
                                         section->was != NULL   ? section->was
                                         : section->key != NULL ? section->key
                                                                : plugin->uri);
    keep_names(&renaming);
    path_walk(section, rename->from, true, place_match, &renaming);
    config_tree_fill(tree, section, renaming.moved, report_both, &renaming);
    if (diagnostics->error_count > errors)
        return false;
    migration_deprecate(plugin, rename->from, renaming.first, diagnostics,
                        "was renamed to %s in version %u of this section", rename->to,
                        rename->before_version);
    return true;
}

static int compare_versions(const void *a, const void *b)
{
    const struct manifest_rename *left = *(const struct manifest_rename *const *)a;
    const struct manifest_rename *right = *(const struct manifest_rename *const *)b;

    if (left->before_version != right->before_version)
        return left->before_version < right->before_version ? -1 : 1;
    return left < right ? -1 : left > right;
}

size_t migration_apply_renames(struct config_tree *tree, const struct manifest_plugin *plugin,
                               struct config_node *section, const struct migration *migration,
                               struct config_diagnostics *diagnostics)
{
    const struct manifest_rename **sorted;
    size_t applied = 0;

    if (plugin->rename_count == 0 || section == NULL || section->kind != CONFIG_MAP)
        return 0;
    sorted = memory_allocate(plugin->rename_count, sizeof(*sorted));
    for (size_t i = 0; i < plugin->rename_count; i++)
        sorted[i] = &plugin->renames[i];
    qsort(sorted, plugin->rename_count, sizeof(*sorted), compare_versions);
    for (size_t i = 0; i < plugin->rename_count; i++)
        applied += apply_rename(tree, plugin, section, sorted[i], migration, diagnostics);
    free(sorted);
    return applied;
}
