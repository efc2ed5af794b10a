/* SPDX-License-Identifier: Apache-2.0 */
/* Which settings differ between two configurations, and where each is set. Values are never told. */
#include "store.h"

#include <string.h>

#include <config/print/each.h>

#include <core/base/names.h>

/* A map of this many keys is searched from the start; a longer one by a table. */
#define FEW_KEYS 16

struct comparison {
    struct settings_differences *found;
    /** Of the values that are compared. */
    struct config_text path;
};

static void note(struct settings_differences *found, const char *path, const struct config_mark *mark,
                 bool is_removed)
{
    struct settings_difference *difference;

    if (found->count == SETTINGS_DIFFERENCES_MAX) {
        found->dropped++;
        return;
    }
    found->items = memory_grow(found->items, found->count, sizeof(*found->items));
    difference = &found->items[found->count++];
    *difference = (struct settings_difference){.path = memory_copy(path), .is_removed = is_removed};
    if (mark->file == NULL)
        return;
    difference->mark = *mark;
    difference->mark.file = memory_copy(mark->file);
}

/* The place of a value that is set; where it was reset to its default, the place that set it before. */
static void note_values(struct comparison *comparison, const struct berth_value *before,
                        const struct berth_value *after)
{
    static const struct config_mark nowhere = {0};
    const char *path = comparison->path.length > 0 ? comparison->path.bytes : "";

    if (after != NULL && after->mark.file != NULL)
        note(comparison->found, path, &after->mark, false);
    else
        note(comparison->found, path, before != NULL ? &before->mark : &nowhere, true);
}

static bool scalars_are_equal(const struct berth_value *before, const struct berth_value *after)
{
    switch (before->kind) {
    case BERTH_VALUE_NONE:
        return true;
    case BERTH_VALUE_BOOL:
        return before->boolean == after->boolean;
    case BERTH_VALUE_INT:
        return before->integer == after->integer;
    case BERTH_VALUE_FLOAT:
        return memcmp(&before->number, &after->number, sizeof(before->number)) == 0;
    case BERTH_VALUE_STRING:
        return strcmp(before->string, after->string) == 0;
    case BERTH_VALUE_LIST:
    case BERTH_VALUE_MAP:
        break;
    }
    return false;
}

static void compare(struct comparison *comparison, const struct berth_value *before,
                    const struct berth_value *after);

static void compare_lists(struct comparison *comparison, const struct berth_value *before,
                          const struct berth_value *after)
{
    size_t length = comparison->path.length;

    if (before->count != after->count) {
        note_values(comparison, before, after);
        return;
    }
    for (size_t i = 0; i < after->count; i++) {
        config_text_add(&comparison->path, "[%zu]", i);
        compare(comparison, before->items[i], after->items[i]);
        comparison->path.length = length;
        comparison->path.bytes[length] = '\0';
    }
}

static void index_keys(struct name_table *table, const struct berth_value *map)
{
    name_table_init(table, map->count);
    for (size_t i = 0; i < map->count; i++)
        name_table_add(table, map->items[i]->key, i);
}

/* Most often a key has the same place in both. `table` has slots only for a map with many keys. */
static const struct berth_value *find_key(const struct berth_value *map, const struct name_table *table,
                                          const char *key, size_t hint)
{
    size_t place;

    if (hint < map->count && strcmp(map->items[hint]->key, key) == 0)
        return map->items[hint];
    if (table->slots != NULL) {
        place = name_table_find(table, key);
        return place == NAME_TABLE_NONE ? NULL : map->items[place];
    }
    for (size_t i = 0; i < map->count; i++)
        if (strcmp(map->items[i]->key, key) == 0)
            return map->items[i];
    return NULL;
}

static void compare_key(struct comparison *comparison, const char *key, const struct berth_value *before,
                        const struct berth_value *after)
{
    size_t length = comparison->path.length;

    config_print_add_key(&comparison->path, key);
    if (before != NULL && after != NULL)
        compare(comparison, before, after);
    else
        note_values(comparison, before, after);
    comparison->path.length = length;
    comparison->path.bytes[length] = '\0';
}

static void compare_maps(struct comparison *comparison, const struct berth_value *before,
                         const struct berth_value *after)
{
    struct name_table old_keys = {0}, new_keys = {0};

    if (before->count > FEW_KEYS || after->count > FEW_KEYS) {
        index_keys(&old_keys, before);
        index_keys(&new_keys, after);
    }
    for (size_t i = 0; i < after->count; i++)
        compare_key(comparison, after->items[i]->key, find_key(before, &old_keys, after->items[i]->key, i),
                    after->items[i]);
    for (size_t i = 0; i < before->count; i++)
        if (find_key(after, &new_keys, before->items[i]->key, i) == NULL)
            compare_key(comparison, before->items[i]->key, before->items[i], NULL);
    name_table_finish(&old_keys);
    name_table_finish(&new_keys);
}

