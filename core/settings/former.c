/* SPDX-License-Identifier: Apache-2.0 */
/* Finds the owners of sections under former names, and splits a section among several owners. */
#include <stdlib.h>
#include <string.h>

#include "path.h"
#include "store.h"

/* Settings, each identified by the place of its key, which a rename does not change. */
struct places {
    struct config_mark *items;
    size_t count;
};

/* A plugin that gets part of the section. */
struct claimant {
    const struct manifest_plugin *plugin;
    /* The place of the section's name in its list of former names: the first is the newest. */
    size_t rank;
    /* The settings that it declares, and of these the ones that had another sense in such a section. */
    struct places known, left;
};

struct split {
    struct config_tree *tree;
    struct config_node *sections;
    /* Which of the sections that were read went to their plugins as parts, by place; new ones stand behind
     * them. */
    bool *gone;
    size_t read_count;
    struct former_parts *parts;
    struct config_node *section;
    struct claimant *claimants;
    size_t count;
    /* The first claimant has the section's name as its URI. */
    bool has_owner;
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
    if (left->file == right->file)
        return 0;
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

static bool declares(const struct claimant *claimant, const struct config_node *node)
{
    return has_place(&claimant->known, node) && !has_place(&claimant->left, node);
}

static bool is_claimed(const struct split *split, const struct config_node *node)
{
    for (size_t i = 0; i < split->count; i++)
        if (declares(&split->claimants[i], node))
            return true;
    return false;
}

static void add_all(struct places *places, const struct config_node *node)
{
    add_place(places, node->key_mark);
    for (size_t i = 0; i < node->count; i++)
        add_all(places, node->items[i]);
}

/* Recursion is as deep as the schema, which its reader bounds. */
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

static void add_match(struct path_walk *walk, struct config_node *node)
{
    add_all(walk->context, node);
}

/* Under its old name a setting is known even if the new one is set too, so that both are compared. */
static void find_known(struct split *split, struct claimant *claimant)
{
    const struct manifest_plugin *plugin = claimant->plugin;

    for (size_t i = 0; i < plugin->rename_count; i++)
        path_walk(split->section, plugin->renames[i].from, false, add_match, &claimant->known);
    add_declared(&claimant->known, plugin->config, split->section);
    for (size_t i = 0; i < plugin->leave_count; i++)
        path_walk(split->section, plugin->leaves[i], false, add_match, &claimant->left);
    sort_places(&claimant->known);
    sort_places(&claimant->left);
}

/* Does an item of the section go to this claimant? Undeclared items stay with the first. */
static bool gets(const struct split *split, const struct claimant *claimant, const struct config_node *item)
{
    if (split->count == 1 || declares(claimant, item) || strcmp(item->key, "config_version") == 0)
        return true;
    return claimant == split->claimants && !is_claimed(split, item);
}

/* A copy without the settings of other plugins, and without maps that become empty. */
static struct config_node *copy_part(const struct split *split, const struct claimant *claimant,
                                     const struct config_node *map)
{
    struct config_node *copy = config_tree_add_node(split->tree, CONFIG_MAP, map->mark);

    copy->key = map->key;
    copy->key_mark = map->key_mark;
    for (size_t i = 0; i < map->count; i++) {
        const struct config_node *item = map->items[i];
        struct config_node *part = NULL;

        if (item->kind == CONFIG_MAP && item->count > 0)
            part = copy_part(split, claimant, item);
        else if (gets(split, claimant, item))
            part = config_tree_copy_node(split->tree, item);
        if (part != NULL && (part->kind != CONFIG_MAP || part->count > 0 || item->count == 0))
            config_node_append(split->tree, copy, part);
    }
    return copy;
}

/* Does the section hold a setting that its owner does not declare but another plugin does? */
static bool is_of_others(const struct split *split, const struct config_node *map)
{
    for (size_t i = 0; i < map->count; i++) {
        const struct config_node *item = map->items[i];

        if (!declares(&split->claimants[0], item) && is_claimed(split, item))
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

/* More settings than these are only counted: `config dump --origin` shows all. */
#define TOLD_MAX 24

static void list_settings(struct config_text *list, const struct config_node *taken)
{
    size_t told = 0, more = 0;

    for (size_t i = 0; taken->kind == CONFIG_MAP && i < taken->count; i++) {
        const struct config_node *item = taken->items[i];

        if (strcmp(item->key, "config_version") == 0)
            continue;
        if (told == TOLD_MAX) {
            more++;
            continue;
        }
        config_text_add(list, told++ == 0 ? " (" : ", ");
        config_text_add_cleaned(list, item->key, strnlen(item->key, 80));
        if (item->key_mark.file != NULL && taken->key_mark.file != NULL &&
            strcmp(item->key_mark.file, taken->key_mark.file) != 0) {
            config_text_add(list, " at ");
            config_text_add_cleaned(list, item->key_mark.file, strlen(item->key_mark.file));
            config_text_add(list, ":%u:%u", item->key_mark.line, item->key_mark.column);
        } else {
            config_text_add(list, " at %u:%u", item->key_mark.line, item->key_mark.column);
        }
    }
    if (more > 0)
        config_text_add(list, " and %zu more", more);
    config_text_add(list, told > 0 ? ")" : "");
}

static void tell(const struct split *split, const struct manifest_plugin *plugin,
                 const struct config_node *taken, struct config_diagnostics *diagnostics)
{
    struct config_text list = {0};
    char setting[512];

    list_settings(&list, taken);
    snprintf(setting, sizeof(setting), "%s/section", plugin->uri);
    config_diagnostics_add_deprecation(
        diagnostics, setting, &split->section->key_mark,
        "%s: its settings are in section \"%.200s\", a former name%s; run `berthd "
        "config migrate` to update the file",
        plugin->uri, split->section->key, list.bytes == NULL ? "" : list.bytes);
    config_text_finish(&list);
}

/* A part that is taken out of a section keeps that section's name, and its setting's name there. */
static void set_origins(struct config_tree *tree, struct config_node *taken, const char *section)
{
    taken->was = section;
    for (size_t i = 0; taken->kind == CONFIG_MAP && i < taken->count; i++)
        migration_set_origin(taken->items[i], migration_name_origin(tree, taken->items[i]->key, section));
}

static void add_part(struct former_parts *parts, const struct claimant *claimant, struct config_node *node,
                     bool is_section)
{
    parts->items = memory_grow(parts->items, parts->count, sizeof(*parts->items));
    parts->items[parts->count++] = (struct former_part){
        .plugin = claimant->plugin, .node = node, .rank = claimant->rank, .is_section = is_section};
}

/* Beside a section of the plugin's own this is a part of it. Of two parts the one with the newer name counts
 * as the section. */
static bool add_beside(struct split *split, const struct claimant *claimant, struct config_node *node)
{
    size_t place = 0;

    while (place < split->sections->count && ((place < split->read_count && split->gone[place]) ||
                                              strcmp(split->sections->items[place]->key, node->key) != 0))
        place++;
    if (place == split->sections->count)
        return false;
    for (size_t i = 0; i < split->parts->count; i++) {
        struct former_part *part = &split->parts->items[i];

        if (part->node != split->sections->items[place] || part->rank <= claimant->rank)
            continue;
        part->is_section = false;
        split->sections->items[place] = node;
        add_part(split->parts, claimant, node, true);
        return true;
    }
    add_part(split->parts, claimant, node, false);
    return true;
}

/*
 * The section itself becomes the owner's or the first claimant's. A plugin that has a section gets its part
 * merged into it.
 */
static void divide(struct split *split, size_t place, struct config_diagnostics *diagnostics)
{
    struct config_node *sections = split->sections;
    const struct config_node *whole = split->section;
    bool is_placed = false;

    for (size_t i = 0; i < split->count; i++) {
        struct claimant *claimant = &split->claimants[i];
        struct config_node *copy = copy_part(split, claimant, whole);
        bool is_owner = i == 0 && split->has_owner;

        if (!is_owner && i > 0 && !has_settings(copy))
            continue;
        copy->key = claimant->plugin->uri;
        if (!is_owner) {
            tell(split, claimant->plugin, copy, diagnostics);
            set_origins(split->tree, copy, whole->key);
        }
        if (!is_owner && add_beside(split, claimant, copy))
            continue;
        if (is_placed)
            config_node_append(split->tree, sections, copy);
        else
            sections->items[place] = copy;
        is_placed = true;
        if (!is_owner)
            add_part(split->parts, claimant, copy, true);
    }
    split->gone[place] = !is_placed;
}

/* @return FORMERLY_NONE if the plugin never had a section of that name. */
#define FORMERLY_NONE SIZE_MAX
static size_t rank_of(const struct manifest_plugin *plugin, const char *name)
{
    for (size_t i = 0; i < plugin->formerly_count; i++)
        if (strcmp(plugin->formerly[i], name) == 0)
            return i;
    return FORMERLY_NONE;
}

static void add_claimant(struct split *split, const struct manifest_plugin *plugin, size_t rank)
{
    split->claimants[split->count++] = (struct claimant){.plugin = plugin, .rank = rank};
}

static void finish_claimant(struct claimant *claimant)
{
    free(claimant->known.items);
    free(claimant->left.items);
}

static void finish_split(struct split *split)
{
    for (size_t i = 0; i < split->count; i++)
        finish_claimant(&split->claimants[i]);
    free(split->claimants);
}

/* May settings of the owner's section go to another plugin? The two come in one module, or the owner agrees.
 */
static bool may_take(const struct manifest_plugin *owner, const struct manifest_plugin *taker)
{
    if (owner == NULL || owner->manifest == taker->manifest)
        return true;
    for (size_t i = 0; i < owner->gives_to_count; i++)
        if (strcmp(owner->gives_to[i], taker->uri) == 0)
            return true;
    return false;
}

/* A claim without consent matters only if there is something to take. */
static void refuse(struct split *split, const struct manifest_plugin *owner,
                   const struct manifest_plugin *taker, struct config_diagnostics *diagnostics)
{
    struct claimant claimants[2] = {{.plugin = owner}, {.plugin = taker}};
    struct split alone = *split;

    alone.claimants = claimants;
    alone.count = 2;
    for (size_t i = 0; i < 2; i++)
        find_known(&alone, &claimants[i]);
    if (is_of_others(&alone, alone.section))
        config_diagnostics_add(
            diagnostics, CONFIG_WARNING, &split->section->key_mark,
            "%s: module %s wants to take settings out of this section for %s, but %s does not list it under "
            "gives_to in its manifest; they stay here",
            owner->uri, taker->manifest->module, taker->uri, owner->uri);
    for (size_t i = 0; i < 2; i++)
        finish_claimant(&claimants[i]);
}

/* Next to a section under the present name, one without `config_version` is taken for a mistake. */
static bool is_mistake(const struct config_node *section, const struct manifest_plugin *owner)
{
    return owner == NULL && config_node_find(section, "config_version") == NULL;
}

/* `renamed`: the plugins with former names. */
static void take_section(struct split *split, size_t place, const struct catalog *catalog,
                         const struct manifest_plugin *const *renamed, size_t renamed_count,
                         struct config_diagnostics *diagnostics)
{
    struct config_node *section = split->section;
    const struct manifest_plugin *owner = catalog_find(catalog, section->key), *both = NULL;

    split->has_owner = owner != NULL;
    split->claimants = memory_allocate(renamed_count + 1, sizeof(*split->claimants));
    if (owner != NULL)
        add_claimant(split, owner, 0);
    for (size_t i = 0; i < renamed_count; i++) {
        size_t rank = rank_of(renamed[i], section->key);

        if (rank == FORMERLY_NONE)
            continue;
        if (!may_take(owner, renamed[i]))
            refuse(split, owner, renamed[i], diagnostics);
        else if (config_node_find(split->sections, renamed[i]->uri) == NULL || !is_mistake(section, owner))
            add_claimant(split, renamed[i], rank);
        else
            both = renamed[i];
    }
    if (split->count == 0 && both != NULL)
        config_diagnostics_add(diagnostics, CONFIG_ERROR, &section->key_mark,
                               "plugins: \"%.200s\" is a former name of %s, which also has a section (line "
                               "%u): merge them and remove this one",
                               section->key, both->uri,
                               config_node_find(split->sections, both->uri)->key_mark.line);
    if (split->count > 0 && owner == NULL && section->kind != CONFIG_MAP) {
        tell(split, split->claimants[0].plugin, section, diagnostics);
        section->key = split->claimants[0].plugin->uri;
    } else if (split->count > (owner != NULL ? 1u : 0u) && section->kind == CONFIG_MAP) {
        for (size_t i = 0; i < split->count; i++)
            find_known(split, &split->claimants[i]);
        if (owner == NULL || is_of_others(split, section))
            divide(split, place, diagnostics);
    }
    finish_split(split);
}

static int compare_parts(const void *a, const void *b)
{
    const struct former_part *left = a;
    const struct former_part *right = b;
    int order = strcmp(left->plugin->uri, right->plugin->uri);

    if (order != 0)
        return order;
    return left->rank < right->rank ? -1 : left->rank > right->rank;
}

static void close_gaps(struct config_node *sections, const bool *gone, size_t read_count)
{
    size_t kept = 0;

    for (size_t i = 0; i < sections->count; i++)
        if (i >= read_count || !gone[i])
            sections->items[kept++] = sections->items[i];
    sections->count = kept;
}

/* A part that has become a section of its own no longer belongs to the other. */
static void drop_sections(struct former_parts *parts)
{
    size_t kept = 0;

    for (size_t i = 0; i < parts->count; i++)
        if (!parts->items[i].is_section)
            parts->items[kept++] = parts->items[i];
    parts->count = kept;
}

void former_apply(struct config_tree *tree, struct config_node *sections, const struct catalog *catalog,
                  struct former_parts *ret_parts, struct config_diagnostics *diagnostics)
{
    const struct manifest_plugin **renamed = memory_allocate(catalog->count, sizeof(*renamed));
    size_t count = sections == NULL || sections->kind != CONFIG_MAP ? 0 : sections->count;
    size_t renamed_count = 0;
    bool *gone;

    *ret_parts = (struct former_parts){0};
    for (size_t i = 0; i < catalog->count; i++)
        if (catalog->plugins[i]->formerly_count > 0)
            renamed[renamed_count++] = catalog->plugins[i];
    gone = memory_allocate(count, sizeof(*gone));
    for (size_t i = 0; i < count && renamed_count > 0; i++) {
        struct split split = {.tree = tree,
                              .sections = sections,
                              .gone = gone,
                              .read_count = count,
                              .parts = ret_parts,
                              .section = sections->items[i]};

        take_section(&split, i, catalog, renamed, renamed_count, diagnostics);
    }
    if (count > 0)
        close_gaps(sections, gone, count);
    drop_sections(ret_parts);
    if (ret_parts->count > 1)
        qsort(ret_parts->items, ret_parts->count, sizeof(*ret_parts->items), compare_parts);
    free(gone);
    free(renamed);
}

void former_finish(struct former_parts *parts)
{
    free(parts->items);
    *parts = (struct former_parts){0};
}

void former_give(const struct former_parts *parts, struct settings_section *section)
{
    size_t first = 0, last;

    while (first < parts->count && parts->items[first].plugin != section->plugin)
        first++;
    last = first;
    while (last < parts->count && parts->items[last].plugin == section->plugin)
        last++;
    if (first < last && config_node_is_empty(section->node))
        section->node = parts->items[first++].node;
    section->part_count = last - first;
    section->parts = section->part_count == 0 ? NULL : &parts->items[first];
}
