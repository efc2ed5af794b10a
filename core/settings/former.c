/* SPDX-License-Identifier: Apache-2.0 */
/* Finds the owners of sections under former names, and splits a section among several owners. */
#include "store.h"

#include <stdlib.h>
#include <string.h>

/* Settings, each identified by the place of its key, which a rename does not change. */
struct places {
    struct config_mark *items;
    size_t count;
};

/* A plugin that gets part of the section. */
struct claimant {
    const struct manifest_plugin *plugin;
    /* The settings that it declares. */
    struct places known;
};

struct split {
    struct config_tree *tree;
    struct config_node *section;
    struct claimant *claimants;
    size_t count;
    /* The first claimant has the section's name as its URI. */
    bool has_owner;
    /* What any claimant declares. */
    struct places known;
};

static void add_place(struct places *places, struct config_mark mark)
{
    places->items = memory_grow(places->items, places->count, sizeof(*places->items));
    places->items[places->count++] = mark;
}

static int compare_places(const void *a, const void *b)
{
    const struct config_mark *left = a;
    const struct config_mark *right = b;

    if (left->line != right->line)
        return left->line < right->line ? -1 : 1;
    if (left->column != right->column)
        return left->column < right->column ? -1 : 1;
    return strcmp(left->file == NULL ? "" : left->file, right->file == NULL ? "" : right->file);
}

static void sort_places(struct places *places)
{
    if (places->count > 1)
        qsort(places->items, places->count, sizeof(*places->items), compare_places);
}

static bool has_place(const struct places *places, const struct config_node *node)
{
    return places->count > 0 && bsearch(&node->key_mark, places->items, places->count, sizeof(*places->items),
                                        compare_places) != NULL;
}

static void add_all(struct places *places, const struct config_node *node)
{
    add_place(places, node->key_mark);
    for (size_t i = 0; i < node->count; i++)
        add_all(places, node->items[i]);
}

/* As deep as the schema, which its reader bounds. */
static void add_declared(struct places *places, const struct schema *object, const struct config_node *map)
{
    for (size_t i = 0; map->kind == CONFIG_MAP && i < map->count; i++) {
        const struct schema *field = schema_find_field(object, map->items[i]->key);

        if (field == NULL)
            continue;
        if (field->kind != SCHEMA_OBJECT) {
            add_all(places, map->items[i]);
            continue;
        }
        add_place(places, map->items[i]->key_mark);
        add_declared(places, field, map->items[i]);
    }
}

/* The section's version, for the renames; by default the plugin's own. */
static uint32_t version_of(const struct config_node *section, const struct manifest_plugin *plugin)
{
    const struct config_node *node = config_node_find(section, "config_version");
    unsigned long version = node == NULL || node->kind != CONFIG_SCALAR ? 0 : strtoul(node->text, NULL, 10);

    return version == 0 || version > plugin->config_version ? plugin->config_version : (uint32_t)version;
}

static void find_known(struct split *split, struct claimant *claimant)
{
    const struct manifest_plugin *plugin = claimant->plugin;
    struct config_node *copy = config_tree_copy_node(split->tree, split->section);
    struct config_diagnostics ignored = {0};

    migration_apply_renames(split->tree, plugin, copy, version_of(split->section, plugin), &ignored);
    config_diagnostics_finish(&ignored);
    add_declared(&claimant->known, plugin->config, copy);
    for (size_t i = 0; i < plugin->rename_count; i++) {
        const struct config_node *node =
            plugin->renames[i].to != NULL ? NULL : migration_find_setting(copy, plugin->renames[i].from);

        if (node != NULL)
            add_all(&claimant->known, node);
    }
    for (size_t i = 0; i < claimant->known.count; i++)
        add_place(&split->known, claimant->known.items[i]);
    sort_places(&claimant->known);
}

/* Removes the settings of other plugins, and maps that become empty. */
static void prune(const struct split *split, const struct claimant *claimant, struct config_node *map)
{
    size_t kept = 0;

    for (size_t i = 0; i < map->count; i++) {
        struct config_node *item = map->items[i];
        bool is_own = has_place(&claimant->known, item) || strcmp(item->key, "config_version") == 0;
        bool is_gone = !is_own && (has_place(&split->known, item) || claimant != split->claimants);

        if (item->kind == CONFIG_MAP && item->count > 0) {
            prune(split, claimant, item);
            is_gone = item->count == 0;
        }
        if (!is_gone)
            map->items[kept++] = item;
    }
    map->count = kept;
}

/* Does the section hold a setting that its owner does not declare but another plugin does? */
static bool is_of_others(const struct split *split, const struct config_node *map)
{
    for (size_t i = 0; i < map->count; i++) {
        const struct config_node *item = map->items[i];

        if (!has_place(&split->claimants[0].known, item) && has_place(&split->known, item))
            return true;
        if (item->kind == CONFIG_MAP && is_of_others(split, item))
            return true;
    }
    return false;
}