/* As deep as a file may be. */
static void compare(struct comparison *comparison, const struct berth_value *before,
                    const struct berth_value *after)
{
    if (before->kind != after->kind)
        note_values(comparison, before, after);
    else if (after->kind == BERTH_VALUE_LIST)
        compare_lists(comparison, before, after);
    else if (after->kind == BERTH_VALUE_MAP)
        compare_maps(comparison, before, after);
    else if (!scalars_are_equal(before, after))
        note_values(comparison, before, after);
}

static void compare_values(const struct config_values *before, const struct config_values *after,
                           struct settings_differences *found)
{
    struct comparison comparison = {.found = found};

    compare(&comparison, config_values_root(before), config_values_root(after));
    config_text_finish(&comparison.path);
}

static void note_files(const struct settings_section *before, const struct settings_section *after,
                       struct settings_differences *found)
{
    static const struct config_mark nowhere = {0};
    const struct settings_file *file;
    size_t place = 0;

    while ((file = settings_next_changed_file(before, after, &place)) != NULL) {
        size_t count = found->count;

        note(found, file->setting, &nowhere, false);
        if (found->count > count)
            found->items[count].changed_file = memory_copy(file->path);
    }
}

void settings_compare_plugin(const struct settings *before, const struct settings *after, const char *uri,
                             struct settings_differences *ret_found)
{
    const struct settings_section *old = settings_find_section(before, uri);
    const struct settings_section *new = settings_find_section(after, uri);
    static const struct config_mark nowhere = {0};

    *ret_found = (struct settings_differences){0};
    if (old == NULL || new == NULL)
        return;
    if (old->values != NULL && new->values != NULL) {
        compare_values(old->values, new->values, ret_found);
        note_files(old, new, ret_found);
    } else if (old->written != new->written)
        note(ret_found, "", new->node != NULL ? &new->node->key_mark : &nowhere, new->node == NULL);
}

static const struct berth_value *find_call_sets(const struct settings *settings)
{
    const struct berth_settings *view = config_values_settings(settings->store->values);

    return view->find(view->root, "system_call_sets");
}

static const struct berth_value *find_isolation(const struct settings *settings, const char *uri)
{
    const struct berth_settings *view = config_values_settings(settings->store->values);

    return view->find(view->find(view->root, "isolation"), uri);
}

bool settings_isolation_differs(const struct settings *before, const struct settings *after, const char *uri)
{
    const struct berth_value *old = find_isolation(before, uri), *new = find_isolation(after, uri);
    struct settings_differences found = {0};
    struct comparison comparison = {.found = &found};
    bool differs = old != new;

    if (old != NULL && new != NULL) {
        compare(&comparison, old, new);
        /* Any isolated plugin may use them. */
        compare(&comparison, find_call_sets(before), find_call_sets(after));
        differs = found.count > 0;
        config_text_finish(&comparison.path);
        settings_differences_finish(&found);
    }
    return differs;
}

/* Plugins have files in these folders, and were told where. */
static bool needs_restart_of_daemon(const char *path)
{
    return strcmp(path, "root") == 0 || strcmp(path, "state") == 0;
}

void settings_compare_daemon(const struct settings *before, const struct settings *after,
                             struct settings_differences *ret_found)
{
    *ret_found = (struct settings_differences){0};
    compare_values(before->store->values, after->store->values, ret_found);
    for (size_t i = 0; i < ret_found->count; i++)
        ret_found->items[i].needs_restart = needs_restart_of_daemon(ret_found->items[i].path);
}

char *settings_difference_explain(const struct settings_difference *difference)
{
    const char *what = *difference->path != '\0' ? difference->path : "its section";
    const char *verb = difference->is_removed ? "was reset to its default" : "changed";
    const struct config_mark *mark = &difference->mark;

    if (difference->changed_file != NULL)
        return memory_format("%s: %s changed", what, difference->changed_file);
    if (mark->file == NULL)
        return memory_format("%s %s", what, verb);
    if (mark->line == 0)
        return memory_format("%s %s (%s%s)", what, verb, difference->is_removed ? "was set at " : "",
                             mark->file);
    return difference->is_removed
               ? memory_format("%s %s (was set at %s:%u:%u)", what, verb, mark->file, mark->line,
                               mark->column)
               : memory_format("%s %s at %s:%u:%u", what, verb, mark->file, mark->line, mark->column);
}

void settings_differences_finish(struct settings_differences *differences)
{
    for (size_t i = 0; i < differences->count; i++) {
        free(differences->items[i].path);
        free((char *)differences->items[i].mark.file);
        free(differences->items[i].changed_file);
    }
    free(differences->items);
    *differences = (struct settings_differences){0};
}