static bool has_settings(const struct config_node *section)
{
    return section->count > (config_node_find(section, "config_version") == NULL ? 0 : 1);
}

static void tell(const struct split *split, const struct manifest_plugin *plugin,
                 struct config_diagnostics *diagnostics)
{
    char setting[512];

    snprintf(setting, sizeof(setting), "%s/section", plugin->uri);
    config_diagnostics_add_deprecation(
        diagnostics, setting, &split->section->key_mark,
        "%s: its settings are in section \"%.200s\", a former name; run `berthd "
        "config migrate` to update the file",
        plugin->uri, split->section->key);
}

/* The section itself becomes the owner's or the first claimant's. */
static void divide(struct split *split, struct config_node *sections, size_t place,
                   struct config_diagnostics *diagnostics)
{
    const struct config_node *whole = split->section;
    bool is_placed = false;

    for (size_t i = 0; i < split->count; i++) {
        struct claimant *claimant = &split->claimants[i];
        struct config_node *copy = config_tree_copy_node(split->tree, whole);
        bool is_owner = i == 0 && split->has_owner;

        if (split->count > 1)
            prune(split, claimant, copy);
        if (!is_owner && i > 0 && !has_settings(copy))
            continue;
        copy->key = claimant->plugin->uri;
        if (is_placed)
            config_node_append(split->tree, sections, copy);
        else
            sections->items[place] = copy;
        is_placed = true;
        if (!is_owner)
            tell(split, claimant->plugin, diagnostics);
    }
}

static bool was_called(const struct manifest_plugin *plugin, const char *name)
{
    for (size_t i = 0; i < plugin->formerly_count; i++)
        if (strcmp(plugin->formerly[i], name) == 0)
            return true;
    return false;
}

static void add_claimant(struct split *split, const struct manifest_plugin *plugin)
{
    split->claimants[split->count++] = (struct claimant){.plugin = plugin};
}

static void finish_split(struct split *split)
{
    for (size_t i = 0; i < split->count; i++)
        free(split->claimants[i].known.items);
    free(split->claimants);
    free(split->known.items);
}

/* `renamed`: the plugins with former names. */
static void take_section(struct config_tree *tree, struct config_node *sections, size_t place,
                         const struct catalog *catalog, const struct manifest_plugin *const *renamed,
                         size_t renamed_count, struct config_diagnostics *diagnostics)
{
    struct config_node *section = sections->items[place];
    const struct manifest_plugin *owner = catalog_find(catalog, section->key), *both = NULL;
    struct split split = {.tree = tree, .section = section, .has_owner = owner != NULL};

    split.claimants = memory_allocate(renamed_count + 1, sizeof(*split.claimants));
    if (owner != NULL)
        add_claimant(&split, owner);
    for (size_t i = 0; i < renamed_count; i++) {
        if (!was_called(renamed[i], section->key))
            continue;
        if (config_node_find(sections, renamed[i]->uri) == NULL)
            add_claimant(&split, renamed[i]);
        else
            both = renamed[i];
    }
    if (split.count == 0 && both != NULL)
        config_diagnostics_add(diagnostics, CONFIG_ERROR, &section->key_mark,
                               "plugins: \"%.200s\" is a former name of %s, which also has a section (line "
                               "%u): merge them and remove this one",
                               section->key, both->uri, config_node_find(sections, both->uri)->key_mark.line);
    if (split.count > 0 && owner == NULL && section->kind != CONFIG_MAP) {
        tell(&split, split.claimants[0].plugin, diagnostics);
        section->key = split.claimants[0].plugin->uri;
    } else if (split.count > (owner != NULL ? 1u : 0u) && section->kind == CONFIG_MAP) {
        for (size_t i = 0; i < split.count; i++)
            find_known(&split, &split.claimants[i]);
        sort_places(&split.known);
        if (owner == NULL || is_of_others(&split, section))
            divide(&split, sections, place, diagnostics);
    }
    finish_split(&split);
}

void former_apply(struct config_tree *tree, struct config_node *sections, const struct catalog *catalog,
                  struct config_diagnostics *diagnostics)
{
    const struct manifest_plugin **renamed = memory_allocate(catalog->count, sizeof(*renamed));
    size_t count = sections == NULL || sections->kind != CONFIG_MAP ? 0 : sections->count;
    size_t renamed_count = 0;

    for (size_t i = 0; i < catalog->count; i++)
        if (catalog->plugins[i]->formerly_count > 0)
            renamed[renamed_count++] = catalog->plugins[i];
    for (size_t i = 0; i < count && renamed_count > 0; i++)
        take_section(tree, sections, i, catalog, renamed, renamed_count, diagnostics);
    free(renamed);
}
